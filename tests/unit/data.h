/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of tests/data. */
#ifndef UNIT_DATA_H
#define UNIT_DATA_H

#include <stdio.h>
#include <stdlib.h>

#include "util/mem.h"
#include "util/str.h"

enum { DATA_MAX = 65536 };

/* NAME: below tests/data. "" when it cannot be read; caller frees. */
static inline char *read_data(const char *name)
{
	const char *srcdir = getenv("srcdir");
	CLEANUP_FREE char *path = str_printf("%s/tests/data/%s", srcdir ? srcdir : ".", name);
	FILE *f = fopen(path, "re");
	char *text = mem_new(DATA_MAX);

	if (!f || !fread(text, 1, DATA_MAX - 1, f))
		printf("# cannot read %s\n", path);
	if (f)
		fclose(f);
	return text;
}

#endif
