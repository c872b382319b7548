/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Run: goes through the step table with both agents, and back again when something fails. */
#ifndef CORE_RUN_H
#define CORE_RUN_H

#include "core/driver.h"
#include "core/plan.h"
#include "core/report.h"

/* Carries out a plan of kind PLAN_MOVE. */
void run_migration(struct driver *d, const struct plan *p, struct outcome *ret);

/* The steps of a reattach (step_is_of_reattach): CLIENT's half of p->destination. */
void run_reattach(struct driver *d, const struct plan *p, struct client *client,
	struct outcome *ret);

#endif
