/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "tap.h"
#include "text.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"
#include "xml/rewrite.h"

/*
 * A definition with all sorts of things in it that are none of our business. It is written as
 * the XML library writes, so that texts can be compared.
 */
#define RICH(address, link) \
	"<domain xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\" " \
	"type=\"kvm\">\n" \
	"  <name>vm &lt;1&gt; &amp; others</name>\n" \
	"  <!-- a comment -->\n" \
	"  <metadata><o:owner " \
	"xmlns:o=\"http://example.com/owner\">me</o:owner></metadata>\n" \
	"  <devices>\n" \
	"    <interface type=\"bridge\">\n" \
	"      <mac address=\"52:54:00:00:12:53\"/>\n" \
	"      <model type=\"virtio\"/>\n" \
	"      <teaming type=\"persistent\"/>\n" \
	"      <driver name=\"vhost\" queues=\"4\"/>\n" \
	"      <bandwidth><inbound average=\"1000\"/></bandwidth>\n" \
	"      " link "\n" \
	"      <alias name=\"ua-a\"/>\n" \
	"    </interface>\n" \
	"    <interface type=\"hostdev\" managed=\"yes\">\n" \
	"      <mac address=\"52:54:00:00:12:53\"/>\n" \
	"      <source>\n" \
	"        " address "\n" \
	"      </source>\n" \
	"      <vlan><tag id=\"42\"/></vlan>\n" \
	"      <teaming type=\"transient\" persistent=\"ua-a\"/>\n" \
	"    </interface>\n" \
	"  </devices>\n" \
	"  <qemu:commandline><qemu:arg value=\"-foo\"/></qemu:commandline>\n" \
	"</domain>"

#define FROM \
	"<address type=\"pci\" domain=\"0x0000\" bus=\"0x01\" slot=\"0x10\" " \
	"function=\"0x2\"/>"
#define TO \
	"<address type=\"pci\" domain=\"0x0001\" bus=\"0x41\" slot=\"0x1f\" " \
	"function=\"0x7\"/>"

static void test_domain(void)
{
	struct xml_new_address change = { .address = "0001:41:1f.7", .standby_alias = "ua-a" };
	CLEANUP_FREE char *out = NULL;
	struct err e;

	ok(xml_domain_with_vfs(RICH(FROM, "<link state=\"down\"/>"), &change, 1, &out, &e) == 0,
		"the VF of a definition is changed");
	is_text(out, RICH(TO, "<link state=\"down\"/>"), "and nothing else");
}

static void test_domain_refusals(void)
{
	struct xml_new_address stranger = { .address = "0001:41:1f.7", .standby_alias = "ua-z" };
	struct xml_new_address nonsense = { .address = "zero", .standby_alias = "ua-a" };
	CLEANUP_FREE char *out = NULL;
	struct err e;

	ok(xml_domain_with_vfs(RICH(FROM, ""), &stranger, 1, &out, &e) < 0 && !out,
		"another pair's VF is not invented");
	ok(xml_domain_with_vfs(RICH(FROM, ""), &nonsense, 1, &out, &e) < 0 && !out,
		"nonsense is no address");
	ok(xml_domain_with_vfs("<network/>", NULL, 0, &out, &e) < 0 && !out,
		"nor a network a domain");
	ok(xml_domain_with_vfs(RICH(FROM, ""), NULL, 0, &out, &e) == 0, "nothing to change");
	is_text(out, RICH(FROM, ""), "changes nothing");
}

static void test_several(void)
{
	static const char xml[] = DOMAIN(STANDBY(MAC_A, "ua-a") PRIMARY(MAC_A, "0x2", "ua-a")
			STANDBY(MAC_B, "ua-b") PRIMARY_PLAIN("0x4", "ua-b"));
	struct xml_new_address change[] = {
		{ .address = "0000:41:10.0", .standby_alias = "ua-b" },
		{ .address = "0000:41:10.2", .standby_alias = "ua-a" },
	};
	CLEANUP_PAIRS struct xml_pair_list l = { 0 };
	CLEANUP_FREE char *out = NULL;
	struct err e;

	ok(xml_domain_with_vfs(xml, change, 2, &out, &e) == 0 && xml_pairs_find(out, &l, &e) == 0 &&
			l.n == 2,
		"two pairs are changed at once");
	is_text(l.v[0].primary.address, "0000:41:10.2", "each to its own");
	is_text(l.v[1].primary.address, "0000:41:10.0", "whatever the order");
}

static void test_standby(void)
{
	CLEANUP_FREE char *down = NULL;
	CLEANUP_FREE char *added = NULL;
	CLEANUP_FREE char *none = NULL;
	struct err e;

	ok(xml_standby_with_link(RICH(FROM, "<link state=\"up\"/>"), "ua-a", false, &down, &e) ==
				0 &&
			strstr(down, "<link state=\"down\"/>") && !strstr(down, "state=\"up\""),
		"a link is changed");
	ok(strstr(down, "<teaming type=\"persistent\"/>") && strstr(down, "queues=\"4\"") &&
			strstr(down, "<inbound average=\"1000\"/>") &&
			strstr(down, "<alias name=\"ua-a\"/>"),
		"the rest of the NIC stays, <teaming> above all");
	ok(!strstr(down, "hostdev") && strncmp(down, "<interface", 10) == 0, "it is the NIC alone");
	ok(xml_standby_with_link(RICH(FROM, ""), "ua-a", false, &added, &e) == 0 &&
			strstr(added, "<link state=\"down\"/>"),
		"a link nobody spoke of is added");
	ok(xml_standby_with_link(RICH(FROM, ""), "ua-z", true, &none, &e) < 0 && !none,
		"another alias is an error");
}

static void test_primary(void)
{
	CLEANUP_FREE char *nic = NULL;
	CLEANUP_FREE char *plain = NULL;
	CLEANUP_FREE char *pool = NULL;
	CLEANUP_FREE char *made = NULL;
	struct err e;

	ok(xml_primary_with_vf(PRIMARY(MAC_A, "0x2", "ua-a"), "0000:41:10.6", &nic, &e) == 0 &&
			strstr(nic, "bus=\"0x41\"") && !strstr(nic, "bus=\"0x01\""),
		"a NIC gets another VF");
	ok(strstr(nic, "bus=\"0x05\"") && strstr(nic, "hostdev0") && strstr(nic, MAC_A),
		"its place in the guest, alias and MAC stay");
	ok(xml_primary_with_vf(PRIMARY_PLAIN("0x2", "ua-a"), "0000:41:10.6", &plain, &e) == 0 &&
			strstr(plain, "bus=\"0x41\""),
		"a plain <hostdev> as well");
	ok(xml_primary_with_vf(PRIMARY_OF_POOL(MAC_A, "ua-a"), "0000:41:10.6", &pool, &e) < 0 &&
			!pool,
		"a VF of a pool has no address to change");
	ok(xml_primary_new(MAC_A, "0000:41:10.6", "ua-a", &made, &e) == 0 && strstr(made, MAC_A) &&
			strstr(made, "persistent=\"ua-a\"") && strstr(made, "bus=\"0x41\""),
		"a primary is made from nothing");
}

static void test_alias(void)
{
	CLEANUP_FREE char *given = NULL;
	CLEANUP_FREE char *kept = NULL;
	CLEANUP_FREE char *none = NULL;
	CLEANUP_FREE char *unnamed = NULL;
	CLEANUP_FREE char *user = NULL;
	struct err e;

	ok(xml_primary_with_alias(PRIMARY_OF_POOL(MAC_A, "ua-a"), "hostdev3", &given, &e) == 0 &&
			strstr(given, "<alias name=\"hostdev3\"/>"),
		"a primary gets the alias that QEMU knows it by");
	ok(xml_primary_with_alias(PRIMARY(MAC_A, "0x2", "ua-a"), "hostdev3", &kept, &e) == 0 &&
			strstr(kept, "hostdev0") && !strstr(kept, "hostdev3"),
		"one that it has stays");
	ok(xml_primary_with_alias(PRIMARY_OF_POOL(MAC_A, "ua-a"), NULL, &none, &e) == 0 &&
			!strstr(none, "<alias"),
		"and none is made up");
	ok(xml_primary_unnamed(PRIMARY(MAC_A, "0x2", "ua-a"), &unnamed, &e) == 0 &&
			!strstr(unnamed, "<alias") && strstr(unnamed, "ua-a") &&
			strstr(unnamed, MAC_A),
		"for another QEMU it goes, if it is libvirt's own");
	ok(xml_primary_unnamed("<hostdev><alias name='ua-vf'/></hostdev>", &user, &e) == 0 &&
			strstr(user, "ua-vf"),
		"a user's stays");
}

int main(void)
{
	test_domain();
	test_domain_refusals();
	test_several();
	test_standby();
	test_primary();
	test_alias();
	return tap_done();
}
