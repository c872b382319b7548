/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks of this host: one for each domain, for each VF, for each place on an uplink that is kept for a
 * MAC, and for each uplink while its places are counted; held by an agent and released by its end,
 * however it ends. The file says who holds it, for the others' messages.
 */
#ifndef AGENT_LOCK_H
#define AGENT_LOCK_H

#include <stdbool.h>

#include "util/err.h"

struct lock;

/*
 * Takes the lock NAME ("domain-<uuid>", "vf-<address>", "filter-<function>-<MAC>", "uplink-<function>"). OWNER
 * is one line about the holder; WHAT names the thing in an error.
 * ERR_BUSY, naming the holder, when another process has it.
 */
int lock_take(const char *name, const char *what, const char *owner, struct lock **ret,
	struct err *e);
void lock_release(struct lock *l); /* accepts NULL; removes the file */
/* Says who holds it from now on: the same process, for another reason. */
void lock_set_owner(struct lock *l, const char *owner);

/* Whether locks can be taken here at all, as far as that can be told without taking one. */
int lock_try(struct err *e);

/*
 * The names of locks that somebody holds and that begin with PREFIX, without it, separated by
 * commas. Caller frees.
 */
char *lock_list(const char *prefix);

/* Whether somebody (this process counts) holds the lock; *ret_owner: caller frees, may be NULL. */
bool lock_is_held(const char *name, char **ret_owner);

#endif
