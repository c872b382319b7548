/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A netlink socket. Not thread-safe: one per thread. */
#ifndef NET_NL_H
#define NET_NL_H

#include "util/err.h"

struct nl;

int nl_open(struct nl **ret, struct err *e); /* route netlink */
int nl_open_generic(struct nl **ret, struct err *e);
void nl_close(struct nl *nl); /* accepts NULL */
void nl_cleanup(struct nl **nl);
#define CLEANUP_NL __attribute__((cleanup(nl_cleanup)))

#endif
