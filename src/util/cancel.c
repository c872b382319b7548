/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/cancel.h"

#include <errno.h>
#include <time.h>

#include "util/clock.h"

void cancel_init(struct cancel *c)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	c->cancelled = false;
	c->wakes = 0;
}

static void update(struct cancel *c, bool set, bool cancelled)
{
	pthread_mutex_lock(&c->lock);
	if (set)
		c->cancelled = cancelled;
	c->wakes++;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void cancel_request(struct cancel *c)
{
	update(c, true, true);
}

void cancel_reset(struct cancel *c)
{
	update(c, true, false);
}

void cancel_wake(struct cancel *c)
{
	update(c, false, false);
}

bool cancel_is_set(struct cancel *c)
{
	bool set;

	pthread_mutex_lock(&c->lock);
	set = c->cancelled;
	pthread_mutex_unlock(&c->lock);
	return set;
}

/* Sleeps until the wake count differs from SEEN or UNTIL (monotonic ms) has come. */
static void sleep_until(struct cancel *c, uint64_t seen, int64_t until)
{
	struct timespec ts = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };

	pthread_mutex_lock(&c->lock);
	while (c->wakes == seen && pthread_cond_timedwait(&c->changed, &c->lock, &ts) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&c->lock);
}

int cancel_wait(struct cancel *c, int64_t timeout_ms, int64_t poll_ms, const char *what,
	int (*look)(void *arg, struct err *e), void *arg, struct err *e)
{
	int64_t deadline = clock_ms() + timeout_ms;

	for (;;) {
		uint64_t seen;
		int64_t now;
		int r;

		pthread_mutex_lock(&c->lock);
		seen = c->wakes;
		pthread_mutex_unlock(&c->lock);

		r = look(arg, e);
		if (r)
			return r > 0 ? 0 : -1;
		if (cancel_is_set(c))
			return err_set_kind(e, ERR_CANCELLED, "stopped while waiting for %s", what);
		now = clock_ms();
		if (now >= deadline)
			return err_set_kind(e, ERR_TIMEOUT, "waited %.1f s for %s",
				(double)timeout_ms / 1000, what);
		sleep_until(c, seen, now + poll_ms < deadline ? now + poll_ms : deadline);
	}
}
