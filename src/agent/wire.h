/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wire between driver and agent: lines, each one JSON object, of bounded length.
 *
 *   driver to agent   {"id": 7, "op": "apply", "args": {…}}   a request, answered by its id
 *                     {"op": "beat"}                           I am alive (every 2 s)
 *                     {"op": "cancel", "args": {"id": 7}}      stop waiting in request 7
 *                     {"op": "switching"}                      the source has stopped the guest
 *   agent to driver   {"id": 7, "result": {…}}  or
 *                     {"id": 7, "error": {"kind": …, "message": …, "hint": …}}
 *                     {"event": …, "data": {…}}      progress, switching, ready, log, warning,
 *                                                    beat (so am I, for each one heard)
 */
#ifndef AGENT_WIRE_H
#define AGENT_WIRE_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/err.h"

/* Both ends must have the same; it grows when a request or record changes its meaning. */
enum { WIRE_PROTOCOL = 1 };
enum { WIRE_LINE_MAX = 16 * 1024 * 1024 };
/* An agent that is left alone settles its end; a driver that gives an agent up has nobody in its place yet. */
enum { WIRE_BEAT_MS = 2000, WIRE_SILENCE_MS = 10000, WIRE_AGENT_SILENCE_MS = 30000 };
/* An agent that stood still itself for longer has been given up, as its last sign of life was older. */
enum { WIRE_STOOD_STILL_MS = WIRE_AGENT_SILENCE_MS - 2 * WIRE_BEAT_MS };

/* Writes lines; thread-safe. Once a write failed or hung for 10 s, all later ones fail. */
struct wire_out {
	pthread_mutex_t lock;
	int fd; /* borrowed; made non-blocking */
	bool broken;
};

void wire_out_init(struct wire_out *w, int fd);
/* Takes the reference to MSG. */
int wire_send(struct wire_out *w, json_t *msg, struct err *e);

bool wire_is_broken(struct wire_out *w);
/* Whether the other end has let so much pile up that what is not needed should not be sent. Sockets
 * only: of a pipe it is not known. */
bool wire_is_filling(const struct wire_out *w);

/* Collects what FD has into lines. */
struct wire_in {
	int fd;    /* borrowed */
	char *buf; /* owned */
	size_t len, scanned;
	bool eof;
};

void wire_in_init(struct wire_in *w, int fd);
void wire_in_free(struct wire_in *w);
/* Reads once; -1 on a read error or a line that is too long; end of file sets w->eof. */
int wire_fill(struct wire_in *w, struct err *e);
/* Next complete line without its end, or NULL. Caller frees. */
char *wire_line(struct wire_in *w);
/* A line as a JSON object; NULL when it is none. New reference. */
json_t *wire_parse(const char *line);

json_t *wire_error(const struct err *e);
void wire_error_decode(const json_t *error, struct err *ret);

#endif
