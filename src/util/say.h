/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What goes to stdout and stderr. Whoever reads there may stand still (a pager, a log that is full), and a
 * guest that is between two hosts does not wait for that.
 */
#ifndef UTIL_SAY_H
#define UTIL_SAY_H

#include <stdbool.h>

/*
 * Writes TEXT to FD (STDOUT_FILENO or STDERR_FILENO) at once. Where there is no room it is waited for, but no
 * longer than SAY_LIMIT_MS in the life of the process; what finds none then is dropped.
 */
enum { SAY_LIMIT_MS = 10000 };
void say(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for what is soon out of date: it is dropped where there is no room. */
void say_if_heard(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Whether something was dropped that should have been heard, or could not be written. */
bool say_has_lost(void);

#endif
