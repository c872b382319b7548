/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plan: facts of both hosts and the operator's options in; orders for both agents, or a list
 * of problems, out. Pure: asks nobody, changes nothing.
 */
#ifndef CORE_PLAN_H
#define CORE_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/check.h"
#include "core/facts.h"
#include "core/options.h"
#include "core/order.h"

enum plan_kind {
	PLAN_MOVE,          /* the domain runs on the source */
	PLAN_ALREADY_THERE, /* it runs on the destination: reattach what is missing */
};

struct plan {
	enum plan_kind kind;
	struct order source, destination;
	struct problem_list problems;
	bool busy; /* a problem is that another run holds the domain, or the only one what others hold */
};

void plan_free(struct plan *p);
#define CLEANUP_PLAN __attribute__((cleanup(plan_free)))
/* Whether any problem is not just a warning. */
bool plan_is_refused(const struct plan *p);

/* What plan needs besides the facts. */
struct plan_request {
	const char *domain;   /* as the operator gave it */
	const char *dest_uri; /* libvirt URI of the destination */
	char *const *peer;    /* starts an agent there; ends with NULL */
	const char *owner;    /* who runs this, one line */
	bool advise;          /* also tell what is no obstacle now but may be one some day */
	const struct options *options;
};

/* RET is zeroed by the caller. */
void plan_migration(const struct host_facts *source, const struct host_facts *destination,
	const struct plan_request *r, struct plan *ret);

/* The destination half alone, on the host whose facts these are: ret->destination. */
void plan_reattach(const struct host_facts *here, const struct plan_request *r, struct plan *ret);

/* Whether every pair of the domain runs with its VF. */
bool plan_is_whole(const struct host_facts *f);

#endif
