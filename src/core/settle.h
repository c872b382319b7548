/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What to do once the migration call has returned, or once somebody involved has died: decided
 * by the states of the domain on both hosts and by nothing else. Pure: a table in settle.c. Who
 * looks is in decide.h (driver) and alone.h (agent), what is done then in act.h.
 */
#ifndef CORE_SETTLE_H
#define CORE_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "virt/virt.h"

/* One host's answer to "what is the domain there?" */
struct settle_view {
	bool reachable;
	enum virt_state state; /* when reachable */
	bool job;
	bool switched; /* source: the guest was stopped for the switch-over since the move began */
	bool turned_back; /* source: … and libvirt itself, nobody else, has started it again */
	bool autostart;
	bool arrived; /* destination: it came, and nobody could tell the source, see arrived.h */
};

/* The state, or "not reachable". */
const char *settle_view_text(const struct settle_view *v);
/* Whether the guest lives there, be it paused by somebody. */
bool settle_view_lives(const struct settle_view *v);

/*
 * What a verdict means stands in five places: the table and the names in settle.c, act_for and
 * act_settle in act.c (an agent alone), settle in run.c (a run), words in outcome.c.
 */
enum settle_verdict {
	SETTLE_BACKWARD,      /* undo everything, the VF is given back on the source */
	SETTLE_FORWARD,       /* the guest lives on the destination: finish there */
	SETTLE_WAIT,          /* not decided yet: look again, at last abort the job */
	SETTLE_RESUME,        /* resume on the source, then backward */
	SETTLE_DESTROY_STALE, /* destroy the source's stale copy, then forward */
	SETTLE_IN_DOUBT,      /* start, resume, destroy, attach nothing */
	SETTLE_UNVERIFIED,    /* the source's own cleanup only; the destination was not seen */
	SETTLE_GUEST_ENDED,   /* the guest ended by itself: clean both, start nothing */
	SETTLE_MOVED_ON, /* it was migrated on from the destination: clean both, start nothing */
	SETTLE_TWICE,    /* two running copies: suspend the source's, touch no VF */
};

enum settle_verdict settle_decide(const struct settle_view *source,
	const struct settle_view *destination);
/* For people, and between agents: a text that is changed is not understood by another version. */
const char *settle_verdict_name(enum settle_verdict v);
int settle_verdict_from_name(const char *name, enum settle_verdict *ret);

/* What one host can decide without the other. */
enum settle_verdict settle_decide_alone(bool is_source, const struct settle_view *here);

/* How long a guest is given to come into sight on a destination that stands alone. */
enum { SETTLE_ARRIVAL_MS = 15000 };

/* Since when one verdict was found again and again. */
struct settle_history {
	enum settle_verdict verdict; /* begin with SETTLE_WAIT */
	int64_t since;               /* clock_ms() */
};

/*
 * Whether V, found now (at NOW_MS), can be acted on: that the guest is nowhere else is to be seen
 * twice before it is resumed; and where it MAY_ARRIVE still, for a while before what was prepared
 * for it is taken away.
 */
bool settle_is_certain(struct settle_history *h, enum settle_verdict v, bool may_arrive,
	int64_t now_ms);

#endif
