/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving the guest its VF, with proof. */
#ifndef CORE_GIVE_H
#define CORE_GIVE_H

#include "core/end.h"

/*
 * Gives the guest the VF of the order and proves that the guest drives it; then, and not
 * before, frames need the standby no more. The uplink entry comes down when the NIC's rule says
 * so. Used for the destination, for reattach, and to undo a detach: one routine for all.
 * On failure the standby's path is made whole, the uplink entry included, unless the guest's own VF
 * is there and driven; unproved says that no VF is proved.
 */
int give_vf(struct end *end, size_t i, struct err *e);

/*
 * What that may take beyond the order's limits: an earlier request, looking what a failed attach
 * has left, and taking the VF back.
 */
enum { GIVE_EXTRA_MS = 40000 };

#endif
