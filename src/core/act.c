/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/act.h"

#include "core/apply.h"
#include "core/move.h"
#include "core/standby.h"
#include "core/steps.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"

/* ---- on the domain as a whole ---- */

/* Each in the state it is meant for and in no other; again, where it has been done already. */
static const struct act {
	const char *name;
	enum virt_state from, done;
	bool with_job;
	int (*fn)(struct virt_domain *d, struct err *e);
} acts[] = {
	{ ACT_RESUME, VIRT_MIGRATING, VIRT_RUNNING, false, virt_domain_resume },
	{ ACT_DESTROY_STALE, VIRT_MIGRATING, VIRT_OFF, false, virt_domain_destroy },
	{ ACT_SUSPEND, VIRT_RUNNING, VIRT_PAUSED, false, virt_domain_suspend },
	{ ACT_ABORT_JOB, VIRT_RUNNING, VIRT_RUNNING, true, virt_migration_abort },
	{ ACT_ABORT_JOB, VIRT_PAUSED, VIRT_PAUSED, true, virt_migration_abort },
	{ ACT_ABORT_JOB, VIRT_MIGRATING, VIRT_MIGRATING, true, virt_migration_abort },
};

int act_on_domain(struct end *end, const char *name, struct err *e)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	enum virt_state state;
	bool job;

	if (virt_state_get(end->virt, end->order.uuid, &state, &job, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(acts) && end->order.is_source; i++) {
		const struct act *a = &acts[i];

		if (!str_equal(a->name, name))
			continue;
		/*
		 * Both copies were seen to run, so the guest was switched over, whoever had died before that
		 * was noted. From then on no process settles this end alone.
		 */
		if (str_equal(name, ACT_SUSPEND))
			end_mark_switching(end);
		if (state == a->from && job == a->with_job)
			return end_domain(end, &d, e) < 0 ? -1 : a->fn(d, e);
		if (state == a->done && !job)
			return 0;
	}
	return err_set(e, "%s of a domain that is %s%s is refused", name ? name : "nothing",
		virt_state_name(state), job ? ", with a job running," : "");
}

/* ---- verdicts ---- */

/* What failed, for whoever asked; the rest is still done. */
static void note_failure(struct end *end, const struct err *now, int *ret, struct err *e)
{
	log_warn("%s: %s", end->order.name, now->msg);
	err_keep_first(ret, e, now);
}

static int undo_steps(struct end *end, bool all, struct err *e)
{
	int ret = 0;

	for (size_t k = n_steps; k-- > 0;) {
		struct err now;

		if (!all && steps[k].stays_in_doubt)
			continue;
		if (step_undo(end, &steps[k], &now) < 0)
			note_failure(end, &now, &ret, e);
	}
	return ret;
}

static bool runs_without_vf(struct end *end, size_t i)
{
	CLEANUP_PAIRS struct xml_pair_list list = { 0 };
	const struct xml_pair *pair;
	struct err ignored; /* it does not run */

	return end_live_pair(end, i, &list, &pair, &ignored) == 0 && pair &&
	       pair->primary.form == PRIMARY_NONE;
}

/*
 * Of another boot the journal tells nothing of pairs. A guest that has come over it all the same, saved and
 * restored, is without the VF that was taken from it, and without entries.
 */
static void take_up_restored(struct end *end)
{
	for (size_t i = 0; i < end->order.n_pairs; i++) {
		struct err e;

		if (!end->order.pairs[i].had_primary || !runs_without_vf(end, i))
			continue;
		end->pairs[i].unproved = true;
		step_note_detached(end, i);
		standby_path_up_or_warn(end, i, &e);
	}
}

static int undo_all(struct end *end, struct err *e)
{
	end->has_left = end->order.is_source && move_has_left(end);
	if (!end->same_boot && end->order.is_source && !end->guest_gone)
		take_up_restored(end);
	return undo_steps(end, true, e);
}

static int apply_half(struct end *end, const struct step *step, struct err *e)
{
	json_t *failed = NULL;
	int r = 0;

	if (step_concerns(step, &end->order, end->order.is_source))
		r = step_apply(end, step, &failed, e);
	if (r == 0 && json_array_size(failed))
		r = err_set(e, "%s",
			json_string_value(json_object_get(json_array_get(failed, 0), "message")));
	json_decref(failed);
	return r;
}

/*
 * What is left of this end's half behind the point of no return. A guest that has come here without
 * anybody having been told has its standby's path first.
 */
static int finish(struct end *end, struct err *e)
{
	int ret = 0;

	if (!end->order.is_source)
		standby_carry_all(end, true, e);
	for (size_t k = 0; k < n_steps; k++) {
		struct err now;

		if (steps[k].forward && apply_half(end, &steps[k], &now) < 0)
			note_failure(end, &now, &ret, e);
	}
	return ret;
}

/*
 * All but what a guest that may have left is not to get back before the destination was seen: its
 * autostart, and that it was moved, by which the next one to settle knows it as such a guest.
 */
static int undo_but_the_move(struct end *end, struct err *e)
{
	return undo_steps(end, false, e);
}

/* The journal stays, and whoever reads it asks the destination. */
static int err_not_seen(const struct end *end, enum virt_state state, struct err *e)
{
	return err_set(e, "%s is %s here, and the destination does not answer", end->order.name,
		virt_state_name(state));
}

/* The guest is not here, and nothing is given back to it. */
static int clean_up(struct end *end, enum settle_verdict v, struct err *e)
{
	enum virt_state state;
	int r;

	if (virt_state_get(end->virt, end->order.uuid, &state, NULL, e) < 0)
		return -1;
	/* What libvirt says has left needs no other word for it. */
	if (end->order.is_source && (state == VIRT_MIGRATED || state == VIRT_ABSENT)) {
		r = finish(end, e);
		return r < 0 || v != SETTLE_UNVERIFIED ? r : err_not_seen(end, state, e);
	}
	/* A guest that has crashed, and that QEMU keeps, may be started anew by a reset. */
	if (end->order.is_source && state == VIRT_CRASHED && v != SETTLE_MOVED_ON)
		return undo_all(end, e);
	end->guest_gone = true;
	if (!end->order.is_source || v == SETTLE_GUEST_ENDED || !end_was_moved(end))
		return undo_all(end, e);
	r = undo_but_the_move(end, e);
	if (r < 0 || v == SETTLE_MOVED_ON)
		return r;
	return err_not_seen(end, state, e);
}

#define TWICE "%s runs on both hosts"

/* The destination's copy has its standby until somebody chose. */
static int settle_twice(struct end *end, struct err *e)
{
	if (!end->order.is_source)
		standby_carry_all(end, true, e);
	return err_set(e, TWICE, end->order.name);
}

const char *act_for(enum settle_verdict v, enum settle_verdict *ret_then)
{
	static const struct {
		enum settle_verdict verdict, then;
		const char *act;
	} verdict_acts[] = {
		{ SETTLE_RESUME, SETTLE_BACKWARD, ACT_RESUME },
		{ SETTLE_DESTROY_STALE, SETTLE_FORWARD, ACT_DESTROY_STALE },
		{ SETTLE_TWICE, SETTLE_TWICE, ACT_SUSPEND },
	};

	*ret_then = v;
	for (size_t i = 0; i < ARRAY_SIZE(verdict_acts); i++) {
		if (verdict_acts[i].verdict != v)
			continue;
		*ret_then = verdict_acts[i].then;
		return verdict_acts[i].act;
	}
	return NULL;
}

/* That the guest has come is remembered as long as the source can have a copy that stands still. */
static int settle_forward(struct end *end, enum settle_verdict v, struct err *e)
{
	bool untold = end->alone || v == SETTLE_DESTROY_STALE;
	int ret = untold ? move_note_arrival(end, e) : 0;
	struct err now;

	if (finish(end, &now) < 0)
		err_keep_first(&ret, e, &now);
	return ret;
}

int act_settle(struct end *end, enum settle_verdict v, struct err *e)
{
	enum settle_verdict then;
	const char *act = act_for(v, &then);

	if (act && end->order.is_source && act_on_domain(end, act, e) < 0)
		return v == SETTLE_TWICE
			       ? err_prefix(e, TWICE ", and this copy could not be suspended",
					 end->order.name)
			       : -1;
	switch (then) {
	case SETTLE_BACKWARD:
		return undo_all(end, e);
	case SETTLE_FORWARD:
		return settle_forward(end, v, e);
	case SETTLE_UNVERIFIED:
	case SETTLE_GUEST_ENDED:
	case SETTLE_MOVED_ON:
		return clean_up(end, v, e);
	case SETTLE_TWICE:
		return settle_twice(end, e);
	case SETTLE_IN_DOUBT:
		/* Whatever that rests on, it is known from now on. */
		if (move_was_switched(end))
			end_mark_switching(end);
		break;
	case SETTLE_WAIT:
	case SETTLE_RESUME: /* these two were acted on */
	case SETTLE_DESTROY_STALE:
		break;
	}
	return err_set(e, "%s: %s", end->order.name, settle_verdict_name(v));
}
