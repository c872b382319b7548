#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Deaths and cuts at the worst instants. These are the ones that must always be run; "soak"
# has all of them.

bats_require_minimum_version 1.5.0
load lib
load faults

setup_file()
{
	fault_prepare_hosts
}

# INSTANT VICTIM MODE
strike()
{
	local status=0

	fault_case vm-01 "$@" || status=$?
	note "${fault_line-}"
	cat "$BATS_TEST_TMPDIR/checks" >&2 2>/dev/null || true
	((status == 0))
}

# The guest stands still on both hosts; no call of libvirt's is under way.
@test "the source's libvirt dies when the copy is complete, before the destination starts it" {
	strike perform-returned source-libvirtd peer
}

@test "the client dies when the copy is complete, before the destination starts it" {
	strike perform-returned source-agent client
}

@test "the hosts are cut off from each other when the copy is complete" {
	strike perform-returned cut peer
}

# The guest runs on the destination; the source has not heard of it.
@test "the source's libvirt dies when the destination runs, before the source knows" {
	strike finish-returned source-libvirtd peer
}

@test "the client dies when the destination runs, before the source knows" {
	strike finish-returned source-agent client
}

@test "the hosts are cut off from each other while memory is copied" {
	strike first-iteration cut peer
}
