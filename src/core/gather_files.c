/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netdb.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "core/gather.h"
#include "core/gather_priv.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/domain.h"

/* Where Debian's, Fedora's and SUSE's libvirt look for it. */
static const char qemu_conf[] = "/etc/libvirt/qemu.conf";

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
};

static const char *own_file_system(const char *path)
{
	struct statfs fs;
	struct stat st;

	/* What storage is behind a device, nobody tells. */
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || statfs(path, &fs) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(own_file_systems); i++)
		if ((unsigned long)fs.f_type == own_file_systems[i].magic)
			return own_file_systems[i].name;
	return NULL;
}

/* Since 10.10 libvirt can be told that what looks like this host's own is shared all the same. */
static bool libvirt_is_told_what_is_shared(void)
{
	static const char key[] = "shared_filesystems";
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
	bool told = libvirt_is_told_what_is_shared();

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
			file->own_fs = str_dup(own_file_system(file->path));
	}
	return 0;
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
