/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "tap.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

static void number_is(const char *s, uint64_t max, long long wanted)
{
	uint64_t number = 4711;
	int r = str_parse_uint(s, max, &number);

	if (wanted < 0)
		tap_result(r < 0 && number == 4711, "\"%s\" is no number up to %llu", s,
			(unsigned long long)max);
	else
		tap_result(r == 0 && number == (uint64_t)wanted, "\"%s\" is %lld", s, wanted);
}

static void test_numbers(void)
{
	number_is("0", 10, 0);
	number_is("10", 10, 10);
	number_is("11", 10, -1);
	number_is("0x10", 255, 16);
	number_is("0xff", 255, 255);
	number_is("0x100", 255, -1);
	number_is("", 255, -1);
	number_is(" 1", 255, -1);
	number_is("1 ", 255, -1);
	number_is("+1", 255, -1);
	number_is("-1", UINT64_MAX, -1);
	number_is("ff", 255, -1);
	number_is("0x", 255, -1);
	number_is("1.5", 255, -1);
	number_is("99999999999999999999999", UINT64_MAX, -1);
	number_is("12abc", UINT64_MAX, -1);
}

/* WANTED_MS: -1 when it is none */
static void seconds_are(const char *s, long long wanted_ms)
{
	int64_t ms = 4711;
	int r = str_parse_seconds(s, 86400, &ms);

	if (wanted_ms < 0)
		tap_result(r < 0 && ms == 4711, "\"%s\" is no number of seconds", s);
	else
		tap_result(r == 0 && ms == wanted_ms, "\"%s\" s are %lld ms", s, wanted_ms);
}

static void test_seconds(void)
{
	seconds_are("1", 1000);
	seconds_are("86400", 86400000);
	seconds_are("86401", -1);
	seconds_are("86400.001", -1);
	seconds_are("0.5", 500);
	seconds_are("2.25", 2250);
	seconds_are("0.001", 1);
	seconds_are("1.0009", 1000);
	seconds_are("0", -1);
	seconds_are("0.0001", -1);
	seconds_are("", -1);
	seconds_are(NULL, -1);
	seconds_are(".5", -1);
	seconds_are("5.", -1);
	seconds_are("1.5s", -1);
	seconds_are("1,5", -1);
	seconds_are("-1", -1);
	seconds_are(" 1", -1);
	seconds_are("99999999999999999999", -1);
}

static void test_copies(void)
{
	CLEANUP_FREE char *s = str_dup("one");
	CLEANUP_FREE char *none = str_dup(NULL);
	char small[4] = "xxx";

	is_text(s, "one", "a copy is equal");
	ok(none == NULL, "a copy of nothing is nothing");
	str_set(&s, s);
	is_text(s, "one", "a string can be set to itself");
	str_set(&s, NULL);
	ok(s == NULL, "a string can be set to nothing");
	str_copy(small, sizeof(small), "longer");
	is_text(small, "lon", "a copy that does not fit is cut and ends");
}

static void test_comparison(void)
{
	ok(str_equal("a", "a"), "equal");
	ok(!str_equal("a", "b"), "not equal");
	ok(!str_equal("a", NULL), "nothing differs from something");
	ok(!str_equal("", NULL), "nothing differs from empty");
	ok(str_equal(NULL, NULL), "nothing equals nothing");
	ok(str_starts("ua-backup0", "ua-"), "starts with");
	ok(!str_starts("u", "ua-"), "shorter than the prefix");
	ok(str_is_empty(NULL) && str_is_empty("") && !str_is_empty(" "), "empty");
}

static void test_buffer(void)
{
	CLEANUP_STR_BUF struct str_buf b = { 0 };

	str_buf_add(&b, "%d", 1);
	str_buf_add(&b, "%s", "");
	str_buf_add(&b, "-%s", "two");
	is_text(b.s, "1-two", "a buffer grows");
	ok(b.len == 5, "and knows its length");
}

static void test_errors(void)
{
	char huge[4000];
	struct err e;

	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	ok(err_set_sys(&e, 2, "open %s", "file") == -1 && e.kind == ERR_NOT_FOUND && e.sys == 2,
		"ENOENT is of the kind not-found");
	err_prefix(&e, "host %s", "b");
	ok(strncmp(e.msg, "host b: open file", 17) == 0, "context stands in front");
	err_hint(&e, "do this");
	err_hint(&e, "do that");
	is_text(e.hint, "do this", "the first hint stays");
	err_set(&e, "%s", huge);
	ok(strlen(e.msg) < sizeof(e.msg), "a long message is cut");
	err_prefix(&e, "%s", huge);
	ok(strlen(e.msg) < sizeof(e.msg), "a long prefix as well");
	for (int k = ERR_FAILED; k <= ERR_LOST; k++)
		tap_result((int)err_kind_from_name(err_kind_name((enum err_kind)k)) == k,
			"kind %d survives its name", k);
	ok(err_kind_from_name("something new") == ERR_FAILED, "an unknown kind is a failure");
}

static void test_uuids(void)
{
	const char *usual = "7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101";

	ok(str_is_same_uuid(usual, "7D0C1A34-5B1E-4F0A-9B53-1F4A3C2E0101"), "a UUID in capitals");
	ok(str_is_same_uuid("7d0c1a345b1e4f0a9b531f4a3c2e0101", usual), "without its dashes");
	ok(!str_is_same_uuid(usual, "7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0102"), "another one");
	ok(!str_is_same_uuid("vm-01", "vm-01"), "what is no UUID is none");
	ok(!str_is_same_uuid(NULL, usual) && !str_is_same_uuid("", ""), "nor is nothing");
	ok(!str_is_same_uuid("7d0c1a345b1e4f0a9b531f4a3c2e01012", usual), "nor what is longer");
}

int main(void)
{
	test_uuids();
	test_numbers();
	test_seconds();
	test_copies();
	test_comparison();
	test_buffer();
	test_errors();
	return tap_done();
}
