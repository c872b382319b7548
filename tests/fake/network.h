/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt's networks: what a NIC of type 'network' becomes in a running domain, and how it was
 * given. A network of VFs is one with <forward mode='hostdev'> that lists their addresses; it
 * gives out the first that none of its own NICs has, whoever else may use it.
 */
#ifndef FAKE_NETWORK_H
#define FAKE_NETWORK_H

#include "domain.h"

/* Fills in NIC's bridge, or makes it a macvtap (a network with <interface>), or a VF. */
int network_plug(const char *host, xmlNode *nic);
/* What the live definition shows of a NIC from a network of VFs: not where it came from. */
void network_hide_pool(xmlNode *device);
/* The I-th VF that the network of VFs has given out, in its port's XML; NULL behind the last. Caller frees. */
char *network_port(const char *host, const char *pool, size_t i);
/* As the domain was given it. */
void network_as_given(xmlNode *device);

#endif
