/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "core/driver.h"
#include "core/recover.h"
#include "util/clock.h"
#include "util/str.h"

/* An agent that asks for the other host holds its domain for moments; a migration holds it for long. */
enum { HELD_LIMIT_MS = 3000, HELD_PAUSE_MS = 200 };

static bool is_wanted(const json_t *journal, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (recover_is_about(journal, argv[i]))
			return true;
	return argc == 0;
}

static bool is_held(const json_t *journal)
{
	return json_is_true(json_object_get(journal, "locked"));
}

static bool has_held(const json_t *list)
{
	const json_t *journal;
	size_t i;

	json_array_foreach(list, i, journal)
		if (is_held(journal))
			return true;
	return false;
}

/* What is held is given the time of LIMIT_MS to be let go. */
static int list_free(struct driver *d, int64_t limit_ms, json_t **ret, struct err *e)
{
	int64_t deadline = clock_ms() + limit_ms;
	int r = recover_list(d, d->here, ret, e);

	while (r == 0 && has_held(*ret) && clock_ms() < deadline && !d->signalled) {
		json_decref(*ret);
		*ret = NULL;
		clock_sleep_ms(HELD_PAUSE_MS);
		r = recover_list(d, d->here, ret, e);
	}
	return r;
}

static int list_here(const struct options *o, struct report *report, int64_t limit_ms, json_t **ret,
	bool *ret_signalled, struct err *e)
{
	struct driver d;
	int r = driver_open(o, report, &d, e);

	if (r == 0)
		r = driver_connect(&d, NULL, e);
	if (r == 0)
		r = list_free(&d, limit_ms, ret, e);
	*ret_signalled = d.signalled;
	driver_close(&d);
	return r;
}

static const char *name_in(const json_t *journal)
{
	const char *name = json_string_value(json_object_get(journal, "name"));

	return name ? name : json_string_value(json_object_get(journal, "uuid"));
}

/* Each has its result, also what a signal leaves for next time. */
static void say_left(const json_t *journal, struct outcome *ret)
{
	outcome_init(ret);
	outcome_say(ret, STATUS_INCOMPLETE, "incomplete", name_in(journal), "this host",
		"stopped by a signal before anything was settled");
}

static void say_held(const json_t *journal, struct outcome *ret)
{
	outcome_init(ret);
	ret->name = "held";
	snprintf(ret->text, sizeof(ret->text),
		"%s is held by a run that goes on or settles, and is left to that",
		name_in(journal));
}

int cmd_recover(const struct options *o, int argc, char **argv, struct err *e)
{
	json_t *list = NULL, *journal;
	struct report report;
	enum status worst = STATUS_DONE;
	size_t i, n_settled = 0;
	bool signalled = false;

	report_init(&report, o);
	if (list_here(o, &report, argc == 0 ? HELD_LIMIT_MS : 0, &list, &signalled, e) < 0)
		return -1;
	json_array_foreach(list, i, journal) {
		struct outcome out;

		if (!is_wanted(journal, argc, argv))
			continue;
		if (signalled)
			say_left(journal, &out);
		else if (argc == 0 && is_held(journal))
			say_held(journal, &out);
		else
			signalled = recover_journal(o, &report, journal,
				argc == 0 || getenv(CMD_UNATTENDED), &out);
		report_outcome(&report, json_string_value(json_object_get(journal, "name")), &out);
		worst = outcome_severity(out.status) > outcome_severity(worst) ? out.status : worst;
		n_settled++;
	}
	json_decref(list);
	if (n_settled == 0) {
		struct outcome out;

		outcome_init(&out);
		out.name = "nothing-to-settle";
		str_copy(out.text, sizeof(out.text), "there is nothing to settle on this host");
		report_outcome(&report, argc ? argv[0] : NULL, &out);
	}
	return (int)worst;
}
