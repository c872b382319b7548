/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The primary: taking the VF from the guest, and giving one back with proof. */
#ifndef CORE_PRIMARY_H
#define CORE_PRIMARY_H

#include "core/end.h"

/* Locks the pair's VF, if it has one here, against every other run on this host. */
int vf_reserve(struct end *end, size_t i, struct err *e);
int vf_release(struct end *end, size_t i, struct err *e);

/*
 * Takes the VF from the running guest (not from the definition) and waits, bounded, until
 * libvirt has finished: its event, which comes after the VF was reset and rebound, and the
 * live XML as the proof; or the live XML alone a while later, because events get lost.
 */
int primary_detach(struct end *end, size_t i, struct err *e);

/* Whether the domain has the pair's primary now, by its live definition. */
int primary_is_attached(struct end *end, size_t i, bool *ret, struct err *e);

/*
 * Takes the domain's MAC off a VF that is no longer in use, if it still is the domain's:
 * libvirt puts back what was there before, which can be that very MAC.
 */
/* ERR_BUSY when another domain runs with the VF. */
int vf_check_unused(struct end *end, const char *vf, struct err *e);

int vf_mac_clear(struct end *end, size_t i, struct err *e);

/*
 * Gives the guest the VF of the order and proves that the guest drives it; then, and not
 * before, frames need the standby no more. The uplink entry comes down when the NIC's rule says
 * so. Used for the destination, for reattach, and to undo a detach: one routine for all.
 * On failure the standby's path is whole, the uplink entry included, and primary_missing says
 * whether the domain is without its VF.
 */
int give_vf(struct end *end, size_t i, struct err *e);
/* What that may take beyond the order's limits: an earlier request, and taking the VF back. */
enum { GIVE_EXTRA_MS = 30000 };

#endif
