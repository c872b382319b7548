/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation: a guest agent that lives, but does not answer one command, keeps libvirt's call
 * for ever (VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK is its default), and what limit the domain has is not
 * ours to change. So the call is made in a thread of its own, which is left behind when it takes too
 * long; the question belongs to whoever of the two is last.
 */
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "util/mem.h"
#include "util/str.h"
#include "virt/priv.h"

enum { GUEST_LIMIT_MS = 8000 };

struct question {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool done, abandoned; /* guarded by lock, as what follows */
	int result, nics;
	struct err err;

	virDomainPtr dom; /* owned */
	char *mac;        /* owned */
};

static void question_free(struct question *q)
{
	virDomainFree(q->dom);
	free(q->mac);
	pthread_cond_destroy(&q->answered);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static int count_nics(virDomainPtr dom, const char *mac, int *ret, struct err *e)
{
	virDomainInterfacePtr *nics = NULL;
	int found = 0, n = virDomainInterfaceAddresses(dom, &nics,
			       VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT, 0);

	if (n < 0)
		return virt_err(e, "the guest agent of %s", virDomainGetName(dom));
	for (int i = 0; i < n; i++) {
		found += nics[i]->hwaddr && strcasecmp(nics[i]->hwaddr, mac) == 0;
		virDomainInterfaceFree(nics[i]);
	}
	free(nics);
	*ret = found;
	return 0;
}

static void *ask(void *arg)
{
	struct question *q = arg;
	struct err e = { 0 };
	int nics = 0, r = count_nics(q->dom, q->mac, &nics, &e);
	bool is_last;

	pthread_mutex_lock(&q->lock);
	q->done = true;
	q->result = r;
	q->nics = nics;
	q->err = e;
	is_last = q->abandoned;
	pthread_cond_signal(&q->answered);
	pthread_mutex_unlock(&q->lock);
	if (is_last)
		question_free(q);
	return NULL;
}

static struct question *question_new(struct virt_domain *d, const char *mac)
{
	struct question *q = mem_new(sizeof(*q));
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->answered, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&q->lock, NULL);
	virDomainRef(d->dom);
	q->dom = d->dom;
	q->mac = str_dup(mac);
	return q;
}

/* False: it was left behind. */
static bool wait_for_answer(struct question *q)
{
	struct timespec until;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += GUEST_LIMIT_MS / 1000;
	pthread_mutex_lock(&q->lock);
	while (!q->done && pthread_cond_timedwait(&q->answered, &q->lock, &until) != ETIMEDOUT)
		;
	done = q->done;
	q->abandoned = !done;
	pthread_mutex_unlock(&q->lock);
	return done;
}

int virt_guest_nics(struct virt_domain *d, const char *mac, int *ret, struct err *e)
{
	struct question *q = question_new(d, mac);
	pthread_t thread;
	int r;

	if (pthread_create(&thread, NULL, ask, q)) {
		question_free(q);
		return err_set(e, "no thread for a question to the guest agent of %s", d->name);
	}
	pthread_detach(thread);
	if (!wait_for_answer(q))
		return err_set_kind(e, ERR_TIMEOUT,
			"the guest agent of %s lives, but does not answer", d->name);
	r = q->result;
	if (r == 0)
		*ret = q->nics;
	else
		*e = q->err;
	question_free(q);
	return r;
}
