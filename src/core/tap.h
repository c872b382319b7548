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

/*
 * Remembers the static and local entries that tap_entry_set will replace. It does so itself; but a guest
 * that sends first moves those that are not sticky to its tap.
 */
int tap_entry_prepare(struct end *end, size_t i, const struct link *tap, struct err *e);
/* Remembers the static and local entries it replaces. */
int tap_entry_set(struct end *end, size_t i, struct err *e);
/* The same with the tap at hand. */
int tap_entry_set_on(struct end *end, size_t i, const struct link *tap, struct err *e);
/* Removes ours and puts back what was replaced, but never a learnt one. */
int tap_entry_remove(struct end *end, size_t i, struct err *e);

#endif
