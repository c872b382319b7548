/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain.h"
#include "nic.h"
#include "world.h"

#define XC(s) ((const xmlChar *)(s))

void doc_free(xmlDoc **doc)
{
	if (*doc)
		xmlFreeDoc(*doc);
}

xmlDoc *doc_parse(const char *xml)
{
	return xmlReadMemory(xml, (int)strlen(xml), NULL, NULL,
		XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
}

char *node_text(xmlNode *node)
{
	xmlBuffer *buf = xmlBufferCreate();
	char *s;

	xmlNodeDump(buf, node->doc, node, 0, 0);
	s = strdup((const char *)xmlBufferContent(buf));
	xmlBufferFree(buf);
	return s;
}

char *doc_text(xmlDoc *doc)
{
	CLEANUP_TEXT char *root = node_text(xmlDocGetRootElement(doc));

	return text("%s\n", root);
}

static xmlNode *first_named(xmlNode *node, const char *name)
{
	for (; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE && xmlStrEqual(node->name, XC(name)))
			return node;
	return NULL;
}

xmlNode *node_child(xmlNode *parent, const char *name)
{
	return parent ? first_named(parent->children, name) : NULL;
}

xmlNode *node_next(xmlNode *node, const char *name)
{
	return first_named(node->next, name);
}

char *node_get(xmlNode *node, const char *attr)
{
	xmlChar *value = node ? xmlGetProp(node, XC(attr)) : NULL;
	char *copy = value ? strdup((const char *)value) : NULL;

	xmlFree(value);
	return copy;
}

bool node_is(xmlNode *node, const char *attr, const char *value)
{
	CLEANUP_TEXT char *now = node_get(node, attr);

	return now && strcmp(now, value) == 0;
}

void node_set(xmlNode *node, const char *attr, const char *value)
{
	xmlSetProp(node, XC(attr), XC(value));
}

xmlNode *node_add(xmlNode *parent, const char *name)
{
	return xmlNewChild(parent, NULL, XC(name), NULL);
}

void node_drop(xmlNode *node)
{
	if (!node)
		return;
	xmlUnlinkNode(node);
	xmlFreeNode(node);
}

xmlNode *doc_devices(xmlDoc *doc)
{
	return node_child(xmlDocGetRootElement(doc), "devices");
}

static unsigned int number(xmlNode *node, const char *attr)
{
	CLEANUP_TEXT char *value = node_get(node, attr);

	return value ? (unsigned int)strtoul(value, NULL, 0) : 0;
}

char *node_pci(xmlNode *address)
{
	char canonical[ADDRESS_SIZE];

	if (!address || !node_is(address, "type", "pci")) {
		CLEANUP_TEXT char *slot = node_get(address, "slot");

		/* The source of a plain <hostdev> leaves the type out. */
		if (!slot)
			return NULL;
	}
	snprintf(canonical, sizeof(canonical), "%04x:%02x:%02x.%x",
		number(address, "domain") & 0xffff, number(address, "bus") & 0xff,
		number(address, "slot") & 0x1f, number(address, "function") & 7);
	return strdup(canonical);
}

xmlNode *device_source_address(xmlNode *device)
{
	return node_child(node_child(device, "source"), "address");
}

int device_vlan(xmlNode *device)
{
	CLEANUP_TEXT char *tag = node_get(node_child(node_child(device, "vlan"), "tag"), "id");

	return tag ? atoi(tag) : 0;
}

xmlNode *device_next(xmlNode *devices, xmlNode *after)
{
	xmlNode *node = after ? after->next : devices ? devices->children : NULL;

	for (; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE &&
			(xmlStrEqual(node->name, XC("interface")) ||
				xmlStrEqual(node->name, XC("hostdev"))))
			return node;
	return NULL;
}

xmlNode *device_by_alias(xmlDoc *doc, const char *alias)
{
	for (xmlNode *d = device_next(doc_devices(doc), NULL); d; d = device_next(NULL, d))
		if (node_is(node_child(d, "alias"), "name", alias))
			return d;
	return NULL;
}
