/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation: up to the point of no return the steps are taken in order; the first
 * failure, or a signal, turns around, and every step begun is undone in reverse. The move is
 * that point: whatever the call returned, both hosts are looked at, and settle_decide says
 * which way to go. Behind it everything is finished forward: a failure there is reported, and
 * the next step is taken.
 */
#include "core/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/settle.h"
#include "core/steps.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum {
	MOVE_LIMIT_MS = 24 * 3600 * 1000,
	TAP_GRACE_MS = 5000,
	RETRY_PAUSE_MS = 2000, /* and that much longer before each further try */
	LOOK_PAUSE_MS = 300,
	ABORT_AFTER_MS = 5000, /* a job that nobody waits for any more */
};

enum { SOURCE, DESTINATION };

struct run {
	struct driver *d;           /* borrowed */
	const struct plan *plan;    /* borrowed */
	struct outcome *out;        /* borrowed */
	struct client *ends[2];     /* borrowed; by SOURCE, DESTINATION; NULL: has no part */
	bool ordered[2]; /* an agent there has been given the order … */
	bool opened[2];  /* … and the present one carries it out */
	bool unsettled[2]; /* something is left to do there: its journal stays, for recover */
	bool guest_gone;   /* it ended by itself */
	int64_t standby_since;
	struct err undo_err; /* first one; kind ERR_NONE: all undone */
	size_t n_missing;    /* pairs without VF behind the move */
	json_t *failed_vfs;  /* owned; pairs without VF behind the move */
	struct err forward_err; /* first failure behind the move that is no missing VF */
};

static const char *host(const struct run *r, int side)
{
	return client_label(r->ends[side]);
}

static const struct step_half *half(const struct step *step, int side)
{
	return side == SOURCE ? &step->source : &step->destination;
}

static const struct order *order(const struct run *r, int side)
{
	return side == SOURCE ? &r->plan->source : &r->plan->destination;
}

static int64_t limit_of(const struct run *r, const struct step *step)
{
	int64_t move_ms = r->d->options->timeout * 1000;

	/* An agent stops at that limit by itself, unless its libvirt does not answer. */
	if (str_equal(step->name, step_migrate))
		return move_ms ? move_ms + driver_request_ms(r->d) : MOVE_LIMIT_MS;
	return driver_step_ms(r->d, order(r, DESTINATION)->n_pairs);
}

static json_t *step_args(const struct step *step)
{
	json_t *args = json_object();

	json_object_set_new(args, "step", json_string(step->name));
	return args;
}

/* ---- one step ---- */

static void start_half(struct run *r, const struct step *step, int side, struct call *call)
{
	r->d->ready = false;
	call_start(call, r->ends[side], "apply", step_args(step), limit_of(r, step));
	r->d->under_way[side] = call;
	/* A signal may have come just before there was something to cancel. */
	if (r->d->interrupted && !r->d->past_return)
		call_cancel(call);
}

static void wait_half(struct run *r, struct call *call, const bool *until)
{
	struct call *list[] = { call };

	call_wait(&r->d->group, list, 1, until);
}

/* The destination waits for something that the source makes happen; it gets a moment more. */
static void end_waiting(struct run *r, struct call *waiting, bool source_failed)
{
	if (!waiting->done && !source_failed) {
		int64_t whole = waiting->deadline;

		waiting->deadline = clock_ms() + TAP_GRACE_MS;
		wait_half(r, waiting, NULL);
		if (!waiting->failed || waiting->err.kind != ERR_TIMEOUT)
			return;
		waiting->done = waiting->failed = false;
		waiting->deadline = whole;
	}
	call_cancel(waiting);
	waiting->deadline = clock_ms() + driver_request_ms(r->d);
	wait_half(r, waiting, NULL);
}

static int result_of(const struct call *call, struct err *e)
{
	if (!call->failed)
		return 0;
	*e = call->err;
	return -1;
}

static void note_failures(struct run *r, const struct step *step, const struct call *call)
{
	json_t *one, *list = json_object_get(call->result, "failed");
	size_t i;

	json_array_foreach(list, i, one) {
		const char *message = json_string_value(json_object_get(one, "message"));

		r->unsettled[call->client == r->ends[SOURCE] ? SOURCE : DESTINATION] = true;

		report_warning(r->d->report, client_label(call->client), message ? message : "?",
			json_string_value(json_object_get(one, "hint")));
		if (str_equal(step->name, step_give_vf))
			json_array_append(r->failed_vfs, one);
		else if (r->forward_err.kind == ERR_NONE)
			err_set(&r->forward_err, "%s: %s", client_label(call->client),
				message ? message : "?");
	}
}

static bool has_failures(const struct call *call)
{
	return call->result && json_array_size(json_object_get(call->result, "failed"));
}

static int apply_one_half(struct run *r, const struct step *step, int side, struct err *e)
{
	CLEANUP_CALL struct call call = { 0 };
	int64_t start = clock_ms();

	start_half(r, step, side, &call);
	wait_half(r, &call, NULL);
	r->d->under_way[side] = NULL;
	if (result_of(&call, e) < 0)
		return -1;
	note_failures(r, step, &call);
	if (!has_failures(&call))
		report_step(r->d->report, host(r, side), step->name, step->title,
			clock_ms() - start, false);
	return 0;
}

/* Destination first, until it is ready; then the source; then both to their ends. */
static int apply_both_halves(struct run *r, const struct step *step, struct err *e)
{
	CLEANUP_CALL struct call src = { 0 };
	CLEANUP_CALL struct call dst = { 0 };
	struct call *both[] = { &dst, &src };
	int64_t start = clock_ms();
	struct err dst_err;
	int ret;

	start_half(r, step, DESTINATION, &dst);
	dst.deadline = clock_ms() + driver_request_ms(r->d);
	wait_half(r, &dst, &r->d->ready);
	dst.deadline = clock_ms() + limit_of(r, step);
	if (dst.done && dst.failed) {
		r->d->under_way[DESTINATION] = NULL;
		return result_of(&dst, e);
	}
	if (has_failures(&dst)) {
		/* What the destination could not take over must not go from the source. */
		r->d->under_way[DESTINATION] = NULL;
		note_failures(r, step, &dst);
		return 0;
	}
	if (r->d->interrupted && !r->d->past_return) {
		end_waiting(r, &dst, true);
		r->d->under_way[DESTINATION] = NULL;
		return err_set_kind(e, ERR_CANCELLED, "stopped by a signal");
	}
	/* From here on a signal is the source's affair: the guest may come all the same. */
	r->d->under_way[DESTINATION] = NULL;
	start_half(r, step, SOURCE, &src);
	call_wait_any(&r->d->group, both, ARRAY_SIZE(both));
	/* A destination that cannot do its part (or is gone) stops the source. */
	if (!src.done && dst.failed)
		call_cancel(&src);
	call_wait(&r->d->group, both, ARRAY_SIZE(both), &src.done);
	r->d->under_way[SOURCE] = NULL;
	end_waiting(r, &dst, src.failed);
	r->d->under_way[DESTINATION] = NULL;
	ret = result_of(&src, e);
	if (ret == 0 && result_of(&dst, &dst_err) < 0)
		report_warning(r->d->report, NULL, dst_err.msg, dst_err.hint);
	if (ret == 0) {
		note_failures(r, step, &src);
		note_failures(r, step, &dst);
		report_step(r->d->report, host(r, SOURCE), step->name, step->title,
			clock_ms() - start, false);
	}
	return ret;
}

static bool has_part(const struct run *r, const struct step *step, int side)
{
	if (!r->ends[side] || !step_has_half(half(step, side)))
		return false;
	if (!step->when)
		return true;
	for (size_t i = 0; i < order(r, side)->n_pairs; i++)
		if (step->when(&order(r, side)->pairs[i]))
			return true;
	return false;
}

static int take_step(struct run *r, const struct step *step, struct err *e)
{
	bool src = has_part(r, step, SOURCE), dst = has_part(r, step, DESTINATION);

	if (src && dst)
		return apply_both_halves(r, step, e);
	if (src || dst)
		return apply_one_half(r, step, src ? SOURCE : DESTINATION, e);
	return 0;
}

/* ---- orders ---- */

static int open_end(struct run *r, int side, struct err *e)
{
	if (!r->ends[side])
		return 0;
	if (call_once(&r->d->group, r->ends[side], "open", record_encode(&order_record, order(r, side)),
		    driver_request_ms(r->d), NULL, e) < 0)
		return -1;
	r->ordered[side] = r->opened[side] = true;
	return 0;
}

/* ---- lost agents ---- */

static int reopen_end(struct run *r, int side, struct err *e)
{
	json_t *args = json_object();

	json_object_set_new(args, "uuid", json_text(order(r, side)->uuid));
	json_object_set_new(args, "owner", json_text(r->d->owner));
	return call_once(&r->d->group, r->ends[side], "reopen", args, driver_request_ms(r->d), NULL, e);
}

/*
 * Another agent takes a lost one's place and goes on from its journal. Where there is no journal
 * any more, the lost one has settled its end by itself: the new one is not "opened" then.
 */
static int revive(struct run *r, int side, struct err *e)
{
	struct client **client = r->ends[side] == r->d->here ? &r->d->here : &r->d->there;
	int got;

	if (!r->ends[side] || !client_is_lost(r->ends[side]))
		return 0;
	r->opened[side] = false;
	log_debug("%s: the agent was lost, starting another", host(r, side));
	got = driver_reconnect(r->d, client, e);
	r->ends[side] = *client;
	if (got < 0 || !r->ordered[side])
		return got;
	if (reopen_end(r, side, e) == 0) {
		report_warning(r->d->report, host(r, side),
			"the agent was lost; another one goes on from its journal", NULL);
		r->opened[side] = true;
		return 0;
	}
	if (e->kind == ERR_NOT_FOUND)
		return 0;
	client_give_up(r->ends[side]); /* still lost, as far as this run is concerned */
	return -1;
}

static void revive_both(struct run *r)
{
	for (int side = SOURCE; side <= DESTINATION; side++) {
		struct err e;

		if (revive(r, side, &e) < 0)
			log_debug("%s", e.msg);
	}
}

/* Behind the move the order is given once more to an agent whose predecessor settled alone. */
static int make_ready(struct run *r, const struct step *step, struct err *e)
{
	for (int side = SOURCE; side <= DESTINATION; side++) {
		if (!has_part(r, step, side))
			continue;
		if (revive(r, side, e) < 0 || (!r->opened[side] && open_end(r, side, e) < 0))
			return -1;
	}
	return 0;
}

static void close_end(struct run *r, int side)
{
	if (r->opened[side])
		driver_close_order(r->d, r->ends[side], !r->unsettled[side]);
	r->opened[side] = false;
}

/* An agent that is gone by now has left a journal, though nothing may be left to do. */
static void close_ends(struct run *r)
{
	for (int side = SOURCE; side <= DESTINATION; side++) {
		bool open = r->opened[side];
		struct err e;

		close_end(r, side);
		if (open && client_is_lost(r->ends[side]) && revive(r, side, &e) == 0)
			close_end(r, side);
	}
}

/* ---- back ---- */

static int call_undo_once(struct run *r, const struct step *step, int side, struct err *e)
{
	json_t *args = step_args(step);

	json_object_set_new(args, "guest_gone", json_boolean(r->guest_gone));
	return call_once(&r->d->group, r->ends[side], "undo", args, limit_of(r, step), NULL, e);
}

/* 0 as well when the agent was lost and has undone everything by itself. */
static int call_undo(struct run *r, const struct step *step, int side, struct err *e)
{
	struct err ignored;
	int got = call_undo_once(r, step, side, e);

	if (got == 0 || e->kind != ERR_LOST || revive(r, side, &ignored) < 0)
		return got;
	return r->opened[side] ? call_undo_once(r, step, side, e) : 0;
}

/* An agent whose place could not be taken has left its part undone, unless it does so by itself. */
static void retry_lost(struct run *r)
{
	for (int side = SOURCE; side <= DESTINATION; side++) {
		struct err e;

		if (!r->ordered[side] || revive(r, side, &e) == 0)
			continue;
		report_warning(r->d->report, NULL, e.msg, e.hint);
		r->unsettled[side] = true;
		if (side == SOURCE && r->undo_err.kind == ERR_NONE)
			r->undo_err = e;
	}
}

static void undo_half(struct run *r, const struct step *step, int side)
{
	int64_t start = clock_ms();
	struct err e;

	if (!r->opened[side] || !has_part(r, step, side) ||
		(!half(step, side)->undo_pair && !half(step, side)->undo_domain))
		return;
	if (call_undo(r, step, side, &e) < 0) {
		report_warning(r->d->report, NULL, e.msg, e.hint);
		r->unsettled[side] = true;
		/* A destination that is gone undoes its part by itself, or has lost it. */
		if (r->undo_err.kind == ERR_NONE && (side == SOURCE || e.kind != ERR_LOST))
			r->undo_err = e;
		return;
	}
	report_step(r->d->report, host(r, side), step->name, step->title, clock_ms() - start, true);
}

static size_t place_of(const char *step)
{
	return (size_t)(step_find(step) - steps);
}

/* Undoes one host's part of the steps from table place LAST down to the first. */
static void undo_side(struct run *r, int side, size_t last)
{
	for (size_t k = last + 1; k-- > 0;)
		undo_half(r, &steps[k], side);
}

/* Undoes the steps from table place LAST down to the first. */
static void roll_back(struct run *r, size_t last)
{
	r->d->rolling_back = true;
	retry_lost(r);
	for (size_t k = last + 1; k-- > 0;) {
		undo_half(r, &steps[k], SOURCE);
		undo_half(r, &steps[k], DESTINATION);
	}
}

static void say_rolled_back(struct run *r, const struct err *why)
{
	struct outcome *o = r->out;

	o->err = *why;
	if (r->undo_err.kind == ERR_NONE) {
		o->status = STATUS_FAILED;
		o->name = "rolled-back";
		snprintf(o->text, sizeof(o->text), "%s was not migrated: it runs on %s as before",
			order(r, SOURCE)->name, host(r, SOURCE));
		return;
	}
	o->status = STATUS_INCOMPLETE;
	o->name = "rollback-incomplete";
	snprintf(o->text, sizeof(o->text), "%s was not migrated, and not all could be undone: %s",
		order(r, SOURCE)->name, r->undo_err.msg);
	snprintf(o->hint, sizeof(o->hint),
		"It runs on %s. If it is without its VF: sriov-migrate reattach %s (on %s).",
		host(r, SOURCE), order(r, SOURCE)->name, host(r, SOURCE));
}

/* ---- the move ---- */

static int act(struct run *r, int side, const char *what, struct err *e)
{
	json_t *args = json_object();

	json_object_set_new(args, "what", json_string(what));
	return call_once(&r->d->group, r->ends[side], "act", args, driver_request_ms(r->d), NULL, e);
}

/* A verdict that rests on what is not seen is looked at again; a resume needs to be seen twice. */
static bool is_settled(enum settle_verdict v, enum settle_verdict before)
{
	switch (v) {
	case SETTLE_WAIT:
	case SETTLE_IN_DOUBT:
	case SETTLE_UNVERIFIED:
		return false;
	case SETTLE_RESUME:
		return v == before;
	default:
		return true;
	}
}

/* The call that waited for it is over, or lost: a migration that still runs is to come to an end. */
static void abort_job(struct run *r, const struct settle_view *source, int64_t *next)
{
	struct err e;

	if (!source->reachable || !source->job || clock_ms() < *next)
		return;
	*next = clock_ms() + ABORT_AFTER_MS;
	if (act(r, SOURCE, "abort-migration", &e) < 0)
		log_debug("%s", e.msg);
}

static const char *state_text(const struct settle_view *v)
{
	return v->reachable ? virt_state_name(v->state) : "not reachable";
}

/* Neither forward nor backward: name both states and touch nothing more. */
static void say_unknown(struct run *r, enum settle_verdict v, const struct settle_view view[2],
	const struct err *why)
{
	struct outcome *o = r->out;

	o->err = *why;
	o->status = STATUS_INCOMPLETE;
	o->name = v == SETTLE_TWICE ? "running-twice" : "in-doubt";
	snprintf(o->text, sizeof(o->text), "%s is %s on %s and %s on %s: %s", order(r, SOURCE)->name,
		state_text(&view[SOURCE]), host(r, SOURCE), state_text(&view[DESTINATION]),
		host(r, DESTINATION), settle_verdict_name(v));
	snprintf(o->hint, sizeof(o->hint), "%s Look at both hosts with virsh; sriov-migrate recover %s "
					   "settles what can be settled.",
		v == SETTLE_TWICE ? "The source's copy was suspended." :
				    "Nothing was started, resumed or destroyed.",
		order(r, SOURCE)->name);
}

static void say_guest_ended(struct run *r, const struct err *why)
{
	struct outcome *o = r->out;

	o->err = *why;
	o->status = STATUS_FAILED;
	o->name = "guest-ended";
	snprintf(o->text, sizeof(o->text), "%s ended by itself during the migration; nothing was started",
		order(r, SOURCE)->name);
}

/* Does what the verdict says about the domain itself; SETTLE_FORWARD or SETTLE_BACKWARD is left. */
static enum settle_verdict act_on(struct run *r, enum settle_verdict v, struct err *why)
{
	struct err e;

	if (v == SETTLE_RESUME) {
		if (act(r, SOURCE, "resume", &e) == 0)
			return SETTLE_BACKWARD;
	} else if (v == SETTLE_DESTROY_STALE) {
		if (act(r, SOURCE, "destroy-stale", &e) == 0)
			return SETTLE_FORWARD;
	} else if (v == SETTLE_TWICE) {
		if (act(r, SOURCE, "suspend", &e) == 0)
			return v;
	} else {
		return v;
	}
	*why = e;
	return SETTLE_IN_DOUBT;
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

static void leave_source(struct run *r)
{
	struct err e;

	if (take_forward_step(r, step_find(step_leave_source), &e) < 0)
		report_warning(r->d->report, NULL, e.msg, e.hint);
}

/* Looks at both hosts until there is something to decide. */
static enum settle_verdict decide(struct run *r, struct settle_view view[2])
{
	int64_t deadline = clock_ms() + r->d->options->settle_timeout * 1000;
	int64_t next_abort = clock_ms() + ABORT_AFTER_MS;
	enum settle_verdict v = SETTLE_WAIT, before;
	const char *uuid = order(r, SOURCE)->uuid;

	for (;;) {
		int src = driver_look(r->d, r->ends[SOURCE], uuid, &view[SOURCE]);
		int dst = driver_look(r->d, r->ends[DESTINATION], uuid, &view[DESTINATION]);

		before = v;
		v = settle_decide(&view[SOURCE], &view[DESTINATION]);
		if ((src == 0 && dst == 0 && is_settled(v, before)) || clock_ms() >= deadline)
			break;
		/* What libvirt says has left needs no entries here, wherever it is. */
		if (v == SETTLE_UNVERIFIED && view[SOURCE].state == VIRT_MIGRATED && before != v)
			leave_source(r);
		revive_both(r);
		abort_job(r, &view[SOURCE], &next_abort);
		clock_sleep_ms(LOOK_PAUSE_MS);
	}
	log_debug("source %s, destination %s: %s",
		view[SOURCE].reachable ? virt_state_name(view[SOURCE].state) : "unreachable",
		view[DESTINATION].reachable ? virt_state_name(view[DESTINATION].state) : "unreachable",
		settle_verdict_name(v));
	return v;
}

/* The remains of a guest that ended while it was moved: nothing is given back to it. */
static void clean_after_end(struct run *r)
{
	r->guest_gone = true;
	roll_back(r, place_of(step_migrate));
}

/* ---- forward ---- */

static void read_figures(struct run *r)
{
	json_t *reply = NULL;
	struct err e;

	r->out->downtime_ms = -1;
	if (call_once(&r->d->group, r->ends[DESTINATION], "figures", NULL, driver_request_ms(r->d),
		    &reply, &e) < 0) {
		log_debug("%s", e.msg);
		return;
	}
	r->out->downtime_ms = json_integer_value(json_object_get(reply, "downtime_net_ms"));
	json_decref(reply);
}

/* What keeps a guest from its VF may pass, a reboot of the guest for one. */
static int give_vfs(struct run *r, const struct step *step, struct err *e)
{
	bool unsettled = r->unsettled[DESTINATION];
	int got = take_forward_step(r, step, e);

	for (int64_t n = 1; n <= r->d->options->reattach_retries && got == 0 &&
			    json_array_size(r->failed_vfs);
		n++) {
		clock_sleep_ms(RETRY_PAUSE_MS * n);
		json_array_clear(r->failed_vfs);
		r->unsettled[DESTINATION] = unsettled;
		got = take_forward_step(r, step, e);
	}
	return got;
}

static void finish_forward(struct run *r, size_t first)
{
	for (size_t k = first; k < n_steps; k++) {
		bool gives = str_equal(steps[k].name, step_give_vf);
		struct err e;

		if (!steps[k].forward)
			continue;
		if ((gives ? give_vfs : take_forward_step)(r, &steps[k], &e) == 0) {
			if (gives)
				r->out->standby_ms = clock_ms() - r->standby_since;
			continue;
		}
		report_warning(r->d->report, NULL, e.msg, e.hint);
		r->unsettled[SOURCE] = r->unsettled[DESTINATION] = true;
		if (r->forward_err.kind == ERR_NONE)
			r->forward_err = e;
	}
}

static void describe_pairs(struct run *r)
{
	json_t *reply = NULL;
	struct err e;

	if (call_once(&r->d->group, r->ends[DESTINATION], "pairs", NULL, driver_request_ms(r->d), &reply,
		    &e) == 0)
		r->out->pairs = json_incref(json_object_get(reply, "pairs"));
	json_decref(reply);
}

static void say_degraded(struct run *r)
{
	const char *message =
		json_string_value(json_object_get(json_array_get(r->failed_vfs, 0), "message"));
	struct outcome *o = r->out;

	err_set(&o->err, "%s: %s", host(r, DESTINATION), message ? message : "no VF");
	o->status = STATUS_DEGRADED;
	o->name = "degraded";
	snprintf(o->text, sizeof(o->text),
		"%s is on %s, its network works by the standby, but it has no VF that it uses for %zu of "
		"%zu pairs",
		order(r, DESTINATION)->name, host(r, DESTINATION), r->n_missing,
		order(r, DESTINATION)->n_pairs);
	snprintf(o->hint, sizeof(o->hint), "Once the cause is mended: sriov-migrate reattach %s (on %s).",
		order(r, DESTINATION)->name, host(r, DESTINATION));
}

static void say_unfinished(struct run *r)
{
	struct outcome *o = r->out;

	o->err = r->forward_err;
	o->status = STATUS_INCOMPLETE;
	o->name = "cleanup-incomplete";
	snprintf(o->text, sizeof(o->text), "%s runs on %s, but not all could be finished",
		order(r, DESTINATION)->name, host(r, DESTINATION));
	snprintf(o->hint, sizeof(o->hint), "sriov-migrate recover %s (on %s) goes on with it.",
		order(r, DESTINATION)->name, host(r, DESTINATION));
}

static void list_vfs(const struct order *o, char *ret, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < o->n_pairs && len < size; i++)
		len += (size_t)snprintf(ret + len, size - len, "%s%s of %s", i ? ", " : "",
			o->pairs[i].vf, o->pairs[i].pf);
}

static void say_done(struct run *r, const char *name)
{
	char vfs[256], downtime[64] = "";
	struct outcome *o = r->out;

	list_vfs(order(r, DESTINATION), vfs, sizeof(vfs));
	o->status = STATUS_DONE;
	o->name = name;
	if (!r->ends[SOURCE]) {
		snprintf(o->text, sizeof(o->text), "%s on %s is on its VF (%s)",
			order(r, DESTINATION)->name, host(r, DESTINATION), vfs);
		return;
	}
	if (o->downtime_ms >= 0)
		snprintf(downtime, sizeof(downtime), ", downtime %" PRId64 " ms", o->downtime_ms);
	snprintf(o->text, sizeof(o->text),
		"%s is on %s, on its VF (%s): %.1f s in all, %.1f s by the standby%s",
		order(r, DESTINATION)->name, host(r, DESTINATION), vfs, (double)o->total_ms / 1000,
		(double)o->standby_ms / 1000, downtime);
}

static size_t count_missing(const struct run *r)
{
	const json_t *pair;
	size_t i, n = 0;

	json_array_foreach(r->out->pairs, i, pair)
		n += !json_is_true(json_object_get(pair, "proved"));
	return n;
}

static void say_forward(struct run *r, const char *done)
{
	const json_t *failure = json_array_get(r->failed_vfs, 0);

	describe_pairs(r);
	r->n_missing = count_missing(r);
	/* What went wrong after the VF was proved is no missing VF. */
	if (failure && !r->n_missing && r->forward_err.kind == ERR_NONE)
		err_set(&r->forward_err, "%s: %s", host(r, DESTINATION),
			json_string_value(json_object_get(failure, "message")));
	if (r->n_missing && r->forward_err.kind == ERR_NONE)
		say_degraded(r);
	else if (r->forward_err.kind != ERR_NONE)
		say_unfinished(r);
	else
		say_done(r, done);
}

/* The destination was not told of the switch-over, or no longer waited for the guest. */
static void let_standby_carry(struct run *r)
{
	struct err e;

	if (make_ready(r, step_find(step_give_vf), &e) < 0 ||
		call_once(&r->d->group, r->ends[DESTINATION], "carry", NULL, driver_request_ms(r->d), NULL,
			&e) < 0)
		report_warning(r->d->report, NULL, e.msg, e.hint);
}

/* ---- whole runs ---- */

/* Behind the move: which way? LAST is the place of the move in the table. */
static void settle(struct run *r, size_t last, bool call_failed, struct err *why)
{
	struct settle_view view[2];
	enum settle_verdict v = act_on(r, decide(r, view), why);

	if (!call_failed && v != SETTLE_FORWARD)
		err_set(why, "libvirt reported success, but the domain is %s on %s",
			state_text(&view[DESTINATION]), host(r, DESTINATION));
	switch (v) {
	case SETTLE_FORWARD:
		r->d->past_return = true;
		if (call_failed)
			let_standby_carry(r);
		finish_forward(r, last + 1);
		read_figures(r);
		break;
	case SETTLE_BACKWARD:
		roll_back(r, last);
		say_rolled_back(r, why);
		break;
	case SETTLE_UNVERIFIED:
		leave_source(r);
		r->unsettled[SOURCE] = r->unsettled[SOURCE] || view[SOURCE].state != VIRT_MIGRATED;
		r->unsettled[DESTINATION] = true;
		say_unknown(r, v, view, why);
		break;
	case SETTLE_GUEST_ENDED:
		clean_after_end(r);
		say_guest_ended(r, why);
		break;
	default:
		say_unknown(r, v, view, why);
		r->unsettled[SOURCE] = r->unsettled[DESTINATION] = true;
		/* No "close": left alone, each agent goes on waiting and settles its own end. */
		if (v == SETTLE_TWICE)
			r->unsettled[SOURCE] = r->unsettled[DESTINATION] = true;
		else
			r->opened[SOURCE] = r->opened[DESTINATION] = false;
		break;
	}
}

static void init_outcome(struct outcome *o)
{
	o->total_ms = o->standby_ms = o->downtime_ms = -1;
}

static void say_not_begun(struct run *r, const struct err *e)
{
	r->out->err = *e;
	r->out->status = report_status_of(e);
	r->out->name = r->out->status == STATUS_BUSY ? "busy" : "failed";
	snprintf(r->out->text, sizeof(r->out->text), "%s was not touched", order(r, DESTINATION)->name);
}

static int take_steps_to(struct run *r, size_t last, size_t *ret_reached, struct err *e)
{
	for (size_t k = 0; k <= last; k++) {
		*ret_reached = k;
		if (r->d->interrupted)
			return err_set_kind(e, ERR_CANCELLED, "stopped by a signal");
		if (str_equal(steps[k].name, step_detach))
			r->standby_since = clock_ms();
		if (take_step(r, &steps[k], e) < 0)
			return -1;
	}
	return 0;
}

/* A guest that shut down on the way has nothing to go back to, and needs no VF. */
static bool guest_has_ended(struct run *r, int side)
{
	struct settle_view view;

	driver_look(r->d, r->ends[side], order(r, side)->uuid, &view);
	return view.reachable && !virt_state_is_active(view.state);
}

/* The source has been left already, and is not looked at again. */
static void say_moved(struct run *r)
{
	struct err e = { 0 };

	if (json_array_size(r->failed_vfs) == 0 || !guest_has_ended(r, DESTINATION)) {
		say_forward(r, "moved");
		return;
	}
	r->unsettled[DESTINATION] = false;
	r->guest_gone = true;
	undo_side(r, DESTINATION, place_of(step_migrate));
	say_guest_ended(r, &e);
}

static void run_opened(struct run *r, int64_t start)
{
	size_t move = place_of(step_migrate), reached = 0;
	struct err e = { 0 };
	int result = take_steps_to(r, move, &reached, &e);

	if (result < 0 && r->d->interrupted)
		err_set_kind(&e, ERR_CANCELLED, "stopped by a signal");
	if (result < 0 && reached < move)
		revive_both(r); /* to see whether the guest is still there */
	if (result < 0 && reached < move && guest_has_ended(r, SOURCE)) {
		clean_after_end(r);
		say_guest_ended(r, &e);
		return;
	}
	if (result < 0 && reached < move) {
		roll_back(r, reached);
		r->out->vf_taken = e.kind == ERR_BUSY && reached == 0;
		if (r->out->vf_taken)
			say_not_begun(r, &e);
		else
			say_rolled_back(r, &e);
		return;
	}
	settle(r, move, result < 0, &e);
	r->out->total_ms = clock_ms() - start;
	if (r->d->past_return)
		say_moved(r);
}

static void run(struct run *r, void (*rest)(struct run *r, int64_t start))
{
	int64_t start = clock_ms();
	struct err e;

	init_outcome(r->out);
	r->failed_vfs = json_array();
	if (open_end(r, SOURCE, &e) < 0 || open_end(r, DESTINATION, &e) < 0)
		say_not_begun(r, &e);
	else
		rest(r, start);
	close_ends(r);
	json_decref(r->failed_vfs);
}

void run_migration(struct driver *d, const struct plan *p, struct outcome *ret)
{
	struct run r = { .d = d, .plan = p, .out = ret, .ends = { d->here, d->there } };

	run(&r, run_opened);
}

static void reattach_opened(struct run *r, int64_t start)
{
	struct err e;

	r->d->past_return = true; /* there is nothing to go back to */
	if (take_step(r, &steps[0], &e) < 0) {
		say_not_begun(r, &e);
		return;
	}
	r->standby_since = start;
	finish_forward(r, 0);
	r->out->standby_ms = -1;
	r->out->total_ms = clock_ms() - start;
	say_forward(r, "reattached");
}

void run_reattach(struct driver *d, const struct plan *p, struct client *client, const char *host_name,
	struct outcome *ret)
{
	struct run r = { .d = d, .plan = p, .out = ret, .ends = { NULL, client } };

	run(&r, reattach_opened);
}
