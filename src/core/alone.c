/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/alone.h"

#include "core/act.h"
#include "core/move.h"
#include "core/settle.h"
#include "util/clock.h"
#include "util/log.h"

enum {
	POLL_MS = 100,
	ABORT_AFTER_MS = 10000, /* a migration whose driver is dead … */
	ABORT_AGAIN_MS = 5000,
	HANDSHAKE_MS = 2000, /* libvirt's own, between the two hosts, behind the switch-over */
};

/* The source's libvirt connects to this one before a guest is to be seen. */
bool alone_may_arrive(const struct end *end)
{
	return !end->order.is_source && end_was_moved(end);
}

struct alone {
	struct end *end;
	struct settle_view view;
	int64_t next_abort;
	int64_t between_since; /* the guest is between two hosts without a job; 0: it is not */
	int64_t arrives_until;
	bool seen; /* the domain was here, be it incoming */
};

static void abort_in_time(struct alone *a)
{
	struct err e;

	/* A migration that this run has not begun is somebody else's. */
	if (!a->end->order.is_source || !end_was_moved(a->end) || clock_ms() < a->next_abort)
		return;
	a->next_abort = clock_ms() + ABORT_AGAIN_MS;
	if (act_on_domain(a->end, ACT_ABORT_JOB, &e) < 0)
		log_debug("%s", e.msg);
}

/* The move was begun, and nothing of the guest has been seen here since this end is alone. */
static bool may_arrive(struct alone *a)
{
	a->seen = a->seen || settle_view_lives(&a->view) || a->view.state == VIRT_MIGRATING;
	return alone_may_arrive(a->end) && !a->seen && clock_ms() < a->arrives_until;
}

/* A guest that has left here, and is not known to have arrived: libvirt gets a moment to tell. */
static bool is_between(struct alone *a)
{
	if (a->view.state != VIRT_MIGRATING)
		a->between_since = 0;
	else if (!a->between_since)
		a->between_since = clock_ms();
	return a->between_since &&
	       (!a->end->order.is_source || clock_ms() < a->between_since + HANDSHAKE_MS);
}

/* Whether what is under way here has come to its end, or to where both hosts have to decide. */
static int look_alone(void *arg, struct err *e)
{
	struct alone *a = arg;
	struct settle_view *v = &a->view;

	if (end_is_told_to_stop(a->end))
		return err_set_kind(e, ERR_CANCELLED, "told to stop waiting");
	v->reachable = virt_ensure(a->end->virt, e) == 0 &&
		       virt_state_get(a->end->virt, a->end->order.uuid, &v->state, &v->job, e) == 0;
	if (!v->reachable) {
		log_debug("%s", e->msg); /* it may just be starting anew */
		return 0;
	}
	/* libvirt's word on that is lost where it was started anew meanwhile. */
	if (move_was_switched(a->end))
		end_mark_switching(a->end);
	if (v->job) {
		a->between_since = 0;
		abort_in_time(a);
		return 0;
	}
	return !is_between(a) && !may_arrive(a);
}

int alone_settle(struct end *end, struct err *e)
{
	int64_t limit_ms = end->order.is_source ? end->order.settle_ms : MOVE_LIMIT_MS;
	struct alone a = { .end = end,
		.next_abort = clock_ms() + ABORT_AFTER_MS,
		.arrives_until = clock_ms() + SETTLE_ARRIVAL_MS };
	enum settle_verdict v;
	int r;

	end->patient = end->alone = true;
	cancel_reset(end->cancel);
	r = cancel_wait(end->cancel, limit_ms, POLL_MS, "the migration to end", look_alone, &a, e);
	if (r < 0 && e->kind != ERR_TIMEOUT)
		return -1;
	a.view.switched = end->order.is_source && end_is_switching(end);
	v = settle_decide_alone(end->order.is_source, &a.view);
	log_debug("settling alone: the domain is %s here: %s", virt_state_name(a.view.state),
		settle_verdict_name(v));
	return act_settle(end, v, e);
}
