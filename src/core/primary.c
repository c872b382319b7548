/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/primary.h"

#include <stdlib.h>

#include "agent/lock.h"
#include "core/attr.h"
#include "core/form.h"
#include "core/nic.h"
#include "core/proof.h"
#include "core/standby.h"
#include "net/link.h"
#include "net/pci.h"
#include "net/vf.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"

enum {
	POLL_MS = 250,
	EVENT_GRACE_MS = 3000,   /* gone from the XML without an event: the event got lost */
	ASK_AGAIN_MS = 7000,     /* QEMU refuses a second unplug request within 5 s */
	UNPLUG_GRACE_MS = 10000, /* an unplug asked for before that is not expected any more */
	TAKE_BACK_MS = 10000,
	NEXT_TRY_MS = 600000,
};

/* ---- reservation ---- */

static int uses_vf(struct virt_domain *d, const char *vf, bool *ret, struct err *e)
{
	CLEANUP_STRINGS struct xml_strings used = { 0 };
	CLEANUP_FREE char *xml = NULL;

	if (virt_domain_xml(d, VIRT_XML_LIVE, &xml, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (xml_host_devices(xml, &used, e) < 0)
		return -1;
	for (size_t k = 0; k < used.n; k++)
		*ret = *ret || str_equal(used.v[k], vf);
	return 0;
}

int vf_check_unused(struct end *end, const char *vf, struct err *e)
{
	struct virt_domain_list list = { 0 };
	int r = virt_domains(end->virt, &list, e);

	for (size_t k = 0; k < list.n && r == 0; k++) {
		enum virt_state state;
		bool job, used = false;

		r = virt_state_get(end->virt, virt_domain_uuid(list.v[k]), &state, &job, e);
		if (r < 0 || !virt_state_is_active(state) ||
			str_equal(virt_domain_uuid(list.v[k]), end->order.uuid))
			continue;
		r = uses_vf(list.v[k], vf, &used, e);
		if (r == 0 && used)
			r = err_set_kind(e, ERR_BUSY, "domain %s has taken VF %s meanwhile",
				virt_domain_name(list.v[k]), vf);
	}
	virt_domain_list_free(&list);
	return r;
}

int vf_reserve(struct end *end, size_t i, struct err *e)
{
	const char *vf = end->order.pairs[i].vf;
	CLEANUP_FREE char *name = NULL;
	CLEANUP_FREE char *what = NULL;

	if (!vf || end->pairs[i].vf_lock)
		return 0;
	name = str_printf("vf-%s", vf);
	what = str_printf("VF %s", vf);
	if (lock_take(name, what, end->order.owner, &end->pairs[i].vf_lock, e) < 0)
		return -1;
	/* Between the plan and the lock another run may have come and gone, with the VF. */
	return vf_check_unused(end, vf, e);
}

int vf_release(struct end *end, size_t i, struct err *e)
{
	lock_release(end->pairs[i].vf_lock);
	end->pairs[i].vf_lock = NULL;
	return 0;
}

/* ---- what the live definition says ---- */

/* The pair's primary in the live definition; *ret_alias stays NULL when there is none. */
static int live_primary(struct end *end, size_t i, char **ret_alias, char **ret_vf, struct err *e)
{
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	CLEANUP_FREE char *xml = NULL;
	const struct xml_pair *pair;

	if (end_live_xml(end, &xml, e) < 0 || xml_pairs_find(xml, &pairs, e) < 0)
		return -1;
	pair = xml_pairs_by_alias(&pairs, end->order.pairs[i].standby_alias);
	if (!pair)
		return err_set(e, "the standby %s is gone from the live definition",
			end->order.pairs[i].standby_alias);
	if (pair->primary.form == PRIMARY_NONE)
		return 0;
	*ret_alias = str_dup(pair->primary.alias ? pair->primary.alias : "");
	*ret_vf = str_dup(pair->primary.address ? pair->primary.address : "");
	return 0;
}

int primary_is_attached(struct end *end, size_t i, bool *ret, struct err *e)
{
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (live_primary(end, i, &alias, &vf, e) < 0)
		return -1;
	*ret = alias;
	return 0;
}

/* ---- detach ---- */

struct detach {
	struct end *end;
	size_t i;
	struct virt_domain *domain; /* borrowed */
	char *alias;                /* borrowed */
	uint64_t mark;
	int64_t gone_since; /* first seen absent from the XML, 0: not yet */
	int64_t asked;
};

static int ask_to_unplug(struct detach *x, struct err *e)
{
	struct pair_state *s = &x->end->pairs[x->i];
	bool refused = false;
	int r;

	x->asked = s->unplug_asked = clock_ms();
	s->unplug_until = x->asked + x->end->order.watch_ms;
	if (end_note_state(x->end, x->i, e) < 0)
		return -1;
	r = virt_device_detach(x->domain, x->alias, &refused, e);
	if (r > 0)
		log_debug("an earlier unplug of %s is still going on", x->alias);
	if (r < 0)
		s->unplug_until = x->asked + UNPLUG_GRACE_MS;
	if (r < 0 && refused)
		s->unplug_asked = 0;
	/* The guest may have let it go between our look and the request. */
	return r < 0 && e->kind != ERR_NOT_FOUND ? -1 : 0;
}

static int look_whether_gone(void *arg, struct err *e)
{
	struct detach *x = arg;
	const char *uuid = x->end->order.uuid;
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (virt_event_seen(x->end->virt, x->mark, VIRT_EVENT_REMOVAL_FAILED, uuid, x->alias)) {
		x->end->pairs[x->i].unplug_asked = 0;
		return err_set(e, "the guest refused to give up the VF");
	}
	if (live_primary(x->end, x->i, &alias, &vf, e) < 0)
		return -1;
	if (alias) {
		if (clock_ms() >= x->asked + ASK_AGAIN_MS)
			return ask_to_unplug(x, e);
		return 0;
	}
	if (virt_event_seen(x->end->virt, x->mark, VIRT_EVENT_DEVICE_REMOVED, uuid, x->alias))
		return 1;
	if (!x->gone_since)
		x->gone_since = clock_ms();
	return clock_ms() >= x->gone_since + EVENT_GRACE_MS;
}

static int detach_and_wait(struct end *end, size_t i, char *alias, int64_t limit_ms, struct err *e)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	struct detach x = { .end = end, .i = i, .alias = alias };

	if (end_domain(end, &d, e) < 0)
		return -1;
	x.domain = d;
	x.mark = virt_event_mark(end->virt);
	if (ask_to_unplug(&x, e) < 0)
		return -1;
	if (cancel_wait(end->cancel, limit_ms, POLL_MS, "the guest to give up the VF",
		    look_whether_gone, &x, e) < 0) {
		if (e->kind == ERR_TIMEOUT)
			err_hint(e,
				"The guest ignores the request: is its VF driver or PCI hotplug "
				"hung, or the VF in use by a program of its own (DPDK)? "
				"--detach-timeout changes the limit.");
		return -1;
	}
	end->pairs[i].unplug_asked = 0;
	return 0;
}

int primary_detach(struct end *end, size_t i, struct err *e)
{
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (live_primary(end, i, &alias, &vf, e) < 0)
		return -1;
	if (alias && detach_and_wait(end, i, alias, end->order.detach_ms, e) < 0)
		return err_prefix(e, "detach of VF %s", end->order.pairs[i].vf);
	end->pairs[i].primary_missing = true;
	return 0;
}

/* ---- the VF's MAC ---- */

static int pf_index(struct end *end, size_t i, int *ret, struct err *e)
{
	struct link pf;

	if (link_get(end->nl, end->order.pairs[i].pf, &pf, e) < 0)
		return -1;
	*ret = pf.ifindex;
	return 0;
}

/* The pair's MAC, the index of its PF, and whether the VF has that MAC. */
static int read_vf_mac(struct end *end, size_t i, struct mac *ret, int *ret_pf, bool *ret_has,
	struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_VFS struct vf_list vfs = { 0 };
	const struct vf_info *vf;

	if (mac_parse(p->mac, ret) < 0)
		return err_set(e, "\"%s\" is no MAC address", p->mac);
	if (pf_index(end, i, ret_pf, e) < 0 || vf_list_get(end->nl, *ret_pf, &vfs, e) < 0)
		return -1;
	vf = vf_list_find(&vfs, (uint32_t)p->vf_index);
	if (!vf)
		return err_set(e, "%s says nothing about its VF %d", p->pf, (int)p->vf_index);
	*ret_has = mac_equal(&vf->mac, ret);
	return 0;
}

int vf_mac_clear(struct end *end, size_t i, struct err *e)
{
	struct mac mac;
	bool has;
	int pf;

	if (read_vf_mac(end, i, &mac, &pf, &has, e) < 0)
		return -1;
	if (!has)
		return 0;
	return vf_clear_mac(end->nl, pf, (uint32_t)end->order.pairs[i].vf_index, &mac, e);
}

/* Before the attach, so that the guest's driver finds it when it resets the VF. */
static int vf_mac_set(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	struct mac mac;
	bool has;
	int pf;

	if (read_vf_mac(end, i, &mac, &pf, &has, e) < 0 ||
		vf_set_mac(end->nl, pf, (uint32_t)p->vf_index, &mac, e) < 0 ||
		read_vf_mac(end, i, &mac, &pf, &has, e) < 0)
		return -1;
	return has ? 0 : err_set(e, "VF %s does not have %s after it was set", p->vf, p->mac);
}

/* ---- give ---- */

/*
 * An unplug that was asked for and given up on (a signal, a short limit) can still happen. Before
 * the VF is proved again, the request gets the time in which guests answer; unplug_asked stays
 * set where they have not (see late.h).
 */
static int look_whether_unplug_is_over(void *arg, struct err *e)
{
	struct detach *x = arg;
	bool attached;

	if (primary_is_attached(x->end, x->i, &attached, e) < 0)
		return -1;
	if (!attached)
		x->end->pairs[x->i].unplug_asked = 0;
	return !attached || clock_ms() >= x->asked + UNPLUG_GRACE_MS;
}

static int wait_for_late_unplug(struct end *end, size_t i, struct err *e)
{
	struct detach x = { .end = end, .i = i, .asked = end->pairs[i].unplug_asked };

	if (!x.asked)
		return 0;
	return cancel_wait(end->cancel, UNPLUG_GRACE_MS + 1000, POLL_MS,
		"an earlier unplug request", look_whether_unplug_is_over, &x, e);
}

/* Where libvirt leaves the MAC alone it is set before and, if the attach fails, taken back. */
static int attach(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	bool sets_mac = !form_by_name(p->form)->libvirt_sets_mac;
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	struct err now;

	if (end_domain(end, &d, e) < 0 || (sets_mac && vf_mac_set(end, i, e) < 0))
		return -1;
	if (virt_device_attach(d, p->primary_xml, e) == 0)
		return 0;
	if (sets_mac && vf_mac_clear(end, i, &now) < 0)
		log_warn("%s: VF %s keeps the guest's MAC: %s", end->order.name, p->vf, now.msg);
	return -1;
}

/* libvirt's choice is the pair's VF from now on. */
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
	log_debug("libvirt chose VF %s", vf);
	str_set(&p->vf, vf);
	str_set(&p->pf, pf->netdev);
	p->vf_index = found->index;
	return 0;
}

/* *ret_had: the guest had the VF all the time. */
static int attach_and_verify(struct end *end, size_t i, bool *ret_had, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (live_primary(end, i, &alias, &vf, e) < 0)
		return -1;
	*ret_had = alias;
	if (!alias)
		attr_before_attach(end, i);
	if (!alias && (attach(end, i, e) < 0 || live_primary(end, i, &alias, &vf, e) < 0))
		return -1;
	if (!alias)
		return err_set(e, "VF %s is not in the live definition after it was attached",
			p->vf);
	if (!str_equal(vf, p->vf) && !form_by_name(p->form)->libvirt_picks_vf)
		return err_set(e, "the domain has VF %s instead of %s", vf, p->vf);
	if (!str_equal(vf, p->vf) && adopt_vf(end, i, vf, e) < 0)
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

	if (live_primary(end, i, &alias, &vf, &e) < 0 || !alias)
		return;
	if (detach_and_wait(end, i, alias, TAKE_BACK_MS, &e) < 0 || vf_mac_clear(end, i, &e) < 0)
		log_warn("%s: VF %s is attached but not used by the guest: %s", end->order.name,
			end->order.pairs[i].vf, e.msg);
}

/* A VF that the guest does not have in the end is as it was before. */
static void leave_vf_as_found(struct end *end, size_t i)
{
	bool attached;
	struct err e;

	if (primary_is_attached(end, i, &attached, &e) == 0 && !attached &&
		attr_restore_beside_guest(end, i, &e) < 0)
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
	bool attached;

	if (primary_is_attached(end, i, &attached, e) < 0)
		return -1;
	return attached ? 0 : err_set(e, "the VF left the guest again");
}

/* One try to give a VF. */
struct giving {
	struct tap_watch watch; /* from before the attach */
	bool had;               /* the guest has had the VF all the time … */
	bool unproved;          /* … but an earlier try has not seen it used */
};

/* A VF that this call attached goes again if it is not used; one the guest had stays. */
static int attach_and_prove(struct end *end, size_t i, struct giving *g, struct err *e)
{
	if (attach_and_verify(end, i, &g->had, e) < 0) {
		leave_vf_as_found(end, i);
		return -1;
	}
	if (proof_wait_for_driver(end, i, e) == 0 && let_vf_hear(end, i, e) == 0 &&
		((g->had && !g->unproved) || proof_wait_for_changeover(end, &g->watch, e) == 0) &&
		still_attached(end, i, e) == 0)
		return 0;
	/* Whoever stopped us goes on from here. */
	if (!g->had && e->kind != ERR_CANCELLED) {
		end->pairs[i].vf_failed_at = clock_ms();
		take_back(end, i);
		leave_vf_as_found(end, i);
	}
	return -1;
}

static int yield_and_prove(struct end *end, size_t i, struct giving *g, struct err *e)
{
	if (nic_rule_from_name(end->order.pairs[i].rule) == NIC_DROP_FIRST &&
		uplink_entry_yield(end, i, e) < 0)
		return -1;
	end->pairs[i].primary_missing = true;
	return attach_and_prove(end, i, g, e);
}

/* What was taken out of the VF's way, unless the guest has it after all. */
static void put_entries_back(struct end *end, size_t i, const struct giving *g, struct err *e)
{
	struct err now;

	if (g->had && still_attached(end, i, &now) == 0)
		return;
	if (uplink_entry_set(end, i, &now) < 0 || tap_entry_set(end, i, &now) < 0)
		err_prefix(e, "the standby's entries could not be put back either (%s)", now.msg);
}

static int give_and_watch(struct end *end, size_t i, struct giving *g, struct err *e)
{
	if (yield_and_prove(end, i, g, e) < 0) {
		put_entries_back(end, i, g, e);
		return err_prefix(e, "VF %s", end->order.pairs[i].vf);
	}
	end->pairs[i].primary_missing = false;
	proof_ask_guest_agent(end, i);
	if (uplink_entry_remove(end, i, e) < 0)
		return -1;
	/* Whoever goes on from the journal must know that the standby may rest. */
	return end_note_state(end, i, e);
}

/*
 * A guest without its VF has its standby's path before anything else, and for as long as that
 * lasts.
 */
static int let_standby_carry(struct end *end, size_t i, struct err *e)
{
	struct err now;
	bool attached;

	if (primary_is_attached(end, i, &attached, e) < 0)
		return -1;
	if (attached)
		return 0;
	end->pairs[i].primary_missing = true;
	if (end_note_state(end, i, e) < 0)
		return -1;
	if (standby_path_up(end, i, &now) < 0)
		log_warn("%s: the standby's path is not whole: %s", end->order.name, now.msg);
	return 0;
}

/*
 * Where NIC and VF cannot share the MAC, each try costs the guest its network for as long as it
 * takes.
 */
static bool is_too_soon(const struct end *end, size_t i)
{
	int64_t failed_at = end->pairs[i].vf_failed_at;

	return end->patient && failed_at && clock_ms() < failed_at + NEXT_TRY_MS &&
	       nic_rule_from_name(end->order.pairs[i].rule) == NIC_DROP_FIRST;
}

static int give_and_note(struct end *end, size_t i, bool unproved, struct err *e)
{
	struct giving g = { .unproved = unproved };
	struct err ignored;
	int r;

	proof_watch_tap(end, i, &g.watch);
	r = give_and_watch(end, i, &g, e);
	free(g.watch.tap);
	if (r < 0)
		end_note_state(end, i, &ignored);
	return r;
}

int give_vf(struct end *end, size_t i, struct err *e)
{
	bool unproved = end->pairs[i].primary_missing;

	/*
	 * Recover and settling come here without having reserved it. The VF may leave the guest while
	 * an earlier request is waited for, so the standby is looked after once more then.
	 */
	if (let_standby_carry(end, i, e) < 0 || vf_reserve(end, i, e) < 0 ||
		wait_for_late_unplug(end, i, e) < 0 || let_standby_carry(end, i, e) < 0)
		return -1;
	if (is_too_soon(end, i))
		return err_set(e,
			"VF %s was not used by the guest a short while ago: it is not tried again so soon",
			end->order.pairs[i].vf);
	return give_and_note(end, i, unproved, e);
}
