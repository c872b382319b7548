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
struct nic {
	const char *driver;
	enum nic_rule rule;
	bool spoofchk_off;  /* by default */
	bool no_min_rate;   /* refuses one */
	bool no_link_state; /* has no way to set it */
	bool leaks_filters; /* gives up none that an uplink has ever asked for */
};

/* The members behind the rule are from the drivers' sources in Linux 6.12. */
static const struct nic nics[] = {
	{ "igb", NIC_REPLICATES, .no_min_rate = true, .no_link_state = true,
		.leaks_filters = true },
	{ "i40e", NIC_REPLICATES, .no_min_rate = true },
	{ "ice", NIC_REPLICATES, .no_min_rate = false },
	{ "ixgbe", NIC_UPLINK_WINS, .no_min_rate = true },
	{ "mlx5_core", NIC_DROP_FIRST, .spoofchk_off = true },
};

static const char *const rule_names[] = {
	[NIC_REPLICATES] = "replicates",
	[NIC_UPLINK_WINS] = "uplink-wins",
	[NIC_DROP_FIRST] = "drop-first",
};

static const struct nic *find_nic(const char *pf_driver)
{
	for (size_t i = 0; i < ARRAY_SIZE(nics); i++)
		if (pf_driver && str_equal(nics[i].driver, pf_driver))
			return &nics[i];
	return NULL;
}

enum nic_rule nic_rule_of(const char *pf_driver, bool *ret_known)
{
	const struct nic *nic = find_nic(pf_driver);

	*ret_known = nic;
	return nic ? nic->rule : NIC_DROP_FIRST;
}

int nic_spoofchk_default(const char *pf_driver)
{
	const struct nic *nic = find_nic(pf_driver);

	return nic ? !nic->spoofchk_off : -1;
}

bool nic_lacks_min_rate(const char *pf_driver)
{
	const struct nic *nic = find_nic(pf_driver);

	return nic && nic->no_min_rate;
}

bool nic_lacks_link_state(const char *pf_driver)
{
	const struct nic *nic = find_nic(pf_driver);

	return nic && nic->no_link_state;
}

bool nic_leaks_filters(const char *pf_driver)
{
	const struct nic *nic = find_nic(pf_driver);

	return nic && nic->leaks_filters;
}

/*
 * IGBVF_MAX_MAC_FILTERS in drivers/net/ethernet/intel/igbvf/igbvf.h (Linux 6.12). The others as the authors
 * of sriov-mac-sync found (docs/driver-limits.md there): a bnx2x VF never programs its list, qede's
 * PF takes none of a VF's that is not trusted, and bnxt_en programs none at all beyond its third.
 */
static const struct {
	const char *driver;
	int limit;
	bool of_untrusted; /* only then */
} limits[] = {
	{ "igbvf", 3, false },
	{ "bnx2x", 0, false },
	{ "qede", 0, true },
	{ "bnxt_en", 3, true },
};

int nic_filter_limit(const char *driver, bool is_vf, bool is_trusted)
{
	for (size_t i = 0; is_vf && i < ARRAY_SIZE(limits); i++)
		if (str_equal(driver, limits[i].driver) && !(limits[i].of_untrusted && is_trusted))
			return limits[i].limit;
	return -1;
}

/* iavf_set_rx_mode only makes a note of it (drivers/net/ethernet/intel/iavf, Linux 6.12). */
bool nic_asks_later(const char *driver)
{
	return str_equal(driver, "iavf");
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
