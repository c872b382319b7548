/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a run ended: exit status, a stable word for scripts, and the sentence for people. */
#ifndef CORE_OUTCOME_H
#define CORE_OUTCOME_H

#include <jansson.h>
#include <stdint.h>

#include "core/plan.h"
#include "core/settle.h"
#include "util/err.h"

/* Exit statuses: documented, append-only. */
enum status {
	STATUS_DONE = 0,
	STATUS_FAILED = 1, /* rolled back, or the guest ended by itself */
	STATUS_USAGE = 2,
	STATUS_REFUSED = 3,    /* nothing was changed */
	STATUS_DEGRADED = 4,   /* migrated, a VF is missing */
	STATUS_INCOMPLETE = 5, /* not all could be undone, or the outcome is unknown */
	STATUS_BUSY = 6,
};

/* The exit status that goes with an error before anything was changed. */
enum status status_of(const struct err *e);

/* How bad one is among several: 0 < 6 < 3 < 1 < 4 < 5. */
int outcome_severity(enum status s);

struct outcome {
	enum status status;
	const char *name;             /* stable word: "moved", "rolled-back", … */
	char text[2048];              /* one sentence: what state the domain is in */
	char hint[512];               /* what to do next */
	struct err err;               /* what went wrong, kind ERR_NONE if nothing */
	int64_t total_ms, standby_ms; /* -1: does not apply */
	int64_t downtime_ms;          /* libvirt's, without network; -1: unknown */
	bool vf_taken;                /* busy because of a VF, not of the domain */
	json_t *pairs;                /* owned; result for each pair, may be NULL */
};

void outcome_init(struct outcome *o);

/* Whom the sentences are about; borrowed. */
struct parties {
	const char *domain, *source, *destination; /* SOURCE: NULL for a reattach */
};

/* What plan P found stands in the way of DOMAIN. */
void outcome_refused(struct outcome *o, const struct plan *p, const char *domain);
/* Each fills in status, name, text and hint; WHY (may be kind ERR_NONE) is what went wrong. */
void outcome_not_begun(struct outcome *o, const struct parties *p, const struct err *why);
/* UNDONE: the first thing that could not be undone, kind ERR_NONE: all was. */
void outcome_rolled_back(struct outcome *o, const struct parties *p, const struct err *undone,
	const struct err *why);
void outcome_guest_ended(struct outcome *o, const struct parties *p, const struct err *undone,
	const struct err *why);
/* Neither forward nor backward: names both states. */
void outcome_unknown(struct outcome *o, const struct parties *p, enum settle_verdict v,
	const struct settle_view *source, const struct settle_view *destination,
	const struct err *why);
/* N_MISSING of N_PAIRS pairs have no VF. */
void outcome_degraded(struct outcome *o, const struct parties *p, size_t n_missing, size_t n_pairs,
	const struct err *why);
void outcome_unfinished(struct outcome *o, const struct parties *p, const struct err *why);
/* Behind all that, a journal could not be removed: WHY names it. Adds to what the others say. */
void outcome_left(struct outcome *o, const struct err *why);
/* The destination does not answer any more: how the guest fares there nobody knows. */
void outcome_unseen(struct outcome *o, const struct parties *p, const struct err *why);
/* The figures are in place. NAME: the stable word; VFS: a list of them. */
void outcome_done(struct outcome *o, const struct parties *p, const char *name, const char *vfs);

/* What ends a doubt; SEEN: the other host answers, and only a human can tell which copy is the one. */
void outcome_hint_in_doubt(struct outcome *o, const char *domain, const struct settle_view *source,
	const struct settle_view *destination);
/* What cures a guest without its VF. */
void outcome_hint_at_reattach(struct outcome *o, const char *domain, const char *host);

/* One host's share of a verdict, as recover tells it. DONE: nothing is left to do. */
void outcome_settled(struct outcome *o, enum settle_verdict v, const char *domain, const char *host,
	bool is_source, bool done);
/* The same in words of one's own. */
void outcome_say(struct outcome *o, enum status status, const char *name, const char *domain,
	const char *host, const char *text);

#endif
