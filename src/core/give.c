/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/give.h"

#include <stdlib.h>

#include "core/attr.h"
#include "core/form.h"
#include "core/nic.h"
#include "core/pair_vf.h"
#include "core/primary.h"
#include "core/proof.h"
#include "core/standby.h"
#include "core/tap.h"
#include "core/uplink.h"
#include "net/pci.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum {
	POLL_MS = 250,
	TAKE_BACK_MS = 10000,
	NEXT_TRY_MS = 600000,
	LOOK_AGAIN_MS = 10000,
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

/* Where libvirt leaves the MAC alone it is set before. */
static int ask_to_attach(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_DOMAIN struct virt_domain *d = NULL;

	if (end_domain(end, &d, e) < 0 ||
		(!form_by_name(p->form)->libvirt_sets_mac && pair_vf_set_mac(end, i, e) < 0))
		return -1;
	return virt_device_attach(d, p->primary_xml, e);
}

/* Where the VF gets nothing while the uplink's entry stands. */
static bool yields_first(const struct end *end, size_t i)
{
	return nic_rule_from_name(end->order.pairs[i].rule) == NIC_DROP_FIRST;
}

/* From here on the guest has no path there until its driver has the VF. */
static int yield_to_vf(struct end *end, size_t i, struct err *e)
{
	return yields_first(end, i) ? uplink_entry_yield(end, i, e) : 0;
}

/* What the domain has now; libvirt may just be starting anew. */
struct look {
	struct end *end;
	size_t i;
	char *alias, *vf; /* owned; ALIAS NULL: it has none */
};

static int look_again(void *arg, struct err *e)
{
	struct look *x = arg;

	if (virt_ensure(x->end->virt, e) == 0 &&
		primary_find(x->end, x->i, &x->alias, &x->vf, e) == 0)
		return 1;
	return e->kind == ERR_NOT_FOUND ? -1 : 0; /* the guest is gone, or nobody could say */
}

/* Not being able to ask is no evidence. *ret_alias, *ret_vf: as of primary_find. */
static int find_patiently(struct end *end, size_t i, char **ret_alias, char **ret_vf, struct err *e)
{
	struct look x = { .end = end, .i = i };
	int r = look_again(&x, e);

	if (r == 0)
		r = cancel_wait(end->cancel, LOOK_AGAIN_MS, POLL_MS, "libvirt", look_again, &x, e);
	if (r < 0)
		return -1;
	*ret_alias = x.alias;
	*ret_vf = x.vf;
	return 0;
}

/*
 * An attach can fail behind its effect, as when libvirt is started anew meanwhile: what the domain has
 * then is what counts. Its MAC is only taken from a VF that it does not have.
 */
static int attach(struct end *end, size_t i, char **ret_alias, char **ret_vf, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	bool failed = ask_to_attach(end, i, e) < 0;
	struct err now;

	/* Where libvirt hangs it may be long until it can be asked: the standby carries the guest. */
	if (failed && yields_first(end, i))
		uplink_entry_set(end, i, &now);
	if (find_patiently(end, i, ret_alias, ret_vf, &now) < 0) {
		if (!failed)
			*e = now;
		return -1;
	}
	if (*ret_alias && failed) {
		log_warn("%s: VF %s is attached, although that failed: %s", end->order.name,
			*ret_vf, e->msg);
		return yield_to_vf(end, i, e);
	}
	if (*ret_alias)
		return 0;
	if (!form_by_name(p->form)->libvirt_sets_mac && pair_vf_clear_mac(end, i, &now) < 0)
		log_warn("%s: VF %s keeps the guest's MAC: %s", end->order.name, p->vf, now.msg);
	return failed ? -1
		      : err_set(e, "VF %s is not in the live definition after it was attached",
				p->vf);
}

/* What the domain has is the pair's VF from now on. */
static int adopt_vf(struct end *end, size_t i, const char *vf, struct err *e)
{
	struct pair_order *p = &end->order.pairs[i];
	CLEANUP_PFS struct pci_pf_list pfs = { 0 };
	const struct pci_pf *pf;
	const struct pci_vf *found;

	if (pci_pf_list_get(&pfs, e) < 0)
		return -1;
	if (!pci_find_address(&pfs, vf, &pf, &found))
		return err_set(e, "libvirt gave the domain %s, which is no VF", vf);
	log_debug("the domain has VF %s, not %s", vf, p->vf);
	str_set(&p->vf, vf);
	str_set(&p->pf, pf->netdev);
	p->vf_index = found->index;
	return 0;
}

/* Another VF than the pair's is a network's choice, or that of who started the domain anew. */
static int accept_vf(struct end *end, size_t i, const char *vf, bool had, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	bool by_network = form_by_name(p->form)->libvirt_picks_vf;

	if (str_equal(vf, p->vf))
		return 0;
	if (!had && !by_network)
		return err_set(e, "the domain has VF %s instead of %s", vf, p->vf);
	if (had && !(p->qemu_unplugs && by_network))
		end->pairs[i].given = false;
	return adopt_vf(end, i, vf, e);
}

/* *ret_had: the guest had the VF all the time. */
static int attach_and_verify(struct end *end, size_t i, bool *ret_had, struct err *e)
{
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (primary_find(end, i, &alias, &vf, e) < 0)
		return -1;
	*ret_had = alias;
	if (!alias) {
		/* What libvirt will pick is not known yet, and the one foreseen may be another guest's. */
		if (!form_by_name(end->order.pairs[i].form)->libvirt_picks_vf)
			attr_before_attach(end, i);
		end->pairs[i].given = true;
		end_note_state_of_need(end, i, e);
	}
	if (yield_to_vf(end, i, e) < 0 || (!alias && attach(end, i, &alias, &vf, e) < 0))
		return -1;
	if (accept_vf(end, i, vf, *ret_had, e) < 0)
		return -1;
	attr_after_attach(end, i);
	return 0;
}

/* A VF that is attached but not driven would keep frames from the standby: away with it. */
static void take_back(struct end *end, size_t i)
{
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;
	struct err e;

	if (find_patiently(end, i, &alias, &vf, &e) < 0 || !alias)
		return;
	if (primary_detach_alias(end, i, alias, TAKE_BACK_MS, &e) < 0 ||
		pair_vf_clear_mac(end, i, &e) < 0)
		log_warn("%s: VF %s is attached but not used by the guest: %s", end->order.name,
			end->order.pairs[i].vf, e.msg);
}

/* A VF that the guest does not have in the end is as it was before. */
static void leave_vf_as_found(struct end *end, size_t i)
{
	bool attached;
	struct err e;

	if (primary_is_attached(end, i, &attached, &e) < 0 || attached)
		return;
	end->pairs[i].given = false;
	if (attr_restore_beside_guest(end, i, &e) < 0)
		log_warn("%s: %s", end->order.name, e.msg);
}

/* Where the uplink's entry makes the VF deaf, it goes as soon as the guest drives the VF. */
static int let_vf_hear(struct end *end, size_t i, struct err *e)
{
	if (nic_rule_from_name(end->order.pairs[i].rule) != NIC_UPLINK_WINS)
		return 0;
	return uplink_entry_yield(end, i, e);
}

/* An unplug under way can end at any time, without a word from the guest. */
static int still_attached(struct end *end, size_t i, struct err *e)
{
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (find_patiently(end, i, &alias, &vf, e) < 0)
		return -1;
	return alias ? 0 : err_set(e, "the VF left the guest again");
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
		g->cost = e->kind == ERR_TIMEOUT && yields_first(end, i);
		return -1;
	}
	if (let_vf_hear(end, i, e) < 0)
		return -1;
	if (!is_guests_own(end, i, g) || g->was_taken)
		g->cost = proof_wait_for_changeover(end, &g->watch, e) < 0;
	return g->cost ? -1 : still_attached(end, i, e);
}

/* A VF that was given goes again if it is not used; one that is the guest's own stays. */
static int attach_and_prove(struct end *end, size_t i, struct giving *g, struct err *e)
{
	if (attach_and_verify(end, i, &g->had, e) < 0) {
		if (!g->had && yields_first(end, i))
			end->pairs[i].vf_failed_at = clock_ms();
		leave_vf_as_found(end, i);
		return -1;
	}
	if (see_it_used(end, i, g, e) == 0)
		return 0;
	/* Whoever stopped us goes on from here. */
	if (!is_guests_own(end, i, g) && e->kind != ERR_CANCELLED) {
		if (g->cost)
			end->pairs[i].vf_failed_at = clock_ms();
		take_back(end, i);
		leave_vf_as_found(end, i);
	}
	return -1;
}

/* Its lock binds this program alone: libvirt may have lent the VF since it was chosen. */
static int check_not_lent(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	bool attached;

	if (form_by_name(p->form)->libvirt_picks_vf)
		return 0;
	if (primary_is_attached(end, i, &attached, e) < 0)
		return -1;
	return attached ? 0 : pair_vf_check_address_unused(end, p->vf, e);
}

static int attach_what_is_ours(struct end *end, size_t i, struct giving *g, struct err *e)
{
	if (check_not_lent(end, i, e) < 0) {
		leave_vf_as_found(end, i);
		return -1;
	}
	end->pairs[i].primary_missing = true;
	return attach_and_prove(end, i, g, e);
}

/* The standby carries the guest again, unless its own VF does. */
static void put_standby_back(struct end *end, size_t i, const struct giving *g, struct err *e)
{
	struct err now;

	if (is_guests_own(end, i, g) && g->driven && still_attached(end, i, &now) == 0)
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

static int give_or_put_back(struct end *end, size_t i, struct giving *g, struct err *e)
{
	struct err now;

	if (attach_what_is_ours(end, i, g, e) < 0) {
		put_standby_back(end, i, g, e);
		hint_at_qemu(end, i, g, e);
		return err_prefix(e, "VF %s", end->order.pairs[i].vf);
	}
	end->pairs[i].primary_missing = end->pairs[i].given = false;
	end->pairs[i].vf_failed_at = 0;
	if (uplink_entry_remove(end, i, e) < 0)
		return -1;
	/* Neighbours on the bridge need not wait for the other pairs; resting it is a step of its own. */
	if (tap_entry_remove(end, i, &now) < 0)
		log_warn("%s: %s", end->order.name, now.msg);
	/* Whoever goes on from the journal must know that the standby may rest. */
	if (end_note_state(end, i, e) < 0)
		return -1;
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
	if (attached && !(end->order.pairs[i].qemu_unplugs && end->pairs[i].primary_missing))
		return 0;
	end->pairs[i].primary_missing = true;
	end_note_state_of_need(end, i, e);
	if (standby_path_up(end, i, &now) < 0)
		log_warn("%s: the standby's path is not whole: %s", end->order.name, now.msg);
	return 0;
}

/*
 * A guest that has a VF without carrier hears nothing, as net_failover drops what comes by the standby:
 * each try costs it its network for as long as it takes. One that it has costs nothing to look at.
 */
static int check_not_too_soon(struct end *end, size_t i, struct err *e)
{
	int64_t failed_at = end->pairs[i].vf_failed_at;
	bool attached;

	if (!end->patient || !failed_at || clock_ms() >= failed_at + NEXT_TRY_MS)
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
	struct giving g = { .was_taken = end->order.pairs[i].qemu_unplugs &&
					 end->pairs[i].primary_missing };
	struct err ignored;
	int r;

	proof_watch_tap(end, i, &g.watch);
	r = give_or_put_back(end, i, &g, e);
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

/* Recover and settling come here without having reserved it; of a network libvirt takes what is free. */
static int reserve_named(struct end *end, size_t i, struct err *e)
{
	return form_by_name(end->order.pairs[i].form)->libvirt_picks_vf
		       ? 0
		       : pair_vf_reserve(end, i, e);
}

int give_vf(struct end *end, size_t i, struct err *e)
{
	carry_others(end, i);
	/*
	 * The VF may leave the guest while an earlier request is waited for, so the standby is looked
	 * after once more then.
	 */
	if (carry_without_vf(end, i, e) < 0 || reserve_named(end, i, e) < 0 ||
		wait_for_late_unplug(end, i, e) < 0 || carry_without_vf(end, i, e) < 0 ||
		check_not_too_soon(end, i, e) < 0)
		return -1;
	return give_watched(end, i, e);
}
