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
	*n = (struct xml_network){ 0 };
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
