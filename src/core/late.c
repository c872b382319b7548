/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/late.h"

#include <unistd.h>

#include "agent/lock.h"
#include "core/primary.h"
#include "core/alone.h"
#include "core/apply.h"
#include "core/standby.h"
#include "core/steps.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum { WATCH_POLL_MS = 250 };

int64_t late_unplug_left(const struct end *end)
{
	int64_t left = 0;

	for (size_t i = 0; end->order.is_source && !end->guest_gone && i < end->order.n_pairs;
		i++) {
		const struct pair_state *s = &end->pairs[i];
		int64_t now = s->unplug_asked ? s->unplug_until - clock_ms() : 0;

		left = now > left ? now : left;
	}
	return left;
}

bool late_unplug_is_open(const struct end *end)
{
	bool open = false;

	for (size_t i = 0; end->order.is_source && !end->guest_gone && i < end->order.n_pairs; i++)
		open = open ||
		       (end->pairs[i].unplug_asked && end_has_begun(end, step_standby_up, (int)i));
	return open;
}

struct watch {
	struct end *end;
	bool *gone; /* owned; by pair */
};

/* Its frames come first: the standby has to carry them from now on. */
static void carry_now(struct end *end, size_t i)
{
	log_warn(
		"%s: the guest has given up VF %s after all; its standby carries it until it has it "
		"back",
		end->order.name, end->order.pairs[i].vf);
	standby_stand_in(end, i);
}

/* 1 when a VF has gone, or the guest. */
static int look_for_late_unplug(void *arg, struct err *e)
{
	struct watch *w = arg;
	enum virt_state state;
	bool any = false;

	if (end_is_told_to_stop(w->end)) {
		end_clear_stop(w->end);
		return err_set_kind(e, ERR_TIMEOUT, "told to stop watching");
	}
	if (virt_ensure(w->end->virt, e) < 0 ||
		virt_state_get(w->end->virt, w->end->order.uuid, &state, NULL, e) < 0)
		return 0; /* libvirt may be starting anew */
	if (!virt_state_is_active(state)) {
		for (size_t i = 0; i < w->end->order.n_pairs; i++)
			w->end->pairs[i].unplug_asked = 0;
		return 1;
	}
	for (size_t i = 0; i < w->end->order.n_pairs; i++) {
		bool attached = true;

		if (!w->end->pairs[i].unplug_asked ||
			primary_is_attached(w->end, i, &attached, e) < 0 || attached)
			continue;
		w->gone[i] = any = true;
		carry_now(w->end, i);
	}
	return any;
}

/* Nothing more is to be expected. Who settles it another time is not to watch once more. */
static void note_over(struct end *end, size_t i)
{
	struct err e;

	if (!end->pairs[i].unplug_asked)
		return;
	end->pairs[i].unplug_asked = 0;
	if (end_note_state(end, i, &e) < 0)
		log_warn("%s: %s", end->order.name, e.msg);
}

static int watch_once(struct watch *w, int64_t left_ms, struct err *e)
{
	int r = cancel_wait(w->end->cancel, left_ms, WATCH_POLL_MS, "a late unplug",
		look_for_late_unplug, w, e);

	if (r < 0 && e->kind != ERR_TIMEOUT)
		return -1;
	for (size_t i = 0; i < w->end->order.n_pairs; i++) {
		if (w->gone[i])
			step_note_detached(w->end, i);
		/* Nothing more is to be expected of the others. */
		if (r < 0)
			note_over(w->end, i);
		w->gone[i] = false;
	}
	return alone_settle(w->end, e);
}

static void name_watcher(struct end *end, int64_t left_ms)
{
	CLEANUP_FREE char *owner =
		str_printf("PID %d, watching until the guest can no longer give up its "
			   "VF, at most %d s more",
			(int)getpid(), (int)(left_ms / 1000));

	lock_set_owner(end->domain_lock, owner);
}

int late_unplug_watch(struct end *end, struct err *e)
{
	CLEANUP_FREE bool *gone = mem_new(end->order.n_pairs * sizeof(*gone));
	struct watch w = { .end = end, .gone = gone };
	int64_t left;

	while ((left = late_unplug_left(end)) > 0) {
		cancel_reset(end->cancel);
		name_watcher(end, left);
		if (watch_once(&w, left, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < end->order.n_pairs; i++)
		note_over(end, i);
	return alone_settle(end, e);
}
