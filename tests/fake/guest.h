/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process that stands for QEMU: it holds the taps of one running domain. */
#ifndef FAKE_GUEST_H
#define FAKE_GUEST_H

#include "domain.h"

/*
 * Starts it on D's host, with a tap in its bridge for each standby of LIVE; generated names are
 * written into LIVE.
 */
int guest_start(const struct dom *d, xmlDoc *live);
/* Ends it and waits until its taps are gone. */
void guest_stop(const struct dom *d);
void guest_announce(const struct dom *d);

#endif
