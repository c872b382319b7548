/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The uplink's entry: what lets frames for the guest in by the uplink, while the guest is on its
 * standby. Each function reads back what it changed and may be repeated. I is the pair's place in
 * the order.
 *
 * A macvtap makes the device below accept its MAC while it is up (drivers/net/macvlan.c,
 * macvlan_open), whatever libvirt's link state: to set it up is its uplink entry.
 */
#ifndef CORE_UPLINK_H
#define CORE_UPLINK_H

#include "core/end.h"
#include "net/pci.h"

/*
 * An error, too, if nothing comes by it all the same: the uplink or its bridge is down, or the kernel
 * log tells of the PF's driver refusing it, where that is said at once. The entry stands then, and the
 * next call asks anew.
 */
int uplink_entry_set(struct end *end, size_t i, struct err *e);
/* The guest is on its way and nothing can be refused any more: that is a warning. */
int uplink_entry_set_or_warn(struct end *end, size_t i, struct err *e);
/* An error when the uplink or its bridge is down, or gone. */
int uplink_check_open(struct end *end, size_t i, struct err *e);
/* The journal's part of setting it, to be done before every millisecond counts. */
int uplink_entry_claim(struct end *end, size_t i, struct err *e);

/* The function that the pair's uplink is, or stands on: what the NIC sees of it. False: it is gone. */
bool uplink_function(const struct pair_order *p, struct pci_function *ret);

/* Removes it unless it was there before, and not by an earlier run (pair_order.adopt). */
int uplink_entry_remove(struct end *end, size_t i, struct err *e);
/* Out of the way of a VF, for as long as there is no proof: a macvtap that rests up, too. */
int uplink_entry_yield(struct end *end, size_t i, struct err *e);

#endif
