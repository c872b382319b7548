/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/vf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
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
/* NOLINTBEGIN(bugprone-macro-parentheses): a type and a name cannot stand in them */
#define READ_VF(a, type, var) \
	type var = { 0 }; \
	memcpy(&var, mnl_attr_get_payload(a), \
		mnl_attr_get_payload_len(a) < sizeof(var) ? mnl_attr_get_payload_len(a) \
							  : sizeof(var))
/* NOLINTEND(bugprone-macro-parentheses) */

/* The kernel's way of saying that the driver did not answer. */
static int64_t said(uint32_t value)
{
	return value == UINT32_MAX ? -1 : (int64_t)value;
}

/* The outermost tag; the kernel has room for one only. */
static void parse_vlan_list(const struct nlattr *list, struct vf_attr *ret)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, list) {
		READ_VF(a, struct ifla_vf_vlan_info, vlan);
		ret->vlan = vlan.vlan;
		ret->qos = vlan.qos;
		ret->protocol = ntohs(vlan.vlan_proto);
		return;
	}
}

static void parse_vf_attr(const struct nlattr *a, struct vf_info *vf)
{
	struct vf_attr *to = &vf->attr;

	switch (mnl_attr_get_type(a)) {
	case IFLA_VF_MAC: {
		READ_VF(a, struct ifla_vf_mac, mac);
		vf->index = mac.vf;
		memcpy(&vf->mac, mac.mac, sizeof(vf->mac));
		break;
	}
	case IFLA_VF_VLAN: {
		READ_VF(a, struct ifla_vf_vlan, vlan);
		to->vlan = vlan.vlan;
		to->qos = vlan.qos;
		break;
	}
	case IFLA_VF_VLAN_LIST:
		parse_vlan_list(a, to);
		break;
	case IFLA_VF_SPOOFCHK: {
		READ_VF(a, struct ifla_vf_spoofchk, spoofchk);
		to->spoofchk = said(spoofchk.setting);
		break;
	}
	case IFLA_VF_TRUST: {
		READ_VF(a, struct ifla_vf_trust, trust);
		to->trust = said(trust.setting);
		break;
	}
	case IFLA_VF_RSS_QUERY_EN: {
		READ_VF(a, struct ifla_vf_rss_query_en, rss);
		to->query_rss = said(rss.setting);
		break;
	}
	case IFLA_VF_LINK_STATE: {
		READ_VF(a, struct ifla_vf_link_state, state);
		to->link_state = said(state.link_state);
		break;
	}
	case IFLA_VF_RATE: {
		READ_VF(a, struct ifla_vf_rate, rate);
		to->min_rate = said(rate.min_tx_rate);
		to->max_rate = said(rate.max_tx_rate);
		break;
	}
	}
}

/* One that does not tell its number cannot be told from the others, and is passed over. */
static void parse_vf_info(const struct nlattr *info, struct vf_list *list)
{
	struct vf_info vf = { .attr = { -1, -1, -1, -1, -1, -1, -1, -1, ETH_P_8021Q } };
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

/* One request that sets one attribute of one VF. */
struct setting {
	/* IFLA_VF_…; in a list of VLANs IFLA_VF_VLAN_INFO, which has a MAC's number. */
	uint16_t type;
	union {
		struct ifla_vf_mac mac;
		struct ifla_vf_trust trust;
		struct ifla_vf_spoofchk spoofchk;
		struct ifla_vf_rss_query_en rss;
		struct ifla_vf_link_state state;
		struct ifla_vf_rate rate;
		struct ifla_vf_vlan vlan;
		struct ifla_vf_vlan_info vlan_info;
	} value;
	size_t size;
	bool in_vlan_list;
};

static int set_once(struct nl *nl, int pf, const struct setting *s, const char *what, struct err *e)
{
	struct nlattr *list, *info, *vlans = NULL;
	struct ifinfomsg *ifi;
	char buf[NL_BUF_SIZE];
	struct nlmsghdr *msg = nl_message(buf, RTM_SETLINK, 0, sizeof(*ifi), (void **)&ifi);

	ifi->ifi_index = pf;
	list = mnl_attr_nest_start(msg, IFLA_VFINFO_LIST);
	info = mnl_attr_nest_start(msg, IFLA_VF_INFO);
	if (s->in_vlan_list)
		vlans = mnl_attr_nest_start(msg, IFLA_VF_VLAN_LIST);
	mnl_attr_put(msg, s->type, s->size, &s->value);
	if (vlans)
		mnl_attr_nest_end(msg, vlans);
	mnl_attr_nest_end(msg, info);
	mnl_attr_nest_end(msg, list);
	return nl_talk(nl, msg, NULL, NULL, what, e);
}

/* A driver that resets the VF says busy for a while. */
static int set_patiently(struct nl *nl, int pf, const struct setting *s, const char *what,
	struct err *e)
{
	int64_t deadline = clock_ms() + BUSY_LIMIT_MS;

	while (set_once(nl, pf, s, what, e) < 0) {
		if ((e->sys != EAGAIN && e->sys != EBUSY) || clock_ms() >= deadline)
			return -1;
		clock_sleep_ms(BUSY_PAUSE_MS);
	}
	return 0;
}

int vf_set_mac(struct nl *nl, int pf, uint32_t index, const struct mac *mac, struct err *e)
{
	struct setting s = { .type = IFLA_VF_MAC,
		.value.mac = { .vf = index },
		.size = sizeof(s.value.mac) };
	char text[MAC_TEXT_SIZE];

	mac_format(mac, text);
	memcpy(s.value.mac.mac, mac, sizeof(*mac));
	log_debug("netlink: set MAC %s on VF %u of ifindex %d", text, index, pf);
	if (set_patiently(nl, pf, &s, "set the MAC of a VF", e) < 0)
		return err_prefix(e, "MAC %s on VF %u", text, index);
	return 0;
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

/* ---- attributes ---- */

static const char *on_off(int64_t value)
{
	return value > 0 ? "on" : value == 0 ? "off" : "unknown";
}

void vf_attr_format(enum vf_attr_kind kind, const struct vf_attr *a, char *ret)
{
	static const char *const states[] = { "auto", "enable", "disable" };

	switch (kind) {
	case VF_TRUST:
		snprintf(ret, VF_ATTR_TEXT_SIZE, "trust %s", on_off(a->trust));
		break;
	case VF_SPOOFCHK:
		snprintf(ret, VF_ATTR_TEXT_SIZE, "spoofchk %s", on_off(a->spoofchk));
		break;
	case VF_QUERY_RSS:
		snprintf(ret, VF_ATTR_TEXT_SIZE, "query_rss %s", on_off(a->query_rss));
		break;
	case VF_LINK_STATE:
		snprintf(ret, VF_ATTR_TEXT_SIZE, "state %s",
			a->link_state >= 0 && a->link_state < (int64_t)ARRAY_SIZE(states)
				? states[a->link_state]
				: "unknown");
		break;
	case VF_RATE:
		snprintf(ret, VF_ATTR_TEXT_SIZE, "min_tx_rate %" PRId64 " max_tx_rate %" PRId64,
			a->min_rate, a->max_rate);
		break;
	case VF_VLAN:
		snprintf(ret, VF_ATTR_TEXT_SIZE, "vlan %" PRId64 " qos %" PRId64 "%s", a->vlan,
			a->qos, a->protocol == ETH_P_8021AD ? " proto 802.1ad" : "");
		break;
	case VF_ATTRS:
		break;
	}
}

bool vf_attr_is_said(enum vf_attr_kind kind, const struct vf_attr *a)
{
	const int64_t values[VF_ATTRS] = { a->trust, a->spoofchk, a->query_rss, a->link_state,
		a->max_rate, a->vlan };

	return values[kind] >= 0;
}

bool vf_attr_is_same(enum vf_attr_kind kind, const struct vf_attr *a, const struct vf_attr *b)
{
	switch (kind) {
	case VF_TRUST:
		return a->trust == b->trust;
	case VF_SPOOFCHK:
		return a->spoofchk == b->spoofchk;
	case VF_QUERY_RSS:
		return a->query_rss == b->query_rss;
	case VF_LINK_STATE:
		return a->link_state == b->link_state;
	case VF_RATE:
		return a->min_rate == b->min_rate && a->max_rate == b->max_rate;
	case VF_VLAN:
		/* Without a tag there is nothing for the others to be of. */
		return a->vlan == b->vlan && a->qos == b->qos &&
		       (a->protocol == b->protocol || (a->vlan == 0 && a->qos == 0));
	case VF_ATTRS:
		break;
	}
	return true;
}

/* Old kernels know no list of VLANs; it is needed for another protocol than 802.1Q only. */
static void fill_vlan(struct setting *s, uint32_t vf, const struct vf_attr *a)
{
	uint32_t vlan = (uint32_t)a->vlan, qos = (uint32_t)a->qos;

	if (a->protocol == ETH_P_8021Q) {
		*s = (struct setting){ IFLA_VF_VLAN, { .vlan = { vf, vlan, qos } },
			sizeof(s->value.vlan), false };
		return;
	}
	*s = (struct setting){ IFLA_VF_VLAN_INFO,
		{ .vlan_info = { vf, vlan, qos, htons((uint16_t)a->protocol) } },
		sizeof(s->value.vlan_info), .in_vlan_list = true };
}

static void fill_setting(struct setting *s, uint32_t vf, enum vf_attr_kind kind,
	const struct vf_attr *a)
{
	switch (kind) {
	case VF_TRUST:
		*s = (struct setting){ IFLA_VF_TRUST, { .trust = { vf, (uint32_t)a->trust } },
			sizeof(s->value.trust), false };
		break;
	case VF_SPOOFCHK:
		*s = (struct setting){ IFLA_VF_SPOOFCHK,
			{ .spoofchk = { vf, (uint32_t)a->spoofchk } }, sizeof(s->value.spoofchk),
			false };
		break;
	case VF_QUERY_RSS:
		*s = (struct setting){ IFLA_VF_RSS_QUERY_EN,
			{ .rss = { vf, (uint32_t)a->query_rss } }, sizeof(s->value.rss), false };
		break;
	case VF_LINK_STATE:
		*s = (struct setting){ IFLA_VF_LINK_STATE,
			{ .state = { vf, (uint32_t)a->link_state } }, sizeof(s->value.state),
			false };
		break;
	case VF_RATE:
		*s = (struct setting){ IFLA_VF_RATE,
			{ .rate = { vf, (uint32_t)a->min_rate, (uint32_t)a->max_rate } },
			sizeof(s->value.rate), false };
		break;
	case VF_VLAN:
		fill_vlan(s, vf, a);
		break;
	case VF_ATTRS:
		break;
	}
}

int vf_set_attr(struct nl *nl, int pf, uint32_t index, enum vf_attr_kind kind,
	const struct vf_attr *value, struct err *e)
{
	char text[VF_ATTR_TEXT_SIZE];
	struct setting s = { 0 };

	vf_attr_format(kind, value, text);
	fill_setting(&s, index, kind, value);
	log_debug("netlink: set %s on VF %u of ifindex %d", text, index, pf);
	if (set_patiently(nl, pf, &s, "set an attribute of a VF", e) < 0)
		return err_prefix(e, "%s on VF %u", text, index);
	return 0;
}
