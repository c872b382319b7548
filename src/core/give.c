/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * give_vf, from the outside in:
 *
 *   every pair without its VF has its standby's path (carry_without_vf)
 *   the VF is reserved; an earlier unplug that may still happen is waited for
 *   try_or_carry: the tap is watched, then
 *     try_if_free, try_vf: attach.h has the VF attached,
 *     see_it_used: the guest's driver has it, the uplink's entry lets it hear, and the guest's
 *     frames leave the standby
 *   then the entries go; or the VF is taken back, and the standby's path is made whole
 *
 * What is known of the VF stands in pair_state: given (attached by a try, and not seen in use),
 * unproved (none is proved, attached or not), vf_failed_at and vf_tries (tries in vain), and
 * refused (nothing comes by the uplink, so that the standby is no help).
 */
#include "core/give.h"

#include <stdlib.h>

#include "core/attach.h"
#include "core/form.h"
#include "core/pair_vf.h"
#include "core/primary.h"
#include "core/proof.h"
#include "core/standby.h"
#include "core/tap.h"
#include "core/uplink.h"
#include "util/clock.h"
#include "util/log.h"

enum {
	POLL_MS = 250,
	NEXT_TRY_MS = 120000,
	LAST_TRY_MS = 600000,
	COSTLY_TRIES = 4, /* as many as one that cuts the guest off counts for */
};

struct unplug {
	struct end *end;
	size_t i;
	int64_t asked;
};

/*
 * An unplug that was asked for and given up on (a signal, a short limit) can still happen. Before
 * the VF is proved again, the request gets the time in which guests answer; unplug_asked stays
 * set where they have not (see late.h).
 */
static int look_whether_unplug_is_over(void *arg, struct err *e)
{
	struct unplug *x = arg;
	bool attached;

	if (virt_ensure(x->end->virt, e) < 0 || primary_is_attached(x->end, x->i, &attached, e) < 0)
		return e->kind == ERR_NOT_FOUND ? -1 : 0; /* libvirt may be starting anew */
	if (!attached)
		x->end->pairs[x->i].unplug_asked = 0;
	return !attached || clock_ms() >= x->asked + PRIMARY_UNPLUG_GRACE_MS;
}

static int wait_for_late_unplug(struct end *end, size_t i, struct err *e)
{
	struct unplug x = { .end = end, .i = i, .asked = end->pairs[i].unplug_asked };

	if (!x.asked)
		return 0;
	return cancel_wait(end->cancel, PRIMARY_UNPLUG_GRACE_MS + 1000, POLL_MS,
		"an earlier unplug request", look_whether_unplug_is_over, &x, e);
}

/* One try to give a VF. */
struct giving {
	struct tap_watch watch; /* from before the attach */
	bool had;               /* the guest has the VF already */
	bool was_taken; /* but QEMU had taken it, or brought it: it is not known to be used */
	bool driven;    /* its driver has it, by now */
	bool cost;      /* … and without using it: the try cut it off */
};

/* A VF that it has had all the time, not from a try that has not seen it used: it stays. */
static bool is_guests_own(const struct end *end, size_t i, const struct giving *g)
{
	return g->had && !end->pairs[i].given;
}

/*
 * A guest whose driver has not taken the VF has its standby, but where the uplink's entry had to
 * go before. What the host refuses says nothing about the guest.
 */
static int see_it_used(struct end *end, size_t i, struct giving *g, struct err *e)
{
	g->driven = proof_wait_for_driver(end, i, e) == 0;
	if (!g->driven) {
		g->cost = e->kind == ERR_TIMEOUT && attach_yields_first(end, i);
		return -1;
	}
	if (standby_path_yield(end, i, YIELD_WHEN_DRIVEN, e) < 0)
		return -1;
	if (!is_guests_own(end, i, g) || g->was_taken)
		g->cost = proof_wait_for_changeover(end, &g->watch, e) < 0;
	return g->cost ? -1 : attach_check_still(end, i, e);
}

/* COST: it interrupted the guest's network. */
static void note_try_in_vain(struct end *end, size_t i, bool cost)
{
	end->pairs[i].vf_failed_at = clock_ms();
	end->pairs[i].vf_tries += cost ? COSTLY_TRIES : 1;
}

/* A VF that was given goes again if it is not used; one that is the guest's own stays. */
static int try_vf(struct end *end, size_t i, struct giving *g, struct err *e)
{
	if (attach_vf(end, i, &g->had, e) < 0) {
		if (!g->had && attach_yields_first(end, i))
			note_try_in_vain(end, i, true);
		return -1;
	}
	if (see_it_used(end, i, g, e) == 0)
		return 0;
	/* Whoever stopped us goes on from here. */
	if (!is_guests_own(end, i, g) && e->kind != ERR_CANCELLED) {
		note_try_in_vain(end, i, g->cost);
		attach_take_back(end, i);
	}
	return -1;
}

static int try_if_free(struct end *end, size_t i, struct giving *g, struct err *e)
{
	if (attach_check_free(end, i, e) < 0)
		return -1;
	end->pairs[i].unproved = true;
	return try_vf(end, i, g, e);
}

/* The standby carries the guest again, unless its own VF does. */
static void put_standby_back(struct end *end, size_t i, const struct giving *g, struct err *e)
{
	struct err now;

	if (is_guests_own(end, i, g) && g->driven && attach_check_still(end, i, &now) == 0)
		return;
	if (standby_path_up(end, i, &now) < 0)
		err_prefix(e, "the standby's path could not be put back either (%s)", now.msg);
}

/* It stays in the definition, and what the program could do about it QEMU would refuse. */
static void hint_at_qemu(const struct end *end, size_t i, const struct giving *g, struct err *e)
{
	if (g->was_taken && !g->driven && is_guests_own(end, i, g) && e->kind != ERR_CANCELLED)
		err_hint(e,
			"QEMU gives a VF back when a migration fails, but not when it had sent all "
			"of the guest by then: then it is back after a cold start.");
}

static int try_or_carry(struct end *end, size_t i, struct giving *g, struct err *e)
{
	struct err now;

	if (try_if_free(end, i, g, e) < 0) {
		put_standby_back(end, i, g, e);
		hint_at_qemu(end, i, g, e);
		/* It takes its time, and the guest has its path by now. */
		attach_leave_as_found(end, i);
		return err_prefix(e, "VF %s", end->order.pairs[i].vf);
	}
	end->pairs[i].unproved = end->pairs[i].given = false;
	end->pairs[i].vf_failed_at = end->pairs[i].vf_tries = 0;
	if (uplink_entry_remove(end, i, e) < 0)
		return -1;
	/* Neighbours on the bridge need not wait for the other pairs; resting it is a step of its own. */
	if (tap_entry_remove(end, i, &now) < 0)
		log_warn("%s: %s", end->order.name, now.msg);
	/* Whoever goes on from a journal that cannot be written proves it once more. */
	if (end_note_state(end, i, &now) < 0)
		log_warn("%s: %s", end->order.name, now.msg);
	proof_ask_guest_agent(end, i);
	return 0;
}

/*
 * A guest without its VF has its standby's path before anything else, and for as long as that
 * lasts.
 */
static int carry_without_vf(struct end *end, size_t i, struct err *e)
{
	struct err now;
	bool attached;

	if (primary_is_attached(end, i, &attached, e) < 0)
		return -1;
	/* What QEMU gives stands in the definition before the guest has it. */
	if (attached && !(end->order.pairs[i].qemu_unplugs && end->pairs[i].unproved))
		return 0;
	/* Whoever took the VF away may have died before its MAC was cleared. */
	if (!attached && end->order.pairs[i].vf && attach_yields_first(end, i) &&
		pair_vf_clear_mac(end, i, &now) < 0)
		log_warn("%s: %s", end->order.name, now.msg);
	end->pairs[i].unproved = true;
	end_note_state_of_need(end, i, e);
	standby_path_up_or_warn(end, i, &now);
	return 0;
}

/* The first try may have met a reboot: the second one follows at once. Then the pauses grow. */
static int64_t pause_behind(int64_t tries)
{
	if (tries < 2)
		return 0;
	return tries < COSTLY_TRIES ? NEXT_TRY_MS << (tries - 2) : LAST_TRY_MS;
}

/*
 * A guest that has a VF without carrier hears nothing, as net_failover drops what comes by the standby:
 * each try costs it its network for as long as it takes. Elsewhere it costs a minute or two in which the
 * domain is held against others. A VF that it has costs nothing to look at.
 */
static int check_not_too_soon(struct end *end, size_t i, struct err *e)
{
	const struct pair_state *s = &end->pairs[i];
	bool attached;

	if (!end->patient || !s->vf_failed_at ||
		clock_ms() >= s->vf_failed_at + pause_behind(s->vf_tries))
		return 0;
	if (primary_is_attached(end, i, &attached, e) < 0)
		return -1;
	if (attached)
		return 0;
	return err_set(e,
		"VF %s was not used by the guest a short while ago: it is not tried again so soon",
		end->order.pairs[i].vf);
}

static int give_watched(struct end *end, size_t i, struct err *e)
{
	struct giving g = { .was_taken =
				    end->order.pairs[i].qemu_unplugs && end->pairs[i].unproved };
	struct err ignored;
	int r;

	proof_watch_tap(end, i, &g.watch);
	r = try_or_carry(end, i, &g, e);
	free(g.watch.tap);
	if (r < 0)
		end_note_state(end, i, &ignored);
	return r;
}

/* Each has its own cause to be without its VF, and none waits for another one's proof. */
static void carry_others(struct end *end, size_t i)
{
	struct err e;

	for (size_t k = 0; k < end->order.n_pairs; k++)
		if (k != i && carry_without_vf(end, k, &e) < 0)
			log_warn("%s: %s", end->order.name, e.msg);
}

/*
 * Recover and settling come here without having reserved it. Of a network libvirt takes what is free;
 * what the guest has, whichever that is, nobody else can take.
 */
static int reserve_named(struct end *end, size_t i, struct err *e)
{
	bool attached;

	if (form_by_name(end->order.pairs[i].form)->libvirt_picks_vf || end->pairs[i].vf_lock)
		return 0;
	if (primary_is_attached(end, i, &attached, e) < 0)
		return -1;
	return attached ? 0 : pair_vf_reserve(end, i, e);
}

/*
 * What stands still takes nothing in; its standby is there for when it goes on, or is started anew. A VF that
 * it had before it was paused is as it was.
 */
static int check_not_still(struct end *end, size_t i, struct err *e)
{
	enum virt_state state;
	bool attached;

	if (virt_state_get(end->virt, end->order.uuid, &state, NULL, e) < 0)
		return -1;
	if (state == VIRT_CRASHED) {
		err_set(e, "the guest has crashed");
		return err_hint(e, "It gets its VF when it was started anew (virsh reset).");
	}
	if (state != VIRT_PAUSED)
		return 0;
	if (primary_is_attached(end, i, &attached, e) < 0)
		return -1;
	if (attached && !end->pairs[i].given)
		return 0;
	err_set(e, "the guest is paused, and cannot take its VF in");
	return err_hint(e, "It gets its VF when it runs again (virsh resume %s).", end->order.name);
}

int give_vf(struct end *end, size_t i, struct err *e)
{
	carry_others(end, i);
	/*
	 * The VF may leave the guest while an earlier request is waited for, so the standby is looked
	 * after once more then.
	 */
	if (carry_without_vf(end, i, e) < 0 || check_not_still(end, i, e) < 0 ||
		wait_for_late_unplug(end, i, e) < 0 || carry_without_vf(end, i, e) < 0 ||
		reserve_named(end, i, e) < 0 || check_not_too_soon(end, i, e) < 0)
		return -1;
	return give_watched(end, i, e);
}
