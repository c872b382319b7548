/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation: the client writes what it wants into the domain's directory, starts
 * fake-host in the background and waits for the file with the result, so its death does not
 * end the migration, unless it is the client that drives it.
 *
 * The setting "migrate" says how it ends:
 *   done               as it should
 *   error-connect      the source's daemon cannot reach the destination's
 *   error-prepare      the destination refuses
 *   error              in the middle; the source goes on running
 *   error-finish       after switch-over; libvirt itself resumes the source
 *   destination-dies   the incoming QEMU ends in the middle
 *   lost-destination   the source stays paused, the destination is gone
 *   lost-confirm       the source stays paused, the destination runs
 *   twice              both run
 *   error-though-done  all is well, but the call fails
 *   dies-after         the call succeeds, and the guest ends right after
 *   goes-on            the call succeeds, and somebody migrates it on to a third host right after
 *   guest-ends         the guest shuts down on the source in the middle
 *   endless            never converges
 * QEMU takes the primaries that are there first, and gives them back when it fails before the
 * switch-over (device.c: detach, drive); migrate.events=lost: nobody hears that they are gone.
 * migrate.cancel_ms is how long it waits for the guest when that is given up. migrate.prepare_ms, .iterate_ms, .iterations, .switch_ms, .finish_ms and .confirm_ms are the
 * time line. Hooks: migrate.prepared, .iterating, .switched, .finished, .confirmed.
 */
#include "migrate.h"

#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "macvtap.h"
#include "nic.h"
#include "world.h"

enum { CLIENT_FD = 3, POLL_MS = 5 };

/* ---- client ---- */

static int take_result(const struct dom *d, char *result)
{
	int code, skip = 0;

	dom_remove(d, "job.result");
	if (sscanf(result, "%d %n", &code, &skip) < 1)
		abort();
	result[strcspn(result, "\n")] = '\0';
	return code ? fail_as_is(code, result + skip) : 0;
}

/* The directory goes with a transient domain: the result lies beside it. */
static char *result_path(const struct dom *d)
{
	return world_path("%s/result.%s", d->host, d->uuid);
}

static int wait_for_result(const struct dom *d)
{
	CLEANUP_TEXT char *path = result_path(d);

	while (world_is_alive()) {
		CLEANUP_TEXT char *result = world_read(path);

		if (result) {
			unlink(path);
			return take_result(d, result);
		}
		sleep_ms(POLL_MS);
	}
	return fail(VIR_ERR_OPERATION_FAILED, "the test is over");
}

static int begin(const struct dom *d, const struct migration *m)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();

	if (!dom_is_active(d))
		return fail(VIR_ERR_OPERATION_INVALID, "domain is not running");
	if (dom_job(d) != JOB_NONE)
		return fail(VIR_ERR_OPERATION_TIMEOUT, "cannot acquire state change lock");
	if (strcmp(m->destination, d->host) == 0)
		return fail(VIR_ERR_INTERNAL_ERROR, "Attempt to migrate guest to the same host %s",
			d->host);
	dom_set_job(d, JOB_OUT);
	dom_remove(d, "job.abort");
	dom_remove(d, "job.persist");
	dom_remove(d, "job.dest");
	if (m->persist_xml)
		dom_write(d, "job.persist", m->persist_xml);
	if (m->dest_xml)
		dom_write(d, "job.dest", m->dest_xml);
	return 0;
}

int migrate_start(const struct dom *d, const struct migration *m)
{
	CLEANUP_TEXT char *flags = text("%u", m->flags);
	CLEANUP_TEXT char *stale = result_path(d);
	char *argv[] = { (char *)"fake-host", (char *)"migrate", (char *)d->host, (char *)d->uuid,
		(char *)m->destination, flags, (char *)(m->client_driven ? "client" : "peers"),
		NULL };
	int life[2], r;

	if (begin(d, m) < 0)
		return -1;
	unlink(stale);
	if (pipe2(life, O_CLOEXEC) < 0)
		abort();
	world_spawn(argv, life[0]);
	close(life[0]);
	r = wait_for_result(d);
	close(life[1]);
	return r;
}

int migrate_abort(const struct dom *d)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	int state, reason;

	dom_state(d, &state, &reason);
	if (dom_job(d) != JOB_OUT || state != VIR_DOMAIN_RUNNING)
		return fail(VIR_ERR_OPERATION_INVALID, "no job is active on the domain");
	dom_write(d, "job.abort", "");
	return 0;
}

/* ---- daemons ---- */

struct run {
	struct dom source, destination;
	const char *there; /* the destination's host */
	unsigned int flags;
	bool client_driven;
	int64_t started;
	struct failure why;
	char *persist, *dest_xml; /* owned; NULL: none given */
};

static bool outcome_is(const struct run *m, const char *outcome)
{
	return world_is(m->source.host, "migrate", outcome);
}

static void pause_ms(const struct run *m, const char *what, long usual)
{
	sleep_ms(world_number(m->source.host, what, usual));
}

static bool client_is_dead(const struct run *m)
{
	struct pollfd fd = { .fd = CLIENT_FD, .events = POLLIN };

	return m->client_driven && poll(&fd, 1, 0) > 0 && fd.revents & POLLHUP;
}

static void report(struct run *m, int code, const char *message)
{
	CLEANUP_TEXT char *path = result_path(&m->source);
	CLEANUP_TEXT char *result = text("%d %s\n", code, message);

	world_log(m->source.host, "migration ends: %d %s", code, message);
	world_write(path, result);
}

/* Takes what fail() was told as the reason. */
static int give_up(struct run *m, int failed)
{
	m->why = failure;
	return failed;
}

/* A pass-through device without <teaming> cannot come along. */
static int check_devices(struct run *m)
{
	CLEANUP_DOC xmlDoc *live = dom_live(&m->source);
	int n = 0;

	for (xmlNode *d = device_next(doc_devices(live), NULL); d; d = device_next(NULL, d)) {
		CLEANUP_TEXT char *address = node_pci(device_source_address(d));

		if (!address)
			continue;
		n++;
		if (!node_child(d, "teaming"))
			return give_up(m, fail(VIR_ERR_OPERATION_INVALID,
						  "cannot migrate a domain with <hostdev "
						  "mode='subsystem' type='%s'>",
						  "pci"));
	}
	world_log(m->source.host, "migration starts with %d VFs", n);
	return 0;
}

static int connect_peer(struct run *m)
{
	if (!outcome_is(m, "error-connect"))
		return 0;
	return give_up(m, fail(VIR_ERR_OPERATION_FAILED,
				  "Failed to connect to remote libvirt URI "
				  "qemu+ssh://%s/system: Cannot recv data: "
				  "Host key verification failed.: Connection reset by peer",
				  m->there));
}

static int prepare(struct run *m)
{
	CLEANUP_TEXT char *xml =
		dom_xml(&m->source, VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_SECURE);

	pause_ms(m, "migrate.prepare_ms", 40);
	if (outcome_is(m, "error-prepare"))
		return give_up(m, fail(VIR_ERR_INTERNAL_ERROR,
					  "process exited while connecting to monitor%s", ""));
	if (dom_prepare(m->there, m->dest_xml ? m->dest_xml : xml, &m->destination) < 0) {
		m->why = failure;
		return -1;
	}
	world_event(m->there, m->destination.uuid, "lifecycle %d %d", VIR_DOMAIN_EVENT_STARTED,
		VIR_DOMAIN_EVENT_STARTED_MIGRATED);
	world_hook("migrate.prepared");
	return 0;
}

static bool job_is_aborted(const struct run *m)
{
	CLEANUP_TEXT char *abort_file = dom_read(&m->source, "job.abort");

	return abort_file;
}

/* Waits one pass of memory copying, looking for what may end it. */
static int iterate(struct run *m)
{
	int64_t end = now_ms() + world_number(m->source.host, "migrate.iterate_ms", 60);

	while (now_ms() < end && world_is_alive()) {
		if (client_is_dead(m))
			return give_up(m,
				fail(VIR_ERR_OPERATION_FAILED, "the client is gone%s", ""));
		if (job_is_aborted(m))
			return give_up(m, fail(VIR_ERR_OPERATION_ABORTED,
						  "migration out job: canceled by client%s", ""));
		sleep_ms(POLL_MS);
	}
	return 0;
}

static void note_progress(const struct run *m, long pass, long passes)
{
	const long long total = 168 * 1024 * 1024;
	long done = pass < passes ? pass : passes;
	CLEANUP_TEXT char *stats =
		text("%lld %lld %lld %lld %ld\n", (long long)(now_ms() - m->started), total,
			total * done / passes, total * (passes - done) / passes, pass);

	dom_write(&m->source, "job.stats", stats);
	world_event(m->source.host, m->source.uuid, "iteration %ld", pass);
}

static void tell_status(const struct run *m, const char *status)
{
	if (!world_is(m->source.host, "migrate.events", "lost") || strcmp(status, "active") != 0)
		world_event(m->source.host, m->source.uuid, "migration %s", status);
}

/* Without a limit; when it is given up, only after the guest has had its time. */
static int unplug_primaries(struct run *m)
{
	tell_status(m, "setup");
	if (dom_count_primaries(&m->source)) {
		tell_status(m, "wait-unplug");
		pause_ms(m, "detach.ms", 40);
	}
	while (!dom_lets_primaries_go(&m->source))
		if (iterate(m) < 0) {
			pause_ms(m, "migrate.cancel_ms", 100);
			dom_lets_primaries_go_late(&m->source);
			return -1;
		}
	tell_status(m, "active");
	return 0;
}

static int copy_memory(struct run *m)
{
	long passes = world_number(m->source.host, "migrate.iterations", 3);

	for (long i = 1; i <= passes || outcome_is(m, "endless"); i++) {
		note_progress(m, i, passes);
		if (i == 1)
			world_hook("migrate.iterating");
		if (iterate(m) < 0)
			return -1;
	}
	if (outcome_is(m, "error"))
		return give_up(m, fail(VIR_ERR_OPERATION_FAILED,
					  "migration out job: unexpectedly failed%s", ""));
	if (outcome_is(m, "destination-dies")) {
		dom_stop(&m->destination, VIR_DOMAIN_SHUTOFF_CRASHED,
			VIR_DOMAIN_EVENT_STOPPED_FAILED);
		return give_up(m, fail(VIR_ERR_OPERATION_FAILED,
					  "migration out job: Unable to write to socket: "
					  "Connection reset by peer%s",
					  ""));
	}
	if (outcome_is(m, "guest-ends")) {
		dom_stop(&m->source, VIR_DOMAIN_SHUTOFF_SHUTDOWN,
			VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN);
		return give_up(m, fail(VIR_ERR_OPERATION_FAILED, "domain is not running%s", ""));
	}
	return 0;
}

static void end_destination(struct run *m)
{
	if (dom_is_active(&m->destination))
		dom_stop(&m->destination, VIR_DOMAIN_SHUTOFF_FAILED,
			VIR_DOMAIN_EVENT_STOPPED_FAILED);
}

static void suspend_source(const struct run *m)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();

	macvtap_set_all(&m->source, false);
	dom_set_state(&m->source, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION);
	world_event(m->source.host, m->source.uuid, "lifecycle %d %d", VIR_DOMAIN_EVENT_SUSPENDED,
		VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED);
}

static void resume_source(const struct run *m)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();

	macvtap_set_all(&m->source, true);
	dom_set_state(&m->source, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_MIGRATION_CANCELED);
	world_event(m->source.host, m->source.uuid, "lifecycle %d %d", VIR_DOMAIN_EVENT_RESUMED,
		VIR_DOMAIN_EVENT_RESUMED_MIGRATED);
	dom_announce(&m->source);
}

static void note_completed(const struct run *m, const struct dom *d)
{
	CLEANUP_TEXT char *stats = text("%lld 211 187\n", (long long)(now_ms() - m->started));

	dom_write(d, "completed", stats);
}

static int persist(struct run *m)
{
	CLEANUP_TEXT char *own = dom_read(&m->source, "inactive.xml");
	const char *xml = m->persist ? m->persist : own;
	struct dom defined;

	if (!(m->flags & VIR_MIGRATE_PERSIST_DEST))
		return 0;
	if (!xml || dom_define(m->there, xml, &defined) < 0) {
		m->why = failure;
		return -1;
	}
	return 0;
}

static int finish(struct run *m)
{
	if (outcome_is(m, "error-finish"))
		return give_up(m,
			fail(VIR_ERR_OPERATION_FAILED, "domain is no longer running%s", ""));
	if (persist(m) < 0)
		return -1;
	note_completed(m, &m->destination);
	dom_set_job(&m->destination, JOB_NONE);
	macvtap_set_all(&m->destination, true);
	dom_set_state(&m->destination, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_MIGRATED);
	world_event(m->there, m->destination.uuid, "lifecycle %d %d", VIR_DOMAIN_EVENT_RESUMED,
		VIR_DOMAIN_EVENT_RESUMED_MIGRATED);
	dom_announce(&m->destination);
	dom_drives_primaries(&m->destination);
	world_hook("migrate.finished");
	return 0;
}

static void confirm(struct run *m)
{
	note_completed(m, &m->source);
	if (m->flags & VIR_MIGRATE_UNDEFINE_SOURCE) {
		dom_remove(&m->source, "inactive.xml");
		dom_remove(&m->source, "autostart");
	}
	dom_stop(&m->source, VIR_DOMAIN_SHUTOFF_MIGRATED, VIR_DOMAIN_EVENT_STOPPED_MIGRATED);
	world_hook("migrate.confirmed");
}

/* From the paused source to the end. */
static int switch_over(struct run *m)
{
	suspend_source(m);
	world_hook("migrate.switched");
	pause_ms(m, "migrate.switch_ms", 30);
	if (outcome_is(m, "lost-destination") || client_is_dead(m)) {
		end_destination(m);
		return give_up(m, fail(VIR_ERR_OPERATION_FAILED,
					  "client socket is closed: lost before the end%s", ""));
	}
	if (finish(m) < 0) {
		end_destination(m);
		resume_source(m);
		return -1;
	}
	pause_ms(m, "migrate.finish_ms", 20);
	if (outcome_is(m, "lost-confirm") || client_is_dead(m))
		return give_up(m, fail(VIR_ERR_OPERATION_FAILED, "client socket is closed%s", ""));
	if (outcome_is(m, "twice")) {
		resume_source(m);
		return give_up(m, fail(VIR_ERR_OPERATION_FAILED, "client socket is closed%s", ""));
	}
	pause_ms(m, "migrate.confirm_ms", 20);
	confirm(m);
	if (outcome_is(m, "error-though-done"))
		return give_up(m, fail(VIR_ERR_OPERATION_FAILED, "client socket is closed%s", ""));
	if (outcome_is(m, "dies-after"))
		dom_stop(&m->destination, VIR_DOMAIN_SHUTOFF_CRASHED,
			VIR_DOMAIN_EVENT_STOPPED_CRASHED);
	if (outcome_is(m, "goes-on"))
		dom_stop(&m->destination, VIR_DOMAIN_SHUTOFF_MIGRATED,
			VIR_DOMAIN_EVENT_STOPPED_MIGRATED);
	return 0;
}

static int migrate(struct run *m)
{
	if (check_devices(m) < 0 || connect_peer(m) < 0 || prepare(m) < 0)
		return -1;
	if (unplug_primaries(m) < 0 || copy_memory(m) < 0) {
		end_destination(m);
		dom_drives_primaries(&m->source);
		return -1;
	}
	return switch_over(m);
}

void migrate_run(const struct dom *d, const char *destination, unsigned int flags,
	bool client_driven)
{
	struct run m = { .source = *d,
		.there = destination,
		.flags = flags,
		.client_driven = client_driven,
		.started = now_ms(),
		.persist = dom_read(d, "job.persist"),
		.dest_xml = dom_read(d, "job.dest") };
	int r = migrate(&m);

	/* An active domain keeps its directory; the job ends before the call returns. */
	if (dom_is_active(&m.source) || dom_is_persistent(&m.source)) {
		dom_set_job(&m.source, JOB_NONE);
		dom_remove(&m.source, "job.stats");
		dom_remove(&m.source, "job.abort");
		dom_remove(&m.source, "job.persist");
		dom_remove(&m.source, "job.dest");
	}
	if (r < 0)
		report(&m, m.why.code, m.why.message);
	else
		report(&m, 0, "done");
	free(m.persist);
	free(m.dest_xml);
}
