/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Strings: never-failing copies, a growing buffer, careful number parsing. */
#ifndef UTIL_STR_H
#define UTIL_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies; NULL stays NULL. Caller frees. */
char *str_dup(const char *s);
char *str_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *str_vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
/* Replaces *P (freed) by a copy of S. */
void str_set(char **p, const char *s);

/* Whether both are UUIDs, and the same one, however they are spelled. */
bool str_is_same_uuid(const char *a, const char *b);
/* NULL counts as a string of its own, equal only to NULL. */
bool str_equal(const char *a, const char *b);
bool str_starts(const char *s, const char *prefix);
bool str_is_empty(const char *s); /* NULL or "" */

/* Copies S into DST of SIZE bytes, always terminated, cut if too long. */
void str_copy(char *dst, size_t size, const char *s);

/*
 * Parses the whole of S as an unsigned number (decimal, or 0x… hexadecimal) of at most MAX.
 * 0, or -1 when S is anything else; *ret is then untouched.
 */
int str_parse_uint(const char *s, uint64_t max, uint64_t *ret);

/*
 * Parses the whole of S as a number of seconds, up to MAX, with or without a fraction ("2", "0.5"),
 * into milliseconds; at least one. 0, or -1 when S is anything else; *ret_ms is then untouched.
 */
int str_parse_seconds(const char *s, uint64_t max, int64_t *ret_ms);

/* Whether NAME stands in LIST, which is separated by commas; NULL lists hold nothing. */
bool str_list_has(const char *list, const char *name);
/* The I-th name of such a list; NULL behind its end. Caller frees. */
char *str_list_get(const char *list, size_t i);

struct str_buf {
	char *s; /* owned; NULL until the first append */
	size_t len;
};

void str_buf_add(struct str_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void str_buf_free(struct str_buf *b);
#define CLEANUP_STR_BUF __attribute__((cleanup(str_buf_free)))

#endif
