/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/forward.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/nl_priv.h"
#include "util/mem.h"

enum { ANSWER_LIMIT_S = 2, ANSWER_SIZE = 32768 };

struct search {
	bool ipv4, found;
};

static uint32_t read_be32(const struct nlattr *a)
{
	return ntohl(nl_attr_u32(a));
}

static bool is_of_family(uint8_t family, bool ipv4)
{
	return family == NFPROTO_INET || family == (ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
}

static bool hooks_forward(const struct nlattr *hook)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, hook)
		if (mnl_attr_get_type(a) == NFTA_HOOK_HOOKNUM && read_be32(a) == NF_INET_FORWARD)
			return true;
	return false;
}

static int look_at_chain(const struct nlmsghdr *msg, void *arg)
{
	struct search *s = arg;
	const struct nfgenmsg *head = mnl_nlmsg_get_payload(msg);
	bool forward = false, drops = false;
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(msg) < sizeof(*head) ||
		!is_of_family(head->nfgen_family, s->ipv4))
		return MNL_CB_OK;
	mnl_attr_for_each(a, msg, sizeof(*head)) {
		if (mnl_attr_get_type(a) == NFTA_CHAIN_HOOK)
			forward = hooks_forward(a);
		else if (mnl_attr_get_type(a) == NFTA_CHAIN_POLICY)
			drops = read_be32(a) == NF_DROP;
	}
	s->found |= forward && drops;
	return MNL_CB_OK;
}

static bool ask_for_chains(struct mnl_socket *socket)
{
	const struct timeval limit = { .tv_sec = ANSWER_LIMIT_S };
	char buf[NL_BUF_SIZE] __attribute__((aligned(4)));
	struct nfgenmsg *head;
	void *extra;
	struct nlmsghdr *msg = nl_message(buf, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN,
		NLM_F_DUMP, sizeof(*head), &extra);

	head = extra;
	head->version = NFNETLINK_V0;
	return setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &limit,
		       sizeof(limit)) == 0 &&
	       mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 &&
	       mnl_socket_sendto(socket, msg, msg->nlmsg_len) >= 0;
}

bool forward_drops(bool ipv4)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	char buf[ANSWER_SIZE] __attribute__((aligned(4)));
	struct search s = { .ipv4 = ipv4 };
	ssize_t n;

	if (!socket)
		return false;
	if (ask_for_chains(socket))
		do
			n = mnl_socket_recvfrom(socket, buf, sizeof(buf));
		while (n > 0 && mnl_cb_run(buf, (size_t)n, 0, 0, look_at_chain, &s) > 0);
	mnl_socket_close(socket);
	return s.found;
}

bool forward_sees_bridges(bool ipv4)
{
	const char *path = ipv4 ? "/proc/sys/net/bridge/bridge-nf-call-iptables"
				: "/proc/sys/net/bridge/bridge-nf-call-ip6tables";
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char value = '0';

	return fd >= 0 && read(fd, &value, 1) == 1 && value != '0';
}
