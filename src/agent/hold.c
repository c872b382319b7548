/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/hold.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "util/clock.h"

/* Looking whether a file is held takes it for a moment: that alone must not look busy. */
enum { TRIES = 20, PAUSE_MS = 10 };

/* Where files cannot be held, nobody holds one. */
static bool is_held_by_another(int fd, int how)
{
	return flock(fd, how | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

bool hold_file(int fd)
{
	for (int i = 1; is_held_by_another(fd, LOCK_EX); i++) {
		if (i == TRIES)
			return false;
		clock_sleep_ms(PAUSE_MS);
	}
	return true;
}

bool hold_is_taken(int fd)
{
	if (is_held_by_another(fd, LOCK_SH))
		return true;
	flock(fd, LOCK_UN);
	return false;
}

bool hold_is_named(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}
