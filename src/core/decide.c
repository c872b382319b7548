/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/decide.h"

#include "util/clock.h"
#include "util/log.h"

enum { LOOK_PAUSE_MS = 300 };

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
	int src = driver_look(s->d, s->ends[SOURCE], d->uuid, &view[SOURCE]);
	int dst = driver_look(s->d, s->ends[DESTINATION], d->uuid, &view[DESTINATION]);

	return src == 0 && dst == 0;
}

/* The operator has seen to it that the domain does not run on a host that does not answer. */
static void heed_fence(const struct decide *d, struct settle_view view[2])
{
	struct settle_view *other = d->alone < 0 ? NULL : &view[1 - d->alone];

	if (d->sides->d->options->fenced && other && !other->reachable)
		*other = (struct settle_view){ .reachable = true, .state = VIRT_ABSENT };
}

enum settle_verdict decide(const struct decide *d, struct settle_view view[2])
{
	int64_t deadline = clock_ms() + d->sides->d->options->settle_timeout * 1000;
	struct settle_history history = { .verdict = SETTLE_WAIT };
	bool switched = false, told, certain;
	enum settle_verdict v;

	for (;;) {
		told = look(d, view);
		heed_fence(d, view);
		switched =
			switched || view[SOURCE].switched || view[SOURCE].state == VIRT_MIGRATING;
		view[SOURCE].switched = switched;
		v = verdict_of(d, view);
		certain = settle_is_certain(&history, v, d->may_arrive, clock_ms());
		if ((told && certain && (d->alone >= 0 || !is_doubtful(v))) ||
			clock_ms() >= deadline)
			break;
		if (d->between)
			d->between(d->arg, v, view);
		clock_sleep_ms(LOOK_PAUSE_MS);
	}
	log_debug("source %s, destination %s: %s", settle_view_text(&view[SOURCE]),
		settle_view_text(&view[DESTINATION]), settle_verdict_name(v));
	return v;
}
