/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "agent/wire.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum { QUEUE_MAX = 16, POLL_MS = 1000, JOIN_POLL_MS = 20 };

struct server {
	struct wire_in in;
	struct wire_out out;
	int stop_fd;                 /* borrowed */
	const struct server_op *ops; /* borrowed */
	size_t n_ops;
	void (*switching)(void *ctx);
	void *ctx;             /* borrowed */
	struct cancel *cancel; /* borrowed; of the request that runs */
	pthread_t worker;
	bool has_worker;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	json_t *queue[QUEUE_MAX]; /* owned; guarded by lock, like the rest */
	size_t n_queued;
	json_int_t running;   /* id, 0: none */
	json_int_t cancelled; /* id of a request that was cancelled before it ran, 0: none */
	bool ending;
	int64_t looked; /* clock_boot_ms() when the reading thread was last seen to go on */
};

struct server *server_new(int in, int out, int stop_fd, const struct server_op *ops, size_t n_ops,
	void (*switching)(void *ctx), void *ctx, struct cancel *cancel)
{
	struct server *s = mem_new(sizeof(*s));

	wire_in_init(&s->in, in);
	wire_out_init(&s->out, out);
	s->stop_fd = stop_fd;
	s->ops = ops;
	s->n_ops = n_ops;
	s->switching = switching;
	s->ctx = ctx;
	s->cancel = cancel;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	return s;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_queued; i++)
		json_decref(s->queue[i]);
	wire_in_free(&s->in);
	free(s);
}

void server_event(struct server *s, const char *event, json_t *data)
{
	bool needed = !str_equal(event, "progress") && !str_equal(event, "log") &&
		      !str_equal(event, "beat");
	json_t *msg = json_object();
	struct err ignored; /* a driver that is gone is noticed by the reading thread */

	/* A driver whose output stands still (a pager, ^S) is to have room for its answers. */
	if (!needed && wire_is_filling(&s->out)) {
		json_decref(msg);
		json_decref(data);
		return;
	}
	json_object_set_new(msg, "event", json_string(event));
	json_object_set_new(msg, "data", data);
	wire_send(&s->out, msg, &ignored);
}

static void reply(struct server *s, json_int_t id, int r, json_t *result, const struct err *e)
{
	json_t *msg = json_object();
	struct err ignored;

	json_object_set_new(msg, "id", json_integer(id));
	if (r < 0) {
		json_decref(result); /* one that was begun */
		json_object_set_new(msg, "error", wire_error(e));
	} else {
		json_object_set_new(msg, "result", result ? result : json_object());
	}
	wire_send(&s->out, msg, &ignored);
}

static int run_request(struct server *s, const json_t *request, json_t **ret, struct err *e)
{
	const char *op = json_string_value(json_object_get(request, "op"));

	for (size_t i = 0; i < s->n_ops; i++)
		if (str_equal(s->ops[i].name, op))
			return s->ops[i].fn(s->ctx, json_object_get(request, "args"), ret, e);
	return err_set(e, "the agent knows no request \"%s\"", op ? op : "");
}

/*
 * This process, or its host, stood still for so long that the driver has gone on without it: what it asked
 * before that is void. With the lock held.
 */
static bool end_if_stood_still(struct server *s)
{
	s->ending = s->ending || clock_boot_ms() > s->looked + WIRE_STOOD_STILL_MS;
	return s->ending;
}

/* Called by the reading thread, at least every POLL_MS. */
static bool look_whether_stood_still(struct server *s)
{
	bool ending;

	pthread_mutex_lock(&s->lock);
	ending = end_if_stood_still(s);
	s->looked = clock_boot_ms();
	pthread_mutex_unlock(&s->lock);
	return ending;
}

/* Next request, or NULL when there is none and there will be none. */
static json_t *take_request(struct server *s)
{
	json_t *request = NULL;

	pthread_mutex_lock(&s->lock);
	while (!end_if_stood_still(s) && !s->n_queued)
		pthread_cond_wait(&s->changed, &s->lock);
	if (s->n_queued && !s->ending) {
		request = s->queue[0];
		s->n_queued--;
		for (size_t i = 0; i < s->n_queued; i++)
			s->queue[i] = s->queue[i + 1];
		s->running = json_integer_value(json_object_get(request, "id"));
		cancel_reset(s->cancel);
		if (s->running == s->cancelled)
			cancel_request(s->cancel);
	}
	pthread_mutex_unlock(&s->lock);
	return request;
}

static void *work(void *arg)
{
	struct server *s = arg;
	json_t *request;

	while ((request = take_request(s))) {
		struct err e = { 0 };
		json_t *result = NULL;
		int r = run_request(s, request, &result, &e);

		pthread_mutex_lock(&s->lock);
		s->running = 0;
		pthread_mutex_unlock(&s->lock);
		reply(s, json_integer_value(json_object_get(request, "id")), r, result, &e);
		json_decref(request);
	}
	return NULL;
}

static void enqueue(struct server *s, json_t *request)
{
	json_int_t id = json_integer_value(json_object_get(request, "id"));
	bool full;

	pthread_mutex_lock(&s->lock);
	full = s->n_queued == QUEUE_MAX;
	if (!full)
		s->queue[s->n_queued++] = json_incref(request);
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (full) {
		struct err e;

		err_set(&e, "too many requests at once");
		reply(s, id, -1, NULL, &e);
	}
}

/* Cancels the request with this id if it runs, or whichever runs if ID is 0. */
static void cancel_running(struct server *s, json_int_t id)
{
	pthread_mutex_lock(&s->lock);
	if (s->running && (!id || s->running == id))
		cancel_request(s->cancel);
	else
		s->cancelled = id;
	pthread_mutex_unlock(&s->lock);
}

static void handle_line(struct server *s, const char *line)
{
	json_t *msg = wire_parse(line);
	const char *op = json_string_value(json_object_get(msg, "op"));
	json_t *args = json_object_get(msg, "args");

	if (str_equal(op, "cancel"))
		cancel_running(s, json_integer_value(json_object_get(args, "id")));
	else if (str_equal(op, "switching"))
		s->switching(s->ctx);
	else if (op && json_integer_value(json_object_get(msg, "id")) > 0)
		enqueue(s, msg);
	else if (str_equal(op, "beat"))
		server_event(s, "beat", json_object());
	else
		log_warn("a line that is no request was ignored");
	json_decref(msg);
}

static const char *read_requests(struct server *s)
{
	int64_t heard = clock_ms();

	for (;;) {
		struct pollfd p[] = {
			{ .fd = s->in.fd, .events = POLLIN },
			{ .fd = s->stop_fd, .events = POLLIN },
		};
		int64_t left = heard + WIRE_SILENCE_MS - clock_ms();
		struct err e;
		char *line;
		int n;

		if (wire_is_broken(&s->out))
			return "the driver does not read";
		/* Also after the limit: it may be this process that stood still. */
		n = poll(p, ARRAY_SIZE(p), left <= 0 ? 0 : left < POLL_MS ? (int)left : POLL_MS);
		if (n < 0 && errno != EINTR)
			return "poll failed";
		if (look_whether_stood_still(s))
			return "this host stood still, and the driver has gone on without it";
		if (n > 0 && p[1].revents)
			return "told to stop";
		if (n == 0 && left <= 0)
			return "the driver is silent";
		if (n <= 0)
			continue;
		if (wire_fill(&s->in, &e) < 0)
			return "the driver's lines cannot be read";
		heard = clock_ms();
		while ((line = wire_line(&s->in))) {
			handle_line(s, line);
			free(line);
		}
		if (s->in.eof)
			return "the driver is gone";
	}
}

const char *server_run(struct server *s)
{
	const char *why;

	s->looked = clock_boot_ms();
	s->has_worker = pthread_create(&s->worker, NULL, work, s) == 0;
	if (!s->has_worker)
		return "no worker thread";
	why = read_requests(s);
	pthread_mutex_lock(&s->lock);
	s->ending = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	cancel_running(s, 0);
	return why;
}

bool server_end(struct server *s, int64_t limit_ms)
{
	int64_t end = clock_ms() + limit_ms;

	if (!s->has_worker)
		return true;
	if (limit_ms < 0)
		return pthread_join(s->worker, NULL) == 0;
	while (pthread_tryjoin_np(s->worker, NULL)) {
		if (clock_ms() >= end)
			return false;
		clock_sleep_ms(JOIN_POLL_MS);
	}
	return true;
}
