/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gathering the facts about this host. Changes nothing. */
#ifndef CORE_GATHER_H
#define CORE_GATHER_H

#include "core/facts.h"
#include "net/nl.h"

/* KEY: name or UUID of the domain asked for. RET is zeroed by the caller; record_clear it. */
int facts_gather(struct virt *v, struct nl *nl, const char *key, struct host_facts *ret,
	struct err *e);

/* Whether there is surely nothing of that name on this host. */
bool gather_file_is_missing(const char *path);
/* Whether the resolver is sure that there is no host of that name (NULL: no name is asked for). */
bool gather_name_is_unknown(const char *name);

#endif
