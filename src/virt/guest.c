/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <strings.h>

#include "util/mem.h"
#include "util/str.h"
#include "virt/priv.h"

/*
 * A guest agent that lives, but does not answer one command, keeps libvirt's call for ever
 * (VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK is its default), and what limit the domain has is not ours to change.
 */
enum { GUEST_LIMIT_MS = 8000 };

struct question {
	virDomainPtr dom; /* owned */
	char *mac;        /* owned */
	int nics;
};

static void question_free(void *arg)
{
	struct question *q = arg;

	virDomainFree(q->dom);
	free(q->mac);
	free(q);
}

static int count_nics(void *arg, struct err *e)
{
	struct question *q = arg;
	virDomainInterfacePtr *nics = NULL;
	int n = virDomainInterfaceAddresses(q->dom, &nics, VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT,
		0);

	if (n < 0)
		return virt_err(e, "the guest agent of %s", virDomainGetName(q->dom));
	for (int i = 0; i < n; i++) {
		q->nics += nics[i]->hwaddr && strcasecmp(nics[i]->hwaddr, q->mac) == 0;
		virDomainInterfaceFree(nics[i]);
	}
	free(nics);
	return 0;
}

int virt_guest_nics(struct virt_domain *d, const char *mac, int *ret, struct err *e)
{
	CLEANUP_FREE char *what = str_printf("the guest agent of %s", d->name);
	struct question *q = mem_new(sizeof(*q));
	int r;

	virDomainRef(d->dom);
	q->dom = d->dom;
	q->mac = str_dup(mac);
	r = virt_aside(&(struct virt_aside){ what, count_nics, question_free, q }, GUEST_LIMIT_MS,
		e);
	if (r == VIRT_LEFT)
		return -1;
	if (r == 0)
		*ret = q->nics;
	question_free(q);
	return r;
}
