#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What an administrator has set for the guest's VF, and libvirt does not carry, goes along.

load lib/hosts

setup() {
	setup_hosts_and_guests
}

teardown() {
	teardown_hosts
}

# set_attributes HOST PF INDEX NAME VALUE [NAME VALUE…]
set_attributes() {
	local host=$1 pf=$2 index=$3
	shift 3
	while [ $# -gt 0 ]; do
		fake vf-set "$host" "$pf" "$index" "$1" "$2"
		shift 2
	done
}

# assert_vf HOST PF INDEX REGEXP…: each in what the host shows of the VF
assert_vf() {
	local host=$1 pf=$2 line words
	line=$(fake show "$host" "$pf" | grep "^vf $pf $3 ")
	shift 3
	for words in "$@"; do
		grep -q " $words " <<<"$line" && continue
		echo "not \"$words\": $line"
		return 1
	done
}

# The VF of vm-01 on host-b: its number.
vf_there() {
	local address
	address=$(live_xml host-b vm-01 | vf_in)
	fake show host-b enp65s0 | sed -n "s/^vf enp65s0 \([0-9]\) 0000:$address .*/\1/p"
}

# vm-01 has VF 1 of pf0.
set_all() {
	set_attributes host-a pf0 1 trust 1 spoofchk 0 query_rss 1 max_tx_rate 500 min_tx_rate 100 state 1 \
		vlan 7 qos 3
}

all=("trust 1" "spoofchk 0" "query_rss 1" "max_tx_rate 500" "min_tx_rate 100" "state 1" "vlan 7 qos 3")
none=("trust 0" "spoofchk 1" "query_rss 0" "max_tx_rate 0" "min_tx_rate 0" "state 0")

start_with_nic() {
	stop_hosts
	rm -r "$FAKE_DIR"
	NIC_DRIVER=$1 setup_hosts_and_guests
}

@test "all of them go along, and the old VF goes back to the driver's defaults" {
	start_with_nic ice
	set_all
	# The standby is to be in that VLAN as well.
	fake vf-set host-a pf0 0 vlan 7
	fake vf-set host-b enp65s0 2 vlan 7
	run_sm vm-01 host-b
	assert_exit 0
	refute_says 'warning'
	assert_moved vm-01 "$MAC1"
	assert_vf host-b enp65s0 "$(vf_there)" "${all[@]}"
	assert_vf host-a pf0 1 "${none[@]}" "vlan 0 qos 0"
}

@test "the VF has them before the guest has the VF" {
	start_with_nic ice
	set_all
	fault host-b virDomainAttachDeviceFlags 1 hook:attaching
	hook attaching "$FAKE_PROGRAM show host-b enp65s0 >$FAKE_DIR/when-attaching"
	run_sm vm-01 host-b
	assert_exit 0
	grep -q 'trust 1 state 1 query_rss 1 min_tx_rate 100 max_tx_rate 500' "$FAKE_DIR/when-attaching"
}

@test "the tag's protocol goes along, which only new kernels know" {
	start_with_nic ice
	set_attributes host-a pf0 1 vlan 9 proto $((0x88a8))
	run_sm vm-01 host-b
	assert_exit 0
	assert_vf host-b enp65s0 "$(vf_there)" "vlan 9 qos 0 proto 88a8"
}

@test "there and back again" {
	start_with_nic ice
	set_all
	run_sm vm-01 host-b
	assert_exit 0
	run_sm_on host-b vm-01 host-a
	assert_exit 0
	assert_vf host-a pf0 1 "${all[@]}"
	fake show host-b enp65s0 | grep -c ' spoofchk 1 trust 0 state 0 query_rss 0 min_tx_rate 0 max_tx_rate 0 ' |
		grep -qx 5
}

@test "a VF of which nothing was set is left alone" {
	run_sm vm-01 host-b
	assert_exit 0
	refute_called 'host-.' 'nl.vf-attr'
}

@test "what another VF of the source has set is not touched" {
	set_attributes host-a pf0 4 trust 1 max_tx_rate 300
	run_sm vm-01 host-b
	assert_exit 0
	assert_vf host-a pf0 4 "trust 1" "max_tx_rate 300"
}

@test "what the destination's driver is known to lack: check warns, migrate does it without" {
	set_fake host-b.vf.lacks trust
	set_attributes host-a pf0 1 trust 1
	run_sm --json check vm-01 host-b
	assert_exit 0
	assert_says '"event":"warning".*"code":"vf-attributes".*trust on'
	run_sm vm-01 host-b
	assert_exit 0
	assert_says 'warning.*trust on'
	assert_moved vm-01 "$MAC1"
}

@test "igb is known to have no link state and no lower limit" {
	set_attributes host-a pf0 1 state 2 min_tx_rate 10
	run_sm --json check vm-01 host-b
	assert_exit 0
	assert_says '"code":"vf-attributes".*state disable'
	assert_says '"code":"vf-attributes".*min_tx_rate 10'
}

@test "--strict refuses what is known before, and touches nothing" {
	set_fake host-b.vf.lacks trust
	set_attributes host-a pf0 1 trust 1
	remember
	run_sm --strict vm-01 host-b
	assert_exit 3
	assert_says 'error.*trust on'
	assert_untouched
}

@test "--strict stops at what shows when it is set, before the guest loses its VF" {
	set_fake host-b.vf.lacks max_tx_rate
	set_attributes host-a pf0 1 max_tx_rate 400 spoofchk 0
	remember
	run_sm --strict vm-01 host-b
	assert_exit 1
	assert_says 'max_tx_rate 400'
	assert_unchanged
	refute_called host-a virDomainDetach
}

@test "what shows only when it is set: a warning without --strict" {
	set_fake host-b.vf.lacks max_tx_rate
	set_attributes host-a pf0 1 max_tx_rate 400 spoofchk 0
	run_sm vm-01 host-b
	assert_exit 0
	assert_says 'warning.*max_tx_rate 400'
	assert_vf host-b enp65s0 "$(vf_there)" "spoofchk 0" "max_tx_rate 0"
}

@test "where the lower limit of the rate is refused the upper one is set without it" {
	set_fake host-b.vf.lacks min_tx_rate
	set_attributes host-a pf0 1 max_tx_rate 400 min_tx_rate 10
	run_sm vm-01 host-b
	assert_exit 0
	assert_says 'warning.*min_tx_rate 10 max_tx_rate 400 \(without the lower limit it does\)'
	assert_vf host-b enp65s0 "$(vf_there)" "min_tx_rate 0" "max_tx_rate 400"
}

@test "what the destination does not tell about is not missed where it is as usual" {
	set_fake host-b.vf.lacks query_rss
	set_attributes host-a pf0 1 trust 1
	run_sm --strict vm-01 host-b
	assert_exit 0
	refute_says 'query_rss'
	assert_vf host-b enp65s0 "$(vf_there)" "trust 1"
}

@test "a driver that agrees and keeps the old value is not believed" {
	set_fake host-b.vf.forgetful trust
	set_attributes host-a pf0 1 trust 1
	run_sm vm-01 host-b
	assert_exit 0
	assert_says 'warning.*trust on'
}

@test "a driver that loses them when the MAC is set gets them again" {
	set_attributes host-a pf0 1 trust 1
	set_fake host-b.vf.reset 1
	run_sm vm-01 host-b
	assert_exit 0
	assert_vf host-b enp65s0 1 "trust 1"
}

@test "a rollback leaves both VFs as they were" {
	set_attributes host-a pf0 1 trust 1 spoofchk 0 max_tx_rate 500
	set_attributes host-b enp65s0 1 spoofchk 1 max_tx_rate 9
	remember
	set_fake migrate error
	run_sm vm-01 host-b
	assert_exit 1
	assert_unchanged
}

@test "agents killed before the move: recover puts the VF there back" {
	set_attributes host-a pf0 1 trust 1 max_tx_rate 500
	remember
	fault host-a nl.fdb-add 1 hook:die
	hook die "$FAKE_DIR/bin/kill-all"
	run_sm_to_death vm-01 host-b
	recover_on host-a 0 1
	recover_on host-b 0 1
	assert_unchanged
}

@test "a VF there that has the guest's MAC already does not keep it, and gets it back on rollback" {
	fake vf host-b enp65s0 1 "$MAC1" >/dev/null
	remember
	fault host-a virDomainDetachDeviceAlias 1 hook:detaching
	hook detaching "$FAKE_PROGRAM show host-b enp65s0 >$FAKE_DIR/when-detaching"
	set_fake migrate error
	run_sm vm-01 host-b
	assert_exit 1
	refute grep -q "$MAC1" "$FAKE_DIR/when-detaching"
	assert_unchanged
}

@test "a guest that came without its VF has them when reattach gives it one" {
	set_attributes host-a pf0 1 trust 1 max_tx_rate 500
	fault host-b virDomainAttachDeviceFlags '*' error
	run_sm vm-01 host-b
	assert_exit 4
	assert_degraded vm-01 "$MAC1"
	assert_vf host-a pf0 1 "trust 0" "max_tx_rate 0"
	assert_vf host-b enp65s0 1 "trust 0" "max_tx_rate 0"
	no_faults
	run_sm_on host-b reattach vm-01
	assert_exit 0
	assert_vf host-b enp65s0 "$(vf_there)" "trust 1" "max_tx_rate 500"
}

@test "a run that fails in between does not make it forget them" {
	set_attributes host-a pf0 1 trust 1 max_tx_rate 500
	fault host-b virDomainAttachDeviceFlags '*' error
	run_sm vm-01 host-b
	assert_exit 4
	no_faults
	set_fake migrate error
	run_sm_on host-b vm-01 host-a
	assert_exit 1
	assert_degraded vm-01 "$MAC1"
	run_sm_on host-b reattach vm-01
	assert_exit 0
	assert_vf host-b enp65s0 "$(vf_there)" "trust 1" "max_tx_rate 500"
	assert_moved vm-01 "$MAC1"
}

@test "nor does it leave anything when the guest ends then" {
	fault host-b virDomainAttachDeviceFlags '*' error
	run_sm vm-01 host-b
	assert_exit 4
	set_fake migrate error
	run_sm_on host-b vm-01 host-a
	assert_exit 1
	fake stop host-b vm-01
	run_sm_on host-b recover
	assert_exit 1
	assert_no_entries host-b "$MAC1"
	assert_no_files
}

@test "a VF that was attached and not used goes back to what it was" {
	set_attributes host-a pf0 1 trust 1
	set_fake host-b.drive never
	run_sm --proof-timeout 2 vm-01 host-b
	assert_exit 4
	fake show host-b enp65s0 | grep ' trust 1 ' | grep -qv ' 2 0000:41:10.4 ' && return 1
	assert_degraded vm-01 "$MAC1"
}
