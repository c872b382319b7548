#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# One failure at each sort of call that a move makes before its steps: whatever comes of it is told truly, and
# the guest has one working path on one host. What the steps call is for the matrix (matrix.t). By
# default the last call of each sort, and the first of those that change something; FAULTS=all
# takes every single one, those of the steps as well (half an hour).

load lib/hosts

setup() {
	setup_hosts_and_guests
}

teardown() {
	teardown_hosts
}

# Calls of a move that succeeds, as "host call nth".
list_calls() {
	run_sm "$@"
	[ "$status" = 0 ]
	awk -v all="${FAULTS-}" '
		$3 == "journal" && $4 == "begun" { begun[$2] = 1 }
		$3 !~ /^(vir|nl\.)/ || $3 ~ /virConnectDomainEventRegisterAny|GetJobStats/ { next }
		{ c = $2 " " $3; total[c]++ }
		all == "all" { print c, total[c] }
		!begun[$2] { n[c] = total[c] }
		END {
			for (c in n) {
				if (all == "all") continue
				print c, n[c]
				if (n[c] > 1 && c !~ /virConnect|Get|Lookup|IsPersistent/) print c, 1
			}
		}' "$FAKE_DIR/log" | sort
}

# A fresh pair of hosts, the fault, the move, the verdict: try_fault "HOST CALL NTH" ARGUMENTS…
try_fault() {
	local fault=$1
	shift
	stop_hosts
	rm -rf "$FAKE_DIR"
	setup_hosts_and_guests
	# shellcheck disable=SC2086 # host call nth
	fault $fault error
	SM_LIMIT=60 run_sm --proof-timeout 2 --detach-timeout 2 "$@"
	no_faults
	assert_sound vm-01 "$MAC1" || return
	[ "$status" = 4 ] || return 0
	run_sm_on host-b reattach vm-01
	assert_exit 0 && assert_moved vm-01 "$MAC1"
}

# Every eighth of the calls, from the one given: try_part FIRST ARGUMENTS…
try_part() {
	local calls fault failed=() first=$1
	shift
	calls=$(list_calls "$@")
	[ "$(wc -l <<<"$calls")" -gt 10 ]
	while read -r fault; do
		try_fault "$fault" "$@" </dev/null || failed+=("$fault")
	done < <(sed -n "$first~8p" <<<"$calls")
	[ ${#failed[@]} = 0 ] || printf 'failed with: %s\n' "${failed[@]}"
	[ ${#failed[@]} = 0 ]
}

@test "each call of a move fails once, first eighth" {
	try_part 1 vm-01 host-b
}

@test "each call of a move fails once, second eighth" {
	try_part 2 vm-01 host-b
}

@test "each call of a move fails once, third eighth" {
	try_part 3 vm-01 host-b
}

@test "each call of a move fails once, fourth eighth" {
	try_part 4 vm-01 host-b
}

@test "each call of a move fails once, fifth eighth" {
	try_part 5 vm-01 host-b
}

@test "each call of a move fails once, sixth eighth" {
	try_part 6 vm-01 host-b
}

@test "each call of a move fails once, seventh eighth" {
	try_part 7 vm-01 host-b
}

@test "each call of a move fails once, last eighth" {
	try_part 8 vm-01 host-b
}
