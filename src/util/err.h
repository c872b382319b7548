/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One error, carried up by the callers of a failing function and printed once (core/report.h).
 *
 * Functions that can fail take a `struct err *` last, return 0 or -1, and always fill it in
 * on failure. It holds no pointers: nothing to free, safe to copy.
 */
#ifndef UTIL_ERR_H
#define UTIL_ERR_H

#include <stdarg.h>

/*
 * What kind of failure; callers act on it, status_of (core/outcome.h) maps it to an exit status. The kinds travel
 * between driver and agent by name (err_kind_name), so numbers here are free to change.
 */
enum err_kind {
	ERR_NONE,
	ERR_FAILED,    /* something did not work */
	ERR_USAGE,     /* command line or configuration */
	ERR_REFUSED,   /* a check says no; nothing was changed */
	ERR_BUSY,      /* somebody else holds the domain or the VF */
	ERR_CANCELLED, /* a signal, or the other end, asked to stop */
	ERR_TIMEOUT,   /* a bounded wait ran out */
	ERR_NOT_FOUND, /* the thing asked for does not exist */
	ERR_LOST,      /* the other process (agent or driver) is gone */
};

struct err {
	enum err_kind kind;
	int sys; /* errno value behind it, 0 if none */
	char msg[1024];
	char hint[512]; /* what to do about it; "" if there is nothing to say */
};

/* Each returns -1, so that a function can `return err_set(e, …)`. */
int err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_set_kind(struct err *e, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* "…: strerror(sys)"; a NOT_FOUND kind for ENOENT, ENODEV and ENXIO. */
int err_set_sys(struct err *e, int sys, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Adds context in front: "fmt: old message". Returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Says what to do about it; the first hint stays. Returns -1. */
int err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Of several failures the first one is told: E becomes NOW unless *R is negative already, and *R -1. */
void err_keep_first(int *r, struct err *e, const struct err *now);

/* The analyzer looks into no other file: this is what it has to know of err.c. */
#if defined(__clang_analyzer__) && !defined(ERR_C)
#define err_set(...) (err_set(__VA_ARGS__), -1)
#define err_set_kind(...) (err_set_kind(__VA_ARGS__), -1)
#define err_set_sys(...) (err_set_sys(__VA_ARGS__), -1)
#define err_prefix(...) (err_prefix(__VA_ARGS__), -1)
#define err_hint(...) (err_hint(__VA_ARGS__), -1)
#endif

const char *err_kind_name(enum err_kind kind);
enum err_kind err_kind_from_name(const char *name); /* unknown: ERR_FAILED */

#endif
