/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/driver.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "agent/wire.h"
#include "core/give.h"
#include "core/host_id.h"
#include "core/proof.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/domain.h"

#define SELF "/proc/self/exe"

static const int stop_signals[] = { SIGINT, SIGTERM, SIGHUP };

/* A migration has a day; one that is to be stopped, and hangs, has not. */
static void stop_call(const struct driver *d, struct call *call)
{
	int64_t limit = clock_ms() + driver_request_ms(d);

	call_cancel(call);
	if (call->deadline > limit)
		call->deadline = limit;
}

static void on_signal(void *arg)
{
	struct driver *d = arg;
	struct signalfd_siginfo info;

	if (read(d->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	d->signalled = true;
	if (d->past_return) {
		report_warning(d->report, NULL,
			"there is no way back from here: finishing, then stopping", NULL);
		return;
	}
	if (d->rolling_back) {
		report_warning(d->report, NULL, "rolling back, please wait", NULL);
		return;
	}
	if (!d->interrupted)
		report_warning(d->report, NULL, "stopping: what was done is being undone", NULL);
	d->interrupted = true;
	for (size_t i = 0; i < ARRAY_SIZE(d->under_way); i++)
		if (d->under_way[i])
			stop_call(d, d->under_way[i]);
}

static void on_event(void *arg, struct client *c, const char *event, const json_t *data)
{
	struct driver *d = arg;
	const char *text = json_string_value(json_object_get(data, "text"));

	if (str_equal(event, "progress"))
		report_progress(d->report, data);
	else if (str_equal(event, "switching") && d->there)
		client_tell_switching(d->there);
	else if (str_equal(event, "ready"))
		d->ready = true;
	else if (str_equal(event, "log") && text)
		log_debug("%s: %s", client_label(c), text);
	else if (str_equal(event, "warning") && text)
		report_warning(d->report, client_label(c), text, NULL);
}

static int take_signals(struct driver *d, struct err *e)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(stop_signals); i++) {
		struct sigaction old;

		/* nohup and shells' background jobs have their reasons. */
		if (sigaction(stop_signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaddset(&set, stop_signals[i]);
	}
	/* Before any thread exists, so that all of them inherit it. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return d->signal_fd < 0 ? err_set_sys(e, errno, "signalfd") : 0;
}

static char *describe_owner(void)
{
	const struct passwd *user = getpwuid(getuid());
	char host[256] = "?", when[32];
	time_t now = time(NULL);
	struct tm tm;

	gethostname(host, sizeof(host) - 1);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime_r(&now, &tm));
	return str_printf("PID %d on %s, %s, since %s", (int)getpid(), host,
		user ? user->pw_name : "?", when);
}

int driver_open(const struct options *o, struct report *report, struct driver *ret, struct err *e)
{
	*ret = (struct driver){ .options = o, .report = report, .signal_fd = -1 };
	if (take_signals(ret, e) < 0)
		return -1;
	ret->owner = describe_owner();
	client_group_init(&ret->group);
	ret->group.signal_fd = ret->signal_fd;
	ret->group.on_signal = on_signal;
	ret->group.on_event = on_event;
	ret->group.arg = ret;
	return 0;
}

void driver_close(struct driver *d)
{
	if (d->group.beat)
		client_group_free(&d->group);
	record_clear(&host_facts_record, &d->facts_here);
	record_clear(&host_facts_record, &d->facts_there);
	free(d->owner);
	if (d->signal_fd >= 0)
		close(d->signal_fd);
}

int64_t driver_request_ms(const struct driver *d)
{
	return d->options->request_ms;
}

static int64_t step_ms(const struct driver *d, size_t n_pairs, int64_t detach_ms, int64_t proof_ms,
	int64_t carrier_ms)
{
	int64_t pair_ms = detach_ms + proof_ms + (PROOF_BUSY_FACTOR + 1) * carrier_ms;

	return (pair_ms + GIVE_EXTRA_MS) * (int64_t)n_pairs + driver_request_ms(d);
}

int64_t driver_step_ms(const struct driver *d, size_t n_pairs)
{
	const struct options *o = d->options;

	return step_ms(d, n_pairs, o->detach_ms, o->proof_ms, o->carrier_ms);
}

int64_t driver_settle_ms(const struct driver *d, const json_t *journal)
{
	size_t n_pairs = (size_t)json_integer_value(json_object_get(journal, "n_pairs"));
	int64_t own = driver_step_ms(d, n_pairs),
		its = step_ms(d, n_pairs, json_integer_value(json_object_get(journal, "detach_ms")),
			json_integer_value(json_object_get(journal, "proof_ms")),
			json_integer_value(json_object_get(journal, "carrier_ms")));

	return its > own ? its : own;
}

static json_t *hello_args(const struct driver *d)
{
	json_t *args = json_object();

	json_object_set_new(args, "protocol", json_integer(WIRE_PROTOCOL));
	json_object_set_new(args, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(args, "verbose", json_boolean(d->options->verbose));
	json_object_set_new(args, "libvirt_uri", json_text(d->options->libvirt_uri));
	return args;
}

static int check_hello(struct client *c, const json_t *reply, struct err *e)
{
	int64_t protocol = json_integer_value(json_object_get(reply, "protocol"));
	const char *version = json_string_value(json_object_get(reply, "version"));

	if (protocol == WIRE_PROTOCOL)
		return 0;
	err_set_kind(e, ERR_REFUSED,
		"%s: sriov-migrate %s there speaks protocol %" PRId64 ", this one (%s) speaks %d",
		client_label(c), version ? version : "of unknown version", protocol,
		PACKAGE_VERSION, WIRE_PROTOCOL);
	return err_hint(e, "Install the same version on both hosts.");
}

static int finish_calls(struct driver *d, struct call *calls, size_t n, struct err *e)
{
	struct call *list[2] = { &calls[0], &calls[1] };

	d->under_way[0] = &calls[0];
	d->under_way[1] = n > 1 ? &calls[1] : NULL;
	call_wait(&d->group, list, n, &d->interrupted);
	d->under_way[0] = d->under_way[1] = NULL;
	for (size_t i = 0; i < n; i++) {
		if (!calls[i].done)
			return err_set_kind(e, ERR_CANCELLED,
				"stopped by a signal; nothing was changed");
		if (calls[i].failed) {
			*e = calls[i].err;
			if (e->kind != ERR_USAGE && e->kind != ERR_BUSY)
				e->kind = ERR_REFUSED; /* nothing has been touched */
			return -1;
		}
	}
	return 0;
}

static int shake_hands(struct driver *d, struct err *e)
{
	struct client *clients[2] = { d->here, d->there };
	size_t n = d->there ? 2 : 1;
	struct call calls[2] = { 0 };
	int r;

	for (size_t i = 0; i < n; i++)
		call_start(&calls[i], clients[i], "hello", hello_args(d), driver_request_ms(d));
	r = finish_calls(d, calls, n, e);
	for (size_t i = 0; i < n && r == 0; i++)
		r = check_hello(clients[i], calls[i].result, e);
	for (size_t i = 0; i < n; i++)
		call_free(&calls[i]);
	return r;
}

void driver_own_path(char *ret, size_t size)
{
	ssize_t len = readlink(SELF, ret, size - 1);

	if (len > 0)
		ret[len] = '\0';
	if (len <= 0 || access(ret, X_OK) < 0)
		str_copy(ret, size, SELF);
}

int driver_connect_peer(struct driver *d, const struct target *t, struct err *e)
{
	d->peer = t;
	if (client_start(t->label, t->argv, &d->there, e) < 0)
		return -1;
	client_group_add(&d->group, d->there);
	if (shake_hands(d, e) == 0)
		return 0;
	d->peer_is_silent = client_is_silent(d->there);
	d->there = NULL; /* the group still owns it */
	return -1;
}

static int start_here(struct client **ret, struct err *e)
{
	char self[4096];
	char *argv[] = { self, (char *)"agent", NULL };

	driver_own_path(self, sizeof(self));
	return client_start("this host", argv, ret, e);
}

/* A name may lead elsewhere by now: what another host says of the domain decides nothing. */
static int check_is_same_host(struct driver *d, struct client *new, struct err *e)
{
	json_t *reply = NULL;
	const char *uuid;
	int r = 0;

	if (!d->facts_there.uuid)
		return 0;
	if (call_once(&d->group, new, "host", NULL, driver_request_ms(d), &reply, e) < 0)
		return -1;
	uuid = json_string_value(json_object_get(reply, "uuid"));
	if (!host_is_known(uuid, json_string_value(json_object_get(reply, "id")),
		    d->facts_there.uuid, d->facts_there.id))
		r = err_set(e, "%s: another host answers there now (UUID %s)", client_label(new),
			uuid ? uuid : "unknown");
	json_decref(reply);
	return r;
}

int driver_reconnect(struct driver *d, struct client **client, struct err *e)
{
	struct client *new = NULL;
	json_t *reply = NULL;
	int r = client == &d->here ? start_here(&new, e)
				   : client_start(d->peer->label, d->peer->argv, &new, e);

	if (r < 0)
		return -1;
	client_group_replace(&d->group, *client, new);
	*client = new;
	r = call_once(&d->group, new, "hello", hello_args(d), driver_request_ms(d), &reply, e);
	if (r == 0)
		r = check_hello(new, reply, e);
	json_decref(reply);
	if (r == 0 && client == &d->there)
		r = check_is_same_host(d, new, e);
	if (r < 0)
		client_give_up(new);
	return r;
}

static void say_watched(struct driver *d, struct client *client, const json_t *reply)
{
	int64_t watch_ms = json_integer_value(json_object_get(reply, "watch_ms"));
	CLEANUP_FREE char *text = str_printf("the guest was asked for its VF and may still give it "
					     "up: its standby stays up, and PID %d "
					     "there watches for %d s more",
		(int)json_integer_value(json_object_get(reply, "pid")), (int)(watch_ms / 1000));

	if (watch_ms <= 0)
		return;
	client_let_go_on(client);
	report_warning(d->report, client_label(client), text,
		"Until then the domain is held; kill with that PID ends the watch.");
}

static int close_order(struct driver *d, struct client *client, json_t *args, struct err *e)
{
	json_t *reply = NULL;
	int r = call_once(&d->group, client, "close", args, driver_request_ms(d), &reply, e);

	if (r < 0 && (e->kind == ERR_LOST || e->kind == ERR_TIMEOUT)) {
		report_warning(d->report, NULL, e->msg, e->hint);
		r = 0;
	}
	say_watched(d, client, reply);
	json_decref(reply);
	return r;
}

int driver_close_order(struct driver *d, struct client *client, bool settled, bool alone,
	struct err *e)
{
	json_t *args = json_object();

	json_object_set_new(args, "settled", json_boolean(settled));
	json_object_set_new(args, "alone", json_boolean(alone));
	return close_order(d, client, args, e);
}

int driver_source_knows(struct driver *d, struct client *destination, const char *uuid,
	const char *run, struct err *e)
{
	json_t *args = json_object();

	json_object_set_new(args, "uuid", json_text(uuid));
	json_object_set_new(args, "run", json_text(run));
	return call_once(&d->group, destination, "source-knows", args, driver_request_ms(d), NULL,
		e);
}

void driver_leave_order(struct driver *d, struct client *client)
{
	json_t *args = json_object();
	struct err e;

	json_object_set_new(args, "leave", json_true());
	if (close_order(d, client, args, &e) < 0)
		report_warning(d->report, NULL, e.msg, e.hint);
}

int driver_look(struct driver *d, struct client *client, const char *uuid, const char *run,
	struct settle_view *ret)
{
	json_t *args = json_object(), *reply = NULL;
	struct err e = { .kind = ERR_LOST };

	*ret = (struct settle_view){ 0 };
	json_object_set_new(args, "uuid", json_text(uuid));
	json_object_set_new(args, "run", json_text(run));
	if (!client || client_is_lost(client)) {
		json_decref(args);
		return 0;
	}
	if (call_once(&d->group, client, "state", args, driver_request_ms(d), &reply, &e) < 0) {
		log_debug("%s", e.msg);
		return e.kind == ERR_LOST || e.kind == ERR_TIMEOUT ? 0 : -1;
	}
	ret->reachable = true;
	ret->state = virt_state_from_name(json_string_value(json_object_get(reply, "state")));
	ret->job = json_is_true(json_object_get(reply, "job"));
	ret->switched = json_is_true(json_object_get(reply, "switched"));
	ret->turned_back = json_is_true(json_object_get(reply, "turned_back"));
	ret->arrived = json_is_true(json_object_get(reply, "arrived"));
	ret->autostart = json_is_true(json_object_get(reply, "autostart"));
	json_decref(reply);
	return 0;
}

int driver_connect(struct driver *d, const struct target *t, struct err *e)
{
	if (start_here(&d->here, e) < 0)
		return -1;
	client_group_add(&d->group, d->here);
	return t ? driver_connect_peer(d, t, e) : shake_hands(d, e);
}

static int take_facts(struct client *c, const struct call *call, struct host_facts *ret,
	struct err *e)
{
	if (facts_decode(call->result, ret, e) < 0)
		return err_prefix(e, "%s: facts", client_label(c));
	client_set_label(c, ret->hostname);
	return 0;
}

int driver_discover(struct driver *d, const char *domain, const char *dest_uri, struct err *e)
{
	struct client *clients[2] = { d->here, d->there };
	struct host_facts *facts[2] = { &d->facts_here, &d->facts_there };
	size_t n = d->there ? 2 : 1;
	struct call calls[2] = { 0 };
	int r;

	for (size_t i = 0; i < n; i++) {
		json_t *args = json_object();

		json_object_set_new(args, "domain", json_text(domain));
		if (i == 0)
			json_object_set_new(args, "reach", json_text(dest_uri));
		json_object_set_new(args, "client_driven", json_boolean(d->options->client_driven));
		record_clear(&host_facts_record, facts[i]);
		call_start(&calls[i], clients[i], "facts", args, driver_request_ms(d));
	}
	r = finish_calls(d, calls, n, e);
	for (size_t i = 0; i < n && r == 0; i++)
		r = take_facts(clients[i], &calls[i], facts[i], e);
	for (size_t i = 0; i < n; i++)
		call_free(&calls[i]);
	return r;
}

static json_t *paths_of(const struct domain_fact *f)
{
	json_t *paths = json_array();

	for (size_t i = 0; i < f->n_files; i++)
		json_array_append_new(paths, json_text(f->files[i].path));
	return paths;
}

/* PEER: by which name libvirt has the other one's QEMU connect to. */
static json_t *fit_args(const struct host_facts *here, const struct xml_needs *needs,
	const char *peer)
{
	/* What the host has goes into the guest as it is. */
	bool host = needs->cpu_mode && !str_equal(needs->cpu_mode, "custom");
	const char *cpu = host ? here->cpu : needs->cpu; /* NULL: there is nothing to compare */
	json_t *args = json_object();

	json_object_set_new(args, "files", paths_of(&here->domain));
	json_object_set_new(args, "peer", json_text(peer));
	json_object_set_new(args, "arch", json_text(needs->arch));
	json_object_set_new(args, "machine", json_text(needs->machine));
	json_object_set_new(args, "emulator", json_text(needs->emulator));
	json_object_set_new(args, "virt_type", json_text(needs->virt_type));
	json_object_set_new(args, "cpu", json_text(cpu));
	json_object_set_new(args, "is_host", json_boolean(host));
	return args;
}

static void take_fit(const json_t *result, struct host_facts *f)
{
	f->fit = json_integer_value(json_object_get(result, "fit"));
	str_set(&f->misfit, json_string_value(json_object_get(result, "reason")));
	f->peer_unresolved = json_is_true(json_object_get(result, "unresolved"));
}

static void take_missing(const json_t *result, struct domain_fact *f)
{
	const json_t *missing = json_object_get(result, "missing");

	for (size_t i = 0; i < f->n_files; i++)
		f->files[i].is_missing_there = json_is_true(json_array_get(missing, i));
}

int driver_ask_fit(struct driver *d, struct err *e)
{
	struct client *clients[2] = { d->here, d->there };
	struct host_facts *facts[2] = { &d->facts_here, &d->facts_there };
	CLEANUP_NEEDS struct xml_needs needs = { 0 };
	struct call calls[2] = { 0 };
	struct err ignored;
	int r;

	if (!d->facts_here.domain.live ||
		xml_needs_read(d->facts_here.domain.live, &needs, &ignored) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		call_start(&calls[i], clients[i], "fit",
			fit_args(&d->facts_here, &needs,
				i == 0 && !d->options->migrate_uri ? d->facts_there.hostname
								   : NULL),
			driver_request_ms(d));
	r = finish_calls(d, calls, ARRAY_SIZE(calls), e);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].done && !calls[i].failed)
			take_fit(calls[i].result, facts[i]);
	}
	if (calls[1].done && !calls[1].failed)
		take_missing(calls[1].result, &d->facts_here.domain);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		call_free(&calls[i]);
	/* An agent that cannot say is no reason to stop; one that is gone is noticed next time. */
	return r < 0 && e->kind == ERR_CANCELLED ? -1 : 0;
}
