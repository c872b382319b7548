/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt on this host: one connection, its events, and the domains behind it.
 *
 * libvirt's errors are thread-local; every function here takes them in the thread that made
 * the call and puts them into E. Functions may block as long as libvirt does, so they belong
 * into a worker thread. Sources of the facts below: libvirt 9.0 and 11.3.
 */
#ifndef VIRT_VIRT_H
#define VIRT_VIRT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cancel.h"
#include "util/err.h"
#include "util/hwaddr.h"

struct virt;
struct virt_domain;

/*
 * Connects to URI (NULL: qemu:///system) and starts the thread that runs libvirt's event loop,
 * without which there are neither events nor keepalive. Every event wakes WAKE (borrowed).
 */
int virt_open(const char *uri, struct cancel *wake, struct virt **ret, struct err *e);
void virt_close(struct virt *v); /* accepts NULL */

bool virt_is_alive(struct virt *v); /* false: the connection has been lost */

/*
 * Opens the connection anew if it has been lost (libvirt's daemon was restarted). Domains found
 * before are then of no use. Events of the time between are lost.
 */
int virt_ensure(struct virt *v, struct err *e);

struct virt_host {
	char *hostname;  /* owned; as libvirt gives it to peers */
	char *uuid;      /* owned; the host's */
	int64_t libvirt; /* major * 1000000 + minor * 1000 + release */
	int64_t qemu;    /* likewise; 0: not told */
	char *cpu;       /* owned; its <cpu> element; NULL: not told */
};

int virt_host_get(struct virt *v, struct virt_host *ret, struct err *e);
void virt_host_free(struct virt_host *h);

/* Of the host, in KiB; AVAILABLE counts what the kernel would give up for a guest. */
int virt_memory_get(struct virt *v, int64_t *ret_total, int64_t *ret_available, struct err *e);

enum virt_fit {
	VIRT_FIT_UNKNOWN, /* libvirt is too old, or does not know */
	VIRT_FIT_YES,
	VIRT_FIT_NO_CPU,     /* REASON: what is missing */
	VIRT_FIT_NO_MACHINE, /* the machine type */
};

struct virt_cpu {
	const char *arch, *machine, *virt_type, *emulator; /* NULL: the default */
	const char *xml;                                   /* <cpu> */
	bool is_host; /* it is that of another host, and not one that QEMU makes up */
};

/*
 * Whether a guest with this CPU and machine could run here. Caller frees *ret_reason (may be
 * NULL).
 */
enum virt_fit virt_fits(struct virt *v, const struct virt_cpu *cpu, char **ret_reason);

/*
 * ERR_REFUSED for a URI that names a program, which libvirt would run: a key that may only start this agent
 * must not start anything else. NULL is fine.
 */
int virt_check_uri(const char *uri, struct err *e);

/*
 * Whether this process can open URI, as this host's libvirt will have to for a migration. A
 * connection that would ask for a password counts as none. AS_DAEMON: without what whoever started
 * this process has for ssh and a daemon has not (an ssh-agent, a ticket). *RET_UUID: of the host that
 * answers; NULL: it does not say. Caller frees. ERR_TIMEOUT when nothing is heard for 20 s, as behind a
 * firewall that drops.
 */
int virt_reach(const char *uri, bool as_daemon, char **ret_uuid, struct err *e);

/* ---- networks ---- */

struct virt_texts {
	char **v; /* owned, and each text */
	size_t n;
};

void virt_texts_free(struct virt_texts *t);

/* Definition of each active network: names at even, XML at odd places. */
int virt_networks(struct virt *v, struct virt_texts *ret, struct err *e);
/* XML of each port of an active network: of what its NICs of running domains have from it. */
int virt_network_ports(struct virt *v, const char *name, struct virt_texts *ret, struct err *e);

/* ---- domains ---- */

enum virt_state {
	VIRT_ABSENT,   /* no such domain */
	VIRT_OFF,      /* defined, shut off */
	VIRT_MIGRATED, /* defined, shut off because it was migrated away */
	VIRT_ENDED,    /* defined, shut off by the guest, or saved: it has run here */
	VIRT_RUNNING,
	VIRT_PAUSED,    /* by a user, by an I/O error, … */
	VIRT_MIGRATING, /* paused because of migration: incoming here, or switched over from here */
	VIRT_CRASHED,   /* or on its way down */
};

const char *virt_state_name(enum virt_state s);
enum virt_state virt_state_from_name(const char *name); /* unknown: VIRT_CRASHED */
/* Whether a QEMU process holds the guest here, in whatever state. */
bool virt_state_is_active(enum virt_state s);

struct virt_domain_list {
	struct virt_domain **v; /* owned, and each domain */
	size_t n;
};

int virt_domains(struct virt *v, struct virt_domain_list *ret, struct err *e);
void virt_domain_list_free(struct virt_domain_list *l);

/* By name, or by UUID where KEY is one; ERR_NOT_FOUND. Name wins when both match. */
int virt_domain_find(struct virt *v, const char *key, struct virt_domain **ret, struct err *e);
/* The one of that UUID, whatever others are called; ERR_NOT_FOUND. */
int virt_domain_by_uuid(struct virt *v, const char *uuid, struct virt_domain **ret, struct err *e);
void virt_domain_free(struct virt_domain *d); /* accepts NULL */
void virt_domain_cleanup(struct virt_domain **d);
#define CLEANUP_DOMAIN __attribute__((cleanup(virt_domain_cleanup)))

const char *virt_domain_name(const struct virt_domain *d);
const char *virt_domain_uuid(const struct virt_domain *d);

/*
 * State of the domain with this UUID; an absent one is an answer, not an error. *RET_JOB: a migration runs,
 * from here or to here; NULL where it does not matter. libvirt may take 30 s for that while QEMU does not
 * answer, and then it is an error: what is not known is not "none".
 */
int virt_state_get(struct virt *v, const char *uuid, enum virt_state *ret, bool *ret_job,
	struct err *e);

/*
 * Whether it runs here because libvirt started it again after it had stopped it for the switch-over of a
 * migration: the reason of its state, which stays until the state changes. What is copied and then
 * given up does not stop the guest, and leaves no such trace.
 */
int virt_was_turned_back(struct virt *v, const char *uuid, bool *ret, struct err *e);

/* Whether libvirt has a job of whatever sort for it: a migration, a backup, a dump. */
int virt_domain_has_job(struct virt_domain *d, bool *ret, struct err *e);

/* Whether a block job is under way on that disk (the guest's name for it). False: or unknown. */
bool virt_domain_has_block_job(const struct virt_domain *d, const char *disk);

/* How many snapshots libvirt knows of; 0 where its driver has none. */
int virt_domain_snapshots(const struct virt_domain *d);
/* Whether libvirt has its memory in a file, and takes it up from there at the next start. False: or unknown. */
bool virt_domain_is_saved(const struct virt_domain *d);
int virt_domain_is_persistent(struct virt_domain *d, bool *ret, struct err *e);
int virt_domain_get_autostart(struct virt_domain *d, bool *ret, struct err *e);
/* Reads back what it set. */
int virt_domain_set_autostart(struct virt_domain *d, bool on, struct err *e);

enum virt_xml {
	VIRT_XML_LIVE,
	VIRT_XML_MIGRATABLE, /* live, as another libvirt would take it; with secrets */
	VIRT_XML_INACTIVE,   /* the persistent definition; with secrets */
};

/* Caller frees *ret. Contains passwords (except LIVE): never log it. */
int virt_domain_xml(struct virt_domain *d, enum virt_xml which, char **ret, struct err *e);
/* Defines or redefines a domain from XML. */
int virt_define(struct virt *v, const char *xml, struct err *e);

/* ---- devices ---- */

/*
 * Events that came since the mark was taken. Take the mark before the call whose event is
 * awaited, or it may be missed.
 */
enum virt_event {
	VIRT_EVENT_DEVICE_REMOVED,
	VIRT_EVENT_REMOVAL_FAILED,
	VIRT_EVENT_RESUMED,
	VIRT_EVENT_UNPLUGGING, /* QEMU begins a migration, and asks the guest for its VFs */
	VIRT_EVENT_COPYING, /* QEMU has begun to copy memory: the guest has given up all its VFs */
};

uint64_t virt_event_mark(struct virt *v);
/* DETAIL: the device's alias, or NULL for any. */
bool virt_event_seen(struct virt *v, uint64_t mark, enum virt_event event, const char *uuid,
	const char *detail);

/*
 * Asks the guest to give up a device; returns without waiting for it. 1 when an earlier request
 * is still pending or the slot is busy ("already in the process of unplug", "power indicator
 * blinking"): that means wait and look, not failure. *ret_refused: on failure, the request has
 * surely not reached the guest.
 */
int virt_device_detach(struct virt_domain *d, const char *alias, bool *ret_refused, struct err *e);
/* Live only. Success says nothing about the guest. */
int virt_device_attach(struct virt_domain *d, const char *device_xml, struct err *e);
/* Live only. Refused while a migration job runs. */
int virt_device_update(struct virt_domain *d, const char *device_xml, struct err *e);

/*
 * How many network interfaces with MAC the guest agent reports. ERR_TIMEOUT after 8 s; where the agent
 * is dead libvirt itself gives up after 5.
 */
int virt_guest_nics(struct virt_domain *d, const char *mac, int *ret, struct err *e);

/* ---- migration ---- */

struct virt_migration {
	const char *dest_uri;    /* libvirt URI of the destination */
	const char *persist_xml; /* NULL: the domain is transient */
	const char *dest_xml;    /* NULL: as it is */
	const char *migrate_uri; /* NULL: libvirt's choice */
	bool client_driven;
	bool undefine_source;
	bool auto_converge;
	bool unsafe; /* although libvirt thinks that disks could be damaged */
	bool tls;
	bool compressed;
	bool copy_storage_all;
	bool copy_storage_inc;
	int64_t parallel;   /* connections; 0: not parallel */
	int64_t bandwidth;  /* MiB/s; 0: unlimited */
	int64_t timeout_ms; /* the job is aborted then; 0: never */
	/* QEMU is to take VFs from the guest first, within this time; 0: it has none. */
	int64_t unplug_ms;
};

struct virt_progress {
	int64_t elapsed_ms;
	int64_t data_total, data_processed, data_remaining; /* bytes */
	int64_t memory_bps;                                 /* bytes per second */
	int64_t iteration;
};

struct virt_watcher {
	/* Called from another thread about twice a second. */
	void (*progress)(void *arg, const struct virt_progress *p);
	/* Called from libvirt's event thread when the guest has been stopped here in order to
	 * be resumed on the destination: the switch-over is under way. */
	void (*switching)(void *arg);
	void *arg;
	const char *uuid;    /* filled in by virt_migrate */
	bool unplug_pending; /* likewise: the guest was asked for its VFs, and has not given them up */
};

/*
 * Migrates and returns when libvirt does. Its return value decides nothing: look at both ends.
 * When CANCEL is set, or its own time or the guest's is up (ERR_TIMEOUT), the job is aborted.
 */
int virt_migrate(struct virt_domain *d, const struct virt_migration *m,
	struct virt_watcher *watcher, struct cancel *cancel, struct err *e);

/*
 * Aborts the migration that leaves from here, and no other job: ERR_REFUSED for those. That the
 * migration has ended is for the caller to see.
 */
int virt_migration_abort(struct virt_domain *d, struct err *e);

/*
 * How long the guest stood still in the last migration that came in, without the network's share, which
 * compares the clocks of two hosts; -1: not told. ERR_NOT_FOUND where libvirt has forgotten it.
 */
int virt_downtime_get(struct virt_domain *d, int64_t *ret_ms, struct err *e);

/* ---- life and death, for settling ---- */

int virt_domain_resume(struct virt_domain *d, struct err *e);
int virt_domain_destroy(struct virt_domain *d, struct err *e);
int virt_domain_suspend(struct virt_domain *d, struct err *e);

#endif
