/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the program does that is neither libvirt nor netlink, for tests to see and to disturb:
 *
 * Each process of it is listed in the file "pids". A line that an agent puts into its journal
 * counts as a call "journal", which says what is begun or undone: so the log tells in which step
 * which call was made. With the setting HOST.input=cut the agent there meets the end of its input,
 * while its output still reaches the driver. With HOST.resolver=blind no name has an address there.
 */
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "world.h"

#define EXPORT __attribute__((visibility("default")))

static bool is_agent;

__attribute__((constructor)) static void note_process(int argc, char **argv)
{
	CLEANUP_TEXT char *path = NULL;
	CLEANUP_TEXT char *line = NULL;

	/* The shells that lead to the program have the library as well. */
	if (strcmp(program_invocation_short_name, "sriov-migrate") != 0)
		return;
	is_agent = argc > 1 && strcmp(argv[1], "agent") == 0;
	path = world_path("pids");
	line = text("%s %s %d\n", world_host(), is_agent ? "agent" : "driver", (int)getpid());
	world_append(path, line);
}

/* ---- the journal ---- */

/* By its folder: it has no name yet when its first line is written. */
static bool is_journal(int fd)
{
	static const char folder[] = "/var/lib/sriov-migrate/";
	CLEANUP_TEXT char *link = text("/proc/self/fd/%d", fd);
	char path[256] = "";

	return readlink(link, path, sizeof(path) - 1) > 0 &&
	       strncmp(path, folder, sizeof(folder) - 1) == 0;
}

/* An agent may have it open for writing alone, so another descriptor reads it. */
static char *last_line(int fd)
{
	CLEANUP_TEXT char *path = text("/proc/self/fd/%d", fd);
	char *content = world_read(path), *start;
	size_t len = content ? strlen(content) : 0;

	if (!len)
		return content;
	content[len - 1] = '\0';
	start = strrchr(content, '\n');
	if (start)
		memmove(content, start + 1, strlen(start + 1) + 1);
	return content;
}

static char *describe(const char *line)
{
	const char *step = strstr(line, "\"step\":\""), *pair = strstr(line, "\"pair\":");
	const char *done = strstr(line, "\"begun\":false") ? "undone" : "begun";

	if (strstr(line, "\"head\":"))
		return text("head");
	if (!step)
		return text("state");
	step += strlen("\"step\":\"");
	return text("%s %.*s %d", done, (int)strcspn(step, "\""), step,
		pair ? atoi(pair + strlen("\"pair\":")) : -1);
}

EXPORT int fdatasync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	CLEANUP_TEXT char *line = is_agent && is_journal(fd) ? last_line(fd) : NULL;
	CLEANUP_TEXT char *what = line ? describe(line) : NULL;
	int late = 0;

	if (what && world_call("journal", &late, "%s", what) < 0) {
		errno = failure.code;
		return -1;
	}
	if (!late)
		return real(fd);
	errno = late;
	return -1;
}

/* ---- the input ---- */

/* Every host knows every name, without asking anybody. */
EXPORT int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
	struct addrinfo **res)
{
	(void)node;
	(void)service;
	(void)hints;
	*res = NULL;
	return world_is(world_host(), "resolver", "blind") ? EAI_NONAME : 0;
}

EXPORT ssize_t read(int fd, void *buf, size_t size)
{
	static ssize_t (*real)(int, void *, size_t);

	if (!real)
		real = (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
	if (fd == STDIN_FILENO && is_agent && world_is(world_host(), "input", "cut"))
		return 0;
	return real(fd, buf, size);
}
