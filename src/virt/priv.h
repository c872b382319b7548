/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of this folder only. */
#ifndef VIRT_PRIV_H
#define VIRT_PRIV_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>

#include "virt/virt.h"

enum { KEEPALIVE_INTERVAL_S = 5, KEEPALIVE_COUNT = 5 };

struct virt_event_record {
	uint64_t number;
	enum virt_event event;
	char uuid[VIR_UUID_STRING_BUFLEN];
	char *detail; /* owned; NULL: none */
};

struct virt {
	virConnectPtr conn;  /* owned; NULL: lost */
	char *uri;           /* owned */
	struct cancel *wake; /* borrowed */
	int callbacks[8];
	size_t n_callbacks;

	pthread_t thread; /* runs the event loop */
	bool thread_runs;
	int stop_timer;
	bool stop; /* guarded by lock */

	pthread_mutex_t lock;
	const struct virt_watcher *watcher; /* borrowed; of a migration; guarded by lock */
	struct virt_event_record *events;   /* owned; guarded by lock */
	size_t n_events;
	uint64_t n_seen; /* number of the newest event; guarded by lock */
};

struct virt_domain {
	virDomainPtr dom;  /* owned */
	struct virt *virt; /* borrowed */
	char *name;        /* owned */
	char uuid[VIR_UUID_STRING_BUFLEN];
};

/* Fills E from libvirt's last error of this thread; returns -1. */
int virt_err(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* NULL: libvirt's last error tells why. */
virConnectPtr virt_connect(const char *uri);
/* A call that may never come back. */
struct virt_aside {
	const char *what; /* borrowed; for people: who is asked */
	int (*run)(void *arg, struct err *e);
	void (*free)(void *arg);
	void *arg;
};

/*
 * What RUN returns, or VIRT_LEFT if that takes longer than LIMIT_MS (whole seconds): the call goes on in a
 * thread then, and ARG is freed by FREE behind it. Else ARG stays the caller's.
 */
enum { VIRT_LEFT = -2 };
int virt_aside(const struct virt_aside *call, int64_t limit_ms, struct err *e);
int virt_events_watch(struct virt *v, struct err *e);
void virt_events_unwatch(struct virt *v);
/* QEMU's own word on migrations (the last two events); a number for virt_qemu_unwatch. */
int virt_qemu_watch(struct virt *v, int *ret_id, struct err *e);
void virt_qemu_unwatch(struct virt *v, int id);
int virt_events_start(struct virt *v, struct err *e);
void virt_events_stop(struct virt *v);

#endif
