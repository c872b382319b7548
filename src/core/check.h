/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks: all that can stand against a migration, in one table (check.c). Pure: facts in,
 * problems out; nobody is asked and nothing is changed. A check that lacks its fact is silent.
 */
#ifndef CORE_CHECK_H
#define CORE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/facts.h"
#include "core/options.h"
#include "core/order.h"
#include "xml/pair.h"

struct problem {
	const char *code; /* stable, for JSON */
	bool warning;     /* does not stop the migration */
	char *host;       /* owned; NULL: neither one in particular */
	char *text;       /* owned */
	char *hint;       /* owned; "" if there is nothing to say */
};

struct problem_list {
	struct problem *v; /* owned */
	size_t n;
	bool strict; /* warnings refuse as well */
	bool advise; /* also tell what is no obstacle now but may be one some day */
};

void problem_list_free(struct problem_list *l);
/* Whether any problem is not just a warning. */
bool problem_list_refuses(const struct problem_list *l);
bool problem_list_has(const struct problem_list *l, const char *code);
/* What the plan meets on its way. CODE stands in the table; HOST may be NULL. */
void problem_add(struct problem_list *l, const char *code, const struct host_facts *host,
	const char *hint, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

enum check_severity {
	CHECK_REFUSES,
	CHECK_WARNS,
	CHECK_ADVISES, /* a warning, told by the command `check` only */
};

/* When a check is made, and what it finds in the view. */
enum check_scope {
	CHECK_PLAN,   /* by the plan itself, while it chooses; has no function */
	CHECK_HOSTS,  /* once: source (host) and destination (peer) */
	CHECK_HOST,   /* for each host */
	CHECK_DOMAIN, /* once: the domain on the source (host); the destination is the peer */
	CHECK_PAIR,   /* for each pair, on the host that the domain is on: pair, defined */
	CHECK_UPLINK, /* for each pair and host: order, bridge (NULL: macvtap), uplink, pf */
	CHECK_VF,     /* for each pair and host, once its VF is known: order, vf, pf */
	CHECK_BOTH, /* for each pair, both halves known: order (here), peer_order (there), carried */
};

struct check_view {
	const struct host_facts *host, *peer; /* borrowed; no peer for a reattach */
	const struct options *options;
	const char
		*dest_uri; /* the destination's libvirt, as the source opens it; NULL: a reattach */
	const struct xml_pair *pair, *defined; /* DEFINED: in the definition; NULL: not there */
	const struct xml_pair *carried;        /* the pair as libvirt carries it over */
	const struct bridge_fact *bridge;
	const struct uplink_fact *uplink;
	const struct pf_fact *pf;
	const struct vf_fact *vf;
	const struct pair_order *order, *peer_order;
	const struct order *planned; /* the host's, as far as it is made; for CHECK_UPLINK */

	struct problem_list *problems;
	const struct check *check; /* the one being made */
};

struct check {
	const char *code; /* for ever: scripts read it */
	enum check_severity severity;
	enum check_scope scope;
	void (*look)(const struct check_view *v); /* NULL with CHECK_PLAN */
	const char *help;                         /* what must be so, for `check --help` */
};

extern const struct check checks[];
extern const size_t n_checks;

/*
 * Whether the guest has no path on V's host as it is: its VF's PF leads nowhere, or it has none. That its
 * uplink leads nowhere either is then no reason to leave it there, or without a VF.
 */
bool check_is_cut_off(const struct check_view *v);

/* nic_filter_limit of an uplink on F. */
int check_filter_limit(const struct host_facts *f, const struct uplink_fact *u);

/* Makes the checks of SCOPE. */
void check_run(enum check_scope scope, struct check_view *v);

/* "error", "warning", "advice" */
const char *check_severity_name(enum check_severity s);
void check_print_help(FILE *f);

#endif
