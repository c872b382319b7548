/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks of a pair, and of what it stands on: bridge, uplink, PF, VF. */
#include <inttypes.h>

#include "core/check_priv.h"
#include "core/nic.h"
#include "util/mem.h"
#include "util/str.h"

/* ---- the pair in the domain's definition ---- */

void check_standby_model(const struct check_view *v)
{
	/* "virtio-transitional" and "virtio-non-transitional" as well */
	if (!v->pair->standby_model || !str_starts(v->pair->standby_model, "virtio"))
		check_found(v, v->host, "", "the standby %s is not a virtio NIC",
			v->pair->standby_alias);
}

void check_primary_form(const struct check_view *v)
{
	enum primary_form form = v->pair->primary.form;

	/* The live definition shows a pool's VF as if it had been given by address. */
	if (v->defined && v->defined->primary.form != PRIMARY_NONE)
		form = v->defined->primary.form;
	if (form == PRIMARY_POOL || form == PRIMARY_HOSTDEV)
		check_found(v, v->host, "",
			"the primary of %s is given as %s, which is not supported; "
			"<interface type='hostdev'> is",
			v->pair->standby_alias,
			form == PRIMARY_POOL ? "a network of VFs" : "a plain <hostdev>");
}

/* ---- bridge, uplink, PF ---- */

void check_bridge_up(const struct check_view *v)
{
	if (!v->bridge->up)
		check_found(v, v->host, "", "bridge %s is down", v->bridge->name);
}

void check_pf_up(const struct check_view *v)
{
	if (!v->pf || !v->pf->up)
		check_found(v, v->host, "A VF cannot be attached while its PF is down.", "PF %s is down",
			v->uplink->pf);
}

void check_uplink_up(const struct check_view *v)
{
	const struct uplink_fact *u = v->uplink;

	if (!u->up || !u->running)
		check_found(v, v->host, "", "uplink %s of %s %s", u->name, v->bridge->name,
			u->up ? "has no carrier" : "is down");
}

void check_forwarding(const struct check_view *v)
{
	const struct uplink_fact *u = v->uplink;

	if (u->up && u->running && !u->forwarding)
		check_found(v, v->host, "", "uplink %s of %s is not forwarding", u->name,
			v->bridge->name);
}

/* The VF that is the uplink; NULL when it is the PF itself, or when the PF does not tell. */
static const struct vf_fact *uplink_vf(const struct check_view *v)
{
	for (size_t i = 0; v->pf && i < v->pf->n_vfs; i++)
		if (v->pf->vfs[i].index == v->uplink->vf_index)
			return &v->pf->vfs[i];
	return NULL;
}

static char *trust_hint(const struct check_view *v)
{
	return str_printf("ip link set %s vf %" PRId64 " trust on spoofchk off", v->uplink->pf,
		v->uplink->vf_index);
}

/* An uplink VF that is not trusted is refused the guest's MAC by many PFs, in silence. */
void check_trust(const struct check_view *v)
{
	const struct vf_fact *vf = uplink_vf(v);
	CLEANUP_FREE char *hint = trust_hint(v);

	if (vf && vf->trust == 0)
		check_found(v, v->host, hint,
			"uplink %s is not trusted: the NIC may refuse it the guest's MAC",
			v->uplink->name);
}

void check_spoofchk(const struct check_view *v)
{
	const struct vf_fact *vf = uplink_vf(v);
	CLEANUP_FREE char *hint = trust_hint(v);

	if (vf && vf->spoofchk == 1)
		check_found(v, v->host, hint,
			"uplink %s has spoof checking on: the NIC may drop what the guest sends",
			v->uplink->name);
}

/*
 * igb refuses the request to clear a filter since Linux 5.16 (584af82154f5): each entry set on a VF
 * of it takes one of some 13 slots until the VFs are created anew.
 */
void check_filter_leak(const struct check_view *v)
{
	if (v->pf && str_equal(v->pf->driver, "igb") && v->uplink->vf_index >= 0)
		check_found(v, v->host,
			"Watch the kernel log for \"no space for it\"; creating the VFs anew frees them.",
			"Linux's igb keeps every filter that uplink %s ever asked for: after a dozen "
			"moves it takes no more, and neighbours on %s may not reach guests that left",
			v->uplink->name, v->pf->name);
}

void check_nic_known(const struct check_view *v)
{
	bool known = true;

	if (v->pf)
		nic_rule_of(v->pf->driver, &known);
	if (!known)
		check_found(v, v->host, "",
			"it is not known how NICs with driver %s treat a MAC that the uplink and a VF "
			"share; the order that is safe everywhere is used, with a short gap",
			v->pf->driver);
}

/* ---- the VF ---- */

void check_other_pf(const struct check_view *v)
{
	if (!str_equal(v->pf->name, v->uplink->pf))
		check_found(v, v->host, "The standby's frames leave by another port than the VF's.",
			"VF %s is of %s, but the uplink %s is of %s", v->vf->address, v->pf->name,
			v->uplink->name, v->uplink->pf);
}

/* ---- both hosts ---- */

void check_mtu(const struct check_view *v)
{
	const struct bridge_fact *here = facts_bridge(v->host, v->order->bridge);
	const struct bridge_fact *there = facts_bridge(v->peer, v->peer_order->bridge);

	if (here && there && here->mtu != there->mtu)
		check_found(v, v->peer, "Large frames can be lost while the guest is on its standby.",
			"bridge %s has MTU %" PRId64 ", %s on %s has %" PRId64, there->name, there->mtu,
			here->name, v->host->hostname, here->mtu);
}
