/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "virt/priv.h"
#include "xml/domain.h"
#include "xml/pair.h"

static enum err_kind kind_of(const virError *last)
{
	if (!last)
		return ERR_FAILED;
	switch (last->code) {
	case VIR_ERR_NO_DOMAIN:
	case VIR_ERR_NO_NETWORK:
	case VIR_ERR_DEVICE_MISSING:
		return ERR_NOT_FOUND;
	case VIR_ERR_OPERATION_ABORTED:
		return ERR_CANCELLED;
	case VIR_ERR_OPERATION_TIMEOUT:
		return ERR_TIMEOUT;
	default:
		return ERR_FAILED;
	}
}

int virt_err(struct err *e, const char *fmt, ...)
{
	const virError *last = virGetLastError();
	CLEANUP_FREE char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = str_vprintf(fmt, ap);
	va_end(ap);
	err_set_kind(e, kind_of(last), "%s: libvirt says \"%s\"", what,
		last && last->message ? last->message : "unknown error");
	virResetLastError();
	return -1;
}

static void be_silent(void *arg, virErrorPtr error)
{
}

/* Names and passwords come from libvirt's auth.conf, as its daemon takes them for a migration. */
virConnectPtr virt_connect(const char *uri)
{
	static int from_file[] = { VIR_CRED_AUTHNAME, VIR_CRED_PASSPHRASE };
	virConnectAuth auth = { .credtype = from_file, .ncredtype = ARRAY_SIZE(from_file) };

	return virConnectOpenAuth(uri, &auth, 0);
}

static int connect_libvirt(struct virt *v, const char *uri, struct err *e)
{
	log_debug("libvirt: connect to %s", uri);
	v->conn = virt_connect(uri);
	if (!v->conn) {
		virt_err(e, "connection to %s", uri);
		return err_hint(e, "Is libvirtd (or virtqemud) running, and may this user use it?");
	}
	if (virConnectSetKeepAlive(v->conn, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT) < 0)
		virResetLastError(); /* not on a local connection of some versions */
	return 0;
}

int virt_open(const char *uri, struct cancel *wake, struct virt **ret, struct err *e)
{
	struct virt *v = mem_new(sizeof(*v));

	pthread_mutex_init(&v->lock, NULL);
	v->wake = wake;
	v->uri = str_dup(uri ? uri : "qemu:///system");
	virSetErrorFunc(NULL, be_silent);
	/* The event loop must exist before the connection is opened. */
	if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
		virt_err(e, "libvirt's event loop");
	else if (connect_libvirt(v, v->uri, e) == 0 && virt_events_start(v, e) == 0) {
		*ret = v;
		return 0;
	}
	virt_close(v);
	return -1;
}

bool virt_is_alive(struct virt *v)
{
	return v->conn && virConnectIsAlive(v->conn) == 1;
}

int virt_ensure(struct virt *v, struct err *e)
{
	if (virt_is_alive(v))
		return 0;
	log_debug("libvirt: the connection is gone, opening another");
	virt_events_unwatch(v);
	if (v->conn)
		virConnectClose(v->conn);
	v->conn = NULL;
	if (connect_libvirt(v, v->uri, e) < 0)
		return -1;
	if (virt_events_watch(v, e) == 0)
		return 0;
	/* One without events is none. */
	virt_events_unwatch(v);
	virConnectClose(v->conn);
	v->conn = NULL;
	return -1;
}

void virt_close(struct virt *v)
{
	if (!v)
		return;
	virt_events_stop(v);
	if (v->conn)
		virConnectClose(v->conn);
	for (size_t i = 0; i < v->n_events; i++)
		free(v->events[i].detail);
	free(v->events);
	free(v->uri);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

/* libvirt decodes a parameter's name and does not care for its case. */
static int check_uri_parameter(const char *uri, const char *name, size_t length, struct err *e)
{
	static const char *const programs[] = { "command", "netcat", "proxy" };

	if (memchr(name, '%', length))
		return err_set_kind(e, ERR_REFUSED,
			"the URI %s is refused: a parameter's name is written in a way that hides it",
			uri);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (strlen(programs[i]) == length && strncasecmp(name, programs[i], length) == 0)
			return err_set_kind(e, ERR_REFUSED,
				"the URI %s is refused: it names a program", uri);
	return 0;
}

int virt_check_uri(const char *uri, struct err *e)
{
	const char *s = uri ? strchr(uri, '?') : NULL;

	while (s) {
		s++;
		if (check_uri_parameter(uri, s, strcspn(s, "=&;#"), e) < 0)
			return -1;
		s = strpbrk(s, "&;");
	}
	return 0;
}

/* What ssh gets from the environment of whoever started this, and not from a daemon's. */
static const char *const operators[] = { "SSH_AUTH_SOCK", "SSH_ASKPASS", "KRB5CCNAME" };

static void hide_operator(char *kept[ARRAY_SIZE(operators)])
{
	for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
		kept[i] = str_dup(getenv(operators[i]));
		unsetenv(operators[i]);
	}
}

static void bring_back_operator(char *kept[ARRAY_SIZE(operators)])
{
	for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
		if (kept[i])
			setenv(operators[i], kept[i], 1);
		free(kept[i]);
	}
}

enum { REACH_LIMIT_MS = 20000 };

struct
try {
	char *uri; /* owned */
	bool as_daemon;
	char *uuid; /* owned; of the host that answers */
};

static void try_free(void *arg)
{
	struct try *t = arg;

	free(t->uri);
	free(t->uuid);
	free(t);
}

static int try_to_reach(void *arg, struct err *e)
{
	struct try *t = arg;
	bool ssh = strstr(t->uri, "+ssh://") != NULL;
	CLEANUP_FREE char *silent = str_printf("%s%s%s", t->uri, strchr(t->uri, '?') ? "&" : "?",
		ssh ? "no_tty=1" : "");
	char *kept[ARRAY_SIZE(operators)] = { 0 };
	CLEANUP_FREE char *capabilities = NULL;
	struct err ignored;
	virConnectPtr conn;

	if (t->as_daemon)
		hide_operator(kept);
	conn = virt_connect(ssh ? silent : t->uri);
	if (t->as_daemon)
		bring_back_operator(kept);
	if (!conn)
		return virt_err(e, "connection to %s", t->uri);
	capabilities = virConnectGetCapabilities(conn);
	/* What does not tell its UUID may be the right one. */
	if (!capabilities || xml_host_uuid(capabilities, &t->uuid, &ignored) < 0)
		t->uuid = NULL;
	virConnectClose(conn);
	return 0;
}

int virt_reach(const char *uri, bool as_daemon, char **ret_uuid, struct err *e)
{
	CLEANUP_FREE char *what = str_printf("connection to %s", uri);
	struct try *t = mem_new(sizeof(*t));
	int r;

	t->uri = str_dup(uri);
	t->as_daemon = as_daemon;
	log_debug("libvirt: try %s", uri);
	r = virt_aside(&(struct virt_aside){ what, try_to_reach, try_free, t }, REACH_LIMIT_MS, e);
	if (r == VIRT_LEFT)
		return -1;
	*ret_uuid = TAKE_PTR(t->uuid);
	try_free(t);
	return r;
}

static int read_capabilities(struct virt *v, struct virt_host *h, struct err *e)
{
	CLEANUP_FREE char *capabilities = virConnectGetCapabilities(v->conn);

	if (!capabilities)
		return virt_err(e, "capabilities of the host");
	h->cpu = xml_host_cpu(capabilities);
	return xml_host_uuid(capabilities, &h->uuid, e);
}

int virt_memory_get(struct virt *v, int64_t *ret_total, int64_t *ret_available, struct err *e)
{
	virNodeMemoryStats stats[16];
	int64_t total = 0, available = 0;
	int n = (int)ARRAY_SIZE(stats);

	if (virNodeGetMemoryStats(v->conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats, &n, 0) < 0)
		return virt_err(e, "memory of the host");
	for (int i = 0; i < n; i++) {
		if (str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_TOTAL))
			total = (int64_t)stats[i].value;
		else if (str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_FREE) ||
			 str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_BUFFERS) ||
			 str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_CACHED))
			available += (int64_t)stats[i].value;
	}
	*ret_total = total;
	*ret_available = available;
	return 0;
}

/* libvirt has no code of its own for a machine type that QEMU does not have. */
static enum virt_fit why_not(const struct virt_cpu *cpu, char **ret_reason)
{
	const virError *last = virGetLastError();
	enum virt_fit fit = VIRT_FIT_UNKNOWN;

	if (last && last->code == VIR_ERR_CPU_INCOMPATIBLE)
		fit = VIRT_FIT_NO_CPU;
	else if (last && last->code == VIR_ERR_INVALID_ARG && cpu->machine && last->message &&
		 strstr(last->message, cpu->machine))
		fit = VIRT_FIT_NO_MACHINE;
	if (fit != VIRT_FIT_UNKNOWN)
		*ret_reason = str_dup(last->message);
	virResetLastError();
	return fit;
}

enum virt_fit virt_fits(struct virt *v, const struct virt_cpu *cpu, char **ret_reason)
{
	int r;

	log_debug("libvirt: compare CPU %s", cpu->xml);
	if (cpu->is_host)
		r = virConnectCompareCPU(v->conn, cpu->xml,
			VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE);
	else
		r = virConnectCompareHypervisorCPU(v->conn, cpu->emulator, cpu->arch, cpu->machine,
			cpu->virt_type, cpu->xml, VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE);
	if (r == VIR_CPU_COMPARE_IDENTICAL || r == VIR_CPU_COMPARE_SUPERSET)
		return VIRT_FIT_YES;
	return why_not(cpu, ret_reason);
}

int virt_host_get(struct virt *v, struct virt_host *ret, struct err *e)
{
	struct virt_host h = { 0 };
	unsigned long version = 0;

	h.hostname = virConnectGetHostname(v->conn);
	if (!h.hostname)
		return virt_err(e, "name of the host");
	if (virConnectGetLibVersion(v->conn, &version) < 0) {
		virt_host_free(&h);
		return virt_err(e, "version of libvirt");
	}
	h.libvirt = (int64_t)version;
	version = 0;
	if (virConnectGetVersion(v->conn, &version) < 0)
		virResetLastError();
	h.qemu = (int64_t)version;
	if (read_capabilities(v, &h, e) < 0) {
		virt_host_free(&h);
		return -1;
	}
	*ret = h;
	return 0;
}

void virt_host_free(struct virt_host *h)
{
	free(h->hostname);
	free(h->uuid);
	free(h->cpu);
	*h = (struct virt_host){ 0 };
}

void virt_texts_free(struct virt_texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i]);
	free(t->v);
	*t = (struct virt_texts){ 0 };
}

static void add_network(virNetworkPtr net, struct virt_texts *texts)
{
	char *xml = virNetworkGetXMLDesc(net, 0);

	if (!xml) {
		virResetLastError(); /* gone since it was listed */
		return;
	}
	*(char **)mem_append(&texts->v, &texts->n, sizeof(char *)) =
		str_dup(virNetworkGetName(net));
	*(char **)mem_append(&texts->v, &texts->n, sizeof(char *)) = xml;
}

int virt_networks(struct virt *v, struct virt_texts *ret, struct err *e)
{
	struct virt_texts texts = { 0 };
	virNetworkPtr *nets = NULL;
	int n = virConnectListAllNetworks(v->conn, &nets, VIR_CONNECT_LIST_NETWORKS_ACTIVE);

	if (n < 0)
		return virt_err(e, "list of networks");
	for (int i = 0; i < n; i++) {
		add_network(nets[i], &texts);
		virNetworkFree(nets[i]);
	}
	free(nets);
	*ret = texts;
	return 0;
}

static void add_port(virNetworkPortPtr port, struct virt_texts *texts)
{
	char *xml = virNetworkPortGetXMLDesc(port, 0);

	if (xml)
		*(char **)mem_append(&texts->v, &texts->n, sizeof(char *)) = xml;
	else
		virResetLastError(); /* gone since it was listed */
}

int virt_network_ports(struct virt *v, const char *name, struct virt_texts *ret, struct err *e)
{
	virNetworkPtr net = virNetworkLookupByName(v->conn, name);
	virNetworkPortPtr *ports = NULL;
	int n = net ? virNetworkListAllPorts(net, &ports, 0) : -1;

	if (n < 0)
		virt_err(e, "ports of network \"%s\"", name);
	for (int i = 0; i < n; i++) {
		add_port(ports[i], ret);
		virNetworkPortFree(ports[i]);
	}
	free(ports);
	if (net)
		virNetworkFree(net);
	return n < 0 ? -1 : 0;
}
