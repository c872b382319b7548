#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The forms in which a guest can be given its pair, with libvirt as it is. Each moves there and
# back under a prober, and nothing is left. The tests of a guest follow one another.

# shellcheck disable=SC2154 # what lib.bash sets
bats_require_minimum_version 1.5.0
load lib
load forms

# ---- plain <hostdev> ----

@test "a plain <hostdev> moves there and back" {
	start_form vm-04 "ip link set dev pf0 vf 4 mac $(guest_mac vm-04)"
	round_trip vm-04
}

@test "a plain <hostdev> comes back from a migration that fails" {
	ensure_form vm-04 host-a
	take_look before
	program host-a --migrate-uri tcp://192.0.2.1:1 vm-04 host-b
	assert_status 1
	assert_untouched vm-04 host-a
}

# ---- VFs that libvirt does not bind

bind_to_vfio()
{
	on "$1" "modprobe -q vfio-pci
		cd /sys/bus/pci/devices/$2 && echo vfio-pci >driver_override && echo $2 >driver/unbind
		echo $2 >/sys/bus/pci/drivers_probe; readlink driver | grep -q vfio-pci"
}

@test "a VF with managed='no' moves there and back" {
	clear_hosts
	bind_to_vfio host-a 0000:01:10.2
	bind_to_vfio host-b 0000:01:10.6
	start_variant vm-01 "s/managed='yes'/managed='no'/"
	wait_for 60 guest_is_on_vf vm-01
	round_trip vm-01
	# A VF that libvirt has seen on vfio-pci before it gave it to a guest is left there afterwards, also
	# when it was made anew meanwhile: until the daemon is.
	lab guest stop vm-01
	on host-a lab-libvirt restart
	on host-b lab-libvirt restart
}

# ---- a guest without net_failover

answers_its_host()
{
	lab guest exec "$1" true
}

# QEMU has never shown it its VF, and lets it go at once.
@test "a guest that knows no failover is warned of, and moves without its VF (4)" {
	clear_hosts
	start_variant vm-01 "s/lab.name=/lab.failover=off &/"
	wait_for 60 answers_its_host vm-01
	take_look before
	program host-a check vm-01 host-b
	assert_status 0
	event_seen '.event == "warning" and .code == "vf-unused"'
	program host-a --proof-timeout 5 --reattach-retries 0 vm-01 host-b
	assert_status 4
	[ "$(find_guest vm-01)" = host-b ]
	on host-b virsh domif-getlink vm-01 vmtap01 | grep up
	lab guest stop vm-01
	program host-b recover
	assert_status 1
	take_look after
	! rest_of "$BATS_TEST_TMPDIR/host-b.after" | grep -E "$(guest_mac vm-01)|journal" || fail "left on host-b"
}

# ---- a network of VFs ----

make_pool()
{
	local host=$1 slot_function

	on "$host" "cat >/run/lab/vfs.xml <<-XML
		<network><name>vfs</name><forward mode='hostdev' managed='yes'>
		$(for slot_function in "${@:2}"; do
			echo "<address type='pci' domain='0' bus='1' slot='0x${slot_function%.*}' function='${slot_function#*.}'/>"
		done)
		</forward></network>
		XML
		virsh -q net-list --name | grep -qx vfs || virsh -q net-create /run/lab/vfs.xml"
}

@test "a VF from a network of VFs moves there and back" {
	make_pool host-a 11.0 10.4
	make_pool host-b 10.6 10.4
	start_form vm-05
	round_trip vm-05
}

@test "a VF from a network of VFs comes back from a migration that fails" {
	ensure_form vm-05 host-a
	take_look before
	program host-a --migrate-uri tcp://192.0.2.1:1 vm-05 host-b
	assert_status 1
	assert_untouched vm-05 host-a
}

# ---- several pairs, with aliases of libvirt's making ----

# round_trip_of_two MOVE: with each host for its first argument, there and back; nothing is left
round_trip_of_two()
{
	aliases_on host-a >"$BATS_TEST_TMPDIR/aliases"
	take_look start
	"$1" host-a host-b
	"$1" host-b host-a
	take_look after
	same "host-a is not as it was" <(rest_of "$BATS_TEST_TMPDIR/host-a.start") \
		<(rest_of "$BATS_TEST_TMPDIR/host-a.after")
	! rest_of "$BATS_TEST_TMPDIR/host-b.after" | grep -E '52:54:00:00:12:b[34]' || fail "left on host-b"
}

@test "two pairs in two forms move there and back" {
	start_form vm-07 "ip link set dev pf0 vf 3 mac 52:54:00:00:12:b4"
	round_trip_of_two move_two
}

aliases_on()
{
	on "$1" virsh dumpxml vm-07 | grep -oE "alias name='hostdev[0-9]'" | sort
}

# Both masters have their VF; of the standbys one rests down, the other one up, as they are defined.
both_pairs_are_on_vf()
{
	local state

	state=$(lab guest state vm-07) || return 1
	jq -e '(.netdevs | length == 6)
		and ([.netdevs[] | select(.driver == "igbvf" and .master != "" and .carrier == 1)] | length == 2)
		and ([.netdevs[] | select(.driver == "virtio_net" and .carrier == 0)] | length == 1)' \
		>/dev/null <<<"$state" || fail "vm-07 is not as it should be: $state"
}

move_two()
{
	probe_begin vm-07
	program "$1" vm-07 "$2"
	probe_end
	assert_status 0
	note "vm-07 $1 -> $2: outage $(probe_figure .total_ms) ms, elsewhere $(outage_elsewhere) ms;" \
		"downtime $(result .downtime_ms) ms"
	[ "$(result '.pairs | map(.vf) | map(select(. != null)) | length')" = 2 ]
	aliases_on "$2" | diff "$BATS_TEST_TMPDIR/aliases" -
	both_pairs_are_on_vf
	assert_heard_everywhere vm-07 "$1" near
	(($(outage_elsewhere) <= ELSEWHERE_MAX_MS)) || fail "an outage away from the switch-over: $probe_report"
}

@test "two pairs come back from a migration that fails under the aliases they had" {
	ensure_form vm-07 host-a
	take_look before
	program host-a --migrate-uri tcp://192.0.2.1:1 vm-07 host-b
	assert_status 1
	take_look after
	same "host-a is not as it was" <(rest_of "$BATS_TEST_TMPDIR/host-a.before") \
		<(rest_of "$BATS_TEST_TMPDIR/host-a.after")
	on host-a virsh dumpxml vm-07 >"$BATS_TEST_TMPDIR/now"
	grep -q "alias name='hostdev0'" "$BATS_TEST_TMPDIR/now"
	grep -q "alias name='hostdev1'" "$BATS_TEST_TMPDIR/now"
}

# ---- two bridges, over two NICs

master_of()
{
	lab guest state vm-07 | jq -r --arg mac "$1" \
		'[.netdevs[] | select(.mac == $mac and .master != "")][0].master'
}

move_two_on_two()
{
	lab probe start second 10.8.0.8 --interval 20
	move_two "$1" "$2"
	second_report=$(lab probe stop second 2>/dev/null)
	note "the second pair: outage $(jq .total_ms <<<"$second_report") ms"
	(($(jq .total_ms <<<"$second_report") <= MOVE_MAX_MS)) || fail "too long an outage: $second_report"
	[ "$(result '[.pairs[].vf[0:8]] | sort | join(" ")')" = "0000:01: 0000:02:" ]
	for place in "$1" "$2"; do
		on "$place" "! bridge fdb show | grep -E '52:54:00:00:12:b[34].*(self|static)'" || return 1
	done
}

@test "two pairs on two bridges, over two NICs, move there and back" {
	local host place second_report

	clear_hosts
	for host in "${lab_hosts[@]}"; do
		on "$host" lab-nic second
	done
	on host-a ip link set dev pf1 vf 1 mac 52:54:00:00:12:b4
	start_variant vm-07 "/b4'/,/source bridge/s/br0/br1/
		s/bus='0x01' slot='0x10' function='0x6'/bus='0x02' slot='0x10' function='0x2'/"
	wait_for 60 both_pairs_are_on_vf 2>/dev/null
	lab guest exec vm-07 "ip addr add 10.8.0.8/24 dev $(master_of 52:54:00:00:12:b4)"
	round_trip_of_two move_two_on_two
	lab guest stop vm-07
	for host in "${lab_hosts[@]}"; do
		on "$host" lab-nic no-second
	done
}

# ---- no bridge ----

@test "a standby that is a macvtap moves there and back" {
	start_form vm-06 "ip link set dev pf0v2 up"
	on host-b ip link set dev pf0v2 up
	round_trip vm-06
}

@test "a macvtap standby comes back from a migration that fails" {
	ensure_form vm-06 host-a
	take_look before
	program host-a --migrate-uri tcp://192.0.2.1:1 vm-06 host-b
	assert_status 1
	assert_untouched vm-06 host-a
}

# ---- disks

# Beside the guest's memory on each host; what is in it is different on each.
disk=/var/lib/lab/vm-01.disk

make_disk()
{
	on "$1" "dd if=/dev/urandom of=$disk bs=1M count=${2:-24} status=none"
}

sum_of_disk()
{
	on "$1" sha256sum "$disk"
}

@test "a guest with a disk on a host's own file system is refused, and moves with a copy of it" {
	start_form vm-01
	make_disk host-a
	on host-a virsh -q attach-disk vm-01 "$disk" vda --targetbus virtio --persistent
	take_look before
	program host-a vm-01 host-b
	assert_status 3
	assert_untouched vm-01 host-a
	grep -q 'disk vda of domain vm-01, .* is not there' "$events"
	make_disk host-b
	program host-a --copy-storage-all vm-01 host-b
	assert_status 0
	[ "$(sum_of_disk host-a)" = "$(sum_of_disk host-b)" ]
	guest_is_on_vf vm-01
	program host-b --copy-storage-all vm-01 host-a
	assert_status 0
	guest_is_on_vf vm-01
}

# The copy of the disk is what fails, with the guest still running.
@test "a guest whose disk cannot be copied stays as it was" {
	ensure_form vm-01 host-a
	make_disk host-b 1
	take_look before
	program host-a --copy-storage-all vm-01 host-b
	assert_status 1
	assert_untouched vm-01 host-a
	lab guest stop vm-01
	on host-a rm -f "$disk"
	on host-b rm -f "$disk"
}

# ---- QEMU's own unplug

@test "left to QEMU, vm-01 moves there and back" {
	start_form vm-01
	round_trip vm-01 --unplug=qemu
}

@test "left to QEMU, vm-01 comes back from a migration that fails" {
	ensure_form vm-01 host-a
	take_look before
	probe_begin vm-01
	program_begin host-a --unplug=qemu vm-01 host-b
	wait_for_event 90 "$COPYING"
	signal_driver host-a INT
	program_end
	assert_status 1
	assert_outage_below "$STAY_MAX_MS"
	assert_untouched vm-01 host-a
}

@test "left to QEMU, vm-02 moves there and back" {
	start_form vm-02
	round_trip vm-02 --unplug=qemu
}

# QEMU gives up waiting 30 s after it was told to; what the guest does then is a late unplug.
@test "left to QEMU, a guest that does not hear of the unplug stays, and has its VF after a late one" {
	start_form vm-03
	lab guest hotplug vm-03 off
	probe_begin vm-03
	program host-a --unplug=qemu --detach-timeout 5 --unplug-watch 90 vm-03 host-b
	assert_status 1
	assert_outage_below "$STAY_MAX_MS"
	lab guest hotplug vm-03 on
	wait_for 150 no_agent_on host-a
	guest_is_on_vf vm-03
	assert_heard_near vm-03 host-a
}
