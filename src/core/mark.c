/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/mark.h"

#include "agent/journal.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

static ssize_t same_pair(const struct end *old, const char *mac)
{
	for (size_t k = 0; k < old->order.n_pairs; k++)
		if (str_equal(old->order.pairs[k].mac, mac))
			return (ssize_t)k;
	return -1;
}

void mark_inherit_order(const struct end *old, struct order *order)
{
	bool owed = old->order.autostart && !old->autostart_given;

	if (owed && order->is_source)
		log_warn("%s: the autostart that an earlier run owes it here does not go along",
			order->name);
	order->autostart |= owed && !order->is_source;
	for (size_t i = 0; i < order->n_pairs; i++) {
		struct pair_order *to = &order->pairs[i];
		ssize_t k = same_pair(old, to->mac);
		const struct pair_order *from = k < 0 ? to : &old->order.pairs[k];

		if (!to->has_attr) {
			to->has_attr = from->has_attr;
			to->attr = from->attr;
		}
		to->link_was_up = from->link_was_up;
		to->macvtap_was_up = from->macvtap_was_up;
	}
}

/*
 * Another uplink was named since: what was set on the one before is not set on this one. It stays until
 * it is not needed any more.
 */
static void inherit_uplink(struct end *end, size_t i, const struct end *old, size_t k)
{
	const struct pair_state *from = &old->pairs[k];
	struct pair_state *to = &end->pairs[i];
	bool same = str_equal(old->order.pairs[k].uplink, end->order.pairs[i].uplink);

	to->self_added = from->self_added && same;
	to->self_port = same ? from->self_port : 0;
	to->left_port = from->self_added && !same ? from->self_port : from->left_port;
	/* A guest that is cut off here has nothing to lose by leaving. */
	to->refused = from->refused && same && !end->order.is_source;
	str_set(&to->left_uplink,
		from->self_added && !same ? old->order.pairs[k].uplink : from->left_uplink);
}

int mark_inherit_state(struct end *end, struct end *old, struct err *e)
{
	for (size_t i = 0; i < end->order.n_pairs; i++) {
		ssize_t k = same_pair(old, end->order.pairs[i].mac);
		struct pair_state *to = &end->pairs[i];

		if (k < 0)
			continue;
		inherit_uplink(end, i, old, (size_t)k);
		to->given = old->pairs[k].given;
		to->groups_opened = old->pairs[k].groups_opened;
		to->unproved = to->unproved || old->pairs[k].unproved;
		to->attr_noted = old->pairs[k].attr_noted;
		to->attr_found = old->pairs[k].attr_found;
		to->attr_pf = old->pairs[k].attr_pf;
		to->attr_vf = old->pairs[k].attr_vf;
		to->had_mac = old->pairs[k].had_mac;
		to->n_found = old->pairs[k].n_found;
		to->found = TAKE_PTR(old->pairs[k].found);
		if (end_note_state(end, i, e) < 0)
			return -1;
	}
	return 0;
}

void mark_take_up(struct end *end, const char *uuid, struct end *old)
{
	struct journal_content content;
	struct journal *journal = NULL;
	enum virt_state state;
	struct err ignored;

	if (journal_open(uuid, &journal, &content, &ignored) < 0)
		return;
	if (!json_is_true(json_object_get(content.head, "is_source")) &&
		virt_state_get(end->virt, uuid, &state, NULL, &ignored) == 0 &&
		state == VIRT_RUNNING && end_take_up(old, uuid, &content, &ignored) == 0)
		journal_put_aside(journal);
	else
		journal_close(journal);
	journal_content_free(&content);
}

/* Whether the guest is here still, with a pair that has no VF, or none that is proved. */
static bool is_degraded(const struct end *end)
{
	enum virt_state state;
	struct err ignored;
	bool missing = false;

	for (size_t i = 0; i < end->order.n_pairs; i++)
		missing = missing || end->pairs[i].unproved;
	return missing && (virt_state_get(end->virt, end->order.uuid, &state, NULL, &ignored) < 0 ||
				  virt_state_is_active(state));
}

void mark_keep_or_drop(const struct end *end)
{
	if (is_degraded(end))
		journal_bring_back(end->order.uuid);
	else
		journal_drop_aside(end->order.uuid);
}
