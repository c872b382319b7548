# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What the scripts of this folder share.

# shellcheck disable=SC2034
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() {
	printf '== %s\n' "$*" >&2
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# shellcheck disable=SC2034
build_packages=(gcc make autoconf automake pkg-config bash-completion bats libvirt-dev
	libxml2-dev libmnl-dev libiniparser-dev libjansson-dev iproute2 nftables procps python3 jq)

# Installs the packages that are missing; asks apt only if there are any.
need_packages() {
	local missing=() p
	for p in "$@"; do
		dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q 'ok installed' ||
			missing+=("$p")
	done
	((${#missing[@]})) || return 0
	((EUID == 0)) || die "these packages are missing: ${missing[*]}"
	say "installing ${missing[*]}"
	apt-get -qq update
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install \
		"${missing[@]}" >/dev/null </dev/null
}

# Builds the tree in $1, which is made if it is not there.
build_program() {
	local dir=$1
	shift
	[[ -x $top/configure && $top/configure -nt $top/configure.ac ]] ||
		(cd "$top" && autoreconf -fi >/dev/null 2>&1) || die "autoreconf failed"
	mkdir -p "$dir"
	[[ -f $dir/Makefile ]] || (cd "$dir" && "$top/configure" -q "$@") || die "configure failed"
	make -s -C "$dir" -j"$(nproc)" || die "the build failed"
}
