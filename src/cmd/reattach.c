/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/cmd.h"
#include "core/driver.h"
#include "core/recover.h"
#include "core/run.h"

static int with_driver(struct driver *d, const char *domain, struct err *e)
{
	struct plan_request request = { .domain = domain,
		.owner = d->owner,
		.options = d->options };
	CLEANUP_PLAN struct plan plan = { .kind = PLAN_ALREADY_THERE };
	struct outcome out;
	int r = driver_connect(d, NULL, e);

	if (r == 0 && !d->options->dry_run)
		r = recover_before(d, domain, e);
	if (r != 0)
		return r;
	if (driver_discover(d, domain, NULL, e) < 0)
		return -1;
	plan_reattach(&d->facts_here, &request, &plan);
	report_problems(d->report, &plan);
	if (plan_is_refused(&plan)) {
		outcome_refused(&out, &plan, domain);
	} else {
		report_plan(d->report, &plan, NULL, d->facts_here.hostname);
		if (d->options->dry_run) {
			report_dry_run(d->report, &plan, NULL, d->facts_here.hostname);
			return STATUS_DONE;
		}
		run_reattach(d, &plan, d->here, &out);
	}
	report_outcome(d->report, domain, &out);
	json_decref(out.pairs);
	return (int)out.status;
}

int cmd_reattach(const struct options *o, int argc, char **argv, struct err *e)
{
	struct report report;
	struct driver driver;
	int r;

	report_init(&report, o);
	r = driver_open(o, &report, &driver, e);
	if (r == 0)
		r = with_driver(&driver, argv[0], e);
	driver_close(&driver);
	return r;
}
