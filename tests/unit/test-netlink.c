/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What becomes of the kernel's answers, by canned ones: whole, odd and mutilated. */
#include <errno.h>
#include <limits.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "net/parse.h"
#include "tap.h"

enum { SEQ = 7, PORT = 99 };

static char buf[8192];
static size_t used;
static const struct mac guest = { { 0x52, 0x54, 0, 0, 0x12, 0x53 } };

static void begin(void)
{
	memset(buf, 0, sizeof(buf));
	used = 0;
}

static struct nlmsghdr *start(uint16_t type, size_t size, void **ret_extra)
{
	struct nlmsghdr *msg = nl_message(buf + used, type, 0, size, ret_extra);

	msg->nlmsg_seq = SEQ;
	msg->nlmsg_pid = PORT;
	return msg;
}

static void finish(const struct nlmsghdr *msg)
{
	used += MNL_ALIGN(msg->nlmsg_len);
}

static void put_number(uint16_t type, int32_t number)
{
	int32_t *extra;
	struct nlmsghdr *msg =
		start(type, type == NLMSG_ERROR ? sizeof(struct nlmsgerr) : 4, (void **)&extra);

	*extra = number;
	finish(msg);
}

static int answer(mnl_cb_t cb, void *arg, struct err *e)
{
	struct nl_answer a = { .seq = SEQ, .port = PORT, .cb = cb, .arg = arg, .what = "question" };

	return nl_read_answer(&a, buf, used, e);
}

static void put_flagged(uint16_t type, uint16_t flags)
{
	int32_t *extra;
	struct nlmsghdr *msg = start(type, sizeof(*extra), (void **)&extra);

	msg->nlmsg_flags |= flags;
	*extra = 0;
	finish(msg);
}

/* The kernel answers EBUSY to a new dump until the interrupted one has been read to its end. */
static void test_interrupted(void)
{
	struct nl_answer a = { .seq = SEQ, .port = PORT, .what = "question" };
	struct err e = { 0 };

	begin();
	put_flagged(RTM_NEWLINK, NLM_F_DUMP_INTR);
	ok(nl_read_answer(&a, buf, used, &e) == 1, "an interrupted dump is read to its end");
	begin();
	put_flagged(NLMSG_DONE, 0);
	ok(nl_read_answer(&a, buf, used, &e) == -1 && e.sys == EINTR, "and is an error there");
	begin();
	put_flagged(NLMSG_DONE, NLM_F_DUMP_INTR);
	ok(answer(NULL, NULL, &e) == -1 && e.sys == EINTR, "also if only its end tells");
}

static void test_ends(void)
{
	struct err e = { 0 };

	begin();
	ok(answer(NULL, NULL, &e) == 1, "an empty datagram: the answer goes on");
	put_number(NLMSG_DONE, 0);
	ok(answer(NULL, NULL, &e) == 0, "a dump ends");
	begin();
	put_number(NLMSG_DONE, -ENODEV);
	ok(answer(NULL, NULL, &e) == -1 && e.sys == ENODEV,
		"a dump that failed half-way is an error");
	begin();
	put_number(NLMSG_ERROR, 0);
	ok(answer(NULL, NULL, &e) == 0, "an acknowledgement");
	begin();
	put_number(NLMSG_ERROR, -EPERM);
	ok(answer(NULL, NULL, &e) == -1 && e.sys == EPERM, "an error has the kernel's number");
	begin();
	put_number(NLMSG_ERROR, INT_MIN);
	ok(answer(NULL, NULL, &e) == -1 && e.sys == EBADMSG,
		"one that is no errno is still an error");
	((struct nlmsghdr *)(void *)buf)->nlmsg_seq = SEQ - 1;
	ok(answer(NULL, NULL, &e) == 1, "answers to earlier questions are passed over");
}

/* The text behind the request that the kernel gives back, or alone when it was left out. */
static void explained(uint16_t flags, uint32_t request_len, const char *wanted, const char *what)
{
	struct nlmsgerr *er;
	struct nlmsghdr *msg;
	struct err e = { 0 };

	begin();
	msg = start(NLMSG_ERROR, sizeof(*er), (void **)&er);
	er->error = -EINVAL;
	er->msg.nlmsg_len = request_len;
	msg->nlmsg_flags = NLM_F_ACK_TLVS | flags;
	if (!flags)
		mnl_nlmsg_put_extra_header(msg, 12);
	mnl_attr_put_strz(msg, NLMSGERR_ATTR_MSG, "no such thing");
	finish(msg);
	ok(answer(NULL, NULL, &e) == -1 &&
			(strstr(e.msg, "no such thing") != NULL) == (wanted != NULL),
		"%s", what);
}

static void test_explanations(void)
{
	explained(NLM_F_CAPPED, 28, "said", "the kernel's own words are passed on");
	explained(0, 16 + 12, "said", "behind the request as well");
	explained(0, UINT32_MAX, NULL, "a request of an impossible length hides them");
}

static void test_links(void)
{
	struct link_list l = { 0 };
	struct ifinfomsg *ifi;
	struct nlmsghdr *msg;
	struct nlattr *info;
	struct err e;

	begin();
	msg = start(RTM_NEWLINK, sizeof(*ifi), (void **)&ifi);
	ifi->ifi_index = 4;
	mnl_attr_put(msg, IFLA_IFNAME, 15, "eth0123456789ab");
	mnl_attr_put(msg, IFLA_MTU, 1, "x");
	mnl_attr_put(msg, IFLA_MASTER, 0, "");
	info = mnl_attr_nest_start(msg, IFLA_LINKINFO);
	mnl_attr_put(msg, IFLA_INFO_KIND, 30, "a-kind-that-is-much-too-long-!");
	mnl_attr_put(msg, IFLA_INFO_SLAVE_KIND, 0, "");
	mnl_attr_nest_end(msg, info);
	finish(msg);
	put_number(RTM_NEWLINK, 5);
	answer(link_collect, &l, &e);
	ok(l.n == 1, "a link whose message is cut short is passed over");
	is_text(l.v[0].name, "eth0123456789ab", "a name without its end");
	is_text(l.v[0].kind, "a-kind-that-is-", "a kind that is too long is cut");
	ok(l.v[0].mtu == 0 && l.v[0].master == 0 && !*l.v[0].port_kind,
		"values of the wrong size are none");
	link_list_free(&l);
}

/* A link of KIND that says which port of a bond is in use. */
static int active_port_of(const char *kind)
{
	struct link_list l = { 0 };
	struct nlattr *info, *data;
	struct ifinfomsg *ifi;
	struct nlmsghdr *msg;
	struct err e;
	int port;

	begin();
	msg = start(RTM_NEWLINK, sizeof(*ifi), (void **)&ifi);
	ifi->ifi_index = 9;
	info = mnl_attr_nest_start(msg, IFLA_LINKINFO);
	mnl_attr_put_strz(msg, IFLA_INFO_KIND, kind);
	data = mnl_attr_nest_start(msg, IFLA_INFO_DATA);
	mnl_attr_put_u8(msg, IFLA_BOND_MODE, 1);
	mnl_attr_put_u32(msg, IFLA_BOND_ACTIVE_SLAVE, 4);
	mnl_attr_nest_end(msg, data);
	mnl_attr_nest_end(msg, info);
	finish(msg);
	answer(link_collect, &l, &e);
	port = l.n == 1 ? l.v[0].active_port : -1;
	link_list_free(&l);
	return port;
}

/* The link that one of another namespace, if NSID is not negative, stands on. */
static int lower_of(int32_t nsid)
{
	struct link_list l = { 0 };
	struct ifinfomsg *ifi;
	struct nlmsghdr *msg;
	struct err e;
	int lower;

	begin();
	msg = start(RTM_NEWLINK, sizeof(*ifi), (void **)&ifi);
	mnl_attr_put_u32(msg, IFLA_LINK, 4);
	if (nsid >= 0)
		mnl_attr_put_u32(msg, IFLA_LINK_NETNSID, (uint32_t)nsid);
	finish(msg);
	answer(link_collect, &l, &e);
	lower = l.n == 1 ? l.v[0].lower : -1;
	link_list_free(&l);
	return lower;
}

static void test_lower(void)
{
	ok(lower_of(-1) == 4, "what a link stands on");
	ok(lower_of(0) == 0,
		"a link of another namespace is none of this one's, whatever its number");
}

static void test_bonds(void)
{
	ok(active_port_of("bond") == 4, "a bond tells which port it uses");
	ok(active_port_of("bridge") == 0, "what others mean by that number is another matter");
}

static void put_vlan(struct nlmsghdr *msg, uint16_t flags, uint16_t vid)
{
	struct bridge_vlan_info info = { .flags = flags, .vid = vid };

	mnl_attr_put(msg, IFLA_BRIDGE_VLAN_INFO, sizeof(info), &info);
}

static void test_vlans(void)
{
	struct vlan_collect c = { .ifindex = 4 };
	struct ifinfomsg *ifi;
	struct nlmsghdr *msg;
	struct nlattr *spec;
	struct err e;

	begin();
	msg = start(RTM_NEWLINK, sizeof(*ifi), (void **)&ifi);
	ifi->ifi_index = 4;
	spec = mnl_attr_nest_start(msg, IFLA_AF_SPEC);
	put_vlan(msg, BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED, 1);
	put_vlan(msg, BRIDGE_VLAN_INFO_RANGE_BEGIN, 4090);
	put_vlan(msg, BRIDGE_VLAN_INFO_RANGE_END, UINT16_MAX);
	mnl_attr_put(msg, IFLA_BRIDGE_VLAN_INFO, 1, "x");
	mnl_attr_nest_end(msg, spec);
	finish(msg);
	answer(link_collect_vlans, &c, &e);
	ok(c.list.n == 6 && c.list.v[0].vid == 1 && c.list.v[5].vid == 4094,
		"a range of VLANs ends where VLANs end");
	ok(c.list.v[0].pvid && c.list.v[0].untagged && !c.list.v[5].pvid && !c.list.v[5].untagged,
		"whether they are for what has no tag");
	vlan_list_free(&c.list);
}

static void test_entries(void)
{
	struct fdb_collect c = { .mac = &guest };
	struct nlmsghdr *msg;
	struct ndmsg *ndm;
	struct err e;

	begin();
	for (uint16_t len = 5; len < 8; len++) {
		msg = start(RTM_NEWNEIGH, sizeof(*ndm), (void **)&ndm);
		ndm->ndm_family = AF_BRIDGE;
		ndm->ndm_ifindex = 3;
		ndm->ndm_state = NUD_NOARP;
		mnl_attr_put(msg, NDA_LLADDR, len, "\x52\x54\0\0\x12\x53\0\0");
		mnl_attr_put(msg, NDA_VLAN, 1, "x");
		finish(msg);
	}
	answer(fdb_collect_entry, &c, &e);
	ok(c.list.n == 1 && c.list.v[0].kind == FDB_STATIC && c.list.v[0].vlan == 0,
		"an entry's MAC has six bytes");
	fdb_list_free(&c.list);
}

static void put_vf(struct nlmsghdr *msg, bool with_mac, uint32_t index)
{
	struct nlattr *info = mnl_attr_nest_start(msg, IFLA_VF_INFO);
	struct ifla_vf_trust trust = { .vf = index, .setting = 1 };
	struct ifla_vf_mac mac = { .vf = index };

	if (with_mac)
		mnl_attr_put(msg, IFLA_VF_MAC, sizeof(mac), &mac);
	mnl_attr_put(msg, IFLA_VF_TRUST, sizeof(trust), &trust);
	mnl_attr_nest_end(msg, info);
}

static void test_vfs(void)
{
	struct vf_list l = { 0 };
	struct ifinfomsg *ifi;
	struct nlmsghdr *msg;
	struct nlattr *list;
	struct err e;

	begin();
	msg = start(RTM_NEWLINK, sizeof(*ifi), (void **)&ifi);
	list = mnl_attr_nest_start(msg, IFLA_VFINFO_LIST);
	put_vf(msg, false, 3);
	put_vf(msg, true, 5);
	mnl_attr_nest_end(msg, list);
	finish(msg);
	answer(vf_collect, &l, &e);
	ok(vf_list_find(&l, 5) && vf_list_find(&l, 5)->attr.trust == 1 &&
			vf_list_find(&l, 5)->attr.spoofchk == -1,
		"a VF with what its driver says, and what it does not");
	ok(!vf_list_find(&l, 0) && l.n == 1, "one without its number is not taken for the first");
	vf_list_free(&l);
}

int main(void)
{
	test_ends();
	test_interrupted();
	test_explanations();
	test_links();
	test_bonds();
	test_lower();
	test_vlans();
	test_entries();
	test_vfs();
	return tap_done();
}
