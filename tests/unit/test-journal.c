/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Journals on a disk of their own: begun, continued, full, torn; and those of older formats. */
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/journal.h"
#include "core/end.h"
#include "core/steps.h"
#include "netns.h"
#include "tap.h"
#include "util/mem.h"
#include "util/str.h"

#define UUID "7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101"
#define PATH "/var/lib/sriov-migrate/" UUID ".journal"

enum { DISK_SIZE = 65536, LONG = 40000 };

static const char *const disk_size = "size=65536,mode=755";

static struct journal *begin(void)
{
	json_t *head = json_pack("{s:s}", "name", "vm-01");
	struct journal *j = NULL;
	struct err e = { 0 };

	if (journal_create(UUID, head, &j, &e) < 0)
		printf("# %s\n", e.msg);
	json_decref(head);
	return j;
}

static json_t *line_of(size_t length)
{
	CLEANUP_FREE char *text = mem_new(length + 1);
	json_t *line = json_object();

	memset(text, 'x', length);
	json_object_set_new(line, "text", json_string(text));
	return line;
}

/* The journal's lines behind the first, -1: it cannot be read. Without going on with it. */
static int count_lines(void)
{
	CLEANUP_FREE char *text = mem_new(2 * DISK_SIZE);
	struct journal_content c = { 0 };
	FILE *f = fopen(PATH, "re");
	struct err e;
	size_t len;
	int n;

	f = f ? f : fopen(PATH ".aside", "re");
	if (!f)
		return -1;
	len = fread(text, 1, 2 * DISK_SIZE - 1, f);
	fclose(f);
	if (journal_parse(PATH, text, len, &c, &e) < 0) {
		printf("# %s\n", e.msg);
		return -1;
	}
	n = (int)json_array_size(c.lines);
	journal_content_free(&c);
	return n;
}

static off_t file_size(void)
{
	struct stat st;

	return stat(PATH, &st) == 0 ? st.st_size : -1;
}

static void append(const char *bytes, size_t len)
{
	FILE *f = fopen(PATH, "ae");

	if (!f || fwrite(bytes, 1, len, f) != len)
		abort();
	fclose(f);
}

static void test_life(void)
{
	struct journal *j = begin();
	json_t *list;
	struct stat st;
	struct err e;

	ok(j && stat(PATH, &st) == 0 && (st.st_mode & 07777) == 0600 && st.st_size > 0,
		"a journal is there when its first line is, for nobody else's eyes");
	list = journal_list();
	ok(json_array_size(list) == 1, "it is listed");
	ok(journal_write(j, line_of(1), &e) == 0 && journal_write(j, line_of(2), &e) == 0 &&
			count_lines() == 2,
		"what was written can be read");
	ok(journal_remove(j, &e) == 0 && file_size() == -1, "it goes when nothing is left to do");
	json_decref(list);
}

/* TAIL is what a crash left: reading leaves it alone, and the next line takes its place. */
static void with_tail(const char *tail, size_t len, const char *what)
{
	struct journal_content c = { 0 };
	struct journal *j = begin();
	off_t before;
	struct err e;

	journal_write(j, line_of(1), &e);
	journal_close(j);
	append(tail, len);
	before = file_size();
	ok(journal_open(UUID, &j, &c, &e) == 0 && json_array_size(c.lines) == 1, "%s", what);
	ok(file_size() == before, "reading changed nothing");
	ok(journal_write(j, line_of(2), &e) == 0 && count_lines() == 2,
		"what is written next stands on a line of its own");
	journal_content_free(&c);
	journal_remove(j, &e);
}

static void test_torn(void)
{
	with_tail("{\"step\": \"migr", 14, "a last line that was cut off is passed over");
	with_tail("\0\0\0\0\0\0\0\0", 8, "so are zeros in its place");
	with_tail("\0\0\0\0un\":true}\n", 14, "and zeros in the place of its beginning");
}

/* A file without a whole line: nothing was done by it. */
static void without_line(const char *bytes, size_t len, const char *what)
{
	struct journal_content c = { 0 };
	struct journal *j = NULL;
	json_t *list;
	struct err e = { 0 };

	append(bytes, len);
	list = journal_list();
	ok(journal_open(UUID, &j, &c, &e) < 0 && e.kind == ERR_NOT_FOUND && !json_array_size(list),
		"%s is no journal yet", what);
	ok(file_size() == (off_t)len, "reading changed nothing");
	j = begin();
	ok(j && count_lines() == 0, "a journal takes its place");
	journal_remove(j, &e);
	json_decref(list);
}

static size_t count_listed(void)
{
	json_t *list = journal_list();
	size_t n = json_array_size(list);

	json_decref(list);
	return n;
}

/* Opens what there is and puts it aside. */
static bool put_aside(void)
{
	struct journal_content c = { 0 };
	struct journal *j = NULL;
	struct err e;

	if (journal_open(UUID, &j, &c, &e) < 0)
		return false;
	journal_content_free(&c);
	journal_put_aside(j);
	return true;
}

static void test_aside(void)
{
	struct journal *first = begin(), *second;
	struct err e;

	journal_write(first, line_of(10), &e);
	journal_close(first);
	ok(put_aside() && access(PATH, F_OK) < 0, "one that was put aside has left its place");
	ok(count_listed() == 1 && count_lines() == 1, "without another one it is what there is");
	ok(put_aside() && count_lines() == 1, "and can be put aside again");
	second = begin();
	ok(second && count_listed() == 1 && count_lines() == 0, "another one takes its place");
	journal_bring_back(UUID);
	ok(count_lines() == 0, "it does not come back over that");
	journal_remove(second, &e);
	journal_bring_back(UUID);
	ok(journal_exists(UUID) && count_lines() == 1, "when that is gone it comes back");
	put_aside();
	journal_drop_aside(UUID);
	ok(count_listed() == 0, "or is dropped");
	journal_bring_back(UUID);
	ok(count_listed() == 0, "and then does not come back");
}

/* As for another process: each descriptor is one of its own. */
static bool is_busy(void)
{
	struct journal_content c = { 0 };
	struct journal *j = NULL;
	struct err e;

	if (journal_open(UUID, &j, &c, &e) < 0)
		return e.kind == ERR_BUSY;
	journal_content_free(&c);
	journal_close(j);
	return false;
}

static json_t *last_one(const json_t *lines)
{
	return json_pack("[O]", json_array_get(lines, json_array_size(lines) - 1));
}

static void test_held(void)
{
	struct journal *j = begin();
	CLEANUP_FREE char *owner = NULL;
	json_t *head = json_object();
	struct journal *other = NULL;
	struct err e;

	ok(is_busy(), "who begins a journal holds it against others");
	ok(journal_create(UUID, head, &other, &e) < 0 && e.kind == ERR_BUSY,
		"nor does another one begin it anew");
	ok(journal_is_held(UUID, &owner), "that can be asked for");
	journal_write(j, line_of(1), &e);
	journal_write(j, line_of(2), &e);
	ok(journal_shorten(j, 1, last_one, &e) == 0 && count_lines() == 1 && is_busy(),
		"one that was shortened is held");
	journal_close(j);
	ok(!is_busy() && count_lines() == 1, "one that was left can be gone on with");
	ok(journal_create(UUID, head, &other, &e) < 0 && e.kind == ERR_REFUSED && e.hint[0],
		"but not be begun anew");
	rename(PATH, PATH ".old");
	j = begin();
	rename(PATH, PATH ".mine");
	other = begin();
	journal_remove(j, &e);
	ok(count_lines() == 0, "another one's of the same name is not removed");
	journal_remove(other, &e);
	unlink(PATH ".old");
	unlink(PATH ".mine");
	json_decref(head);
}

static void test_lost(void)
{
	struct journal *j = begin(), *other;
	struct err e = { 0 };

	journal_write(j, line_of(1), &e);
	unlink(PATH);
	rmdir("/var/lib/sriov-migrate");
	ok(journal_leave(j, &e) == 0 && count_lines() == 1 && !is_busy(),
		"one whose folder was removed is there again when it is left");
	unlink(PATH);
	j = begin();
	unlink(PATH);
	other = begin();
	journal_write(other, line_of(1), &e);
	ok(journal_leave(j, &e) < 0 && count_lines() == 1, "but not in the place of another one");
	journal_remove(other, &e);
}

static void test_full_disk(void)
{
	struct journal *j = begin();
	struct err e = { 0 };

	ok(journal_write(j, line_of(LONG), &e) == 0, "a long line");
	ok(journal_write(j, line_of(LONG), &e) < 0 && strstr(e.msg, PATH),
		"another does not fit: an error that names the file");
	ok(journal_write(j, line_of(1), &e) == 0 && count_lines() == 2,
		"a short one still does, and nothing of the long one is left");
	journal_remove(j, &e);
}

static char *read_fixture(const char *name)
{
	const char *srcdir = getenv("srcdir");
	CLEANUP_FREE char *path =
		str_printf("%s/tests/data/journal/%s", srcdir ? srcdir : ".", name);
	FILE *f = fopen(path, "re");
	char *text = mem_new(DISK_SIZE);

	if (!f || !fread(text, 1, DISK_SIZE - 1, f))
		printf("# cannot read %s\n", path);
	if (f)
		fclose(f);
	return text;
}

static bool take_up(const char *name, bool same_boot, struct end *end)
{
	CLEANUP_FREE char *text = read_fixture(name);
	struct journal_content c = { 0 };
	struct err e = { 0 };
	int r = journal_parse(name, text, strlen(text), &c, &e);

	c.same_boot = same_boot;
	if (r == 0)
		r = end_take_up(end, UUID, &c, &e);
	if (r < 0)
		printf("# %s\n", e.msg);
	journal_content_free(&c);
	return r == 0;
}

static bool is_begun(const struct end *end, const char *step, int i)
{
	size_t k = (size_t)(step_find(step) - steps);

	return i == END_DOMAIN ? end->begun[k] : end->pairs[i].begun[k];
}

/* These files are as the first release wrote them. They are never to be changed. */
static void test_format_1(void)
{
	struct end source = { 0 }, destination = { 0 };

	ok(take_up("format-1-source", true, &source), "a source's journal of format 1 is read");
	ok(source.order.is_source && source.order.n_pairs == 1 &&
			source.order.pairs[0].had_primary && source.order.n_peer == 2,
		"its order");
	is_text(source.order.pairs[0].vf, "0000:01:10.2", "its VF");
	ok(is_begun(&source, "detach-vf", 0) && is_begun(&source, "migrate", END_DOMAIN) &&
			!is_begun(&source, "leave-source", 0),
		"how far it came");
	ok(source.pairs[0].unproved && source.pairs[0].self_added,
		"and what it found and did");
	end_close(&source, false);
	ok(take_up("format-1-destination", true, &destination) && !destination.order.is_source &&
			is_begun(&destination, "reserve-vf", 0),
		"a destination's, too");
	end_close(&destination, false);
}

static void test_another_boot(void)
{
	struct end end = { 0 };

	ok(take_up("format-1-source", false, &end) && end.pairs[0].unproved &&
			!end.pairs[0].self_added && !is_begun(&end, "detach-vf", 0),
		"what went with another boot is forgotten");
	ok(is_begun(&end, "migrate", END_DOMAIN), "but not where the guest went");
	end_close(&end, false);
}

int main(void)
{
	test_format_1();
	test_another_boot();
	if (!ns_new(CLONE_NEWNS) || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", "/var/lib", "tmpfs", 0, disk_size) < 0) {
		printf("ok %d - journals on a disk # SKIP the kernel lets nobody mount "
		       "here\n",
			++tap_count);
		return tap_done();
	}
	test_life();
	test_torn();
	without_line("", 0, "an empty file");
	without_line("{\"format\":1,\"bo", 15, "a piece of a first line");
	without_line("\0\0\0\0", 4, "a file of zeros");
	test_aside();
	test_held();
	test_lost();
	test_full_disk();
	return tap_done();
}
