/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pairs in a domain definition: which virtio NIC stands by for which VF. Pure text in, plain
 * data out. XML comes from other machines: it is read without network access, without DTDs
 * and with the parser's own limits on size and depth.
 */
#ifndef XML_PAIR_H
#define XML_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

/* How the domain definition gives the primary. */
enum primary_form {
	PRIMARY_NONE,        /* not there: unplugged, or never was */
	PRIMARY_HOSTDEV_NIC, /* <interface type='hostdev'> */
	PRIMARY_POOL,        /* <interface type='network'> on a network of VFs */
	PRIMARY_HOSTDEV,     /* plain <hostdev> with <teaming> */
};

struct xml_primary {
	enum primary_form form;
	char *alias;         /* owned; NULL: none (inactive definitions) */
	char *mac;           /* owned; canonical; NULL: none given (plain hostdev) */
	char *address;       /* owned; host PCI address, canonical; NULL: a pool's choice */
	char *guest_address; /* owned; NULL: not given */
	char *network;       /* owned; PRIMARY_POOL: the network of VFs */
	char *portgroup;     /* owned; likewise: of that network; NULL: none named */
	bool has_vlan;       /* likewise: one of its own, whatever the network's is */
	bool managed;
	/* Once all primaries are gone and come back in the order of their aliases, this one gets its
	 * alias again: it is the user's, or the next one that libvirt gives. */
	bool keeps_alias;
	char *xml; /* owned; the whole element */
};

struct xml_pair {
	char *mac;            /* owned; the standby's, canonical */
	char *standby_alias;  /* owned */
	char *standby_type;   /* owned; "bridge", "network", "direct", … */
	char *standby_model;  /* owned; NULL: none */
	char *standby_driver; /* owned; the backend that is asked for, NULL: libvirt's choice */
	char *tap;            /* owned; NULL: not given (inactive definitions) */
	char *bridge;         /* owned; NULL: unknown here */
	char *network;        /* owned; NULL: none */
	char *portgroup;      /* owned; of that network; NULL: none named */
	char *lower;          /* owned; macvtap: the device below it; NULL: none, or a network's */
	char *mode;           /* owned; macvtap: its mode; NULL likewise */
	char *virtualport;    /* owned; type of <virtualport>, NULL: none */
	bool isolated;        /* <port isolated='yes'/>: see link.h */
	bool has_vlan; /* libvirt itself puts the standby into VLANs of its bridge, since 11.0 */
	bool link_up;
	struct xml_primary primary;
	char *problem; /* owned; why this is no working pair, NULL if it is one */
};

struct xml_pair_list {
	struct xml_pair *v; /* owned */
	size_t n;
};

void xml_pair_list_free(struct xml_pair_list *l);
#define CLEANUP_PAIRS __attribute__((cleanup(xml_pair_list_free)))

/*
 * Every standby (<teaming type='persistent'/>) with its primary, in the order of the
 * definition; a primary whose standby does not exist comes as an entry of its own with a
 * `problem` and without standby_alias. -1 only when DOMAIN_XML is no domain definition.
 */
int xml_pairs_find(const char *domain_xml, struct xml_pair_list *ret, struct err *e);
/* The number in an alias that libvirt gave to a host device; -1: it is none of those. */
int64_t xml_host_device_number(const char *alias);
const struct xml_pair *xml_pairs_by_alias(const struct xml_pair_list *l, const char *standby_alias);

struct xml_strings {
	char **v; /* owned, and each string */
	size_t n;
};

void xml_strings_free(struct xml_strings *s);
#define CLEANUP_STRINGS __attribute__((cleanup(xml_strings_free)))

/* Host PCI addresses of all devices the definition passes through, canonical. */
int xml_host_devices(const char *domain_xml, struct xml_strings *ret, struct err *e);

/* The same without those that belong to a pair. */
int xml_other_devices(const char *domain_xml, struct xml_strings *ret, struct err *e);

/* Whether the guest agent's channel is connected (live XML). */
bool xml_agent_connected(const char *live_xml);

/* The host's UUID in a capabilities document. Caller frees. */
int xml_host_uuid(const char *capabilities, char **ret, struct err *e);

#endif
