/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "cmd/cmd.h"
#include "core/driver.h"
#include "core/recover.h"
#include "core/run.h"

enum mode { MIGRATE, CHECK };

/* How often a VF may be snatched away by another run between planning and reserving it. */
enum { PLAN_TRIES = 16 };

static enum status say_checked(struct driver *d, const struct plan *p)
{
	const char *there = d->facts_there.hostname;
	struct outcome out;

	outcome_init(&out);
	out.name = "can-migrate";
	if (p->kind == PLAN_ALREADY_THERE) {
		bool whole = plan_is_whole(&d->facts_there);

		out.name = whole ? "already-there" : "degraded";
		out.status = whole ? STATUS_DONE : STATUS_DEGRADED;
		snprintf(out.text, sizeof(out.text), "%s is on %s already, %s its VF",
			p->destination.name, there, whole ? "on" : "but without");
	} else {
		snprintf(out.text, sizeof(out.text), "%s can be migrated to %s",
			p->destination.name, there);
	}
	report_outcome(d->report, p->destination.name, &out);
	return out.status;
}

/* It has moved already; that is success only if it is on its VF. */
static void run_already_there(struct driver *d, const struct plan *p, struct outcome *out)
{
	bool whole = plan_is_whole(&d->facts_there);

	run_reattach(d, p, d->there, out);
	if (out->status == STATUS_DONE && whole) {
		out->name = "already-there";
		snprintf(out->text, sizeof(out->text), "%s is on %s already, on its VF",
			p->destination.name, d->facts_there.hostname);
	}
}

/* *ret_again: another run was quicker to take a VF of this plan; a new plan may find another. */
static enum status run_plan(struct driver *d, const struct plan *p, bool may_again, bool *ret_again)
{
	struct outcome out = { 0 };

	report_plan(d->report, p, d->facts_here.hostname, d->facts_there.hostname);
	if (d->options->dry_run) {
		report_dry_run(d->report, p, d->facts_here.hostname, d->facts_there.hostname);
		return STATUS_DONE;
	}
	if (p->kind == PLAN_ALREADY_THERE)
		run_already_there(d, p, &out);
	else
		run_migration(d, p, &out);
	*ret_again = out.status == STATUS_BUSY && out.vf_taken && may_again;
	if (!*ret_again)
		report_outcome(d->report, p->destination.name, &out);
	json_decref(out.pairs);
	return out.status;
}

static int plan_and_run(struct driver *d, const struct target *t, const char *domain,
	enum mode mode, bool may_again, bool *ret_again, struct err *e)
{
	struct plan_request request = { .domain = domain,
		.dest_uri = t->dest_uri,
		.peer = t->argv,
		.owner = d->owner,
		.options = d->options,
		.advise = mode == CHECK };
	CLEANUP_PLAN struct plan plan = { 0 };
	struct outcome out;

	*ret_again = false;
	if (driver_discover(d, domain, t->dest_uri, e) < 0 || driver_ask_fit(d, e) < 0)
		return -1;
	plan_migration(&d->facts_here, &d->facts_there, &request, &plan);
	report_problems(d->report, &plan);
	if (plan_is_refused(&plan)) {
		outcome_refused(&out, &plan, domain);
		report_outcome(d->report, domain, &out);
		return (int)out.status;
	}
	return (int)(mode == CHECK ? say_checked(d, &plan)
				   : run_plan(d, &plan, may_again, ret_again));
}

static int with_driver(struct driver *d, const struct target *t, const char *domain, enum mode mode,
	struct err *e)
{
	bool again = true;
	int r = driver_connect(d, t, e);

	if (r < 0 && mode == CHECK)
		recover_tell(d, domain);
	if (r == 0 && mode == MIGRATE && !d->options->dry_run)
		r = recover_before(d, domain, e);
	if (r != 0)
		return r;
	for (int i = 1; again && i <= PLAN_TRIES; i++)
		r = plan_and_run(d, t, domain, mode, i < PLAN_TRIES, &again, e);
	return r;
}

static int run_mode(const struct options *o, char **argv, enum mode mode, struct err *e)
{
	struct target target = { 0 };
	struct report report;
	struct driver driver;
	int r;

	if (!*argv[0])
		return err_set_kind(e, ERR_USAGE, "the domain's name is empty");
	if (options_check(o, e) < 0 || target_parse(argv[1], o, &target, e) < 0)
		return -1;
	report_init(&report, o);
	r = driver_open(o, &report, &driver, e);
	if (r == 0)
		r = with_driver(&driver, &target, argv[0], mode, e);
	driver_close(&driver);
	target_free(&target);
	return r;
}

int cmd_migrate(const struct options *o, int argc, char **argv, struct err *e)
{
	return run_mode(o, argv, MIGRATE, e);
}

int cmd_check(const struct options *o, int argc, char **argv, struct err *e)
{
	return run_mode(o, argv, CHECK, e);
}
