/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/nl_priv.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "util/mem.h"

/* A link message with the VFs of a large PF takes some 300 bytes a VF. */
enum { RECEIVE_SIZE = 256 * 1024, DUMP_TRIES = 5 };

struct nl {
	struct mnl_socket *sock; /* owned */
	uint32_t seq;
	char *buf; /* owned, RECEIVE_SIZE */
};

static int open_socket(int protocol, struct nl **ret, struct err *e)
{
	struct timeval limit = { .tv_sec = 10 };
	CLEANUP_NL struct nl *nl = mem_new(sizeof(*nl));
	int on = 1;

	nl->buf = mem_new(RECEIVE_SIZE);
	nl->sock = mnl_socket_open2(protocol, SOCK_CLOEXEC);
	if (!nl->sock)
		return err_set_sys(e, errno, "netlink socket");
	if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_set_sys(e, errno, "netlink bind");
	/* Only comfort (error texts): older kernels refuse it. */
	mnl_socket_setsockopt(nl->sock, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(mnl_socket_get_fd(nl->sock), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	nl->seq = (uint32_t)time(NULL);
	*ret = TAKE_PTR(nl);
	return 0;
}

int nl_open(struct nl **ret, struct err *e)
{
	return open_socket(NETLINK_ROUTE, ret, e);
}

int nl_open_generic(struct nl **ret, struct err *e)
{
	return open_socket(NETLINK_GENERIC, ret, e);
}

void nl_close(struct nl *nl)
{
	if (!nl)
		return;
	if (nl->sock)
		mnl_socket_close(nl->sock);
	free(nl->buf);
	free(nl);
}

void nl_cleanup(struct nl **nl)
{
	nl_close(*nl);
}

struct nlmsghdr *nl_message(char *buf, uint16_t type, uint16_t flags, size_t size, void **ret_extra)
{
	struct nlmsghdr *msg;

	/* What libmnl leaves out to align attributes goes to the kernel as well. */
	memset(buf, 0, NL_BUF_SIZE);
	msg = mnl_nlmsg_put_header(buf);
	msg->nlmsg_type = type;
	msg->nlmsg_flags = NLM_F_REQUEST | flags;
	*ret_extra = mnl_nlmsg_put_extra_header(msg, size);
	return msg;
}

static int ext_ack_attr(const struct nlattr *attr, void *arg)
{
	const char **text = arg;

	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
		mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
		*text = mnl_attr_get_str(attr);
	return MNL_CB_OK;
}

/* The kernel's own words about an error message, or NULL. */
static const char *ext_ack_text(const struct nlmsghdr *msg)
{
	const struct nlmsgerr *er = mnl_nlmsg_get_payload(msg);
	const char *text = NULL;
	size_t skip = sizeof(*er);

	if (!(msg->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	/* Unless it was left out, the request stands between, from its header on. */
	if (!(msg->nlmsg_flags & NLM_F_CAPPED) && er->msg.nlmsg_len > sizeof(er->msg))
		skip += MNL_ALIGN(er->msg.nlmsg_len - sizeof(er->msg));
	if (skip < mnl_nlmsg_get_payload_len(msg))
		mnl_attr_parse(msg, (unsigned int)skip, ext_ack_attr, &text);
	return text;
}

/* The errno value in what the kernel calls an error: -1 to -4095 (include/linux/err.h). */
static int errno_of(int32_t error)
{
	return error >= -4095 && error < 0 ? -error : EBADMSG;
}

static int error_from_kernel(const struct nlmsghdr *msg, const char *what, struct err *e)
{
	const struct nlmsgerr *er = mnl_nlmsg_get_payload(msg);
	const char *text = ext_ack_text(msg);
	int sys = errno_of(er->error);

	return text ? err_set_sys(e, sys, "%s: the kernel says \"%s\"", what, text)
		    : err_set_sys(e, sys, "%s", what);
}

/*
 * The end of a dump, which may have failed half-way (net/netlink/af_netlink.c,
 * netlink_dump_done).
 */
static int end_of_dump(const struct nl_answer *a, const struct nlmsghdr *msg, struct err *e)
{
	int32_t error = 0;

	if (mnl_nlmsg_get_payload_len(msg) >= sizeof(error))
		memcpy(&error, mnl_nlmsg_get_payload(msg), sizeof(error));
	if (error < 0)
		return err_set_sys(e, errno_of(error), "%s", a->what);
	return a->interrupted ? err_set_sys(e, EINTR, "%s", a->what) : 0;
}

/* Handles one message: 1 go on, 0 end of the answer, -1 error. */
static int handle(struct nl_answer *a, const struct nlmsghdr *msg, struct err *e)
{
	const struct nlmsgerr *er = mnl_nlmsg_get_payload(msg);

	if (msg->nlmsg_flags & NLM_F_DUMP_INTR)
		a->interrupted = true;
	if (msg->nlmsg_type == NLMSG_DONE)
		return end_of_dump(a, msg, e);
	if (msg->nlmsg_type == NLMSG_ERROR) {
		if (mnl_nlmsg_get_payload_len(msg) < sizeof(*er))
			return err_set_sys(e, EBADMSG, "%s", a->what);
		return er->error ? error_from_kernel(msg, a->what, e) : 0;
	}
	if (msg->nlmsg_type >= NLMSG_MIN_TYPE && a->cb)
		a->cb(msg, a->arg);
	return 1;
}

bool nl_message_fits(const struct nlmsghdr *msg, int left)
{
	return mnl_nlmsg_ok(msg, left) && msg->nlmsg_len <= (uint32_t)left;
}

int nl_read_answer(struct nl_answer *a, const void *buf, size_t len, struct err *e)
{
	const struct nlmsghdr *m = buf;
	int left = (int)len;

	for (; nl_message_fits(m, left); m = mnl_nlmsg_next(m, &left)) {
		int r;

		if (m->nlmsg_seq != a->seq || m->nlmsg_pid != a->port)
			continue; /* left over from an exchange that failed */
		r = handle(a, m, e);
		if (r <= 0)
			return r;
	}
	return 1;
}

uint8_t nl_attr_u8(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= sizeof(uint8_t) ? mnl_attr_get_u8(a) : 0;
}

uint16_t nl_attr_u16(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= sizeof(uint16_t) ? mnl_attr_get_u16(a) : 0;
}

uint32_t nl_attr_u32(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= sizeof(uint32_t) ? mnl_attr_get_u32(a) : 0;
}

void nl_attr_text(const struct nlattr *a, char *ret, size_t size)
{
	const char *text = mnl_attr_get_payload(a);
	int len = (int)strnlen(text, mnl_attr_get_payload_len(a));

	snprintf(ret, size, "%.*s", len, text);
}

int nl_talk(struct nl *nl, struct nlmsghdr *msg, mnl_cb_t cb, void *arg, const char *what,
	struct err *e)
{
	struct nl_answer answer = { .seq = ++nl->seq,
		.port = mnl_socket_get_portid(nl->sock),
		.cb = cb,
		.arg = arg,
		.what = what };

	msg->nlmsg_seq = answer.seq;
	/* NLM_F_DUMP is two bits, which mean other things (REPLACE, EXCL) in changes. */
	if ((msg->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		msg->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(nl->sock, msg, msg->nlmsg_len) < 0)
		return err_set_sys(e, errno, "%s: netlink send", what);
	for (;;) {
		ssize_t got = mnl_socket_recvfrom(nl->sock, nl->buf, RECEIVE_SIZE);
		int r;

		if (got < 0)
			return err_set_sys(e, errno, "%s: netlink receive", what);
		r = nl_read_answer(&answer, nl->buf, (size_t)got, e);
		if (r <= 0)
			return r;
	}
}

int nl_dump(struct nl *nl, struct nlmsghdr *msg, mnl_cb_t cb, void (*reset)(void *arg), void *arg,
	const char *what, struct err *e)
{
	for (int i = 0; i < DUMP_TRIES; i++) {
		reset(arg);
		if (nl_talk(nl, msg, cb, arg, what, e) == 0)
			return 0;
		if (e->sys != EINTR)
			return -1;
	}
	return -1;
}
