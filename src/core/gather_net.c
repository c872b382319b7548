/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/if_bridge.h>
#include <stdlib.h>

#include "agent/lock.h"
#include "core/gather_priv.h"
#include "core/room.h"
#include "core/vf_user.h"
#include "core/vlans.h"
#include "net/devlink.h"
#include "net/forward.h"
#include "net/fdb.h"
#include "net/link.h"
#include "net/pci.h"
#include "util/hwaddr.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"

/* Devices that may stand on one another: a VLAN device on a bond on a VF is two. */
enum { STACK_MAX = 4 };

struct net_view {
	struct vf_user_view host;
	struct pci_pf_list pfs;
	struct fdb_list entries; /* all of them */
};

static void net_view_free(struct net_view *n)
{
	vf_user_view_free(&n->host);
	pci_pf_list_free(&n->pfs);
	fdb_list_free(&n->entries);
}

static void mark_used(struct vf_fact *f, char *why)
{
	free(f->user);
	f->user = why;
}

/* A VLAN device or macvtap has one device below; IFLA_LINK of others means other things. */
static bool stands_on(const struct link *l, const struct link *below)
{
	static const char *const kinds[] = { "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_equal(l->kind, kinds[i]))
			return l->lower == below->ifindex;
	return (str_equal(l->kind, "bond") || str_equal(l->kind, "team")) &&
	       below->master == l->ifindex;
}

static void judge_group(const struct pci_vf *vf, struct vf_fact *f)
{
	char *why = pci_group_trouble(&vf->address);

	if (why)
		mark_used(f, why);
}

static void judge_netdev(const struct net_view *net, const struct pci_vf *vf, struct vf_fact *f)
{
	const struct link *l = link_list_by_name(&net->host.links, vf->netdev);
	char *user = vf_user_of_netdev(&net->host, vf);

	f->is_up = l && l->up;
	if (user)
		mark_used(f, user);
}

/* OWN: UUID of the domain asked for, NULL if there is none. */
static void judge_domains(const struct use_list *uses, const char *own, struct vf_fact *f)
{
	for (size_t i = 0; i < uses->n; i++) {
		const struct use *u = &uses->v[i];

		if (!str_equal(u->address, f->address))
			continue;
		f->in_domain |= u->live;
		if (u->live)
			mark_used(f, str_printf("domain %s runs with it", u->name));
		else if (u->interrupted && !str_equal(u->uuid, own))
			mark_used(f,
				str_printf("an interrupted run of domain %s holds it", u->name));
		else if (u->interrupted)
			continue;
		else if (own && str_equal(u->uuid, own))
			f->own = true;
		else
			mark_used(f, str_printf("domain %s is defined with it", u->name));
	}
}

static void judge_lock(struct vf_fact *f)
{
	CLEANUP_FREE char *name = str_printf("vf-%s", f->address);
	CLEANUP_FREE char *owner = NULL;

	if (lock_is_held(name, &owner))
		mark_used(f, str_printf("reserved by another run (%s)", owner ? owner : "?"));
}

/* What a domain of libvirt's has open is told by that domain's name. */
static void judge_hidden_user(const struct pci_vf *vf, struct vf_fact *f)
{
	char *user = str_is_empty(f->user) ? pci_hidden_user(&vf->address) : NULL;

	if (!user)
		return;
	f->host_uses = true;
	mark_used(f, user);
}

static bool is_idle(const struct pci_vf *vf)
{
	struct err ignored;
	bool master;

	return pci_driver_is_vfio(vf->driver) &&
	       pci_is_bus_master(&vf->address, &master, &ignored) == 0 && !master;
}

static void gather_vf(const struct net_view *net, const struct users *users,
	const struct pci_vf *vf, const struct vf_list *infos, struct vf_fact *f)
{
	const struct vf_info *info = vf_list_find(infos, vf->index);
	char text[PCI_TEXT_SIZE], mac[MAC_TEXT_SIZE] = "";

	pci_format(&vf->address, text);
	if (info)
		mac_format(&info->mac, mac);
	f->index = vf->index;
	f->address = str_dup(text);
	f->driver = str_dup(vf->driver);
	f->mac = str_dup(mac);
	f->has_attr = info;
	if (info)
		f->attr = info->attr;
	f->user = str_dup("");
	f->idle = is_idle(vf);
	judge_group(vf, f);
	judge_netdev(net, vf, f);
	f->host_uses = !str_is_empty(f->user);
	judge_domains(&users->uses, users->own, f);
	judge_lock(f);
	judge_hidden_user(vf, f);
}

static int gather_pf(struct nl *nl, const struct net_view *net, const struct users *users,
	const struct pci_pf *pf, struct pf_fact *f, struct err *e)
{
	const struct link *l = link_list_by_name(&net->host.links, pf->netdev);
	CLEANUP_VFS struct vf_list infos = { 0 };
	char text[PCI_TEXT_SIZE];

	pci_format(&pf->address, text);
	f->name = str_dup(pf->netdev);
	f->address = str_dup(text);
	f->driver = str_dup(pf->driver);
	f->up = l && l->up;
	f->no_carrier = l && l->up && !l->running;
	f->mtu = l ? l->mtu : 0;
	f->is_switchdev = devlink_eswitch_mode(&pf->address) == ESWITCH_SWITCHDEV;
	if (l && vf_list_get(nl, l->ifindex, &infos, e) < 0)
		return err_prefix(e, "%s", pf->netdev);
	for (size_t i = 0; i < pf->n_vfs; i++)
		gather_vf(net, users, &pf->vfs[i], &infos,
			mem_append(&f->vfs, &f->n_vfs, sizeof(*f->vfs)));
	return 0;
}

/* What the uplink's function has been asked to let in, and what runs that are under way ask for (HELD). */
static char *filters_of(const struct net_view *net, const struct link *uplink,
	const struct link *function, const char *held)
{
	CLEANUP_FREE char *listed = room_listed(&net->entries, uplink->ifindex, function->ifindex);
	struct str_buf list = { 0 };

	str_buf_add(&list, "%s", held);
	for (size_t i = 0;; i++) {
		CLEANUP_FREE char *mac = str_list_get(listed, i);

		if (str_is_empty(mac))
			return list.s;
		if (!str_list_has(list.s, mac))
			str_buf_add(&list, "%s%s", list.len ? "," : "", mac);
	}
}

struct uplink_list {
	struct uplink_fact *v; /* borrowed by whoever it is gathered for */
	size_t n;
};

static void add_functions(const struct net_view *net, const struct link *top, const struct link *l,
	int depth, struct uplink_list *list);

/* Adds TOP for what is below L: of a bond the port that it is using, or its SPARE ones. */
static void add_below(const struct net_view *net, const struct link *top, const struct link *l,
	int depth, bool spare, struct uplink_list *list)
{
	size_t first = list->n;

	for (size_t i = 0; i < net->host.links.n; i++) {
		const struct link *below = &net->host.links.v[i];
		bool is_spare = l->active_port && l->active_port != below->ifindex;

		if (stands_on(l, below) && is_spare == spare)
			add_functions(net, top, below, depth - 1, list);
	}
	for (; spare && first < list->n; first++)
		list->v[first].spare = true;
}

/* Adds TOP once for each SR-IOV function that L is, or stands on. */
static void add_functions(const struct net_view *net, const struct link *top, const struct link *l,
	int depth, struct uplink_list *list)
{
	const struct pci_pf *pf;
	const struct pci_vf *vf;

	if (pci_find_netdev(&net->pfs, l->name, &pf, &vf)) {
		char *held = room_held(l->name);

		*(struct uplink_fact *)mem_append(&list->v, &list->n, sizeof(*list->v)) =
			(struct uplink_fact){
				.name = str_dup(top->name),
				.mtu = top->mtu,
				.pf = str_dup(pf->netdev),
				.vlan = top->vlan,
				.vf_index = vf ? (int64_t)vf->index : -1,
				.up = top->up,
				.running = top->running,
				.forwarding = top->port_state == BR_STATE_FORWARDING,
				.isolated = top->isolated,
				.driver = str_dup(vf ? vf->driver : pf->driver),
				.filters = filters_of(net, top, l, held),
				.held = held,
			};
		return;
	}
	for (int spare = 0; depth > 0 && spare <= 1; spare++)
		add_below(net, top, l, depth, spare, list);
}

/* NULL where the bridge does not filter VLANs, or nobody could say. */
static char *vlans_of(struct nl *nl, const struct link *bridge, const struct link *port)
{
	CLEANUP_VLANS struct vlan_list vlans = { 0 };
	struct err ignored;

	if (!bridge || !bridge->vlan_filtering ||
		link_port_vlans(nl, port->ifindex, &vlans, &ignored) < 0)
		return NULL;
	return vlans_format(&vlans);
}

static void gather_port(struct nl *nl, const struct net_view *net, const struct link *bridge,
	const struct link *port, struct uplink_list *list)
{
	size_t first = list->n;

	add_functions(net, port, port, STACK_MAX, list);
	for (; first < list->n; first++)
		list->v[first].vlans = vlans_of(nl, bridge, port);
}

/* Caller frees. */
static char *what_is_filtered(void)
{
	bool v4 = forward_sees_bridges(true) && forward_drops(true);
	bool v6 = forward_sees_bridges(false) && forward_drops(false);

	if (!v4 && !v6)
		return NULL;
	return str_dup(v4 && v6 ? "IPv4 and IPv6" : v4 ? "IPv4" : "IPv6");
}

static void gather_bridge(struct nl *nl, const struct net_view *net, const struct link *bridge,
	struct bridge_fact *f)
{
	struct uplink_list list = { 0 };

	f->name = str_dup(bridge->name);
	f->up = bridge->up;
	f->mtu = bridge->mtu;
	f->join_ms = bridge->join_ms;
	f->vlan_filtering = bridge->vlan_filtering;
	f->pvid = bridge->pvid;
	for (size_t i = 0; i < net->host.links.n; i++)
		if (net->host.links.v[i].master == bridge->ifindex) {
			gather_port(nl, net, bridge, &net->host.links.v[i], &list);
			if (pci_lacks_vfs(net->host.links.v[i].name))
				str_set(&f->without_vfs, net->host.links.v[i].name);
		}
	f->uplinks = list.v;
	f->n_uplinks = list.n;
}

static void add_link_name(struct host_facts *f, const char *name)
{
	struct device_name *new = mem_append(&f->links, &f->n_links, sizeof(*f->links));

	new->name = str_dup(name);
}

/*
 * One without carrier that would not be there without being kept is no process's. No bridge takes the port of
 * another one (br_add_if).
 */
static char *list_idle_taps(const struct link_list *links)
{
	struct str_buf list = { 0 };

	str_buf_add(&list, "%s", "");
	for (size_t i = 0; i < links->n; i++)
		if (links->v[i].persistent && !links->v[i].running && !links->v[i].master)
			str_buf_add(&list, "%s%s", list.len ? "," : "", links->v[i].name);
	return list.s;
}

static void gather_devices(const struct net_view *net, struct host_facts *f)
{
	struct uplink_list list = { 0 };

	for (size_t i = 0; i < net->host.links.n; i++)
		add_functions(net, &net->host.links.v[i], &net->host.links.v[i], STACK_MAX, &list);
	f->devices = list.v;
	f->n_devices = list.n;
	for (size_t i = 0; i < net->host.links.n; i++)
		add_link_name(f, net->host.links.v[i].name);
	for (size_t i = 0; i < net->host.links.n_other_names; i++)
		add_link_name(f, net->host.links.other_names[i]);
	f->idle_taps = list_idle_taps(&net->host.links);
}

/* The taps that the standbys of a running domain have. */
static void gather_taps(struct nl *nl, const struct net_view *net, struct domain_fact *f)
{
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	struct err ignored;

	if (!f->live || xml_pairs_find(f->live, &pairs, &ignored) < 0)
		return;
	for (size_t i = 0; i < pairs.n; i++) {
		const char *name = pairs.v[i].tap;
		const struct link *l = name ? link_list_by_name(&net->host.links, name) : NULL;
		const struct link *bridge =
			l && l->master ? link_list_by_index(&net->host.links, l->master) : NULL;

		if (name)
			*(struct tap_fact *)mem_append(&f->taps, &f->n_taps, sizeof(*f->taps)) =
				(struct tap_fact){
					.name = str_dup(name),
					.is_there = l,
					.up = l && l->up,
					.bridge = str_dup(bridge ? bridge->name : NULL),
					.vlans = l ? vlans_of(nl, bridge, l) : NULL,
				};
	}
}

int gather_net(struct nl *nl, const struct users *users, struct host_facts *f, struct err *e)
{
	struct net_view net = { 0 };
	int r = 0;

	if (vf_user_view_get(nl, &net.host, e) < 0 || pci_pf_list_get(&net.pfs, e) < 0 ||
		fdb_find(nl, NULL, &net.entries, e) < 0) {
		net_view_free(&net);
		return -1;
	}
	for (size_t i = 0; i < net.pfs.n && r == 0; i++)
		r = gather_pf(nl, &net, users, &net.pfs.v[i],
			mem_append(&f->pfs, &f->n_pfs, sizeof(*f->pfs)), e);
	for (size_t i = 0; i < net.host.links.n && r == 0; i++)
		if (str_equal(net.host.links.v[i].kind, "bridge"))
			gather_bridge(nl, &net, &net.host.links.v[i],
				mem_append(&f->bridges, &f->n_bridges, sizeof(*f->bridges)));
	f->filtered = what_is_filtered();
	gather_devices(&net, f);
	gather_taps(nl, &net, &f->domain);
	net_view_free(&net);
	return r;
}
