/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An order: all that one agent needs to do its half of a migration, and to undo it alone.
 * Made by plan (plan.h) from facts, sent to the agent before anything is changed.
 */
#ifndef CORE_ORDER_H
#define CORE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/record.h"
#include "net/vf.h"

/* One pair as it is on this host. */
struct pair_order {
	char *mac;
	char *standby_alias;
	char *tap;    /* name of the standby's host device; NULL: generated, ask libvirt */
	char *bridge; /* NULL: the standby is a macvtap */
	char *uplink; /* the bridge's port on the NIC, or the device below the macvtap */
	char *pf;     /* the VF's; the uplink's can be another one: */
	char *uplink_pf;
	int64_t uplink_vf; /* number of the VF that the uplink is, or stands on; -1: it is the PF */
	char *rule;        /* nic_rule_name */
	int64_t filter_limit; /* MACs that the uplink takes besides its own; -1: not known */

	char *form;       /* of the primary, see form.h */
	bool had_primary; /* the domain runs with the VF now (source, and a reattach) */
	bool cut_off; /* source: nothing reaches the guest as it is, so that no path is insisted on */
	char *primary_alias; /* NULL: libvirt gives it one */
	char *vf; /* host PCI address; source, without a primary: what it had, if known */
	int64_t vf_index;
	char *primary_xml; /* the device to attach here */
	bool has_attr;     /* it is known what the guest's VF has: */
	struct vf_attr attr;
	char *pf_driver;
	bool qemu_unplugs; /* QEMU takes this VF away, or gives it, as a part of the migration */
	char *arrival_vf; /* source: VF that the domain then arrives with; NULL: a network's choice */
	bool managed;     /* libvirt binds the VF to vfio-pci; else it must be bound already */

	bool link_was_up;    /* resting state of the standby's link */
	bool macvtap_was_up; /* and of its device, where it is a macvtap */
	bool adopt;          /* entries for the MAC found here are ours, left by an earlier run */
};

struct migration_order {
	char *dest_uri, *migrate_uri;
	char *persist_xml; /* NULL: the domain is transient */
	bool client_driven, undefine_source, auto_converge, tls, compressed, unsafe;
	bool copy_storage_all, copy_storage_inc;
	int64_t parallel, bandwidth;
	int64_t timeout_ms; /* 0: none */
};

struct word {
	char *text;
};

struct order {
	bool is_source;
	struct word *peer; /* source: the command that starts an agent on the destination */
	size_t n_peer;
	char *name, *uuid; /* of the domain */
	char *peer_uuid;   /* of the other host; NULL: there is none */
	char *peer_id;     /* host_id of that; NULL: none */
	char *owner;       /* one line for lock files: who runs this */
	bool persistent, autostart;
	bool strict; /* an attribute that the VF does not take stops the move */
	int64_t detach_ms, proof_ms, carrier_ms, settle_ms, watch_ms; /* limits, see options.h */
	struct migration_order migration;                             /* source */
	struct pair_order *pairs;
	size_t n_pairs;
};

extern const struct record order_record, vf_attr_record;

#endif
