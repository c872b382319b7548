/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/standby.h"

#include "core/nic.h"
#include "core/pair_vf.h"
#include "core/proof.h"
#include "core/tap.h"
#include "core/uplink.h"
#include "util/log.h"
#include "util/mem.h"
#include "xml/pair.h"
#include "xml/rewrite.h"

static int read_link(struct end *end, size_t i, bool *ret_up, struct err *e)
{
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	const struct xml_pair *pair;

	if (end_live_pair(end, i, &pairs, &pair, e) < 0)
		return -1;
	if (!pair)
		return err_set(e, "the standby %s is gone from the live definition",
			end->order.pairs[i].standby_alias);
	*ret_up = pair->link_up;
	return 0;
}

static int set_link(struct end *end, size_t i, bool up, struct err *e)
{
	const char *alias = end->order.pairs[i].standby_alias;
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	CLEANUP_FREE char *migratable = NULL;
	CLEANUP_FREE char *nic = NULL;
	bool now = !up;

	if (read_link(end, i, &now, e) < 0)
		return -1;
	if (now == up)
		return 0;
	if (end_domain(end, &d, e) < 0 ||
		virt_domain_xml(d, VIRT_XML_MIGRATABLE, &migratable, e) < 0 ||
		xml_standby_with_link(migratable, alias, up, &nic, e) < 0 ||
		virt_device_update(d, nic, e) < 0 || read_link(end, i, &now, e) < 0)
		return err_prefix(e, "link of the standby %s", alias);
	if (now != up)
		return err_set(e, "the link of the standby %s did not change", alias);
	return 0;
}

int standby_link_up(struct end *end, size_t i, struct err *e)
{
	return set_link(end, i, true, e);
}

int standby_link_rest(struct end *end, size_t i, struct err *e)
{
	return end->order.pairs[i].link_was_up ? 0 : set_link(end, i, false, e);
}

int standby_path_up(struct end *end, size_t i, struct err *e)
{
	/* First what needs no libvirt. */
	static int (*const parts[])(struct end *, size_t, struct err *) = { uplink_entry_set,
		tap_entry_set, standby_link_up, tap_check_open };
	struct err tap;
	int r = 0;

	for (size_t k = 0; k < ARRAY_SIZE(parts); k++) {
		struct err now;

		if (parts[k](end, i, &now) < 0)
			err_keep_first(&r, e, &now);
	}
	/* Who cannot be asked now says nothing about the tap. */
	if (r == 0 || tap_check_open(end, i, &tap) == 0)
		end->pairs[i].tap_closed = false;
	else if (tap.kind == ERR_NOT_FOUND)
		end->pairs[i].tap_closed = true;
	return r;
}

int standby_path_up_or_warn(struct end *end, size_t i, struct err *e)
{
	if (standby_path_up(end, i, e) == 0)
		return 0;
	log_warn("%s: the standby's path is not whole: %s", end->order.name, e->msg);
	return -1;
}

int standby_path_yield(struct end *end, size_t i, enum standby_yield when, struct err *e)
{
	static const enum nic_rule rules[] = {
		[YIELD_BEFORE_ATTACH] = NIC_DROP_FIRST,
		[YIELD_WHEN_DRIVEN] = NIC_UPLINK_WINS,
	};

	if (nic_rule_from_name(end->order.pairs[i].rule) != rules[when])
		return 0;
	return uplink_entry_yield(end, i, e);
}

void standby_path_unyield(struct end *end, size_t i)
{
	struct err ignored;

	uplink_entry_set(end, i, &ignored);
	tap_entry_set(end, i, &ignored);
}

void standby_stand_in(struct end *end, size_t i)
{
	struct err e;

	end->pairs[i].unproved = true;
	end->pairs[i].asked = false;
	/* A NIC may give the guest's frames to the first who asked: the VF that is gone. */
	if (pair_vf_clear_mac(end, i, &e) < 0)
		log_warn("%s: VF %s keeps the guest's MAC: %s", end->order.name,
			end->order.pairs[i].vf, e.msg);
	standby_path_up_or_warn(end, i, &e);
}

/* Entries for the standby would make some VFs deaf. What QEMU brings is not to be relied on yet. */
static bool is_on_its_vf(struct end *end, size_t i)
{
	return !end->order.pairs[i].qemu_unplugs && proof_vf_is_driven(end, i);
}

int standby_carry_all(struct end *end, bool only_unproved, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < end->order.n_pairs; i++) {
		struct err now;

		if ((only_unproved && !end->pairs[i].unproved) || is_on_its_vf(end, i))
			continue;
		if (standby_path_up_or_warn(end, i, &now) < 0)
			err_keep_first(&r, e, &now);
	}
	return r;
}
