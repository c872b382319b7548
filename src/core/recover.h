/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recover: the same settling from a cold start, by what the journals tell. */
#ifndef CORE_RECOVER_H
#define CORE_RECOVER_H

#include "core/driver.h"
#include "core/report.h"

/* The journals CLIENT's host has; new reference to an array. */
int recover_list(struct driver *d, struct client *client, json_t **ret, struct err *e);

/* Whether JOURNAL, an element of it, is of DOMAIN: a UUID, or a name that it has or had when the run was begun. */
bool recover_is_about(const json_t *journal, const char *domain);

/*
 * Before something new is begun with DOMAIN (name or UUID): settles what interrupted runs left
 * of it on the hosts connected. The mark of a guest that lives here without its VF is left to
 * what is begun. 0: go on; -1 and E, ERR_BUSY while another run holds the domain; else the exit status
 * of what could not be settled, which has been told.
 */
int recover_before(struct driver *d, const char *domain, struct err *e);

/*
 * Warns of what interrupted runs left of DOMAIN on this host, with what would be done about it if the
 * other host stayed away. Looks only.
 */
void recover_tell(struct driver *d, const char *domain);

/*
 * Settles the domain of JOURNAL (of this host) with agents of its own: with the other host of that
 * run, if it answers, and what that one has of it. RET is the worse outcome of the two; the other one
 * is told. PATIENT: see driver.h. Whether a signal came meanwhile, which stops nothing half-way.
 */
bool recover_journal(const struct options *o, struct report *report, const json_t *journal,
	bool patient, struct outcome *ret);

#endif
