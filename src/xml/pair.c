/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xml/pair.h"

#include <stdlib.h>
#include <string.h>

#include "util/hwaddr.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/tree.h"

enum { DEVICES_MAX = 1000 };

static void primary_free(struct xml_primary *p)
{
	free(p->alias);
	free(p->mac);
	free(p->address);
	free(p->guest_address);
	free(p->network);
	free(p->portgroup);
	free(p->xml);
}

void xml_pair_list_free(struct xml_pair_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct xml_pair *p = &l->v[i];

		free(p->mac);
		free(p->standby_alias);
		free(p->standby_type);
		free(p->standby_model);
		free(p->standby_driver);
		free(p->tap);
		free(p->bridge);
		free(p->network);
		free(p->portgroup);
		free(p->lower);
		free(p->mode);
		free(p->virtualport);
		free(p->problem);
		primary_free(&p->primary);
	}
	free(l->v);
	*l = (struct xml_pair_list){ 0 };
}

void xml_strings_free(struct xml_strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = (struct xml_strings){ 0 };
}

/* The MAC of a NIC in canonical text; NULL if there is none or it is malformed. */
static char *nic_mac(xmlNode *nic)
{
	CLEANUP_FREE char *text = tree_attr(tree_child(nic, "mac"), "address");
	char canonical[MAC_TEXT_SIZE];
	struct mac mac;

	if (!text || mac_parse(text, &mac) < 0)
		return NULL;
	mac_format(&mac, canonical);
	return str_dup(canonical);
}

static enum primary_form form_of(xmlNode *device)
{
	if (str_equal((const char *)device->name, "hostdev"))
		return PRIMARY_HOSTDEV;
	return tree_attr_is(device, "type", "hostdev") ? PRIMARY_HOSTDEV_NIC : PRIMARY_POOL;
}

static void read_primary(xmlNode *device, struct xml_primary *p)
{
	p->form = form_of(device);
	p->alias = tree_attr(tree_child(device, "alias"), "name");
	p->mac = nic_mac(device);
	p->address = tree_pci_address(tree_source_address(device));
	p->guest_address = tree_pci_address(tree_child(device, "address"));
	if (p->form == PRIMARY_POOL) {
		p->network = tree_attr(tree_child(device, "source"), "network");
		p->portgroup = tree_attr(tree_child(device, "source"), "portgroup");
		p->has_vlan = tree_child(device, "vlan");
	}
	p->managed = tree_attr_is(device, "managed", "yes");
	p->xml = tree_print(device);
}

static void judge(struct xml_pair *p)
{
	if (!p->mac)
		p->problem = str_printf("the standby %s has no MAC address", p->standby_alias);
	else if (p->primary.mac && !str_equal(p->primary.mac, p->mac))
		p->problem =
			str_printf("the MACs of the pair differ: standby %s has %s, its primary %s",
				p->standby_alias, p->mac, p->primary.mac);
}

static void read_standby(xmlNode *devices, xmlNode *nic, struct xml_pair *p)
{
	xmlNode *source = tree_child(nic, "source"), *primary;

	p->standby_alias = tree_attr(tree_child(nic, "alias"), "name");
	p->mac = nic_mac(nic);
	p->standby_type = tree_attr(nic, "type");
	p->standby_model = tree_attr(tree_child(nic, "model"), "type");
	p->standby_driver = tree_attr(tree_child(nic, "driver"), "name");
	p->tap = tree_attr(tree_child(nic, "target"), "dev");
	p->isolated = tree_attr_is(tree_child(nic, "port"), "isolated", "yes");
	p->bridge = tree_attr(source, "bridge");
	p->network = tree_attr(source, "network");
	p->portgroup = tree_attr(source, "portgroup");
	p->lower = tree_attr(source, "dev");
	p->mode = tree_attr(source, "mode");
	p->virtualport = tree_attr(tree_child(nic, "virtualport"), "type");
	p->has_vlan = tree_child(nic, "vlan");
	p->link_up = !tree_attr_is(tree_child(nic, "link"), "state", "down");
	if (!p->standby_alias) {
		p->problem =
			str_printf("the standby with MAC %s has no alias", p->mac ? p->mac : "?");
		return;
	}
	primary = tree_primary_of(devices, p->standby_alias);
	if (primary)
		read_primary(primary, &p->primary);
	judge(p);
}

int64_t xml_host_device_number(const char *alias)
{
	static const char prefix[] = "hostdev";
	uint64_t number;

	if (!alias || !str_starts(alias, prefix) ||
		str_parse_uint(alias + strlen(prefix), INT32_MAX, &number) < 0)
		return -1;
	return (int64_t)number;
}

static bool is_primary_alias(const struct xml_pair_list *l, const char *alias)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_equal(l->v[i].primary.alias, alias))
			return true;
	return false;
}

/* How many primaries have a lower number, and so come back before this one. */
static int64_t count_lower(const struct xml_pair_list *l, int64_t number)
{
	int64_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		int64_t other = xml_host_device_number(l->v[i].primary.alias);

		n += other >= 0 && other < number;
	}
	return n;
}

/* libvirt gives the number behind the highest that is there (qemuAssignDeviceHostdevAlias). */
static void judge_aliases(xmlNode *devices, struct xml_pair_list *l)
{
	int64_t next = 0;

	for (xmlNode *d = devices ? devices->children : NULL; d; d = d->next) {
		CLEANUP_FREE char *alias = tree_attr(tree_child(d, "alias"), "name");
		int64_t number = xml_host_device_number(alias);

		if (number >= next && !is_primary_alias(l, alias))
			next = number + 1;
	}
	for (size_t i = 0; i < l->n; i++) {
		struct xml_primary *p = &l->v[i].primary;
		int64_t number = xml_host_device_number(p->alias);

		p->keeps_alias = number < 0 || number == next + count_lower(l, number);
	}
}

/* What people know a primary by, of what it has. */
static const char *name_of(const struct xml_primary *p)
{
	const char *names[] = { p->address, p->mac, p->alias, "without address and MAC" };
	size_t i = 0;

	while (!names[i])
		i++;
	return names[i];
}

/* Adds the primaries among DEVICES's ELEMENTs whose standby does not exist. */
static void add_dangling(xmlNode *devices, const char *element, struct xml_pair_list *list)
{
	for (xmlNode *d = tree_child(devices, element); d; d = tree_next(d, element)) {
		xmlNode *teaming = tree_child(d, "teaming");
		CLEANUP_FREE char *alias = NULL;
		struct xml_pair *p;

		if (!tree_attr_is(teaming, "type", "transient"))
			continue;
		alias = tree_attr(teaming, "persistent");
		if (alias && xml_pairs_by_alias(list, alias))
			continue;
		p = mem_append(&list->v, &list->n, sizeof(*p));
		read_primary(d, &p->primary);
		p->problem =
			str_printf("the primary %s names the standby \"%s\", which does not exist",
				name_of(&p->primary), alias ? alias : "");
	}
}

/* How many primaries of DEVICES's ELEMENTs name the standby. */
static size_t count_primaries(xmlNode *devices, const char *element, const char *standby_alias)
{
	size_t n = 0;

	for (xmlNode *d = tree_child(devices, element); d; d = tree_next(d, element))
		n += tree_attr_is(tree_child(d, "teaming"), "persistent", standby_alias);
	return n;
}

/* Whether the pair I shares with another one what only one can have. */
static char *find_twin(const struct xml_pair_list *list, size_t i)
{
	const struct xml_pair *p = &list->v[i];

	for (size_t k = 0; k < list->n; k++) {
		const struct xml_pair *other = &list->v[k];

		if (k == i || !other->standby_alias)
			continue;
		if (str_equal(p->standby_alias, other->standby_alias))
			return str_printf("two standbys have the alias %s", p->standby_alias);
		if (str_equal(p->mac, other->mac))
			return str_printf("the standbys %s and %s have the same MAC, %s",
				p->standby_alias, other->standby_alias, p->mac);
	}
	return NULL;
}

/* What looks well by itself, and is none beside the others. */
static void judge_all(xmlNode *devices, struct xml_pair_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		struct xml_pair *p = &list->v[i];

		if (p->problem || !p->standby_alias)
			continue;
		if (count_primaries(devices, "interface", p->standby_alias) +
				count_primaries(devices, "hostdev", p->standby_alias) >
			1)
			p->problem = str_printf("the standby %s has more than one primary",
				p->standby_alias);
		else
			p->problem = find_twin(list, i);
	}
}

/* Each is compared with each: nobody's guest has so many, but an attacker's definition may. */
static int check_number(xmlNode *devices, struct err *e)
{
	size_t n = 0;

	for (xmlNode *d = tree_child(devices, "interface"); d; d = tree_next(d, "interface"))
		n++;
	for (xmlNode *d = tree_child(devices, "hostdev"); d; d = tree_next(d, "hostdev"))
		n++;
	return n <= DEVICES_MAX ? 0
				: err_set(e,
					  "the definition has more than %d NICs and devices that "
					  "are passed through",
					  DEVICES_MAX);
}

int xml_pairs_find(const char *domain_xml, struct xml_pair_list *ret, struct err *e)
{
	struct xml_pair_list list = { 0 };
	CLEANUP_TREE xmlDoc *doc = NULL;
	xmlNode *devices;

	if (tree_parse(domain_xml, "domain", &doc, e) < 0)
		return -1;
	devices = tree_devices(doc);
	if (check_number(devices, e) < 0)
		return -1;
	for (xmlNode *d = tree_child(devices, "interface"); d; d = tree_next(d, "interface"))
		if (tree_attr_is(tree_child(d, "teaming"), "type", "persistent"))
			read_standby(devices, d, mem_append(&list.v, &list.n, sizeof(*list.v)));
	add_dangling(devices, "interface", &list);
	add_dangling(devices, "hostdev", &list);
	judge_all(devices, &list);
	judge_aliases(devices, &list);
	*ret = list;
	return 0;
}

const struct xml_pair *xml_pairs_by_alias(const struct xml_pair_list *l, const char *standby_alias)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].standby_alias && str_equal(l->v[i].standby_alias, standby_alias))
			return &l->v[i];
	return NULL;
}

static void add_host_devices(xmlNode *devices, const char *element, bool with_pairs,
	struct xml_strings *s)
{
	for (xmlNode *d = tree_child(devices, element); d; d = tree_next(d, element)) {
		char *address = NULL;

		if (with_pairs || !tree_child(d, "teaming"))
			address = tree_pci_address(tree_source_address(d));
		if (address)
			*(char **)mem_append(&s->v, &s->n, sizeof(address)) = address;
	}
}

static int list_devices(const char *domain_xml, bool with_pairs, struct xml_strings *ret,
	struct err *e)
{
	struct xml_strings s = { 0 };
	CLEANUP_TREE xmlDoc *doc = NULL;

	if (tree_parse(domain_xml, "domain", &doc, e) < 0)
		return -1;
	add_host_devices(tree_devices(doc), "interface", with_pairs, &s);
	add_host_devices(tree_devices(doc), "hostdev", with_pairs, &s);
	*ret = s;
	return 0;
}

int xml_host_devices(const char *domain_xml, struct xml_strings *ret, struct err *e)
{
	return list_devices(domain_xml, true, ret, e);
}

int xml_other_devices(const char *domain_xml, struct xml_strings *ret, struct err *e)
{
	return list_devices(domain_xml, false, ret, e);
}

bool xml_agent_connected(const char *live_xml)
{
	CLEANUP_TREE xmlDoc *doc = NULL;
	struct err ignored;

	if (tree_parse(live_xml, "domain", &doc, &ignored) < 0)
		return false;
	for (xmlNode *c = tree_child(tree_devices(doc), "channel"); c;
		c = tree_next(c, "channel")) {
		xmlNode *target = tree_child(c, "target");

		if (tree_attr_is(target, "name", "org.qemu.guest_agent.0"))
			return tree_attr_is(target, "state", "connected");
	}
	return false;
}

int xml_host_uuid(const char *capabilities, char **ret, struct err *e)
{
	CLEANUP_TREE xmlDoc *doc = NULL;
	char *uuid;

	if (tree_parse(capabilities, "capabilities", &doc, e) < 0)
		return -1;
	uuid = tree_text(tree_child(tree_child(xmlDocGetRootElement(doc), "host"), "uuid"));
	if (!uuid)
		return err_set(e, "libvirt's capabilities name no host UUID");
	*ret = uuid;
	return 0;
}
