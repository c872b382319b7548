/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The definitions in data/forms: what is read from each, and that a change and its reverse leave
 * every other byte as it was.
 */
#include <string.h>

#include "data.h"
#include "tap.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"
#include "xml/rewrite.h"

enum { PAIRS_MAX = 4 };

struct expected_pair {
	const char *alias, *type, *below; /* bridge, network or device */
	enum primary_form form;
	const char *vf; /* address; the network of a pool */
};

static const struct {
	const char *file;
	struct expected_pair pairs[PAIRS_MAX];
	size_t n_other; /* PCI devices of no pair */
} corpus[] = {
	{ "plain.xml", { { "ua-standby", "bridge", "br0", PRIMARY_HOSTDEV, "0000:01:10.2" } }, 0 },
	{ "pool.xml", { { "ua-standby", "network", "br0-net", PRIMARY_POOL, "vfs" } }, 0 },
	{ "macvtap.xml",
		{ { "ua-standby", "direct", "lower0", PRIMARY_HOSTDEV_NIC, "0000:01:10.2" } }, 0 },
	{ "two-nics.xml",
		{ { "ua-first", "bridge", "br0", PRIMARY_HOSTDEV, "0000:01:10.4" },
			{ "ua-second", "bridge", "br1", PRIMARY_HOSTDEV_NIC, "0000:02:10.6" } },
		0 },
	{ "live.xml", { { "ua-nic0", "bridge", "br0", PRIMARY_HOSTDEV_NIC, "0000:01:10.2" } }, 0 },
	{ "mixed.xml",
		{ { "ua-backup0", "user", NULL, PRIMARY_HOSTDEV_NIC, "0001:03:07.1" },
			{ "ua-backup1", "network", "vms", PRIMARY_POOL, "vfs" },
			{ "ua-backup2", "direct", "bond0.100", PRIMARY_HOSTDEV, "0000:3b:02.3" },
			{ "ua-backup3", "bridge", "ovsbr0", PRIMARY_NONE, NULL } },
		1 },
	{ "unplugged.xml", { { "ua-standby", "bridge", "br0", PRIMARY_NONE, NULL } }, 0 },
};

static void is_pair(const char *file, const struct xml_pair *got,
	const struct expected_pair *wanted)
{
	const char *below = got->bridge ? got->bridge : got->network ? got->network : got->lower;
	const char *vf =
		got->primary.form == PRIMARY_POOL ? got->primary.network : got->primary.address;

	tap_result(!got->problem && str_equal(got->standby_alias, wanted->alias) &&
			   str_equal(got->standby_type, wanted->type) &&
			   str_equal(below, wanted->below) && got->primary.form == wanted->form &&
			   str_equal(vf, wanted->vf),
		"%s: the pair %s", file, wanted->alias);
	if (got->problem)
		printf("# %s\n", got->problem);
}

/* With each VF that is given by address at another one, VF of a list of names by place. */
static bool with_vfs(const char *xml, const struct xml_pair_list *pairs, const char *const *vfs,
	char **ret)
{
	struct xml_new_address change[PAIRS_MAX];
	size_t n = 0;
	struct err e;

	for (size_t i = 0; i < pairs->n && i < PAIRS_MAX; i++)
		if (pairs->v[i].primary.address)
			change[n++] = (struct xml_new_address){ pairs->v[i].standby_alias, vfs[i] };
	return xml_domain_with_vfs(xml, change, n, ret, &e) == 0;
}

static void test_there_and_back(const char *file, const char *xml,
	const struct xml_pair_list *pairs)
{
	static const char *const other[] = { "0000:aa:1f.7", "0000:aa:1f.6", "0000:aa:1f.5",
		"0000:aa:1f.4" };
	CLEANUP_PAIRS struct xml_pair_list moved = { 0 };
	CLEANUP_FREE char *before = NULL;
	CLEANUP_FREE char *there = NULL;
	CLEANUP_FREE char *back = NULL;
	const char *own[PAIRS_MAX];
	bool right = true;
	struct err e;

	for (size_t i = 0; i < pairs->n; i++)
		own[i] = pairs->v[i].primary.address;
	if (!with_vfs(xml, &(struct xml_pair_list){ 0 }, other, &before) ||
		!with_vfs(before, pairs, other, &there) || !with_vfs(there, pairs, own, &back) ||
		xml_pairs_find(there, &moved, &e) < 0) {
		tap_result(false, "%s: is changed there and back", file);
		return;
	}
	for (size_t i = 0; i < pairs->n; i++)
		right = right && (!own[i] || str_equal(moved.v[i].primary.address, other[i]));
	tap_result(right, "%s: other VFs", file);
	tap_result(str_equal(before, back), "%s: and back, nothing else has changed", file);
}

static void test_link(const char *file, const char *xml, const struct xml_pair *pair)
{
	CLEANUP_FREE char *up = NULL;
	CLEANUP_FREE char *down = NULL;
	const char *at = NULL;
	struct err e;

	if (xml_standby_with_link(xml, pair->standby_alias, true, &up, &e) == 0 &&
		xml_standby_with_link(xml, pair->standby_alias, false, &down, &e) == 0)
		at = strstr(up, "<link state=\"up\"/>");
	tap_result(at && strncmp(up, down, (size_t)(at - up)) == 0 &&
			   str_equal(at + strlen("<link state=\"up\"/>"),
				   down + (at - up) + strlen("<link state=\"down\"/>")) &&
			   strstr(up, "<teaming type=\"persistent\"/>") && strstr(up, pair->mac),
		"%s: %s with its link up and down differs in that alone", file,
		pair->standby_alias);
}

static void test_file(size_t i)
{
	CLEANUP_FREE char *path = str_printf("forms/%s", corpus[i].file);
	CLEANUP_FREE char *xml = read_data(path);
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	CLEANUP_STRINGS struct xml_strings others = { 0 };
	const char *file = corpus[i].file;
	size_t n = 0;
	struct err e;

	while (n < PAIRS_MAX && corpus[i].pairs[n].alias)
		n++;
	tap_result(xml_pairs_find(xml, &pairs, &e) == 0 && pairs.n == n, "%s: %d pairs", file,
		(int)n);
	for (size_t k = 0; k < n && k < pairs.n; k++) {
		is_pair(file, &pairs.v[k], &corpus[i].pairs[k]);
		test_link(file, xml, &pairs.v[k]);
	}
	tap_result(xml_other_devices(xml, &others, &e) == 0 && others.n == corpus[i].n_other,
		"%s: PCI devices of no pair", file);
	test_there_and_back(file, xml, &pairs);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(corpus); i++)
		test_file(i);
	return tap_done();
}
