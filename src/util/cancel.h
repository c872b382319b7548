/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request to stop what is being waited for. One thread waits, another cancels; waiting is
 * always bounded. The same object wakes the waiter when something may have changed
 * (a libvirt event, say), so that a wait is one loop: look, then sleep until woken.
 */
#ifndef UTIL_CANCEL_H
#define UTIL_CANCEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/err.h"

struct cancel {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool cancelled;
	uint64_t wakes; /* how often cancel_wake was called */
};

void cancel_init(struct cancel *c);
void cancel_request(struct cancel *c);
void cancel_reset(struct cancel *c);
bool cancel_is_set(struct cancel *c);
/* Something changed: whoever waits looks again. */
void cancel_wake(struct cancel *c);

/*
 * Calls LOOK(arg, e) until it returns non-zero: at once, whenever woken, and at least every
 * poll_ms. 0 when LOOK returned 1; -1 when it returned -1 (it set E), on cancellation
 * (ERR_CANCELLED) or after timeout_ms (ERR_TIMEOUT, "waited N s for WHAT").
 */
int cancel_wait(struct cancel *c, int64_t timeout_ms, int64_t poll_ms, const char *what,
	int (*look)(void *arg, struct err *e), void *arg, struct err *e);

#endif
