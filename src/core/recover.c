/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/recover.h"

#include "core/decide.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

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

/* Carries the verdict out; the journal goes when nothing is left. */
static void act(struct driver *d, struct client *client, enum settle_verdict v, const char *domain,
	const json_t *journal, struct outcome *o)
{
	size_t n_pairs = (size_t)json_integer_value(json_object_get(journal, "n_pairs"));
	bool is_source = json_is_true(json_object_get(journal, "is_source"));
	json_t *args = with_text("verdict", settle_verdict_name(v));
	int r;

	json_object_set_new(args, "patient", json_boolean(d->patient));
	r = call_once(&d->group, client, "settle", args, driver_step_ms(d, n_pairs), NULL, &o->err);
	outcome_settled(o, v, domain, client_label(client), is_source, r == 0);
	driver_close_order(d, client, r == 0);
}

/* The journal is taken up there. MAY_ARRIVE: see settle_is_certain. -1: told in O. */
static int reopen(struct driver *d, struct client *client, const char *uuid, const char *name,
	bool *ret_may_arrive, struct outcome *o)
{
	json_t *args = with_text("uuid", uuid), *reply = NULL;
	bool busy;

	json_object_set_new(args, "owner", json_text(d->owner));
	if (call_once(&d->group, client, "reopen", args, driver_request_ms(d), &reply, &o->err) ==
		0) {
		*ret_may_arrive = json_is_true(json_object_get(reply, "may_arrive"));
		json_decref(reply);
		return 0;
	}
	busy = o->err.kind == ERR_BUSY;
	if (o->err.kind != ERR_NOT_FOUND) {
		outcome_say(o, busy ? STATUS_BUSY : STATUS_INCOMPLETE, busy ? "busy" : "incomplete",
			name, client_label(client), "its journal could not be taken up");
		return -1;
	}
	o->err = (struct err){ 0 };
	outcome_say(o, STATUS_DONE, "settled", name, client_label(client), "settled already");
	return -1;
}

void recover_domain(struct driver *d, struct client *client, struct client *peer,
	const json_t *journal, struct outcome *ret)
{
	const char *uuid = json_string_value(json_object_get(journal, "uuid"));
	const char *known = json_string_value(json_object_get(journal, "name"));
	const char *name = known ? known : uuid;
	int here = json_is_true(json_object_get(journal, "is_source")) ? SOURCE : DESTINATION;
	struct sides sides = { .d = d };
	struct decide by = { .sides = &sides, .uuid = uuid, .alone = here };
	struct settle_view view[2];
	enum settle_verdict v;

	outcome_init(ret);
	if (reopen(d, client, uuid, name, &by.may_arrive, ret) < 0)
		return;
	d->rolling_back = true; /* a signal does not stop it half-way */
	by.may_arrive = by.may_arrive && !peer;
	sides.ends[here] = client;
	sides.ends[1 - here] = peer;
	v = decide(&by, view);
	if (!d->options->dry_run) {
		act(d, client, v, name, journal, ret);
		return;
	}
	outcome_say(ret, STATUS_DONE, "would-settle", name, client_label(client),
		settle_verdict_name(v));
	driver_close_order(d, client, false);
}

/* Settles the other host's journal of that domain; false: it has none. */
static bool recover_there(struct driver *d, const json_t *journal, struct outcome *ret)
{
	const char *uuid = json_string_value(json_object_get(journal, "uuid"));
	json_t *list = NULL, *other;
	bool found = false;
	size_t i;

	outcome_init(ret);
	if (recover_list(d, d->there, &list, &ret->err) < 0) {
		outcome_say(ret, STATUS_INCOMPLETE, "incomplete", uuid, client_label(d->there),
			"its journals could not be read");
		return true;
	}
	json_array_foreach(list, i, other) {
		if (!str_equal(json_string_value(json_object_get(other, "uuid")), uuid))
			continue;
		recover_domain(d, d->there, d->here, other, ret);
		found = true;
	}
	json_decref(list);
	return found;
}

void recover_both(struct driver *d, const json_t *journal, struct outcome *ret)
{
	struct outcome there, other;

	recover_domain(d, d->here, d->there, journal, ret);
	if (!d->there || !recover_there(d, journal, &there))
		return;
	/* A guest that lives there without its VF is not all well here either. */
	other = there;
	if (outcome_severity(there.status) > outcome_severity(ret->status)) {
		other = *ret;
		*ret = there;
	}
	if (other.err.kind != ERR_NONE)
		report_warning(d->report, NULL, other.err.msg, other.err.hint);
	log_info("%s", other.text);
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
	struct outcome out;
	size_t i;

	outcome_init(&out);
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
			"an interrupted run left a journal of this domain; it is settled first",
			NULL);
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
