/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation: some of libvirt's calls have no limit of their own (a guest agent that lives and does
 * not answer; a host behind a firewall that drops). Such a call is made in a thread of its own, which is
 * left behind when it takes too long; what it works on belongs to whoever of the two is last.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "util/mem.h"
#include "virt/priv.h"

struct aside {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done, left; /* guarded by lock, as what follows */
	int result;
	struct err err;

	struct virt_aside call;
};

static struct aside *aside_new(const struct virt_aside *call)
{
	struct aside *a = mem_new(sizeof(*a));
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->ended, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&a->lock, NULL);
	a->call = *call;
	return a;
}

static void aside_free(struct aside *a)
{
	pthread_cond_destroy(&a->ended);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static void *run(void *arg)
{
	struct aside *a = arg;
	struct err e = { 0 };
	int r = a->call.run(a->call.arg, &e);
	bool is_last;

	pthread_mutex_lock(&a->lock);
	a->done = true;
	a->result = r;
	a->err = e;
	is_last = a->left;
	pthread_cond_signal(&a->ended);
	pthread_mutex_unlock(&a->lock);
	if (is_last) {
		a->call.free(a->call.arg);
		aside_free(a);
	}
	return NULL;
}

/* False: it was left behind. */
static bool wait_for_end(struct aside *a, int64_t limit_ms)
{
	struct timespec until;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += limit_ms / 1000;
	pthread_mutex_lock(&a->lock);
	while (!a->done && pthread_cond_timedwait(&a->ended, &a->lock, &until) != ETIMEDOUT)
		;
	done = a->done;
	a->left = !done;
	pthread_mutex_unlock(&a->lock);
	return done;
}

int virt_aside(const struct virt_aside *call, int64_t limit_ms, struct err *e)
{
	struct aside *a = aside_new(call);
	pthread_t thread;
	int r;

	if (pthread_create(&thread, NULL, run, a)) {
		aside_free(a);
		return err_set(e, "no thread for %s", call->what);
	}
	pthread_detach(thread);
	if (!wait_for_end(a, limit_ms)) {
		err_set_kind(e, ERR_TIMEOUT, "%s: no answer within %d s", call->what,
			(int)(limit_ms / 1000));
		return VIRT_LEFT;
	}
	r = a->result;
	if (r < 0)
		*e = a->err;
	aside_free(a);
	return r;
}
