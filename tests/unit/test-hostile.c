/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Definitions that somebody wrote to do harm, or by mistake: each is read, or refused with a
 * reason, in bounded time and memory.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "data.h"
#include "tap.h"
#include "text.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"
#include "xml/rewrite.h"

/* Generous: valgrind and sanitizers take their share. */
enum { TIME_MAX_MS = 30000, MEMORY_MAX_KIB = 1024 * 1024 };

static char *read_text(const char *name)
{
	CLEANUP_FREE char *file = str_printf("hostile/%s.xml", name);

	return read_data(file);
}

/* The processor's time: how busy the machine is with others does not count. */
static int used_ms(void)
{
	return (int)(clock() / (CLOCKS_PER_SEC / 1000));
}

static long peak_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

/* What a text makes of E or of its pairs' problems has WANTED in it; NULL: it is a good pair. */
static void comes_out(const char *text, const char *wanted, const char *what)
{
	CLEANUP_PAIRS struct xml_pair_list l = { 0 };
	CLEANUP_FREE char *out = NULL;
	struct err e = { 0 };
	int start = used_ms();
	const char *got = NULL;

	if (xml_pairs_find(text, &l, &e) < 0)
		got = e.msg;
	for (size_t i = 0; i < l.n && !got; i++)
		got = l.v[i].problem;
	if (!tap_result(wanted ? got && strstr(got, wanted) : l.n && !got, "%s", what))
		printf("# %s\n", got ? got : "not a word");
	xml_domain_with_vfs(text, NULL, 0, &out, &e);
	printf("# %d ms, at most %ld MiB so far\n", used_ms() - start, peak_kib() / 1024);
	ok(used_ms() - start < TIME_MAX_MS && peak_kib() < MEMORY_MAX_KIB,
		"within its time and memory");
}

static void test_files(void)
{
	static const struct {
		const char *name, *wanted;
	} files[] = {
		{ "entity-bomb", "document type" },
		{ "entity-long", "document type" },
		{ "entity-of-itself", "document type" },
		{ "entity-external", "document type" },
		{ "entity-parameter", "document type" },
		{ "doctype-external", "document type" },
		{ "attributes-by-default", "document type" },
		{ "include", NULL },
		{ "dangling", "which does not exist" },
		{ "same-alias", "two standbys" },
		{ "same-mac", "same MAC" },
		{ "two-primaries", "more than one primary" },
		{ "of-itself", "which does not exist" },
		{ "other-mac", "differ" },
		{ "no-mac", "no MAC" },
		{ "not-closed", "malformed" },
		{ "two-roots", "malformed" },
		{ "another-root", "no <domain>" },
		{ "foreign-namespace", "no <domain>" },
		{ "no-utf-8", "malformed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		CLEANUP_FREE char *text = read_text(files[i].name);

		comes_out(text, files[i].wanted, files[i].name);
	}
}

/* An included file would stand in the copy. */
static void test_include(void)
{
	CLEANUP_FREE char *text = read_text("include");
	CLEANUP_FREE char *out = NULL;
	struct err e;

	ok(xml_domain_with_vfs(text, NULL, 0, &out, &e) == 0 &&
			strstr(out, "href=\"/etc/hostname\""),
		"nothing is included");
}

static char *repeat(const char *start, const char *middle, size_t n, const char *end)
{
	size_t len = strlen(middle), first = strlen(start);
	char *text = mem_new(first + n * len + strlen(end) + 1);

	strcpy(text, start);
	for (size_t i = 0; i < n; i++)
		memcpy(text + first + i * len, middle, len);
	strcpy(text + first + n * len, end);
	return text;
}

static void test_sizes(void)
{
	CLEANUP_FREE char *deep = repeat("<domain><devices>", "<a>", 100000, "");
	CLEANUP_FREE char *wide =
		repeat("<domain><devices>", STANDBY(MAC_A, "ua-a"), 5000, "</devices></domain>");
	CLEANUP_FREE char *primaries = repeat("<domain><devices>", PRIMARY(MAC_A, "0x2", "ua-a"),
		5000, "</devices></domain>");
	CLEANUP_FREE char *many = repeat("<domain><devices>",
		STANDBY(MAC_A, "ua-a") PRIMARY(MAC_A, "0x2", "ua-a"), 500, "</devices></domain>");
	CLEANUP_FREE char *others = repeat("<domain><devices>", "<disk><target dev='a'/></disk>",
		50000, STANDBY(MAC_A, "ua-a") PRIMARY(MAC_A, "0x2", "ua-a") "</devices></domain>");
	CLEANUP_FREE char *attributes = repeat("<domain ", "a='1' ", 100000, "/>");
	CLEANUP_FREE char *value =
		repeat("<domain a='", "aaaaaaaaaaaaaaaaaaaaaaaa", 1000000, "'/>");
	CLEANUP_FREE char *comments = repeat(DOMAIN(STANDBY(MAC_A, "ua-a")), "<!---->", 200000, "");

	comes_out(deep, "malformed", "100000 elements, one in the other");
	comes_out(wide, "more than", "5000 standbys");
	comes_out(primaries, "more than", "5000 primaries");
	comes_out(many, "more than one primary", "as many pairs as are read");
	comes_out(others, NULL, "a pair behind 50000 disks");
	comes_out(attributes, "malformed", "an attribute that is there 100000 times");
	comes_out(value, "malformed", "a value of 24 MB");
	comes_out(comments, NULL, "200000 comments");
	comes_out("", "empty", "nothing");
}

int main(void)
{
	test_files();
	test_include();
	test_sizes();
	return tap_done();
}
