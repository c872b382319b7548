# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Two pretended hosts for one test, in network and mount namespaces of their own. Bridges, taps,
# veth pairs and forwarding entries are real; libvirt and what needs an SR-IOV NIC are made up
# by tests/fake. A third namespace is the switch between them.
#
#   host-a  PF pf0, VFs 0000:01:10.0 … 11.2; VF 0 is br0's uplink "uplink0"; the guests live here
#   host-b  PF enp65s0, VFs 0000:41:10.0 … 11.2; VF 2 is br0's uplink "wan0"
#
# The two differ in every name that may differ, so that nothing can be taken from the wrong host.

bats_require_minimum_version 1.5.0

tests_dir=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
build_dir=${abs_top_builddir:-$(cd "$tests_dir/.." && pwd)}
program=${SRIOV_MIGRATE:-$build_dir/sriov-migrate}
export FAKE_PROGRAM=${FAKE_PROGRAM:-$build_dir/tests/fake/fake-host}
fake_libvirt=${FAKE_LIBVIRT:-$build_dir/tests/fake/fake-libvirt.so}
frame=${FRAME:-$build_dir/tests/fake/frame}

MAC1=52:54:00:00:12:53 # vm-01
MAC2=52:54:00:00:12:63 # vm-02
OUTSIDE=02:aa:bb:cc:dd:01

# A pipe that nobody writes into: to wait for a moment takes no process of its own.
exec {nap_fd}<> <(:)
nap() {
	read -rt "$1" -u "$nap_fd" _ || :
}

# What a test gives the program, a number of times as much where valgrind slows that down.
patient() {
	echo $(($1${VALGRIND:+ * 10}))
}

# Waits until a command succeeds, at most LIMIT seconds: await LIMIT COMMAND…
await() {
	local start=$SECONDS limit=$1
	shift
	until "$@"; do
		if ((SECONDS > start + limit)); then
			echo "waited in vain for: $*" >&2
			return 1
		fi
		# What takes long is looked for less often.
		if ((SECONDS > start + 1)); then
			nap 0.2
		else
			nap 0.03
		fi
	done
}

pid_of() {
	local pid
	read -r pid <"$FAKE_DIR/$1/pid"
	echo "$pid"
}

# Runs a command in a host's namespaces: on HOST COMMAND…
on() {
	local host=$1 pid
	shift
	read -r pid <"$FAKE_DIR/$host/pid"
	FAKE_HOST=$host nsenter -t "$pid" "${enter_user[@]}" -n -m "$@"
}

# fake COMMAND HOST ARGUMENTS… [, COMMAND HOST ARGUMENTS…]…: see tests/fake/main.c
fake() {
	on "$2" "$FAKE_PROGRAM" "$@" 3>&-
}

# ---- making things go wrong ----

# set_fake [HOST.]KEY VALUE: see the heads of tests/fake/*.c
set_fake() {
	echo "$2" >"$FAKE_DIR/set/$1"
}

# fault HOST CALL NTH ACTION: see tests/fake/world.h
fault() {
	echo "$*" >>"$FAKE_DIR/faults"
}

no_faults() {
	rm -f "$FAKE_DIR/faults"
}

# Prints commands: libvirt's daemon there is away from now on, for two seconds.
libvirt_goes_away() {
	echo "echo away >$FAKE_DIR/set/$1.connect
		(sleep 2; rm -f $FAKE_DIR/set/$1.connect) </dev/null >/dev/null 2>&1 &"
}

# hook NAME COMMAND: runs the shell command at that instant, with the world held back meanwhile
hook() {
	printf '#!/bin/sh\n%s\n' "$2" >"$FAKE_DIR/hooks/$1"
	chmod +x "$FAKE_DIR/hooks/$1"
}

# ---- setting up ----

require_programs() {
	local file
	for file in "$program" "$FAKE_PROGRAM" "$fake_libvirt" "$frame"; do
		[ -x "$file" ] && continue
		echo "$file is missing: run \"make check TESTS=\" first, and set abs_top_builddir" >&2
		return 1
	done
}

require_namespaces() {
	enter_user=() make_user=()
	if [ "$(id -u)" != 0 ]; then
		enter_user=(-U --preserve-credentials)
		make_user=(-U -r)
	fi
	[ ! -e "${BATS_FILE_TMPDIR:-/nowhere}/namespaces" ] || return 0 # looked at before
	unshare "${make_user[@]}" -n -m true 2>/dev/null ||
		skip "the kernel lets nobody here make network namespaces"
	# Opened for reading and writing, as a tap is.
	unshare "${make_user[@]}" -n sh -c ': <>/dev/net/tun' 2>/dev/null ||
		skip "/dev/net/tun cannot be opened"
	case $build_dir/ in
	/run/* | /var/lib/* | /sys/* | /usr/local/sbin/*) skip "the build directory would be hidden" ;;
	esac
	[ -z "${BATS_FILE_TMPDIR-}" ] || : >"$BATS_FILE_TMPDIR/namespaces"
}

# The holder has to be a child of the test's own shell, with which it dies.
hold() {
	local host=$1 uuid=$2
	shift 2
	mkdir -p "$FAKE_DIR/$host"/{domains,networks,sys,vf,hostdevmgr}
	printf '%s\n' "$host" >"$FAKE_DIR/$host/names"
	echo "$uuid" >"$FAKE_DIR/$host/uuid"
	: >"$FAKE_DIR/$host/kmsg"
	"$@" "$FAKE_PROGRAM" hold "$host" </dev/null >/dev/null 2>&1 3>&- &
	echo $! >>"$FAKE_DIR/holders"
	disown # or the shell tells how it ended
	await 10 test -s "$FAKE_DIR/$host/pid"
}

start_holders() {
	# A host of its own sees its own sysfs, no state from before, and the program in PATH.
	hold switch 00000000-0000-4000-8000-000000000000 unshare "${make_user[@]}" -n
	local inside=(env)
	[ "$(id -u)" = 0 ] || inside=(nsenter -t "$(pid_of switch)" "${enter_user[@]}")
	hold host-a 4c4c4544-0000-4000-8000-00000000000a "${inside[@]}" unshare -n -m
	hold host-b 4c4c4544-0000-4000-8000-00000000000b "${inside[@]}" unshare -n -m
}

# make_net HOST PF UPLINK SHORT: devices; their other ends are ports of the switch
make_net() {
	local host=$1 pf=$2 uplink=$3 short=$4
	on "$host" ip -batch - <<-END
		link set lo up
		link add br0 address 02:00:00:00:$short:01 type bridge
		link add $uplink address 02:00:00:00:$short:02 type veth peer name up-$short netns $(pid_of switch)
		link add $pf address 02:00:00:00:$short:03 type veth peer name pf-$short netns $(pid_of switch)
		link set $pf up
		link set $uplink up
		link set $uplink master br0
		link set br0 up
	END
}

make_switch() {
	on switch ip -batch - <<-END
		link add sw type bridge
		link add outside type veth peer name outside-sw
		link set outside-sw master sw
		link set outside-sw up
		link set outside up
		link set up-0a master sw
		link set up-0a up
		link set up-0b master sw
		link set up-0b up
		link set pf-0a up
		link set pf-0b up
		link set sw up
	END
}

make_programs() {
	local preload="$fake_libvirt ${fake_libvirt%.so}-qemu.so" asan=''
	! grep -q libasan "$program" ||
		asan=$(ldd "$program" | sed -n 's/.*libasan[^ ]* => \([^ ]*\).*/\1/p')
	# What valgrind and sanitizers have to say goes into files: nobody looks at an agent's exit.
	cat >"$FAKE_DIR/bin/sriov-migrate" <<-END
		#!/bin/sh
		# The guest here is silent, so the limit of waiting for its silence is what it takes.
		if [ "\$1" = agent ]; then
			who=\$FAKE_HOST.agent
		else
			who=driver
			set -- --carrier-timeout 0.1 "\$@"
		fi
		echo \$\$ >"$FAKE_DIR/\$who.pid"
		export LD_PRELOAD='${asan:+$asan }$preload'
		export ASAN_OPTIONS='log_path=$FAKE_DIR/complaint' UBSAN_OPTIONS='log_path=$FAKE_DIR/complaint'
		exec ${SRIOV_MIGRATE_WRAPPER-} ${VALGRIND:+$VALGRIND --log-file=$FAKE_DIR/complaint.%p} \
			'$program' "\$@"
	END
	cat >"$FAKE_DIR/bin/kill-all" <<-END
		#!/bin/bash
		$(declare -f is_gone is_ours agents)
		kill -9 \$(cat "$FAKE_DIR/driver.pid") \$(agents)
	END
	cat >"$FAKE_DIR/bin/kill-agents" <<-END
		#!/bin/bash
		$(declare -f is_gone is_ours agents)
		# Who is stopped with the lock of this world in hand stops it all.
		[ "\$2" != STOP ] || exec flock "$FAKE_DIR/lock" kill -STOP \$(agents "\$1")
		kill "-\${2:-9}" \$(agents "\$1")
	END
	cp "$tests_dir/lib/ssh" "$FAKE_DIR/bin/ssh"
	chmod +x "$FAKE_DIR/bin/"*
}

# Both hosts, without guests.
start_hosts() {
	require_programs
	require_namespaces
	export FAKE_DIR=$BATS_TEST_TMPDIR/fake
	mkdir -p "$FAKE_DIR"/{bin,set,hooks,counts}
	: >"$FAKE_DIR/alive"
	: >"$FAKE_DIR/log"
	: >"$FAKE_DIR/pids"
	make_programs
	if [ -n "${VALGRIND-}" ]; then
		set_fake migrate.switch_ms 400
		set_fake migrate.finish_ms 400
	fi
	start_holders
	make_net host-a pf0 uplink0 0a
	make_net host-b enp65s0 wan0 0b
	make_switch
	fake nic host-a pf0 0000:01:00.0 "${NIC_DRIVER:-igb}" "${VF_DRIVER:-igbvf}" 6 0 uplink0 , \
		vf-set host-a pf0 0 trust 1 , vf-set host-a pf0 0 spoofchk 0
	fake nic host-b enp65s0 0000:41:00.0 "${NIC_DRIVER_B:-${NIC_DRIVER:-igb}}" "${VF_DRIVER:-igbvf}" 6 2 wan0 , \
		vf-set host-b enp65s0 2 trust 1 , vf-set host-b enp65s0 2 spoofchk 0
	local host
	for host in host-a host-b; do
		mkdir -p "$FAKE_DIR/$host/sys/class/misc/vhost-net"
		cp "$tests_dir/data/br0-net.xml" "$FAKE_DIR/$host/networks/br0-net"
		echo br0-net >"$FAKE_DIR/$host/networks/index"
	done
	# Somebody else's tap: generated names differ between the hosts.
	on host-b ip tuntap add vnet0 mode tap
	echo remote-host >>"$FAKE_DIR/host-b/names"
	echo local-host >>"$FAKE_DIR/host-a/names"
}

# start_guest DOMAIN [FILE]: on host-a
start_guest() {
	fake define host-a "${2:-$tests_dir/data/$1.xml}" , start host-a "$1"
}

stop_hosts() {
	[ -n "${FAKE_DIR-}" ] || return 0
	rm -f "$FAKE_DIR/alive"
	local pid
	while read -r pid; do
		! is_ours "$pid" || kill -9 "$pid" 2>/dev/null || :
		await 5 is_gone "$pid"
	done <"$FAKE_DIR/holders"
	while read -r pid; do
		! is_ours "$pid" || kill -9 "$pid" || :
	done < <(cat "$FAKE_DIR"/host-?/domains/*/pid "$FAKE_DIR/ssh.pids" 2>/dev/null)
}

# For setup and teardown of most files.
setup_hosts_and_guests() {
	start_hosts
	start_guest vm-01
	start_guest vm-02
	remember
}

teardown_hosts() {
	if [ -z "${BATS_TEST_COMPLETED-}" ] && [ -n "${FAKE_DIR-}" ]; then
		echo "--- log of the pretended hosts, without looking"
		grep -vE ' (virConnect|virDomain(Get|Lookup|Is)|virNetwork)' "$FAKE_DIR/log" || :
		[ ! -s "$FAKE_DIR/background.err" ] || cat "$FAKE_DIR/background.err"
	fi
	stop_hosts
	assert_no_complaints
}

# Of valgrind or a sanitizer, about driver or agents.
assert_no_complaints() {
	local file complaints=0
	for file in "${FAKE_DIR-/nowhere}"/complaint*; do
		[ -s "$file" ] || continue
		cat "$file"
		complaints=1
	done
	return $complaints
}

# ---- running the program ----

# sm ARGUMENTS…: the program on host-a; sm_on HOST ARGUMENTS…: elsewhere. A run that goes on for
# ever costs its own test, not the suite. The suite itself may have been started with signals
# ignored (nohup, a background job).
sm_on() {
	local host=$1
	shift
	on "$host" env --default-signal=INT,TERM,HUP PATH="$FAKE_DIR/bin:$PATH" \
		timeout -k 5 "${SM_LIMIT:-120}" "$FAKE_DIR/bin/sriov-migrate" "$@" 3>&-
}

sm() {
	sm_on host-a "$@"
}

# Sets output and stderr to what a run said: said_in STDOUT STDERR
said_in() {
	output=$(cat "$1")
	# shellcheck disable=SC2034 # for the test
	stderr=$(cat "$2")
}

# run_sm_on HOST ARGUMENTS…: sets status, output (stdout) and stderr. No pipe is read to its end:
# an agent that outlives the run would hold it open.
run_sm_on() {
	local out=$FAKE_DIR/run.out err=$FAKE_DIR/run.err
	status=0
	sm_on "$@" >"$out" 2>"$err" </dev/null || status=$?
	said_in "$out" "$err"
}

run_sm() {
	run_sm_on host-a "$@"
}

# Runs it in the background; its pid is in the file driver.pid, what it says in those below.
start_sm() {
	rm -f "$FAKE_DIR/driver.pid"
	sm "$@" >"$FAKE_DIR/stdout" 2>"$FAKE_DIR/stderr" </dev/null &
	sm_pid=$!
}

# As run_sm_on does, for what start_sm started.
wait_sm() {
	status=0
	wait "$sm_pid" || status=$?
	said_in "$FAKE_DIR/stdout" "$FAKE_DIR/stderr"
}

# result_of KEY: a value of the last line that --json wrote
result_of() {
	printf '%s\n' "$output" | tail -n 1 | python3 -c '
import json, sys
r = json.load(sys.stdin)
print(r["message"] if sys.argv[1] == "message" else r.get(sys.argv[1], ""))' "$1"
}

driver_pid() {
	cat "$FAKE_DIR/driver.pid"
}

# Agents of this test that are alive, on both hosts or on one: agents [HOST]
agents() {
	local host role pid
	while read -r host role pid; do
		[ "$role" = agent ] || continue
		[ "$host" = "${1:-$host}" ] || continue
		is_gone "$pid" || ! is_ours "$pid" || echo "$pid"
	done <"$FAKE_DIR/pids"
}

no_agents() {
	local host role pid
	while read -r host role pid; do
		[ "$role" != agent ] || [ "$host" != "${1:-$host}" ] || is_gone "$pid" ||
			! is_ours "$pid" || return 1
	done <"$FAKE_DIR/pids"
}

# A run in which all of ours die: over when the last agent has gone as well.
run_sm_to_death() {
	start_sm "$@"
	wait_sm
	await 10 no_agents
}

# all_die_at HOOK [ARGUMENTS…]: and libvirt goes on by itself as far as it does
all_die_at() {
	local at=$1
	shift
	[ $# -gt 0 ] || set -- vm-01 host-b
	hook "$at" "exec $FAKE_DIR/bin/kill-all"
	run_sm_to_death "$@"
	rm "$FAKE_DIR/hooks/$at"
	! grep -q "migration starts" "$FAKE_DIR/log" ||
		await 20 grep -q "migration ends" "$FAKE_DIR/log"
}

# The process that carries the connection to the other host.
ssh_pid() {
	tail -n 1 "$FAKE_DIR/ssh.pids"
}

# A process that has ended; one that nobody has waited for counts.
is_gone() {
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
	[[ ${stat##*) } == [ZX]* ]]
}

# Not another test's that has got the number since: by what it was started with.
is_ours() {
	grep -qzxF "FAKE_DIR=$FAKE_DIR" "/proc/$1/environ" 2>/dev/null
}

# interrupt_at HOOK [SIGNAL]: at that instant the driver gets the signal, and has acted on it
# before the world goes on. For runs by start_sm.
interrupt_at() {
	hook "$1" "kill -${2:-INT} \$(cat $FAKE_DIR/driver.pid)
		i=0
		until grep -qE 'stopping|rolling back|finishing' $FAKE_DIR/stderr || [ \$i = 200 ]; do
			sleep 0.01
			i=\$((i + 1))
		done
		[ \$i != 200 ] || echo 'the driver has not acted on the signal' >$FAKE_DIR/complaint.signal"
}

show_run() {
	printf -- '--- exit %s, stdout:\n%s\n--- stderr:\n%s\n' "$status" "$output" "${stderr-}"
}

assert_exit() {
	[ "$status" = "$1" ] && return
	echo "expected exit $1"
	show_run
	return 1
}

# assert_says REGEXP: on stderr or stdout
assert_says() {
	printf '%s\n%s\n' "$output" "${stderr-}" | grep -qE -- "$1" && return
	echo "nothing like \"$1\" was said"
	show_run
	return 1
}

refute_says() {
	! assert_says "$1" >/dev/null && return
	echo "something like \"$1\" was said"
	show_run
	return 1
}

# refute COMMAND…: bats passes over what begins with "!"
refute() {
	! "$@" && return
	echo "this should have failed: $*"
	return 1
}

# refute_shown HOST PATTERN [PF…]: in what the pretended host has
refute_shown() {
	local host=$1 pattern=$2
	shift 2
	[ $# -gt 0 ] || set -- "$(pf_of "$host")"
	! fake show "$host" "$@" | grep -E "$pattern" && return
	echo "$host has \"$pattern\""
	return 1
}

# assert_called HOST PATTERN / refute_called: in the log of calls
assert_called() {
	grep -qE "^[0-9]+ $1 $2" "$FAKE_DIR/log" && return
	echo "no call $1 $2"
	return 1
}

refute_called() {
	! assert_called "$@" >/dev/null && return
	echo "there was a call $1 $2:"
	grep -E "^[0-9]+ $1 $2" "$FAKE_DIR/log"
	return 1
}

# assert_order PATTERN…: each is in the log, in this order
assert_order() {
	local line=0 next pattern
	for pattern; do
		next=$(sed "1,${line}d" "$FAKE_DIR/log" | grep -nE -m 1 -- "$pattern" | cut -d: -f1)
		[ -n "$next" ] || { echo "not in the log behind line $line: $pattern" && return 1; }
		line=$((line + next))
	done
}

count_calls() {
	grep -cE "^[0-9]+ $1 $2" "$FAKE_DIR/log" || :
}

# The operator changes a definition: edit HOST DOMAIN SED-SCRIPT
edit() {
	inactive_xml "$1" "$2" | sed -E "$3" >"$FAKE_DIR/edited.xml"
	fake define "$1" "$FAKE_DIR/edited.xml"
}

# ---- looking at the hosts ----

declare -gA pf_of_host=([host-a]=pf0 [host-b]=enp65s0)
pf_of() {
	echo "${pf_of_host[$1]}"
}

uplink_of() {
	case $1 in
	host-a) echo uplink0 ;;
	host-b) echo wan0 ;;
	esac
}

show_files() {
	fake files "$1"
}

# Links; which ports get all multicast; entries that somebody made, and those a device keeps for itself, as
# learnt ones come and go.
show_net() {
	on "$1" sh -c 'bridge -d link show; echo; ip -o link show; bridge fdb show' | awk '
		/^$/ { ports_are_told = 1 }
		!ports_are_told && /^[0-9]+: / { port = $2; sub(/[@:].*/, "", port) }
		!ports_are_told {
			if (match($0, /mcast_router [0-9]/))
				print "port " port " " substr($0, RSTART, RLENGTH)
			next
		}
		/^[0-9]+: / {
			sub(/^[0-9]+: /, "")
			sub(/@[^:]*:/, ":")
			sub(/ (qlen|link\/).*/, "")
			sub(/\\/, "")
			sub(/ qdisc [a-z]+/, "")
			sub(/ +$/, "")
			print "link " $0
			next
		}
		/static|permanent|self|sticky/ && !/^(33:33|01:00)/ { print "fdb " $0 }' | sort
}

# All that a run could have left behind on a host.
snapshot() {
	fake show "$1" "${pf_of_host[$1]}" , files "$1"
	show_net "$1"
}

remember() {
	snapshot host-a >"$FAKE_DIR/before.a"
	snapshot host-b >"$FAKE_DIR/before.b"
}

assert_same() {
	snapshot "$1" >"$FAKE_DIR/now"
	diff -u "$2" "$FAKE_DIR/now" && return
	echo "$1 is not as it was"
	return 1
}

# Both hosts are as they were when remember was called.
assert_unchanged() {
	assert_same host-a "$FAKE_DIR/before.a" && assert_same host-b "$FAKE_DIR/before.b"
}

# Nothing with an effect was even tried.
assert_untouched() {
	assert_unchanged && refute_called 'host-.' 'nl\.' && refute_called 'host-.' \
		'virDomain(Detach|Attach|Update|Migrate|Define|Undefine|Destroy|Suspend|Resume|SetAutostart|Abort)'
}

# assert_problem CODE REGEXP: among what --json said
assert_problem() {
	assert_says "\"event\":\"problem\".*\"code\":\"$1\".*$2"
}

# assert_refused CODE REGEXP [ARGUMENTS…]: by check and by migrate alike
assert_refused() {
	local code=$1 words=$2
	shift 2
	[ $# -gt 0 ] || set -- vm-01 host-b
	remember
	run_sm --json check "$@"
	assert_exit 3
	assert_problem "$code" "$words"
	run_sm migrate "$@"
	assert_exit 3
	assert_says "$words"
	assert_untouched
}

domain_state() {
	fake show "$1" | sed -n "s/^domain $2 [0-9a-f-]* state \([0-9]*.*\) job.*/\1/p"
}

# assert_state HOST DOMAIN STATE: 1 running, "3 (migration)", 5 shut off, "" absent
assert_state() {
	local now
	now=$(domain_state "$1" "$2")
	[ "${now% autostart}" = "$3" ] && return
	echo "$2 on $1 is in state \"$now\", not \"$3\""
	return 1
}

live_xml() {
	fake xml "$1" "$2" live
}

inactive_xml() {
	fake xml "$1" "$2" inactive
}

# Host addresses of the VFs in a definition on stdin, as "bus:slot.function".
vf_in() {
	grep -oE "bus=.0x(01|41). slot=.0x1[01]. function=.0x[0-7]" |
		sed -E 's/bus=.0x(..). slot=.0x(..). function=.0x(.)/\1:\2.\3/' || :
}

# vf_of_pair HOST DOMAIN live|inactive STANDBY-ALIAS
vf_of_pair() {
	fake xml "$1" "$2" "$3" | tr '\n' ' ' | sed 's/<interface/\n&/g' |
		grep "persistent=.$4[\"']" | vf_in
}

# vf_netdevs HOST: the network devices of its VFs, each with its address
vf_netdevs() {
	# shellcheck disable=SC2016
	on "$1" bash -c 'cd /sys/bus/pci/devices && for d in */net/*; do
		ip -o link show "${d##*/}" 2>/dev/null; done'
}

fdb_entries() {
	on "$1" bridge fdb show | grep -i "^$2 " || :
}

# has_entry HOST MAC REGEXP
has_entry() {
	fdb_entries "$1" "$2" | grep -qE "$3"
}

# The standby with MAC, on one line, of the running domain: standby_of HOST DOMAIN [MAC]
standby_of() {
	live_xml "$1" "$2" | tr '\n' ' ' | sed 's/<interface/\n&/g; s/<\/interface>/&\n/g' |
		grep "teaming type=.persistent" | grep -i -m 1 "${3-}"
}

tap_of() {
	standby_of "$@" | sed -nE "s/.*<target dev=['\"]([^'\"]*).*/\1/p"
}

link_state_of() {
	standby_of "$@" | sed -nE "s/.*<link state=['\"]([a-z]*).*/\1/p"
}

# ---- frames ----

# Where the NIC of HOST delivers a frame for MAC: "vf", "uplink", both or nothing; see tests/fake/nic.h
nic_delivers() {
	fake delivers "$1" "$(pf_of "$1")" "$2" | grep -v nobody || :
}

# Whether a frame from outside that comes in by the uplink really leaves by the guest's tap.
frame_reaches_tap() {
	local host=$1 domain=$2 mac=$3 port=up-0a tap
	[ "$host" = host-a ] || port=up-0b
	tap=$(tap_of "$host" "$domain" "$mac")
	[ -n "$tap" ] || return 1
	# From the switch's side of the uplink's own cable.
	in_world "$frame" "$(pid_of switch)" $port "$(pid_of "$host")" "$tap" "$mac" $OUTSIDE
}

in_world() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		nsenter -t "$(pid_of switch)" "${enter_user[@]}" "$@"
	fi
}

# Whether the guest hears a frame for it that arrives at the host's NIC, by whichever way.
guest_hears() {
	local host=$1 domain=$2 mac=$3 way
	for way in $(nic_delivers "$host" "$mac"); do
		[ "$way" = uplink ] || return 0
		[ "$(link_state_of "$host" "$domain" "$mac")" != down ] &&
			frame_reaches_tap "$host" "$domain" "$mac" && return 0
	done
	return 1
}

# multicast_reaches_tap HOST DOMAIN MAC: as for a group that nobody has asked for by the bridge
multicast_reaches_tap() {
	local port=up-0a
	[ "$1" = host-a ] || port=up-0b
	FRAME_GROUP=1 in_world "$frame" "$(pid_of switch)" $port "$(pid_of "$1")" "$(tap_of "$1" "$2" "$3")" \
		01:00:5e:01:02:03 02:00:00:00:77:01
}

assert_hears() {
	guest_hears "$@" && return
	echo "$2 on $1 hears no frame for $3; the NIC gives it to: $(nic_delivers "$1" "$3")"
	fdb_entries "$1" "$3"
	return 1
}

# The guest's own broadcast, which a NIC loops back into the uplink of the same host: the bridge
# learns the MAC there, unless an entry resists.
loop_broadcast() {
	local host=$1 mac=$2 port=up-0a
	[ "$host" = host-a ] || port=up-0b
	in_world "$frame" "$(pid_of switch)" $port - - ff:ff:ff:ff:ff:ff "$mac"
}

# ---- what a run has to leave behind ----

# No entry for the MAC, of whichever kind but learnt, on a host.
assert_no_entries() {
	! fdb_entries "$1" "$2" | grep -E 'static|permanent|self|sticky' && return
	echo "entries for $2 are left on $1"
	return 1
}

# assert_on_vf DOMAIN MAC: it runs on host-b with its VF, the standby rests, host-a has let go.
assert_on_vf() {
	local domain=$1 mac=$2 vf
	assert_state host-b "$domain" 1 || return
	assert_state host-a "$domain" 5 || return
	vf=$(live_xml host-b "$domain" | vf_in)
	[ -n "$vf" ] || { echo "$domain has no VF on host-b" && return 1; }
	! on host-b bridge -d link show dev "$(tap_of host-b "$domain" "$mac")" | grep 'mcast_router 2' ||
		{ echo "the standby's tap still gets all multicast" && return 1; }
	[ "$(inactive_xml host-b "$domain" | vf_in)" = "$vf" ] ||
		{ echo "its definition names another VF than $vf" && return 1; }
	fake show host-b enp65s0 | grep -qE "^vf .* 0000:$vf mac $mac .* driver vfio-pci command 0507" ||
		{ fake show host-b enp65s0 && echo "VF $vf is not driven with $mac" && return 1; }
	[ "$(link_state_of host-b "$domain" "$mac")" = down ] ||
		{ echo "the standby's link is up" && return 1; }
	live_xml host-b "$domain" | grep -q '<teaming type=.persistent.' ||
		{ echo "the standby lost its <teaming>" && return 1; }
	assert_no_entries host-a "$mac" || return
	assert_no_entries host-b "$mac" || return
	! fake show host-a pf0 | grep -E "mac $mac" || { echo "a VF of host-a has $mac" && return 1; }
	! vf_netdevs host-a | grep "$mac" || { echo "a VF's device on host-a has $mac" && return 1; }
}

# No journal, no lock.
assert_no_files() {
	local host
	for host in host-a host-b; do
		[ -z "$(show_files $host)" ] && continue
		echo "files are left on $host:"
		show_files $host
		return 1
	done
}

assert_moved() {
	assert_on_vf "$@" && assert_no_files
}

# recover_on HOST STATUS…: one of these comes out, and nothing is left for a second time
recover_on() {
	local host=$1
	shift
	run_sm_on "$host" recover
	[[ " $* " == *" $status "* ]] || {
		echo "recover on $host: expected exit $*"
		show_run
		return 1
	}
}

# assert_degraded DOMAIN MAC: it runs on host-b without a VF, and the standby's path is whole.
assert_degraded() {
	local domain=$1 mac=$2
	assert_state host-b "$domain" 1 || return
	[ -z "$(live_xml host-b "$domain" | vf_in)" ] || { echo "it has a VF" && return 1; }
	[ "$(link_state_of host-b "$domain" "$mac")" = up ] || { echo "the standby's link is down" && return 1; }
	fdb_entries host-b "$mac" | grep -qE "dev $(tap_of host-b "$domain" "$mac") .*(static|sticky)" ||
		{ echo "no entry on its tap" && return 1; }
	assert_hears host-b "$domain" "$mac" || return
	assert_no_entries host-a "$mac"
}

# assert_sound DOMAIN MAC [STATUS…]: whatever came out of it, the exit status tells the truth, and
# the guest has exactly one working path on exactly one host. STATUS: the ones that may be.
assert_sound() {
	local domain=$1 mac=$2
	shift 2
	[ $# = 0 ] || [[ " $* " == *" $status "* ]] || {
		echo "expected an exit status of $*"
		show_run
		return 1
	}
	case $status in
	0) assert_moved "$domain" "$mac" && assert_hears host-b "$domain" "$mac" ;;
	1) assert_unchanged && assert_hears host-a "$domain" "$mac" ;;
	3) assert_untouched ;;
	4) assert_degraded "$domain" "$mac" ;;
	5) assert_runs_once "$domain" "$mac" ;;
	*) false ;;
	esac && return
	show_run
	return 1
}

# It runs on one host only, and hears there.
assert_runs_once() {
	local a b
	a=$(domain_state host-a "$1")
	b=$(domain_state host-b "$1")
	case "${a% autostart}/${b% autostart}" in
	1/1) echo "$1 runs on both hosts" && return 1 ;;
	1/*) assert_hears host-a "$1" "$2" ;;
	*/1) assert_hears host-b "$1" "$2" ;;
	*) echo "$1 runs nowhere: $a/$b" && return 1 ;;
	esac
}
