/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xml/network.h"

#include <stdlib.h>

#include "util/mem.h"
#include "util/str.h"
#include "xml/tree.h"

void xml_network_free(struct xml_network *n)
{
	free(n->forward);
	free(n->bridge);
	free(n->pf);
	free(n->virtualport);
	xml_strings_free(&n->devices);
	xml_strings_free(&n->vfs);
	for (size_t i = 0; i < n->n_vlans; i++)
		free(n->vlans[i].portgroup);
	free(n->vlans);
	*n = (struct xml_network){ 0 };
}

enum { VLAN_MAX = 4095 };

static int64_t tag_of(xmlNode *vlan)
{
	xmlNode *tag = tree_child(vlan, "tag");
	CLEANUP_FREE char *text = tree_attr(tag, "id");
	CLEANUP_FREE char *native = tree_attr(tag, "nativeMode");
	uint64_t number;

	if (!vlan)
		return 0;
	if (str_parse_uint(text, VLAN_MAX, &number) < 0 || native || tree_next(tag, "tag") ||
		tree_attr_is(vlan, "trunk", "yes"))
		return -1;
	return (int64_t)number;
}

static void add_vlan(struct xml_network *n, char *portgroup, xmlNode *of)
{
	*(struct xml_vlan *)mem_append(&n->vlans, &n->n_vlans, sizeof(*n->vlans)) =
		(struct xml_vlan){ .portgroup = portgroup,
			.is_default = portgroup && tree_attr_is(of, "default", "yes"),
			.tag = tag_of(tree_child(of, "vlan")) };
}

static void read_vlans(struct xml_network *n, xmlNode *root)
{
	add_vlan(n, NULL, root);
	for (xmlNode *g = tree_child(root, "portgroup"); g; g = tree_next(g, "portgroup")) {
		char *name = tree_child(g, "vlan") ? tree_attr(g, "name") : NULL;

		if (name)
			add_vlan(n, name, g);
	}
}

int xml_network_parse(const char *network_xml, struct xml_network *ret, struct err *e)
{
	CLEANUP_TREE xmlDoc *doc = NULL;
	xmlNode *root, *forward, *bridge;

	if (tree_parse(network_xml, "network", &doc, e) < 0)
		return -1;
	root = xmlDocGetRootElement(doc);
	forward = tree_child(root, "forward");
	bridge = tree_child(root, "bridge");
	*ret = (struct xml_network){
		.forward = forward ? tree_attr(forward, "mode") : str_dup(""),
		.bridge = tree_attr(bridge, "name"),
		.libvirt_owns_fdb = tree_attr_is(bridge, "macTableManager", "libvirt"),
		.virtualport = tree_attr(tree_child(root, "virtualport"), "type"),
		.pf = tree_attr(tree_child(forward, "pf"), "dev"),
		.managed = tree_attr_is(forward, "managed", "yes"),
	};
	for (xmlNode *a = tree_child(forward, "address"); a; a = tree_next(a, "address")) {
		char *address = tree_pci_address(a);

		if (address)
			*(char **)mem_append(&ret->vfs.v, &ret->vfs.n, sizeof(address)) = address;
	}
	for (xmlNode *i = tree_child(forward, "interface"); i; i = tree_next(i, "interface")) {
		char *device = tree_attr(i, "dev");

		if (device)
			*(char **)mem_append(&ret->devices.v, &ret->devices.n, sizeof(device)) =
				device;
	}
	read_vlans(ret, root);
	if (!ret->forward) /* <forward/> alone means NAT */
		ret->forward = str_dup("nat");
	return 0;
}

char *xml_port_vf(const char *port_xml)
{
	CLEANUP_TREE xmlDoc *doc = NULL;
	struct err ignored;

	if (tree_parse(port_xml, "networkport", &doc, &ignored) < 0)
		return NULL;
	return tree_pci_address(
		tree_child(tree_child(xmlDocGetRootElement(doc), "plug"), "address"));
}
