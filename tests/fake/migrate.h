/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Live migration between the two hosts, as the daemons carry it out. */
#ifndef FAKE_MIGRATE_H
#define FAKE_MIGRATE_H

#include "domain.h"

struct migration {
	const char *destination; /* host */
	unsigned int flags;      /* VIR_MIGRATE_… */
	const char *dest_xml;    /* NULL: the source's */
	const char *persist_xml; /* NULL: the source's */
	const char *dest_name;   /* NULL: the same */
	bool client_driven;
};

/* Called in the client: starts the migration and waits for its end. */
int migrate_start(const struct dom *d, const struct migration *m);
int migrate_abort(const struct dom *d);

/* The daemons' side, run by fake-host. CLIENT_DRIVEN: descriptor 3 tells when the client dies. */
void migrate_run(const struct dom *d, const char *destination, unsigned int flags,
	bool client_driven);

#endif
