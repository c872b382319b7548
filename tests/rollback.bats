#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Failures before the guest has moved: everything is as it was, exit 1.

load lib/hosts

setup() {
	setup_hosts_and_guests
}

teardown() {
	teardown_hosts
}

# The move fails, and nothing is left of it on either host.
assert_rolled_back() {
	run_sm vm-01 host-b
	assert_exit 1
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}

@test "the host makes the VF a port of a bridge meanwhile: it is left to the host, the guest to its standby" {
	on host-a ip link add br9 type bridge
	set_fake migrate error
	hook migrate.iterating "nsenter -t $(pid_of host-a) ${enter_user[*]} -n ip link set pf0v1 master br9"
	run_sm vm-01 host-b
	assert_exit 5
	assert_says 'this host uses VF 0000:01:10.2: pf0v1 is a port of br9'
	refute_called host-a virDomainAttachDevice
	assert_hears host-a vm-01 "$MAC1"
	on host-a ip link set pf0v1 nomaster
	run_sm recover
	assert_exit 1
	on host-a ip link delete br9
	assert_unchanged
}

@test "the standby's link cannot be set" {
	set_fake update error
	assert_rolled_back
	assert_says 'link'
}

@test "the standby's link is set, but does not change" {
	set_fake update deaf
	assert_rolled_back
}

@test "the entry on the tap cannot be set" {
	fault host-a nl.fdb-add 1 error:105
	assert_rolled_back
	assert_says 'vmtap01'
}

@test "the entry on the tap is refused for the second VLAN" {
	on host-a ip link set br0 type bridge vlan_filtering 1 2>/dev/null ||
		skip "the kernel's bridge knows no VLANs"
	on host-a bridge vlan add dev vmtap01 vid 7
	remember
	fault host-a nl.fdb-add 2 error:105
	assert_rolled_back
}

@test "the entry on the uplink cannot be set" {
	fault host-a nl.self-add 1 error:28
	assert_rolled_back
	assert_says 'uplink0'
}

@test "somebody else has a device of the tap's name there by now: it is not taken for the guest's" {
	fault host-a virDomainDetachDeviceAlias 1 hook:detaching
	hook detaching "nsenter -t $(pid_of host-b) ${enter_user[*]} -n ip -batch - <<-END
		link add vmtap01 type veth peer name vmtap01-peer
		link set vmtap01-peer up
		link set vmtap01 master br0 up
	END"
	run_sm -v vm-01 host-b
	assert_exit 1
	assert_says 'Unable to create tap device vmtap01'
	refute_says 'tap vmtap01 has joined'
	assert_same host-a "$FAKE_DIR/before.a"
	assert_hears host-a vm-01 "$MAC1"
}

@test "the room for a lock is gone between plan and run: told so, and no file is left" {
	on host-b sh -c 'mount -t tmpfs -o size=32k none /run; mkdir /run/sriov-migrate'
	fault host-b virDomainLookupByName 1 hook:full
	hook full 'head -c 64k /dev/zero >/run/full'
	run_sm vm-01 host-b
	assert_exit 1
	assert_says 'No space left'
	refute_says 'Wait for the other run'
	on host-b sh -c 'test -e /run/full && rmdir /run/sriov-migrate'
	assert_same host-a "$FAKE_DIR/before.a"
}

@test "libvirt refuses the detach" {
	set_fake detach error
	assert_rolled_back
	assert_says 'does not support hotplugging'
}

@test "libvirt refuses the detach, in the language of its daemon" {
	set_fake language de
	set_fake detach error
	# One that may still come is waited for, 10 s long.
	SM_LIMIT=$(patient 8) assert_rolled_back
	assert_says "QEMU-Befehl 'device_del' .*does not support hotplugging"
}

@test "the guest refuses to give up its VF" {
	set_fake detach refused
	assert_rolled_back
	assert_says 'refused'
}

# ignored_for SECONDS [OPTIONS…]: the guest does not give up its VF, and may do so for so long
ignored_for() {
	local watch=$1
	shift
	run_sm --detach-timeout 1 --unplug-watch "$watch" "$@" vm-01 host-b
	assert_exit 1
	assert_says 'waited'
	assert_says 'detach-timeout'
	assert_state host-a vm-01 1
	assert_hears host-a vm-01 "$MAC1"
	live_xml host-a vm-01 | grep -q hostdev0
	assert_no_entries host-a "$MAC1"
}

@test "the guest ignores the request to give up its VF: its standby is ready for a while" {
	set_fake detach never
	ignored_for 20
	assert_says 'may still give it up'
	[ "$(link_state_of host-a vm-01 "$MAC1")" = up ]
	await 15 no_agents
	assert_unchanged
}

@test "as long as an unplug may come late the domain is held; kill ends that" {
	set_fake detach never
	ignored_for 300
	local watcher=${stderr##*, and PID }
	watcher=${watcher%% *}
	run_sm vm-01 host-b
	assert_exit 6
	assert_says "PID $watcher, watching"
	kill "$watcher"
	await 5 no_agents
	assert_unchanged
}

@test "the guest gives up its VF late: it still has a path, and gets its VF back" {
	set_fake detach.ms 2500
	run_sm --detach-timeout 1 vm-01 host-b
	assert_exit 1
	await 5 no_agents
	assert_hears host-a vm-01 "$MAC1"
	assert_unchanged
}

@test "the guest gives up its VF after everything was rolled back: standby at once, VF back" {
	set_fake detach.ms 20000
	ignored_for 60
	await 20 grep -q "event removed hostdev0" "$FAKE_DIR/log"
	await 2 guest_hears host-a vm-01 "$MAC1"
	await 15 no_agents
	assert_hears host-a vm-01 "$MAC1"
	assert_unchanged
}

@test "the same, and nothing can be written any more: the guest is not left without both" {
	set_fake detach.ms 15000
	ignored_for 60
	fault host-a journal '*' error:28
	await 20 grep -q "event removed hostdev0" "$FAKE_DIR/log"
	await 2 guest_hears host-a vm-01 "$MAC1"
	await 10 grep -q 'host-a guest vm-01 drives' "$FAKE_DIR/log"
	no_faults
	await 15 no_agents
	assert_hears host-a vm-01 "$MAC1"
	assert_no_entries host-a "$MAC1"
}

@test "the watching agent is killed: recover watches on" {
	set_fake detach.ms 25000
	ignored_for 60
	on host-a "$FAKE_DIR/bin/kill-agents" host-a
	run_sm recover
	assert_exit 1
	assert_says 'may still give it up'
	await 20 grep -q "event removed hostdev0" "$FAKE_DIR/log"
	await 2 guest_hears host-a vm-01 "$MAC1"
	await 15 no_agents
	assert_unchanged
}

@test "the same by the recover of an agent, and the VF cannot be given back at once: asked on" {
	set_fake detach.ms 25000
	ignored_for 60
	on host-a "$FAKE_DIR/bin/kill-agents" host-a
	export SRIOV_MIGRATE_UNATTENDED=1
	run_sm recover vm-01
	unset SRIOV_MIGRATE_UNATTENDED
	assert_exit 1
	fault host-a virDomainAttachDeviceFlags 1 error
	fault host-a virDomainAttachDeviceFlags 2 error
	await 20 grep -q "event removed hostdev0" "$FAKE_DIR/log"
	await 2 guest_hears host-a vm-01 "$MAC1"
	await 60 no_agents
	assert_unchanged
}

@test "the driver is killed while the guest ignores the request: watched all the same" {
	set_fake detach.ms 16000
	start_sm --detach-timeout 60 vm-01 host-b
	await 10 grep -q virDomainDetachDeviceAlias "$FAKE_DIR/log"
	kill -9 "$(driver_pid)"
	wait_sm
	await 25 grep -q "event removed hostdev0" "$FAKE_DIR/log"
	await 2 guest_hears host-a vm-01 "$MAC1"
	await 15 no_agents
	assert_unchanged
}

@test "an unplug that was asked for before is waited for" {
	set_fake detach unplugging
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "a guest that is busy is asked again" {
	set_fake detach busy
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "the event of the removal gets lost" {
	set_fake detach lost
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "the call to detach fails after the guest has obeyed" {
	fault host-a virDomainDetachDeviceAlias 1 late-error
	run_sm vm-01 host-b
	assert_sound vm-01 "$MAC1" 0 1
}

@test "giving the VF back fails behind its effect, where the uplink wins" {
	stop_hosts
	rm -rf "$FAKE_DIR"
	NIC_DRIVER=ixgbe setup_hosts_and_guests
	set_fake migrate error
	fault host-a virDomainAttachDeviceFlags 1 late-error
	assert_rolled_back
	assert_says 'is attached, although that failed'
}

@test "the VF's MAC cannot be taken away" {
	fake stop host-a vm-01
	fake vf host-a pf0 1 "$MAC1"
	start_guest vm-01
	remember
	fault host-a nl.vf-mac '*' error:95
	assert_rolled_back
}

@test "the driver agrees to clear the MAC and keeps it" {
	fake stop host-a vm-01
	fake vf host-a pf0 1 "$MAC1"
	start_guest vm-01
	remember
	fault host-a virDomainDetachDeviceAlias 1 hook:deaf
	hook deaf "echo 1 >$FAKE_DIR/set/vf.deaf"
	run_sm vm-01 host-b
	assert_exit 1
	assert_state host-a vm-01 1
	assert_hears host-a vm-01 "$MAC1"
	assert_no_entries host-b "$MAC1"
}

@test "the source's libvirt cannot reach the destination's any more" {
	set_fake migrate error-connect
	assert_rolled_back
	assert_says 'Host key verification failed'
}

@test "the destination's libvirt refuses the domain" {
	set_fake migrate error-prepare
	assert_rolled_back
	assert_says 'process exited'
}

@test "the migration fails in the middle" {
	set_fake migrate error
	assert_rolled_back
	assert_says 'unexpectedly failed'
}

@test "the destination's QEMU dies in the middle" {
	set_fake migrate destination-dies
	assert_rolled_back
}

@test "the migration fails after switch-over, and libvirt itself resumes the guest" {
	set_fake migrate error-finish
	assert_rolled_back
}

@test "a failed move of a guest on a libvirt network leaves the network alone" {
	set_fake migrate error
	run_sm vm-02 host-b
	assert_exit 1
	assert_unchanged
	live_xml host-a vm-02 | grep -q '<interface type="network">'
	assert_hears host-a vm-02 "$MAC2"
}

@test "a failed move of two pairs gives both VFs back" {
	start_guest vm-03
	remember
	set_fake migrate error
	run_sm vm-03 host-b
	assert_exit 1
	assert_unchanged
	assert_hears host-a vm-03 52:54:00:00:12:73
	assert_hears host-a vm-03 52:54:00:00:12:74
}

@test "the second pair's VF cannot be detached: the first one comes back" {
	start_guest vm-03
	remember
	fault host-a virDomainDetachDeviceAlias 2 error
	run_sm vm-03 host-b
	assert_exit 1
	assert_unchanged
}

@test "client-driven: a failure in the middle" {
	set_fake migrate error
	run_sm --client-driven vm-01 host-b
	assert_exit 1
	assert_unchanged
}

@test "static and local entries found on the bridge are put back" {
	on host-a bridge fdb replace "$MAC1" dev vmtap01 master static
	remember
	set_fake migrate error
	assert_rolled_back
	on host-a bridge fdb replace "$MAC1" dev uplink0 master permanent
	remember
	assert_rolled_back
}

@test "a learnt entry is not put back" {
	loop_broadcast host-a "$MAC1"
	await 5 has_entry host-a "$MAC1" uplink0
	set_fake migrate error
	assert_rolled_back
	run ! has_entry host-a "$MAC1" 'sticky|static|permanent'
}

@test "somebody else's entry on the bridge itself comes back, behind a rollback and behind the guest" {
	on host-a bridge fdb add "$MAC1" dev br0
	set_fake migrate error
	run_sm vm-01 host-b
	assert_exit 1
	fdb_entries host-a "$MAC1" | grep 'dev br0 .*permanent'
	rm "$FAKE_DIR/set/migrate"
	run_sm vm-01 host-b
	assert_exit 0
	fdb_entries host-a "$MAC1" | grep 'dev br0 .*permanent'
}

@test "an entry whose port has left the bridge meanwhile is gone with it" {
	on host-a ip link add other type veth peer name rehto
	on host-a ip link set other master br0
	on host-a bridge fdb add "$MAC1" dev other master static
	set_fake migrate error
	hook migrate.iterating "nsenter -t $(pid_of host-a) ${enter_user[*]} -n ip link set other nomaster"
	run_sm vm-01 host-b
	assert_exit 1
	assert_hears host-a vm-01 "$MAC1"
	assert_no_entries host-a "$MAC1"
	assert_no_files
}

@test "somebody else's self entry on the uplink survives a rollback" {
	on host-a bridge fdb add "$MAC1" dev uplink0 self
	remember
	set_fake migrate error
	assert_rolled_back
}

@test "autostart stays where it was" {
	fake autostart host-a vm-01
	remember
	set_fake migrate error
	assert_rolled_back
}

@test "the VF cannot be given back: exit 5, the standby carries the traffic, reattach cures it" {
	set_fake migrate error
	set_fake attach error
	run_sm vm-01 host-b
	assert_exit 5
	assert_says 'VF'
	assert_says 'reattach'
	assert_state host-a vm-01 1
	[ "$(link_state_of host-a vm-01)" = up ]
	assert_hears host-a vm-01 "$MAC1"
	assert_same host-b "$FAKE_DIR/before.b"
	set_fake attach ok
	run_sm reattach vm-01
	assert_exit 0
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}

@test "the guest does not take its VF back: exit 5, the standby carries the traffic" {
	set_fake migrate error
	set_fake drive never
	run_sm --proof-timeout 1 vm-01 host-b
	assert_exit 5
	assert_state host-a vm-01 1
	[ "$(link_state_of host-a vm-01)" = up ]
	assert_hears host-a vm-01 "$MAC1"
	set_fake drive ok
	run_sm reattach vm-01
	assert_exit 0
	assert_unchanged
}

@test "the standby's entry cannot be removed: exit 5 says so" {
	set_fake migrate error
	fault host-a nl.fdb-delete '*' error:95
	run_sm vm-01 host-b
	assert_exit 5
	assert_says 'vmtap01'
	assert_hears host-a vm-01 "$MAC1"
	no_faults
	run_sm reattach vm-01
	assert_exit 0
	assert_unchanged
}

@test "the first error is told, not the one of the undo" {
	set_fake migrate error
	set_fake attach error
	run_sm --json vm-01 host-b
	assert_exit 5
	[[ $(result_of error) == *unexpectedly* ]]
	[[ $(result_of message) == *"error getting group"* ]]
}

@test "the tap's entry on the destination cannot be set once" {
	fault host-b nl.fdb-add 1 error:105
	run_sm vm-01 host-b
	assert_sound vm-01 "$MAC1" 0 1
}

@test "the tap's entry on the destination can never be set: never worse off" {
	fault host-b nl.fdb-add '*' error:105
	run_sm vm-01 host-b
	[[ " 0 1 4 5 " == *" $status "* ]]
	assert_says 'vmtap01'
	assert_runs_once vm-01 "$MAC1"
}

@test "the uplink's entry on the destination cannot be set once" {
	fault host-b nl.self-add 1 error:28
	run_sm vm-01 host-b
	assert_sound vm-01 "$MAC1" 0 1
}

@test "the uplink's entry on the destination can never be set: never worse off" {
	fault host-b nl.self-add '*' error:28
	run_sm vm-01 host-b
	[[ " 0 1 4 5 " == *" $status "* ]]
	assert_says 'wan0'
	assert_runs_once vm-01 "$MAC1"
}

@test "a migration that takes longer than --timeout is given up" {
	set_fake migrate.iterations 1000
	run_sm --timeout 1 vm-01 host-b
	assert_exit 1
	assert_says 'given up after 1 s'
	assert_called host-a virDomainAbortJob
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}
