/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small helpers over libxml2 for the files of this folder only. */
#ifndef XML_TREE_H
#define XML_TREE_H

#include <libxml/tree.h>
#include <stdbool.h>

#include "util/err.h"

/* Parses TEXT; its root element must be ROOT. */
int tree_parse(const char *text, const char *root, xmlDoc **ret, struct err *e);
void tree_cleanup(xmlDoc **doc);
#define CLEANUP_TREE __attribute__((cleanup(tree_cleanup)))

/* Names are those without a namespace: what is in one belongs to others. */
/* First child element named NAME, or NULL; NULL parents give NULL. */
xmlNode *tree_child(xmlNode *parent, const char *name);
/* Next sibling element named NAME. */
xmlNode *tree_next(xmlNode *node, const char *name);
/* Attribute's value or NULL; caller frees. */
char *tree_attr(xmlNode *node, const char *name);
bool tree_attr_is(xmlNode *node, const char *name, const char *value);
void tree_set_attr(xmlNode *node, const char *name, const char *value);
/* Text of a node's content; caller frees. */
char *tree_text(xmlNode *node);
/* The element as text; caller frees. */
char *tree_print(xmlNode *node);
/* The whole document as text; caller frees. */
char *tree_print_doc(xmlDoc *doc);

/* <address type='pci' domain= bus= slot= function=/> to canonical text, NULL if it is none. */
char *tree_pci_address(xmlNode *address);
int tree_set_pci_address(xmlNode *address, const char *text, struct err *e);

/* Domain structure both users of it need. */
xmlNode *tree_devices(xmlDoc *domain);
xmlNode *tree_alias_owner(xmlNode *devices, const char *element, const char *alias);
/* The element of a primary (<interface> or <hostdev>) whose teaming names STANDBY_ALIAS. */
xmlNode *tree_primary_of(xmlNode *devices, const char *standby_alias);
/* Where a primary's host address stands: <source><address type='pci'…/>; NULL: nowhere. */
xmlNode *tree_source_address(xmlNode *device);

#endif
