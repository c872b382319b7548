/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xml/rewrite.h"

#include "util/mem.h"
#include "util/str.h"
#include "xml/tree.h"

int xml_domain_with_vfs(const char *domain_xml, const struct xml_new_address *change, size_t n,
	char **ret, struct err *e)
{
	CLEANUP_TREE xmlDoc *doc = NULL;

	if (tree_parse(domain_xml, "domain", &doc, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		xmlNode *primary = tree_primary_of(tree_devices(doc), change[i].standby_alias);
		xmlNode *address = tree_source_address(primary);

		if (!address)
			return err_set(e, "the definition has no VF for the standby %s",
				change[i].standby_alias);
		if (tree_set_pci_address(address, change[i].address, e) < 0)
			return -1;
	}
	*ret = tree_print_doc(doc);
	return 0;
}

/* The root element of a device's XML, whichever of the two it is. */
static int parse_device(const char *xml, xmlDoc **ret, struct err *e)
{
	if (tree_parse(xml, "interface", ret, e) == 0)
		return 0;
	return tree_parse(xml, "hostdev", ret, e);
}

int xml_primary_with_vf(const char *device_xml, const char *address, char **ret, struct err *e)
{
	CLEANUP_TREE xmlDoc *doc = NULL;
	xmlNode *node;

	if (parse_device(device_xml, &doc, e) < 0)
		return -1;
	node = tree_source_address(xmlDocGetRootElement(doc));
	if (!node)
		return err_set(e, "this device names no VF");
	if (tree_set_pci_address(node, address, e) < 0)
		return -1;
	*ret = tree_print_doc(doc);
	return 0;
}

int xml_primary_with_alias(const char *device_xml, const char *alias, char **ret, struct err *e)
{
	CLEANUP_TREE xmlDoc *doc = NULL;
	xmlNode *root;

	if (parse_device(device_xml, &doc, e) < 0)
		return -1;
	root = xmlDocGetRootElement(doc);
	if (alias && !tree_child(root, "alias"))
		tree_set_attr(xmlNewChild(root, NULL, (const xmlChar *)"alias", NULL), "name",
			alias);
	*ret = tree_print_doc(doc);
	return 0;
}

int xml_primary_unnamed(const char *device_xml, char **ret, struct err *e)
{
	CLEANUP_TREE xmlDoc *doc = NULL;
	CLEANUP_FREE char *name = NULL;
	xmlNode *alias;

	if (parse_device(device_xml, &doc, e) < 0)
		return -1;
	alias = tree_child(xmlDocGetRootElement(doc), "alias");
	name = tree_attr(alias, "name");
	if (alias && !(name && str_starts(name, "ua-"))) {
		xmlUnlinkNode(alias);
		xmlFreeNode(alias);
	}
	*ret = tree_print_doc(doc);
	return 0;
}

int xml_standby_with_link(const char *migratable_xml, const char *standby_alias, bool up,
	char **ret, struct err *e)
{
	CLEANUP_TREE xmlDoc *doc = NULL;
	xmlNode *nic, *link;

	if (tree_parse(migratable_xml, "domain", &doc, e) < 0)
		return -1;
	nic = tree_alias_owner(tree_devices(doc), "interface", standby_alias);
	if (!nic)
		return err_set(e, "the domain has no NIC with the alias %s", standby_alias);
	link = tree_child(nic, "link");
	if (!link)
		link = xmlNewChild(nic, NULL, (const xmlChar *)"link", NULL);
	tree_set_attr(link, "state", up ? "up" : "down");
	*ret = tree_print(nic);
	return 0;
}

int xml_primary_new(const char *mac, const char *address, const char *standby_alias, char **ret,
	struct err *e)
{
	CLEANUP_TREE xmlDoc *doc = xmlNewDoc((const xmlChar *)"1.0");
	xmlNode *nic = xmlNewDocNode(doc, NULL, (const xmlChar *)"interface", NULL);
	xmlNode *node;

	xmlDocSetRootElement(doc, nic);
	tree_set_attr(nic, "type", "hostdev");
	tree_set_attr(nic, "managed", "yes");
	node = xmlNewChild(nic, NULL, (const xmlChar *)"mac", NULL);
	tree_set_attr(node, "address", mac);
	node = xmlNewChild(nic, NULL, (const xmlChar *)"source", NULL);
	node = xmlNewChild(node, NULL, (const xmlChar *)"address", NULL);
	tree_set_attr(node, "type", "pci");
	if (tree_set_pci_address(node, address, e) < 0)
		return -1;
	node = xmlNewChild(nic, NULL, (const xmlChar *)"teaming", NULL);
	tree_set_attr(node, "type", "transient");
	tree_set_attr(node, "persistent", standby_alias);
	*ret = tree_print_doc(doc);
	return 0;
}
