/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The checks' functions, for the table only. */
#ifndef CORE_CHECK_PRIV_H
#define CORE_CHECK_PRIV_H

#include "core/check.h"

/* Notes a problem with the code of the check being made. */
void check_found(const struct check_view *v, const struct host_facts *host, const char *hint,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

typedef void check_fn(const struct check_view *v);

/* ---- check_host.c: hosts and domain ---- */

check_fn check_same_host, check_same_hostname, check_reached, check_address, check_permission,
	check_busy, check_reach, check_job, check_state;
check_fn check_journal_readable, check_journal_writable, check_journal_open, check_other_devices;
check_fn check_name, check_uuid, check_incoming, check_runs_twice, check_taps, check_saved;
check_fn check_versions, check_libvirt, check_qemu, check_older, check_clocks;
check_fn check_memory_total, check_memory_free, check_cpu, check_machine;
check_fn check_agent, check_guest, check_snapshots, check_shared, check_files, check_other_nics;
check_fn check_defined_devices, check_movable;

/* ---- check_pair.c: a pair, and what it stands on ---- */

check_fn check_standby_model, check_vhost, check_alias, check_alias_returns, check_port, check_used,
	check_native;
check_fn check_isolated, check_packet_filter;
check_fn check_bridge_up, check_tap, check_pf_up, check_uplink_up, check_forwarding, check_cut_off;
check_fn check_vf_pf_up, check_vf_pf_switchdev;
check_fn check_switchdev, check_filters, check_filters_held, check_mac_used, check_mac_left,
	check_mac_of_domain;
check_fn check_trust, check_spoofchk, check_filter_leak, check_nic_known;
check_fn check_pf_carrier, check_vf_up, check_other_pf, check_vf_mac, check_mtu, check_standby_mtu,
	check_stp, check_attributes, check_unplug;

/* The pair's tap on V's host; NULL: it has none there. */
const struct tap_fact *check_tap_of(const struct check_view *v);

/* ---- check_vlan.c ---- */

check_fn check_vlan, check_pool_vlan;

#endif
