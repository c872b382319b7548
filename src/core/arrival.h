/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The destination's part of the move. */
#ifndef CORE_ARRIVAL_H
#define CORE_ARRIVAL_H

#include "core/end.h"

/*
 * Prepares the destination for the guest: finds the incoming domain's taps as they join their
 * bridges, and sets tap and uplink entries when the source has stopped the guest
 * (end->switching), at the latest when it runs here. Any earlier, and everybody on this host and
 * its NIC would be cut off from the guest, which is still elsewhere.
 * Tells "ready" as soon as it watches, returns when all entries are set.
 */
int arrival_carry(struct end *end, struct err *e);

#endif
