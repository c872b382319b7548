#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest has moved, but gets no VF: it keeps a working standby (exit 4), and can be cured.

load lib/hosts

setup() {
	setup_hosts_and_guests
}

teardown() {
	teardown_hosts
}

@test "libvirt refuses to attach a VF" {
	set_fake host-b.attach error
	run_sm vm-01 host-b
	assert_exit 4
	assert_says 'error getting group'
	assert_says 'sriov-migrate reattach vm-01'
	assert_degraded vm-01 "$MAC1"
}

@test "the guest does not use its new VF: it is taken away again" {
	set_fake host-b.drive never
	run_sm --proof-timeout 1 vm-01 host-b
	assert_exit 4
	assert_says 'driver'
	assert_degraded vm-01 "$MAC1"
	refute_shown host-b "mac $MAC1"
}

@test "a VF that has fallen off its bus is not taken for one that is driven" {
	set_fake host-b.drive never
	fault host-b virDomainAttachDeviceFlags 1 hook:dying
	hook dying "( sleep 1
		tr '\\0' '\\377' </dev/zero | head -c 64 >$FAKE_DIR/host-b/sys/devices/pci/0000:41:10.2/config
		) </dev/null >/dev/null 2>&1 3>&- &"
	run_sm --proof-timeout 4 --reattach-retries 0 vm-01 host-b
	assert_exit 4
	assert_says '0000:41:10.2 does not answer'
}

@test "the PF there goes down meanwhile" {
	hook migrate.iterating "nsenter -t $(pid_of host-b) -n ip link set enp65s0 down"
	run_sm vm-01 host-b
	assert_exit 4
	assert_says 'not online'
	assert_degraded vm-01 "$MAC1"
}

# The guest did not use its VF, and now it would.
give_in_vain() {
	set_fake host-b.drive never
	run_sm --proof-timeout 1 --reattach-retries 0 vm-01 host-b
	assert_exit 4
	rm "$FAKE_DIR/set/host-b.drive"
}

@test "ports that are isolated from each other keep nobody from the cure" {
	give_in_vain
	sed -i "/ua-backup0/s|^|<port isolated='yes'/>|" "$(echo "$FAKE_DIR"/host-b/domains/*0101/live.xml)"
	on host-b bridge link set dev wan0 isolated on
	run_sm_on host-b reattach vm-01
	assert_exit 0
	on host-b bridge link set dev wan0 isolated off
	assert_hears host-b vm-01 "$MAC1"
}

journal_size() {
	on host-b sh -c 'cat /var/lib/sriov-migrate/*.journal | wc -c'
}

@test "a journal that recover has added to for long is shortened, and tells the same" {
	set_fake host-b.drive never
	run_sm --proof-timeout 1 --reattach-retries 0 vm-01 host-b
	assert_exit 4
	# shellcheck disable=SC2016
	on host-b sh -c 'f=$(echo /var/lib/sriov-migrate/*.journal)
		tail -n +2 "$f" >/tmp/lines.$$
		while [ "$(wc -c <"$f")" -lt 200000 ]; do cat /tmp/lines.$$ >>"$f"; done
		rm /tmp/lines.$$'
	run_sm_on host-b recover
	assert_exit 4
	[ "$(journal_size)" -lt 65536 ]
	assert_degraded vm-01 "$MAC1"
	rm "$FAKE_DIR/set/host-b.drive"
	run_sm_on host-b reattach vm-01
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "a try that cost the guest nothing is made again, by whomever" {
	give_in_vain
	run_sm_on host-b recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "tries that cost the guest nothing are made ever less often, unless somebody asks" {
	set_fake host-b.drive never
	run_sm --proof-timeout 1 vm-01 host-b # with one more try
	assert_exit 4
	rm "$FAKE_DIR/set/host-b.drive"
	run_sm_on host-b recover
	assert_exit 4
	assert_says 'not tried again so soon'
	assert_degraded vm-01 "$MAC1"
	run_sm_on host-b reattach vm-01
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "a try that cost the guest its network is made again when somebody asks" {
	on_nic octeontx2-nicpf
	give_in_vain
	run_sm_on host-b recover
	assert_exit 4
	assert_says 'not tried again so soon'
	assert_says 'sriov-migrate reattach vm-01'
	assert_degraded vm-01 "$MAC1"
	run_sm_on host-b reattach vm-01
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "a VF that was given in vain and is with the guest all the same is looked at again" {
	on_nic octeontx2-nicpf
	set_fake host-b.detach never
	set_fake host-b.drive.ms 3000
	run_sm --proof-timeout 1 --reattach-retries 0 vm-01 host-b
	assert_exit 4
	run_sm_on host-b recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

# Not defined before the VF is reserved, or it would not be chosen.
move_while_another_takes_the_vf() {
	sed "s/vm-02/other/; s/0202/9902/; s/12:63/12:99/g; s/bus='0x01' slot='0x10' function='0x4'/bus='0x41' slot='0x10' function='0x2'/" \
		"$tests_dir/data/vm-02.xml" >"$FAKE_DIR/other.xml"
	hook migrate.iterating "unset FAKE_HOST; $FAKE_PROGRAM define host-b $FAKE_DIR/other.xml &&
		$FAKE_PROGRAM start host-b other"
	run_sm vm-01 host-b
}

@test "somebody else takes the VF meanwhile" {
	move_while_another_takes_the_vf
	assert_exit 4
	assert_says 'domain other has taken VF'
	assert_degraded vm-01 "$MAC1"
}

# in_host_b COMMAND: the words that run it there, for a hook
in_host_b() {
	echo "nsenter -t $(pid_of host-b) ${enter_user[*]} -n $1"
}

assert_left_to_host() {
	assert_exit 4
	assert_says "this host uses VF 0000:41:10.2: $1"
	refute_called host-b virDomainAttachDevice
	refute_shown host-b "mac $MAC1"
	assert_degraded vm-01 "$MAC1"
}

@test "the host makes the VF a port of a bridge meanwhile: it is left to the host" {
	on host-b ip link add br9 type bridge
	hook migrate.iterating "$(in_host_b 'ip link set enp65s0v1 master br9')"
	run_sm vm-01 host-b
	assert_left_to_host 'enp65s0v1 is a port of br9'
	on host-b ip link set enp65s0v1 nomaster
	run_sm_on host-b reattach vm-01
	assert_exit 0
}

@test "the host gives the VF an address meanwhile: it is left to the host" {
	hook migrate.iterating "$(in_host_b 'ip address add 192.0.2.1/24 dev enp65s0v1')"
	run_sm --reattach-retries 0 vm-01 host-b
	assert_left_to_host 'enp65s0v1 has an IP address'
}

@test "the VF is given to another network namespace meanwhile: it is left there" {
	hook migrate.iterating "$(in_host_b "ip link set enp65s0v1 netns $(pid_of switch)")"
	run_sm --reattach-retries 0 vm-01 host-b
	assert_left_to_host 'driver igbvf, but no network device here'
}

@test "a VF that somebody else has taken meanwhile keeps what that one has set" {
	fake vf-set host-a pf0 1 trust 1
	move_while_another_takes_the_vf
	assert_exit 4
	fake vf-set host-b enp65s0 1 trust 1
	fake vf-set host-b enp65s0 1 spoofchk 0
	fake show host-b enp65s0 | grep '^vf .* 0000:41:10.2 ' >"$FAKE_DIR/others"
	run_sm_on host-b reattach vm-01
	assert_exit 0
	assert_on_vf vm-01 "$MAC1"
	fake show host-b enp65s0 | grep '^vf .* 0000:41:10.2 ' | diff "$FAKE_DIR/others" -
	run_sm_on host-b vm-01 host-a
	assert_exit 0
	fake show host-b enp65s0 | grep '^vf .* 0000:41:10.2 ' | diff "$FAKE_DIR/others" -
}

@test "the VF is taken away behind its proof: the standby carries the guest, and that is told" {
	hook gone "$FAKE_PROGRAM detach host-b vm-01 hostdev0"
	fault host-b nl.fdb-delete 1 hook:gone
	run_sm vm-01 host-b
	assert_exit 5
	assert_says 'VF 0000:41:10.2 has left the guest again'
	assert_degraded vm-01 "$MAC1"
	no_faults
	run_sm_on host-b recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "reattach cures it" {
	set_fake host-b.attach error
	run_sm vm-01 host-b
	assert_exit 4
	set_fake host-b.attach ok
	run_sm_on host-b reattach vm-01
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_hears host-b vm-01 "$MAC1"
}

@test "--strict does not keep a guest from its VF" {
	set_fake host-b.attach error
	run_sm vm-01 host-b
	assert_exit 4
	set_fake host-b.attach ok
	fake vf-set host-b enp65s0 2 trust 0
	run_sm_on host-b --strict reattach vm-01
	assert_exit 0
	assert_says 'trust'
	assert_on_vf vm-01 "$MAC1"
}

@test "migrating again cures it, from the host it has left" {
	set_fake host-b.attach error
	run_sm vm-01 host-b
	assert_exit 4
	set_fake host-b.attach ok
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "migrating again while the cause lasts is degraded again" {
	set_fake host-b.attach error
	run_sm vm-01 host-b
	assert_exit 4
	run_sm vm-01 host-b
	assert_exit 4
	assert_degraded vm-01 "$MAC1"
}

@test "reattach while the cause lasts leaves the standby working" {
	set_fake host-b.attach error
	run_sm vm-01 host-b
	run_sm_on host-b reattach vm-01
	assert_exit 4
	assert_degraded vm-01 "$MAC1"
}

@test "reattach of a guest that has its VF changes nothing" {
	run_sm reattach vm-01
	assert_exit 0
	assert_untouched
}

@test "reattach of a guest whose VF was pulled by hand" {
	on host-a "$FAKE_PROGRAM" undo-plug host-a 7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101 hostdev0
	run_sm reattach vm-01
	assert_exit 0
	assert_hears host-a vm-01 "$MAC1"
	assert_no_entries host-a "$MAC1"
	[ "$(link_state_of host-a vm-01)" = down ]
}

@test "a degraded guest can go back, and has a VF there" {
	set_fake host-b.attach error
	run_sm vm-01 host-b
	assert_exit 4
	set_fake host-b.attach ok
	run_sm_on host-b vm-01 host-a
	assert_exit 0
	assert_state host-a vm-01 1
	assert_same host-a "$FAKE_DIR/before.a"
	assert_no_entries host-b "$MAC1"
	assert_hears host-a vm-01 "$MAC1"
}

@test "reattach takes another VF when the one it is defined with is gone, and says so in the definition" {
	set_fake host-b.attach error
	run_sm vm-01 host-b
	assert_exit 4
	set_fake host-b.attach ok
	run_sm_on host-b --vf 0000:41:11.2 reattach vm-01
	assert_exit 0
	[ "$(live_xml host-b vm-01 | vf_in)" = 41:11.2 ]
	[ "$(inactive_xml host-b vm-01 | vf_in)" = 41:11.2 ]
	assert_moved vm-01 "$MAC1"
}

# The destination's VF 1 becomes VF 5 there, and something that the program knows nothing of is added.
edit_definition() {
	edit host-b vm-01 "s/(bus=.0x41. slot=.0x1)0(. function=.0x2)/\\11\\2/; s|<name>vm-01</name>|&<title>mine</title>|"
	[ "$(inactive_xml host-b vm-01 | vf_in)" = 41:11.2 ]
}

@test "what is changed in the definition of a guest without its VF stays" {
	set_fake host-b.attach error
	run_sm vm-01 host-b
	assert_exit 4
	edit_definition
	run_sm_on host-b recover
	assert_exit 4
	[ "$(inactive_xml host-b vm-01 | vf_in)" = 41:11.2 ]
	set_fake host-b.attach ok
	run_sm_on host-b reattach vm-01
	assert_exit 0
	[ "$(live_xml host-b vm-01 | vf_in)" = 41:11.2 ]
	inactive_xml host-b vm-01 | grep -q '<title>mine</title>'
	assert_moved vm-01 "$MAC1"
}

@test "a definition that names another VF than the guest has got is mended, and nothing else in it" {
	set_fake host-b.attach error
	run_sm vm-01 host-b
	assert_exit 4
	edit_definition
	set_fake host-b.attach ok
	run_sm_on host-b recover
	assert_exit 0
	inactive_xml host-b vm-01 | grep -q '<title>mine</title>'
	assert_moved vm-01 "$MAC1"
}

@test "another uplink is named for the cure: nothing stays on the first one" {
	on host-b ip link set enp65s0v4 master br0
	on host-b ip link set enp65s0v4 up
	fake vf-set host-b enp65s0 4 trust 1
	set_fake host-b.attach error
	run_sm --destination-uplink wan0 vm-01 host-b
	assert_exit 4
	has_entry host-b "$MAC1" 'dev wan0 self'
	set_fake host-b.attach ok
	run_sm_on host-b --destination-uplink enp65s0v4 reattach vm-01
	assert_exit 0
	assert_no_entries host-b "$MAC1"
}

@test "what fails once is tried again" {
	fault host-b virDomainAttachDeviceFlags 1 error
	run_sm vm-01 host-b
	assert_exit 0
	assert_says 'told to fail'
	assert_moved vm-01 "$MAC1"
}

@test "one pair of two is degraded, the other is not" {
	start_guest vm-03
	fault host-b virDomainAttachDeviceFlags 2 error
	run_sm --json --reattach-retries 0 vm-03 host-b
	assert_exit 4
	assert_state host-b vm-03 1
	[ "$(live_xml host-b vm-03 | vf_in | wc -l)" = 1 ]
	assert_hears host-b vm-03 52:54:00:00:12:73
	assert_hears host-b vm-03 52:54:00:00:12:74
	no_faults
	run_sm_on host-b reattach vm-03
	assert_exit 0
	[ "$(live_xml host-b vm-03 | vf_in | sort -u | wc -l)" = 2 ]
	assert_no_entries host-b 52:54:00:00:12:73
	assert_no_entries host-b 52:54:00:00:12:74
}

@test "the standby's link there cannot be set down: said so, the VF works" {
	set_fake host-b.update error
	run_sm vm-01 host-b
	assert_sound vm-01 "$MAC1" 5
	[ -n "$(live_xml host-b vm-01 | vf_in)" ]
	set_fake host-b.update ok
	run_sm_on host-b reattach vm-01
	assert_exit 0
	assert_on_vf vm-01 "$MAC1"
	recover_on host-a 0
	assert_moved vm-01 "$MAC1"
}

@test "autostart cannot be carried over: said so" {
	fake autostart host-a vm-01
	fault host-b virDomainSetAutostart '*' error
	run_sm vm-01 host-b
	assert_exit 5
	assert_says autostart
	assert_hears host-b vm-01 "$MAC1"
	no_faults
	run_sm_on host-b reattach vm-01
	assert_exit 0
	[[ $(domain_state host-b vm-01) == *autostart ]]
	recover_on host-a 0
	assert_no_files
}

@test "autostart that was switched off since is not switched on again" {
	fake autostart host-a vm-01
	set_fake host-b.attach error
	run_sm vm-01 host-b
	assert_exit 4
	[[ $(domain_state host-b vm-01) == *autostart ]]
	rm "$FAKE_DIR"/host-b/domains/*0101/autostart
	run_sm_on host-b recover
	assert_exit 4
	[ "$(domain_state host-b vm-01)" = 1 ]
	set_fake host-b.attach ok
	run_sm_on host-b reattach vm-01
	assert_exit 0
	[ "$(domain_state host-b vm-01)" = 1 ]
	assert_moved vm-01 "$MAC1"
}

# on_nic DRIVER: all anew
on_nic() {
	stop_hosts
	rm -rf "$FAKE_DIR"
	NIC_DRIVER=$1 setup_hosts_and_guests
}

@test "NICs that nobody knows: the entry is dropped before the VF comes" {
	on_nic octeontx2-nicpf
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_says 'not known'
	sed -n '/host-b nl.self-delete wan0/,$p' "$FAKE_DIR/log" | grep -q 'host-b virDomainAttachDeviceFlags'
	sed -n '/host-a event removed/,$p' "$FAKE_DIR/log" | grep -q 'host-a nl.self-add uplink0'
}

@test "NICs that nobody knows: a failure puts the uplink's entry back for the standby" {
	on_nic octeontx2-nicpf
	set_fake host-b.attach error
	run_sm vm-01 host-b
	assert_exit 4
	assert_degraded vm-01 "$MAC1"
}

@test "NICs on which the uplink wins: the entry stays until the VF is proved" {
	on_nic ixgbe
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	sed -n '/host-b guest vm-01 drives/,$p' "$FAKE_DIR/log" | grep -q 'host-b nl.self-delete wan0'
}

@test "NICs that nobody knows: a VF that a killed agent had attached, and that is not used, goes again" {
	on_nic octeontx2-nicpf
	set_fake host-b.drive never
	fault host-b virDomainAttachDeviceFlags 1 hook:attached
	hook attached "sleep 0.3; kill -9 \$(cat $FAKE_DIR/host-b.agent.pid)"
	run_sm --proof-timeout 1 --reattach-retries 0 vm-01 host-b
	assert_exit 4
	assert_degraded vm-01 "$MAC1"
}

# What recover sets after a reboot is of that boot, not of the lost one.
@test "the host goes down and up again, and the guest takes its VF only after the first recover" {
	on_nic ixgbe
	set_fake host-b.drive never
	fault host-b virDomainAttachDeviceFlags 1 hook:attached
	hook attached "sleep 0.3; exec $FAKE_DIR/bin/kill-all"
	run_sm_to_death vm-01 host-b
	on host-b sed -i -E '1s/"boot": *"[^"]*"/"boot":"00000000-0000-0000-0000-000000000000"/' \
		/var/lib/sriov-migrate/7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101.journal
	on host-b bridge fdb del "$MAC1" dev wan0 self
	on host-b bridge fdb del "$MAC1" dev "$(tap_of host-b vm-01)" master
	on host-b bridge link set dev "$(tap_of host-b vm-01)" mcast_router 1
	no_faults
	run_sm_on host-b --proof-timeout 1 recover
	assert_exit 4
	assert_hears host-b vm-01 "$MAC1"
	rm "$FAKE_DIR/set/host-b.drive"
	fake drive host-b 7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101 0000:41:10.2
	run_sm_on host-b recover
	assert_exit 0
	assert_hears host-b vm-01 "$MAC1"
	assert_on_vf vm-01 "$MAC1"
	recover_on host-a 0
	assert_no_files
}

@test "a rollback that cannot give the VF back, and then the guest ends: nothing stays on the uplink" {
	on_nic ixgbe
	set_fake migrate error
	set_fake attach error
	run_sm vm-01 host-b
	assert_exit 5
	assert_hears host-a vm-01 "$MAC1"
	fake stop host-a vm-01
	run_sm recover
	assert_exit 1
	assert_no_entries host-a "$MAC1"
	assert_no_files
}

@test "a guest that a reattach did not help ends: nothing stays on the uplink" {
	set_fake host-b.attach error
	run_sm vm-01 host-b
	assert_exit 4
	run_sm_on host-b reattach vm-01
	assert_exit 4
	fake stop host-b vm-01
	run_sm_on host-b recover
	assert_exit 1
	assert_no_entries host-b "$MAC1"
	assert_no_files
}

@test "a journal that cannot be written is no reason to leave the guest cut off" {
	on_nic ixgbe
	hook full "printf 'host-a journal * error:28\n' >>$FAKE_DIR/faults"
	fault host-a virDomainDetachDeviceAlias 1 hook:full
	run_sm vm-01 host-b
	[[ $status == [15] ]] || { show_run && return 1; }
	assert_state host-a vm-01 1
	assert_hears host-a vm-01 "$MAC1"
}
