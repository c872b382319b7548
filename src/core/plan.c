/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/plan.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/form.h"
#include "core/nic.h"
#include "net/pci.h"
#include "util/hwaddr.h"
#include "util/mem.h"
#include "util/str.h"
#include "virt/virt.h"
#include "xml/pair.h"
#include "xml/rewrite.h"

bool plan_is_refused(const struct plan *p)
{
	return problem_list_refuses(&p->problems);
}

void plan_free(struct plan *p)
{
	record_clear(&order_record, &p->source);
	record_clear(&order_record, &p->destination);
	problem_list_free(&p->problems);
	*p = (struct plan){ 0 };
}

/* ---- one pair on one host ---- */

/* A bond is one uplink, whatever is in it. */
static const struct uplink_fact *only_uplink(const struct bridge_fact *b)
{
	for (size_t i = 1; i < b->n_uplinks; i++)
		if (!str_equal(b->uplinks[i].name, b->uplinks[0].name))
			return NULL;
	return b->n_uplinks ? &b->uplinks[0] : NULL;
}

static const struct uplink_fact *named_uplink(const struct bridge_fact *b, const char *names)
{
	for (size_t i = 0; i < b->n_uplinks; i++)
		if (options_list_has(names, b->uplinks[i].name))
			return &b->uplinks[i];
	return NULL;
}

static char *list_uplinks(const struct bridge_fact *b)
{
	struct str_buf list = { 0 };

	for (size_t i = 0; i < b->n_uplinks; i++)
		if (i == 0 || !str_equal(b->uplinks[i].name, b->uplinks[i - 1].name))
			str_buf_add(&list, "%s%s", i ? ", " : "", b->uplinks[i].name);
	return list.s ? list.s : str_dup("");
}

static const struct uplink_fact *choose_uplink(const struct check_view *v, const char *names,
	const char *option)
{
	const struct bridge_fact *b = v->bridge;
	const struct uplink_fact *u = names ? named_uplink(b, names) : only_uplink(b);
	CLEANUP_FREE char *all = list_uplinks(b);
	CLEANUP_FREE char *hint = str_printf("Name the one to use with %s.", option);

	if (u)
		return u;
	if (b->n_uplinks == 0)
		problem_add(v->problems, "no-uplink", v->host,
			"A VF of the guest's NIC, or its PF, must be a port of the bridge.",
			"bridge %s has no port that belongs to an SR-IOV NIC", b->name);
	else if (names)
		problem_add(v->problems, "no-uplink", v->host, hint,
			"none of %s is an uplink of %s; its uplinks: %s", names, b->name, all);
	else
		problem_add(v->problems, "several-uplinks", v->host, hint,
			"bridge %s has several uplinks: %s", b->name, all);
	return NULL;
}

/* Fills in uplink, PF and rule, in V as well; false, with a problem noted, without its PF. */
static bool use_uplink(struct check_view *v, const struct uplink_fact *u, struct pair_order *o)
{
	bool known;

	v->order = o;
	/* A bond is there once for each function below. */
	for (size_t i = 0; i < v->host->n_devices; i++) {
		v->uplink = &v->host->devices[i];
		v->pf = facts_pf(v->host, v->uplink->pf);
		if (str_equal(v->uplink->name, u->name))
			check_run(CHECK_UPLINK, v);
	}
	v->uplink = u;
	v->pf = facts_pf(v->host, u->pf);
	if (!v->pf) {
		problem_add(v->problems, "no-uplink", v->host,
			"Was the NIC, or its driver, taken away a moment ago?",
			"the uplink %s belongs to %s, which is no PF with VFs", u->name,
			str_is_empty(u->pf) ? "?" : u->pf);
		return false;
	}
	str_set(&o->uplink, u->name);
	str_set(&o->pf, v->pf->name);
	str_set(&o->rule, nic_rule_name(nic_rule_of(v->pf->driver, &known)));
	o->filter_limit = nic_filter_limit(u->driver);
	return true;
}

/* Fills in the bridge, and what use_uplink does; false when one of them is missing. */
static bool place_on_bridge(struct check_view *v, const char *bridge, const char *names,
	const char *option, struct pair_order *o)
{
	const struct uplink_fact *u;

	v->bridge = facts_bridge(v->host, bridge);
	if (!v->bridge) {
		problem_add(v->problems, "no-bridge", v->host,
			"The standby must reach the same network on both hosts.",
			"there is no bridge %s", bridge);
		return false;
	}
	u = choose_uplink(v, names, option);
	if (!u)
		return false;
	str_set(&o->bridge, v->bridge->name);
	return use_uplink(v, u, o);
}

/* ---- the VF on the destination ---- */

static bool vf_is_taken_by_plan(const struct order *o, const char *address)
{
	for (size_t i = 0; i < o->n_pairs; i++)
		if (o->pairs[i].vf && str_equal(o->pairs[i].vf, address))
			return true;
	return false;
}

/* A VF bound to vfio-pci that no domain has is somebody else's, unless that is how it is to be. */
static bool driver_fits(const struct vf_fact *vf, bool managed)
{
	return pci_driver_is_vfio(vf->driver) != managed;
}

static bool vf_is_usable(const struct order *o, const struct vf_fact *vf, bool managed)
{
	return str_is_empty(vf->user) && !vf_is_taken_by_plan(o, vf->address) &&
	       driver_fits(vf, managed);
}

/* The one this domain is defined with, else the same number as on the source, else the first. */
static const struct vf_fact *pick_vf(const struct order *o, const struct pf_fact *pf, int64_t like,
	bool managed)
{
	const struct vf_fact *same = NULL, *first = NULL;

	for (size_t i = 0; i < pf->n_vfs; i++) {
		const struct vf_fact *vf = &pf->vfs[i];

		if (!vf_is_usable(o, vf, managed))
			continue;
		if (vf->own)
			return vf;
		if (vf->index == like)
			same = vf;
		if (!first)
			first = vf;
	}
	return same ? same : first;
}

static const struct vf_fact *named_vf(const struct check_view *v, const char *name,
	const struct order *taken, bool managed)
{
	struct pci_address address;
	char canonical[PCI_TEXT_SIZE];
	const struct vf_fact *vf;

	if (pci_parse(name, &address) < 0) {
		problem_add(v->problems, "bad-vf", NULL, "", "\"%s\" is no PCI address", name);
		return NULL;
	}
	pci_format(&address, canonical);
	vf = facts_vf(v->host, canonical, NULL);
	if (!vf)
		problem_add(v->problems, "bad-vf", v->host, "", "there is no VF %s", canonical);
	else if (!str_is_empty(vf->user))
		problem_add(v->problems, "vf-in-use", v->host, "", "VF %s is not free: %s",
			canonical, vf->user);
	else if (vf_is_taken_by_plan(taken, canonical))
		problem_add(v->problems, "vf-in-use", v->host, "", "VF %s is named for two pairs",
			canonical);
	else if (!driver_fits(vf, managed))
		problem_add(v->problems, "vf-in-use", v->host, "",
			managed ? "VF %s is bound to vfio-pci by somebody else"
				: "VF %s is not bound to vfio-pci, and the domain says "
				  "managed='no'",
			canonical);
	else
		return vf;
	return NULL;
}

static char *why_none_is_free(const struct pf_fact *pf, bool managed)
{
	struct str_buf why = { 0 };

	for (size_t i = 0; i < pf->n_vfs; i++) {
		const struct vf_fact *vf = &pf->vfs[i];
		const char *user = vf->user;

		if (str_is_empty(user) && !driver_fits(vf, managed))
			user = managed ? "bound to vfio-pci by somebody else"
				       : "not bound to vfio-pci (managed='no')";
		str_buf_add(&why, "%s%s: %s", i ? "; " : "", vf->address,
			str_is_empty(user) ? "taken by another pair" : user);
	}
	return why.s ? why.s : str_dup("it has none");
}

/* Of the PFs below the uplink, in their order, the first that has a VF for it. */
static const struct vf_fact *pick_below(const struct check_view *v, const struct order *taken,
	int64_t like, bool managed)
{
	for (size_t i = 0; i < v->host->n_devices; i++) {
		const struct uplink_fact *d = &v->host->devices[i];
		const struct pf_fact *pf = facts_pf(v->host, d->pf);
		const struct vf_fact *vf = NULL;

		if (pf && str_equal(d->name, v->uplink->name))
			vf = pick_vf(taken, pf, like, managed);
		if (vf)
			return vf;
	}
	return NULL;
}

/* ---- networks of VFs ---- */

/* The VFs of a network as libvirt tries them; a network that lists none has all of its PF. */
static const struct vf_fact *vf_of_network(const struct host_facts *f, const struct network_fact *n,
	size_t k)
{
	const struct pf_fact *pf = facts_pf(f, n->pf);

	if (n->n_vfs)
		return k < n->n_vfs ? facts_vf(f, n->vfs[k].address, NULL) : NULL;
	return pf && k < pf->n_vfs ? &pf->vfs[k] : NULL;
}

static size_t count_vfs_of_network(const struct host_facts *f, const struct network_fact *n)
{
	const struct pf_fact *pf = facts_pf(f, n->pf);

	return n->n_vfs ? n->n_vfs : pf ? pf->n_vfs : 0;
}

/* The network there that VFs are taken from. NULL: problem noted. */
static const struct network_fact *find_pool(const struct check_view *v, const char *name)
{
	const struct network_fact *n = facts_network(v->host, name);

	if (!n)
		problem_add(v->problems, "no-network", v->host,
			"The pair's VF is taken from the network of that name.",
			"there is no active network \"%s\"", name ? name : "");
	else if (!str_equal(n->forward, "hostdev"))
		problem_add(v->problems, "no-pool", v->host, "",
			"network \"%s\" has no VFs (its forward mode is \"%s\")", name, n->forward);
	else
		return n;
	return NULL;
}

/* libvirt does not look who else uses a VF: it would pull it away from under this host. */
static void check_pool(const struct check_view *v, const struct network_fact *n)
{
	for (size_t k = 0; k < count_vfs_of_network(v->host, n); k++) {
		const struct vf_fact *vf = vf_of_network(v->host, n, k);

		if (vf && vf->host_uses)
			problem_add(v->problems, "pool-vf-in-use", v->host,
				"Take it out of the network: list the others in it.",
				"libvirt may take VF %s of network \"%s\", but it is not free: %s",
				vf->address, n->name, vf->user);
	}
}

static const struct vf_fact *pick_from_pool(const struct check_view *v,
	const struct network_fact *n, const struct order *taken)
{
	CLEANUP_STR_BUF struct str_buf why = { 0 };

	for (size_t k = 0; k < count_vfs_of_network(v->host, n); k++) {
		const struct vf_fact *vf = vf_of_network(v->host, n, k);

		if (vf && vf_is_usable(taken, vf, n->managed))
			return vf;
		if (vf)
			str_buf_add(&why, "%s%s: %s", why.s ? "; " : "", vf->address,
				!str_is_empty(vf->user)        ? vf->user
				: !driver_fits(vf, n->managed) ? "wrong driver"
							       : "taken by another pair");
	}
	problem_add(v->problems, "no-free-vf", v->host, "Free a VF there.",
		"no VF of network \"%s\" is free (%s)", n->name, why.s ? why.s : "it has none");
	return NULL;
}

/*
 * libvirt chooses when it attaches. What is chosen here keeps a place in the network against
 * other runs, and stands in the order until the attach shows which VF it has become.
 */
static const struct vf_fact *choose_from_pool(const struct check_view *v, const struct order *taken,
	const char *wanted, const char *network)
{
	const struct network_fact *n = find_pool(v, network);

	if (!n)
		return NULL;
	if (wanted)
		problem_add(v->problems, "bad-vf", v->host, "Leave it out of --vf.",
			"libvirt chooses the VF, from network \"%s\"", network);
	check_pool(v, n);
	return pick_from_pool(v, n, taken);
}

/* ---- the VF, wherever it is from ---- */

/* The pair's VF is known: what can be said of it. */
static void note_vf(struct check_view *v, const struct vf_fact *vf, const struct pf_fact *pf,
	struct pair_order *o)
{
	v->vf = vf;
	v->pf = pf;
	v->order = o;
	check_run(CHECK_VF, v);
	str_set(&o->vf, vf->address);
	str_set(&o->pf, pf->name);
	str_set(&o->pf_driver, pf->driver);
	o->vf_index = vf->index;
}

/*
 * Fills in VF address and number; false when there is a problem. PRIMARY: how it is given (may
 * be NULL). LIKE: its number on the source.
 */
static bool choose_vf(struct check_view *v, const struct order *taken, const char *wanted,
	const struct xml_primary *primary, int64_t like, struct pair_order *o)
{
	bool from_pool = form_by_name(o->form)->libvirt_picks_vf;
	const struct pf_fact *pf = v->pf;
	const struct vf_fact *vf;

	if (from_pool)
		vf = choose_from_pool(v, taken, wanted, primary->network);
	else if (wanted)
		vf = named_vf(v, wanted, taken, o->managed);
	else
		vf = pick_below(v, taken, like, o->managed);
	if (!vf && !wanted && !from_pool) {
		CLEANUP_FREE char *why = why_none_is_free(pf, o->managed);

		problem_add(v->problems, "no-free-vf", v->host,
			"Free a VF there, or name another with --vf.", "no VF of %s is free (%s)",
			pf->name, why);
	}
	if (!vf)
		return false;
	facts_vf(v->host, vf->address, &pf);
	note_vf(v, vf, pf, o);
	return true;
}

/* ---- pairs ---- */

static bool is_open_vswitch(const struct network_fact *n, const struct xml_pair *pair)
{
	return str_equal(pair->virtualport, "openvswitch") ||
	       (n && str_equal(n->virtualport, "openvswitch"));
}

/* The bridge behind a standby, by its own name or by its network's. NULL: problem noted. */
static const char *bridge_of(const struct check_view *v)
{
	const struct xml_pair *pair = v->pair;
	const struct network_fact *n = facts_network(v->host, pair->network);

	if (pair->network && !n) {
		problem_add(v->problems, "no-network", v->host,
			"The standby must reach the same network on both hosts.",
			"there is no active network \"%s\"", pair->network);
		return NULL;
	}
	if (n && n->libvirt_owns_fdb)
		problem_add(v->problems, "libvirt-owns-fdb", v->host, "",
			"libvirt manages the forwarding entries of network \"%s\"", n->name);
	if (is_open_vswitch(n, pair)) {
		problem_add(v->problems, "openvswitch", v->host, "",
			"the standby %s is on a bridge of Open vSwitch, which is not supported",
			pair->standby_alias);
		return NULL;
	}
	if (n ? n->bridge : pair->bridge)
		return n ? n->bridge : pair->bridge;
	problem_add(v->problems, "no-bridge", v->host,
		"Only standbys on a Linux bridge are supported.",
		"the standby %s (type %s) is not on a bridge", pair->standby_alias,
		pair->standby_type);
	return NULL;
}

static bool is_macvtap(const struct xml_pair *pair)
{
	return str_equal(pair->standby_type, "direct");
}

/* The device below the macvtap on this host. NULL: problem noted. */
static const char *device_below(const struct check_view *v)
{
	const struct network_fact *n = facts_network(v->host, v->pair->network);

	if (!v->pair->network)
		return v->pair->lower;
	if (n && n->n_devices == 1)
		return n->devices[0].name;
	problem_add(v->problems, "no-network", v->host,
		"The standby must reach the same network on both hosts.",
		n ? "the network \"%s\" does not have one device for macvtaps"
		  : "there is no active network \"%s\"",
		v->pair->network);
	return NULL;
}

/* Fills in uplink, PF and rule for a standby that is a macvtap; false when one is missing. */
static bool place_macvtap(struct check_view *v, struct pair_order *o)
{
	const char *lower = device_below(v);
	const struct uplink_fact *u = facts_device(v->host, lower);

	if (!lower)
		return false;
	if (v->pair->mode && str_starts(v->pair->mode, "passt"))
		problem_add(v->problems, "macvtap-mode", v->host, "",
			"the standby %s is a macvtap that has %s for itself (mode passthrough)",
			v->pair->standby_alias, lower);
	if (!u)
		problem_add(v->problems, "no-uplink", v->host,
			"A VF of the guest's NIC, or its PF, must be below the macvtap.",
			"there is no device %s that belongs to an SR-IOV NIC", lower);
	return u && use_uplink(v, u, o);
}

/* Fills in where the standby is on this host; false when something is missing there. */
static bool place_standby(struct check_view *v, const char *names, const char *option,
	struct pair_order *o)
{
	const char *bridge;

	if (is_macvtap(v->pair))
		return place_macvtap(v, o);
	bridge = bridge_of(v);
	return bridge && place_on_bridge(v, bridge, names, option, o);
}

struct definitions {
	struct xml_pair_list live, migratable, defined;
};

static void definitions_free(struct definitions *d)
{
	xml_pair_list_free(&d->live);
	xml_pair_list_free(&d->migratable);
	xml_pair_list_free(&d->defined);
}

static const struct xml_primary *primary_in(const struct xml_pair_list *l,
	const char *standby_alias)
{
	const struct xml_pair *pair = xml_pairs_by_alias(l, standby_alias);

	return pair && pair->primary.form != PRIMARY_NONE ? &pair->primary : NULL;
}

/*
 * How the pair is given its primary: as it has it now, or where it is unplugged as the domain
 * is defined. The live definition shows a network's VF as if it had been given by address; the
 * migratable one tells where it came from.
 */
static const struct xml_primary *primary_of(const struct xml_pair *live,
	const struct definitions *d)
{
	const struct xml_primary *now = primary_in(&d->migratable, live->standby_alias);

	if (live->primary.form == PRIMARY_NONE)
		return primary_in(&d->defined, live->standby_alias);
	return now && now->form == PRIMARY_POOL ? now : &live->primary;
}

static bool is_generated_tap(const char *tap)
{
	return str_starts(tap, "vnet") || str_starts(tap, "macvtap");
}

/* What PRIMARY is attached by again, with the alias that QEMU knows it by. */
static char *primary_xml(const struct xml_pair *live, const struct xml_primary *primary)
{
	struct err ignored; /* it was just read */
	char *xml = NULL;

	if (primary->form != PRIMARY_POOL ||
		xml_primary_with_alias(primary->xml, live->primary.alias, &xml, &ignored) < 0)
		xml = str_dup(primary->xml);
	return xml;
}

static void fill_pair(const struct xml_pair *live, const struct xml_primary *primary,
	const struct xml_pair *defined, struct pair_order *o)
{
	o->mac = str_dup(live->mac);
	o->standby_alias = str_dup(live->standby_alias);
	if (live->tap && !is_generated_tap(live->tap))
		o->tap = str_dup(live->tap);
	if (primary) {
		o->primary_alias =
			str_dup(live->primary.alias ? live->primary.alias : primary->alias);
		o->primary_xml = primary_xml(live, primary);
	}
	o->form = str_dup(form_of(primary ? primary->form : PRIMARY_NONE)->name);
	o->managed = !primary || primary->managed;
	o->had_primary = live->primary.form != PRIMARY_NONE;
	/* The resting state: as it is while the VF is there, else as the domain is defined. */
	o->link_was_up = o->had_primary ? live->link_up : defined && defined->link_up;
}

/* A VF that nobody has, with the pair's MAC: the one it had. The NIC still gives it the frames. */
static void find_stale_vf(const struct check_view *v, struct pair_order *o)
{
	for (size_t i = 0; i < v->pf->n_vfs; i++) {
		const struct vf_fact *vf = &v->pf->vfs[i];

		if (!str_is_empty(vf->user) || !str_equal(vf->mac, o->mac))
			continue;
		str_set(&o->vf, vf->address);
		o->vf_index = vf->index;
		return;
	}
}

/* libvirt leaves macvtaps up; somebody may have reasons to set one down while the VF is there. */
static bool macvtap_rests_up(const struct check_view *v)
{
	const struct uplink_fact *tap = facts_device(v->host, v->pair->tap);

	return v->pair->primary.form == PRIMARY_NONE || !tap || tap->up;
}

/* The pair's VF as the host knows it. */
static void find_source_vf(struct check_view *v, struct pair_order *o)
{
	const char *address = v->pair->primary.address;
	const struct pf_fact *pf = NULL;
	const struct vf_fact *vf = facts_vf(v->host, address, &pf);

	if (!vf) {
		problem_add(v->problems, "no-vf", v->host, "", "the primary of %s, %s, is no VF",
			v->pair->standby_alias, address ? address : "?");
		return;
	}
	if (str_is_empty(vf->mac))
		problem_add(v->problems, "no-vf-info", v->host,
			"Is the NIC in switchdev mode? That is not supported.",
			"%s says nothing about its VF %s", pf->name, vf->address);
	note_vf(v, vf, pf, o);
	o->has_attr = vf->has_attr;
	o->attr = vf->attr;
}

static void place_source_pair(struct check_view *v, const struct definitions *d,
	struct pair_order *o)
{
	fill_pair(v->pair, primary_of(v->pair, d), v->defined, o);
	o->adopt = !o->had_primary;
	o->macvtap_was_up = macvtap_rests_up(v);
	check_run(CHECK_PAIR, v);
	if (!place_standby(v, v->options->source_uplink, "--source-uplink", o))
		return;
	if (o->had_primary)
		find_source_vf(v, o);
	else
		find_stale_vf(v, o);
}

static void note_pair_problems(struct plan *p, const struct host_facts *f,
	const struct xml_pair_list *pairs)
{
	for (size_t i = 0; i < pairs->n; i++)
		if (pairs->v[i].problem)
			problem_add(&p->problems, "broken-pair", f,
				"Mend the domain's definition and restart it.", "%s",
				pairs->v[i].problem);
}

/* Reads the definitions; false when there is nothing in them to go on with. */
static bool read_definitions(struct plan *p, const struct host_facts *f, struct definitions *ret)
{
	const struct domain_fact *d = &f->domain;
	struct err e;

	if (!d->live) {
		/* Nobody gives a domain that does not run one: then it is refused by now. */
		if (!plan_is_refused(p))
			problem_add(&p->problems, "bad-xml", f, "",
				"the definition of the running domain %s is missing", d->name);
		return false;
	}
	if (xml_pairs_find(d->live, &ret->live, &e) < 0 ||
		(d->migratable && xml_pairs_find(d->migratable, &ret->migratable, &e) < 0) ||
		(d->inactive && xml_pairs_find(d->inactive, &ret->defined, &e) < 0)) {
		problem_add(&p->problems, "bad-xml", f, "", "%s", e.msg);
		return false;
	}
	note_pair_problems(p, f, &ret->live);
	if (ret->live.n == 0)
		problem_add(&p->problems, "no-pair", f,
			"A pair is a virtio NIC with <teaming type='persistent'/> and a VF with "
			"<teaming type='transient' persistent='ALIAS'/>.",
			"domain %s has no pair of standby and VF", d->name);
	return true;
}

static void fill_order(struct order *o, const struct host_facts *f, const struct plan_request *r)
{
	const struct domain_fact *d = &f->domain;

	o->name = str_dup(d->name);
	o->uuid = str_dup(d->uuid);
	o->owner = str_dup(r->owner);
	o->persistent = d->persistent;
	o->autostart = d->autostart;
	o->strict = r->options->strict;
	o->detach_ms = r->options->detach_timeout * 1000;
	o->proof_ms = r->options->proof_timeout * 1000;
	o->carrier_ms = r->options->carrier_timeout * 1000;
	o->settle_ms = r->options->settle_timeout * 1000;
	o->watch_ms = r->options->unplug_watch * 1000;
}

static struct pair_order *add_pair(struct order *o)
{
	return mem_append(&o->pairs, &o->n_pairs, sizeof(*o->pairs));
}

/* ---- migration ---- */

/* The device to attach, for the VF that was chosen. */
static void make_primary(const struct check_view *v, const char *xml, struct pair_order *o)
{
	CLEANUP_FREE char *unnamed = NULL;
	char *made = NULL;
	struct err e;
	int r;

	if (!xml)
		r = xml_primary_new(o->mac, o->vf, o->standby_alias, &made, &e);
	else
		r = xml_primary_unnamed(xml, &unnamed, &e);
	if (unnamed && form_by_name(o->form)->libvirt_picks_vf)
		made = TAKE_PTR(unnamed);
	else if (unnamed)
		r = xml_primary_with_vf(unnamed, o->vf, &made, &e);
	if (r < 0)
		problem_add(v->problems, "bad-xml", v->host, "", "%s", e.msg);
	free(o->primary_xml);
	o->primary_xml = made;
}

static void place_destination_pair(struct plan *p, struct check_view *v,
	const struct definitions *d, const struct pair_order *here)
{
	CLEANUP_FREE char *wanted = options_list_get(v->options->vf, p->destination.n_pairs);
	struct pair_order o = { 0 };

	o.mac = str_dup(here->mac);
	o.standby_alias = str_dup(here->standby_alias);
	o.tap = str_dup(here->tap);
	o.primary_alias = str_dup(here->primary_alias);
	o.link_was_up = here->link_was_up;
	o.managed = here->managed;
	o.has_attr = here->has_attr;
	o.attr = here->attr;
	o.form = str_dup(here->form);
	o.macvtap_was_up = here->macvtap_was_up;
	if (place_standby(v, v->options->destination_uplink, "--destination-uplink", &o) &&
		choose_vf(v, &p->destination, wanted, primary_of(v->pair, d), here->vf_index, &o))
		make_primary(v, here->primary_xml, &o);
	*add_pair(&p->destination) = o;
}

/* The definition the domain is to have on the destination. */
static void make_definition(struct plan *p, const struct domain_fact *d,
	const struct xml_pair_list *defined, const struct host_facts *f)
{
	size_t n = p->destination.n_pairs, used = 0;
	struct xml_new_address *change;
	struct err e;

	if (!d->inactive)
		return;
	change = mem_new(n * sizeof(*change));
	for (size_t i = 0; i < n; i++) {
		const struct pair_order *o = &p->destination.pairs[i];
		const struct xml_pair *pair = xml_pairs_by_alias(defined, o->standby_alias);

		if (pair && pair->primary.form == PRIMARY_POOL)
			continue; /* names no VF */
		if (pair && pair->primary.form != PRIMARY_NONE)
			change[used++] = (struct xml_new_address){ o->standby_alias, o->vf };
		else
			problem_add(&p->problems, "defined-without-vf", NULL,
				"After its next cold start it has no VF.",
				"the definition of %s has no VF for the standby %s", d->name,
				o->standby_alias);
	}
	if (xml_domain_with_vfs(d->inactive, change, used, &p->destination.inactive_xml, &e) < 0)
		problem_add(&p->problems, "bad-xml", f, "", "%s", e.msg);
	p->source.migration.persist_xml = str_dup(p->destination.inactive_xml);
	free(change);
}

static void fill_migration(struct migration_order *m, const struct plan_request *r)
{
	const struct options *o = r->options;

	m->dest_uri = str_dup(r->dest_uri);
	m->migrate_uri = str_dup(o->migrate_uri);
	m->client_driven = o->client_driven;
	m->undefine_source = o->undefine_source;
	m->auto_converge = o->auto_converge;
	m->tls = o->tls;
	m->compressed = o->compressed;
	m->copy_storage_all = o->copy_storage_all;
	m->copy_storage_inc = o->copy_storage_inc;
	m->parallel = o->parallel;
	m->bandwidth = o->bandwidth;
	m->timeout_ms = o->timeout * 1000;
}

static struct check_view new_view(struct plan *p, const struct host_facts *host,
	const struct host_facts *peer, const struct plan_request *r)
{
	return (struct check_view){ .host = host,
		.peer = peer,
		.options = r->options,
		.problems = &p->problems };
}

static void check_hosts(struct plan *p, const struct host_facts *src, const struct host_facts *dst,
	const struct plan_request *r)
{
	struct check_view both = new_view(p, src, dst, r), there = new_view(p, dst, src, r);

	check_run(CHECK_HOSTS, &both);
	check_run(CHECK_HOST, &both);
	check_run(CHECK_HOST, &there);
}

static void check_domain(struct plan *p, struct check_view *v)
{
	check_run(CHECK_DOMAIN, v);
	p->busy = problem_list_has(&p->problems, "busy");
}

static void plan_pair(struct plan *p, const struct host_facts *src, const struct host_facts *dst,
	const struct xml_pair *live, const struct definitions *d, const struct plan_request *r)
{
	struct pair_order *here = add_pair(&p->source);
	struct check_view a = new_view(p, src, dst, r), b = new_view(p, dst, src, r);

	a.pair = b.pair = live;
	a.planned = &p->source;
	b.planned = &p->destination;
	a.defined = b.defined = xml_pairs_by_alias(&d->defined, live->standby_alias);
	place_source_pair(&a, d, here);
	place_destination_pair(p, &b, d, here);
	a.order = here;
	a.peer_order = &p->destination.pairs[p->destination.n_pairs - 1];
	check_run(CHECK_BOTH, &a);
}

static void plan_pairs(struct plan *p, const struct host_facts *src, const struct host_facts *dst,
	const struct definitions *d, const struct plan_request *r)
{
	for (size_t i = 0; i < d->live.n; i++)
		if (!d->live.v[i].problem)
			plan_pair(p, src, dst, &d->live.v[i], d, r);
}

static bool runs_on(const struct host_facts *f)
{
	return f->has_domain && virt_state_is_active(virt_state_from_name(f->domain.state));
}

static void add_no_domain(struct plan *p, const struct host_facts *f, const struct plan_request *r)
{
	problem_add(&p->problems, "no-domain", f, "See virsh list --all.",
		"there is no domain \"%s\"", r->domain);
}

void plan_migration(const struct host_facts *source, const struct host_facts *destination,
	const struct plan_request *r, struct plan *ret)
{
	struct check_view domain = new_view(ret, source, destination, r);
	struct definitions d = { 0 };

	ret->problems.advise = r->advise;
	ret->problems.strict = r->options->strict;
	check_hosts(ret, source, destination, r);
	if (problem_list_has(&ret->problems, "same-host"))
		return;
	if (!runs_on(source) && runs_on(destination) &&
		(!source->has_domain || str_equal(source->domain.uuid, destination->domain.uuid))) {
		ret->kind = PLAN_ALREADY_THERE;
		plan_reattach(destination, r, ret);
		return;
	}
	if (!source->has_domain) {
		add_no_domain(ret, source, r);
		return;
	}
	check_domain(ret, &domain);
	if (!read_definitions(ret, source, &d)) {
		definitions_free(&d);
		return;
	}
	fill_order(&ret->source, source, r);
	fill_order(&ret->destination, source, r);
	ret->source.is_source = true;
	for (char *const *word = r->peer; word && *word; word++)
		((struct word *)mem_append(&ret->source.peer, &ret->source.n_peer,
			 sizeof(struct word)))
			->text = str_dup(*word);
	fill_migration(&ret->source.migration, r);
	plan_pairs(ret, source, destination, &d, r);
	if (!plan_is_refused(ret))
		make_definition(ret, &source->domain, &d.defined, destination);
	definitions_free(&d);
}

/* ---- reattach ---- */

bool plan_is_whole(const struct host_facts *f)
{
	CLEANUP_PAIRS struct xml_pair_list live = { 0 };
	struct err ignored;

	if (!f->domain.live || xml_pairs_find(f->domain.live, &live, &ignored) < 0 || live.n == 0)
		return false;
	for (size_t i = 0; i < live.n; i++)
		if (live.v[i].problem || live.v[i].primary.form == PRIMARY_NONE)
			return false;
	return true;
}

/* The pair has its VF (then only the standby may have to rest), or one must be chosen. */
static void choose_reattach_vf(struct plan *p, struct check_view *v,
	const struct xml_primary *primary, const char *wanted, struct pair_order *o)
{
	const struct pf_fact *pf = NULL;
	const struct vf_fact *vf = facts_vf(v->host, v->pair->primary.address, &pf);

	if (vf) {
		str_set(&o->vf, vf->address);
		str_set(&o->pf, pf->name);
		o->vf_index = vf->index;
		return;
	}
	if (choose_vf(v, &p->destination, wanted, primary, -1, o))
		make_primary(v, primary ? primary->xml : NULL, o);
}

static void plan_reattach_pair(struct plan *p, struct check_view *v, const struct definitions *d)
{
	CLEANUP_FREE char *wanted = options_list_get(v->options->vf, p->destination.n_pairs);
	const struct xml_primary *primary = primary_of(v->pair, d);
	struct pair_order o = { 0 };

	fill_pair(v->pair, primary, v->defined, &o);
	/* As the domain is defined; what it is now may be what an earlier run left. */
	o.link_was_up = v->defined && v->defined->link_up;
	o.adopt = !o.had_primary || v->pair->link_up != o.link_was_up;
	o.macvtap_was_up = macvtap_rests_up(v);
	check_run(CHECK_PAIR, v);
	if (place_standby(v, v->options->destination_uplink, "--destination-uplink", &o))
		choose_reattach_vf(p, v, primary, wanted, &o);
	*add_pair(&p->destination) = o;
}

static void plan_reattach_pairs(struct plan *p, const struct host_facts *here,
	const struct definitions *d, const struct plan_request *r)
{
	for (size_t i = 0; i < d->live.n; i++) {
		struct check_view v = new_view(p, here, NULL, r);

		v.pair = &d->live.v[i];
		v.planned = &p->destination;
		v.defined = xml_pairs_by_alias(&d->defined, v.pair->standby_alias);
		if (!v.pair->problem)
			plan_reattach_pair(p, &v, d);
	}
}

void plan_reattach(const struct host_facts *here, const struct plan_request *r, struct plan *ret)
{
	struct check_view v = new_view(ret, here, NULL, r);
	struct definitions d = { 0 };

	ret->problems.strict = r->options->strict;
	check_run(CHECK_HOST, &v);
	if (!here->has_domain) {
		add_no_domain(ret, here, r);
		return;
	}
	check_domain(ret, &v);
	if (read_definitions(ret, here, &d)) {
		fill_order(&ret->destination, here, r);
		ret->destination.autostart = false; /* nothing to carry over */
		plan_reattach_pairs(ret, here, &d, r);
		if (!plan_is_refused(ret) && here->domain.inactive)
			make_definition(ret, &here->domain, &d.defined, here);
	}
	definitions_free(&d);
}
