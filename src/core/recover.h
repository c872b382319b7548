/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recover: the same settling from a cold start, by what the journals tell. */
#ifndef CORE_RECOVER_H
#define CORE_RECOVER_H

#include "core/driver.h"
#include "core/report.h"

/* The journals CLIENT's host has; new reference to an array. */
int recover_list(struct driver *d, struct client *client, json_t **ret, struct err *e);

/*
 * Settles the domain of JOURNAL (an element of recover_list) on CLIENT's host. PEER: an agent
 * on the other host, or NULL where it cannot be reached. RET's status is
 * recover's exit status.
 */
void recover_domain(struct driver *d, struct client *client, struct client *peer,
	const json_t *journal, struct outcome *ret);

/*
 * Before something new is begun with DOMAIN (name or UUID): settles what interrupted runs left
 * of it on the hosts connected. The mark of a guest that lives here without its VF is left to
 * what is begun. -1 with ERR_REFUSED when something could not be
 * settled, ERR_BUSY while another run holds the domain.
 */
int recover_before(struct driver *d, const char *domain, struct err *e);

/*
 * The domain of JOURNAL on this host, and what the other one (d->there, if it is connected) has of
 * it. RET is the worse outcome of the two; the other one is told.
 */
void recover_both(struct driver *d, const json_t *journal, struct outcome *ret);

#endif
