/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/primary.h"

#include <stdlib.h>

#include "agent/lock.h"
#include "core/nic.h"
#include "core/standby.h"
#include "net/link.h"
#include "net/pci.h"
#include "net/vf.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"

enum {
	POLL_MS = 250,
	EVENT_GRACE_MS = 3000,  /* gone from the XML without an event: the event got lost */
	ASK_AGAIN_MS = 7000,    /* QEMU refuses a second unplug request within 5 s */
	PROOF_POLL_MS = 20,
	QUIET_POLL_MS = 50,
	QUIET_MS = 400,         /* no frame from the guest on the standby for that long */
	TAKE_BACK_MS = 10000,
	NICS_OF_A_WORKING_PAIR = 3, /* net_failover's master and its two ports */
};

/* ---- reservation ---- */

int vf_reserve(struct end *end, size_t i, struct err *e)
{
	const char *vf = end->order.pairs[i].vf;
	CLEANUP_FREE char *name = NULL;

	if (!vf || end->pairs[i].vf_lock)
		return 0;
	name = str_printf("vf-%s", vf);
	return lock_take(name, end->order.owner, &end->pairs[i].vf_lock, e);
}

int vf_release(struct end *end, size_t i, struct err *e)
{
	lock_release(end->pairs[i].vf_lock);
	end->pairs[i].vf_lock = NULL;
	return 0;
}

/* ---- what the live definition says ---- */

/* The pair's primary in the live definition; *ret_alias stays NULL when there is none. */
static int live_primary(struct end *end, size_t i, char **ret_alias, char **ret_vf, struct err *e)
{
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	CLEANUP_FREE char *xml = NULL;
	const struct xml_pair *pair;

	if (end_live_xml(end, &xml, e) < 0 || xml_pairs_find(xml, &pairs, e) < 0)
		return -1;
	pair = xml_pairs_by_alias(&pairs, end->order.pairs[i].standby_alias);
	if (!pair)
		return err_set(e, "the standby %s is gone from the live definition",
			end->order.pairs[i].standby_alias);
	if (pair->primary.form == PRIMARY_NONE)
		return 0;
	*ret_alias = str_dup(pair->primary.alias ? pair->primary.alias : "");
	*ret_vf = str_dup(pair->primary.address ? pair->primary.address : "");
	return 0;
}

/* ---- detach ---- */

struct detach {
	struct end *end;
	size_t i;
	struct virt_domain *domain; /* borrowed */
	char *alias;                /* borrowed */
	uint64_t mark;
	int64_t gone_since; /* first seen absent from the XML, 0: not yet */
	int64_t asked;
};

static int ask_to_unplug(struct detach *x, struct err *e)
{
	int r = virt_device_detach(x->domain, x->alias, e);

	x->asked = clock_ms();
	if (r > 0)
		log_debug("an earlier unplug of %s is still going on", x->alias);
	/* The guest may have let it go between our look and the request. */
	return r < 0 && e->kind != ERR_NOT_FOUND ? -1 : 0;
}

static int look_whether_gone(void *arg, struct err *e)
{
	struct detach *x = arg;
	const char *uuid = x->end->order.uuid;
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (virt_event_seen(x->end->virt, x->mark, VIRT_EVENT_REMOVAL_FAILED, uuid, x->alias))
		return err_set(e, "the guest refused to give up the VF");
	if (live_primary(x->end, x->i, &alias, &vf, e) < 0)
		return -1;
	if (alias) {
		if (clock_ms() >= x->asked + ASK_AGAIN_MS)
			return ask_to_unplug(x, e);
		return 0;
	}
	if (virt_event_seen(x->end->virt, x->mark, VIRT_EVENT_DEVICE_REMOVED, uuid, x->alias))
		return 1;
	if (!x->gone_since)
		x->gone_since = clock_ms();
	return clock_ms() >= x->gone_since + EVENT_GRACE_MS;
}

static int detach_and_wait(struct end *end, size_t i, char *alias, int64_t limit_ms, struct err *e)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	struct detach x = { .end = end, .i = i, .alias = alias };

	if (end_domain(end, &d, e) < 0)
		return -1;
	x.domain = d;
	x.mark = virt_event_mark(end->virt);
	if (ask_to_unplug(&x, e) < 0)
		return -1;
	if (cancel_wait(end->cancel, limit_ms, POLL_MS, "the guest to give up the VF",
		    look_whether_gone, &x, e) < 0) {
		if (e->kind == ERR_TIMEOUT)
			err_hint(e, "The guest ignores the request: is its VF driver or PCI hotplug "
				    "hung, or the VF in use by a program of its own (DPDK)? "
				    "--detach-timeout changes the limit.");
		return -1;
	}
	return 0;
}

int primary_detach(struct end *end, size_t i, struct err *e)
{
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (live_primary(end, i, &alias, &vf, e) < 0)
		return -1;
	if (alias && detach_and_wait(end, i, alias, end->order.detach_ms, e) < 0)
		return err_prefix(e, "detach of VF %s", end->order.pairs[i].vf);
	end->pairs[i].primary_missing = true;
	return 0;
}

/* ---- the VF's MAC ---- */

static int pf_index(struct end *end, size_t i, int *ret, struct err *e)
{
	struct link pf;

	if (link_get(end->nl, end->order.pairs[i].pf, &pf, e) < 0)
		return -1;
	*ret = pf.ifindex;
	return 0;
}

int vf_mac_clear(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_VFS struct vf_list vfs = { 0 };
	const struct vf_info *vf;
	struct mac mac;
	int pf;

	if (mac_parse(p->mac, &mac) < 0)
		return err_set(e, "\"%s\" is no MAC address", p->mac);
	if (pf_index(end, i, &pf, e) < 0 || vf_list_get(end->nl, pf, &vfs, e) < 0)
		return -1;
	vf = vf_list_find(&vfs, (uint32_t)p->vf_index);
	if (!vf)
		return err_set(e, "%s says nothing about its VF %d", p->pf, (int)p->vf_index);
	if (!mac_equal(&vf->mac, &mac))
		return 0;
	return vf_clear_mac(end->nl, pf, vf->index, &mac, e);
}

/* ---- proof ---- */

struct proof {
	struct end *end;
	struct pci_address vf;
};

static int look_for_driver(void *arg, struct err *e)
{
	struct proof *x = arg;
	bool master;

	if (pci_is_bus_master(&x->vf, &master, e) < 0)
		return -1;
	return master;
}

static int wait_for_driver(struct end *end, size_t i, struct err *e)
{
	struct proof x = { .end = end };

	if (pci_parse(end->order.pairs[i].vf, &x.vf) < 0)
		return err_set(e, "\"%s\" is no PCI address", end->order.pairs[i].vf);
	if (cancel_wait(end->cancel, end->order.proof_ms, PROOF_POLL_MS,
		    "the guest's driver to take the VF", look_for_driver, &x, e) < 0)
		return -1;
	log_debug("VF %s: the guest's driver has set bus master", end->order.pairs[i].vf);
	end->pairs[i].evidence = "bus master set by the guest's driver";
	return 0;
}

/*
 * The guest switches over when the VF has carrier in the guest, which shows nowhere on the
 * host. What shows is the standby: as long as the guest uses it, its frames come out of the
 * tap. So: until the tap has been quiet for a moment, at most carrier_ms. Both paths work
 * meanwhile; taking the standby down too early is what would cost frames.
 */
static void wait_for_quiet_standby(struct end *end, size_t i)
{
	int64_t start = clock_ms(), end_at = start + end->order.carrier_ms, changed = start;
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	CLEANUP_FREE char *xml = NULL;
	const struct xml_pair *pair;
	uint64_t seen = 0;
	struct err ignored;

	if (end_live_xml(end, &xml, &ignored) < 0 || xml_pairs_find(xml, &pairs, &ignored) < 0)
		return;
	pair = xml_pairs_by_alias(&pairs, end->order.pairs[i].standby_alias);
	while (pair && clock_ms() < end_at && clock_ms() < changed + QUIET_MS) {
		struct link tap;

		if (link_get(end->nl, pair->tap, &tap, &ignored) < 0)
			return;
		if (tap.rx_packets != seen)
			changed = clock_ms();
		seen = tap.rx_packets;
		clock_sleep_ms(QUIET_POLL_MS);
	}
	log_debug("standby quiet since %d ms, after %d ms", (int)(clock_ms() - changed),
		(int)(clock_ms() - start));
}

/* Strengthens the proof where the guest has an agent; its silence proves nothing. */
static void ask_guest_agent(struct end *end, size_t i)
{
	const char *mac = end->order.pairs[i].mac;
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	CLEANUP_FREE char *xml = NULL;
	struct err ignored;
	int nics;

	if (end_live_xml(end, &xml, &ignored) < 0 || !xml_agent_connected(xml) ||
		end_domain(end, &d, &ignored) < 0)
		return;
	if (virt_guest_nics(d, mac, &nics, &ignored) < 0)
		log_warn("%s: the guest agent did not answer: %s", end->order.name, ignored.msg);
	else if (nics >= NICS_OF_A_WORKING_PAIR)
		end->pairs[i].evidence = "guest agent: three interfaces with the MAC";
	else
		log_warn("%s: the guest agent reports %d interfaces with %s instead of three: does the "
			 "guest run net_failover?", end->order.name, nics, mac);
}

/* ---- give ---- */

static int attach_and_verify(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (live_primary(end, i, &alias, &vf, e) < 0)
		return -1;
	if (!alias && (end_domain(end, &d, e) < 0 || virt_device_attach(d, p->primary_xml, e) < 0 ||
			      live_primary(end, i, &alias, &vf, e) < 0))
		return -1;
	if (!alias)
		return err_set(e, "VF %s is not in the live definition after it was attached", p->vf);
	if (!str_equal(vf, p->vf))
		return err_set(e, "the domain has VF %s instead of %s", vf, p->vf);
	return 0;
}

/* A VF that is attached but not driven would keep frames from the standby: away with it. */
static void take_back(struct end *end, size_t i)
{
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;
	struct err e;

	if (live_primary(end, i, &alias, &vf, &e) < 0 || !alias)
		return;
	if (detach_and_wait(end, i, alias, TAKE_BACK_MS, &e) < 0 || vf_mac_clear(end, i, &e) < 0)
		log_warn("%s: VF %s is attached but not used by the guest: %s", end->order.name,
			end->order.pairs[i].vf, e.msg);
}

static int attach_and_prove(struct end *end, size_t i, struct err *e)
{
	if (attach_and_verify(end, i, e) < 0)
		return -1;
	if (wait_for_driver(end, i, e) == 0)
		return 0;
	take_back(end, i);
	return -1;
}

int give_vf(struct end *end, size_t i, struct err *e)
{
	bool drop_first = nic_rule_from_name(end->order.pairs[i].rule) == NIC_DROP_FIRST;
	struct err put_back;

	if (drop_first && uplink_entry_remove(end, i, e) < 0)
		return -1;
	end->pairs[i].primary_missing = true;
	if (attach_and_prove(end, i, e) < 0) {
		if (uplink_entry_set(end, i, &put_back) < 0)
			err_prefix(e, "the uplink entry could not be put back either (%s)",
				put_back.msg);
		return err_prefix(e, "VF %s", end->order.pairs[i].vf);
	}
	end->pairs[i].primary_missing = false;
	if (nic_rule_from_name(end->order.pairs[i].rule) == NIC_UPLINK_WINS &&
		uplink_entry_remove(end, i, e) < 0)
		return -1;
	wait_for_quiet_standby(end, i);
	ask_guest_agent(end, i);
	return uplink_entry_remove(end, i, e);
}
