/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Forwarding entries and links against the kernel that runs. */
#include <net/if.h>

#include "net/fdb.h"
#include "net/link.h"
#include "net/monitor.h"
#include "net/nl.h"
#include "netns.h"
#include "tap.h"
#include "util/cancel.h"
#include "util/clock.h"
#include "util/mem.h"

static const struct mac guest = { { 0x52, 0x54, 0, 0, 0x12, 0x53 } };
static struct nl *nl;
static int uplink, tap;

struct count {
	int learnt, fixed, local, self, sticky, elsewhere;
};

/* Entries for the guest; those not on PORT count as elsewhere. */
static struct count count_on(int port)
{
	CLEANUP_FDB struct fdb_list found = { 0 };
	struct count c = { 0 };
	struct err e;

	if (fdb_find(nl, &guest, &found, &e) < 0)
		printf("# %s\n", e.msg);
	for (size_t i = 0; i < found.n; i++) {
		const struct fdb_entry *f = &found.v[i];

		if (f->port != port) {
			c.elsewhere++;
			continue;
		}
		c.learnt += f->kind == FDB_LEARNT;
		c.fixed += f->kind == FDB_STATIC;
		c.local += f->kind == FDB_LOCAL;
		c.self += f->kind == FDB_SELF;
		c.sticky += f->sticky;
	}
	return c;
}

static void delete_all(int port)
{
	CLEANUP_FDB struct fdb_list found = { 0 };
	struct err e;

	fdb_find(nl, &guest, &found, &e);
	for (size_t i = 0; i < found.n; i++)
		if (found.v[i].port == port && found.v[i].kind != FDB_SELF)
			fdb_delete(nl, &found.v[i], &e);
}

static void test_bridge_entry(void)
{
	struct count c;
	struct err e;

	ok(fdb_replace(nl, tap, &guest, 0, &e) == 0, "an entry is set");
	c = count_on(tap);
	ok(c.fixed >= 1 && c.sticky == c.fixed && !c.local && !c.learnt && !c.elsewhere,
		"it is static, sticky, and on the tap alone");
	ok(fdb_replace(nl, tap, &guest, 0, &e) == 0, "setting it again is no error");
	ok(count_on(tap).fixed == c.fixed, "and adds nothing");
	delete_all(tap);
	c = count_on(tap);
	ok(!c.fixed && !c.elsewhere, "it can be deleted");
	ok(fdb_delete(nl, &(struct fdb_entry){ .mac = guest, .port = tap, .kind = FDB_STATIC },
		   &e) == 0,
		"deleting it again is no error");
}

static void test_replacing(void)
{
	struct fdb_entry local = { .mac = guest, .port = uplink, .kind = FDB_LOCAL };
	struct count c;
	struct err e;

	ok(netns_ip("link set uplink0 up\n") &&
			system("bridge fdb replace 52:54:00:00:12:53 dev uplink0 master "
			       "dynamic") == 0,
		"the bridge has learnt the MAC on the uplink");
	ok(count_on(uplink).learnt >= 1, "and shows it so");
	ok(fdb_replace(nl, tap, &guest, 0, &e) == 0, "an entry takes the place of a learnt one");
	c = count_on(tap);
	ok(c.fixed >= 1, "it stands on the tap");
	delete_all(tap);
	delete_all(uplink);
	ok(fdb_restore(nl, &local, &e) == 0 && count_on(uplink).local >= 1,
		"a local entry can be put back");
	ok(fdb_replace(nl, tap, &guest, 0, &e) == 0 && count_on(tap).fixed >= 1 &&
			count_on(tap).local == 0,
		"an entry takes the place of a local one");
	delete_all(tap);
	delete_all(uplink);
}

static void test_self_entry(void)
{
	struct count c;
	struct err e;

	ok(fdb_add_self(nl, uplink, &guest, &e) == 0, "a self entry is added");
	c = count_on(uplink);
	ok(c.self == 1 && !c.fixed && !c.local, "and is nothing but that");
	ok(fdb_add_self(nl, uplink, &guest, &e) == 0 && count_on(uplink).self == 1,
		"adding it again is no error");
	ok(fdb_delete_self(nl, uplink, &guest, &e) == 0 && count_on(uplink).self == 0,
		"it can be deleted");
	ok(fdb_delete_self(nl, uplink, &guest, &e) == 0, "deleting it again is no error");
}

static void test_refusals(void)
{
	static const struct mac zero = { { 0 } }, group = { { 0x01, 0, 0x5e, 0, 0, 1 } };
	struct fdb_entry gone = { .mac = guest, .port = 4711, .kind = FDB_STATIC };
	struct err e;

	/* The kernel would take the zero MAC as a self entry. */
	ok(fdb_add_self(nl, uplink, &zero, &e) < 0, "the zero MAC is refused");
	ok(fdb_replace(nl, tap, &group, 0, &e) < 0, "a group MAC is refused");
	ok(fdb_replace(nl, 4711, &guest, 0, &e) < 0 && e.kind == ERR_NOT_FOUND,
		"a device that is not there is said to be so");
	ok(fdb_delete(nl, &gone, &e) == 0, "deleting from a device that is gone is no error");
	ok(fdb_delete_self(nl, 4711, &guest, &e) == 0, "of a self entry neither");
	ok(fdb_replace(nl, (int)if_nametoindex("lo"), &guest, 0, &e) < 0, "lo is no bridge port");
}

static void test_vlans(void)
{
	CLEANUP_VLANS struct vlan_list vlans = { 0 };
	struct err e;
	bool has_7 = false;

	if (system("bridge vlan add dev tap0 vid 7 2>/dev/null") != 0) {
		printf("ok %d - VLANs of a port # SKIP the kernel's bridge has none\n",
			++tap_count);
		return;
	}
	ok(link_port_vlans(nl, tap, &vlans, &e) == 0 && vlans.n >= 2 && vlans.v[0].vid == 0,
		"VLANs of a port, 0 first");
	for (size_t i = 0; i < vlans.n; i++)
		has_7 = has_7 || vlans.v[i].vid == 7;
	ok(has_7, "the one added is among them");
	for (size_t i = 0; i < vlans.n; i++)
		fdb_replace(nl, tap, &guest, vlans.v[i].vid, &e);
	ok(count_on(tap).fixed == (int)vlans.n, "each has its own entry");
	delete_all(tap);
	ok(count_on(tap).fixed == 0, "all of them can be deleted");
}

static void test_links(void)
{
	CLEANUP_LINKS struct link_list links = { 0 };
	const struct link *br, *port;
	struct link one;
	struct err e;

	ok(link_list_get(nl, &links, &e) == 0, "links are listed");
	br = link_list_by_name(&links, "br0");
	port = link_list_by_name(&links, "uplink0");
	ok(br && strcmp(br->kind, "bridge") == 0 && br->up, "the bridge is one");
	ok(port && br && port->master == br->ifindex && strcmp(port->port_kind, "bridge") == 0,
		"the uplink is its port");
	ok(link_list_by_name(&links, "eth99") == NULL, "what is not there is not found");
	ok(link_get(nl, "tap0", &one, &e) == 0 && one.ifindex == tap, "one link by name");
	ok(link_get(nl, "eth99", &one, &e) < 0 && e.kind == ERR_NOT_FOUND, "one that is not there");
	ok(link_get(nl, "", &one, &e) < 0 && e.kind == ERR_NOT_FOUND, "no name");
	ok(link_get(nl, "a-name-that-is-much-too-long", &one, &e) < 0 && e.kind == ERR_NOT_FOUND,
		"a name no link can have");
}

static int look_for_nothing(void *arg, struct err *e)
{
	return 0;
}

/* How often a waiter is woken within a time. */
static uint64_t wakes_within(struct cancel *wake, int64_t ms)
{
	uint64_t before = wake->wakes;
	struct err e;

	cancel_wait(wake, ms, ms, "news", look_for_nothing, NULL, &e);
	return wake->wakes - before;
}

static void test_news(void)
{
	int64_t end = clock_ms() + 10000;
	struct link_monitor *m;
	struct cancel wake;
	uint64_t before;
	struct err e;

	cancel_init(&wake);
	ok(link_monitor_start(&wake, &m, &e) == 0, "news of links can be heard");
	/* What was done before may still be told: the kernel takes up to a second for that. */
	while (wakes_within(&wake, 1200) && clock_ms() < end)
		;
	ok(wakes_within(&wake, 100) == 0, "without news nobody is woken");
	before = wake.wakes;
	netns_ip("link add news0 type veth peer name news1\n");
	while (wakes_within(&wake, 10) == 0 && wake.wakes == before && clock_ms() < end + 5000)
		;
	ok(wake.wakes > before, "a new link is news");
	link_monitor_stop(m);
	end = (int64_t)wake.wakes;
	netns_ip("link del news0\n");
	ok(wakes_within(&wake, 100) == 0 && wake.wakes == (uint64_t)end,
		"and is not once it is stopped");
}

static void test_addresses(void)
{
	CLEANUP_FREE int *with = NULL;
	size_t n = 0;
	bool has_br = false, has_tap = false;
	struct err e;

	netns_ip("addr add 192.0.2.1/24 dev br0\n");
	ok(link_with_addresses(nl, &with, &n, &e) == 0, "links with an address are listed");
	for (size_t i = 0; i < n; i++) {
		has_br = has_br || with[i] == (int)if_nametoindex("br0");
		has_tap = has_tap || with[i] == tap;
	}
	ok(has_br && !has_tap, "the one that has one, and no other");
}

int main(void)
{
	struct err e;

	if (!netns_new())
		return tap_skip_all("the kernel lets nobody here make network namespaces");
	if (!netns_ip("link set lo up\n"
		      "link add br0 type bridge\n"
		      "link add uplink0 type veth peer name wire0\n"
		      "link add tap0 type veth peer name guest0\n"
		      "link set uplink0 master br0\n"
		      "link set tap0 master br0\n"
		      "link set wire0 up\nlink set guest0 up\n"
		      "link set uplink0 up\nlink set tap0 up\nlink set br0 up\n"))
		return tap_skip_all("this kernel has no bridge or no veth");
	uplink = (int)if_nametoindex("uplink0");
	tap = (int)if_nametoindex("tap0");
	ok(nl_open(&nl, &e) == 0, "a netlink socket");
	test_bridge_entry();
	test_replacing();
	test_self_entry();
	test_refusals();
	test_vlans();
	test_links();
	test_news();
	test_addresses();
	nl_close(nl);
	return tap_done();
}
