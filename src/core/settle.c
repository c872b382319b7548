/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/settle.h"

#include "util/mem.h"
#include "util/str.h"

/* What a host's state means for the decision; ANY matches all of them. */
enum side { ANY, RUNNING, MIGRATING, LEFT, ENDED, GONE, UNREACHABLE };

static enum side side_of(const struct settle_view *v)
{
	if (!v->reachable)
		return UNREACHABLE;
	switch (v->state) {
	case VIRT_RUNNING:
	case VIRT_PAUSED: /* by a user or an I/O error: it lives here all the same */
		return RUNNING;
	case VIRT_MIGRATING:
		return MIGRATING;
	case VIRT_MIGRATED:
		return LEFT;
	case VIRT_ENDED:
	case VIRT_CRASHED: /* what never ran has not crashed */
		return ENDED;
	case VIRT_ABSENT:
	case VIRT_OFF:
		return GONE;
	}
	return GONE;
}

/* What a row needs beside the states. */
enum need {
	ALWAYS,
	JOB,      /* a migration job on either side */
	SWITCHED, /* the source had stopped the guest: it may have been started on the destination */
	TURNED,   /* … and libvirt has started it again, on its own */
	ARRIVED,  /* it was on the destination: what the source has, as libvirt left it, is old */
};

/* First match counts. */
static const struct {
	enum side source, destination;
	enum need need;
	enum settle_verdict verdict;
} table[] = {
	/* While a job runs nothing is decided. */
	{ ANY, ANY, JOB, SETTLE_WAIT },
	{ RUNNING, RUNNING, ALWAYS, SETTLE_TWICE },
	{ RUNNING, MIGRATING, ALWAYS, SETTLE_WAIT },
	{ RUNNING, UNREACHABLE, SWITCHED, SETTLE_IN_DOUBT },
	/* It has moved on from there: what runs here is the second copy, unless somebody chose it. */
	{ RUNNING, LEFT, TURNED, SETTLE_IN_DOUBT },
	{ RUNNING, ANY, ARRIVED, SETTLE_IN_DOUBT },
	{ RUNNING, ANY, ALWAYS, SETTLE_BACKWARD },
	{ MIGRATING, RUNNING, ALWAYS, SETTLE_DESTROY_STALE },
	{ MIGRATING, MIGRATING, ALWAYS, SETTLE_WAIT },
	{ MIGRATING, UNREACHABLE, ALWAYS, SETTLE_IN_DOUBT },
	/* It has been on the destination: what stands still on the source is old. */
	{ MIGRATING, LEFT, ALWAYS, SETTLE_IN_DOUBT },
	{ MIGRATING, ENDED, ALWAYS, SETTLE_IN_DOUBT },
	{ MIGRATING, ANY, ARRIVED, SETTLE_IN_DOUBT },
	{ MIGRATING, ANY, ALWAYS, SETTLE_RESUME },
	{ LEFT, UNREACHABLE, ALWAYS, SETTLE_UNVERIFIED },
	{ GONE, UNREACHABLE, ALWAYS, SETTLE_UNVERIFIED },
	{ ENDED, UNREACHABLE, ALWAYS, SETTLE_UNVERIFIED },
	{ UNREACHABLE, UNREACHABLE, ALWAYS, SETTLE_IN_DOUBT },
	{ ANY, RUNNING, ALWAYS, SETTLE_FORWARD },
	{ ANY, MIGRATING, ALWAYS, SETTLE_WAIT },
	{ UNREACHABLE, ANY, ALWAYS, SETTLE_IN_DOUBT },
	/* Unless that is from last time: libvirt keeps it until the domain comes again. */
	{ ANY, LEFT, SWITCHED, SETTLE_MOVED_ON },
	{ ANY, ANY, ALWAYS, SETTLE_GUEST_ENDED },
};

const char *settle_view_text(const struct settle_view *v)
{
	return v->reachable ? virt_state_name(v->state) : "not reachable";
}

bool settle_view_lives(const struct settle_view *v)
{
	return side_of(v) == RUNNING;
}

static bool matches(enum side row, enum side side)
{
	return row == ANY || row == side;
}

enum settle_verdict settle_decide(const struct settle_view *source,
	const struct settle_view *destination)
{
	enum side s = side_of(source), d = side_of(destination);
	const bool given[] = {
		[ALWAYS] = true,
		[JOB] = (source->reachable && source->job) ||
			(destination->reachable && destination->job),
		[SWITCHED] = source->switched,
		[TURNED] = source->turned_back,
		[ARRIVED] = destination->arrived && (s == MIGRATING || source->turned_back),
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (matches(table[i].source, s) && matches(table[i].destination, d) &&
			given[table[i].need])
			return table[i].verdict;
	return SETTLE_IN_DOUBT;
}

enum settle_verdict settle_decide_alone(bool is_source, const struct settle_view *here)
{
	const struct settle_view unknown = { 0 };

	if (is_source)
		return settle_decide(here, &unknown);
	switch (side_of(here)) {
	case RUNNING:
		return SETTLE_FORWARD;
	case MIGRATING:
		return SETTLE_WAIT;
	case UNREACHABLE:
		return SETTLE_IN_DOUBT;
	default:
		return SETTLE_BACKWARD; /* it never arrived: undo what was prepared for it */
	}
}

bool settle_is_certain(struct settle_history *h, enum settle_verdict v, bool may_arrive,
	int64_t now_ms)
{
	bool first = v != h->verdict;

	if (first)
		*h = (struct settle_history){ v, now_ms };
	if (v == SETTLE_BACKWARD && may_arrive)
		return now_ms >= h->since + SETTLE_ARRIVAL_MS;
	return v != SETTLE_WAIT && (v != SETTLE_RESUME || !first);
}

static const char *const verdict_names[] = {
	[SETTLE_BACKWARD] = "roll back",
	[SETTLE_FORWARD] = "finish on the destination",
	[SETTLE_WAIT] = "wait",
	[SETTLE_RESUME] = "resume on the source and roll back",
	[SETTLE_DESTROY_STALE] = "destroy the stale copy on the source, finish on the destination",
	[SETTLE_IN_DOUBT] = "in doubt",
	[SETTLE_UNVERIFIED] = "moved, destination not verified",
	[SETTLE_GUEST_ENDED] = "the guest ended by itself",
	[SETTLE_MOVED_ON] = "the guest has left the destination again",
	[SETTLE_TWICE] = "running twice",
};

const char *settle_verdict_name(enum settle_verdict v)
{
	return verdict_names[v];
}

int settle_verdict_from_name(const char *name, enum settle_verdict *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(verdict_names); i++) {
		if (!str_equal(name, verdict_names[i]))
			continue;
		*ret = (enum settle_verdict)i;
		return 0;
	}
	return -1;
}
