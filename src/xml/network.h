/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt's networks: bridges, devices for macvtaps, pools of VFs. Pure, as pair.h. */
#ifndef XML_NETWORK_H
#define XML_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "util/err.h"
#include "xml/pair.h"

/* The VLAN that a network, or a portgroup of it, puts its NICs into. */
struct xml_vlan {
	char *portgroup; /* owned; NULL: the network's own */
	bool is_default; /* also of NICs that name no portgroup */
	int64_t tag;     /* 0: none; -1: several */
};

struct xml_network {
	char *forward;              /* owned; mode, "" for an isolated network */
	char *bridge;               /* owned; NULL: none */
	bool libvirt_owns_fdb;      /* macTableManager='libvirt' */
	char *virtualport;          /* owned; as of a pair */
	struct xml_strings devices; /* modes other than "hostdev": devices for macvtaps */
	/* A pool of VFs (mode "hostdev"): the PF it takes them from and, as libvirt lists them in
	 * the order in which it tries them, the VFs. */
	char *pf; /* owned; NULL: none named */
	struct xml_strings vfs;
	bool managed;
	/* The network's own, also where it has none, and those of the portgroups that have one. */
	struct xml_vlan *vlans; /* owned */
	size_t n_vlans;
};

void xml_network_free(struct xml_network *n);
int xml_network_parse(const char *network_xml, struct xml_network *ret, struct err *e);

/* The VF that a port of a network of VFs has (XML of virNetworkPortGetXMLDesc), canonical; NULL: none.
 * Caller frees. */
char *xml_port_vf(const char *port_xml);

#endif
