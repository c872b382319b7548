#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Uplinks take few MACs besides their own: runs count them, and listen to what the driver says.

load lib/hosts

setup() {
	setup_hosts_and_guests
}

teardown() {
	teardown_hosts
}

# add_filters HOST N: as many MACs of others on its uplink
add_filters() {
	local i
	for i in $(seq "$2"); do
		on "$1" bridge fdb replace 02:00:00:00:77:0"$i" dev "$(uplink_of "$1")" self permanent
	done
}

# links HOST WORDS…: a command for a hook
links() {
	echo "nsenter -t $(pid_of "$1") ${enter_user[*]} -n ip link ${*:2}"
}

@test "two runs at once and room for one: the second is refused, the first one moves" {
	add_filters host-b 2
	set_fake detach.ms 4000
	start_sm vm-01 host-b
	await 10 assert_called host-a virDomainDetachDeviceAlias >/dev/null
	run_sm --json check vm-02 host-b
	assert_exit 6
	assert_problem filters-busy 'wan0 .*3 MACs.*Wait for the other runs to end'
	run_sm vm-02 host-b
	assert_exit 6
	assert_says 'wan0.*3 MACs'
	assert_state host-a vm-02 1
	# What others have taken for good is no matter of waiting, nor is another reason to refuse.
	run_sm --json check --vf 0000:41:1f.7 vm-02 host-b
	assert_exit 3
	add_filters host-b 3
	run_sm --json check vm-02 host-b
	assert_exit 3
	assert_problem filters-full 'wan0'
	refute_says filters-busy
	on host-b bridge fdb del 02:00:00:00:77:03 dev wan0 self
	wait_sm
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "two runs at once and room for both" {
	add_filters host-b 1
	set_fake detach.ms 2000
	start_sm vm-01 host-b
	await 10 assert_called host-a virDomainDetachDeviceAlias >/dev/null
	run_sm vm-02 host-b
	assert_exit 0
	wait_sm
	assert_exit 0
}

@test "room that is kept on an uplink whose name begins alike is no room of this one" {
	local i
	on host-b mkdir -p /run/sriov-migrate
	for i in 1 2 3; do
		on host-b flock "/run/sriov-migrate/filter-wan0-b-02:00:00:00:77:0$i.lock" sleep 60 3>&- &
	done
	await 10 on host-b sh -c "! flock -n /run/sriov-migrate/filter-wan0-b-02:00:00:00:77:03.lock true"
	run_sm vm-01 host-b
	assert_exit 0
	kill %1 %2 %3
}

@test "room that is gone between plan and reservation: refused, before the guest loses its VF" {
	hook full "for i in 1 2 3; do
		ip link show wan0 >/dev/null && bridge fdb add 02:00:00:00:77:0\$i dev wan0 self permanent; done"
	fault host-b virConnectListAllDomains 2 hook:full
	run_sm vm-01 host-b
	assert_exit 1
	assert_says 'wan0.* takes 3 MACs'
	refute_called host-a virDomainDetach
	assert_same host-a "$FAKE_DIR/before.a"
}

@test "a driver without a known limit is not counted" {
	# The PF itself as the uplink.
	on host-b ip link set wan0 nomaster
	on host-b ip link set enp65s0 master br0
	local i
	for i in 1 2 3 4 5; do
		on host-b bridge fdb add 02:00:00:00:77:0$i dev enp65s0 self permanent
	done
	run_sm check vm-01 host-b
	assert_exit 0
}

# restart_with PF-DRIVER VF-DRIVER: hosts with NICs of these
restart_with() {
	stop_hosts
	rm -r "$FAKE_DIR"
	NIC_DRIVER=$1 VF_DRIVER=$2 setup_hosts_and_guests
}

# is_full: what check says of a MAC more on host-b's uplink
is_full() {
	run_sm --json check vm-01 host-b
	grep -q '"code":"filters-full"' <<<"$output"
}

@test "what the VFs of a driver take, and those that are not trusted" {
	restart_with bnx2x bnx2x
	is_full
	assert_says 'takes 0 MACs besides its own'
	restart_with qede qede
	refute is_full
	fake vf-set host-b enp65s0 2 trust 0
	is_full
	restart_with bnxt_en bnxt_en
	fake vf-set host-b enp65s0 2 trust 0
	add_filters host-b 2
	refute is_full
	add_filters host-b 3
	is_full
	fake vf-set host-b enp65s0 2 trust 1
	refute is_full
}

@test "a degraded guest's MAC counts" {
	add_filters host-b 1
	fault host-b virDomainAttachDeviceFlags '*' error
	run_sm vm-01 host-b
	assert_exit 4
	no_faults
	run_sm check vm-02 host-b
	assert_exit 0
	on host-b bridge fdb add 02:00:00:00:77:09 dev wan0 self permanent
	run_sm --json check vm-02 host-b
	assert_exit 3
	assert_says '"code":"filters-full"'
	run_sm_on host-b reattach vm-01
	assert_exit 0
}

@test "the source's NIC refuses the uplink the MAC: stopped before the guest loses its VF" {
	set_fake host-a.kmsg 'igb 0000:01:00.0: VF 0 requested MAC filter but is administratively denied'
	run_sm vm-01 host-b
	assert_exit 1
	assert_says 'uplink0.*VF 0 requested MAC filter'
	assert_unchanged
	refute_called host-a virDomainDetach
}

@test "a driver that hears of the refusal late is waited for, also below another device" {
	local pci=$FAKE_DIR/host-a/sys/devices/pci/0000:01:10.0
	on host-a ip link set uplink0 nomaster
	on host-a ip link add link uplink0 name above type macvlan mode passthru
	on host-a ip link set above up
	on host-a ip link set above master br0
	await 5 sh -c "$(links host-a show above) | grep -q 'master br0 state UP'"
	[ -e "$pci/driver" ]
	ln -sfn ../../../bus/pci/drivers/iavf "$pci/driver"
	fault host-a nl.self-add 1 hook:late
	hook late "( sleep 1; echo '4,1000,99000000,-;iavf 0000:01:10.0: Failed to add MAC filter, error IAVF_ERR_NVM' \
		>>$FAKE_DIR/host-a/kmsg ) </dev/null >/dev/null 2>&1 3>&- &"
	run_sm vm-01 host-b
	assert_exit 1
	assert_says 'Failed to add MAC filter'
	refute_called host-a virDomainDetach
}

@test "the destination's NIC refuses the uplink the MAC: a warning, as the guest is on its way" {
	set_fake host-b.kmsg 'igb 0000:41:00.0: VF 2 has requested MAC filter but there is no space for it'
	run_sm vm-01 host-b
	assert_exit 0
	assert_says 'warning.*wan0.*no space for it'
	assert_moved vm-01 "$MAC1"
}

@test "the same, and then there is no VF either: nobody says that the standby works" {
	set_fake host-b.kmsg 'igb 0000:41:00.0: VF 2 has requested MAC filter but there is no space for it'
	set_fake host-b.attach error
	run_sm --reattach-retries 0 vm-01 host-b
	assert_exit 5
	assert_says "nothing for $MAC1 reaches its standby on host-b"
	run_sm_on host-b recover
	assert_exit 5
	rm "$FAKE_DIR/set/host-b.attach"
	run_sm_on host-b recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "a guest that is cut off there can leave again" {
	set_fake host-b.kmsg 'igb 0000:41:00.0: VF 2 has requested MAC filter but there is no space for it'
	set_fake host-b.attach error
	run_sm --reattach-retries 0 vm-01 host-b
	assert_exit 5
	run_sm_on host-b vm-01 host-a
	assert_exit 0
	assert_state host-a vm-01 1
	assert_same host-a "$FAKE_DIR/before.a"
	assert_no_entries host-b "$MAC1"
}

@test "a guest that is cut off there is cured from the host it has left" {
	set_fake host-b.kmsg 'igb 0000:41:00.0: VF 2 has requested MAC filter but there is no space for it'
	set_fake host-b.attach error
	run_sm --reattach-retries 0 vm-01 host-b
	assert_exit 5
	fault host-b virDomainAttachDeviceFlags 1 error
	rm "$FAKE_DIR/set/host-b.attach"
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "once there is room the standby of a guest that was cut off hears" {
	set_fake host-b.kmsg 'igb 0000:41:00.0: VF 2 has requested MAC filter but there is no space for it'
	set_fake host-b.attach error
	run_sm --reattach-retries 0 vm-01 host-b
	assert_exit 5
	rm "$FAKE_DIR/set/host-b.kmsg"
	run_sm_on host-b recover
	assert_exit 4
	assert_degraded vm-01 "$MAC1"
}

@test "what the kernel says of another VF is none of ours" {
	set_fake host-a.kmsg 'igb 0000:01:00.0: VF 4 requested MAC filter but is administratively denied'
	run_sm vm-01 host-b
	assert_exit 0
	refute_says 'refuses'
}

@test "what the kernel said before is none of ours" {
	echo '4,1,1,-;igb 0000:01:00.0: VF 0 requested MAC filter but is administratively denied' \
		>>"$FAKE_DIR/host-a/kmsg"
	run_sm vm-01 host-b
	assert_exit 0
}

@test "a kernel log that cannot be read stops nothing" {
	on host-a umount /dev/kmsg
	on host-a mount --bind "$FAKE_DIR/hooks" /run
	on host-a sh -c 'mount -t tmpfs none /run; mkdir /run/lock; mknod /run/nothing p; mount --bind /run/nothing /dev/kmsg'
	run_sm vm-01 host-b
	assert_exit 0
}

@test "a guest that is there already, on its VF, needs no room" {
	run_sm vm-01 host-b
	assert_exit 0
	add_filters host-b 3
	run_sm vm-01 host-b
	assert_exit 0
	assert_says 'already'
}

# start_with DRIVER: both hosts anew
start_with() {
	[ ! -d "${FAKE_DIR-}" ] || { stop_hosts && rm -r "$FAKE_DIR"; }
	NIC_DRIVER=$1 setup_hosts_and_guests
}

# links HOST WORD…: "ip link" there, as a shell command for a hook
downs() {
	links "$1" set "$2" down
}

# stopped_by WORDS BREAK MEND: before the guest loses its VF, whatever the NIC ("ip link" with those words)
stopped_by() {
	local driver
	for driver in igb ixgbe; do
		start_with $driver
		fault host-a virDomainUpdateDeviceFlags 1 hook:break
		# shellcheck disable=SC2086 # words
		hook break "$(links host-a $2)"
		run_sm vm-01 host-b
		assert_exit 1
		assert_says "$1"
		refute_called host-a virDomainDetach
		# shellcheck disable=SC2086 # words
		on host-a ip link $3
		assert_unchanged
	done
}

@test "the source's uplink goes down behind the checks: stopped before the guest loses its VF" {
	stopped_by 'uplink uplink0 is down' 'set uplink0 down' 'set uplink0 up'
}

@test "the source's uplink is taken out of its bridge behind the checks: stopped before the guest loses its VF" {
	stopped_by 'uplink uplink0 is no port of bridge br0' 'set uplink0 nomaster' 'set uplink0 master br0'
}

@test "the source's tap goes down, or leaves its bridge, behind the checks: stopped before the guest loses its VF" {
	stopped_by 'tap vmtap01 is down' 'set vmtap01 down' 'set vmtap01 up'
	stopped_by 'vmtap01 is no port of br0' 'set vmtap01 nomaster' 'set vmtap01 master br0'
}

# As behind a guest that has just come.
@test "the source's tap does not forward yet, for STP: the guest keeps its VF until it does" {
	on host-a ip link set br0 type bridge stp_state 1 forward_delay 200
	await 10 tap_forwards
	on host-a ip link set vmtap01 nomaster
	on host-a ip link set vmtap01 master br0
	fault host-a virDomainDetachDeviceAlias 1 hook:detaching
	hook detaching "nsenter -t $(pid_of host-a) ${enter_user[*]} -n bridge link show dev vmtap01 >$FAKE_DIR/port"
	! tap_forwards
	run_sm vm-01 host-b
	assert_exit 0
	grep -q 'state forwarding' "$FAKE_DIR/port"
}

tap_forwards() {
	on host-a bridge link show dev uplink0 | grep -q 'state forwarding' &&
		on host-a bridge link show dev vmtap01 | grep -q 'state forwarding'
}

@test "the destination's tap leaves its bridge, and there is no VF either: nobody says that the standby works" {
	hook migrate.finished "$(links host-b set vmtap01 nomaster)"
	set_fake host-b.attach error
	run_sm --reattach-retries 0 vm-01 host-b
	assert_exit 5
	assert_says "nothing for $MAC1 reaches its standby on host-b"
	on host-b ip link set vmtap01 master br0
	rm "$FAKE_DIR/set/host-b.attach"
	run_sm_on host-b recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

# Nobody has asked for the group by the tap: the guest did so by its VF.
@test "bridges that snoop, and hear a querier, give the standby multicast all the same" {
	local host
	for host in host-a host-b; do
		# The second one takes its time from the first.
		on $host ip link set br0 type bridge mcast_query_response_interval 20
		on $host ip link set br0 type bridge mcast_querier 1
	done
	sleep 1
	refute multicast_reaches_tap host-a vm-01 "$MAC1" ||
		skip "the kernel's bridge does not snoop"
	hook migrate.iterating "touch $FAKE_DIR/iterating; while [ -e $FAKE_DIR/iterating ]; do sleep 0.05; done"
	fault host-b virDomainAttachDeviceFlags 1 hook:attaching
	hook attaching "touch $FAKE_DIR/attaching; while [ -e $FAKE_DIR/attaching ]; do sleep 0.05; done"
	start_sm vm-01 host-b
	await 20 test -e "$FAKE_DIR/iterating"
	multicast_reaches_tap host-a vm-01 "$MAC1"
	rm "$FAKE_DIR/iterating"
	await 20 test -e "$FAKE_DIR/attaching"
	multicast_reaches_tap host-b vm-01 "$MAC1"
	rm "$FAKE_DIR/attaching"
	wait_sm
	assert_exit 0
	refute multicast_reaches_tap host-b vm-01 "$MAC1"
	rm "$FAKE_DIR/hooks/migrate.iterating"
	run_sm_on host-b vm-01 host-a
	assert_exit 0
	refute multicast_reaches_tap host-a vm-01 "$MAC1"
}

# VLAN devices do the same, but not every kernel has them. Each macvlan asks for its own MAC.
@test "devices on one VF share its room" {
	on host-b ip -batch - <<-END
		link set wan0 nomaster
		link add link wan0 name one type macvlan mode private
		link add link wan0 name two type macvlan mode private
		link add link wan0 name three type macvlan mode private
		link set one up
		link set two up
		link set one master br0
	END
	await 5 sh -c "$(links host-b show one) | grep -q 'master br0 state UP'"
	run_sm check vm-01 host-b
	assert_exit 0
	on host-b ip link set three up
	run_sm --json check vm-01 host-b
	assert_exit 3
	assert_says '"code":"filters-full".*uplink one '
}

@test "the destination's uplink leaves its bridge, or the bridge goes, while memory is copied: the guest stays" {
	set_fake migrate endless
	hook migrate.iterating "$(links host-b set wan0 nomaster)"
	run_sm vm-01 host-b
	assert_exit 1
	assert_says 'the guest would be cut off here: uplink wan0 is no port of bridge br0'
	on host-b ip link set wan0 master br0
	assert_unchanged
	hook migrate.iterating "$(links host-b del br0)"
	run_sm vm-01 host-b
	assert_exit 1
	assert_says 'the guest would be cut off here: there is no bridge br0'
	assert_hears host-a vm-01 "$MAC1"
}

@test "the destination's uplink goes down for good while the memory is copied: the guest stays" {
	set_fake migrate endless
	hook migrate.iterating "$(downs host-b wan0)"
	run_sm vm-01 host-b
	assert_exit 1
	assert_says 'the guest would be cut off here: uplink wan0 is down'
	on host-b ip link set wan0 up
	assert_unchanged
}

@test "the destination's bridge goes down at the last moment, and there is no VF either: nobody says that the standby works" {
	hook migrate.switched "$(downs host-b br0)"
	set_fake host-b.attach error
	run_sm --reattach-retries 0 vm-01 host-b
	assert_exit 5
	assert_says "nothing for $MAC1 reaches its standby on host-b"
	on host-b ip link set br0 up
	rm "$FAKE_DIR/set/host-b.attach"
	run_sm_on host-b recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

# As udev does, or an operator.
rename_uplink() {
	echo "nsenter -t $(pid_of host-a) ${enter_user[*]} -n sh -c \
		'ip link set uplink0 down; ip link set uplink0 name uplink9; ip link set uplink9 up'"
}

@test "the source's uplink is renamed while memory is copied: nothing stays on it" {
	hook migrate.iterating "$(rename_uplink)"
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "the same, all die, and recover finishes" {
	hook migrate.iterating "$(rename_uplink)
		exec $FAKE_DIR/bin/kill-all"
	run_sm_to_death vm-01 host-b
	await 20 grep -q "migration ends" "$FAKE_DIR/log"
	run_sm recover
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "an uplink that is gone is not in the way of a VF, whatever the NIC" {
	local driver
	for driver in ixgbe mlx5_core; do
		start_with $driver
		hook migrate.finished "nsenter -t $(pid_of host-b) ${enter_user[*]} -n ip link del wan0"
		run_sm --reattach-retries 0 vm-01 host-b
		assert_state host-b vm-01 1
		[ -n "$(live_xml host-b vm-01 | vf_in)" ]
		stop_hosts
		rm -r "$FAKE_DIR"
	done
	FAKE_DIR=
}
