/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/end.h"

#include <stdlib.h>
#include <string.h>

#include "agent/journal.h"
#include "agent/lock.h"
#include "core/steps.h"
#include "util/mem.h"
#include "util/str.h"

static const struct field found_entry_fields[] = {
	RECORD_INT(found_entry, port),
	RECORD_INT(found_entry, bridge),
	RECORD_INT(found_entry, vlan),
	RECORD_BOOL(found_entry, local),
	RECORD_BOOL(found_entry, sticky),
};
static RECORD_DEFINE(found_entry_record, found_entry);

static const struct field pair_state_fields[] = {
	RECORD_LIST(pair_state, found, &found_entry_record),
	RECORD_BOOL(pair_state, self_added),
	RECORD_BOOL(pair_state, primary_missing),
	RECORD_INT(pair_state, unplug_asked),
	RECORD_INT(pair_state, unplug_until),
	RECORD_BOOL(pair_state, attr_noted),
	RECORD_ONE(pair_state, attr_found, &vf_attr_record),
	RECORD_BOOL(pair_state, had_mac),
};
static RECORD_DEFINE(pair_state_record, pair_state);

static int lock_domain(struct end *end, const char *uuid, const char *name, const char *owner,
	struct err *e)
{
	CLEANUP_FREE char *lock = str_printf("domain-%s", uuid);
	CLEANUP_FREE char *what = str_printf("domain %s", name);

	if (end->open)
		return err_set(e, "this agent has an order already");
	if (lock_take(lock, what, owner, &end->domain_lock, e) == 0)
		return 0;
	return err_hint(e, "Wait for the other run to end, or stop it with kill and its PID.");
}

/* Takes over the order; the locks and the journal are there. */
static void begin(struct end *end, struct order *order)
{
	end->order = *order;
	*order = (struct order){ 0 };
	end->pairs = mem_new(end->order.n_pairs * sizeof(*end->pairs));
	/* A domain that comes without its VF keeps its standby's path if the move is undone. */
	for (size_t i = 0; i < end->order.n_pairs; i++)
		end->pairs[i].primary_missing = !end->order.pairs[i].had_primary;
	atomic_store(&end->switching, false);
	end->open = true;
}

static void unlock_domain(struct end *end)
{
	lock_release(end->domain_lock);
	end->domain_lock = NULL;
}

/* What the guest's VF had on the host it came from, which this host cannot know. */
static void inherit_attributes(const json_t *head, struct order *order)
{
	struct order old = { 0 };
	struct err ignored;

	if (record_decode(&order_record, head, &old, &ignored) < 0)
		return;
	for (size_t i = 0; i < order->n_pairs; i++) {
		struct pair_order *to = &order->pairs[i];

		for (size_t k = 0; k < old.n_pairs && !to->has_attr; k++) {
			if (!str_equal(old.pairs[k].mac, to->mac))
				continue;
			to->has_attr = old.pairs[k].has_attr;
			to->attr = old.pairs[k].attr;
		}
	}
	record_clear(&order_record, &old);
}

/*
 * A guest that arrived here but could not be given its VF has left a journal. It lives here
 * still, so this order, which finds what that one left, takes its place.
 */
static void drop_degraded_mark(struct end *end, struct order *order)
{
	const char *uuid = order->uuid;
	struct journal_content content;
	struct journal *old = NULL;
	enum virt_state state;
	struct err ignored;
	bool job;

	if (journal_open(uuid, &old, &content, &ignored) < 0)
		return;
	if (!json_is_true(json_object_get(content.head, "is_source")) &&
		virt_state_get(end->virt, uuid, &state, &job, &ignored) == 0 && state == VIRT_RUNNING) {
		inherit_attributes(content.head, order);
		journal_remove(old);
	} else {
		journal_close(old);
	}
	journal_content_free(&content);
}

int end_open(struct end *end, struct order *order, struct err *e)
{
	json_t *head;
	int r;

	if (lock_domain(end, order->uuid, order->name, order->owner, e) < 0)
		return -1;
	drop_degraded_mark(end, order);
	head = record_encode(&order_record, order);
	r = journal_create(order->uuid, head, &end->journal, e);
	json_decref(head);
	if (r < 0) {
		unlock_domain(end);
		return -1;
	}
	begin(end, order);
	end->same_boot = true;
	return 0;
}

static bool *begun_flag(struct end *end, const struct step *step, json_int_t i)
{
	if (i == END_DOMAIN)
		return &end->begun[step - steps];
	return &end->pairs[i].begun[step - steps];
}

static int replay_state(struct end *end, json_int_t i, const json_t *state, struct err *e)
{
	struct pair_state fresh = { 0 }, *now = &end->pairs[i];

	if (record_decode(&pair_state_record, state, &fresh, e) < 0)
		return -1;
	free(now->found);
	now->found = fresh.found;
	now->n_found = fresh.n_found;
	now->self_added = fresh.self_added;
	now->primary_missing = fresh.primary_missing;
	now->attr_noted = fresh.attr_noted;
	now->attr_found = fresh.attr_found;
	now->had_mac = fresh.had_mac;
	now->unplug_asked = end->same_boot ? fresh.unplug_asked : 0;
	now->unplug_until = fresh.unplug_until;
	return 0;
}

static int replay_line(struct end *end, const json_t *line, struct err *e)
{
	const char *name = json_string_value(json_object_get(line, "step"));
	json_int_t i = json_integer_value(json_object_get(line, "pair"));
	const json_t *state = json_object_get(line, "state");
	const struct step *step = name ? step_find(name) : NULL;

	if (i < END_DOMAIN || i >= (json_int_t)end->order.n_pairs || (name && !step))
		return err_set(e, "the journal tells of something unknown here (step %s, pair %d)",
			name ? name : "none", (int)i);
	if (step)
		*begun_flag(end, step, i) = json_is_true(json_object_get(line, "begun"));
	return state && i >= 0 ? replay_state(end, i, state, e) : 0;
}

static int replay(struct end *end, const json_t *lines, struct err *e)
{
	const json_t *line;
	size_t i;

	json_array_foreach(lines, i, line)
		if (replay_line(end, line, e) < 0)
			return -1;
	return 0;
}

int end_take_up(struct end *end, const char *uuid, const struct journal_content *content, struct err *e)
{
	struct order order = { 0 };
	bool complete;

	if (record_decode(&order_record, content->head, &order, e) < 0) {
		err_prefix(e, "the journal's order");
		return journal_hint_by_hand(e);
	}
	complete = str_equal(order.uuid, uuid) && order.name && order.owner;
	for (size_t i = 0; i < order.n_pairs; i++)
		complete = complete && order.pairs[i].mac && order.pairs[i].standby_alias &&
			   order.pairs[i].bridge && order.pairs[i].uplink && order.pairs[i].pf;
	if (!complete) {
		record_clear(&order_record, &order);
		err_set(e, "the journal's order is not complete, or of another domain");
		return journal_hint_by_hand(e);
	}
	end->same_boot = content->same_boot;
	begin(end, &order);
	return replay(end, content->lines, e) < 0 ? journal_hint_by_hand(e) : 0;
}

int end_reopen(struct end *end, const char *uuid, const char *owner, struct err *e)
{
	struct journal_content content = { 0 };
	int r;

	if (lock_domain(end, uuid, uuid, owner, e) < 0)
		return -1;
	r = journal_open(uuid, &end->journal, &content, e);
	if (r == 0)
		r = end_take_up(end, uuid, &content, e);
	journal_content_free(&content);
	if (r == 0)
		return 0;
	if (end->open) {
		end_close(end, false);
	} else {
		journal_close(end->journal);
		end->journal = NULL;
		unlock_domain(end);
	}
	return -1;
}

void end_close(struct end *end, bool settled)
{
	if (!end->open)
		return;
	for (size_t i = 0; i < end->order.n_pairs; i++) {
		lock_release(end->pairs[i].vf_lock);
		free(end->pairs[i].found);
	}
	free(end->pairs);
	record_clear(&order_record, &end->order);
	end->pairs = NULL;
	memset(end->begun, 0, sizeof(end->begun));
	(settled ? journal_remove : journal_close)(end->journal);
	end->journal = NULL;
	unlock_domain(end);
	end->open = false;
}

static json_t *new_line(struct end *end, int i)
{
	json_t *line = json_object();

	json_object_set_new(line, "pair", json_integer(i));
	if (i >= 0)
		json_object_set_new(line, "state", record_encode(&pair_state_record, &end->pairs[i]));
	return line;
}

int end_note(struct end *end, const char *step, int i, bool begun, struct err *e)
{
	json_t *line = new_line(end, i);

	json_object_set_new(line, "step", json_string(step));
	json_object_set_new(line, "begun", json_boolean(begun));
	return journal_write(end->journal, line, e);
}

int end_note_state(struct end *end, size_t i, struct err *e)
{
	return journal_write(end->journal, new_line(end, (int)i), e);
}

void end_set_switching(struct end *end)
{
	atomic_store(&end->switching, true);
	cancel_wake(end->cancel);
}

bool end_is_switching(struct end *end)
{
	return atomic_load(&end->switching);
}

int end_domain(struct end *end, struct virt_domain **ret, struct err *e)
{
	return virt_domain_find(end->virt, end->order.uuid, ret, e);
}

int end_live_xml(struct end *end, char **ret, struct err *e)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	enum virt_state state;
	bool job;

	if (virt_state_get(end->virt, end->order.uuid, &state, &job, e) < 0)
		return -1;
	/* libvirt would give the definition instead. */
	if (!virt_state_is_active(state))
		return err_set_kind(e, ERR_NOT_FOUND, "domain %s is %s", end->order.name,
			virt_state_name(state));
	if (end_domain(end, &d, e) < 0)
		return -1;
	return virt_domain_xml(d, VIRT_XML_LIVE, ret, e);
}
