/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What becomes of frames that a bridge hands to the host's packet filter (br_netfilter). */
#ifndef NET_FORWARD_H
#define NET_FORWARD_H

#include <stdbool.h>

/*
 * Whether this host's forward chains for IPv4 (else IPv6) drop what no rule of theirs lets through: by nftables,
 * which iptables-nft uses as well. False where that is not so, or not known, as with iptables-legacy.
 */
bool forward_drops(bool ipv4);

/* Whether all bridges of this host hand IPv4 (else IPv6) frames to those chains: net.bridge.bridge-nf-call-…. */
bool forward_sees_bridges(bool ipv4);

#endif
