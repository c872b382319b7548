/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An agent without a driver settles its own end, as far as one host can decide. */
#ifndef CORE_ALONE_H
#define CORE_ALONE_H

#include "core/end.h"

/* Waits, bounded, for what is under way here, then decides and acts. -1: something is left. */
int alone_settle(struct end *end, struct err *e);

/* Whether this is a destination that a guest was sent to. */
bool alone_may_arrive(const struct end *end);

#endif
