/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's answers. The first byte says which question they answer, the rest is one datagram;
 * sequence number and port of each message are made to fit, so that nothing is passed over.
 */
#include <linux/netlink.h>

#include "fuzz.h"
#include "net/parse.h"

const char fuzz_name[] = "netlink";

enum { SEQ = 1, PORT = 2 };

static const struct mac guest = { { 0x52, 0x54, 0, 0, 0x12, 0x53 } };

/* As nl_talk has it: aligned, with room up to the next multiple of 4. */
static char *datagram(const uint8_t *data, size_t size)
{
	char *buf = calloc(1, MNL_ALIGN(size) + 1);
	struct nlmsghdr *m = (struct nlmsghdr *)(void *)buf;

	must(buf);
	if (size)
		memcpy(buf, data, size);
	for (int left = (int)size; nl_message_fits(m, left); m = mnl_nlmsg_next(m, &left)) {
		m->nlmsg_seq = SEQ;
		m->nlmsg_pid = PORT;
	}
	return realloc(buf, MNL_ALIGN(size) ? MNL_ALIGN(size) : 1);
}

static void read_answer(const char *buf, size_t size, mnl_cb_t cb, void *arg)
{
	struct err e = { 0 };
	struct nl_answer a = { .seq = SEQ, .port = PORT, .cb = cb, .arg = arg, .what = "question" };
	int r = nl_read_answer(&a, buf, size, &e);

	must(r >= -1 && r <= 1);
	if (r < 0)
		must(strncmp(e.msg, "question", 8) == 0 && e.sys > 0);
}

static void read_entries(const char *buf, size_t size)
{
	struct fdb_collect c = { .mac = &guest };

	read_answer(buf, size, fdb_collect_entry, &c);
	for (size_t i = 0; i < c.list.n; i++)
		must(mac_equal(&c.list.v[i].mac, &guest));
	fdb_list_free(&c.list);
}

static void read_links(const char *buf, size_t size)
{
	struct link_list l = { 0 };

	read_answer(buf, size, link_collect, &l);
	for (size_t i = 0; i < l.n; i++)
		must(strlen(l.v[i].name) < sizeof(l.v[i].name) &&
			strlen(l.v[i].kind) < sizeof(l.v[i].kind) &&
			strlen(l.v[i].port_kind) < sizeof(l.v[i].port_kind));
	link_list_free(&l);
}

static void read_vlans(const char *buf, size_t size)
{
	struct vlan_collect c = { .ifindex = 4 };

	read_answer(buf, size, link_collect_vlans, &c);
	for (size_t i = 0; i < c.list.n; i++)
		must(c.list.v[i].vid <= 4094);
	vlan_list_free(&c.list);
}

static void read_addresses(const char *buf, size_t size)
{
	struct index_list l = { 0 };

	read_answer(buf, size, link_collect_address, &l);
	must(l.n <= size / 16);
	free(l.v);
}

static void read_vfs(const char *buf, size_t size)
{
	struct vf_list l = { 0 };

	read_answer(buf, size, vf_collect, &l);
	must(l.n <= size / 8);
	vf_list_free(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(const char *buf, size_t size) = {
		read_entries,
		read_links,
		read_vlans,
		read_addresses,
		read_vfs,
	};
	char *buf;

	if (size < 1)
		return 0;
	buf = datagram(data + 1, size - 1);
	readers[data[0] % (sizeof(readers) / sizeof(readers[0]))](buf, size - 1);
	free(buf);
	return 0;
}
