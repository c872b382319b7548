/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that was asked for its VF and has not answered in time may still give it up, without
 * any word of warning: minutes later, or when it is rebooted. After a rollback it has its VF, so
 * somebody has to watch, and to bring its frames to the standby at once when the VF goes.
 */
#ifndef CORE_LATE_H
#define CORE_LATE_H

#include "core/end.h"

/* How long the watch has to go on, in milliseconds; 0: no unplug is pending. */
int64_t late_unplug_left(const struct end *end);

/*
 * Whether a standby does not rest because its guest was asked for its VF in vain, be it that the time is
 * over: the end of a watch lets it rest.
 */
bool late_unplug_is_open(const struct end *end);

/*
 * Watches until no unplug is to be expected any more, or end->stop_fd says so. A VF that goes
 * meanwhile is given back, with the standby in its place until then. Afterwards this end is
 * settled, and the standbys rest. -1: something is left to do, the journal is still needed.
 */
int late_unplug_watch(struct end *end, struct err *e);

#endif
