/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/facts.h"

#include "core/order.h"
#include "util/mem.h"
#include "util/str.h"

static const struct field vf_fact_fields[] = {
	RECORD_INT(vf_fact, index),
	RECORD_STR(vf_fact, address),
	RECORD_STR(vf_fact, driver),
	RECORD_BOOL(vf_fact, is_up),
	RECORD_STR(vf_fact, mac),
	RECORD_BOOL(vf_fact, has_attr),
	RECORD_ONE(vf_fact, attr, &vf_attr_record),
	RECORD_STR(vf_fact, user),
	RECORD_BOOL(vf_fact, host_uses),
	RECORD_BOOL(vf_fact, in_domain),
	RECORD_BOOL(vf_fact, own),
	RECORD_BOOL(vf_fact, idle),
};
static RECORD_DEFINE(vf_fact_record, vf_fact);

static const struct field pf_fact_fields[] = {
	RECORD_STR(pf_fact, name),
	RECORD_STR(pf_fact, address),
	RECORD_STR(pf_fact, driver),
	RECORD_BOOL(pf_fact, up),
	RECORD_BOOL(pf_fact, no_carrier),
	RECORD_INT(pf_fact, mtu),
	RECORD_BOOL(pf_fact, is_switchdev),
	RECORD_LIST(pf_fact, vfs, &vf_fact_record),
};
static RECORD_DEFINE(pf_fact_record, pf_fact);

static const struct field uplink_fact_fields[] = {
	RECORD_STR(uplink_fact, name),
	RECORD_INT(uplink_fact, mtu),
	RECORD_STR(uplink_fact, pf),
	RECORD_INT(uplink_fact, vf_index),
	RECORD_INT(uplink_fact, vlan),
	RECORD_BOOL(uplink_fact, up),
	RECORD_BOOL(uplink_fact, running),
	RECORD_BOOL(uplink_fact, forwarding),
	RECORD_BOOL(uplink_fact, isolated),
	RECORD_STR(uplink_fact, vlans),
	RECORD_BOOL(uplink_fact, spare),
	RECORD_STR(uplink_fact, driver),
	RECORD_STR(uplink_fact, filters),
	RECORD_STR(uplink_fact, held),
};
static RECORD_DEFINE(uplink_fact_record, uplink_fact);

static const struct field bridge_fact_fields[] = {
	RECORD_STR(bridge_fact, name),
	RECORD_BOOL(bridge_fact, up),
	RECORD_INT(bridge_fact, mtu),
	RECORD_INT(bridge_fact, join_ms),
	RECORD_BOOL(bridge_fact, vlan_filtering),
	RECORD_INT(bridge_fact, pvid),
	RECORD_STR(bridge_fact, without_vfs),
	RECORD_LIST(bridge_fact, uplinks, &uplink_fact_record),
};
static RECORD_DEFINE(bridge_fact_record, bridge_fact);

static const struct field pool_vf_fields[] = {
	RECORD_STR(pool_vf, address),
};
static RECORD_DEFINE(pool_vf_record, pool_vf);

static const struct field device_name_fields[] = {
	RECORD_STR(device_name, name),
};
static RECORD_DEFINE(device_name_record, device_name);

static const struct field xml_vlan_fields[] = {
	RECORD_STR(xml_vlan, portgroup),
	RECORD_BOOL(xml_vlan, is_default),
	RECORD_INT(xml_vlan, tag),
};
static RECORD_DEFINE(xml_vlan_record, xml_vlan);

static const struct field network_fact_fields[] = {
	RECORD_STR(network_fact, name),
	RECORD_STR(network_fact, forward),
	RECORD_STR(network_fact, bridge),
	RECORD_STR(network_fact, virtualport),
	RECORD_LIST(network_fact, devices, &device_name_record),
	RECORD_BOOL(network_fact, libvirt_owns_fdb),
	RECORD_STR(network_fact, pf),
	RECORD_LIST(network_fact, vfs, &pool_vf_record),
	RECORD_BOOL(network_fact, managed),
	RECORD_LIST(network_fact, given, &pool_vf_record),
	RECORD_BOOL(network_fact, given_unknown),
	RECORD_LIST(network_fact, vlans, &xml_vlan_record),
};
static RECORD_DEFINE(network_fact_record, network_fact);

static const struct field guest_nic_fields[] = {
	RECORD_STR(guest_nic, mac),
	RECORD_INT(guest_nic, count),
};
static RECORD_DEFINE(guest_nic_record, guest_nic);

static const struct field tap_fact_fields[] = {
	RECORD_STR(tap_fact, name),
	RECORD_BOOL(tap_fact, is_there),
	RECORD_BOOL(tap_fact, up),
	RECORD_STR(tap_fact, bridge),
	RECORD_STR(tap_fact, vlans),
};
static RECORD_DEFINE(tap_fact_record, tap_fact);

static const struct field other_device_fields[] = {
	RECORD_STR(other_device, address),
	RECORD_STR(other_device, driver),
};
static RECORD_DEFINE(other_device_record, other_device);

static const struct field file_fact_fields[] = {
	RECORD_STR(file_fact, what),
	RECORD_STR(file_fact, path),
	RECORD_BOOL(file_fact, is_written),
	RECORD_BOOL(file_fact, is_backing),
	RECORD_STR(file_fact, own_fs),
};
static RECORD_DEFINE(file_fact_record, file_fact);

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
	RECORD_LIST(domain_fact, files, &file_fact_record),
	RECORD_INT(domain_fact, n_snapshots),
	RECORD_STR(domain_fact, block_job),
	RECORD_BOOL(domain_fact, saved),
	RECORD_STR(domain_fact, lock_owner),
	RECORD_BOOL(domain_fact, agent),
	RECORD_LIST(domain_fact, guest_nics, &guest_nic_record),
	RECORD_LIST(domain_fact, taps, &tap_fact_record),
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
	RECORD_STR(journal_fact, owner),
};
static RECORD_DEFINE(journal_fact_record, journal_fact);

static const struct field huge_fact_fields[] = {
	RECORD_INT(huge_fact, page_kib),
	RECORD_INT(huge_fact, free_kib),
	RECORD_BOOL(huge_fact, is_default),
};
static RECORD_DEFINE(huge_fact_record, huge_fact);

static const struct field host_facts_fields[] = {
	RECORD_STR(host_facts, hostname),
	RECORD_STR(host_facts, uuid),
	RECORD_STR(host_facts, id),
	RECORD_INT(host_facts, libvirt),
	RECORD_INT(host_facts, qemu),
	RECORD_STR(host_facts, version),
	RECORD_INT(host_facts, clock_ms),
	RECORD_INT(host_facts, memory_total),
	RECORD_INT(host_facts, memory_available),
	RECORD_LIST(host_facts, huge, &huge_fact_record),
	RECORD_STR(host_facts, cpu),
	RECORD_INT(host_facts, fit),
	RECORD_STR(host_facts, misfit),
	RECORD_BOOL(host_facts, net_admin),
	RECORD_STR(host_facts, no_locks),
	RECORD_STR(host_facts, no_journal),
	RECORD_BOOL(host_facts, no_vhost),
	RECORD_STR(host_facts, unreachable),
	RECORD_STR(host_facts, reached),
	RECORD_BOOL(host_facts, names_address),
	RECORD_LIST(host_facts, pfs, &pf_fact_record),
	RECORD_LIST(host_facts, bridges, &bridge_fact_record),
	RECORD_LIST(host_facts, devices, &uplink_fact_record),
	RECORD_LIST(host_facts, links, &device_name_record),
	RECORD_STR(host_facts, filtered),
	RECORD_STR(host_facts, idle_taps),
	RECORD_STR(host_facts, no_networks),
	RECORD_LIST(host_facts, networks, &network_fact_record),
	RECORD_LIST(host_facts, domains, &domain_name_record),
	RECORD_LIST(host_facts, journals, &journal_fact_record),
	RECORD_BOOL(host_facts, has_domain),
	RECORD_ONE(host_facts, domain, &domain_fact_record),
};
RECORD_DEFINE(host_facts_record, host_facts);

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

bool facts_has_link(const struct host_facts *f, const char *name)
{
	for (size_t i = 0; i < f->n_links; i++)
		if (str_equal(f->links[i].name, name))
			return true;
	return false;
}

const struct network_fact *facts_network(const struct host_facts *f, const char *name)
{
	for (size_t i = 0; i < f->n_networks; i++)
		if (name && str_equal(f->networks[i].name, name))
			return &f->networks[i];
	return NULL;
}

int64_t facts_network_vlan(const struct network_fact *n, const char *portgroup)
{
	int64_t own = -1;

	for (size_t i = 0; n && i < n->n_vlans; i++) {
		const struct xml_vlan *v = &n->vlans[i];

		if (!v->portgroup)
			own = v->tag;
		else if (portgroup ? str_equal(v->portgroup, portgroup) : v->is_default)
			return v->tag;
	}
	return own;
}

const struct pf_fact *facts_pf(const struct host_facts *f, const char *name)
{
	for (size_t i = 0; i < f->n_pfs; i++)
		if (name && str_equal(f->pfs[i].name, name))
			return &f->pfs[i];
	return NULL;
}

const struct vf_fact *facts_vf_of(const struct host_facts *f, const char *name, int64_t index)
{
	const struct pf_fact *pf = facts_pf(f, name);

	for (size_t k = 0; pf && k < pf->n_vfs; k++)
		if (pf->vfs[k].index == index)
			return &pf->vfs[k];
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
