/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XML as it is changed: all but what was to be changed stays. The changed text is read with the
 * library itself and compared with the original, node by node.
 */
#include <libxml/parser.h>
#include <libxml/tree.h>

#include "fuzz.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"
#include "xml/rewrite.h"

const char fuzz_name[] = "rewrite";

static const char new_address[] = "abcd:41:1f.7";

static xmlDoc *read_xml(const char *text)
{
	xmlDoc *doc = xmlReadMemory(text, (int)strlen(text), NULL, NULL,
		XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);

	must(doc);
	return doc;
}

static bool is_element(const xmlNode *n, const char *name)
{
	return n && n->type == XML_ELEMENT_NODE && xmlStrEqual(n->name, (const xmlChar *)name);
}

/* What the change may have touched. */
static bool is_host_address(const xmlNode *n)
{
	return is_element(n, "address") && is_element(n->parent, "source");
}

static bool same_namespace(const xmlNs *a, const xmlNs *b)
{
	return a && b ? xmlStrEqual(a->href, b->href) : a == b;
}

static bool is_part_of_address(const xmlAttr *a)
{
	static const char *const parts[] = { "domain", "bus", "slot", "function" };

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (str_equal((const char *)a->name, parts[i]) && !a->ns)
			return is_host_address(a->parent);
	return false;
}

static xmlAttr *next_kept(xmlAttr *a)
{
	while (a && is_part_of_address(a))
		a = a->next;
	return a;
}

static void same_attributes(xmlNode *a, xmlNode *b)
{
	xmlAttr *x = next_kept(a->properties), *y = next_kept(b->properties);

	for (; x && y; x = next_kept(x->next), y = next_kept(y->next)) {
		xmlChar *vx = xmlNodeListGetString(a->doc, x->children, 1);
		xmlChar *vy = xmlNodeListGetString(b->doc, y->children, 1);

		must(xmlStrEqual(x->name, y->name) && same_namespace(x->ns, y->ns));
		must(xmlStrEqual(vx, vy));
		xmlFree(vx);
		xmlFree(vy);
	}
	must(!x && !y);
}

static void same_nodes(xmlNode *a, xmlNode *b)
{
	for (; a && b; a = a->next, b = b->next) {
		must(a->type == b->type && xmlStrEqual(a->name, b->name));
		if (a->type == XML_ELEMENT_NODE) {
			must(same_namespace(a->ns, b->ns));
			same_attributes(a, b);
			same_nodes(a->children, b->children);
		} else {
			must(xmlStrEqual(a->content, b->content));
		}
	}
	must(!a && !b);
}

static void same_documents(const char *old, const char *new)
{
	xmlDoc *a = read_xml(old), *b = read_xml(new);

	same_nodes(a->children, b->children);
	xmlFreeDoc(a);
	xmlFreeDoc(b);
}

static void same_pair(const struct xml_pair *a, const struct xml_pair *b)
{
	must(str_equal(a->mac, b->mac) && str_equal(a->standby_alias, b->standby_alias) &&
		str_equal(a->standby_type, b->standby_type) && str_equal(a->tap, b->tap) &&
		str_equal(a->bridge, b->bridge) && str_equal(a->network, b->network) &&
		str_equal(a->portgroup, b->portgroup) && a->link_up == b->link_up &&
		str_equal(a->problem, b->problem));
	must(a->primary.form == b->primary.form && a->primary.managed == b->primary.managed &&
		str_equal(a->primary.alias, b->primary.alias) &&
		str_equal(a->primary.mac, b->primary.mac) &&
		str_equal(a->primary.guest_address, b->primary.guest_address));
}

/* The pair I gets another VF, and nobody else does, but for pairs that share its primary. */
static void change_vf(const char *text, const struct xml_pair_list *pairs, size_t i)
{
	struct xml_new_address change = { .standby_alias = pairs->v[i].standby_alias,
		.address = new_address };
	CLEANUP_PAIRS struct xml_pair_list after = { 0 };
	CLEANUP_FREE char *changed = NULL;
	struct err e = { 0 };

	if (xml_domain_with_vfs(text, &change, 1, &changed, &e) < 0) {
		must(e.msg[0] && !changed && !pairs->v[i].primary.address);
		return;
	}
	same_documents(text, changed);
	must(xml_pairs_find(changed, &after, &e) == 0 && after.n == pairs->n);
	for (size_t k = 0; k < after.n; k++) {
		bool meant = str_equal(pairs->v[k].standby_alias, change.standby_alias);

		if (after.v[k].standby_alias)
			same_pair(&pairs->v[k], &after.v[k]);
		/* One without type='pci' is none, whatever stands in it. */
		if (meant && pairs->v[k].primary.address)
			must(str_equal(after.v[k].primary.address, new_address));
		if (!meant)
			must(str_equal(after.v[k].primary.address, pairs->v[k].primary.address));
	}
}

static void change_primary(const struct xml_primary *p)
{
	CLEANUP_FREE char *changed = NULL;
	struct err e = { 0 };

	if (!p->xml)
		return;
	if (xml_primary_with_vf(p->xml, new_address, &changed, &e) < 0) {
		must(e.msg[0] && !p->address);
		return;
	}
	must(strstr(changed, "0xabcd"));
	same_documents(p->xml, changed);
}

static void change_link(const char *text, const char *alias)
{
	CLEANUP_FREE char *up = NULL;
	CLEANUP_FREE char *down = NULL;
	struct err e = { 0 };

	must(xml_standby_with_link(text, alias, true, &up, &e) == 0 &&
		xml_standby_with_link(text, alias, false, &down, &e) == 0);
	must(strstr(up, "state=\"up\"") && strstr(down, "state=\"down\"") && strstr(up, "<link"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = fuzz_text(data, size);
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	CLEANUP_FREE char *same = NULL;
	struct err e = { 0 };

	if (xml_pairs_find(text, &pairs, &e) < 0)
		return 0;
	must(xml_domain_with_vfs(text, NULL, 0, &same, &e) == 0);
	same_documents(text, same);
	for (size_t i = 0; i < pairs.n; i++) {
		change_primary(&pairs.v[i].primary);
		if (!pairs.v[i].standby_alias)
			continue;
		change_vf(text, &pairs, i);
		change_link(text, pairs.v[i].standby_alias);
	}
	return 0;
}
