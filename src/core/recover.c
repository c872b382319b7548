/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/recover.h"

#include <stdio.h>

#include "core/settle.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum { DECIDE_PAUSE_MS = 300 };

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

static enum settle_verdict decide_once(bool is_source, const struct settle_view *here,
	const struct settle_view *there)
{
	if (!here->reachable)
		return SETTLE_IN_DOUBT;
	if (!there->reachable)
		return settle_decide_alone(is_source, here);
	return is_source ? settle_decide(here, there) : settle_decide(there, here);
}

/* How often, and for how long, a verdict has been the same. */
struct stable {
	enum settle_verdict verdict;
	int64_t since;
};

/*
 * That the guest is nowhere else is to be seen twice before it is resumed here, and for a while before
 * what was prepared for it here is taken away.
 */
static bool is_settled(enum settle_verdict v, struct stable *before, bool may_arrive)
{
	bool first = v != before->verdict;

	if (first)
		*before = (struct stable){ v, clock_ms() };
	if (v == SETTLE_BACKWARD && may_arrive)
		return clock_ms() >= before->since + SETTLE_ARRIVAL_MS;
	return v != SETTLE_WAIT && (v != SETTLE_RESUME || !first);
}

static enum settle_verdict decide(struct driver *d, struct client *client, struct client *peer,
	const char *uuid, bool is_source, bool may_arrive)
{
	int64_t deadline = clock_ms() + d->options->settle_timeout * 1000;
	struct stable before = { .verdict = SETTLE_WAIT };

	for (;;) {
		struct settle_view here, there;
		enum settle_verdict v;
		/* An agent that cannot tell: its libvirt may just be starting. */
		bool told = driver_look(d, client, uuid, &here) == 0;

		told = driver_look(d, peer, uuid, &there) == 0 && told;
		v = decide_once(is_source, &here, &there);
		if ((told && is_settled(v, &before, may_arrive)) || clock_ms() >= deadline)
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

/* How a verdict is told; the last three leave something to do whatever is done. */
static const struct words {
	enum status status;
	const char *name;
	const char *more; /* NULL: the verdict says it all */
} words[] = {
	[SETTLE_BACKWARD] = { STATUS_FAILED, "rolled-back", NULL },
	[SETTLE_RESUME] = { STATUS_FAILED, "rolled-back", NULL },
	[SETTLE_FORWARD] = { STATUS_DONE, "finished", NULL },
	[SETTLE_DESTROY_STALE] = { STATUS_DONE, "finished", NULL },
	[SETTLE_UNVERIFIED] = { STATUS_INCOMPLETE, "unverified", NULL },
	[SETTLE_GUEST_ENDED] = { STATUS_FAILED, "guest-ended", NULL },
	[SETTLE_WAIT] = { STATUS_INCOMPLETE, "in-doubt",
		"nothing was started, resumed, destroyed or attached" },
	[SETTLE_IN_DOUBT] = { STATUS_INCOMPLETE, "in-doubt",
		"nothing was started, resumed, destroyed or attached" },
	[SETTLE_TWICE] = { STATUS_INCOMPLETE, "running-twice",
		"it runs on both; the source's copy has to stand still, no VF was touched" },
};

/* Carries the verdict out; the journal goes when nothing is left. */
static void act(struct driver *d, struct client *client, enum settle_verdict v, const char *domain,
	const json_t *journal, struct outcome *o)
{
	size_t n_pairs = (size_t)json_integer_value(json_object_get(journal, "n_pairs"));
	bool is_source = json_is_true(json_object_get(journal, "is_source"));
	const char *host = client_label(client);
	const struct words *w = &words[v];
	json_t *args = with_text("verdict", settle_verdict_name(v));
	int r;

	json_object_set_new(args, "patient", json_boolean(d->patient));
	r = call_once(&d->group, client, "settle", args, driver_step_ms(d, n_pairs), NULL, &o->err);

	if (r == 0 || w->more)
		say(o, w->status, w->name, domain, host, w->more ? w->more : settle_verdict_name(v));
	else if (v == SETTLE_FORWARD && !is_source)
		say(o, STATUS_DEGRADED, "degraded", domain, host,
			"it runs by its standby; its VF could not be given back");
	else
		say(o, STATUS_INCOMPLETE, "incomplete", domain, host, "not all could be settled");
	driver_close_order(d, client, r == 0);
}

void recover_domain(struct driver *d, struct client *client, struct client *peer,
	const json_t *journal, struct outcome *ret)
{
	const char *uuid = json_string_value(json_object_get(journal, "uuid"));
	const char *name = json_string_value(json_object_get(journal, "name"));
	bool is_source = json_is_true(json_object_get(journal, "is_source"));
	enum settle_verdict v;

	json_t *args = with_text("uuid", uuid), *reply = NULL;
	bool may_arrive;

	ret->total_ms = ret->standby_ms = ret->downtime_ms = -1;
	name = name ? name : uuid;
	json_object_set_new(args, "owner", json_text(d->owner));
	if (call_once(&d->group, client, "reopen", args, driver_request_ms(d), &reply, &ret->err) < 0) {
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
	may_arrive = !peer && json_is_true(json_object_get(reply, "may_arrive"));
	json_decref(reply);
	v = decide(d, client, peer, uuid, is_source, may_arrive);
	if (d->options->dry_run) {
		say(ret, STATUS_DONE, "would-settle", name, client_label(client), settle_verdict_name(v));
		driver_close_order(d, client, false);
		return;
	}
	act(d, client, v, name, journal, ret);
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

/*
 * The mark of a guest that lives on this host without its VF: what is begun now takes it over.
 * Where the guest does not run, it is what was prepared for one that never came.
 */
static bool is_degraded_mark(struct driver *d, const struct client *client, const json_t *journal)
{
	const char *uuid = json_string_value(json_object_get(journal, "uuid"));
	struct settle_view here;

	if (client != d->here || json_is_true(json_object_get(journal, "is_source")))
		return false;
	driver_look(d, d->here, uuid, &here);
	return here.reachable && here.state == VIRT_RUNNING;
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
		/* A run that goes on is told of as such, by who looks for locks. */
		if ((!str_equal(name, domain) && !str_equal(uuid, domain)) ||
			json_is_true(json_object_get(journal, "locked")) ||
			is_degraded_mark(d, client, journal))
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
