/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/parse.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

/* The last VLAN that IEEE 802.1Q knows. */
enum { VLAN_MAX = 4094 };
/* <linux/if.h>, which does not go with <net/if.h>. */
enum { ALTIFNAMSIZ = 128 };

void link_list_free(struct link_list *l)
{
	free(l->v);
	for (size_t i = 0; i < l->n_other_names; i++)
		free(l->other_names[i]);
	free(l->other_names);
	*l = (struct link_list){ 0 };
}

void vlan_list_free(struct vlan_list *l)
{
	free(l->v);
	*l = (struct vlan_list){ 0 };
}

static void parse_bridge_port(const struct nlattr *data, struct link *l)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, data) {
		if (mnl_attr_get_type(a) == IFLA_BRPORT_STATE)
			l->port_state = nl_attr_u8(a);
		else if (mnl_attr_get_type(a) == IFLA_BRPORT_MULTICAST_ROUTER)
			l->mcast_router = nl_attr_u8(a);
		else if (mnl_attr_get_type(a) == IFLA_BRPORT_ISOLATED)
			l->isolated = nl_attr_u8(a);
	}
}

/* A new port listens and learns for the forward delay each, which is in hundredths of a second. */
static void parse_bridge(const struct nlattr *data, struct link *l)
{
	const struct nlattr *a;
	uint32_t delay = 0, stp = 0;

	mnl_attr_for_each_nested(a, data) {
		switch (mnl_attr_get_type(a)) {
		case IFLA_BR_VLAN_FILTERING:
			l->vlan_filtering = nl_attr_u8(a);
			break;
		case IFLA_BR_VLAN_DEFAULT_PVID:
			l->pvid = nl_attr_u16(a);
			break;
		case IFLA_BR_STP_STATE:
			stp = nl_attr_u32(a);
			break;
		case IFLA_BR_FORWARD_DELAY:
			delay = nl_attr_u32(a);
			break;
		}
	}
	l->join_ms = stp ? (int64_t)delay * 2 * 10 : 0;
}

/* Told in the modes that have one only (drivers/net/bonding, bond_option_active_slave_get_ifindex). */
static void parse_bond(const struct nlattr *data, struct link *l)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, data)
		if (mnl_attr_get_type(a) == IFLA_BOND_ACTIVE_SLAVE)
			l->active_port = (int)nl_attr_u32(a);
}

static void parse_vlan(const struct nlattr *data, struct link *l)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, data)
		if (mnl_attr_get_type(a) == IFLA_VLAN_ID)
			l->vlan = nl_attr_u16(a);
}

static void parse_tap(const struct nlattr *data, struct link *l)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, data)
		if (mnl_attr_get_type(a) == IFLA_TUN_PERSIST)
			l->persistent = nl_attr_u8(a);
}

static void parse_info(const struct nlattr *info, struct link *l)
{
	const struct nlattr *data = NULL, *port = NULL, *a;

	mnl_attr_for_each_nested(a, info) {
		switch (mnl_attr_get_type(a)) {
		case IFLA_INFO_KIND:
			nl_attr_text(a, l->kind, sizeof(l->kind));
			break;
		case IFLA_INFO_DATA:
			data = a;
			break;
		case IFLA_INFO_SLAVE_KIND:
			nl_attr_text(a, l->port_kind, sizeof(l->port_kind));
			break;
		case IFLA_INFO_SLAVE_DATA:
			port = a;
			break;
		}
	}
	if (data && str_equal(l->kind, "bridge"))
		parse_bridge(data, l);
	if (data && str_equal(l->kind, "bond"))
		parse_bond(data, l);
	if (data && str_equal(l->kind, "vlan"))
		parse_vlan(data, l);
	if (data && str_equal(l->kind, "tun"))
		parse_tap(data, l);
	if (port && str_equal(l->port_kind, "bridge"))
		parse_bridge_port(port, l);
}

static void parse_attr(const struct nlattr *a, struct link *l)
{
	struct rtnl_link_stats64 stats;

	switch (mnl_attr_get_type(a)) {
	case IFLA_IFNAME:
		nl_attr_text(a, l->name, sizeof(l->name));
		break;
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(a) == sizeof(l->mac))
			memcpy(&l->mac, mnl_attr_get_payload(a), sizeof(l->mac));
		break;
	case IFLA_MTU:
		l->mtu = nl_attr_u32(a);
		break;
	case IFLA_MASTER:
		l->master = (int)nl_attr_u32(a);
		break;
	case IFLA_LINK:
		l->lower = (int)nl_attr_u32(a);
		break;
	case IFLA_LINKINFO:
		parse_info(a, l);
		break;
	case IFLA_STATS64:
		if (mnl_attr_get_payload_len(a) < offsetof(struct rtnl_link_stats64, rx_bytes))
			break;
		memcpy(&stats, mnl_attr_get_payload(a),
			offsetof(struct rtnl_link_stats64, rx_bytes));
		l->rx_packets = stats.rx_packets;
		l->tx_packets = stats.tx_packets;
		break;
	}
}

static void collect_other_names(const struct nlattr *properties, struct link_list *list)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, properties) {
		char name[ALTIFNAMSIZ] = "";

		if (mnl_attr_get_type(a) != IFLA_ALT_IFNAME)
			continue;
		nl_attr_text(a, name, sizeof(name));
		*(char **)mem_append(&list->other_names, &list->n_other_names, sizeof(char *)) =
			str_dup(name);
	}
}

int link_collect(const struct nlmsghdr *msg, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(msg);
	struct link_list *list = arg;
	bool is_elsewhere = false;
	const struct nlattr *a;
	struct link *l;

	if (msg->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(msg) < sizeof(*ifi))
		return MNL_CB_OK;
	l = mem_append(&list->v, &list->n, sizeof(*l));
	l->ifindex = ifi->ifi_index;
	l->up = ifi->ifi_flags & IFF_UP;
	l->running = ifi->ifi_flags & (1 << 16); /* IFF_LOWER_UP, not in <net/if.h> */
	mnl_attr_for_each(a, msg, sizeof(*ifi)) {
		if (mnl_attr_get_type(a) == IFLA_PROP_LIST)
			collect_other_names(a, list);
		parse_attr(a, l);
		is_elsewhere |= mnl_attr_get_type(a) == IFLA_LINK_NETNSID;
	}
	/* The number is one of another network namespace. */
	if (is_elsewhere)
		l->lower = 0;
	return MNL_CB_OK;
}

static void reset_links(void *arg)
{
	link_list_free(arg);
}

int link_list_get(struct nl *nl, struct link_list *ret, struct err *e)
{
	CLEANUP_LINKS struct link_list list = { 0 };
	struct ifinfomsg *ifi;
	char buf[NL_BUF_SIZE];
	struct nlmsghdr *msg =
		nl_message(buf, RTM_GETLINK, NLM_F_DUMP, sizeof(*ifi), (void **)&ifi);

	if (nl_dump(nl, msg, link_collect, reset_links, &list, "list of network devices", e) < 0)
		return -1;
	*ret = list;
	list = (struct link_list){ 0 };
	return 0;
}

/* By its name, or by IFINDEX where NAME is NULL. */
static int get_one(struct nl *nl, const char *name, int ifindex, struct link *ret, struct err *e)
{
	CLEANUP_LINKS struct link_list list = { 0 };
	struct ifinfomsg *ifi;
	char buf[NL_BUF_SIZE];
	struct nlmsghdr *msg = nl_message(buf, RTM_GETLINK, 0, sizeof(*ifi), (void **)&ifi);

	if (name)
		mnl_attr_put_strz(msg, IFLA_IFNAME, name);
	ifi->ifi_index = ifindex;
	if (nl_talk(nl, msg, link_collect, &list, "network device", e) < 0)
		return -1;
	if (list.n != 1)
		return err_set(e, "the kernel gave no answer");
	*ret = list.v[0];
	return 0;
}

int link_get(struct nl *nl, const char *name, struct link *ret, struct err *e)
{
	if (str_is_empty(name) || strlen(name) >= IF_NAMESIZE)
		return err_set_kind(e, ERR_NOT_FOUND, "no network device is named \"%s\"",
			name ? name : "");
	return get_one(nl, name, 0, ret, e) < 0 ? err_prefix(e, "%s", name) : 0;
}

int link_get_by_index(struct nl *nl, int ifindex, struct link *ret, struct err *e)
{
	return get_one(nl, NULL, ifindex, ret, e) < 0 ? err_prefix(e, "network device %d", ifindex)
						      : 0;
}

int link_set_up(struct nl *nl, const char *name, bool up, struct err *e)
{
	struct ifinfomsg *ifi;
	char buf[NL_BUF_SIZE];
	struct nlmsghdr *msg = nl_message(buf, RTM_SETLINK, 0, sizeof(*ifi), (void **)&ifi);
	struct link now;

	if (link_get(nl, name, &now, e) < 0)
		return -1;
	log_debug("netlink: set %s %s", name, up ? "up" : "down");
	ifi->ifi_index = now.ifindex;
	ifi->ifi_flags = up ? IFF_UP : 0;
	ifi->ifi_change = IFF_UP;
	if (nl_talk(nl, msg, NULL, NULL, up ? "set up" : "set down", e) < 0 ||
		link_get(nl, name, &now, e) < 0)
		return err_prefix(e, "%s", name);
	return now.up == up ? 0
			    : err_set(e, "%s is not %s after it was set", name, up ? "up" : "down");
}

int link_set_mcast_router(struct nl *nl, const char *name, uint8_t type, struct err *e)
{
	struct ifinfomsg *ifi;
	char buf[NL_BUF_SIZE];
	struct nlmsghdr *msg = nl_message(buf, RTM_SETLINK, 0, sizeof(*ifi), (void **)&ifi);
	struct nlattr *port;
	struct link now;

	if (link_get(nl, name, &now, e) < 0)
		return -1;
	log_debug("netlink: set %s mcast_router %u", name, type);
	ifi->ifi_family = AF_BRIDGE;
	ifi->ifi_index = now.ifindex;
	port = mnl_attr_nest_start(msg, IFLA_PROTINFO);
	mnl_attr_put_u8(msg, IFLA_BRPORT_MULTICAST_ROUTER, type);
	mnl_attr_nest_end(msg, port);
	if (nl_talk(nl, msg, NULL, NULL, "set mcast_router", e) < 0 ||
		link_get(nl, name, &now, e) < 0)
		return err_prefix(e, "%s", name);
	return now.mcast_router == type
		       ? 0
		       : err_set(e, "%s does not have mcast_router %u after it was set", name,
				 type);
}

int link_set_mac(struct nl *nl, const char *name, const struct mac *mac, struct err *e)
{
	struct ifinfomsg *ifi;
	char buf[NL_BUF_SIZE], text[MAC_TEXT_SIZE];
	struct nlmsghdr *msg = nl_message(buf, RTM_SETLINK, 0, sizeof(*ifi), (void **)&ifi);
	struct link now;

	if (link_get(nl, name, &now, e) < 0)
		return -1;
	mac_format(mac, text);
	log_debug("netlink: set %s address %s", name, text);
	ifi->ifi_index = now.ifindex;
	mnl_attr_put(msg, IFLA_ADDRESS, sizeof(*mac), mac);
	if (nl_talk(nl, msg, NULL, NULL, "set address", e) < 0 || link_get(nl, name, &now, e) < 0)
		return err_prefix(e, "%s", name);
	return mac_equal(&now.mac, mac)
		       ? 0
		       : err_set(e, "%s does not have %s after it was set", name, text);
}

const struct link *link_list_by_name(const struct link_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_equal(l->v[i].name, name))
			return &l->v[i];
	return NULL;
}

const struct link *link_list_by_index(const struct link_list *l, int ifindex)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].ifindex == ifindex)
			return &l->v[i];
	return NULL;
}

static void add_vlan_range(struct vlan_list *l, uint16_t first, uint16_t last, uint16_t flags)
{
	for (unsigned int vid = first; vid <= last && vid <= VLAN_MAX; vid++)
		*(struct port_vlan *)mem_append(&l->v, &l->n, sizeof(*l->v)) =
			(struct port_vlan){ (uint16_t)vid, flags & BRIDGE_VLAN_INFO_PVID,
				flags & BRIDGE_VLAN_INFO_UNTAGGED };
}

static void collect_af_spec(const struct nlattr *spec, struct vlan_list *list)
{
	const struct nlattr *a;
	uint16_t first = 0;

	mnl_attr_for_each_nested(a, spec) {
		struct bridge_vlan_info info;

		if (mnl_attr_get_type(a) != IFLA_BRIDGE_VLAN_INFO ||
			mnl_attr_get_payload_len(a) < sizeof(info))
			continue;
		memcpy(&info, mnl_attr_get_payload(a), sizeof(info));
		if (info.flags & BRIDGE_VLAN_INFO_RANGE_BEGIN) {
			first = info.vid;
			continue;
		}
		add_vlan_range(list, (info.flags & BRIDGE_VLAN_INFO_RANGE_END) ? first : info.vid,
			info.vid, info.flags);
	}
}

int link_collect_vlans(const struct nlmsghdr *msg, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(msg);
	struct vlan_collect *c = arg;
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(msg) < sizeof(*ifi) || ifi->ifi_index != c->ifindex)
		return MNL_CB_OK;
	mnl_attr_for_each(a, msg, sizeof(*ifi))
		if (mnl_attr_get_type(a) == IFLA_AF_SPEC)
			collect_af_spec(a, &c->list);
	return MNL_CB_OK;
}

static void reset_vlans(void *arg)
{
	struct vlan_collect *c = arg;

	vlan_list_free(&c->list);
	add_vlan_range(&c->list, 0, 0, 0);
}

int link_port_vlans(struct nl *nl, int ifindex, struct vlan_list *ret, struct err *e)
{
	struct vlan_collect c = { .ifindex = ifindex };
	struct ifinfomsg *ifi;
	char buf[NL_BUF_SIZE];
	struct nlmsghdr *msg =
		nl_message(buf, RTM_GETLINK, NLM_F_DUMP, sizeof(*ifi), (void **)&ifi);

	ifi->ifi_family = AF_BRIDGE;
	mnl_attr_put_u32(msg, IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN_COMPRESSED);
	if (nl_dump(nl, msg, link_collect_vlans, reset_vlans, &c, "VLANs of bridge ports", e) < 0) {
		vlan_list_free(&c.list);
		return -1;
	}
	*ret = c.list;
	return 0;
}

int link_collect_address(const struct nlmsghdr *msg, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(msg);
	struct index_list *list = arg;

	/* A link-local address says nothing: every interface that is up has one. */
	if (mnl_nlmsg_get_payload_len(msg) >= sizeof(*ifa) && ifa->ifa_scope != RT_SCOPE_LINK)
		*(int *)mem_append(&list->v, &list->n, sizeof(int)) = (int)ifa->ifa_index;
	return MNL_CB_OK;
}

static void reset_indexes(void *arg)
{
	struct index_list *list = arg;

	free(list->v);
	*list = (struct index_list){ 0 };
}

int link_with_addresses(struct nl *nl, int **ret, size_t *ret_n, struct err *e)
{
	struct index_list list = { 0 };
	struct ifaddrmsg *ifa;
	char buf[NL_BUF_SIZE];
	struct nlmsghdr *msg =
		nl_message(buf, RTM_GETADDR, NLM_F_DUMP, sizeof(*ifa), (void **)&ifa);

	if (nl_dump(nl, msg, link_collect_address, reset_indexes, &list, "list of IP addresses",
		    e) < 0) {
		free(list.v);
		return -1;
	}
	*ret = list.v;
	*ret_n = list.n;
	return 0;
}
