/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Proof that a guest uses its VF. An attach that returned 0 is none; what the guest's driver does to
 * the VF is, and then that the guest's frames come by the standby no more.
 */
#ifndef CORE_PROOF_H
#define CORE_PROOF_H

#include "core/end.h"

/*
 * Whether the pair's VF has the guest's MAC, is with a vfio driver and a bus master now: what can be known
 * without libvirt.
 */
bool proof_vf_is_driven(struct end *end, size_t i);
/*
 * Waits, up to the order's proof_ms, for the bus master bit in the VF's command word while a vfio
 * driver has the VF: only the guest's driver sets it.
 */
int proof_wait_for_driver(struct end *end, size_t i, struct err *e);

/*
 * The guest switches over when the VF has carrier in the guest, which shows nowhere on the
 * host. What shows is the standby: as long as the guest uses it, its frames come out of the
 * tap. So the tap is watched from before the attach: where a guest that was sending all the
 * time has fallen silent, it sends by the VF. A guest that sends little tells nothing by its
 * silence, and gets carrier_ms in full. Both paths work meanwhile; taking the standby down too
 * early is what would cost frames.
 */
struct tap_watch {
	char *tap;       /* owned; NULL: cannot be watched */
	bool is_macvtap; /* counts the guest's frames as sent, not as received */
	uint64_t first, last;
	int64_t start, changed; /* clock_ms() */
};

/* Starts to watch; to be called before the attach. The caller frees watch->tap. */
void proof_watch_tap(struct end *end, size_t i, struct tap_watch *w);

/* How much more time a guest gets that keeps sending by its standby. */
enum { PROOF_BUSY_FACTOR = 3 };

/*
 * Waits until the guest has gone from its standby to its VF, as far as that shows: up to the order's
 * carrier_ms, and three times that for a guest that keeps sending by the standby, which is an error then.
 */
int proof_wait_for_changeover(struct end *end, struct tap_watch *w, struct err *e);

/* Strengthens the proof where the guest has an agent; its silence proves nothing. */
void proof_ask_guest_agent(struct end *end, size_t i);

#endif
