/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One step of the table on both hosts: who begins, who waits for whom, and who stops whom. */
#ifndef CORE_HALVES_H
#define CORE_HALVES_H

#include <jansson.h>

#include "core/sides.h"

/*
 * Carries out STEP on the hosts that have a part in it. Where both have, the destination begins;
 * the source follows when the destination says "ready". What a forward step could not do is
 * told, makes that side "unsettled", and is added to FAILED (array of { side, message }).
 */
int halves_apply(struct sides *s, const struct step *step, json_t *failed, struct err *e);

/* Whether the host has something that it could undo of STEP. */
bool halves_can_undo(const struct sides *s, const struct step *step, int side);

/*
 * Undoes one host's half. GUEST_GONE: nothing is done for the guest any more. 0 as well when
 * the agent was lost and has undone everything by itself; UNDO_PUT_OFF when something of it stays
 * for now.
 */
int halves_undo(struct sides *s, const struct step *step, int side, bool guest_gone, struct err *e);

#endif
