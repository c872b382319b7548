/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * macvtaps of running domains: real ones, in a host's network namespace. As with libvirt they are
 * made down, and are up while the guest's CPUs run, whatever the link state (qemu_interface.c).
 */
#ifndef FAKE_MACVTAP_H
#define FAKE_MACVTAP_H

#include "domain.h"

/* Makes one for each interface of type 'direct', and writes its name into LIVE. */
int macvtap_create_all(const struct dom *d, xmlDoc *live);
void macvtap_remove_all(const struct dom *d, xmlDoc *live);
void macvtap_set_all(const struct dom *d, bool up);

#endif
