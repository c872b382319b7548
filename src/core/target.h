/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The destination as the operator names it: what ssh and what libvirt make of it. */
#ifndef CORE_TARGET_H
#define CORE_TARGET_H

#include <stddef.h>

#include "core/options.h"
#include "util/err.h"

struct target {
	char *label;    /* owned; for messages, until the host has told its own name */
	char *dest_uri; /* owned; libvirt URI */
	char **argv;    /* owned; starts the agent there */
	size_t n_argv;
};

/*
 * HOST is an ssh destination ([user@]host) or a libvirt URI; one that is not qemu+ssh:// needs
 * --agent-host. The remote command is made of constant words and a checked path: no shell there
 * sees anything that came from outside.
 */
int target_parse(const char *host, const struct options *o, struct target *ret, struct err *e);
void target_free(struct target *t);

#endif
