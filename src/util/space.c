/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/space.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "util/mem.h"

int space_try(const char *dir, const char *parent, off_t size, struct err *e)
{
	const char *there = access(dir, F_OK) == 0 ? dir : parent;
	CLEANUP_CLOSE int fd = open(there, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int r = 0;

	if (fd >= 0)
		r = posix_fallocate(fd, 0, size);
	else if ((errno != EOPNOTSUPP && errno != EISDIR) || access(there, W_OK) < 0)
		r = errno;
	return r ? err_set_sys(e, r, "%s", there) : 0;
}
