/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/arrived.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/journal.h"
#include "util/mem.h"
#include "util/str.h"

static char *path_of(const char *uuid)
{
	return str_printf("%s/%s.arrived", journal_directory(), uuid);
}

/* New reference. NULL: there is something that cannot be read. */
static json_t *load_runs(const char *path)
{
	json_t *runs = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);

	if (!runs && access(path, F_OK) < 0 && errno == ENOENT)
		return json_array();
	if (json_is_array(runs))
		return runs;
	json_decref(runs);
	return NULL;
}

/* The same, to write it anew. */
static json_t *read_runs(const char *path)
{
	json_t *runs = load_runs(path);

	return runs ? runs : json_array();
}

static int place_of(const json_t *runs, const char *run)
{
	for (size_t i = 0; i < json_array_size(runs); i++)
		if (str_equal(json_string_value(json_array_get(runs, i)), run))
			return (int)i;
	return -1;
}

static int put_on_disk(const char *path, const json_t *runs)
{
	CLEANUP_CLOSE int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 || json_dumpfd(runs, fd, JSON_COMPACT) < 0 || fsync(fd) < 0 ? -1 : 0;
}

/* Either the old file or the new one is there at any time; none where nothing is noted. */
static int write_runs(const char *path, const json_t *runs, struct err *e)
{
	CLEANUP_FREE char *new = str_printf("%s.new", path);
	bool empty = json_array_size(runs) == 0;

	if (empty ? unlink(path) < 0 && errno != ENOENT
		  : put_on_disk(new, runs) < 0 || rename(new, path) < 0)
		return err_set_sys(e, errno, "%s", path);
	journal_sync_directory();
	return 0;
}

int arrived_note(const char *uuid, const char *run, struct err *e)
{
	CLEANUP_FREE char *path = path_of(uuid);
	json_t *runs = read_runs(path);
	int r = 0;

	if (place_of(runs, run) < 0) {
		json_array_append_new(runs, json_string(run));
		r = write_runs(path, runs, e);
	}
	json_decref(runs);
	return r;
}

bool arrived_is_noted(const char *uuid, const char *run)
{
	CLEANUP_FREE char *path = path_of(uuid);
	json_t *runs = load_runs(path);
	/* What cannot be read may be about any run: a copy too few is resumed then, and never one too many. */
	bool noted = !runs || place_of(runs, run) >= 0;

	json_decref(runs);
	return noted;
}

int arrived_forget(const char *uuid, const char *run, struct err *e)
{
	CLEANUP_FREE char *path = path_of(uuid);
	json_t *runs = read_runs(path);
	int i = place_of(runs, run), r = 0;

	if (i >= 0) {
		json_array_remove(runs, (size_t)i);
		r = write_runs(path, runs, e);
	}
	json_decref(runs);
	return r;
}
