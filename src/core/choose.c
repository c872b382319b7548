/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/choose.h"

#include <stdlib.h>

#include "core/form.h"
#include "core/nic.h"
#include "net/pci.h"
#include "util/mem.h"
#include "util/str.h"

#define SAME_NETWORK "The standby must reach the same network on both hosts."

/* ---- the uplink ---- */

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
		if (str_list_has(names, b->uplinks[i].name))
			return &b->uplinks[i];
	return NULL;
}

/* What is named may be meant for the other bridges of the host. */
static bool names_a_device(const struct host_facts *f, const char *names)
{
	for (size_t i = 0; i < f->n_devices; i++)
		if (str_list_has(names, f->devices[i].name))
			return true;
	return false;
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
	const struct uplink_fact *u = names ? named_uplink(b, names) : NULL;
	CLEANUP_FREE char *all = list_uplinks(b);
	CLEANUP_FREE char *hint = str_printf("Name the one to use with %s.", option);

	if (!u && (!names || names_a_device(v->host, names)))
		u = only_uplink(b);
	if (u)
		return u;
	if (b->n_uplinks == 0 && b->without_vfs)
		problem_add(v->problems, "no-uplink", v->host,
			"Were they made at boot? See sriov_numvfs of the device in sysfs.",
			"the NIC of %s, a port of bridge %s, has no VFs", b->without_vfs, b->name);
	else if (b->n_uplinks == 0)
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
	str_set(&o->uplink_pf, v->pf->name);
	o->uplink_vf = u->vf_index;
	str_set(&o->rule, nic_rule_name(nic_rule_of(v->pf->driver, &known)));
	o->filter_limit = check_filter_limit(v->host, u);
	return true;
}

/* Fills in the bridge, and what use_uplink does; false when one of them is missing. */
static bool place_on_bridge(struct check_view *v, const char *bridge, const char *names,
	const char *option, struct pair_order *o)
{
	const struct uplink_fact *u;

	v->bridge = facts_bridge(v->host, bridge);
	if (!v->bridge) {
		problem_add(v->problems, "no-bridge", v->host, SAME_NETWORK,
			"there is no bridge %s", bridge);
		return false;
	}
	u = choose_uplink(v, names, option);
	if (!u)
		return false;
	str_set(&o->bridge, v->bridge->name);
	return use_uplink(v, u, o);
}

/* ---- what a network of VFs has ---- */

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

/* The network of VFs that may give this one out, or NULL. */
static const struct network_fact *network_with_vf(const struct host_facts *f,
	const struct vf_fact *vf)
{
	for (size_t i = 0; i < f->n_networks; i++) {
		const struct network_fact *n = &f->networks[i];

		for (size_t k = 0;
			str_equal(n->forward, "hostdev") && k < count_vfs_of_network(f, n); k++)
			if (vf_of_network(f, n, k) == vf)
				return n;
	}
	return NULL;
}

/* ---- the VF on the destination ---- */

static bool vf_is_taken_by_plan(const struct order *o, const char *address)
{
	for (size_t i = 0; i < o->n_pairs; i++)
		if (o->pairs[i].vf && str_equal(o->pairs[i].vf, address))
			return true;
	return false;
}

/*
 * A VF bound to vfio-pci that no domain has is somebody else's, unless that is how it is to be, or the
 * domain is defined with it: there are hosts that bind their VFs to it once for all.
 */
static bool driver_fits(const struct vf_fact *vf, bool managed)
{
	return pci_driver_is_vfio(vf->driver) != managed || (managed && vf->own);
}

/* Before the first macvtap stands on a VF nothing on the host shows that it is an uplink. */
static bool is_of_uplink(const struct check_view *v, const struct vf_fact *vf)
{
	const struct pf_fact *pf = NULL;

	if (!v->uplink || !facts_vf(v->host, vf->address, &pf))
		return false;
	for (size_t i = 0; i < v->host->n_devices; i++) {
		const struct uplink_fact *d = &v->host->devices[i];

		if (d->vf_index == vf->index && str_equal(d->pf, pf->name) &&
			str_equal(d->name, v->uplink->name))
			return true;
	}
	return false;
}

/* Why a VF is not free, as text that lasts as long as the facts do; "" when it is. */
static const char *user_of(const struct check_view *v, const struct vf_fact *vf)
{
	if (!str_is_empty(vf->user))
		return vf->user;
	if (is_of_uplink(v, vf))
		return "it is the uplink";
	return vf->has_attr ? "" : "its PF says nothing about it";
}

static bool vf_is_usable(const struct check_view *v, const struct order *o,
	const struct vf_fact *vf, bool managed)
{
	return str_is_empty(user_of(v, vf)) && !vf_is_taken_by_plan(o, vf->address) &&
	       driver_fits(vf, managed);
}

/* It is to be another pair's, by --vf. */
static bool is_named(const struct check_view *v, const char *address)
{
	for (size_t k = 0;; k++) {
		CLEANUP_FREE char *name = str_list_get(v->options->vf, k);
		char canonical[PCI_TEXT_SIZE];
		struct pci_address named;

		if (!name)
			return false;
		if (pci_parse(name, &named) < 0)
			continue; /* an empty place, or a problem that is noted elsewhere */
		pci_format(&named, canonical);
		if (str_equal(canonical, address))
			return true;
	}
}

/* The pairs in the definition that the host keeps. */
static void find_kept(const struct check_view *v, struct xml_pair_list *ret)
{
	struct err ignored;

	if (v->host->has_domain && v->host->domain.inactive)
		xml_pairs_find(v->host->domain.inactive, ret, &ignored);
}

/* The alias of the standby that is defined with this VF there, or NULL. */
static const char *keeper_of(const struct xml_pair_list *kept, const struct vf_fact *vf)
{
	for (size_t i = 0; i < kept->n; i++)
		if (str_equal(kept->v[i].primary.address, vf->address))
			return kept->v[i].standby_alias;
	return NULL;
}

/*
 * Higher is better: the one that the pair is defined with there, and last of all one that another pair is;
 * one that the domain is defined with otherwise; one that no network of VFs may want to give out; one whose
 * network device is down, so that the host does not use it in a way that does not show; the one with the
 * same number as on the source.
 */
static int score_vf(const struct check_view *v, const struct vf_fact *vf,
	const struct xml_pair_list *kept, int64_t like)
{
	const char *keeper = keeper_of(kept, vf);
	int by_keeper = !keeper ? 0 : str_equal(keeper, v->pair->standby_alias) ? 16 : -16;

	return by_keeper + (vf->own ? 8 : 0) + (network_with_vf(v->host, vf) ? 0 : 4) +
	       (vf->is_up ? 0 : 2) + (vf->index == like ? 1 : 0);
}

/* The best one, and of those the first. */
static const struct vf_fact *pick_vf(const struct check_view *v, const struct order *o,
	const struct pf_fact *pf, int64_t like, bool managed)
{
	CLEANUP_PAIRS struct xml_pair_list kept = { 0 };
	const struct vf_fact *best = NULL;

	find_kept(v, &kept);
	for (size_t i = 0; i < pf->n_vfs; i++) {
		const struct vf_fact *vf = &pf->vfs[i];

		if (vf_is_usable(v, o, vf, managed) && !is_named(v, vf->address) &&
			(!best || score_vf(v, vf, &kept, like) > score_vf(v, best, &kept, like)))
			best = vf;
	}
	return best;
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
	else if (!str_is_empty(user_of(v, vf)))
		problem_add(v->problems, "vf-in-use", v->host, "", "VF %s is not free: %s",
			canonical, user_of(v, vf));
	else if (vf_is_taken_by_plan(taken, canonical))
		problem_add(v->problems, "vf-in-use", v->host, "", "VF %s is named for two pairs",
			canonical);
	else if (!managed && !driver_fits(vf, managed))
		problem_add(v->problems, "vf-in-use", v->host, "",
			"VF %s is not bound to vfio-pci, and the domain says managed='no'",
			canonical);
	else
		return vf;
	return NULL;
}

static char *why_none_is_free(const struct check_view *v, const struct pf_fact *pf, bool managed)
{
	struct str_buf why = { 0 };

	for (size_t i = 0; i < pf->n_vfs; i++) {
		const struct vf_fact *vf = &pf->vfs[i];
		const char *user = user_of(v, vf);

		if (str_is_empty(user) && !driver_fits(vf, managed))
			user = managed ? "bound to vfio-pci, and may be somebody else's"
				       : "not bound to vfio-pci (managed='no')";
		str_buf_add(&why, "%s%s: %s", i ? "; " : "", vf->address,
			str_is_empty(user) ? "taken by another pair" : user);
	}
	return why.s ? why.s : str_dup("it has none");
}

/* Of the PFs below the uplink, in their order, the first that has a VF for it; rather with carrier. */
static const struct vf_fact *pick_below(const struct check_view *v, const struct order *taken,
	int64_t like, bool managed)
{
	const struct vf_fact *dead = NULL;

	for (size_t i = 0; i < v->host->n_devices; i++) {
		const struct uplink_fact *d = &v->host->devices[i];
		const struct pf_fact *pf = facts_pf(v->host, d->pf);
		const struct vf_fact *vf = NULL;

		if (pf && str_equal(d->name, v->uplink->name))
			vf = pick_vf(v, taken, pf, like, managed);
		if (vf && !pf->no_carrier)
			return vf;
		dead = dead ? dead : vf;
	}
	return dead;
}

/* ---- networks of VFs ---- */

/* What its domain needs it for is the hint. */
static void note_no_network(const struct check_view *v, const char *name, const char *hint)
{
	if (v->host->no_networks)
		problem_add(v->problems, "no-network", v->host, hint,
			"network \"%s\" cannot be looked at: %s", name, v->host->no_networks);
	else
		problem_add(v->problems, "no-network", v->host, hint,
			"there is no active network \"%s\"", name);
}

/* The network there that VFs are taken from. NULL: problem noted. */
static const struct network_fact *find_pool(const struct check_view *v, const char *name)
{
	const struct network_fact *n = facts_network(v->host, name);

	if (!n)
		note_no_network(v, name ? name : "",
			"The pair's VF is taken from the network of that name.");
	else if (!str_equal(n->forward, "hostdev"))
		problem_add(v->problems, "no-pool", v->host, "",
			"network \"%s\" has no VFs (its forward mode is \"%s\")", name, n->forward);
	else
		return n;
	return NULL;
}

#define HINT_OUT_OF_POOL "Take it out of the network: list the others in it."

/* libvirt does not look who else uses a VF: it would pull it away from under this host. */
static void check_pool(const struct check_view *v, const struct network_fact *n)
{
	for (size_t k = 0; k < count_vfs_of_network(v->host, n); k++) {
		const struct vf_fact *vf = vf_of_network(v->host, n, k);

		if (vf && (vf->host_uses || is_of_uplink(v, vf)))
			problem_add(v->problems, "pool-vf-in-use", v->host, HINT_OUT_OF_POOL,
				"libvirt may take VF %s of network \"%s\", but it is not free: %s",
				vf->address, n->name, user_of(v, vf));
	}
}

/* To one of the NICs that the network has; where that is not known, yes. */
static bool is_given_out(const struct network_fact *n, const struct vf_fact *vf)
{
	for (size_t i = 0; i < n->n_given; i++)
		if (str_equal(n->given[i].address, vf->address))
			return true;
	return n->given_unknown;
}

static const struct vf_fact *pick_from_pool(const struct check_view *v,
	const struct network_fact *n, const struct order *taken)
{
	CLEANUP_STR_BUF struct str_buf why = { 0 };

	for (size_t k = 0; k < count_vfs_of_network(v->host, n); k++) {
		const struct vf_fact *vf = vf_of_network(v->host, n, k);

		if (vf && vf_is_usable(v, taken, vf, n->managed))
			return vf;
		if (vf && vf->in_domain && !is_given_out(n, vf))
			problem_add(v->problems, "pool-vf-in-use", v->host, HINT_OUT_OF_POOL,
				"libvirt will try VF %s of network \"%s\" first, and fail: a domain runs "
				"with it that did not get it from there",
				vf->address, n->name);
		if (vf)
			str_buf_add(&why, "%s%s: %s", why.s ? "; " : "", vf->address,
				!str_is_empty(user_of(v, vf))  ? user_of(v, vf)
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

void choose_note_vf(struct check_view *v, const struct vf_fact *vf, const struct pf_fact *pf,
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

bool choose_vf(struct check_view *v, const struct order *taken, const char *wanted,
	const struct xml_primary *primary, int64_t like, struct pair_order *o)
{
	bool from_pool = form_by_name(o->form)->libvirt_picks_vf;
	const struct pf_fact *pf = v->pf;
	const struct vf_fact *vf = NULL;

	if (str_is_empty(wanted))
		wanted = NULL; /* an empty place in --vf */
	if (from_pool)
		vf = choose_from_pool(v, taken, wanted, primary->network);
	else if (wanted)
		vf = named_vf(v, wanted, taken, o->managed);
	else if (v->uplink)
		vf = pick_below(v, taken, like, o->managed);
	if (!vf && !wanted && !from_pool && v->uplink) {
		CLEANUP_FREE char *why = why_none_is_free(v, pf, o->managed);

		problem_add(v->problems, "no-free-vf", v->host,
			"Free a VF there, or name another with --vf.", "no VF of %s is free (%s)",
			pf->name, why);
	}
	if (!vf)
		return false;
	facts_vf(v->host, vf->address, &pf);
	choose_note_vf(v, vf, pf, o);
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
		note_no_network(v, pair->network, SAME_NETWORK);
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

	if (!v->pair->network && !v->pair->lower)
		problem_add(v->problems, "no-uplink", v->host, "",
			"the standby %s is a macvtap with no device below it",
			v->pair->standby_alias);
	if (!v->pair->network)
		return v->pair->lower;
	if (n && n->n_devices == 1)
		return n->devices[0].name;
	if (n)
		problem_add(v->problems, "no-network", v->host, SAME_NETWORK,
			"the network \"%s\" does not have one device for macvtaps",
			v->pair->network);
	else
		note_no_network(v, v->pair->network, SAME_NETWORK);
	return NULL;
}

/* A network's is that of this host. */
static const char *mode_of_macvtap(const struct check_view *v)
{
	const struct network_fact *n = facts_network(v->host, v->pair->network);
	const char *mode = n ? n->forward : v->pair->mode;

	return mode ? mode : "";
}

/* Fills in uplink, PF and rule for a standby that is a macvtap; false when one is missing. */
static bool place_macvtap(struct check_view *v, struct pair_order *o)
{
	const char *lower = device_below(v);
	const struct uplink_fact *u = facts_device(v->host, lower);

	if (!lower)
		return false;
	if (str_starts(mode_of_macvtap(v), "passt"))
		problem_add(v->problems, "macvtap-mode", v->host, "",
			"the standby %s is a macvtap that has %s for itself (mode passthrough)",
			v->pair->standby_alias, lower);
	if (!u)
		problem_add(v->problems, "no-uplink", v->host,
			"A VF of the guest's NIC, or its PF, must be below the macvtap.",
			"there is no device %s that belongs to an SR-IOV NIC", lower);
	return u && use_uplink(v, u, o);
}

static bool place(struct check_view *v, const char *names, const char *option, struct pair_order *o)
{
	const char *bridge;

	if (is_macvtap(v->pair))
		return place_macvtap(v, o);
	bridge = bridge_of(v);
	return bridge && place_on_bridge(v, bridge, names, option, o);
}

bool choose_place(struct check_view *v, const char *names, const char *option, struct pair_order *o)
{
	if (place(v, names, option, o))
		return true;
	v->uplink = NULL;
	return false;
}
