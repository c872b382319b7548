# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Build the program where its libraries are those of the hosts, put it on them.
#
# The source is copied (a tree that is being worked in stays as it is), the copy and
# its build directory are kept, so that a second time only what changed is compiled.

# The files of a source tree that belong to it, each ending in a NUL.
source_files()
{
	local files

	if files=$(mktemp) && git -c safe.directory='*' -C "$1" ls-files -z -co \
		--exclude-standard >"$files" 2>/dev/null && [ -s "$files" ]; then
		# what is deleted but not yet committed is still listed
		(cd "$1" && while IFS= read -r -d '' f; do
			[ ! -e "$f" ] && [ ! -L "$f" ] || printf '%s\0' "$f"
		done <"$files")
	else
		(cd "$1" && find . \( -name .git -o -name .deps -o -name autom4te.cache \) -prune \
			-o ! -name '*.o' ! -name config.status ! -name Makefile -type f -print0)
	fi
	rm -f "$files"
}

install_build()
{
	local source=$1 work=$2 old

	mkdir -p "$work/src" "$work/build"
	rm -rf "$work/dest"
	mkdir "$work/dest"
	source_files "$source" | LC_ALL=C sort -z >"$work/files.new"
	if [ -e "$work/files" ]; then
		LC_ALL=C comm -z -23 "$work/files" "$work/files.new" | while IFS= read -r -d '' old; do
			rm -f "$work/src/$old"
		done
	fi
	tar -C "$source" --null --no-recursion -T "$work/files.new" -cf - |
		tar -C "$work/src" -xf - || return 1
	mv "$work/files.new" "$work/files"
	# shellcheck disable=SC2016
	in_root "$work:/tmp/build" -- bash -euc '
		export HOME=/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
		cd /tmp/build/src
		is_stale=
		for f in configure.ac $(find . -name Makefile.am -o -name "*.m4" -o -name "Makemodule.am"); do
			[ -e configure ] && [ ! "$f" -nt configure ] || is_stale=1
		done
		if [ -n "$is_stale" ]; then
			autoreconf -fi
			rm -f ../build/Makefile
		fi
		cd ../build
		[ -e Makefile ] && [ ! ../src/configure -nt Makefile ] ||
			../src/configure --quiet --prefix=/usr/local --sysconfdir=/etc
		make -s -j2
		make -s install DESTDIR=/tmp/build/dest' >&2
}

lab_install()
{
	local source work host lock work_lock

	source=$(cd "$1" && pwd) || exit 1
	[ -e "$source/configure.ac" ] || die "$source has no configure.ac"
	lab_is_up
	exec {lock}>"$LAB_CACHE/lock"
	flock -s "$lock"
	work=$LAB_CACHE/program/$(printf '%s' "$source" | sha256sum | cut -c1-12)
	mkdir -p "$work"
	exec {work_lock}>"$work/lock"
	flock "$work_lock"
	say "building $source"
	install_build "$source" "$work" || die "$source does not build"
	for host in "${LAB_HOSTS[@]}"; do
		# what an earlier version installed and this one does not has to go; a host that loses its power
		# right after has the program, and not an empty file
		tar -C "$work/dest" --owner=0 --group=0 -czf - . |
			lab_run -t 60 "$host" 'cd / && mkdir -p /var/lib/lab &&
				cat >/var/lib/lab/program.tar.gz &&
				tar -tzf /var/lib/lab/program.tar.gz | grep -v "/$" | LC_ALL=C sort >/var/lib/lab/program.new &&
				touch /var/lib/lab/program.files &&
				LC_ALL=C comm -23 /var/lib/lab/program.files /var/lib/lab/program.new | xargs -r rm -f &&
				tar --no-overwrite-dir -xzf /var/lib/lab/program.tar.gz &&
				mv /var/lib/lab/program.new /var/lib/lab/program.files && ldconfig && sync' ||
			die "could not install on $host"
		say "installed on $host"
	done
	exec {lock}>&- {work_lock}>&-
}
