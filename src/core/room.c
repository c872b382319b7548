/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/room.h"

#include "agent/lock.h"
#include "net/link.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/str.h"

/* Others hold the lock of an uplink while they count, and no longer. */
enum { COUNT_LIMIT_MS = 3000, COUNT_PAUSE_MS = 20 };

char *room_held(const char *uplink)
{
	CLEANUP_FREE char *prefix = str_printf("filter-%s-", uplink);
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

/* How many MACs besides this one the uplink has to take, and how many of them are other runs'. */
static int count_others(struct end *end, size_t i, size_t *ret_entries, size_t *ret_held,
	struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_FDB struct fdb_list entries = { 0 };
	CLEANUP_FREE char *held = room_held(p->uplink);
	struct link uplink;

	if (link_get(end->nl, p->uplink, &uplink, e) < 0 ||
		fdb_find(end->nl, NULL, &entries, e) < 0)
		return -1;
	*ret_entries = *ret_held = 0;
	for (size_t k = 0; k < entries.n; k++) {
		const struct fdb_entry *entry = &entries.v[k];
		char mac[MAC_TEXT_SIZE];

		mac_format(&entry->mac, mac);
		*ret_entries += entry->kind == FDB_SELF && entry->port == uplink.ifindex &&
				!mac_is_multicast(&entry->mac) && !str_equal(mac, p->mac) &&
				!str_list_has(held, mac);
	}
	for (size_t k = 0;; k++) {
		CLEANUP_FREE char *mac = str_list_get(held, k);

		if (str_is_empty(mac))
			return 0;
		*ret_held += !str_equal(mac, p->mac);
	}
}

static int take_if_room(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_FREE char *name = str_printf("filter-%s-%s", p->uplink, p->mac);
	CLEANUP_FREE char *what = str_printf("the place of %s on uplink %s", p->mac, p->uplink);
	size_t entries, held;

	if (count_others(end, i, &entries, &held, e) < 0)
		return -1;
	if (entries + held >= (size_t)p->filter_limit)
		return err_set_kind(e, held ? ERR_BUSY : ERR_REFUSED,
			"uplink %s takes %d MACs besides its own; %zu are there, and other runs "
			"need %zu",
			p->uplink, (int)p->filter_limit, entries, held);
	return lock_take(name, what, end->order.owner, &end->pairs[i].room_lock, e);
}

int room_take(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_FREE char *name = str_printf("uplink-%s", p->uplink);
	CLEANUP_FREE char *what = str_printf("uplink %s", p->uplink);
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
	r = take_if_room(end, i, e);
	lock_release(counting);
	return r;
}

void room_release(struct end *end, size_t i)
{
	lock_release(end->pairs[i].room_lock);
	end->pairs[i].room_lock = NULL;
}
