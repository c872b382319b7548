# shellcheck shell=bash
# shellcheck disable=SC2154 # lab_dir and started_us are set by the command
# SPDX-License-Identifier: GPL-2.0-or-later
# The guests, wherever they run.

guest_known()
{
	[ -e "$lab_dir/guest/$1.xml" ] || die "no such guest: $1"
}

# Domain state on a host, "-" when it is not known there: running, shut off, paused…
guest_state_on()
{
	lab_run -t 20 "$1" "virsh -q domstate $2 2>/dev/null || echo -" </dev/null | head -n 1
}

# The host the guest runs on.  Both are asked, whatever the first one says: a guest
# that runs twice is something to be told.
guest_where()
{
	local host found=()

	for host in "${LAB_HOSTS[@]}"; do
		host_runs "$host" || continue
		[ "$(guest_state_on "$host" "$1")" != running ] || found+=("$host")
	done
	case ${#found[@]} in
	0)
		warn "$1 runs nowhere"
		return 1
		;;
	1) echo "${found[0]}" ;;
	*)
		warn "$1 runs TWICE: ${found[*]}"
		return 2
		;;
	esac
}

# Run a shell line in a guest on a known host.
guest_call()
{
	local host=$1 name=$2 secs=$3 line=$4

	printf '%s' "$line" | lab_run -t $((secs + 10)) "$host" \
		"/usr/local/lib/lab/bin/agent call /run/libvirt/qemu/channel/*-$name/lab.exec $secs"
}

# One retry, because a guest may have moved between the question and the call.
guest_exec()
{
	local name=$1 line host status

	shift
	if (($# == 1)); then
		line=$1
	else
		line=$(printf '%q ' "$@")
	fi
	host=$(guest_where "$name") || return 125
	guest_call "$host" "$name" 30 "$line"
	status=$?
	if ((status == 125)); then
		host=$(guest_where "$name") || return 125
		guest_call "$host" "$name" 30 "$line"
		status=$?
	fi
	return "$status"
}

guest_start()
{
	local name=$1 host=$2 other state='' tries=0

	host_known "$host"
	lab_is_up
	other=$(guest_where "$name" 2>/dev/null)
	case $? in
	0)
		[ "$other" = "$host" ] || die "$name runs on $other"
		say "$name runs on $host already"
		return 0
		;;
	2) die "$name runs on both hosts" ;;
	esac
	lab_run -t 60 "$host" "virsh -q define /usr/local/lib/lab/$name.xml &&
		rm -f /var/log/lab/$name.console && virsh -q start $name" </dev/null ||
		die "could not start $name on $host"
	say "$name is started"
	until [[ $state == *'"active":"primary"'* ]]; do
		((tries++ < 60)) || {
			lab_run -t 10 "$host" tail -n 20 "/var/log/lab/$name.console" \
				</dev/null >&2
			die "$name does not run on its VF: ${state:-no answer from it}"
		}
		sleep 0.5
		state=$(guest_call "$host" "$name" 5 lab-state 2>/dev/null)
	done
	say "$name runs on its VF on $host"
}

guest_stop()
{
	local name=$1 host

	lab_is_up
	for host in "${LAB_HOSTS[@]}"; do
		host_runs "$host" || continue
		lab_run -t 60 "$host" "virsh -q destroy $name; virsh -q undefine $name;
			rm -f /var/log/lab/$name.console" </dev/null >/dev/null 2>&1
	done
	return 0
}

lab_guest()
{
	local verb=$1 name=$2

	shift 2
	guest_known "$name"
	lab_is_up
	case $verb in
	start)
		need_args 1 $#
		guest_start "$name" "$1"
		;;
	stop) guest_stop "$name" ;;
	where) guest_where "$name" ;;
	exec)
		need_args 1 $#
		guest_exec "$name" "$@"
		;;
	state) guest_exec "$name" lab-state ;;
	hotplug)
		need_args 1 $#
		guest_exec "$name" lab-hotplug "$1"
		;;
	*)
		usage >&2
		return 2
		;;
	esac
}
