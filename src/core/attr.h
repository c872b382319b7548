/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attributes that were set for the guest's VF on its PF and that libvirt does not carry: trust,
 * spoof checking, rates, link state, and the like. They go from the VF of the source to that of
 * the destination; what a destination cannot do is told, and no reason to stop behind the move.
 * I is the pair's place in the order.
 */
#ifndef CORE_ATTR_H
#define CORE_ATTR_H

#include "core/end.h"

/*
 * Gives the VF that was reserved the attributes that the pair's VF has, while nobody uses it, and
 * takes the guest's MAC off it, should it have that already. What it had before is noted for
 * attr_restore. What the driver does not take is a warning, or the error, if the order is strict.
 */
int attr_carry(struct end *end, size_t i, struct err *e);
/* As the VF was before attr_carry. */
int attr_restore(struct end *end, size_t i, struct err *e);
/* The same but for the guest's MAC, should the VF have had it: the guest is here, without a VF. */
int attr_restore_beside_guest(struct end *end, size_t i, struct err *e);

/* The same around an attach, where it is too late to refuse: warns. Also of a VF that the guest
 * has had all the time, on which nothing then differs. */
void attr_before_attach(struct end *end, size_t i);
/* libvirt sets MAC and VLAN when it attaches, and some drivers reset the VF then. */
void attr_after_attach(struct end *end, size_t i);

/* The guest has left the VF for good: what had been set for it goes back to the driver's defaults.
 * Warns of what does not, and leaves a VF alone that another domain has by now. */
void attr_forget(struct end *end, size_t i);

/* Of a guest that had none of these set nothing has to be carried. */
bool attr_is_default(enum vf_attr_kind kind, const struct vf_attr *a, const char *pf_driver);

#endif
