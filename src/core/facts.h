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
#include "net/vf.h"
#include "virt/virt.h"
#include "xml/network.h"

struct vf_fact {
	int64_t index;
	char *address;
	char *driver; /* "" when none is bound */
	bool is_up;   /* its network device here: somebody may use it */
	char *mac;
	bool has_attr; /* the PF tells about it: */
	struct vf_attr attr;
	char *user;     /* why it is not free, for people; "" when it is */
	bool host_uses; /* … and that is because the host itself uses it, not a domain */
	bool in_domain; /* … because a domain runs with it */
	bool own;       /* the domain asked for is defined with it; that alone makes it not used */
	bool idle;      /* held by a vfio driver, and no bus master: no guest has taken it in */
};

struct pf_fact {
	char *name, *address, *driver;
	bool up, no_carrier;
	int64_t mtu;
	bool is_switchdev; /* its embedded switch is run by the host; false: not, or unknown */
	struct vf_fact *vfs;
	size_t n_vfs;
};

/*
 * A network device that belongs to an SR-IOV NIC, or stands above one that does (VLAN, macvtap).
 * Above several, as a bond does, it is there once for each; for the one that a bond is using first.
 */
struct uplink_fact {
	char *name;
	int64_t mtu;
	char *pf;         /* name of the PF it belongs to; it may be that PF itself */
	int64_t vf_index; /* -1: the PF itself */
	int64_t vlan;     /* a VLAN device: its tag; 0: it is none */
	bool up, running;
	bool forwarding; /* as a bridge port */
	bool isolated;   /* likewise: from other ports of that sort */
	char *vlans; /* as a port of a bridge that filters VLANs, see vlans.h; NULL: it is none, or unknown */
	bool spare;   /* a bond between has this function for the case that its active port fails */
	char *driver; /* of the function itself */
	char *filters; /* MACs that it has to accept besides its own, separated by commas */
	char *held;    /* those of them that runs which go on keep room for, likewise */
};

struct bridge_fact {
	char *name;
	bool up;
	int64_t mtu;
	int64_t join_ms; /* until a new port forwards, with STP; 0 without */
	bool vlan_filtering;
	int64_t pvid; /* VLAN of a new port, 0: none */
	struct uplink_fact *uplinks;
	size_t n_uplinks;
	char *without_vfs; /* a port of it whose NIC could have VFs and has none; NULL: none is */
};

struct pool_vf {
	char *address;
};

struct device_name {
	char *name;
};

struct network_fact {
	char *name, *forward, *bridge, *virtualport;
	bool libvirt_owns_fdb;
	/* Devices that macvtaps stand on. */
	struct device_name *devices;
	size_t n_devices;
	/* Networks of VFs, see xml_network. */
	char *pf;
	struct pool_vf *vfs;
	size_t n_vfs;
	bool managed;
	struct pool_vf *given; /* those that NICs of domains have from it */
	size_t n_given;
	bool given_unknown;
	struct xml_vlan *vlans; /* see facts_network_vlan */
	size_t n_vlans;
};

/* A PCI device passed through that is of no pair. */
struct other_device {
	char *address, *driver;
};

/* A file that the domain needs, see xml_file. */
struct file_fact {
	char *what, *path;
	bool is_written, is_backing;
	char *own_fs; /* type of the file system of this host alone that it is on; NULL: none known */
	bool is_missing_there; /* as the destination says, see driver_ask_fit */
};

/* How many of the guest's network devices have a pair's MAC, as the guest agent counts them. */
struct guest_nic {
	char *mac;
	int64_t count; /* -1: it did not answer */
};

/* The tap of a pair's standby. */
struct tap_fact {
	char *name;
	bool is_there, up;
	char *bridge; /* NULL: it is a port of none */
	char *vlans;  /* as of an uplink */
};

struct domain_fact {
	char *name, *uuid;
	char *state; /* virt_state_name */
	bool job, persistent, autostart;
	char *live;       /* XML; NULL unless active */
	char *migratable; /* XML; likewise: what of it came from where */
	char *inactive;   /* XML; NULL unless persistent */
	struct other_device *others;
	size_t n_others;
	struct file_fact *files;
	size_t n_files;
	int64_t n_snapshots;          /* that libvirt knows of */
	char *block_job;              /* the first disk that has one; NULL: none */
	bool saved;                   /* libvirt has a managed save image of it */
	char *lock_owner;             /* NULL: no run holds it */
	bool agent;                   /* a guest agent is connected */
	struct guest_nic *guest_nics; /* for each pair */
	size_t n_guest_nics;
	struct tap_fact *taps;
	size_t n_taps;
};

struct domain_name {
	char *name, *uuid, *state;
	char *macs; /* of its NICs while it is active, separated by commas */
};

/* What an interrupted run left of a domain; those of runs that go on count as well. */
struct journal_fact {
	char *uuid;  /* of the domain */
	char *error; /* why it cannot be read; NULL: it can */
	char *owner; /* the run that holds the domain; NULL: none does */
};

/* Huge pages of one size, by the kernel's count; what it may make beyond those set aside counts. */
struct huge_fact {
	int64_t page_kib, free_kib;
	bool is_default;
};

struct host_facts {
	char *hostname, *uuid;
	char *id; /* host_id; NULL: none */
	int64_t libvirt, qemu;
	char *version;                          /* of this program */
	int64_t clock_ms;                       /* when it was asked, by its own clock */
	int64_t memory_total, memory_available; /* KiB; 0: unknown */
	struct huge_fact *huge;                 /* none: not known */
	size_t n_huge;
	char *cpu;         /* <cpu> of libvirt's capabilities; NULL: unknown */
	int64_t fit;       /* enum virt_fit: whether the domain's CPU and machine exist here */
	char *misfit;      /* why they do not, in libvirt's words */
	bool net_admin;    /* may change FDB entries */
	char *no_locks;    /* why none can be taken; NULL: they can */
	char *no_journal;  /* why none can be written; NULL: it can */
	bool no_vhost;     /* /dev/vhost-net is missing: QEMU itself carries what goes by taps */
	char *unreachable; /* why libvirt there cannot be reached from here; NULL if it can */
	char *reached;     /* UUID of the host that it was reached on; NULL: not told */
	bool names_address; /* libvirt's configuration tells the other one by which name it is to come, or cannot be read */
	bool peer_unresolved; /* the other host's own name means nothing here, see driver_ask_fit */
	struct pf_fact *pfs;
	size_t n_pfs;
	struct bridge_fact *bridges;
	size_t n_bridges;
	struct uplink_fact *devices; /* all of them, those in bridges included */
	size_t n_devices;
	struct device_name *links; /* every network device, by each of its names */
	size_t n_links;
	char *filtered; /* "IPv4", say: what of bridges the packet filter gets, and drops by default; NULL: none */
	char *idle_taps; /* those of them that wait for a process to open them, with commas between */
	char *no_networks; /* why libvirt's networks are not known; NULL: they are */
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

/*
 * Facts as an agent told them, into RET (zeroed). What everything is known by is there: names,
 * UUIDs and states of host and domains, names and addresses of PFs, VFs, bridges and uplinks. The
 * rest need not be.
 */
int facts_decode(const json_t *json, struct host_facts *ret, struct err *e);

const struct bridge_fact *facts_bridge(const struct host_facts *f, const char *name);
/* The first one of that name. */
const struct uplink_fact *facts_device(const struct host_facts *f, const char *name);
const struct network_fact *facts_network(const struct host_facts *f, const char *name);
/*
 * The VLAN that a NIC on it without a <vlan> of its own gets from libvirt: its portgroup's (NULL: the
 * default one's), else the network's (src/network/bridge_driver.c, networkAllocatePort). 0: none; -1:
 * several, or unknown, as where N is NULL.
 */
int64_t facts_network_vlan(const struct network_fact *n, const char *portgroup);
const struct pf_fact *facts_pf(const struct host_facts *f, const char *name);
bool facts_has_link(const struct host_facts *f, const char *name);
/* The VF of that number; NULL: there is none, or the PF is not known. */
const struct vf_fact *facts_vf_of(const struct host_facts *f, const char *pf, int64_t index);
/* By host PCI address; *ret_pf (may be NULL) gets its PF. */
const struct vf_fact *facts_vf(const struct host_facts *f, const char *address,
	const struct pf_fact **ret_pf);

#endif
