/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Namespaces of its own for one test program. */
#ifndef UNIT_NETNS_H
#define UNIT_NETNS_H

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static inline bool netns_write(const char *path, const char *content)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content);

	if (fd >= 0)
		close(fd);
	return written;
}

/* KINDS: CLONE_NEW…; false where the kernel forbids it. */
static inline bool ns_new(int kinds)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	char map[64];

	if (unshare(kinds) == 0)
		return true;
	if (unshare(CLONE_NEWUSER | kinds) < 0)
		return false;
	netns_write("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %d 1", (int)uid);
	if (!netns_write("/proc/self/uid_map", map))
		return false;
	snprintf(map, sizeof(map), "0 %d 1", (int)gid);
	return netns_write("/proc/self/gid_map", map);
}

static inline bool netns_new(void)
{
	return ns_new(CLONE_NEWNET);
}

/* Runs ip(8), several commands separated by newlines. */
static inline bool netns_ip(const char *commands)
{
	FILE *f = popen("ip -batch -", "w");

	if (!f)
		return false;
	fputs(commands, f);
	return pclose(f) == 0;
}

#endif
