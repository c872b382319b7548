/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the operator sees. Text: messages and progress on stderr, the result on stdout. JSON:
 * everything on stdout, one object a line, the last one being the result.
 */
#ifndef CORE_REPORT_H
#define CORE_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/options.h"
#include "core/plan.h"
#include "util/err.h"

/* Exit statuses: documented, append-only. */
enum status {
	STATUS_DONE = 0,
	STATUS_FAILED = 1,     /* rolled back, or the guest ended by itself */
	STATUS_USAGE = 2,
	STATUS_REFUSED = 3,    /* nothing was changed */
	STATUS_DEGRADED = 4,   /* migrated, a VF is missing */
	STATUS_INCOMPLETE = 5, /* not all could be undone, or the outcome is unknown */
	STATUS_BUSY = 6,
};

struct report {
	bool json, quiet, terminal;
	bool line_open;      /* a progress line stands on the terminal */
	int64_t last_shown;  /* of progress where there is no terminal */
};

void report_init(struct report *r, const struct options *o);

void report_plan(struct report *r, const struct plan *p, const char *source, const char *destination);
void report_problems(struct report *r, const struct plan *p);
void report_dry_run(struct report *r, const struct plan *p, const char *source,
	const char *destination);

void report_step(struct report *r, const char *host, const char *name, const char *title,
	int64_t ms, bool undo);
void report_progress(struct report *r, const json_t *data);
void report_warning(struct report *r, const char *host, const char *text, const char *hint);

struct outcome {
	enum status status;
	const char *name;     /* stable word: "moved", "rolled-back", … */
	char text[2048];      /* one sentence: what state the domain is in */
	char hint[512];       /* what to do next */
	struct err err;       /* what went wrong, kind ERR_NONE if nothing */
	int64_t total_ms, standby_ms;  /* -1: does not apply */
	int64_t downtime_ms;           /* libvirt's, without network; -1: unknown */
	bool vf_taken;                 /* busy because of a VF, not of the domain */
	json_t *pairs;                 /* owned; result for each pair, may be NULL */
};

void report_outcome(struct report *r, const char *domain, const struct outcome *o);

/* The exit status that goes with an error before anything was changed. */
enum status report_status_of(const struct err *e);

#endif
