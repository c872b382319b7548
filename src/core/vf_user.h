/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether this host itself uses a VF, domains and runs apart. */
#ifndef CORE_VF_USER_H
#define CORE_VF_USER_H

#include "net/link.h"
#include "net/nl.h"
#include "net/pci.h"

/* The host's network devices, as they are looked at together. */
struct vf_user_view {
	struct link_list links;
	int *addressed; /* owned; ifindexes with an IP address */
	size_t n_addressed;
};

int vf_user_view_get(struct nl *nl, struct vf_user_view *ret, struct err *e);
void vf_user_view_free(struct vf_user_view *v);
#define CLEANUP_VF_USER_VIEW __attribute__((cleanup(vf_user_view_free)))

/* What its network device tells of how VF is used, for people; NULL: it is not. Caller frees. */
char *vf_user_of_netdev(const struct vf_user_view *view, const struct pci_vf *vf);

/*
 * The same of the VF with that address now, and of a program that has it open (pci_hidden_user); NULL also
 * where there is no such VF. ADDRESSED: one with an IP address counts.
 */
int vf_user_now(struct nl *nl, const char *address, bool addressed, char **ret, struct err *e);

#endif
