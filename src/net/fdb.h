/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Forwarding entries: where a bridge sends a MAC address ("bridge entries"), and which
 * unicast addresses a device accepts besides its own ("self entries").
 */
#ifndef NET_FDB_H
#define NET_FDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/nl.h"
#include "util/err.h"
#include "util/hwaddr.h"

/*
 * Kinds of entries as the kernel stores them (net/bridge/br_fdb.c): learnt ones move and age;
 * static ones forward to the port; local ones hand the frame to the host and never forward.
 */
enum fdb_kind { FDB_LEARNT, FDB_STATIC, FDB_LOCAL, FDB_SELF };

struct fdb_entry {
	struct mac mac;
	int port;      /* ifindex */
	int bridge;    /* ifindex, 0 for self entries */
	uint16_t vlan; /* 0: without VLAN */
	enum fdb_kind kind;
	bool sticky;
};

struct fdb_list {
	struct fdb_entry *v; /* owned */
	size_t n;
};

void fdb_list_free(struct fdb_list *l);
#define CLEANUP_FDB __attribute__((cleanup(fdb_list_free)))

/* Every entry for MAC (NULL: every one) on this host, on whichever port, of either sort. */
int fdb_find(struct nl *nl, const struct mac *mac, struct fdb_list *ret, struct err *e);
/*
 * At least those that stand on DEV, in its own list or as a port of its bridge; much less work for the
 * kernel where there are many ports.
 */
int fdb_find_on(struct nl *nl, int dev, const struct mac *mac, struct fdb_list *ret, struct err *e);

/*
 * Puts a static, sticky entry for MAC on bridge port PORT, in place of whatever the bridge has
 * for it: learnt or roamed entries elsewhere move here. Sticky (Linux 4.20) because static
 * alone still moves when a frame with that source enters by another port, and the guest's own
 * broadcasts do, looped back by the NIC. VLAN 0 covers the port's VLANs as well (the kernel
 * adds an entry for each). Idempotent.
 */
int fdb_replace(struct nl *nl, int port, const struct mac *mac, uint16_t vlan, struct err *e);

/* The same with the kind (FDB_STATIC or FDB_LOCAL) and stickiness of an entry found before. */
int fdb_restore(struct nl *nl, const struct fdb_entry *entry, struct err *e);

/* Deletes a bridge entry; one that is absent, or whose port is gone, is no error. */
int fdb_delete(struct nl *nl, const struct fdb_entry *entry, struct err *e);

/*
 * Makes DEV accept MAC. Idempotent. Success only says that the device has it in its list;
 * whether a VF's PF granted the filter shows nowhere (net/core/rtnetlink.c, ndo_dflt_fdb_add).
 */
int fdb_add_self(struct nl *nl, int dev, const struct mac *mac, struct err *e);
/* One that is absent, or whose device is gone, is no error. */
int fdb_delete_self(struct nl *nl, int dev, const struct mac *mac, struct err *e);

#endif
