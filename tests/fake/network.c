/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network.h"

#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/* In live.xml the source of such a NIC has the network's name as this attribute. */
static const char pool_attr[] = "pool";

/* And a <vlan> that comes from the network is marked with this one. */
static const char added_attr[] = "added";

/* The *COUNTDOWN-th VF from the pool in a live definition; it is counted down. */
static char *vf_in(xmlDoc *live, const char *pool, size_t *countdown)
{
	xmlNode *v = live ? device_next(doc_devices(live), NULL) : NULL;

	for (; v; v = device_next(NULL, v))
		if (node_is(node_child(v, "source"), pool_attr, pool) && (*countdown)-- == 0)
			return node_pci(device_source_address(v));
	return NULL;
}

static char *vf_from(const struct dom *d, const char *pool, size_t *countdown)
{
	CLEANUP_DOC xmlDoc *live = dom_live(d);

	return vf_in(live, pool, countdown);
}

/* The I-th VF that the pool has given out. */
static char *given_vf(const char *host, const char *pool, size_t i)
{
	struct dom *list;
	size_t n = dom_list(host, &list);
	char *found = NULL;

	for (size_t k = 0; k < n && !found; k++)
		found = vf_from(&list[k], pool, &i);
	free(list);
	return found;
}

static bool is_given_out(const char *host, const char *pool, const char *address)
{
	for (size_t i = 0;; i++) {
		CLEANUP_TEXT char *given = given_vf(host, pool, i);

		if (!given || strcmp(given, address) == 0)
			return given;
	}
}

char *network_port(const char *host, const char *pool, size_t i)
{
	CLEANUP_TEXT char *vf = given_vf(host, pool, i);
	unsigned int domain, bus, slot, function;

	if (!vf || sscanf(vf, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
		return NULL;
	return text("<networkport><plug type='hostdev' managed='yes'><driver name='vfio'/>"
		    "<address type='pci' domain='0x%04x' bus='0x%02x' slot='0x%02x' "
		    "function='0x%x'/></plug></networkport>",
		domain, bus, slot, function);
}

/* To a NIC before this one, of a domain that is just being started. */
static bool is_given_to(xmlDoc *starting, const char *pool, const char *address)
{
	for (size_t i = 0;; i++) {
		size_t countdown = i;
		CLEANUP_TEXT char *given = vf_in(starting, pool, &countdown);

		if (!given || strcmp(given, address) == 0)
			return given;
	}
}

static xmlNode *first_free(const char *host, const char *pool, xmlNode *forward, xmlDoc *starting)
{
	for (xmlNode *a = node_child(forward, "address"); a; a = node_next(a, "address")) {
		CLEANUP_TEXT char *address = node_pci(a);

		if (!is_given_out(host, pool, address) && !is_given_to(starting, pool, address))
			return a;
	}
	return NULL;
}

static xmlNode *portgroup_of(xmlNode *nic, xmlNode *network)
{
	CLEANUP_TEXT char *name = node_get(node_child(nic, "source"), "portgroup");

	for (xmlNode *g = node_child(network, "portgroup"); g; g = node_next(g, "portgroup"))
		if (name ? node_is(g, "name", name) : node_is(g, "default", "yes"))
			return g;
	return NULL;
}

/* As networkAllocatePort has it: the NIC's own, else its portgroup's, else the network's. */
static void add_vlan(xmlNode *nic, xmlNode *network)
{
	xmlNode *vlan = node_child(portgroup_of(nic, network), "vlan");

	vlan = vlan ? vlan : node_child(network, "vlan");
	if (!vlan || node_child(nic, "vlan"))
		return;
	vlan = xmlAddChild(nic, xmlDocCopyNode(vlan, nic->doc, 1));
	node_set(vlan, added_attr, "yes");
}

static int plug_vf(const char *host, xmlNode *nic, const char *pool, xmlNode *forward)
{
	xmlNode *address = first_free(host, pool, forward, nic->doc),
		*source = node_child(nic, "source");
	CLEANUP_TEXT char *managed = node_get(forward, "managed");

	if (!address)
		return fail(VIR_ERR_INTERNAL_ERROR,
			"network '%s' requires exclusive access to interfaces, but none are "
			"available",
			pool);
	node_set(nic, "type", "hostdev");
	node_set(nic, "managed", managed ? managed : "no");
	xmlUnsetProp(source, (const xmlChar *)"network");
	node_set(source, pool_attr, pool);
	xmlAddChild(source, xmlDocCopyNode(address, nic->doc, 1));
	add_vlan(nic, forward->parent);
	return 0;
}

static void plug_bridge(xmlNode *nic, xmlNode *network)
{
	xmlNode *source = node_child(nic, "source"), *forward = node_child(network, "forward");
	CLEANUP_TEXT char *bridge = node_get(node_child(network, "bridge"), "name");
	CLEANUP_TEXT char *lower = node_get(node_child(forward, "interface"), "dev");
	CLEANUP_TEXT char *mode = node_get(forward, "mode");
	CLEANUP_TEXT char *port = text("00000000-0000-4000-8000-%012llx", (long long)now_ms());

	node_set(source, "portid", port);
	if (!lower) {
		node_set(source, "bridge", bridge ? bridge : "");
		return;
	}
	node_set(nic, "type", "direct");
	node_set(source, "dev", lower);
	node_set(source, "mode", mode);
}

int network_plug(const char *host, xmlNode *nic)
{
	CLEANUP_TEXT char *name = node_get(node_child(nic, "source"), "network");
	CLEANUP_TEXT char *path = world_path("%s/networks/%s", host, name ? name : "");
	CLEANUP_TEXT char *xml = world_read(path);
	CLEANUP_DOC xmlDoc *doc = xml ? doc_parse(xml) : NULL;
	xmlNode *forward;

	if (!doc)
		return fail(VIR_ERR_NO_NETWORK, "no network with matching name '%s'", name);
	forward = node_child(xmlDocGetRootElement(doc), "forward");
	if (node_is(forward, "mode", "hostdev"))
		return plug_vf(host, nic, name, forward);
	plug_bridge(nic, xmlDocGetRootElement(doc));
	return 0;
}

void network_hide_pool(xmlNode *device)
{
	xmlNode *source = node_child(device, "source");

	if (source)
		xmlUnsetProp(source, (const xmlChar *)pool_attr);
	if (node_child(device, "vlan"))
		xmlUnsetProp(node_child(device, "vlan"), (const xmlChar *)added_attr);
}

void network_as_given(xmlNode *device)
{
	xmlNode *source = node_child(device, "source");
	CLEANUP_TEXT char *pool = node_get(source, pool_attr);
	CLEANUP_TEXT char *network = node_get(source, "network");

	if (network && node_is(device, "type", "direct")) {
		node_set(device, "type", "network");
		xmlUnsetProp(source, (const xmlChar *)"dev");
		xmlUnsetProp(source, (const xmlChar *)"mode");
	}
	if (!pool)
		return;
	if (node_is(node_child(device, "vlan"), added_attr, "yes"))
		node_drop(node_child(device, "vlan"));
	network_hide_pool(device);
	node_set(device, "type", "network");
	xmlUnsetProp(device, (const xmlChar *)"managed");
	node_set(source, "network", pool);
	node_drop(node_child(source, "address"));
	node_drop(node_child(device, "driver"));
}
