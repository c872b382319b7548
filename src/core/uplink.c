/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/uplink.h"

#include <linux/if_bridge.h>
#include <stdlib.h>

#include "core/nic.h"
#include "core/tap.h"
#include "net/kmsg.h"
#include "net/link.h"
#include "net/pci.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum { LATE_ANSWER_MS = 2500, LATE_ANSWER_POLL_MS = 100 };

static int has_self_entry(struct end *end, const struct mac *mac, int dev, bool *ret, struct err *e)
{
	CLEANUP_FDB struct fdb_list found = { 0 };

	if (fdb_find_on(end->nl, dev, mac, &found, e) < 0)
		return -1;
	*ret = false;
	for (size_t k = 0; k < found.n; k++)
		*ret = *ret || (found.v[k].kind == FDB_SELF && found.v[k].port == dev);
	return 0;
}

/* The device NAME, which may have another name by now if its number was noted (IFINDEX; 0: it was not). */
static int find_device(struct end *end, const char *name, int64_t ifindex, struct link *ret,
	struct err *e)
{
	return ifindex ? link_get_by_index(end->nl, (int)ifindex, ret, e)
		       : link_get(end->nl, name, ret, e);
}

/* The one that the entry is on; where that is gone, the one that has its name now. */
static int find_uplink(struct end *end, size_t i, struct link *ret, struct err *e)
{
	const char *name = end->order.pairs[i].uplink;

	if (find_device(end, name, end->pairs[i].self_port, ret, e) == 0)
		return 0;
	return e->kind == ERR_NOT_FOUND ? link_get(end->nl, name, ret, e) : -1;
}

/* Says in the journal that the entry, which is not there yet, will be ours. */
static int claim_self_entry(struct end *end, size_t i, const struct link *uplink, struct err *e)
{
	struct pair_state *s = &end->pairs[i];

	if (s->self_added && s->self_port == uplink->ifindex)
		return 0;
	s->self_added = true;
	s->self_port = uplink->ifindex;
	return end_note_state_of_need(end, i, e);
}

int uplink_entry_claim(struct end *end, size_t i, struct err *e)
{
	struct link uplink;
	struct mac mac;
	bool present;

	if (tap_is_macvtap(end, i))
		return 0;
	if (end_pair_mac(end, i, &mac, e) < 0 || find_uplink(end, i, &uplink, e) < 0 ||
		has_self_entry(end, &mac, uplink.ifindex, &present, e) < 0)
		return -1;
	return present ? 0 : claim_self_entry(end, i, &uplink, e);
}

/* Whether the device below has the MAC of the pair's macvtap. */
static int verify_macvtap(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	struct link lower;
	struct mac mac;
	bool present;

	if (end_pair_mac(end, i, &mac, e) < 0 || link_get(end->nl, p->uplink, &lower, e) < 0 ||
		has_self_entry(end, &mac, lower.ifindex, &present, e) < 0)
		return -1;
	return present ? 0
		       : err_set(e, "%s does not list %s although the macvtap is up", p->uplink,
				 p->mac);
}

/*
 * Where the second one to ask for a MAC gets nothing, who has asked before the VF let go of it (a macvtap
 * that rests up, a bridge with an entry of its own, an administrator) has to ask anew, once.
 */
static bool has_to_ask_anew(const struct end *end, size_t i)
{
	return nic_rule_from_name(end->order.pairs[i].rule) == NIC_DROP_FIRST &&
	       !end->pairs[i].asked;
}

static int raise_macvtap(struct end *end, size_t i, struct err *e)
{
	bool ask_anew = has_to_ask_anew(end, i);
	struct link tap;

	if (tap_find(end, i, &tap, e) < 0)
		return -1;
	if (tap.up && ask_anew && link_set_up(end->nl, tap.name, false, e) < 0)
		return -1;
	if ((!tap.up || ask_anew) && link_set_up(end->nl, tap.name, true, e) < 0)
		return -1;
	end->pairs[i].asked = true;
	return verify_macvtap(end, i, e);
}

/* One that is gone has gone with the guest. */
static int set_macvtap(struct end *end, size_t i, bool up, struct err *e)
{
	struct link tap;
	int r = tap_find(end, i, &tap, e);

	if (r == 0 && tap.up != up)
		r = link_set_up(end->nl, tap.name, up, e);
	return r < 0 && e->kind == ERR_NOT_FOUND ? 0 : r;
}

bool uplink_function(const struct pair_order *p, struct pci_function *ret)
{
	CLEANUP_PFS struct pci_pf_list pfs = { 0 };
	struct err ignored;

	return pci_pf_list_get(&pfs, &ignored) == 0 &&
	       pci_find_function(&pfs, p->uplink_pf ? p->uplink_pf : p->pf, p->uplink_vf, ret);
}

static bool asks_later(const struct pair_order *p)
{
	struct pci_function f;

	return uplink_function(p, &f) && nic_asks_later(f.driver);
}

/*
 * What the PF's driver has said since the mark about a filter that the pair's uplink was refused,
 * or NULL. Caller frees. WAIT: also if the answer takes a while.
 */
static char *complaint_since(const struct pair_order *p, int mark, bool wait)
{
	int64_t end = clock_ms() + (wait && asks_later(p) ? LATE_ANSWER_MS : 0);
	struct kmsg_about about = { .pf = p->uplink_pf ? p->uplink_pf : p->pf,
		.vf = (int)p->uplink_vf };
	struct err ignored;

	if (pci_of_netdev(about.pf, about.pf_address, &ignored) < 0)
		return NULL;
	for (;;) {
		char *complaint = kmsg_find_complaint(mark, &about);

		if (complaint || clock_ms() >= end)
			return complaint;
		clock_sleep_ms(LATE_ANSWER_POLL_MS);
	}
}

/* Why no frame comes by the uplink, whatever is listed; NULL: nothing is known. Caller frees. */
static char *why_closed(struct end *end, size_t i)
{
	const struct pair_order *p = &end->order.pairs[i];
	struct link uplink, bridge;
	struct err ignored;

	if (find_uplink(end, i, &uplink, &ignored) < 0)
		return str_printf("there is no uplink %s", p->uplink);
	if (!uplink.up || !uplink.running)
		return str_printf("uplink %s %s", p->uplink,
			uplink.up ? "has no carrier" : "is down");
	if (!p->bridge)
		return NULL;
	if (link_get(end->nl, p->bridge, &bridge, &ignored) < 0)
		return str_printf("there is no bridge %s", p->bridge);
	if (!bridge.up)
		return str_printf("bridge %s is down", p->bridge);
	if (uplink.master != bridge.ifindex)
		return str_printf("uplink %s is no port of bridge %s", p->uplink, p->bridge);
	if (uplink.port_state != BR_STATE_FORWARDING)
		return str_printf("uplink %s of bridge %s is not forwarding", p->uplink, p->bridge);
	return NULL;
}

int uplink_check_open(struct end *end, size_t i, struct err *e)
{
	CLEANUP_FREE char *why = end->order.pairs[i].cut_off ? NULL : why_closed(end, i);

	return why ? err_set(e, "%s", why) : 0;
}

/* Adds the entry of the bridge's uplink. *RET_WHY: what the NIC's driver has against it. */
static int add_entry(struct end *end, size_t i, const struct link *uplink, char **ret_why,
	struct err *e)
{
	struct pair_state *s = &end->pairs[i];
	CLEANUP_CLOSE int log = kmsg_open();
	CLEANUP_FREE char *complaint = NULL;
	struct mac mac;
	bool present;

	if (end_pair_mac(end, i, &mac, e) < 0 ||
		fdb_add_self(end->nl, uplink->ifindex, &mac, e) < 0)
		return -1;
	s->asked = true;
	/* As long as the guest has its VF, waiting costs it nothing. */
	complaint = complaint_since(&end->order.pairs[i], log, !s->unproved);
	if (complaint)
		*ret_why = str_printf(
			"the NIC refuses uplink %s the guest's MAC; the kernel says \"%s\"",
			uplink->name, complaint);
	if (has_self_entry(end, &mac, uplink->ifindex, &present, e) < 0)
		return -1;
	return present ? 0
		       : err_set(e, "%s does not list %s after it was added", uplink->name,
				 end->order.pairs[i].mac);
}

static int set_entry(struct end *end, size_t i, char **ret_why, struct err *e)
{
	struct pair_state *s = &end->pairs[i];
	struct link uplink;
	struct mac mac;
	bool present;

	if (end_pair_mac(end, i, &mac, e) < 0 || find_uplink(end, i, &uplink, e) < 0 ||
		has_self_entry(end, &mac, uplink.ifindex, &present, e) < 0)
		return -1;
	if (!present)
		return claim_self_entry(end, i, &uplink, e) < 0
			       ? -1
			       : add_entry(end, i, &uplink, ret_why, e);
	s->self_added = s->self_added || end->order.pairs[i].adopt;
	if (s->self_added)
		s->self_port = uplink.ifindex;
	/* What was refused is asked for anew as well: there may be room by now. */
	if (!s->refused && !has_to_ask_anew(end, i))
		return 0;
	if (fdb_delete_self(end->nl, uplink.ifindex, &mac, e) < 0)
		return -1;
	return add_entry(end, i, &uplink, ret_why, e);
}

/* *RET_WHY: why the guest hears nothing all the same; caller frees. */
static int set_uplink(struct end *end, size_t i, char **ret_why, struct err *e)
{
	struct pair_state *s = &end->pairs[i];
	bool was_refused = s->refused;

	if (tap_is_macvtap(end, i) ? raise_macvtap(end, i, e) < 0
				   : set_entry(end, i, ret_why, e) < 0)
		return -1;
	if (!*ret_why)
		*ret_why = why_closed(end, i);
	s->refused = *ret_why;
	return s->refused != was_refused ? end_note_state_of_need(end, i, e) : 0;
}

int uplink_entry_set_or_warn(struct end *end, size_t i, struct err *e)
{
	CLEANUP_FREE char *why = NULL;

	if (set_uplink(end, i, &why, e) < 0)
		return -1;
	if (why)
		log_warn("%s: frames for the guest may be lost until it has its VF: %s",
			end->order.name, why);
	return 0;
}

int uplink_entry_set(struct end *end, size_t i, struct err *e)
{
	CLEANUP_FREE char *why = NULL;

	if (end->order.pairs[i].cut_off)
		return uplink_entry_set_or_warn(end, i, e);
	if (set_uplink(end, i, &why, e) < 0)
		return -1;
	if (!why)
		return 0;
	err_set(e, "%s", why);
	return err_hint(e,
		"Is the uplink up, and its VF trusted? Are there too many guests on their "
		"standby?");
}

/*
 * A bridge that filters VLANs, and whose uplink is its only port that learns and floods, leaves
 * the uplink out of promiscuous mode; instead it puts every MAC that it has a static or local
 * entry for on the uplink's list (net/bridge/br_if.c, br_manage_promisc). What is listed then is
 * the bridge's, and goes with that entry.
 */
static int bridge_lists_it(struct end *end, const struct mac *mac, const struct link *uplink,
	bool *ret, struct err *e)
{
	CLEANUP_FDB struct fdb_list found = { 0 };
	CLEANUP_LINKS struct link_list links = { 0 };
	const struct link *bridge;

	if (fdb_find(end->nl, mac, &found, e) < 0 || link_list_get(end->nl, &links, e) < 0)
		return -1;
	bridge = link_list_by_index(&links, uplink->master);
	*ret = false;
	for (size_t k = 0; bridge && bridge->vlan_filtering && k < found.n; k++)
		*ret = *ret ||
		       (found.v[k].bridge == bridge->ifindex && found.v[k].kind != FDB_LEARNT &&
			       found.v[k].port != uplink->ifindex);
	return 0;
}

/*
 * How the pair's macvtap rests: as it was. But one that is up has its MAC on the list of the device
 * below, which on some NICs makes the VF that the guest was given deaf.
 */
static bool macvtap_rests_up(const struct end *end, size_t i)
{
	const struct pair_order *p = &end->order.pairs[i];

	return p->macvtap_was_up &&
	       (end->order.is_source || nic_rule_from_name(p->rule) != NIC_UPLINK_WINS);
}

/* Removes the entry, and sees it gone; ERR_NOT_FOUND where the uplink itself is. IFINDEX: as of find_device. */
static int take_off(struct end *end, size_t i, const char *name, int64_t ifindex, struct err *e)
{
	bool present, bridges = false;
	struct link uplink;
	struct mac mac;

	if (end_pair_mac(end, i, &mac, e) < 0 || find_device(end, name, ifindex, &uplink, e) < 0 ||
		fdb_delete_self(end->nl, uplink.ifindex, &mac, e) < 0 ||
		has_self_entry(end, &mac, uplink.ifindex, &present, e) < 0 ||
		(present && bridge_lists_it(end, &mac, &uplink, &bridges, e) < 0))
		return -1;
	if (present && !bridges)
		return err_set(e, "%s still lists %s after it was removed", uplink.name,
			end->order.pairs[i].mac);
	return 0;
}

/* Of a run before this one, which had another uplink. */
static int remove_left_entry(struct end *end, size_t i, struct err *e)
{
	struct pair_state *s = &end->pairs[i];

	if (!s->left_uplink)
		return 0;
	if (take_off(end, i, s->left_uplink, s->left_port, e) < 0 && e->kind != ERR_NOT_FOUND)
		return -1;
	str_set(&s->left_uplink, NULL);
	s->left_port = 0;
	return end_note_state(end, i, e);
}

int uplink_entry_remove(struct end *end, size_t i, struct err *e)
{
	struct pair_state *s = &end->pairs[i];

	s->asked = false;
	if (tap_is_macvtap(end, i))
		return set_macvtap(end, i, macvtap_rests_up(end, i), e);
	if (remove_left_entry(end, i, e) < 0)
		return -1;
	if (!s->self_added && !end->order.pairs[i].adopt)
		return 0;
	if (take_off(end, i, end->order.pairs[i].uplink, s->self_port, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	s->self_added = s->refused = false;
	s->self_port = 0;
	return 0;
}

int uplink_entry_yield(struct end *end, size_t i, struct err *e)
{
	bool present, bridges = false;
	struct link uplink;
	struct mac mac;

	end->pairs[i].asked = false;
	if (tap_is_macvtap(end, i))
		return set_macvtap(end, i, false, e);
	if (uplink_entry_remove(end, i, e) < 0 || end_pair_mac(end, i, &mac, e) < 0)
		return -1;
	/* An uplink that is gone has nothing in the VF's way. */
	if (find_uplink(end, i, &uplink, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (has_self_entry(end, &mac, uplink.ifindex, &present, e) < 0 ||
		(present && bridge_lists_it(end, &mac, &uplink, &bridges, e) < 0))
		return -1;
	return bridges ? tap_entry_remove(end, i, e) : 0;
}
