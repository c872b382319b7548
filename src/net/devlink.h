/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What devlink tells about a NIC: how its embedded switch is run. */
#ifndef NET_DEVLINK_H
#define NET_DEVLINK_H

#include "util/err.h"
#include "util/hwaddr.h"

enum eswitch_mode {
	ESWITCH_UNKNOWN, /* the NIC or its driver has nothing to do with devlink, or does not say */
	ESWITCH_LEGACY,
	ESWITCH_SWITCHDEV,
};

/* Of the PF at this address. Never fails: what cannot be asked is unknown. */
enum eswitch_mode devlink_eswitch_mode(const struct pci_address *pf);

#endif
