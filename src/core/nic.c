/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/nic.h"

#include <stdbool.h>
#include <stddef.h>

#include "util/mem.h"
#include "util/str.h"

/*
 * Sources: igb measured on QEMU's emulated 82576 (every receive address register that matches
 * is honoured); i40e and ixgbe measured by the authors of sriov-mac-sync
 * (docs/hardware-notes.md there); ice keeps a list of VSIs for an address
 * (drivers/net/ethernet/intel/ice/ice_switch.c); mlx5 gives a second owner of an address in
 * legacy mode nothing.
 */
static const struct {
	const char *driver;
	enum nic_rule rule;
} nics[] = {
	{ "igb", NIC_REPLICATES },
	{ "i40e", NIC_REPLICATES },
	{ "ice", NIC_REPLICATES },
	{ "ixgbe", NIC_UPLINK_WINS },
	{ "mlx5_core", NIC_DROP_FIRST },
};

static const char *const rule_names[] = {
	[NIC_REPLICATES] = "replicates",
	[NIC_UPLINK_WINS] = "uplink-wins",
	[NIC_DROP_FIRST] = "drop-first",
};

enum nic_rule nic_rule_of(const char *pf_driver, bool *ret_known)
{
	for (size_t i = 0; i < ARRAY_SIZE(nics); i++) {
		if (!pf_driver || !str_equal(nics[i].driver, pf_driver))
			continue;
		*ret_known = true;
		return nics[i].rule;
	}
	*ret_known = false;
	return NIC_DROP_FIRST;
}

const char *nic_rule_name(enum nic_rule rule)
{
	return rule_names[rule];
}

enum nic_rule nic_rule_from_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rule_names); i++)
		if (str_equal(name, rule_names[i]))
			return (enum nic_rule)i;
	return NIC_DROP_FIRST;
}
