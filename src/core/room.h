/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Room on an uplink: the MACs that it is asked for besides its own have a limit in many drivers,
 * and what is beyond it is dropped without a word to whoever asked. So runs count them, under a
 * lock for each function that uplinks stand on.
 */
#ifndef CORE_ROOM_H
#define CORE_ROOM_H

#include "core/end.h"

/* The MACs that runs keep room for on a function, by its network device, with commas between them. Caller
 * frees. */
char *room_held(const char *function);
/* The MACs, once each and likewise, that entries ask of an uplink and of the function below it (ifindexes;
 * one and the same, or not). Caller frees. */
char *room_listed(const struct fdb_list *entries, int uplink, int function);
/*
 * Keeps room for the pair's MAC on its uplink until the order is closed, against the entries that
 * are there and the room that other runs keep. Nothing where the driver has no known limit.
 * ERR_BUSY when other runs have the last of it, ERR_REFUSED when entries have.
 */
int room_take(struct end *end, size_t i, struct err *e);
void room_release(struct end *end, size_t i);

#endif
