# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Probers: who loses which echoes, seen from where.

LAB_PROBE=/usr/local/lib/lab/bin/probe

# Where a prober runs: the switch, or "HOST COMMAND-PREFIX".
probe_place()
{
	case $1 in
	outside) echo switch ;;
	host-[ab]-bridge) echo "${1%-bridge}" ;;
	host-[ab]-vf) echo "${1%-vf} ip netns exec neighbour" ;;
	*) die "probe: no such place: $1" ;;
	esac
}

probe_start()
{
	local name=$1 address=$2 from=outside interval=10 place host prefix dir

	shift 2
	while (($# > 0)); do
		need_args 2 $#
		case $1 in
		--from) from=$2 ;;
		--interval) interval=$2 ;;
		*) die "probe: unknown option $1" ;;
		esac
		shift 2
	done
	[[ $name =~ ^[A-Za-z0-9._-]+$ ]] || die "probe: bad name $name"
	[[ $interval =~ ^[1-9][0-9]*$ ]] || die "probe: bad interval $interval"
	[[ $address =~ ^[0-9.]+$ ]] || die "probe: bad address $address"
	place=$(probe_place "$from") || exit 1
	dir=$LAB_STATE/probe-$name
	mkdir "$dir" 2>/dev/null || die "probe $name exists already"
	echo "$place" >"$dir/place"
	if [ "$place" = switch ]; then
		# the name it is started by puts $LAB_STATE in its command line
		ln "$LAB_CACHE/root$LAB_PROBE" "$dir/probe" 2>/dev/null ||
			cp "$LAB_CACHE/root$LAB_PROBE" "$dir/probe"
		in_switch_background "$LAB_STATE/probe-$name.pid" \
			"$dir/probe" "$address" "$interval" >"$dir/report" 2>"$dir/log"
		return 0
	fi
	read -r host prefix <<<"$place"
	lab_run -t 20 "$host" "mkdir -p /run/lab/probe-$name && cd /run/lab/probe-$name &&
		{ setsid $prefix $LAB_PROBE $address $interval </dev/null >report 2>log &
		echo \$! >pid; }" </dev/null || {
		rm -rf "$dir"
		return 1
	}
}

probe_stop()
{
	local name=$1 dir=$LAB_STATE/probe-$1 place host tries=0 status=0

	[ -d "$dir" ] || die "no probe $name"
	place=$(cat "$dir/place")
	if [ "$place" = switch ]; then
		kill -TERM "$(own_pid "$LAB_STATE/probe-$name.pid")" 2>/dev/null
		while own_pid "$LAB_STATE/probe-$name.pid" >/dev/null && ((tries++ < 100)); do
			sleep 0.05
		done
		end_process "$LAB_STATE/probe-$name.pid" KILL
		cat "$dir/log" >&2
	else
		host=${place%% *}
		lab_run -t 20 "$host" "cd /run/lab/probe-$name && read -r pid <pid &&
			kill -TERM \$pid && while [ -e /proc/\$pid ]; do sleep 0.1; done
			cat log >&2; cat report; rm -rf /run/lab/probe-$name" \
			</dev/null >"$dir/report"
	fi
	cat "$dir/report"
	[ -s "$dir/report" ] || {
		warn "probe $name left no report"
		status=1
	}
	rm -rf "$dir"
	return "$status"
}

lab_probe()
{
	local verb=$1 place

	shift
	lab_is_up
	case $verb in
	start)
		need_args 2 $#
		probe_start "$@"
		;;
	stop)
		need_args 1 $#
		probe_stop "$1"
		;;
	list)
		for place in "$LAB_STATE"/probe-*/place; do
			[ -e "$place" ] || continue
			place=${place%/place}
			echo "${place##*/probe-} $(cat "$place/place")"
		done
		;;
	*)
		usage >&2
		return 2
		;;
	esac
}
