/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mark of a degraded guest: the journal that is left of a run whose guest has arrived here, but could not be
 * given its VF, or was not seen to use it. The guest lives here still, so a later order of the same domain, which
 * finds what that one left, takes its place.
 */
#ifndef CORE_MARK_H
#define CORE_MARK_H

#include "core/end.h"

/* Into OLD, with its journal put aside; OLD stays closed where there is none. The domain is locked. */
void mark_take_up(struct end *end, const char *uuid, struct end *old);
/*
 * What this host cannot know otherwise: what the guest's VF had on the host that it came from, and how its standby
 * rests.
 */
void mark_inherit_order(const struct end *old, struct order *order);
/* What stands here because of the old one. */
int mark_inherit_state(struct end *end, struct end *old, struct err *e);
/* END is settled: what a run before it has left here is as true as it was (then it comes back), or not. */
void mark_keep_or_drop(const struct end *end);

#endif
