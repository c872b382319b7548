/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks that nothing from outside reaches: facts made up, the plan asked. */
#include <stdlib.h>
#include <string.h>

#include "core/plan.h"
#include "core/vlans.h"
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
	vf->has_attr = true;
	vf->attr = (struct vf_attr){ -1, -1, -1, -1, -1, -1, -1, -1, -1 };
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

static struct host_facts source, destination;

static void make_hosts(const char *live, const char *inactive)
{
	make_host(&source, "host-a");
	make_host(&destination, "host-b");
	make_domain(&source, live, inactive);
}

/* For these hosts, which are no more then. */
static void plan_for_hosts(void)
{
	struct plan_request request = { .domain = "vm-01",
		.dest_uri = "qemu+ssh://host-b/system",
		.options = &options };

	plan_free(&plan);
	plan_migration(&source, &destination, &request, &plan);
	record_clear(&host_facts_record, &source);
	record_clear(&host_facts_record, &destination);
}

static void make_plan(const char *live, const char *inactive)
{
	make_hosts(live, inactive);
	plan_for_hosts();
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
	make_hosts(GOOD, GOOD);
	make_bond(&destination, free_below_active);
	plan_for_hosts();
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

/* The bridge filters VLANs; PORT are those of its uplink. */
static void filter_vlans(struct host_facts *f, int64_t pvid, const char *port)
{
	f->bridges[0].vlan_filtering = true;
	f->bridges[0].pvid = pvid;
	str_set(&f->bridges[0].uplinks[0].vlans, port);
}

static void add_tap(const char *vlans)
{
	struct tap_fact *t = mem_append(&source.domain.taps, &source.domain.n_taps, sizeof(*t));

	*t = (struct tap_fact){ .name = str_dup("vmtap01"),
		.is_there = true,
		.up = true,
		.bridge = str_dup("br0"),
		.vlans = str_dup(vlans) };
}

/* On the source the uplink carries the VLANs 7 to 9 with their tags. */
static void make_plan_with_vlans(int64_t of_vf, const char *tap, int64_t pvid, const char *port)
{
	make_hosts(GOOD, GOOD);
	filter_vlans(&source, 7, "1pu 7-9");
	filter_vlans(&destination, pvid, port);
	source.pfs[0].vfs[0].attr.vlan = of_vf;
	source.pfs[0].vfs[0].attr.qos = 0;
	add_tap(tap);
	plan_for_hosts();
}

/* Each bridge has a number of its own for what goes out without a tag. */
static void make_plan_with_numbers(int64_t here, int64_t there)
{
	CLEANUP_FREE char *ours = str_printf("%dpu", (int)here);
	CLEANUP_FREE char *theirs = str_printf("%dpu", (int)there);

	make_hosts(GOOD, GOOD);
	filter_vlans(&source, here, ours);
	filter_vlans(&destination, there, theirs);
	source.pfs[0].vfs[0].attr.vlan = 0;
	add_tap(ours);
	plan_for_hosts();
}

static bool is_in_doubt_about_vlans(void)
{
	return problem_list_has(&plan.problems, "vlan-differs");
}

static void test_vlans(void)
{
	make_plan_with_vlans(7, "7pu", 7, "7");
	ok(!is_in_doubt_about_vlans(), "VF and standby are in one VLAN on both hosts");
	make_plan_with_vlans(9, "7pu", 7, "7");
	is_found("vlan-differs", "the VF is in another one");
	make_plan_with_vlans(7, "7pu", 7, "7pu");
	is_found("vlan-differs", "there it goes out without its tag");
	make_plan_with_vlans(0, "7pu", 7, "7pu");
	is_found("vlan-differs", "here it goes out with its tag, and the VF is in none");
	make_plan_with_vlans(7, "7pu", 7, "8-20");
	is_found("vlan-differs", "there it does not go out");
	make_plan_with_vlans(8, "8pu", 7, "7-9");
	is_found("vlan-differs", "a tap there is put into another one, unless by a hook");
	make_plan_with_vlans(7, "7pu 20", 7, "7-20");
	is_found("vlan-differs", "the tap is in more of them than a new one");
	make_plan_with_vlans(0, "20-29", 7, "7 20-29");
	ok(is_in_doubt_about_vlans() && plan.problems.n == 1,
		"of a guest that tags by itself only the tap is told");
	make_plan_with_vlans(7, "7pu", 70, "70");
	is_found("vlan-differs", "the numbers differ, and so do the tags");
}

static void test_vlan_numbers(void)
{
	make_plan_with_numbers(1, 10);
	ok(!is_in_doubt_about_vlans(), "a bridge's number for what has no tag is its own business");
}

static struct xml_vlan *add_vlan(struct network_fact *n, const char *portgroup, bool is_default,
	int64_t tag)
{
	struct xml_vlan *v = mem_append(&n->vlans, &n->n_vlans, sizeof(*v));

	*v = (struct xml_vlan){ str_dup(portgroup), is_default, tag };
	return v;
}

static struct network_fact *add_network(struct host_facts *f, const char *name, const char *forward,
	int64_t tag)
{
	struct network_fact *n = mem_append(&f->networks, &f->n_networks, sizeof(*n));

	n->name = str_dup(name);
	n->forward = str_dup(forward);
	add_vlan(n, NULL, false, tag);
	return n;
}

static void test_vlan_of_network(void)
{
	struct host_facts f = { 0 };
	struct network_fact *n = add_network(&f, "vfs", "hostdev", 42);

	ok(facts_network_vlan(NULL, NULL) == -1, "of no network the VLAN is not known");
	ok(facts_network_vlan(n, NULL) == 42 && facts_network_vlan(n, "a") == 42,
		"a network's own VLAN");
	add_vlan(n, "a", false, 7);
	add_vlan(n, "b", true, 8);
	ok(facts_network_vlan(n, "a") == 7, "that of a portgroup goes before it");
	ok(facts_network_vlan(n, NULL) == 8, "and where none is named that of the default one");
	ok(facts_network_vlan(n, "c") == 42, "not where another one is named");
	n->n_vlans = 0;
	ok(facts_network_vlan(n, NULL) == -1, "an agent that says nothing of VLANs");
	n->n_vlans = 3;
	record_clear(&host_facts_record, &f);
}

/* The VF is from a network, which has the VLAN TAG there; the standbys are in 42, and so is the VF here. */
static struct network_fact *make_pool_hosts(int64_t tag, const char *primary)
{
	CLEANUP_FREE char *kept = str_printf(DOMAIN(STANDBY(MAC, "ua-backup0") "%s"), primary);
	struct network_fact *there;

	make_hosts(GOOD, kept);
	source.domain.migratable = str_dup(kept);
	source.devices[0].vlan = destination.devices[0].vlan = 42;
	source.pfs[0].vfs[0].attr.vlan = 42;
	destination.pfs[0].vfs[0].attr.vlan = 0;
	source.pfs[0].vfs[0].attr.qos = destination.pfs[0].vfs[0].attr.qos = 0;
	add_network(&source, "vfs", "hostdev", 42);
	there = add_network(&destination, "vfs", "hostdev", tag);
	there->pf = str_dup("pf0");
	there->managed = true;
	return there;
}

static void make_plan_of_pool(int64_t tag)
{
	make_pool_hosts(tag, PRIMARY_OF_POOL(MAC, "ua-backup0"));
	plan_for_hosts();
}

static bool is_only_warned_of(const char *code)
{
	return problem_list_has(&plan.problems, code) && !plan_is_refused(&plan);
}

static void test_vlan_of_pool(void)
{
	make_plan_of_pool(42);
	ok(plan.problems.n == 0, "a network of VFs with the same VLAN on both hosts");
	make_plan_of_pool(0);
	is_found("pool-vlan", "one that has none there");
	ok(plan.problems.n == 1, "which is told once");
	make_plan_of_pool(43);
	is_found("pool-vlan", "one that has another one there");
	make_plan_of_pool(-1);
	ok(plan.problems.n == 0, "one of which it is not known");
	make_pool_hosts(0, PRIMARY_OF_POOL(MAC, "ua-backup0"))->n_vlans = 0;
	destination.networks[0].vlans[0].tag = 0;
	plan_for_hosts();
	ok(plan.problems.n == 0, "an agent there that says nothing of VLANs");
	add_vlan(make_pool_hosts(0, PRIMARY_OF_POOL(MAC, "ua-backup0")), "guests", true, 42);
	plan_for_hosts();
	ok(plan.problems.n == 0, "its default portgroup has it");
}

static void test_doubts_about_pool(void)
{
	make_pool_hosts(43, PRIMARY_OF_POOL(MAC, "ua-backup0"));
	destination.devices[0].vlan = 43;
	plan_for_hosts();
	ok(is_only_warned_of("vlan-differs") && plan.problems.n == 1,
		"VF and standby are both in another one there: it may be a number only");
	make_pool_hosts(0, PRIMARY_OF_POOL(MAC, "ua-backup0"));
	source.devices[0].vlan = 0;
	plan_for_hosts();
	ok(is_only_warned_of("vlan-differs"), "the standby was in another one here, too");
	make_pool_hosts(0, PRIMARY_OF_POOL(MAC, "ua-backup0"));
	str_set(&source.devices[0].pf, "bond");
	plan_for_hosts();
	ok(!problem_list_has(&plan.problems, "pool-vlan"), "the standby goes by another NIC");
	make_pool_hosts(0, PRIMARY_OF_POOL(MAC, "ua-backup0"));
	source.devices[0].vlan = destination.devices[0].vlan = 0;
	filter_vlans(&source, 1, "1pu 42");
	filter_vlans(&destination, 1, "1pu 42");
	add_tap("42pu");
	plan_for_hosts();
	ok(is_only_warned_of("vlan-differs"),
		"the tap was put into its VLAN, and nobody knows by whom");
	make_pool_hosts(0,
		"<interface type='network'><mac address='" MAC "'/><source network='vfs'/>"
		"<vlan><tag id='42'/></vlan>"
		"<teaming type='transient' persistent='ua-backup0'/></interface>");
	plan_for_hosts();
	ok(plan.problems.n == 0, "the domain itself says which VLAN");
}

#define STANDBY_OF_NETWORK(type, own_vlan) \
	"<interface type='" type "'><mac address='" MAC "'/>" \
	"<source network='lan' portgroup='blue' bridge='br0'/>" own_vlan \
	"<target dev='vmtap01'/><model type='virtio'/><teaming type='persistent'/>" \
	"<link state='down'/><alias name='ua-backup0'/></interface>"
#define OF_NETWORK(type, own_vlan) \
	DOMAIN(STANDBY_OF_NETWORK(type, own_vlan) PRIMARY(MAC, "0x2", "ua-backup0"))
#define TAG_8 "<vlan><tag id='8'/></vlan>"

static void add_lan(struct host_facts *f, int64_t of_portgroup)
{
	struct network_fact *lan = add_network(f, "lan", "bridge", 0);

	lan->bridge = str_dup("br0");
	if (of_portgroup)
		add_vlan(lan, "blue", false, of_portgroup);
	f->libvirt = 11003000;
	filter_vlans(f, 7, "7-9");
	f->pfs[0].vfs[0].attr.vlan = f->pfs[0].vfs[0].attr.qos = 0;
}

/* The live definition shows the VLAN, whoever it is from. The tap and the VF are in 8. */
static void make_hosts_with_lan(int64_t here, int64_t there, const char *carried)
{
	make_hosts(OF_NETWORK("bridge", TAG_8), carried);
	source.domain.migratable = str_dup(carried);
	add_lan(&source, here);
	add_lan(&destination, there);
	source.pfs[0].vfs[0].attr.vlan = 8;
	add_tap("8pu");
}

static bool is_told_of_new_tap(const char *vlans)
{
	CLEANUP_FREE char *words = str_printf("a new one there will be in \"%s\"", vlans);

	for (size_t i = 0; i < plan.problems.n; i++)
		if (strstr(plan.problems.v[i].text, words))
			return true;
	return false;
}

static void test_vlan_of_standby(void)
{
	make_hosts_with_lan(8, 8, OF_NETWORK("network", ""));
	plan_for_hosts();
	ok(plan.problems.n == 0, "the standby's portgroup has the same VLAN there");
	make_hosts_with_lan(8, 9, OF_NETWORK("network", ""));
	plan_for_hosts();
	ok(is_told_of_new_tap("9pu"), "it has another one there");
	make_hosts_with_lan(8, 0, OF_NETWORK("network", ""));
	plan_for_hosts();
	ok(is_told_of_new_tap("7pu"), "there is no such portgroup there");
	make_hosts_with_lan(0, 8, OF_NETWORK("network", ""));
	plan_for_hosts();
	ok(plan.problems.n == 0, "what somebody has done here the network does there");
	make_hosts_with_lan(8, 8, OF_NETWORK("network", ""));
	destination.libvirt = 10010000;
	plan_for_hosts();
	ok(is_told_of_new_tap("7pu"), "libvirt there sets no VLANs");
	make_hosts_with_lan(0, 9, OF_NETWORK("network", TAG_8));
	plan_for_hosts();
	ok(!is_in_doubt_about_vlans(),
		"the standby's own <vlan> goes along, and before the network's");
}

static void test_vlan_text(void)
{
	struct port_vlan v[] = { { 0, false, false }, { 7, true, true }, { 8, false, false },
		{ 9, false, false }, { 11, false, true } };
	struct vlan_list l = { v, ARRAY_SIZE(v) };
	CLEANUP_FREE char *text = vlans_format(&l);
	bool untagged = true;

	is_text(text, "7pu 8-9 11u", "the VLANs of a port as text");
	ok(vlans_pvid(text) == 7 && vlans_pvid("1u 2") == 0 && vlans_pvid(NULL) == 0, "its PVID");
	ok(vlans_have(text, 9, &untagged) && !untagged, "one within a range");
	ok(vlans_have(text, 11, &untagged) && untagged, "and whether it has a tag");
	ok(!vlans_have(text, 10, &untagged) && !vlans_have("x 10", 10, &untagged),
		"one that it is not in");
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
	test_vlans();
	test_vlan_numbers();
	test_vlan_of_network();
	test_vlan_of_pool();
	test_doubts_about_pool();
	test_vlan_of_standby();
	test_vlan_text();
	plan_free(&plan);
	options_free(&options);
	return tap_done();
}
