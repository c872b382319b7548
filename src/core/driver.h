/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver: the agents it talks to, the signals it obeys, and what it asked and was told. */
#ifndef CORE_DRIVER_H
#define CORE_DRIVER_H

#include <stdbool.h>

#include "agent/client.h"
#include "core/facts.h"
#include "core/options.h"
#include "core/report.h"
#include "core/settle.h"
#include "core/target.h"

struct driver {
	const struct options *options; /* borrowed */
	struct report *report;         /* borrowed */
	struct client_group group;
	struct client *here, *there; /* borrowed from the group; THERE is NULL for one host */
	const struct target *peer;   /* borrowed; how THERE was started */
	bool peer_is_silent;         /* it was tried, and nothing at all answered */
	struct host_facts facts_here, facts_there;
	char *owner; /* owned; one line for locks: who runs this */
	int signal_fd;

	bool signalled;   /* a signal came … */
	bool interrupted; /* … and is heeded: what was begun is to stop */
	bool past_return; /* the point of no return is behind: finish forward */
	bool rolling_back;
	bool patient;              /* nobody asked for this domain in particular: see end.h */
	bool ready;                /* the destination said "ready" in the step under way */
	struct call *under_way[2]; /* borrowed; what a signal cancels; NULL: none */
};

/* RET is in place before the first signal can come. */
int driver_open(const struct options *o, struct report *report, struct driver *ret, struct err *e);
void driver_close(struct driver *d);

/* Starts both agents (T NULL: only the local one) and shakes hands. */
int driver_connect(struct driver *d, const struct target *t, struct err *e);
/* The other agent alone, for one that was connected without; on failure d->there is NULL. */
int driver_connect_peer(struct driver *d, const struct target *t, struct err *e);
/* This program by its path, or by a link that still works when the file was replaced. */
void driver_own_path(char *ret, size_t size);

/*
 * Another agent in the place of one that was lost (*CLIENT is &d->here or &d->there): it knows
 * nothing yet of what the first one did; "reopen" makes it read that one's journal.
 */
int driver_reconnect(struct driver *d, struct client **client, struct err *e);

/*
 * Ends the order on CLIENT's host. SETTLED: nothing is left to do, the journal can go; an error where it is
 * still there. Of an agent that does not answer that is not known: a warning. ALONE: the other host was not
 * in sight then, see arrived.h.
 */
int driver_close_order(struct driver *d, struct client *client, bool settled, bool alone,
	struct err *e);
/* Tells the destination that the source of RUN is settled, and need not hear of it any more. */
int driver_source_knows(struct driver *d, struct client *destination, const char *uuid,
	const char *run, struct err *e);
/* One that was only looked at: nothing is written, and nobody stays behind to watch. */
void driver_leave_order(struct driver *d, struct client *client);

/*
 * What the domain is on CLIENT's host (NULL: unreachable), and whether it has come there with RUN (owner
 * in the order; NULL: not asked). -1: the agent is there but cannot
 * tell, libvirt may just be starting.
 */
int driver_look(struct driver *d, struct client *client, const char *uuid, const char *run,
	struct settle_view *ret);

/*
 * Gathers the facts of every host connected, at once. With DEST_URI (may be NULL) the local
 * agent also tries whether libvirt here reaches libvirt there: facts_here.unreachable.
 */
int driver_discover(struct driver *d, const char *domain, const char *dest_uri, struct err *e);

/*
 * Asks the destination whether it has the CPU, the machine and the files that the domain runs on
 * here, as far as that can be known: facts_there.fit, and file_fact.is_missing_there of this host's
 * facts. This host is asked as well, to know what the answer is worth. What cannot be asked stays
 * unknown.
 */
int driver_ask_fit(struct driver *d, struct err *e);

/* The limit for a request that waits for nothing in particular. */
int64_t driver_request_ms(const struct driver *d);
/* The limit for one step, or for giving N_PAIRS VFs back: all its waits in a row. */
int64_t driver_step_ms(const struct driver *d, size_t n_pairs);
/* For settling what JOURNAL (an element of recover_list) tells: the agent waits by that run's limits. */
int64_t driver_settle_ms(const struct driver *d, const json_t *journal);

#endif
