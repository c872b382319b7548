/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation: the migration call blocks its thread. A second thread asks for the
 * job's figures twice a second, hands them on, and is the one that aborts the job when asked
 * to: an abort may block as well, and must not block whoever asked for it.
 *
 * QEMU waits without a limit until the guest has given up the VFs that it is to take; libvirt shows
 * a job without progress meanwhile. QEMU's events tell when that wait begins and ends. As events get
 * lost, memory that was copied tells as well that it is over; the little that QEMU sends before it
 * is counted when the job is cancelled, which is no end.
 */
#include <stdlib.h>

#include "util/clock.h"
#include "util/log.h"
#include "virt/priv.h"

enum { LOOK_INTERVAL_MS = 400, ABORT_INTERVAL_MS = 1000, STEP_MS = 100 };
enum { SURELY_COPYING = 1 << 20 }; /* bytes */

struct params {
	virTypedParameterPtr v;
	int n, max;
	bool failed;
};

static void add_string(struct params *p, const char *name, const char *value)
{
	if (value && virTypedParamsAddString(&p->v, &p->n, &p->max, name, value) < 0)
		p->failed = true;
}

static void add_bandwidth(struct params *p, int64_t mib)
{
	if (mib && virTypedParamsAddULLong(&p->v, &p->n, &p->max, VIR_MIGRATE_PARAM_BANDWIDTH,
			   (unsigned long long)mib) < 0)
		p->failed = true;
}

static void add_parallel(struct params *p, int64_t connections)
{
	if (connections && virTypedParamsAddInt(&p->v, &p->n, &p->max,
				   VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, (int)connections) < 0)
		p->failed = true;
}

static unsigned int flags_of(const struct virt_migration *m)
{
	unsigned int flags = VIR_MIGRATE_LIVE;

	flags |= m->client_driven ? 0 : VIR_MIGRATE_PEER2PEER;
	flags |= m->persist_xml ? VIR_MIGRATE_PERSIST_DEST : 0;
	flags |= m->undefine_source ? VIR_MIGRATE_UNDEFINE_SOURCE : 0;
	flags |= m->auto_converge ? VIR_MIGRATE_AUTO_CONVERGE : 0;
	flags |= m->unsafe ? VIR_MIGRATE_UNSAFE : 0;
	flags |= m->tls ? VIR_MIGRATE_TLS : 0;
	flags |= m->compressed ? VIR_MIGRATE_COMPRESSED : 0;
	flags |= m->copy_storage_all ? VIR_MIGRATE_NON_SHARED_DISK : 0;
	flags |= m->copy_storage_inc ? VIR_MIGRATE_NON_SHARED_INC : 0;
	flags |= m->parallel ? VIR_MIGRATE_PARALLEL : 0;
	return flags;
}

static int migrate_by_client(struct virt_domain *d, const char *dest_uri, struct params *p,
	unsigned int flags, struct err *e)
{
	virConnectPtr dest = virt_connect(dest_uri);
	virDomainPtr there;

	if (!dest)
		return virt_err(e, "connection to %s", dest_uri);
	if (virConnectSetKeepAlive(dest, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT) < 0)
		virResetLastError();
	there = virDomainMigrate3(d->dom, dest, p->v, (unsigned int)p->n, flags);
	if (there)
		virDomainFree(there);
	else
		virt_err(e, "migration of %s", d->name);
	virConnectClose(dest);
	return there ? 0 : -1;
}

static int migrate_by_peers(struct virt_domain *d, const char *dest_uri, struct params *p,
	unsigned int flags, struct err *e)
{
	if (virDomainMigrateToURI3(d->dom, dest_uri, p->v, (unsigned int)p->n, flags) == 0)
		return 0;
	return virt_err(e, "migration of %s", d->name);
}

struct watch {
	virDomainPtr dom;                   /* borrowed */
	const struct virt_watcher *watcher; /* borrowed */
	struct cancel *cancel;              /* borrowed */
	int64_t deadline;                   /* 0: none */
	struct virt *virt;                  /* borrowed */
	uint64_t mark;
	int64_t unplug_ms;    /* 0: no VF is waited for */
	int64_t unplug_until; /* 0: the guest was not asked yet */
	bool unplugged, is_stuck, is_aborted;

	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool end;
};

static int64_t stat_of(virTypedParameterPtr v, int n, const char *name, int64_t missing)
{
	unsigned long long value;

	if (virTypedParamsGetULLong(v, n, name, &value) == 1)
		return (int64_t)value;
	return missing;
}

/* IS_COPYING: memory is being copied already. */
static void look_for_unplug(struct watch *w, bool is_copying)
{
	const char *uuid = w->watcher->uuid;

	if (!w->unplug_ms || w->unplugged)
		return;
	if ((is_copying && !w->is_aborted) ||
		virt_event_seen(w->virt, w->mark, VIRT_EVENT_COPYING, uuid, NULL)) {
		log_debug("the guest has given up what QEMU has asked it for");
		w->unplugged = true;
		w->is_stuck = false;
	} else if (!w->unplug_until &&
		   virt_event_seen(w->virt, w->mark, VIRT_EVENT_UNPLUGGING, uuid, NULL)) {
		w->unplug_until = clock_ms() + w->unplug_ms;
	} else if (w->unplug_until && clock_ms() >= w->unplug_until) {
		w->is_stuck = true;
	}
}

static void show_progress(struct watch *w)
{
	virTypedParameterPtr v = NULL;
	struct virt_progress p;
	int type, n = 0;

	if (virDomainGetJobStats(w->dom, &type, &v, &n, 0) < 0) {
		virResetLastError();
		return;
	}
	if (type == VIR_DOMAIN_JOB_BOUNDED || type == VIR_DOMAIN_JOB_UNBOUNDED) {
		p = (struct virt_progress){
			.elapsed_ms = stat_of(v, n, VIR_DOMAIN_JOB_TIME_ELAPSED, 0),
			.data_total = stat_of(v, n, VIR_DOMAIN_JOB_DATA_TOTAL, 0),
			.data_processed = stat_of(v, n, VIR_DOMAIN_JOB_DATA_PROCESSED, 0),
			.data_remaining = stat_of(v, n, VIR_DOMAIN_JOB_DATA_REMAINING, 0),
			.memory_bps = stat_of(v, n, VIR_DOMAIN_JOB_MEMORY_BPS, 0),
			.iteration = stat_of(v, n, VIR_DOMAIN_JOB_MEMORY_ITERATION, 0),
		};
		w->watcher->progress(w->watcher->arg, &p);
		look_for_unplug(w,
			stat_of(v, n, VIR_DOMAIN_JOB_MEMORY_PROCESSED, 0) >= SURELY_COPYING);
	}
	virTypedParamsFree(v, n);
}

static void abort_job(struct watch *w)
{
	log_debug("libvirt: abort the job of %s", virDomainGetName(w->dom));
	w->is_aborted = true;
	if (virDomainAbortJob(w->dom) < 0)
		virResetLastError(); /* between two phases there is no job; asked again soon */
}

static bool is_overdue(const struct watch *w)
{
	return w->is_stuck || (w->deadline && clock_ms() >= w->deadline);
}

/* Sleeps up to MS; true when the migration call has returned. */
static bool ended_within(struct watch *w, int64_t ms)
{
	int64_t until = clock_ms() + ms;
	struct timespec ts = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
	bool end;

	pthread_mutex_lock(&w->lock);
	while (!w->end && pthread_cond_timedwait(&w->ended, &w->lock, &ts) == 0)
		;
	end = w->end;
	pthread_mutex_unlock(&w->lock);
	return end;
}

static void *watch_job(void *arg)
{
	struct watch *w = arg;
	int64_t next_abort = 0;

	/* Short steps, so that an abort does not wait for the next look. */
	for (int i = 0; !ended_within(w, STEP_MS); i++) {
		look_for_unplug(w, false);
		if ((cancel_is_set(w->cancel) || is_overdue(w)) && clock_ms() >= next_abort) {
			abort_job(w);
			next_abort = clock_ms() + ABORT_INTERVAL_MS;
		}
		if (i % (LOOK_INTERVAL_MS / STEP_MS) == 0)
			show_progress(w);
	}
	return NULL;
}

static int start_watch(struct watch *w, pthread_t *ret, struct err *e)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->ended, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(ret, NULL, watch_job, w))
		return err_set(e, "no thread to watch the migration");
	return 0;
}

static void stop_watch(struct watch *w, pthread_t thread)
{
	pthread_mutex_lock(&w->lock);
	w->end = true;
	pthread_cond_broadcast(&w->ended);
	pthread_mutex_unlock(&w->lock);
	pthread_join(thread, NULL);
	pthread_cond_destroy(&w->ended);
	pthread_mutex_destroy(&w->lock);
}

static int fill_params(struct params *p, const struct virt_migration *m, struct err *e)
{
	add_string(p, VIR_MIGRATE_PARAM_URI, m->migrate_uri);
	add_string(p, VIR_MIGRATE_PARAM_PERSIST_XML, m->persist_xml);
	add_string(p, VIR_MIGRATE_PARAM_DEST_XML, m->dest_xml);
	add_bandwidth(p, m->bandwidth);
	add_parallel(p, m->parallel);
	return p->failed ? virt_err(e, "parameters of the migration") : 0;
}

static void set_watcher(struct virt *v, const struct virt_watcher *watcher)
{
	pthread_mutex_lock(&v->lock);
	v->watcher = watcher;
	pthread_mutex_unlock(&v->lock);
}

/* Whose time was up. */
static int say_overdue(const struct watch *w, const struct virt_migration *m, struct err *e)
{
	const char *name = virDomainGetName(w->dom);

	if (!w->is_stuck)
		return err_set_kind(e, ERR_TIMEOUT, "the migration of %s was given up after %g s",
			name, (double)m->timeout_ms / 1000);
	err_set_kind(e, ERR_TIMEOUT, "%s did not give up its VF to QEMU within %g s", name,
		(double)m->unplug_ms / 1000);
	return err_hint(e,
		"Is its VF driver or PCI hotplug hung? --detach-timeout changes the limit.");
}

static int migrate_watched(struct virt_domain *d, const struct virt_migration *m, struct watch *w,
	struct err *e)
{
	struct params p = { 0 };
	pthread_t thread;
	int r = -1;

	log_debug("libvirt: migrate %s to %s, %s, flags 0x%x", d->name, m->dest_uri,
		m->client_driven ? "client-driven" : "peer-to-peer", flags_of(m));
	if (fill_params(&p, m, e) == 0 && start_watch(w, &thread, e) == 0) {
		set_watcher(d->virt, w->watcher);
		r = (m->client_driven ? migrate_by_client : migrate_by_peers)(d, m->dest_uri, &p,
			flags_of(m), e);
		set_watcher(d->virt, NULL);
		stop_watch(w, thread);
		look_for_unplug(w, false);
		if (r < 0 && is_overdue(w) && !cancel_is_set(w->cancel))
			r = say_overdue(w, m, e);
	}
	virTypedParamsFree(p.v, p.n);
	return r;
}

int virt_migrate(struct virt_domain *d, const struct virt_migration *m,
	struct virt_watcher *watcher, struct cancel *cancel, struct err *e)
{
	struct watch w = { .dom = d->dom,
		.watcher = watcher,
		.cancel = cancel,
		.deadline = m->timeout_ms ? clock_ms() + m->timeout_ms : 0,
		.virt = d->virt,
		.mark = virt_event_mark(d->virt),
		.unplug_ms = m->unplug_ms };
	int id = -1, r;

	watcher->uuid = d->uuid;
	if (m->unplug_ms && virt_qemu_watch(d->virt, &id, e) < 0)
		return -1;
	r = migrate_watched(d, m, &w, e);
	watcher->unplug_pending = (w.unplug_until || w.is_aborted) && !w.unplugged;
	if (m->unplug_ms)
		virt_qemu_unwatch(d->virt, id);
	return r;
}

int virt_migration_abort(struct virt_domain *d, struct err *e)
{
	int type, n = 0, operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;
	virTypedParameterPtr v = NULL;

	if (virDomainGetJobStats(d->dom, &type, &v, &n, 0) < 0)
		return virt_err(e, "job of %s", d->name);
	virTypedParamsGetInt(v, n, VIR_DOMAIN_JOB_OPERATION, &operation);
	virTypedParamsFree(v, n);
	if (operation != VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)
		return err_set_kind(e, ERR_REFUSED, "the job of %s is no migration from here",
			d->name);
	log_debug("libvirt: abort the migration of %s", d->name);
	return virDomainAbortJob(d->dom) < 0 ? virt_err(e, "abort of the migration of %s", d->name)
					     : 0;
}

int virt_downtime_get(struct virt_domain *d, int64_t *ret_ms, struct err *e)
{
	virTypedParameterPtr v = NULL;
	int type, n = 0;

	if (virDomainGetJobStats(d->dom, &type, &v, &n,
		    VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED) < 0)
		return virt_err(e, "figures of the migration");
	if (type != VIR_DOMAIN_JOB_COMPLETED) {
		virTypedParamsFree(v, n);
		return err_set_kind(e, ERR_NOT_FOUND, "libvirt has no figures of the migration");
	}
	*ret_ms = stat_of(v, n, VIR_DOMAIN_JOB_DOWNTIME_NET, -1);
	virTypedParamsFree(v, n);
	return 0;
}
