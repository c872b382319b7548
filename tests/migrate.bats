#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Moves that succeed, and what else is true of them than that they do.

load lib/hosts

setup() {
	setup_hosts_and_guests
}

teardown() {
	teardown_hosts
}

@test "a guest with a fixed tap moves" {
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_hears host-b vm-01 "$MAC1"
}

@test "a guest with a generated tap on a libvirt network moves" {
	run_sm migrate vm-02 host-b
	assert_exit 0
	assert_moved vm-02 "$MAC2"
	live_xml host-b vm-02 | grep -q '<interface type="network">'
	[ "$(tap_of host-b vm-02)" != "$(tap_of host-a vm-02 2>/dev/null)" ]
}

@test "it moves there and back, and all is as it was" {
	run_sm vm-01 host-b
	assert_exit 0
	run_sm_on host-b vm-01 host-a
	assert_exit 0
	assert_same host-a "$FAKE_DIR/before.a"
	assert_hears host-a vm-01 "$MAC1"
	fake show host-b enp65s0 | grep -q "driver vfio" && return 1
	assert_no_entries host-b "$MAC1"
}

@test "a guest with two pairs and a NIC without one moves" {
	start_guest vm-03
	run_sm vm-03 host-b
	assert_exit 0
	assert_state host-b vm-03 1
	local mac
	for mac in 52:54:00:00:12:73 52:54:00:00:12:74; do
		assert_no_entries host-a $mac
		assert_no_entries host-b $mac
		fake show host-b enp65s0 | grep -q "mac $mac .* command 0507"
	done
}

@test "several pairs: none waits with its standby for another one's VF" {
	start_guest vm-03
	run_sm vm-03 host-b
	assert_exit 0
	assert_order 'host-b virDomainAttachDeviceFlags' 'host-b guest vm-03 drives' 'host-b nl.self-delete' \
		'host-b nl.fdb-delete' 'host-b virDomainAttachDeviceFlags'
}

@test "several pairs on a NIC that gives frames to one: none is cut off while the guest gives up the next VF" {
	stop_hosts
	rm -rf "$FAKE_DIR"
	NIC_DRIVER=ixgbe setup_hosts_and_guests
	start_guest vm-03
	run_sm vm-03 host-b
	assert_exit 0
	assert_order 'host-a virDomainDetachDeviceAlias' 'host-a event removed' 'host-a nl.self-add' \
		'host-a virDomainDetachDeviceAlias' 'host-a event removed' 'host-a nl.self-add'
	assert_no_entries host-a 52:54:00:00:12:73
	assert_no_entries host-a 52:54:00:00:12:74
}

@test "a domain that is called like this one's UUID is another one" {
	sed "s/<name>vm-01/<name>7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101/; s/0101<\/uuid>/9902<\/uuid>/
		s/12:53/12:99/g; s/function='0x2'/function='0x6'/; s/vmtap01/othertap/" "$tests_dir/data/vm-01.xml" \
		>"$FAKE_DIR/namesake.xml"
	fake define host-a "$FAKE_DIR/namesake.xml"
	fake start host-a 7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e9902
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	refute_called host-a 'virDomain(Update|Detach|Attach|Migrate).* 7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101'
}

@test "each pair of a guest gets its own VF in live and persistent definition" {
	start_guest vm-03
	run_sm vm-03 host-b
	assert_exit 0
	local alias
	for alias in ua-one ua-two; do
		[ -n "$(vf_of_pair host-b vm-03 live $alias)" ]
		[ "$(vf_of_pair host-b vm-03 live $alias)" = "$(vf_of_pair host-b vm-03 inactive $alias)" ]
	done
	[ "$(vf_of_pair host-b vm-03 live ua-one)" != "$(vf_of_pair host-b vm-03 live ua-two)" ]
}

@test "the VF is gone before the memory is copied, and the guest reachable meanwhile" {
	hook migrate.iterating "$frame $(pid_of switch) up-0a $(pid_of host-a) vmtap01 $MAC1 $OUTSIDE &&
		touch $FAKE_DIR/heard"
	run_sm vm-01 host-b
	assert_exit 0
	[ -e "$FAKE_DIR/heard" ]
	assert_called host-a "migration starts with 0 VFs"
	assert_order "standby link up" "nl.fdb-add vmtap01" "virDomainDetachDeviceAlias" \
		"event removed" "virDomainMigrateToURI3"
}

@test "the entry on the destination's tap is there before the guest resumes" {
	run_sm vm-01 host-b
	assert_exit 0
	assert_order "host-b event lifecycle 2 1" "host-b event lifecycle 4 1"
	assert_order "host-b nl.fdb-add" "host-b event lifecycle 4 1"
	assert_order "host-b nl.self-add" "host-b event lifecycle 4 1"
}

@test "frames reach the guest on the destination at the instant it resumes" {
	hook migrate.finished "$frame $(pid_of switch) up-0b $(pid_of host-b) vmtap01 $MAC1 $OUTSIDE &&
		touch $FAKE_DIR/heard"
	run_sm vm-01 host-b
	assert_exit 0
	[ -e "$FAKE_DIR/heard" ]
}

@test "the guest's own looped broadcasts take no frame from it" {
	hook migrate.iterating "$frame $(pid_of switch) up-0a - - ff:ff:ff:ff:ff:ff $MAC1
		$frame $(pid_of switch) up-0a $(pid_of host-a) vmtap01 $MAC1 $OUTSIDE && touch $FAKE_DIR/heard"
	run_sm vm-01 host-b
	assert_exit 0
	[ -e "$FAKE_DIR/heard" ]
	assert_no_entries host-a "$MAC1"
}

@test "a MAC that both bridges have learnt on their uplinks stands in nobody's way" {
	loop_broadcast host-a "$MAC1"
	loop_broadcast host-b "$MAC1"
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	refute has_entry host-b "$MAC1" sticky
}

@test "the standby's path on the destination goes only after the VF is driven" {
	run_sm vm-01 host-b
	assert_exit 0
	assert_order "host-b guest vm-01 drives" "host-b nl.fdb-delete" "host-b standby link down"
	assert_order "host-b guest vm-01 drives" "host-b nl.self-delete wan0"
}

@test "a slow guest gets the time it needs" {
	set_fake detach.ms 1500
	set_fake drive.ms 1500
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_order "host-b guest vm-01 drives" "host-b nl.fdb-delete"
}

@test "the standby stays until the guest's traffic has left it" {
	set_fake guest.talks 20
	set_fake guest.lag 1500
	fake stop host-a vm-01
	start_guest vm-01
	run_sm --carrier-timeout 5 vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_order "host-b guest vm-01 drives" "host-b guest vm-01 has left its standby" \
		"host-b nl.fdb-delete" "host-b standby link down"
}

@test "a guest whose traffic never leaves the standby is told of, and not cut off at once" {
	set_fake guest.talks 20
	set_fake guest.lag 60000
	fake stop host-a vm-01
	start_guest vm-01
	run_sm --carrier-timeout 2 vm-01 host-b
	assert_sound vm-01 "$MAC1" 0 4
	assert_says 'standby'
}

@test "client-driven works as well" {
	run_sm --client-driven vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_called host-a "virDomainMigrate3 "
	refute_called host-a "virDomainMigrateToURI3"
}

@test "migration options reach libvirt" {
	run_sm --bandwidth 100 --parallel 2 --auto-converge --tls --copy-storage-all --unsafe \
		--migrate-uri tcp://host-b:49152 vm-01 host-b
	assert_exit 0
	# live 1, p2p 2, persist 8, non-shared-disk 64, unsafe 512, auto-converge 8192, tls 65536,
	# parallel 131072
	assert_called host-a "virDomainMigrateToURI3 vm-01 flags 0x3224b"
	assert_called host-a ".*bandwidth=100"
	assert_called host-a ".*parallel.connections=2"
	assert_called host-a ".*migrate_uri=tcp://host-b:49152"
	run_sm_on host-b --compressed --copy-storage-inc vm-01 host-a
	assert_exit 0
	# non-shared-inc 128, compressed 2048
	assert_called host-b "virDomainMigrateToURI3 vm-01 flags 0x88b"
}

@test "migration options that libvirt does not take together are refused, and nothing is touched" {
	local options
	for options in "--parallel 2 --compressed" "--parallel 300" "--copy-storage-all --copy-storage-inc" \
		"--migrate-uri ssh://host-b"; do
		# shellcheck disable=SC2086 # several
		run_sm $options vm-01 host-b
		assert_exit 2
	done
	assert_untouched
	# What does not concern it does not stop the cure.
	run_sm --parallel 2 --compressed recover
	assert_exit 0
}

@test "--undefine-source leaves no definition behind" {
	run_sm --undefine-source vm-01 host-b
	assert_exit 0
	assert_state host-a vm-01 ""
	assert_state host-b vm-01 1
	assert_no_entries host-a "$MAC1"
}

@test "autostart goes with the domain" {
	fake autostart host-a vm-01
	run_sm vm-01 host-b
	assert_exit 0
	[ "$(domain_state host-b vm-01)" = "1 autostart" ]
	[ "$(domain_state host-a vm-01)" = 5 ]
}

@test "a domain without autostart gets none" {
	run_sm vm-01 host-b
	assert_exit 0
	[ "$(domain_state host-b vm-01)" = 1 ]
}

@test "a transient domain stays one" {
	fake stop host-a vm-01
	fake create host-a "$tests_dir/data/vm-01.xml"
	run_sm vm-01 host-b
	assert_exit 0
	assert_state host-a vm-01 ""
	assert_state host-b vm-01 1
	[ -n "$(live_xml host-b vm-01 | vf_in)" ]
	refute_shown host-b "vm-01 inactive"
	assert_no_entries host-b "$MAC1"
}

@test "a transient domain whose standby rests with its link up keeps it so, however often it is asked for" {
	fake stop host-a vm-01
	sed "/<link state=/d" "$tests_dir/data/vm-01.xml" >"$FAKE_DIR/transient.xml"
	fake create host-a "$FAKE_DIR/transient.xml"
	run_sm vm-01 host-b
	assert_exit 0
	[ "$(link_state_of host-b vm-01)" != down ]
	: >"$FAKE_DIR/log"
	run_sm vm-01 host-b
	assert_exit 0
	run_sm_on host-b reattach vm-01
	assert_exit 0
	[ "$(link_state_of host-b vm-01)" != down ]
	refute_called host-b virDomainUpdate
}

@test "the definition on the source keeps its VF" {
	inactive_xml host-a vm-01 >"$FAKE_DIR/defined"
	run_sm vm-01 host-b
	assert_exit 0
	inactive_xml host-a vm-01 | diff "$FAKE_DIR/defined" -
}

@test "the definition on the destination differs in nothing but the VF" {
	inactive_xml host-a vm-02 >"$FAKE_DIR/defined"
	run_sm vm-02 host-b
	assert_exit 0
	inactive_xml host-b vm-02 >"$FAKE_DIR/there"
	[ "$(diff "$FAKE_DIR/defined" "$FAKE_DIR/there" | grep -c '^>')" = 1 ]
	diff "$FAKE_DIR/defined" "$FAKE_DIR/there" | grep '^>' | grep -q 'bus="0x41"'
}

@test "passwords reach the destination and nobody's eyes" {
	run_sm -v vm-01 host-b
	assert_exit 0
	inactive_xml host-b vm-01 | grep -q hunter2
	refute_says hunter2
	refute grep -q hunter2 "$FAKE_DIR/log"
}

@test "the VF's place in the guest stays the same" {
	run_sm vm-01 host-b
	assert_exit 0
	live_xml host-b vm-01 | grep -q 'bus="0x05" slot="0x00"'
}

@test "a standby that rests with its link up stays up" {
	fake stop host-a vm-01
	sed "s/<link state='down'\/>/<link state='up'\/>/" "$tests_dir/data/vm-01.xml" >"$FAKE_DIR/up.xml"
	start_guest vm-01 "$FAKE_DIR/up.xml"
	run_sm vm-01 host-b
	assert_exit 0
	[ "$(link_state_of host-b vm-01)" = up ]
	assert_no_entries host-b "$MAC1"
}

@test "a VF that is given back with the guest's MAC has it taken away" {
	# The administrator had set it before the guest was started.
	fake stop host-a vm-01
	fake vf host-a pf0 1 "$MAC1"
	start_guest vm-01
	run_sm vm-01 host-b
	assert_exit 0
	[ "$(fake vf host-a pf0 1)" = 00:00:00:00:00:00 ]
}

@test "a driver that refuses the zero MAC gets another one" {
	fake stop host-a vm-01
	fake vf host-a pf0 1 "$MAC1"
	start_guest vm-01
	set_fake vf.zero 22
	run_sm vm-01 host-b
	assert_exit 0
	[ "$(fake vf host-a pf0 1)" = 02:00:00:00:00:00 ]
}

@test "a VF that is busy for a moment is asked again" {
	fake stop host-a vm-01
	fake vf host-a pf0 1 "$MAC1"
	start_guest vm-01
	# Twice EBUSY for the program, once libvirt is through with the VF.
	hook detached "echo 2 >$FAKE_DIR/set/host-a.vf.busy"
	run_sm vm-01 host-b
	assert_exit 0
	[ "$(fake vf host-a pf0 1)" = 00:00:00:00:00:00 ]
}

@test "somebody else's self entry on the uplink stays" {
	on host-a bridge fdb add "$MAC1" dev uplink0 self
	on host-b bridge fdb add "$MAC1" dev wan0 self
	run_sm vm-01 host-b
	assert_exit 0
	fdb_entries host-a "$MAC1" | grep -q "dev uplink0 self"
	fdb_entries host-b "$MAC1" | grep -q "dev wan0 self"
}

@test "bridges that filter VLANs are no obstacle" {
	local host
	for host in host-a host-b; do
		on $host ip link set br0 type bridge vlan_filtering 1 2>/dev/null ||
			skip "the kernel's bridge knows no VLANs"
		on $host bridge vlan add dev "$(uplink_of $host)" vid 7
	done
	on host-a bridge vlan add dev vmtap01 vid 7
	# As libvirt, or a hook of its, would have it on the destination.
	hook migrate.prepared "nsenter -t $(pid_of host-b) ${enter_user[*]} -n bridge vlan add dev vmtap01 vid 7"
	hook migrate.finished "nsenter -t $(pid_of host-b) ${enter_user[*]} -n bridge fdb show >$FAKE_DIR/entries"
	run_sm vm-01 host-b
	assert_exit 0
	grep -q "^$MAC1 dev vmtap01 vlan 7 .*static" "$FAKE_DIR/entries"
	assert_moved vm-01 "$MAC1"
}

@test "an uplink that is the PF itself works the same way" {
	local host
	for host in host-a host-b; do
		on $host ip link set "$(uplink_of $host)" nomaster
		on $host ip link set "$(pf_of $host)" master br0
	done
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_called host-a "nl.self-add pf0 $MAC1"
	assert_no_entries host-a "$MAC1"
}

@test "HOST may be user@host, another of its names, or a libvirt URI" {
	run_sm check vm-01 root@host-b
	assert_exit 0
	run_sm check vm-01 remote-host
	assert_exit 0
	run_sm check vm-01 qemu+ssh://root@host-b/system
	assert_exit 0
	run_sm check vm-01 qemu+ssh://host-b:22/system
	assert_exit 0
	grep -q -- '-p22 ' "$FAKE_DIR/log.ssh"
	run_sm qemu+ssh://host-b/system vm-01
	assert_exit 3
	assert_unchanged
}

@test "the domain may be named by its UUID" {
	run_sm 7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "ssh is never given a chance to ask" {
	run_sm vm-01 host-b
	assert_exit 0
	refute grep -v -- '-oBatchMode=yes' "$FAKE_DIR/log.ssh"
}

@test "a login script that prints is put up with" {
	set_fake ssh motd
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "a login script that sets the terminal's title is put up with" {
	set_fake ssh title
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "--vf chooses the VF" {
	run_sm --vf 0000:41:11.2 vm-01 host-b
	assert_exit 0
	[ "$(live_xml host-b vm-01 | vf_in)" = 41:11.2 ]
	assert_moved vm-01 "$MAC1"
}

@test "with several uplinks, the options choose" {
	local host
	for host in host-a host-b; do
		on $host ip link set "$(pf_of $host)" master br0
	done
	run_sm --source-uplink uplink0 --destination-uplink wan0 vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	refute_called host-a "nl.self-add pf0"
}

@test "--dry-run shows the steps and takes none" {
	run_sm --dry-run vm-01 host-b
	assert_exit 0
	assert_says "detach-vf"
	assert_says "give-vf"
	assert_untouched
}

@test "stdout is for the result alone: where the guest is, and what proves that it uses its VF" {
	run_sm vm-01 host-b
	assert_exit 0
	[[ $output == "vm-01 is on host-b, on its VF (0000:41:10.2 of enp65s0): "* ]]
	[[ $output == *$'\n'"  $MAC1: bus master set by the guest's driver" ]]
	[ "$(printf '%s\n' "$output" | wc -l)" = 2 ]
	run_sm_on host-b -q vm-01 host-a
	assert_exit 0
	[ -z "$output$stderr" ]
}

@test "--json writes one object a line, the result last" {
	run_sm --json vm-01 host-b
	assert_exit 0
	[ -z "$stderr" ]
	python3 - "$output" <<-'END'
		import json, sys
		events = [json.loads(line) for line in sys.argv[1].splitlines()]
		assert all("event" in e for e in events)
		last = events[-1]
		assert last["event"] == "result" and last["status"] == 0, last
		assert last["domain"] == "vm-01" and last["outcome"] == "moved", last
		assert last["downtime_ms"] == 187, last
		assert last["pairs"][0]["mac"] == "52:54:00:00:12:53", last
		assert last["pairs"][0]["vf"].startswith("0000:41:"), last
		assert [e["event"] for e in events].count("result") == 1
	END
}

@test "the proof is named: the guest's agent where there is one" {
	run_sm --json vm-02 host-b
	assert_exit 0
	assert_says '"proof":"guest agent'
}

@test "an agent that is dead proves nothing and stops nothing" {
	set_fake agent dead
	run_sm --json vm-02 host-b
	assert_exit 0
	assert_says '"proof":"bus master'
	assert_moved vm-02 "$MAC2"
}

@test "already there and on its VF is success, and changes nothing" {
	run_sm vm-01 host-b
	assert_exit 0
	remember
	: >"$FAKE_DIR/log"
	run_sm vm-01 host-b
	assert_exit 0
	assert_says "already"
	assert_untouched
}

@test "two guests move at the same time" {
	on host-a env PATH="$FAKE_DIR/bin:$PATH" "$FAKE_DIR/bin/sriov-migrate" vm-02 host-b \
		>"$FAKE_DIR/other.out" 2>&1 </dev/null 3>&- &
	local other=$!
	run_sm vm-01 host-b
	assert_exit 0
	wait $other || { cat "$FAKE_DIR/other.out" && return 1; }
	assert_moved vm-01 "$MAC1"
	assert_moved vm-02 "$MAC2"
}

# libvirt_is_away_at HOST CALL NTH
libvirt_is_away_at() {
	fault "$1" "$2" "$3" hook:away
	hook away "$(libvirt_goes_away "$1")"
}

@test "libvirt here is started anew while the VF is not taken yet: it is waited for" {
	libvirt_is_away_at host-a nl.fdb-add 1
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "libvirt there is started anew behind the move: it is waited for" {
	libvirt_is_away_at host-b nl.fdb-add 1
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "libvirt goes away in the middle of a step behind the move: the step is done once more" {
	libvirt_is_away_at host-b virDomainUpdateDeviceFlags 1
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "libvirt here is started anew while all is rolled back: it is waited for" {
	set_fake migrate error
	libvirt_is_away_at host-a nl.fdb-add 1
	run_sm vm-01 host-b
	assert_exit 1
	assert_unchanged
}

@test "a VF that is named for the second pair is not taken for the first one" {
	start_guest vm-03
	run_sm --dry-run vm-03 host-b
	local first
	first=$(printf '%s\n' "$output" "$stderr" | grep -oE '0000:41:1[01]\.[0-7]' | head -n 1)
	[ -n "$first" ]
	run_sm --vf ",$first" vm-03 host-b
	assert_exit 0
	[ "0000:$(vf_of_pair host-b vm-03 live ua-two)" = "$first" ]
	[ "0000:$(vf_of_pair host-b vm-03 live ua-one)" != "$first" ]
}

# there_and_back [OPTION…]: the first pair has the VF with the higher number; both come back to theirs
there_and_back() {
	local alias
	sed "s/slot='0x11' function='0x0'/VF 3/; s/slot='0x10' function='0x6'/slot='0x11' function='0x0'/
		s/VF 3/slot='0x10' function='0x6'/" "$tests_dir/data/vm-03.xml" >"$FAKE_DIR/swapped.xml"
	start_guest vm-03 "$FAKE_DIR/swapped.xml"
	for alias in ua-one ua-two ; do
		vf_of_pair host-a vm-03 live "$alias" >>"$FAKE_DIR/had"
	done
	run_sm "$@" vm-03 host-b
	assert_exit 0
	run_sm_on host-b vm-03 host-a
	assert_exit 0
	for alias in ua-one ua-two ; do
		vf_of_pair host-a vm-03 live "$alias" >>"$FAKE_DIR/has"
	done
	[ "$(wc -l <"$FAKE_DIR/had")" = 2 ]
	diff "$FAKE_DIR/had" "$FAKE_DIR/has"
}

@test "each of two pairs comes back to the VF that it had" {
	there_and_back
}

@test "each of two pairs comes back to the VF that it had, whatever it has there" {
	there_and_back --vf 0000:41:10.2,0000:41:11.2
}
