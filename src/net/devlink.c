/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/devlink.h"

#include <linux/devlink.h>
#include <linux/genetlink.h>
#include <stdint.h>
#include <string.h>

#include "net/nl_priv.h"

static int find_family(const struct nlmsghdr *msg, void *arg)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, msg, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID &&
			mnl_attr_get_payload_len(a) == sizeof(uint16_t))
			*(uint16_t *)arg = mnl_attr_get_u16(a);
	return MNL_CB_OK;
}

static int find_mode(const struct nlmsghdr *msg, void *arg)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, msg, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(a) == DEVLINK_ATTR_ESWITCH_MODE &&
			mnl_attr_get_payload_len(a) == sizeof(uint16_t))
			*(enum eswitch_mode *)arg =
				mnl_attr_get_u16(a) == DEVLINK_ESWITCH_MODE_SWITCHDEV
					? ESWITCH_SWITCHDEV
					: ESWITCH_LEGACY;
	return MNL_CB_OK;
}

static struct nlmsghdr *new_request(char *buf, uint16_t family, uint8_t command)
{
	struct genlmsghdr *genl;
	struct nlmsghdr *msg = nl_message(buf, family, 0, sizeof(*genl), (void **)&genl);

	genl->cmd = command;
	genl->version = 1;
	return msg;
}

enum eswitch_mode devlink_eswitch_mode(const struct pci_address *pf)
{
	enum eswitch_mode mode = ESWITCH_UNKNOWN;
	CLEANUP_NL struct nl *nl = NULL;
	char address[PCI_TEXT_SIZE], buf[NL_BUF_SIZE];
	struct nlmsghdr *msg;
	uint16_t family = 0;
	struct err ignored;

	if (nl_open_generic(&nl, &ignored) < 0)
		return mode;
	msg = new_request(buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	mnl_attr_put_strz(msg, CTRL_ATTR_FAMILY_NAME, DEVLINK_GENL_NAME);
	if (nl_talk(nl, msg, find_family, &family, "devlink", &ignored) < 0 || !family)
		return mode;
	pci_format(pf, address);
	msg = new_request(buf, family, DEVLINK_CMD_ESWITCH_GET);
	mnl_attr_put_strz(msg, DEVLINK_ATTR_BUS_NAME, "pci");
	mnl_attr_put_strz(msg, DEVLINK_ATTR_DEV_NAME, address);
	nl_talk(nl, msg, find_mode, &mode, "mode of the embedded switch", &ignored);
	return mode;
}
