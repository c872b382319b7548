/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/settle.h"

#include "core/steps.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum { ALONE_LIMIT_MS = 60000, ALONE_POLL_MS = 200 };

/* What a host's state means for the decision; ANY matches all of them. */
enum side { ANY, RUNNING, MIGRATING, LEFT, GONE, UNREACHABLE };

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
	case VIRT_ABSENT:
	case VIRT_OFF:
	case VIRT_CRASHED:
		return GONE;
	}
	return GONE;
}

/* First match counts. JOB: a migration job is active on either side. */
static const struct {
	enum side source, destination;
	bool job;
	enum settle_verdict verdict;
} table[] = {
	/* While a job runs nothing is decided. */
	{ ANY, ANY, true, SETTLE_WAIT },
	{ RUNNING, RUNNING, false, SETTLE_TWICE },
	{ RUNNING, MIGRATING, false, SETTLE_WAIT },
	{ RUNNING, ANY, false, SETTLE_BACKWARD },
	{ MIGRATING, RUNNING, false, SETTLE_DESTROY_STALE },
	{ MIGRATING, MIGRATING, false, SETTLE_WAIT },
	{ MIGRATING, UNREACHABLE, false, SETTLE_IN_DOUBT },
	{ MIGRATING, ANY, false, SETTLE_RESUME },
	{ LEFT, UNREACHABLE, false, SETTLE_UNVERIFIED },
	{ GONE, UNREACHABLE, false, SETTLE_UNVERIFIED },
	{ UNREACHABLE, UNREACHABLE, false, SETTLE_IN_DOUBT },
	{ ANY, RUNNING, false, SETTLE_FORWARD },
	{ ANY, MIGRATING, false, SETTLE_WAIT },
	{ UNREACHABLE, ANY, false, SETTLE_IN_DOUBT },
	{ ANY, ANY, false, SETTLE_GUEST_ENDED },
};

static bool matches(enum side row, enum side side)
{
	return row == ANY || row == side;
}

enum settle_verdict settle_decide(const struct settle_view *source,
	const struct settle_view *destination)
{
	enum side s = side_of(source), d = side_of(destination);
	bool job = (source->reachable && source->job) || (destination->reachable && destination->job);

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (matches(table[i].source, s) && matches(table[i].destination, d) &&
			(!table[i].job || job))
			return table[i].verdict;
	return SETTLE_IN_DOUBT;
}

const char *settle_verdict_name(enum settle_verdict v)
{
	static const char *const names[] = {
		[SETTLE_BACKWARD] = "roll back",
		[SETTLE_FORWARD] = "finish on the destination",
		[SETTLE_WAIT] = "wait",
		[SETTLE_RESUME] = "resume on the source and roll back",
		[SETTLE_DESTROY_STALE] = "destroy the stale copy on the source, finish on the destination",
		[SETTLE_IN_DOUBT] = "in doubt",
		[SETTLE_UNVERIFIED] = "moved, destination not verified",
		[SETTLE_GUEST_ENDED] = "the guest ended by itself",
		[SETTLE_TWICE] = "running twice",
	};

	return names[v];
}

static void undo_all(struct end *end)
{
	for (size_t k = n_steps; k-- > 0;) {
		struct err e;

		if (step_undo(end, &steps[k], &e) < 0)
			log_warn("%s: %s", end->order.name, e.msg);
	}
}

static void apply_alone(struct end *end, const struct step *step)
{
	const struct step_half *half = end->order.is_source ? &step->source : &step->destination;
	json_t *failed = NULL;
	struct err e;

	if (step_has_half(half) && step_apply(end, step, &failed, &e) < 0)
		log_warn("%s: %s", end->order.name, e.msg);
	json_decref(failed);
}

/* What is left of this end's half behind the point of no return. */
static void finish(struct end *end)
{
	for (size_t k = 0; k < n_steps; k++)
		if (steps[k].forward)
			apply_alone(end, &steps[k]);
}

struct alone {
	struct end *end;
	struct settle_view view;
};

/* Whether something is still under way here: a job, or an incoming domain. */
static int look_alone(void *arg, struct err *e)
{
	struct alone *a = arg;

	if (virt_state_get(a->end->virt, a->end->order.uuid, &a->view.state, &a->view.job, e) < 0)
		return -1;
	a->view.reachable = true;
	return !a->view.job && a->view.state != VIRT_MIGRATING;
}

void settle_alone(struct end *end)
{
	struct alone a = { .end = end };
	struct err e;
	bool here;

	cancel_reset(end->cancel);
	if (cancel_wait(end->cancel, ALONE_LIMIT_MS, ALONE_POLL_MS, "the migration to end", look_alone,
		    &a, &e) < 0) {
		log_warn("%s: in doubt, nothing is touched: %s", end->order.name, e.msg);
		return;
	}
	log_debug("settling alone: the domain is %s here", virt_state_name(a.view.state));
	here = side_of(&a.view) == RUNNING;
	if (end->order.is_source == here)
		undo_all(end); /* lives on the source still, or never arrived */
	else if (here || a.view.state == VIRT_MIGRATED)
		finish(end);
	else
		apply_alone(end, step_find(step_leave_source)); /* ended by itself, or undefined */
}
