#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What goes wrong: the documented exit status, the guest reachable, nothing left behind.

# shellcheck disable=SC2154 # what lib.bash sets
bats_require_minimum_version 1.5.0
load lib

setup()
{
	guest=vm-01
}

# Each test mends what it has broken, but those that do not come so far.
teardown()
{
	program_stop "${src-}"
	[ -n "${BATS_TEST_COMPLETED-}" ] || mend_hosts
}

mend_host()
{
	on "$1" 'lab-libvirt start
		cd /usr/local/sbin && [ ! -e sriov-migrate.away ] || mv sriov-migrate.away sriov-migrate
		[ ! -e /sys/class/net/br9 ] || {
			ip link set dev br9 down
			ip link set dev br9 name br0
			ip link set dev br0 up
		}
		ip link set dev pf0 up
		ip link set dev pf0v0 up
		virsh -q destroy taker
		virsh -q undefine taker' >/dev/null 2>&1 || true
	wait_for 15 on "$1" grep -q 1 /sys/class/net/pf0v0/carrier
}

mend_hosts()
{
	local host pids=()

	for host in "${lab_hosts[@]}"; do
		mend_host "$host" 3>&- &
		pids+=($!)
	done
	wait "${pids[0]}" && wait "${pids[1]}"
}

# The definition of a domain that takes VFs (PCI slot.function, as in 10.2).
taker_xml()
{
	local vf

	cat <<-END
		<domain type='kvm'>
		<name>taker</name>
		<memory unit='MiB'>32</memory>
		<os><type arch='x86_64' machine='q35'>hvm</type></os>
		<devices>
		<controller type='usb' model='none'/>
		<memballoon model='none'/>
	END
	for vf; do
		cat <<-END
			<hostdev mode='subsystem' type='pci' managed='yes'><source>
			<address domain='0x0000' bus='0x01' slot='0x${vf%.*}' function='0x${vf#*.}'/>
			</source></hostdev>
		END
	done
	echo '</devices></domain>'
}

# Before each: where the guest is and where it is to go, the look at it, the prober.
begin()
{
	src=$(find_guest "$guest") || true
	src=${src:-host-a}
	dst=$(other_host "$src")
	ensure_guest "$guest" "$src"
	take_look before
	probe_begin "$guest"
}

# After a refusal: cheaper than assert_untouched, nothing was begun.
assert_refused()
{
	assert_outage_below "$REFUSED_MAX_MS"
	assert_status 3
	runs_on "$guest" "$src" && guest_is_on_vf "$guest" && assert_nothing_changed
}

# After a rollback.
assert_rolled_back()
{
	assert_outage_below "$STAY_MAX_MS"
	assert_status 1
	assert_untouched "$guest" "$src"
}

assert_arrived()
{
	assert_outage_below 3000
	assert_status 0
	assert_moved "$guest" "$src" "$dst"
}

@test "the program is missing on the destination (3)" {
	begin
	program "$src" --agent-path /nonexistent/sriov-migrate vm-01 "$dst"
	assert_status 3
	on "$dst" 'cd /usr/local/sbin && mv sriov-migrate sriov-migrate.away'
	program "$src" vm-01 "$dst"
	mend_hosts
	assert_refused
}

@test "the destination does not answer (3)" {
	begin
	program "$src" vm-01 192.168.77.99
	assert_refused
}

@test "the destination's libvirt is down (3)" {
	begin
	on "$dst" 'lab-libvirt stop && ! virsh list'
	program "$src" vm-01 "$dst"
	mend_hosts
	assert_refused
}

@test "the destination's uplink is down (3)" {
	begin
	on "$dst" ip link set dev pf0v0 down
	program "$src" vm-01 "$dst"
	mend_hosts
	assert_refused
}

@test "the destination has no such bridge (3)" {
	begin
	on "$dst" 'ip link set dev br0 down && ip link set dev br0 name br9'
	program "$src" vm-01 "$dst"
	mend_hosts
	assert_refused
}

@test "all VFs of the destination are taken (3)" {
	begin
	taker_xml 10.2 10.4 10.6 11.0 11.2 |
		lab run "$dst" 'cat >/run/lab/taker.xml && virsh -q define /run/lab/taker.xml'
	program "$src" vm-01 "$dst"
	mend_hosts
	assert_refused
}

@test "the destination's QEMU is killed while memory is copied (1)" {
	begin
	program_begin "$src" --bandwidth 12 vm-01 "$dst"
	wait_for_event 60 "$COPYING"
	# shellcheck disable=SC2016
	on "$dst" 'kill -KILL "$(cat /run/libvirt/qemu/vm-01.pid)"'
	program_end
	assert_rolled_back
}

@test "SIGTERM before the VF is taken away (1)" {
	begin
	program_begin "$src" vm-01 "$dst"
	wait_for_event 30 '.event == "plan"'
	signal_driver "$src" TERM
	program_end
	assert_rolled_back
}

@test "SIGINT while memory is copied (1)" {
	begin
	program_begin "$src" --bandwidth 12 vm-01 "$dst"
	wait_for_event 60 "$COPYING"
	signal_driver "$src" INT
	program_end
	assert_rolled_back
}

@test "SIGTERM while memory is copied, the migration driven by the client (1)" {
	begin
	program_begin "$src" --client-driven --bandwidth 12 vm-01 "$dst"
	wait_for_event 60 "$COPYING"
	signal_driver "$src" TERM
	program_end
	assert_rolled_back
}

@test "SIGINT after the guest has moved: finished forward (0)" {
	begin
	program_begin "$src" vm-01 "$dst"
	wait_for_event 90 '.event == "step" and .step == "migrate"'
	signal_driver "$src" INT
	program_end
	assert_arrived
}

@test "two runs at once: the second is told so (6)" {
	local second=0

	begin
	program_begin "$src" --bandwidth 24 vm-01 "$dst"
	wait_for_event 30 '.event == "step" and .step == "reserve-vf"'
	lab run "$src" sriov-migrate vm-01 "$dst" </dev/null >&2 || second=$?
	program_end
	[ "$second" = 6 ]
	assert_arrived
}

@test "the driver is killed while memory is copied: the agents settle" {
	begin
	program_begin "$src" --bandwidth 24 vm-01 "$dst"
	wait_for_event 60 "$COPYING"
	signal_driver "$src" KILL
	program_end
	wait_for 60 no_agent_left
	if runs_on vm-01 "$src"; then
		note "it stayed on the source"
		status=1
		assert_outage_below "$STAY_MAX_MS"
		assert_untouched vm-01 "$src"
	else
		note "it moved"
		assert_outage_below 3000
		assert_moved vm-01 "$src" "$dst"
	fi
}

# Degraded, then mended: $1 breaks the destination's VF while memory is copied, $2 mends it.
degraded_and_mended()
{
	begin
	program_begin "$src" --bandwidth 12 vm-01 "$dst"
	wait_for_event 60 '.event == "step" and .step == "detach-vf"'
	"$1"
	program_end
	assert_status 4
	mv "$events" "$events.move"
	"$2"
	wait_for 20 answers_to outside "$(guest_address vm-01)"
	guest_is_on_standby vm-01
	program "$dst" reattach vm-01
	assert_status 0
	mv "$events.move" "$events"
	probe_end
	assert_moved vm-01 "$src" "$dst"
}

take_the_vf()
{
	taker_xml 10.2 |
		lab run "$dst" 'cat >/run/lab/taker.xml && virsh -q create --paused /run/lab/taker.xml'
}

give_it_back()
{
	on "$dst" virsh -q destroy taker
}

@test "the destination's VF is taken meanwhile (4), then reattach (0)" {
	degraded_and_mended take_the_vf give_it_back
	note "outage $(probe_figure .total_ms) ms"
	(($(probe_figure .total_ms) < 3000))
}

@test "a guest that ignores the unplug (1)" {
	guest=vm-03
	begin
	program "$src" --detach-timeout 5 --unplug-watch 1 vm-03 "$dst"
	assert_rolled_back
}

@test "SIGINT while the guest is asked for its VF (1)" {
	guest=vm-03
	begin
	program_begin "$src" --unplug-watch 1 vm-03 "$dst"
	wait_for_event 30 '.event == "step" and .step == "uplink-entry-early"'
	signal_driver "$src" INT
	program_end
	assert_rolled_back
	lab guest stop vm-03
}
