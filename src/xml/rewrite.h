/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changed copies of domain and device XML: everything not meant to change stays as it was. */
#ifndef XML_REWRITE_H
#define XML_REWRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "util/err.h"

/* A primary is found by the alias of its standby. */
struct xml_new_address {
	const char *standby_alias; /* borrowed */
	const char *address;       /* borrowed; host PCI address of the VF to name instead */
};

/* DOMAIN_XML with the primaries of the pairs listed naming other VFs. Caller frees *ret. */
int xml_domain_with_vfs(const char *domain_xml, const struct xml_new_address *change, size_t n,
	char **ret, struct err *e);

/*
 * The device element DEVICE_XML with this alias, if it has none: QEMU remembers the one it knew a
 * standby's primary by. libvirt keeps an alias that is given in a live attach, even one of its
 * own making (src/qemu/qemu_alias.c). ALIAS may be NULL: nothing is added. Caller frees *ret.
 */
int xml_primary_with_alias(const char *device_xml, const char *alias, char **ret, struct err *e);

/*
 * The device element DEVICE_XML for another QEMU: without an alias of libvirt's own making
 * (those of users begin with "ua-"), which some other device may have there. Caller frees *ret.
 */
int xml_primary_unnamed(const char *device_xml, char **ret, struct err *e);

/* The device element DEVICE_XML naming another VF. Caller frees *ret. */
int xml_primary_with_vf(const char *device_xml, const char *address, char **ret, struct err *e);

/*
 * The standby as libvirt wants it back for an update of its link: cut out of the MIGRATABLE
 * XML, with only <link> changed. Anything else would be taken from the update: without
 * <teaming> the live definition loses it, and the live XML of a type='network' NIC would
 * turn it into type='bridge'. Caller frees *ret.
 */
int xml_standby_with_link(const char *migratable_xml, const char *standby_alias, bool up,
	char **ret, struct err *e);

/* A new primary for a domain whose definition has lost it. Caller frees *ret. */
int xml_primary_new(const char *mac, const char *address, const char *standby_alias, char **ret,
	struct err *e);

#endif
