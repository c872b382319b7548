/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/journal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/record.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/str.h"

#define JOURNAL_DIR "/var/lib/sriov-migrate"
#define JOURNAL_SUFFIX ".journal"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

enum { JOURNAL_SIZE_MAX = 16 * 1024 * 1024, UUID_LENGTH = 36 };

struct journal {
	char *path; /* owned */
	int fd;     /* owned */
};

static bool is_uuid(const char *s)
{
	for (int i = 0; i < UUID_LENGTH; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
			return false;
	}
	return s[UUID_LENGTH] == '\0';
}

static int path_of(const char *uuid, char **ret, struct err *e)
{
	if (!is_uuid(uuid))
		return err_set(e, "\"%s\" is no UUID", uuid);
	*ret = str_printf("%s/%s%s", JOURNAL_DIR, uuid, JOURNAL_SUFFIX);
	return 0;
}

static char *boot_id(void)
{
	char text[64] = "";
	FILE *f = fopen(BOOT_ID, "re");

	if (f) {
		if (!fgets(text, sizeof(text), f))
			text[0] = '\0';
		fclose(f);
	}
	text[strcspn(text, "\n")] = '\0';
	return str_dup(text);
}

static int make_directory(struct err *e)
{
	if (mkdir(JOURNAL_DIR, 0700) < 0 && errno != EEXIST)
		return err_set_sys(e, errno, "%s", JOURNAL_DIR);
	return 0;
}

/* So that the name itself survives a power cut. */
static void sync_directory(void)
{
	CLEANUP_CLOSE int fd = open(JOURNAL_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		fsync(fd);
}

static struct journal *wrap(char *path, int fd)
{
	struct journal *j = mem_new(sizeof(*j));

	j->path = path;
	j->fd = fd;
	return j;
}

static json_t *first_line(const json_t *head)
{
	CLEANUP_FREE char *boot = boot_id();
	json_t *line = json_object();

	json_object_set_new(line, "format", json_integer(JOURNAL_FORMAT));
	json_object_set_new(line, "boot", json_string(boot));
	json_object_set_new(line, "time_ms", json_integer(clock_wall_ms()));
	json_object_set(line, "head", (json_t *)head);
	return line;
}

int journal_create(const char *uuid, const json_t *head, struct journal **ret, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	struct journal *j;
	int fd;

	if (path_of(uuid, &path, e) < 0 || make_directory(e) < 0)
		return -1;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST) {
		err_set_kind(e, ERR_REFUSED, "an interrupted run left a journal here: %s", path);
		return err_hint(e, "sriov-migrate recover settles it.");
	}
	if (fd < 0)
		return err_set_sys(e, errno, "%s", path);
	j = wrap(TAKE_PTR(path), fd);
	if (journal_write(j, first_line(head), e) < 0) {
		journal_remove(j);
		return -1;
	}
	sync_directory();
	*ret = j;
	return 0;
}

int journal_write(struct journal *j, json_t *line, struct err *e)
{
	CLEANUP_FREE char *text = json_dumps(line, JSON_COMPACT);
	CLEANUP_FREE char *full = NULL;
	size_t len;

	json_decref(line);
	if (!text)
		abort();
	full = str_printf("%s\n", text);
	len = strlen(full);
	for (size_t done = 0; done < len;) {
		ssize_t n = write(j->fd, full + done, len - done);

		if (n < 0 && errno != EINTR)
			return err_set_sys(e, errno, "journal %s", j->path);
		done += n > 0 ? (size_t)n : 0;
	}
	if (fdatasync(j->fd) < 0)
		return err_set_sys(e, errno, "journal %s", j->path);
	return 0;
}

static int read_all(int fd, const char *path, char **ret, struct err *e)
{
	CLEANUP_FREE char *text = NULL;
	struct stat st;
	size_t len = 0;

	if (fstat(fd, &st) < 0)
		return err_set_sys(e, errno, "%s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > JOURNAL_SIZE_MAX)
		return err_set(e, "%s is no journal: wrong type or size", path);
	text = mem_new((size_t)st.st_size + 1);
	while (len < (size_t)st.st_size) {
		ssize_t n = pread(fd, text + len, (size_t)st.st_size - len, (off_t)len);

		if (n < 0)
			return err_set_sys(e, errno, "%s", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret = TAKE_PTR(text);
	return 0;
}

static int damaged(const char *path, int line, struct err *e)
{
	err_set(e, "journal %s is damaged in line %d", path, line);
	return err_hint(e, "Nothing is settled from it. Look at the domain and its entries by hand (virsh "
			    "dumpxml, bridge fdb), then remove the file.");
}

/* Lines from the second on; a last one without its end was never acted upon. */
static int parse_lines(const char *path, char *text, json_t *lines, struct err *e)
{
	char *end;
	int n = 2;

	for (; (end = strchr(text, '\n')); text = end + 1, n++) {
		json_t *line;

		*end = '\0';
		line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		if (!json_is_object(line)) {
			json_decref(line);
			return damaged(path, n, e);
		}
		json_array_append_new(lines, line);
	}
	return 0;
}

static int check_format(const char *path, const json_t *first, struct err *e)
{
	int64_t format = json_integer_value(json_object_get(first, "format"));

	if (!json_is_object(json_object_get(first, "head")) || format < 1)
		return damaged(path, 1, e);
	if (format <= JOURNAL_FORMAT)
		return 0;
	err_set(e, "journal %s was written by a newer sriov-migrate (format %d)", path, (int)format);
	return err_hint(e, "Run recover of that version, or install it here.");
}

static int parse(const char *path, char *text, json_t **ret_head, json_t **ret_lines,
	bool *ret_same_boot, struct err *e)
{
	char *end = strchr(text, '\n');
	json_t *first = NULL, *lines;
	CLEANUP_FREE char *boot = boot_id();
	int r;

	if (end) {
		*end = '\0';
		first = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	}
	r = check_format(path, first, e);
	lines = json_array();
	if (r == 0)
		r = parse_lines(path, end + 1, lines, e);
	if (r == 0) {
		*ret_head = json_incref(json_object_get(first, "head"));
		*ret_lines = json_incref(lines);
		*ret_same_boot =
			str_equal(json_string_value(json_object_get(first, "boot")), boot);
	}
	json_decref(first);
	json_decref(lines);
	return r;
}

/* What is appended later must not grow out of a line that a crash cut off. */
static void cut_torn_line(int fd, char *text)
{
	char *end = strrchr(text, '\n');
	size_t whole = end ? (size_t)(end - text) + 1 : 0;

	if (text[whole] && whole && ftruncate(fd, (off_t)whole) == 0)
		text[whole] = '\0';
}

int journal_open(const char *uuid, struct journal **ret, json_t **ret_head, json_t **ret_lines,
	bool *ret_same_boot, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *text = NULL;
	CLEANUP_CLOSE int fd = -1;

	if (path_of(uuid, &path, e) < 0)
		return -1;
	fd = open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set_sys(e, errno, "%s", path);
	if (read_all(fd, path, &text, e) < 0)
		return -1;
	if (!*text) {
		/* Begun, but not a line of it written: nothing was done. */
		unlink(path);
		return err_set_kind(e, ERR_NOT_FOUND, "%s was empty", path);
	}
	cut_torn_line(fd, text);
	if (parse(path, text, ret_head, ret_lines, ret_same_boot, e) < 0)
		return -1;
	*ret = wrap(TAKE_PTR(path), fd);
	fd = -1;
	return 0;
}

int journal_peek(const char *uuid, json_t **ret_head, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *text = NULL;
	CLEANUP_CLOSE int fd = -1;
	json_t *lines = NULL;
	bool same_boot;

	if (path_of(uuid, &path, e) < 0)
		return -1;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set_sys(e, errno, "%s", path);
	if (read_all(fd, path, &text, e) < 0 || parse(path, text, ret_head, &lines, &same_boot, e) < 0)
		return -1;
	json_decref(lines);
	return 0;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	close(j->fd);
	free(j->path);
	free(j);
}

void journal_remove(struct journal *j)
{
	if (j && unlink(j->path) == 0)
		sync_directory();
	journal_close(j);
}

bool journal_exists(const char *uuid)
{
	CLEANUP_FREE char *path = NULL;
	struct err ignored;

	return path_of(uuid, &path, &ignored) == 0 && access(path, F_OK) == 0;
}

json_t *journal_list(void)
{
	json_t *list = json_array();
	struct dirent **names;
	int n = scandir(JOURNAL_DIR, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char *name = names[i]->d_name;
		size_t len = strlen(name);

		if (len == UUID_LENGTH + strlen(JOURNAL_SUFFIX) &&
			str_equal(name + UUID_LENGTH, JOURNAL_SUFFIX)) {
			name[UUID_LENGTH] = '\0';
			if (is_uuid(name))
				json_array_append_new(list, json_string(name));
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return list;
}
