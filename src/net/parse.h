/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel's messages say: one message in, plain data out, nobody asked. Callbacks for
 * nl_talk and nl_dump, for the files of this folder and for tests with canned bytes. Messages of
 * another kind and attributes of the wrong length are passed over. All return MNL_CB_OK.
 */
#ifndef NET_PARSE_H
#define NET_PARSE_H

#include "net/fdb.h"
#include "net/link.h"
#include "net/nl_priv.h"
#include "net/vf.h"

struct fdb_collect {
	const struct mac *mac; /* borrowed; entries for others are passed over */
	struct fdb_list list;
};
/* ARG is a struct fdb_collect. */
int fdb_collect_entry(const struct nlmsghdr *msg, void *arg);

/* ARG is a struct link_list. */
int link_collect(const struct nlmsghdr *msg, void *arg);

struct vlan_collect {
	int ifindex; /* of the port */
	struct vlan_list list;
};
/* ARG is a struct vlan_collect. */
int link_collect_vlans(const struct nlmsghdr *msg, void *arg);

struct index_list {
	int *v; /* owned */
	size_t n;
};
/* ARG is a struct index_list. */
int link_collect_address(const struct nlmsghdr *msg, void *arg);

/* ARG is a struct vf_list. */
int vf_collect(const struct nlmsghdr *msg, void *arg);

#endif
