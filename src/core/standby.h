/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The standby's path: its link, the bridge entry that leads to its tap, and the self entry that
 * lets frames for the guest in by the uplink. Each function changes one of them, reads it
 * back, and may be repeated. I is the pair's place in the order.
 *
 * A macvtap has no bridge, so it needs no entry there. It makes the device below accept its MAC
 * while it is up (drivers/net/macvlan.c, macvlan_open), whatever libvirt's link state: to set
 * it up is its uplink entry.
 */
#ifndef CORE_STANDBY_H
#define CORE_STANDBY_H

#include "core/end.h"

int standby_link_up(struct end *end, size_t i, struct err *e);
/* As it rests: only ever called once the primary is proved. */
int standby_link_rest(struct end *end, size_t i, struct err *e);

/* Remembers the static and local entries it replaces. */
int tap_entry_set(struct end *end, size_t i, struct err *e);
/* Removes ours and puts back what was replaced, but never a learnt one. */
int tap_entry_remove(struct end *end, size_t i, struct err *e);

int uplink_entry_set(struct end *end, size_t i, struct err *e);
/* Removes it unless it was there before. */
int uplink_entry_remove(struct end *end, size_t i, struct err *e);
/* Out of the way of a VF, for as long as there is no proof: a macvtap that rests up, too. */
int uplink_entry_yield(struct end *end, size_t i, struct err *e);

/* All three: whatever comes next, the standby carries the guest. */
int standby_path_up(struct end *end, size_t i, struct err *e);

/*
 * Prepares the destination for the guest: finds the incoming domain's taps as they join their
 * bridges, and sets tap and uplink entries when the source has stopped the guest
 * (end->switching), at the latest when it runs here. Any earlier, and everybody on this host and
 * its NIC would be cut off from the guest, which is still elsewhere.
 * Tells "ready" as soon as it watches, returns when all entries are set.
 */
int standby_expect(struct end *end, struct err *e);

#endif
