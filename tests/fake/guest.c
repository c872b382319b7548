/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation: the process opens the taps, so they have carrier and the bridge forwards
 * to them, reads and forgets what comes out of them, and sends RARPs when told to (SIGUSR1). It
 * ends on SIGTERM, its taps with it, or when the test is over.
 *
 * With the setting guest.talks=MS it sends a frame that often by its standby, while that is up
 * and no VF is driven, and for guest.lag MS after one is: the time a VF takes to have carrier in
 * the guest.
 */
#include "guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libvirt/virterror.h>
#include <linux/if_ether.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nic.h"
#include "world.h"

enum { MAX_TAPS = 8, IDLE_MS = 200, STOP_LIMIT_MS = 5000, RARP_SIZE = 60 };

struct tap {
	char name[IF_NAMESIZE], bridge[IF_NAMESIZE], alias[64];
	uint8_t mac[6];
	int fd;
	bool talks;   /* sent a frame at its last chance */
	int64_t used; /* when the guest last had nothing but this standby */
};

struct guest {
	struct tap taps[MAX_TAPS];
	size_t n;
};

static volatile sig_atomic_t announce_asked;

static void on_announce(int signal)
{
	announce_asked = 1;
}

static void copy_attr(xmlNode *node, const char *attr, char *ret, size_t size)
{
	CLEANUP_TEXT char *value = node_get(node, attr);

	snprintf(ret, size, "%s", value ? value : "");
}

static void find_taps(xmlDoc *live, struct guest *g)
{
	for (xmlNode *i = node_child(doc_devices(live), "interface"); i;
		i = node_next(i, "interface")) {
		CLEANUP_TEXT char *mac = node_get(node_child(i, "mac"), "address");
		struct tap *t = &g->taps[g->n];

		copy_attr(node_child(i, "source"), "bridge", t->bridge, sizeof(t->bridge));
		if (!t->bridge[0] || g->n == MAX_TAPS || node_is(i, "type", "hostdev"))
			continue;
		copy_attr(node_child(i, "target"), "dev", t->name, sizeof(t->name));
		copy_attr(node_child(i, "alias"), "name", t->alias, sizeof(t->alias));
		if (mac)
			mac_from_text(mac, t->mac);
		g->n++;
	}
}

/* As libvirt does it: the guest's address with another first byte. */
static void set_tap_mac(int sock, const struct tap *t)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", t->name);
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, t->mac, 6);
	ifr.ifr_hwaddr.sa_data[0] = (char)0xfe;
	ioctl(sock, SIOCSIFHWADDR, &ifr);
}

static int enslave(int sock, const struct tap *t)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", t->bridge);
	ifr.ifr_ifindex = (int)if_nametoindex(t->name);
	return ioctl(sock, SIOCBRADDIF, &ifr);
}

static int open_tap(struct tap *t)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

	if (!if_nametoindex(t->bridge))
		r = fail(VIR_ERR_SYSTEM_ERROR, "Cannot get interface MTU on '%s': No such device",
			t->bridge);
	if (r == 0) {
		t->fd = tap_open(t->name[0] ? t->name : "vnet%d", false, t->name);
		if (t->fd < 0)
			r = fail(VIR_ERR_SYSTEM_ERROR, "Unable to create tap device %s: %s",
				t->name, strerror(errno));
	}
	if (r == 0) {
		set_tap_mac(sock, t);
		if (enslave(sock, t) < 0)
			r = fail(VIR_ERR_SYSTEM_ERROR, "Unable to add bridge %s port %s: %s",
				t->bridge, t->name, strerror(errno));
	}
	if (r == 0)
		netdev_set_up(t->name);
	close(sock);
	return r;
}

static void send_rarp(const struct tap *t)
{
	uint8_t frame[RARP_SIZE] = { 0 };
	/* hardware type, protocol type, their sizes, "request reverse" */
	static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0, 3 };

	memset(frame, 0xff, 6);
	memcpy(frame + 6, t->mac, 6);
	frame[12] = ETH_P_RARP >> 8;
	frame[13] = ETH_P_RARP & 0xff;
	memcpy(frame + 14, head, sizeof(head));
	memcpy(frame + 22, t->mac, 6);
	memcpy(frame + 32, t->mac, 6);
	if (write(t->fd, frame, sizeof(frame)) < 0)
		perror("RARP");
}

/* A frame leaves a NIC whose link is up only. */
static void announce(const struct dom *d, const struct guest *g)
{
	CLEANUP_DOC xmlDoc *live = NULL;
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();

	live = dom_live(d);
	for (size_t i = 0; live && i < g->n; i++) {
		xmlNode *nic = device_by_alias(live, g->taps[i].alias);

		if (nic && !node_is(node_child(nic, "link"), "state", "down"))
			send_rarp(&g->taps[i]);
	}
}

/* Whether the guest would send by this standby now. */
static bool uses_standby(const struct dom *d, const struct tap *t)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_DOC xmlDoc *live = dom_live(d);
	xmlNode *nic = live ? device_by_alias(live, t->alias) : NULL;

	if (!nic || node_is(node_child(nic, "link"), "state", "down"))
		return false;
	for (xmlNode *v = device_next(doc_devices(live), NULL); v; v = device_next(NULL, v))
		if (node_is(node_child(v, "teaming"), "persistent", t->alias) &&
			device_is_driven(d, v))
			return false;
	return true;
}

static void talk(const struct dom *d, struct tap *t)
{
	long lag = world_number(d->host, "guest.lag", 0);
	bool uses = uses_standby(d, t);

	if (uses)
		t->used = now_ms();
	if (uses || (t->used && now_ms() < t->used + lag)) {
		send_rarp(t);
		t->talks = true;
	} else if (t->talks) {
		t->talks = false;
		t->used = 0;
		world_log(d->host, "guest %s has left its standby", d->name);
	}
}

static void read_all(const struct guest *g, struct pollfd *fds)
{
	uint8_t frame[2048];

	for (size_t i = 0; i < g->n; i++)
		while (fds[i].revents && read(fds[i].fd, frame, sizeof(frame)) > 0)
			;
}

static void run_guest(const struct dom *d, struct guest *g)
{
	long talks = world_number(d->host, "guest.talks", 0);
	int64_t next = now_ms() + talks;
	struct pollfd fds[MAX_TAPS];

	for (size_t i = 0; i < g->n; i++)
		fds[i] = (struct pollfd){ .fd = g->taps[i].fd, .events = POLLIN };
	while (world_is_alive()) {
		int64_t left = next - now_ms();

		if (announce_asked) {
			announce_asked = 0;
			announce(d, g);
		}
		for (size_t i = 0; talks && left <= 0 && i < g->n; i++)
			talk(d, &g->taps[i]);
		if (talks && left <= 0)
			next = now_ms() + talks;
		if (poll(fds, g->n, talks ? (int)talks : IDLE_MS) > 0)
			read_all(g, fds);
	}
}

static void keep_only(struct guest *g, int *report)
{
	int null = open("/dev/null", O_RDWR);

	/* Descriptors of our own go behind the standard ones; all others belong to the test. */
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	*report = fcntl(*report, F_DUPFD, 100);
	close_range(3, 99, 0);
	close_range((unsigned int)*report + 1, ~0U, 0);
}

static void write_report(int fd, const struct guest *g, int r)
{
	if (r < 0)
		dprintf(fd, "error %d %s\n", failure.code, failure.message);
	for (size_t i = 0; r == 0 && i < g->n; i++)
		dprintf(fd, "%s\n", g->taps[i].name);
	close(fd);
}

static void be_guest(const struct dom *d, struct guest *g, int report)
{
	struct sigaction sa = { .sa_handler = on_announce };
	int r = 0;

	sigaction(SIGUSR1, &sa, NULL);
	setsid();
	world_forget_lock();
	keep_only(g, &report);
	netns_enter(d->host);
	for (size_t i = 0; i < g->n && r == 0; i++)
		r = open_tap(&g->taps[i]);
	write_report(report, g, r);
	if (r == 0)
		run_guest(d, g);
	_exit(0);
}

static void note_names(xmlDoc *live, const struct guest *g)
{
	for (size_t i = 0; i < g->n; i++) {
		xmlNode *nic = device_by_alias(live, g->taps[i].alias);
		xmlNode *target = node_child(nic, "target");

		if (!target)
			target = node_add(nic, "target");
		node_set(target, "dev", g->taps[i].name);
	}
}

static int read_report(FILE *f, struct guest *g)
{
	char line[1200];

	for (size_t i = 0; i < g->n; i++) {
		int code, skip = 0;

		if (!fgets(line, sizeof(line), f))
			return fail(VIR_ERR_INTERNAL_ERROR, "the guest's process did not start");
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "error %d %n", &code, &skip) == 1 && skip)
			return fail_as_is(code, line + skip);
		snprintf(g->taps[i].name, sizeof(g->taps[i].name), "%.15s", line);
	}
	return 0;
}

int guest_start(const struct dom *d, xmlDoc *live)
{
	CLEANUP_TEXT char *pid_text = NULL;
	struct guest g = { 0 };
	int report[2], r;
	pid_t pid;
	FILE *f;

	find_taps(live, &g);
	if (pipe(report) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		close(report[0]);
		be_guest(d, &g, report[1]);
	}
	close(report[1]);
	f = fdopen(report[0], "r");
	r = read_report(f, &g);
	fclose(f);
	if (r < 0)
		return -1;
	pid_text = text("%d\n", (int)pid);
	dom_write(d, "pid", pid_text);
	note_names(live, &g);
	return 0;
}

static pid_t guest_pid(const struct dom *d)
{
	CLEANUP_TEXT char *pid = dom_read(d, "pid");

	return pid ? atoi(pid) : 0;
}

static bool is_gone(pid_t pid)
{
	CLEANUP_TEXT char *path = text("/proc/%d/stat", (int)pid);
	CLEANUP_TEXT char *stat = world_read(path);
	const char *state = stat ? strrchr(stat, ')') : NULL;

	waitpid(pid, NULL, WNOHANG);
	return !state || state[2] == 'Z' || state[2] == 'X';
}

void guest_stop(const struct dom *d)
{
	pid_t pid = guest_pid(d);
	int64_t end = now_ms() + STOP_LIMIT_MS;

	if (!pid)
		return;
	kill(pid, SIGKILL);
	while (!is_gone(pid) && now_ms() < end)
		sleep_ms(1);
	dom_remove(d, "pid");
}

void guest_announce(const struct dom *d)
{
	pid_t pid = guest_pid(d);

	if (pid)
		kill(pid, SIGUSR1);
}
