/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

char *str_dup(const char *s)
{
	char *copy;

	if (!s)
		return NULL;
	copy = strdup(s);
	if (!copy)
		abort();
	return copy;
}

char *str_vprintf(const char *fmt, va_list ap)
{
	char *s;

	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	return s;
}

char *str_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = str_vprintf(fmt, ap);
	va_end(ap);
	return s;
}

void str_set(char **p, const char *s)
{
	char *copy = str_dup(s);

	free(*p);
	*p = copy;
}

bool str_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_is_empty(const char *s)
{
	return !s || !*s;
}

void str_copy(char *dst, size_t size, const char *s)
{
	snprintf(dst, size, "%s", s);
}

int str_parse_uint(const char *s, uint64_t max, uint64_t *ret)
{
	unsigned long long n;
	char *end;

	if (!s || !isxdigit((unsigned char)*s))
		return -1;
	errno = 0;
	n = strtoull(s, &end, str_starts(s, "0x") ? 16 : 10);
	if (errno || *end || end == s || n > max)
		return -1;
	*ret = n;
	return 0;
}

void str_buf_add(struct str_buf *b, const char *fmt, ...)
{
	CLEANUP_FREE char *s = NULL;
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	s = str_vprintf(fmt, ap);
	va_end(ap);
	len = strlen(s);
	b->s = mem_grow(b->s, b->len + len + 1, 1);
	memcpy(b->s + b->len, s, len + 1);
	b->len += len;
}

void str_buf_free(struct str_buf *b)
{
	free(b->s);
	b->s = NULL;
	b->len = 0;
}
