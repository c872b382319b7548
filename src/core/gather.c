/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/journal.h"
#include "agent/lock.h"
#include "core/gather.h"
#include "core/gather_priv.h"
#include "core/host_id.h"
#include "net/pci.h"
#include "util/clock.h"
#include "util/hwaddr.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/domain.h"
#include "xml/network.h"
#include "xml/pair.h"

/* ---- domains ---- */

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
	bool persistent;

	if (virt_state_get(v, virt_domain_uuid(d), &state, NULL, e) < 0)
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
		return e->kind == ERR_NOT_FOUND ? 0 : -1; /* gone since it was listed */
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

static void gather_block_job(const struct virt_domain *d, struct domain_fact *f)
{
	CLEANUP_STRINGS struct xml_strings disks = { 0 };
	struct err ignored;

	if (xml_disks(f->live, &disks, &ignored) < 0)
		return;
	for (size_t i = 0; i < disks.n && !f->block_job; i++)
		if (virt_domain_has_block_job(d, disks.v[i]))
			f->block_job = str_dup(disks.v[i]);
}

static int gather_domain_xml(struct virt_domain *d, struct domain_fact *f, bool active,
	struct err *e)
{
	if (active && (virt_domain_xml(d, VIRT_XML_LIVE, &f->live, e) < 0 ||
			      virt_domain_xml(d, VIRT_XML_MIGRATABLE, &f->migratable, e) < 0 ||
			      gather_other_devices(f, e) < 0 || gather_files(f, e) < 0))
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

/* The run that holds the domain, or NULL. Caller frees. */
static char *owner_of(const char *uuid)
{
	CLEANUP_FREE char *lock = str_printf("domain-%s", uuid);
	char *owner = NULL;

	if (!lock_is_held(lock, &owner))
		journal_is_held(uuid, &owner);
	return owner;
}

static int gather_domain(struct virt *v, const char *key, struct host_facts *f, struct err *e)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	enum virt_state state;

	if (virt_domain_find(v, key, &d, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (virt_state_get(v, virt_domain_uuid(d), &state, NULL, e) < 0)
		return -1;
	if (state == VIRT_ABSENT)
		return 0;
	if (virt_state_is_active(state) && virt_domain_has_job(d, &f->domain.job, e) < 0)
		return -1;
	f->has_domain = true;
	f->domain.name = str_dup(virt_domain_name(d));
	f->domain.uuid = str_dup(virt_domain_uuid(d));
	f->domain.state = str_dup(virt_state_name(state));
	f->domain.lock_owner = owner_of(f->domain.uuid);
	if (virt_domain_is_persistent(d, &f->domain.persistent, e) < 0)
		return -1;
	f->domain.n_snapshots = virt_domain_snapshots(d);
	f->domain.saved = virt_domain_is_saved(d);
	if (gather_domain_xml(d, &f->domain, virt_state_is_active(state), e) < 0)
		return -1;
	if (f->domain.live)
		gather_block_job(d, &f->domain);
	if (state == VIRT_RUNNING)
		ask_guest(d, &f->domain);
	return 0;
}

/* ---- host ---- */

static void take_lists(struct xml_network *net, struct network_fact *n)
{
	for (size_t k = 0; k < net->devices.n; k++) {
		struct device_name *device =
			mem_append(&n->devices, &n->n_devices, sizeof(*device));

		device->name = TAKE_PTR(net->devices.v[k]);
	}
	for (size_t k = 0; k < net->vfs.n; k++) {
		struct pool_vf *vf = mem_append(&n->vfs, &n->n_vfs, sizeof(*vf));

		vf->address = TAKE_PTR(net->vfs.v[k]);
	}
	n->vlans = TAKE_PTR(net->vlans);
	n->n_vlans = net->n_vlans;
	net->n_vlans = 0;
}

/* Which of its VFs the network has given out. */
static void add_given(struct virt *v, struct network_fact *n)
{
	struct virt_texts ports = { 0 };
	struct err ignored;

	if (!str_equal(n->forward, "hostdev"))
		return;
	n->given_unknown = virt_network_ports(v, n->name, &ports, &ignored) < 0 || n->given_unknown;
	for (size_t i = 0; i < ports.n; i++) {
		char *address = xml_port_vf(ports.v[i]);
		struct pool_vf *vf =
			address ? mem_append(&n->given, &n->n_given, sizeof(*vf)) : NULL;

		if (vf)
			vf->address = address;
	}
	virt_texts_free(&ports);
}

/* libvirt's network driver may be missing; whose standby or VF needs a network is told so. */
static void gather_networks(struct virt *v, struct host_facts *f)
{
	struct virt_texts texts = { 0 };
	struct err why;

	if (virt_networks(v, &texts, &why) < 0) {
		f->no_networks = str_dup(why.msg);
		return;
	}
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
		add_given(v, n);
		xml_network_free(&net);
	}
	virt_texts_free(&texts);
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

/*
 * Whether QEMU gets at vhost-net. Where the module is not loaded yet, the node that is there from
 * the boot on (kmod static-nodes) loads it; a module that is loaded stands in sysfs in any case.
 */
static bool has_vhost_net(void)
{
	struct stat st;

	return (stat("/dev/vhost-net", &st) == 0 && S_ISCHR(st.st_mode)) ||
	       access("/sys/class/misc/vhost-net", F_OK) == 0;
}

static int gather_host(struct virt *v, struct host_facts *f, struct err *e)
{
	struct virt_host host = { 0 };
	struct err ignored;

	if (virt_host_get(v, &host, e) < 0)
		return -1;
	f->hostname = TAKE_PTR(host.hostname);
	f->uuid = TAKE_PTR(host.uuid);
	f->id = host_id(f->uuid, f->hostname);
	f->libvirt = host.libvirt;
	f->qemu = host.qemu;
	f->cpu = TAKE_PTR(host.cpu);
	f->version = str_dup(PACKAGE_VERSION);
	/* Unknown is good enough. */
	if (virt_memory_get(v, &f->memory_total, &f->memory_available, &ignored) < 0)
		f->memory_total = f->memory_available = 0;
	gather_host_files(f);
	f->net_admin = has_net_admin();
	f->no_vhost = !has_vhost_net();
	if (f->net_admin && lock_try(&ignored) < 0)
		f->no_locks = str_dup(ignored.msg);
	if (f->net_admin && journal_try(&ignored) < 0)
		f->no_journal = str_dup(ignored.msg);
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
		f->owner = owner_of(f->uuid);
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
	gather_networks(v, ret);
	if (gather_host(v, ret, e) < 0 || gather_domains(v, ret, &users.uses, e) < 0 ||
		gather_domain(v, key, ret, e) < 0)
		r = -1;
	/* Once more: a domain that is being started, or ended, may be in the one list and not in the other. */
	for (size_t i = 0; i < ret->n_networks && r == 0; i++)
		add_given(v, &ret->networks[i]);
	users.own = ret->domain.uuid;
	if (r == 0)
		r = gather_net(nl, &users, ret, e);
	use_list_free(&users.uses);
	return r;
}
