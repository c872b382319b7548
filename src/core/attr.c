/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/attr.h"

#include "core/form.h"
#include "core/nic.h"
#include "core/pair_vf.h"
#include "util/hwaddr.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

static const enum vf_attr_kind all_but_vlan[] = { VF_TRUST, VF_SPOOFCHK, VF_QUERY_RSS,
	VF_LINK_STATE, VF_RATE };
static const enum vf_attr_kind all_kinds[] = { VF_TRUST, VF_SPOOFCHK, VF_QUERY_RSS, VF_LINK_STATE,
	VF_RATE, VF_VLAN };

struct kinds {
	const enum vf_attr_kind *v; /* borrowed */
	size_t n;
};

#define KINDS(list) ((struct kinds){ list, ARRAY_SIZE(list) })

/* Where libvirt sets the VLAN when it attaches, and puts it back: only what it forgets is set after that. */
static struct kinds kinds_beforehand(const struct pair_order *p)
{
	return form_by_name(p->form)->libvirt_sets_mac ? KINDS(all_but_vlan) : KINDS(all_kinds);
}

/* What a PF does not tell about is as usual, and nothing has to be set where that is wanted. */
static bool differs(enum vf_attr_kind kind, const struct vf_attr *now, const struct vf_attr *wanted,
	const struct pair_order *p)
{
	if (!vf_attr_is_said(kind, now) && attr_is_default(kind, wanted, p->pf_driver))
		return false;
	return vf_attr_is_said(kind, wanted) && !vf_attr_is_same(kind, now, wanted);
}

/*
 * Drivers without a lower limit of the rate refuse both limits where one is asked for
 * (ixgbe_ndo_set_vf_bw, i40e_ndo_set_vf_bw); the upper one is worth having alone.
 */
static void set_one(struct end *end, const struct pair_vf *which, enum vf_attr_kind kind,
	const struct vf_attr *wanted, char *why, size_t size)
{
	struct vf_attr upper = *wanted;
	struct err e;

	if (vf_set_attr(end->nl, which->pf, which->vf, kind, wanted, &e) == 0)
		return;
	str_copy(why, size, e.msg);
	upper.min_rate = 0;
	if (kind == VF_RATE && wanted->min_rate > 0 &&
		vf_set_attr(end->nl, which->pf, which->vf, kind, &upper, &e) == 0)
		str_copy(why, size, "without the lower limit it does");
}

/* What is asked for and was not told about before. */
static void add_missing(struct end *end, size_t i, enum vf_attr_kind kind,
	const struct vf_attr *wanted, const char *why, struct str_buf *missing)
{
	unsigned int bit = 1u << kind;
	char text[VF_ATTR_TEXT_SIZE];

	if (end->pairs[i].attr_told & bit)
		return;
	end->pairs[i].attr_told |= bit;
	vf_attr_format(kind, wanted, text);
	str_buf_add(missing, "%s%s%s%s%s", missing->len ? ", " : "", text, *why ? " (" : "", why,
		*why ? ")" : "");
}

/* Sets what differs and reads it back. MISSING gets what the VF does not show after that. */
static int set_differing(struct end *end, size_t i, const struct pair_vf *which,
	const struct vf_attr *wanted, struct kinds kinds, struct str_buf *missing, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	char why[VF_ATTRS][256] = { 0 };
	struct vf_info vf;
	bool changed = false;

	if (pair_vf_read(end, which, &vf, e) < 0)
		return -1;
	for (size_t k = 0; k < kinds.n; k++) {
		enum vf_attr_kind kind = kinds.v[k];

		if (!differs(kind, &vf.attr, wanted, p))
			continue;
		changed = true;
		set_one(end, which, kind, wanted, why[kind], sizeof(why[kind]));
	}
	if (!changed)
		return 0;
	if (pair_vf_read(end, which, &vf, e) < 0)
		return -1;
	for (size_t k = 0; k < kinds.n; k++)
		if (differs(kinds.v[k], &vf.attr, wanted, p))
			add_missing(end, i, kinds.v[k], wanted, why[kinds.v[k]], missing);
	return 0;
}

/* ---- the VF that the guest is to have ---- */

/* Remembers what the VF has, the first time only, and in the journal before it is changed. */
static int note_found(struct end *end, size_t i, const struct pair_vf *which, bool attached,
	struct err *e)
{
	struct pair_state *s = &end->pairs[i];
	struct vf_info vf;
	struct mac mac;

	if (s->attr_noted)
		return 0;
	if (pair_vf_read(end, which, &vf, e) < 0)
		return -1;
	s->attr_noted = true;
	s->attr_found = vf.attr;
	s->attr_pf = which->pf;
	s->attr_vf = which->vf;
	/* What the guest has got has the guest's MAC from libvirt. */
	s->had_mac = !attached && mac_parse(end->order.pairs[i].mac, &mac) == 0 &&
		     mac_equal(&mac, &vf.mac);
	return end_note_state(end, i, e);
}

/* Frames for the guest would go to a VF that it does not have yet. */
static int clear_early_mac(struct end *end, size_t i, struct err *e)
{
	return end->pairs[i].had_mac ? pair_vf_clear_mac(end, i, e) : 0;
}

int attr_carry(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_STR_BUF struct str_buf missing = { 0 };
	struct pair_vf which;

	if (pair_vf_find(end, i, &which, e) < 0 || note_found(end, i, &which, false, e) < 0 ||
		clear_early_mac(end, i, e) < 0)
		return -1;
	if (p->has_attr &&
		set_differing(end, i, &which, &p->attr, kinds_beforehand(p), &missing, e) < 0)
		return -1;
	if (!missing.len)
		return 0;
	if (end->order.strict)
		return err_hint((err_set_kind(e, ERR_REFUSED,
					 "VF %s does not take what the guest's VF has: %s", p->vf,
					 missing.s),
					e),
			"Without --strict this is a warning.");
	log_warn("%s: VF %s does not take what the guest's VF had: %s", end->order.name, p->vf,
		missing.s);
	return 0;
}

/* WITH_MAC: the guest's as well, if the VF had it; not while the guest lives here without a VF. */
static int restore(struct end *end, size_t i, bool with_mac, struct err *e)
{
	struct pair_state *s = &end->pairs[i];
	struct pair_vf which = { (int)s->attr_pf, (uint32_t)s->attr_vf };
	CLEANUP_STR_BUF struct str_buf missing = { 0 };
	struct mac mac;

	if (!s->attr_noted)
		return 0;
	if (pair_vf_check_unused(end, &which, e) < 0) {
		if (e->kind != ERR_BUSY)
			return -1;
		/* What it had is nobody's business any more. */
		log_debug("VF %u stays as it is: %s", which.vf, e->msg);
		s->attr_noted = false;
		return end_note_state(end, i, e);
	}
	s->attr_told = 0;
	/* A PF that is gone took its VFs with it. */
	if (set_differing(end, i, &which, &s->attr_found, kinds_beforehand(&end->order.pairs[i]),
		    &missing, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (missing.len)
		return err_set(e, "VF %u does not go back to %s", which.vf, missing.s);
	if (with_mac && s->had_mac &&
		(mac_parse(end->order.pairs[i].mac, &mac) < 0 ||
			vf_set_mac(end->nl, which.pf, which.vf, &mac, e) < 0))
		return -1;
	s->attr_noted = false;
	return end_note_state(end, i, e);
}

int attr_restore(struct end *end, size_t i, struct err *e)
{
	return restore(end, i, true, e);
}

int attr_restore_beside_guest(struct end *end, size_t i, struct err *e)
{
	return restore(end, i, false, e);
}

static void set_and_warn(struct end *end, size_t i, const struct pair_vf *which,
	const struct vf_attr *wanted, struct kinds kinds)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_STR_BUF struct str_buf missing = { 0 };
	struct err e;

	if (set_differing(end, i, which, wanted, kinds, &missing, &e) < 0)
		log_warn("%s: attributes of VF %s: %s", end->order.name, p->vf, e.msg);
	else if (missing.len)
		log_warn("%s: VF %s does not take what it should have: %s", end->order.name, p->vf,
			missing.s);
}

/*
 * On the source it is the guest's own VF: there is nothing to go back to. Where libvirt chose
 * another VF than was foreseen, that one goes back to what it was.
 */
static int note_on_destination(struct end *end, size_t i, const struct pair_vf *which,
	bool attached, struct err *e)
{
	const struct pair_state *s = &end->pairs[i];

	if (end->order.is_source)
		return 0;
	if (s->attr_noted && (s->attr_pf != which->pf || s->attr_vf != which->vf) &&
		restore(end, i, false, e) < 0)
		return -1;
	return note_found(end, i, which, attached, e);
}

static void set_around_attach(struct end *end, size_t i, struct kinds kinds, bool attached)
{
	const struct pair_order *p = &end->order.pairs[i];
	struct pair_vf which;
	struct err e;

	if (!p->has_attr)
		return;
	if (pair_vf_find(end, i, &which, &e) < 0 ||
		note_on_destination(end, i, &which, attached, &e) < 0) {
		log_warn("%s: attributes of VF %s: %s", end->order.name, p->vf, e.msg);
		return;
	}
	set_and_warn(end, i, &which, &p->attr, kinds);
}

void attr_before_attach(struct end *end, size_t i)
{
	set_around_attach(end, i, kinds_beforehand(&end->order.pairs[i]), false);
}

/* Who looks after the network has to mend it: at the next attach libvirt sets the same again. */
static void warn_of_vlan(struct end *end, size_t i)
{
	const struct pair_order *p = &end->order.pairs[i];
	struct pair_vf which;
	struct vf_info vf;
	struct err e;

	if (!p->has_attr || pair_vf_find(end, i, &which, &e) < 0 ||
		pair_vf_read(end, &which, &vf, &e) < 0)
		return;
	if (vf.attr.vlan >= 0 && p->attr.vlan >= 0 && vf.attr.vlan != p->attr.vlan)
		log_warn(
			"%s: VF %s is in VLAN %lld, where its network has put it; the guest's VF was in "
			"VLAN %lld (0: in none)",
			end->order.name, p->vf, (long long)vf.attr.vlan, (long long)p->attr.vlan);
}

void attr_after_attach(struct end *end, size_t i)
{
	/* A network of VFs has its own VLAN on each host, as libvirt has set it. */
	bool by_network = form_by_name(end->order.pairs[i].form)->libvirt_picks_vf;

	set_around_attach(end, i, by_network ? KINDS(all_but_vlan) : KINDS(all_kinds), true);
	if (by_network)
		warn_of_vlan(end, i);
}

/* ---- the VF that the guest has left ---- */

static struct vf_attr defaults_of(const char *pf_driver)
{
	return (struct vf_attr){ .spoofchk = nic_spoofchk_default(pf_driver) };
}

bool attr_is_default(enum vf_attr_kind kind, const struct vf_attr *a, const char *pf_driver)
{
	struct vf_attr usual = defaults_of(pf_driver);

	return !vf_attr_is_said(kind, a) || !vf_attr_is_said(kind, &usual) ||
	       vf_attr_is_same(kind, a, &usual);
}

/* What the guest's VF did not have set is not ours. */
static struct vf_attr what_to_forget(const struct pair_order *p)
{
	struct vf_attr usual = defaults_of(p->pf_driver);
	struct vf_attr wanted = { -1, -1, -1, -1, -1, -1, -1, -1, -1 };

	if (p->attr.vlan > 0 && !form_by_name(p->form)->libvirt_sets_mac) {
		wanted.vlan = wanted.qos = 0; /* else libvirt has put it back */
		wanted.protocol = p->attr.protocol;
	}
	if (p->attr.trust == 1)
		wanted.trust = usual.trust;
	if (p->attr.spoofchk >= 0)
		wanted.spoofchk = usual.spoofchk;
	if (p->attr.query_rss == 1)
		wanted.query_rss = usual.query_rss;
	if (p->attr.link_state > 0)
		wanted.link_state = usual.link_state;
	if (p->attr.min_rate > 0 || p->attr.max_rate > 0)
		wanted.min_rate = wanted.max_rate = 0;
	return wanted;
}

/* Of several pairs that are given VFs by one network each may get the one that another one had. */
static bool is_of_another_pair(const struct end *end, size_t i)
{
	for (size_t k = 0; k < end->order.n_pairs; k++)
		if (k != i && str_equal(end->order.pairs[k].vf, end->order.pairs[i].vf))
			return true;
	return false;
}

void attr_forget(struct end *end, size_t i)
{
	const struct pair_order *p = &end->order.pairs[i];
	struct vf_attr wanted = what_to_forget(p);
	struct pair_vf which;
	struct err e;

	if (!p->vf || !end->same_boot || is_of_another_pair(end, i))
		return;
	if (pair_vf_check_address_unused(end, p->vf, &e) < 0) {
		log_debug("VF %s stays as it is: %s", p->vf, e.msg);
		return;
	}
	pair_vf_forget_netdev_mac(end, i);
	if (!p->has_attr || pair_vf_find(end, i, &which, &e) < 0)
		return;
	end->pairs[i].attr_told = 0;
	set_and_warn(end, i, &which, &wanted, KINDS(all_kinds));
}
