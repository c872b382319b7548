/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation: two functions of libmnl are wrapped. Messages go to the real kernel, but
 * for those that set attributes of VFs: in their place an empty message goes, which the kernel
 * acknowledges, and the acknowledgement is then given our own verdict. Answers about a pretended
 * PF get its VFs appended. So the sockets behave as they do, and only what needs an SR-IOV NIC
 * is made up.
 *
 * Each message with an effect counts as a call: nl.vf-mac, nl.vf-attr, nl.fdb-add, nl.fdb-delete,
 * nl.self-add, nl.self-delete; faults apply to them as they do to libvirt's functions (a code
 * is then an errno value).
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/devlink.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "nic.h"
#include "world.h"

#define EXPORT __attribute__((visibility("default")))

enum { MAX_PENDING = 8, VFS_SIZE = 16 * 1024 };

/* What to do with an answer that is still to come. */
struct pending {
	const struct mnl_socket *sock; /* NULL: unused */
	uint32_t seq;
	bool verdict;    /* replace the error of the acknowledgement, else add VFs */
	uint8_t generic; /* put the answer to this command of generic netlink in front of it */
	int error;
};

static pthread_mutex_t pending_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pending pending[MAX_PENDING];

static void expect_as(const struct mnl_socket *sock, uint32_t seq, bool verdict, int error,
	uint8_t generic)
{
	pthread_mutex_lock(&pending_lock);
	for (int i = 0; i < MAX_PENDING; i++)
		if (!pending[i].sock || pending[i].sock == sock) {
			pending[i] = (struct pending){ sock, seq, verdict, generic, error };
			break;
		}
	pthread_mutex_unlock(&pending_lock);
}

static void expect(const struct mnl_socket *sock, uint32_t seq, bool verdict, int error)
{
	expect_as(sock, seq, verdict, error, 0);
}

static bool is_expected(const struct mnl_socket *sock, uint32_t seq, struct pending *ret)
{
	bool found = false;

	pthread_mutex_lock(&pending_lock);
	for (int i = 0; i < MAX_PENDING; i++)
		if (pending[i].sock == sock && pending[i].seq == seq) {
			*ret = pending[i];
			found = true;
		}
	pthread_mutex_unlock(&pending_lock);
	return found;
}

/* *RET_LATE: the error that follows the effect. */
static int told_error(const char *call, const char *what, int *ret_late)
{
	return world_call(call, ret_late, "%s", what) < 0 ? failure.code : 0;
}

/* ---- setting ---- */

static const struct nlattr *find_attr(const struct nlmsghdr *msg, size_t skip, uint16_t type)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, msg, skip)
		if (mnl_attr_get_type(a) == type)
			return a;
	return NULL;
}

/* One attribute that is a number; the kernel's structures begin with the VF's. */
static int set_number(const char *pf, uint32_t index, const char *name, uint32_t value)
{
	CLEANUP_TEXT char *what = text("%s vf %u %s %u", pf, index, name, value);
	int late, error = told_error("nl.vf-attr", what, &late);
	struct vf_attr attr;
	struct vf vf;

	if (error)
		return error;
	if (!vf_by_index(world_host(), pf, (int)index, &vf))
		return EINVAL;
	vf_get(&vf, &attr);
	if (vf_lacks(world_host(), name))
		return (int)value == *vf_attr_by_name(&attr, name) ? 0 : EOPNOTSUPP;
	*vf_attr_by_name(&attr, name) = (int)value;
	world_log(world_host(), "vf %s %u %s %u", pf, index, name, value);
	/* Setting vf.forgetful=NAME: the driver agrees, and keeps the old value. */
	if (!world_is(world_host(), "vf.forgetful", name))
		vf_put(&vf, &attr);
	return late;
}

static int set_vlan_tag(const char *pf, uint32_t index, uint32_t vlan, uint32_t qos,
	uint32_t protocol)
{
	int error = set_number(pf, index, "vlan", vlan);

	error = error ? error : set_number(pf, index, "qos", qos);
	return error ? error : set_number(pf, index, "proto", protocol);
}

static int set_other_attr(const char *pf, const struct nlattr *a)
{
	/* Of ifla_vf_spoofchk, ifla_vf_trust, ifla_vf_link_state and ifla_vf_rss_query_en alike. */
	const struct ifla_vf_trust *one = mnl_attr_get_payload(a);
	const struct ifla_vf_rate *rate = mnl_attr_get_payload(a);
	const struct ifla_vf_vlan *vlan = mnl_attr_get_payload(a);
	const struct ifla_vf_vlan_info *tag;
	int error;

	switch (mnl_attr_get_type(a)) {
	case IFLA_VF_SPOOFCHK:
		return set_number(pf, one->vf, "spoofchk", one->setting);
	case IFLA_VF_TRUST:
		return set_number(pf, one->vf, "trust", one->setting);
	case IFLA_VF_LINK_STATE:
		return set_number(pf, one->vf, "state", one->setting);
	case IFLA_VF_RSS_QUERY_EN:
		return set_number(pf, one->vf, "query_rss", one->setting);
	case IFLA_VF_RATE:
		error = set_number(pf, rate->vf, "min_tx_rate", rate->min_tx_rate);
		return error ? error : set_number(pf, rate->vf, "max_tx_rate", rate->max_tx_rate);
	case IFLA_VF_VLAN:
		return set_vlan_tag(pf, vlan->vf, vlan->vlan, vlan->qos, 0x8100);
	case IFLA_VF_VLAN_LIST:
		tag = mnl_attr_get_payload(mnl_attr_get_payload(a));
		return set_vlan_tag(pf, tag->vf, tag->vlan, tag->qos, ntohs(tag->vlan_proto));
	}
	return EOPNOTSUPP;
}

static int set_one_attr(const char *pf, const struct nlattr *a)
{
	struct ifla_vf_mac mac;
	CLEANUP_TEXT char *what = NULL;
	char shown[18];
	struct vf vf;
	int error, late;

	if (mnl_attr_get_type(a) != IFLA_VF_MAC)
		return set_other_attr(pf, a);
	if (mnl_attr_get_payload_len(a) < sizeof(mac))
		return ERANGE;
	memcpy(&mac, mnl_attr_get_payload(a), sizeof(mac));
	mac_text(mac.mac, shown);
	what = text("%s vf %u %s", pf, mac.vf, shown);
	error = told_error("nl.vf-mac", what, &late);
	if (error)
		return error;
	if (mac.mac[0] & 1 || !vf_by_index(world_host(), pf, (int)mac.vf, &vf))
		return EINVAL;
	error = vf_set_mac(&vf, mac.mac);
	return error ? error : late;
}

static int set_vfs(const char *pf, const struct nlattr *list)
{
	const struct nlattr *info, *a;

	mnl_attr_for_each_nested(info, list)
		mnl_attr_for_each_nested(a, info) {
			int error = set_one_attr(pf, a);

			if (error)
				return error;
		}
	return 0;
}

/* Sends in place of MSG something harmless that is acknowledged. */
static ssize_t send_nothing(const struct mnl_socket *sock, const struct nlmsghdr *msg, int error,
	ssize_t (*send)(const struct mnl_socket *, const void *, size_t))
{
	struct nlmsghdr nothing = {
		.nlmsg_len = sizeof(nothing),
		.nlmsg_type = NLMSG_NOOP,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		.nlmsg_seq = msg->nlmsg_seq,
		.nlmsg_pid = msg->nlmsg_pid,
	};

	expect(sock, msg->nlmsg_seq, true, error);
	return send(sock, &nothing, sizeof(nothing)) < 0 ? -1 : (ssize_t)msg->nlmsg_len;
}

/* ---- devlink ---- */

enum { DEVLINK_FAMILY = 0x77 };

static bool is_generic(const struct mnl_socket *nl)
{
	int protocol = -1;
	socklen_t len = sizeof(protocol);

	getsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_PROTOCOL, &protocol, &len);
	return protocol == NETLINK_GENERIC;
}

/* Setting eswitch.of=ADDRESS: the only NIC that says what "eswitch" is about. */
static bool is_about_another(const struct nlmsghdr *msg)
{
	const struct nlattr *a = find_attr(msg, sizeof(struct genlmsghdr), DEVLINK_ATTR_DEV_NAME);
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(msg);

	return genl->cmd == DEVLINK_CMD_ESWITCH_GET && a &&
	       !world_is(world_host(), "eswitch.of", "") &&
	       !world_is(world_host(), "eswitch.of", mnl_attr_get_str(a));
}

/* Setting eswitch: legacy, switchdev, or none (a driver that does not say). */
static size_t put_generic(const struct nlmsghdr *ack, uint8_t command, char *out)
{
	struct nlmsghdr *msg = mnl_nlmsg_put_header(out);
	struct genlmsghdr *genl;

	msg->nlmsg_type = command == CTRL_CMD_GETFAMILY ? GENL_ID_CTRL : DEVLINK_FAMILY;
	msg->nlmsg_seq = ack->nlmsg_seq;
	msg->nlmsg_pid = ack->nlmsg_pid;
	genl = mnl_nlmsg_put_extra_header(msg, sizeof(*genl));
	genl->cmd = command;
	if (command == CTRL_CMD_GETFAMILY)
		mnl_attr_put_u16(msg, CTRL_ATTR_FAMILY_ID, DEVLINK_FAMILY);
	else if (!world_is(world_host(), "eswitch", "none"))
		mnl_attr_put_u16(msg, DEVLINK_ATTR_ESWITCH_MODE,
			world_is(world_host(), "eswitch", "switchdev")
				? DEVLINK_ESWITCH_MODE_SWITCHDEV
				: DEVLINK_ESWITCH_MODE_LEGACY);
	return MNL_ALIGN(msg->nlmsg_len);
}

/* The error a message about forwarding entries was told to get. */
static int neighbour_error(const struct nlmsghdr *msg, int *ret_late)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(msg);
	const struct nlattr *a = find_attr(msg, sizeof(*ndm), NDA_LLADDR);
	const struct nlattr *vlan = find_attr(msg, sizeof(*ndm), NDA_VLAN);
	bool self = ndm->ndm_flags & NTF_SELF, add = msg->nlmsg_type == RTM_NEWNEIGH;
	CLEANUP_TEXT char *what = NULL;
	char dev[IF_NAMESIZE] = "?", mac[18] = "?";

	if_indextoname((unsigned int)ndm->ndm_ifindex, dev);
	if (a && mnl_attr_get_payload_len(a) == 6)
		mac_text(mnl_attr_get_payload(a), mac);
	what = text("%s %s vlan %d state 0x%x flags 0x%x", dev, mac,
		vlan ? mnl_attr_get_u16(vlan) : 0, ndm->ndm_state, ndm->ndm_flags);
	return told_error(self ? (add ? "nl.self-add" : "nl.self-delete")
			       : (add ? "nl.fdb-add" : "nl.fdb-delete"),
		what, ret_late);
}

/* The NIC is asked by the uplink for a MAC, or not any more. */
static void tell_switch(const struct nlmsghdr *msg)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(msg);
	const struct nlattr *a = find_attr(msg, sizeof(*ndm), NDA_LLADDR);
	char dev[IF_NAMESIZE], pf[IF_NAMESIZE];

	if (!(ndm->ndm_flags & NTF_SELF) || !a || mnl_attr_get_payload_len(a) != 6 ||
		!if_indextoname((unsigned int)ndm->ndm_ifindex, dev) ||
		!switch_of_netdev(world_host(), dev, pf))
		return;
	(msg->nlmsg_type == RTM_NEWNEIGH ? switch_ask : switch_drop)(world_host(), pf,
		mnl_attr_get_payload(a), "uplink");
}

/*
 * Setting kmsg=TEXT: the PF's driver says that in the kernel log when an uplink is asked to take a
 * MAC, and takes it not.
 */
static void complain(const struct nlmsghdr *msg)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(msg);
	CLEANUP_TEXT char *said = world_text(world_host(), "kmsg", "");
	CLEANUP_TEXT char *path = world_path("%s/kmsg", world_host());
	CLEANUP_TEXT char *line = NULL;

	said[strcspn(said, "\n")] = '\0';
	if (!*said || msg->nlmsg_type != RTM_NEWNEIGH || !(ndm->ndm_flags & NTF_SELF))
		return;
	line = text("4,1000,%lld,-;%s\n SUBSYSTEM=pci\n", (long long)now_ms() * 1000, said);
	world_append(path, line);
}

EXPORT ssize_t mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len)
{
	ssize_t (*real)(const struct mnl_socket *, const void *, size_t) =
		(ssize_t(*)(const struct mnl_socket *, const void *, size_t))dlsym(RTLD_NEXT,
			"mnl_socket_sendto");
	const struct nlmsghdr *msg = buf;
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(msg);
	char dev[IF_NAMESIZE] = "?";
	const struct nlattr *a;
	int error, late;

	if (is_generic(nl)) {
		const struct genlmsghdr *genl = mnl_nlmsg_get_payload(msg);
		CLEANUP_TEXT char *mode = world_text(world_host(), "eswitch", "");

		if (!*mode)
			return real(nl, buf, len);
		if (is_about_another(msg))
			return send_nothing(nl, msg, EOPNOTSUPP, real);
		send_nothing(nl, msg, 0, real);
		expect_as(nl, msg->nlmsg_seq, true, 0, genl->cmd);
		return (ssize_t)len;
	}
	switch (msg->nlmsg_type) {
	case RTM_SETLINK:
	case RTM_NEWLINK:
		a = find_attr(msg, sizeof(*ifi), IFLA_VFINFO_LIST);
		if (!a)
			break;
		if_indextoname((unsigned int)ifi->ifi_index, dev);
		error = pf_count_vfs(world_host(), dev) ? set_vfs(dev, a) : EOPNOTSUPP;
		return send_nothing(nl, msg, error, real);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		error = neighbour_error(msg, &late);
		if (error)
			return send_nothing(nl, msg, error, real);
		if (late)
			expect(nl, msg->nlmsg_seq, true, late);
		complain(msg);
		tell_switch(msg);
		break;
	case RTM_GETLINK:
		a = find_attr(msg, sizeof(*ifi), IFLA_EXT_MASK);
		if (a && mnl_attr_get_u32(a) & RTEXT_FILTER_VF)
			expect(nl, msg->nlmsg_seq, false, 0);
		break;
	}
	return real(nl, buf, len);
}

/* ---- reading ---- */

static void put_vf(struct nlmsghdr *msg, const struct vf *vf)
{
	struct ifla_vf_mac mac = { .vf = (uint32_t)vf->index };
	struct ifla_vf_vlan vlan = { .vf = (uint32_t)vf->index };
	struct ifla_vf_spoofchk spoofchk = { .vf = (uint32_t)vf->index };
	struct ifla_vf_trust trust = { .vf = (uint32_t)vf->index };
	struct ifla_vf_link_state state = { .vf = (uint32_t)vf->index };
	struct ifla_vf_rss_query_en rss = { .vf = (uint32_t)vf->index };
	struct ifla_vf_rate rate = { .vf = (uint32_t)vf->index };
	struct ifla_vf_vlan_info tag = { .vf = (uint32_t)vf->index };
	struct nlattr *info = mnl_attr_nest_start(msg, IFLA_VF_INFO), *list;
	struct vf_attr attr;

	vf_get(vf, &attr);
	memcpy(mac.mac, attr.mac, 6);
	vlan.vlan = tag.vlan = (uint32_t)attr.vlan;
	vlan.qos = tag.qos = (uint32_t)attr.qos;
	tag.vlan_proto = htons((uint16_t)attr.protocol);
	spoofchk.setting = vf_lacks(vf->host, "spoofchk") ? UINT32_MAX : (uint32_t)attr.spoofchk;
	trust.setting = vf_lacks(vf->host, "trust") ? UINT32_MAX : (uint32_t)attr.trust;
	rss.setting = vf_lacks(vf->host, "query_rss") ? UINT32_MAX : (uint32_t)attr.query_rss;
	rate.min_tx_rate = (uint32_t)attr.min_rate;
	rate.max_tx_rate = (uint32_t)attr.max_rate;
	state.link_state = (uint32_t)attr.link_state;
	mnl_attr_put(msg, IFLA_VF_MAC, sizeof(mac), &mac);
	mnl_attr_put(msg, IFLA_VF_VLAN, sizeof(vlan), &vlan);
	mnl_attr_put(msg, IFLA_VF_RATE, sizeof(rate), &rate);
	mnl_attr_put(msg, IFLA_VF_SPOOFCHK, sizeof(spoofchk), &spoofchk);
	mnl_attr_put(msg, IFLA_VF_LINK_STATE, sizeof(state), &state);
	mnl_attr_put(msg, IFLA_VF_RSS_QUERY_EN, sizeof(rss), &rss);
	mnl_attr_put(msg, IFLA_VF_TRUST, sizeof(trust), &trust);
	list = mnl_attr_nest_start(msg, IFLA_VF_VLAN_LIST);
	mnl_attr_put(msg, IFLA_VF_VLAN_INFO, sizeof(tag), &tag);
	mnl_attr_nest_end(msg, list);
	mnl_attr_nest_end(msg, info);
}

/* Setting vf.silent=INDEX: the driver does not answer for that VF, the kernel skips it. */
static void put_vfs(struct nlmsghdr *msg, const char *pf, int n)
{
	long silent = world_number(world_host(), "vf.silent", -1);
	struct nlattr *list;

	mnl_attr_put_u32(msg, IFLA_NUM_VF, (uint32_t)n);
	list = mnl_attr_nest_start(msg, IFLA_VFINFO_LIST);
	for (int i = 0; i < n; i++) {
		struct vf vf;

		if (i != silent && vf_by_index(world_host(), pf, i, &vf))
			put_vf(msg, &vf);
	}
	mnl_attr_nest_end(msg, list);
}

/* Copies one link message to OUT, with VFs if it is about a PF. */
static size_t copy_link(const struct nlmsghdr *msg, char *out)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(msg);
	struct nlmsghdr *copy = (struct nlmsghdr *)(void *)out;
	const struct nlattr *name = find_attr(msg, sizeof(*ifi), IFLA_IFNAME);
	int n = name ? pf_count_vfs(world_host(), mnl_attr_get_str(name)) : 0;

	memcpy(copy, msg, msg->nlmsg_len);
	copy->nlmsg_len = MNL_ALIGN(msg->nlmsg_len);
	if (n)
		put_vfs(copy, mnl_attr_get_str(name), n);
	return MNL_ALIGN(copy->nlmsg_len);
}

static ssize_t change_answer(const struct mnl_socket *nl, char *buf, size_t size, ssize_t got)
{
	struct nlmsghdr *m = (struct nlmsghdr *)(void *)buf;
	char *out = malloc((size_t)got + VFS_SIZE);
	size_t len = 0;
	int left = (int)got;

	for (; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
		struct nlmsgerr *er = mnl_nlmsg_get_payload(m);
		struct pending p;

		if (!is_expected(nl, m->nlmsg_seq, &p)) {
			memcpy(out + len, m, MNL_ALIGN(m->nlmsg_len));
			len += MNL_ALIGN(m->nlmsg_len);
			continue;
		}
		if (p.generic && m->nlmsg_type == NLMSG_ERROR)
			len += put_generic(m, p.generic, out + len);
		if (p.verdict && m->nlmsg_type == NLMSG_ERROR && er->error == 0)
			er->error = -p.error;
		if (!p.verdict && m->nlmsg_type == RTM_NEWLINK) {
			len += copy_link(m, out + len);
		} else {
			memcpy(out + len, m, MNL_ALIGN(m->nlmsg_len));
			len += MNL_ALIGN(m->nlmsg_len);
		}
	}
	if (len > size) {
		free(out);
		errno = ENOSPC;
		return -1;
	}
	memcpy(buf, out, len);
	free(out);
	return (ssize_t)len;
}

EXPORT ssize_t mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t size)
{
	ssize_t (*real)(const struct mnl_socket *, void *, size_t) =
		(ssize_t(*)(const struct mnl_socket *, void *, size_t))dlsym(RTLD_NEXT,
			"mnl_socket_recvfrom");
	ssize_t got = real(nl, buf, size);

	return got > 0 ? change_answer(nl, buf, size, got) : got;
}

/* Settings clock=SECONDS: by how much the host's clock is wrong; suspended=SECONDS: how long the host was. */
EXPORT int clock_gettime(clockid_t which, struct timespec *ret)
{
	static int (*real)(clockid_t, struct timespec *);
	int r;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	r = real(which, ret);
	if (r == 0 && which == CLOCK_REALTIME)
		ret->tv_sec += world_number(world_host(), "clock", 0);
	if (r == 0 && which == CLOCK_BOOTTIME)
		ret->tv_sec += world_number(world_host(), "suspended", 0);
	return r;
}
