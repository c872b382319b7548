/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/plan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "core/nic.h"
#include "util/hwaddr.h"
#include "util/mem.h"
#include "util/str.h"
#include "virt/virt.h"
#include "xml/pair.h"
#include "xml/rewrite.h"

void plan_free(struct plan *p)
{
	record_clear(&order_record, &p->source);
	record_clear(&order_record, &p->destination);
	for (size_t i = 0; i < p->problems.n; i++) {
		free(p->problems.v[i].host);
		free(p->problems.v[i].text);
		free(p->problems.v[i].hint);
	}
	free(p->problems.v);
	*p = (struct plan){ 0 };
}

bool plan_is_refused(const struct plan *p)
{
	for (size_t i = 0; i < p->problems.n; i++)
		if (!p->problems.v[i].warning)
			return true;
	return false;
}

/* ---- problems ---- */

static struct problem *find_same(struct plan *p, const char *code, const struct host_facts *host,
	const char *text)
{
	for (size_t i = 0; i < p->problems.n; i++) {
		struct problem *old = &p->problems.v[i];

		if (str_equal(old->code, code) && str_equal(old->text, text) &&
			str_equal(old->host, host ? host->hostname : NULL))
			return old;
	}
	return NULL;
}

/* Takes TEXT. Two pairs on one uplink have its problems in common: they are told once. */
static struct problem *add(struct plan *p, const char *code, const struct host_facts *host, char *text)
{
	struct problem *new = find_same(p, code, host, text);

	if (new) {
		free(text);
		return new;
	}
	new = mem_append(&p->problems.v, &p->problems.n, sizeof(*new));
	new->code = code;
	new->host = str_dup(host ? host->hostname : NULL);
	new->text = text;
	new->hint = str_dup("");
	return new;
}

__attribute__((format(printf, 5, 6))) static void refuse(struct plan *p, const char *code,
	const struct host_facts *host, const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	str_set(&add(p, code, host, str_vprintf(fmt, ap))->hint, hint);
	va_end(ap);
}

__attribute__((format(printf, 5, 6))) static void warn(struct plan *p, const char *code,
	const struct host_facts *host, const char *hint, const char *fmt, ...)
{
	struct problem *new;
	va_list ap;

	va_start(ap, fmt);
	new = add(p, code, host, str_vprintf(fmt, ap));
	va_end(ap);
	new->warning = true;
	str_set(&new->hint, hint);
}

/* ---- one pair on one host ---- */

static const struct uplink_fact *only_uplink(const struct bridge_fact *b)
{
	return b->n_uplinks == 1 ? &b->uplinks[0] : NULL;
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
		str_buf_add(&list, "%s%s", i ? ", " : "", b->uplinks[i].name);
	return list.s ? list.s : str_dup("");
}

static const struct uplink_fact *choose_uplink(struct plan *p, const struct host_facts *f,
	const struct bridge_fact *b, const char *names, const char *option)
{
	const struct uplink_fact *u = names ? named_uplink(b, names) : only_uplink(b);
	CLEANUP_FREE char *all = list_uplinks(b);
	CLEANUP_FREE char *hint = str_printf("Name the one to use with %s.", option);

	if (u)
		return u;
	if (b->n_uplinks == 0)
		refuse(p, "no-uplink", f, "A VF of the guest's NIC, or its PF, must be a port of the bridge.",
			"bridge %s has no port that belongs to an SR-IOV NIC", b->name);
	else if (names)
		refuse(p, "no-uplink", f, hint, "none of %s is an uplink of %s; its uplinks: %s", names,
			b->name, all);
	else
		refuse(p, "several-uplinks", f, hint, "bridge %s has several uplinks: %s", b->name, all);
	return NULL;
}

static void check_uplink(struct plan *p, const struct host_facts *f, const struct bridge_fact *b,
	const struct uplink_fact *u)
{
	const struct pf_fact *pf = facts_pf(f, u->pf);

	if (!b->up)
		refuse(p, "bridge-down", f, "", "bridge %s is down", b->name);
	if (!pf || !pf->up)
		refuse(p, "pf-down", f, "A VF cannot be attached while its PF is down.", "PF %s is down",
			u->pf);
	if (!u->up || !u->running)
		refuse(p, "uplink-down", f, "", "uplink %s of %s %s", u->name, b->name,
			u->up ? "has no carrier" : "is down");
	else if (!u->forwarding)
		refuse(p, "uplink-not-forwarding", f, "", "uplink %s of %s is not forwarding", u->name,
			b->name);
}

static const struct vf_fact *vf_by_index(const struct pf_fact *pf, int64_t index)
{
	for (size_t i = 0; pf && i < pf->n_vfs; i++)
		if (pf->vfs[i].index == index)
			return &pf->vfs[i];
	return NULL;
}

/* An uplink VF that is not trusted is refused the guest's MAC by many PFs, in silence. */
static void check_trust(struct plan *p, const struct host_facts *f, const struct uplink_fact *u)
{
	const struct vf_fact *vf = vf_by_index(facts_pf(f, u->pf), u->vf_index);
	CLEANUP_FREE char *hint = NULL;

	if (!vf || (vf->trust != 0 && vf->spoofchk != 1))
		return;
	hint = str_printf("ip link set %s vf %" PRId64 " trust on spoofchk off", u->pf, vf->index);
	if (vf->trust == 0)
		warn(p, "uplink-not-trusted", f, hint,
			"uplink %s is not trusted: the NIC may refuse it the guest's MAC", u->name);
	if (vf->spoofchk == 1)
		warn(p, "uplink-spoofchk", f, hint,
			"uplink %s has spoof checking on: the NIC may drop what the guest sends", u->name);
}

/*
 * igb refuses the request to clear a filter since Linux 5.16 (584af82154f5): each entry set on a VF
 * of it takes one of some 13 slots until the VFs are created anew.
 */
static void check_filter_leak(struct plan *p, const struct host_facts *f, const struct uplink_fact *u,
	const struct pf_fact *pf)
{
	if (p->advise && str_equal(pf->driver, "igb") && u->vf_index >= 0)
		warn(p, "filters-leak", f,
			"Watch the kernel log for \"no space for it\"; creating the VFs anew frees them.",
			"Linux's igb keeps every filter that uplink %s ever asked for: after a dozen "
			"moves it takes no more, and neighbours on %s may not reach guests that left",
			u->name, pf->name);
}

/* Fills in bridge, uplink, PF and rule; false when there is a problem. */
static bool place_pair(struct plan *p, const struct host_facts *f, const char *bridge,
	const char *names, const char *option, struct pair_order *o)
{
	const struct bridge_fact *b = facts_bridge(f, bridge);
	size_t problems_before = p->problems.n;
	const struct uplink_fact *u;
	const struct pf_fact *pf;
	bool known;

	if (!b) {
		refuse(p, "no-bridge", f, "The standby must reach the same network on both hosts.",
			"there is no bridge %s", bridge);
		return false;
	}
	u = choose_uplink(p, f, b, names, option);
	if (!u)
		return false;
	check_uplink(p, f, b, u);
	if (p->problems.n != problems_before)
		return false;
	check_trust(p, f, u);
	pf = facts_pf(f, u->pf);
	str_set(&o->bridge, b->name);
	str_set(&o->uplink, u->name);
	str_set(&o->pf, u->pf);
	str_set(&o->rule, nic_rule_name(nic_rule_of(pf->driver, &known)));
	check_filter_leak(p, f, u, pf);
	if (!known)
		warn(p, "unknown-nic", f, "",
			"it is not known how NICs with driver %s treat a MAC that the uplink and a VF "
			"share; the order that is safe everywhere is used, with a short gap",
			pf->driver);
	return true;
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
	return str_equal(vf->driver, "vfio-pci") != managed;
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

static const struct vf_fact *named_vf(struct plan *p, const struct host_facts *f, const char *name,
	const struct order *taken, bool managed)
{
	struct pci_address address;
	char canonical[PCI_TEXT_SIZE];
	const struct vf_fact *vf;

	if (pci_parse(name, &address) < 0) {
		refuse(p, "bad-vf", NULL, "", "\"%s\" is no PCI address", name);
		return NULL;
	}
	pci_format(&address, canonical);
	vf = facts_vf(f, canonical, NULL);
	if (!vf)
		refuse(p, "bad-vf", f, "", "there is no VF %s", canonical);
	else if (!str_is_empty(vf->user))
		refuse(p, "vf-in-use", f, "", "VF %s is not free: %s", canonical, vf->user);
	else if (vf_is_taken_by_plan(taken, canonical))
		refuse(p, "vf-in-use", f, "", "VF %s is named for two pairs", canonical);
	else if (!driver_fits(vf, managed))
		refuse(p, "vf-in-use", f, "",
			managed ? "VF %s is bound to vfio-pci by somebody else" :
				  "VF %s is not bound to vfio-pci, and the domain says managed='no'",
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
			user = managed ? "bound to vfio-pci by somebody else" :
					 "not bound to vfio-pci (managed='no')";
		str_buf_add(&why, "%s%s: %s", i ? "; " : "", vf->address,
			str_is_empty(user) ? "taken by another pair" : user);
	}
	return why.s ? why.s : str_dup("it has none");
}

static void warn_other_pf(struct plan *p, const struct host_facts *f, const struct vf_fact *vf,
	const struct pf_fact *pf, const struct pair_order *o)
{
	if (!str_equal(pf->name, o->pf))
		warn(p, "other-pf", f, "The standby's frames leave by another port than the VF's.",
			"VF %s is of %s, but the uplink %s is of %s", vf->address, pf->name, o->uplink, o->pf);
}

/* Fills in VF address and number; false when there is a problem. */
static bool choose_vf(struct plan *p, const struct host_facts *f, const struct order *taken,
	const char *wanted, int64_t like, struct pair_order *o)
{
	const struct pf_fact *pf = facts_pf(f, o->pf);
	const struct vf_fact *vf = wanted ? named_vf(p, f, wanted, taken, o->managed) : pick_vf(taken, pf, like, o->managed);

	if (!vf && !wanted) {
		CLEANUP_FREE char *why = why_none_is_free(pf, o->managed);

		refuse(p, "no-free-vf", f, "Free a VF there, or name another with --vf.",
			"no VF of %s is free (%s)", pf->name, why);
	}
	if (!vf)
		return false;
	facts_vf(f, vf->address, &pf);
	warn_other_pf(p, f, vf, pf, o);
	str_set(&o->vf, vf->address);
	str_set(&o->pf, pf->name);
	o->vf_index = vf->index;
	return true;
}

/* ---- pairs ---- */

/* The bridge behind a standby, by its own name or by its network's. NULL: problem noted. */
static const char *bridge_of(struct plan *p, const struct host_facts *f, const struct xml_pair *pair)
{
	const struct network_fact *n = facts_network(f, pair->network);

	if (pair->network && !n) {
		refuse(p, "no-network", f, "The standby must reach the same network on both hosts.",
			"there is no active network \"%s\"", pair->network);
		return NULL;
	}
	if (n && n->libvirt_owns_fdb)
		warn(p, "libvirt-owns-fdb", f, "",
			"libvirt manages the forwarding entries of network \"%s\"", n->name);
	if (n ? n->bridge : pair->bridge)
		return n ? n->bridge : pair->bridge;
	refuse(p, "no-bridge", f, "Only standbys on a Linux bridge are supported.",
		"the standby %s (type %s) is not on a bridge", pair->standby_alias, pair->standby_type);
	return NULL;
}

static void check_forms(struct plan *p, const struct host_facts *f, const struct xml_pair *pair,
	const struct xml_pair *defined)
{
	enum primary_form form = pair->primary.form;

	/* The live definition shows a pool's VF as if it had been given by address. */
	if (defined && defined->primary.form != PRIMARY_NONE)
		form = defined->primary.form;
	if (!str_equal(pair->standby_model, "virtio"))
		refuse(p, "standby-model", f, "", "the standby %s is not a virtio NIC", pair->standby_alias);
	if (form == PRIMARY_POOL || form == PRIMARY_HOSTDEV)
		refuse(p, "primary-form", f, "",
			"the primary of %s is given as %s, which is not supported; "
			"<interface type='hostdev'> is",
			pair->standby_alias, form == PRIMARY_POOL ? "a network of VFs" : "a plain <hostdev>");
}

/* The pair's primary: from the live definition, or where it is unplugged from the other one. */
static const struct xml_primary *primary_of(const struct xml_pair *live,
	const struct xml_pair_list *defined)
{
	const struct xml_pair *d;

	if (live->primary.form != PRIMARY_NONE)
		return &live->primary;
	d = xml_pairs_by_alias(defined, live->standby_alias);
	return d && d->primary.form != PRIMARY_NONE ? &d->primary : NULL;
}

static bool is_generated_tap(const char *tap)
{
	return str_starts(tap, "vnet");
}

static void fill_pair(const struct xml_pair *live, const struct xml_primary *primary,
	const struct xml_pair *defined, struct pair_order *o)
{
	o->mac = str_dup(live->mac);
	o->standby_alias = str_dup(live->standby_alias);
	if (live->tap && !is_generated_tap(live->tap))
		o->tap = str_dup(live->tap);
	if (primary) {
		o->primary_alias = str_dup(primary->alias);
		o->primary_xml = str_dup(primary->xml);
	}
	o->managed = !primary || primary->managed;
	o->had_primary = live->primary.form != PRIMARY_NONE;
	/* The resting state: as it is while the VF is there, else as the domain is defined. */
	o->link_was_up = o->had_primary ? live->link_up : defined && defined->link_up;
}

static void place_source_pair(struct plan *p, const struct host_facts *f, const struct xml_pair *live,
	const struct xml_pair_list *defined, const struct plan_request *r, struct pair_order *o)
{
	const struct xml_primary *primary = primary_of(live, defined);
	const char *bridge = bridge_of(p, f, live);
	const struct pf_fact *pf = NULL;
	const struct vf_fact *vf;

	fill_pair(live, primary, xml_pairs_by_alias(defined, live->standby_alias), o);
	o->adopt = !o->had_primary;
	check_forms(p, f, live, xml_pairs_by_alias(defined, live->standby_alias));
	if (!bridge || !place_pair(p, f, bridge, r->options->source_uplink, "--source-uplink", o))
		return;
	if (!o->had_primary)
		return;
	vf = facts_vf(f, primary->address, &pf);
	if (!vf) {
		refuse(p, "no-vf", f, "", "the primary of %s, %s, is no VF", live->standby_alias,
			primary->address ? primary->address : "?");
		return;
	}
	if (str_is_empty(vf->mac))
		refuse(p, "no-vf-info", f, "Is the NIC in switchdev mode? That is not supported.",
			"%s says nothing about its VF %s", pf->name, vf->address);
	warn_other_pf(p, f, vf, pf, o);
	str_set(&o->pf, pf->name);
	str_set(&o->vf, vf->address);
	o->vf_index = vf->index;
}

static void note_pair_problems(struct plan *p, const struct host_facts *f,
	const struct xml_pair_list *pairs)
{
	for (size_t i = 0; i < pairs->n; i++)
		if (pairs->v[i].problem)
			refuse(p, "broken-pair", f, "Mend the domain's definition and restart it.", "%s",
				pairs->v[i].problem);
}

struct definitions {
	struct xml_pair_list live, defined;
};

static void definitions_free(struct definitions *d)
{
	xml_pair_list_free(&d->live);
	xml_pair_list_free(&d->defined);
}

/* Reads both definitions; false when there is a problem. */
static bool read_definitions(struct plan *p, const struct host_facts *f, struct definitions *ret)
{
	const struct domain_fact *d = &f->domain;
	struct err e;

	if (xml_pairs_find(d->live, &ret->live, &e) < 0 ||
		(d->inactive && xml_pairs_find(d->inactive, &ret->defined, &e) < 0)) {
		refuse(p, "bad-xml", f, "", "%s", e.msg);
		return false;
	}
	note_pair_problems(p, f, &ret->live);
	if (ret->live.n == 0)
		refuse(p, "no-pair", f,
			"A pair is a virtio NIC with <teaming type='persistent'/> and a VF with "
			"<teaming type='transient' persistent='ALIAS'/>.",
			"domain %s has no pair of standby and VF", d->name);
	return !plan_is_refused(p);
}

static void fill_order(struct order *o, const struct host_facts *f, const struct plan_request *r)
{
	const struct domain_fact *d = &f->domain;

	o->name = str_dup(d->name);
	o->uuid = str_dup(d->uuid);
	o->owner = str_dup(r->owner);
	o->persistent = d->persistent;
	o->autostart = d->autostart;
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

static void check_mtu(struct plan *p, const struct host_facts *src, const char *here,
	const struct host_facts *dst, const char *there)
{
	const struct bridge_fact *a = facts_bridge(src, here), *b = facts_bridge(dst, there);

	if (a && b && a->mtu != b->mtu)
		warn(p, "mtu-differs", dst, "Large frames can be lost while the guest is on its standby.",
			"bridge %s has MTU %" PRId64 ", %s on %s has %" PRId64, b->name, b->mtu, a->name,
			src->hostname, a->mtu);
}

static void place_destination_pair(struct plan *p, const struct host_facts *f,
	const struct xml_pair *live, const struct pair_order *here, const struct plan_request *r)
{
	CLEANUP_FREE char *wanted = options_list_get(r->options->vf, p->destination.n_pairs);
	const char *bridge = bridge_of(p, f, live);
	struct pair_order o = { 0 };
	struct err e;

	o.mac = str_dup(here->mac);
	o.standby_alias = str_dup(here->standby_alias);
	o.tap = str_dup(here->tap);
	o.primary_alias = str_dup(here->primary_alias);
	o.link_was_up = here->link_was_up;
	o.managed = here->managed;
	if (bridge && place_pair(p, f, bridge, r->options->destination_uplink, "--destination-uplink", &o) &&
		choose_vf(p, f, &p->destination, wanted, here->vf_index, &o)) {
		int made = here->primary_xml ?
				   xml_primary_with_vf(here->primary_xml, o.vf, &o.primary_xml, &e) :
				   xml_primary_new(o.mac, o.vf, o.standby_alias, &o.primary_xml, &e);

		if (made < 0)
			refuse(p, "bad-xml", f, "", "%s", e.msg);
	}
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

		if (pair && pair->primary.form != PRIMARY_NONE)
			change[used++] = (struct xml_new_address){ o->standby_alias, o->vf };
		else
			warn(p, "defined-without-vf", NULL, "After its next cold start it has no VF.",
				"the definition of %s has no VF for the standby %s", d->name,
				o->standby_alias);
	}
	if (xml_domain_with_vfs(d->inactive, change, used, &p->destination.inactive_xml, &e) < 0)
		refuse(p, "bad-xml", f, "", "%s", e.msg);
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

static void check_host(struct plan *p, const struct host_facts *f)
{
	if (!f->net_admin)
		refuse(p, "no-permission", f, "Run as root: it takes access to libvirt, CAP_NET_ADMIN and /run/sriov-migrate.",
			"no permission to change network devices");
}

static void check_lock(struct plan *p, const struct host_facts *f)
{
	if (!f->has_domain || !f->domain.lock_owner)
		return;
	p->busy = true;
	refuse(p, "busy", f, "Wait for the other run to end, or stop it with kill and its PID.",
		"domain %s is held by another run (%s)", f->domain.name, f->domain.lock_owner);
}

static void check_source_domain(struct plan *p, const struct host_facts *f)
{
	const struct domain_fact *d = &f->domain;
	enum virt_state state = virt_state_from_name(d->state);

	if (d->job)
		refuse(p, "job-active", f, "Wait for it, or abort it with virsh domjobabort.",
			"another job of libvirt's is running for domain %s", d->name);
	if (state == VIRT_OFF || state == VIRT_MIGRATED)
		refuse(p, "not-running", f, "", "domain %s is not running (%s)", d->name, d->state);
	else if (state != VIRT_RUNNING)
		refuse(p, "not-running", f, "Resume it first: a guest that stands still cannot give up "
					    "its VF.",
			"domain %s is %s", d->name, d->state);
}

static bool is_incoming(const struct host_facts *src, const struct domain_name *there)
{
	enum virt_state state = virt_state_from_name(there->state);

	return state == VIRT_MIGRATING || (src->domain.job && virt_state_is_active(state));
}

/* Whether the destination has another domain of that name or UUID, or this one running. */
static void check_destination_names(struct plan *p, const struct host_facts *src,
	const struct host_facts *dst)
{
	for (size_t i = 0; i < dst->n_domains; i++) {
		const struct domain_name *there = &dst->domains[i];
		bool same_name = str_equal(there->name, src->domain.name);
		bool same_uuid = str_equal(there->uuid, src->domain.uuid);

		if (same_name && !same_uuid)
			refuse(p, "name-taken", dst, "Rename or remove it.",
				"there is another domain named %s (UUID %s)", there->name, there->uuid);
		else if (same_uuid && !same_name)
			refuse(p, "uuid-taken", dst, "Rename or remove it.",
				"there is a domain with this one's UUID, but named %s", there->name);
		else if (same_uuid && !p->busy && is_incoming(src, there))
			refuse(p, "incoming", dst, "Wait for that migration, or abort it with virsh "
						   "domjobabort.",
				"domain %s is being migrated there already", there->name);
		else if (same_uuid && !p->busy &&
			 virt_state_is_active(virt_state_from_name(there->state)))
			refuse(p, "running-twice", dst, "Find out which copy is the true one, now.",
				"domain %s is %s there, and %s on %s as well", there->name, there->state,
				src->domain.state, src->hostname);
	}
}

static void check_reach(struct plan *p, const struct host_facts *src, const struct host_facts *dst)
{
	CLEANUP_FREE char *hint = NULL;

	if (!src->unreachable)
		return;
	hint = str_printf("libvirt on %s opens a connection of its own to %s: let root there log in by "
			  "ssh without being asked, or give another URI.",
		src->hostname, dst->hostname);
	refuse(p, "libvirt-unreachable", src, hint, "%s", src->unreachable);
}

static bool check_hosts(struct plan *p, const struct host_facts *src, const struct host_facts *dst)
{
	if (str_equal(src->uuid, dst->uuid))
		refuse(p, "same-host", NULL, "", "the destination, %s, is this host", dst->hostname);
	check_host(p, src);
	check_host(p, dst);
	return !plan_is_refused(p);
}

static void plan_pairs(struct plan *p, const struct host_facts *src, const struct host_facts *dst,
	const struct definitions *d, const struct plan_request *r)
{
	for (size_t i = 0; i < d->live.n; i++) {
		struct pair_order *here = add_pair(&p->source);

		place_source_pair(p, src, &d->live.v[i], &d->defined, r, here);
		place_destination_pair(p, dst, &d->live.v[i], here, r);
		check_mtu(p, src, here->bridge, dst, p->destination.pairs[i].bridge);
	}
}

static bool runs_on(const struct host_facts *f)
{
	return f->has_domain && virt_state_is_active(virt_state_from_name(f->domain.state));
}

void plan_migration(const struct host_facts *source, const struct host_facts *destination,
	const struct plan_request *r, struct plan *ret)
{
	struct definitions d = { 0 };

	ret->advise = r->advise;
	if (!check_hosts(ret, source, destination))
		return;
	if (!runs_on(source) && runs_on(destination) &&
		(!source->has_domain || str_equal(source->domain.uuid, destination->domain.uuid))) {
		ret->kind = PLAN_ALREADY_THERE;
		plan_reattach(destination, r, ret);
		return;
	}
	if (!source->has_domain) {
		refuse(ret, "no-domain", source, "See virsh list --all.", "there is no domain \"%s\"",
			r->domain);
		return;
	}
	check_lock(ret, source);
	check_reach(ret, source, destination);
	check_source_domain(ret, source);
	check_destination_names(ret, source, destination);
	if (!source->domain.live || !read_definitions(ret, source, &d)) {
		definitions_free(&d);
		return;
	}
	fill_order(&ret->source, source, r);
	fill_order(&ret->destination, source, r);
	ret->source.is_source = true;
	for (char *const *word = r->peer; word && *word; word++)
		((struct word *)mem_append(&ret->source.peer, &ret->source.n_peer, sizeof(struct word)))
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
static void choose_reattach_vf(struct plan *p, const struct host_facts *f, const struct xml_pair *live,
	const struct xml_primary *primary, const char *wanted, struct pair_order *o)
{
	const struct pf_fact *pf = NULL;
	const struct vf_fact *vf = facts_vf(f, live->primary.address, &pf);
	struct err e;
	int made;

	if (vf) {
		str_set(&o->vf, vf->address);
		str_set(&o->pf, pf->name);
		o->vf_index = vf->index;
		return;
	}
	if (!choose_vf(p, f, &p->destination, wanted, -1, o))
		return;
	free(o->primary_xml);
	o->primary_xml = NULL;
	made = primary ? xml_primary_with_vf(primary->xml, o->vf, &o->primary_xml, &e) :
			 xml_primary_new(o->mac, o->vf, o->standby_alias, &o->primary_xml, &e);
	if (made < 0)
		refuse(p, "bad-xml", f, "", "%s", e.msg);
}

static void plan_reattach_pair(struct plan *p, const struct host_facts *f, const struct xml_pair *live,
	const struct xml_pair_list *defined, const struct plan_request *r)
{
	CLEANUP_FREE char *wanted = options_list_get(r->options->vf, p->destination.n_pairs);
	const struct xml_pair *d = xml_pairs_by_alias(defined, live->standby_alias);
	const struct xml_primary *primary = primary_of(live, defined);
	const char *bridge = bridge_of(p, f, live);
	struct pair_order o = { 0 };

	fill_pair(live, primary, d, &o);
	/* As the domain is defined; what it is now may be what an earlier run left. */
	o.link_was_up = d && d->link_up;
	o.adopt = !o.had_primary || live->link_up != o.link_was_up;
	check_forms(p, f, live, d);
	if (bridge && place_pair(p, f, bridge, r->options->destination_uplink, "--destination-uplink", &o))
		choose_reattach_vf(p, f, live, primary, wanted, &o);
	*add_pair(&p->destination) = o;
}

void plan_reattach(const struct host_facts *here, const struct plan_request *r, struct plan *ret)
{
	struct definitions d = { 0 };

	check_host(ret, here);
	if (!here->has_domain) {
		refuse(ret, "no-domain", here, "See virsh list --all.", "there is no domain \"%s\"",
			r->domain);
		return;
	}
	check_lock(ret, here);
	check_source_domain(ret, here);
	if (!plan_is_refused(ret) && read_definitions(ret, here, &d)) {
		fill_order(&ret->destination, here, r);
		ret->destination.autostart = false; /* nothing to carry over */
		for (size_t i = 0; i < d.live.n; i++)
			plan_reattach_pair(ret, here, &d.live.v[i], &d.defined, r);
		if (!plan_is_refused(ret) && here->domain.inactive)
			make_definition(ret, &here->domain, &d.defined, here);
	}
	definitions_free(&d);
}
