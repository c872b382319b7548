/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Results in the Test Anything Protocol; each program is one translation unit. */
#ifndef UNIT_TAP_H
#define UNIT_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 2, 3))) static bool tap_result(bool passed, const char *fmt, ...)
{
	va_list ap;

	printf("%s %d - ", passed ? "ok" : "not ok", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	tap_failed += !passed;
	return passed;
}

/* One result: a condition, and what it shows. */
#define ok(condition, ...) \
	do { \
		if (!tap_result(condition, __VA_ARGS__)) \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition); \
	} while (0)

static inline void is_text(const char *got, const char *wanted, const char *what)
{
	bool same = got && wanted ? strcmp(got, wanted) == 0 : got == wanted;

	if (!tap_result(same, "%s", what))
		printf("# got \"%s\", wanted \"%s\"\n", got ? got : "(null)",
			wanted ? wanted : "(null)");
}

/* For what main returns. */
static inline int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed != 0;
}

/* The whole program cannot run here. */
static inline int tap_skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	return 0;
}

#endif
