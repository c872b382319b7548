/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/primary.h"

#include <stdlib.h>

#include "net/pci.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"

enum {
	POLL_MS = 250,
	EVENT_GRACE_MS = 3000, /* gone from the XML without an event: the event got lost */
	ASK_AGAIN_MS = 7000,   /* QEMU refuses a second unplug request within 5 s */
};

/* ---- what the live definition says ---- */

int primary_find(struct end *end, size_t i, char **ret_alias, char **ret_vf, struct err *e)
{
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	const struct xml_pair *pair;

	if (end_live_pair(end, i, &pairs, &pair, e) < 0)
		return -1;
	if (!pair)
		return err_set(e, "the standby %s is gone from the live definition",
			end->order.pairs[i].standby_alias);
	if (pair->primary.form == PRIMARY_NONE)
		return 0;
	*ret_alias = str_dup(pair->primary.alias ? pair->primary.alias : "");
	*ret_vf = str_dup(pair->primary.address ? pair->primary.address : "");
	return 0;
}

int primary_is_attached(struct end *end, size_t i, bool *ret, struct err *e)
{
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (primary_find(end, i, &alias, &vf, e) < 0)
		return -1;
	*ret = alias;
	return 0;
}

/* ---- detach ---- */

struct detach {
	struct end *end;
	size_t i;
	struct virt_domain *domain; /* borrowed */
	char *alias;                /* borrowed */
	uint64_t mark;
	int64_t gone_since; /* first seen absent from the XML, 0: not yet */
	int64_t asked;
};

static int ask_to_unplug(struct detach *x, struct err *e)
{
	struct pair_state *s = &x->end->pairs[x->i];
	bool refused = false;
	int r;

	x->asked = s->unplug_asked = clock_ms();
	s->unplug_until = x->asked + x->end->order.watch_ms;
	if (end_note_state(x->end, x->i, e) < 0)
		return -1;
	r = virt_device_detach(x->domain, x->alias, &refused, e);
	if (r > 0)
		log_debug("an earlier unplug of %s is still going on", x->alias);
	if (r < 0)
		s->unplug_until = x->asked + PRIMARY_UNPLUG_GRACE_MS;
	if (r < 0 && refused)
		s->unplug_asked = 0;
	/* The guest may have let it go between our look and the request. */
	return r < 0 && e->kind != ERR_NOT_FOUND ? -1 : 0;
}

static int look_whether_gone(void *arg, struct err *e)
{
	struct detach *x = arg;
	const char *uuid = x->end->order.uuid;
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (virt_event_seen(x->end->virt, x->mark, VIRT_EVENT_REMOVAL_FAILED, uuid, x->alias)) {
		x->end->pairs[x->i].unplug_asked = 0;
		return err_set(e, "the guest refused to give up the VF");
	}
	if (primary_find(x->end, x->i, &alias, &vf, e) < 0)
		return -1;
	if (alias) {
		if (clock_ms() >= x->asked + ASK_AGAIN_MS)
			return ask_to_unplug(x, e);
		return 0;
	}
	if (virt_event_seen(x->end->virt, x->mark, VIRT_EVENT_DEVICE_REMOVED, uuid, x->alias))
		return 1;
	if (!x->gone_since)
		x->gone_since = clock_ms();
	return clock_ms() >= x->gone_since + EVENT_GRACE_MS;
}

int primary_detach_alias(struct end *end, size_t i, char *alias, int64_t limit_ms, struct err *e)
{
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	struct detach x = { .end = end, .i = i, .alias = alias };

	if (end_domain(end, &d, e) < 0)
		return -1;
	x.domain = d;
	x.mark = virt_event_mark(end->virt);
	if (ask_to_unplug(&x, e) < 0)
		return -1;
	if (cancel_wait(end->cancel, limit_ms, POLL_MS, "the guest to give up the VF",
		    look_whether_gone, &x, e) < 0) {
		if (e->kind == ERR_TIMEOUT)
			err_hint(e,
				"The guest ignores the request: is its VF driver or PCI hotplug "
				"hung, or the VF in use by a program of its own (DPDK)? "
				"--detach-timeout changes the limit.");
		return -1;
	}
	end->pairs[i].unplug_asked = 0;
	return 0;
}

int primary_detach(struct end *end, size_t i, struct err *e)
{
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (primary_find(end, i, &alias, &vf, e) < 0)
		return -1;
	if (alias && primary_detach_alias(end, i, alias, end->order.detach_ms, e) < 0)
		return err_prefix(e, "detach of VF %s", end->order.pairs[i].vf);
	end->pairs[i].unproved = true;
	return 0;
}

int primary_leave_to_qemu(struct end *end, size_t i, struct err *e)
{
	bool attached;

	if (primary_is_attached(end, i, &attached, e) < 0)
		return -1;
	if (!attached)
		return err_set(e, "VF %s has left the guest", end->order.pairs[i].vf);
	end->pairs[i].unproved = true;
	return end_note_state(end, i, e);
}

/* A VF that QEMU has given back already, and that the guest's driver has not taken yet. */
static bool was_let_go(const struct pair_order *p)
{
	struct pci_address address;
	struct err ignored;
	bool master;

	return pci_parse(p->vf, &address) == 0 &&
	       pci_is_bus_master(&address, &master, &ignored) == 0 && !master;
}

int primary_note_unplug(struct end *end, bool pending, struct err *e)
{
	for (size_t i = 0; i < end->order.n_pairs; i++) {
		const struct pair_order *p = &end->order.pairs[i];
		struct pair_state *s = &end->pairs[i];

		if (!p->qemu_unplugs)
			continue;
		s->unplug_asked = pending && !was_let_go(p) ? clock_ms() : 0;
		s->unplug_until = clock_ms() + end->order.watch_ms;
		if (end_note_state(end, i, e) < 0)
			return -1;
	}
	return 0;
}
