/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/room.h"

#include "agent/lock.h"
#include "core/uplink.h"
#include "net/link.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/str.h"

/* Others hold the lock of an uplink while they count, and no longer. */
enum { COUNT_LIMIT_MS = 3000, COUNT_PAUSE_MS = 20 };

char *room_held(const char *function)
{
	CLEANUP_FREE char *prefix = str_printf("filter-%s-", function);
	CLEANUP_FREE char *locked = lock_list(prefix);
	struct str_buf list = { 0 };

	str_buf_add(&list, "%s", "");
	for (size_t k = 0;; k++) {
		CLEANUP_FREE char *rest = str_list_get(locked, k);
		struct mac mac;

		if (str_is_empty(rest))
			return list.s;
		/* Those of an uplink whose name goes on with a dash begin alike. */
		if (mac_parse(rest, &mac) == 0)
			str_buf_add(&list, "%s%s", list.len ? "," : "", rest);
	}
}

char *room_listed(const struct fdb_list *entries, int uplink, int function)
{
	struct str_buf list = { 0 };

	str_buf_add(&list, "%s", "");
	for (size_t k = 0; k < entries->n; k++) {
		const struct fdb_entry *entry = &entries->v[k];
		char mac[MAC_TEXT_SIZE];

		mac_format(&entry->mac, mac);
		if (entry->kind == FDB_SELF && !mac_is_multicast(&entry->mac) &&
			(entry->port == uplink || entry->port == function) &&
			!str_list_has(list.s, mac))
			str_buf_add(&list, "%s%s", list.len ? "," : "", mac);
	}
	return list.s;
}

/* The MACs in LIST but for this one and those in the list NOT_IN. */
static size_t count(const char *list, const char *but, const char *not_in)
{
	size_t n = 0;

	for (size_t k = 0;; k++) {
		CLEANUP_FREE char *mac = str_list_get(list, k);

		if (str_is_empty(mac))
			return n;
		n += !str_equal(mac, but) && !str_list_has(not_in, mac);
	}
}

/* How many MACs besides this one the function below the uplink has to take, and how many other runs need. */
static int count_others(struct end *end, size_t i, const char *function, size_t *ret_entries,
	size_t *ret_held, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_FDB struct fdb_list entries = { 0 };
	CLEANUP_FREE char *held = room_held(function);
	CLEANUP_FREE char *listed = NULL;
	struct link uplink, below;

	if (link_get(end->nl, p->uplink, &uplink, e) < 0 ||
		link_get(end->nl, function, &below, e) < 0 ||
		fdb_find(end->nl, NULL, &entries, e) < 0)
		return -1;
	listed = room_listed(&entries, uplink.ifindex, below.ifindex);
	*ret_entries = count(listed, p->mac, held);
	*ret_held = count(held, p->mac, NULL);
	return 0;
}

static int take_if_room(struct end *end, size_t i, const char *function, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_FREE char *name = str_printf("filter-%s-%s", function, p->mac);
	CLEANUP_FREE char *what = str_printf("the place of %s on uplink %s", p->mac, p->uplink);
	size_t entries, held;

	if (count_others(end, i, function, &entries, &held, e) < 0)
		return -1;
	if (entries + held >= (size_t)p->filter_limit)
		return err_set_kind(e, entries < (size_t)p->filter_limit ? ERR_BUSY : ERR_REFUSED,
			"uplink %s takes %d MACs besides its own; %zu are there, and other runs "
			"need %zu",
			p->uplink, (int)p->filter_limit, entries, held);
	return lock_take(name, what, end->order.owner, &end->pairs[i].room_lock, e);
}

/* What counts: VLAN devices on one function share its places. */
static char *function_of(const struct pair_order *p)
{
	struct pci_function f;

	return str_dup(uplink_function(p, &f) && *f.netdev ? f.netdev : p->uplink);
}

int room_take(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_FREE char *function = function_of(p);
	CLEANUP_FREE char *name = str_printf("uplink-%s", function);
	CLEANUP_FREE char *what = str_printf("uplink %s", function);
	int64_t deadline = clock_ms() + COUNT_LIMIT_MS;
	struct lock *counting = NULL;
	int r;

	if (p->filter_limit <= 0 || end->pairs[i].room_lock)
		return 0;
	/* A guest that is here already, on its VF. */
	if (!end->order.is_source && p->had_primary)
		return 0;
	while (lock_take(name, what, end->order.owner, &counting, e) < 0) {
		if (e->kind != ERR_BUSY || clock_ms() >= deadline)
			return -1;
		clock_sleep_ms(COUNT_PAUSE_MS);
	}
	r = take_if_room(end, i, function, e);
	lock_release(counting);
	return r;
}

void room_release(struct end *end, size_t i)
{
	lock_release(end->pairs[i].room_lock);
	end->pairs[i].room_lock = NULL;
}
