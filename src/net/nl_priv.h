/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One exchange over a netlink socket: for the files of this folder, and for tests of what they read. */
#ifndef NET_NL_PRIV_H
#define NET_NL_PRIV_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/nl.h"

/* Room for the largest request built here. */
#define NL_BUF_SIZE 1024

/* Starts a message in BUF (NL_BUF_SIZE bytes): header plus SIZE zeroed bytes at *ret_extra. */
struct nlmsghdr *nl_message(char *buf, uint16_t type, uint16_t flags, size_t size,
	void **ret_extra);

/*
 * Sends MSG and reads the whole answer; CB (may be NULL) sees each message of it and returns
 * MNL_CB_OK. On failure E has the kernel's errno in e->sys and its extended-ack text in the
 * message, which reads "WHAT: …". A dump that was interrupted is an error (EINTR in e->sys);
 * use nl_dump for dumps.
 */
int nl_talk(struct nl *nl, struct nlmsghdr *msg, mnl_cb_t cb, void *arg, const char *what,
	struct err *e);

/*
 * Goes through one datagram of LEN bytes at BUF, which is aligned as a message is and has room up
 * to the next multiple of 4: each message in it that answers request A->seq of A->port is handled as
 * nl_talk does. 1: the answer goes on in the next datagram; 0: it is complete; -1: it is an
 * error. The bytes may be anything.
 */
struct nl_answer {
	uint32_t seq, port;
	mnl_cb_t cb;
	void *arg;
	const char *what;
	/* A dump that is; an error at its end only: until then the kernel begins no other on this socket. */
	bool interrupted;
};
int nl_read_answer(struct nl_answer *a, const void *buf, size_t len, struct err *e);

/*
 * Whether a whole message stands at MSG in the LEFT bytes; libmnl takes lengths above 2 GiB for
 * small ones.
 */
bool nl_message_fits(const struct nlmsghdr *msg, int left);

/* The value of an attribute; 0, or "", where its length is none that such a value can have. */
uint8_t nl_attr_u8(const struct nlattr *a);
uint16_t nl_attr_u16(const struct nlattr *a);
uint32_t nl_attr_u32(const struct nlattr *a);
void nl_attr_text(const struct nlattr *a, char *ret, size_t size);

/* A dump, repeated when the kernel says that it changed meanwhile; RESET(arg) empties what
 * was collected before each try. */
int nl_dump(struct nl *nl, struct nlmsghdr *msg, mnl_cb_t cb, void (*reset)(void *arg), void *arg,
	const char *what, struct err *e);

#endif
