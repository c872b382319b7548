/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/hold.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/space.h"
#include "util/str.h"

#define LOCK_PARENT "/run"
#define LOCK_DIR LOCK_PARENT "/sriov-migrate"

enum { TRIES = 20 };

/* What a line about its owner takes, with room for the locks of several pairs. */
enum { LOCK_SIZE_USUAL = 16 * 1024 };

struct lock {
	char *path; /* owned */
	int fd;     /* owned */
};

static char *path_of(const char *name)
{
	return str_printf("%s/%s.lock", LOCK_DIR, name);
}

static char *read_owner(int fd)
{
	char text[256];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return NULL;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return str_dup(text);
}

static int busy(int fd, const char *what, struct err *e)
{
	CLEANUP_FREE char *owner = read_owner(fd);

	return err_set_kind(e, ERR_BUSY, "%s is held by another run%s%s%s", what, owner ? " (" : "",
		owner ? owner : "", owner ? ")" : "");
}

static int write_owner(int fd, const char *owner, struct err *e)
{
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%s\n", owner) < 0)
		return err_set_sys(e, errno, "lock file");
	return 0;
}

int lock_take(const char *name, const char *what, const char *owner, struct lock **ret,
	struct err *e)
{
	CLEANUP_FREE char *path = path_of(name);

	if (mkdir(LOCK_DIR, 0700) < 0 && errno != EEXIST)
		return err_set_sys(e, errno, "%s", LOCK_DIR);
	for (int i = 0; i < TRIES; i++) {
		CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return err_set_sys(e, errno, "%s", path);
		if (!hold_file(fd))
			return busy(fd, what, e);
		/* Who released it has removed it. */
		if (!hold_is_named(fd, path))
			continue;
		if (write_owner(fd, owner, e) < 0) {
			unlink(path);
			return -1;
		}
		*ret = mem_new(sizeof(**ret));
		(*ret)->path = TAKE_PTR(path);
		(*ret)->fd = TAKE_FD(fd);
		return 0;
	}
	return err_set_kind(e, ERR_BUSY, "%s is being taken and released all the time", what);
}

void lock_release(struct lock *l)
{
	if (!l)
		return;
	/* Who cleans /run takes the name away, and another run may have one of that name by now. */
	if (hold_is_named(l->fd, l->path))
		unlink(l->path);
	close(l->fd);
	free(l->path);
	free(l);
}

void lock_set_owner(struct lock *l, const char *owner)
{
	struct err e;

	if (lseek(l->fd, 0, SEEK_SET) < 0 || write_owner(l->fd, owner, &e) < 0)
		log_debug("%s: its owner's name was not changed", l->path);
}

int lock_try(struct err *e)
{
	return space_try(LOCK_DIR, LOCK_PARENT, LOCK_SIZE_USUAL, e);
}

bool lock_is_held(const char *name, char **ret_owner)
{
	CLEANUP_FREE char *path = path_of(name);
	CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	*ret_owner = NULL;
	if (fd < 0)
		return false;
	if (!hold_is_taken(fd))
		return false;
	*ret_owner = read_owner(fd);
	return true;
}

char *lock_list(const char *prefix)
{
	struct dirent **names;
	int n = scandir(LOCK_DIR, &names, NULL, alphasort);
	struct str_buf list = { 0 };

	str_buf_add(&list, "%s", "");
	for (int i = 0; i < n; i++) {
		char *name = names[i]->d_name, *end = strstr(name, ".lock");
		CLEANUP_FREE char *owner = NULL;

		if (end)
			*end = '\0';
		if (end && str_starts(name, prefix) && lock_is_held(name, &owner))
			str_buf_add(&list, "%s%s", list.len ? "," : "", name + strlen(prefix));
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return list.s;
}
