/* SPDX-License-Identifier: GPL-2.0-or-later */
/* News of network devices: a waiter looks again whenever one appears or changes. */
#ifndef NET_MONITOR_H
#define NET_MONITOR_H

#include "util/cancel.h"
#include "util/err.h"

struct link_monitor;

/* A thread of its own calls cancel_wake(WAKE), which has to outlive it, at each piece of news. */
int link_monitor_start(struct cancel *wake, struct link_monitor **ret, struct err *e);
void link_monitor_stop(struct link_monitor *m);

#endif
