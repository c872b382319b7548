/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/wire.h"
#include "tap.h"
#include "util/mem.h"

static struct wire_in in;
static int ends[2];

static void begin(void)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		abort();
	wire_in_init(&in, ends[0]);
}

static void end(void)
{
	wire_in_free(&in);
	close(ends[0]);
	close(ends[1]);
}

static void feed(const char *s)
{
	struct err e;

	if (write(ends[1], s, strlen(s)) != (ssize_t)strlen(s) || wire_fill(&in, &e) < 0)
		abort();
}

static void next_is(const char *wanted, const char *what)
{
	CLEANUP_FREE char *line = wire_line(&in);

	is_text(line, wanted, what);
}

static void test_lines(void)
{
	begin();
	feed("one\ntwo\nthr");
	next_is("one", "a line");
	next_is("two", "another from the same read");
	next_is(NULL, "half a line is none yet");
	feed("ee\n\n");
	next_is("three", "the rest of it comes");
	next_is("", "an empty line is a line");
	next_is(NULL, "then nothing");
	shutdown(ends[1], SHUT_WR);
	{
		struct err e;

		ok(wire_fill(&in, &e) == 0 && in.eof, "the end is noticed");
	}
	end();
}

static void test_parsing(void)
{
	static const char *const bad[] = { "", "5", "[]", "{", "{}{}", "\"x\"", "nonsense",
		"{\"a\": }", "{\"a\": 1, \"a\": 2", "\xff\xfe" };
	json_t *good = wire_parse("{\"id\": 1, \"op\": \"beat\"}");
	int accepted = 0;

	ok(json_integer_value(json_object_get(good, "id")) == 1, "an object is a message");
	json_decref(good);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		json_t *msg = wire_parse(bad[i]);

		if (msg)
			printf("# accepted: %s\n", bad[i]);
		accepted += msg != NULL;
		json_decref(msg);
	}
	ok(accepted == 0, "anything else is none");
}

static void test_depth(void)
{
	size_t depth = 100000;
	char *tower = malloc(2 * depth + 16);
	json_t *msg;

	strcpy(tower, "{\"a\":");
	memset(tower + 5, '[', depth);
	memset(tower + 5 + depth, ']', depth);
	strcpy(tower + 5 + 2 * depth, "}");
	msg = wire_parse(tower);
	ok(msg == NULL, "a tower of lists is refused");
	json_decref(msg);
	free(tower);
}

static void test_errors(void)
{
	struct err out = { 0 }, back = { 0 };
	json_t *json;

	err_set_sys(&out, 2, "open \"%s\"", "x");
	err_hint(&out, "look for it");
	json = wire_error(&out);
	wire_error_decode(json, &back);
	ok(back.kind == ERR_NOT_FOUND && strcmp(back.msg, out.msg) == 0 &&
			strcmp(back.hint, out.hint) == 0,
		"an error survives the wire");
	json_decref(json);
	json = json_pack("{s:s}", "kind", "something-new");
	wire_error_decode(json, &back);
	ok(back.kind == ERR_FAILED && back.msg[0], "an unknown error is still one, with words");
	json_decref(json);
	json = json_pack("{s:s, s:s}", "kind", "none", "message", "");
	wire_error_decode(json, &back);
	ok(back.kind == ERR_FAILED && back.msg[0], "so is one that says it is none");
	json_decref(json);
	wire_error_decode(NULL, &back);
	ok(back.kind != ERR_NONE, "no error at all is one as well");
}

static void test_broken_pipe(void)
{
	struct wire_out out;
	struct err e;

	begin();
	wire_out_init(&out, ends[0]);
	ok(wire_send(&out, json_object(), &e) == 0, "a line is sent");
	close(ends[1]);
	ok(wire_send(&out, json_object(), &e) < 0, "sending to nobody fails");
	ok(wire_send(&out, json_object(), &e) < 0, "and goes on failing");
	wire_in_free(&in);
	close(ends[0]);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_lines();
	test_parsing();
	test_depth();
	test_errors();
	test_broken_pipe();
	return tap_done();
}
