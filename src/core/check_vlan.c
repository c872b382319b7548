/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the guest stays in its VLAN: by its VF and by its standby, on either host. */
#include <inttypes.h>

#include "core/check_priv.h"
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

/* libvirt carries over what its own <vlan> has set, and nothing else. */
enum { LIBVIRT_SETS_VLANS = 11000000 };

/*
 * A tap that comes is put into its bridge's default VLAN, unless somebody does as was done for this one.
 * *RET_PVID: the VLAN that it will be in there; 0: none.
 */
static void check_new_tap(const struct check_view *v, const struct tap_fact *tap,
	const struct bridge_fact *here, const struct bridge_fact *there, int64_t *ret_pvid)
{
	CLEANUP_FREE char *usual = usual_vlans(here);
	CLEANUP_FREE char *new = usual_vlans(there);

	*ret_pvid = there->pvid;
	if (!tap || !tap->vlans || str_equal(tap->vlans, usual))
		return;
	/* Who has put this one somewhere is taken to do so there as well. */
	*ret_pvid = vlans_pvid(tap->vlans);
	if (there->vlan_filtering && !str_equal(tap->vlans, new) &&
		!(v->pair->has_vlan && v->peer->libvirt >= LIBVIRT_SETS_VLANS))
		check_found(v, v->peer,
			"libvirt does not carry that over: a hook of libvirt's there may set it.",
			"tap %s is in the VLANs \"%s\" of its bridge, a new one there will be in "
			"\"%s\" (p: PVID, u: untagged)",
			tap->name, tap->vlans, new);
}

/* What the PF does for the VF nobody does for the standby, unless its uplink is set up so. */
void check_vlan(const struct check_view *v)
{
	const struct pair_order *orders[] = { v->order, v->peer_order };
	const struct host_facts *hosts[] = { v->host, v->peer };
	const struct bridge_fact *here = facts_bridge(v->host, v->order->bridge);
	const struct bridge_fact *there = facts_bridge(v->peer, v->peer_order->bridge);
	const struct tap_fact *tap = check_tap_of(v);
	int64_t pvid[] = { tap ? vlans_pvid(tap->vlans) : 0, 0 };

	if (here && there)
		check_new_tap(v, tap, here, there, &pvid[1]);
	for (size_t i = 0; v->order->has_attr && i < ARRAY_SIZE(hosts); i++) {
		int64_t vlan = vlan_of_standby(hosts[i], orders[i], pvid[i]);

		if (vlan == VLAN_SHUT)
			check_found(v, hosts[i],
				"While its standby carries it the guest is cut off: bridge vlan add dev "
				"UPLINK vid VLAN.",
				"bridge %s filters VLANs, and lets nothing of the standby's VLAN, "
				"%" PRId64 ", out by %s",
				orders[i]->bridge, pvid[i], orders[i]->uplink);
		if (vlan >= 0 && vlan != v->order->attr.vlan && v->order->attr.vlan >= 0)
			check_found(v, hosts[i],
				"While its standby carries it the guest is in another network (0: in none "
				"of the VLANs).",
				"the guest's VF is in VLAN %" PRId64
				", and uplink %s in VLAN %" PRId64,
				v->order->attr.vlan, orders[i]->uplink, vlan);
	}
}
