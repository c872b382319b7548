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
#include "core/outcome.h"
#include "core/plan.h"
#include "util/err.h"

struct report {
	bool json, quiet, terminal;
	bool line_open;     /* a progress line stands on the terminal */
	int64_t last_shown; /* of progress where there is no terminal */
};

void report_init(struct report *r, const struct options *o);

void report_plan(struct report *r, const struct plan *p, const char *source,
	const char *destination);
void report_problems(struct report *r, const struct plan *p);
void report_dry_run(struct report *r, const struct plan *p, const char *source,
	const char *destination);

void report_step(struct report *r, const char *host, const char *name, const char *title,
	int64_t ms, bool undo);
void report_progress(struct report *r, const json_t *data);
void report_warning(struct report *r, const char *host, const char *text, const char *hint);

void report_outcome(struct report *r, const char *domain, const struct outcome *o);

#endif
