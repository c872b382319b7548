# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The lab is brought up for the run if it is not up, and only then taken down again.

# shellcheck source-path=SCRIPTDIR source=lib.bash
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib.bash"

setup_suite()
{
	[ "$(id -u)" = 0 ] || {
		echo "the lab needs root" >&2
		return 1
	}
	if ! lab status >/dev/null; then
		echo "# bringing up the lab \"$LAB_NAME\"" >&3
		touch "$BATS_RUN_TMPDIR/lab-is-ours"
		lab up || return 1
	fi
	lab install && lab sync
}

teardown_suite()
{
	[ ! -e "$BATS_RUN_TMPDIR/lab-is-ours" ] || lab down
}
