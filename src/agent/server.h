/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent's side of the wire: reads requests, runs them one after the other in a worker
 * thread, answers. The reading thread is never busy, so heartbeats, cancellation and the end
 * of the driver are noticed while a request waits for libvirt.
 */
#ifndef AGENT_SERVER_H
#define AGENT_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/cancel.h"
#include "util/err.h"

/* Runs one request. *ret stays NULL for an empty result; else a new reference. */
typedef int server_fn(void *ctx, const json_t *args, json_t **ret, struct err *e);

struct server_op {
	const char *name;
	server_fn *fn;
};

struct server;

/*
 * STOP_FD (-1: none): readable when the agent is to end. SWITCHING is called from the reading
 * thread when the driver tells of the switch-over.
 */
struct server *server_new(int in, int out, int stop_fd, const struct server_op *ops, size_t n_ops,
	void (*switching)(void *ctx), void *ctx, struct cancel *cancel);
void server_free(struct server *s); /* accepts NULL */

/*
 * Serves until the driver's end of the wire is closed, or silent for WIRE_SILENCE_MS, or this process
 * itself stood still for WIRE_STOOD_STILL_MS, or STOP_FD says so. A request still running then is
 * cancelled. Returns why it ended, as text for a log.
 */
const char *server_run(struct server *s);
/*
 * Waits for the request that was cancelled, LIMIT_MS at most (-1: as long as it takes). False: it hangs
 * (a library that does not come back), and nothing of this process is safe to be freed.
 */
bool server_end(struct server *s, int64_t limit_ms);

/* Tells the driver something while a request runs; thread-safe. Takes the reference. */
void server_event(struct server *s, const char *event, json_t *data);

#endif
