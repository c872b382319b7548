/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between gather.c (libvirt and the host), gather_net.c (NICs and bridges) and gather_files.c. */
#ifndef CORE_GATHER_PRIV_H
#define CORE_GATHER_PRIV_H

#include "core/facts.h"
#include "net/nl.h"

/* A host device of some domain: who uses which PCI address. */
struct use {
	char *address;
	char *name, *uuid;
	bool live;
	bool interrupted; /* a run that has not been settled holds it, not the domain */
};

struct use_list {
	struct use *v;
	size_t n;
};

/* Who else counts when it is asked whether a VF is free. */
struct users {
	struct use_list uses;
	const char *own; /* borrowed; UUID of the domain asked for, or NULL */
};

/* Fills in PFs, bridges and devices. */
int gather_net(struct nl *nl, const struct users *users, struct host_facts *f, struct err *e);

/* Fills in the files that the domain, whose live XML is known, needs. */
int gather_files(struct domain_fact *f, struct err *e);

/* What the host's own files tell of it: huge pages, libvirt's configuration. */
void gather_host_files(struct host_facts *f);

#endif
