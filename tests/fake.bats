#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The test's own tools: a fake that is wrong makes every other test worth nothing.

load lib/hosts

setup() {
	start_hosts
}

teardown() {
	teardown_hosts
}

@test "each libvirt function the program calls is faked" {
	nm -D --undefined-only "$program" | sed -n 's/.* U \(vir[A-Za-z0-9]*\).*/\1/p' | sort >"$FAKE_DIR/called"
	nm -D --defined-only "$fake_libvirt" | sed -n 's/.* T \(vir[A-Za-z0-9]*\).*/\1/p' | sort >"$FAKE_DIR/answered"
	[ -s "$FAKE_DIR/called" ]
	run -0 comm -23 "$FAKE_DIR/called" "$FAKE_DIR/answered"
	[ -z "$output" ]
}

@test "no test file is without tests" {
	local file
	for file in "$tests_dir"/*.bats; do
		grep -q '^@test ' "$file" || { echo "$file" && return 1; }
	done
}

@test "a host sees its own devices and nothing else" {
	run -0 on host-a ls /sys/bus/pci/devices
	[[ $output == *0000:01:00.0* ]] && [[ $output != *0000:41* ]]
	run -0 on host-b ls /sys/class/net
	[[ $output == *enp65s0* ]] && [[ $output != *pf0* ]]
	run ! on host-b ip link show uplink0
}

@test "a VF's network device goes with the host's driver and comes back with it" {
	run -0 on host-a ip link show pf0v1
	fake bind host-a pf0 1 vfio-pci
	run ! on host-a ip link show pf0v1
	run ! on host-a test -e /sys/class/net/pf0v1
	fake bind host-a pf0 1 igbvf
	run -0 on host-a ip link show pf0v1
	run -0 on host-a test -e /sys/bus/pci/devices/0000:01:10.2/net/pf0v1
}

@test "a frame from outside reaches the tap by a static entry" {
	start_guest vm-01
	on host-a bridge fdb replace "$MAC1" dev vmtap01 master static
	run -0 frame_reaches_tap host-a vm-01 "$MAC1"
}

@test "a frame from outside reaches no tap by a local entry" {
	start_guest vm-01
	on host-a bridge fdb replace "$MAC1" dev vmtap01 master
	run -1 frame_reaches_tap host-a vm-01 "$MAC1"
}

@test "a frame from outside reaches no tap when the bridge has learnt the MAC on the uplink" {
	start_guest vm-01
	loop_broadcast host-a "$MAC1"
	await 5 has_entry host-a "$MAC1" uplink0
	run -1 frame_reaches_tap host-a vm-01 "$MAC1"
}

@test "a looped broadcast moves a static entry, but not a sticky one" {
	start_guest vm-01
	on host-a bridge fdb replace "$MAC1" dev vmtap01 master static
	loop_broadcast host-a "$MAC1"
	run -1 frame_reaches_tap host-a vm-01 "$MAC1"
	on host-a bridge fdb replace "$MAC1" dev vmtap01 master static sticky
	loop_broadcast host-a "$MAC1"
	run -0 frame_reaches_tap host-a vm-01 "$MAC1"
}

@test "the guest hears by its VF, which needs nothing of the bridge" {
	start_guest vm-01
	run -0 guest_hears host-a vm-01 "$MAC1"
	run -0 nic_delivers host-a "$MAC1"
	[ "$output" = vf ]
}

@test "snapshots of hosts nobody touched are equal" {
	start_guest vm-01
	remember
	assert_unchanged
}

@test "a snapshot notices an entry that was left" {
	start_guest vm-01
	remember
	on host-b bridge fdb add "$MAC1" dev wan0 self
	run ! assert_unchanged
}

@test "nobody outlives a test" {
	start_guest vm-01
	local pid
	pid=$(cat "$FAKE_DIR"/host-a/domains/*/pid)
	kill -0 "$pid"
	stop_hosts
	await 5 sh -c "! grep -q '^State:[[:space:]]*[RSD]' /proc/$pid/status 2>/dev/null"
}
