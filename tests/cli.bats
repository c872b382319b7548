#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The command line, the configuration file, and what they refuse: exit 2, nothing touched.

load lib/hosts

setup() {
	start_hosts
	start_guest vm-01
	remember
}

teardown() {
	teardown_hosts
}

# assert_usage REGEXP ARGUMENTS…
assert_usage() {
	local words=$1
	shift
	run_sm "$@"
	assert_exit 2
	assert_says "$words"
	[ -z "$output" ] || { show_run && return 1; }
	assert_untouched
}

@test "--help names every command and every exit status, on stdout" {
	run_sm --help
	assert_exit 0
	[ -z "$stderr" ]
	local word
	for word in migrate check reattach recover agent --dry-run --json --config; do
		[[ $output == *"$word"* ]] || { echo "no $word" && return 1; }
	done
	for word in 0 1 2 3 4 5 6; do
		grep -qE "^ +$word  " <<<"$output"
	done
}

@test "--version" {
	run_sm --version
	assert_exit 0
	[[ $output =~ ^sriov-migrate\ [0-9]+\.[0-9]+ ]]
}

@test "no arguments, too few, too many" {
	assert_usage 'few'
	assert_usage 'few' vm-01
	assert_usage 'many' vm-01 host-b host-c
	assert_usage 'few' reattach
	assert_usage 'few' check vm-01
}

@test "unknown options and bad values" {
	assert_usage '--nonsense' --nonsense vm-01 host-b
	assert_usage '-X' -X vm-01 host-b
	assert_usage 'bandwidth' --bandwidth lots vm-01 host-b
	assert_usage 'bandwidth' --bandwidth -1 vm-01 host-b
	assert_usage 'detach-timeout' --detach-timeout 0 vm-01 host-b
	assert_usage 'detach-timeout' --detach-timeout 1x vm-01 host-b
	assert_usage 'value' vm-01 host-b --bandwidth
}

@test "hosts that would be options, or hurt a shell" {
	assert_usage 'host|option' -- vm-01 -oProxyCommand=true
	assert_usage 'host' vm-01 'host-b;reboot'
	assert_usage 'host' vm-01 'host b'
	# shellcheck disable=SC2016 # as it stands
	assert_usage 'host' vm-01 '$(reboot)'
	assert_usage 'host' vm-01 ''
	assert_usage 'agent-host' vm-01 qemu+tls://host-b/system
	assert_usage 'port' vm-01 qemu+ssh://host-b:http/system
	assert_usage 'host' vm-01 'qemu+ssh://-oProxyCommand=x/system'
	assert_usage 'agent-path' --agent-path 'rm -rf' vm-01 host-b
	assert_usage 'agent-path' --agent-path '/usr/bin/x;reboot' vm-01 host-b
	[ ! -e "$FAKE_DIR/log.ssh" ]
}

@test "a domain's name that would be an option is a name" {
	run_sm -- --help host-b
	assert_exit 3
	assert_says 'no domain "--help"'
}

@test "an empty domain name" {
	assert_usage 'empty|name' '' host-b
}

@test "another libvirt URI with --agent-host" {
	echo qemu+tls >/dev/null
	run_sm --agent-host host-b check vm-01 qemu+tcp://host-b/system
	assert_exit 0
}

@test "--agent-path is what is started there" {
	run_sm --agent-path "$FAKE_DIR/bin/sriov-migrate" check vm-01 host-b
	assert_exit 0
	grep -q "$FAKE_DIR/bin/sriov-migrate agent" "$FAKE_DIR/log.ssh"
	run_sm --agent-path /nonexistent/sriov-migrate check vm-01 host-b
	assert_exit 3
}

@test "options may stand behind the arguments" {
	run_sm vm-01 host-b --dry-run
	assert_exit 0
	assert_untouched
}

@test "the configuration file sets what the command line does not" {
	printf '[hosts]\nvf = 0000:41:11.2\n[limits]\ndetach-timeout = 7\n' >"$FAKE_DIR/conf"
	run_sm --config "$FAKE_DIR/conf" --dry-run vm-01 host-b
	assert_exit 0
	assert_says '0000:41:11.2'
	run_sm --config "$FAKE_DIR/conf" --vf 0000:41:10.6 --dry-run vm-01 host-b
	assert_exit 0
	assert_says '0000:41:10.6'
	refute_says '0000:41:11.2'
}

# assert_bad_file REGEXP, the file on stdin
assert_bad_file() {
	cat >"$FAKE_DIR/conf"
	assert_usage "$1" --config "$FAKE_DIR/conf" vm-01 host-b
}

@test "mistakes in the configuration file are named with their line" {
	assert_bad_file 'line 2.*colour' <<<$'[hosts]\ncolour = blue'
	assert_bad_file 'line 3.*\[future\]' <<<$'[hosts]\n\n[future]\nx = 1'
	assert_bad_file 'line 1' <<<$'vf = 0000:41:11.2\n[hosts]'
	assert_bad_file 'line 2.*detach-timeout' <<<$'[limits]\ndetach-timeout = soon'
	assert_bad_file 'line 2.*tls' <<<$'[migration]\ntls = maybe'
	assert_bad_file 'line 1.*section' <<<$'[hosts\nvf = 1'
	assert_bad_file 'line 2.*key = value' <<<$'[hosts]\nvf'
	assert_bad_file 'line 3.*\[hosts:more\]' <<<$'[hosts]\nvf = 1\n[hosts:more]\nvf = 2'
	assert_bad_file 'line 1.*backslash' <<<$'# swallows the next \\\n[hosts]\nvf = 1'
	assert_bad_file 'line 4.*detach-timeout' <<<$'[limits]\ndetach-timeout = 5\n\nDetach-Timeout = soon'
	printf '[hosts]\nvf = 1\0\n' | assert_bad_file 'line 2.*zero'
	{ printf '[hosts]\nvf = ' && printf '%2000s' | tr ' ' a; } | assert_bad_file 'line 2.*1000'
}

@test "a configuration file that is not there" {
	assert_usage 'No such file' --config "$FAKE_DIR/none" vm-01 host-b
}

@test "stdout that cannot be written to is told" {
	[ -e /dev/full ] || skip "no /dev/full"
	run on host-a sh -c "'$FAKE_DIR/bin/sriov-migrate' --version >/dev/full"
	[[ $output == *"could not be written"* ]]
}

# A pipe that somebody holds open and nobody reads, and that is full.
full_pipe() {
	mkfifo "$FAKE_DIR/pipe"
	exec {pipe_fd}<>"$FAKE_DIR/pipe"
	dd if=/dev/zero of="$FAKE_DIR/pipe" oflag=nonblock bs=4096 count=1000 2>/dev/null || :
}

@test "a reader that stands still does not stop a move" {
	full_pipe
	SM_LIMIT=60 run --separate-stderr on host-a env PATH="$FAKE_DIR/bin:$PATH" timeout 60 \
		sh -c "exec '$FAKE_DIR/bin/sriov-migrate' --json vm-01 host-b >'$FAKE_DIR/pipe'" 3>&-
	[ "$status" = 0 ] || assert_exit 0
	[[ $stderr == *"could not be written"* ]]
	exec {pipe_fd}>&-
	assert_moved vm-01 "$MAC1"
}

@test "how an agent ended is known, also where the caller ignores its children" {
	set_fake ssh unreachable
	run --separate-stderr on host-a env PATH="$FAKE_DIR/bin:$PATH" --ignore-signal=CHLD \
		"$FAKE_DIR/bin/sriov-migrate" check vm-01 host-b 3>&-
	[ "$status" = 3 ]
	[[ $stderr == *"ssh could not log in"* ]]
}

@test "stdout closed behind a head does not stop a move" {
	on host-a env PATH="$FAKE_DIR/bin:$PATH" sh -c "'$FAKE_DIR/bin/sriov-migrate' --json vm-01 host-b | head -n 1" 3>&-
	await 20 assert_quietly_moved
}

assert_quietly_moved() {
	assert_moved vm-01 "$MAC1" >/dev/null
}

# ---- the agent, talked to directly ----

# talk N LINES…: what an agent answers to them; its input stays open until it has answered N
talk() {
	local n=$1
	shift
	rm -f "$FAKE_DIR/to-agent" "$FAKE_DIR/from-agent"
	mkfifo "$FAKE_DIR/to-agent"
	: >"$FAKE_DIR/from-agent"
	on host-a timeout 20 "$FAKE_DIR/bin/sriov-migrate" agent \
		<"$FAKE_DIR/to-agent" >"$FAKE_DIR/from-agent" 3>&- &
	local pid=$!
	exec 4>"$FAKE_DIR/to-agent"
	printf '%s\n' "$@" >&4
	await 10 answered "$n"
	exec 4>&-
	wait $pid
	cat "$FAKE_DIR/from-agent"
}

answered() {
	[ "$(grep -c '"id":' "$FAKE_DIR/from-agent")" -ge "$1" ]
}

@test "an agent answers hello, and ends with its input" {
	run -0 talk 1 '{"id": 1, "op": "hello", "args": {"protocol": 1}}'
	[[ $output == *'"id":1'* ]]
	[[ $output == *'"protocol"'* ]]
}

@test "an agent told nonsense says so and goes on" {
	run -0 talk 2 'nonsense' '' '[]' '{"id": "x"}' '{"op": 5}' '{"id": 7, "op": "format-disk"}' \
		'{"id": 8, "op": "hello", "args": {"protocol": 1}}'
	[[ $output == *'"id":8,"result"'* ]] || [[ $output == *'"result"'*'"id":8'* ]]
	grep '"id":7' <<<"$output" | grep -q error
}

@test "an agent refuses steps without an order, orders without a domain, facts without hello" {
	run -0 talk 6 '{"id": 1, "op": "facts", "args": {"domain": "vm-01"}}' \
		'{"id": 2, "op": "hello", "args": {"protocol": 1}}' \
		'{"id": 3, "op": "apply", "args": {"step": "detach-vf"}}' \
		'{"id": 4, "op": "open", "args": {}}' \
		'{"id": 5, "op": "undo", "args": {"step": "detach-vf"}}' \
		'{"id": 6, "op": "act", "args": {"what": "destroy-stale"}}'
	local id
	for id in 1 3 4 5 6; do
		grep "\"id\":${id}[,}]" <<<"$output" | grep -q error || { echo "$id: $output" && return 1; }
	done
	assert_untouched
}

# greet URI: what an agent answers when it is to connect there
greet() {
	talk 1 "{\"id\": 1, \"op\": \"hello\", \"args\": {\"protocol\": 1, \"libvirt_uri\": \"$1\"}}"
}

@test "an agent is not made to start a program by a URI" {
	local uri
	for uri in 'qemu+ext:///system?command=/tmp/x' 'qemu+ext:///system?a=b&Command=/tmp/x' \
		'qemu+ssh://h/system?a=b;netcat=/tmp/x' 'qemu+ext:///system?%63ommand=/tmp/x' \
		'qemu+ext:///system?proxy'; do
		run -0 greet "$uri"
		[[ $output == *'is refused: '* ]] || { echo "$uri: $output" && return 1; }
	done
	run -0 greet 'qemu:///system?keyfile=/root/my%20command=key'
	[[ $output != *'is refused: '* ]] || { echo "$output" && return 1; }
}

@test "an agent does not swallow a line without end" {
	run on host-a sh -c "head -c 40000000 /dev/zero | tr '\\0' 'x' |
		timeout 20 '$FAKE_DIR/bin/sriov-migrate' agent 3>&-"
	[ "$status" != 124 ]
	assert_untouched
}

@test "an agent that hears nothing ends after a while" {
	on host-a sh -c "sleep 60 | timeout 30 '$FAKE_DIR/bin/sriov-migrate' agent" >/dev/null 2>&1 3>&- &
	await 5 some_agent
	await 15 no_agents
}

some_agent() {
	[ -n "$(agents)" ]
}

@test "orders with paths in the place of names get nowhere" {
	run -0 talk 3 '{"id": 1, "op": "hello", "args": {"protocol": 1}}' \
		'{"id": 2, "op": "open", "args": {"name": "vm-01", "uuid": "../../tmp/x", "owner": "me", "is_source": true, "pairs": []}}' \
		'{"id": 3, "op": "reopen", "args": {"uuid": "../../../etc/passwd"}}'
	grep '"id":2' <<<"$output" | grep -q error || { echo "$output" && return 1; }
	grep '"id":3' <<<"$output" | grep -q error
	[ -z "$(on host-a find /tmp /run /var/lib -maxdepth 2 -name 'x.*' -newer "$FAKE_DIR/alive")" ]
}

@test "options stand anywhere, whatever POSIX says" {
	POSIXLY_CORRECT=1 run_sm check vm-01 host-b --json
	assert_exit 0
	assert_says '"outcome":"can-migrate"'
}

@test "a URI of ssh's is no URI of libvirt's: the one to write is named" {
	run_sm check vm-01 ssh://root@host-b:22/
	assert_exit 2
	assert_says '"ssh://root@host-b:22/" is no URI of libvirt.s: write it as qemu\+ssh://root@host-b:22/system$'
	run_sm check --agent-host host-b vm-01 ssh://host-b
	assert_exit 2
	assert_says 'qemu\+ssh://host-b/system'
}

@test "a port needs a URI" {
	run_sm vm-01 host-b:22
	assert_exit 2
	assert_says 'qemu\+ssh://host-b:22/system'
}
