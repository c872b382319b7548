/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One end of a migration, inside an agent: its order, what it has found and done so far, and
 * the tools to go on. The steps (steps.h) work on it; nobody else changes anything on a host.
 */
#ifndef CORE_END_H
#define CORE_END_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/order.h"
#include "net/fdb.h"
#include "net/nl.h"
#include "util/cancel.h"
#include "util/err.h"
#include "virt/virt.h"

struct lock;

enum { END_STEPS_MAX = 16 };

/* What this end found before it changed a pair, and what it did to it. */
struct pair_state {
	struct fdb_entry *tap_found; /* owned; static and local entries that ours replaced */
	size_t n_tap_found;
	bool self_added;      /* our entry is on the uplink; false if it was there before */
	bool primary_missing; /* the VF was taken away and could not be given back */
	const char *evidence; /* what proved that the guest drives the VF */
	struct lock *vf_lock; /* owned */
	bool begun[END_STEPS_MAX]; /* by place in the step table: has something to undo */
};

struct end {
	struct virt *virt;     /* borrowed */
	struct nl *nl;         /* borrowed */
	struct cancel *cancel; /* borrowed; of the request that runs */
	/* Tells the driver something while a step runs; takes the reference. */
	void (*tell)(void *arg, const char *event, json_t *data);
	void *tell_arg;

	bool open; /* an order is being carried out */
	struct order order;
	struct pair_state *pairs; /* owned; one for each pair of the order */
	struct lock *domain_lock; /* owned */
	atomic_bool switching; /* destination: the source has stopped the guest */
	bool begun[END_STEPS_MAX]; /* as in pair_state, for the domain's part of a step */
};

/* Takes over a decoded order (emptied) and its locks. */
int end_open(struct end *end, struct order *order, struct err *e);
/* Gives locks back and forgets the order. */
void end_close(struct end *end);

/* Told by the driver, from whichever thread: the source has stopped the guest. */
void end_set_switching(struct end *end);
bool end_is_switching(struct end *end);

/* The domain of the order; ERR_NOT_FOUND. */
int end_domain(struct end *end, struct virt_domain **ret, struct err *e);
/* The domain's live XML; caller frees. */
int end_live_xml(struct end *end, char **ret, struct err *e);

#endif
