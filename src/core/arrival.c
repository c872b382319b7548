/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/arrival.h"

#include <stdlib.h>

#include "core/move.h"
#include "core/tap.h"
#include "core/uplink.h"
#include "net/link.h"
#include "net/monitor.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	POLL_MS = 250,
	CLOSED_MS = 5000, /* a link that comes and goes is no reason to send the guest back */
};

/*
 * Theory of operation: libvirt creates the tap when it prepares the incoming domain, seconds
 * before the guest resumes, and says so twice: the kernel by a link notification, libvirt by a
 * lifecycle event. Either wakes the waiter, which looks for taps that have joined their
 * bridge.
 *
 * The switch-over is told by the driver: the source's libvirt reports the guest suspended, some tens of
 * milliseconds before it resumes here (virt/events.c), the agent there tells "switching" (move.c), the driver
 * passes it on (driver.c), and the thread that reads here sets end.switching (cmd/agent.c), which wakes the waiter.
 * libvirt's own event here is the fallback.
 * What takes time (the journal, finding the tap and what its bridge had for the MAC) is done before
 * that.
 */
struct arrival {
	struct end *end;
	struct link *before; /* owned; by pair: what had its tap's fixed name; ifindex 0: nothing */
	bool *joined;        /* owned; by pair: its tap is a port of the bridge */
	struct link *taps;   /* owned; by pair */
	bool *pointed;       /* owned; by pair: the entries were set */
	int64_t open;        /* when all uplinks were last seen up */
	uint64_t mark;
};

/* A fixed name may be somebody else's; libvirt takes a tap that is kept for it and that is no port yet. */
static bool is_foreign(const struct link *before, const struct link *now)
{
	return now->ifindex == before->ifindex && (before->master || !before->persistent);
}

static int find_tap(struct arrival *x, size_t i, struct err *e)
{
	if (tap_find(x->end, i, &x->taps[i], e) < 0)
		return -1;
	if (is_foreign(&x->before[i], &x->taps[i]))
		return err_set_kind(e, ERR_NOT_FOUND, "%s was there before", x->taps[i].name);
	return 0;
}

static int look_before(struct arrival *x, struct err *e)
{
	for (size_t i = 0; i < x->end->order.n_pairs; i++) {
		const char *name = x->end->order.pairs[i].tap;

		if (name && link_get(x->end->nl, name, &x->before[i], e) < 0 &&
			e->kind != ERR_NOT_FOUND)
			return -1;
	}
	return 0;
}

/* 1 when every tap has joined its bridge. */
static int look_for_taps(struct arrival *x, struct err *e)
{
	bool all = true;

	for (size_t i = 0; i < x->end->order.n_pairs; i++) {
		if (x->joined[i])
			continue;
		if (find_tap(x, i, e) == 0) {
			log_debug("tap %s has joined its bridge", x->taps[i].name);
			if (!tap_is_macvtap(x->end, i) &&
				tap_entry_prepare(x->end, i, &x->taps[i], e) < 0)
				return -1;
			x->joined[i] = true;
		} else if (e->kind == ERR_NOT_FOUND) {
			all = false;
		} else {
			return -1;
		}
	}
	return all;
}

/* As long as the guest has not left its source, it stays there rather than come to a dead network. */
static int look_whether_open(struct arrival *x, struct err *e)
{
	for (size_t i = 0; i < x->end->order.n_pairs; i++) {
		if (uplink_check_open(x->end, i, e) == 0)
			continue;
		if (clock_ms() < x->open + CLOSED_MS)
			return 0;
		return err_prefix(e, "the guest would be cut off here");
	}
	x->open = clock_ms();
	return 0;
}

/* Each pair's whose tap is there, whatever becomes of the others'; the first error. */
static int point_at_standbys(struct arrival *x, struct err *e)
{
	struct end *end = x->end;
	struct err now;
	int r = 1;

	for (size_t i = 0; i < end->order.n_pairs; i++) {
		if (!x->joined[i] || x->pointed[i])
			continue;
		x->pointed[i] = true;
		if (uplink_entry_set_or_warn(end, i, &now) < 0)
			err_keep_first(&r, e, &now);
		if (!tap_is_macvtap(end, i) && tap_entry_set_on(end, i, &x->taps[i], &now) < 0)
			err_keep_first(&r, e, &now);
	}
	return r;
}

static int look_for_guest(void *arg, struct err *e)
{
	struct arrival *x = arg;
	struct end *end = x->end;
	int joined = look_for_taps(x, e);

	if (joined < 0)
		return -1;
	if (!end_is_switching(end) &&
		!virt_event_seen(end->virt, x->mark, VIRT_EVENT_RESUMED, end->order.uuid, NULL))
		return look_whether_open(x, e);
	return point_at_standbys(x, e) < 0 ? -1 : joined;
}

/* A VF that QEMU gives the guest on its arrival is one that was given, and is not proved. */
static int expect_vf(struct end *end, size_t i, struct err *e)
{
	if (!end->order.pairs[i].qemu_unplugs)
		return 0;
	end->pairs[i].given = end->pairs[i].unproved = true;
	return end_note_state(end, i, e);
}

int arrival_carry(struct end *end, struct err *e)
{
	CLEANUP_FREE bool *joined = mem_new(end->order.n_pairs * sizeof(*joined));
	CLEANUP_FREE bool *pointed = mem_new(end->order.n_pairs * sizeof(*pointed));
	CLEANUP_FREE struct link *taps = mem_new(end->order.n_pairs * sizeof(*taps));
	CLEANUP_FREE struct link *before = mem_new(end->order.n_pairs * sizeof(*before));
	struct arrival x = { .end = end,
		.before = before,
		.joined = joined,
		.taps = taps,
		.pointed = pointed,
		.open = clock_ms(),
		.mark = virt_event_mark(end->virt) };
	struct link_monitor *monitor;
	int r;

	for (size_t i = 0; i < end->order.n_pairs; i++)
		if (uplink_entry_claim(end, i, e) < 0 || expect_vf(end, i, e) < 0)
			return -1;
	if (look_before(&x, e) < 0)
		return -1;
	if (link_monitor_start(end->cancel, &monitor, e) < 0)
		return -1;
	end->tell(end->tell_arg, "ready", json_object());
	r = cancel_wait(end->cancel, MOVE_LIMIT_MS, POLL_MS, "the guest to arrive", look_for_guest,
		&x, e);
	link_monitor_stop(monitor);
	return r;
}
