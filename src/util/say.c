/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/say.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/mem.h"
#include "util/str.h"

enum { PAUSE_MS = 20 };

static _Atomic int64_t patience_ms = SAY_LIMIT_MS;
static atomic_bool lost;
/* The last line that went there is not whole. */
static atomic_bool is_cut[STDERR_FILENO + 1];

/*
 * A terminal with room for a part of the text takes that and waits for the rest, unless it is opened so that
 * it does not; the file that others have of it stays as it is.
 */
static int open_own(int fd)
{
	static atomic_int own[STDERR_FILENO + 1];
	CLEANUP_FREE char *path = NULL;

	if (own[fd])
		return own[fd];
	own[fd] = fd;
	if (isatty(fd)) {
		path = str_printf("/proc/self/fd/%d", fd);
		own[fd] = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	if (own[fd] < 0)
		own[fd] = fd;
	return own[fd];
}

/* False: nobody makes room. */
static bool wait_for_room(int fd, bool patient)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int64_t begin = clock_ms();
	int r;

	do
		r = poll(&p, 1, patient && patience_ms > 0 ? (int)patience_ms : 0);
	while (r < 0 && errno == EINTR);
	patience_ms -= clock_ms() - begin;
	return r > 0;
}

/* No more than a pipe with room takes without waiting. */
static bool write_some(int fd, const char **text)
{
	size_t left = strlen(*text);
	ssize_t n = write(open_own(fd), *text, left < PIPE_BUF ? left : PIPE_BUF);

	if (n >= 0) {
		*text += n;
		return n > 0;
	}
	if (errno != EAGAIN)
		return errno == EINTR;
	/* There is room, and not for this. */
	clock_sleep_ms(PAUSE_MS);
	patience_ms -= PAUSE_MS;
	return patience_ms > 0;
}

static void put(int fd, const char *text, bool patient)
{
	const char *begin = text;

	if (is_cut[fd] && wait_for_room(fd, patient) && write(open_own(fd), "\n", 1) == 1)
		is_cut[fd] = false;
	while (*text && !is_cut[fd]) {
		/* The rest of a line that was begun is worth waiting for. */
		if (wait_for_room(fd, patient || text > begin) && write_some(fd, &text))
			continue;
		is_cut[fd] = text > begin;
		break;
	}
	if (*text && patient)
		lost = true;
}

#define DEFINE_SAY(name, patient) \
	void name(int fd, const char *fmt, ...) \
	{ \
		CLEANUP_FREE char *text = NULL; \
		va_list ap; \
\
		va_start(ap, fmt); \
		text = str_vprintf(fmt, ap); \
		va_end(ap); \
		put(fd, text, patient); \
	}

DEFINE_SAY(say, true)
DEFINE_SAY(say_if_heard, false)

bool say_has_lost(void)
{
	return lost;
}
