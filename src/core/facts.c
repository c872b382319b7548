/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/facts.h"

#include <linux/capability.h>
#include <linux/if_bridge.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/journal.h"
#include "agent/lock.h"
#include "core/order.h"
#include "core/options.h"
#include "net/devlink.h"
#include "net/fdb.h"
#include "net/link.h"
#include "net/pci.h"
#include "util/clock.h"
#include "util/hwaddr.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/domain.h"
#include "xml/pair.h"

static const struct field vf_fact_fields[] = {
	RECORD_INT(vf_fact, index),
	RECORD_STR(vf_fact, address),
	RECORD_STR(vf_fact, driver),
	RECORD_STR(vf_fact, netdev),
	RECORD_STR(vf_fact, mac),
	RECORD_BOOL(vf_fact, has_attr),
	RECORD_ONE(vf_fact, attr, &vf_attr_record),
	RECORD_STR(vf_fact, user),
	RECORD_BOOL(vf_fact, host_uses),
	RECORD_BOOL(vf_fact, own),
};
static RECORD_DEFINE(vf_fact_record, vf_fact);

static const struct field pf_fact_fields[] = {
	RECORD_STR(pf_fact, name),
	RECORD_STR(pf_fact, address),
	RECORD_STR(pf_fact, driver),
	RECORD_BOOL(pf_fact, up),
	RECORD_BOOL(pf_fact, running),
	RECORD_BOOL(pf_fact, is_switchdev),
	RECORD_LIST(pf_fact, vfs, &vf_fact_record),
};
static RECORD_DEFINE(pf_fact_record, pf_fact);

static const struct field uplink_fact_fields[] = {
	RECORD_STR(uplink_fact, name),
	RECORD_STR(uplink_fact, pf),
	RECORD_INT(uplink_fact, vf_index),
	RECORD_BOOL(uplink_fact, up),
	RECORD_BOOL(uplink_fact, running),
	RECORD_BOOL(uplink_fact, forwarding),
	RECORD_STR(uplink_fact, driver),
	RECORD_STR(uplink_fact, filters),
};
static RECORD_DEFINE(uplink_fact_record, uplink_fact);

static const struct field bridge_fact_fields[] = {
	RECORD_STR(bridge_fact, name),
	RECORD_BOOL(bridge_fact, up),
	RECORD_BOOL(bridge_fact, vlan_filtering),
	RECORD_INT(bridge_fact, mtu),
	RECORD_LIST(bridge_fact, uplinks, &uplink_fact_record),
};
static RECORD_DEFINE(bridge_fact_record, bridge_fact);

static const struct field pool_vf_fields[] = {
	RECORD_STR(pool_vf, address),
};
static RECORD_DEFINE(pool_vf_record, pool_vf);

static const struct field pool_device_fields[] = {
	RECORD_STR(pool_device, name),
};
static RECORD_DEFINE(pool_device_record, pool_device);

static const struct field network_fact_fields[] = {
	RECORD_STR(network_fact, name),
	RECORD_STR(network_fact, forward),
	RECORD_STR(network_fact, bridge),
	RECORD_STR(network_fact, virtualport),
	RECORD_LIST(network_fact, devices, &pool_device_record),
	RECORD_BOOL(network_fact, libvirt_owns_fdb),
	RECORD_STR(network_fact, pf),
	RECORD_LIST(network_fact, vfs, &pool_vf_record),
	RECORD_BOOL(network_fact, managed),
};
static RECORD_DEFINE(network_fact_record, network_fact);

static const struct field guest_nic_fields[] = {
	RECORD_STR(guest_nic, mac),
	RECORD_INT(guest_nic, count),
};
static RECORD_DEFINE(guest_nic_record, guest_nic);
static const struct field other_device_fields[] = {
	RECORD_STR(other_device, address),
	RECORD_STR(other_device, driver),
};
static RECORD_DEFINE(other_device_record, other_device);

static const struct field domain_fact_fields[] = {
	RECORD_STR(domain_fact, name),
	RECORD_STR(domain_fact, uuid),
	RECORD_STR(domain_fact, state),
	RECORD_BOOL(domain_fact, job),
	RECORD_BOOL(domain_fact, persistent),
	RECORD_BOOL(domain_fact, autostart),
	RECORD_STR(domain_fact, live),
	RECORD_STR(domain_fact, migratable),
	RECORD_STR(domain_fact, inactive),
	RECORD_LIST(domain_fact, others, &other_device_record),
	RECORD_STR(domain_fact, lock_owner),
	RECORD_BOOL(domain_fact, agent),
	RECORD_LIST(domain_fact, guest_nics, &guest_nic_record),
};
static RECORD_DEFINE(domain_fact_record, domain_fact);

static const struct field domain_name_fields[] = {
	RECORD_STR(domain_name, name),
	RECORD_STR(domain_name, uuid),
	RECORD_STR(domain_name, state),
	RECORD_STR(domain_name, macs),
};
static RECORD_DEFINE(domain_name_record, domain_name);

static const struct field journal_fact_fields[] = {
	RECORD_STR(journal_fact, uuid),
	RECORD_STR(journal_fact, error),
};
static RECORD_DEFINE(journal_fact_record, journal_fact);

static const struct field host_facts_fields[] = {
	RECORD_STR(host_facts, hostname),
	RECORD_STR(host_facts, uuid),
	RECORD_INT(host_facts, libvirt),
	RECORD_INT(host_facts, qemu),
	RECORD_STR(host_facts, version),
	RECORD_INT(host_facts, clock_ms),
	RECORD_INT(host_facts, memory_total),
	RECORD_INT(host_facts, memory_available),
	RECORD_STR(host_facts, cpu),
	RECORD_INT(host_facts, fit),
	RECORD_STR(host_facts, misfit),
	RECORD_BOOL(host_facts, net_admin),
	RECORD_STR(host_facts, unreachable),
	RECORD_LIST(host_facts, pfs, &pf_fact_record),
	RECORD_LIST(host_facts, bridges, &bridge_fact_record),
	RECORD_LIST(host_facts, devices, &uplink_fact_record),
	RECORD_LIST(host_facts, networks, &network_fact_record),
	RECORD_LIST(host_facts, domains, &domain_name_record),
	RECORD_LIST(host_facts, journals, &journal_fact_record),
	RECORD_BOOL(host_facts, has_domain),
	RECORD_ONE(host_facts, domain, &domain_fact_record),
};
RECORD_DEFINE(host_facts_record, host_facts);

/* Devices that may stand on one another: a VLAN device on a bond on a VF is two. */
enum { STACK_MAX = 4 };

/* ---- domains ---- */

/* A host device of some domain: who uses which PCI address. */
struct use {
	char *address;
	char *name, *uuid;
	bool live;
	bool interrupted; /* a run that has not been settled holds it, not the domain */
};

struct use_list {
	struct use *v;
	size_t n;
};

static void use_list_free(struct use_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].address);
		free(l->v[i].name);
		free(l->v[i].uuid);
	}
	free(l->v);
}

/* *RET_MACS (may be NULL): the MACs of the domain's NICs as well. */
static int add_uses(struct use_list *uses, struct virt_domain *d, enum virt_xml which,
	char **ret_macs, struct err *e)
{
	CLEANUP_STRINGS struct xml_strings addresses = { 0 };
	CLEANUP_FREE char *xml = NULL;

	if (virt_domain_xml(d, which, &xml, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1; /* gone since it was listed */
	if (xml_host_devices(xml, &addresses, e) < 0) {
		/* Somebody else's domain is no reason to do nothing; libvirt knows its VFs. */
		log_warn("what domain %s uses is not known: %s", virt_domain_name(d), e->msg);
		return 0;
	}
	if (ret_macs)
		*ret_macs = xml_domain_macs(xml);
	for (size_t i = 0; i < addresses.n; i++) {
		struct use *u = mem_append(&uses->v, &uses->n, sizeof(*u));

		u->address = TAKE_PTR(addresses.v[i]);
		u->name = str_dup(virt_domain_name(d));
		u->uuid = str_dup(virt_domain_uuid(d));
		u->live = which == VIRT_XML_LIVE;
	}
	return 0;
}

static int look_at_domain(struct virt *v, struct virt_domain *d, struct host_facts *f,
	struct use_list *uses, struct err *e)
{
	struct domain_name *n;
	enum virt_state state;
	bool job, persistent;

	if (virt_state_get(v, virt_domain_uuid(d), &state, &job, e) < 0)
		return -1;
	if (state == VIRT_ABSENT)
		return 0;
	n = mem_append(&f->domains, &f->n_domains, sizeof(*n));
	n->name = str_dup(virt_domain_name(d));
	n->uuid = str_dup(virt_domain_uuid(d));
	n->state = str_dup(virt_state_name(state));
	if (virt_state_is_active(state) && add_uses(uses, d, VIRT_XML_LIVE, &n->macs, e) < 0)
		return -1;
	if (virt_domain_is_persistent(d, &persistent, e) < 0)
		return -1;
	return persistent ? add_uses(uses, d, VIRT_XML_INACTIVE, NULL, e) : 0;
}

static int gather_domains(struct virt *v, struct host_facts *f, struct use_list *uses,
	struct err *e)
{
	struct virt_domain_list list = { 0 };
	int r = 0;

	if (virt_domains(v, &list, e) < 0)
		return -1;
	for (size_t i = 0; i < list.n && r == 0; i++)
		r = look_at_domain(v, list.v[i], f, uses, e);
	virt_domain_list_free(&list);
	return r;
}

static int gather_other_devices(struct domain_fact *f, struct err *e)
{
	CLEANUP_STRINGS struct xml_strings addresses = { 0 };

	if (xml_other_devices(f->live, &addresses, e) < 0)
		return err_prefix(e, "domain %s", f->name);
	for (size_t i = 0; i < addresses.n; i++) {
		struct other_device *o = mem_append(&f->others, &f->n_others, sizeof(*o));
		struct pci_address address;
		char driver[32] = "";

		if (pci_parse(addresses.v[i], &address) == 0)
			pci_driver(&address, driver, sizeof(driver));
		o->address = TAKE_PTR(addresses.v[i]);
		o->driver = str_dup(driver);
	}
	return 0;
}

static int gather_domain_xml(struct virt_domain *d, struct domain_fact *f, bool active,
	struct err *e)
{
	if (active && (virt_domain_xml(d, VIRT_XML_LIVE, &f->live, e) < 0 ||
			      virt_domain_xml(d, VIRT_XML_MIGRATABLE, &f->migratable, e) < 0 ||
			      gather_other_devices(f, e) < 0))
		return -1;
	if (!f->persistent)
		return 0;
	if (virt_domain_get_autostart(d, &f->autostart, e) < 0)
		return -1;
	return virt_domain_xml(d, VIRT_XML_INACTIVE, &f->inactive, e);
}

/* Whether the guest has joined its pairs; only a running one is asked. */
static void ask_guest(struct virt_domain *d, struct domain_fact *f)
{
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	struct err ignored;

	f->agent = xml_agent_connected(f->live);
	if (!f->agent || xml_pairs_find(f->live, &pairs, &ignored) < 0)
		return;
	for (size_t i = 0; i < pairs.n; i++) {
		struct guest_nic *n;
		int count;

		if (pairs.v[i].problem)
			continue;
		n = mem_append(&f->guest_nics, &f->n_guest_nics, sizeof(*n));
		n->mac = str_dup(pairs.v[i].mac);
		n->count = virt_guest_nics(d, n->mac, &count, &ignored) < 0 ? -1 : count;
		if (n->count < 0)
			return; /* it would keep us waiting for the others as well */
	}
}

static int gather_domain(struct virt *v, const char *key, struct host_facts *f, struct err *e)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	CLEANUP_FREE char *lock = NULL;
	enum virt_state state;

	if (virt_domain_find(v, key, &d, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (virt_state_get(v, virt_domain_uuid(d), &state, &f->domain.job, e) < 0)
		return -1;
	if (state == VIRT_ABSENT)
		return 0;
	f->has_domain = true;
	f->domain.name = str_dup(virt_domain_name(d));
	f->domain.uuid = str_dup(virt_domain_uuid(d));
	f->domain.state = str_dup(virt_state_name(state));
	lock = str_printf("domain-%s", f->domain.uuid);
	lock_is_held(lock, &f->domain.lock_owner);
	if (virt_domain_is_persistent(d, &f->domain.persistent, e) < 0)
		return -1;
	if (gather_domain_xml(d, &f->domain, virt_state_is_active(state), e) < 0)
		return -1;
	if (state == VIRT_RUNNING)
		ask_guest(d, &f->domain);
	return 0;
}

/* ---- NICs ---- */

struct net_view {
	struct link_list links;
	struct pci_pf_list pfs;
	int *addressed; /* ifindexes with an IP address */
	size_t n_addressed;
	struct fdb_list entries; /* all of them */
};

static void net_view_free(struct net_view *n)
{
	link_list_free(&n->links);
	pci_pf_list_free(&n->pfs);
	free(n->addressed);
	fdb_list_free(&n->entries);
}

static bool has_address(const struct net_view *n, int ifindex)
{
	for (size_t i = 0; i < n->n_addressed; i++)
		if (n->addressed[i] == ifindex)
			return true;
	return false;
}

static void mark_used(struct vf_fact *f, char *why)
{
	free(f->user);
	f->user = why;
}

/* A VF whose network device is visible here: does the host itself use it? */
static void judge_netdev(const struct net_view *net, const struct link *l, struct vf_fact *f)
{
	const struct link *master = l->master ? link_list_by_index(&net->links, l->master) : NULL;

	if (l->master)
		mark_used(f,
			str_printf("%s is a port of %s", l->name, master ? master->name : "?"));
	else if (has_address(net, l->ifindex))
		mark_used(f, str_printf("%s has an IP address of this host", l->name));
	for (size_t i = 0; i < net->links.n; i++)
		if (net->links.v[i].lower == l->ifindex)
			mark_used(f, str_printf("%s carries %s", l->name, net->links.v[i].name));
}

static void judge_group(const struct pci_vf *vf, struct vf_fact *f)
{
	char *why = pci_group_trouble(&vf->address);

	if (why)
		mark_used(f, why);
}

static void judge_driver(const struct net_view *net, const struct pci_vf *vf, struct vf_fact *f)
{
	const struct link *l = link_list_by_name(&net->links, vf->netdev);

	if (l)
		judge_netdev(net, l, f);
	else if (vf->driver[0] && !pci_driver_is_vfio(vf->driver))
		mark_used(f, str_printf("driver %s, but no network device here: another network "
					"namespace or program has it",
				     vf->driver));
}

/* OWN: UUID of the domain asked for, NULL if there is none. */
static void judge_domains(const struct use_list *uses, const char *own, struct vf_fact *f)
{
	for (size_t i = 0; i < uses->n; i++) {
		const struct use *u = &uses->v[i];

		if (!str_equal(u->address, f->address))
			continue;
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

/* Who else counts when it is asked whether a VF is free. */
struct users {
	struct use_list uses;
	const char *own; /* borrowed; UUID of the domain asked for, or NULL */
};

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
	f->netdev = str_dup(vf->netdev);
	f->mac = str_dup(mac);
	f->has_attr = info;
	if (info)
		f->attr = info->attr;
	f->user = str_dup("");
	judge_group(vf, f);
	judge_driver(net, vf, f);
	f->host_uses = !str_is_empty(f->user);
	judge_domains(&users->uses, users->own, f);
	judge_lock(f);
}

static int gather_pf(struct nl *nl, const struct net_view *net, const struct users *users,
	const struct pci_pf *pf, struct pf_fact *f, struct err *e)
{
	const struct link *l = link_list_by_name(&net->links, pf->netdev);
	CLEANUP_VFS struct vf_list infos = { 0 };
	char text[PCI_TEXT_SIZE];

	pci_format(&pf->address, text);
	f->name = str_dup(pf->netdev);
	f->address = str_dup(text);
	f->driver = str_dup(pf->driver);
	f->up = l && l->up;
	f->running = l && l->running;
	f->is_switchdev = devlink_eswitch_mode(&pf->address) == ESWITCH_SWITCHDEV;
	if (l && vf_list_get(nl, l->ifindex, &infos, e) < 0)
		return err_prefix(e, "%s", pf->netdev);
	for (size_t i = 0; i < pf->n_vfs; i++)
		gather_vf(net, users, &pf->vfs[i], &infos,
			mem_append(&f->vfs, &f->n_vfs, sizeof(*f->vfs)));
	return 0;
}

/* What the uplink has been asked to let in, and what runs that are under way will ask for. */
static char *filters_of(const struct net_view *net, const struct link *uplink)
{
	CLEANUP_FREE char *prefix = str_printf("filter-%s-", uplink->name);
	CLEANUP_FREE char *held = lock_list(prefix);
	struct str_buf list = { 0 };

	str_buf_add(&list, "%s", held);
	for (size_t i = 0; i < net->entries.n; i++) {
		const struct fdb_entry *entry = &net->entries.v[i];
		char mac[MAC_TEXT_SIZE];

		mac_format(&entry->mac, mac);
		if (entry->kind == FDB_SELF && entry->port == uplink->ifindex &&
			!mac_is_multicast(&entry->mac) && !options_list_has(list.s, mac))
			str_buf_add(&list, "%s%s", list.len ? "," : "", mac);
	}
	return list.s;
}

struct uplink_list {
	struct uplink_fact *v; /* borrowed by whoever it is gathered for */
	size_t n;
};

/* A VLAN device or macvtap has one device below; IFLA_LINK of others means other things. */
static bool stands_on(const struct link *l, const struct link *below)
{
	static const char *const kinds[] = { "vlan", "macvlan", "macvtap" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_equal(l->kind, kinds[i]))
			return l->lower == below->ifindex;
	return (str_equal(l->kind, "bond") || str_equal(l->kind, "team")) &&
	       below->master == l->ifindex;
}

/* Adds TOP once for each SR-IOV function that L is, or stands on. */
static void add_functions(const struct net_view *net, const struct link *top, const struct link *l,
	int depth, struct uplink_list *list)
{
	const struct pci_pf *pf;
	const struct pci_vf *vf;

	if (pci_find_netdev(&net->pfs, l->name, &pf, &vf)) {
		*(struct uplink_fact *)mem_append(&list->v, &list->n, sizeof(*list->v)) =
			(struct uplink_fact){
				.name = str_dup(top->name),
				.pf = str_dup(pf->netdev),
				.vf_index = vf ? (int64_t)vf->index : -1,
				.up = top->up,
				.running = top->running,
				.forwarding = top->port_state == BR_STATE_FORWARDING,
				.driver = str_dup(vf ? vf->driver : pf->driver),
				.filters = filters_of(net, top),
			};
		return;
	}
	for (size_t i = 0; depth > 0 && i < net->links.n; i++)
		if (stands_on(l, &net->links.v[i]))
			add_functions(net, top, &net->links.v[i], depth - 1, list);
}

static void gather_bridge(const struct net_view *net, const struct link *bridge,
	struct bridge_fact *f)
{
	struct uplink_list list = { 0 };

	f->name = str_dup(bridge->name);
	f->up = bridge->up;
	f->mtu = bridge->mtu;
	f->vlan_filtering = bridge->vlan_filtering;
	for (size_t i = 0; i < net->links.n; i++)
		if (net->links.v[i].master == bridge->ifindex)
			add_functions(net, &net->links.v[i], &net->links.v[i], STACK_MAX, &list);
	f->uplinks = list.v;
	f->n_uplinks = list.n;
}

static void gather_devices(const struct net_view *net, struct host_facts *f)
{
	struct uplink_list list = { 0 };

	for (size_t i = 0; i < net->links.n; i++)
		add_functions(net, &net->links.v[i], &net->links.v[i], STACK_MAX, &list);
	f->devices = list.v;
	f->n_devices = list.n;
}

static int gather_net(struct nl *nl, const struct users *users, struct host_facts *f, struct err *e)
{
	struct net_view net = { 0 };
	int r = 0;

	if (link_list_get(nl, &net.links, e) < 0 || pci_pf_list_get(&net.pfs, e) < 0 ||
		link_with_addresses(nl, &net.addressed, &net.n_addressed, e) < 0 ||
		fdb_find(nl, NULL, &net.entries, e) < 0) {
		net_view_free(&net);
		return -1;
	}
	for (size_t i = 0; i < net.pfs.n && r == 0; i++)
		r = gather_pf(nl, &net, users, &net.pfs.v[i],
			mem_append(&f->pfs, &f->n_pfs, sizeof(*f->pfs)), e);
	for (size_t i = 0; i < net.links.n && r == 0; i++)
		if (str_equal(net.links.v[i].kind, "bridge"))
			gather_bridge(&net, &net.links.v[i],
				mem_append(&f->bridges, &f->n_bridges, sizeof(*f->bridges)));
	gather_devices(&net, f);
	net_view_free(&net);
	return r;
}

/* ---- host ---- */

static void take_lists(struct xml_network *net, struct network_fact *n)
{
	for (size_t k = 0; k < net->devices.n; k++) {
		struct pool_device *device =
			mem_append(&n->devices, &n->n_devices, sizeof(*device));

		device->name = TAKE_PTR(net->devices.v[k]);
	}
	for (size_t k = 0; k < net->vfs.n; k++) {
		struct pool_vf *vf = mem_append(&n->vfs, &n->n_vfs, sizeof(*vf));

		vf->address = TAKE_PTR(net->vfs.v[k]);
	}
}

static int gather_networks(struct virt *v, struct host_facts *f, struct err *e)
{
	struct virt_texts texts = { 0 };

	if (virt_networks(v, &texts, e) < 0)
		return -1;
	for (size_t i = 0; i + 1 < texts.n; i += 2) {
		struct xml_network net = { 0 };
		struct network_fact *n;
		struct err ignored; /* one broken network is nobody's reason to stop */

		if (xml_network_parse(texts.v[i + 1], &net, &ignored) < 0)
			continue;
		n = mem_append(&f->networks, &f->n_networks, sizeof(*n));
		n->name = str_dup(texts.v[i]);
		n->forward = TAKE_PTR(net.forward);
		n->bridge = TAKE_PTR(net.bridge);
		n->libvirt_owns_fdb = net.libvirt_owns_fdb;
		n->virtualport = TAKE_PTR(net.virtualport);
		n->pf = TAKE_PTR(net.pf);
		n->managed = net.managed;
		take_lists(&net, n);
		xml_network_free(&net);
	}
	virt_texts_free(&texts);
	return 0;
}

/* Whether this process may change network devices. */
static bool has_net_admin(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[0].effective & (1u << CAP_NET_ADMIN);
}

static int gather_host(struct virt *v, struct host_facts *f, struct err *e)
{
	struct virt_host host = { 0 };
	struct err ignored;

	if (virt_host_get(v, &host, e) < 0)
		return -1;
	f->hostname = TAKE_PTR(host.hostname);
	f->uuid = TAKE_PTR(host.uuid);
	f->libvirt = host.libvirt;
	f->qemu = host.qemu;
	f->cpu = TAKE_PTR(host.cpu);
	f->version = str_dup(PACKAGE_VERSION);
	/* Unknown is good enough. */
	if (virt_memory_get(v, &f->memory_total, &f->memory_available, &ignored) < 0)
		f->memory_total = f->memory_available = 0;
	f->net_admin = has_net_admin() && lock_is_possible();
	return 0;
}

/* The VFs that the order at the head of a journal names stay reserved until it is settled. */
static void add_reserved(struct use_list *uses, const char *uuid, const json_t *head)
{
	const json_t *pair;
	size_t i;

	json_array_foreach(json_object_get(head, "pairs"), i, pair) {
		const char *vf = json_string_value(json_object_get(pair, "vf"));
		struct use *u = vf ? mem_append(&uses->v, &uses->n, sizeof(*u)) : NULL;

		if (u)
			*u = (struct use){ .address = str_dup(vf),
				.uuid = str_dup(uuid),
				.name = str_dup(json_string_value(json_object_get(head, "name"))),
				.interrupted = true };
	}
}

static void gather_journals(struct host_facts *ret, struct use_list *uses)
{
	json_t *uuids = journal_list(), *uuid;
	size_t i;

	json_array_foreach(uuids, i, uuid) {
		struct journal_fact *f = mem_append(&ret->journals, &ret->n_journals, sizeof(*f));
		json_t *head = NULL;
		struct err e;

		f->uuid = str_dup(json_string_value(uuid));
		if (journal_peek(f->uuid, &head, &e) < 0)
			f->error = str_dup(e.msg);
		else
			add_reserved(uses, f->uuid, head);
		json_decref(head);
	}
	json_decref(uuids);
}

int facts_gather(struct virt *v, struct nl *nl, const char *key, struct host_facts *ret,
	struct err *e)
{
	struct users users = { 0 };
	int r = 0;

	gather_journals(ret, &users.uses);
	ret->clock_ms = clock_wall_ms();
	if (gather_host(v, ret, e) < 0 || gather_networks(v, ret, e) < 0 ||
		gather_domains(v, ret, &users.uses, e) < 0 || gather_domain(v, key, ret, e) < 0)
		r = -1;
	users.own = ret->domain.uuid;
	if (r == 0)
		r = gather_net(nl, &users, ret, e);
	use_list_free(&users.uses);
	return r;
}

/* ---- on the other end of the wire ---- */

static bool pfs_are_named(const struct host_facts *f)
{
	for (size_t i = 0; i < f->n_pfs; i++) {
		const struct pf_fact *pf = &f->pfs[i];

		if (!pf->name || !pf->address)
			return false;
		for (size_t k = 0; k < pf->n_vfs; k++)
			if (!pf->vfs[k].address)
				return false;
	}
	return true;
}

static bool bridges_are_named(const struct host_facts *f)
{
	for (size_t i = 0; i < f->n_bridges; i++) {
		const struct bridge_fact *bridge = &f->bridges[i];

		if (!bridge->name)
			return false;
		for (size_t k = 0; k < bridge->n_uplinks; k++)
			if (!bridge->uplinks[k].name || !bridge->uplinks[k].pf)
				return false;
	}
	return true;
}

static bool domains_are_named(const struct host_facts *f)
{
	for (size_t i = 0; i < f->n_domains; i++)
		if (!f->domains[i].name || !f->domains[i].uuid || !f->domains[i].state)
			return false;
	return !f->has_domain || (f->domain.name && f->domain.uuid && f->domain.state);
}

int facts_decode(const json_t *json, struct host_facts *ret, struct err *e)
{
	if (record_decode(&host_facts_record, json, ret, e) < 0)
		return -1;
	if (ret->hostname && ret->uuid && pfs_are_named(ret) && bridges_are_named(ret) &&
		domains_are_named(ret))
		return 0;
	record_clear(&host_facts_record, ret);
	return err_set(e, "something has no name or no address in them");
}

/* ---- look-ups ---- */

const struct bridge_fact *facts_bridge(const struct host_facts *f, const char *name)
{
	for (size_t i = 0; i < f->n_bridges; i++)
		if (name && str_equal(f->bridges[i].name, name))
			return &f->bridges[i];
	return NULL;
}

const struct uplink_fact *facts_device(const struct host_facts *f, const char *name)
{
	for (size_t i = 0; i < f->n_devices; i++)
		if (name && str_equal(f->devices[i].name, name))
			return &f->devices[i];
	return NULL;
}

const struct network_fact *facts_network(const struct host_facts *f, const char *name)
{
	for (size_t i = 0; i < f->n_networks; i++)
		if (name && str_equal(f->networks[i].name, name))
			return &f->networks[i];
	return NULL;
}

const struct pf_fact *facts_pf(const struct host_facts *f, const char *name)
{
	for (size_t i = 0; i < f->n_pfs; i++)
		if (name && str_equal(f->pfs[i].name, name))
			return &f->pfs[i];
	return NULL;
}

const struct vf_fact *facts_vf(const struct host_facts *f, const char *address,
	const struct pf_fact **ret_pf)
{
	for (size_t i = 0; i < f->n_pfs; i++) {
		for (size_t k = 0; k < f->pfs[i].n_vfs; k++) {
			if (!address || !str_equal(f->pfs[i].vfs[k].address, address))
				continue;
			if (ret_pf)
				*ret_pf = &f->pfs[i];
			return &f->pfs[i].vfs[k];
		}
	}
	return NULL;
}
