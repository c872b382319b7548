/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an agent reads. The requests go to functions that read their arguments as the agent's
 * own do, and have no effects: these are requests.c's and the steps' business.
 */
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/server.h"
#include "agent/wire.h"
#include "core/order.h"
#include "core/settle.h"
#include "core/steps.h"
#include "fuzz.h"
#include "record.h"
#include "util/mem.h"
#include "util/str.h"

const char fuzz_name[] = "request";

/* More would fill the socket before anybody reads it. */
enum { INPUT_MAX = 8192, OUTPUT_MAX = 1024 * 1024 };

static int op_open(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	struct order order = { 0 };

	if (!fuzz_decode(&order_record, args, &order))
		return err_set(e, "no order");
	record_clear(&order_record, &order);
	return 0;
}

static int op_step(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	const char *name = json_string_value(json_object_get(args, "step"));
	const struct step *step = step_find(name);

	if (!step)
		return err_set(e, "there is no step \"%s\"", name ? name : "");
	*ret = json_object();
	json_object_set_new(*ret, "step", json_text(step->name));
	return 0;
}

static int op_settle(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	const char *verdict = json_string_value(json_object_get(args, "verdict"));
	enum settle_verdict v;

	if (settle_verdict_from_name(verdict, &v) < 0)
		return err_set(e, "there is no verdict \"%s\"", verdict ? verdict : "");
	must(strcmp(settle_verdict_name(v), verdict) == 0);
	return 0;
}

static const struct server_op ops[] = {
	{ "open", op_open },
	{ "apply", op_step },
	{ "settle", op_settle },
};

static void on_switching(void *ctx)
{
	++*(int *)ctx;
}

/* How many of an input's lines could be requests. */
static int count_requests(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = fuzz_text(data, size);
	char *line = text, *end;
	int n = 0;

	for (; (end = memchr(line, '\n', size - (size_t)(line - text))); line = end + 1) {
		json_t *msg;

		*end = '\0';
		msg = wire_parse(line);
		n += json_integer_value(json_object_get(msg, "id")) > 0;
		json_decref(msg);
	}
	return n;
}

static void check_answer(const json_t *msg)
{
	json_t *error = json_object_get(msg, "error");

	must(json_integer_value(json_object_get(msg, "id")) > 0);
	must((error != NULL) != (json_object_get(msg, "result") != NULL));
	if (error)
		must(json_string_length(json_object_get(error, "message")));
}

/* Each answer is one for a request, and says what came out of it; but heartbeats are answered as well. */
static void check_answers(int fd, int n_requests)
{
	struct wire_in in;
	struct err e;
	char *line;
	int n = 0;

	wire_in_init(&in, fd);
	while (!in.eof)
		must(wire_fill(&in, &e) == 0);
	while ((line = wire_line(&in))) {
		json_t *msg = wire_parse(line);
		const char *event = json_string_value(json_object_get(msg, "event"));

		if (event)
			must(str_equal(event, "beat"));
		else
			check_answer(msg);
		n += !event;
		json_decref(msg);
		free(line);
	}
	must(n <= n_requests);
	wire_in_free(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cancel cancel;
	struct server *s;
	int ends[2], switched = 0, size_out = OUTPUT_MAX;

	if (size > INPUT_MAX)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUFFORCE, &size_out, sizeof(size_out));
	must(write(ends[0], data, size) == (ssize_t)size);
	shutdown(ends[0], SHUT_WR);
	cancel_init(&cancel);
	s = server_new(ends[1], ends[1], -1, ops, ARRAY_SIZE(ops), on_switching, &switched,
		&cancel);
	must(server_run(s));
	must(server_end(s, -1));
	server_free(s);
	close(ends[1]);
	check_answers(ends[0], count_requests(data, size));
	close(ends[0]);
	return 0;
}
