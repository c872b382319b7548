/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/steps.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/say.h"
#include "util/str.h"

enum { PLAIN_PROGRESS_MS = 5000 };

void report_init(struct report *r, const struct options *o)
{
	*r = (struct report){
		.json = o->json,
		.quiet = o->quiet,
		.terminal = isatty(STDERR_FILENO) && !o->json,
	};
}

static void end_line(struct report *r)
{
	if (r->line_open)
		say(STDERR_FILENO, "\r\033[K");
	r->line_open = false;
}

static void print_json(json_t *object)
{
	CLEANUP_FREE char *text = json_dumps(object, JSON_COMPACT);

	say(STDOUT_FILENO, "%s\n", text ? text : "{}");
	json_decref(object);
}

static json_t *new_event(const char *name)
{
	json_t *object = json_object();

	json_object_set_new(object, "event", json_string(name));
	json_object_set_new(object, "time_ms", json_integer(clock_wall_ms()));
	return object;
}

static void set_text(json_t *object, const char *key, const char *text)
{
	if (!str_is_empty(text))
		json_object_set_new(object, key, json_text(text));
}

static json_t *pair_as_json(const struct pair_order *source, const struct pair_order *destination)
{
	json_t *pair = json_object();

	set_text(pair, "mac", destination->mac);
	set_text(pair, "standby", destination->standby_alias);
	if (source)
		set_text(pair, "source_vf", source->vf);
	set_text(pair, "destination_vf", destination->vf);
	set_text(pair, "destination_pf", destination->pf);
	set_text(pair, "destination_uplink", destination->uplink);
	return pair;
}

static const struct pair_order *source_pair(const struct plan *p, size_t i)
{
	return i < p->source.n_pairs ? &p->source.pairs[i] : NULL;
}

void report_plan(struct report *r, const struct plan *p, const char *source,
	const char *destination)
{
	const struct order *o = &p->destination;

	if (r->json) {
		json_t *event = new_event("plan"), *pairs = json_array();

		for (size_t i = 0; i < o->n_pairs; i++)
			json_array_append_new(pairs, pair_as_json(source_pair(p, i), &o->pairs[i]));
		set_text(event, "domain", o->name);
		set_text(event, "source", source);
		set_text(event, "destination", destination);
		json_object_set_new(event, "pairs", pairs);
		print_json(event);
		return;
	}
	if (r->quiet)
		return;
	for (size_t i = 0; i < o->n_pairs; i++) {
		const struct pair_order *s = source_pair(p, i), *d = &o->pairs[i];

		if (s)
			say(STDERR_FILENO,
				"%s: %s VF %s of %s -> %s VF %s of %s, by the standby on %s\n",
				d->mac, source, s->vf ? s->vf : "none", s->pf, destination, d->vf,
				d->pf, d->bridge ? d->bridge : d->uplink);
		else
			say(STDERR_FILENO, "%s: %s VF %s of %s\n", d->mac, destination, d->vf,
				d->pf);
	}
}

static void print_problem(struct report *r, const struct problem *p)
{
	if (r->json) {
		json_t *event = new_event(p->warning ? "warning" : "problem");

		set_text(event, "code", p->code);
		set_text(event, "host", p->host);
		set_text(event, "message", p->text);
		set_text(event, "hint", p->hint);
		print_json(event);
		return;
	}
	if (p->warning && r->quiet)
		return;
	say(STDERR_FILENO, "%s: %s%s%s\n", p->warning ? "warning" : "error", p->host ? p->host : "",
		p->host ? ": " : "", p->text);
	if (*p->hint)
		say(STDERR_FILENO, "  %s\n", p->hint);
}

void report_problems(struct report *r, const struct plan *p)
{
	for (size_t i = 0; i < p->problems.n; i++)
		print_problem(r, &p->problems.v[i]);
}

void report_warning(struct report *r, const char *host, const char *text, const char *hint)
{
	struct problem p = { "warning", true, (char *)host, (char *)text,
		(char *)(hint ? hint : "") };

	end_line(r);
	print_problem(r, &p);
}

static void print_planned(struct report *r, const struct step *step, const char *host)
{
	if (r->json) {
		json_t *event = new_event("planned-step");

		set_text(event, "step", step->name);
		set_text(event, "host", host);
		set_text(event, "title", step->title);
		print_json(event);
	} else {
		say(STDOUT_FILENO, "  %-12s %-26s %s\n", host, step->name, step->title);
	}
}

void report_dry_run(struct report *r, const struct plan *p, const char *source,
	const char *destination)
{
	for (size_t k = 0; k < n_steps; k++) {
		const struct step *step = &steps[k];

		if (p->source.n_pairs && step_concerns(step, &p->source, true))
			print_planned(r, step, source);
		if (step_concerns(step, &p->destination, false) &&
			(p->kind == PLAN_MOVE || step_is_of_reattach(step)))
			print_planned(r, step, destination);
	}
}

void report_step(struct report *r, const char *host, const char *name, const char *title,
	int64_t ms, bool undo)
{
	if (r->json) {
		json_t *event = new_event(undo ? "undo" : "step");

		set_text(event, "step", name);
		set_text(event, "host", host);
		json_object_set_new(event, "ms", json_integer(ms));
		print_json(event);
		return;
	}
	end_line(r);
	if (!r->quiet)
		say(STDERR_FILENO, "  %6.2f s  %-12s %s%s\n", (double)ms / 1000, host,
			undo ? "undo: " : "", title);
}

static int64_t number(const json_t *data, const char *key)
{
	return json_integer_value(json_object_get(data, key));
}

static void format_progress(const json_t *data, char *ret, size_t size)
{
	const double mib = 1024.0 * 1024.0;
	int64_t total = number(data, "total"), left = number(data, "remaining");
	int percent = total ? (int)(100 - 100.0 * (double)left / (double)total) : 0;

	snprintf(ret, size, "migrating: %d %%, %.0f MiB left, %.1f MiB/s, pass %" PRId64, percent,
		(double)left / mib, (double)number(data, "bytes_per_second") / mib,
		number(data, "iteration"));
}

void report_progress(struct report *r, const json_t *data)
{
	char text[128];

	if (r->json) {
		json_t *event = new_event("progress");

		CLEANUP_FREE char *line = NULL;

		json_object_update(event, (json_t *)data);
		line = json_dumps(event, JSON_COMPACT);
		say_if_heard(STDOUT_FILENO, "%s\n", line ? line : "{}");
		json_decref(event);
		return;
	}
	if (r->quiet)
		return;
	format_progress(data, text, sizeof(text));
	if (r->terminal) {
		say_if_heard(STDERR_FILENO, "\r\033[K  %s", text);
		r->line_open = true;
	} else if (clock_ms() >= r->last_shown + PLAIN_PROGRESS_MS) {
		say_if_heard(STDERR_FILENO, "  %s\n", text);
		r->last_shown = clock_ms();
	}
}

static void set_ms(json_t *event, const char *key, int64_t ms)
{
	if (ms >= 0)
		json_object_set_new(event, key, json_integer(ms));
}

static void outcome_as_json(const char *domain, const struct outcome *o)
{
	json_t *event = new_event("result");

	json_object_set_new(event, "status", json_integer(o->status));
	set_text(event, "outcome", o->name);
	set_text(event, "domain", domain);
	set_text(event, "message", o->text);
	set_text(event, "hint", *o->hint ? o->hint : o->err.hint);
	if (o->err.kind != ERR_NONE)
		set_text(event, "error", o->err.msg);
	set_ms(event, "total_ms", o->total_ms);
	set_ms(event, "standby_ms", o->standby_ms);
	set_ms(event, "downtime_ms", o->downtime_ms);
	if (o->pairs)
		json_object_set(event, "pairs", o->pairs);
	print_json(event);
}

/* What it rests on that the guest uses its VFs. */
static void print_proofs(const json_t *pairs)
{
	const json_t *pair;
	size_t i;

	json_array_foreach(pairs, i, pair) {
		const char *proof = json_string_value(json_object_get(pair, "proof"));

		if (proof)
			say(STDOUT_FILENO, "  %s: %s\n",
				json_string_value(json_object_get(pair, "mac")), proof);
	}
}

void report_outcome(struct report *r, const char *domain, const struct outcome *o)
{
	end_line(r);
	if (r->json) {
		outcome_as_json(domain, o);
		return;
	}
	if (o->err.kind != ERR_NONE) {
		say(STDERR_FILENO, "error: %s\n", o->err.msg);
		if (*o->err.hint)
			say(STDERR_FILENO, "  %s\n", o->err.hint);
	}
	if (*o->text && (o->status != STATUS_DONE || !r->quiet))
		say(o->status == STATUS_DONE ? STDOUT_FILENO : STDERR_FILENO, "%s\n", o->text);
	if (o->status == STATUS_DONE && !r->quiet)
		print_proofs(o->pairs);
	if (*o->hint)
		say(STDERR_FILENO, "  %s\n", o->hint);
}
