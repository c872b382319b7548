/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/plan.h"

#include <stdlib.h>

#include "core/choose.h"
#include "core/form.h"
#include "util/mem.h"
#include "util/str.h"
#include "virt/virt.h"
#include "xml/domain.h"
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

/* As libvirt carries it over: without what a network of this host has added. */
static const struct xml_pair *carried_pair(const struct xml_pair *live, const struct definitions *d)
{
	const struct xml_pair *pair = xml_pairs_by_alias(&d->migratable, live->standby_alias);

	return pair ? pair : live;
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
	if (live->tap && !xml_tap_is_generated(live->tap))
		o->tap = str_dup(live->tap);
	if (primary) {
		o->primary_alias =
			str_dup(live->primary.alias ? live->primary.alias : primary->alias);
		o->primary_xml = primary_xml(live, primary);
	}
	o->form = str_dup(form_of(primary ? primary->form : PRIMARY_NONE)->name);
	o->managed = !primary || primary->managed;
	o->had_primary = live->primary.form != PRIMARY_NONE;
	/* The resting state: as it is while the VF is there, else as the domain is defined, if it is. */
	o->link_was_up = o->had_primary || !defined ? live->link_up : defined->link_up;
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
	choose_note_vf(v, vf, pf, o);
	o->has_attr = vf->has_attr;
	o->attr = vf->attr;
}

static void place_source_pair(struct check_view *v, const struct definitions *d,
	struct pair_order *o)
{
	bool placed;

	fill_pair(v->pair, primary_of(v->pair, d), v->defined, o);
	o->adopt = !o->had_primary;
	o->qemu_unplugs = o->had_primary && v->options->unplug == UNPLUG_BY_QEMU;
	o->macvtap_was_up = macvtap_rests_up(v);
	o->cut_off = check_is_cut_off(v);
	check_run(CHECK_PAIR, v);
	placed = choose_place(v, v->options->source_uplink, "--source-uplink", o);
	if (o->had_primary)
		find_source_vf(v, o);
	else if (placed)
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
	o->detach_ms = r->options->detach_ms;
	o->proof_ms = r->options->proof_ms;
	o->carrier_ms = r->options->carrier_ms;
	o->settle_ms = r->options->settle_ms;
	o->watch_ms = r->options->watch_ms;
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
	CLEANUP_FREE char *wanted = str_list_get(v->options->vf, p->destination.n_pairs);
	struct pair_order o = { 0 };
	bool placed, chosen;

	o.mac = str_dup(here->mac);
	o.standby_alias = str_dup(here->standby_alias);
	o.tap = str_dup(here->tap);
	o.primary_alias = str_dup(here->primary_alias);
	o.link_was_up = here->link_was_up;
	o.managed = here->managed;
	o.qemu_unplugs = here->qemu_unplugs;
	o.has_attr = here->has_attr;
	o.attr = here->attr;
	o.form = str_dup(here->form);
	o.macvtap_was_up = here->macvtap_was_up;
	placed = choose_place(v, v->options->destination_uplink, "--destination-uplink", &o);
	chosen = choose_vf(v, &p->destination, wanted, primary_of(v->pair, d), here->vf_index, &o);
	if (placed && chosen)
		make_primary(v, here->primary_xml, &o);
	*add_pair(&p->destination) = o;
}

/* The pair that the definition has for this MAC, with a VF, under an alias that nobody runs with. NULL: none. */
static const struct xml_pair *renamed_pair(const struct definitions *d, const char *mac)
{
	for (size_t i = 0; i < d->defined.n; i++) {
		const struct xml_pair *pair = &d->defined.v[i];

		if (pair->primary.form != PRIMARY_NONE &&
			(str_equal(pair->mac, mac) || str_equal(pair->primary.mac, mac)) &&
			!xml_pairs_by_alias(&d->live, pair->standby_alias))
			return pair;
	}
	return NULL;
}

static void note_without_vf(struct plan *p, const char *name, const struct pair_order *o,
	const struct xml_pair *renamed)
{
	if (renamed)
		problem_add(&p->problems, "defined-without-vf", NULL,
			"Give both the standby's alias in the definition as well.",
			"the definition of %s has the VF for %s under the alias %s, the standby runs with %s",
			name, o->mac,
			renamed->standby_alias ? renamed->standby_alias : "of another",
			o->standby_alias);
	else
		problem_add(&p->problems, "defined-without-vf", NULL,
			"After its next cold start it has no VF.",
			"the definition of %s has no VF for the standby %s", name,
			o->standby_alias);
}

static void note_defined_without_vf(struct plan *p, const struct domain_fact *f,
	const struct definitions *d)
{
	for (size_t i = 0; f->inactive && i < p->destination.n_pairs; i++) {
		const struct pair_order *o = &p->destination.pairs[i];
		const struct xml_pair *pair = xml_pairs_by_alias(&d->defined, o->standby_alias);

		if (!pair || pair->primary.form == PRIMARY_NONE)
			note_without_vf(p, f->name, o, renamed_pair(d, o->mac));
	}
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

		/* One from a network of VFs names none. */
		if (pair && pair->primary.form != PRIMARY_NONE &&
			pair->primary.form != PRIMARY_POOL && o->vf)
			change[used++] = (struct xml_new_address){ o->standby_alias, o->vf };
	}
	if (xml_domain_with_vfs(d->inactive, change, used, &p->source.migration.persist_xml, &e) <
		0)
		problem_add(&p->problems, "bad-xml", f, "", "%s", e.msg);
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
	m->unsafe = o->unsafe;
	m->tls = o->tls;
	m->compressed = o->compressed;
	m->copy_storage_all = o->copy_storage_all;
	m->copy_storage_inc = o->copy_storage_inc;
	m->parallel = o->parallel;
	m->bandwidth = o->bandwidth;
	m->timeout_ms = o->timeout_ms;
}

static struct check_view new_view(struct plan *p, const struct host_facts *host,
	const struct host_facts *peer, const struct plan_request *r)
{
	return (struct check_view){ .host = host,
		.peer = peer,
		.options = r->options,
		.dest_uri = r->dest_uri,
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

static bool is_only_held_up(const struct problem_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (!l->v[i].warning && !str_equal(l->v[i].code, "filters-busy"))
			return false;
	return problem_list_has(l, "filters-busy");
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
	if (here->qemu_unplugs && !form_by_name(here->form)->libvirt_picks_vf)
		here->arrival_vf = str_dup(p->destination.pairs[p->destination.n_pairs - 1].vf);
	a.order = here;
	a.peer_order = &p->destination.pairs[p->destination.n_pairs - 1];
	a.carried = carried_pair(live, d);
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
	ret->source.peer_uuid = str_dup(destination->uuid);
	ret->source.peer_id = str_dup(destination->id);
	ret->destination.peer_uuid = str_dup(source->uuid);
	ret->destination.peer_id = str_dup(source->id);
	ret->source.is_source = true;
	for (char *const *word = r->peer; word && *word; word++)
		((struct word *)mem_append(&ret->source.peer, &ret->source.n_peer,
			 sizeof(struct word)))
			->text = str_dup(*word);
	fill_migration(&ret->source.migration, r);
	plan_pairs(ret, source, destination, &d, r);
	note_defined_without_vf(ret, &source->domain, &d);
	ret->busy = ret->busy || is_only_held_up(&ret->problems);
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
	CLEANUP_FREE char *wanted = str_list_get(v->options->vf, p->destination.n_pairs);
	const struct xml_primary *primary = primary_of(v->pair, d);
	struct pair_order o = { 0 };

	fill_pair(v->pair, primary, v->defined, &o);
	/*
	 * As the domain is defined; what it is now may be what an earlier run left. One without a
	 * definition has nothing else.
	 */
	o.link_was_up = v->defined ? v->defined->link_up : v->pair->link_up;
	o.adopt = !o.had_primary || v->pair->link_up != o.link_was_up;
	o.macvtap_was_up = macvtap_rests_up(v);
	check_run(CHECK_PAIR, v);
	if (choose_place(v, v->options->destination_uplink, "--destination-uplink", &o))
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

	/* Not even where warnings refuse a move: it is the cure. */
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
		note_defined_without_vf(ret, &here->domain, &d);
		ret->busy = ret->busy || is_only_held_up(&ret->problems);
		if (!plan_is_refused(ret) && here->domain.inactive)
			make_definition(ret, &here->domain, &d.defined, here);
	}
	definitions_free(&d);
}
