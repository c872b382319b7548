/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/check.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

#include "core/check_priv.h"
#include "util/mem.h"
#include "util/str.h"

/*
 * In the order in which `check --help` lists them; they are told by scope. A code is never changed and never used for another
 * matter. Each has a test that makes it fail (tests/check.bats sees to that) and a line under
 * DIAGNOSTICS in sriov-migrate(8).
 */
const struct check checks[] = {
	{ "same-host", CHECK_REFUSES, CHECK_HOSTS, check_same_host,
		"the destination is another host" },
	{ "same-hostname", CHECK_REFUSES, CHECK_HOSTS, check_same_hostname,
		"and has another hostname, by which libvirt tells them apart" },
	{ "no-permission", CHECK_REFUSES, CHECK_HOST, check_permission,
		"the agent may change network devices and take locks" },
	{ "no-journal", CHECK_REFUSES, CHECK_HOST, check_journal_writable,
		"and write down what it is about to do" },
	{ "versions-differ", CHECK_WARNS, CHECK_HOSTS, check_versions,
		"this program has one version on both hosts" },
	{ "libvirt-too-old", CHECK_REFUSES, CHECK_HOST, check_libvirt, "libvirt is 6.1 or later" },
	{ "qemu-too-old", CHECK_REFUSES, CHECK_HOST, check_qemu, "QEMU is 4.2 or later" },
	{ "older-destination", CHECK_WARNS, CHECK_HOSTS, check_older,
		"libvirt and QEMU there are not older than here" },
	{ "clocks-differ", CHECK_WARNS, CHECK_HOSTS, check_clocks,
		"both clocks tell the same time" },

	{ "no-domain", CHECK_REFUSES, CHECK_PLAN, NULL, "the domain exists" },
	{ "busy", CHECK_REFUSES, CHECK_DOMAIN, check_busy, "no other run holds the domain" },
	{ "bad-journal", CHECK_REFUSES, CHECK_DOMAIN, check_journal_readable,
		"no journal of the domain is damaged, or newer than the program" },
	{ "open-journal", CHECK_ADVISES, CHECK_DOMAIN, check_journal_open,
		"no interrupted run is to be settled first" },
	{ "libvirt-unreachable", CHECK_REFUSES, CHECK_DOMAIN, check_reach,
		"the source's libvirt gets into the destination's" },
	{ "libvirt-elsewhere", CHECK_REFUSES, CHECK_DOMAIN, check_reached,
		"which is on the host that the destination's agent is on" },
	{ "unknown-address", CHECK_REFUSES, CHECK_DOMAIN, check_address,
		"and the source knows the address that the destination gives its QEMU" },
	{ "job-active", CHECK_REFUSES, CHECK_DOMAIN, check_job,
		"libvirt has no job for the domain" },
	{ "not-running", CHECK_REFUSES, CHECK_DOMAIN, check_state, "the domain is running" },
	{ "name-taken", CHECK_REFUSES, CHECK_DOMAIN, check_name,
		"no other domain on the destination has its name" },
	{ "uuid-taken", CHECK_REFUSES, CHECK_DOMAIN, check_uuid,
		"no other domain on the destination has its UUID" },
	{ "incoming", CHECK_REFUSES, CHECK_DOMAIN, check_incoming,
		"no other migration brings it to the destination" },
	{ "running-twice", CHECK_REFUSES, CHECK_DOMAIN, check_runs_twice,
		"the domain does not run on the destination as well" },
	{ "managed-save", CHECK_WARNS, CHECK_DOMAIN, check_saved,
		"nor has libvirt there an older state of it to start from" },
	{ "machine-unsupported", CHECK_REFUSES, CHECK_DOMAIN, check_machine,
		"QEMU there has the domain's machine type" },
	{ "cpu-incompatible", CHECK_WARNS, CHECK_DOMAIN, check_cpu,
		"the CPU there has what the guest's CPU has" },
	{ "memory-too-small", CHECK_REFUSES, CHECK_DOMAIN, check_memory_total,
		"the destination has more memory than the guest" },
	{ "memory-short", CHECK_WARNS, CHECK_DOMAIN, check_memory_free, "and that much is free" },
	{ "guest-unverified", CHECK_ADVISES, CHECK_DOMAIN, check_agent,
		"a guest agent can say whether the guest runs net_failover" },
	{ "guest-without-failover", CHECK_WARNS, CHECK_DOMAIN, check_guest, "and it says yes" },
	{ "unmovable-device", CHECK_REFUSES, CHECK_DOMAIN, check_other_devices,
		"it has no PCI device of the host's but those of its pairs" },
	{ "unmovable-domain", CHECK_REFUSES, CHECK_DOMAIN, check_movable,
		"nor a block job, a transient disk, or a time stamp counter that cannot" },
	{ "disk-not-shared", CHECK_REFUSES, CHECK_DOMAIN, check_shared,
		"its disks are on storage that both hosts may share, or are copied" },
	{ "file-missing", CHECK_REFUSES, CHECK_DOMAIN, check_files,
		"its emulator, disks, kernel and firmware are on the destination as well" },
	{ "other-nic", CHECK_REFUSES, CHECK_DOMAIN, check_other_nics,
		"as are the bridges, devices and networks of its other NICs" },
	{ "tap-in-use", CHECK_REFUSES, CHECK_DOMAIN, check_taps,
		"and no device has a name there that one of its NICs is to have" },
	{ "defined-device", CHECK_WARNS, CHECK_DOMAIN, check_defined_devices,
		"its definition names no PCI devices of the source's that it runs without" },
	{ "snapshots", CHECK_REFUSES, CHECK_DOMAIN, check_snapshots,
		"libvirt keeps no snapshots of it" },

	{ "bad-xml", CHECK_REFUSES, CHECK_PLAN, NULL, "the domain's definition can be read" },
	{ "no-pair", CHECK_REFUSES, CHECK_PLAN, NULL, "the domain has a pair" },
	{ "broken-pair", CHECK_REFUSES, CHECK_PLAN, NULL,
		"each pair is complete, with one MAC address" },
	{ "standby-model", CHECK_REFUSES, CHECK_PAIR, check_standby_model,
		"the standby is a virtio NIC" },
	{ "no-vhost", CHECK_WARNS, CHECK_PAIR, check_vhost,
		"vhost-net carries the standby's frames where a VF is attached, not QEMU" },
	{ "alias-not-user", CHECK_REFUSES, CHECK_PAIR, check_alias,
		"the standby's alias begins with ua-" },
	{ "alias-lost", CHECK_WARNS, CHECK_PAIR, check_alias_returns,
		"a primary that is given back has the alias that QEMU knows it by" },
	{ "not-hotpluggable", CHECK_REFUSES, CHECK_PAIR, check_port,
		"the primary's port takes part in hotplug" },
	{ "no-vf", CHECK_REFUSES, CHECK_PLAN, NULL, "the primary is a VF of the host" },
	{ "no-vf-info", CHECK_REFUSES, CHECK_PLAN, NULL, "the PF tells about the primary's VF" },
	{ "vf-mac-differs", CHECK_REFUSES, CHECK_VF, check_vf_mac,
		"the VF of a plain <hostdev> has the standby's MAC on the source" },
	{ "vf-unused", CHECK_WARNS, CHECK_VF, check_used, "the guest uses the VF that it has" },
	{ "natively-migratable", CHECK_ADVISES, CHECK_VF, check_native,
		"QEMU cannot migrate the VF as it is, and this program is needed" },

	{ "no-network", CHECK_REFUSES, CHECK_PLAN, NULL,
		"the networks of the standby and of the VF are active" },
	{ "openvswitch", CHECK_REFUSES, CHECK_PLAN, NULL, "the standby's bridge is the kernel's" },
	{ "macvtap-mode", CHECK_REFUSES, CHECK_PLAN, NULL,
		"a macvtap does not have the device below for itself" },
	{ "no-bridge", CHECK_REFUSES, CHECK_PLAN, NULL, "the standby's bridge exists" },
	{ "libvirt-owns-fdb", CHECK_WARNS, CHECK_PLAN, NULL,
		"libvirt leaves the bridge's forwarding entries alone" },
	{ "no-uplink", CHECK_REFUSES, CHECK_PLAN, NULL, "the bridge has an uplink" },
	{ "several-uplinks", CHECK_REFUSES, CHECK_PLAN, NULL, "only one, or one is named" },
	{ "bridge-down", CHECK_REFUSES, CHECK_UPLINK, check_bridge_up, "the bridge is up" },
	{ "pf-down", CHECK_REFUSES, CHECK_UPLINK, check_pf_up, "the PF is up" },
	{ "switchdev", CHECK_REFUSES, CHECK_UPLINK, check_switchdev,
		"the NIC's embedded switch is in legacy mode" },
	{ "uplink-down", CHECK_REFUSES, CHECK_UPLINK, check_uplink_up,
		"the uplink is up and has carrier" },
	{ "uplink-not-forwarding", CHECK_REFUSES, CHECK_UPLINK, check_forwarding,
		"the bridge forwards on it" },
	{ "standby-isolated", CHECK_REFUSES, CHECK_UPLINK, check_isolated,
		"the bridge forwards between it and the standby" },
	{ "bridge-filtered", CHECK_WARNS, CHECK_UPLINK, check_packet_filter,
		"the host's packet filter does not get the bridge's frames, or lets them through" },
	{ "tap-closed", CHECK_REFUSES, CHECK_UPLINK, check_tap,
		"the standby's tap is up, and a port of that bridge" },
	{ "cut-off", CHECK_WARNS, CHECK_UPLINK, check_cut_off,
		"unless nothing reaches the guest as it is, and this is the way out" },
	{ "uplink-not-trusted", CHECK_WARNS, CHECK_UPLINK, check_trust, "its VF is trusted" },
	{ "uplink-spoofchk", CHECK_WARNS, CHECK_UPLINK, check_spoofchk,
		"its VF has spoof checking off" },
	{ "filters-full", CHECK_REFUSES, CHECK_UPLINK, check_filters,
		"it has room for one more MAC" },
	{ "filters-busy", CHECK_REFUSES, CHECK_UPLINK, check_filters_held,
		"and other runs do not keep the last of it for their guests" },
	{ "filters-leak", CHECK_ADVISES, CHECK_UPLINK, check_filter_leak,
		"the NIC's driver gives up what the uplink does not filter for any more" },
	{ "unknown-nic", CHECK_WARNS, CHECK_UPLINK, check_nic_known,
		"it is known what the NIC does when VF and uplink share a MAC" },

	{ "bad-vf", CHECK_REFUSES, CHECK_PLAN, NULL, "a VF given with --vf exists" },
	{ "vf-in-use", CHECK_REFUSES, CHECK_PLAN, NULL, "and is free" },
	{ "no-pool", CHECK_REFUSES, CHECK_PLAN, NULL, "a network of VFs is one" },
	{ "pool-vf-in-use", CHECK_REFUSES, CHECK_PLAN, NULL,
		"and has no VF that the host itself, or a domain that did not get it there, uses" },
	{ "no-free-vf", CHECK_REFUSES, CHECK_PLAN, NULL, "else, the PF has a free one" },
	{ "vf-pf-down", CHECK_REFUSES, CHECK_VF, check_vf_pf_up,
		"the PF of the VF that the guest is to get is up, if it is not the uplink's" },
	{ "vf-pf-switchdev", CHECK_REFUSES, CHECK_VF, check_vf_pf_switchdev,
		"and its embedded switch in legacy mode" },
	{ "pf-no-carrier", CHECK_REFUSES, CHECK_VF, check_pf_carrier,
		"the PF of the VF that the guest is to get has carrier" },
	{ "vf-up", CHECK_WARNS, CHECK_VF, check_vf_up,
		"and that VF's network device is down, so that no program of the host's uses it" },
	{ "other-pf", CHECK_WARNS, CHECK_VF, check_other_pf, "VF and uplink belong to one PF" },
	{ "mac-in-use", CHECK_REFUSES, CHECK_VF, check_mac_used,
		"no other function that is in use has the guest's MAC" },
	{ "mac-left", CHECK_WARNS, CHECK_VF, check_mac_left, "nor one that is not" },
	{ "mac-of-other-domain", CHECK_REFUSES, CHECK_BOTH, check_mac_of_domain,
		"nor another domain that runs there" },
	{ "vf-attributes", CHECK_WARNS, CHECK_BOTH, check_attributes,
		"the VF there takes what the guest's VF has set" },
	{ "qemu-cannot-unplug", CHECK_REFUSES, CHECK_BOTH, check_unplug,
		"with --unplug=qemu: QEMU, the VF's form, the NICs and disks allow it" },
	{ "mtu-differs", CHECK_WARNS, CHECK_BOTH, check_mtu,
		"both bridges have one MTU, and the PF there takes frames as large as the one here" },
	{ "standby-mtu", CHECK_ADVISES, CHECK_BOTH, check_standby_mtu,
		"and what the standby goes by takes frames as large as the PFs do" },
	{ "pool-vlan", CHECK_REFUSES, CHECK_BOTH, check_pool_vlan,
		"the network there gives the guest's VF the VLAN that its standby is in" },
	{ "vlan-differs", CHECK_WARNS, CHECK_BOTH, check_vlan,
		"the standby leads into the VLAN that the guest's VF is in, and the VF stays in it" },
	{ "stp-delay", CHECK_WARNS, CHECK_BOTH, check_stp,
		"the bridge there lets the standby's port forward at once" },
	{ "defined-without-vf", CHECK_WARNS, CHECK_PLAN, NULL,
		"the persistent definition has a VF for each pair" },
};

const size_t n_checks = ARRAY_SIZE(checks);

static const char *const severity_names[] = {
	[CHECK_REFUSES] = "error",
	[CHECK_WARNS] = "warning",
	[CHECK_ADVISES] = "advice",
};

const char *check_severity_name(enum check_severity s)
{
	return severity_names[s];
}

void check_print_help(FILE *f)
{
	fprintf(f, "What is checked, by its code. An error refuses the migration; an advice is "
		   "given by\nthe command check only.\n\n");
	for (size_t i = 0; i < n_checks; i++)
		fprintf(f, "  %-24s%-9s%s\n", checks[i].code,
			check_severity_name(checks[i].severity), checks[i].help);
}

static const struct check *check_by_code(const char *code)
{
	for (size_t i = 0; i < n_checks; i++)
		if (str_equal(checks[i].code, code))
			return &checks[i];
	assert(!"a check that is not in the table");
	abort();
}

/* ---- problems ---- */

void problem_list_free(struct problem_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].host);
		free(l->v[i].text);
		free(l->v[i].hint);
	}
	free(l->v);
	*l = (struct problem_list){ 0 };
}

bool problem_list_refuses(const struct problem_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (!l->v[i].warning)
			return true;
	return false;
}

bool problem_list_has(const struct problem_list *l, const char *code)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_equal(l->v[i].code, code))
			return true;
	return false;
}

/* Two pairs on one uplink have its problems in common: they are told once. */
static bool is_told(const struct problem_list *l, const char *code, const char *host,
	const char *text)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_equal(l->v[i].code, code) && str_equal(l->v[i].text, text) &&
			str_equal(l->v[i].host, host))
			return true;
	return false;
}

__attribute__((format(printf, 5, 0))) static void add(struct problem_list *l, const struct check *c,
	const struct host_facts *host, const char *hint, const char *fmt, va_list ap)
{
	CLEANUP_FREE char *text = str_vprintf(fmt, ap);
	const char *name = host ? host->hostname : NULL;
	struct problem *new;

	if ((c->severity == CHECK_ADVISES && !l->advise) || is_told(l, c->code, name, text))
		return;
	new = mem_append(&l->v, &l->n, sizeof(*new));
	new->code = c->code;
	new->warning = c->severity == CHECK_ADVISES || (c->severity == CHECK_WARNS && !l->strict);
	new->host = str_dup(name);
	new->text = TAKE_PTR(text);
	new->hint = str_dup(hint);
}

void problem_add(struct problem_list *l, const char *code, const struct host_facts *host,
	const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(l, check_by_code(code), host, hint, fmt, ap);
	va_end(ap);
}

void check_found(const struct check_view *v, const struct host_facts *host, const char *hint,
	const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(v->problems, v->check, host, hint, fmt, ap);
	va_end(ap);
}

void check_run(enum check_scope scope, struct check_view *v)
{
	for (size_t i = 0; i < n_checks; i++) {
		if (checks[i].scope != scope || !checks[i].look)
			continue;
		v->check = &checks[i];
		checks[i].look(v);
	}
}
