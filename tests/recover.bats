#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Driver and both agents die at once, as by a power cut of everything but the guests: recover
# settles what they left, by what the journals tell.

load lib/hosts

setup() {
	setup_hosts_and_guests
}

teardown() {
	teardown_hosts
}

journal() {
	echo "/var/lib/sriov-migrate/7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101.journal"
}

# The guest has no VF any more, and the migration has not begun.
all_die_after_detach() {
	fault host-a virDomainMigrateToURI3 1 hook:die
	all_die_at die
	no_faults
}

# Once more changes nothing.
assert_settled() {
	snapshot host-a >"$FAKE_DIR/settled.a"
	snapshot host-b >"$FAKE_DIR/settled.b"
	recover_on host-a 0
	recover_on host-b 0
	assert_same host-a "$FAKE_DIR/settled.a"
	assert_same host-b "$FAKE_DIR/settled.b"
}

@test "nothing to recover" {
	run_sm recover
	assert_exit 0
	run_sm recover vm-01
	assert_exit 0
	assert_untouched
}

@test "before the detach: back" {
	fault host-a nl.self-add 1 hook:die
	all_die_at die
	run_sm recover
	assert_exit 1
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
	assert_settled
}

@test "while the guest gives up its VF: back, the VF included" {
	fault host-a virDomainDetachDeviceAlias 1 hook:die
	set_fake detach.ms 300
	all_die_at die --unplug-watch 12 vm-01 host-b
	run_sm recover vm-01
	assert_exit 1
	assert_hears host-a vm-01 "$MAC1"
	await 10 no_agents
	assert_unchanged
}

@test "after the detach: back, the VF included" {
	all_die_after_detach
	run ! guest_has_vf
	run_sm recover vm-01
	assert_exit 1
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
	assert_settled
}

guest_has_vf() {
	live_xml host-a vm-01 | grep -q hostdev
}

@test "while memory is copied, peer-to-peer: libvirt finishes, recover does the rest" {
	all_die_at migrate.iterating
	assert_state host-b vm-01 1
	run_sm recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_settled
}

@test "the same, recovered from the destination" {
	all_die_at migrate.iterating
	run_sm_on host-b recover
	assert_exit 0
	[ -n "$(live_xml host-b vm-01 | vf_in)" ]
	assert_hears host-b vm-01 "$MAC1"
	recover_on host-a 0
	assert_moved vm-01 "$MAC1"
}

@test "at switch-over" {
	all_die_at migrate.switched
	run_sm recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_hears host-b vm-01 "$MAC1"
}

@test "when the guest runs on the destination" {
	all_die_at migrate.finished
	run_sm recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "while the VF is attached" {
	fault host-b virDomainAttachDeviceFlags 1 hook:die
	all_die_at die
	run_sm recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_settled
}

@test "while the standby is laid to rest" {
	fault host-b nl.fdb-delete 1 hook:die
	all_die_at die
	run_sm recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "while memory is copied, client-driven: libvirt undoes it, and so does recover" {
	all_die_at migrate.iterating --client-driven vm-01 host-b
	assert_state host-a vm-01 1
	assert_state host-b vm-01 ""
	run_sm recover
	assert_exit 1
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}

@test "client-driven, the guest stands still on the source alone: resumed" {
	all_die_at migrate.switched --client-driven vm-01 host-b
	assert_state host-a vm-01 "3 (migration)"
	assert_state host-b vm-01 ""
	run_sm recover
	assert_exit 1
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}

@test "client-driven, a stale copy on the source: destroyed, never resumed" {
	all_die_at migrate.finished --client-driven vm-01 host-b
	assert_state host-a vm-01 "3 (migration)"
	assert_state host-b vm-01 1
	run_sm check vm-01 host-b
	assert_says 'do not resume it unseen'
	refute_says 'Resume it first'
	run_sm recover
	assert_exit 0
	refute_called host-a virDomainResume
	assert_called host-a virDomainDestroy
	assert_moved vm-01 "$MAC1"
}

@test "the same with the other host away: in doubt, hands off; later it can be settled" {
	all_die_at migrate.finished --client-driven vm-01 host-b
	set_fake ssh unreachable
	: >"$FAKE_DIR/log"
	run_sm recover
	assert_exit 5
	assert_state host-a vm-01 "3 (migration)"
	refute_called 'host-.' 'virDomain(Resume|Destroy|Suspend|Attach|Detach)'
	run_sm check vm-01 host-b
	assert_exit 3
	assert_says 'vm-01 is paused \(migrating\) here, and an interrupted run left a journal of it: in doubt'
	refute_called 'host-.' 'virDomain(Resume|Destroy|Suspend|Attach|Detach)'
	rm "$FAKE_DIR/set/ssh"
	run_sm recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

# in_state STATE: as libvirt has it
in_state() {
	echo "$1" >"$(echo "$FAKE_DIR"/host-a/domains/*0101/state)"
}

# waits_in STATE WORDS: a guest that stands still has its standby, and its VF when it runs again
waits_in() {
	all_die_after_detach
	in_state "$1"
	run_sm recover
	assert_exit 5
	assert_says "$2"
	refute_called host-a virDomainAttachDevice
	assert_hears host-a vm-01 "$MAC1"
	in_state '1 1'
	run_sm recover
	assert_exit 1
	assert_same host-a "$FAKE_DIR/before.a"
	recover_on host-b 0 1
	assert_unchanged
}

@test "the guest has crashed and QEMU keeps it: its standby stays until it is started anew, then its VF comes" {
	waits_in '6 1' 'virsh reset'
}

@test "the guest was paused by somebody: its standby stays until it runs again, then its VF comes" {
	waits_in '3 1' 'virsh resume vm-01'
}

@test "the guest was paused on its VF: nothing has to wait" {
	fault host-a virDomainDetachDeviceAlias 1 hook:die
	all_die_at die --unplug-watch 12 vm-01 host-b
	no_faults
	in_state '3 1'
	run_sm recover
	assert_exit 1
	await 20 no_agents
	in_state '1 1'
	assert_unchanged
}

@test "the recover that an agent has started dies: its agent leaves the asking to that one" {
	all_die_at migrate.switched --client-driven vm-01 host-b
	set_fake ssh unreachable
	fault host-a virDomainGetState '*' hook:die
	hook die "kill -9 \$(cat $FAKE_DIR/driver.pid)"
	export SRIOV_MIGRATE_UNATTENDED=1
	start_sm recover vm-01
	unset SRIOV_MIGRATE_UNATTENDED
	wait_sm
	[ "$status" = 137 ]
	no_faults
	await 60 no_agents
	rm "$FAKE_DIR/set/ssh"
	run_sm recover
	assert_unchanged
}

@test "a domain that somebody holds for a moment is waited for, for longer it is left to that one" {
	all_die_at migrate.iterating
	on host-a sh -c 'exec flock /run/sriov-migrate/domain-7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101.lock \
		sleep 6' &
	sleep 0.3
	run_sm recover
	assert_exit 0
	assert_says 'vm-01 is held by a run that goes on'
	run_sm recover
	assert_exit 0
	refute_says 'is held'
}

@test "it ran on both hosts, and the other copy was ended: the suspended one gets its VF when it runs again" {
	set_fake migrate twice
	run_sm vm-01 host-b
	assert_exit 5
	fake stop host-b vm-01
	: >"$FAKE_DIR/log"
	run_sm recover
	assert_exit 5
	assert_says 'virsh resume vm-01'
	refute_called host-a virDomainAttachDevice
	assert_hears host-a vm-01 "$MAC1"
	in_state '1 1'
	run_sm recover
	assert_exit 1
	[ -n "$(live_xml host-a vm-01 | vf_in)" ]
	assert_no_files
}

@test "the guest still runs on the source, and the other host is away: back" {
	all_die_after_detach
	set_fake ssh unreachable
	run_sm recover
	assert_exit 1
	assert_same host-a "$FAKE_DIR/before.a"
	assert_hears host-a vm-01 "$MAC1"
	recover_on host-b 0 1
	assert_unchanged
}

@test "libvirt resumed the guest here after the switch-over, and the other host is away: no VF before it is seen" {
	set_fake migrate twice
	all_die_at migrate.finished
	await 5 is_running host-a
	set_fake ssh unreachable
	: >"$FAKE_DIR/log"
	run_sm recover --settle-timeout "$(patient 1)"
	assert_exit 5
	refute_called 'host-.' 'virDomain(Resume|Destroy|Suspend|Attach|Detach)'
	assert_state host-a vm-01 1
	rm "$FAKE_DIR/set/ssh"
	run_sm recover
	assert_exit 5
	assert_called host-a virDomainSuspend
}

is_running() {
	assert_state "$1" vm-01 1 >/dev/null
}

@test "the same, and the other host is known to be off: --fenced says so, and the VF comes back" {
	set_fake migrate error-finish
	# The agent there has time to note the switch-over.
	hook noted "sleep 0.5; exec $FAKE_DIR/bin/kill-all"
	hook migrate.switched "exec $FAKE_DIR/hooks/noted"
	run_sm_to_death vm-01 host-b
	await 20 grep -q "migration ends" "$FAKE_DIR/log"
	await 5 is_running host-a
	set_fake ssh unreachable
	run_sm recover
	assert_exit 5
	run_sm recover --dry-run --fenced
	assert_says 'roll back'
	run_sm recover --fenced
	assert_exit 1
	assert_same host-a "$FAKE_DIR/before.a"
	assert_hears host-a vm-01 "$MAC1"
}

@test "stopped here in the switch-over, the other host is known to be off: resumed" {
	all_die_at migrate.switched --client-driven vm-01 host-b
	set_fake ssh unreachable
	run_sm recover
	assert_exit 5
	assert_state host-a vm-01 "3 (migration)"
	run_sm recover --fenced
	assert_exit 1
	assert_same host-a "$FAKE_DIR/before.a"
	assert_hears host-a vm-01 "$MAC1"
}

@test "a host whose libvirt alone is down is not off, whatever --fenced says" {
	all_die_at migrate.finished --client-driven vm-01 host-b
	set_fake host-b.connect denied
	: >"$FAKE_DIR/log"
	run_sm recover --fenced --settle-timeout "$(patient 1)"
	assert_exit 5
	assert_state host-a vm-01 "3 (migration)"
	refute_called 'host-.' 'virDomain(Resume|Destroy|Suspend|Attach|Detach)'
	set_fake host-b.connect ok
	run_sm recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "a host that takes a connection and says nothing is not off, whatever --fenced says" {
	all_die_at migrate.switched --client-driven vm-01 host-b
	set_fake ssh stuck
	run_sm recover --fenced --settle-timeout "$(patient 1)"
	assert_exit 5
	set_fake ssh jump-off
	run_sm recover --fenced --settle-timeout "$(patient 1)"
	assert_exit 5
	assert_state host-a vm-01 "3 (migration)"
	refute_called host-a virDomainResume
}

@test "a host behind a jump host is known to be off: resumed" {
	all_die_at migrate.switched --client-driven vm-01 host-b
	set_fake ssh jump
	run_sm recover --fenced
	assert_exit 1
	assert_same host-a "$FAKE_DIR/before.a"
}

@test "a destination that cannot take autostart: the guest is on its VF, and recover says so" {
	fake autostart host-a vm-01
	fault host-b virDomainSetAutostart '*' error
	run_sm vm-01 host-b
	assert_exit 5
	run_sm_on host-b recover
	assert_exit 5
	assert_says 'it is on its VF, but not all'
	refute_says 'could not be given back'
	no_faults
	run_sm_on host-b recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "--fenced changes nothing where the other host answers" {
	all_die_at migrate.finished --client-driven vm-01 host-b
	run_sm recover --fenced
	assert_exit 0
	refute_called host-a virDomainResume
	assert_moved vm-01 "$MAC1"
}

# Nobody had noted the switch-over, and whoever comes next sees one copy, which stands still.
@test "recover dies as it suspends one of two copies: nobody undoes this end alone behind that" {
	set_fake migrate twice
	all_die_at migrate.iterating
	fault host-a virDomainSuspend 1 hook:dying
	hook dying "exec $FAKE_DIR/bin/kill-all"
	run_sm_to_death recover
	no_faults
	set_fake ssh unreachable
	: >"$FAKE_DIR/log"
	recover_on host-a 5
	refute_called host-a 'virDomain(Attach|SetAutostart|Resume)'
}

# What nobody of ours saw, libvirt tells: it runs here because it was started again.
@test "all died before the switch-over, and libvirt runs both copies: no VF before the other host is seen" {
	set_fake migrate twice
	all_die_at migrate.iterating
	await 5 is_running host-a
	set_fake ssh unreachable
	run_sm recover --settle-timeout "$(patient 1)" --dry-run
	assert_says 'in doubt'
	: >"$FAKE_DIR/log"
	run_sm recover --settle-timeout "$(patient 1)"
	assert_exit 5
	refute_called 'host-.' 'virDomain(Resume|Destroy|Suspend|Attach|Detach)'
	# That is known from then on, whatever somebody does to the guest.
	on host-a grep -q '"switching": *true' "$(journal)"
	rm "$FAKE_DIR/set/ssh"
	run_sm recover
	assert_exit 5
	assert_called host-a virDomainSuspend
}

@test "a guest that libvirt had started again in an earlier move was not switched over in this one" {
	set_fake migrate error-finish
	run_sm vm-01 host-b
	assert_exit 1
	set_fake migrate error
	all_die_at migrate.iterating
	set_fake ssh unreachable
	recover_on host-a 1
	assert_hears host-a vm-01 "$MAC1"
	rm "$FAKE_DIR/set/ssh"
	recover_on host-b 0 1
	assert_unchanged
}

@test "a host whose libvirt has another UUID since it was started anew is known all the same" {
	set_fake migrate lost-destination
	all_die_at migrate.switched vm-01 host-b
	echo 4c4c4544-0000-4000-8000-0000000000ff >"$FAKE_DIR/host-b/uuid"
	recover_on host-a 1
	refute_says 'not the one of the interrupted run'
	assert_unchanged
}

@test "a new migration asks the host that the old one went to, not the one it goes to itself" {
	all_die_at migrate.finished --client-driven vm-01 host-b
	# The guest is on a third host, as far as host-a can know, which does not answer.
	on host-a sed -i -e 's/"peer_uuid":"[^"]*"/"peer_uuid":"4c4c4544-0000-4000-8000-00000000000c"/' \
		-e 's/"peer_id":"[^"]*"/"peer_id":"0 host-c"/' \
		-e 's/"text":"host-b"/"text":"host-c"/' "$(journal)"
	fake stop host-b vm-01
	: >"$FAKE_DIR/log"
	run_sm --settle-timeout "$(patient 1)" vm-01 host-b
	assert_exit 5
	assert_says 'in doubt'
	assert_state host-a vm-01 "3 (migration)"
	refute_called 'host-.' 'virDomain(Resume|Destroy|Suspend|Attach|Detach)'
}

@test "the guest was started anew meanwhile, on another VF: that one is its own" {
	all_die_after_detach
	fake stop host-a vm-01
	inactive_xml host-a vm-01 | sed "s/slot='0x10' function='0x2'/slot='0x10' function='0x6'/; \
		s/slot=\"0x10\" function=\"0x2\"/slot=\"0x10\" function=\"0x6\"/" >"$FAKE_DIR/anew.xml"
	fake define host-a "$FAKE_DIR/anew.xml"
	fake start host-a vm-01
	run_sm recover
	assert_exit 1
	[ "$(live_xml host-a vm-01 | vf_in)" = 01:10.6 ] || { live_xml host-a vm-01 | vf_in && return 1; }
	assert_hears host-a vm-01 "$MAC1"
	assert_no_entries host-a "$MAC1"
	assert_no_files
}

@test "the same, and the VF that it had is another guest's by now" {
	all_die_after_detach
	fake stop host-a vm-01
	fake stop host-a vm-02
	inactive_xml host-a vm-01 | sed "s/function=['\"]0x2['\"]/function='0x6'/" >"$FAKE_DIR/anew.xml"
	inactive_xml host-a vm-02 | sed "s/function=['\"]0x4['\"]/function='0x2'/" >"$FAKE_DIR/other.xml"
	fake define host-a "$FAKE_DIR/anew.xml" , define host-a "$FAKE_DIR/other.xml" , start host-a vm-01 , start host-a vm-02
	run_sm recover
	assert_exit 1
	[ "$(live_xml host-a vm-01 | vf_in)" = 01:10.6 ]
	[ "$(live_xml host-a vm-02 | vf_in)" = 01:10.2 ]
	assert_hears host-a vm-01 "$MAC1"
	assert_no_entries host-a "$MAC1"
	assert_no_files
}

# without_pair HOST: the guest has ended, and the operator starts it anew without its pair
without_pair() {
	fake stop "$1" vm-01
	inactive_xml "$1" vm-01 | tr '\n' ' ' | sed 's/<interface.*<\/interface>//' >"$FAKE_DIR/anew.xml"
	fake define "$1" "$FAKE_DIR/anew.xml" , start "$1" vm-01
}

@test "the guest was started anew without its pair: what was set for that goes, and nothing is attached" {
	all_die_after_detach
	without_pair host-a
	: >"$FAKE_DIR/log"
	run_sm recover
	assert_exit 1
	refute_called 'host-.' 'virDomain(Attach|Update)'
	assert_no_entries host-a "$MAC1"
	assert_no_files
}

@test "the same on a NIC that gives frames to one function" {
	stop_hosts
	rm -rf "$FAKE_DIR"
	NIC_DRIVER=ixgbe setup_hosts_and_guests
	all_die_after_detach
	without_pair host-a
	run_sm recover
	assert_exit 1
	assert_no_entries host-a "$MAC1"
	assert_no_files
}

@test "the same on the destination" {
	fault host-b virDomainAttachDeviceFlags 1 hook:die
	all_die_at die
	no_faults
	without_pair host-b
	: >"$FAKE_DIR/log"
	run_sm_on host-b recover
	assert_exit 0
	refute_called 'host-.' 'virDomain(Attach|Update)'
	assert_no_entries host-b "$MAC1"
	run_sm recover
	assert_no_files
}

@test "a guest that drives its VF already is given no entries that could make it deaf" {
	all_die_at driven
	: >"$FAKE_DIR/log"
	run_sm_on host-b recover
	assert_exit 0
	refute_called host-b 'nl.(self|fdb)-(add|replace)'
	run_sm recover
	assert_moved vm-01 "$MAC1"
}

@test "a new migration settles the old one first" {
	all_die_after_detach
	run_sm vm-01 host-b
	assert_exit 0
	assert_says 'interrupted'
	assert_moved vm-01 "$MAC1"
}

# The guest has ended, and the operator gives the domain another name.
rename_guest() {
	fake stop host-a vm-01
	local folder
	folder=$(echo "$FAKE_DIR"/host-a/domains/*0101)
	echo "$1" >"$folder/name"
	sed -i "s/<name>vm-01</<name>$1</" "$folder/inactive.xml"
}

@test "the domain was renamed meanwhile: recover knows it by its new name, too" {
	all_die_after_detach
	rename_guest vm-new
	run_sm recover vm-new
	assert_exit 1
	assert_no_entries host-a "$MAC1"
	assert_no_files
}

@test "the same, and it was started: a new migration settles the old one first" {
	all_die_after_detach
	rename_guest vm-new
	fake start host-a vm-new
	run_sm vm-new host-b
	assert_exit 0
	assert_says 'interrupted'
	assert_moved vm-new "$MAC1"
}

@test "so does reattach" {
	all_die_after_detach
	run_sm reattach vm-01
	assert_exit 0
	assert_hears host-a vm-01 "$MAC1"
	recover_on host-b 0 1
	assert_unchanged
}

@test "another domain's journal is nobody's concern" {
	all_die_after_detach
	run_sm recover vm-02
	assert_exit 0
	run ! guest_has_vf
	run_sm vm-02 host-b
	assert_exit 0
	assert_on_vf vm-02 "$MAC2"
}

@test "check and --dry-run look at a journal and leave it alone" {
	all_die_after_detach
	remember
	: >"$FAKE_DIR/log"
	run_sm --dry-run recover
	assert_exit 0
	assert_says 'vm-01'
	run_sm check vm-01 host-b
	assert_untouched
}

@test "journals are for root's eyes" {
	all_die_after_detach
	[ "$(on host-a stat -c %a "$(journal)")" = 600 ]
	[ "$(on host-a stat -c %a /var/lib/sriov-migrate)" = 700 ]
	on host-a grep -q hunter2 "$(journal)" || skip "no password in it"
}

@test "a journal of the life before a reboot: the taps and entries of that world are gone" {
	all_die_after_detach
	on host-a sed -i -E '1s/"boot": *"[^"]*"/"boot":"00000000-0000-0000-0000-000000000000"/' "$(journal)"
	# As a rebooted host: no guest, no entries.
	fake stop host-a vm-01
	on host-a bridge fdb del "$MAC1" dev uplink0 self
	: >"$FAKE_DIR/log"
	run_sm recover
	[ "$status" = 0 ] || assert_exit 1
	refute_called host-a 'nl\.'
	refute_called 'host-.' 'virDomain(Attach|Detach|Update|Resume|Destroy)'
	assert_no_files
	run_sm recover
	assert_exit 0
}

@test "a source that went down behind the guest gets no autostart back, however often that is settled" {
	fake autostart host-a vm-01
	all_die_at migrate.finished --client-driven vm-01 host-b
	fake stop host-a vm-01
	set_fake ssh unreachable
	for _ in 1 2 3; do
		run_sm recover --settle-timeout "$(patient 1)"
		assert_exit 5
		[ "$(domain_state host-a vm-01)" = 5 ]
	done
	rm "$FAKE_DIR/set/ssh"
	run_sm recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	[[ $(domain_state host-b vm-01) == *autostart ]]
}

@test "recover --dry-run does not stay behind for an unplug that may come late" {
	set_fake detach never
	run_sm --detach-timeout 1 --unplug-watch 60 vm-01 host-b
	assert_exit 1
	on host-a "$FAKE_DIR/bin/kill-agents" host-a
	journal_sum >"$FAKE_DIR/sum"
	: >"$FAKE_DIR/log"
	run_sm --dry-run recover
	assert_exit 0
	await 3 no_agents host-a
	journal_sum | diff "$FAKE_DIR/sum" -
	refute_called host-a 'virDomain(Attach|Detach|Update)'
}

@test "somebody else's self entries survive death and recovery" {
	on host-a bridge fdb add "$MAC1" dev uplink0 self
	on host-b bridge fdb add "$MAC1" dev wan0 self
	remember
	all_die_at migrate.iterating --client-driven vm-01 host-b
	run_sm recover
	assert_exit 1
	assert_unchanged
}

@test "somebody else's entry on the tap survives death and recovery" {
	on host-a bridge fdb replace "$MAC1" dev vmtap01 master static
	remember
	all_die_after_detach
	run_sm recover
	assert_exit 1
	assert_unchanged
}

@test "a last line that a crash cut off does no harm" {
	all_die_after_detach
	on host-a sh -c "printf '{\"step\": \"migr' >>'$(journal)'"
	run_sm recover
	assert_exit 1
	assert_unchanged
}

@test "check tells of what is to be settled, and touches nothing" {
	all_die_after_detach
	remember
	: >"$FAKE_DIR/log"
	run_sm check vm-01 host-b
	assert_says 'interrupted run left a journal'
	assert_untouched
	run_sm recover
	assert_exit 1
	run_sm check vm-01 host-b
	assert_exit 0
	refute_says 'interrupted'
}

@test "a signal while recover reaches for the other host: nothing is settled from one side" {
	all_die_after_detach
	set_fake ssh slow
	: >"$FAKE_DIR/log"
	: >"$FAKE_DIR/log.ssh"
	start_sm recover
	await 10 test -s "$FAKE_DIR/log.ssh"
	kill -INT "$(driver_pid)"
	wait_sm
	assert_exit 5
	assert_says 'vm-01 on .*stopped by a signal'
	refute_called 'host-.' 'virDomain(Attach|Update)'
	rm "$FAKE_DIR/set/ssh"
	run_sm recover
	assert_exit 1
	assert_unchanged
}

@test "recover --dry-run does not touch it" {
	all_die_after_detach
	on host-a sh -c "printf '{\"step\": \"migr' >>'$(journal)'"
	journal_sum >"$FAKE_DIR/sum"
	run_sm --dry-run recover
	assert_exit 0
	assert_says 'vm-01'
	journal_sum | diff "$FAKE_DIR/sum" -
	run_sm recover
	assert_exit 1
	assert_unchanged
}

journal_sum() {
	on host-a sha256sum "$(journal)"
}

@test "zeros that a power cut left at the end do no harm" {
	all_die_after_detach
	on host-a sh -c "head -c 100 /dev/zero >>'$(journal)'"
	run_sm recover
	assert_exit 1
	assert_unchanged
	assert_hears host-a vm-01 "$MAC1"
}

@test "a journal without a line: nothing was done, and nothing is in the way" {
	on host-a sh -c "mkdir -p /var/lib/sriov-migrate; : >'$(journal)'"
	run_sm --dry-run recover
	assert_exit 0
	on host-a test -f "$(journal)"
	run_sm recover
	assert_exit 0
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "a file that is no journal is not acted upon" {
	on host-a sh -c "mkdir -p /var/lib/sriov-migrate; head -c 5000 /dev/urandom | base64 >'$(journal)'"
	remember
	run_sm recover
	assert_exit 5
	assert_says 'damaged'
	assert_says 'by hand'
	assert_untouched
}

@test "another domain's journal under this one's name is not acted upon" {
	all_die_after_detach
	on host-a sh -c "cd /var/lib/sriov-migrate && mv '$(journal)' \
		7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0202.journal"
	remember
	: >"$FAKE_DIR/log"
	run_sm recover
	assert_exit 5
	assert_says 'another domain'
	assert_says 'by hand'
	assert_untouched
}

@test "the other host's journal is damaged: told" {
	all_die_at migrate.finished
	on host-b sed -i '2s/.*/garbage/' "$(journal)"
	run_sm recover
	assert_exit 5
	assert_says 'damaged'
	assert_says 'other host'
}

@test "a damaged journal is not acted upon" {
	all_die_after_detach
	on host-a sed -i '2s/.*/garbage/' "$(journal)"
	remember
	run_sm check vm-01 host-b
	assert_exit 3
	assert_says 'damaged'
	: >"$FAKE_DIR/log"
	run_sm recover vm-01
	assert_exit 5
	assert_says 'damaged'
	run_sm recover
	assert_exit 5
	assert_says 'damaged'
	assert_says 'recover|remove the file|by hand'
	assert_same host-a "$FAKE_DIR/before.a"
	refute_called host-a 'nl\.'
}

@test "a journal of a newer format is not acted upon" {
	all_die_after_detach
	on host-a sed -i -E '1s/"format": *1/"format":99/' "$(journal)"
	remember
	run_sm recover
	assert_exit 5
	assert_same host-a "$FAKE_DIR/before.a"
}

@test "nothing can be journalled: nothing is begun" {
	on host-a mount -t tmpfs -o ro none /var/lib
	run_sm vm-01 host-b
	[ "$status" = 1 ] || assert_exit 3
	assert_untouched
	assert_says '/var/lib'
}

# Hooks run outside of the hosts.
make_read_only() {
	echo "nsenter -t $(pid_of "$1") ${enter_user[*]} -m sh -c 'cd /var/lib &&
		mount --bind sriov-migrate sriov-migrate && mount -o remount,bind,ro sriov-migrate'"
}

@test "a journal cannot be removed at the end: said so, and recover does it later" {
	hook read-only "$(make_read_only host-a)"
	fault host-b virDomainAttachDeviceFlags 1 hook:read-only
	run_sm vm-01 host-b
	assert_exit 5
	assert_says "$(journal) cannot be removed"
	assert_on_vf vm-01 "$MAC1"
	recover_on host-a 5
	on host-a umount /var/lib/sriov-migrate
	recover_on host-a 0
	assert_moved vm-01 "$MAC1"
}

@test "the same behind a rollback" {
	set_fake migrate error
	hook migrate.iterating "$(make_read_only host-a)"
	run_sm vm-01 host-b
	assert_exit 5
	assert_says "$(journal) cannot be removed"
	on host-a umount /var/lib/sriov-migrate
	recover_on host-a 1
	assert_unchanged
}

@test "recover dies as well: the next one finishes" {
	all_die_after_detach
	fault host-a virDomainAttachDeviceFlags 1 hook:die-again
	hook die-again "exec $FAKE_DIR/bin/kill-all"
	run_sm_to_death recover
	run_sm recover
	assert_exit 1
	assert_unchanged
}
