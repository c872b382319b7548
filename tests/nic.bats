#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# NICs differ in what they do when a VF and the uplink ask for one MAC. Each rule of src/core/nic.c on a
# NIC that behaves like that, looked at where it matters: who gets the guest's frames.

load lib/hosts

teardown() {
	teardown_hosts
}

# start_with DRIVER [BEHAVIOUR]
start_with() {
	NIC_DRIVER=$1 setup_hosts_and_guests
	[ $# = 1 ] || set_fake nic.behaves "$2"
}

# look_at INSTANT HOST: notes then who gets frames for vm-01 on that host
look_at() {
	hook "$1" "$FAKE_PROGRAM delivers $2 $(pf_of "$2") $MAC1 | sort | paste -sd ' ' >>$FAKE_DIR/seen.$1"
}

# The instants: while memory is copied, just before the VF is attached, when the guest drives it.
look_on_the_way() {
	look_at migrate.iterating host-a
	look_at attaching host-b
	look_at driven host-b
	fault host-b virDomainAttachDeviceFlags 1 hook:attaching
}

# assert_seen INSTANT WHO: each time
assert_seen() {
	[ "$(sort -u "$FAKE_DIR/seen.$1")" = "$2" ] && return
	echo "$1: \"$2\" expected, seen:"
	cat "$FAKE_DIR/seen.$1"
	return 1
}

# assert_way SOURCE BEFORE-ATTACH DRIVEN: ("-": either way) and that the end is the VF alone, there and back
assert_way() {
	look_on_the_way
	run_sm vm-01 host-b
	assert_exit 0
	assert_seen migrate.iterating "$1"
	assert_seen attaching "$2"
	[ "$3" = - ] || assert_seen driven "$3"
	[ "$(nic_delivers host-b "$MAC1")" = vf ]
	[ -z "$(nic_delivers host-a "$MAC1")" ]
	assert_moved vm-01 "$MAC1"
	assert_hears host-b vm-01 "$MAC1"
	run_sm_on host-b vm-01 host-a
	assert_exit 0
	assert_hears host-a vm-01 "$MAC1"
}

@test "replicates (igb): both get every frame, so nothing is ever missing" {
	start_with igb
	assert_way uplink uplink "uplink vf"
}

@test "replicates (i40e, ice)" {
	start_with i40e
	assert_way uplink uplink "uplink vf"
	stop_hosts
	rm -r "$FAKE_DIR"
	start_with ice
	assert_way uplink uplink "uplink vf"
}

@test "uplink wins (ixgbe): the standby hears until the guest drives the VF" {
	start_with ixgbe
	# The entry goes as soon as the guest's driver has the VF, and not before.
	hook dropping "$FAKE_PROGRAM delivers host-b enp65s0 $MAC1 >>$FAKE_DIR/seen.dropping
		$FAKE_PROGRAM show host-b enp65s0 | grep -c 'mac $MAC1 .*command 0507' >$FAKE_DIR/driven"
	fault host-b nl.self-delete 1 hook:dropping
	assert_way uplink uplink -
	assert_seen dropping uplink
	[ "$(cat "$FAKE_DIR/driven")" = 1 ]
}

@test "refuses (mlx5_core): never both at once" {
	start_with mlx5_core
	assert_way uplink "" vf
}

@test "unknown, and refuses" {
	start_with octeontx2-nicpf refuses
	assert_way uplink "" vf
}

@test "unknown, and the uplink wins" {
	start_with octeontx2-nicpf uplink-wins
	assert_way uplink "" vf
}

@test "unknown, and replicates" {
	start_with octeontx2-nicpf replicates
	assert_way uplink "" vf
}

@test "a failed move leaves the guest on its VF, whatever the NIC" {
	local driver
	for driver in igb ixgbe mlx5_core octeontx2-nicpf; do
		start_with $driver
		set_fake migrate error
		run_sm vm-01 host-b
		assert_exit 1
		assert_unchanged
		assert_hears host-a vm-01 "$MAC1"
		[ "$(nic_delivers host-a "$MAC1")" = vf ]
		stop_hosts
		rm -r "$FAKE_DIR"
	done
	FAKE_DIR=
}

@test "a VF that is not to be had leaves the guest on its standby, whatever the NIC" {
	local driver
	for driver in igb ixgbe mlx5_core octeontx2-nicpf; do
		start_with $driver
		fault host-b virDomainAttachDeviceFlags '*' error
		run_sm vm-01 host-b
		assert_exit 4
		assert_degraded vm-01 "$MAC1"
		no_faults
		run_sm_on host-b reattach vm-01
		assert_exit 0
		assert_hears host-b vm-01 "$MAC1"
		[ "$(nic_delivers host-b "$MAC1")" = vf ]
		stop_hosts
		rm -r "$FAKE_DIR"
	done
	FAKE_DIR=
}

# ---- the fixture itself: a rule that is wrong for the NIC is felt ----

@test "a NIC that refuses, taken for one that replicates: the standby hears nothing" {
	start_with igb refuses
	look_on_the_way
	run_sm vm-01 host-b
	assert_seen migrate.iterating ""
}

@test "a NIC on which the uplink wins, taken for one that replicates: the VF is deaf" {
	start_with igb uplink-wins
	look_at migrate.iterating host-a
	look_at standby host-a
	fault host-a virDomainDetachDeviceAlias 1 hook:standby
	run_sm vm-01 host-b
	assert_seen standby uplink
}
