/* SPDX-License-Identifier: GPL-2.0-or-later */
#define ERR_C
#include "util/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/mem.h"
#include "util/str.h"

static const char *const kind_names[] = {
	[ERR_NONE] = "none",
	[ERR_FAILED] = "failed",
	[ERR_USAGE] = "usage",
	[ERR_REFUSED] = "refused",
	[ERR_BUSY] = "busy",
	[ERR_CANCELLED] = "cancelled",
	[ERR_TIMEOUT] = "timeout",
	[ERR_NOT_FOUND] = "not-found",
	[ERR_LOST] = "lost",
};

__attribute__((format(printf, 4, 0))) static int set(struct err *e, enum err_kind kind, int sys,
	const char *fmt, va_list ap)
{
	e->kind = kind;
	e->sys = sys;
	e->hint[0] = '\0';
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	return -1;
}

int err_set(struct err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(e, ERR_FAILED, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int err_set_kind(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(e, kind, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int err_set_sys(struct err *e, int sys, const char *fmt, ...)
{
	bool absent = sys == ENOENT || sys == ENODEV || sys == ENXIO;
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	set(e, absent ? ERR_NOT_FOUND : ERR_FAILED, sys, fmt, ap);
	va_end(ap);
	len = strlen(e->msg);
	snprintf(e->msg + len, sizeof(e->msg) - len, ": %s", strerror(sys));
	return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char old[sizeof(e->msg)];
	size_t len;
	va_list ap;

	memcpy(old, e->msg, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	len = strlen(e->msg);
	snprintf(e->msg + len, sizeof(e->msg) - len, ": %s", old);
	return -1;
}

int err_hint(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (e->hint[0])
		return -1;
	va_start(ap, fmt);
	vsnprintf(e->hint, sizeof(e->hint), fmt, ap);
	va_end(ap);
	return -1;
}

void err_keep_first(int *r, struct err *e, const struct err *now)
{
	if (*r >= 0)
		*e = *now;
	*r = -1;
}

const char *err_kind_name(enum err_kind kind)
{
	return kind_names[kind];
}

enum err_kind err_kind_from_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++)
		if (str_equal(name, kind_names[i]))
			return (enum err_kind)i;
	return ERR_FAILED;
}
