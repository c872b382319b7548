#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Moves between the two hosts of the lab. The tests of a guest follow one another: each
# begins where the one before left it.

# shellcheck disable=SC2154 # what lib.bash sets
bats_require_minimum_version 1.5.0
load lib

# One measured move with the fresh look.
measured_move()
{
	local guest=$1 src=$2 dst=$3 limit total

	shift 3
	ensure_guest "$guest" "$src"
	take_look before
	probe_begin "$guest"
	program "$src" "$@" "$guest" "$dst"
	probe_end
	assert_status 0
	assert_moved "$guest" "$src" "$dst" "${near-}"
	total=$(probe_figure .total_ms)
	note "$guest $src -> $dst: outage $total ms, longest $(probe_figure .longest_ms) ms," \
		"elsewhere $(outage_elsewhere) ms, $(probe_figure .late) late; downtime $(result .downtime_ms) ms;" \
		"$(result .total_ms) ms in all"
	limit=$(cat "$BATS_FILE_TMPDIR/document_ms")
	((total * 5 < limit)) || fail "outage of $total ms, the document's script had $limit ms"
	(($(outage_elsewhere) <= ELSEWHERE_MAX_MS)) ||
		fail "an outage of $(outage_elsewhere) ms away from the switch-over: $probe_report"
}

@test "the kernel document's script, to compare with" {
	ensure_guest vm-01 host-a
	probe_begin vm-01
	"$lab_dir/baselines/kernel-doc" host-a host-b vm-01 3>&- >&2
	wait_for 60 answers_to outside "$(guest_address vm-01)"
	probe_end
	note "kernel document: outage $(probe_figure .total_ms) ms"
	probe_figure .total_ms >"$BATS_FILE_TMPDIR/document_ms"
	(($(probe_figure .total_ms) > 2000))
	"$lab_dir/baselines/restore" vm-01 host-a 3>&-
}

@test "vm-01 moves from host-a to host-b" {
	measured_move vm-01 host-a host-b
	[[ $(result '.pairs[0].proof') == "bus master"* ]]
}

@test "vm-01 moves back" {
	measured_move vm-01 host-b host-a
}

@test "vm-01 moves from host-a to host-b once more" {
	near=near
	measured_move vm-01 host-a host-b
}

@test "driven by the client; autostart goes with the guest" {
	ensure_guest vm-01 host-b
	on host-b virsh autostart vm-01
	measured_move vm-01 host-b host-a --client-driven
	on host-a virsh dominfo vm-01 | grep -q '^Autostart: *enable'
	on host-a virsh autostart --disable vm-01
}

# No prober: a guest that is silent must not lose its standby before its VF works.
@test "to another VF than its own, no definition left behind; a silent guest" {
	ensure_guest vm-01 host-a
	take_look before
	program host-a --vf 0000:01:10.4 --undefine-source vm-01 host-b
	assert_status 0
	[ "$(jq -r 'select(.event == "plan") | .pairs[0].destination_vf' "$events")" = 0000:01:10.4 ]
	assert_moved vm-01 host-a host-b undefined near
}

@test "already there: nothing is changed" {
	ensure_guest vm-01 host-b
	take_look before
	program host-a vm-01 host-b
	assert_status 0
	[ "$(result .outcome)" = already-there ]
	assert_untouched vm-01 host-b
}

@test "a VF taken away by hand comes back with reattach" {
	ensure_guest vm-01 host-b
	take_look before
	on host-b virsh detach-device-alias vm-01 hostdev0
	wait_for 10 hostdev_is_gone vm-01 host-b
	probe_begin vm-01
	program host-b reattach vm-01
	probe_end
	assert_status 0
	assert_untouched vm-01 host-b
}

hostdev_is_gone()
{
	! on "$2" virsh domiflist "$1" | grep -q hostdev
}

@test "vm-02 moves from host-a to host-b" {
	measured_move vm-02 host-a host-b
	definition "$BATS_TEST_TMPDIR/host-b.after" vm-02 inactive |
		grep -q "<interface type='network'>"
	definition "$BATS_TEST_TMPDIR/host-b.after" vm-02 inactive |
		grep -q "<alias name='ua-primary'/>"
	[[ $(result '.pairs[0].proof') == "guest agent"* ]]
}

@test "vm-02 moves back" {
	measured_move vm-02 host-b host-a
}
