# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Shared by the baselines: the way to the lab, and what there is to know of a guest.

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd) || exit 1
lab=$here/../lab

# The documented topology on a lab host.
# shellcheck disable=SC2034
PF=pf0 UPLINK=pf0v0 BRIDGE=br0

# Run a shell script (stdin) on a host with arguments.
on_host()
{
	local host=$1

	shift
	"$lab" run "$host" bash -s -- "$@"
}

# The first MAC of a domain; both NICs of its pair have it.
domain_mac()
{
	"$lab" run "$1" virsh -q domiflist "$2" </dev/null |
		awk '{ print $NF; exit }'
}
