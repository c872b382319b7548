/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/steps.h"

#include "core/arrival.h"
#include "core/attr.h"
#include "core/move.h"
#include "core/give.h"
#include "core/nic.h"
#include "core/pair_vf.h"
#include "core/primary.h"
#include "core/room.h"
#include "core/standby.h"
#include "core/tap.h"
#include "core/uplink.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/str.h"

const char step_reserve[] = "reserve-vf", step_detach[] = "detach-vf";
const char step_standby_up[] = "standby-up";
const char step_leave_vf[] = "leave-vf-to-qemu", step_migrate[] = "migrate";
const char step_leave_source[] = "leave-source";
const char step_give_vf[] = "give-vf";

static bool nic_replicates(const struct pair_order *p)
{
	return nic_rule_from_name(p->rule) == NIC_REPLICATES;
}

static bool nic_does_not_replicate(const struct pair_order *p)
{
	return !nic_replicates(p);
}

/* A macvtap is no port of a bridge. */
static bool is_on_bridge(const struct pair_order *p)
{
	return p->bridge;
}

static bool we_unplug(const struct pair_order *p)
{
	return p->had_primary && !p->qemu_unplugs;
}

static bool qemu_unplugs(const struct pair_order *p)
{
	return p->qemu_unplugs;
}

/*
 * Also of a pair without its primary, where the VF that it had was found. What QEMU has keeps the
 * MAC until the guest is gone: it would not get it back with the VF when the migration fails.
 */
static bool has_free_vf(const struct pair_order *p)
{
	return p->vf && !p->qemu_unplugs;
}

/*
 * Before the standby may rest, the primary must be back: see pair_state.unproved. Until then
 * its undo is put off; also while it is not known, because the detach could not be undone.
 */
static bool needs_standby(const struct end *end, size_t i)
{
	return end->pairs[i].unproved || end_has_begun(end, step_detach, (int)i) ||
	       end_has_begun(end, step_leave_vf, (int)i);
}

/* The guest, or somebody has started it anew without this pair: there is nothing that could be given back. */
static bool is_gone(struct end *end, size_t i)
{
	return end->guest_gone || end_pair_was_taken_out(end, i);
}

static int undo_link(struct end *end, size_t i, struct err *e)
{
	const struct pair_state *s = &end->pairs[i];

	if (is_gone(end, i))
		return 0;
	/* As long as the guest may still give up its VF, its standby stays ready. */
	if (needs_standby(end, i) || (s->unplug_asked && clock_ms() < s->unplug_until))
		return UNDO_PUT_OFF;
	return standby_link_rest(end, i, e);
}

static int undo_tap_entry(struct end *end, size_t i, struct err *e)
{
	if (needs_standby(end, i) && !is_gone(end, i))
		return UNDO_PUT_OFF;
	return tap_entry_remove(end, i, e);
}

static int undo_uplink_entry(struct end *end, size_t i, struct err *e)
{
	if (needs_standby(end, i) && !is_gone(end, i))
		return UNDO_PUT_OFF;
	return uplink_entry_remove(end, i, e);
}

/* As long as the guest has its VF, and the bridge sends nobody to the tap, waiting costs it nothing. */
static int ready_standby(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];

	if (standby_link_up(end, i, e) < 0)
		return -1;
	return p->had_primary && !p->cut_off ? tap_wait_open(end, i, e) : 0;
}

/*
 * What the rows "clear-mac" and "uplink-entry-source" do where the NIC does not give frames to both is done at once: from the moment
 * the VF is gone until then the guest has no path. So it is not for the driver to ask for it first, and
 * what has to be written down is written before. Several pairs give up their VFs one after the other,
 * and none is cut off while the guest thinks about the next one.
 */
static int detach(struct end *end, size_t i, struct err *e)
{
	if (nic_replicates(&end->order.pairs[i]))
		return primary_detach(end, i, e);
	if (uplink_check_open(end, i, e) < 0 || uplink_entry_claim(end, i, e) < 0 ||
		primary_detach(end, i, e) < 0 || pair_vf_clear_mac(end, i, e) < 0)
		return -1;
	return uplink_entry_set(end, i, e);
}

static int undo_detach(struct end *end, size_t i, struct err *e)
{
	if (!is_gone(end, i))
		return give_vf(end, i, e);
	end->pairs[i].unproved = false;
	return nic_does_not_replicate(&end->order.pairs[i]) ? uplink_entry_remove(end, i, e) : 0;
}

/* For a guest that is gone the entry is removed here, else by give_vf. */
static int undo_late_uplink_entry(struct end *end, size_t i, struct err *e)
{
	if (is_gone(end, i))
		return uplink_entry_remove(end, i, e);
	return needs_standby(end, i) ? UNDO_PUT_OFF : 0;
}

/* Whoever asks may have lost sight of this host meanwhile. */
static int check_guest_is_not_here(struct end *end, struct err *e)
{
	enum virt_state state;

	if (virt_state_get(end->virt, end->order.uuid, &state, NULL, e) < 0)
		return -1;
	if (!virt_state_is_active(state))
		return 0;
	return err_set(e, "%s is %s here, and needs its standby", end->order.name,
		virt_state_name(state));
}

/* The VF, and the place of the guest's MAC on the uplink. */
static int reserve(struct end *end, size_t i, struct err *e)
{
	return pair_vf_reserve(end, i, e) < 0 ? -1 : room_take(end, i, e);
}

static int release(struct end *end, size_t i, struct err *e)
{
	room_release(end, i);
	pair_vf_release(end, i);
	return 0;
}

/*
 * With QEMU's process libvirt took the VF back; what that had before may be the guest's MAC. In
 * another boot it is as its driver makes it.
 */
static int clear_mac_behind_qemu(struct end *end, size_t i, struct err *e)
{
	if (!end->order.pairs[i].qemu_unplugs || !end->same_boot ||
		pair_vf_clear_mac(end, i, e) == 0)
		return 0;
	return e->kind == ERR_NOT_FOUND ? 0 : -1;
}

/* Whatever leads to the standby here: the guest is not here any more, or never came. */
static int leave(struct end *end, size_t i, struct err *e)
{
	if (check_guest_is_not_here(end, e) < 0)
		return -1;
	if (tap_entry_remove(end, i, e) < 0 || uplink_entry_remove(end, i, e) < 0)
		return -1;
	return clear_mac_behind_qemu(end, i, e);
}

/* A guest that was to get its VF here is gone. */
static int undo_give(struct end *end, size_t i, struct err *e)
{
	return leave(end, i, e) < 0 ? -1 : attr_restore(end, i, e);
}

/* A pair that somebody has taken out of the guest that came gets no VF, and what was set for it goes. */
static int give(struct end *end, size_t i, struct err *e)
{
	if (!end_pair_was_taken_out(end, i))
		return give_vf(end, i, e);
	end->pairs[i].unproved = false;
	if (tap_entry_remove(end, i, e) < 0 || uplink_entry_remove(end, i, e) < 0)
		return -1;
	return attr_restore(end, i, e);
}

static int leave_source(struct end *end, size_t i, struct err *e)
{
	if (leave(end, i, e) < 0)
		return -1;
	attr_forget(end, i);
	end->pairs[i].unplug_asked = 0;
	return 0;
}

/* Somebody may have taken the VF away since its proof. */
static int check_vf_is_there(struct end *end, size_t i, struct err *e)
{
	bool attached;

	if (primary_is_attached(end, i, &attached, e) < 0)
		return -1;
	if (attached)
		return 0;
	standby_stand_in(end, i);
	end_note_state_of_need(end, i, e);
	return err_set(e, "VF %s has left the guest again", end->order.pairs[i].vf);
}

static int rest_standby(struct end *end, size_t i, struct err *e)
{
	if (end->pairs[i].unproved || end_pair_was_taken_out(end, i))
		return 0;
	if (check_vf_is_there(end, i, e) < 0)
		return -1;
	if (tap_entry_remove(end, i, e) < 0)
		return -1;
	return standby_link_rest(end, i, e);
}

/*
 * Where the guest's frames go at each step, and what brings them back if the program stops
 * there, is told in CONTRIBUTING.md, "The life of a frame".
 *
 * The uplink entry of the source is set in one of three places: where the NIC gives frames to both, before the
 * VF goes, so that there is no gap; elsewhere at once when it has gone (detach), and of a pair that came without
 * its VF in a row of its own. The destination's entries are set in "migrate", at the switch-over: see arrival.c;
 * where that was missed, by the request "carry" or by whoever settles (standby_carry_all).
 */
/* clang-format off */
const struct step steps[] = {
	{ step_reserve, "reserve the VF",
		.source = { .pair = reserve, .undo_pair = release },
		.destination = { .pair = reserve, .undo_pair = release } },
	{ "vf-attributes", "give the VF what the guest's VF has set",
		.destination = { .pair = attr_carry, .undo_pair = attr_restore } },
	{ step_standby_up, "standby link up",
		.source = { .pair = ready_standby, .undo_pair = undo_link } },
	{ "tap-entry", "point the bridge at the standby",
		.source = { .pair = tap_entry_set, .undo_pair = undo_tap_entry },
		.when = is_on_bridge },
	{ "uplink-entry-early", "let the guest's frames in by the uplink",
		.source = { .pair = uplink_entry_set, .undo_pair = undo_uplink_entry },
		.when = nic_replicates },
	{ step_detach, "take the VF from the guest",
		.source = { .pair = detach, .undo_pair = undo_detach },
		.when = we_unplug },
	{ step_leave_vf, "leave the VF to QEMU",
		.source = { .pair = primary_leave_to_qemu, .undo_pair = undo_detach },
		.when = qemu_unplugs },
	{ "clear-mac", "take the guest's MAC off the VF",
		.source = { .pair = pair_vf_clear_mac }, /* attaching sets it again */
		.when = has_free_vf },
	{ "uplink-entry-source", "let the guest's frames in by the uplink",
		.source = { .pair = uplink_entry_set, .undo_pair = undo_late_uplink_entry },
		.when = nic_does_not_replicate },
	/* Not later: a source that goes down behind the move would start a second copy. */
	{ "autostart-off", "take autostart from the source",
		.source = { .domain = autostart_clear, .undo_domain = autostart_restore },
		.outlives_boot = true, .stays_in_doubt = true },
	{ step_migrate, "migrate",
		.source = { .domain = domain_migrate, .undo_domain = domain_stays },
		.destination = { .domain = arrival_carry, .undo_pair = leave },
		.outlives_boot = true, .stays_in_doubt = true },
	/* ---- point of no return ---- */
	{ step_leave_source, "clean up behind the guest",
		.source = { .pair = leave_source }, .forward = true },
	{ "autostart-on", "give autostart to the destination",
		.destination = { .domain = autostart_take_over }, .forward = true },
	{ step_give_vf, "give the guest its VF and see it used",
		.destination = { .pair = give, .undo_pair = undo_give }, .forward = true },
	{ "rest-standby", "standby link down, definition checked",
		.destination = { .pair = rest_standby, .domain = definition_verify },
		.forward = true },
};
/* clang-format on */

const size_t n_steps = ARRAY_SIZE(steps);
_Static_assert(ARRAY_SIZE(steps) <= END_STEPS_MAX, "END_STEPS_MAX is too small");

const struct step *step_find(const char *name)
{
	for (size_t k = 0; k < n_steps; k++)
		if (str_equal(steps[k].name, name))
			return &steps[k];
	return NULL;
}

const struct step_half *step_half_of(const struct step *step, bool is_source)
{
	return is_source ? &step->source : &step->destination;
}

bool step_concerns(const struct step *step, const struct order *o, bool is_source)
{
	const struct step_half *half = step_half_of(step, is_source);

	if (!half->pair && !half->domain)
		return false;
	if (!step->when)
		return true;
	for (size_t i = 0; i < o->n_pairs; i++)
		if (step->when(&o->pairs[i]))
			return true;
	return false;
}

bool step_is_of_reattach(const struct step *step)
{
	return step->forward || step->name == step_reserve;
}
