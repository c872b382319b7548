/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The standby's tap, and the bridge's entry that leads to it. Each function reads back what it
 * changed and may be repeated. I is the pair's place in the order.
 */
#ifndef CORE_TAP_H
#define CORE_TAP_H

#include "core/end.h"
#include "net/link.h"

/* A macvtap has no bridge, so it needs no entry there. */
bool tap_is_macvtap(const struct end *end, size_t i);
/* The tap, as a port of its bridge unless it is a macvtap; ERR_NOT_FOUND while it is not. */
int tap_find(struct end *end, size_t i, struct link *ret, struct err *e);

/* ERR_NOT_FOUND when the tap is down, no port of its bridge, or not there. Macvtaps: nothing to say. */
int tap_check_open(struct end *end, size_t i, struct err *e);
/* The same, and waits until the bridge forwards by it: STP holds a new port back. */
int tap_wait_open(struct end *end, size_t i, struct err *e);

/*
 * What of tap_entry_set takes time and can be done before: remembers the static and local entries that it will
 * replace (a guest that sends first moves those that are not sticky to its tap), and has the bridge
 * send all multicast there.
 */
int tap_entry_prepare(struct end *end, size_t i, struct link *tap, struct err *e);
/* Remembers the static and local entries it replaces. Multicast goes there as well. */
int tap_entry_set(struct end *end, size_t i, struct err *e);
/* The same with the tap at hand. */
int tap_entry_set_on(struct end *end, size_t i, const struct link *tap, struct err *e);
/* Removes ours and puts back what was replaced, but never a learnt one. */
int tap_entry_remove(struct end *end, size_t i, struct err *e);

#endif
