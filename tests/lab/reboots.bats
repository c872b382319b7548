#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest that is reset while it is moved: it comes up where it is then, and on its VF in the end.

# shellcheck disable=SC2154 # what lib.bash sets
bats_require_minimum_version 1.5.0
load lib

# begin GUEST [OPTION…]: under way from wherever it is
begin()
{
	guest=$1
	src=$(find_guest "$guest") || true
	src=${src:-host-a}
	dst=$(other_host "$src")
	ensure_guest "$guest" "$src"
	take_look before
	program_begin "$src" "${@:2}" "$guest" "$dst"
}

teardown()
{
	program_stop "${src-}"
}

# It has moved, whatever it was doing; the run may have left the VF to a reattach, as it says.
assert_arrived()
{
	program_end
	note "exit status $status, $(result .total_ms) ms in all, $(result .standby_ms) ms by the standby"
	if [ "$status" = 4 ]; then
		mv "$events" "$events.move"
		program "$dst" reattach "$guest"
		mv "$events.move" "$events.kept"
		assert_status 0
		mv "$events.kept" "$events"
	else
		assert_status 0
	fi
	wait_for 60 guest_is_on_vf "$guest" 2>/dev/null
	assert_moved "$guest" "$src" "$dst"
}

# libvirt lets nobody reset it meanwhile; it does so itself, and boots by its standby.
@test "reboots while memory is copied" {
	begin vm-01 --bandwidth 10
	wait_for_event 90 "$COPYING"
	timeout 5 "$lab_dir/lab" guest exec vm-01 reboot -f </dev/null >/dev/null 2>&1 3>&- || true
	assert_arrived
}

@test "reset on the destination, before it has its VF" {
	begin vm-01
	wait_for_event 90 '.event == "step" and .step == "migrate"'
	on "$dst" virsh -q reset vm-01
	assert_arrived
}

# With the reset QEMU takes the VF out of a guest that had not answered.
@test "reset while it is asked for its VF, and does not answer" {
	begin vm-03
	wait_for_event 30 '.event == "step" and .step == "uplink-entry-early"'
	sleep 2
	on "$src" virsh -q reset vm-03
	assert_arrived
	lab guest stop vm-03
}
