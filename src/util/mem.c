/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/mem.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

void *mem_new(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

void *mem_grow(void *old, size_t n, size_t size)
{
	void *p = reallocarray(old, n ? n : 1, size);

	if (!p)
		abort();
	return p;
}

void *mem_append(void *v, size_t *n, size_t size)
{
	void **array = v;
	char *grown = mem_grow(*array, *n + 1, size);

	*array = grown;
	memset(grown + *n * size, 0, size);
	return grown + (*n)++ * size;
}

void mem_cleanup_free(void *pp)
{
	free(*(void **)pp);
}

void mem_cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
