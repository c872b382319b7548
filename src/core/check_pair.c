/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks of a pair, and of what it stands on: bridge, uplink, PF, VF. */
#include <inttypes.h>
#include <linux/if_link.h>
#include <string.h>

#include "core/attr.h"
#include "core/check_priv.h"
#include "core/form.h"
#include "core/nic.h"
#include "net/pci.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/domain.h"

/* ---- the pair in the domain's definition ---- */

void check_standby_model(const struct check_view *v)
{
	/* "virtio-transitional" and "virtio-non-transitional" as well */
	if (!v->pair->standby_model || !str_starts(v->pair->standby_model, "virtio"))
		check_found(v, v->host, "", "the standby %s is not a virtio NIC",
			v->pair->standby_alias);
}

/*
 * QEMU's main loop stands still while it attaches a VF: in the lab, for one to three seconds with a
 * guest that writes memory, in which nobody hears the guest; with vhost-net for less than 0.2.
 * libvirt takes vhost-net where it is there.
 */
void check_vhost(const struct check_view *v)
{
	const struct host_facts *there = v->peer ? v->peer : v->host;

	if (str_equal(v->pair->standby_driver, "qemu"))
		check_found(v, v->host, "Without <driver name='qemu'/> it is vhost-net's business.",
			"QEMU itself carries the frames of the standby %s, and none while a VF is "
			"attached",
			v->pair->standby_alias);
	else if (there->no_vhost)
		check_found(v, there, "modprobe vhost_net, before the domain comes there.",
			"without vhost-net QEMU itself carries the frames of the standby %s, and "
			"none while a VF is attached",
			v->pair->standby_alias);
}

/* libvirt takes no other alias for the name of a primary's standby. */
void check_alias(const struct check_view *v)
{
	if (!str_starts(v->pair->standby_alias, "ua-"))
		check_found(v, v->host,
			"Give it one in the definition: <alias name='ua-standby'/>, and restart "
			"the domain.",
			"the standby's alias, %s, does not begin with ua-: no VF can be attached "
			"for it",
			v->pair->standby_alias);
}

void check_alias_returns(const struct check_view *v)
{
	const struct xml_primary *p = &v->pair->primary;

	if (p->form != PRIMARY_NONE && !p->keeps_alias)
		check_found(v, v->host,
			"Give the primary an alias of your own, beginning with ua-, and restart the domain.",
			"the primary of %s has the alias %s of libvirt's making; if it has to be given "
			"back it gets another one, and QEMU refuses that",
			v->pair->standby_alias, p->alias);
}

void check_port(const struct check_view *v)
{
	CLEANUP_FREE char *why = xml_primary_stuck(v->host->domain.live, v->pair->standby_alias);

	if (why)
		check_found(v, v->host,
			"Give it an address behind a pcie-root-port in the definition, and restart "
			"the domain.",
			"the primary of %s cannot be unplugged: %s", v->pair->standby_alias, why);
}

/* ---- bridge, uplink, PF ---- */

static bool is_always_on_at(const struct vf_fact *vf)
{
	return vf->has_attr && vf->attr.link_state == IFLA_VF_LINK_STATE_ENABLE;
}

bool check_is_cut_off(const struct check_view *v)
{
	const struct xml_primary *p = &v->pair->primary;
	const struct pf_fact *pf = NULL;
	const struct vf_fact *vf;

	/* Where it is given its VF, it has that, or nothing. */
	if (!v->peer || (v->planned->is_source && p->form == PRIMARY_NONE))
		return true;
	vf = v->planned->is_source ? facts_vf(v->host, p->address, &pf) : NULL;
	return vf && (!pf->up || (pf->no_carrier && !is_always_on_at(vf)));
}

static char *why_bridge_closed(const struct check_view *v)
{
	return v->bridge && !v->bridge->up ? str_printf("bridge %s is down", v->bridge->name)
					   : NULL;
}

static char *why_uplink_closed(const struct check_view *v)
{
	const struct uplink_fact *u = v->uplink;

	if (u->up && u->running)
		return NULL;
	return str_printf("uplink %s of %s %s", u->name,
		v->bridge ? v->bridge->name : v->pair->standby_alias,
		u->up ? "has no carrier" : "is down");
}

static char *why_port_closed(const struct check_view *v)
{
	const struct uplink_fact *u = v->uplink;

	if (!v->bridge || !u->up || !u->running || u->forwarding)
		return NULL;
	return str_printf("uplink %s of %s is not forwarding", u->name, v->bridge->name);
}

static char *why_isolated(const struct check_view *v)
{
	if (!v->bridge || !v->uplink || !v->pair->isolated || !v->uplink->isolated)
		return NULL;
	return str_printf(
		"the standby %s and uplink %s are isolated ports: %s forwards nothing between them",
		v->pair->standby_alias, v->uplink->name, v->bridge->name);
}

static void refuse_closed(const struct check_view *v,
	char *(*why_closed)(const struct check_view *))
{
	CLEANUP_FREE char *why = check_is_cut_off(v) ? NULL : why_closed(v);

	if (why)
		check_found(v, v->host, "", "%s", why);
}

void check_bridge_up(const struct check_view *v)
{
	refuse_closed(v, why_bridge_closed);
}

void check_uplink_up(const struct check_view *v)
{
	refuse_closed(v, why_uplink_closed);
}

void check_forwarding(const struct check_view *v)
{
	refuse_closed(v, why_port_closed);
}

void check_isolated(const struct check_view *v)
{
	refuse_closed(v, why_isolated);
}

/* A VF at rest hides it: nobody misses frames that the guest does not get by its standby. */
void check_packet_filter(const struct check_view *v)
{
	if (v->bridge && v->host->filtered)
		check_found(v, v->host,
			"iptables -I FORWARD -m physdev --physdev-is-bridged -j ACCEPT, or "
			"net.bridge.bridge-nf-call-iptables=0, unless a rule there does so.",
			"%s hands its %s frames to this host's FORWARD chain, whose policy is to drop "
			"them (br_netfilter)",
			v->bridge->name, v->host->filtered);
}

/* The pair's on V's host, if it has one there. */
const struct tap_fact *check_tap_of(const struct check_view *v)
{
	const struct domain_fact *d = &v->host->domain;

	for (size_t i = 0; i < d->n_taps; i++)
		if (str_equal(d->taps[i].name, v->pair->tap))
			return &d->taps[i];
	return NULL;
}

static const char *why_tap_closed(const struct check_view *v, const struct tap_fact *tap)
{
	if (!tap->is_there)
		return "is not there";
	if (!str_equal(tap->bridge, v->bridge->name))
		return "is no port of the bridge";
	return tap->up ? NULL : "is down";
}

/* Once its VF is gone the guest has nothing else. One that STP holds up is waited for. */
void check_tap(const struct check_view *v)
{
	const struct tap_fact *tap = v->bridge && !check_is_cut_off(v) ? check_tap_of(v) : NULL;
	const char *why = tap ? why_tap_closed(v, tap) : NULL;
	CLEANUP_FREE char *hint =
		tap ? str_printf("ip link set %s up master %s", tap->name, v->bridge->name) : NULL;

	if (why)
		check_found(v, v->host, hint, "tap %s of the standby %s %s (%s)", tap->name,
			v->pair->standby_alias, why, v->bridge->name);
}

void check_cut_off(const struct check_view *v)
{
	static char *(*const ways[])(const struct check_view *) = { why_bridge_closed,
		why_uplink_closed, why_port_closed, why_isolated };

	for (size_t i = 0; i < ARRAY_SIZE(ways) && check_is_cut_off(v); i++) {
		CLEANUP_FREE char *why = ways[i](v);

		if (why)
			check_found(v, v->host,
				"Until the guest has a VF that works, nothing may reach it.",
				"%s: the standby cannot carry the guest", why);
	}
}

static void find_pf_down(const struct check_view *v, const char *pf)
{
	check_found(v, v->host, "A VF cannot be attached while its PF is down.", "PF %s is down",
		pf);
}

void check_pf_up(const struct check_view *v)
{
	bool leaves = v->peer && check_is_cut_off(v); /* the guest, and nothing is attached here */

	if (!v->uplink->spare && !leaves && (!v->pf || !v->pf->up))
		find_pf_down(v, v->uplink->pf);
}

static void find_switchdev(const struct check_view *v)
{
	check_found(v, v->host, "devlink dev eswitch set pci/… mode legacy",
		"the embedded switch of %s is in switchdev mode, which is not supported: frames "
		"for a VF go by representors there",
		v->pf->name);
}

void check_switchdev(const struct check_view *v)
{
	if (v->pf && v->pf->is_switchdev && !v->uplink->spare)
		find_switchdev(v);
}

/* The VF that is the uplink; NULL when it is the PF itself, or when the PF does not tell. */
static const struct vf_fact *uplink_vf(const struct check_view *v)
{
	return facts_vf_of(v->host, v->uplink->pf, v->uplink->vf_index);
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

	/* Without an administrator's MAC nothing is refused. */
	if (vf && vf->has_attr && vf->attr.trust == 0 && !str_equal(vf->mac, "00:00:00:00:00:00"))
		check_found(v, v->host, hint,
			"uplink %s is not trusted: the NIC may refuse it the guest's MAC",
			v->uplink->name);
}

void check_spoofchk(const struct check_view *v)
{
	const struct vf_fact *vf = uplink_vf(v);
	CLEANUP_FREE char *hint = trust_hint(v);

	if (vf && vf->has_attr && vf->attr.spoofchk == 1)
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
	if (v->pf && nic_leaks_filters(v->pf->driver) && v->uplink->vf_index >= 0)
		check_found(v, v->host,
			"Watch the kernel log for \"no space for it\"; creating the VFs anew frees "
			"them.",
			"Linux's %s keeps every filter that uplink %s ever asked for: after a dozen "
			"moves it takes no more, and neighbours on %s may not reach guests that "
			"left",
			v->pf->driver, v->uplink->name, v->pf->name);
}

/* The words of LIST that are not in the list NOT_IN (may be NULL). */
static size_t count_words(const char *list, const char *not_in)
{
	size_t n = 0;

	for (size_t k = 0;; k++) {
		CLEANUP_FREE char *word = str_list_get(list, k);

		if (str_is_empty(word))
			return n;
		n += !str_list_has(not_in, word);
	}
}

/* Two VLAN devices on one function share its places. */
static bool is_on_uplink(const struct pair_order *o, const struct uplink_fact *u)
{
	return str_equal(o->uplink, u->name) ||
	       (o->uplink_vf == u->vf_index && str_equal(o->uplink_pf, u->pf));
}

/* The pairs planned before this one that need the same uplink, and are not in its list. */
static size_t count_planned(const struct check_view *v)
{
	size_t n = 0;

	for (size_t i = 0; v->planned && i < v->planned->n_pairs; i++) {
		const struct pair_order *o = &v->planned->pairs[i];

		n += o != v->order && o->uplink && is_on_uplink(o, v->uplink) &&
		     !str_list_has(v->uplink->filters, o->mac);
	}
	return n;
}

int check_filter_limit(const struct host_facts *f, const struct uplink_fact *u)
{
	const struct vf_fact *vf = facts_vf_of(f, u->pf, u->vf_index);

	return nic_filter_limit(u->driver, u->vf_index >= 0,
		vf && vf->has_attr && vf->attr.trust == 1);
}

static bool needs_room(const struct check_view *v)
{
	/* A guest that stays here, on its VF, needs none. */
	return (v->peer || !v->order->had_primary) &&
	       !str_list_has(v->uplink->filters, v->order->mac);
}

/* Once the MACs in WITHOUT (may be NULL) are gone. */
static bool has_room(const struct check_view *v, const char *without)
{
	int limit = check_filter_limit(v->host, v->uplink);

	return limit < 0 ||
	       count_words(v->uplink->filters, without) + count_planned(v) < (size_t)limit;
}

static void find_full(const struct check_view *v, const char *hint)
{
	check_found(v, v->host, hint,
		"uplink %s (driver %s) takes %d MACs besides its own, and has %zu: %s",
		v->uplink->name, v->uplink->driver, check_filter_limit(v->host, v->uplink),
		count_words(v->uplink->filters, NULL) + count_planned(v), v->uplink->filters);
}

/* Beyond its limit the driver agrees and drops the guest's frames. */
void check_filters(const struct check_view *v)
{
	if (needs_room(v) && !has_room(v, v->uplink->held))
		find_full(v,
			check_filter_limit(v->host, v->uplink)
				? "Each guest that is on its standby takes one: give them their VFs back "
				  "with reattach."
				: "Is its VF trusted? Else it takes another uplink, as the PF itself.");
}

/* As room_take (core/room.h) has it. */
void check_filters_held(const struct check_view *v)
{
	if (needs_room(v) && !has_room(v, NULL) && has_room(v, v->uplink->held))
		find_full(v, "Wait for the other runs to end: they keep room for their guests.");
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

/* Nobody but the VF itself tells the MAC of a plain <hostdev>; on the destination it is set. */
void check_vf_mac(const struct check_view *v)
{
	const struct pair_order *o = v->order;
	CLEANUP_FREE char *hint = NULL;

	if (form_by_name(o->form)->libvirt_sets_mac || !o->had_primary ||
		str_is_empty(v->vf->mac) || str_equal(v->vf->mac, o->mac))
		return;
	hint = str_printf("With the domain shut off: ip link set %s vf %" PRId64 " mac %s",
		v->pf->name, v->vf->index, o->mac);
	check_found(v, v->host, hint,
		"the MACs of the pair differ: standby %s has %s, its primary, VF %s, has %s",
		o->standby_alias, o->mac, v->vf->address, v->vf->mac);
}

/* Where the uplink stands on the VF's PF; NULL: it does not, or there is none. A bond stands on several. */
static const struct uplink_fact *uplink_on_pf(const struct check_view *v)
{
	for (size_t i = 0; v->uplink && i < v->host->n_devices; i++)
		if (str_equal(v->host->devices[i].name, v->uplink->name) &&
			str_equal(v->host->devices[i].pf, v->pf->name))
			return &v->host->devices[i];
	return NULL;
}

#define HINT_OTHER_PORT "The standby's frames leave by another port than the VF's."

void check_other_pf(const struct check_view *v)
{
	const struct uplink_fact *u = uplink_on_pf(v);

	if (!v->uplink)
		return;
	if (!u)
		check_found(v, v->host, HINT_OTHER_PORT,
			"VF %s is of %s, but the uplink %s is of %s", v->vf->address, v->pf->name,
			v->uplink->name, v->uplink->pf);
	else if (u->spare)
		check_found(v, v->host, HINT_OTHER_PORT,
			"VF %s is of %s, which %s does not use as long as %s works", v->vf->address,
			v->pf->name, v->uplink->name, v->uplink->pf);
}

/* The VF that the guest is to get is of a PF that nobody has looked at with the uplink. */
static bool is_of_another_pf(const struct check_view *v)
{
	return !v->order->had_primary && !str_equal(v->pf->name, v->uplink ? v->uplink->pf : NULL);
}

void check_vf_pf_up(const struct check_view *v)
{
	if (is_of_another_pf(v) && !v->pf->up)
		find_pf_down(v, v->pf->name);
}

void check_vf_pf_switchdev(const struct check_view *v)
{
	if (is_of_another_pf(v) && v->pf->is_switchdev)
		find_switchdev(v);
}

/* It has carrier whatever becomes of the port, and hears the uplink at least. */
static bool is_always_on(const struct check_view *v)
{
	const struct vf_attr *attr = v->order->has_attr ? &v->order->attr : &v->vf->attr;

	return attr->link_state == IFLA_VF_LINK_STATE_ENABLE && uplink_on_pf(v);
}

/* libvirt takes what it likes of a network's VFs. */
static const char *hint_at_another(const struct check_view *v, const char *of_pool, const char *own)
{
	return form_by_name(v->order->form)->libvirt_picks_vf ? of_pool : own;
}

/* A VF that the guest has already is another matter: it may leave it. */
void check_pf_carrier(const struct check_view *v)
{
	if (v->pf->no_carrier && !v->order->had_primary && !is_always_on(v))
		check_found(v, v->host,
			hint_at_another(v, "Mend the link, or take its VFs out of the network.",
				"Mend the link, or name another VF with --vf."),
			"PF %s has no carrier: the guest would be cut off on VF %s", v->pf->name,
			v->vf->address);
}

/* Not all that a program does with a device shows: DPDK on some drivers, captures, routing daemons. */
void check_vf_up(const struct check_view *v)
{
	if (v->vf->is_up && !v->order->had_primary)
		check_found(v, v->host,
			hint_at_another(v,
				"If nobody needs it, set it down; else take it out of the network.",
				"If nobody needs it, set it down; else name another VF with --vf."),
			"the network device of VF %s is up: a program on the host may use it",
			v->vf->address);
}

/* QEMU shows a primary to a guest only whose virtio driver knows of failover. */
void check_used(const struct check_view *v)
{
	if (v->order->had_primary && v->vf->idle)
		check_found(v, v->host,
			"Does the guest run net_failover, with a driver for the VF? Else it will stay "
			"on its standby there.",
			"the guest does not use VF %s: it is no bus master", v->vf->address);
}

/* A driver of the vfio family that is made for one device can save and load its state. */
void check_native(const struct check_view *v)
{
	if (pci_driver_is_vfio(v->vf->driver) && !str_equal(v->vf->driver, "vfio-pci"))
		check_found(v, v->host,
			"See whether virsh migrate moves the domain without the pair.",
			"VF %s is bound to %s: it may be that QEMU can migrate it as it is, and that "
			"this program is not needed",
			v->vf->address, v->vf->driver);
}

/* Tells each other VF of the host that has the pair's MAC. */
static void find_mac(const struct check_view *v, bool in_use)
{
	for (size_t i = 0; i < v->host->n_pfs; i++) {
		const struct pf_fact *pf = &v->host->pfs[i];

		for (size_t k = 0; k < pf->n_vfs; k++) {
			const struct vf_fact *vf = &pf->vfs[k];
			CLEANUP_FREE char *hint =
				str_printf("ip link set %s vf %" PRId64 " mac 00:00:00:00:00:00",
					pf->name, vf->index);

			if (!str_equal(vf->mac, v->order->mac) ||
				str_equal(vf->address, v->vf->address) ||
				str_is_empty(vf->user) == in_use)
				continue;
			check_found(v, v->host, hint,
				"VF %s has %s as well%s%s: the NIC may give it the guest's frames",
				vf->address, vf->mac, in_use ? ", and is in use: " : "",
				in_use ? vf->user : "");
		}
	}
}

void check_mac_used(const struct check_view *v)
{
	find_mac(v, true);
}

void check_mac_left(const struct check_view *v)
{
	find_mac(v, false);
}

/* ---- both hosts ---- */

void check_mac_of_domain(const struct check_view *v)
{
	for (size_t i = 0; i < v->peer->n_domains; i++) {
		const struct domain_name *d = &v->peer->domains[i];

		if (str_list_has(d->macs, v->order->mac) &&
			!str_equal(d->uuid, v->host->domain.uuid))
			check_found(v, v->peer, "Two guests cannot have one MAC.",
				"domain %s runs there with %s", d->name, v->order->mac);
	}
}

/* A VF takes no larger frames than its PF; some drivers stop it altogether (ixgbe_set_vf_lpe). */
static void check_pf_mtu(const struct check_view *v)
{
	const struct pf_fact *here = facts_pf(v->host, v->order->pf);
	const struct pf_fact *there = facts_pf(v->peer, v->peer_order->pf);

	if (here && there && here->mtu > there->mtu && there->mtu)
		check_found(v, v->peer,
			"A guest that uses large frames loses them on its VF there, or gets none.",
			"PF %s has MTU %" PRId64 ", %s on %s has %" PRId64, there->name, there->mtu,
			here->name, v->host->hostname, here->mtu);
}

/* Nobody tells the guest that its way has become narrower. */
static void check_way_of_standby(const struct check_view *v, const struct host_facts *f,
	const struct pair_order *o)
{
	const struct bridge_fact *b = facts_bridge(f, o->bridge);
	const struct uplink_fact *u = facts_device(f, o->uplink);
	const struct pf_fact *pf = facts_pf(f, o->pf);
	int64_t mtu;

	if (!u || !pf || !u->mtu)
		return;
	mtu = b && b->mtu < u->mtu ? b->mtu : u->mtu;
	if (pf->mtu > mtu)
		check_found(v, f,
			"Frames larger than that are lost while the guest is on its standby, if it sends any.",
			"PF %s has MTU %" PRId64 ", the way of the standby by %s %" PRId64,
			pf->name, pf->mtu, u->name, mtu);
}

void check_mtu(const struct check_view *v)
{
	const struct bridge_fact *here = facts_bridge(v->host, v->order->bridge);
	const struct bridge_fact *there = facts_bridge(v->peer, v->peer_order->bridge);

	if (here && there && here->mtu != there->mtu)
		check_found(v, v->peer,
			"Large frames can be lost while the guest is on its standby.",
			"bridge %s has MTU %" PRId64 ", %s on %s has %" PRId64, there->name,
			there->mtu, here->name, v->host->hostname, here->mtu);
	check_pf_mtu(v);
}

void check_standby_mtu(const struct check_view *v)
{
	check_way_of_standby(v, v->host, v->order);
	check_way_of_standby(v, v->peer, v->peer_order);
}

/* The standby's tap joins when the migration begins. */
void check_stp(const struct check_view *v)
{
	const struct bridge_fact *there = facts_bridge(v->peer, v->peer_order->bridge);

	if (there && there->join_ms > 0)
		check_found(v, v->peer,
			"A guest that is copied sooner is cut off until then: set the bridge's forward "
			"delay to 0, or its STP off, where there is no loop.",
			"bridge %s runs STP: its port for the standby forwards after %.0f s only",
			there->name, (double)there->join_ms / 1000);
}

/* Known before it is tried: the driver does not tell, or its source says no. */
static bool lacks(enum vf_attr_kind kind, const struct vf_attr *there, const struct vf_attr *wanted,
	const char *pf_driver)
{
	if (kind == VF_LINK_STATE && nic_lacks_link_state(pf_driver))
		return true;
	if (kind == VF_RATE && wanted->min_rate > 0 && nic_lacks_min_rate(pf_driver))
		return true;
	return !vf_attr_is_said(kind, there);
}

void check_attributes(const struct check_view *v)
{
	const struct pair_order *here = v->order, *there = v->peer_order;
	const struct vf_fact *vf = facts_vf(v->peer, there->vf, NULL);

	if (!here->has_attr || !vf || !vf->has_attr)
		return;
	for (enum vf_attr_kind kind = VF_TRUST; kind < VF_ATTRS; kind++) {
		char text[VF_ATTR_TEXT_SIZE];

		if (attr_is_default(kind, &here->attr, here->pf_driver) ||
			!lacks(kind, &vf->attr, &here->attr, there->pf_driver))
			continue;
		vf_attr_format(kind, &here->attr, text);
		check_found(v, v->peer,
			"The guest can do without it, or name another VF with --vf.",
			"VF %s cannot be given what VF %s on %s has: %s (driver %s)", there->vf,
			here->vf, v->host->hostname, text, there->pf_driver);
	}
}

/*
 * Since 6.1 QEMU waits, when a migration is given up, until the guest has let its VF go, and gives it
 * back in a state in which it can be taken again.
 */
enum { QEMU_REPLUGS = 6001000 };

/* While QEMU has the VF it keeps the guest's MAC, on either host and all the time of the copy. */
void check_unplug(const struct check_view *v)
{
	const struct pair_order *orders[] = { v->order, v->peer_order };
	const struct host_facts *hosts[] = { v->host, v->peer };
	static const char hint[] = "Migrate it without --unplug=qemu.";

	if (!v->order->qemu_unplugs)
		return;
	if (v->host->qemu && v->host->qemu < QEMU_REPLUGS)
		check_found(v, v->host, hint,
			"QEMU before 6.1 does not give a VF back reliably when the migration fails");
	if (!form_by_name(v->order->form)->libvirt_sets_mac)
		check_found(v, v->host, hint,
			"the VF of %s is a plain <hostdev>: nobody sets its MAC when QEMU gives it",
			v->order->standby_alias);
	if (v->options->copy_storage_all || v->options->copy_storage_inc)
		check_found(v, v->host, hint,
			"the neighbours on %s could not reach the guest while its disks are copied, "
			"as it still has its VF then",
			v->order->bridge ? v->order->bridge : v->order->uplink);
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++)
		if (orders[i]->rule && nic_rule_from_name(orders[i]->rule) != NIC_REPLICATES)
			check_found(v, hosts[i], hint,
				"the NIC of %s does not give the guest's frames to VF and uplink "
				"both, and QEMU's VF has the guest's MAC all the time",
				orders[i]->uplink);
}
