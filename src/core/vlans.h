/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VLANs of a bridge port as text, so that they can be sent and compared: ranges with blanks between them,
 * "7pu 20-29 40u" (p: what comes in without a tag is in it; u: what goes out in it has no tag).
 */
#ifndef CORE_VLANS_H
#define CORE_VLANS_H

#include <stdbool.h>
#include <stdint.h>

#include "net/link.h"

/* Without the entry 0. Caller frees. */
char *vlans_format(const struct vlan_list *l);
/* The VLAN of what comes in without a tag; 0: there is none. */
int64_t vlans_pvid(const char *vlans);
/* Whether the port is in VLAN VID, and then *ret_untagged. */
bool vlans_have(const char *vlans, int64_t vid, bool *ret_untagged);

#endif
