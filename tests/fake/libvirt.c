/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt's functions, as far as the program calls them, over the pretended hosts. Preloaded
 * under the real library's name, which then is not loaded at all.
 *
 * Handles are memory of their own, so that whoever forgets one shows in valgrind, and using one
 * that was given back is an abort.
 *
 * Settings: connect=denied (no permission) or away (its daemon is being started anew: calls fail,
 * and connections from before stay lost), reach=denied (the other host's libvirt cannot be
 * connected to from here), reach=key (but with an ssh-agent), reach=silent (nothing is heard), agent=off|dead|stuck (the guest's
 * agent), snapshots=N (of each domain), saved=1 (likewise).
 */
#include <ctype.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain.h"
#include "migrate.h"
#include "network.h"
#include "world.h"

#define EXPORT __attribute__((visibility("default")))

enum {
	MAGIC_CONNECT = 0x636f6e6e,
	MAGIC_DOMAIN = 0x646f6d61,
	MAGIC_NETWORK = 0x6e657477,
	MAGIC_PORT = 0x706f7274
};
enum { AGENT_DEAD_MS = 300, AGENT_STUCK_MS = 60000, NAME_SIZE = 128 };
enum { EVENT_QEMU = -1 }; /* among libvirt's own numbers */

struct _virConnect {
	unsigned int magic;
	int refs;
	char host[32];
	long events_read;    /* offset in the host's file of events */
	unsigned int daemon; /* which run of it this was made to; see is_away */
};

struct _virDomain {
	unsigned int magic;
	int refs;
	virConnectPtr conn; /* owned, a reference */
	struct dom dom;
};

struct _virNetwork {
	unsigned int magic;
	char host[32];
	char name[NAME_SIZE];
};

struct _virNetworkPort {
	unsigned int magic;
	char *xml;
};

/* ---- errors ---- */

static __thread virError last_error;
static __thread char last_message[1024];

static void keep_failure(void)
{
	snprintf(last_message, sizeof(last_message), "%s", failure.message);
	last_error = (virError){
		.code = failure.code,
		.domain = VIR_FROM_QEMU,
		.message = last_message,
		.level = VIR_ERR_ERROR,
	};
}

EXPORT virErrorPtr virGetLastError(void)
{
	return last_error.code ? &last_error : NULL;
}

EXPORT const char *virGetLastErrorMessage(void)
{
	return last_error.code ? last_message : "no error";
}

EXPORT int virGetLastErrorCode(void)
{
	return last_error.code;
}

EXPORT void virResetLastError(void)
{
	last_error = (virError){ 0 };
}

EXPORT void virSetErrorFunc(void *userData, virErrorFunc handler)
{
}

/* A connection does not outlive the daemon: those that were there when it went away are lost. */
static unsigned int daemons;

static bool is_away(const char *host)
{
	static bool was_away;
	bool away = world_is(host, "connect", "away");

	if (strcmp(host, world_host()) != 0)
		return away;
	if (away && !__atomic_exchange_n(&was_away, true, __ATOMIC_SEQ_CST))
		__atomic_add_fetch(&daemons, 1, __ATOMIC_SEQ_CST);
	if (!away)
		__atomic_store_n(&was_away, false, __ATOMIC_SEQ_CST);
	return away;
}

/* Every function starts with this: as in libvirt, the last error is of the last call. */
static int enter(const char *call, int *ret_late, const char *fmt, ...) PRINTF(3, 4);
static int enter(const char *call, int *ret_late, const char *fmt, ...)
{
	CLEANUP_TEXT char *what = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		abort();
	va_end(ap);
	virResetLastError();
	r = world_call(call, ret_late, "%s", what);
	if (r == 0 && strcmp(call, "virConnectOpenAuth") != 0 && is_away(world_host()))
		r = fail(VIR_ERR_INTERNAL_ERROR, "client socket is closed");
	if (r < 0)
		keep_failure();
	return r;
}

static int failed(void)
{
	keep_failure();
	return -1;
}

/* For the end of a function with an effect: a failure told to come late. */
static int leave(const char *call, int r, int late)
{
	if (r < 0)
		return failed();
	if (!late)
		return r;
	fail(late, "told to fail afterwards (%s)", call);
	return failed();
}

static void check(unsigned int magic, unsigned int wanted, const char *what)
{
	if (magic == wanted)
		return;
	dprintf(STDERR_FILENO, "fake libvirt: %s was given back, or never was one\n", what);
	abort();
}

static int refuse(int code, const char *message)
{
	fail(code, "%s", message);
	return failed();
}

/* ---- events ---- */

struct timer {
	int id, frequency; /* ms; -1: off */
	int64_t next;
	virEventTimeoutCallback fn;
	void *arg;
	virFreeCallback free_arg;
};

struct watcher {
	int id, event;
	virConnectPtr conn;
	char uuid[VIR_UUID_STRING_BUFLEN]; /* "": all domains */
	virConnectDomainEventGenericCallback fn;
	void *arg;
	virFreeCallback free_arg;
};

enum { MAX_TIMERS = 16, MAX_WATCHERS = 32, EVENT_POLL_MS = 10 };

static pthread_mutex_t events_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t events_changed = PTHREAD_COND_INITIALIZER;
static struct timer timers[MAX_TIMERS];
static struct watcher watchers[MAX_WATCHERS];
static int next_id = 1;

EXPORT int virEventRegisterDefaultImpl(void)
{
	virResetLastError();
	return 0;
}

EXPORT int virEventAddTimeout(int frequency, virEventTimeoutCallback cb, void *opaque,
	virFreeCallback ff)
{
	int id = -1;

	pthread_mutex_lock(&events_lock);
	for (int i = 0; i < MAX_TIMERS && id < 0; i++)
		if (!timers[i].id) {
			id = next_id++;
			timers[i] = (struct timer){ id, frequency, now_ms() + frequency, cb, opaque,
				ff };
		}
	pthread_cond_signal(&events_changed);
	pthread_mutex_unlock(&events_lock);
	return id;
}

EXPORT void virEventUpdateTimeout(int timer, int frequency)
{
	pthread_mutex_lock(&events_lock);
	for (int i = 0; i < MAX_TIMERS; i++)
		if (timers[i].id == timer) {
			timers[i].frequency = frequency;
			timers[i].next = now_ms() + frequency;
		}
	pthread_cond_signal(&events_changed);
	pthread_mutex_unlock(&events_lock);
}

EXPORT int virEventRemoveTimeout(int timer)
{
	int r = -1;

	pthread_mutex_lock(&events_lock);
	for (int i = 0; i < MAX_TIMERS; i++)
		if (timers[i].id == timer) {
			if (timers[i].free_arg)
				timers[i].free_arg(timers[i].arg);
			timers[i] = (struct timer){ 0 };
			r = 0;
		}
	pthread_mutex_unlock(&events_lock);
	return r;
}

static virDomainPtr new_domain(virConnectPtr conn, const struct dom *dom)
{
	virDomainPtr d = calloc(1, sizeof(*d));

	__atomic_add_fetch(&conn->refs, 1, __ATOMIC_SEQ_CST);
	*d = (struct _virDomain){ MAGIC_DOMAIN, 1, conn, *dom };
	return d;
}

static void tell_qemu(const struct watcher *w, virDomainPtr d, const char *status)
{
	CLEANUP_TEXT char *details = text("{\"status\": \"%s\"}", status);

	((virConnectDomainQemuMonitorEventCallback)(void *)w->fn)(w->conn, d, "MIGRATION",
		now_ms() / 1000, 0, details, w->arg);
}

/* Calls one watcher about one line of the file of events. */
static void tell(const struct watcher *w, const char *uuid, const char *what)
{
	struct dom dom = { 0 };
	char detail[NAME_SIZE];
	virDomainPtr d;
	int a, b;

	if (w->uuid[0] && strcmp(w->uuid, uuid) != 0)
		return;
	/* A domain that is gone still has its events. */
	if (!dom_find(w->conn->host, uuid, false, &dom)) {
		snprintf(dom.host, sizeof(dom.host), "%s", w->conn->host);
		snprintf(dom.uuid, sizeof(dom.uuid), "%.36s", uuid);
		snprintf(dom.name, sizeof(dom.name), "gone");
	}
	d = new_domain(w->conn, &dom);
	if (w->event == VIR_DOMAIN_EVENT_ID_LIFECYCLE &&
		sscanf(what, "lifecycle %d %d", &a, &b) == 2)
		((virConnectDomainEventCallback)(void *)w->fn)(w->conn, d, a, b, w->arg);
	else if (w->event == VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED &&
		 sscanf(what, "removed %127s", detail) == 1)
		((virConnectDomainEventDeviceRemovedCallback)(void *)w->fn)(w->conn, d, detail,
			w->arg);
	else if (w->event == VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED &&
		 sscanf(what, "removal-failed %127s", detail) == 1)
		((virConnectDomainEventDeviceRemovalFailedCallback)(void *)w->fn)(w->conn, d,
			detail, w->arg);
	else if (w->event == VIR_DOMAIN_EVENT_ID_DEVICE_ADDED &&
		 sscanf(what, "added %127s", detail) == 1)
		((virConnectDomainEventDeviceAddedCallback)(void *)w->fn)(w->conn, d, detail,
			w->arg);
	else if (w->event == VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION &&
		 sscanf(what, "iteration %d", &a) == 1)
		((virConnectDomainEventMigrationIterationCallback)(void *)w->fn)(w->conn, d, a,
			w->arg);
	else if (w->event == EVENT_QEMU && sscanf(what, "migration %127s", detail) == 1)
		tell_qemu(w, d, detail);
	virDomainFree(d);
}

/* The next unread line for a connection; NULL: none. Caller frees. */
static char *next_line(virConnectPtr conn)
{
	CLEANUP_TEXT char *path = world_path("%s/events", conn->host);
	char *line = NULL;
	size_t size = 0;
	ssize_t n = -1;
	struct stat st;
	FILE *f;

	if (stat(path, &st) < 0 || st.st_size <= conn->events_read)
		return NULL; /* looked at every 10 ms: cheaply */
	f = fopen(path, "re");
	if (f && fseek(f, conn->events_read, SEEK_SET) == 0)
		n = getline(&line, &size, f);
	if (f)
		fclose(f);
	if (n <= 0 || line[n - 1] != '\n') {
		free(line);
		return NULL;
	}
	conn->events_read += n;
	line[n - 1] = '\0';
	return line;
}

/* Hands one event out; false when there is none. Called and returns with the lock held. */
static bool dispatch_event(void)
{
	for (int i = 0; i < MAX_WATCHERS; i++) {
		virConnectPtr conn = watchers[i].conn;
		CLEANUP_TEXT char *line = watchers[i].id ? next_line(conn) : NULL;
		struct watcher copy[MAX_WATCHERS];
		char *space = line ? strchr(line, ' ') : NULL;

		if (!space)
			continue;
		*space = '\0';
		memcpy(copy, watchers, sizeof(copy));
		pthread_mutex_unlock(&events_lock);
		for (int k = 0; k < MAX_WATCHERS; k++)
			if (copy[k].id && copy[k].conn == conn)
				tell(&copy[k], line, space + 1);
		pthread_mutex_lock(&events_lock);
		return true;
	}
	return false;
}

static bool dispatch_timer(void)
{
	for (int i = 0; i < MAX_TIMERS; i++) {
		struct timer t = timers[i];

		if (!t.id || t.frequency < 0 || t.next > now_ms())
			continue;
		timers[i].next = now_ms() + t.frequency;
		pthread_mutex_unlock(&events_lock);
		t.fn(t.id, t.arg);
		pthread_mutex_lock(&events_lock);
		return true;
	}
	return false;
}

/* Blocks until there was something to do, as the real one does. */
EXPORT int virEventRunDefaultImpl(void)
{
	pthread_mutex_lock(&events_lock);
	while (!dispatch_timer() && !dispatch_event()) {
		struct timespec until;

		timespec_get(&until, TIME_UTC); /* the true time, see clock_gettime in netlink.c */
		until.tv_nsec += EVENT_POLL_MS * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&events_changed, &events_lock, &until);
	}
	pthread_mutex_unlock(&events_lock);
	return 0;
}

static int add_watcher(virConnectPtr conn, virDomainPtr dom, int event,
	virConnectDomainEventGenericCallback cb, void *opaque, virFreeCallback freecb)
{
	int id = -1;

	pthread_mutex_lock(&events_lock);
	for (int i = 0; i < MAX_WATCHERS && id < 0; i++)
		if (!watchers[i].id) {
			id = next_id++;
			watchers[i] = (struct watcher){ .id = id,
				.event = event,
				.conn = conn,
				.fn = cb,
				.arg = opaque,
				.free_arg = freecb };
			if (dom)
				strcpy(watchers[i].uuid, dom->dom.uuid);
			__atomic_add_fetch(&conn->refs, 1, __ATOMIC_SEQ_CST);
		}
	pthread_mutex_unlock(&events_lock);
	return id;
}

EXPORT int virConnectDomainEventRegisterAny(virConnectPtr conn, virDomainPtr dom, int eventID,
	virConnectDomainEventGenericCallback cb, void *opaque, virFreeCallback freecb)
{
	check(conn->magic, MAGIC_CONNECT, "a connection");
	if (enter("virConnectDomainEventRegisterAny", NULL, "%d", eventID) < 0)
		return -1;
	return add_watcher(conn, dom, eventID, cb, opaque, freecb);
}

EXPORT int virConnectDomainQemuMonitorEventRegister(virConnectPtr conn, virDomainPtr dom,
	const char *event, virConnectDomainQemuMonitorEventCallback cb, void *opaque,
	virFreeCallback freecb, unsigned int flags)
{
	check(conn->magic, MAGIC_CONNECT, "a connection");
	if (enter("virConnectDomainQemuMonitorEventRegister", NULL, "%s", event) < 0)
		return -1;
	return add_watcher(conn, dom, EVENT_QEMU, VIR_DOMAIN_EVENT_CALLBACK(cb), opaque, freecb);
}

EXPORT int virConnectDomainEventDeregisterAny(virConnectPtr conn, int callbackID)
{
	int r = -1;

	pthread_mutex_lock(&events_lock);
	for (int i = 0; i < MAX_WATCHERS; i++)
		if (watchers[i].id == callbackID) {
			if (watchers[i].free_arg)
				watchers[i].free_arg(watchers[i].arg);
			watchers[i] = (struct watcher){ 0 };
			__atomic_sub_fetch(&conn->refs, 1, __ATOMIC_SEQ_CST);
			r = 0;
		}
	pthread_mutex_unlock(&events_lock);
	return r;
}

EXPORT int virConnectDomainQemuMonitorEventDeregister(virConnectPtr conn, int callbackID)
{
	return virConnectDomainEventDeregisterAny(conn, callbackID);
}

/* ---- connection ---- */

EXPORT int virInitialize(void)
{
	virResetLastError();
	return 0;
}

/* The host in "qemu+ssh://[user@]host[:port]/system"; this one without a host. */
static char *host_of_uri(const char *uri)
{
	const char *at = strstr(uri, "://"), *user;
	CLEANUP_TEXT char *name = NULL;

	at = at ? at + 3 : uri;
	name = strndup(at, strcspn(at, "/"));
	user = strchr(name, '@');
	user = user ? user + 1 : name;
	if (!*user)
		return strdup(world_host());
	name[user - name + strcspn(user, ":")] = '\0';
	return world_host_by_name(user);
}

static long end_of_events(const char *host)
{
	CLEANUP_TEXT char *path = world_path("%s/events", host);
	CLEANUP_TEXT char *events = world_read(path);

	return events ? (long)strlen(events) : 0;
}

EXPORT virConnectPtr virConnectOpenAuth(const char *name, virConnectAuthPtr auth,
	unsigned int flags)
{
	const char *uri = name ? name : "qemu:///system";
	CLEANUP_TEXT char *host = NULL;
	virConnectPtr conn;

	if (enter("virConnectOpenAuth", NULL, "%s", uri) < 0)
		return NULL;
	host = host_of_uri(uri);
	if (!host) {
		refuse(VIR_ERR_SYSTEM_ERROR, "Cannot recv data: ssh: Could not resolve hostname: "
					     "Name or service not known: Connection reset by peer");
		return NULL;
	}
	if (strcmp(host, world_host()) != 0 && world_is(world_host(), "reach", "silent"))
		sleep_ms(3600000);
	if (strcmp(host, world_host()) != 0 &&
		(world_is(world_host(), "reach", "denied") ||
			(world_is(world_host(), "reach", "key") && !getenv("SSH_AUTH_SOCK")))) {
		refuse(VIR_ERR_SYSTEM_ERROR, "Cannot recv data: Host key verification failed.: "
					     "Connection reset by peer");
		return NULL;
	}
	if (is_away(host)) {
		refuse(VIR_ERR_SYSTEM_ERROR, "Failed to connect socket to "
					     "'/var/run/libvirt/libvirt-sock': Connection refused");
		return NULL;
	}
	if (world_is(host, "connect", "denied")) {
		refuse(VIR_ERR_AUTH_FAILED, "Failed to connect socket to "
					    "'/var/run/libvirt/libvirt-sock': Permission denied");
		return NULL;
	}
	conn = calloc(1, sizeof(*conn));
	conn->magic = MAGIC_CONNECT;
	conn->refs = 1;
	conn->events_read = end_of_events(host);
	conn->daemon = daemons;
	snprintf(conn->host, sizeof(conn->host), "%s", host);
	return conn;
}

static void drop(virConnectPtr conn)
{
	if (__atomic_sub_fetch(&conn->refs, 1, __ATOMIC_SEQ_CST) > 0)
		return;
	conn->magic = 0;
	free(conn);
}

EXPORT int virConnectClose(virConnectPtr conn)
{
	int left = conn->refs - 1;

	check(conn->magic, MAGIC_CONNECT, "a connection");
	virResetLastError();
	drop(conn);
	return left;
}

EXPORT int virConnectSetKeepAlive(virConnectPtr conn, int interval, unsigned int count)
{
	check(conn->magic, MAGIC_CONNECT, "a connection");
	virResetLastError();
	return 1; /* a local connection needs none */
}

EXPORT int virConnectIsAlive(virConnectPtr conn)
{
	check(conn->magic, MAGIC_CONNECT, "a connection");
	virResetLastError();
	return !is_away(conn->host) && conn->daemon == daemons;
}

EXPORT char *virConnectGetHostname(virConnectPtr conn)
{
	if (enter("virConnectGetHostname", NULL, "%s", "") < 0)
		return NULL;
	return world_text(conn->host, "hostname", conn->host);
}

EXPORT int virConnectGetLibVersion(virConnectPtr conn, unsigned long *libVer)
{
	if (enter("virConnectGetLibVersion", NULL, "%s", "") < 0)
		return -1;
	*libVer = (unsigned long)world_number(conn->host, "libvirt-version", 11003000);
	return 0;
}

EXPORT int virConnectGetVersion(virConnectPtr conn, unsigned long *hvVer)
{
	if (enter("virConnectGetVersion", NULL, "%s", "") < 0)
		return -1;
	*hvVer = (unsigned long)world_number(conn->host, "qemu-version", 10000002);
	return 0;
}

EXPORT char *virConnectGetCapabilities(virConnectPtr conn)
{
	CLEANUP_TEXT char *path = world_path("%s/uuid", conn->host);
	CLEANUP_TEXT char *uuid = world_read(path);

	if (enter("virConnectGetCapabilities", NULL, "%s", "") < 0)
		return NULL;
	uuid[strcspn(uuid, "\n")] = '\0';
	return text("<capabilities>\n  <host>\n    <uuid>%s</uuid>\n    "
		    "<cpu><arch>x86_64</arch><model>Rome</model></cpu>\n"
		    "  </host>\n</capabilities>\n",
		uuid);
}

/* Settings: memory.total, memory.free (KiB). */
EXPORT int virNodeGetMemoryStats(virConnectPtr conn, int cellNum, virNodeMemoryStatsPtr params,
	int *nparams, unsigned int flags)
{
	static const char *const fields[] = { VIR_NODE_MEMORY_STATS_TOTAL,
		VIR_NODE_MEMORY_STATS_FREE, VIR_NODE_MEMORY_STATS_BUFFERS,
		VIR_NODE_MEMORY_STATS_CACHED };
	const unsigned long long values[] = { (unsigned long long)world_number(conn->host,
						      "memory.total", 8 << 20),
		(unsigned long long)world_number(conn->host, "memory.free", 6 << 20), 0, 0 };

	if (enter("virNodeGetMemoryStats", NULL, "%s", "") < 0)
		return -1;
	if (*nparams < 4)
		return refuse(VIR_ERR_INVALID_ARG, "nparams too small");
	for (int i = 0; i < 4; i++) {
		snprintf(params[i].field, sizeof(params[i].field), "%s", fields[i]);
		params[i].value = values[i];
	}
	*nparams = 4;
	return 0;
}

/* Settings: cpu.lacks=FEATURE, which CPUs that name it do not get; machine.lacks=TYPE. */
static int compare_cpu(virConnectPtr conn, const char *xml)
{
	CLEANUP_TEXT char *lacks = world_text(conn->host, "cpu.lacks", "");
	CLEANUP_TEXT char *why = NULL;

	lacks[strcspn(lacks, "\n")] = '\0';
	if (!*lacks || !strstr(xml, lacks))
		return VIR_CPU_COMPARE_SUPERSET;
	why = text("Host CPU does not provide required features: %s", lacks);
	return refuse(VIR_ERR_CPU_INCOMPATIBLE, why);
}

EXPORT int virConnectCompareCPU(virConnectPtr conn, const char *xmlDesc, unsigned int flags)
{
	if (enter("virConnectCompareCPU", NULL, "%s", "") < 0)
		return -1;
	return compare_cpu(conn, xmlDesc);
}

EXPORT int virConnectCompareHypervisorCPU(virConnectPtr conn, const char *emulator,
	const char *arch, const char *machine, const char *virttype, const char *xmlCPU,
	unsigned int flags)
{
	CLEANUP_TEXT char *why = NULL;

	if (enter("virConnectCompareHypervisorCPU", NULL, "%s", "") < 0)
		return -1;
	/* Only the distribution's own QEMU lacks it. */
	if (!machine || emulator || !world_is(conn->host, "machine.lacks", machine))
		return compare_cpu(conn, xmlCPU);
	why = text("the machine '%s' is not supported by emulator '/usr/bin/qemu-system-%s'",
		machine, arch);
	return refuse(VIR_ERR_INVALID_ARG, why);
}

/* ---- networks ---- */

static virNetworkPtr new_network(const char *host, const char *name)
{
	virNetworkPtr net = calloc(1, sizeof(*net));

	net->magic = MAGIC_NETWORK;
	snprintf(net->host, sizeof(net->host), "%s", host);
	snprintf(net->name, sizeof(net->name), "%s", name);
	return net;
}

EXPORT int virConnectListAllNetworks(virConnectPtr conn, virNetworkPtr **nets, unsigned int flags)
{
	CLEANUP_TEXT char *command_dir = world_path("%s/networks/index", conn->host);
	CLEANUP_TEXT char *index = NULL;
	char *rest;
	int n = 0;

	if (enter("virConnectListAllNetworks", NULL, "%s", "") < 0)
		return -1;
	index = world_read(command_dir);
	*nets = calloc(1, sizeof(**nets));
	rest = index;
	for (char *name; rest && (name = strsep(&rest, "\n"));) {
		if (!*name)
			continue;
		*nets = realloc(*nets, (size_t)(n + 2) * sizeof(**nets));
		(*nets)[n++] = new_network(conn->host, name);
		(*nets)[n] = NULL;
	}
	return n;
}

EXPORT virNetworkPtr virNetworkLookupByName(virConnectPtr conn, const char *name)
{
	CLEANUP_TEXT char *path = world_path("%s/networks/%s", conn->host, name);

	if (enter("virNetworkLookupByName", NULL, "%s", name) < 0)
		return NULL;
	if (access(path, F_OK) == 0)
		return new_network(conn->host, name);
	refuse(VIR_ERR_NO_NETWORK, "no network with matching name");
	return NULL;
}

EXPORT int virNetworkListAllPorts(virNetworkPtr network, virNetworkPortPtr **ports,
	unsigned int flags)
{
	char *xml;
	int n = 0;

	check(network->magic, MAGIC_NETWORK, "a network");
	if (enter("virNetworkListAllPorts", NULL, "%s", network->name) < 0)
		return -1;
	*ports = calloc(1, sizeof(**ports));
	while ((xml = network_port(network->host, network->name, (size_t)n))) {
		virNetworkPortPtr port = calloc(1, sizeof(*port));

		*port = (struct _virNetworkPort){ MAGIC_PORT, xml };
		*ports = realloc(*ports, (size_t)(n + 2) * sizeof(**ports));
		(*ports)[n++] = port;
		(*ports)[n] = NULL;
	}
	return n;
}

EXPORT char *virNetworkPortGetXMLDesc(virNetworkPortPtr port, unsigned int flags)
{
	check(port->magic, MAGIC_PORT, "a port");
	return strdup(port->xml);
}

EXPORT int virNetworkPortFree(virNetworkPortPtr port)
{
	check(port->magic, MAGIC_PORT, "a port");
	port->magic = 0;
	free(port->xml);
	free(port);
	return 0;
}

EXPORT const char *virNetworkGetName(virNetworkPtr network)
{
	check(network->magic, MAGIC_NETWORK, "a network");
	return network->name;
}

EXPORT char *virNetworkGetXMLDesc(virNetworkPtr network, unsigned int flags)
{
	CLEANUP_TEXT char *path = world_path("%s/networks/%s", network->host, network->name);
	char *xml;

	check(network->magic, MAGIC_NETWORK, "a network");
	if (enter("virNetworkGetXMLDesc", NULL, "%s", network->name) < 0)
		return NULL;
	xml = world_read(path);
	if (!xml)
		refuse(VIR_ERR_NO_NETWORK, "no network with matching name");
	return xml;
}

EXPORT int virNetworkFree(virNetworkPtr network)
{
	check(network->magic, MAGIC_NETWORK, "a network");
	network->magic = 0;
	free(network);
	return 0;
}

/* ---- domains: finding, handles ---- */

EXPORT int virConnectListAllDomains(virConnectPtr conn, virDomainPtr **domains, unsigned int flags)
{
	struct dom *list;
	size_t n;

	if (enter("virConnectListAllDomains", NULL, "%s", "") < 0)
		return -1;
	n = dom_list(conn->host, &list);
	*domains = calloc(n + 1, sizeof(**domains));
	for (size_t i = 0; i < n; i++)
		(*domains)[i] = new_domain(conn, &list[i]);
	free(list);
	return (int)n;
}

static virDomainPtr look_up(virConnectPtr conn, const char *key, bool by_name)
{
	struct dom dom;

	check(conn->magic, MAGIC_CONNECT, "a connection");
	if (dom_find(conn->host, key, by_name, &dom))
		return new_domain(conn, &dom);
	fail(VIR_ERR_NO_DOMAIN, "no domain with matching %s '%s'", by_name ? "name" : "uuid", key);
	failed();
	return NULL;
}

EXPORT virDomainPtr virDomainLookupByName(virConnectPtr conn, const char *name)
{
	if (enter("virDomainLookupByName", NULL, "%s", name) < 0)
		return NULL;
	return look_up(conn, name, true);
}

static bool is_uuid(const char *s)
{
	size_t digits = 0;

	for (; *s; s++)
		if (isxdigit((unsigned char)*s))
			digits++;
		else if (*s != '-' && !isspace((unsigned char)*s))
			return false;
	return digits == 32;
}

/* However it is spelled, in libvirt's way. */
static void normalise_uuid(const char *s, char ret[VIR_UUID_STRING_BUFLEN])
{
	size_t n = 0;

	for (; *s; s++) {
		if (!isxdigit((unsigned char)*s))
			continue;
		if (n == 8 || n == 13 || n == 18 || n == 23)
			ret[n++] = '-';
		ret[n++] = (char)tolower((unsigned char)*s);
	}
	ret[n] = '\0';
}

EXPORT virDomainPtr virDomainLookupByUUIDString(virConnectPtr conn, const char *uuid)
{
	char canonical[VIR_UUID_STRING_BUFLEN];

	if (enter("virDomainLookupByUUIDString", NULL, "%s", uuid) < 0)
		return NULL;
	if (!is_uuid(uuid)) {
		refuse(VIR_ERR_INVALID_ARG,
			"uuidstr in virDomainLookupByUUIDString must be a valid UUID");
		return NULL;
	}
	normalise_uuid(uuid, canonical);
	return look_up(conn, canonical, false);
}

EXPORT int virDomainRef(virDomainPtr domain)
{
	check(domain->magic, MAGIC_DOMAIN, "a domain");
	__atomic_add_fetch(&domain->refs, 1, __ATOMIC_SEQ_CST);
	return 0;
}

EXPORT int virDomainFree(virDomainPtr domain)
{
	check(domain->magic, MAGIC_DOMAIN, "a domain");
	if (__atomic_sub_fetch(&domain->refs, 1, __ATOMIC_SEQ_CST) > 0)
		return 0;
	domain->magic = 0;
	drop(domain->conn);
	free(domain);
	return 0;
}

EXPORT const char *virDomainGetName(virDomainPtr domain)
{
	check(domain->magic, MAGIC_DOMAIN, "a domain");
	return domain->dom.name;
}

EXPORT int virDomainGetUUIDString(virDomainPtr domain, char *buf)
{
	check(domain->magic, MAGIC_DOMAIN, "a domain");
	strcpy(buf, domain->dom.uuid);
	return 0;
}

/* Into a function about a domain that has to be there still. */
static int enter_domain(const char *call, virDomainPtr d, int *ret_late, const char *detail)
{
	struct dom same;

	check(d->magic, MAGIC_DOMAIN, "a domain");
	if (enter(call, ret_late, "%s%s%s", d->dom.name, *detail ? " " : "", detail) < 0)
		return -1;
	if (dom_find(d->dom.host, d->dom.uuid, false, &same))
		return 0;
	fail(VIR_ERR_NO_DOMAIN, "no domain with matching uuid '%s' (%s)", d->dom.uuid, d->dom.name);
	return failed();
}

/* ---- domains: looking ---- */

EXPORT int virDomainGetState(virDomainPtr domain, int *state, int *reason, unsigned int flags)
{
	int why;

	if (enter_domain("virDomainGetState", domain, NULL, "") < 0)
		return -1;
	dom_state(&domain->dom, state, reason ? reason : &why);
	return 0;
}

EXPORT int virDomainIsActive(virDomainPtr domain)
{
	if (enter_domain("virDomainIsActive", domain, NULL, "") < 0)
		return -1;
	return dom_is_active(&domain->dom);
}

EXPORT int virDomainIsPersistent(virDomainPtr domain)
{
	if (enter_domain("virDomainIsPersistent", domain, NULL, "") < 0)
		return -1;
	return dom_is_persistent(&domain->dom);
}

EXPORT int virDomainSnapshotNum(virDomainPtr domain, unsigned int flags)
{
	if (enter_domain("virDomainSnapshotNum", domain, NULL, "") < 0)
		return -1;
	return (int)world_number(domain->conn->host, "snapshots", 0);
}

EXPORT int virDomainGetBlockJobInfo(virDomainPtr domain, const char *disk,
	virDomainBlockJobInfoPtr info, unsigned int flags)
{
	if (enter_domain("virDomainGetBlockJobInfo", domain, NULL, disk) < 0)
		return -1;
	return world_is(domain->conn->host, "block-job", disk);
}

EXPORT int virDomainHasManagedSaveImage(virDomainPtr domain, unsigned int flags)
{
	if (enter_domain("virDomainHasManagedSaveImage", domain, NULL, "") < 0)
		return -1;
	return (int)world_number(domain->conn->host, "saved", 0);
}

EXPORT int virDomainGetAutostart(virDomainPtr domain, int *autostart)
{
	if (enter_domain("virDomainGetAutostart", domain, NULL, "") < 0)
		return -1;
	*autostart = dom_autostart(&domain->dom);
	return 0;
}

EXPORT int virDomainSetAutostart(virDomainPtr domain, int autostart)
{
	int late;

	if (enter_domain("virDomainSetAutostart", domain, &late, autostart ? "on" : "off") < 0)
		return -1;
	if (!dom_is_persistent(&domain->dom))
		return refuse(VIR_ERR_OPERATION_INVALID,
			"cannot set autostart for transient domain");
	if (autostart)
		dom_write(&domain->dom, "autostart", "");
	else
		dom_remove(&domain->dom, "autostart");
	return leave("virDomainSetAutostart", 0, late);
}

EXPORT char *virDomainGetXMLDesc(virDomainPtr domain, unsigned int flags)
{
	const char *which = flags & VIR_DOMAIN_XML_INACTIVE     ? "inactive"
			    : flags & VIR_DOMAIN_XML_MIGRATABLE ? "migratable"
								: "live";
	char *xml;

	if (enter_domain("virDomainGetXMLDesc", domain, NULL, which) < 0)
		return NULL;
	xml = dom_xml(&domain->dom, flags);
	if (!xml)
		failed();
	return xml;
}

EXPORT virDomainPtr virDomainDefineXMLFlags(virConnectPtr conn, const char *xml, unsigned int flags)
{
	struct dom dom;
	int late;

	if (enter("virDomainDefineXMLFlags", &late, "%s", "") < 0)
		return NULL;
	if (leave("virDomainDefineXMLFlags", dom_define(conn->host, xml, &dom), late) < 0)
		return NULL;
	return new_domain(conn, &dom);
}

EXPORT int virDomainUndefineFlags(virDomainPtr domain, unsigned int flags)
{
	int late;

	if (enter_domain("virDomainUndefineFlags", domain, &late, "") < 0)
		return -1;
	return leave("virDomainUndefineFlags", dom_undefine(&domain->dom), late);
}

/* ---- devices ---- */

EXPORT int virDomainDetachDeviceAlias(virDomainPtr domain, const char *alias, unsigned int flags)
{
	int late;

	if (enter_domain("virDomainDetachDeviceAlias", domain, &late, alias) < 0)
		return -1;
	if (flags != VIR_DOMAIN_AFFECT_LIVE)
		return refuse(VIR_ERR_INVALID_ARG,
			"the fake detaches from the running domain only");
	return leave("virDomainDetachDeviceAlias", dom_detach(&domain->dom, alias), late);
}

EXPORT int virDomainAttachDeviceFlags(virDomainPtr domain, const char *xml, unsigned int flags)
{
	int late;

	if (enter_domain("virDomainAttachDeviceFlags", domain, &late, "") < 0)
		return -1;
	/* "Attempted double use of PCI Address", because the definition has the device already. */
	if (flags & VIR_DOMAIN_AFFECT_CONFIG)
		return refuse(VIR_ERR_XML_ERROR, "Attempted double use of PCI Address");
	return leave("virDomainAttachDeviceFlags", dom_attach(&domain->dom, xml), late);
}

EXPORT int virDomainUpdateDeviceFlags(virDomainPtr domain, const char *xml, unsigned int flags)
{
	int late;

	if (enter_domain("virDomainUpdateDeviceFlags", domain, &late, "") < 0)
		return -1;
	return leave("virDomainUpdateDeviceFlags", dom_update(&domain->dom, xml), late);
}

static bool has_agent(xmlDoc *live)
{
	for (xmlNode *c = node_child(doc_devices(live), "channel"); c; c = node_next(c, "channel"))
		if (node_is(node_child(c, "target"), "name", "org.qemu.guest_agent.0"))
			return node_is(node_child(c, "target"), "state", "connected");
	return false;
}

static void add_guest_nic(virDomainInterfacePtr **ifaces, int *n, const char *name, const char *mac)
{
	virDomainInterfacePtr nic = calloc(1, sizeof(*nic));

	nic->name = strdup(name);
	nic->hwaddr = strdup(mac);
	*ifaces = realloc(*ifaces, (size_t)(*n + 1) * sizeof(**ifaces));
	(*ifaces)[(*n)++] = nic;
}

/* The VF beside the standby with this alias, if the guest drives it. */
static bool is_paired(const struct dom *d, xmlDoc *live, const char *standby)
{
	for (xmlNode *v = device_next(doc_devices(live), NULL); v; v = device_next(NULL, v))
		if (node_is(node_child(v, "teaming"), "persistent", standby))
			return device_is_driven(d, v);
	return false;
}

/* net_failover's master and standby, and the VF. */
static int guest_nics(const struct dom *d, xmlDoc *live, virDomainInterfacePtr **ifaces)
{
	int n = 0;

	add_guest_nic(ifaces, &n, "lo", "00:00:00:00:00:00");
	for (xmlNode *i = node_child(doc_devices(live), "interface"); i;
		i = node_next(i, "interface")) {
		CLEANUP_TEXT char *mac = node_get(node_child(i, "mac"), "address");
		CLEANUP_TEXT char *alias = node_get(node_child(i, "alias"), "name");

		if (!node_is(node_child(i, "teaming"), "type", "persistent"))
			continue;
		/* Setting guest.failover=none: the guest leaves both as they are. */
		if (!world_is(d->host, "guest.failover", "none"))
			add_guest_nic(ifaces, &n, "eth0", mac);
		add_guest_nic(ifaces, &n, "eth0nsby", mac);
		if (is_paired(d, live, alias))
			add_guest_nic(ifaces, &n, "eth1", mac);
	}
	return n;
}

EXPORT int virDomainInterfaceAddresses(virDomainPtr dom, virDomainInterfacePtr **ifaces,
	unsigned int source, unsigned int flags)
{
	CLEANUP_DOC xmlDoc *live = NULL;

	*ifaces = NULL;
	if (enter_domain("virDomainInterfaceAddresses", dom, NULL, "") < 0)
		return -1;
	if (source != VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
		return refuse(VIR_ERR_OPERATION_UNSUPPORTED, "only the agent is asked here");
	live = dom_live(&dom->dom);
	if (!live)
		return refuse(VIR_ERR_OPERATION_INVALID, "domain is not running");
	if (!has_agent(live))
		return refuse(VIR_ERR_AGENT_UNRESPONSIVE, "QEMU guest agent is not connected");
	if (world_is(dom->dom.host, "agent", "stuck"))
		sleep_ms(AGENT_STUCK_MS);
	if (world_is(dom->dom.host, "agent", "dead")) {
		sleep_ms(AGENT_DEAD_MS);
		return refuse(VIR_ERR_AGENT_UNRESPONSIVE, "guest agent command timed out");
	}
	return guest_nics(&dom->dom, live, ifaces);
}

EXPORT void virDomainInterfaceFree(virDomainInterfacePtr iface)
{
	if (!iface)
		return;
	free(iface->name);
	free(iface->hwaddr);
	free(iface);
}

/* ---- life and death ---- */

static int set_paused(virDomainPtr domain, bool paused)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	const struct dom *d = &domain->dom;

	if (!dom_is_active(d))
		return fail(VIR_ERR_OPERATION_INVALID, "domain is not running");
	if (!paused && dom_job(d) == JOB_IN)
		return fail(VIR_ERR_OPERATION_INVALID, "domain is being migrated in");
	if (paused)
		dom_set_state(d, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER);
	else
		dom_set_state(d, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_UNPAUSED);
	world_event(d->host, d->uuid, "lifecycle %d %d",
		paused ? VIR_DOMAIN_EVENT_SUSPENDED : VIR_DOMAIN_EVENT_RESUMED, 0);
	return 0;
}

EXPORT int virDomainResume(virDomainPtr domain)
{
	int late;

	if (enter_domain("virDomainResume", domain, &late, "") < 0)
		return -1;
	return leave("virDomainResume", set_paused(domain, false), late);
}

EXPORT int virDomainSuspend(virDomainPtr domain)
{
	int late;

	if (enter_domain("virDomainSuspend", domain, &late, "") < 0)
		return -1;
	return leave("virDomainSuspend", set_paused(domain, true), late);
}

EXPORT int virDomainDestroy(virDomainPtr domain)
{
	int late;

	if (enter_domain("virDomainDestroy", domain, &late, "") < 0)
		return -1;
	if (!dom_is_active(&domain->dom))
		return refuse(VIR_ERR_OPERATION_INVALID, "domain is not running");
	dom_stop(&domain->dom, VIR_DOMAIN_SHUTOFF_DESTROYED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED);
	return leave("virDomainDestroy", 0, late);
}

/* ---- jobs ---- */

struct job_stats {
	long long elapsed, total, processed, remaining;
	long iteration;
};

static struct job_stats read_stats(const struct dom *d)
{
	CLEANUP_TEXT char *line = dom_read(d, "job.stats");
	struct job_stats s = { 0 };

	if (line)
		sscanf(line, "%lld %lld %lld %lld %ld", &s.elapsed, &s.total, &s.processed,
			&s.remaining, &s.iteration);
	return s;
}

/* As libvirt answers for a domain that comes in. */
static int refuse_incoming(const struct dom *d)
{
	if (!dom_is_active(d))
		return refuse(VIR_ERR_OPERATION_INVALID, "domain is not running");
	if (dom_job(d) == JOB_IN)
		return refuse(VIR_ERR_OPERATION_INVALID,
			"migration statistics are available only on the source host");
	return 0;
}

/* What a job says of itself, as it is gathered. */
struct job_params {
	virTypedParameterPtr v;
	int n, max;
};

static void add_number(struct job_params *p, const char *name, long long value)
{
	virTypedParamsAddULLong(&p->v, &p->n, &p->max, name, (unsigned long long)value);
}

static void add_operation(struct job_params *p, int value)
{
	virTypedParamsAddInt(&p->v, &p->n, &p->max, VIR_DOMAIN_JOB_OPERATION, value);
}

static int completed_stats(const struct dom *d, int *type, struct job_params *p, bool keep)
{
	CLEANUP_TEXT char *line = dom_read(d, "completed");
	long long total, downtime, net;

	*type = VIR_DOMAIN_JOB_NONE;
	if (!line || sscanf(line, "%lld %lld %lld", &total, &downtime, &net) != 3)
		return 0;
	*type = VIR_DOMAIN_JOB_COMPLETED;
	add_number(p, VIR_DOMAIN_JOB_TIME_ELAPSED, total);
	add_number(p, VIR_DOMAIN_JOB_DOWNTIME, downtime);
	add_number(p, VIR_DOMAIN_JOB_DOWNTIME_NET, net);
	if (!keep)
		dom_remove(d, "completed");
	return 0;
}

static int running_stats(const struct dom *d, int *type, struct job_params *p)
{
	struct job_stats s;

	if (refuse_incoming(d) < 0)
		return -1;
	*type = VIR_DOMAIN_JOB_NONE;
	if (dom_job(d) == JOB_NONE)
		return 0;
	*type = VIR_DOMAIN_JOB_UNBOUNDED;
	if (dom_job(d) == JOB_BACKUP) {
		add_operation(p, VIR_DOMAIN_JOB_OPERATION_BACKUP);
		return 0;
	}
	s = read_stats(d);
	add_operation(p, VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT);
	add_number(p, VIR_DOMAIN_JOB_TIME_ELAPSED, s.elapsed);
	add_number(p, VIR_DOMAIN_JOB_DATA_TOTAL, s.total);
	add_number(p, VIR_DOMAIN_JOB_DATA_PROCESSED, s.processed);
	add_number(p, VIR_DOMAIN_JOB_MEMORY_PROCESSED, s.processed);
	add_number(p, VIR_DOMAIN_JOB_DATA_REMAINING, s.remaining);
	add_number(p, VIR_DOMAIN_JOB_MEMORY_BPS, 1024 * 1024 * 100);
	add_number(p, VIR_DOMAIN_JOB_MEMORY_ITERATION, s.iteration);
	return 0;
}

EXPORT int virDomainGetJobStats(virDomainPtr domain, int *type, virTypedParameterPtr *params,
	int *nparams, unsigned int flags)
{
	bool completed = flags & VIR_DOMAIN_JOB_STATS_COMPLETED;
	struct job_params p = { 0 };
	int ret;

	ret = enter_domain("virDomainGetJobStats", domain, NULL, completed ? "completed" : "");
	if (ret == 0 && completed)
		ret = completed_stats(&domain->dom, type, &p,
			flags & VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED);
	else if (ret == 0)
		ret = running_stats(&domain->dom, type, &p);
	*params = p.v;
	*nparams = p.n;
	return ret;
}

EXPORT int virDomainAbortJob(virDomainPtr domain)
{
	int late;

	if (enter_domain("virDomainAbortJob", domain, &late, "") < 0)
		return -1;
	return leave("virDomainAbortJob", migrate_abort(&domain->dom), late);
}

/* ---- migration ---- */

static const char *string_param(virTypedParameterPtr params, unsigned int n, const char *name)
{
	for (unsigned int i = 0; i < n; i++)
		if (strcmp(params[i].field, name) == 0 && params[i].type == VIR_TYPED_PARAM_STRING)
			return params[i].value.s;
	return NULL;
}

/* Everything that was asked for, for the tests to look at. */
static char *describe(virTypedParameterPtr params, unsigned int n, unsigned int flags)
{
	char *s = text("flags 0x%x", flags);

	for (unsigned int i = 0; i < n; i++) {
		CLEANUP_TEXT char *before = s;

		if (params[i].type != VIR_TYPED_PARAM_STRING)
			s = text("%s %s=%lld", before, params[i].field,
				params[i].type == VIR_TYPED_PARAM_INT
					? params[i].value.i
					: (long long)params[i].value.ul);
		else if (strstr(params[i].field, "xml"))
			s = text("%s %s", before, params[i].field);
		else
			s = text("%s %s=%s", before, params[i].field, params[i].value.s);
	}
	return s;
}

static int migrate(const char *call, virDomainPtr domain, const char *host,
	virTypedParameterPtr params, unsigned int n, unsigned int flags, bool client_driven)
{
	CLEANUP_TEXT char *what = describe(params, n, flags);
	struct migration m = {
		.destination = host,
		.flags = flags,
		.dest_xml = string_param(params, n, VIR_MIGRATE_PARAM_DEST_XML),
		.persist_xml = string_param(params, n, VIR_MIGRATE_PARAM_PERSIST_XML),
		.client_driven = client_driven,
	};
	int late;

	if (enter_domain(call, domain, &late, what) < 0)
		return -1;
	if (!host)
		return refuse(VIR_ERR_OPERATION_FAILED,
			"Failed to connect to remote libvirt URI: Cannot recv data: ssh: Could not "
			"resolve hostname: Name or service not known: Connection reset by "
			"peer");
	return leave(call, migrate_start(&domain->dom, &m), late);
}

EXPORT int virDomainMigrateToURI3(virDomainPtr domain, const char *dconnuri,
	virTypedParameterPtr params, unsigned int nparams, unsigned int flags)
{
	CLEANUP_TEXT char *host = host_of_uri(dconnuri);

	if (!(flags & VIR_MIGRATE_PEER2PEER))
		return refuse(VIR_ERR_INVALID_ARG, "the fake migrates to a URI peer-to-peer only");
	return migrate("virDomainMigrateToURI3", domain, host, params, nparams, flags, false);
}

EXPORT virDomainPtr virDomainMigrate3(virDomainPtr domain, virConnectPtr dconn,
	virTypedParameterPtr params, unsigned int nparams, unsigned int flags)
{
	struct dom there;

	check(dconn->magic, MAGIC_CONNECT, "a connection");
	if (migrate("virDomainMigrate3", domain, dconn->host, params, nparams, flags, true) < 0)
		return NULL;
	if (!dom_find(dconn->host, domain->dom.uuid, false, &there)) {
		refuse(VIR_ERR_NO_DOMAIN, "no domain with matching uuid");
		return NULL;
	}
	return new_domain(dconn, &there);
}
