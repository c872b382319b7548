/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/halves.h"

#include "core/move.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/str.h"

enum { DESTINATION_GRACE_MS = 5000, LEAVE_LIMIT_MS = 15000 };

static int64_t limit_of(const struct sides *s, const struct step *step)
{
	int64_t move_ms = s->d->options->timeout_ms;

	/* An agent stops at that limit by itself, unless its libvirt does not answer. */
	if (str_equal(step->name, step_migrate))
		return move_ms ? move_ms + driver_request_ms(s->d) : MOVE_LIMIT_MS;
	/* The guest waits for its VF on the other host meanwhile. */
	if (str_equal(step->name, step_leave_source))
		return LEAVE_LIMIT_MS;
	return driver_step_ms(s->d, s->order[DESTINATION]->n_pairs);
}

static json_t *step_args(const struct sides *s, const struct step *step)
{
	json_t *args = json_object();

	json_object_set_new(args, "step", json_string(step->name));
	json_object_set_new(args, "source_left", json_boolean(s->source_left));
	return args;
}

/* ---- forward ---- */

static bool is_stopped(const struct sides *s)
{
	return s->d->interrupted && !s->d->past_return;
}

static void start(struct sides *s, const struct step *step, int side, struct call *call)
{
	s->d->ready = false;
	call_start(call, s->agents[side], "apply", step_args(s, step), limit_of(s, step));
	s->d->under_way[side] = call;
	/* A signal may have come just before there was something to cancel. */
	if (is_stopped(s))
		call_cancel(call);
}

static void wait_for(struct sides *s, struct call *call, const bool *until)
{
	struct call *list[] = { call };

	call_wait(&s->d->group, list, 1, until);
}

/* The destination waits for something that the source makes happen; it gets a moment more. */
static void end_waiting(struct sides *s, struct call *waiting, bool source_failed)
{
	if (!waiting->done && !source_failed) {
		int64_t whole = waiting->deadline;

		waiting->deadline = clock_ms() + DESTINATION_GRACE_MS;
		wait_for(s, waiting, NULL);
		if (!waiting->failed || waiting->err.kind != ERR_TIMEOUT)
			return;
		waiting->done = waiting->failed = false;
		waiting->deadline = whole;
	}
	call_cancel(waiting);
	waiting->deadline = clock_ms() + driver_request_ms(s->d);
	wait_for(s, waiting, NULL);
}

static int result_of(const struct call *call, struct err *e)
{
	if (!call->failed)
		return 0;
	*e = call->err;
	return -1;
}

static void note_failures(struct sides *s, int side, const struct call *call, json_t *failed)
{
	json_t *one, *list = json_object_get(call->result, "failed");
	size_t i;

	json_array_foreach(list, i, one) {
		const char *message = json_string_value(json_object_get(one, "message"));
		json_t *noted = json_object();

		s->unsettled[side] = true;
		report_warning(s->d->report, sides_host(s, side), message ? message : "?",
			json_string_value(json_object_get(one, "hint")));
		json_object_set_new(noted, "side", json_integer(side));
		json_object_set_new(noted, "message", json_text(message));
		json_array_append_new(failed, noted);
	}
}

static bool has_failures(const struct call *call)
{
	return call->result && json_array_size(json_object_get(call->result, "failed"));
}

static int apply_one(struct sides *s, const struct step *step, int side, json_t *failed,
	struct err *e)
{
	CLEANUP_CALL struct call call = { 0 };
	int64_t begin = clock_ms();

	start(s, step, side, &call);
	wait_for(s, &call, NULL);
	s->d->under_way[side] = NULL;
	if (result_of(&call, e) < 0)
		return -1;
	s->told_there |= side == DESTINATION && s->source_left;
	note_failures(s, side, &call, failed);
	if (!has_failures(&call))
		report_step(s->d->report, sides_host(s, side), step->name, step->title,
			clock_ms() - begin, false);
	return 0;
}

/* Until the destination is ready. */
static int begin_there(struct sides *s, const struct step *step, struct call *dst, struct err *e)
{
	start(s, step, DESTINATION, dst);
	dst->deadline = clock_ms() + driver_request_ms(s->d);
	wait_for(s, dst, &s->d->ready);
	dst->deadline = clock_ms() + limit_of(s, step);
	if (dst->done && dst->failed)
		return result_of(dst, e);
	if (is_stopped(s)) {
		end_waiting(s, dst, true);
		return err_set_kind(e, ERR_CANCELLED, "stopped by a signal");
	}
	return 0;
}

/* Whether the destination is why the source did not do it. */
static bool follow_here(struct sides *s, const struct step *step, struct call *src,
	struct call *dst)
{
	struct call *both[] = { dst, src };
	bool stopped;

	start(s, step, SOURCE, src);
	call_wait_any(&s->d->group, both, ARRAY_SIZE(both));
	/* A destination that cannot do its part (or is gone) stops the source. */
	stopped = !src->done && dst->failed;
	if (stopped)
		call_cancel(src);
	call_wait(&s->d->group, both, ARRAY_SIZE(both), &src->done);
	s->d->under_way[SOURCE] = NULL;
	/* A source that was lost may have gone on: the guest may be about to come. */
	end_waiting(s, dst, src->failed && src->err.kind != ERR_LOST);
	return stopped && src->failed;
}

static int apply_both(struct sides *s, const struct step *step, struct err *e)
{
	CLEANUP_CALL struct call src = { 0 };
	CLEANUP_CALL struct call dst = { 0 };
	int64_t begin = clock_ms();
	struct err dst_err;
	int begun = begin_there(s, step, &dst, e);

	/* From here on a signal is the source's affair: the guest may come all the same. */
	s->d->under_way[DESTINATION] = NULL;
	if (begun < 0)
		return -1;
	if (follow_here(s, step, &src, &dst))
		return result_of(&dst, e);
	if (result_of(&src, e) < 0)
		return -1;
	s->not_ready = result_of(&dst, &dst_err) < 0;
	if (s->not_ready)
		report_warning(s->d->report, NULL, dst_err.msg, dst_err.hint);
	report_step(s->d->report, sides_host(s, SOURCE), step->name, step->title,
		clock_ms() - begin, false);
	return 0;
}

int halves_apply(struct sides *s, const struct step *step, json_t *failed, struct err *e)
{
	bool src = sides_have_part(s, step, SOURCE), dst = sides_have_part(s, step, DESTINATION);

	if (src && dst)
		return apply_both(s, step, e);
	if (src || dst)
		return apply_one(s, step, src ? SOURCE : DESTINATION, failed, e);
	return 0;
}

/* ---- back ---- */

bool halves_can_undo(const struct sides *s, const struct step *step, int side)
{
	const struct step_half *half = step_half_of(step, side == SOURCE);

	return s->opened[side] && sides_have_part(s, step, side) &&
	       (half->undo_pair || half->undo_domain);
}

static int undo_once(struct sides *s, const struct step *step, int side, bool guest_gone,
	struct err *e)
{
	json_t *args = step_args(s, step), *reply = NULL;
	int r;

	json_object_set_new(args, "guest_gone", json_boolean(guest_gone));
	r = call_once(&s->d->group, s->agents[side], "undo", args,
		driver_step_ms(s->d, s->order[side]->n_pairs), &reply, e);
	if (r == 0 && json_is_true(json_object_get(reply, "put_off")))
		r = UNDO_PUT_OFF;
	json_decref(reply);
	return r;
}

int halves_undo(struct sides *s, const struct step *step, int side, bool guest_gone, struct err *e)
{
	struct err ignored;
	int got = undo_once(s, step, side, guest_gone, e);

	if (got >= 0 || e->kind != ERR_LOST || sides_revive(s, side, &ignored) < 0)
		return got;
	return s->opened[side] ? undo_once(s, step, side, guest_gone, e) : 0;
}
