/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/* In live.xml the source of such a NIC has the network's name as this attribute. */
static const char pool_attr[] = "pool";

static bool domain_has(const struct dom *d, const char *pool, const char *address)
{
	CLEANUP_DOC xmlDoc *live = dom_live(d);
	xmlNode *v = live ? device_next(doc_devices(live), NULL) : NULL;

	for (; v; v = device_next(NULL, v)) {
		CLEANUP_TEXT char *own = node_pci(device_source_address(v));

		if (own && strcmp(own, address) == 0 &&
			node_is(node_child(v, "source"), pool_attr, pool))
			return true;
	}
	return false;
}

static bool is_given_out(const char *host, const char *pool, const char *address)
{
	struct dom *list;
	size_t n = dom_list(host, &list);
	bool found = false;

	for (size_t i = 0; i < n && !found; i++)
		found = domain_has(&list[i], pool, address);
	free(list);
	return found;
}

static xmlNode *first_free(const char *host, const char *pool, xmlNode *forward)
{
	for (xmlNode *a = node_child(forward, "address"); a; a = node_next(a, "address")) {
		CLEANUP_TEXT char *address = node_pci(a);

		if (!is_given_out(host, pool, address))
			return a;
	}
	return NULL;
}

static int plug_vf(const char *host, xmlNode *nic, const char *pool, xmlNode *forward)
{
	xmlNode *address = first_free(host, pool, forward), *source = node_child(nic, "source");
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
	network_hide_pool(device);
	node_set(device, "type", "network");
	xmlUnsetProp(device, (const xmlChar *)"managed");
	node_set(source, "network", pool);
	node_drop(node_child(source, "address"));
	node_drop(node_child(device, "driver"));
}
