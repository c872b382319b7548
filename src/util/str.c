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

/* The digits of a UUID, in small letters; false: S is none. */
static bool uuid_digits(const char *s, char ret[33])
{
	size_t n = 0;

	for (; s && *s; s++) {
		if (*s == '-')
			continue;
		if (n == 32 || !isxdigit((unsigned char)*s))
			return false;
		ret[n++] = (char)tolower((unsigned char)*s);
	}
	ret[n] = '\0';
	return n == 32;
}

bool str_is_same_uuid(const char *a, const char *b)
{
	char one[33], other[33];

	return uuid_digits(a, one) && uuid_digits(b, other) && str_equal(one, other);
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

#define DIGITS "0123456789"
enum { MAX_SECONDS_DIGITS = 9 };

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

int str_parse_seconds(const char *s, uint64_t max, int64_t *ret_ms)
{
	size_t whole = s ? strspn(s, DIGITS) : 0, part;
	int64_t ms = 0, unit = 1000;

	if (!whole || whole > MAX_SECONDS_DIGITS)
		return -1;
	for (size_t i = 0; i < whole; i++)
		ms = ms * 10 + (s[i] - '0') * unit;
	part = s[whole] == '.' ? strspn(s + whole + 1, DIGITS) : 0;
	if (s[whole] == '.' ? !part || s[whole + 1 + part] : s[whole])
		return -1;
	for (size_t i = 0; i < part; i++)
		ms += (s[whole + 1 + i] - '0') * (unit /= 10);
	if (ms < 1 || ms > (int64_t)max * 1000)
		return -1;
	*ret_ms = ms;
	return 0;
}

char *str_list_get(const char *list, size_t i)
{
	const char *s = list;
	char *name;
	size_t len;

	for (; s && i; i--) {
		s = strchr(s, ',');
		s = s ? s + 1 : NULL;
	}
	if (!s)
		return NULL;
	s += strspn(s, " ");
	len = strcspn(s, ", ");
	name = str_dup(s);
	name[len] = '\0';
	return name;
}

bool str_list_has(const char *list, const char *name)
{
	for (size_t i = 0;; i++) {
		char *one = str_list_get(list, i);
		bool is_end = !one, found = one && str_equal(one, name);

		free(one);
		if (is_end || found)
			return found;
	}
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
