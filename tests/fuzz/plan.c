/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Facts as hosts may tell them, and what is planned by them: a list of problems, or orders. */
#include "agent/journal.h"
#include "core/end.h"
#include "core/plan.h"
#include "fuzz.h"
#include "record.h"
#include "util/mem.h"
#include "util/str.h"

const char fuzz_name[] = "plan";

static void check_problems(const struct problem_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		must(!str_is_empty(l->v[i].code) && !str_is_empty(l->v[i].text) && l->v[i].hint);
	}
}

/* An agent can begin with it, and whoever comes after the agent can take it up. */
static void check_order(const struct order *order)
{
	struct journal_content journal = { .head = record_encode(&order_record, order),
		.lines = json_array() };
	struct order again = { 0 };
	struct end end = { 0 };
	struct err e = { 0 };

	must(fuzz_decode(&order_record, journal.head, &again));
	record_clear(&order_record, &again);
	must(end_take_up(&end, order->uuid, &journal, &e) == 0);
	must(end.order.n_pairs == order->n_pairs);
	end_close(&end, false);
	journal_content_free(&journal);
}

static void check_plan(struct plan *p, bool with_source)
{
	check_problems(&p->problems);
	if (!plan_is_refused(p)) {
		if (with_source && p->kind == PLAN_MOVE) {
			check_order(&p->source);
			must(p->source.is_source && p->source.n_pairs == p->destination.n_pairs);
		}
		check_order(&p->destination);
		must(!p->destination.is_source);
	}
	plan_free(p);
}

static void plan_all(const struct host_facts *here, const struct host_facts *there,
	const struct plan_request *r)
{
	struct plan move = { 0 }, reattach = { 0 };

	plan_migration(here, there, r, &move);
	check_plan(&move, true);
	plan_reattach(here, r, &reattach);
	check_plan(&reattach, false);
	plan_is_whole(here);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char peer_word[] = "ssh";
	char *peer[] = { peer_word, NULL };
	json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	struct host_facts here = { 0 }, there = { 0 };
	struct options options;
	struct err e = { 0 };
	struct plan_request r = { .domain = "vm-01",
		.dest_uri = "qemu+ssh://host-b/system",
		.peer = peer,
		.owner = "somebody",
		.options = &options };

	options_init(&options);
	r.advise = json_is_true(json_object_get(json, "advise"));
	if (facts_decode(json_object_get(json, "here"), &here, &e) == 0 &&
		facts_decode(json_object_get(json, "there"), &there, &e) == 0)
		plan_all(&here, &there, &r);
	else
		must(e.msg[0]);
	record_clear(&host_facts_record, &here);
	record_clear(&host_facts_record, &there);
	options_free(&options);
	json_decref(json);
	return 0;
}
