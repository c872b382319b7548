/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/requests.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/arrived.h"
#include "agent/journal.h"
#include "agent/lock.h"
#include "agent/wire.h"
#include "core/act.h"
#include "core/apply.h"
#include "core/alone.h"
#include "core/facts.h"
#include "core/gather.h"
#include "core/host_id.h"
#include "core/late.h"
#include "core/move.h"
#include "core/primary.h"
#include "core/standby.h"
#include "core/steps.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum { REOPEN_LIMIT_MS = 20000, REOPEN_PAUSE_MS = 200 };

static int op_hello(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	struct agent *a = ctx;
	const char *uri = json_string_value(json_object_get(args, "libvirt_uri"));

	*ret = json_object();
	json_object_set_new(*ret, "protocol", json_integer(WIRE_PROTOCOL));
	json_object_set_new(*ret, "version", json_string(PACKAGE_VERSION));
	if (virt_check_uri(uri, e) < 0)
		return -1;
	if (json_integer_value(json_object_get(args, "protocol")) != WIRE_PROTOCOL)
		return 0; /* the driver says what is to be said */
	if (json_is_true(json_object_get(args, "verbose")))
		log_set_level(LOG_LEVEL_DEBUG);
	str_set(&a->libvirt_uri, uri);
	if (!a->end.virt && virt_open(uri, &a->cancel, &a->end.virt, e) < 0)
		return -1;
	return a->end.nl ? 0 : nl_open(&a->end.nl, e);
}

static int need_hello(struct agent *a, struct err *e)
{
	if (!a->end.nl)
		return err_set(e, "a request before hello");
	return virt_ensure(a->end.virt, e);
}

static int op_facts(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	const char *domain = json_string_value(json_object_get(args, "domain"));
	const char *reach = json_string_value(json_object_get(args, "reach"));
	bool as_daemon = !json_is_true(json_object_get(args, "client_driven"));
	struct host_facts facts = { 0 };
	struct agent *a = ctx;
	struct err why;
	int r;

	if (need_hello(a, e) < 0)
		return -1;
	if (!domain)
		return err_set(e, "facts of which domain?");
	if (virt_check_uri(reach, e) < 0)
		return -1;
	r = facts_gather(a->end.virt, a->end.nl, domain, &facts, e);
	if (r == 0 && reach && facts.has_domain &&
		virt_reach(reach, as_daemon, &facts.reached, &why) < 0)
		facts.unreachable = str_dup(why.msg);
	if (r == 0)
		*ret = record_encode(&host_facts_record, &facts);
	record_clear(&host_facts_record, &facts);
	return r;
}

/* For each path whether there is nothing by that name. */
static json_t *missing_files(const json_t *paths)
{
	json_t *missing = json_array();
	const json_t *path;
	size_t i;

	json_array_foreach(paths, i, path) {
		json_array_append_new(missing,
			json_boolean(gather_file_is_missing(json_string_value(path))));
	}
	return missing;
}

static int op_fit(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	struct virt_cpu cpu = {
		.arch = json_string_value(json_object_get(args, "arch")),
		.machine = json_string_value(json_object_get(args, "machine")),
		.virt_type = json_string_value(json_object_get(args, "virt_type")),
		.emulator = json_string_value(json_object_get(args, "emulator")),
		.xml = json_string_value(json_object_get(args, "cpu")),
		.is_host = json_is_true(json_object_get(args, "is_host")),
	};
	CLEANUP_FREE char *reason = NULL;
	struct agent *a = ctx;
	enum virt_fit fit;

	if (need_hello(a, e) < 0)
		return -1;
	fit = cpu.xml ? virt_fits(a->end.virt, &cpu, &reason) : VIRT_FIT_UNKNOWN;
	*ret = json_object();
	json_object_set_new(*ret, "fit", json_integer(fit));
	json_object_set_new(*ret, "reason", json_text(reason));
	json_object_set_new(*ret, "missing", missing_files(json_object_get(args, "files")));
	json_object_set_new(*ret, "unresolved",
		json_boolean(
			gather_name_is_unknown(json_string_value(json_object_get(args, "peer")))));
	return 0;
}

static int op_open(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	struct order order = { 0 };
	struct agent *a = ctx;
	int r;

	if (need_hello(a, e) < 0 || record_decode(&order_record, args, &order, e) < 0)
		return -1;
	if (virt_check_uri(order.migration.dest_uri, e) < 0)
		r = -1;
	else if (!order.uuid || !order.name || !order.owner)
		r = err_set(e, "an order without a domain");
	else
		r = end_open(&a->end, &order, e);
	record_clear(&order_record, &order);
	return r;
}

/* What a libvirt takes that is started anew, on a slow host. */
enum { LIBVIRT_RESTART_MS = 10000, LIBVIRT_POLL_MS = 300 };

static int look_for_libvirt(void *arg, struct err *e)
{
	struct agent *a = arg;

	return virt_ensure(a->end.virt, e) == 0;
}

/* What is under way is not given up because libvirt is away for a moment. */
static int need_order(struct agent *a, struct err *e)
{
	struct err why;

	if (!a->end.open)
		return err_set(e, "a step without an order");
	if (virt_ensure(a->end.virt, e) == 0) {
		a->waited_in_vain = false;
		return 0;
	}
	if (a->waited_in_vain)
		return -1;
	why = *e;
	if (cancel_wait(&a->cancel, LIBVIRT_RESTART_MS, LIBVIRT_POLL_MS, "libvirt",
		    look_for_libvirt, a, e) == 0)
		return 0;
	a->waited_in_vain = e->kind == ERR_TIMEOUT;
	if (a->waited_in_vain)
		*e = why;
	return -1;
}

static const struct step *step_of(const json_t *args, struct err *e)
{
	const char *name = json_string_value(json_object_get(args, "step"));
	const struct step *step = step_find(name);

	if (!step)
		err_set(e, "there is no step \"%s\"", name ? name : "");
	return step;
}

/* Libvirt went away in the middle of something, and has come back. */
static bool libvirt_was_away(struct agent *a)
{
	struct err ignored;

	return !virt_is_alive(a->end.virt) && need_order(a, &ignored) == 0;
}

/* Behind the move there is no way back: what met a libvirt that went away is done once more. */
static int apply_step(struct agent *a, const struct step *step, json_t **ret_failed, struct err *e)
{
	if (step_apply(&a->end, step, ret_failed, e) < 0)
		return -1;
	if (json_array_size(*ret_failed) == 0 || !step->forward || !libvirt_was_away(a))
		return 0;
	json_decref(*ret_failed);
	return step_apply(&a->end, step, ret_failed, e);
}

/* Else it is remembered in vain, until the source says so: no reason to stop. */
static void note_source_knows(struct end *end)
{
	struct err e;

	if (end_note_source_knows(end, &e) < 0)
		log_warn("%s: %s", end->order.name, e.msg);
}

static int op_apply(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	const struct step *step = step_of(args, e);
	struct agent *a = ctx;
	json_t *failed;

	if (!step || need_order(a, e) < 0)
		return -1;
	if (!a->end.order.is_source && json_is_true(json_object_get(args, "source_left")))
		note_source_knows(&a->end);
	if (apply_step(a, step, &failed, e) < 0)
		return -1;
	*ret = json_object();
	json_object_set_new(*ret, "failed", failed);
	return 0;
}

static int undo_step(struct agent *a, const struct step *step, struct err *e)
{
	int r = step_undo(&a->end, step, e);

	return r < 0 && libvirt_was_away(a) ? step_undo(&a->end, step, e) : r;
}

static int op_undo(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	const struct step *step = step_of(args, e);
	struct agent *a = ctx;
	int r;

	a->end.guest_gone = json_is_true(json_object_get(args, "guest_gone"));
	r = step && need_order(a, e) == 0 ? undo_step(a, step, e) : -1;
	if (r < 0)
		return -1;
	*ret = json_object();
	json_object_set_new(*ret, "put_off", json_boolean(r == UNDO_PUT_OFF));
	return 0;
}

static bool has_autostart(struct virt *virt, const char *uuid)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	struct err ignored; /* none, or one without a definition */
	bool on;

	return virt_domain_by_uuid(virt, uuid, &d, &ignored) == 0 &&
	       virt_domain_get_autostart(d, &on, &ignored) == 0 && on;
}

/* RUN: the one that is asked about, NULL: none. */
static int tell_state(struct agent *a, const char *uuid, const char *run, json_t **ret,
	struct err *e)
{
	enum virt_state state;
	bool job;

	if (virt_state_get(a->end.virt, uuid, &state, &job, e) < 0)
		return -1;
	*ret = json_object();
	json_object_set_new(*ret, "state", json_string(virt_state_name(state)));
	json_object_set_new(*ret, "job", json_boolean(job));
	json_object_set_new(*ret, "switched",
		json_boolean(a->end.open && move_was_switched(&a->end)));
	json_object_set_new(*ret, "turned_back",
		json_boolean(a->end.open && move_was_turned_back(&a->end)));
	json_object_set_new(*ret, "autostart", json_boolean(has_autostart(a->end.virt, uuid)));
	json_object_set_new(*ret, "arrived", json_boolean(run && arrived_is_noted(uuid, run)));
	return 0;
}

static int op_act(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	struct agent *a = ctx;

	/* What it rests on was seen a moment ago: no waiting here. */
	if (!a->end.open)
		return err_set(e, "an act without an order");
	if (virt_ensure(a->end.virt, e) < 0)
		return -1;
	return act_on_domain(&a->end, json_string_value(json_object_get(args, "what")), e);
}

/* The standby's path of every pair, at once: the guest runs here. */
static int op_carry(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	struct agent *a = ctx;
	struct err now;

	if (need_order(a, e) < 0)
		return -1;
	/*
	 * Whoever undoes that must find it begun, also where the journal is one begun anew. One that cannot be
	 * written is no reason to leave the guest cut off.
	 */
	if (end_note_arrived(&a->end, &now) < 0)
		log_warn("%s: %s", a->end.order.name, now.msg);
	return standby_carry_all(&a->end, false, e);
}

static int op_figures(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	struct agent *a = ctx;
	int64_t downtime_ms;

	if (need_order(a, e) < 0 || end_domain(&a->end, &d, e) < 0 ||
		virt_downtime_get(d, &downtime_ms, e) < 0)
		return -1;
	*ret = json_object();
	json_object_set_new(*ret, "downtime_net_ms", json_integer(downtime_ms));
	return 0;
}

static int op_pairs(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	json_t *list = json_array();
	struct agent *a = ctx;

	for (size_t i = 0; a->end.open && i < a->end.order.n_pairs; i++) {
		const struct pair_state *s = &a->end.pairs[i];
		bool attached = !s->unproved;
		json_t *one = json_object();
		struct err ignored; /* a guest that is gone has none */

		if (!attached && primary_is_attached(&a->end, i, &attached, &ignored) < 0)
			attached = false;
		json_object_set_new(one, "mac", json_text(a->end.order.pairs[i].mac));
		json_object_set_new(one, "vf",
			attached ? json_text(a->end.order.pairs[i].vf) : json_null());
		json_object_set_new(one, "proved", json_boolean(!s->unproved));
		json_object_set_new(one, "cut_off",
			json_boolean(s->unproved && (s->refused || s->tap_closed)));
		json_object_set_new(one, "proof", json_text(s->unproved ? NULL : s->evidence));
		json_array_append_new(list, one);
	}
	*ret = json_object();
	json_object_set_new(*ret, "pairs", list);
	return 0;
}

/*
 * Whether the copy here was stopped, in the switch-over or because it runs on the other host as well. It
 * answers to nothing then, and is not for one host alone to settle.
 */
static bool stands_still(struct end *end)
{
	enum virt_state state;
	struct err ignored;

	if (!end->open || virt_state_get(end->virt, end->order.uuid, &state, NULL, &ignored) < 0)
		return false;
	return state == VIRT_MIGRATING || (state == VIRT_PAUSED && end_is_switching(end));
}

/*
 * What was not settled stays in the journal, for recover and reattach. A guest that may still give up its VF
 * is watched once the driver has gone, but for one whose move is not settled: see settle_or_watch.
 */
static int op_close(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	bool settled = json_is_true(json_object_get(args, "settled"));
	struct agent *a = ctx;
	bool leave = json_is_true(json_object_get(args, "leave")) || stands_still(&a->end) ||
		     (!settled && end_was_moved(&a->end));
	int64_t left = a->end.open && !leave ? late_unplug_left(&a->end) : 0;
	bool waits = left > 0 || (settled && !leave && a->end.open && late_unplug_is_open(&a->end));

	if (a->end.open && settled && json_is_true(json_object_get(args, "alone")) &&
		move_note_arrival(&a->end, e) < 0) {
		end_close(&a->end, false);
		return -1;
	}
	/* What failed is tried once more before that, not behind it. */
	a->watches = waits && settled;
	if (!waits && settled)
		return end_finish(&a->end, e);
	if (!waits)
		end_close(&a->end, false);
	if (left == 0)
		return 0;
	*ret = json_object();
	json_object_set_new(*ret, "watch_ms", json_integer(left));
	json_object_set_new(*ret, "pid", json_integer(getpid()));
	return 0;
}

/* Which host this is. */
static int op_host(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	struct virt_host host = { 0 };
	struct agent *a = ctx;
	char *id;

	if (need_hello(a, e) < 0 || virt_host_get(a->end.virt, &host, e) < 0)
		return -1;
	id = host_id(host.uuid, host.hostname);
	*ret = json_object();
	json_object_set_new(*ret, "uuid", json_text(host.uuid));
	json_object_set_new(*ret, "id", json_text(id));
	free(id);
	virt_host_free(&host);
	return 0;
}

static bool domain_is_held(const char *uuid)
{
	CLEANUP_FREE char *lock = str_printf("domain-%s", uuid);
	CLEANUP_FREE char *owner = NULL;

	return lock_is_held(lock, &owner) || journal_is_held(uuid, &owner);
}

/* What libvirt calls that domain now; NULL: it does not know it, or cannot be asked. Caller frees. */
static char *name_now(struct virt *virt, const char *uuid)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	struct err ignored;

	if (!virt || virt_domain_by_uuid(virt, uuid, &d, &ignored) < 0)
		return NULL;
	return str_dup(virt_domain_name(d));
}

/* What its head tells; or why it cannot be read. It may have had another name than it has now. */
static void describe_journal(struct virt *virt, const char *uuid, json_t *one)
{
	static const char *const told[] = { "name", "owner", "is_source", "peer", "peer_uuid",
		"peer_id", "detach_ms", "proof_ms", "carrier_ms" };
	CLEANUP_FREE char *name = name_now(virt, uuid);
	json_t *head = NULL;
	struct err why;

	json_object_set_new(one, "name_now", json_text(name));
	if (journal_peek(uuid, &head, &why) < 0) {
		json_object_set_new(one, "error", wire_error(&why));
		json_object_set_new(one, "name", json_text(name));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(told); i++)
		json_object_set(one, told[i], json_object_get(head, told[i]));
	json_object_set_new(one, "n_pairs",
		json_integer((json_int_t)json_array_size(json_object_get(head, "pairs"))));
	json_decref(head);
}

/* Of the domain of that name, which a journal may know by another one. */
static json_t *uuid_now(struct virt *virt, const char *domain)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	struct err ignored;

	if (!virt || !domain || virt_domain_find(virt, domain, &d, &ignored) < 0)
		return json_null();
	return json_text(virt_domain_uuid(d));
}

static int op_journals(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	json_t *uuids = journal_list(), *list = json_array(), *uuid;
	struct agent *a = ctx;
	size_t i;

	json_array_foreach(uuids, i, uuid) {
		json_t *one = json_object();

		json_object_set(one, "uuid", uuid);
		json_object_set_new(one, "locked",
			json_boolean(domain_is_held(json_string_value(uuid))));
		describe_journal(a->end.virt, json_string_value(uuid), one);
		json_array_append_new(list, one);
	}
	json_decref(uuids);
	*ret = json_object();
	json_object_set_new(*ret, "journals", list);
	json_object_set_new(*ret, "uuid",
		uuid_now(a->end.virt, json_string_value(json_object_get(args, "domain"))));
	return 0;
}

static const char *uuid_of(const json_t *args, struct err *e)
{
	const char *uuid = json_string_value(json_object_get(args, "uuid"));

	if (!uuid)
		err_set(e, "a request without a domain");
	return uuid;
}

/* An agent that was left alone may be settling still: it is given time to end. */
static int op_reopen(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	const char *uuid = uuid_of(args, e),
		   *owner = json_string_value(json_object_get(args, "owner"));
	int64_t deadline = clock_ms() + REOPEN_LIMIT_MS;
	struct agent *a = ctx;

	if (!uuid || need_hello(a, e) < 0)
		return -1;
	while (end_reopen(&a->end, uuid, owner ? owner : "recover", e) < 0) {
		if (e->kind != ERR_BUSY || clock_ms() >= deadline || cancel_is_set(&a->cancel))
			return -1;
		clock_sleep_ms(REOPEN_PAUSE_MS);
	}
	*ret = json_object();
	json_object_set_new(*ret, "may_arrive", json_boolean(alone_may_arrive(&a->end)));
	return 0;
}

static int op_state(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	const char *uuid = uuid_of(args, e);
	struct agent *a = ctx;

	if (!uuid || need_hello(a, e) < 0)
		return -1;
	return tell_state(a, uuid, json_string_value(json_object_get(args, "run")), ret, e);
}

/* Whether the journal here is the destination's of RUN. */
static bool is_journal_of(const char *uuid, const char *run)
{
	json_t *head = NULL;
	struct err ignored;
	bool is;

	if (journal_peek(uuid, &head, &ignored) < 0)
		return false;
	is = !json_is_true(json_object_get(head, "is_source")) &&
	     str_equal(json_string_value(json_object_get(head, "owner")), run);
	json_decref(head);
	return is;
}

/*
 * Whoever goes on from the journal of RUN here is not to remember it anew. One that cannot be read or written
 * is no affair of the source: what is remembered in vain does no harm.
 */
static int tell_journal(struct agent *a, const char *uuid, const char *run, struct err *e)
{
	if (!is_journal_of(uuid, run))
		return 0;
	if (end_reopen(&a->end, uuid, "source-knows", e) < 0)
		return e->kind == ERR_BUSY ? -1 : 0;
	note_source_knows(&a->end);
	end_close(&a->end, false);
	return 0;
}

/*
 * The source is settled, and has seen this host: what is remembered for its sake can go. Who settles this
 * end just now may remember it later, and is waited for.
 */
static int op_source_knows(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	const char *uuid = uuid_of(args, e), *run = json_string_value(json_object_get(args, "run"));
	int64_t deadline = clock_ms() + REOPEN_LIMIT_MS;
	struct agent *a = ctx;

	if (!uuid)
		return -1;
	while (!a->end.open && domain_is_held(uuid) && is_journal_of(uuid, run)) {
		if (clock_ms() >= deadline || cancel_is_set(&a->cancel))
			return err_set_kind(e, ERR_BUSY, "somebody holds the domain");
		clock_sleep_ms(REOPEN_PAUSE_MS);
	}
	if (!run || (!a->end.open && tell_journal(a, uuid, run, e) < 0))
		return run ? -1 : 0;
	return arrived_forget(uuid, run, e);
}

static int op_settle(void *ctx, const json_t *args, json_t **ret, struct err *e)
{
	const char *verdict = json_string_value(json_object_get(args, "verdict"));
	struct agent *a = ctx;
	enum settle_verdict v;

	if (need_order(a, e) < 0)
		return -1;
	if (settle_verdict_from_name(verdict, &v) < 0)
		return err_set(e, "there is no verdict \"%s\"", verdict ? verdict : "");
	a->end.patient = json_is_true(json_object_get(args, "patient"));
	a->end.alone = json_is_true(json_object_get(args, "alone"));
	a->end.autostart_there = json_is_true(json_object_get(args, "autostart_there"));
	if (!a->end.order.is_source && v == SETTLE_FORWARD && !a->end.alone)
		note_source_knows(&a->end);
	end_shorten_journal(&a->end);
	return act_settle(&a->end, v, e);
}

const struct server_op requests[] = {
	{ "hello", op_hello },
	{ "facts", op_facts },
	{ "fit", op_fit },
	{ "open", op_open },
	{ "apply", op_apply },
	{ "undo", op_undo },
	{ "act", op_act },
	{ "carry", op_carry },
	{ "figures", op_figures },
	{ "pairs", op_pairs },
	{ "close", op_close },
	{ "host", op_host },
	{ "journals", op_journals },
	{ "reopen", op_reopen },
	{ "state", op_state },
	{ "source-knows", op_source_knows },
	{ "settle", op_settle },
};

const size_t n_requests = ARRAY_SIZE(requests);
