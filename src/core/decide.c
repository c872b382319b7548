/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/decide.h"

#include "util/clock.h"
#include "util/log.h"

enum { LOOK_PAUSE_MS = 300, ARRIVAL_LIMIT_MS = SETTLE_ARRIVAL_MS + 1000 };

static enum settle_verdict verdict_of(const struct decide *d, const struct settle_view view[2])
{
	if (d->alone >= 0 && !view[d->alone].reachable)
		return SETTLE_IN_DOUBT;
	if (d->alone >= 0 && !view[1 - d->alone].reachable)
		return settle_decide_alone(d->alone == SOURCE, &view[d->alone]);
	return settle_decide(&view[SOURCE], &view[DESTINATION]);
}

/* A verdict that rests on a host that was not seen. */
static bool is_doubtful(enum settle_verdict v)
{
	return v == SETTLE_IN_DOUBT || v == SETTLE_UNVERIFIED;
}

/* Whether both agents that there are could tell: a libvirt may just be starting. */
static bool look(const struct decide *d, struct settle_view view[2])
{
	const struct sides *s = d->sides;
	int src = driver_look(s->d, s->agents[SOURCE], d->uuid, d->run, &view[SOURCE]);
	int dst = driver_look(s->d, s->agents[DESTINATION], d->uuid, d->run, &view[DESTINATION]);

	return src == 0 && dst == 0;
}

/* The operator has seen to it that the domain does not run on a host that does not answer. */
static void heed_fence(const struct decide *d, struct settle_view view[2])
{
	int other = 1 - d->alone;

	/* Whatever answers there, be it to say no, is no host that is off. */
	if (!d->sides->d->options->fenced || d->alone < 0 || d->sides->agents[other] ||
		!d->sides->d->peer_is_silent)
		return;
	view[other] = (struct settle_view){ .reachable = true, .state = VIRT_ABSENT };
}

/* What all looks so far have told. */
struct looks {
	struct settle_history history;
	bool switched;      /* the source was seen in the switch-over */
	bool source_missed; /* it was not seen once, and its agent could be replaced since */
};

/* An agent of the source that was lost can be replaced at once, and may know of a stale copy. */
static bool is_hasty(const struct decide *d, enum settle_verdict v,
	const struct settle_view view[2], struct looks *l)
{
	if (v != SETTLE_FORWARD || view[SOURCE].reachable || !d->between || l->source_missed)
		return false;
	l->source_missed = true;
	return true;
}

static bool can_act(const struct decide *d, enum settle_verdict v, const struct settle_view view[2],
	struct looks *l)
{
	bool certain = settle_is_certain(&l->history, v, d->may_arrive, clock_ms());

	return certain && !is_hasty(d, v, view, l) && (d->alone >= 0 || !is_doubtful(v));
}

/* Time is up, and what has to be seen twice, or for a while, before it is done was not. */
static enum settle_verdict at_last(const struct decide *d, enum settle_verdict v)
{
	if (v == SETTLE_RESUME)
		return SETTLE_IN_DOUBT;
	return v == SETTLE_BACKWARD && d->may_arrive ? SETTLE_WAIT : v;
}

enum settle_verdict decide(const struct decide *d, struct settle_view view[2])
{
	int64_t limit_ms = d->sides->d->options->settle_ms;
	int64_t deadline = clock_ms() + limit_ms;
	struct looks l = { .history.verdict = SETTLE_WAIT };
	enum settle_verdict v;

	if (d->may_arrive && limit_ms < ARRIVAL_LIMIT_MS)
		deadline = clock_ms() + ARRIVAL_LIMIT_MS;
	for (;;) {
		bool told = look(d, view);

		heed_fence(d, view);
		l.switched |= view[SOURCE].switched || view[SOURCE].state == VIRT_MIGRATING;
		view[SOURCE].switched = l.switched;
		v = verdict_of(d, view);
		if (told && can_act(d, v, view, &l))
			break;
		if (clock_ms() >= deadline) {
			v = at_last(d, v);
			break;
		}
		if (d->between)
			d->between(d->arg, v, view);
		clock_sleep_ms(LOOK_PAUSE_MS);
	}
	log_debug("source %s, destination %s: %s", settle_view_text(&view[SOURCE]),
		settle_view_text(&view[DESTINATION]), settle_verdict_name(v));
	return v;
}
