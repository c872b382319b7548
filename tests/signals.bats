#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Being interrupted, killed or cut off, at named instants of the move.

load lib/hosts

setup() {
	setup_hosts_and_guests
}

teardown() {
	teardown_hosts
}

# The settling of those who are left takes its time; then it is to be over.
await_settled() {
	await 30 no_agents
}

# interrupted SIGNAL HOOK: a move with the signal at that instant
interrupted() {
	interrupt_at "$2" "$1"
	start_sm vm-01 host-b
	wait_sm
}

assert_went_back() {
	assert_exit 1
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}

@test "SIGINT while the hosts are looked at" {
	fault host-b virConnectListAllDomains 1 hook:look
	interrupted INT look
	assert_exit 1
	assert_untouched
}

@test "SIGINT while the standby's link goes up" {
	fault host-a virDomainUpdateDeviceFlags 1 hook:link
	interrupted INT link
	assert_went_back
	refute_called host-a virDomainMigrate
}

@test "SIGINT while the tap's entry is set" {
	fault host-a nl.fdb-add 1 hook:entry
	interrupted INT entry
	assert_went_back
}

@test "SIGINT while the uplink's entry is set" {
	fault host-a nl.self-add 1 hook:entry
	interrupted INT entry
	assert_went_back
}

@test "SIGINT just before the detach" {
	fault host-a virDomainDetachDeviceAlias 1 hook:detach
	interrupted INT detach
	# Asked for, and not to be taken back: the program has to see it through.
	assert_exit 1
	assert_hears host-a vm-01 "$MAC1"
	await 5 grep -q "event removed hostdev0" "$FAKE_DIR/log"
	await 5 guest_hears host-a vm-01 "$MAC1"
}

@test "SIGINT just after the detach" {
	interrupted INT detached
	assert_went_back
}

@test "SIGTERM while the destination prepares" {
	interrupted TERM migrate.prepared
	assert_went_back
	assert_called host-a virDomainAbortJob
}

@test "SIGINT while memory is copied" {
	interrupted INT migrate.iterating
	assert_went_back
	assert_called host-a virDomainAbortJob
}

@test "SIGHUP while memory is copied" {
	interrupted HUP migrate.iterating
	assert_went_back
}

@test "SIGINT while memory is copied, client-driven" {
	interrupt_at migrate.iterating
	start_sm --client-driven vm-01 host-b
	wait_sm
	assert_went_back
}

@test "SIGINT at switch-over: too late or in time, never in between" {
	interrupted INT migrate.switched
	assert_sound vm-01 "$MAC1" 0 1
}

@test "SIGINT when the guest runs on the destination: finished there" {
	interrupted INT migrate.finished
	assert_sound vm-01 "$MAC1" 0
}

@test "SIGINT when the source is gone: finished on the destination" {
	interrupted INT migrate.confirmed
	assert_sound vm-01 "$MAC1" 0
}

@test "SIGINT while the VF is attached on the destination" {
	fault host-b virDomainAttachDeviceFlags 1 hook:attach
	interrupted INT attach
	assert_sound vm-01 "$MAC1" 0
	assert_says 'finishing'
}

@test "SIGINT during the rollback does not stop it" {
	set_fake migrate error
	fault host-a virDomainAttachDeviceFlags 1 hook:back
	interrupted INT back
	assert_went_back
}

@test "many signals are one" {
	hook migrate.iterating "for i in 1 2 3 4 5; do kill -INT \$(cat $FAKE_DIR/driver.pid); sleep 0.02; done"
	start_sm vm-01 host-b
	wait_sm
	assert_went_back
}

# ---- the driver dies ----

# The driver is killed at that instant; the agents settle alone.
driver_killed_at() {
	hook "$1" "kill -9 \$(cat $FAKE_DIR/driver.pid)"
	start_sm vm-01 host-b
	wait_sm
	await_settled
}

@test "the driver is killed before the detach: everything goes back" {
	fault host-a nl.self-add 1 hook:entry
	driver_killed_at entry
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}

@test "the driver is killed after the detach: the guest gets its VF back" {
	driver_killed_at detached
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}

@test "the driver is killed while memory is copied: one host, one path, nothing left" {
	driver_killed_at migrate.iterating
	assert_runs_once vm-01 "$MAC1"
	if [ "$(domain_state host-a vm-01)" = 1 ]; then
		assert_unchanged
	else
		assert_moved vm-01 "$MAC1"
	fi
}

@test "the driver is killed at switch-over: the agents finish" {
	driver_killed_at migrate.switched
	assert_runs_once vm-01 "$MAC1"
	assert_no_entries host-a "$MAC1"
	assert_no_entries host-b "$MAC1"
}

@test "the driver is killed when the guest runs on the destination: it gets its VF there" {
	driver_killed_at migrate.finished
	assert_moved vm-01 "$MAC1"
	assert_hears host-b vm-01 "$MAC1"
}

@test "driver and source are gone while memory is copied: each pair has its standby before any VF is given" {
	start_guest vm-03
	# The source's agent first: with its driver gone it would abort the migration.
	hook migrate.iterating "$FAKE_DIR/bin/kill-agents host-a; kill -9 \$(cat $FAKE_DIR/driver.pid)"
	start_sm vm-03 host-b
	wait_sm
	await_settled
	assert_state host-b vm-03 1
	[ "$(sed '/host-b virDomainAttachDevice/,$d' "$FAKE_DIR/log" | grep 'host-b nl.self-add' |
		grep -oE '12:7[34]' | sort -u | wc -l)" = 2 ]
}

@test "the driver is killed while the VF is attached: the destination's agent finishes" {
	fault host-b virDomainAttachDeviceFlags 1 hook:attach
	driver_killed_at attach
	assert_moved vm-01 "$MAC1"
}

@test "the driver is killed, the source's copy stays paused, the guest runs there: settled by the agents" {
	set_fake migrate lost-confirm
	driver_killed_at migrate.switched
	assert_moved vm-01 "$MAC1"
	assert_hears host-b vm-01 "$MAC1"
	refute_called host-a virDomainResume
}

has_journal() {
	on "$1" sh -c 'cat /var/lib/sriov-migrate/*.journal' >/dev/null 2>&1
}

@test "the same, and somebody removes the journals meanwhile: the agent's is there again" {
	set_fake migrate lost-confirm
	hook migrate.switched "kill -9 \$(cat $FAKE_DIR/driver.pid); echo unreachable >$FAKE_DIR/set/ssh"
	start_sm vm-01 host-b
	wait_sm
	on host-a rm -r /var/lib/sriov-migrate
	await 20 has_journal host-a
	"$FAKE_DIR/bin/kill-agents" host-a
	rm "$FAKE_DIR/set/ssh"
	recover_on host-a 0
	await_settled
	assert_moved vm-01 "$MAC1"
}

@test "the driver is killed, and libvirt lets both copies run: the source's is suspended" {
	set_fake migrate twice
	hook migrate.finished "kill -9 \$(cat $FAKE_DIR/driver.pid)"
	start_sm vm-01 host-b
	wait_sm
	await 10 assert_called host-a virDomainSuspend >/dev/null
	# It goes on asking until somebody has chosen.
	"$FAKE_DIR/bin/kill-agents" host-a
	refute_called host-a virDomainAttachDeviceFlags
	assert_hears host-b vm-01 "$MAC1"
}

@test "the driver is killed, the source's copy stays paused, the destination has lost it: settled by the agents" {
	set_fake migrate lost-destination
	driver_killed_at migrate.switched
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}

# ---- the connection is cut ----

# The connection ends at that instant, for both sides.
cut_at() {
	hook "$1" "kill -9 \$(tail -n 1 $FAKE_DIR/ssh.pids)"
	start_sm vm-01 host-b
	wait_sm
	await_settled
}

@test "the connection is cut before the detach: rolled back" {
	fault host-a nl.self-add 1 hook:entry
	cut_at entry
	assert_went_back
}

@test "the connection is cut after the detach: rolled back, nothing left there" {
	cut_at detached
	assert_went_back
}

@test "the connection is cut while memory is copied: rolled back" {
	cut_at migrate.iterating
	assert_sound vm-01 "$MAC1" 0 1
}

@test "the connection is cut when the guest runs on the destination: a second one finishes" {
	cut_at migrate.finished
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "another host answers under the destination's name: its word is not taken" {
	hook migrate.switched "kill -9 \$(tail -n 1 $FAKE_DIR/ssh.pids)
		sed -i /^host-b\$/d $FAKE_DIR/host-b/names
		echo host-b >>$FAKE_DIR/host-a/names"
	set_fake migrate lost-destination
	run_sm -v --settle-timeout "$(patient 4)" vm-01 host-b
	assert_exit 5
	assert_says 'another host answers there now'
	refute_called host-a virDomainResume
	echo host-b >>"$FAKE_DIR/host-b/names"
	sed -i '/^host-b$/d' "$FAKE_DIR/host-a/names"
	await_settled
	recover_on host-a 0
	assert_unchanged
}

@test "the connection goes silent while memory is copied: noticed within its limit" {
	hook migrate.iterating "echo silent >$FAKE_DIR/set/link"
	set_fake migrate.iterations 300
	start_sm vm-01 host-b
	wait_sm
	await_settled
	assert_runs_once vm-01 "$MAC1"
	[ "$status" = 1 ] || [ "$status" = 5 ] || assert_exit 5
}

@test "the connection goes silent while the VF is attached: the agent there finishes" {
	fault host-b virDomainAttachDeviceFlags 1 hook:attach
	hook attach "echo silent >$FAKE_DIR/set/link"
	start_sm vm-01 host-b
	wait_sm
	assert_exit 5
	await_settled
	assert_on_vf vm-01 "$MAC1"
	rm "$FAKE_DIR/set/link"
	recover_on host-a 0
	assert_moved vm-01 "$MAC1"
}

# ---- an agent dies ----

# Another agent goes on from the journal of the one that was killed.
killed_in() {
	fault "$@" kill
	run_sm vm-01 host-b
	assert_says 'another one goes on'
}

@test "the source's agent is killed before the detach: rolled back" {
	fault host-a virDomainDetachDeviceAlias 1 kill
	run_sm --unplug-watch 12 vm-01 host-b
	assert_says 'another one goes on'
	# Nobody knows whether the guest was asked.
	assert_exit 1
	await 10 no_agents
	assert_went_back
}

@test "the source's agent is killed after the detach: rolled back, the VF included" {
	killed_in host-a virDomainMigrateToURI3 1
	assert_went_back
}

@test "the source's agent is killed while it rolls back: rolled back by another" {
	set_fake migrate error
	killed_in host-a virDomainAttachDeviceFlags 1
	assert_went_back
}

# stopped_at HOOK HOST: the agent there stands still from that instant on
stopped_at() {
	hook "$1" "exec $FAKE_DIR/bin/kill-agents $2 STOP"
	run_sm --settle-timeout 5 vm-01 host-b
	rm "$FAKE_DIR/hooks/$1"
}

@test "the source's agent stands still while memory is copied: the guest gets its VF all the same" {
	stopped_at migrate.iterating host-a
	assert_exit 5
	[ -n "$(live_xml host-b vm-01 | vf_in)" ]
	"$FAKE_DIR/bin/kill-agents" host-a CONT
	await_settled
	recover_on host-a 0
	assert_moved vm-01 "$MAC1"
}

@test "the destination's agent stands still while memory is copied: settled when it goes on" {
	stopped_at migrate.iterating host-b
	assert_exit 5
	assert_says 'the agent is silent'
	"$FAKE_DIR/bin/kill-agents" host-b CONT
	await_settled
	run_sm recover
	run_sm_on host-b recover
	assert_runs_once vm-01 "$MAC1"
	assert_no_files
}

@test "the source's agent is killed while memory is copied: one way or the other, told truly" {
	hook migrate.iterating "exec $FAKE_DIR/bin/kill-agents host-a"
	start_sm vm-01 host-b
	wait_sm
	await 10 grep -q 'migration ends' "$FAKE_DIR/log"
	await_settled
	assert_sound vm-01 "$MAC1" 0 1
}

@test "the source's agent is killed while memory is copied for long: aborted, rolled back" {
	hook migrate.iterating "exec $FAKE_DIR/bin/kill-agents host-a"
	set_fake migrate.iterations 1000
	start_sm vm-01 host-b
	wait_sm
	assert_called host-a virDomainAbortJob
	assert_went_back
}

@test "the source's agent is killed when the guest has left: finished" {
	hook migrate.finished "exec $FAKE_DIR/bin/kill-agents host-a"
	start_sm vm-01 host-b
	wait_sm
	assert_sound vm-01 "$MAC1" 0
}

@test "the same, and libvirt there takes its time to end: the guest's remains are waited for" {
	set_fake migrate.confirm_ms 1500
	hook migrate.finished "exec $FAKE_DIR/bin/kill-agents host-a"
	start_sm vm-01 host-b
	wait_sm
	assert_sound vm-01 "$MAC1" 0
	refute_called host-a virDomainDestroy
}

@test "the same, and libvirt leaves a stale copy: destroyed" {
	set_fake migrate lost-confirm
	hook migrate.finished "exec $FAKE_DIR/bin/kill-agents host-a"
	start_sm vm-01 host-b
	wait_sm
	assert_sound vm-01 "$MAC1" 0
	refute_called host-a virDomainResume
}

@test "the destination's agent is killed while the VF is attached: another one finishes" {
	killed_in host-b virDomainAttachDeviceFlags 1
	assert_sound vm-01 "$MAC1" 0
}

@test "the destination's agent is killed when the VF is proved: another one lets the standby rest" {
	killed_in host-b nl.fdb-delete 1
	assert_sound vm-01 "$MAC1" 0
}

@test "the destination's agent is killed before the move: rolled back" {
	hook detached "kill -9 \$(cat $FAKE_DIR/host-b.agent.pid)"
	run_sm vm-01 host-b
	assert_went_back
}

@test "both agents are killed before the detach: rolled back" {
	fault host-a nl.self-add 1 hook:entry
	hook entry "$FAKE_DIR/bin/kill-agents host-a; $FAKE_DIR/bin/kill-agents host-b"
	run_sm vm-01 host-b
	assert_went_back
}

@test "both agents are killed when the guest runs on the destination: finished" {
	hook migrate.confirmed "$FAKE_DIR/bin/kill-agents host-a; $FAKE_DIR/bin/kill-agents host-b"
	start_sm vm-01 host-b
	wait_sm
	assert_sound vm-01 "$MAC1" 0
}

# ---- a host is suspended ----

# An agent of host-a has taken up the journal of a guest that was left standing still there, and is asked to
# resume it while it stands still itself, its host being suspended: asked_while_suspended SECONDS
asked_while_suspended() {
	hook migrate.switched "exec $FAKE_DIR/bin/kill-all"
	run_sm_to_death --client-driven vm-01 host-b
	await 20 grep -q "migration ends" "$FAKE_DIR/log"
	set_fake ssh unreachable
	mkfifo "$FAKE_DIR/in"
	{
		exec 3>&-
		on host-a env PATH="$FAKE_DIR/bin:$PATH" "$FAKE_DIR/bin/sriov-migrate" agent
	} <"$FAKE_DIR/in" >"$FAKE_DIR/out" 2>/dev/null &
	exec {to_agent}>"$FAKE_DIR/in"
	tell_agent hello '"protocol": 1'
	tell_agent reopen '"uuid": "7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101"'
	await 10 grep -q '"id":2' "$FAKE_DIR/out"
	"$FAKE_DIR/bin/kill-agents" host-a STOP
	tell_agent act '"what": "resume"'
	set_fake host-a.suspended "$1"
	"$FAKE_DIR/bin/kill-agents" host-a CONT
}

tell_agent() {
	echo "{\"id\": $((++n_told)), \"op\": \"$1\", \"args\": {$2}}" >&"$to_agent"
}

has_run_recover() {
	[ "$(grep -c '^host-a driver' "$FAKE_DIR/pids")" -gt 1 ]
}

@test "what an agent was asked for before its host was suspended for long is not done any more" {
	asked_while_suspended 40
	await 10 has_run_recover
	refute_called host-a virDomainResume
	assert_state host-a vm-01 "3 (migration)"
	"$FAKE_DIR/bin/kill-agents" host-a
}

@test "what an agent was asked for before its host was suspended for a moment is done" {
	asked_while_suspended 10
	await 10 assert_called host-a virDomainResume
	"$FAKE_DIR/bin/kill-agents" host-a
}

# ---- two runs at once ----

@test "a second run for the same domain is busy, says who, and touches nothing" {
	set_fake detach.ms "$(patient 2000)"
	start_sm vm-01 host-b
	await 10 grep -q virDomainDetachDeviceAlias "$FAKE_DIR/log"
	local first
	first=$(driver_pid)
	run_sm vm-01 host-b
	[ "$status" = 6 ] || assert_exit 6
	assert_says "$first"
	run_sm reattach vm-01
	assert_exit 6
	wait_sm
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "/run/sriov-migrate is cleaned under a run: the domain stays its own" {
	fault host-a virDomainMigrateToURI3 1 hang:3000
	start_sm vm-01 host-b
	await 20 grep -q virDomainMigrateToURI3 "$FAKE_DIR/log"
	local first
	first=$(driver_pid)
	on host-a rm -r /run/sriov-migrate
	run_sm recover
	assert_exit 0
	assert_says 'vm-01 is held by a run that goes on'
	run_sm vm-01 host-b
	assert_exit 6
	assert_says "$first"
	wait_sm
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "a lock that a dead run left is no obstacle" {
	on host-a sh -c 'mkdir -p /run/sriov-migrate && echo "PID 1 on Mars" >/run/sriov-migrate/domain-7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101.lock'
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}
