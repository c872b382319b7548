#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# --unplug=qemu: QEMU takes the VF and gives it, the program sees to the frames' way.

load lib/hosts

setup() {
	setup_hosts_and_guests
}

teardown() {
	teardown_hosts
}

assert_left_to_qemu() {
	refute_called 'host-.' 'virDomain(Detach|Attach)'
	assert_called host-a 'guest vm-0. lets .* go'
}

# It fails before the guest has left, and its own VF is what it has afterwards.
assert_rolled_back() {
	run_sm --unplug=qemu --unplug-watch 1 "$@" vm-01 host-b
	assert_exit 1
	await 20 no_agents
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
	refute_called 'host-.' 'virDomain(Detach|Attach)'
}

@test "it moves, and libvirt is not asked to detach or attach" {
	run_sm --unplug=qemu vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_hears host-b vm-01 "$MAC1"
	assert_left_to_qemu
	assert_called host-a 'migration starts with 1 VFs'
}

@test "the standby is ready before QEMU takes the VF, and rests when the new one is used" {
	run_sm --unplug=qemu vm-01 host-b
	assert_exit 0
	assert_order 'host-a standby link up' 'host-a nl.fdb-add' 'host-a nl.self-add' \
		'host-a virDomainMigrate' 'host-a guest vm-01 lets' 'host-b nl.self-add' \
		'host-b guest vm-01 drives' 'host-b nl.self-delete' 'host-b standby link down'
}

@test "there and back" {
	run_sm --unplug=qemu vm-02 host-b
	assert_exit 0
	assert_moved vm-02 "$MAC2"
	run_sm_on host-b --unplug=qemu vm-02 host-a
	assert_exit 0
	assert_same host-a "$FAKE_DIR/before.a"
	assert_hears host-a vm-02 "$MAC2"
	assert_no_entries host-b "$MAC2"
}

@test "there by QEMU, and back by the program" {
	run_sm --unplug=qemu vm-01 host-b
	assert_exit 0
	run_sm_on host-b vm-01 host-a
	assert_exit 0
	assert_same host-a "$FAKE_DIR/before.a"
}

@test "two pairs" {
	start_guest vm-03
	run_sm --unplug=qemu vm-03 host-b
	assert_exit 0
	assert_state host-b vm-03 1
	local alias
	for alias in ua-one ua-two; do
		[ -n "$(vf_of_pair host-b vm-03 live $alias)" ]
		[ "$(vf_of_pair host-b vm-03 live $alias)" = "$(vf_of_pair host-b vm-03 inactive $alias)" ]
	done
	assert_left_to_qemu
}

# Both are given back before this end is done, each to its own standby.
@test "two pairs: SIGINT while memory is copied, and a failure of the destination" {
	start_guest vm-03
	remember
	interrupt_at migrate.iterating
	start_sm --unplug=qemu vm-03 host-b
	wait_sm
	assert_exit 1
	assert_unchanged
	set_fake migrate destination-dies
	run_sm --unplug=qemu vm-03 host-b
	assert_exit 1
	await 20 no_agents
	assert_unchanged
	assert_left_to_qemu
}

@test "to the VF that was named" {
	run_sm --unplug=qemu --vf 0000:41:10.6 vm-01 host-b
	assert_exit 0
	[ "$(vf_of_pair host-b vm-01 live ua-backup0)" = 41:10.6 ]
	[ "$(vf_of_pair host-b vm-01 inactive ua-backup0)" = 41:10.6 ]
}

@test "as the configuration says" {
	printf '[migration]\nunplug = QEMU\n' >"$FAKE_DIR/conf"
	run_sm -c "$FAKE_DIR/conf" vm-01 host-b
	assert_exit 0
	assert_left_to_qemu
	printf '[migration]\nunplug = libvirt\n' >"$FAKE_DIR/conf"
	run_sm -c "$FAKE_DIR/conf" vm-02 host-b
	assert_exit 2
	assert_says 'line 2: unplug: "libvirt"'
}

@test "a guest without its VF is given one by the program" {
	fake detach host-a vm-01 hostdev0
	run_sm --unplug=qemu vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_called host-b virDomainAttach
}

@test "the guest does not let its VF go: given up in time" {
	set_fake detach never
	assert_rolled_back --detach-timeout 1
	assert_says 'did not give up its VF to QEMU within 1 s'
}

@test "it lets its VF go late" {
	set_fake detach.ms 1500
	run_sm --unplug=qemu --detach-timeout 10 vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "QEMU's events cannot be had" {
	fault host-a virConnectDomainQemuMonitorEventRegister 1 error:3
	assert_rolled_back
}

@test "the destination refuses" {
	set_fake migrate error-prepare
	assert_rolled_back
}

@test "a failure in the middle: QEMU gives the VF back" {
	set_fake migrate error
	assert_rolled_back
	assert_called host-a 'guest vm-01 lets .* go'
}

@test "a failure at the end: QEMU does not give the VF back, the standby carries on" {
	set_fake migrate error-finish
	run_sm --unplug=qemu --proof-timeout 1 vm-01 host-b
	assert_exit 5
	assert_says 'cold start'
	assert_runs_once vm-01 "$MAC1"
	[ "$(link_state_of host-a vm-01)" = up ]
	frame_reaches_tap host-a vm-01 "$MAC1"
	fake stop host-a vm-01
	fake start host-a vm-01
	set_fake migrate done
	run_sm --unplug=qemu vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "the guest takes its time with the VF that it gets back: the standby stays until then" {
	set_fake migrate error
	set_fake drive.ms 1500
	assert_rolled_back
	assert_order 'host-a guest vm-01 drives' 'host-a standby link down'
}

@test "SIGINT while memory is copied" {
	interrupt_at migrate.iterating
	start_sm --unplug=qemu vm-01 host-b
	wait_sm
	assert_exit 1
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}

@test "all die while memory is copied: recover" {
	hook migrate.iterating "$FAKE_DIR/bin/kill-all"
	run_sm_to_death --unplug=qemu vm-01 host-b
	run_sm recover
	assert_exit 0
	if [ "$(domain_state host-b vm-01)" = 1 ]; then
		assert_moved vm-01 "$MAC1"
	else
		assert_unchanged
	fi
}

@test "in doubt before the time for an unplug is over: recover leaves nobody behind that asks once more" {
	set_fake migrate twice
	hook migrate.iterating "$FAKE_DIR/bin/kill-all"
	run_sm_to_death --unplug=qemu --unplug-watch 120 vm-01 host-b
	await 20 grep -q "migration ends" "$FAKE_DIR/log"
	set_fake ssh unreachable
	run_sm recover
	assert_exit 5
	await 10 no_agents
	rm "$FAKE_DIR/set/ssh"
}

@test "the guest does not use its VF there: it is taken away, the standby carries on" {
	set_fake drive never
	run_sm --unplug=qemu --proof-timeout 1 vm-01 host-b
	assert_exit 4
	[ -z "$(vf_of_pair host-b vm-01 live ua-backup0)" ]
	frame_reaches_tap host-b vm-01 "$MAC1"
	set_fake drive ""
	run_sm_on host-b reattach vm-01
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

start_with() {
	stop_hosts
	rm -r "$FAKE_DIR"
	NIC_DRIVER=$1 setup_hosts_and_guests
}

@test "a NIC that does not give frames to both is refused" {
	start_with mlx5_core
	assert_refused qemu-cannot-unplug 'uplink0.*MAC' --unplug=qemu vm-01 host-b
	start_with ixgbe
	assert_refused qemu-cannot-unplug 'wan0.*MAC' --unplug=qemu vm-01 host-b
}

@test "the guest lets its VF go after that was given up: seen, and given back" {
	set_fake detach late
	set_fake detach.late_ms 13000
	run_sm --unplug=qemu --detach-timeout 0.5 --unplug-watch 20 vm-01 host-b
	assert_exit 1
	assert_says 'did not give up its VF to QEMU within 0.5 s'
	[ "$(link_state_of host-a vm-01)" = up ]
	refute_called host-a virDomainAttach
	await 30 grep -q 'host-a virDomainAttach' "$FAKE_DIR/log"
	await 30 no_agents
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}

@test "QEMU's word that the guest has let go is lost" {
	set_fake migrate.events lost
	set_fake migrate.iterate_ms 500
	run_sm --unplug=qemu --detach-timeout 1 vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "a destination that is alone makes the standby's path before the guest drives its VF" {
	set_fake host-b.drive.ms 4000
	set_fake migrate.iterate_ms 300
	hook migrate.iterating "$FAKE_DIR/bin/kill-all"
	run_sm_to_death --unplug=qemu vm-01 host-b
	run_sm_on host-b recover
	assert_exit 0
	assert_order 'host-b event lifecycle 4 1' 'host-b nl.fdb-add' 'host-b guest vm-01 drives'
	run_sm recover
	assert_moved vm-01 "$MAC1"
}

@test "not with disks to copy" {
	assert_refused qemu-cannot-unplug 'disks are copied' --unplug=qemu --copy-storage-all vm-01 host-b
}

@test "QEMU before 6.1 is refused" {
	set_fake host-a.qemu-version 6000000
	assert_refused qemu-cannot-unplug 'before 6.1' --unplug=qemu vm-01 host-b
}
