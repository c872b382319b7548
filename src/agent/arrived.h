/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a destination remembers of a guest that came while the source could not be seen: that it did. The
 * source's copy stands still until this host answers, and may not be resumed then because the guest has
 * left here, or ended, meanwhile. A file for each domain, beside the journals: a line for each run.
 */
#ifndef AGENT_ARRIVED_H
#define AGENT_ARRIVED_H

#include <stdbool.h>

#include "util/err.h"

/* On disk when it returns. RUN: the owner in the run's order. */
int arrived_note(const char *uuid, const char *run, struct err *e);
bool arrived_is_noted(const char *uuid, const char *run);
/* The source has heard of it. 0 as well where nothing is noted. */
int arrived_forget(const char *uuid, const char *run, struct err *e);

#endif
