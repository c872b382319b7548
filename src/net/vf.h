/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtual functions as their PF's driver shows them, and their administrator MAC. */
#ifndef NET_VF_H
#define NET_VF_H

#include <stddef.h>
#include <stdint.h>

#include "net/nl.h"
#include "util/err.h"
#include "util/hwaddr.h"

struct vf_info {
	uint32_t index;
	struct mac mac; /* igb shows the VF's self-chosen one here, too */
	uint32_t vlan;
	int spoofchk; /* 0, 1, or -1: the driver does not say */
	int trust;    /* likewise */
	int link_state; /* 0 auto, 1 enable, 2 disable */
};

struct vf_list {
	struct vf_info *v; /* owned */
	size_t n;
};

void vf_list_free(struct vf_list *l);
#define CLEANUP_VFS __attribute__((cleanup(vf_list_free)))

/* VFs whose driver refuses the question are missing from the list: look up by index. */
int vf_list_get(struct nl *nl, int pf, struct vf_list *ret, struct err *e);
const struct vf_info *vf_list_find(const struct vf_list *l, uint32_t index);

/* Sets the administrator MAC; retries for up to 3 s what the driver calls busy. */
int vf_set_mac(struct nl *nl, int pf, uint32_t index, const struct mac *mac, struct err *e);

/*
 * Takes the MAC away from a VF: all zero, or 02:00:00:00:00:00 where the driver refuses zero
 * (libvirt's own fallback), and reads back that OLD is gone.
 */
int vf_clear_mac(struct nl *nl, int pf, uint32_t index, const struct mac *old, struct err *e);

#endif
