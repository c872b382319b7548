/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "core/driver.h"
#include "core/recover.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

/* A run that goes on is waited for only where its domain is named. */
static bool is_wanted(const json_t *journal, int argc, char **argv)
{
	const char *name = json_string_value(json_object_get(journal, "name"));
	const char *uuid = json_string_value(json_object_get(journal, "uuid"));

	for (int i = 0; i < argc; i++)
		if (str_equal(argv[i], uuid) || str_equal(argv[i], name))
			return true;
	return argc == 0 && !json_is_true(json_object_get(journal, "locked"));
}

/* The command that starts an agent on the other host, from the journal; NULL: unknown. */
static char **peer_argv(const json_t *journal)
{
	const json_t *peer = json_object_get(journal, "peer"), *word;
	size_t i, n = json_array_size(peer);
	char **argv;

	if (n == 0)
		return NULL;
	argv = mem_new((n + 1) * sizeof(*argv));
	json_array_foreach(peer, i, word)
		argv[i] = str_dup(json_string_value(json_object_get(word, "text")));
	return argv;
}

static void free_argv(char **argv)
{
	for (char **word = argv; word && *word; word++)
		free(*word);
	free(argv);
}

/* Both ends where the other host answers, this one alone where it does not. */
static enum status recover_one(const struct options *o, struct report *report,
	const json_t *journal, bool patient)
{
	struct target peer = { .label = (char *)"the other host", .argv = peer_argv(journal) };
	const char *name = json_string_value(json_object_get(journal, "name"));
	struct outcome out;
	struct driver d;

	outcome_init(&out);
	if (driver_open(o, report, &d, &out.err) < 0 || driver_connect(&d, NULL, &out.err) < 0) {
		out.status = STATUS_INCOMPLETE;
		out.name = "incomplete";
	} else {
		struct err e;

		if (peer.argv && driver_connect_peer(&d, &peer, &e) < 0)
			log_info("%s", e.msg);
		if (o->fenced && !d.there && !d.peer_is_silent)
			log_warn("--fenced does not hold: the other host is not known, or answers");
		d.patient = patient;
		recover_both(&d, journal, &out);
	}
	report_outcome(report, name, &out);
	driver_close(&d);
	free_argv(peer.argv);
	return out.status;
}

static int list_here(const struct options *o, struct report *report, json_t **ret, struct err *e)
{
	struct driver d;
	int r = driver_open(o, report, &d, e);

	if (r == 0)
		r = driver_connect(&d, NULL, e);
	if (r == 0)
		r = recover_list(&d, d.here, ret, e);
	driver_close(&d);
	return r;
}

int cmd_recover(const struct options *o, int argc, char **argv, struct err *e)
{
	json_t *list = NULL, *journal;
	struct report report;
	enum status worst = STATUS_DONE;
	size_t i, n_settled = 0;

	report_init(&report, o);
	if (list_here(o, &report, &list, e) < 0)
		return -1;
	json_array_foreach(list, i, journal) {
		enum status status;

		if (!is_wanted(journal, argc, argv))
			continue;
		status = recover_one(o, &report, journal, argc == 0 || getenv(CMD_UNATTENDED));
		worst = outcome_severity(status) > outcome_severity(worst) ? status : worst;
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
