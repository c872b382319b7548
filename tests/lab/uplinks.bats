#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The ways in which a bridge can be tied to the NIC, and VLANs on them. A guest moves there and
# back over each, under a prober, and nothing is left.

# shellcheck disable=SC2154 # what lib.bash sets
bats_require_minimum_version 1.5.0
load lib
load forms

# Bridges and uplinks as they are in the lab otherwise.
mend_uplinks()
{
	local host

	for host in "${lab_hosts[@]}"; do
		on "$host" ". /etc/lab/seed
			ip link set br0 type bridge vlan_filtering 0 vlan_default_pvid 1
			ip link del bup 2>/dev/null
			ip link del pf0v0.7 2>/dev/null
			ip link set pf0 nomaster
			ip link set dev pf0 vf 6 vlan 0
			ip link set pf0v2 down 2>/dev/null
			ip link set br0 address \$LAB_MAC_PREFIX:01:00
			ip link set pf0v0 up
			ip link set pf0v0 master br0"
	done
}

# One that stops half-way leaves the next one what it would find otherwise.
teardown()
{
	[ -n "${BATS_TEST_COMPLETED-}" ] || mend_uplinks
}

# on_both COMMAND [ARGUMENT…]: with each host for its first argument.
on_both()
{
	local host

	for host in "${lab_hosts[@]}"; do
		"$1" "$host" "${@:2}" || return 1
	done
}

# go_round GUEST: as soon as the network is whole again.
go_round()
{
	wait_for 60 guest_is_on_vf "$1" 2>/dev/null
	wait_for 20 answers_to host-a-bridge "$(guest_address "$1")"
	round_trip "$1"
	mend_uplinks
}

# Every port, a new tap as well, is in this VLAN then and in no other.
filter_vlans()
{
	on "$1" ip link set br0 type bridge vlan_filtering 1 vlan_default_pvid 7
}

@test "over bridges that filter VLANs" {
	start_form vm-01
	on_both filter_vlans
	go_round vm-01
}

# The bridge's VF into a bond with another one, the bond into the bridge in its place.
bond_uplink()
{
	on "$1" "ip link add bup type bond mode active-backup && ip link set pf0v0 nomaster &&
		ip link set pf0v0 down && ip link set pf0v2 down &&
		ip link set pf0v0 master bup && ip link set pf0v2 master bup &&
		ip link set bup up && ip link set bup master br0"
}

@test "over bridges whose uplink is a bond" {
	start_form vm-01
	on_both bond_uplink
	go_round vm-01
}

# The NIC gives an unknown unicast address to nobody, so the bridge goes by the address of its PF.
pf_uplink()
{
	on "$1" "ip link set pf0v0 nomaster && ip link set pf0v0 down &&
		ip link set br0 address \$(cat /sys/class/net/pf0/address) && ip link set pf0 master br0"
}

@test "over bridges whose uplink is the PF" {
	start_form vm-01
	on_both pf_uplink
	go_round vm-01
}

# ---- guests in a VLAN

# As is the neighbour on the destination's NIC, who stands for all that is outside: the switch speaks
# to no VLAN, and what a NIC keeps for a guest that has left (see "lab flush") makes the others deaf.
into_vlan()
{
	lab_outside='host-b-vf'
	lab_places=(host-a-bridge host-b-bridge host-a-vf host-b-vf)
	on "$1" ip link set dev pf0 vf 6 vlan 7
}

# go_round_in_vlan SET-UP: what makes the uplinks, with a host for its argument
go_round_in_vlan()
{
	clear_hosts
	on_both into_vlan
	on_both "$1"
	start_variant vm-01 "s|<teaming type='transient'|<vlan><tag id='7'/></vlan>&|"
	[ "$(vlan_7_on host-a) $(vlan_7_on host-b)" = "2 1" ]
	wait_for 60 guest_is_on_vf vm-01 2>/dev/null
	wait_for 20 answers_to host-b-vf "$(guest_address vm-01)"
	move_form vm-01 host-a host-b
	guest_is_on_vf vm-01
	[ "$(vlan_7_on host-a) $(vlan_7_on host-b)" = "1 2" ]
	lab flush host-a
	into_vlan host-a
	"$1" host-a
	move_form vm-01 host-b host-a
	guest_is_on_vf vm-01
	[ "$(vlan_7_on host-a) $(vlan_7_on host-b)" = "2 1" ]
	lab guest stop vm-01 # it is not as others expect it
	mend_uplinks
}

# How many VFs are in it: the neighbour's, and the guest's where the guest is.
vlan_7_on()
{
	on "$1" ip link show pf0 | grep -c 'vlan 7' || true
}

vlan_device_uplink()
{
	on "$1" "ip link set pf0v0 nomaster && ip link add link pf0v0 name pf0v0.7 type vlan id 7 &&
		ip link set pf0v0.7 up && ip link set pf0v0.7 master br0"
}

@test "in a VLAN, over bridges whose uplink is a VLAN device" {
	go_round_in_vlan vlan_device_uplink
}

# Tagged on the wire, and the tag is off for everybody else on the bridge.
trunk_uplink()
{
	filter_vlans "$1" && on "$1" "bridge vlan add dev pf0v0 vid 7"
}

@test "in a VLAN, over bridges that filter VLANs, whose uplink carries it with its tag" {
	go_round_in_vlan trunk_uplink
}
