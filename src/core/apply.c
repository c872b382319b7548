/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/apply.h"

#include <stdlib.h>

#include "agent/record.h"
#include "util/log.h"
#include "util/mem.h"
#include "xml/pair.h"

static const struct step_half *half_of(const struct end *end, const struct step *step)
{
	return step_half_of(step, end->order.is_source);
}

static void add_failure(json_t *failed, const char *mac, const struct err *e)
{
	json_t *one = json_object();

	log_debug("failed%s%s: %s", mac ? " for " : "", mac ? mac : "", e->msg);
	json_object_set_new(one, "mac", json_text(mac));
	json_object_set_new(one, "message", json_text(e->msg));
	json_object_set_new(one, "hint", json_text(e->hint));
	json_array_append_new(failed, one);
}

static int apply_to_pairs(struct end *end, const struct step *step, json_t *failed, struct err *e)
{
	for (size_t i = 0; i < end->order.n_pairs; i++) {
		const struct pair_order *p = &end->order.pairs[i];

		if (step->when && !step->when(p))
			continue;
		*end_begun(end, step, (int)i) = true;
		if (end_note(end, step->name, (int)i, true, e) < 0 && !step->forward)
			return -1;
		if (half_of(end, step)->pair(end, i, e) == 0)
			continue;
		err_prefix(e, "%s (%s)", step->title, p->mac);
		if (!step->forward)
			return -1;
		add_failure(failed, p->mac, e);
	}
	return 0;
}

static int apply_to_domain(struct end *end, const struct step *step, json_t *failed, struct err *e)
{
	*end_begun(end, step, END_DOMAIN) = true;
	if (end_note(end, step->name, END_DOMAIN, true, e) < 0 && !step->forward)
		return -1;
	if (half_of(end, step)->domain(end, e) == 0)
		return 0;
	err_prefix(e, "%s", step->title);
	if (!step->forward)
		return -1;
	add_failure(failed, NULL, e);
	return 0;
}

int step_apply(struct end *end, const struct step *step, json_t **ret_failed, struct err *e)
{
	const struct step_half *half = half_of(end, step);
	json_t *failed = json_array();
	int r = 0;

	log_debug("step %s", step->name);
	if (half->pair)
		r = apply_to_pairs(end, step, failed, e);
	if (r == 0 && half->domain)
		r = apply_to_domain(end, step, failed, e);
	if (r < 0) {
		json_decref(failed);
		return -1;
	}
	*ret_failed = failed;
	return 0;
}

/* What is undone, but not noted as undone, is undone once more by whoever reads the journal. */
static void forget(struct end *end, const struct step *step, int i)
{
	struct err e;

	*end_begun(end, step, i) = false;
	if (end_note(end, step->name, i, false, &e) < 0)
		log_warn("%s: %s", end->order.name, e.msg);
}

static int64_t alias_number(const struct order *o, size_t i)
{
	return xml_host_device_number(o->pairs[i].primary_alias);
}

/*
 * Fills in the places of the pairs in the order in which they are undone. Last pair first; but those
 * whose primary has an alias of libvirt's making in the order of its number: QEMU takes a primary
 * back only under the alias that it knows it by, and libvirt gives the next one.
 */
static void undo_order(const struct order *o, size_t *ret)
{
	for (size_t n = 0; n < o->n_pairs; n++) {
		size_t pair = o->n_pairs - 1 - n, at = n;

		while (at > 0 && alias_number(o, ret[at - 1]) > alias_number(o, pair)) {
			ret[at] = ret[at - 1];
			at--;
		}
		ret[at] = pair;
	}
}

static void undo_pairs(struct end *end, const struct step *step, bool *put_off, int *ret,
	struct err *e)
{
	/* A domain-wide apply (the taps of the incoming domain) can have an undo for each pair. */
	bool all = *end_begun(end, step, END_DOMAIN);
	CLEANUP_FREE size_t *places = mem_new(end->order.n_pairs * sizeof(*places));

	undo_order(&end->order, places);
	for (size_t n = 0; n < end->order.n_pairs; n++) {
		size_t i = places[n];
		struct err now;
		int r;

		if (!all && !*end_begun(end, step, (int)i))
			continue;
		r = half_of(end, step)->undo_pair(end, i, &now);
		if (r < 0) {
			err_prefix(&now, "undo \"%s\" (%s)", step->title, end->order.pairs[i].mac);
			err_keep_first(ret, e, &now);
		} else if (r == 0) {
			forget(end, step, (int)i);
		}
		*put_off = *put_off || r == UNDO_PUT_OFF;
	}
}

int step_undo(struct end *end, const struct step *step, struct err *e)
{
	const struct step_half *half = half_of(end, step);
	bool put_off = false;
	struct err now;
	int ret = 0;

	log_debug("undo step %s", step->name);
	if (half->undo_domain && *end_begun(end, step, END_DOMAIN)) {
		int r = half->undo_domain(end, &now);

		if (r < 0) {
			err_prefix(&now, "undo \"%s\"", step->title);
			err_keep_first(&ret, e, &now);
		}
	}
	if (half->undo_pair)
		undo_pairs(end, step, &put_off, &ret, e);
	if (ret == 0 && *end_begun(end, step, END_DOMAIN))
		forget(end, step, END_DOMAIN);
	return ret == 0 && put_off ? UNDO_PUT_OFF : ret;
}

void step_note_detached(struct end *end, size_t i)
{
	struct err e;

	end->pairs[i].unplug_asked = 0;
	for (size_t k = 0; k < n_steps; k++) {
		if (!steps[k].source.undo_pair ||
			(steps[k].when && !steps[k].when(&end->order.pairs[i])))
			continue;
		*end_begun(end, &steps[k], (int)i) = true;
		if (end_note(end, steps[k].name, (int)i, true, &e) < 0)
			log_warn("%s: %s", end->order.name, e.msg);
	}
}
