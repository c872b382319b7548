/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration file: each line of it counts, or is an error that names file and line. */
#include <ctype.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/options.h"
#include "fuzz.h"
#include "util/mem.h"
#include "util/str.h"

const char fuzz_name[] = "config";

/* A file in memory that holds the input, by its name. */
static char *file_with(const uint8_t *data, size_t size)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("config", MFD_CLOEXEC);
	must(fd >= 0 && ftruncate(fd, 0) == 0);
	must(pwrite(fd, data, size, 0) == (ssize_t)size);
	return str_printf("/proc/self/fd/%d", fd);
}

static const struct option_desc *find_option(const char *name, size_t len)
{
	for (size_t i = 0; i < n_options; i++)
		if (option_table[i].section && strlen(option_table[i].name) == len &&
			strncasecmp(option_table[i].name, name, len) == 0)
			return &option_table[i];
	return NULL;
}

static bool is_section(const char *name, size_t len)
{
	for (size_t i = 0; i < n_options; i++)
		if (option_table[i].section && strlen(option_table[i].section) == len &&
			strncasecmp(option_table[i].section, name, len) == 0)
			return true;
	return false;
}

/* Nothing that the operator wrote may be lost without a word. */
static void must_be_known(const char *line)
{
	const char *s = line + strspn(line, " \t\r\v\f"), *name;
	size_t len;

	if (!*s || *s == '#' || *s == ';')
		return;
	name = *s == '[' ? s + 1 + strspn(s + 1, " \t\r\v\f") : s;
	len = strcspn(name, *s == '[' ? "]" : "=");
	while (len && isspace((unsigned char)name[len - 1]))
		len--;
	must(*s == '[' ? is_section(name, len) : find_option(name, len) != NULL);
}

static void all_lines_known(char *text, size_t size)
{
	char *end;

	must(strlen(text) == size);
	for (; (end = strchr(text, '\n')); text = end + 1) {
		*end = '\0';
		must_be_known(text);
	}
	must_be_known(text);
}

static int64_t number_in(const struct options *o, const struct option_desc *d)
{
	return *(const int64_t *)(const void *)((const char *)o + d->offset);
}

/* What an option has is its default, or may be written into the file. */
static void in_range(const struct options *o, const struct option_desc *d)
{
	const void *member = (const char *)o + d->offset;
	int64_t max = d->type == OPTION_SECONDS ? 86400000 : 1000000;
	struct options defaults;

	options_init(&defaults);
	switch (d->type) {
	case OPTION_FLAG:
		/* The command line's own are no keys of the file. */
		must(d->section || !*(const bool *)member);
		break;
	case OPTION_TEXT:
		must(!*(char *const *)member || **(char *const *)member);
		break;
	case OPTION_CHOICE:
		must(number_in(o, d) == 0 || number_in(o, d) == 1);
		break;
	case OPTION_COUNT:
	case OPTION_COUNT_OR_0:
	case OPTION_SECONDS:
		must(number_in(o, d) == number_in(&defaults, d) ||
			(number_in(o, d) >= (d->type != OPTION_COUNT_OR_0) &&
				number_in(o, d) <= max));
		break;
	}
}

static void names_line(const struct err *e, const char *file)
{
	const char *line = strstr(e->msg, ", line ");

	must(e->kind == ERR_USAGE);
	must(str_starts(e->msg, file));
	must(line && line[7] >= '1' && line[7] <= '9');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = fuzz_text(data, size);
	struct options o;
	struct err e = { 0 };
	char *file;

	options_init(&o);
	file = file_with(data, size);
	o.config = str_dup(file);
	if (options_load(&o, "/nowhere", &e) < 0)
		names_line(&e, file);
	else
		all_lines_known(text, size);
	for (size_t i = 0; i < n_options; i++)
		in_range(&o, &option_table[i]);
	options_free(&o);
	free(file);
	return 0;
}
