/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation: up to the point of no return the steps are taken in order; the first
 * failure, or a signal, turns around, and every step begun is undone in reverse. The move is
 * that point: whatever the call returned, both hosts are looked at, and settle_decide says
 * which way to go. Behind it everything is finished forward: a failure there is reported, and
 * the next step is taken.
 */
#include "core/run.h"

#include <stdio.h>

#include "core/act.h"
#include "core/decide.h"
#include "core/halves.h"
#include "core/sides.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum {
	RETRY_PAUSE_MS = 2000, /* and that much longer before each further try */
	ABORT_AFTER_MS = 5000, /* a job that nobody waits for any more */
};

struct run {
	struct sides sides;
	const struct plan *plan; /* borrowed */
	struct outcome *out;     /* borrowed */
	struct parties parties;  /* see parties() */
	bool guest_gone;         /* it ended by itself */
	bool source_left;        /* before the destination was seen */
	bool give_again;         /* the destination's order was given anew behind that step */
	bool carried;            /* the destination was told that the guest runs there */
	int64_t standby_since;
	int64_t next_abort;
	struct err undo_err;    /* first one; kind ERR_NONE: all undone */
	struct err vf_err;      /* first pair that could not be given its VF behind the move … */
	struct err forward_err; /* … and first failure there that is another one */
};

static struct driver *driver(const struct run *r)
{
	return r->sides.d;
}

/* Who is who; labels change as agents are replaced. */
static const struct parties *parties(struct run *r)
{
	const struct sides *s = &r->sides;

	r->parties = (struct parties){ .domain = r->plan->destination.name,
		.source = s->agents[SOURCE] ? sides_host(s, SOURCE) : NULL,
		.destination = sides_host(s, DESTINATION) };
	return &r->parties;
}

static size_t place_of(const char *step)
{
	return (size_t)(step_find(step) - steps);
}

/* A request to the destination that takes no arguments; *RET (may be NULL): its answer. */
static int ask_destination(struct run *r, const char *what, json_t **ret, struct err *e)
{
	return call_once(&driver(r)->group, r->sides.agents[DESTINATION], what, NULL,
		driver_request_ms(driver(r)), ret, e);
}

/* ---- back ---- */

/* An agent whose place could not be taken has left its part undone, unless it does so by itself. */
static void retry_lost(struct run *r)
{
	for (int side = SOURCE; side <= DESTINATION; side++) {
		struct err e;

		if (!r->sides.ordered[side] || sides_revive(&r->sides, side, &e) == 0)
			continue;
		report_warning(driver(r)->report, NULL, e.msg, e.hint);
		r->sides.unsettled[side] = true;
		if (side == SOURCE && r->undo_err.kind == ERR_NONE)
			r->undo_err = e;
	}
}

static void undo_half(struct run *r, const struct step *step, int side)
{
	int64_t start = clock_ms();
	struct err e;
	int got;

	if (!halves_can_undo(&r->sides, step, side))
		return;
	got = halves_undo(&r->sides, step, side, r->guest_gone, &e);
	if (got == UNDO_PUT_OFF)
		return;
	if (got == 0) {
		report_step(driver(r)->report, sides_host(&r->sides, side), step->name, step->title,
			clock_ms() - start, true);
		return;
	}
	report_warning(driver(r)->report, NULL, e.msg, e.hint);
	r->sides.unsettled[side] = true;
	/* A destination that is gone undoes its part by itself, or has lost it. */
	if (r->undo_err.kind == ERR_NONE && (side == SOURCE || e.kind != ERR_LOST))
		r->undo_err = e;
}

/* Undoes the steps from table place LAST down to the first. */
static void roll_back(struct run *r, size_t last)
{
	driver(r)->rolling_back = true;
	retry_lost(r);
	for (size_t k = last + 1; k-- > 0;) {
		undo_half(r, &steps[k], SOURCE);
		undo_half(r, &steps[k], DESTINATION);
	}
}

/* A guest that shut down on the way has nothing to go back to, and needs no VF. */
static bool guest_has_ended(struct run *r, int side)
{
	struct settle_view view;

	driver_look(driver(r), r->sides.agents[side], r->sides.order[side]->uuid, NULL, &view);
	/* Where it was migrated to from here it goes on. */
	return view.reachable && !virt_state_is_active(view.state) && view.state != VIRT_MIGRATED;
}

/* The remains of a guest that ended while it was moved: nothing is given back to it. */
static void clean_after_end(struct run *r, const struct err *why)
{
	r->guest_gone = true;
	r->undo_err = (struct err){ 0 };
	r->sides.unsettled[SOURCE] = r->sides.unsettled[DESTINATION] = false;
	roll_back(r, place_of(step_migrate));
	outcome_guest_ended(r->out, parties(r), &r->undo_err, why);
}

/* Back to the source, where the guest may end by itself while it is given its VF. */
static void give_up(struct run *r, size_t last, const struct err *why)
{
	roll_back(r, last);
	if (r->undo_err.kind != ERR_NONE && guest_has_ended(r, SOURCE))
		clean_after_end(r, why);
	else
		outcome_rolled_back(r->out, parties(r), &r->undo_err, why);
}

/* ---- forward ---- */

/* What a step behind the move could not do. */
static void keep_failures(struct run *r, const struct step *step, const json_t *failed)
{
	struct err *first = str_equal(step->name, step_give_vf) ? &r->vf_err : &r->forward_err;
	const json_t *one = json_array_get(failed, 0);

	if (one && first->kind == ERR_NONE)
		err_set(first, "%s: %s",
			sides_host(&r->sides,
				(int)json_integer_value(json_object_get(one, "side"))),
			json_string_value(json_object_get(one, "message")));
}

static int take_step(struct run *r, const struct step *step, struct err *e)
{
	json_t *failed = json_array();
	int got = halves_apply(&r->sides, step, failed, e);

	keep_failures(r, step, failed);
	json_decref(failed);
	return got;
}

/*
 * An agent that was lost may have settled its end by itself. The one in its place, which begins anew, does not
 * know of the guest's VF before it has seen it.
 */
static int make_ready(struct run *r, const struct step *step, struct err *e)
{
	const struct step *give = step_find(step_give_vf);
	int before = r->sides.n_orders[DESTINATION];

	if (sides_make_ready(&r->sides, step, e) < 0)
		return -1;
	r->give_again |= r->sides.n_orders[DESTINATION] > before && step > give;
	if (!r->give_again)
		return 0;
	r->vf_err = (struct err){ 0 };
	if (take_step(r, give, e) < 0)
		return -1;
	r->give_again = false;
	return 0;
}

/* Once more when an agent was lost in the middle of it. */
static int take_forward_step(struct run *r, const struct step *step, struct err *e)
{
	int got = make_ready(r, step, e);

	if (got == 0)
		got = take_step(r, step, e);
	if (got < 0 && e->kind == ERR_LOST && make_ready(r, step, e) == 0)
		got = take_step(r, step, e);
	return got;
}

/* What keeps a guest from its VF may pass, a reboot of the guest for one. */
static int give_vfs(struct run *r, const struct step *step, struct err *e)
{
	bool unsettled = r->sides.unsettled[DESTINATION];
	int64_t retries = driver(r)->options->reattach_retries;
	int got = take_forward_step(r, step, e);

	for (int64_t n = 1; n <= retries && got == 0 && r->vf_err.kind != ERR_NONE; n++) {
		clock_sleep_ms(RETRY_PAUSE_MS * n);
		r->vf_err = (struct err){ 0 };
		r->sides.unsettled[DESTINATION] = unsettled;
		got = take_forward_step(r, step, e);
	}
	if (got == 0)
		r->out->standby_ms = clock_ms() - r->standby_since;
	return got;
}

static void finish_forward(struct run *r, size_t first)
{
	for (size_t k = first; k < n_steps; k++) {
		bool gives = str_equal(steps[k].name, step_give_vf);
		struct err e;

		if (!steps[k].forward ||
			(gives ? give_vfs : take_forward_step)(r, &steps[k], &e) == 0)
			continue;
		report_warning(driver(r)->report, NULL, e.msg, e.hint);
		for (int side = SOURCE; side <= DESTINATION; side++)
			r->sides.unsettled[side] |= sides_have_part(&r->sides, &steps[k], side) &&
						    !sides_is_settled(&r->sides, side);
		if (r->forward_err.kind == ERR_NONE)
			r->forward_err = e;
	}
}

static void ask_source_to_leave(struct run *r)
{
	struct err e;

	if (take_forward_step(r, step_find(step_leave_source), &e) < 0)
		report_warning(driver(r)->report, NULL, e.msg, e.hint);
}

/* The destination was not told of the switch-over, or no longer waited for the guest. */
static void tell_destination_to_carry(struct run *r)
{
	struct err e;

	if (sides_make_ready(&r->sides, step_find(step_give_vf), &e) < 0 ||
		ask_destination(r, "carry", NULL, &e) < 0)
		report_warning(driver(r)->report, NULL, e.msg, e.hint);
}

static void read_figures(struct run *r)
{
	json_t *reply = NULL;
	struct err e;

	if (ask_destination(r, "figures", &reply, &e) < 0) {
		log_debug("%s", e.msg);
		return;
	}
	r->out->downtime_ms = json_integer_value(json_object_get(reply, "downtime_net_ms"));
	json_decref(reply);
}

/* What has become of each pair; returns how many have no VF. */
static size_t describe_pairs(struct run *r)
{
	json_t *reply = NULL;
	const json_t *pair;
	size_t i, n = 0;
	struct err e;

	if (ask_destination(r, "pairs", &reply, &e) == 0)
		r->out->pairs = json_incref(json_object_get(reply, "pairs"));
	json_decref(reply);
	json_array_foreach(r->out->pairs, i, pair) {
		n += !json_is_true(json_object_get(pair, "proved"));
		if (json_is_true(json_object_get(pair, "cut_off")))
			err_set(&r->forward_err,
				"nothing for %s reaches its standby on %s, and the guest has no VF for "
				"it: it is cut off",
				json_string_value(json_object_get(pair, "mac")),
				sides_host(&r->sides, DESTINATION));
	}
	return n;
}

/* PAIRS: as the destination tells them; libvirt may have picked another VF than was planned. */
static void list_vfs(const struct order *o, const json_t *pairs, char *ret, size_t size)
{
	size_t len = 0;

	*ret = '\0';
	for (size_t i = 0; i < o->n_pairs && len < size; i++) {
		const struct pair_order *p = &o->pairs[i];
		const char *told =
			json_string_value(json_object_get(json_array_get(pairs, i), "vf"));
		bool planned = !told || str_equal(told, p->vf);

		len += (size_t)snprintf(ret + len, size - len, "%s%s%s%s", i ? ", " : "",
			planned ? p->vf : told, planned ? " of " : "", planned ? p->pf : "");
	}
}

/* Nobody there answers, not even to say that the domain is held. */
static bool destination_is_gone(const struct run *r)
{
	return client_is_lost(r->sides.agents[DESTINATION]) && !r->sides.kept[DESTINATION];
}

static void say_forward(struct run *r, const char *done)
{
	const struct order *o = r->sides.order[DESTINATION];
	size_t n_missing = describe_pairs(r);
	char vfs[256];

	/* What went wrong after the VF was proved is no missing VF. */
	if (!n_missing && r->forward_err.kind == ERR_NONE)
		r->forward_err = r->vf_err;
	if (n_missing && r->vf_err.kind == ERR_NONE)
		err_set(&r->vf_err, "%s: no VF", sides_host(&r->sides, DESTINATION));
	list_vfs(o, r->out->pairs, vfs, sizeof(vfs));
	if (r->forward_err.kind != ERR_NONE && parties(r)->source && destination_is_gone(r))
		outcome_unseen(r->out, parties(r), &r->forward_err);
	else if (r->forward_err.kind != ERR_NONE)
		outcome_unfinished(r->out, parties(r), &r->forward_err);
	else if (n_missing)
		outcome_degraded(r->out, parties(r), n_missing, o->n_pairs, &r->vf_err);
	else
		outcome_done(r->out, parties(r), done, vfs);
}

/* ---- the move ---- */

/*
 * The call that waited for it is over, or lost: a migration that still runs is to come to an end.
 */
static void abort_job(struct run *r, const struct settle_view *source)
{
	struct err e;

	if (!source->reachable || !source->job || clock_ms() < r->next_abort)
		return;
	r->next_abort = clock_ms() + ABORT_AFTER_MS;
	if (sides_act(&r->sides, SOURCE, ACT_ABORT_JOB, &e) < 0)
		log_debug("%s", e.msg);
}

static void between_looks(void *arg, enum settle_verdict v, const struct settle_view view[2])
{
	struct run *r = arg;

	/* Where it runs it is to be reached, whatever becomes of the other host. */
	if (view[DESTINATION].state == VIRT_RUNNING && !r->carried) {
		r->carried = true;
		tell_destination_to_carry(r);
	}
	sides_revive_both(&r->sides);
	/* What libvirt says has left needs no entries here, wherever it is. */
	if (v == SETTLE_UNVERIFIED && view[SOURCE].state == VIRT_MIGRATED && !r->source_left) {
		r->source_left = true;
		ask_source_to_leave(r);
	}
	abort_job(r, &view[SOURCE]);
}

/* Does what the verdict says about the domain itself, and tells what is left to be done then. */
static enum settle_verdict act_on(struct run *r, enum settle_verdict v, struct err *why)
{
	enum settle_verdict then;
	const char *act = act_for(v, &then);
	struct err e;

	if (!act || sides_act(&r->sides, SOURCE, act, &e) == 0)
		return then;
	*why = e;
	return SETTLE_IN_DOUBT;
}

static enum settle_verdict decide_and_act(struct run *r, struct settle_view view[2],
	struct err *why)
{
	const struct decide d = { .sides = &r->sides,
		.uuid = r->sides.order[SOURCE]->uuid,
		.run = r->sides.order[SOURCE]->owner,
		.alone = -1,
		.between = between_looks,
		.arg = r };

	r->next_abort = clock_ms() + ABORT_AFTER_MS;
	return act_on(r, decide(&d, view), why);
}

/* Somebody has taken the guest on from the destination: each end does what it would do by itself. */
static void settle_ends(struct run *r, enum settle_verdict v)
{
	bool done = true;

	for (int side = SOURCE; side <= DESTINATION; side++) {
		struct err e;

		if (sides_settle(&r->sides, side, v, &e) == 0)
			continue;
		report_warning(driver(r)->report, NULL, e.msg, e.hint);
		r->sides.unsettled[side] = true;
		done = false;
	}
	outcome_settled(r->out, v, parties(r)->domain, sides_host(&r->sides, DESTINATION), false,
		done);
}

/* Behind the move, in table place MOVE: which way? */
static void settle(struct run *r, size_t move, bool call_failed, struct err *why)
{
	bool *unsettled = r->sides.unsettled;
	struct settle_view view[2];
	enum settle_verdict v = decide_and_act(r, view, why);

	if (!call_failed && v != SETTLE_FORWARD)
		err_set(why, "libvirt reported success, but the domain is %s on %s",
			settle_view_text(&view[DESTINATION]), sides_host(&r->sides, DESTINATION));
	switch (v) {
	case SETTLE_FORWARD:
		driver(r)->past_return = true;
		r->sides.source_left = view[SOURCE].reachable;
		if (call_failed || r->sides.not_ready)
			tell_destination_to_carry(r);
		finish_forward(r, move + 1);
		read_figures(r);
		return;
	case SETTLE_BACKWARD:
		give_up(r, move, why);
		return;
	case SETTLE_GUEST_ENDED:
		/* One that has crashed, and that QEMU keeps, may be started anew by a reset. */
		if (view[SOURCE].reachable && view[SOURCE].state == VIRT_CRASHED)
			give_up(r, move, why);
		else
			clean_after_end(r, why);
		return;
	case SETTLE_MOVED_ON:
		settle_ends(r, v);
		return;
	case SETTLE_UNVERIFIED:
	case SETTLE_TWICE:
		if (v == SETTLE_UNVERIFIED)
			ask_source_to_leave(r);
		unsettled[SOURCE] = unsettled[DESTINATION] = true;
		break;
	case SETTLE_WAIT:
	case SETTLE_IN_DOUBT:
	case SETTLE_RESUME: /* these two were acted on */
	case SETTLE_DESTROY_STALE:
		sides_leave(&r->sides);
		break;
	}
	outcome_unknown(r->out, parties(r), v, &view[SOURCE], &view[DESTINATION], why);
}

/* ---- whole runs ---- */

static int take_steps_to(struct run *r, size_t last, size_t *ret_reached, struct err *e)
{
	for (size_t k = 0; k <= last; k++) {
		*ret_reached = k;
		if (driver(r)->interrupted)
			return err_set_kind(e, ERR_CANCELLED, "stopped by a signal");
		if (str_equal(steps[k].name, step_detach))
			r->standby_since = clock_ms();
		if (take_step(r, &steps[k], e) < 0)
			return -1;
	}
	return 0;
}

/* On the destination; a source has been left already, and is not looked at again. */
static void say_done(struct run *r, const char *done)
{
	struct err e = { 0 };

	/* Their agents have settled both ends long since. */
	if (r->sides.moved_on) {
		outcome_settled(r->out, SETTLE_MOVED_ON, parties(r)->domain,
			sides_host(&r->sides, DESTINATION), false, !r->sides.unsettled[SOURCE]);
		return;
	}
	if (r->sides.gone_there) {
		outcome_guest_ended(r->out, parties(r),
			r->sides.unsettled[SOURCE] ? &r->forward_err : &e, &r->forward_err);
		return;
	}
	if ((r->vf_err.kind == ERR_NONE && r->forward_err.kind == ERR_NONE) ||
		!guest_has_ended(r, DESTINATION)) {
		say_forward(r, done);
		return;
	}
	r->sides.unsettled[DESTINATION] = false;
	r->guest_gone = true;
	for (size_t k = n_steps; k-- > 0;)
		undo_half(r, &steps[k], DESTINATION);
	if (r->sides.unsettled[SOURCE] && r->undo_err.kind == ERR_NONE)
		r->undo_err = r->forward_err;
	outcome_guest_ended(r->out, parties(r), &r->undo_err, &e);
}

/* A step before the move failed: back. */
static void turn_back(struct run *r, size_t reached, const struct err *why)
{
	sides_revive_both(&r->sides); /* to see whether the guest is still there */
	if (guest_has_ended(r, SOURCE)) {
		clean_after_end(r, why);
		return;
	}
	r->out->vf_taken = why->kind == ERR_BUSY && steps[reached].name == step_reserve;
	if (r->out->vf_taken) {
		roll_back(r, reached);
		outcome_not_begun(r->out, parties(r), why);
	} else {
		give_up(r, reached, why);
	}
}

static void migrate_opened(struct run *r, int64_t start)
{
	size_t move = place_of(step_migrate), reached = 0;
	struct err e = { 0 };
	int result = take_steps_to(r, move, &reached, &e);

	if (result < 0 && driver(r)->interrupted)
		err_set_kind(&e, ERR_CANCELLED, "stopped by a signal");
	if (result < 0 && reached < move) {
		turn_back(r, reached, &e);
		return;
	}
	settle(r, move, result < 0, &e);
	r->out->total_ms = clock_ms() - start;
	if (driver(r)->past_return)
		say_done(r, "moved");
}

static void run(struct run *r, void (*rest)(struct run *r, int64_t start))
{
	int64_t start = clock_ms();
	struct err e;

	r->sides.order[SOURCE] = &r->plan->source;
	r->sides.order[DESTINATION] = &r->plan->destination;
	outcome_init(r->out);
	driver(r)->rolling_back = false; /* of an earlier try, or of what was settled first */
	if (sides_open(&r->sides, SOURCE, &e) < 0 || sides_open(&r->sides, DESTINATION, &e) < 0)
		outcome_not_begun(r->out, parties(r), &e);
	else
		rest(r, start);
	if (sides_close(&r->sides, &e) < 0)
		outcome_left(r->out, &e);
}

void run_migration(struct driver *d, const struct plan *p, struct outcome *ret)
{
	struct run r = { .sides = { .d = d, .agents = { d->here, d->there } },
		.plan = p,
		.out = ret };

	run(&r, migrate_opened);
}

static void reattach_opened(struct run *r, int64_t start)
{
	struct err e;

	driver(r)->past_return = true; /* there is nothing to go back to */
	if (take_step(r, step_find(step_reserve), &e) < 0) {
		outcome_not_begun(r->out, parties(r), &e);
		return;
	}
	r->standby_since = start;
	finish_forward(r, 0);
	r->out->standby_ms = -1;
	r->out->total_ms = clock_ms() - start;
	say_done(r, "reattached");
}

void run_reattach(struct driver *d, const struct plan *p, struct client *client,
	struct outcome *ret)
{
	struct run r = { .sides = { .d = d, .agents = { NULL, client } }, .plan = p, .out = ret };

	run(&r, reattach_opened);
}
