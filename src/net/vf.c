/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/vf.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "net/parse.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum { BUSY_LIMIT_MS = 3000, BUSY_PAUSE_MS = 100 };

void vf_list_free(struct vf_list *l)
{
	free(l->v);
	*l = (struct vf_list){ 0 };
}

/* Every answer starts with the VF's number and is a fixed kernel structure. */
#define READ_VF(a, type, var)                                                            \
	type var = { 0 };                                                                \
	memcpy(&var, mnl_attr_get_payload(a),                                            \
		mnl_attr_get_payload_len(a) < sizeof(var) ? mnl_attr_get_payload_len(a) : sizeof(var))

static void parse_vf_attr(const struct nlattr *a, struct vf_info *vf)
{
	switch (mnl_attr_get_type(a)) {
	case IFLA_VF_MAC: {
		READ_VF(a, struct ifla_vf_mac, mac);
		vf->index = mac.vf;
		memcpy(&vf->mac, mac.mac, sizeof(vf->mac));
		break;
	}
	case IFLA_VF_VLAN: {
		READ_VF(a, struct ifla_vf_vlan, vlan);
		vf->vlan = vlan.vlan;
		break;
	}
	case IFLA_VF_SPOOFCHK: {
		READ_VF(a, struct ifla_vf_spoofchk, spoofchk);
		vf->spoofchk = (int)spoofchk.setting;
		break;
	}
	case IFLA_VF_TRUST: {
		READ_VF(a, struct ifla_vf_trust, trust);
		vf->trust = (int)trust.setting;
		break;
	}
	case IFLA_VF_LINK_STATE: {
		READ_VF(a, struct ifla_vf_link_state, state);
		vf->link_state = (int)state.link_state;
		break;
	}
	}
}

/* One that does not tell its number cannot be told from the others, and is passed over. */
static void parse_vf_info(const struct nlattr *info, struct vf_list *list)
{
	struct vf_info vf = { .spoofchk = -1, .trust = -1 };
	bool has_number = false;
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, info) {
		parse_vf_attr(a, &vf);
		has_number = has_number || (mnl_attr_get_type(a) == IFLA_VF_MAC &&
						   mnl_attr_get_payload_len(a) >= sizeof(vf.index));
	}
	if (has_number)
		*(struct vf_info *)mem_append(&list->v, &list->n, sizeof(vf)) = vf;
}

int vf_collect(const struct nlmsghdr *msg, void *arg)
{
	const struct nlattr *a, *info;

	if (msg->nlmsg_type != RTM_NEWLINK ||
		mnl_nlmsg_get_payload_len(msg) < sizeof(struct ifinfomsg))
		return MNL_CB_OK;
	mnl_attr_for_each(a, msg, sizeof(struct ifinfomsg)) {
		if (mnl_attr_get_type(a) != IFLA_VFINFO_LIST)
			continue;
		mnl_attr_for_each_nested(info, a)
			parse_vf_info(info, arg);
	}
	return MNL_CB_OK;
}

#ifndef RTEXT_FILTER_SKIP_STATS
#define RTEXT_FILTER_SKIP_STATS (1 << 3)
#endif

int vf_list_get(struct nl *nl, int pf, struct vf_list *ret, struct err *e)
{
	CLEANUP_VFS struct vf_list list = { 0 };
	struct ifinfomsg *ifi;
	char buf[NL_BUF_SIZE];
	struct nlmsghdr *msg = nl_message(buf, RTM_GETLINK, 0, sizeof(*ifi), (void **)&ifi);

	ifi->ifi_index = pf;
	mnl_attr_put_u32(msg, IFLA_EXT_MASK, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS);
	if (nl_talk(nl, msg, vf_collect, &list, "attributes of the VFs", e) < 0)
		return -1;
	*ret = list;
	list = (struct vf_list){ 0 };
	return 0;
}

const struct vf_info *vf_list_find(const struct vf_list *l, uint32_t index)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].index == index)
			return &l->v[i];
	return NULL;
}

static int set_mac_once(struct nl *nl, int pf, uint32_t index, const struct mac *mac, struct err *e)
{
	struct ifla_vf_mac value = { .vf = index };
	struct nlattr *list, *info;
	struct ifinfomsg *ifi;
	char buf[NL_BUF_SIZE];
	struct nlmsghdr *msg = nl_message(buf, RTM_SETLINK, 0, sizeof(*ifi), (void **)&ifi);

	ifi->ifi_index = pf;
	memcpy(value.mac, mac, sizeof(*mac));
	list = mnl_attr_nest_start(msg, IFLA_VFINFO_LIST);
	info = mnl_attr_nest_start(msg, IFLA_VF_INFO);
	mnl_attr_put(msg, IFLA_VF_MAC, sizeof(value), &value);
	mnl_attr_nest_end(msg, info);
	mnl_attr_nest_end(msg, list);
	return nl_talk(nl, msg, NULL, NULL, "set the MAC of a VF", e);
}

int vf_set_mac(struct nl *nl, int pf, uint32_t index, const struct mac *mac, struct err *e)
{
	int64_t deadline = clock_ms() + BUSY_LIMIT_MS;
	char text[MAC_TEXT_SIZE];

	mac_format(mac, text);
	log_debug("netlink: set MAC %s on VF %u of ifindex %d", text, index, pf);
	for (;;) {
		if (set_mac_once(nl, pf, index, mac, e) == 0)
			return 0;
		if ((e->sys != EAGAIN && e->sys != EBUSY) || clock_ms() >= deadline)
			return err_prefix(e, "MAC %s on VF %u", text, index);
		clock_sleep_ms(BUSY_PAUSE_MS);
	}
}

/* 1 when the VF no longer has OLD, 0 when it has, -1 on error. */
static int mac_is_gone(struct nl *nl, int pf, uint32_t index, const struct mac *old, struct err *e)
{
	CLEANUP_VFS struct vf_list list = { 0 };
	const struct vf_info *vf;

	if (vf_list_get(nl, pf, &list, e) < 0)
		return -1;
	vf = vf_list_find(&list, index);
	if (!vf)
		return err_set(e, "the PF's driver says nothing about VF %u", index);
	return !mac_equal(&vf->mac, old);
}

int vf_clear_mac(struct nl *nl, int pf, uint32_t index, const struct mac *old, struct err *e)
{
	static const struct mac candidates[] = { { { 0 } }, { { 0x02 } } };

	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
		int gone;

		if (vf_set_mac(nl, pf, index, &candidates[i], e) < 0)
			continue; /* many drivers refuse the zero address */
		gone = mac_is_gone(nl, pf, index, old, e);
		if (gone)
			return gone > 0 ? 0 : -1;
		err_set(e, "VF %u still shows its old MAC after it was cleared", index);
	}
	return -1;
}
