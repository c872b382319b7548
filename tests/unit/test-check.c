/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks that nothing from outside reaches: facts made up, the plan asked. */
#include <stdlib.h>

#include "core/plan.h"
#include "tap.h"
#include "text.h"
#include "util/mem.h"
#include "util/str.h"

#define MAC "52:54:00:00:12:53"
#define GOOD DOMAIN(STANDBY(MAC, "ua-backup0") PRIMARY(MAC, "0x2", "ua-backup0"))

static struct options options;
static struct plan plan;

static void add_vf(struct pf_fact *pf, int64_t index, const char *address)
{
	struct vf_fact *vf = mem_append(&pf->vfs, &pf->n_vfs, sizeof(*vf));

	vf->index = index;
	vf->address = str_dup(address);
	vf->driver = str_dup("igbvf");
	vf->mac = str_dup("02:00:00:00:00:01");
	vf->user = str_dup("");
}

static void make_host(struct host_facts *f, const char *name)
{
	struct pf_fact *pf = mem_append(&f->pfs, &f->n_pfs, sizeof(*pf));
	struct bridge_fact *b = mem_append(&f->bridges, &f->n_bridges, sizeof(*b));
	struct uplink_fact *u = mem_append(&b->uplinks, &b->n_uplinks, sizeof(*u));
	struct uplink_fact *d = mem_append(&f->devices, &f->n_devices, sizeof(*d));

	f->hostname = str_dup(name);
	f->uuid = str_dup(name);
	f->net_admin = true;
	pf->name = str_dup("pf0");
	pf->address = str_dup("0000:01:00.0");
	pf->driver = str_dup("ixgbe");
	pf->up = true;
	add_vf(pf, 1, "0000:01:10.2");
	b->name = str_dup("br0");
	b->up = true;
	b->mtu = 1500;
	u->name = str_dup("pf0");
	u->pf = str_dup("pf0");
	u->vf_index = -1;
	u->up = u->running = u->forwarding = true;
	d->name = str_dup("pf0");
	d->pf = str_dup("pf0");
	d->vf_index = -1;
	d->up = d->running = d->forwarding = true;
}

static void make_domain(struct host_facts *f, const char *live, const char *inactive)
{
	f->has_domain = true;
	f->domain.name = str_dup("vm-01");
	f->domain.uuid = str_dup("7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101");
	f->domain.state = str_dup("running");
	f->domain.persistent = true;
	f->domain.live = str_dup(live);
	f->domain.inactive = str_dup(inactive);
}

static void make_plan(const char *live, const char *inactive)
{
	struct plan_request request = { .domain = "vm-01",
		.dest_uri = "qemu+ssh://host-b/system",
		.options = &options };
	struct host_facts source = { 0 }, destination = { 0 };

	make_host(&source, "host-a");
	make_host(&destination, "host-b");
	make_domain(&source, live, inactive);
	plan_free(&plan);
	plan_migration(&source, &destination, &request, &plan);
	record_clear(&host_facts_record, &source);
	record_clear(&host_facts_record, &destination);
}

static void is_found(const char *code, const char *what)
{
	if (!tap_result(problem_list_has(&plan.problems, code), "%s: %s", code, what))
		for (size_t i = 0; i < plan.problems.n; i++)
			printf("# %s: %s\n", plan.problems.v[i].code, plan.problems.v[i].text);
}

static void test_definitions(void)
{
	make_plan(GOOD, GOOD);
	ok(plan.problems.n == 0, "nothing stands against a good domain");
	make_plan("<domain><devices>", GOOD);
	is_found("bad-xml", "a live definition that is cut off");
	make_plan(GOOD, "nonsense");
	is_found("bad-xml", "a persistent definition that is none");
	make_plan(DOMAIN(STANDBY(MAC, "ua-backup0") PRIMARY_PLAIN("0x2", "ua-backup0")), GOOD);
	is_found("vf-mac-differs", "a plain <hostdev> whose VF has another MAC");
}

/* The uplink is a bond of two PFs, of which it uses the second one, as the agent puts it first. */
static void make_bond(struct host_facts *f, bool free_below_active)
{
	struct pf_fact *pf = mem_append(&f->pfs, &f->n_pfs, sizeof(*pf));

	pf->name = str_dup("pf1");
	pf->address = str_dup("0000:02:00.0");
	pf->driver = str_dup("ixgbe");
	pf->up = true;
	if (free_below_active)
		add_vf(pf, 1, "0000:02:10.2");
	for (int spare = 0; spare <= 1; spare++) {
		struct bridge_fact *b = &f->bridges[0];
		struct uplink_fact *u =
			spare ? mem_append(&b->uplinks, &b->n_uplinks, sizeof(*u)) : &b->uplinks[0];
		struct uplink_fact *d =
			spare ? mem_append(&f->devices, &f->n_devices, sizeof(*d)) : &f->devices[0];

		for (int k = 0; k <= 1; k++) {
			struct uplink_fact *both = k ? d : u;

			str_set(&both->name, "bond0");
			str_set(&both->pf, spare ? "pf0" : "pf1");
			both->vf_index = -1;
			both->up = both->running = both->forwarding = true;
			both->spare = spare;
		}
	}
}

static void make_plan_to_bond(bool free_below_active)
{
	struct plan_request request = { .domain = "vm-01",
		.dest_uri = "qemu+ssh://host-b/system",
		.options = &options };
	struct host_facts source = { 0 }, destination = { 0 };

	make_host(&source, "host-a");
	make_host(&destination, "host-b");
	make_bond(&destination, free_below_active);
	make_domain(&source, GOOD, GOOD);
	plan_free(&plan);
	plan_migration(&source, &destination, &request, &plan);
	record_clear(&host_facts_record, &source);
	record_clear(&host_facts_record, &destination);
}

static void test_bond(void)
{
	make_plan_to_bond(true);
	ok(plan.problems.n == 0, "nothing stands against a bond");
	is_text(plan.destination.pairs[0].vf, "0000:02:10.2", "the VF is of the port it uses");
	is_text(plan.destination.pairs[0].uplink_pf, "pf1", "and so is what is known of the NIC");
	make_plan_to_bond(false);
	is_found("other-pf", "a VF of the port that waits for the other one to fail");
	is_text(plan.destination.pairs[0].vf, "0000:01:10.2", "which is better than none");
}

static void test_table(void)
{
	bool unique = true, complete = true;

	for (size_t i = 0; i < n_checks; i++) {
		for (size_t k = 0; k < i; k++)
			unique = unique && !str_equal(checks[i].code, checks[k].code);
		complete = complete && !checks[i].look == (checks[i].scope == CHECK_PLAN) &&
			   !str_is_empty(checks[i].help);
	}
	ok(unique, "no code stands for two checks");
	ok(complete, "each check has a function, or is the plan's own");
}

int main(void)
{
	options_init(&options);
	test_table();
	test_definitions();
	test_bond();
	plan_free(&plan);
	options_free(&options);
	return tap_done();
}
