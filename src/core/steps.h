/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sequence. steps.c holds the one table of it; the driver goes through the table, the
 * agents carry out their halves. Every apply may be repeated and reads back what it did; every
 * undo also works after half an apply.
 */
#ifndef CORE_STEPS_H
#define CORE_STEPS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/end.h"

/*
 * What an undo returns, beside 0 and -1, when there is a reason not to undo it now: the step
 * stays begun.
 */
enum { UNDO_PUT_OFF = 1 };

/* One host's half of a step. A step can have a part for each pair and one for the domain. */
struct step_half {
	int (*pair)(struct end *end, size_t i, struct err *e);
	int (*undo_pair)(struct end *end, size_t i, struct err *e);
	int (*domain)(struct end *end, struct err *e);
	int (*undo_domain)(struct end *end, struct err *e);
};

struct step {
	const char *name;  /* stable: stands in journals and in JSON */
	const char *title; /* for people */
	/* With both halves, the destination's starts first and the source's follows when the
	 * destination says "ready" (or is done). */
	struct step_half source, destination;
	/* NULL: always. Else whether the pair needs this step here. */
	bool (*when)(const struct pair_order *pair);
	/* Behind the point of no return: failures are reported, and the next step follows. Such steps
	 * are a reattach as well, behind the first one. */
	bool forward;
	/* Of the domain: what it changes is still there when the host was started anew. */
	bool outlives_boot;
	/* It is not taken back for a guest of which only the destination could tell whether it left. */
	bool stays_in_doubt;
};

extern const struct step steps[];
extern const size_t n_steps;
/* Names of steps that are called for by name. */
extern const char step_standby_up[], step_reserve[], step_detach[], step_leave_vf[], step_migrate[],
	step_leave_source[], step_give_vf[];

const struct step *step_find(const char *name);
const struct step_half *step_half_of(const struct step *step, bool is_source);
/* Whether the host whose order O is has something to do in this step. */
bool step_concerns(const struct step *step, const struct order *o, bool is_source);

/* Whether a reattach takes it: the VF is reserved, and then all that stands behind the move is done. */
bool step_is_of_reattach(const struct step *step);

#endif
