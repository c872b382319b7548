/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <mntent.h>
#include <netdb.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/gather.h"
#include "core/gather_priv.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/domain.h"

/* Where Debian's, Fedora's and SUSE's libvirt look for it. */
static const char qemu_conf[] = "/etc/libvirt/qemu.conf";

#define HUGE_PAGES "/sys/kernel/mm/hugepages"

/* File systems of one host alone; not all of them are in <linux/magic.h>. */
static const struct {
	unsigned long magic;
	const char *name;
} own_file_systems[] = {
	{ EXT4_SUPER_MAGIC, "ext4" },
	{ XFS_SUPER_MAGIC, "xfs" },
	{ BTRFS_SUPER_MAGIC, "btrfs" },
	{ F2FS_SUPER_MAGIC, "f2fs" },
	{ 0x2fc12fc1, "zfs" },
	{ TMPFS_MAGIC, "tmpfs" },
	{ OVERLAYFS_SUPER_MAGIC, "overlayfs" },
	{ V9FS_MAGIC, "9p" },
	{ 0xca451a4e, "bcachefs" },
	{ 0x3153464a, "jfs" },
};

/*
 * The kind of FUSE that PATH is on, virtiofs included, unless it is one that libvirt takes for shared
 * (virFileIsSharedFSType in its src/util/virfile.c). Caller frees.
 */
static char *own_fuse(const char *path)
{
	CLEANUP_FREE char *real = realpath(path, NULL);
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	char *kind = NULL;
	const struct mntent *m;
	size_t best = 0;

	while (mounts && real && (m = getmntent(mounts))) {
		size_t n = strlen(m->mnt_dir);
		bool is_root = str_equal(m->mnt_dir, "/");

		if (n < best || strncmp(real, m->mnt_dir, n) != 0 || (!is_root && real[n] != '/'))
			continue;
		best = n;
		free(kind);
		kind = str_dup(m->mnt_type);
	}
	if (mounts)
		endmntent(mounts);
	if (!str_equal(kind, "fuse.glusterfs") && !str_equal(kind, "fuse.quobyte"))
		return kind;
	free(kind);
	return NULL;
}

/* Caller frees. */
static char *own_file_system(const char *path)
{
	struct statfs fs;
	struct stat st;

	/* What storage is behind a device, nobody tells. */
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || statfs(path, &fs) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(own_file_systems); i++)
		if ((unsigned long)fs.f_type == own_file_systems[i].magic)
			return str_dup(own_file_systems[i].name);
	return (unsigned long)fs.f_type == FUSE_SUPER_MAGIC ? own_fuse(path) : NULL;
}

static bool libvirt_is_told(const char *key)
{
	FILE *f = fopen(qemu_conf, "re");
	char *line = NULL;
	bool found = false;
	size_t size = 0;

	while (f && !found && getline(&line, &size, f) >= 0)
		found = strncmp(line + strspn(line, " \t"), key, strlen(key)) == 0;
	free(line);
	if (f)
		fclose(f);
	return found;
}

int gather_files(struct domain_fact *f, struct err *e)
{
	CLEANUP_FILES struct xml_file_list files = { 0 };
	/* Since 10.10, that what looks like this host's own is shared all the same. */
	bool told = libvirt_is_told("shared_filesystems");

	if (xml_files_find(f->live, &files, e) < 0)
		return -1;
	for (size_t i = 0; i < files.n; i++) {
		struct xml_file *from = &files.v[i];
		struct file_fact *file = mem_append(&f->files, &f->n_files, sizeof(*file));

		file->what = TAKE_PTR(from->what);
		file->path = TAKE_PTR(from->path);
		file->is_written = from->is_written;
		file->is_backing = from->is_backing;
		if (!told)
			file->own_fs = own_file_system(file->path);
	}
	return 0;
}

/* The number that TEXT goes on with behind PREFIX; 0: it does not begin like that. */
static int64_t number_behind(const char *text, const char *prefix)
{
	return str_starts(text, prefix) ? strtoll(text + strlen(prefix), NULL, 10) : 0;
}

/* That of the first line of a file that begins with PREFIX; 0: there is none. */
static int64_t read_number(const char *path, const char *prefix)
{
	FILE *f = fopen(path, "re");
	int64_t n = 0;
	char line[128];

	while (f && n == 0 && fgets(line, sizeof(line), f))
		n = number_behind(line, prefix);
	if (f)
		fclose(f);
	return n;
}

static int64_t count_pages(const char *directory, const char *name)
{
	CLEANUP_FREE char *path = str_printf("%s/%s", directory, name);

	return read_number(path, "");
}

/* As Documentation/admin-guide/mm/hugetlbpage.rst has it. */
static void add_huge(struct host_facts *f, int64_t page_kib)
{
	CLEANUP_FREE char *directory =
		str_printf(HUGE_PAGES "/hugepages-%lldkB", (long long)page_kib);
	int64_t more = count_pages(directory, "nr_overcommit_hugepages") -
		       count_pages(directory, "surplus_hugepages");
	int64_t free = count_pages(directory, "free_hugepages") + (more > 0 ? more : 0);
	bool is_default = page_kib == read_number("/proc/meminfo", "Hugepagesize:");

	*(struct huge_fact *)mem_append(&f->huge, &f->n_huge, sizeof(*f->huge)) =
		(struct huge_fact){ page_kib, free * page_kib, is_default };
}

void gather_host_files(struct host_facts *f)
{
	DIR *sizes = opendir(HUGE_PAGES);
	const struct dirent *entry;

	while (sizes && (entry = readdir(sizes))) {
		int64_t kib = number_behind(entry->d_name, "hugepages-");

		if (kib > 0)
			add_huge(f, kib);
	}
	if (sizes)
		closedir(sizes);
	f->names_address = libvirt_is_told("migration_host") ||
			   (access(qemu_conf, R_OK) < 0 && errno == EACCES);
}

bool gather_name_is_unknown(const char *name)
{
	struct addrinfo *found = NULL;
	int r = name ? getaddrinfo(name, NULL, NULL, &found) : 0;

	if (found)
		freeaddrinfo(found);
	return r == EAI_NONAME;
}

bool gather_file_is_missing(const char *path)
{
	struct stat st;

	/* What may not be looked at, on storage that trusts only QEMU's user, may be there. */
	return path && stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}
