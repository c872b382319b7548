/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "core/driver.h"
#include "core/recover.h"
#include "util/str.h"

/* A run that goes on is waited for only where its domain is named. */
static bool is_wanted(const json_t *journal, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (recover_is_about(journal, argv[i]))
			return true;
	return argc == 0 && !json_is_true(json_object_get(journal, "locked"));
}

static int list_here(const struct options *o, struct report *report, json_t **ret,
	bool *ret_signalled, struct err *e)
{
	struct driver d;
	int r = driver_open(o, report, &d, e);

	if (r == 0)
		r = driver_connect(&d, NULL, e);
	if (r == 0)
		r = recover_list(&d, d.here, ret, e);
	*ret_signalled = d.signalled;
	driver_close(&d);
	return r;
}

/* Each has its result, also what a signal leaves for next time. */
static void say_left(const json_t *journal, struct outcome *ret)
{
	const char *uuid = json_string_value(json_object_get(journal, "uuid"));
	const char *name = json_string_value(json_object_get(journal, "name"));

	outcome_init(ret);
	outcome_say(ret, STATUS_INCOMPLETE, "incomplete", name ? name : uuid, "this host",
		"stopped by a signal before anything was settled");
}

int cmd_recover(const struct options *o, int argc, char **argv, struct err *e)
{
	json_t *list = NULL, *journal;
	struct report report;
	enum status worst = STATUS_DONE;
	size_t i, n_settled = 0;
	bool signalled = false;

	report_init(&report, o);
	if (list_here(o, &report, &list, &signalled, e) < 0)
		return -1;
	json_array_foreach(list, i, journal) {
		struct outcome out;

		if (!is_wanted(journal, argc, argv))
			continue;
		if (signalled)
			say_left(journal, &out);
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
