/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/settle.h"

#include "core/standby.h"
#include "core/steps.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum {
	ALONE_DESTINATION_MS = 24 * 3600 * 1000, /* as long as a migration may take */
	ALONE_POLL_MS = 100,
	ABORT_AFTER_MS = 10000, /* a migration whose driver is dead … */
	ABORT_AGAIN_MS = 5000,
	HANDSHAKE_MS = 2000, /* libvirt's own, between the two hosts, behind the switch-over */
};

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

static const char *const verdict_names[] = {
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

/* ---- acts ---- */

/* What failed, for whoever asked; the rest is still done. */
static void note_failure(struct end *end, const struct err *now, int *ret, struct err *e)
{
	log_warn("%s: %s", end->order.name, now->msg);
	if (*ret == 0)
		*e = *now;
	*ret = -1;
}

static int undo_all(struct end *end, struct err *e)
{
	int ret = 0;

	for (size_t k = n_steps; k-- > 0;) {
		struct err now;

		if (step_undo(end, &steps[k], &now) < 0)
			note_failure(end, &now, &ret, e);
	}
	return ret;
}

static int apply_half(struct end *end, const struct step *step, struct err *e)
{
	const struct step_half *half = end->order.is_source ? &step->source : &step->destination;
	json_t *failed = NULL;
	int r = 0;

	if (step_has_half(half))
		r = step_apply(end, step, &failed, e);
	if (r == 0 && json_array_size(failed))
		r = err_set(e, "%s", json_string_value(json_object_get(json_array_get(failed, 0),
					      "message")));
	json_decref(failed);
	return r;
}

/* What is left of this end's half behind the point of no return. */
static int finish(struct end *end, struct err *e)
{
	int ret = 0;

	for (size_t k = 0; k < n_steps; k++) {
		struct err now;

		if (steps[k].forward && apply_half(end, &steps[k], &now) < 0)
			note_failure(end, &now, &ret, e);
	}
	return ret;
}

/* In another boot the entries, taps and MACs of the first are gone: nothing to undo of them. */
static void forget_lost_world(struct end *end)
{
	const struct step *autostart = step_find(step_autostart_off), *move = step_find(step_migrate);

	if (end->same_boot)
		return;
	for (size_t k = 0; k < n_steps; k++) {
		for (size_t i = 0; i < end->order.n_pairs; i++)
			end->pairs[i].begun[k] = false;
		end->begun[k] = end->begun[k] && (&steps[k] == autostart || &steps[k] == move);
	}
	for (size_t i = 0; i < end->order.n_pairs; i++) {
		end->pairs[i].self_added = false;
		end->pairs[i].n_found = 0;
	}
}

static int act_on_domain(struct end *end, int (*act)(struct virt_domain *d, struct err *e),
	struct err *e)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;

	return end_domain(end, &d, e) < 0 ? -1 : act(d, e);
}

static bool was_moved(const struct end *end)
{
	return end->begun[step_find(step_migrate) - steps];
}

/*
 * The guest is not here, and nothing is given back to it. To one that may have left autostart is not,
 * before the destination was seen.
 */
static int clean_up(struct end *end, enum settle_verdict v, struct err *e)
{
	bool *autostart_off = &end->begun[step_find(step_autostart_off) - steps], was_off = *autostart_off;
	enum virt_state state;
	bool job;
	int r;

	if (virt_state_get(end->virt, end->order.uuid, &state, &job, e) < 0)
		return -1;
	/* What libvirt says has left needs no other word for it. */
	if (end->order.is_source && (state == VIRT_MIGRATED || state == VIRT_ABSENT))
		return finish(end, e);
	end->guest_gone = true;
	if (!end->order.is_source || v != SETTLE_UNVERIFIED || !was_moved(end))
		return undo_all(end, e);
	*autostart_off = false;
	r = undo_all(end, e);
	*autostart_off = was_off;
	return r < 0 ? -1 : err_set(e, "%s is %s here, and the destination does not answer",
				    end->order.name, virt_state_name(state));
}

/* The source's copy has to stand still, the other one has its standby until somebody chose. */
static int settle_twice(struct end *end, struct err *e)
{
	if (end->order.is_source && act_on_domain(end, virt_domain_suspend, e) < 0)
		return err_prefix(e, "%s runs on both hosts, and this copy could not be suspended",
			end->order.name);
	for (size_t i = 0; i < end->order.n_pairs && !end->order.is_source; i++)
		if (end->pairs[i].primary_missing && standby_path_up(end, i, e) < 0)
			return err_prefix(e, "%s runs on both hosts, and its standby here is not whole",
				end->order.name);
	return err_set(e, "%s runs on both hosts", end->order.name);
}

int settle_act(struct end *end, enum settle_verdict v, struct err *e)
{
	forget_lost_world(end);
	switch (v) {
	case SETTLE_RESUME:
		if (end->order.is_source && act_on_domain(end, virt_domain_resume, e) < 0)
			return -1;
		return undo_all(end, e);
	case SETTLE_BACKWARD:
		return undo_all(end, e);
	case SETTLE_DESTROY_STALE:
		if (end->order.is_source && act_on_domain(end, virt_domain_destroy, e) < 0)
			return -1;
		return finish(end, e);
	case SETTLE_FORWARD:
		return finish(end, e);
	case SETTLE_UNVERIFIED:
	case SETTLE_GUEST_ENDED:
		return clean_up(end, v, e);
	case SETTLE_TWICE:
		return settle_twice(end, e);
	case SETTLE_WAIT:
	case SETTLE_IN_DOUBT:
		break;
	}
	return err_set(e, "%s: %s", end->order.name, settle_verdict_name(v));
}

/* ---- alone ---- */

/* The source's libvirt connects to this one before a guest is to be seen. */
bool settle_may_arrive(const struct end *end)
{
	return !end->order.is_source && was_moved(end);
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
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	struct err e;

	/* A migration that this run has not begun is somebody else's. */
	if (!a->end->order.is_source || !was_moved(a->end) || clock_ms() < a->next_abort)
		return;
	a->next_abort = clock_ms() + ABORT_AGAIN_MS;
	if (end_domain(a->end, &d, &e) < 0 || virt_migration_abort(d, &e) < 0)
		log_debug("%s", e.msg);
}

/* The move was begun, and nothing of the guest has been seen here since this end is alone. */
static bool may_arrive(struct alone *a)
{
	enum side side = side_of(&a->view);

	a->seen = a->seen || side == RUNNING || side == MIGRATING;
	return settle_may_arrive(a->end) && !a->seen && clock_ms() < a->arrives_until;
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
	if (v->job) {
		a->between_since = 0;
		abort_in_time(a);
		return 0;
	}
	return !is_between(a) && !may_arrive(a);
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

int settle_alone(struct end *end, struct err *e)
{
	int64_t limit_ms = end->order.is_source ? end->order.settle_ms : ALONE_DESTINATION_MS;
	struct alone a = { .end = end, .next_abort = clock_ms() + ABORT_AFTER_MS,
		.arrives_until = clock_ms() + SETTLE_ARRIVAL_MS };
	enum settle_verdict v;

	end->patient = true;
	cancel_reset(end->cancel);
	if (cancel_wait(end->cancel, limit_ms, ALONE_POLL_MS, "the migration to end", look_alone,
		    &a, e) < 0 && e->kind != ERR_TIMEOUT)
		return -1;
	v = settle_decide_alone(end->order.is_source, &a.view);
	log_debug("settling alone: the domain is %s here: %s", virt_state_name(a.view.state),
		settle_verdict_name(v));
	return settle_act(end, v, e);
}
