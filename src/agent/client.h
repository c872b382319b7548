/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver's side of the wire: starts agents, calls them, several at once, and hears their
 * events. A thread of its own sends the heartbeats, so a driver that is busy, or whose own
 * output is blocked, is not taken for dead.
 */
#ifndef AGENT_CLIENT_H
#define AGENT_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/err.h"

struct client;

/* Starts ARGV (searched in PATH) as an agent; LABEL is the host's name in messages. */
int client_start(const char *label, char *const argv[], struct client **ret, struct err *e);
/* The same with an agent that runs already, behind FD (owned from here on). */
struct client *client_attach(const char *label, int fd);
/* Closes the wire and waits, bounded, for the process. Accepts NULL. */
void client_free(struct client *c);
/* Whether the wire to it is broken: nothing more will be answered. */
bool client_is_lost(const struct client *c);
/*
 * Whether nothing at all has answered there, as far as ssh could tell: a host that refuses a
 * connection, or a login, is no host that is off.
 */
bool client_is_silent(struct client *c);
/* Gives it up: closes the wire, which the agent takes as the driver's end. */
void client_give_up(struct client *c);

/* It has something to do when its driver is gone: client_free does not wait for it. */
void client_let_go_on(struct client *c);

const char *client_label(const struct client *c);
void client_set_label(struct client *c, const char *label);

/* One request under way; plain data, zero it first. */
struct call {
	struct client *client; /* borrowed */
	int64_t id;
	int64_t deadline; /* clock_ms() */
	const char *op;   /* borrowed */
	bool done;
	bool failed;
	struct err err; /* when failed; names the host */
	json_t *result; /* owned; an object, when done and not failed */
};

void call_free(struct call *c);
#define CLEANUP_CALL __attribute__((cleanup(call_free)))

/* Tells an agent, in whatever it is busy with, that the source has stopped the guest. */
void client_tell_switching(struct client *c);

/* Everything one driver talks to, and what it reacts to while it waits. */
struct client_group {
	struct client *v[2]; /* owned; NULL where not started */
	int signal_fd;       /* borrowed; -1: none. Readable: on_signal is called */
	void (*on_signal)(void *arg);
	void (*on_event)(void *arg, struct client *c, const char *event, const json_t *data);
	void *arg;
	struct client_beat *beat; /* owned; the heartbeat thread */
	int64_t looked;           /* clock_ms() of when it was last looked for what they say */
};

void client_group_init(struct client_group *g);
void client_group_add(struct client_group *g, struct client *c);
/* NEW takes OLD's place, and its label; OLD is freed. */
void client_group_replace(struct client_group *g, struct client *old, struct client *new);
void client_group_free(struct client_group *g);

/* Sends the request; takes ARGS (NULL: none). A failure to send shows in the call. */
void call_start(struct call *call, struct client *client, const char *op, json_t *args,
	int64_t timeout_ms);
/* Asks the agent to stop waiting in this request; it still answers it. */
void call_cancel(const struct call *call);
/* Waits until each of the N calls is done, or *UNTIL becomes true (NULL: no such condition). */
void call_wait(struct client_group *g, struct call *const *calls, size_t n, const bool *until);
/* Waits until at least one of the N calls is done. */
void call_wait_any(struct client_group *g, struct call *const *calls, size_t n);
/* One request from start to end. 0: *ret (new reference; may be NULL) is its result. */
int call_once(struct client_group *g, struct client *client, const char *op, json_t *args,
	int64_t timeout_ms, json_t **ret, struct err *e);

#endif
