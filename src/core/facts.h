/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Facts: what one host looks like right now, gathered by its agent without changing anything,
 * sent to the driver, and all that plan (plan.h) knows. Addresses are canonical text.
 */
#ifndef CORE_FACTS_H
#define CORE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/record.h"
#include "net/nl.h"
#include "virt/virt.h"

struct vf_fact {
	int64_t index;
	char *address;
	char *driver; /* "" when none is bound */
	char *netdev; /* "" when none is visible */
	char *mac;
	int64_t spoofchk, trust; /* 0, 1, -1 when the driver does not say */
	char *user; /* why it is not free, for people; "" when it is */
	bool own;   /* the domain asked for is defined with it; that alone makes it not used */
};

struct pf_fact {
	char *name, *address, *driver;
	bool up, running;
	struct vf_fact *vfs;
	size_t n_vfs;
};

/* A bridge port that belongs to an SR-IOV NIC. */
struct uplink_fact {
	char *name;
	char *pf;         /* name of the PF it belongs to; it may be that PF itself */
	int64_t vf_index; /* -1: the PF itself */
	bool up, running, forwarding;
};

struct bridge_fact {
	char *name;
	bool up, vlan_filtering;
	int64_t mtu;
	struct uplink_fact *uplinks;
	size_t n_uplinks;
};

struct network_fact {
	char *name, *forward, *bridge;
	bool libvirt_owns_fdb;
};

struct domain_fact {
	char *name, *uuid;
	char *state; /* virt_state_name */
	bool job, persistent, autostart;
	char *live;       /* XML; NULL unless active */
	char *inactive;   /* XML; NULL unless persistent */
	char *lock_owner; /* NULL: no run holds it */
};

struct domain_name {
	char *name, *uuid, *state;
};

/* What an interrupted run left of a domain; those of runs that go on count as well. */
struct journal_fact {
	char *uuid;  /* of the domain */
	char *error; /* why it cannot be read; NULL: it can */
};

struct host_facts {
	char *hostname, *uuid;
	int64_t libvirt, qemu;
	bool net_admin; /* may change FDB entries and take locks */
	char *unreachable; /* why libvirt there cannot be reached from here; NULL if it can */
	struct pf_fact *pfs;
	size_t n_pfs;
	struct bridge_fact *bridges;
	size_t n_bridges;
	struct network_fact *networks;
	size_t n_networks;
	struct domain_name *domains;
	size_t n_domains;
	struct journal_fact *journals;
	size_t n_journals;
	bool has_domain;
	struct domain_fact domain; /* the one asked for, if has_domain */
};

extern const struct record host_facts_record;

/* KEY: name or UUID of the domain asked for. RET is zeroed by the caller; record_clear it. */
int facts_gather(struct virt *v, struct nl *nl, const char *key, struct host_facts *ret,
	struct err *e);

/*
 * Facts as an agent told them, into RET (zeroed). What everything is known by is there: names, UUIDs and
 * states of host and domains, names and addresses of PFs, VFs, bridges and uplinks. The rest need not be.
 */
int facts_decode(const json_t *json, struct host_facts *ret, struct err *e);

const struct bridge_fact *facts_bridge(const struct host_facts *f, const char *name);
const struct network_fact *facts_network(const struct host_facts *f, const char *name);
const struct pf_fact *facts_pf(const struct host_facts *f, const char *name);
/* By host PCI address; *ret_pf (may be NULL) gets its PF. */
const struct vf_fact *facts_vf(const struct host_facts *f, const char *address,
	const struct pf_fact **ret_pf);

#endif
