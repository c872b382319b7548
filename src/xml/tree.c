/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xml/tree.h"

#include <ctype.h>
#include <errno.h>
#include <libxml/parser.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/hwaddr.h"
#include "util/mem.h"
#include "util/str.h"

#define XC(s) ((const xmlChar *)(s))

static void be_silent(void *ctx, const char *fmt, ...)
{
}

/* Before a declaration's entities are read: some take for ever. */
static void refuse_doctype(void *ctx, const xmlChar *name, const xmlChar *external,
	const xmlChar *system)
{
	xmlParserCtxt *parser = ctx;
	bool *has_doctype = parser->_private;

	*has_doctype = true;
	xmlStopParser(parser);
}

/* libxml2 writes the name of a namespace as it is, also what would have to be written otherwise. */
static bool can_be_written(const xmlNode *node)
{
	for (const xmlNs *ns = node->nsDef; ns; ns = ns->next)
		if (ns->href && strpbrk((const char *)ns->href, "<&"))
			return false;
	for (const xmlNode *c = node->children; c; c = c->next)
		if (c->type == XML_ELEMENT_NODE && !can_be_written(c))
			return false;
	return true;
}

int tree_parse(const char *text, const char *root, xmlDoc **ret, struct err *e)
{
	CLEANUP_TREE xmlDoc *doc = NULL;
	size_t len = text ? strlen(text) : 0;
	bool has_doctype = false;
	xmlParserCtxt *ctxt;
	xmlNode *top;

	if (len == 0 || len > INT_MAX)
		return err_set(e, "no <%s> XML: %s", root, len ? "too large" : "empty");
	ctxt = xmlNewParserCtxt();
	if (!ctxt)
		return err_set(e, "out of memory in the XML parser");
	ctxt->sax->warning = ctxt->sax->error = be_silent;
	ctxt->sax->internalSubset = refuse_doctype;
	ctxt->_private = &has_doctype;
	doc = xmlCtxtReadMemory(ctxt, text, (int)len, NULL, NULL,
		XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	if (has_doctype) {
		xmlFreeParserCtxt(ctxt);
		return err_set(e, "<%s> XML with a document type declaration is refused", root);
	}
	if (!doc) {
		const xmlError *why = xmlCtxtGetLastError(ctxt);

		err_set(e, "malformed <%s> XML, line %d: %.*s", root, why ? why->line : 0,
			why && why->message ? (int)strcspn(why->message, "\n") : 7,
			why && why->message ? why->message : "unknown");
		xmlFreeParserCtxt(ctxt);
		return -1;
	}
	xmlFreeParserCtxt(ctxt);
	top = xmlDocGetRootElement(doc);
	if (!top || top->ns || !xmlStrEqual(top->name, XC(root)))
		return err_set(e, "this is no <%s> XML", root);
	if (!can_be_written(top))
		return err_set(e,
			"<%s> XML with a namespace that has < or & in its name is refused", root);
	*ret = TAKE_PTR(doc);
	return 0;
}

void tree_cleanup(xmlDoc **doc)
{
	if (*doc)
		xmlFreeDoc(*doc);
}

static xmlNode *first_named(xmlNode *node, const char *name)
{
	for (; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE && !node->ns &&
			xmlStrEqual(node->name, XC(name)))
			return node;
	return NULL;
}

xmlNode *tree_child(xmlNode *parent, const char *name)
{
	return parent ? first_named(parent->children, name) : NULL;
}

xmlNode *tree_next(xmlNode *node, const char *name)
{
	return first_named(node->next, name);
}

/* libxml2 strings to our own, which free() frees. */
static char *take(xmlChar *s)
{
	char *copy = str_dup((const char *)s);

	xmlFree(s);
	return copy;
}

char *tree_attr(xmlNode *node, const char *name)
{
	return node ? take(xmlGetNoNsProp(node, XC(name))) : NULL;
}

bool tree_attr_is(xmlNode *node, const char *name, const char *value)
{
	CLEANUP_FREE char *have = tree_attr(node, name);

	return have && str_equal(have, value);
}

void tree_set_attr(xmlNode *node, const char *name, const char *value)
{
	xmlSetNsProp(node, NULL, XC(name), XC(value));
}

char *tree_text(xmlNode *node)
{
	return node ? take(xmlNodeGetContent(node)) : NULL;
}

char *tree_print(xmlNode *node)
{
	xmlBuffer *buf = xmlBufferCreate();
	char *text;

	if (!buf || xmlNodeDump(buf, node->doc, node, 0, 0) < 0)
		abort(); /* only for want of memory */
	text = str_dup((const char *)xmlBufferContent(buf));
	xmlBufferFree(buf);
	return text;
}

char *tree_print_doc(xmlDoc *doc)
{
	return tree_print(xmlDocGetRootElement(doc));
}

/* As libvirt reads it: 0x16 and 022 are 16 hexadecimal and 22 octal. */
static int number_attr(xmlNode *node, const char *name, uint64_t max, uint64_t *ret)
{
	CLEANUP_FREE char *text = tree_attr(node, name);
	unsigned long long n;
	char *end;

	if (!text || !isdigit((unsigned char)*text))
		return -1;
	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || *end || n > max)
		return -1;
	*ret = n;
	return 0;
}

char *tree_pci_address(xmlNode *address)
{
	uint64_t domain = 0, bus, slot, function = 0;
	struct pci_address pci;
	char text[PCI_TEXT_SIZE];

	if (!address)
		return NULL;
	/* libvirt leaves out nothing it prints, but takes hand-written XML without the zeros. */
	number_attr(address, "domain", UINT32_MAX, &domain);
	number_attr(address, "function", 7, &function);
	if (number_attr(address, "bus", 0xff, &bus) < 0 ||
		number_attr(address, "slot", 0x1f, &slot) < 0)
		return NULL;
	pci = (struct pci_address){ (uint32_t)domain, (uint8_t)bus, (uint8_t)slot,
		(uint8_t)function };
	pci_format(&pci, text);
	return str_dup(text);
}

int tree_set_pci_address(xmlNode *address, const char *text, struct err *e)
{
	struct pci_address pci;
	char number[16];

	if (pci_parse(text, &pci) < 0)
		return err_set(e, "\"%s\" is no PCI address", text);
	snprintf(number, sizeof(number), "0x%04x", pci.domain);
	tree_set_attr(address, "domain", number);
	snprintf(number, sizeof(number), "0x%02x", pci.bus);
	tree_set_attr(address, "bus", number);
	snprintf(number, sizeof(number), "0x%02x", pci.slot);
	tree_set_attr(address, "slot", number);
	snprintf(number, sizeof(number), "0x%x", pci.function);
	tree_set_attr(address, "function", number);
	return 0;
}

xmlNode *tree_devices(xmlDoc *domain)
{
	return tree_child(xmlDocGetRootElement(domain), "devices");
}

xmlNode *tree_alias_owner(xmlNode *devices, const char *element, const char *alias)
{
	for (xmlNode *d = tree_child(devices, element); d; d = tree_next(d, element))
		if (tree_attr_is(tree_child(d, "alias"), "name", alias))
			return d;
	return NULL;
}

static xmlNode *primary_among(xmlNode *devices, const char *element, const char *standby_alias)
{
	for (xmlNode *d = tree_child(devices, element); d; d = tree_next(d, element)) {
		xmlNode *teaming = tree_child(d, "teaming");

		if (tree_attr_is(teaming, "type", "transient") &&
			tree_attr_is(teaming, "persistent", standby_alias))
			return d;
	}
	return NULL;
}

xmlNode *tree_primary_of(xmlNode *devices, const char *standby_alias)
{
	xmlNode *nic = primary_among(devices, "interface", standby_alias);

	return nic ? nic : primary_among(devices, "hostdev", standby_alias);
}

xmlNode *tree_source_address(xmlNode *device)
{
	return tree_child(tree_child(device, "source"), "address");
}
