/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What else in a domain's definition decides whether it can move. Pure, as pair.h. */
#ifndef XML_DOMAIN_H
#define XML_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "xml/pair.h"

/* What a domain asks of the host it is to run on. */
struct xml_needs {
	int64_t memory_kib; /* of the host's RAM; 0: not given */
	bool hugepages;
	int64_t page_kib; /* of those; 0: of the default size, -1: of several sizes, or in parts */
	char *virt_type;  /* owned, as all of them; "kvm", "qemu" */
	char *arch, *machine;
	char *emulator; /* NULL: libvirt's own choice */
	char *cpu;      /* the whole element; NULL: none */
	char *cpu_mode; /* NULL: none */
};

void xml_needs_free(struct xml_needs *n);
#define CLEANUP_NEEDS __attribute__((cleanup(xml_needs_free)))
int xml_needs_read(const char *domain_xml, struct xml_needs *ret, struct err *e);

/*
 * A file of the host's that QEMU opens when it starts the domain. Not a block device: a hook of libvirt's
 * may make it appear when the domain comes.
 */
struct xml_file {
	char *what;      /* owned; "disk vda", "kernel", … */
	char *path;      /* owned */
	bool is_written; /* a disk that the guest may write: copied, where disks are to be copied */
	bool is_backing; /* what the image of a disk that the guest may write, or of such a file, is an overlay of */
};

struct xml_file_list {
	struct xml_file *v; /* owned */
	size_t n;
};

void xml_file_list_free(struct xml_file_list *l);
#define CLEANUP_FILES __attribute__((cleanup(xml_file_list_free)))
/* Without those that libvirt leaves out where they are missing (startupPolicy). */
int xml_files_find(const char *domain_xml, struct xml_file_list *ret, struct err *e);

/* What a NIC that is of no pair stands on: a "bridge", a "device" (macvtaps) or libvirt's "network". */
struct xml_ground {
	const char *kind; /* static */
	char *name;       /* owned */
};

struct xml_ground_list {
	struct xml_ground *v; /* owned */
	size_t n;
};

void xml_ground_list_free(struct xml_ground_list *l);
#define CLEANUP_GROUNDS __attribute__((cleanup(xml_ground_list_free)))
/* Each as often as it is named, but bridges that are not the kernel's. */
int xml_grounds_find(const char *domain_xml, struct xml_ground_list *ret, struct err *e);

/* Whether libvirt has made this name up for a NIC's host device, and makes up another one elsewhere. */
bool xml_tap_is_generated(const char *name);
/* The names that its NICs' host devices are to have, where libvirt makes them. */
int xml_fixed_taps(const char *domain_xml, struct xml_strings *ret, struct err *e);

/*
 * What it has that libvirt and QEMU of these versions (as in virt_host) do not migrate, in words that
 * follow "the domain has": a block job on a disk, a transient disk, an invariant TSC of no certain
 * frequency, SCSI controllers of the host, shared memory, before 10.0 virtiofs, and where libvirt does not
 * ask QEMU mediated devices, SCSI devices of the host and vDPA.
 */
int xml_unmovable(const char *live_xml, int64_t libvirt, int64_t qemu, struct xml_strings *ret,
	struct err *e);

/* All disks, by what the guest calls them. */
int xml_disks(const char *domain_xml, struct xml_strings *ret, struct err *e);

/* The disks on NVMe devices that the guest may write, by what it calls them. */
int xml_nvme_disks(const char *domain_xml, struct xml_strings *ret, struct err *e);

/*
 * Why the primary of this standby cannot be unplugged from where it is plugged in; NULL if it
 * can, or if it cannot be told. Caller frees.
 */
char *xml_primary_stuck(const char *live_xml, const char *standby_alias);

/* The MACs of its NICs, canonical, separated by commas. Caller frees. */
char *xml_domain_macs(const char *domain_xml);

/* The <cpu> element of the host in a capabilities document; NULL: none. Caller frees. */
char *xml_host_cpu(const char *capabilities);

#endif
