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
			    drop it once a new VF is proved */
	NIC_DROP_FIRST,  /* the second one gets nothing, or nobody knows: never both at once */
};

/* By the PF's driver; *ret_known says whether the driver is in the table. */
enum nic_rule nic_rule_of(const char *pf_driver, _Bool *ret_known);
const char *nic_rule_name(enum nic_rule rule);
enum nic_rule nic_rule_from_name(const char *name); /* unknown: NIC_DROP_FIRST */

#endif
