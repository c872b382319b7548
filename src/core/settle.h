/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What to do once the migration call has returned, or once somebody involved has died: decided
 * by the states of the domain on both hosts and by nothing else. The decision is a pure
 * function, a table in settle.c; the acts are the steps' own.
 */
#ifndef CORE_SETTLE_H
#define CORE_SETTLE_H

#include <stdbool.h>

#include "core/end.h"
#include "virt/virt.h"

/* One host's answer to "what is the domain there?" */
struct settle_view {
	bool reachable;
	enum virt_state state; /* when reachable */
	bool job;
};

enum settle_verdict {
	SETTLE_BACKWARD,      /* undo everything, the VF is given back on the source */
	SETTLE_FORWARD,       /* the guest lives on the destination: finish there */
	SETTLE_WAIT,          /* not decided yet: look again, at last abort the job */
	SETTLE_RESUME,        /* resume on the source, then backward */
	SETTLE_DESTROY_STALE, /* destroy the source's stale copy, then forward */
	SETTLE_IN_DOUBT,      /* start, resume, destroy, attach nothing */
	SETTLE_UNVERIFIED,    /* the source's own cleanup only; the destination was not seen */
	SETTLE_GUEST_ENDED,   /* the guest ended by itself: clean both, start nothing */
	SETTLE_TWICE,         /* two running copies: suspend the source's, touch no VF */
};

enum settle_verdict settle_decide(const struct settle_view *source,
	const struct settle_view *destination);
const char *settle_verdict_name(enum settle_verdict v);
int settle_verdict_from_name(const char *name, enum settle_verdict *ret);

/* What one host can decide without the other. */
enum settle_verdict settle_decide_alone(bool is_source, const struct settle_view *here);

/* How long a guest is given to come into sight on a destination that stands alone. */
enum { SETTLE_ARRIVAL_MS = 15000 };
/* Whether this is a destination that it was sent to. */
bool settle_may_arrive(const struct end *end);

/* Carries out this end's share of a verdict. -1: something is left to do; E names the first. */
int settle_act(struct end *end, enum settle_verdict v, struct err *e);

/* Waits, bounded, for what is under way here, then decides and acts alone. */
int settle_alone(struct end *end, struct err *e);

#endif
