/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver looks at the domain on both hosts until there is something to decide (settle.h). */
#ifndef CORE_DECIDE_H
#define CORE_DECIDE_H

#include "core/sides.h"

struct decide {
	struct sides *sides; /* borrowed; a host without an agent cannot be reached */
	const char *uuid;    /* borrowed */
	const char *run;     /* borrowed; the owner in the order */
	/*
	 * SOURCE or DESTINATION: the one host that may decide alone while the other cannot be
	 * reached, as its agent would; nobody waits then. -1: doubt is waited for, up to settle-
	 * timeout.
	 */
	int alone;
	bool may_arrive; /* see settle_is_certain */
	/* Called between two looks; may replace agents. NULL: nothing is done then. */
	void (*between)(void *arg, enum settle_verdict v, const struct settle_view view[2]);
	void *arg;
};

/*
 * VIEW: what was seen last, by SOURCE and DESTINATION. When settle-timeout is over, what was found
 * last comes back, be it SETTLE_WAIT; but never a resume that was not seen twice.
 */
enum settle_verdict decide(const struct decide *d, struct settle_view view[2]);

#endif
