/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network devices of this host as the kernel shows them. */
#ifndef NET_LINK_H
#define NET_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/nl.h"
#include "util/err.h"
#include "util/hwaddr.h"

struct link {
	int ifindex;
	char name[IF_NAMESIZE];
	struct mac mac;
	bool up;      /* administratively (IFF_UP) */
	bool running; /* has carrier (IFF_LOWER_UP) */
	uint32_t mtu;
	int master;         /* ifindex of the bridge, bond or team above, 0 for none */
	int lower;          /* ifindex of the device below (VLAN, macvlan), 0 for none */
	int active_port;    /* bonds that use one port at a time: its ifindex; 0 for all others */
	char kind[16];      /* "bridge", "bond", "vlan", "tun", … ; "" for hardware */
	char port_kind[16]; /* what it is a port of: "bridge", "bond"; "" for none */
	uint8_t port_state; /* bridge ports: BR_STATE_FORWARDING (3) is the good one */
	bool isolated;      /* bridge ports: nothing goes between two of these */
	uint8_t mcast_router; /* bridge ports: MDB_RTR_TYPE_TEMP_QUERY (1) is the default; 0, too, without snooping */
	bool vlan_filtering; /* bridges */
	int pvid;            /* bridges: VLAN of a new port, 0: none */
	bool persistent;     /* taps: there without a process that has it open */
	int vlan;            /* VLAN devices: the tag that they put on; 0 for all others */
	int64_t join_ms;     /* bridges: until a new port forwards, with STP; 0 without */
	uint64_t rx_packets, tx_packets;
};

struct link_list {
	struct link *v; /* owned */
	size_t n;
	char **other_names; /* owned, and each: alternative ones of any of them */
	size_t n_other_names;
};

void link_list_free(struct link_list *l);
#define CLEANUP_LINKS __attribute__((cleanup(link_list_free)))

/* Every link of this network namespace. */
int link_list_get(struct nl *nl, struct link_list *ret, struct err *e);
/* ERR_NOT_FOUND where there is none. */
int link_get(struct nl *nl, const char *name, struct link *ret, struct err *e);
/* The same by a number above 0, whatever the device is called by now. */
int link_get_by_index(struct nl *nl, int ifindex, struct link *ret, struct err *e);

/* Sets a device up or down, and reads back that it is. */
int link_set_up(struct nl *nl, const char *name, bool up, struct err *e);

/* Sets a bridge port's mcast_router (MDB_RTR_TYPE_…), and reads it back. */
int link_set_mcast_router(struct nl *nl, const char *name, uint8_t type, struct err *e);

/* Sets a device's address, and reads it back. */
int link_set_mac(struct nl *nl, const char *name, const struct mac *mac, struct err *e);

const struct link *link_list_by_name(const struct link_list *l, const char *name);
const struct link *link_list_by_index(const struct link_list *l, int ifindex);

/*
 * VLANs a bridge port is a member of, 0 first: entry 0 stands for "without VLAN", which every
 * port has. Without VLAN filtering the kernel still keeps an entry for each (default PVID).
 */
struct port_vlan {
	uint16_t vid;
	bool pvid;     /* what comes in without a tag is in it */
	bool untagged; /* what goes out in it has no tag */
};

struct vlan_list {
	struct port_vlan *v; /* owned */
	size_t n;
};

void vlan_list_free(struct vlan_list *l);
#define CLEANUP_VLANS __attribute__((cleanup(vlan_list_free)))
int link_port_vlans(struct nl *nl, int ifindex, struct vlan_list *ret, struct err *e);

/* ifindexes of the links of this host that carry an IP address. Caller frees *ret. */
int link_with_addresses(struct nl *nl, int **ret, size_t *ret_n, struct err *e);

#endif
