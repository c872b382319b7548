/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The primary in the running domain: what the live definition has of it, and taking it from the
 * guest. Giving one is in give.h.
 */
#ifndef CORE_PRIMARY_H
#define CORE_PRIMARY_H

#include "core/end.h"

/*
 * The pair's primary in the live definition: its alias and its VF's PCI address, which the caller
 * frees ("" where libvirt does not say). Both stay NULL when there is none.
 */
int primary_find(struct end *end, size_t i, char **ret_alias, char **ret_vf, struct err *e);
/* Whether there is one. */
int primary_is_attached(struct end *end, size_t i, bool *ret, struct err *e);

/*
 * Takes the VF from the running guest (not from the definition) and waits, bounded, until
 * libvirt has finished: its event, which comes after the VF was reset and rebound, and the
 * live XML as the proof; or the live XML alone a while later, because events get lost.
 * Sets the pair's unproved once it is gone, which the journal has with its next line; until then that the step
 * is begun tells the same.
 */
int primary_detach(struct end *end, size_t i, struct err *e);
/* The same for the device ALIAS, within LIMIT_MS; the pair's state is the caller's. */
int primary_detach_alias(struct end *end, size_t i, char *alias, int64_t limit_ms, struct err *e);

/*
 * Leaves the VF to QEMU, which takes it from the guest when the migration begins, and gives it back
 * when that fails. The live definition goes on naming it.
 */
int primary_leave_to_qemu(struct end *end, size_t i, struct err *e);
/*
 * Into the journal, of all those pairs: QEMU asks (has asked) the guest for its VF, and it is not known
 * that it has obeyed, so that it may do so late, see late.h (PENDING); or there is nothing to expect.
 */
int primary_note_unplug(struct end *end, bool pending, struct err *e);

/* An unplug that was asked for longer ago than this is not expected any more. */
enum { PRIMARY_UNPLUG_GRACE_MS = 10000 };

#endif
