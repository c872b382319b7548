#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The forms in which a guest can be given its pair, with libvirt as it is. Each moves there and
# back under a prober, and nothing is left. The tests of a guest follow one another.

# shellcheck disable=SC2154 # what lib.bash sets
bats_require_minimum_version 1.5.0
load lib

# For lib.bash: whoever runs when another guest is wanted is stopped.
lab_guests+=(vm-04 vm-05 vm-06 vm-07)

guest_mac()
{
	sed -n "s/.*<mac address='\([^']*\)'.*/\1/p" "$lab_dir/guest/$1.xml" | head -n 1
}

# No guest anywhere, and VFs made anew.
clear_hosts()
{
	local one list host

	list=$(list_domains)
	for one in "${lab_guests[@]}"; do
		[[ $list != *" $one "* ]] || lab guest stop "$one"
	done
	for host in "${lab_hosts[@]}"; do
		flush_nic "$host"
	done
}

# start_form GUEST [SHELL-LINE]: on host-a, on VFs made anew; the line is run there before.
start_form()
{
	clear_hosts
	[ -z "${2-}" ] || on host-a "$2"
	lab guest start "$1" host-a
}

# start_variant GUEST SED-SCRIPT: the same with a definition that is changed.
start_variant()
{
	on host-a "sed \"$2\" /usr/local/lib/lab/$1.xml >/run/lab/variant.xml &&
		virsh -q define /run/lab/variant.xml && virsh -q start $1"
}

# Lines of a host's look that have to do with the guest: its entries, VFs with its MAC, files.
rest_of()
{
	awk '/^== domain/ { exit } { print }' "$1" | sed -E -e 's/\bmacvtap[0-9]+\b/macvtapN/' \
		-e "s/ mac=(random|zero|02:00:00:00:00:00)( |$)/ mac=any\2/"
}

# move_form GUEST SOURCE DESTINATION [OPTION…]: measured, and looked at.
move_form()
{
	local guest=$1 src=$2 dst=$3 src_vf dst_vf

	take_look before
	probe_begin "$guest"
	program "$src" "${@:4}" "$guest" "$dst"
	probe_end
	assert_status 0
	note "$guest $src -> $dst: outage $(probe_figure .total_ms) ms, longest $(probe_figure .longest_ms) ms," \
		"elsewhere $(outage_elsewhere) ms; downtime $(result .downtime_ms) ms"
	[ "$(find_guest "$guest")" = "$dst" ]
	src_vf=$(jq -r 'select(.event == "plan") | .pairs[0].source_vf' "$events")
	dst_vf=$(result '.pairs[0].vf')
	take_look after
	assert_mirrored "$guest" "$src" "$dst" "$src_vf" "$dst_vf"
	assert_source_definition "$guest" "$src"
	assert_heard_everywhere "$guest" "$src" near
	(($(outage_elsewhere) <= ELSEWHERE_MAX_MS)) ||
		fail "an outage of $(outage_elsewhere) ms away from the switch-over: $probe_report"
}

# round_trip GUEST [OPTION…]: there and back; host-a then looks as it did, host-b has no trace of the guest.
round_trip()
{
	local guest=$1 mac

	mac=$(guest_mac "$guest")
	guest_is_on_vf "$guest"
	lab snapshot host-a </dev/null >"$BATS_TEST_TMPDIR/start" 3>&-
	move_form "$guest" host-a host-b "${@:2}"
	guest_is_on_vf "$guest"
	assert_standby_quiet "$guest" host-b
	move_form "$guest" host-b host-a "${@:2}"
	guest_is_on_vf "$guest"
	same "host-a is not as it was" <(rest_of "$BATS_TEST_TMPDIR/start") \
		<(rest_of "$BATS_TEST_TMPDIR/host-a.after")
	! awk '/^== domain/ { exit } { print }' "$BATS_TEST_TMPDIR/host-b.after" | grep "$mac"
}

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

ensure_form()
{
	[ "$(find_guest "$1")" = "$2" ]
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

@test "two pairs in two forms move there and back" {
	start_form vm-07 "ip link set dev pf0 vf 3 mac 52:54:00:00:12:b4"
	aliases_on host-a >"$BATS_TEST_TMPDIR/aliases"
	take_look start
	move_two host-a host-b
	move_two host-b host-a
	take_look after
	same "host-a is not as it was" <(rest_of "$BATS_TEST_TMPDIR/host-a.start") \
		<(rest_of "$BATS_TEST_TMPDIR/host-a.after")
	! rest_of "$BATS_TEST_TMPDIR/host-b.after" | grep -E '52:54:00:00:12:b[34]' || fail "left on host-b"
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

# ---- bridges that filter VLANs, uplinks that are bonds

# Bridge and uplink as they are in the lab otherwise.
mend_uplinks()
{
	local host

	for host in "${lab_hosts[@]}"; do
		on "$host" "ip link set br0 type bridge vlan_filtering 0 vlan_default_pvid 1
			ip link del bup 2>/dev/null
			ip link set pf0v2 down 2>/dev/null
			ip link set pf0v0 up
			ip link set pf0v0 master br0"
	done
}

# One that stops half-way leaves the next one what it would find otherwise.
teardown()
{
	[ -n "${BATS_TEST_COMPLETED-}" ] || mend_uplinks
}

# Every port, a new tap as well, is in this VLAN then and in no other.
@test "a guest on bridges that filter VLANs moves there and back" {
	local host
	start_form vm-01
	for host in "${lab_hosts[@]}"; do
		on "$host" ip link set br0 type bridge vlan_filtering 1 vlan_default_pvid 7
	done
	wait_for 10 answers_to host-a-bridge "$(guest_address vm-01)"
	round_trip vm-01
	mend_uplinks
}

# The bridge's VF into a bond with another one, the bond into the bridge in its place; and back.
bond_uplink()
{
	on "$1" "ip link add bup type bond mode active-backup && ip link set pf0v0 nomaster &&
		ip link set pf0v0 down && ip link set pf0v2 down &&
		ip link set pf0v0 master bup && ip link set pf0v2 master bup &&
		ip link set bup up && ip link set bup master br0"
}

@test "a guest on bridges whose uplink is a bond moves there and back" {
	start_form vm-01
	bond_uplink host-a
	bond_uplink host-b
	wait_for 10 answers_to host-a-bridge "$(guest_address vm-01)"
	round_trip vm-01
	mend_uplinks
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
