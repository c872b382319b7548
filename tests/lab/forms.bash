# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the forms of guests and those of uplinks have in common: a guest is started on hosts that are
# made anew, and moves there and back under a prober.

# shellcheck disable=SC2154 # what lib.bash sets

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

# Lines of a host's look that have to do with the guest: its entries, VFs with its MAC, files (the directories
# alone are made once and for all).
rest_of()
{
	awk '/^== domain/ { exit } { print }' "$1" |
		sed -E -e '/^\/(run|var\/lib)\/sriov-migrate$/d' -e 's/\bmacvtap[0-9]+\b/macvtapN/' \
		-e "s/ mac=(random|zero|02:00:00:00:00:00)( |$)/ mac=any\2/"
}

# move_form GUEST SOURCE DESTINATION [OPTION…]: measured, and looked at.
move_form()
{
	local guest=$1 src=$2 dst=$3 src_vf dst_vf

	[ "$lab_outside" = outside ] || lab_outside=$dst-vf
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
	(($(probe_figure .total_ms) <= MOVE_MAX_MS)) || fail "too long an outage: $probe_report"
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

ensure_form()
{
	[ "$(find_guest "$1")" = "$2" ]
}
