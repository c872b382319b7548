#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The migration call's return value decides nothing; what both hosts say decides.

load lib/hosts

setup() {
	setup_hosts_and_guests
}

teardown() {
	teardown_hosts
}

@test "the call fails, but the guest has moved" {
	set_fake migrate error-though-done
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_hears host-b vm-01 "$MAC1"
}

@test "the source stays paused, the destination is gone: resumed and rolled back" {
	set_fake migrate lost-destination
	run_sm vm-01 host-b
	assert_exit 1
	assert_called host-a "virDomainResume vm-01"
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}

@test "the source stays paused, the destination runs: the stale copy is destroyed, never resumed" {
	set_fake migrate lost-confirm
	run_sm vm-01 host-b
	assert_exit 0
	assert_called host-a "virDomainDestroy vm-01"
	refute_called host-a "virDomainResume"
	assert_moved vm-01 "$MAC1"
}

@test "the same, client-driven" {
	set_fake migrate lost-confirm
	run_sm --client-driven vm-01 host-b
	assert_exit 0
	refute_called host-a "virDomainResume"
	assert_moved vm-01 "$MAC1"
}

@test "two copies run: the source's is suspended, no VF touched, both hosts named" {
	set_fake migrate twice
	run_sm vm-01 host-b
	assert_exit 5
	assert_says host-a
	assert_says host-b
	assert_called host-a "virDomainSuspend vm-01"
	refute_called 'host-.' "virDomainAttachDeviceFlags"
	assert_state host-a vm-01 3
	assert_state host-b vm-01 1
	assert_hears host-b vm-01 "$MAC1"
}

@test "two copies run, and the source's cannot be suspended: both named all the same" {
	set_fake migrate twice
	fault host-a virDomainSuspend '*' error
	run_sm vm-01 host-b
	assert_exit 5
	assert_says host-a
	assert_says host-b
}

@test "the paused source cannot be resumed: exit 5 says what is where" {
	set_fake migrate lost-destination
	fault host-a virDomainResume '*' error
	run_sm vm-01 host-b
	assert_exit 5
	assert_says 'paused'
	assert_state host-a vm-01 "3 (migration)"
}

@test "the stale copy cannot be destroyed: exit 5, the guest on the destination works" {
	set_fake migrate lost-confirm
	fault host-a virDomainDestroy '*' error
	run_sm vm-01 host-b
	assert_exit 5
	assert_state host-b vm-01 1
	assert_hears host-b vm-01 "$MAC1"
	refute_called host-a "virDomainResume"
}

@test "the guest shuts itself down in the middle: clean, nothing started, exit 1" {
	set_fake migrate guest-ends
	run_sm vm-01 host-b
	assert_exit 1
	assert_says 'ended by itself'
	assert_state host-a vm-01 5
	assert_state host-b vm-01 ""
	assert_no_entries host-a "$MAC1"
	assert_no_entries host-b "$MAC1"
	refute_called 'host-.' "virDomain(Resume|Attach|Destroy)"
	[ -z "$(show_files host-a)$(show_files host-b)" ]
}

@test "the guest crashes right after it has arrived: said so, nothing started, exit 1" {
	set_fake migrate dies-after
	run_sm vm-01 host-b
	assert_exit 1
	assert_says 'ended by itself'
	assert_no_entries host-a "$MAC1"
	assert_no_entries host-b "$MAC1"
	refute_called 'host-.' "virDomain(Resume|Destroy)"
}

# shut_down_at HOST PATTERN: the guest is shut down there as soon as the log has that
shut_down_at() {
	start_sm vm-01 host-b
	await 10 grep -q "$2" "$FAKE_DIR/log"
	fake stop "$1" vm-01
	wait_sm
	assert_exit 1
	assert_says 'ended by itself'
	assert_no_entries host-a "$MAC1"
	assert_no_entries host-b "$MAC1"
	refute_called 'host-.' "virDomain(Resume|Destroy)"
	await 5 no_agents
	[ -z "$(show_files host-a)$(show_files host-b)" ]
}

@test "the guest ends while it is given its VF later: said so, nothing left, exit 1" {
	set_fake host-b.attach error
	run_sm vm-01 host-b
	assert_exit 4
	rm "$FAKE_DIR/set/host-b.attach"
	set_fake host-b.drive never
	: >"$FAKE_DIR/log"
	sm_on host-b reattach vm-01 >"$FAKE_DIR/stdout" 2>"$FAKE_DIR/stderr" </dev/null &
	sm_pid=$!
	await 10 grep -q 'host-b event added hostdev0' "$FAKE_DIR/log"
	fake stop host-b vm-01
	wait_sm
	assert_exit 1
	assert_says 'ended by itself'
	assert_no_entries host-b "$MAC1"
	await 5 no_agents
	assert_no_files
}

@test "the guest ends while it is given its VF back: said so, exit 1" {
	set_fake migrate error
	set_fake host-a.drive never
	shut_down_at host-a 'host-a virDomainAttachDevice'
}

@test "the guest shuts down while it is to give up its VF: said so, exit 1" {
	set_fake detach.ms 1500
	shut_down_at host-a 'host-a virDomainDetachDeviceAlias'
}

@test "the guest shuts down while the VF is attached on the destination: said so, exit 1" {
	set_fake attach.ms 1500
	shut_down_at host-b 'host-b virDomainAttachDeviceFlags'
}

@test "the guest shuts down before it uses its VF: said so, exit 1" {
	set_fake drive never
	shut_down_at host-b 'event added hostdev0'
}

@test "a domain that does not converge can be stopped" {
	set_fake migrate endless
	start_sm vm-01 host-b
	await 10 grep -q 'event iteration 5' "$FAKE_DIR/log"
	kill -INT "$(driver_pid)"
	wait_sm
	assert_exit 1
	assert_called host-a virDomainAbortJob
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}

@test "an abort that libvirt refuses at first is asked for again" {
	set_fake migrate endless
	fault host-a virDomainAbortJob 1 error
	start_sm vm-01 host-b
	await 10 grep -q 'event iteration 5' "$FAKE_DIR/log"
	kill -TERM "$(driver_pid)"
	wait_sm
	assert_exit 1
	assert_unchanged
}

@test "the destination cannot be asked once, then it can" {
	fault host-b virDomainGetState 1 error
	fault host-b virDomainGetState 2 error
	run_sm vm-01 host-b
	assert_sound vm-01 "$MAC1" 0
}

@test "the figures of the migration are missing: no reason to fail" {
	fault host-b virDomainGetJobStats '*' error
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "the guest ends behind the switch-over: what our entry replaced on the bridge there is put back" {
	on host-b bridge fdb replace "$MAC1" dev wan0 master static
	remember
	set_fake migrate dies-after
	run_sm vm-01 host-b
	assert_exit 1
	has_entry host-b "$MAC1" 'dev wan0 master br0 static'
}

@test "somebody takes the guest on to a third host at once: both ends are cleaned up" {
	set_fake migrate goes-on
	run_sm --json vm-01 host-b
	assert_exit 0
	[ "$(result_of outcome)" = finished ]
	assert_says 'left the destination again'
	assert_state host-a vm-01 5
	assert_state host-b vm-01 5
	assert_no_entries host-a "$MAC1"
	assert_no_entries host-b "$MAC1"
	assert_no_files
	refute_called 'host-.' 'virDomain(Attach|Resume|Create)'
}

@test "a destination that is lost behind the switch-over: nobody says how the guest fares there" {
	fault host-b virDomainAttachDeviceFlags 1 hook:gone
	hook gone "echo unreachable >$FAKE_DIR/set/ssh; exec $FAKE_DIR/bin/kill-agents host-b"
	run_sm --reattach-retries 0 vm-01 host-b
	assert_exit 5
	assert_says 'vm-01 was handed over to host-b, which does not answer any more'
	rm "$FAKE_DIR/set/ssh"
	run_sm_on host-b recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "a job that is no migration is nothing to wait for" {
	fault host-a virDomainMigrateToURI3 1 hook:backup
	hook backup "echo 3 >$(echo "$FAKE_DIR"/host-a/domains/*0101)/job"
	run_sm --settle-timeout "$(patient 5)" vm-01 host-b
	assert_exit 1
	rm "$(echo "$FAKE_DIR"/host-a/domains/*0101)/job"
	assert_unchanged
}

@test "whether a migration runs cannot be asked: nothing is done until it can" {
	set_fake migrate error
	fault host-a virDomainMigrateToURI3 1 hook:deaf
	hook deaf "echo 'host-a virDomainGetJobStats * error:68' >>$FAKE_DIR/faults"
	run_sm --settle-timeout "$(patient 3)" vm-01 host-b
	assert_exit 5
	refute_called host-a virDomainAttachDevice
	no_faults
	run_sm recover
	# The agents may have been faster.
	await 30 no_agents
	[ "$status" = 0 ] || assert_exit 1
	assert_unchanged
}
