#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Faults at every step of a move. What there is to disturb is not written down here: the
# program's plan (--dry-run) gives the steps of each host, and a move that succeeds is recorded,
# whose log says which calls each of them makes. From that come the cells:
#
#   PAIRS/STEP@HOST/FAULT/INSTANT/UNDO
#
#   PAIRS    a domain and a NIC, see set_up
#   FAULT    see arm; "libvirt:" is an outcome of the migration that tests/fake/migrate.c describes
#   INSTANT  CALL.NTH, the Nth time that HOST makes the call, or a name of tests/fake/migrate.c
#   UNDO     undo-works, or undo-fails: behind the fault the first call of each kind fails
#
# Whatever happens, one routine (judge) says whether it ended well.
#
#   matrix.t            the short matrix: each fault at each step; number of pairs and fate of the
#                       undo take turns
#   matrix.t --all      the product of those
#   matrix.t --every    the product with every instant that there is; hours
#   matrix.t --list …   names of the cells, and nothing else
#   matrix.t CELL…      these; patterns as in [[ ]] are taken from --every
#
# MATRIX_JOBS says how many cells run at once (most of their time is waiting). A cell that fails
# shows both hosts, and the command that repeats it.
set -u

bats_require_minimum_version() { :; }
skip() {
	echo "1..0 # SKIP $*"
	exit 0
}
run() {
	[ "$1" != --separate-stderr ] || shift
	status=0
	output=$("$@" 2>"$FAKE_DIR/run.err") || status=$?
	stderr=$(cat "$FAKE_DIR/run.err")
}

# By hand it is started where the program was built.
[ -n "${abs_top_builddir-}" ] || [ ! -x sriov-migrate ] || abs_top_builddir=$PWD
# shellcheck source=tests/lib/hosts.bash
. "${BASH_SOURCE[0]%/*}/lib/hosts.bash"

work=$(mktemp -d)
main_pid=$BASHPID
trap '[ $BASHPID != $main_pid ] || rm -rf "$work" 2>/dev/null' EXIT
# The cells end with this process; their hosts end with them.
trap '[ $BASHPID != $main_pid ] || kill $(jobs -p) 2>/dev/null; exit 130' INT TERM HUP

# ---- the hosts ----

all_pairs=(one two one-deaf two-refused one-qemu)

# What a name of PAIRS means.
choose_pairs() {
	domain=vm-01 macs=("$MAC1") vfs=(1) NIC_DRIVER=igb move=("${usual[@]}")
	case $1 in
	two*) domain=vm-03 macs=(52:54:00:00:12:73 52:54:00:00:12:74) vfs=(3 4) ;;
	esac
	case $1 in
	*-deaf) NIC_DRIVER=ixgbe ;;    # the uplink's entry makes the VF deaf
	*-refused) NIC_DRIVER=mlx5_core ;; # the uplink's entry and the VF exclude each other
	*-qemu) move+=(--unplug=qemu) ;;
	esac
}

# set_up PAIRS: both hosts and the guest; sets domain, macs
set_up() {
	local i
	choose_pairs "$1"
	start_hosts >/dev/null || return
	# A MAC that libvirt puts back when the VF leaves the guest, and the move has to clear.
	for i in "${!vfs[@]}"; do
		fake vf host-a pf0 "${vfs[i]}" "${macs[i]}" >/dev/null
	done
	start_guest "$domain"
	fake autostart host-a "$domain"
	remember
	no_faults
	: >"$FAKE_DIR/log"
	rm -f "$FAKE_DIR"/counts/*
}

usual=(--json --detach-timeout 2 --proof-timeout 2 --request-timeout 3 --timeout 15
	--settle-timeout 20 --unplug-watch 8)

# ---- recording ----

looks='^(virConnect|virNetwork|virDomain(Get|Lookup|Is|Interface))'

# Turns a log into lines "STEP@HOST CALL.NTH KIND"; KIND is change, look or instant.
split_log() {
	awk -v looks="$looks" '
		$2 == "-" && $3 == "instant" && began { print began, $4, "instant" }
		$3 !~ /^(vir|nl\.|journal)/ { next }
		{ n[$2 $3]++ }
		$3 == "journal" && $4 == "begun" { at[$2] = began = $5 "@" $2 }
		!at[$2] { next }
		{ print at[$2], $3 "." n[$2 $3], $3 ~ looks ? "look" : "change" }' "$1"
}

# record PAIRS: $work/PAIRS.plan, .calls, .after.a and .after.b
record() {
	local to=$work/$1
	BATS_TEST_TMPDIR=$work/record.$1
	mkdir "$BATS_TEST_TMPDIR"
	set_up "$1" || return
	run_sm "${move[@]}" --dry-run "$domain" host-b
	jq -r 'select(.event == "planned-step") | .step + "@" + .host' <<<"$output" >"$to.plan"
	: >"$FAKE_DIR/log"
	rm -f "$FAKE_DIR"/counts/*
	run_sm "${move[@]}" "$domain" host-b
	[ "$status" = 0 ] || {
		show_run
		return 1
	}
	split_log "$FAKE_DIR/log" >"$to.calls"
	snapshot host-a >"$to.after.a"
	snapshot host-b >"$to.after.b"
	stop_hosts
	rm -rf "$BATS_TEST_TMPDIR"
}

# Each step that the program has is planned for some pairs, and each one planned is recorded.
check_record() {
	local half step
	for half in $(sort -u "$work"/*.plan); do
		grep -q "^$half " "$work"/*.calls || echo "$half is planned and was not seen"
	done
	for step in $(names_of_steps); do
		grep -q "^$step@" "$work"/*.plan || echo "no move here has the step $step"
	done
}

# In the program's table.
names_of_steps() {
	grep -oE '^	\{ "[a-z-]+", "|step_[a-z_]+\[\] = "[a-z-]+"' "$tests_dir/../src/core/steps.c" |
		grep -oE '"[a-z-]+"' | tr -d '"'
}

# ---- the cells ----

ways=(error partial hang kill-driver kill-source kill-destination kill-all kill-all-alone
	input-source input-destination cut silence stop-driver restart-libvirt)

# While the migration itself ends badly.
ways_meanwhile=(kill-driver cut kill-all-alone kill-source kill-destination kill-all silence)

# When each fault can happen, as lines "HALF WAY INSTANT", those of the product that the short
# matrix leaves out with a word "more" behind: instants PAIRS
instants() {
	awk -v ways="${ways[*]}" '
		FILENAME ~ /plan$/ { if (!seen[$1]++) half[++halves] = $1; next }
		$3 == "instant" && !known[$1, $2]++ { instant[$1, ++i[$1]] = $2 }
		$3 == "look" { look[$1] = $2 }
		$3 == "change" && $2 ~ /^journal/ { journal[$1, ++j[$1]] = $2 }
		$3 == "change" && $2 !~ /^journal/ { change[$1, ++c[$1]] = $2 }
		function put(what, is_short) { print h, way, what (is_short ? "" : " more") }
		function put_half(    k) {
			for (k = 1; k <= c[h]; k++)
				put(change[h, k], k == c[h])
			if (way == "hang" || way == "error")
				if (h in look)
					put(look[h], !c[h])
			if (way != "hang")
				for (k = 1; k <= j[h]; k++)
					put(journal[h, k], way != "partial" && k == 1 && !c[h])
			if (way == "hang" || way == "error" || way == "partial")
				return
			# Those that take long to be noticed get the middle one only.
			for (k = 1; k <= i[h]; k++)
				put(instant[h, k], way ~ /^(kill-[^-]*|cut)$/ || k == int((i[h] + 1) / 2))
		}
		END {
			n = split(ways, list)
			for (x = 1; x <= halves; x++)
				for (w = 1; w <= n; w++) {
					h = half[x]
					way = list[w]
					put_half()
				}
		}' "$work/$1.plan" "$work/$1.calls"
}

# Reads them: instants_of["PAIRS HALF WAY"] is a list of instants.
declare -A instants_of=()
read_instants() {
	local pairs half way instant more
	for pairs in "${all_pairs[@]}"; do
		while read -r half way instant more; do
			[ -n "$more" ] && [ -z "$every" ] ||
				instants_of["$pairs $half $way"]+=" $instant"
		done < <(instants "$pairs")
	done
}

halves() {
	awk '!seen[$0]++' "$work/$1.plan"
}

outcomes() {
	sed -n '/"migrate" says/,/prepare_ms/s/^ \*   \([a-z-]*\) .*/\1/p' "$tests_dir/fake/migrate.c" |
		grep -vxE 'done|endless|goes-on'
}

# QEMU gives no VF back to a guest that it had sent already: that is for people to mend.
gives_back() {
	[[ $pairs != one-qemu || $1 != @(error-finish|lost-destination) ]]
}

# also_dies OUTCOME WAY: the migration ends badly, and something else goes wrong meanwhile
also_dies() {
	local instant=migrate.iterating
	case $1 in
	error-connect | error-prepare) instant=${instants_of["$pairs migrate@host-a hang"]# } ;;
	esac
	echo "$pairs/migrate@host-a/libvirt:$1+$2/$instant/$undo"
}

on_plan() {
	grep -qx "$2" "$work/$1.plan"
}

# What only some NICs need, or what differs for them: differs PAIRS HALF
differs() {
	case $1 in
	one | two) ;;
	one-qemu) ! on_plan one "$2" || [[ $2 == @(migrate|give-vf)@* ]] ;;
	*) ! on_plan one "$2" || [[ $2 == @(detach|give)-vf@* ]] ;;
	esac
}

product() {
	local pairs half way instant undo outcome
	for undo in undo-works undo-fails; do
		for pairs in "${all_pairs[@]}"; do
			for half in $(halves "$pairs"); do
				differs "$pairs" "$half" || continue
				for way in "${ways[@]}"; do
					for instant in ${instants_of["$pairs $half $way"]-}; do
						echo "$pairs/$half/$way/$instant/$undo"
					done
				done
			done
			[[ $pairs == *-@(deaf|refused) ]] || for outcome in $(outcomes); do
				gives_back "$outcome" || continue
				echo "$pairs/migrate@host-a/libvirt:$outcome/-/$undo"
				for way in "${ways_meanwhile[@]}"; do
					also_dies "$outcome" $way
				done
			done
		done
	done
}

# Number of pairs and undo by turns.
turn() {
	case $(($1 % 4)) in
	0) pairs=one undo=undo-works ;;
	1) pairs=two undo=undo-fails ;;
	2) pairs=one undo=undo-fails ;;
	3) pairs=two undo=undo-works ;;
	esac
}

short() {
	local h=0 w n=0 half way instant pairs undo outcome
	for half in $(halves one); do
		((++h))
		w=0
		for way in "${ways[@]}"; do
			turn $((h + w++))
			for instant in ${instants_of["$pairs $half $way"]-}; do
				echo "$pairs/$half/$way/$instant/$undo"
			done
		done
	done
	for outcome in $(outcomes); do
		for way in '' "${ways_meanwhile[n % 7]}"; do
			turn $((n++))
			if [ -n "$way" ]; then
				also_dies "$outcome" $way
			else
				echo "$pairs/migrate@host-a/libvirt:$outcome/-/$undo"
			fi
		done
		((n++))
	done
	pairs=one-qemu
	for outcome in $(outcomes); do
		gives_back "$outcome" || continue
		undo=undo-$( ((n++ % 2)) && echo fails || echo works)
		echo "$pairs/migrate@host-a/libvirt:$outcome/-/$undo"
	done
	for pairs in one-deaf two-refused one-qemu; do
		for half in $(halves "$pairs"); do
			for way in "${ways[@]}"; do
				differs $pairs "$half" || continue
				[[ $pairs != two* || $way == @(error|kill-all) ]] || continue
				! on_plan one "$half" || [[ $way == @(error|kill-all) ]] ||
					[[ $pairs/$way == one-qemu/@(hang|kill-source|silence) ]] || continue
				undo=undo-$( ((n++ % 2)) && echo fails || echo works)
				for instant in ${instants_of["$pairs $half $way"]-}; do
					echo "$pairs/$half/$way/$instant/$undo"
				done
			done
		done
	done
}

# ---- one cell ----

# strike INSTANT HOST COMMANDS: runs them then, and the world waits meanwhile
strike() {
	local name=strike
	case $1 in
	*.*[0-9]) fault "$2" "${1%.*}" "${1##*.}" hook:strike ;;
	*) name=$1 ;;
	esac
	hook "$name" ": >'$FAKE_DIR/struck'; rm -f '$FAKE_DIR/hooks/$name'; $3"
}

# Sets the trap: arm WAY INSTANT HOST
arm() {
	local way=$1 instant=$2 host=$3 call code
	call="${instant%.*} ${instant##*.}"
	case $instant in
	nl.*) code=105 ;;     # ENOBUFS
	journal.*) code=28 ;; # ENOSPC
	*) code=1 ;;          # internal error
	esac
	case $way in
	error) fault "$host" $call error:$code ;;
	partial) fault "$host" $call late-error:$code ;;
	hang) fault "$host" $call stuck ;;
	kill-driver) strike "$instant" "$host" "kill -9 \$(cat $FAKE_DIR/driver.pid); sleep 0.1" ;;
	kill-source) strike "$instant" "$host" "$FAKE_DIR/bin/kill-agents host-a" ;;
	kill-destination) strike "$instant" "$host" "$FAKE_DIR/bin/kill-agents host-b; sleep 0.1" ;;
	kill-all | kill-all-alone) strike "$instant" "$host" "$FAKE_DIR/bin/kill-all" ;;
	# Noticed with the next heartbeat.
	input-source) strike "$instant" "$host" "echo cut >$FAKE_DIR/set/host-a.input; sleep 2.2" ;;
	input-destination) strike "$instant" "$host" "echo cut >$FAKE_DIR/set/host-b.input; sleep 2.2" ;;
	cut) strike "$instant" "$host" "kill -9 \$(tail -n 1 $FAKE_DIR/ssh.pids); sleep 0.1" ;;
	silence) strike "$instant" "$host" "echo silent >$FAKE_DIR/set/link" ;;
	stop-driver) strike "$instant" "$host" "kill -STOP \$(cat $FAKE_DIR/driver.pid)" ;;
	restart-libvirt) strike "$instant" "$host" "$(libvirt_goes_away "$host")" ;;
	libvirt:*+*)
		way=${way#libvirt:}
		set_fake migrate "${way%+*}"
		arm "${way#*+}" "$instant" "$host"
		;;
	libvirt:*)
		set_fake migrate "${way#libvirt:}"
		: >"$FAKE_DIR/struck"
		;;
	esac
}

is_on_both() {
	[ -n "$(live_xml host-a "$domain" 2>/dev/null)" ] && [ -n "$(live_xml host-b "$domain" 2>/dev/null)" ]
}

# Two copies, and the source's stands still: an agent may wait until somebody has chosen.
is_for_a_human() {
	[[ $way == libvirt:twice* ]] && is_on_both && runs_on host-b && ! runs_on host-a
}

nothing_is_held() {
	local host
	for host in host-a host-b; do
		on $host sh -c 'for lock in /run/sriov-migrate/domain-*.lock; do
			[ ! -e "$lock" ] || flock -n "$lock" true || exit 1; done' || return
	done
}

# at_rest SECONDS: the agents have ended, or have not within that time, and go on asking "recover" for what
# they cannot do yet: a VF that failed is not tried again soon on some NICs, the other host may be silent.
# They hold nothing between.
at_rest() {
	if ! await "$1" no_agents 2>/dev/null && ! is_for_a_human && ! await 90 nothing_is_held; then
		echo "the agents do not end: $(agents)"
		return 1
	fi
	# Who asks starts others to ask with, and they end.
	[ "$(agents | wc -l)" -le 6 ] || { echo "the agents multiply: $(agents)" && return 1; }
}

driver_ended() {
	is_gone "$sm_pid"
}

# Waits for the end of the driver and of those who outlive it; sets status.
see_it_through() {
	local way=$1
	start_sm "${move[@]}" "$domain" host-b
	if [ "$way" = stop-driver ]; then
		await 30 test -e "$FAKE_DIR/struck" && at_rest 60 || return
		kill -CONT "$(driver_pid)"
	fi
	await 150 driver_ended || {
		echo "the driver does not end"
		kill -9 "$(driver_pid)"
		return 1
	}
	wait_sm
	# An agent goes on asking "recover", whose agents would hear nothing either.
	rm -f "$FAKE_DIR/set/link" "$FAKE_DIR"/set/*.input
	: >"$FAKE_DIR/released"
	at_rest 100 || return
	! grep -q 'migration starts' "$FAKE_DIR/log" ||
		await 20 grep -q 'migration ends' "$FAKE_DIR/log" ||
		{ echo "libvirt's migration does not end" && return 1; }
	[ -e "$FAKE_DIR/struck" ] || { echo "the fault did not happen" && return 1; }
	# A daemon that is being started anew comes up.
	await 10 sh -c "! ls $FAKE_DIR/set/*.connect 2>/dev/null"
	rm -f "$FAKE_DIR"/set/migrate "$FAKE_DIR/faults"
}

# ---- what has to come out ----

# What may differ: some PFs refuse the zero MAC, and another one that is nobody's takes its place;
# libvirt counts the VFs of a domain in the order in which they came.
normalized() {
	sed -E 's/ mac 02:00:00:00:00:00 / mac 00:00:00:00:00:00 /; s/(live .*alias name="hostdev)[0-9]+/\1/
		/'"${ignored:-^$}"'/d' | sort
}

looks_like() {
	snapshot "$1" | normalized >"$FAKE_DIR/now"
	normalized <"$2" | diff -u - "$FAKE_DIR/now" && return
	echo "$1 is not as it is to be"
	return 1
}

is_before() {
	looks_like "$1" "$FAKE_DIR/before.${1#host-}"
}

is_after() {
	looks_like "$1" "$work/$pairs.after.${1#host-}"
}

all_hear() {
	local mac
	for mac in "${macs[@]}"; do
		assert_hears "$1" "$domain" "$mac" || return
	done
}

runs_on() {
	local now
	now=$(domain_state "$1" "$domain")
	[ "${now% autostart}" = 1 ]
}

# One copy, with a path for each pair.
one_copy_hears() {
	if runs_on host-a && runs_on host-b; then
		echo "it runs twice"
		return 1
	fi
	if runs_on host-a; then
		all_hear host-a
	elif runs_on host-b; then
		all_hear host-b
	else
		echo "it runs nowhere: $(domain_state host-a "$domain")/$(domain_state host-b "$domain")"
		return 1
	fi
}

# Neither running nor anything left of the move, as after a guest's own end.
is_off() {
	local mac
	! runs_on host-a && ! runs_on host-b || { echo "it runs" && return 1; }
	for mac in "${macs[@]}"; do
		assert_no_entries host-a "$mac" && assert_no_entries host-b "$mac" || return
	done
}

# may_leave_files WAY UNDO: who lost an agent that met errors when it settled alone cannot know
# of the journal that it keeps for recover
may_leave_files() {
	[ "$2" = undo-fails ] || return
	case $1 in
	input-* | cut | silence | stop-driver | *+cut | *+silence) true ;;
	*) false ;;
	esac
}

# The exit status is the truth about the hosts as they are now: status_is_true WAY UNDO
status_is_true() {
	local way=$1 ignored=''
	! may_leave_files "$@" || ignored='^file '
	case $way in
	kill-driver | kill-all* | *+kill-driver | *+kill-all*) return ;;
	libvirt:guest-ends* | libvirt:dies-after*)
		[[ $status == [15] ]] || { echo "exit $status" && return 1; }
		return
		;;
	libvirt:twice*)
		is_on_both && [ "$status" = 5 ] && return
		;;
	esac
	case $status in
	0) is_after host-a && is_after host-b ;;
	1)
		is_before host-a && all_hear host-a || return
		# An agent that is lost is told of as lost, and its host settled by recover.
		case $way in
		kill-destination | cut | silence | input-destination | *+cut | *+silence) true ;;
		*) is_before host-b ;;
		esac
		;;
	3 | 6) is_before host-a && is_before host-b ;;
	4) runs_on host-b && all_hear host-b && ! is_after host-b >/dev/null ;;
	5) grep -q '"outcome"' <<<"$output" || [ -n "$stderr" ] ;;
	*) false ;;
	esac && return
	echo "exit $status is not true"
	return 1
}

# No host may do anything about a domain whose whereabouts it cannot know.
alone_is_harmless() {
	local host
	set_fake ssh unreachable
	for host in host-a host-b; do
		run_sm_on $host recover
		said+=" $host-alone:$status"
		[[ $status == [0145] ]] || { show_run && return 1; }
		at_rest 15 || return
	done
	rm "$FAKE_DIR/set/ssh"
}

nothing_left() {
	assert_no_files >/dev/null
}

# recover on both hosts, as often as the undo is told to fail.
recover_both() {
	local host round rounds=1
	[ "$1" = undo-works ] || rounds=6
	for ((round = 1; round <= rounds; round++)); do
		for host in host-a host-b; do
			run_sm_on $host recover
			said+=" $host:$status"
			[[ $status == [0145] ]] || { show_run && return 1; }
			# One may watch for a late unplug.
			at_rest 15 || return
		done
		nothing_left && return
	done
	# A VF that failed is not tried again so soon on some NICs, unless somebody asks for it.
	host=host-a
	! runs_on host-b || host=host-b
	[ "$1" = undo-works ] || for ((round = 1; round <= rounds; round++)); do
		run_sm_on $host reattach "$domain"
		said+=" $host-reattach:$status"
		nothing_left && return
	done
	echo "recover leaves something"
	show_run
	assert_no_files
}

ended_well() {
	case $1 in
	libvirt:guest-ends* | libvirt:dies-after*) is_off && assert_no_files && return ;;
	esac
	if runs_on host-b; then
		is_after host-a && is_after host-b && all_hear host-b
	else
		is_before host-a && is_before host-b && all_hear host-a
	fi
}

never_ran_twice() {
	[[ $1 == libvirt:twice* ]] || ! grep 'runs twice' "$FAKE_DIR/log"
}

# Of two copies the source's has to stand still; only a human can say which one is to live.
one_is_ended() {
	local i
	is_on_both || return 0
	for ((i = 0; i < 3; i++)); do
		! is_for_a_human || no_agents || break
		run_sm_on host-a recover
		said+=" host-a:$status"
		[ "$status" = 5 ] || { show_run && return 1; }
		runs_on host-a || break
	done
	is_for_a_human && all_hear host-b || return
	fake stop host-a "$domain"
	await 150 no_agents
}

# judge WAY UNDO
judge() {
	local way=$1 undo=$2
	never_ran_twice "$way" || return
	status_is_true "$way" "$undo" || return
	case $way in
	*kill-all-alone) alone_is_harmless || return ;;
	esac
	[[ $way != libvirt:twice* ]] || one_is_ended || return
	recover_both "$undo" && ended_well "$way" && never_ran_twice "$way" &&
		await 60 no_agents # who has asked finds nothing any more
}

show_hosts() {
	local host
	echo "--- the driver said"
	grep -hvE '"event":"(plan|step|progress)"' "$FAKE_DIR"/{stdout,stderr}
	for host in host-a host-b; do
		echo "--- $host"
		snapshot $host | grep -E '^(domain [^ ]* [0-9a-f-]* state|vf|fdb|file) ' | grep -v 'mac 02'
		on $host sh -c 'tail -n +2 /var/lib/sriov-migrate/*.journal 2>/dev/null'
	done
	echo "--- log, without looking"
	grep -vE " ${looks#^}" "$FAKE_DIR/log"
	cat "$FAKE_DIR/background.err" 2>/dev/null
}

# Runs a cell in a directory of its own; its output is what is to be shown.
run_cell() {
	local cell=$1 pairs half way instant undo said='' ok=0 started=$SECONDS status='' output='' stderr=''
	IFS=/ read -r pairs half way instant undo <<<"$cell"
	BATS_TEST_TMPDIR=$2
	mkdir "$2"
	set_up "$pairs" || return
	[ "$undo" = undo-works ] || set_fake then-fail 1
	arm "$way" "$instant" "${half#*@}"
	see_it_through "$way" && said="driver:$status" && judge "$way" "$undo" || ok=1
	assert_no_complaints || ok=1
	if [ $ok = 0 ]; then
		echo "# $said, $((SECONDS - started)) s"
	else
		show_run
		show_hosts
		echo "came out: $said, after $((SECONDS - started)) s"
		echo "again: (cd $build_dir && $tests_dir/matrix.t '$cell')"
	fi
	stop_hosts
	[ $ok != 0 ] || rm -rf "$2" 2>/dev/null
	return $ok
}

# ---- all of them ----

start_cell() {
	local n=$1 cell=$2
	(
		trap - INT TERM HUP
		run_cell "$cell" "$work/$n" >"$work/$n.out" 2>&1
		echo $? >"$work/$n.status"
	) &
	cell_of[$!]=$n
}

# Waits for any one and tells of it.
end_cell() {
	local pid='' n
	# Not every child is a cell.
	until [ -n "$pid" ] && [ -n "${cell_of[$pid]-}" ]; do
		wait -n -p pid
	done
	n=${cell_of[$pid]}
	unset "cell_of[$pid]"
	((++told))
	if [ "$(cat "$work/$n.status" 2>/dev/null)" = 0 ]; then
		echo "ok $told - ${cells[n]}"
	else
		((++failures))
		echo "not ok $told - ${cells[n]}"
	fi
	sed 's/^\(# \)\?/# /' "$work/$n.out"
	rm -f "$work/$n."{out,status}
}

run_cells() {
	local n jobs=${MATRIX_JOBS:-$((6 * $(nproc)))}
	declare -A cell_of=()
	told=0 failures=0
	echo "1..${#cells[@]}"
	for n in "${!cells[@]}"; do
		((${#cell_of[@]} < jobs)) || end_cell
		start_cell "$n" "${cells[n]}"
	done
	while ((${#cell_of[@]})); do
		end_cell
	done
	echo "# $told cells, $failures of them not as they should be, $SECONDS s"
	[ $failures = 0 ]
}

# Those that wait long first, so that none is left alone at the end.
long_first() {
	sed -E 's,^[^/]*/[^/]*/([^/]*\+)?(hang|silence|stop-driver)/,1 &,; t; s/^/2 /' |
		sort -s -k1,1 | cut -d' ' -f2
}

pick() {
	local pattern cell
	while read -r cell; do
		for pattern; do
			# shellcheck disable=SC2053
			[[ $cell == $pattern ]] && echo "$cell"
		done
	done
}

main() {
	local list='' kind=short every='' pairs missing cells=()
	while :; do
		case ${1-} in
		--list) list=1 ;;
		--all) kind=product ;;
		--every) kind=product every=1 ;;
		*) break ;;
		esac
		shift
	done
	[[ $# == 0 || "$*" == *[*?[]* ]] || {
		cells=("$@")
		mapfile -t all_pairs < <(printf '%s\n' "${cells[@]%%/*}" | sort -u)
	}
	[ -z "${VALGRIND-}" ] || skip "the limits here are too short for valgrind"
	require_programs || exit 1
	require_namespaces
	for pairs in "${all_pairs[@]}"; do
		record "$pairs" >"$work/record.$pairs.out" 2>&1 &
	done
	wait
	missing=$(cat "$work"/record.*.out && [ ${#cells[@]} != 0 ] || check_record)
	[ -z "$missing" ] || {
		printf '1..1\nnot ok 1 - a move can be recorded\n'
		sed 's/^/# /' <<<"$missing"
		exit 1
	}
	[ $# = 0 ] || every=1
	read_instants
	if [ ${#cells[@]} != 0 ]; then
		: # named one by one
	elif [ $# -gt 0 ]; then
		mapfile -t cells < <(product | pick "$@")
	else
		mapfile -t cells < <($kind | long_first)
	fi
	[ -z "$list" ] || {
		printf '%s\n' "${cells[@]}"
		exit 0
	}
	run_cells
}

main "$@"; exit # in one: the file may be edited meanwhile
