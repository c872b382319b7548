/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a NIC does when a VF has a MAC and the uplink on the same PF asks for it as well: the
 * one place that knows, because it decides in which order uplink entry and VF come and go.
 */
#ifndef CORE_NIC_H
#define CORE_NIC_H

enum nic_rule {
	NIC_REPLICATES,  /* both get every frame: the entry may overlap with the VF */
	NIC_UPLINK_WINS, /* the VF is deaf while the entry stands: set it after the VF is gone,
			    drop it once the guest's driver has a new VF */
	NIC_DROP_FIRST,  /* the second one gets nothing, or nobody knows: never both at once */
};

/* By the PF's driver; *ret_known says whether the driver is in the table. */
enum nic_rule nic_rule_of(const char *pf_driver, _Bool *ret_known);
/* Whether a VF's spoof checking is on until somebody changes it: 0, 1; -1: not known. */
int nic_spoofchk_default(const char *pf_driver);
/* Whether the driver refuses a lower limit of the rate, or a link state, whatever its value. */
_Bool nic_lacks_min_rate(const char *pf_driver);
_Bool nic_lacks_link_state(const char *pf_driver);
/* Whether it keeps every filter that an uplink has asked for, also one that was removed. */
_Bool nic_leaks_filters(const char *pf_driver);

/*
 * How many MACs besides its own an uplink takes, by its own driver (not the PF's), before it drops
 * frames without a word; -1: not known, or it does not.
 */
int nic_filter_limit(const char *driver, _Bool is_vf, _Bool is_trusted);

/*
 * Whether an uplink of that driver (its own) asks its PF some time after it was told to, and so is refused
 * some time later as well.
 */
_Bool nic_asks_later(const char *driver);

const char *nic_rule_name(enum nic_rule rule);
enum nic_rule nic_rule_from_name(const char *name); /* unknown: NIC_DROP_FIRST */

#endif
