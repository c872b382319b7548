/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pair's VF into the running domain and out again, as far as the host can see to it. Whether the
 * guest uses it is proof.h's, and what becomes of the standby meanwhile give.h's.
 */
#ifndef CORE_ATTACH_H
#define CORE_ATTACH_H

#include "core/end.h"

/*
 * Attaches the VF of the order, with its MAC and attributes, unless the domain has one already
 * (*ret_had; also on failure, where it could be seen). The live definition decides whether it worked, and the VF that stands
 * there is the pair's from now on. Where the uplink's entry and the VF exclude each other the entry
 * is gone afterwards; after an attach that failed it may be gone, too.
 */
int attach_vf(struct end *end, size_t i, bool *ret_had, struct err *e);
/* Whether they do: the VF gets nothing while the uplink's entry stands (NIC_DROP_FIRST). */
bool attach_yields_first(const struct end *end, size_t i);

/* A VF that is attached but not driven would keep frames from the standby: away with it. */
void attach_take_back(struct end *end, size_t i);
/* A VF that the guest does not have in the end has the attributes that it had before. */
void attach_leave_as_found(struct end *end, size_t i);

/* An error unless the domain has a VF: an unplug under way can end at any time. */
int attach_check_still(struct end *end, size_t i, struct err *e);
/*
 * An error when libvirt has lent the VF to somebody else since it was chosen, or the host has begun to use it:
 * its lock binds this program alone.
 */
int attach_check_free(struct end *end, size_t i, struct err *e);

#endif
