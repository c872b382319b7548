/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel log, where PF drivers say that they refused a VF a filter: the VF that asked, and who
 * asked the VF, are told nothing.
 */
#ifndef NET_KMSG_H
#define NET_KMSG_H

#include <stdbool.h>

#include "util/hwaddr.h"

struct kmsg_about {
	char pf_address[PCI_TEXT_SIZE];
	const char *pf; /* borrowed; its network device */
	int vf;         /* number of the VF that asked; -1: the PF itself */
};

/* Opens the log at its end; -1 where it cannot be read. */
int kmsg_open(void);
/* The first complaint behind the mark, or NULL. Never waits. Caller frees. */
char *kmsg_find_complaint(int fd, const struct kmsg_about *about);

/* Whether a line of the log is one. */
bool kmsg_is_complaint(const char *line, const struct kmsg_about *about);

#endif
