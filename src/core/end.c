/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/end.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/journal.h"
#include "agent/lock.h"
#include "core/mark.h"
#include "core/steps.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/domain.h"
#include "xml/pair.h"

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
	RECORD_BOOL(pair_state, groups_opened),
	RECORD_BOOL(pair_state, self_added),
	RECORD_INT(pair_state, self_port),
	RECORD_STR(pair_state, left_uplink),
	RECORD_INT(pair_state, left_port),
	RECORD_BOOL(pair_state, refused),
	RECORD_BOOL_AS(pair_state, unproved, "primary_missing"),
	RECORD_BOOL(pair_state, given),
	RECORD_INT(pair_state, unplug_asked),
	RECORD_INT(pair_state, unplug_until),
	RECORD_INT(pair_state, vf_failed_at),
	RECORD_INT(pair_state, vf_tries),
	RECORD_BOOL(pair_state, attr_noted),
	RECORD_ONE(pair_state, attr_found, &vf_attr_record),
	RECORD_INT(pair_state, attr_pf),
	RECORD_INT(pair_state, attr_vf),
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
	if (e->kind == ERR_BUSY)
		err_hint(e, "Wait for the other run to end, or stop it with kill and its PID.");
	return -1;
}

/* Takes over the order; the locks and the journal are there. */
static void begin(struct end *end, struct order *order)
{
	end->order = *order;
	*order = (struct order){ 0 };
	end->pairs = mem_new(end->order.n_pairs * sizeof(*end->pairs));
	/* A domain that comes without its VF keeps its standby's path if the move is undone. */
	for (size_t i = 0; i < end->order.n_pairs; i++)
		end->pairs[i].unproved = !end->order.pairs[i].had_primary;
	atomic_store(&end->switching, false);
	end->alone = end->autostart_there = end->source_knows = false;
	end->guest_gone = end->has_left = end->patient = end->turned_before = end->autostart_given =
		false;
	end->open = true;
}

static void unlock_domain(struct end *end)
{
	lock_release(end->domain_lock);
	end->domain_lock = NULL;
}

bool *end_begun(struct end *end, const struct step *step, int i)
{
	return i == END_DOMAIN ? &end->begun[step - steps] : &end->pairs[i].begun[step - steps];
}

bool end_has_begun(const struct end *end, const char *step, int i)
{
	size_t k = (size_t)(step_find(step) - steps);

	return i == END_DOMAIN ? end->begun[k] : end->pairs[i].begun[k];
}

/* With the boot that a line is of went entries, taps, MACs, what VFs had, and what its clock told. */
static void forget_lost_world(struct pair_state *s)
{
	free(s->found);
	free(s->left_uplink);
	s->found = NULL;
	s->left_uplink = NULL;
	s->n_found = 0;
	s->groups_opened = s->self_added = s->refused = s->given = s->attr_noted = s->had_mac =
		false;
	s->unplug_asked = s->vf_failed_at = s->vf_tries = s->self_port = s->left_port = 0;
}

static int replay_state(struct end *end, json_int_t i, const json_t *state, bool of_this_boot,
	struct err *e)
{
	struct pair_state fresh = { 0 }, *now = &end->pairs[i];

	if (record_decode(&pair_state_record, state, &fresh, e) < 0)
		return -1;
	memcpy(fresh.begun, now->begun, sizeof(fresh.begun));
	free(now->found);
	free(now->left_uplink);
	*now = fresh;
	if (!of_this_boot)
		forget_lost_world(now);
	return 0;
}

static int replay_line(struct end *end, const json_t *line, const char *boot, struct err *e)
{
	bool of_this_boot =
		end->same_boot || str_equal(json_string_value(json_object_get(line, "boot")), boot);
	const char *name = json_string_value(json_object_get(line, "step"));
	json_int_t i = json_integer_value(json_object_get(line, "pair"));
	const json_t *state = json_object_get(line, "state");
	const struct step *step = name ? step_find(name) : NULL;

	if (i < END_DOMAIN || i >= (json_int_t)end->order.n_pairs || (name && !step))
		return err_set(e, "the journal tells of something unknown here (step %s, pair %d)",
			name ? name : "none", (int)i);
	if (step && (of_this_boot || (i == END_DOMAIN && step->outlives_boot)))
		*end_begun(end, step, (int)i) = json_is_true(json_object_get(line, "begun"));
	if (json_object_get(line, "switching"))
		atomic_store(&end->switching, json_is_true(json_object_get(line, "switching")));
	end->turned_before |= json_is_true(json_object_get(line, "turned_before"));
	end->source_knows |= json_is_true(json_object_get(line, "source_knows"));
	end->autostart_given |= json_is_true(json_object_get(line, "autostart_given"));
	return state && i >= 0 ? replay_state(end, i, state, of_this_boot, e) : 0;
}

static int replay(struct end *end, const json_t *lines, struct err *e)
{
	CLEANUP_FREE char *boot = journal_boot_id();
	const json_t *line;
	size_t i;

	json_array_foreach(lines, i, line)
		if (replay_line(end, line, boot, e) < 0)
			return -1;
	return 0;
}

int end_take_up(struct end *end, const char *uuid, const struct journal_content *content,
	struct err *e)
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
			   order.pairs[i].uplink && order.pairs[i].pf;
	if (!complete) {
		record_clear(&order_record, &order);
		err_set(e, "the journal's order is not complete, or of another domain");
		return journal_hint_by_hand(e);
	}
	end->same_boot = content->same_boot;
	begin(end, &order);
	return replay(end, content->lines, e) < 0 ? journal_hint_by_hand(e) : 0;
}

/* ---- keeping it short ---- */

/* recover adds some to the journal of a guest that it cannot give its VF, every minute. */
enum { LONG_JOURNAL = 64 * 1024 };

/* What a line is about: the last one about it counts. */
static char *subject_of(const json_t *line)
{
	static const char *const marks[] = { "state", "switching", "turned_before",
		"autostart_given", "source_knows" };
	const char *step = json_string_value(json_object_get(line, "step"));
	const char *boot = json_string_value(json_object_get(line, "boot"));
	CLEANUP_STR_BUF struct str_buf told = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		str_buf_add(&told, "%d", json_object_get(line, marks[i]) != NULL);
	return str_printf("%d %s %s %s", (int)json_integer_value(json_object_get(line, "pair")),
		told.s, step ? step : "", boot ? boot : "");
}

json_t *end_needed_lines(const json_t *lines)
{
	json_t *seen = json_object(), *backward = json_array(), *needed = json_array();

	for (size_t i = json_array_size(lines); i-- > 0;) {
		json_t *line = json_array_get(lines, i);
		CLEANUP_FREE char *subject = subject_of(line);

		if (json_object_get(seen, subject))
			continue;
		json_object_set_new(seen, subject, json_true());
		json_array_append(backward, line);
	}
	for (size_t i = json_array_size(backward); i-- > 0;)
		json_array_append(needed, json_array_get(backward, i));
	json_decref(seen);
	json_decref(backward);
	return needed;
}

/* One that cannot be shortened now is shortened next time. */
void end_shorten_journal(struct end *end)
{
	struct err e;

	if (journal_shorten(end->journal, LONG_JOURNAL, end_needed_lines, &e) < 0)
		log_warn("%s: %s", end->order.name, e.msg);
}

static int create_journal(struct end *end, const struct order *order, struct err *e)
{
	json_t *head = record_encode(&order_record, order);
	int r = journal_create(order->uuid, head, &end->journal, e);

	json_decref(head);
	return r;
}

int end_open(struct end *end, struct order *order, struct err *e)
{
	struct end old = { .stop_fd = -1 };
	int r;

	if (lock_domain(end, order->uuid, order->name, order->owner, e) < 0)
		return -1;
	mark_take_up(end, order->uuid, &old);
	if (old.open)
		mark_inherit_order(&old, order);
	r = create_journal(end, order, e);
	if (r == 0) {
		end->same_boot = true;
		begin(end, order);
		if (old.open && (r = mark_inherit_state(end, &old, e)) < 0)
			end_close(end, false);
	} else {
		if (old.open)
			journal_bring_back(old.order.uuid);
		unlock_domain(end);
	}
	end_close(&old, false);
	return r;
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
	struct journal *journal = end->journal;
	struct err e;
	int r;

	if (!end->open)
		return;
	end->journal = NULL;
	r = settled ? journal_remove(journal, &e) : journal_leave(journal, &e);
	if (r < 0)
		log_warn("%s: %s", end->order.name, e.msg);
	if (settled)
		mark_keep_or_drop(end);
	for (size_t i = 0; i < end->order.n_pairs; i++) {
		lock_release(end->pairs[i].vf_lock);
		lock_release(end->pairs[i].room_lock);
		free(end->pairs[i].found);
		free(end->pairs[i].left_uplink);
	}
	free(end->pairs);
	record_clear(&order_record, &end->order);
	end->pairs = NULL;
	memset(end->begun, 0, sizeof(end->begun));
	unlock_domain(end);
	end->open = false;
}

int end_finish(struct end *end, struct err *e)
{
	struct journal *journal = end->journal;
	int r;

	end->journal = NULL;
	r = journal_remove(journal, e);
	end_close(end, r == 0);
	return r;
}

/* Lines of a later boot than the order's say so. */
static json_t *new_line(struct end *end, int i)
{
	CLEANUP_FREE char *boot = end->same_boot ? NULL : journal_boot_id();
	json_t *line = json_object();

	json_object_set_new(line, "pair", json_integer(i));
	if (!end->same_boot)
		json_object_set_new(line, "boot", json_text(boot));
	if (i >= 0)
		json_object_set_new(line, "state",
			record_encode(&pair_state_record, &end->pairs[i]));
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

int end_note_switching(struct end *end, bool on, struct err *e)
{
	json_t *line = new_line(end, END_DOMAIN);

	json_object_set_new(line, "switching", json_boolean(on));
	return journal_write(end->journal, line, e);
}

static int note_for_good(struct end *end, const char *what, struct err *e)
{
	json_t *line = new_line(end, END_DOMAIN);

	json_object_set_new(line, what, json_true());
	return journal_write(end->journal, line, e);
}

int end_note_turned_before(struct end *end, struct err *e)
{
	end->turned_before = true;
	return note_for_good(end, "turned_before", e);
}

int end_note_source_knows(struct end *end, struct err *e)
{
	if (end->source_knows)
		return 0;
	end->source_knows = true;
	return note_for_good(end, "source_knows", e);
}

int end_note_autostart_given(struct end *end, struct err *e)
{
	end->autostart_given = true;
	return note_for_good(end, "autostart_given", e);
}

int end_note_arrived(struct end *end, struct err *e)
{
	if (end->order.is_source || end_was_moved(end))
		return 0;
	*end_begun(end, step_find(step_migrate), END_DOMAIN) = true;
	return end_note(end, step_migrate, END_DOMAIN, true, e);
}

int end_note_state_of_need(struct end *end, size_t i, struct err *e)
{
	if (end_note_state(end, i, e) == 0)
		return 0;
	if (!end->pairs[i].unproved)
		return -1;
	log_warn("%s: %s", end->order.name, e->msg);
	return 0;
}

bool end_is_told_to_stop(const struct end *end)
{
	struct pollfd p = { .fd = end->stop_fd, .events = POLLIN };

	return end->stop_fd >= 0 && poll(&p, 1, 0) > 0;
}

void end_clear_stop(const struct end *end)
{
	struct signalfd_siginfo info;

	while (end->stop_fd >= 0 && read(end->stop_fd, &info, sizeof(info)) == sizeof(info))
		;
}

void end_set_switching(struct end *end)
{
	atomic_store(&end->switching, true);
	cancel_wake(end->cancel);
}

bool end_is_switching(const struct end *end)
{
	return atomic_load(&end->switching);
}

void end_mark_switching(struct end *end)
{
	struct err e;

	if (end_is_switching(end))
		return;
	end_set_switching(end);
	if (end_note_switching(end, true, &e) < 0)
		log_warn("%s: %s", end->order.name, e.msg);
}

int end_pair_mac(const struct end *end, size_t i, struct mac *ret, struct err *e)
{
	if (mac_parse(end->order.pairs[i].mac, ret) < 0)
		return err_set(e, "\"%s\" is no MAC address", end->order.pairs[i].mac);
	return 0;
}

bool end_was_moved(const struct end *end)
{
	return end_has_begun(end, step_migrate, END_DOMAIN);
}

int end_domain(struct end *end, struct virt_domain **ret, struct err *e)
{
	return virt_domain_by_uuid(end->virt, end->order.uuid, ret, e);
}

int end_live_xml(struct end *end, char **ret, struct err *e)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	enum virt_state state;

	if (virt_state_get(end->virt, end->order.uuid, &state, NULL, e) < 0)
		return -1;
	/* libvirt would give the definition instead. */
	if (!virt_state_is_active(state))
		return err_set_kind(e, ERR_NOT_FOUND, "domain %s is %s", end->order.name,
			virt_state_name(state));
	if (end_domain(end, &d, e) < 0)
		return -1;
	return virt_domain_xml(d, VIRT_XML_LIVE, ret, e);
}

int end_live_pair(struct end *end, size_t i, struct xml_pair_list *list,
	const struct xml_pair **ret, struct err *e)
{
	CLEANUP_FREE char *xml = NULL;

	if (end_live_xml(end, &xml, e) < 0 || xml_pairs_find(xml, list, e) < 0)
		return -1;
	*ret = xml_pairs_by_alias(list, end->order.pairs[i].standby_alias);
	return 0;
}

bool end_pair_was_taken_out(struct end *end, size_t i)
{
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_FREE char *macs = NULL;
	CLEANUP_FREE char *xml = NULL;
	struct err ignored;

	if (end_live_xml(end, &xml, &ignored) < 0 || xml_pairs_find(xml, &pairs, &ignored) < 0 ||
		xml_pairs_by_alias(&pairs, p->standby_alias))
		return false;
	macs = xml_domain_macs(xml);
	return !str_list_has(macs, p->mac);
}
