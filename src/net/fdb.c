/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/fdb.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/parse.h"
#include "util/log.h"
#include "util/mem.h"

#ifndef NTF_STICKY
#define NTF_STICKY (1 << 6)
#endif

void fdb_list_free(struct fdb_list *l)
{
	free(l->v);
	*l = (struct fdb_list){ 0 };
}

static enum fdb_kind kind_of(const struct ndmsg *ndm)
{
	if (ndm->ndm_flags & NTF_SELF)
		return FDB_SELF;
	if (ndm->ndm_state & NUD_PERMANENT)
		return FDB_LOCAL;
	return (ndm->ndm_state & NUD_NOARP) ? FDB_STATIC : FDB_LEARNT;
}

int fdb_collect_entry(const struct nlmsghdr *msg, void *arg)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(msg);
	struct fdb_entry entry = { 0 };
	struct fdb_collect *c = arg;
	bool has_mac = false;
	const struct nlattr *a;

	if (msg->nlmsg_type != RTM_NEWNEIGH || mnl_nlmsg_get_payload_len(msg) < sizeof(*ndm) ||
		ndm->ndm_family != AF_BRIDGE)
		return MNL_CB_OK;
	mnl_attr_for_each(a, msg, sizeof(*ndm)) {
		switch (mnl_attr_get_type(a)) {
		case NDA_LLADDR:
			if (mnl_attr_get_payload_len(a) == sizeof(entry.mac)) {
				memcpy(&entry.mac, mnl_attr_get_payload(a), sizeof(entry.mac));
				has_mac = true;
			}
			break;
		case NDA_MASTER:
			entry.bridge = (int)nl_attr_u32(a);
			break;
		case NDA_VLAN:
			entry.vlan = nl_attr_u16(a);
			break;
		}
	}
	if (!has_mac || (c->mac && !mac_equal(&entry.mac, c->mac)))
		return MNL_CB_OK;
	entry.port = ndm->ndm_ifindex;
	entry.kind = kind_of(ndm);
	entry.sticky = ndm->ndm_flags & NTF_STICKY;
	*(struct fdb_entry *)mem_append(&c->list.v, &c->list.n, sizeof(entry)) = entry;
	return MNL_CB_OK;
}

static void reset(void *arg)
{
	struct fdb_collect *c = arg;

	fdb_list_free(&c->list);
}

/*
 * A dump without strict checking starts with an ifinfomsg (net/core/rtnetlink.c, valid_fdb_dump_legacy).
 * The kernel goes through a bridge's whole table once for each port, but for one device only once.
 */
static int find(struct nl *nl, int dev, const struct mac *mac, struct fdb_list *ret, struct err *e)
{
	struct fdb_collect c = { .mac = mac };
	struct ifinfomsg *ifi;
	char buf[NL_BUF_SIZE];
	struct nlmsghdr *msg =
		nl_message(buf, RTM_GETNEIGH, NLM_F_DUMP, sizeof(*ifi), (void **)&ifi);

	ifi->ifi_family = AF_BRIDGE;
	ifi->ifi_index = dev;
	if (nl_dump(nl, msg, fdb_collect_entry, reset, &c, "forwarding entries", e) < 0) {
		fdb_list_free(&c.list);
		return -1;
	}
	*ret = c.list;
	return 0;
}

int fdb_find(struct nl *nl, const struct mac *mac, struct fdb_list *ret, struct err *e)
{
	return find(nl, 0, mac, ret, e);
}

int fdb_find_on(struct nl *nl, int dev, const struct mac *mac, struct fdb_list *ret, struct err *e)
{
	return find(nl, dev, mac, ret, e);
}

static int change(struct nl *nl, uint16_t type, uint16_t flags, const struct fdb_entry *entry,
	uint16_t state, uint8_t ntf, struct err *e)
{
	bool add = type == RTM_NEWNEIGH;
	char mac[MAC_TEXT_SIZE], dev[IF_NAMESIZE] = "?", buf[NL_BUF_SIZE], what[160];
	struct nlmsghdr *msg;
	struct ndmsg *ndm;

	mac_format(&entry->mac, mac);
	if (mac_is_zero(&entry->mac) || mac_is_multicast(&entry->mac))
		return err_set(e, "%s cannot be the address of a guest", mac);
	if_indextoname((unsigned int)entry->port, dev);
	snprintf(what, sizeof(what), "%s %s entry for %s on %s (VLAN %u)", add ? "set" : "delete",
		ntf & NTF_SELF ? "self" : "bridge", mac, dev, entry->vlan);
	log_debug("netlink: %s, state 0x%x, flags 0x%x", what, state, ntf);
	msg = nl_message(buf, type, flags, sizeof(*ndm), (void **)&ndm);
	ndm->ndm_family = AF_BRIDGE;
	ndm->ndm_ifindex = entry->port;
	ndm->ndm_state = state;
	ndm->ndm_flags = ntf;
	mnl_attr_put(msg, NDA_LLADDR, sizeof(entry->mac), &entry->mac);
	if (entry->vlan)
		mnl_attr_put_u16(msg, NDA_VLAN, entry->vlan);
	return nl_talk(nl, msg, NULL, NULL, what, e);
}

static int set_bridge_entry(struct nl *nl, const struct fdb_entry *entry, struct err *e)
{
	uint16_t state = entry->kind == FDB_LOCAL ? NUD_PERMANENT : NUD_NOARP;
	uint8_t ntf = NTF_MASTER | (entry->sticky ? NTF_STICKY : 0);

	return change(nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, entry, state, ntf, e);
}

int fdb_replace(struct nl *nl, int port, const struct mac *mac, uint16_t vlan, struct err *e)
{
	struct fdb_entry entry = { .mac = *mac,
		.port = port,
		.vlan = vlan,
		.kind = FDB_STATIC,
		.sticky = true };

	return set_bridge_entry(nl, &entry, e);
}

int fdb_restore(struct nl *nl, const struct fdb_entry *entry, struct err *e)
{
	/* The bridge's own entries are set through the bridge itself. */
	if (entry->port == entry->bridge)
		return change(nl, RTM_NEWNEIGH, NLM_F_CREATE, entry, NUD_PERMANENT, NTF_SELF, e);
	return set_bridge_entry(nl, entry, e);
}

static int absent_is_fine(int r, struct err *e)
{
	return r < 0 && e->kind == ERR_NOT_FOUND ? 0 : r;
}

int fdb_delete(struct nl *nl, const struct fdb_entry *entry, struct err *e)
{
	int r = change(nl, RTM_DELNEIGH, 0, entry, NUD_NOARP, NTF_MASTER, e);

	return absent_is_fine(r, e);
}

int fdb_add_self(struct nl *nl, int dev, const struct mac *mac, struct err *e)
{
	struct fdb_entry entry = { .mac = *mac, .port = dev };

	/* Without EXCL an entry that is there already is no error. */
	return change(nl, RTM_NEWNEIGH, NLM_F_CREATE, &entry, NUD_PERMANENT, NTF_SELF, e);
}

int fdb_delete_self(struct nl *nl, int dev, const struct mac *mac, struct err *e)
{
	struct fdb_entry entry = { .mac = *mac, .port = dev };
	/* Deleting needs PERMANENT (ndo_dflt_fdb_del). */
	int r = change(nl, RTM_DELNEIGH, 0, &entry, NUD_PERMANENT, NTF_SELF, e);

	return absent_is_fine(r, e);
}
