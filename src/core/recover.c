/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/recover.h"

#include <stdlib.h>

#include "core/decide.h"
#include "core/host_id.h"
#include "core/plan.h"
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

enum peer { PEER_NO, PEER_YES, PEER_UNKNOWN };

/* Whether CLIENT's host is the other one of that journal's run; older journals do not say. */
static enum peer is_peer_of(struct driver *d, struct client *client, const json_t *journal)
{
	const char *wanted = json_string_value(json_object_get(journal, "peer_uuid"));
	json_t *reply = NULL;
	struct err e;
	enum peer is = PEER_UNKNOWN;
	const char *uuid;

	if (!wanted ||
		call_once(&d->group, client, "host", NULL, driver_request_ms(d), &reply, &e) < 0)
		return PEER_UNKNOWN;
	uuid = json_string_value(json_object_get(reply, "uuid"));
	if (uuid)
		is = host_is_known(uuid, json_string_value(json_object_get(reply, "id")), wanted,
			     json_string_value(json_object_get(journal, "peer_id")))
			     ? PEER_YES
			     : PEER_NO;
	json_decref(reply);
	return is;
}

bool recover_is_about(const json_t *journal, const char *domain)
{
	return str_equal(json_string_value(json_object_get(journal, "name")), domain) ||
	       str_equal(json_string_value(json_object_get(journal, "name_now")), domain) ||
	       str_is_same_uuid(json_string_value(json_object_get(journal, "uuid")), domain);
}

static json_t *with_text(const char *key, const char *value)
{
	json_t *args = json_object();

	json_object_set_new(args, key, json_text(value));
	return args;
}

/* Not all was done. What that means for the guest, its pairs tell. */
static void say_what_is_missing(struct driver *d, struct client *client, const char *domain,
	struct outcome *o)
{
	json_t *reply = NULL;
	const json_t *pair, *pairs;
	size_t i, n_proved = 0;
	bool cut_off = false;
	struct err e;

	if (call_once(&d->group, client, "pairs", NULL, driver_request_ms(d), &reply, &e) < 0)
		return;
	pairs = json_object_get(reply, "pairs");
	json_array_foreach(pairs, i, pair) {
		cut_off = cut_off || json_is_true(json_object_get(pair, "cut_off"));
		n_proved += json_is_true(json_object_get(pair, "proved"));
	}
	if (cut_off)
		outcome_say(o, STATUS_INCOMPLETE, "cut-off", domain, client_label(client),
			"it has no VF, and its frames do not reach the standby");
	else if (n_proved && n_proved == json_array_size(pairs))
		outcome_say(o, STATUS_INCOMPLETE, "incomplete", domain, client_label(client),
			"it is on its VF, but not all could be settled");
	json_decref(reply);
}

/* A source that is settled with the destination in sight: nothing need be remembered there for it. */
static int tell_peer(struct driver *d, struct client *peer, const json_t *journal, struct err *e)
{
	if (!peer || !json_is_true(json_object_get(journal, "is_source")))
		return 0;
	return driver_source_knows(d, peer, json_string_value(json_object_get(journal, "uuid")),
		json_string_value(json_object_get(journal, "owner")), e);
}

/* Carries the verdict out, with which both hosts were seen as VIEW; the journal goes when nothing is left. */
static void act(struct driver *d, struct client *client, struct client *peer, enum settle_verdict v,
	const struct settle_view view[2], const char *domain, const json_t *journal,
	struct outcome *o)
{
	bool is_source = json_is_true(json_object_get(journal, "is_source"));
	const struct settle_view *there = &view[is_source ? DESTINATION : SOURCE];
	json_t *args = with_text("verdict", settle_verdict_name(v));
	struct err e;
	int r;

	json_object_set_new(args, "patient", json_boolean(d->patient));
	json_object_set_new(args, "alone", json_boolean(!there->reachable));
	json_object_set_new(args, "autostart_there", json_boolean(there->autostart));
	r = call_once(&d->group, client, "settle", args, driver_settle_ms(d, journal), NULL,
		&o->err);
	if (r == 0)
		r = tell_peer(d, peer, journal, &o->err);
	outcome_settled(o, v, domain, client_label(client), is_source, r == 0);
	if (v == SETTLE_IN_DOUBT || v == SETTLE_UNVERIFIED)
		outcome_hint_in_doubt(o, domain, &view[SOURCE], &view[DESTINATION]);
	if (o->status == STATUS_DEGRADED)
		say_what_is_missing(d, client, domain, o);
	if (driver_close_order(d, client, r == 0, !there->reachable, &e) < 0)
		outcome_left(o, &e);
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

/*
 * Settles the domain of JOURNAL (an element of recover_list) on CLIENT's host. PEER: an agent on the
 * other host, or NULL where it cannot be reached.
 */
static void recover_domain(struct driver *d, struct client *client, struct client *peer,
	const json_t *journal, struct outcome *ret)
{
	const char *uuid = json_string_value(json_object_get(journal, "uuid"));
	const char *known = json_string_value(json_object_get(journal, "name"));
	const char *name = known ? known : uuid;
	int here = json_is_true(json_object_get(journal, "is_source")) ? SOURCE : DESTINATION;
	struct sides sides = { .d = d };
	struct decide by = { .sides = &sides,
		.uuid = uuid,
		.run = json_string_value(json_object_get(journal, "owner")),
		.alone = here };
	struct settle_view view[2];
	enum settle_verdict v;

	outcome_init(ret);
	if (reopen(d, client, uuid, name, &by.may_arrive, ret) < 0)
		return;
	d->rolling_back = true; /* a signal does not stop it half-way */
	by.may_arrive = by.may_arrive && !peer;
	sides.agents[here] = client;
	sides.agents[1 - here] = peer;
	v = decide(&by, view);
	if (!d->options->dry_run) {
		act(d, client, peer, v, view, name, journal, ret);
		return;
	}
	outcome_say(ret, STATUS_DONE, "would-settle", name, client_label(client),
		settle_verdict_name(v));
	driver_leave_order(d, client);
}

/* ---- both hosts ---- */

/* That of the domain UUID in LIST, whichever run it is of; NULL: there is none. */
static const json_t *journal_in(const json_t *list, const char *uuid)
{
	const json_t *journal;
	size_t i;

	json_array_foreach(list, i, journal) {
		if (recover_is_about(journal, uuid))
			return journal;
	}
	return NULL;
}

/*
 * Whether B is the other half of A's run: of another run the other host may be a third one. One that cannot be
 * read may be, and is told of where it is taken up.
 */
static bool is_same_run(const json_t *a, const json_t *b)
{
	if (json_object_get(b, "error"))
		return true;
	return str_equal(json_string_value(json_object_get(a, "owner")),
		       json_string_value(json_object_get(b, "owner"))) &&
	       json_is_true(json_object_get(a, "is_source")) !=
		       json_is_true(json_object_get(b, "is_source"));
}

/* The worse of two outcomes counts, and the other one is told. */
static void merge(struct driver *d, const struct outcome *there, struct outcome *ret)
{
	struct outcome other = *there;

	/* A guest that lives there without its VF is not all well here either. */
	if (outcome_severity(there->status) > outcome_severity(ret->status)) {
		other = *ret;
		*ret = *there;
	}
	if (other.err.kind != ERR_NONE)
		report_warning(d->report, NULL, other.err.msg, other.err.hint);
	log_info("%s", other.text);
}

/* What the host that answers has; one that is not the run's other host counts as not reached. */
static void connect_there(struct driver *d, const struct target *peer, const json_t *journal,
	json_t **ret_list)
{
	struct err e;

	if (driver_connect_peer(d, peer, &e) < 0 || recover_list(d, d->there, ret_list, &e) < 0) {
		log_info("%s", e.msg);
		d->there = NULL;
	} else if (is_peer_of(d, d->there, journal) == PEER_NO) {
		log_warn("the host that answers now is not the one of the interrupted run");
		d->there = NULL;
		/* The one that was meant is, unless an older journal cannot tell them apart for certain. */
		d->peer_is_silent = json_is_string(json_object_get(journal, "peer_id"));
	}
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

/*
 * No journal there: its end was finished, or undone before a guest came that took its time; nobody has given
 * that one its path then.
 */
static void look_at_guest_there(struct driver *d, const json_t *journal, struct outcome *ret)
{
	const char *name = json_string_value(json_object_get(journal, "name"));
	struct err e;

	if (driver_discover(d, json_string_value(json_object_get(journal, "uuid")), NULL, &e) < 0 ||
		!d->facts_there.has_domain || !d->facts_there.domain.live ||
		plan_is_whole(&d->facts_there))
		return;
	outcome_say(ret, STATUS_DEGRADED, "degraded", name ? name : "the domain",
		client_label(d->there),
		"it is there without its VF, and nobody has looked whether its standby carries it");
	outcome_hint_at_reattach(ret, name ? name : "DOMAIN", client_label(d->there));
}

static void recover_connected(struct driver *d, const struct target *peer, const json_t *journal,
	struct outcome *ret)
{
	const char *uuid = json_string_value(json_object_get(journal, "uuid"));
	const json_t *other;
	struct outcome there;
	json_t *list = NULL;

	if (peer->argv)
		connect_there(d, peer, journal, &list);
	if (d->interrupted) {
		const char *name = json_string_value(json_object_get(journal, "name"));

		outcome_say(ret, STATUS_INCOMPLETE, "incomplete", name ? name : uuid,
			client_label(d->here), "stopped by a signal before anything was settled");
		json_decref(list);
		return;
	}
	if (d->options->fenced && !d->there && !d->peer_is_silent)
		log_warn("--fenced does not hold: the other host is not known, or answers");
	recover_domain(d, d->here, d->there, journal, ret);
	other = journal_in(list, uuid);
	if (d->there && other && is_same_run(journal, other)) {
		recover_domain(d, d->there, d->here, other, &there);
		merge(d, &there, ret);
	} else if (d->there && !other && !d->options->dry_run && str_equal(ret->name, "finished")) {
		look_at_guest_there(d, journal, ret);
	}
	json_decref(list);
}

bool recover_journal(const struct options *o, struct report *report, const json_t *journal,
	bool patient, struct outcome *ret)
{
	struct target peer = { .label = (char *)"the other host", .argv = peer_argv(journal) };
	struct driver d;
	bool signalled;

	outcome_init(ret);
	if (driver_open(o, report, &d, &ret->err) < 0 || driver_connect(&d, NULL, &ret->err) < 0) {
		ret->status = STATUS_INCOMPLETE;
		ret->name = "incomplete";
	} else {
		d.patient = patient;
		recover_connected(&d, &peer, journal, ret);
	}
	signalled = d.signalled;
	driver_close(&d);
	free_argv(peer.argv);
	return signalled;
}

/* ---- before something new ---- */

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
	driver_look(d, d->here, uuid, NULL, &here);
	return here.reachable && here.state == VIRT_RUNNING;
}

/*
 * The other host of the interrupted run need not be one of those that are connected now: without it
 * nothing is known of a guest that may have left.
 */
static void recover_one_before(struct driver *d, struct client *client, struct client *peer,
	const json_t *journal, struct outcome *ret)
{
	report_warning(d->report, client_label(client),
		"an interrupted run left a journal of this domain; it is settled first", NULL);
	if (!peer && client == d->here && json_is_true(json_object_get(journal, "is_source")))
		d->signalled |= recover_journal(d->options, d->report, journal, false, ret);
	else
		recover_domain(d, client, peer, journal, ret);
	d->rolling_back = false;
}

/* KEY: its UUID, or its name where that is all that is known; DOMAIN: as the operator calls it. */
static int recover_before_on(struct driver *d, struct client *client, struct client *other,
	const char *key, const char *domain, struct err *e)
{
	json_t *list = NULL, *journal;
	struct outcome out;
	size_t i;

	outcome_init(&out);
	if (recover_list(d, client, &list, e) < 0)
		return -1;
	json_array_foreach(list, i, journal) {
		/* A run that goes on is told of as such, by who looks for locks. */
		if (!recover_is_about(journal, key) ||
			json_is_true(json_object_get(journal, "locked")) ||
			is_degraded_mark(d, client, journal))
			continue;
		recover_one_before(d, client,
			other && is_peer_of(d, other, journal) == PEER_YES ? other : NULL, journal,
			&out);
	}
	json_decref(list);
	/* Something new, with another VF, may still help a guest that is cut off. */
	if (out.status == STATUS_INCOMPLETE && !str_equal(out.name, "cut-off")) {
		report_outcome(d->report, domain, &out);
		return (int)out.status;
	}
	if (out.status == STATUS_BUSY)
		return err_set_kind(e, ERR_BUSY, "%s%s%s", out.text, out.err.kind ? ": " : "",
			out.err.kind ? out.err.msg : "");
	if (d->signalled)
		return err_set_kind(e, ERR_CANCELLED, "stopped by a signal; nothing new was begun");
	return 0;
}

/* ---- for who cannot see the other host ---- */

/* Nothing is taken up for it: whether a guest that runs here had been switched over is not known then. */
static char *describe(struct driver *d, const json_t *journal, const char *name,
	const struct settle_view *here)
{
	bool is_source = json_is_true(json_object_get(journal, "is_source"));
	const char *owner = json_string_value(json_object_get(journal, "owner"));

	if (json_is_true(json_object_get(journal, "locked")))
		return str_printf(
			"%s is %s here, and is held by a run that goes on or settles (%s)", name,
			settle_view_text(here), owner ? owner : "?");
	if (is_degraded_mark(d, d->here, journal) || (is_source && here->state == VIRT_RUNNING))
		return str_printf("%s is %s here, and a run before left a journal of it", name,
			settle_view_text(here));
	return str_printf("%s is %s here, and an interrupted run left a journal of it: %s", name,
		settle_view_text(here), settle_verdict_name(settle_decide_alone(is_source, here)));
}

static void tell_of(struct driver *d, const json_t *journal)
{
	const char *uuid = json_string_value(json_object_get(journal, "uuid"));
	const char *name = json_string_value(json_object_get(journal, "name"));
	CLEANUP_FREE char *text = NULL;
	struct settle_view here;

	driver_look(d, d->here, uuid, NULL, &here);
	if (!here.reachable)
		return;
	text = describe(d, journal, name ? name : uuid, &here);
	report_warning(d->report, client_label(d->here), text,
		"sriov-migrate recover settles what it left; until the other host is seen, do not "
		"resume or destroy the domain by hand.");
}

void recover_tell(struct driver *d, const char *domain)
{
	json_t *list = NULL, *journal;
	struct err ignored;
	size_t i;

	if (!d->here || d->interrupted || recover_list(d, d->here, &list, &ignored) < 0)
		return;
	json_array_foreach(list, i, journal) {
		if (recover_is_about(journal, domain))
			tell_of(d, journal);
	}
	json_decref(list);
}

/* The UUID of the domain of that name here; NULL: it is not known. Caller frees. */
static char *uuid_here(struct driver *d, const char *domain)
{
	json_t *reply = NULL;
	struct err ignored;
	char *uuid;

	if (call_once(&d->group, d->here, "journals", with_text("domain", domain),
		    driver_request_ms(d), &reply, &ignored) < 0)
		return NULL;
	uuid = str_dup(json_string_value(json_object_get(reply, "uuid")));
	json_decref(reply);
	return uuid;
}

int recover_before(struct driver *d, const char *domain, struct err *e)
{
	CLEANUP_FREE char *uuid = uuid_here(d, domain);
	const char *key = uuid ? uuid : domain;
	int r = recover_before_on(d, d->here, d->there, key, domain, e);

	return r == 0 && d->there ? recover_before_on(d, d->there, d->here, key, domain, e) : r;
}
