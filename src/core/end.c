/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/end.h"

#include <stdlib.h>
#include <string.h>

#include "agent/lock.h"
#include "util/mem.h"
#include "util/str.h"

int end_open(struct end *end, struct order *order, struct err *e)
{
	CLEANUP_FREE char *name = str_printf("domain-%s", order->uuid);

	if (end->open)
		return err_set(e, "this agent has an order already");
	if (lock_take(name, order->owner, &end->domain_lock, e) < 0) {
		err_prefix(e, "domain %s", order->name);
		return err_hint(e, "Wait for the other run to end, or stop it with kill and its PID.");
	}
	end->order = *order;
	*order = (struct order){ 0 };
	end->pairs = mem_new(end->order.n_pairs * sizeof(*end->pairs));
	/* A domain that comes without its VF keeps its standby's path if the move is undone. */
	for (size_t i = 0; i < end->order.n_pairs; i++)
		end->pairs[i].primary_missing = !end->order.pairs[i].had_primary;
	atomic_store(&end->switching, false);
	end->open = true;
	return 0;
}

void end_close(struct end *end)
{
	if (!end->open)
		return;
	for (size_t i = 0; i < end->order.n_pairs; i++) {
		lock_release(end->pairs[i].vf_lock);
		free(end->pairs[i].tap_found);
	}
	free(end->pairs);
	lock_release(end->domain_lock);
	record_clear(&order_record, &end->order);
	end->pairs = NULL;
	end->domain_lock = NULL;
	memset(end->begun, 0, sizeof(end->begun));
	end->open = false;
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

	if (end_domain(end, &d, e) < 0)
		return -1;
	return virt_domain_xml(d, VIRT_XML_LIVE, ret, e);
}
