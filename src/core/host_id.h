/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a host is known again. libvirt's host UUID is the board's; where that has none that is valid (and nobody
 * has set host_uuid) libvirt makes one up at each start of its daemon (virGetHostUUID in src/util/viruuid.c).
 */
#ifndef CORE_HOST_ID_H
#define CORE_HOST_ID_H

#include <stdbool.h>

/*
 * What the host is known by besides libvirt's UUID: its machine ID and its name, as hosts made from
 * one image may have the first in common. NULL where the UUID is seen to be the board's or the machine's, which
 * does not change. Caller frees.
 */
char *host_id(const char *libvirt_uuid, const char *hostname);
/* Whether a host that says UUID and ID (may be NULL) is the one of which the other two were told. */
bool host_is_known(const char *uuid, const char *id, const char *known_uuid, const char *known_id);

#endif
