/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How one end takes a step of the table, or takes it back: for each pair, with the journal kept. */
#ifndef CORE_APPLY_H
#define CORE_APPLY_H

#include "core/steps.h"

/* Carries out this end's half. Forward steps go on with the other pairs after a failure; the
 * pairs that failed are listed in *ret_failed (new array, never NULL on success). */
int step_apply(struct end *end, const struct step *step, json_t **ret_failed, struct err *e);
/* Undoes what this end began of the step; UNDO_PUT_OFF where a pair has its reason not to, yet. */
int step_undo(struct end *end, const struct step *step, struct err *e);
/*
 * As if the run had come as far as taking the VF of pair I, and were rolled back now. A journal that cannot
 * be written is no reason to leave the guest without it.
 */
void step_note_detached(struct end *end, size_t i);

#endif
