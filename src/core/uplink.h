/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an uplink can take: the MACs that it is asked for besides its own have a limit in many
 * drivers, and what is beyond it is dropped without a word to whoever asked. So runs count them,
 * under a lock for each uplink, and read what the PF's driver says in the kernel log.
 */
#ifndef CORE_UPLINK_H
#define CORE_UPLINK_H

#include "core/end.h"

/*
 * Keeps room for the pair's MAC on its uplink until the order is closed, against the entries that
 * are there and the room that other runs keep. Nothing where the driver has no known limit.
 * ERR_BUSY when other runs have the last of it, ERR_REFUSED when entries have.
 */
int uplink_room_take(struct end *end, size_t i, struct err *e);
int uplink_room_release(struct end *end, size_t i);

/* Where the kernel log ends now, for uplink_complaint; -1: it cannot be read. Caller closes. */
int uplink_log_mark(void);
/*
 * What the PF's driver has said since the mark about a filter that the pair's uplink was refused,
 * or NULL. Caller frees. Drivers that answer a VF later are not waited for.
 */
char *uplink_complaint(struct end *end, size_t i, int mark);

#endif
