/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/recover.h"

#include <stdio.h>

#include "core/settle.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum { DECIDE_LIMIT_MS = 60000, DECIDE_PAUSE_MS = 300, SETTLE_EXTRA_MS = 180000 };

int recover_list(struct driver *d, struct client *client, json_t **ret, struct err *e)
{
	json_t *reply = NULL;

	if (call_once(&d->group, client, "journals", NULL, driver_request_ms(d), &reply, e) < 0)
		return -1;
	*ret = json_incref(json_object_get(reply, "journals"));
	json_decref(reply);
	return 0;
}

static json_t *with_text(const char *key, const char *value)
{
	json_t *args = json_object();

	json_object_set_new(args, key, json_text(value));
	return args;
}

static void look(struct driver *d, struct client *c, const char *uuid, struct settle_view *ret)
{
	json_t *reply = NULL;
	struct err e;

	*ret = (struct settle_view){ 0 };
	if (!c)
		return;
	if (call_once(&d->group, c, "state", with_text("uuid", uuid), driver_request_ms(d), &reply, &e) < 0) {
		log_debug("%s", e.msg);
		return;
	}
	ret->reachable = true;
	ret->state = virt_state_from_name(json_string_value(json_object_get(reply, "state")));
	ret->job = json_is_true(json_object_get(reply, "job"));
	json_decref(reply);
}

static enum settle_verdict decide_once(bool is_source, const struct settle_view *here,
	const struct settle_view *there)
{
	if (!here->reachable)
		return SETTLE_IN_DOUBT;
	if (!there->reachable)
		return settle_decide_alone(is_source, here);
	return is_source ? settle_decide(here, there) : settle_decide(there, here);
}

static enum settle_verdict decide(struct driver *d, struct client *client, struct client *peer,
	const char *uuid, bool is_source)
{
	int64_t deadline = clock_ms() + DECIDE_LIMIT_MS;

	for (;;) {
		struct settle_view here, there;
		enum settle_verdict v;

		look(d, client, uuid, &here);
		look(d, peer, uuid, &there);
		v = decide_once(is_source, &here, &there);
		if (v != SETTLE_WAIT || clock_ms() >= deadline || d->interrupted)
			return v;
		clock_sleep_ms(DECIDE_PAUSE_MS);
	}
}

static void say(struct outcome *o, enum status status, const char *name, const char *domain,
	const char *host, const char *text)
{
	o->status = status;
	o->name = name;
	snprintf(o->text, sizeof(o->text), "%s on %s: %s", domain, host, text);
}

static bool is_undecided(enum settle_verdict v)
{
	return v == SETTLE_IN_DOUBT || v == SETTLE_WAIT || v == SETTLE_TWICE;
}

static void say_settled(struct outcome *o, enum settle_verdict v, const char *domain, const char *host)
{
	switch (v) {
	case SETTLE_FORWARD:
	case SETTLE_DESTROY_STALE:
		say(o, STATUS_DONE, "finished", domain, host, settle_verdict_name(v));
		break;
	case SETTLE_UNVERIFIED:
		say(o, STATUS_INCOMPLETE, "unverified", domain, host, settle_verdict_name(v));
		break;
	default:
		say(o, STATUS_FAILED, "rolled-back", domain, host, settle_verdict_name(v));
		break;
	}
}

/* Carries the verdict out; the journal goes when nothing is left. */
static void act(struct driver *d, struct client *client, enum settle_verdict v, const char *domain,
	bool is_source, struct outcome *o)
{
	bool forward = v == SETTLE_FORWARD || v == SETTLE_DESTROY_STALE;
	json_t *args = json_object();
	struct err e;
	int r;

	r = call_once(&d->group, client, "settle", with_text("verdict", settle_verdict_name(v)),
		driver_request_ms(d) + SETTLE_EXTRA_MS, NULL, &o->err);
	if (r == 0)
		say_settled(o, v, domain, client_label(client));
	else if (forward && !is_source)
		say(o, STATUS_DEGRADED, "degraded", domain, client_label(client),
			"it runs by its standby; its VF could not be given back");
	else
		say(o, STATUS_INCOMPLETE, is_undecided(v) ? "in-doubt" : "incomplete", domain,
			client_label(client),
			is_undecided(v) ? "nothing was started, resumed, destroyed or attached" :
					  "not all could be settled");
	json_object_set_new(args, "settled", json_boolean(r == 0));
	if (call_once(&d->group, client, "close", args, driver_request_ms(d), NULL, &e) < 0)
		report_warning(d->report, NULL, e.msg, e.hint);
}

void recover_domain(struct driver *d, struct client *client, struct client *peer,
	const json_t *journal, struct outcome *ret)
{
	const char *uuid = json_string_value(json_object_get(journal, "uuid"));
	const char *name = json_string_value(json_object_get(journal, "name"));
	bool is_source = json_is_true(json_object_get(journal, "is_source"));
	enum settle_verdict v;

	ret->total_ms = ret->standby_ms = ret->downtime_ms = -1;
	name = name ? name : uuid;
	if (call_once(&d->group, client, "reopen", with_text("uuid", uuid), driver_request_ms(d), NULL,
		    &ret->err) < 0) {
		if (ret->err.kind == ERR_NOT_FOUND) {
			ret->err = (struct err){ 0 };
			say(ret, STATUS_DONE, "settled", name, client_label(client), "settled already");
		} else {
			say(ret, ret->err.kind == ERR_BUSY ? STATUS_BUSY : STATUS_INCOMPLETE,
				ret->err.kind == ERR_BUSY ? "busy" : "incomplete", name,
				client_label(client), "its journal could not be taken up");
		}
		return;
	}
	d->rolling_back = true; /* a signal does not stop it half-way */
	v = decide(d, client, peer, uuid, is_source);
	if (d->options->dry_run) {
		json_t *keep = json_object();
		struct err e;

		say(ret, STATUS_DONE, "would-settle", name, client_label(client), settle_verdict_name(v));
		json_object_set_new(keep, "settled", json_false());
		call_once(&d->group, client, "close", keep, driver_request_ms(d), NULL, &e);
		return;
	}
	act(d, client, v, name, is_source, ret);
}

enum status recover_there(struct driver *d, const json_t *journal)
{
	const char *uuid = json_string_value(json_object_get(journal, "uuid"));
	json_t *list = NULL, *other;
	enum status status = STATUS_DONE;
	struct err e;
	size_t i;

	if (recover_list(d, d->there, &list, &e) < 0) {
		report_warning(d->report, NULL, e.msg, e.hint);
		return STATUS_INCOMPLETE;
	}
	json_array_foreach(list, i, other) {
		struct outcome out = { 0 };

		if (!str_equal(json_string_value(json_object_get(other, "uuid")), uuid))
			continue;
		recover_domain(d, d->there, d->here, other, &out);
		if (out.err.kind != ERR_NONE)
			report_warning(d->report, NULL, out.err.msg, out.err.hint);
		log_info("%s", out.text);
		status = out.status;
	}
	json_decref(list);
	return status;
}

static int recover_before_on(struct driver *d, struct client *client, struct client *peer,
	const char *domain, struct err *e)
{
	json_t *list = NULL, *journal;
	struct outcome out = { 0 };
	size_t i;

	if (recover_list(d, client, &list, e) < 0)
		return -1;
	json_array_foreach(list, i, journal) {
		const char *name = json_string_value(json_object_get(journal, "name"));
		const char *uuid = json_string_value(json_object_get(journal, "uuid"));
		bool degraded_mark =
			client == d->here && !json_is_true(json_object_get(journal, "is_source"));

		/* A run that goes on is told of as such, by who looks for locks. */
		if ((!str_equal(name, domain) && !str_equal(uuid, domain)) || degraded_mark ||
			json_is_true(json_object_get(journal, "locked")))
			continue;
		report_warning(d->report, client_label(client),
			"an interrupted run left a journal of this domain; it is settled first", NULL);
		recover_domain(d, client, peer, journal, &out);
		d->rolling_back = false;
	}
	json_decref(list);
	if (out.status == STATUS_INCOMPLETE || out.status == STATUS_BUSY)
		return err_set_kind(e, out.status == STATUS_BUSY ? ERR_BUSY : ERR_REFUSED, "%s%s%s",
			out.text, out.err.kind ? ": " : "", out.err.kind ? out.err.msg : "");
	return 0;
}

int recover_before(struct driver *d, const char *domain, struct err *e)
{
	if (recover_before_on(d, d->here, d->there, domain, e) < 0)
		return -1;
	return d->there ? recover_before_on(d, d->there, d->here, domain, e) : 0;
}
