#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What was true once: copies, orders and flags of a run that others have overtaken.

load lib/hosts

setup() {
	setup_hosts_and_guests
}

teardown() {
	teardown_hosts
}

# Whether it has autostart there.
starts_on() {
	[[ $(domain_state "$1" vm-01) == *autostart ]]
}

# set_state HOST STATE REASON: as libvirt would tell it
set_state() {
	echo "$2 $3" >"$(echo "$FAKE_DIR/$1"/domains/*0101/state)"
}

# The source's copy stands still; the guest has come, and been finished with, while that could not be known.
come_unseen() {
	all_die_at migrate.finished --client-driven vm-01 host-b
	run_sm_on host-b recover
	assert_exit 0
	assert_state host-b vm-01 1
	assert_state host-a vm-01 "3 (migration)"
}

assert_left_to_a_human() {
	: >"$FAKE_DIR/log"
	run_sm --settle-timeout "$(patient 1)" recover
	assert_exit 5
	assert_says 'virsh resume vm-01 says that it is the one'
	refute_called 'host-.' 'virDomain(Resume|Destroy|Suspend|Attach|Detach)'
}

# The operator ends what stands still, and nothing is remembered any more.
assert_ended_by_hand() {
	fake stop host-a vm-01
	run_sm recover
	assert_exit 1
	assert_no_files
	assert_no_entries host-a "$MAC1"
}

@test "a guest that came, and was ended there since: the old copy is not resumed" {
	come_unseen
	fake stop host-b vm-01
	assert_left_to_a_human
	assert_ended_by_hand
}

@test "the same, and the destination has forgotten even its definition, or was started anew" {
	come_unseen
	fake stop host-b vm-01
	rm -r "$FAKE_DIR"/host-b/domains/*0101
	on host-b sh -c 'rm -rf /run/sriov-migrate/*'
	assert_left_to_a_human
	assert_ended_by_hand
}

@test "the same, and what the destination remembers cannot be read: no reason to forget it" {
	come_unseen
	fake stop host-b vm-01
	on host-b sh -c 'echo torn | tee /var/lib/sriov-migrate/*.arrived'
	assert_left_to_a_human
}

@test "the same, and somebody chooses the old copy: his virsh resume counts" {
	fake autostart host-a vm-01
	come_unseen
	fake stop host-b vm-01
	assert_left_to_a_human
	set_state host-a 1 5 # running, unpaused
	run_sm recover
	assert_exit 1
	assert_hears host-a vm-01 "$MAC1"
	assert_no_files
	# Somebody's own choice from now on; both would be two copies one day.
	starts_on host-b
	refute starts_on host-a
}

@test "the agents find out by themselves that the old copy is not to be resumed" {
	set_fake migrate lost-confirm
	hook migrate.switched "kill -9 \$(cat $FAKE_DIR/driver.pid); echo unreachable >$FAKE_DIR/set/ssh"
	start_sm vm-01 host-b
	wait_sm
	rm "$FAKE_DIR/hooks/migrate.switched"
	await 60 no_agents host-b
	fake stop host-b vm-01
	rm "$FAKE_DIR/set/ssh"
	sleep 8
	assert_state host-a vm-01 "3 (migration)"
	refute_called host-a 'virDomain(Resume|Attach)'
	fake stop host-a vm-01
	await 60 no_agents
	assert_no_files
}

@test "libvirt has turned the source's copy back, and the other one has moved on: no VF for it" {
	set_fake migrate twice
	all_die_at migrate.finished
	await 5 assert_state host-a vm-01 1
	fake stop host-b vm-01
	set_state host-b 5 4 # shut off, migrated
	assert_left_to_a_human
}

@test "a source that was left does not forget the move before it has seen the destination" {
	hook migrate.confirmed "exec $FAKE_DIR/bin/kill-all"
	run_sm_to_death vm-01 host-b
	set_fake ssh unreachable
	run_sm recover
	assert_exit 5
	assert_says 'not verified'
	assert_no_entries host-a "$MAC1"
	run_sm_on host-b recover
	assert_exit 0
	rm "$FAKE_DIR/set/ssh"
	run_sm recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "autostart is not given back to the source of a guest that has it on the destination" {
	fake autostart host-a vm-01
	hook migrate.finished "$FAKE_DIR/bin/kill-agents host-a; kill -9 \$(cat $FAKE_DIR/driver.pid)"
	start_sm vm-01 host-b
	wait_sm
	await 60 no_agents
	set_state host-a 5 0 # its libvirt was started anew, and has forgotten why it is shut off
	fake stop host-b vm-01
	run_sm recover
	assert_exit 1
	starts_on host-b
	refute starts_on host-a
	assert_no_files
}

# The guest has moved, and its agents have settled both ends; the driver, whose PID is in STILL, knows of nothing.
driver_stands_still() {
	hook stop "kill -STOP \$(cat $FAKE_DIR/driver.pid)"
	fault host-a nl.fdb-delete 1 hook:stop
	fault host-a nl.self-delete 1 hook:stop
	start_sm vm-01 host-b
	await 40 grep -q "migration ends" "$FAKE_DIR/log"
	still=$(driver_pid)
	await 60 no_agents
	no_faults
}

@test "a driver that stood still while the guest was moved back begins nothing anew" {
	local still
	fake autostart host-a vm-01
	driver_stands_still
	run_sm_on host-b vm-01 host-a
	assert_exit 0
	kill -CONT "$still"
	wait_sm
	assert_exit 0
	assert_says 'left the destination again'
	assert_state host-a vm-01 1
	starts_on host-a
	refute starts_on host-b
	assert_state host-b vm-01 5
	assert_hears host-a vm-01 "$MAC1"
	assert_no_files
}

@test "a driver that stood still while the guest moved and ended says so" {
	local still
	driver_stands_still
	fake stop host-b vm-01
	kill -CONT "$still"
	wait_sm
	assert_exit 1
	assert_says 'ended by itself'
	assert_no_files
}

@test "autostart comes back to a guest that never left, though the destination has it from an earlier stay" {
	inactive_xml host-a vm-01 >"$BATS_TEST_TMPDIR/vm-01.xml"
	fake define host-b "$BATS_TEST_TMPDIR/vm-01.xml"
	fake autostart host-b vm-01
	fake autostart host-a vm-01
	fault host-a virDomainMigrateToURI3 1 hook:die
	all_die_at die
	no_faults
	run_sm recover
	assert_exit 1
	starts_on host-a
	assert_no_files
}

@test "that the guest has come cannot be noted: the journal there is not given up" {
	all_die_at migrate.finished --client-driven vm-01 host-b
	on host-b mkdir /var/lib/sriov-migrate/7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101.arrived.new
	set_fake ssh unreachable
	run_sm_on host-b recover
	assert_exit 5
	assert_hears host-b vm-01 "$MAC1"
	on host-b rmdir /var/lib/sriov-migrate/7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101.arrived.new
	run_sm_on host-b recover
	assert_exit 0
	fake stop host-b vm-01
	rm "$FAKE_DIR/set/ssh"
	assert_left_to_a_human
}

@test "the old copy cannot be destroyed, and the guest ends on the destination: the old one is not resumed" {
	all_die_at migrate.finished --client-driven vm-01 host-b
	fault host-a virDomainDestroy '*' error
	run_sm recover
	assert_exit 5
	no_faults
	fake stop host-b vm-01
	await 60 no_agents
	assert_left_to_a_human
	assert_ended_by_hand
}

# What is left on host-a of a move to host-b is put aside as KEPT.
leave_behind() {
	hook migrate.confirmed "exec $FAKE_DIR/bin/kill-all"
	run_sm_to_death vm-01 host-b
	rm "$FAKE_DIR/hooks/migrate.confirmed"
	set_fake ssh unreachable
	run_sm recover
	assert_exit 5
	assert_says 'recover vm-01 settles it when the other host answers'
	run_sm_on host-b recover
	assert_exit 0
	rm "$FAKE_DIR/set/ssh"
	on host-a mv "/var/lib/sriov-migrate/$uuid.journal" "$1"
}

# edit_journal HOST: its other host is one that nobody knows
give_another_peer() {
	on "$1" sed -i -E 's/4c4c4544-0000-4000-8000-00000000000[ab]/4c4c4544-0000-4000-8000-00000000000c/g
		s/"peer_id": *"[^"]*"/"peer_id":"x"/' "/var/lib/sriov-migrate/$uuid.journal"
}

@test "the source of a move does not settle the next one, to a third host" {
	local uuid=7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101
	leave_behind "$FAKE_DIR/kept"
	# host-a stands for the third one.
	hook migrate.finished "exec $FAKE_DIR/bin/kill-all"
	sm_on host-b --client-driven vm-01 host-a >/dev/null 2>&1 </dev/null || :
	await 10 no_agents
	rm "$FAKE_DIR/hooks/migrate.finished"
	assert_state host-b vm-01 "3 (migration)"
	fake stop host-a vm-01
	on host-a sh -c "rm /var/lib/sriov-migrate/*; mv $FAKE_DIR/kept /var/lib/sriov-migrate/$uuid.journal"
	rm -r "$FAKE_DIR"/host-a/domains/*0101
	give_another_peer host-b
	: >"$FAKE_DIR/log"
	run_sm --settle-timeout "$(patient 1)" recover
	assert_exit 5
	refute_called host-b 'virDomain(Resume|Attach|Destroy)'
	assert_state host-b vm-01 "3 (migration)"
	on host-b test -e "/var/lib/sriov-migrate/$uuid.journal"
}

@test "another machine has the name of a destination that is gone for good: --fenced holds" {
	local uuid=7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101
	hook migrate.confirmed "exec $FAKE_DIR/bin/kill-all"
	run_sm_to_death vm-01 host-b
	give_another_peer host-a
	run_sm recover
	assert_exit 5
	run_sm --fenced recover
	assert_exit 1
	on host-a test ! -e "/var/lib/sriov-migrate/$uuid.journal"
}

@test "a guest that came when the destination had given it up: told, and reattach cures it" {
	set_fake migrate.prepare_ms 18000
	start_sm vm-01 host-b
	await 20 grep -q "migration starts" "$FAKE_DIR/log"
	"$FAKE_DIR/bin/kill-agents" host-a
	kill -9 "$(driver_pid)"
	wait_sm
	await 60 grep -q "migration ends" "$FAKE_DIR/log"
	await 60 no_agents
	run_sm recover
	assert_exit 4
	assert_says 'reattach vm-01 \(on host-b\)'
	run_sm_on host-b reattach vm-01
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "a guest that was saved and restored over a reboot of the source gets its VF back" {
	fault host-a virDomainMigrateToURI3 1 hook:die
	all_die_at die
	no_faults
	on host-a sed -i -E '1s/"boot": *"[^"]*"/"boot":"00000000-0000-0000-0000-000000000000"/' \
		/var/lib/sriov-migrate/7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101.journal
	on host-a bridge fdb del "$MAC1" dev uplink0 self
	on host-a bridge fdb del "$MAC1" dev "$(tap_of host-a vm-01)" master
	on host-a bridge link set dev "$(tap_of host-a vm-01)" mcast_router 1
	run_sm recover
	assert_exit 1
	assert_hears host-a vm-01 "$MAC1"
	[ -n "$(vf_of_pair host-a vm-01 live ua-backup0)" ]
	run_sm_on host-b recover
	assert_unchanged
}
