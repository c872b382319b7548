/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual functions as their PF's driver shows them: their administrator MAC, and the other
 * attributes that an administrator sets for them on the PF.
 */
#ifndef NET_VF_H
#define NET_VF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/nl.h"
#include "util/err.h"
#include "util/hwaddr.h"

/* In the words and units of ip-link(8); -1: the driver does not say. */
struct vf_attr {
	int64_t trust, spoofchk, query_rss;
	int64_t link_state; /* 0 auto, 1 enable, 2 disable; 0 also where a driver has none */
	int64_t min_rate, max_rate;  /* Mbit/s; 0: no limit */
	int64_t vlan, qos, protocol; /* of the tag the PF puts on; 0: none; an Ethernet type */
};

/* What is set at once. */
enum vf_attr_kind {
	VF_TRUST,
	VF_SPOOFCHK,
	VF_QUERY_RSS,
	VF_LINK_STATE,
	VF_RATE,
	VF_VLAN,
	VF_ATTRS
};

#define VF_ATTR_TEXT_SIZE 64

/* "trust on", "min_tx_rate 0 max_tx_rate 1000", … into RET (VF_ATTR_TEXT_SIZE). */
void vf_attr_format(enum vf_attr_kind kind, const struct vf_attr *a, char *ret);
bool vf_attr_is_said(enum vf_attr_kind kind, const struct vf_attr *a);
bool vf_attr_is_same(enum vf_attr_kind kind, const struct vf_attr *a, const struct vf_attr *b);

struct vf_info {
	uint32_t index;
	struct mac mac; /* igb shows the VF's self-chosen one here, too */
	struct vf_attr attr;
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

/* Sets one kind of attribute; retries likewise. Many drivers lack some: EOPNOTSUPP, EINVAL. */
int vf_set_attr(struct nl *nl, int pf, uint32_t index, enum vf_attr_kind kind,
	const struct vf_attr *value, struct err *e);

/*
 * Takes the MAC away from a VF: all zero, or 02:00:00:00:00:00 where the driver refuses zero
 * (libvirt's own fallback), and reads back that OLD is gone.
 */
int vf_clear_mac(struct nl *nl, int pf, uint32_t index, const struct mac *old, struct err *e);

#endif
