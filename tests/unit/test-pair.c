/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "tap.h"
#include "text.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/network.h"
#include "xml/pair.h"

static bool find(const char *xml, struct xml_pair_list *ret)
{
	struct err e;

	*ret = (struct xml_pair_list){ 0 };
	if (xml_pairs_find(xml, ret, &e) == 0)
		return true;
	printf("# %s\n", e.msg);
	return false;
}

static void test_ordinary_pair(void)
{
	CLEANUP_PAIRS struct xml_pair_list l;
	const struct xml_pair *p;

	ok(find(DOMAIN(STANDBY(MAC_A, "ua-backup0") PRIMARY(MAC_A, "0x2", "ua-backup0")), &l) &&
			l.n == 1,
		"a pair is found");
	p = &l.v[0];
	is_text(p->mac, MAC_A, "its MAC");
	is_text(p->standby_alias, "ua-backup0", "its alias");
	is_text(p->tap, "vmtap01", "its tap");
	is_text(p->bridge, "br0", "its bridge");
	ok(!p->link_up, "its link is down");
	ok(p->primary.form == PRIMARY_HOSTDEV_NIC, "its primary is a NIC");
	is_text(p->primary.address, "0000:01:10.2", "the VF");
	is_text(p->primary.guest_address, "0000:05:00.0", "its place in the guest");
	is_text(p->primary.alias, "hostdev0", "its alias");
	ok(p->primary.managed, "managed");
	ok(!p->problem, "without a problem");
}

static void test_other_forms(void)
{
	CLEANUP_PAIRS struct xml_pair_list plain, pool, alone;

	ok(find(DOMAIN(STANDBY(MAC_A, "ua-a") PRIMARY_PLAIN("0x2", "ua-a")), &plain) &&
			plain.n == 1 && plain.v[0].primary.form == PRIMARY_HOSTDEV &&
			!plain.v[0].problem,
		"a plain <hostdev> is a primary");
	is_text(plain.v[0].primary.address, "0000:01:10.2", "with its VF");
	ok(find(DOMAIN(STANDBY(MAC_A, "ua-a") PRIMARY_OF_POOL(MAC_A, "ua-a")), &pool) &&
			pool.n == 1 && pool.v[0].primary.form == PRIMARY_POOL &&
			!pool.v[0].primary.address,
		"a VF of a pool is a primary without an address");
	is_text(pool.v[0].primary.network, "vfs", "but with its network");
	ok(find(DOMAIN(STANDBY(MAC_A, "ua-a")), &alone) && alone.n == 1 &&
			alone.v[0].primary.form == PRIMARY_NONE,
		"a standby may be alone");
}

static void test_several_pairs(void)
{
	CLEANUP_PAIRS struct xml_pair_list l;

	ok(find(DOMAIN(PRIMARY(MAC_B, "0x4", "ua-b") STANDBY(MAC_A, "ua-a") STANDBY(MAC_B, "ua-b")
				PRIMARY(MAC_A, "0x2", "ua-a")),
		   &l) &&
			l.n == 2,
		"two pairs, in any order");
	is_text(l.v[0].primary.address, "0000:01:10.2", "the first has its own VF");
	is_text(l.v[1].primary.address, "0000:01:10.4", "and so has the second");
	ok(xml_pairs_by_alias(&l, "ua-b") == &l.v[1], "found by alias");
	ok(xml_pairs_by_alias(&l, "ua-c") == NULL, "none by another alias");
}

static void test_problems(void)
{
	CLEANUP_PAIRS struct xml_pair_list differ, dangling, nameless, no_mac, no_pair;

	ok(find(DOMAIN(STANDBY(MAC_A, "ua-a") PRIMARY(MAC_B, "0x2", "ua-a")), &differ) &&
			differ.v[0].problem && strstr(differ.v[0].problem, MAC_B),
		"MACs that differ are a problem");
	ok(find(DOMAIN(STANDBY(MAC_A, "ua-a") PRIMARY(MAC_A, "0x2", "ua-z")), &dangling) &&
			dangling.n == 2 && dangling.v[1].problem &&
			strstr(dangling.v[1].problem, "ua-z"),
		"a primary without its standby is a problem");
	ok(dangling.v[0].primary.form == PRIMARY_NONE, "and belongs to nobody");
	ok(find(DOMAIN("<interface type='bridge'><mac address='" MAC_A "'/>"
		       "<teaming type='persistent'/></interface>"),
		   &nameless) &&
			nameless.n == 1 && nameless.v[0].problem,
		"a standby without an alias is a problem");
	ok(find(DOMAIN("<interface type='bridge'><mac address='nonsense'/>"
		       "<teaming type='persistent'/><alias name='ua-a'/></interface>"),
		   &no_mac) &&
			no_mac.v[0].problem,
		"a standby with a nonsense MAC is a problem");
	ok(find(DOMAIN("<interface type='bridge'><mac address='" MAC_A "'/></interface>"
		       "<hostdev mode='subsystem' type='pci'><source><address "
		       "domain='0x0000' "
		       "bus='0x01' slot='0x10' function='0x2'/></source></hostdev>"),
		   &no_pair) &&
			no_pair.n == 0,
		"NICs and devices without <teaming> are no pairs");
}

static void test_case_and_link(void)
{
	CLEANUP_PAIRS struct xml_pair_list mixed, up, none;

	ok(find(DOMAIN(STANDBY("52:54:00:00:12:5F", "ua-a")
				PRIMARY("52-54-00-00-12-5f", "0x2", "ua-a")),
		   &mixed) &&
			!mixed.v[0].problem,
		"the way a MAC is written does not count");
	ok(find(DOMAIN(STANDBY_LINKED(MAC_A, "ua-a", "<link state='up'/>")), &up) &&
			up.v[0].link_up,
		"a link that is up");
	ok(find(DOMAIN(STANDBY_LINKED(MAC_A, "ua-a", "")), &none) && none.v[0].link_up,
		"a link that nobody speaks of is up");
}

static void is_refused(const char *xml, const char *what)
{
	struct xml_pair_list l = { 0 };
	struct err e = { 0 };

	tap_result(xml_pairs_find(xml, &l, &e) < 0 && e.msg[0], "refused: %s", what);
	xml_pair_list_free(&l);
}

/* NAME, DEPTH deep. */
static char *deep(size_t depth)
{
	CLEANUP_STR_BUF struct str_buf b = { 0 };

	str_buf_add(&b, "<domain><devices>");
	for (size_t i = 0; i < depth; i++)
		str_buf_add(&b, "<a>");
	for (size_t i = 0; i < depth; i++)
		str_buf_add(&b, "</a>");
	str_buf_add(&b, "</devices></domain>");
	return TAKE_PTR(b.s);
}

static void test_hostile(void)
{
	CLEANUP_FREE char *tower = deep(5000);

	is_refused("", "nothing");
	is_refused("<domain", "half of it");
	is_refused("<network/>", "another document");
	is_refused("<domain/><domain/>", "two documents");
	is_refused("<!DOCTYPE domain><domain/>", "a document type");
	is_refused("<!DOCTYPE domain [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b "
		   "'&a;&a;&a;&a;&a;&a;&a;&a;'>"
		   "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d "
		   "'&c;&c;&c;&c;&c;&c;&c;&c;'>"
		   "<!ENTITY e '&d;&d;&d;&d;&d;&d;&d;&d;'><!ENTITY f "
		   "'&e;&e;&e;&e;&e;&e;&e;&e;'>]>"
		   "<domain><devices><interface type='&f;'/></devices></domain>",
		"entities that grow");
	is_refused("<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
		   "<domain><name>&x;</name></domain>",
		"another file");
	is_refused("<domain><name>&undefined;</name></domain>", "an unknown entity");
	is_refused(tower, "a tower of elements");
	is_refused("<domain>\x01</domain>", "control characters");
	is_refused("<domain>\xff\xfe</domain>", "no text at all");
}

static void test_odd_but_legal(void)
{
	CLEANUP_PAIRS struct xml_pair_list empty, foreign, twice;

	ok(find("<domain/>", &empty) && empty.n == 0, "a domain without devices has no pair");
	ok(find("<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><devices>"
		"<!-- <teaming type='persistent'/> -->" STANDBY(MAC_A, "ua-a") PRIMARY(MAC_A, "0x2",
			"ua-a") "</devices><q:commandline><q:arg value='x'/>"
				"</q:commandline></domain>",
		   &foreign) &&
			foreign.n == 1 && !foreign.v[0].problem,
		"comments and other namespaces do no harm");
	ok(find(DOMAIN(STANDBY(MAC_A, "ua-a") STANDBY(MAC_A, "ua-a")), &twice),
		"an alias given twice");
}

#define SPELLED(attributes) \
	DOMAIN(STANDBY(MAC_A, \
		"ua-a") "<hostdev mode='subsystem' type='pci'><source><address " attributes \
			"/></source><teaming type='transient' persistent='ua-a'/></hostdev>")

/*
 * libvirt takes numbers in C's spelling, with or without the zeros, and leaves domain and
 * function.
 */
static void test_pci_spellings(void)
{
	static const struct {
		const char *xml, *address;
	} all[] = {
		{ SPELLED("domain='0x0000' bus='0x01' slot='0x10' function='0x2'"),
			"0000:01:10.2" },
		{ SPELLED("domain='0' bus='1' slot='16' function='2'"), "0000:01:10.2" },
		{ SPELLED("bus='0x3B' slot='0X1f' function='0x7'"), "0000:3b:1f.7" },
		{ SPELLED("type='pci' bus='0xfe' slot='0'"), "0000:fe:00.0" },
		{ SPELLED("domain='0x10000' bus='01' slot='020' function='0x1'"), "10000:01:10.1" },
		{ SPELLED("bus='0x100' slot='0x10'"), NULL },
		{ SPELLED("bus='0x01' slot='0x20'"), NULL },
		{ SPELLED("bus='0x01' slot='-1'"), NULL },
		{ SPELLED("bus='one' slot='0x10'"), NULL },
		{ SPELLED("slot='0x10'"), NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		CLEANUP_PAIRS struct xml_pair_list l;

		if (find(all[i].xml, &l) && l.n == 1)
			is_text(l.v[0].primary.address, all[i].address, "the address of a VF");
		else
			ok(false, "a pair whose VF has an address in another spelling");
	}
}

static void test_host_devices(void)
{
	CLEANUP_STRINGS struct xml_strings s = { 0 };
	struct err e;

	ok(xml_host_devices(DOMAIN(STANDBY(MAC_A, "ua-a") PRIMARY(MAC_A, "0x2", "ua-a")
					    PRIMARY_PLAIN("0x6",
						    "ua-z") "<hostdev mode='subsystem' "
							    "type='usb'><source><vendor id='0x1'/>"
							    "</source></hostdev>"),
		   &s, &e) == 0 &&
			s.n == 2,
		"devices passed through are listed, whatever they are for");
	is_text(s.n > 0 ? s.v[0] : NULL, "0000:01:10.2", "the NIC");
	is_text(s.n > 1 ? s.v[1] : NULL, "0000:01:10.6", "the plain one");
}

static void test_network(void)
{
	struct xml_network bridge = { 0 }, nat = { 0 }, isolated = { 0 }, pool = { 0 };
	struct err e;

	ok(xml_network_parse("<network><forward mode='bridge'/>"
			     "<bridge name='br0' macTableManager='libvirt'/></network>",
		   &bridge, &e) == 0 &&
			bridge.libvirt_owns_fdb,
		"a network whose entries libvirt manages");
	is_text(bridge.forward, "bridge", "its mode");
	is_text(bridge.bridge, "br0", "its bridge");
	ok(xml_network_parse("<network><forward/></network>", &nat, &e) == 0, "<forward/> alone");
	is_text(nat.forward, "nat", "is NAT");
	ok(xml_network_parse("<network/>", &isolated, &e) == 0, "no <forward>");
	is_text(isolated.forward, "", "is isolated");
	ok(!isolated.bridge, "and may have no bridge");
	ok(xml_network_parse("<network><forward mode='hostdev' managed='yes'><pf dev='pf0'/>"
			     "<address type='pci' domain='0' bus='1' slot='16' function='4'/>"
			     "<address type='pci' domain='0x0000' bus='0x01' slot='0x10' "
			     "function='0x2'/></forward></network>",
		   &pool, &e) == 0 &&
			pool.managed && pool.vfs.n == 2,
		"a network of VFs");
	is_text(pool.pf, "pf0", "its PF");
	is_text(pool.vfs.v[0], "0000:01:10.4", "its VFs, in its order");
	is_text(pool.vfs.v[1], "0000:01:10.2", "however they are written");
	xml_network_free(&pool);
	xml_network_free(&bridge);
	xml_network_free(&nat);
	xml_network_free(&isolated);
}

static void is_vlan(const struct xml_vlan *v, const char *portgroup, bool is_default, int64_t tag,
	const char *what)
{
	ok(str_equal(v->portgroup, portgroup) && v->is_default == is_default && v->tag == tag, "%s",
		what);
}

static void test_vlans_of_network(void)
{
	struct xml_network none = { 0 }, some = { 0 };
	struct err e;

	ok(xml_network_parse("<network/>", &none, &e) == 0 && none.n_vlans == 1,
		"a network without <vlan>");
	is_vlan(none.vlans, NULL, false, 0, "has none of its own");
	ok(xml_network_parse(
		   "<network><vlan><tag id='42'/></vlan><portgroup name='none'/>"
		   "<portgroup name='a' default='yes'><vlan><tag id='7'/></vlan></portgroup>"
		   "<portgroup name='b'><vlan><tag id='8'/><tag id='9'/></vlan></portgroup>"
		   "<portgroup name='c'><vlan trunk='yes'><tag id='8'/></vlan></portgroup>"
		   "<portgroup name='d'><vlan><tag id='4096'/></vlan></portgroup>"
		   "<portgroup><vlan><tag id='9'/></vlan></portgroup></network>",
		   &some, &e) == 0 &&
			some.n_vlans == 5,
		"one with portgroups, of which those without a name or <vlan> do not count");
	is_vlan(&some.vlans[0], NULL, false, 42, "its own tag");
	is_vlan(&some.vlans[1], "a", true, 7, "that of its default portgroup");
	is_vlan(&some.vlans[2], "b", false, -1, "several tags");
	is_vlan(&some.vlans[3], "c", false, -1, "a trunk");
	is_vlan(&some.vlans[4], "d", false, -1, "a tag that is none");
	xml_network_free(&none);
	xml_network_free(&some);
}

static void test_agent(void)
{
	static const char connected[] =
		DOMAIN("<channel type='unix'><target type='virtio' name='other' "
		       "state='connected'/></channel>"
		       "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' "
		       "state='connected'/></channel>");
	static const char silent[] =
		DOMAIN("<channel type='unix'><target type='virtio' "
		       "name='org.qemu.guest_agent.0' state='disconnected'/></channel>");

	ok(xml_agent_connected(connected), "an agent that is connected");
	ok(!xml_agent_connected(silent), "one that is not");
	ok(!xml_agent_connected(DOMAIN("")), "none");
}

static void test_host_uuid(void)
{
	CLEANUP_FREE char *uuid = NULL;
	struct err e;

	ok(xml_host_uuid("<capabilities><host><uuid>abc</uuid></host></capabilities>", &uuid, &e) ==
			0,
		"the host's UUID is read");
	is_text(uuid, "abc", "as it stands");
	ok(xml_host_uuid("<capabilities><host/></capabilities>", &uuid, &e) < 0,
		"none is an error");
}

int main(void)
{
	test_ordinary_pair();
	test_other_forms();
	test_several_pairs();
	test_problems();
	test_case_and_link();
	test_hostile();
	test_odd_but_legal();
	test_pci_spellings();
	test_host_devices();
	test_network();
	test_vlans_of_network();
	test_agent();
	test_host_uuid();
	return tap_done();
}
