/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/move.h"

#include <stdlib.h>

#include "agent/arrived.h"
#include "core/form.h"
#include "core/primary.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"
#include "xml/rewrite.h"

static void tell_progress(void *arg, const struct virt_progress *p)
{
	struct end *end = arg;
	json_t *data = json_object();

	json_object_set_new(data, "elapsed_ms", json_integer(p->elapsed_ms));
	json_object_set_new(data, "total", json_integer(p->data_total));
	json_object_set_new(data, "processed", json_integer(p->data_processed));
	json_object_set_new(data, "remaining", json_integer(p->data_remaining));
	json_object_set_new(data, "bytes_per_second", json_integer(p->memory_bps));
	json_object_set_new(data, "iteration", json_integer(p->iteration));
	end->tell(end->tell_arg, "progress", data);
}

static void tell_switching(void *arg)
{
	struct end *end = arg;

	/* First the destination, which has entries to set. */
	end->tell(end->tell_arg, "switching", json_object());
	end_mark_switching(end);
}

/* Nothing to say about one that libvirt does not tell of. */
static bool is_turned_back(const struct end *end)
{
	struct err ignored;
	bool turned;

	return virt_was_turned_back(end->virt, end->order.uuid, &turned, &ignored) == 0 && turned;
}

bool move_was_turned_back(const struct end *end)
{
	return end->order.is_source && end_was_moved(end) && !end->turned_before &&
	       is_turned_back(end);
}

bool move_was_switched(const struct end *end)
{
	enum virt_state state;
	struct err ignored;

	if (!end->order.is_source || end_is_switching(end))
		return end->order.is_source;
	if (!end_was_moved(end))
		return false;
	if (virt_state_get(end->virt, end->order.uuid, &state, NULL, &ignored) == 0 &&
		state == VIRT_MIGRATING)
		return true;
	return move_was_turned_back(end);
}

static bool qemu_unplugs_any(const struct order *o)
{
	for (size_t i = 0; i < o->n_pairs; i++)
		if (o->pairs[i].qemu_unplugs)
			return true;
	return false;
}

/*
 * The domain as it is to arrive with the VFs that QEMU gives it: as it is now, standbys up. *RET stays
 * NULL where it arrives as it is; the caller frees it.
 */
static int arrival_xml(struct end *end, struct virt_domain *d, char **ret, struct err *e)
{
	const struct order *o = &end->order;
	CLEANUP_FREE struct xml_new_address *change = mem_new(o->n_pairs * sizeof(*change));
	CLEANUP_FREE char *xml = NULL;
	size_t used = 0;

	for (size_t i = 0; i < o->n_pairs; i++)
		if (o->pairs[i].arrival_vf)
			change[used++] = (struct xml_new_address){ o->pairs[i].standby_alias,
				o->pairs[i].arrival_vf };
	if (!used)
		return 0;
	if (virt_domain_xml(d, VIRT_XML_MIGRATABLE, &xml, e) < 0)
		return -1;
	return xml_domain_with_vfs(xml, change, used, ret, e);
}

int domain_migrate(struct end *end, struct err *e)
{
	struct virt_watcher watcher = { .progress = tell_progress,
		.switching = tell_switching,
		.arg = end };
	const struct migration_order *o = &end->order.migration;
	struct virt_migration m = {
		.dest_uri = o->dest_uri,
		.persist_xml = o->persist_xml,
		.unplug_ms = qemu_unplugs_any(&end->order) ? end->order.detach_ms : 0,
		.migrate_uri = o->migrate_uri,
		.client_driven = o->client_driven,
		.undefine_source = o->undefine_source,
		.auto_converge = o->auto_converge,
		.unsafe = o->unsafe,
		.tls = o->tls,
		.compressed = o->compressed,
		.copy_storage_all = o->copy_storage_all,
		.copy_storage_inc = o->copy_storage_inc,
		.parallel = o->parallel,
		.bandwidth = o->bandwidth,
		.timeout_ms = o->timeout_ms,
	};
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	CLEANUP_FREE char *dest_xml = NULL;
	struct err now;
	int r;

	if (end_domain(end, &d, e) < 0 || arrival_xml(end, d, &dest_xml, e) < 0 ||
		(is_turned_back(end) && end_note_turned_before(end, e) < 0) ||
		primary_note_unplug(end, true, e) < 0)
		return -1;
	m.dest_xml = dest_xml;
	r = virt_migrate(d, &m, &watcher, end->cancel, e);
	if (primary_note_unplug(end, r < 0 && watcher.unplug_pending, &now) < 0)
		log_warn("%s: %s", end->order.name, now.msg);
	return r;
}

/* Else nobody could keep the source from resuming its copy once the guest is gone from here. */
int move_note_arrival(struct end *end, struct err *e)
{
	enum virt_state state;

	if (end->order.is_source || !end_was_moved(end) || end->source_knows)
		return 0;
	if (virt_state_get(end->virt, end->order.uuid, &state, NULL, e) < 0)
		return -1;
	if (!virt_state_is_active(state) || state == VIRT_MIGRATING)
		return 0;
	return arrived_note(end->order.uuid, end->order.owner, e);
}

int domain_stays(struct end *end, struct err *e)
{
	if (!end_is_switching(end))
		return 0;
	atomic_store(&end->switching, false);
	return end_note_switching(end, false, e);
}

/*
 * The VF that the pair's definition is to name: the one that the guest uses. NULL: none in particular,
 * also of a guest without its VF, whose definition somebody may have changed for its next start.
 */
static const char *vf_to_define(const struct end *end, size_t i)
{
	const struct pair_order *p = &end->order.pairs[i];

	return end->pairs[i].unproved || form_by_name(p->form)->libvirt_picks_vf ? NULL : p->vf;
}

/* *RET: the definition as it is to be, which is otherwise left as it is; NULL: it is right. */
static int definition_to_be(struct end *end, struct virt_domain *d, char **ret, struct err *e)
{
	CLEANUP_PAIRS struct xml_pair_list defined = { 0 };
	CLEANUP_FREE struct xml_new_address *change = mem_new(end->order.n_pairs * sizeof(*change));
	CLEANUP_FREE char *xml = NULL;
	size_t used = 0;

	*ret = NULL;
	if (virt_domain_xml(d, VIRT_XML_INACTIVE, &xml, e) < 0 ||
		xml_pairs_find(xml, &defined, e) < 0)
		return -1;
	for (size_t i = 0; i < end->order.n_pairs; i++) {
		const char *alias = end->order.pairs[i].standby_alias, *vf = vf_to_define(end, i);
		const struct xml_pair *pair = xml_pairs_by_alias(&defined, alias);

		if (vf && (!pair || pair->primary.form == PRIMARY_NONE))
			log_warn("%s: its definition has no VF for the standby %s", end->order.name,
				alias);
		else if (vf && pair->primary.address && !str_equal(pair->primary.address, vf))
			change[used++] = (struct xml_new_address){ alias, vf };
	}
	return used ? xml_domain_with_vfs(xml, change, used, ret, e) : 0;
}

int definition_verify(struct end *end, struct err *e)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	CLEANUP_FREE char *xml = NULL;
	CLEANUP_FREE char *still = NULL;
	bool persistent;

	if (!end->order.persistent)
		return 0;
	/* Somebody may have taken its definition away since. */
	if (end_domain(end, &d, e) < 0 || virt_domain_is_persistent(d, &persistent, e) < 0 ||
		(persistent && definition_to_be(end, d, &xml, e) < 0))
		return -1;
	if (!xml)
		return 0;
	if (virt_define(end->virt, xml, e) < 0 || definition_to_be(end, d, &still, e) < 0)
		return -1;
	return !still ? 0
		      : err_set(e,
				"the definition still does not name the VF after it was changed");
}

static int set_autostart(struct end *end, bool on, struct err *e)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;

	if (!end->order.autostart)
		return 0;
	if (end_domain(end, &d, e) < 0)
		return -1;
	return virt_domain_set_autostart(d, on, e);
}

int autostart_take_over(struct end *end, struct err *e)
{
	struct err now;

	/* Whoever goes on from the journal leaves it as somebody may have set it since. */
	if (end->autostart_given)
		return 0;
	if (set_autostart(end, true, e) < 0)
		return -1;
	if (end->order.autostart && end_note_autostart_given(end, &now) < 0)
		log_warn("%s: %s", end->order.name, now.msg);
	return 0;
}

int autostart_clear(struct end *end, struct err *e)
{
	return set_autostart(end, false, e);
}

bool move_has_left(struct end *end)
{
	enum virt_state state;
	struct err ignored;

	return end_is_switching(end) ||
	       virt_state_get(end->virt, end->order.uuid, &state, NULL, &ignored) < 0 ||
	       !virt_state_is_active(state);
}

int autostart_restore(struct end *end, struct err *e)
{
	/* On both hosts it would be two copies one day; one that has never left here had it on both. */
	if (end->autostart_there && end->has_left) {
		log_warn("%s: autostart is left to the destination, which has it", end->order.name);
		return 0;
	}
	return set_autostart(end, true, e);
}
