/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "macvtap.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nic.h"
#include "world.h"

enum { MACVTAPS_MAX = 64 };

/* Runs ip(8) in the host's namespace. */
static int run_ip(const char *host, const char *const argv[])
{
	int before = netns_enter(host), status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		unsetenv("LD_PRELOAD");
		execvp("ip", (char *const *)argv);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	netns_leave(before);
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

static bool is_there(const char *host, const char *name)
{
	int before = netns_enter(host);
	bool found = if_nametoindex(name);

	netns_leave(before);
	return found;
}

/* The one mode that libvirt and the kernel call by different names. */
static const char *kernel_mode(const char *mode)
{
	return !mode ? "vepa" : strcmp(mode, "passthrough") == 0 ? "passthru" : mode;
}

static int create(const struct dom *d, xmlNode *nic)
{
	CLEANUP_TEXT char *lower = node_get(node_child(nic, "source"), "dev");
	CLEANUP_TEXT char *mode = node_get(node_child(nic, "source"), "mode");
	CLEANUP_TEXT char *mac = node_get(node_child(nic, "mac"), "address");
	CLEANUP_TEXT char *name = NULL;
	xmlNode *target = node_child(nic, "target");

	for (int i = 0; i < MACVTAPS_MAX && !name; i++) {
		CLEANUP_TEXT char *one = text("macvtap%d", i);

		if (!is_there(d->host, one))
			name = strdup(one);
	}
	const char *const argv[] = { "ip", "link", "add", "link", lower, "name", name, "address",
		mac, "type", "macvtap", "mode", kernel_mode(mode), NULL };

	if (!lower || !name || run_ip(d->host, argv) != 0)
		return fail(VIR_ERR_SYSTEM_ERROR,
			"Cannot get interface flags on '%s': No such device", lower ? lower : "");
	if (!target)
		target = node_add(nic, "target");
	node_set(target, "dev", name);
	return 0;
}

static xmlNode *next_direct(xmlDoc *live, xmlNode *after)
{
	xmlNode *nic =
		after ? node_next(after, "interface") : node_child(doc_devices(live), "interface");

	while (nic && !node_is(nic, "type", "direct"))
		nic = node_next(nic, "interface");
	return nic;
}

int macvtap_create_all(const struct dom *d, xmlDoc *live)
{
	for (xmlNode *nic = next_direct(live, NULL); nic; nic = next_direct(live, nic))
		if (create(d, nic) < 0)
			return -1;
	return 0;
}

void macvtap_remove_all(const struct dom *d, xmlDoc *live)
{
	for (xmlNode *nic = next_direct(live, NULL); nic; nic = next_direct(live, nic)) {
		CLEANUP_TEXT char *name = node_get(node_child(nic, "target"), "dev");
		const char *const argv[] = { "ip", "link", "del", "dev", name, NULL };

		if (name && is_there(d->host, name))
			run_ip(d->host, argv);
	}
}

void macvtap_set_all(const struct dom *d, bool up)
{
	CLEANUP_DOC xmlDoc *live = dom_live(d);

	for (xmlNode *nic = live ? next_direct(live, NULL) : NULL; nic;
		nic = next_direct(live, nic)) {
		CLEANUP_TEXT char *name = node_get(node_child(nic, "target"), "dev");
		const char *const argv[] = { "ip", "link", "set", "dev", name, up ? "up" : "down",
			NULL };

		if (name)
			run_ip(d->host, argv);
	}
}
