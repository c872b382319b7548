/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gives a target every input of its corpus, one result each, in the place of libFuzzer. */
#include <dirent.h>
#include <stdlib.h>

#include "fuzz.h"
#include "../unit/tap.h"
#include "util/mem.h"
#include "util/str.h"

static uint8_t *read_file(const char *path, size_t *ret_size)
{
	FILE *f = fopen(path, "re");
	uint8_t *data = NULL;
	size_t size = 0, n;

	must(f);
	do {
		data = mem_grow(data, size + 65536, 1);
		n = fread(data + size, 1, 65536, f);
		size += n;
	} while (n);
	fclose(f);
	*ret_size = size;
	return data;
}

static void run_file(const char *dir, const char *name)
{
	CLEANUP_FREE char *path = str_printf("%s/%s", dir, name);
	CLEANUP_FREE uint8_t *data = NULL;
	size_t size;

	/* A target that does not hold aborts: whose fault it is must stand there before. */
	printf("# %s\n", path);
	fflush(stdout);
	data = read_file(path, &size);
	ok(LLVMFuzzerTestOneInput(data, size) == 0, "%s", name);
}

static int no_dots(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir");
	CLEANUP_FREE char *dir =
		argc > 1 ? str_dup(argv[1])
			 : str_printf("%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".", fuzz_name);
	struct dirent **files;
	int n = scandir(dir, &files, no_dots, alphasort);

	for (int i = 0; i < n; i++) {
		run_file(dir, files[i]->d_name);
		free(files[i]);
	}
	ok(n > 0, "there are inputs in %s", dir);
	if (n >= 0)
		free(files);
	return tap_done();
}
