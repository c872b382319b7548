/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/tap.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <stdlib.h>

#include "net/link.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"

enum { OPEN_EXTRA_MS = 5000, OPEN_POLL_MS = 250 };

/* The tap's present name; a fixed one from the order, a generated one from the live XML. */
static int tap_name(struct end *end, size_t i, char **ret, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	const struct xml_pair *pair;

	if (p->tap) {
		*ret = str_dup(p->tap);
		return 0;
	}
	if (end_live_pair(end, i, &pairs, &pair, e) < 0)
		return -1;
	if (!pair || !pair->tap)
		return err_set_kind(e, ERR_NOT_FOUND, "the standby %s has no tap",
			p->standby_alias);
	*ret = str_dup(pair->tap);
	return 0;
}

bool tap_is_macvtap(const struct end *end, size_t i)
{
	return !end->order.pairs[i].bridge;
}

int tap_find(struct end *end, size_t i, struct link *ret, struct err *e)
{
	const char *bridge = end->order.pairs[i].bridge;
	CLEANUP_FREE char *name = NULL;
	struct link br;

	if (tap_name(end, i, &name, e) < 0 || link_get(end->nl, name, ret, e) < 0)
		return -1;
	if (tap_is_macvtap(end, i))
		return 0;
	if (link_get(end->nl, bridge, &br, e) < 0)
		return -1;
	if (ret->master != br.ifindex)
		return err_set_kind(e, ERR_NOT_FOUND, "%s is no port of %s", name, bridge);
	return 0;
}

static int find_open(struct end *end, size_t i, struct link *ret, struct err *e)
{
	if (tap_find(end, i, ret, e) < 0)
		return -1;
	return ret->up ? 0 : err_set_kind(e, ERR_NOT_FOUND, "tap %s is down", ret->name);
}

int tap_check_open(struct end *end, size_t i, struct err *e)
{
	struct link tap;

	return tap_is_macvtap(end, i) ? 0 : find_open(end, i, &tap, e);
}

struct opening {
	struct end *end;
	size_t i;
};

static int look_whether_open(void *arg, struct err *e)
{
	struct opening *x = arg;
	struct link tap;

	if (find_open(x->end, x->i, &tap, e) < 0)
		return -1;
	return tap.port_state == BR_STATE_FORWARDING;
}

int tap_wait_open(struct end *end, size_t i, struct err *e)
{
	const char *bridge = end->order.pairs[i].bridge;
	struct opening x = { end, i };
	struct link br;

	if (tap_is_macvtap(end, i))
		return 0;
	if (link_get(end->nl, bridge, &br, e) < 0)
		return -1;
	return cancel_wait(end->cancel, br.join_ms + OPEN_EXTRA_MS, OPEN_POLL_MS,
		"the bridge to forward by the standby's tap", look_whether_open, &x, e);
}

/* Notes the static and local entries of the bridge that ours will replace, the first time only. */
static int remember_found(struct end *end, size_t i, const struct fdb_list *all,
	const struct link *tap, struct err *e)
{
	struct pair_state *s = &end->pairs[i];

	if (s->n_found)
		return 0;
	for (size_t k = 0; k < all->n; k++) {
		const struct fdb_entry *entry = &all->v[k];
		bool ours =
			entry->port == tap->ifindex && entry->kind == FDB_STATIC && entry->sticky;
		struct found_entry *f;

		if (entry->bridge != tap->master || entry->kind == FDB_LEARNT || ours)
			continue;
		f = mem_append(&s->found, &s->n_found, sizeof(*f));
		*f = (struct found_entry){ entry->port, entry->bridge, entry->vlan,
			entry->kind == FDB_LOCAL, entry->sticky };
	}
	return s->n_found ? end_note_state_of_need(end, i, e) : 0;
}

static int restore_found(struct end *end, const struct mac *mac, const struct found_entry *f,
	struct err *e)
{
	struct fdb_entry entry = { .mac = *mac,
		.port = (int)f->port,
		.bridge = (int)f->bridge,
		.vlan = (uint16_t)f->vlan,
		.kind = f->local ? FDB_LOCAL : FDB_STATIC,
		.sticky = f->sticky };
	int r = fdb_restore(end->nl, &entry, e);

	/* Its port may be gone by now, or be no port any more, and the entry with it. */
	return r < 0 && (e->kind == ERR_NOT_FOUND || e->sys == EOPNOTSUPP) ? 0 : r;
}

/* Whether every VLAN of the port has its entry. */
static int verify_tap_entry(struct end *end, const struct mac *mac, const struct link *tap,
	const struct vlan_list *vlans, struct err *e)
{
	CLEANUP_FDB struct fdb_list now = { 0 };

	if (fdb_find_on(end->nl, tap->ifindex, mac, &now, e) < 0)
		return -1;
	for (size_t v = 0; v < vlans->n; v++) {
		bool found = false;

		for (size_t k = 0; k < now.n; k++)
			found = found ||
				(now.v[k].bridge == tap->master && now.v[k].port == tap->ifindex &&
					now.v[k].vlan == vlans->v[v].vid &&
					now.v[k].kind == FDB_STATIC && now.v[k].sticky);
		if (!found)
			return err_set(e, "the entry on %s (VLAN %u) is not there after it was set",
				tap->name, vlans->v[v].vid);
	}
	return 0;
}

/*
 * A bridge that snoops gives multicast, once it has heard of a querier, to those ports alone that have asked for
 * it. The guest has asked by its VF and does so by its standby when the next query comes, 125 s later with
 * the usual timers; until then no neighbour could resolve its IPv6 addresses (br_multicast_ipv6_rcv and
 * br_multicast_flood in net/bridge). Ports that lead to routers get all of it.
 */
static void open_to_groups(struct end *end, size_t i, const struct link *tap)
{
	struct pair_state *s = &end->pairs[i];
	struct err e;

	if (tap->mcast_router != MDB_RTR_TYPE_TEMP_QUERY)
		return;
	if (!s->groups_opened) {
		s->groups_opened = true;
		s->groups_opened = end_note_state(end, i, &e) == 0;
	}
	/* What nobody would take back is not done. */
	if (!s->groups_opened ||
		link_set_mcast_router(end->nl, tap->name, MDB_RTR_TYPE_PERM, &e) < 0)
		log_warn("%s: the standby may get no multicast: %s", end->order.name, e.msg);
}

static int close_to_groups(struct end *end, size_t i, const struct link *tap, struct err *e)
{
	struct pair_state *s = &end->pairs[i];

	if (!s->groups_opened)
		return 0;
	if (tap->mcast_router == MDB_RTR_TYPE_PERM &&
		link_set_mcast_router(end->nl, tap->name, MDB_RTR_TYPE_TEMP_QUERY, e) < 0 &&
		e->kind != ERR_NOT_FOUND)
		return -1;
	s->groups_opened = false;
	return 0;
}

int tap_entry_prepare(struct end *end, size_t i, struct link *tap, struct err *e)
{
	CLEANUP_FDB struct fdb_list found = { 0 };
	struct mac mac;

	if (end_pair_mac(end, i, &mac, e) < 0 || fdb_find(end->nl, &mac, &found, e) < 0)
		return -1;
	open_to_groups(end, i, tap);
	tap->mcast_router = MDB_RTR_TYPE_PERM; /* as far as that goes */
	return remember_found(end, i, &found, tap, e);
}

int tap_entry_set_on(struct end *end, size_t i, const struct link *tap, struct err *e)
{
	CLEANUP_VLANS struct vlan_list vlans = { 0 };
	CLEANUP_FDB struct fdb_list found = { 0 };
	struct mac mac;

	if (end_pair_mac(end, i, &mac, e) < 0 || fdb_find(end->nl, &mac, &found, e) < 0 ||
		link_port_vlans(end->nl, tap->ifindex, &vlans, e) < 0)
		return -1;
	if (remember_found(end, i, &found, tap, e) < 0)
		return -1;
	for (size_t v = 0; v < vlans.n; v++)
		if (fdb_replace(end->nl, tap->ifindex, &mac, vlans.v[v].vid, e) < 0)
			return -1;
	open_to_groups(end, i, tap);
	return verify_tap_entry(end, &mac, tap, &vlans, e);
}

int tap_entry_set(struct end *end, size_t i, struct err *e)
{
	struct link tap;

	if (tap_is_macvtap(end, i))
		return 0;
	if (tap_find(end, i, &tap, e) < 0)
		return -1;
	return tap_entry_set_on(end, i, &tap, e);
}

/* Ours: static and sticky, on the tap. */
static int delete_tap_entries(struct end *end, const struct mac *mac, const struct link *tap,
	struct err *e)
{
	CLEANUP_FDB struct fdb_list found = { 0 };
	int r = 0;

	if (fdb_find_on(end->nl, tap->ifindex, mac, &found, e) < 0)
		return -1;
	for (size_t k = 0; k < found.n && r == 0; k++)
		if (found.v[k].bridge && found.v[k].port == tap->ifindex &&
			found.v[k].kind == FDB_STATIC && found.v[k].sticky)
			r = fdb_delete(end->nl, &found.v[k], e);
	return r;
}

static int verify_tap_entry_gone(struct end *end, const struct mac *mac, const struct link *tap,
	struct err *e)
{
	CLEANUP_FDB struct fdb_list now = { 0 };

	if (fdb_find_on(end->nl, tap->ifindex, mac, &now, e) < 0)
		return -1;
	for (size_t k = 0; k < now.n; k++)
		if (now.v[k].bridge && now.v[k].port == tap->ifindex && now.v[k].sticky)
			return err_set(e, "the entry on %s is still there after it was removed",
				tap->name);
	return 0;
}

int tap_entry_remove(struct end *end, size_t i, struct err *e)
{
	struct pair_state *s = &end->pairs[i];
	struct link tap;
	struct mac mac;
	int r;

	if (tap_is_macvtap(end, i))
		return 0;
	if (end_pair_mac(end, i, &mac, e) < 0)
		return -1;
	r = tap_find(end, i, &tap, e);
	/* A tap that is gone took its entries with it, but not those that had stood in their place. */
	if (r < 0 && e->kind != ERR_NOT_FOUND)
		return -1;
	if (r == 0 && (delete_tap_entries(end, &mac, &tap, e) < 0 ||
			      verify_tap_entry_gone(end, &mac, &tap, e) < 0))
		return -1;
	for (size_t k = 0; k < s->n_found; k++) {
		struct err now;

		if (restore_found(end, &mac, &s->found[k], &now) == 0)
			continue;
		if (r == 0) {
			*e = now;
			return -1;
		}
		log_warn("%s: %s", end->order.name, now.msg); /* the world has changed since */
	}
	return r == 0 ? close_to_groups(end, i, &tap, e) : 0;
}
