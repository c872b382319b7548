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

#include "agent/hold.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/space.h"
#include "util/str.h"

#define JOURNAL_PARENT "/var/lib"
#define JOURNAL_DIR JOURNAL_PARENT "/sriov-migrate"
#define ASIDE_SUFFIX ".aside"
#define JOURNAL_SUFFIX ".journal"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

enum {
	JOURNAL_SIZE_MAX = 16 * 1024 * 1024,
	JOURNAL_SIZE_USUAL = 64 * 1024,
	UUID_LENGTH = 36,
	HOLD_TRIES = 20
};

struct journal {
	char *path;    /* owned */
	int fd;        /* owned */
	off_t size;    /* of its whole lines */
	bool is_aside; /* PATH is that of one put aside */
	bool torn;     /* behind them stands a piece of one */
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

char *journal_boot_id(void)
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

static char *aside_of(const char *path)
{
	return str_printf("%s" ASIDE_SUFFIX, path);
}

/* What it is written anew in. */
static char *new_of(const char *path)
{
	return str_printf("%s.new", path);
}

int journal_try(struct err *e)
{
	return space_try(JOURNAL_DIR, JOURNAL_PARENT, JOURNAL_SIZE_USUAL, e);
}

static int make_directory(struct err *e)
{
	if (mkdir(JOURNAL_DIR, 0700) < 0 && errno != EEXIST)
		return err_set_sys(e, errno, "%s", JOURNAL_DIR);
	return 0;
}

const char *journal_directory(void)
{
	return JOURNAL_DIR;
}

void journal_sync_directory(void)
{
	CLEANUP_CLOSE int fd = open(JOURNAL_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		fsync(fd);
}

static struct journal *wrap(const char *path, int fd)
{
	struct journal *j = mem_new(sizeof(*j));

	j->path = str_dup(path);
	j->fd = fd;
	return j;
}

static json_t *first_line(const json_t *head)
{
	CLEANUP_FREE char *boot = journal_boot_id();
	json_t *line = json_object();

	json_object_set_new(line, "format", json_integer(JOURNAL_FORMAT));
	json_object_set_new(line, "boot", json_string(boot));
	json_object_set_new(line, "time_ms", json_integer(clock_wall_ms()));
	json_object_set(line, "head", (json_t *)head);
	return line;
}

/* Writes one line at the end; what stands there of a line that was not completed goes first. */
static int append(struct journal *j, const char *line, size_t len, struct err *e)
{
	if (j->torn && ftruncate(j->fd, j->size) < 0)
		return err_set_sys(e, errno, "journal %s", j->path);
	j->torn = true;
	for (size_t done = 0; done < len;) {
		ssize_t n = write(j->fd, line + done, len - done);

		if (n < 0 && errno != EINTR)
			return err_set_sys(e, errno, "journal %s", j->path);
		done += n > 0 ? (size_t)n : 0;
	}
	j->torn = false;
	j->size += (off_t)len;
	if (fdatasync(j->fd) < 0)
		return err_set_sys(e, errno, "journal %s", j->path);
	return 0;
}

int journal_write(struct journal *j, json_t *line, struct err *e)
{
	CLEANUP_FREE char *text = json_dumps(line, JSON_COMPACT);
	CLEANUP_FREE char *full = NULL;

	json_decref(line);
	if (!text)
		abort();
	full = str_printf("%s\n", text);
	return append(j, full, strlen(full), e);
}

static int read_all(int fd, const char *path, char **ret, size_t *ret_len, struct err *e)
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
	*ret_len = len;
	return 0;
}

static int busy(const char *path, const char *owner, struct err *e)
{
	err_set_kind(e, ERR_BUSY, "journal %s is held by another run%s%s%s", path,
		owner ? " (begun by " : "", owner ? owner : "", owner ? ")" : "");
	return err_hint(e, "Wait for the other run to end, or stop it with kill and its PID.");
}

static int refuse_second(const char *uuid, const char *path, struct err *e)
{
	CLEANUP_FREE char *owner = NULL;

	if (journal_is_held(uuid, &owner))
		return busy(path, owner, e);
	err_set_kind(e, ERR_REFUSED, "an interrupted run left a journal here: %s", path);
	return err_hint(e, "sriov-migrate recover settles it.");
}

/* Nobody else can have it before it has its name. */
static int begin(const char *path, int fd, const json_t *head, struct journal **ret, struct err *e)
{
	*ret = wrap(path, fd);
	if (!hold_file(fd))
		return busy(path, NULL, e);
	return journal_write(*ret, first_line(head), e);
}

/* Of one in which nothing stands that was done. */
static void discard(struct journal *j)
{
	struct err ignored; /* what it could not write is told */

	journal_remove(j, &ignored);
}

/* Where a file cannot get its name last: a crash may leave one without a whole line. */
static int create_by_name(const char *uuid, const char *path, const json_t *head,
	struct journal **ret, struct err *e)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct journal *j;

	if (fd < 0)
		return errno == EEXIST ? refuse_second(uuid, path, e)
				       : err_set_sys(e, errno, "%s", path);
	if (begin(path, fd, head, &j, e) < 0) {
		discard(j);
		return -1;
	}
	*ret = j;
	return 0;
}

/* The file gets its name when its first line is on disk. */
static int create(const char *uuid, const char *path, const json_t *head, struct journal **ret,
	struct err *e)
{
	int fd = open(JOURNAL_DIR, O_TMPFILE | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
	CLEANUP_FREE char *self = str_printf("/proc/self/fd/%d", fd);
	struct journal *j;

	if (fd < 0)
		return create_by_name(uuid, path, head, ret, e);
	if (begin(path, fd, head, &j, e) < 0) {
		journal_close(j);
		return -1;
	}
	if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0) {
		*ret = j;
		return 0;
	}
	journal_close(j);
	return errno == EEXIST ? refuse_second(uuid, path, e)
			       : create_by_name(uuid, path, head, ret, e);
}

int journal_hint_by_hand(struct err *e)
{
	return err_hint(e,
		"Nothing is settled from it. Look at the domain and its entries by hand (virsh "
		"dumpxml, bridge fdb), then remove the file.");
}

static int damaged(const char *path, int line, struct err *e)
{
	err_set(e, "journal %s is damaged in line %d", path, line);
	return journal_hint_by_hand(e);
}

/* jansson passes over some zero bytes: no line of ours has one. */
static json_t *parse_line(const char *line, size_t len)
{
	return memchr(line, '\0', len) ? NULL : json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
}

/* Lines from the second on. */
static int parse_lines(const char *path, const char *text, const char *end, json_t *lines,
	struct err *e)
{
	const char *next;

	for (int n = 2; text < end; text = next, n++) {
		json_t *line;

		next = (const char *)memchr(text, '\n', (size_t)(end - text)) + 1;
		line = parse_line(text, (size_t)(next - text));
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
	err_set(e, "journal %s was written by a newer sriov-migrate (format %d)", path,
		(int)format);
	return err_hint(e, "Run recover of that version, or install it here.");
}

/*
 * Length of the lines that are whole. A crash may cut the last one off, or leave zeros in the
 * place of some of it; in either case its change was not made yet.
 */
static size_t whole_lines(const char *text, size_t len)
{
	const char *end = memrchr(text, '\n', len), *start;

	if (!end)
		return 0;
	start = memrchr(text, '\n', (size_t)(end - text));
	start = start ? start + 1 : text;
	if (memchr(start, '\0', (size_t)(end - start)))
		end = start - 1;
	return (size_t)(end + 1 - text);
}

/* Whether this is what a crash leaves of a first line: some of its beginning, or zeros. */
static bool is_torn_start(const char *text, size_t len)
{
	static const char start[] = "{\"format\":";
	size_t n = strnlen(text, len);

	return strncmp(text, start, n < strlen(start) ? n : strlen(start)) == 0;
}

int journal_parse(const char *path, const char *text, size_t len, struct journal_content *ret,
	struct err *e)
{
	size_t whole = whole_lines(text, len);
	CLEANUP_FREE char *boot = journal_boot_id();
	const char *second;
	json_t *first, *lines;
	int r;

	if (!whole && is_torn_start(text, len))
		return err_set_kind(e, ERR_NOT_FOUND, "%s has no line yet", path);
	if (!whole)
		return damaged(path, 1, e);
	second = (const char *)memchr(text, '\n', whole) + 1;
	first = parse_line(text, (size_t)(second - text));
	lines = json_array();
	r = check_format(path, first, e);
	if (r == 0)
		r = parse_lines(path, second, text + whole, lines, e);
	if (r == 0)
		*ret = (struct journal_content){
			.head = json_incref(json_object_get(first, "head")),
			.lines = json_incref(lines),
			.same_boot =
				str_equal(json_string_value(json_object_get(first, "boot")), boot),
			.whole = whole,
			.torn = whole < len,
		};
	json_decref(first);
	json_decref(lines);
	return r;
}

void journal_content_free(struct journal_content *c)
{
	json_decref(c->head);
	json_decref(c->lines);
	*c = (struct journal_content){ 0 };
}

static int write_anew(const char *path, const struct str_buf *text, struct journal **ret,
	struct err *e)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set_sys(e, errno, "%s", path);
	*ret = wrap(path, fd);
	if (!hold_file(fd))
		busy(path, NULL, e);
	else if (append(*ret, text->s, text->len, e) == 0)
		return 0;
	discard(*ret);
	return -1;
}

static int replace(struct journal *j, const struct str_buf *text, struct err *e)
{
	CLEANUP_FREE char *path = new_of(j->path);
	struct journal *new = NULL;

	if (write_anew(path, text, &new, e) < 0)
		return -1;
	if (rename(path, j->path) < 0) {
		err_set_sys(e, errno, "%s", path);
		discard(new);
		return -1;
	}
	journal_sync_directory();
	close(j->fd);
	j->fd = TAKE_FD(new->fd);
	j->size = new->size;
	j->torn = false;
	journal_close(new);
	return 0;
}

static void print_journal(const char *first_line, json_t *lines, struct str_buf *ret)
{
	json_t *line;
	size_t i;

	str_buf_add(ret, "%.*s\n", (int)strcspn(first_line, "\n"), first_line);
	json_array_foreach(lines, i, line) {
		CLEANUP_FREE char *one = json_dumps(line, JSON_COMPACT);

		str_buf_add(ret, "%s\n", one);
	}
}

static int read_text(const char *path, int flags, char **ret, size_t *ret_len, struct err *e)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	return fd < 0 ? err_set_sys(e, errno, "%s", path) : read_all(fd, path, ret, ret_len, e);
}

/* Its content is there as long as it is open. */
static int write_lost(struct journal *j, struct err *e)
{
	CLEANUP_FREE char *self = str_printf("/proc/self/fd/%d", j->fd);
	CLEANUP_FREE char *path = new_of(j->path);
	CLEANUP_STR_BUF struct str_buf text = { 0 };
	CLEANUP_FREE char *old = NULL;
	struct journal *new = NULL;
	size_t len;
	int r = 0;

	if (make_directory(e) < 0 || read_text(self, 0, &old, &len, e) < 0)
		return -1;
	str_buf_add(&text, "%s", old);
	if (write_anew(path, &text, &new, e) < 0)
		return -1;
	/* Never over one that is there. */
	if (link(path, j->path) < 0)
		r = err_set_sys(e, errno, "%s", j->path);
	unlink(path);
	journal_sync_directory();
	journal_close(new);
	return r;
}

int journal_leave(struct journal *j, struct err *e)
{
	int r = 0;

	if (j && !hold_is_named(j->fd, j->path))
		r = write_lost(j, e);
	journal_close(j);
	return r;
}

int journal_shorten(struct journal *j, size_t size, json_t *(*needed)(const json_t *lines),
	struct err *e)
{
	CLEANUP_STR_BUF struct str_buf text = { 0 };
	struct journal_content now = { 0 };
	CLEANUP_FREE char *old = NULL;
	json_t *lines;
	size_t len;
	int r = 0;

	if (j->size < (off_t)size)
		return 0;
	if (read_text(j->path, O_NOFOLLOW, &old, &len, e) < 0 ||
		journal_parse(j->path, old, len, &now, e) < 0)
		return -1;
	lines = needed(now.lines);
	if (json_array_size(lines) < json_array_size(now.lines)) {
		print_journal(old, lines, &text);
		r = replace(j, &text, e);
	}
	json_decref(lines);
	journal_content_free(&now);
	return r;
}

static int open_file(const char *uuid, int flags, char **ret_path, int *ret_fd, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	int fd;

	if (path_of(uuid, &path, e) < 0)
		return -1;
	fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		/* A run died before it had one of its own. */
		CLEANUP_FREE char *aside = aside_of(path);

		fd = open(aside, flags | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			str_set(&path, aside);
	}
	if (fd < 0)
		return err_set_sys(e, errno, "%s", path);
	*ret_path = TAKE_PTR(path);
	*ret_fd = fd;
	return 0;
}

/* Against every other process; who looks on needs not. */
static int open_and_hold(const char *uuid, char **ret_path, int *ret_fd, struct err *e)
{
	for (int i = 0; i < HOLD_TRIES; i++) {
		CLEANUP_FREE char *owner = NULL;
		CLEANUP_FREE char *path = NULL;
		CLEANUP_CLOSE int fd = -1;

		if (open_file(uuid, O_RDWR | O_APPEND, &path, &fd, e) < 0)
			return -1;
		if (!hold_file(fd)) {
			journal_is_held(uuid, &owner);
			return busy(path, owner, e);
		}
		/* Who held it may have written it anew, or removed it. */
		if (!hold_is_named(fd, path))
			continue;
		*ret_path = TAKE_PTR(path);
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
	return err_set_kind(e, ERR_BUSY, "the journal of %s is written anew all the time", uuid);
}

static int load(int fd, const char *path, struct journal_content *ret, struct err *e)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	return read_all(fd, path, &text, &len, e) < 0 ? -1 : journal_parse(path, text, len, ret, e);
}

int journal_open(const char *uuid, struct journal **ret, struct journal_content *ret_content,
	struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_CLOSE int fd = -1;
	struct journal *j;

	if (open_and_hold(uuid, &path, &fd, e) < 0 || load(fd, path, ret_content, e) < 0)
		return -1;
	j = wrap(path, TAKE_FD(fd));
	j->size = (off_t)ret_content->whole;
	j->torn = ret_content->torn;
	j->is_aside = strlen(path) > strlen(ASIDE_SUFFIX) &&
		      str_equal(path + strlen(path) - strlen(ASIDE_SUFFIX), ASIDE_SUFFIX);
	*ret = j;
	return 0;
}

int journal_peek(const char *uuid, json_t **ret_head, struct err *e)
{
	struct journal_content content = { 0 };
	CLEANUP_FREE char *path = NULL;
	CLEANUP_CLOSE int fd = -1;

	if (open_file(uuid, O_RDONLY, &path, &fd, e) < 0 || load(fd, path, &content, e) < 0)
		return -1;
	*ret_head = json_incref(content.head);
	journal_content_free(&content);
	return 0;
}

bool journal_is_held(const char *uuid, char **ret_owner)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_CLOSE int fd = -1;
	json_t *head = NULL;
	const char *owner;
	struct err ignored;

	*ret_owner = NULL;
	if (open_file(uuid, O_RDONLY, &path, &fd, &ignored) < 0 || !hold_is_taken(fd))
		return false;
	if (journal_peek(uuid, &head, &ignored) < 0)
		return true;
	owner = json_string_value(json_object_get(head, "owner"));
	*ret_owner = owner ? str_dup(owner) : NULL;
	json_decref(head);
	return true;
}

/* False for a file that a crash left without a whole line: nothing was done by it. */
static bool has_order(const char *uuid)
{
	json_t *head = NULL;
	struct err e;

	if (journal_peek(uuid, &head, &e) < 0)
		return e.kind != ERR_NOT_FOUND;
	json_decref(head);
	return true;
}

int journal_create(const char *uuid, const json_t *head, struct journal **ret, struct err *e)
{
	CLEANUP_FREE char *path = NULL;

	if (path_of(uuid, &path, e) < 0 || make_directory(e) < 0)
		return -1;
	if (!has_order(uuid))
		unlink(path);
	if (create(uuid, path, head, ret, e) < 0)
		return -1;
	journal_sync_directory();
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

int journal_remove(struct journal *j, struct err *e)
{
	CLEANUP_FREE char *new = NULL;
	int r = 0;

	if (!j)
		return 0;
	new = new_of(j->path);
	unlink(new); /* of somebody who died over it */
	/* Another run may have one of that name by now. */
	if (hold_is_named(j->fd, j->path) && unlink(j->path) < 0)
		r = err_set_sys(e, errno, "journal %s cannot be removed", j->path);
	journal_sync_directory();
	journal_close(j);
	return r;
}

void journal_put_aside(struct journal *j)
{
	CLEANUP_FREE char *aside = aside_of(j->path);

	/* It may be one that a run which died had put aside: that is where it is. */
	if (!j->is_aside && rename(j->path, aside) == 0)
		journal_sync_directory();
	journal_close(j);
}

/* The place of a domain's journal, and where it is when it was put aside. */
static int places_of(const char *uuid, char **ret_path, char **ret_aside)
{
	struct err ignored;

	if (path_of(uuid, ret_path, &ignored) < 0)
		return -1;
	*ret_aside = aside_of(*ret_path);
	return 0;
}

void journal_bring_back(const char *uuid)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *aside = NULL;

	/* Never over one that is there. */
	if (places_of(uuid, &path, &aside) < 0 || link(aside, path) < 0)
		return;
	unlink(aside);
	journal_sync_directory();
}

void journal_drop_aside(const char *uuid)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *aside = NULL;

	if (places_of(uuid, &path, &aside) == 0 && unlink(aside) == 0)
		journal_sync_directory();
}

static bool is_in_place(const char *uuid)
{
	CLEANUP_FREE char *path = NULL;
	struct err ignored;

	return path_of(uuid, &path, &ignored) == 0 && access(path, F_OK) == 0;
}

bool journal_exists(const char *uuid)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *aside = NULL;

	return places_of(uuid, &path, &aside) == 0 &&
	       (access(path, F_OK) == 0 || access(aside, F_OK) == 0);
}

/* Of a file of that name: the UUID, with NAME cut off behind it; NULL: it is no journal. */
static const char *uuid_in(char *name)
{
	const char *rest = strlen(name) > UUID_LENGTH ? name + UUID_LENGTH : "";
	bool aside = str_equal(rest, JOURNAL_SUFFIX ASIDE_SUFFIX);

	if (!aside && !str_equal(rest, JOURNAL_SUFFIX))
		return NULL;
	name[UUID_LENGTH] = '\0';
	/* One that was put aside counts where there is no other. */
	return is_uuid(name) && has_order(name) && !(aside && is_in_place(name)) ? name : NULL;
}

json_t *journal_list(void)
{
	json_t *list = json_array();
	struct dirent **names;
	int n = scandir(JOURNAL_DIR, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		const char *uuid = uuid_in(names[i]->d_name);

		if (uuid)
			json_array_append_new(list, json_string(uuid));
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return list;
}
