/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one end does about a verdict (settle.h), in its agent: the steps' own undo and apply, and
 * a few things done to the source's copy of the domain. Nothing here waits for the other host.
 */
#ifndef CORE_ACT_H
#define CORE_ACT_H

#include "core/end.h"
#include "core/settle.h"

#define ACT_RESUME "resume"
#define ACT_DESTROY_STALE "destroy-stale"
#define ACT_SUSPEND "suspend"
#define ACT_ABORT_JOB "abort-migration"

/*
 * Does NAME (one of the above) to the domain on the source, in the state it is meant for; refused
 * in any other, and on a destination. 0 as well when it is as it would be afterwards.
 */
int act_on_domain(struct end *end, const char *name, struct err *e);

/*
 * What V has done to the domain on the source before anything else (one of the above; NULL: nothing),
 * and the verdict by which it goes on behind that.
 */
const char *act_for(enum settle_verdict v, enum settle_verdict *ret_then);

/* Carries out this end's share of a verdict. -1: something is left to do; E names the first. */
int act_settle(struct end *end, enum settle_verdict v, struct err *e);

#endif
