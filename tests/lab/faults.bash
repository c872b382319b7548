# shellcheck shell=bash
# shellcheck disable=SC2154,SC2016 # what lib.bash sets; what the hosts expand
# SPDX-License-Identifier: GPL-2.0-or-later
# A fault at a named instant of a migration, and what must be true afterwards, whatever it
# was. "soak" and faults.bats are made of fault_case.

# What the guest may be without an answer, once, from the fault on: of somebody's death (of
# libvirtd's: from when it answers again), and of a silent cut while it is between the hosts. Before the switch-over a cut must not be felt:
# it may cost no more than a migration does.
export DEATH_MAX_MS=5000 CUT_MAX_MS=40000 UNFELT_MAX_MS=1500
fault_probe_ms=10
fault_trap=/run/lab/trap

# In the order in which they come; "client" instants exist where the client drives the move.
# shellcheck disable=SC2034
fault_instants=(prepare job-started first-iteration suspended perform-returned resumed
	finish-returned stopped leave-source before-attach attach attached)
# shellcheck disable=SC2034
fault_victims=(driver source-agent destination-agent agents source-libvirtd destination-libvirtd
	ssh cut)
# libvirt's own connection between the hosts; its daemons restarted in order
# shellcheck disable=SC2034
fault_more_victims=(tunnel source-restart destination-restart)

# INSTANT GUEST MODE: "ROLE FILE REGEX", whose line says that the instant has come.
fault_line_of()
{
	local calls=/run/lab/libvirtd.log

	[ "$3" = peer ] || calls=/run/lab/client.log
	case $1 in
	prepare) echo "source $calls : Prepare3 " ;;
	job-started) echo "source $calls : Perform3 " ;;
	first-iteration) echo "source /run/lab/libvirtd.log Migrating domain .* iteration 1" ;;
	suspended) echo "source /run/lab/libvirtd.log Transitioned guest $2 to paused" ;;
	perform-returned) echo "source $calls : Finish3 " ;;
	resumed) echo "destination /run/lab/libvirtd.log Transitioned guest $2 into running" ;;
	finish-returned) echo "source $calls : Confirm3 " ;;
	stopped) echo "source /run/lab/libvirtd.log : Shutting down vm=.* name=$2 " ;;
	leave-source) echo "source /run/lab/driver.err : step leave-source\$" ;;
	before-attach) echo "source /run/lab/driver.err : step give-vf\$" ;;
	attach) echo "source /run/lab/driver.err libvirt: attach to" ;;
	attached) echo "source /run/lab/driver.err libvirt: attach done" ;;
	at-*-ms) echo "source /run/lab/driver.err ." ;;
	*) fail "no such instant: $1" ;;
	esac
}

# Whether the guest stands still between the hosts at that instant.
fault_is_in_switch_over()
{
	[[ $1 == suspended || $1 == perform-returned ]]
}

fault_is_behind_switch_over()
{
	[[ $1 =~ ^(resumed|finish-returned|stopped|leave-source|before-attach|attach|attached)$ ]]
}

# VICTIM: lines "ROLE WHAT" for the traps.
fault_actions_of()
{
	case $1 in
	driver | ssh | tunnel) echo "source $1" ;;
	source-agent | destination-agent) echo "${1%-agent} agent" ;;
	agents) printf '%s agent\n' source destination ;;
	all) printf '%s\n' "source driver" "source agent" "destination agent" ;;
	source-libvirtd | destination-libvirtd) echo "${1%-libvirtd} libvirtd" ;;
	source-restart | destination-restart) echo "${1%-restart} restart" ;;
	source-off | destination-off) echo "${1%-off} off" ;;
	cut) echo "here cut" ;;
	*) fail "no such victim: $1" ;;
	esac
}

complain()
{
	complaints+=("$*")
}

# ---- traps

address_of()
{
	[ "$1" = host-a ] && echo 192.168.77.1 || echo 192.168.77.2
}

# libvirtd tells its debug log what it does; the agents' messages have a place.
fault_prepare_hosts()
{
	local host

	for host in "${lab_hosts[@]}"; do
		lab copy "$lab_test_dir/trap" "$host:$fault_trap" &&
			on "$host" 'pid=$(lab-libvirt status) && grep -qz ^LIBVIRT_LOG "/proc/$pid/environ" || {
				export LIBVIRT_LOG_FILTERS="1:qemu.qemu_migration 1:qemu.qemu_process"
				export LIBVIRT_LOG_OUTPUTS=1:file:/run/lab/libvirtd.log
				lab-libvirt restart
			}
			[ -S /dev/log ] || busybox syslogd -O /run/lab/syslog -s 2000' || return 1
	done
}

# HOST [TRAP-ARGUMENT...]: its notes, each with this machine's time, in trap.HOST.
trap_begin()
{
	local host=$1 notes=$BATS_TEST_TMPDIR/trap.$1 line

	shift
	line=$(printf '%q ' "$fault_trap" "$guest" "$(address_of "$(other_host "$host")")" "$@")
	: >"$notes"
	lab run "$host" "[ ! -e /run/lab/trap.pid ] || kill \$(cat /run/lab/trap.pid)
		: >/run/lab/libvirtd.log; : >/run/lab/driver.err; : >/run/lab/client.log; : >/run/lab/syslog
		rm -f /run/lab/libvirtd.back
		exec $line" </dev/null 2>&1 3>&- | while read -r line; do
		printf '%s %s\n' "$EPOCHREALTIME" "$line" >>"$notes"
	done 3>&- &
	trap_pids+=($!)
	wait_for 20 grep -q ' ready$' "$notes"
}

trap_end()
{
	local host

	for host in "${lab_hosts[@]}"; do
		on "$host" 'kill $(cat /run/lab/trap.pid) && rm /run/lab/trap.pid' 2>/dev/null || true
	done
	wait "${trap_pids[@]}" 2>/dev/null || true
	trap_pids=()
}

# INSTANT VICTIM MODE
traps_arm()
{
	local instant=$1 victim=$2 mode=$3 role file regex host delay=0 actions=() at what

	read -r role file regex < <(fault_line_of "$instant" "$guest" "$mode") || return 1
	[[ $instant != at-*-ms ]] || delay=${instant//[^0-9]/}
	[ "$role" = source ] && host=$src || host=$dst
	while read -r at what; do
		[[ $at == here || $at == "$role" ]] && at=here || at=peer
		actions+=("$at:$what")
	done < <(fault_actions_of "$victim")
	((${#actions[@]})) || return 1
	trap_begin "$(other_host "$host")" &&
		trap_begin "$host" "$file" "$regex" "$delay" "${actions[@]}"
	fired_notes=$BATS_TEST_TMPDIR/trap.$host
}

has_fired()
{
	grep -q ' fired ' "$fired_notes"
}

# ---- the run

# MODE: as program_begin; debug messages of driver and agents stay in the host.
fault_program_begin()
{
	local mode=$1 words=(sriov-migrate --json -v "$guest" "$dst") env=''

	[ "$mode" = peer ] || {
		words+=(--client-driven)
		env="export LIBVIRT_LOG_FILTERS=1:libvirt.domain
			export LIBVIRT_LOG_OUTPUTS=1:file:/run/lab/client.log"
	}
	: >"$events"
	lab run "$src" "$env
		echo \$\$ >/run/lab/driver.pid
		exec ${words[*]} 2>/run/lab/driver.err" </dev/null >"$events" 2>"$messages" 3>&- &
	program_pid=$!
}

program_has_ended()
{
	! kill -0 "$program_pid" 2>/dev/null
}

fired_or_over()
{
	has_fired || program_has_ended
}

# With a cut the other host's agent may have to wait for its end.
fault_heal()
{
	local host

	for host in "${lab_hosts[@]}"; do
		on "$host" 'tc filter del dev mgmt0 egress; tc filter del dev mgmt0 ingress' 2>/dev/null || true
	done
}

fault_pull_plug()
{
	local host

	case $1 in
	source-off) host=$src ;;
	destination-off) host=$dst ;;
	*) return 0 ;;
	esac
	lab off "$host"
}

# What settles by itself gets its time; then the network is whole and every host up again.
fault_let_settle()
{
	local victim=$1

	case $victim in
	cut)
		wait_for 45 no_agent_left 2>/dev/null || note_later cut-kept-45-s
		fault_heal
		;;
	source-off | destination-off)
		local host=$src
		[ "$victim" = source-off ] || host=$dst
		wait_for 30 no_agent_on "$(other_host "$host")" 2>/dev/null || true
		lab on "$host" 2>/dev/null || complain "$host does not come up again"
		;;
	esac
	[[ $victim == source-off ]] || wait_for 200 program_has_ended 2>/dev/null || {
		complain "the driver does not end"
		signal_driver "$src" KILL || true
	}
	program_end
	wait_for 100 no_agent_left 2>/dev/null || complain "an agent does not end"
}

note_later()
{
	remarks+=("$*")
}

# ---- the oracle

recover_on()
{
	local host=$1 status=0

	lab run -t 240 "$host" sriov-migrate recover </dev/null >>"$BATS_TEST_TMPDIR/recover.log" 2>&1 ||
		status=$?
	recovered+=("$status")
	[[ $status =~ ^[014]$ ]] || complain "recover on $host: $status"
}

# A host that was down knows when its guest was started; the other one when it ran.
ran_twice()
{
	awk 'FNR == 1 { side++ }
		$2 == "ran" { n[side]++; from[side, n[side]] = $3; to[side, n[side]] = $4 }
		END {
			for (i = 1; i <= n[1]; i++)
				for (k = 1; k <= n[2]; k++) {
					a = from[1, i] > from[2, k] ? from[1, i] : from[2, k]
					b = to[1, i] < to[2, k] ? to[1, i] : to[2, k]
					if (b - a > 0.8) {
						printf "for %.1f s from %.1f", b - a, a
						exit 0
					}
				}
			exit 1
		}' "$BATS_TEST_TMPDIR/trap.host-a" "$BATS_TEST_TMPDIR/trap.host-b"
}

# The longest time without an answer that ends behind the fault, counted from the fault.
silent_after()
{
	jq -r --argjson at "$1" '[.outages[]
		| (.start + .ms / 1000) as $until
		| select($until > $at)
		| ($until - ([.start, $at] | max)) * 1000 | round] | max // 0' <<<"$probe_report"
}

# How long after the fault libvirtd answered again.
libvirt_was_gone_ms()
{
	local host back

	case $1 in
	source-libvirtd | source-restart) host=$src ;;
	destination-libvirtd | destination-restart) host=$dst ;;
	*)
		echo 0
		return
		;;
	esac
	back=$(on "$host" cat /run/lab/libvirtd.back) || back=0
	awk -v at="$fault_at" -v back="$back" 'BEGIN {
		print (back > at && at > 0 ? int((back - at) * 1000) : 0) }'
}

fault_silence_limit()
{
	local instant=$1 victim=$2

	if [ "$victim" != cut ]; then
		echo $((DEATH_MAX_MS + $(libvirt_was_gone_ms "$victim")))
	elif fault_is_in_switch_over "$instant" || fault_is_behind_switch_over "$instant"; then
		echo "$CUT_MAX_MS"
	elif [[ $instant == at-*-ms ]]; then # may have hit the switch-over
		echo "$CUT_MAX_MS"
	else
		echo "$UNFELT_MAX_MS"
	fi
}

# What the driver said, if it lived to say something.
check_status()
{
	case $status in
	0 | 4) [ "$1" = "$dst" ] || complain "status $status, but the guest is on $1" ;;
	1 | 3 | 6) [ "$1" = "$src" ] || complain "status $status, but the guest is on $1" ;;
	5 | 137 | 255) ;;
	*) complain "exit status $status" ;;
	esac
}

# The file of a lock that its owner's death has released is nothing that is left: whoever wants the
# lock takes it.
forget_free_locks()
{
	local host

	for host in "${lab_hosts[@]}"; do
		on "$host" 'for lock in /run/sriov-migrate/*.lock; do
			[ ! -e "$lock" ] || flock -n "$lock" rm "$lock"
		done' || complain "a lock is held on $host"
	done
}

check_remains()
{
	local where=$1

	forget_free_locks
	if [ "$where" = "$src" ]; then
		assert_untouched "$guest" "$src" 2>>"$BATS_TEST_TMPDIR/checks" ||
			complain "the source is not as it was"
	else
		assert_moved "$guest" "$src" "$dst" 2>>"$BATS_TEST_TMPDIR/checks" ||
			complain "the move is not whole"
	fi
}

# Degraded is an outcome, and reattach cures it.
cure_degraded()
{
	local host=$1

	guest_is_on_vf "$guest" 2>/dev/null && return
	guest_is_on_standby "$guest" 2>>"$BATS_TEST_TMPDIR/checks" || complain "neither on VF nor on standby"
	note_later degraded
	lab run -t 120 "$host" sriov-migrate reattach "$guest" </dev/null \
		>>"$BATS_TEST_TMPDIR/recover.log" 2>&1 || complain "reattach fails"
}

# A host that goes down takes the guest that is on it along. Nobody starts it elsewhere; it is
# its own host's to start, and only that one's.
may_have_gone_down()
{
	case $2 in
	source-off) ! fault_is_behind_switch_over "$1" ;;
	destination-off) fault_is_behind_switch_over "$1" ;;
	*) false ;;
	esac
}

runs_nowhere()
{
	[ -z "$(list_domains | awk -v guest="$guest" '$3 == guest && $4 != "shut"')" ]
}

# What its bridges have learnt of it is theirs.
check_gone_guest()
{
	local host mac autostarts

	mac=$(sed -n "s/.*<mac address='\([^']*\)'.*/\1/p" "$lab_dir/guest/$guest.xml" | head -n 1)
	note_later "went down with its host"
	for host in "${lab_hosts[@]}"; do
		autostarts+=$(on "$host" "virsh -q list --all --autostart --name | grep -x $guest" | sed "s/.*/ $host/")
		on "$host" "! ls /var/lib/sriov-migrate/*.journal && ! bridge fdb show | grep $mac | grep -E 'self|static|permanent'" \
			>>"$BATS_TEST_TMPDIR/checks" 2>&1 || complain "something is left on $host"
	done
	[[ $autostarts =~ ^\ host-.$ ]] || complain "it is started at boot on:${autostarts:- none}"
	on "$src" virsh start "$guest" >>"$BATS_TEST_TMPDIR/checks" 2>&1 || complain "it does not start"
	wait_for 60 answers_to outside "$(guest_address "$guest")" 2>/dev/null || complain "no answer"
}

# Where the destination's libvirt dies, or is cut off, before it could say that the guest runs there, the
# source's resumes its copy. The program, which does not, stops that and leaves the choice to people.
libvirt_made_two()
{
	[[ $1 =~ ^(destination-libvirtd|destination-restart|tunnel|cut)$ ]] &&
		[ "$status" = 5 ] && [ "$(result .outcome)" = running-twice ] &&
		[ "$(on "$src" virsh -q domstate "$guest" | head -n 1)" = paused ] &&
		on "$src" "! grep -qs 'libvirt: resume' /run/lab/driver.err /run/lab/syslog"
}

# What sriov-migrate(8) tells them to do. The switch outside may have learnt the guest behind the source,
# whose copy had answered there, until the guest says something by itself.
end_source_copy()
{
	on "$src" virsh -q destroy "$guest" || complain "the source's copy could not be ended"
	recovered=()
	recover_on "$src"
	recover_on "$dst"
	lab guest exec "$guest" ping -c 1 -W 1 10.9.0.1 >/dev/null 2>&1 || true
}

# INSTANT VICTIM: everything that must be true now.
fault_judge()
{
	local instant=$1 victim=$2 where twice limit two=""

	recovered=()
	if libvirt_made_two "$victim"; then
		two=1
		note_later "libvirt made two of it, the source's was suspended and ended"
		end_source_copy
	else
		recover_on "$src"
		recover_on "$dst"
	fi
	where=$(find_guest "$guest") || where=""
	if [ -z "$where" ] && may_have_gone_down "$instant" "$victim" && runs_nowhere; then
		probe_end 2>/dev/null || true
		trap_end
		went_to=off
		check_gone_guest
		return 0
	fi
	[ -n "$where" ] || complain "$(list_domains | grep " $guest " | tr -s ' ' | paste -sd, -)"
	wait_for 30 answers_to outside "$(guest_address "$guest")" 2>/dev/null || complain "no answer"
	probe_end 2>/dev/null || complain "no report of the prober"
	trap_end
	silent_ms=$(silent_after "${fault_at:-0}") gap_ms=$(probe_figure .longest_ms)
	total_ms=$(probe_figure .total_ms) went_to=${where:-nowhere}
	[[ $victim == source-off ]] || check_status "$where"
	limit=$(fault_silence_limit "$instant" "$victim")
	[[ $victim == *-off ]] || ((silent_ms <= limit)) ||
		complain "silent for $silent_ms ms, more than $limit"
	! twice=$(ran_twice) || [ -n "$two" ] || complain "ran on both hosts $twice"
	[ -n "$where" ] || return 0
	cure_degraded "$where"
	check_remains "$where"
}

# The hosts as a case wants them, after one that went wrong.
fault_mend()
{
	local host

	fault_heal
	for host in "${lab_hosts[@]}"; do
		lab on "$host" 2>/dev/null
		on "$host" 'lab-libvirt start
			for exe in /proc/[0-9]*/exe; do
				case $(readlink "$exe") in
				*/sriov-migrate) exe=${exe%/exe}; kill -KILL "${exe#/proc/}" ;;
				esac
			done
			rm -f /var/lib/sriov-migrate/*' >/dev/null 2>&1 || true
	done
	"$lab_dir/baselines/restore" "$guest" host-a 3>&- >/dev/null 2>&1
}

# What is needed to understand it.
fault_keep_evidence()
{
	local dir=$1 host

	mkdir -p "$dir"
	cp "$BATS_TEST_TMPDIR"/* "$dir" 2>/dev/null
	echo "$probe_report" >"$dir/probe"
	printf '%s\n' "${complaints[@]}" >"$dir/complaints"
	for host in "${lab_hosts[@]}"; do
		on "$host" 'tail -n 400 /run/lab/driver.err; echo; echo --- syslog; cat /run/lab/syslog
			echo --- libvirtd; grep -E "Prepare3|Perform3|Finish3|Confirm3|Transitioned|Shutting|changed state" \
				/run/lab/libvirtd.log; cat /run/lab/client.log
			virsh list --all; head -c 2000 /var/lib/sriov-migrate/*.journal' >"$dir/$host.log" 2>&1
	done
}

# GUEST INSTANT VICTIM MODE: one case; its line is in $fault_line. 1: something is not as it
# must be, the evidence is in $fault_evidence if that is set. 2: the instant was not hit.
fault_case()
{
	local guest=$1 instant=$2 victim=$3 mode=$4 began=$SECONDS fault_at missed
	local silent_ms=- gap_ms=- total_ms=- went_to=- host
	complaints=() remarks=() recovered=() trap_pids=()

	rm -f "$BATS_TEST_TMPDIR"/*
	src=$(find_guest "$guest") || src="host-a"
	dst=$(other_host "$src")
	ensure_guest "$guest" "$src" >/dev/null 2>&1 || fault_mend
	lab sync 2>/dev/null
	[[ $victim != *-off ]] || on "$src" virsh -q autostart "$guest"
	take_look before
	traps_arm "$instant" "$victim" "$mode" || return 1
	lab probe stop bats >/dev/null 2>&1
	lab probe start bats "$(guest_address "$guest")" --interval "$fault_probe_ms"
	fault_program_begin "$mode"
	wait_for 90 fired_or_over 2>/dev/null
	fault_at=$(awk '$2 == "fired" { print $1; exit }' "$fired_notes")
	[ -z "$fault_at" ] || fault_pull_plug "$victim"
	[ -n "$fault_at" ] || remarks+=("the instant did not come")
	fault_let_settle "$victim"
	missed=$(awk '$2 == "missed" { print $3 }' "$fired_notes" | paste -sd, -)
	fault_judge "$instant" "$victim"
	[ -z "$missed" ] || remarks+=("nobody to kill: $missed")
	printf -v fault_line '%s %s %s %s %s->%s on=%s status=%s recover=%s silent_ms=%s longest_ms=%s total_ms=%s took_s=%d%s%s' \
		"$guest" "$instant" "$victim" "$mode" "$src" "$dst" "$went_to" "$status" \
		"$(IFS=/; echo "${recovered[*]}")" "$silent_ms" "$gap_ms" "$total_ms" $((SECONDS - began)) \
		"${remarks[*]:+ (${remarks[*]})}" "${complaints[*]:+ BAD: $(IFS=';'; echo "${complaints[*]}")}"
	if ((${#complaints[@]})); then
		[ -z "${fault_evidence-}" ] || fault_keep_evidence "$fault_evidence"
		fault_mend
		return 1
	fi
	[[ $went_to == "$src" || $went_to == off ]] || flush_nic "$src" >/dev/null 2>&1
	[[ $victim != *-off ]] || for host in "${lab_hosts[@]}"; do
		on "$host" virsh -q autostart --disable "$guest" 2>/dev/null || true
	done
	[ -n "$fault_at" ] && [ -z "$missed" ] || return 2
}
