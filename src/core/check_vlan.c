/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the guest stays in its VLAN: by its VF and by its standby, on either host. */
#include <inttypes.h>

#include "core/check_priv.h"
#include "core/form.h"
#include "core/vlans.h"
#include "util/mem.h"
#include "util/str.h"

/* The uplink as a port of the pair's bridge: only there it is told which VLANs it is in. */
static const struct uplink_fact *port_of_bridge(const struct bridge_fact *b, const char *name)
{
	for (size_t i = 0; b && i < b->n_uplinks; i++)
		if (str_equal(b->uplinks[i].name, name))
			return &b->uplinks[i];
	return NULL;
}

enum { VLAN_UNKNOWN = -1, VLAN_SHUT = -2 };

/*
 * The tag that goes on what leaves by the pair's uplink. PVID: the VLAN that the standby's tap is in, of
 * a bridge that filters VLANs; 0: none, or unknown. VLAN_SHUT: such a bridge lets nothing of it out.
 */
static int64_t vlan_of_standby(const struct host_facts *f, const struct pair_order *o, int64_t pvid)
{
	const struct bridge_fact *b = facts_bridge(f, o->bridge);
	const struct uplink_fact *u = facts_device(f, o->uplink);
	const struct uplink_fact *port = port_of_bridge(b, o->uplink);
	const struct vf_fact *vf = u ? facts_vf_of(f, u->pf, u->vf_index) : NULL;
	bool untagged = true;
	int64_t tag;

	if (!u || (vf && !vf->has_attr) || (b && b->vlan_filtering && (!port || !port->vlans)))
		return VLAN_UNKNOWN;
	/* A guest that tags by itself knows what it does. */
	if (b && b->vlan_filtering && !pvid)
		return VLAN_UNKNOWN;
	if (b && b->vlan_filtering && !vlans_have(port->vlans, pvid, &untagged))
		return VLAN_SHUT;
	if (vf && vf->attr.vlan > 0 && u->vlan)
		return VLAN_UNKNOWN; /* two tags */
	tag = vf && vf->attr.vlan > 0 ? vf->attr.vlan : u->vlan;
	if (untagged)
		return tag;
	return tag ? VLAN_UNKNOWN : pvid;
}

/* What a tap that nobody has put anywhere has in a bridge. Caller frees. */
static char *usual_vlans(const struct bridge_fact *b)
{
	return b->pvid ? str_printf("%" PRId64 "pu", b->pvid) : str_dup("");
}

/* Since then libvirt puts taps into VLANs: what their <vlan> says, else what their network does. */
enum { LIBVIRT_SETS_VLANS = 11000000 };

static bool libvirt_sets_own_vlan(const struct check_view *v)
{
	return v->carried->has_vlan && v->peer->libvirt >= LIBVIRT_SETS_VLANS;
}

/* The VLAN that libvirt puts the standby into as its network on F says; 0: none; -1: several, or unknown. */
static int64_t vlan_by_network(const struct check_view *v, const struct host_facts *f)
{
	const struct network_fact *n = facts_network(f, v->carried->network);

	if (!n || v->carried->has_vlan || f->libvirt < LIBVIRT_SETS_VLANS)
		return 0;
	return facts_network_vlan(n, v->carried->portgroup);
}

/* Whether the pair's tap here is where a new one is not. */
static bool is_put_elsewhere(const struct check_view *v, const struct tap_fact *tap)
{
	const struct bridge_fact *here = facts_bridge(v->host, v->order->bridge);
	CLEANUP_FREE char *usual = here ? usual_vlans(here) : NULL;

	return here && tap && tap->vlans && !str_equal(tap->vlans, usual);
}

/* By somebody, who is taken to do so there as well, and not by libvirt. */
static bool is_put_by_somebody(const struct check_view *v, const struct tap_fact *tap)
{
	return is_put_elsewhere(v, tap) && !libvirt_sets_own_vlan(v) &&
	       !vlan_by_network(v, v->host) && !vlan_by_network(v, v->peer);
}

/* The VLAN that a tap that comes will be in. 0: none, or unknown. */
static int64_t pvid_there(const struct check_view *v, const struct tap_fact *tap)
{
	const struct bridge_fact *there = facts_bridge(v->peer, v->peer_order->bridge);
	int64_t tag = vlan_by_network(v, v->peer);

	if (!there || !facts_bridge(v->host, v->order->bridge))
		return 0;
	if (libvirt_sets_own_vlan(v) || is_put_by_somebody(v, tap))
		return tap ? vlans_pvid(tap->vlans) : 0;
	return tag < 0 ? 0 : tag ? tag : there->pvid;
}

/* NULL: as that of the pair here, or unknown. Caller frees. */
static char *vlans_of_new_tap(const struct check_view *v, const struct tap_fact *tap,
	const struct bridge_fact *there)
{
	int64_t tag = vlan_by_network(v, v->peer);

	if (libvirt_sets_own_vlan(v) || tag < 0 || (tag && tag == vlans_pvid(tap->vlans)))
		return NULL;
	return tag ? str_printf("%" PRId64 "pu", tag) : usual_vlans(there);
}

static void check_new_tap(const struct check_view *v)
{
	const struct bridge_fact *there = facts_bridge(v->peer, v->peer_order->bridge);
	const struct tap_fact *tap = check_tap_of(v);
	CLEANUP_FREE char *new = NULL;

	if (!there || !there->vlan_filtering || !is_put_elsewhere(v, tap))
		return;
	new = vlans_of_new_tap(v, tap, there);
	if (new && !str_equal(tap->vlans, new))
		check_found(v, v->peer,
			vlan_by_network(v, v->peer)
				? "That is what its network there has."
				: "libvirt does not carry that over: a hook of libvirt's there may set it.",
			"tap %s is in the VLANs \"%s\" of its bridge, a new one there will be in "
			"\"%s\" (p: PVID, u: untagged)",
			tap->name, tap->vlans, new);
}

enum { HERE, THERE, HOSTS };

/* The VLANs that the guest is in, on either host. */
struct guest_vlans {
	int64_t pvid[HOSTS];    /* as the standby's bridge numbers it */
	int64_t standby[HOSTS]; /* vlan_of_standby */
	int64_t vf[HOSTS];      /* 0: none; -1: unknown */
	bool is_guess;          /* the standby's on the destination */
};

/* libvirt gives a VF of a network the VLAN that it has there; else it has the one that it has here. */
static bool is_by_network(const struct check_view *v)
{
	return form_by_name(v->order->form)->libvirt_picks_vf && !v->carried->primary.has_vlan;
}

static int64_t vlan_of_vf_there(const struct check_view *v, int64_t here)
{
	const struct xml_primary *p = &v->carried->primary;

	return is_by_network(v)
		       ? facts_network_vlan(facts_network(v->peer, p->network), p->portgroup)
		       : here;
}

static struct guest_vlans look_at_vlans(const struct check_view *v)
{
	const struct tap_fact *tap = check_tap_of(v);
	int64_t pvid[] = { tap ? vlans_pvid(tap->vlans) : 0, pvid_there(v, tap) };
	int64_t vf = v->order->has_attr ? v->order->attr.vlan : VLAN_UNKNOWN;

	return (struct guest_vlans){
		.pvid = { pvid[HERE], pvid[THERE] },
		.standby = { vlan_of_standby(v->host, v->order, pvid[HERE]),
			vlan_of_standby(v->peer, v->peer_order, pvid[THERE]) },
		.vf = { vf, vlan_of_vf_there(v, vf) },
		.is_guess = is_put_by_somebody(v, tap),
	};
}

/* One cable carries both: a number means one network. */
static bool is_on_one_port(const struct host_facts *f, const struct pair_order *o)
{
	for (size_t i = 0; i < f->n_devices; i++)
		if (str_equal(f->devices[i].name, o->uplink) && str_equal(f->devices[i].pf, o->pf))
			return true;
	return false;
}

/* The guest was in one network by both, and there it will be in two, of which its VF's is the new one. */
static bool is_cut_off_by_network(const struct check_view *v, const struct guest_vlans *x)
{
	return is_by_network(v) && !x->is_guess && x->vf[HERE] >= 0 &&
	       x->standby[HERE] == x->vf[HERE] && x->standby[THERE] >= 0 && x->vf[THERE] >= 0 &&
	       x->vf[THERE] != x->standby[THERE] && x->vf[THERE] != x->vf[HERE] &&
	       is_on_one_port(v->host, v->order) && is_on_one_port(v->peer, v->peer_order);
}

#define HINT_OF_NETWORK \
	"Give both networks one VLAN, or the domain's <interface> a <vlan> of its own."

void check_pool_vlan(const struct check_view *v)
{
	struct guest_vlans x = look_at_vlans(v);

	if (is_cut_off_by_network(v, &x))
		check_found(v, v->peer, HINT_OF_NETWORK,
			"network \"%s\" puts the guest's VF into VLAN %" PRId64
			" there, where its standby is in VLAN %" PRId64
			" (0: none); on %s both are in VLAN %" PRId64,
			v->carried->primary.network, x.vf[THERE], x.standby[THERE],
			v->host->hostname, x.vf[HERE]);
}

/* The VF's on the destination is another one: unless both numbers mean one network, the guest is cut off. */
static void check_new_vf(const struct check_view *v, const struct guest_vlans *x)
{
	if (x->vf[HERE] >= 0 && x->vf[THERE] >= 0 && x->vf[HERE] != x->vf[THERE] &&
		!is_cut_off_by_network(v, x))
		check_found(v, v->peer, HINT_OF_NETWORK,
			"the guest's VF is in VLAN %" PRId64
			", network \"%s\" there puts it into VLAN %" PRId64 " (0: none)",
			x->vf[HERE], v->carried->primary.network, x->vf[THERE]);
}

/* What the PF does for the VF nobody does for the standby, unless its uplink is set up so. */
static void check_way_of_standby(const struct check_view *v, const struct guest_vlans *x, size_t i)
{
	const struct pair_order *o = i == HERE ? v->order : v->peer_order;
	const struct host_facts *f = i == HERE ? v->host : v->peer;

	if (x->standby[i] == VLAN_SHUT)
		check_found(v, f,
			"While its standby carries it the guest is cut off: bridge vlan add dev "
			"UPLINK vid VLAN.",
			"bridge %s filters VLANs, and lets nothing of the standby's VLAN, "
			"%" PRId64 ", out by %s",
			o->bridge, x->pvid[i], o->uplink);
	if (x->standby[i] >= 0 && x->vf[i] >= 0 && x->standby[i] != x->vf[i])
		check_found(v, f,
			"While its standby carries it the guest is in another network (0: in none "
			"of the VLANs).",
			"the guest's VF is in VLAN %" PRId64 ", and uplink %s in VLAN %" PRId64,
			x->vf[i], o->uplink, x->standby[i]);
}

void check_vlan(const struct check_view *v)
{
	struct guest_vlans x = look_at_vlans(v);

	check_new_tap(v);
	check_new_vf(v, &x);
	for (size_t i = 0; v->order->has_attr && i < HOSTS; i++)
		if (i == HERE || !is_cut_off_by_network(v, &x))
			check_way_of_standby(v, &x, i);
}
