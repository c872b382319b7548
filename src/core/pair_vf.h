/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VF of a pair, apart from the guest: kept against other runs, as its PF has it, and its MAC.
 * I is the pair's place in the order.
 */
#ifndef CORE_PAIR_VF_H
#define CORE_PAIR_VF_H

#include "core/end.h"
#include "net/vf.h"

/* Locks the pair's VF, if it has one here, against every other run on this host. */
int pair_vf_reserve(struct end *end, size_t i, struct err *e);
void pair_vf_release(struct end *end, size_t i);
/* ERR_BUSY when another domain runs with VF (a PCI address). */
int pair_vf_check_address_unused(struct end *end, const char *vf, struct err *e);

/* Which VF: by its PF's ifindex and its number. */
struct pair_vf {
	int pf;
	uint32_t vf;
};

/* The VF of the order; libvirt may have chosen another one meanwhile, which then stands there. */
int pair_vf_find(struct end *end, size_t i, struct pair_vf *ret, struct err *e);
int pair_vf_read(struct end *end, const struct pair_vf *which, struct vf_info *ret, struct err *e);
/* pair_vf_check_address_unused of a VF that was found; one that is gone is unused. */
int pair_vf_check_unused(struct end *end, const struct pair_vf *which, struct err *e);

/* Whether it has the domain's MAC, as its PF tells. */
int pair_vf_has_mac(struct end *end, size_t i, bool *ret, struct err *e);
/*
 * Takes the domain's MAC off a VF that is no longer in use, if it still is the domain's: libvirt
 * puts back what was there before, which can be that very MAC.
 */
int pair_vf_clear_mac(struct end *end, size_t i, struct err *e);
/* Before an attach, so that the guest's driver finds it when it resets the VF. Read back. */
int pair_vf_set_mac(struct end *end, size_t i, struct err *e);

/*
 * The network device of a VF that was left behind is back on the host, and its driver took the MAC
 * that the PF had for it then. Whoever sets that device up some day must not draw the guest's
 * frames: it gets a MAC as the kernel gives to VFs that have none. As far as that can be done.
 */
void pair_vf_forget_netdev_mac(struct end *end, size_t i);

#endif
