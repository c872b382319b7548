/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation: one thread runs libvirt's event loop for as long as the connection is
 * open. Callbacks note the event in a list under the lock and wake whoever waits; they never call
 * libvirt. One thing cannot wait for a waiter: the switch-over of a migration is told at once,
 * because the destination has to act before the guest resumes there. Waiters compare numbers: an
 * event counts when it is newer than their mark.
 */
#include <jansson.h>
#include <libvirt/libvirt-qemu.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "virt/priv.h"

enum { KEEP_EVENTS = 256 };

static void note(struct virt *v, virDomainPtr dom, enum virt_event event, const char *detail)
{
	struct virt_event_record *r;

	pthread_mutex_lock(&v->lock);
	if (v->n_events == KEEP_EVENTS) {
		free(v->events[0].detail);
		for (size_t i = 1; i < v->n_events; i++)
			v->events[i - 1] = v->events[i];
		v->n_events--;
	}
	r = mem_append(&v->events, &v->n_events, sizeof(*r));
	r->number = ++v->n_seen;
	r->event = event;
	r->detail = str_dup(detail);
	virDomainGetUUIDString(dom, r->uuid);
	pthread_mutex_unlock(&v->lock);
	cancel_wake(v->wake);
}

static void on_removed(virConnectPtr conn, virDomainPtr dom, const char *alias, void *arg)
{
	log_debug("libvirt event: %s, device %s removed", virDomainGetName(dom), alias);
	note(arg, dom, VIRT_EVENT_DEVICE_REMOVED, alias);
}

static void on_removal_failed(virConnectPtr conn, virDomainPtr dom, const char *alias, void *arg)
{
	log_debug("libvirt event: %s, device %s refused removal", virDomainGetName(dom), alias);
	note(arg, dom, VIRT_EVENT_REMOVAL_FAILED, alias);
}

static void tell_switching(struct virt *v, virDomainPtr dom)
{
	char uuid[VIR_UUID_STRING_BUFLEN];

	virDomainGetUUIDString(dom, uuid);
	pthread_mutex_lock(&v->lock);
	if (v->watcher && str_equal(v->watcher->uuid, uuid))
		v->watcher->switching(v->watcher->arg);
	pthread_mutex_unlock(&v->lock);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr dom, int event, int detail, void *arg)
{
	struct virt *v = arg;

	log_debug("libvirt event: %s, lifecycle %d/%d", virDomainGetName(dom), event, detail);
	if (event == VIR_DOMAIN_EVENT_RESUMED)
		note(v, dom, VIRT_EVENT_RESUMED, NULL);
	else if (event == VIR_DOMAIN_EVENT_SUSPENDED &&
		 detail == VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED)
		tell_switching(v, dom);
	else
		cancel_wake(v->wake);
	return 0;
}

static void on_stop(int timer, void *arg)
{
	virEventUpdateTimeout(timer, -1);
}

static bool should_stop(struct virt *v)
{
	bool stop;

	pthread_mutex_lock(&v->lock);
	stop = v->stop;
	pthread_mutex_unlock(&v->lock);
	return stop;
}

static void *event_loop(void *arg)
{
	struct virt *v = arg;

	while (!should_stop(v))
		if (virEventRunDefaultImpl() < 0)
			virResetLastError();
	return NULL;
}

static int watch(struct virt *v, int event, virConnectDomainEventGenericCallback callback,
	struct err *e)
{
	int id = virConnectDomainEventRegisterAny(v->conn, NULL, event, callback, v, NULL);

	if (id < 0)
		return virt_err(e, "registration for domain events");
	v->callbacks[v->n_callbacks++] = id;
	return 0;
}

int virt_events_start(struct virt *v, struct err *e)
{
	v->stop_timer = virEventAddTimeout(-1, on_stop, NULL, NULL);
	if (v->stop_timer < 0)
		return virt_err(e, "libvirt's event loop");
	if (pthread_create(&v->thread, NULL, event_loop, v))
		return err_set(e, "no thread for libvirt's events");
	v->thread_runs = true;
	return virt_events_watch(v, e);
}

int virt_events_watch(struct virt *v, struct err *e)
{
	if (watch(v, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_removed), e) <
		0)
		return -1;
	if (watch(v, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED,
		    VIR_DOMAIN_EVENT_CALLBACK(on_removal_failed), e) < 0)
		return -1;
	return watch(v, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), e);
}

/* DETAILS: {"status": "setup"}, in which the guest is asked; "wait-unplug" unless it obeys at once; "active" */
static void on_migration(virConnectPtr conn, virDomainPtr dom, const char *event, long long seconds,
	unsigned int micros, const char *details, void *arg)
{
	json_t *root = json_loads(details ? details : "", 0, NULL);
	const char *status = json_string_value(json_object_get(root, "status"));

	log_debug("QEMU event: %s, migration %s", virDomainGetName(dom), status ? status : "?");
	if (str_equal(status, "setup") || str_equal(status, "wait-unplug"))
		note(arg, dom, VIRT_EVENT_UNPLUGGING, NULL);
	else if (str_equal(status, "active"))
		note(arg, dom, VIRT_EVENT_COPYING, NULL);
	json_decref(root);
}

int virt_qemu_watch(struct virt *v, int *ret_id, struct err *e)
{
	*ret_id = virConnectDomainQemuMonitorEventRegister(v->conn, NULL, "MIGRATION", on_migration,
		v, NULL, 0);
	return *ret_id < 0 ? virt_err(e, "registration for QEMU's events") : 0;
}

void virt_qemu_unwatch(struct virt *v, int id)
{
	if (v->conn && virConnectDomainQemuMonitorEventDeregister(v->conn, id) < 0)
		virResetLastError();
}

void virt_events_unwatch(struct virt *v)
{
	for (size_t i = 0; v->conn && i < v->n_callbacks; i++)
		virConnectDomainEventDeregisterAny(v->conn, v->callbacks[i]);
	v->n_callbacks = 0;
	virResetLastError();
}

void virt_events_stop(struct virt *v)
{
	virt_events_unwatch(v);
	if (!v->thread_runs)
		return;
	pthread_mutex_lock(&v->lock);
	v->stop = true;
	pthread_mutex_unlock(&v->lock);
	virEventUpdateTimeout(v->stop_timer, 0);
	pthread_join(v->thread, NULL);
	virEventRemoveTimeout(v->stop_timer);
	v->thread_runs = false;
}

uint64_t virt_event_mark(struct virt *v)
{
	uint64_t mark;

	pthread_mutex_lock(&v->lock);
	mark = v->n_seen;
	pthread_mutex_unlock(&v->lock);
	return mark;
}

bool virt_event_seen(struct virt *v, uint64_t mark, enum virt_event event, const char *uuid,
	const char *detail)
{
	bool seen = false;

	pthread_mutex_lock(&v->lock);
	for (size_t i = 0; i < v->n_events && !seen; i++) {
		const struct virt_event_record *r = &v->events[i];

		seen = r->number > mark && r->event == event && str_equal(r->uuid, uuid) &&
		       (!detail || str_equal(r->detail, detail));
	}
	pthread_mutex_unlock(&v->lock);
	return seen;
}
