/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a driver can ask of an agent, as one table: the words on the wire (agent/wire.h) and what
 * is done for each. One after the other, in the server's worker thread.
 */
#ifndef CORE_REQUESTS_H
#define CORE_REQUESTS_H

#include "agent/server.h"
#include "core/end.h"
#include "util/cancel.h"

/* What the requests work on: their "ctx". */
struct agent {
	struct end end;
	struct cancel cancel;
	struct server *server; /* owned */
	char *libvirt_uri;     /* owned; as the driver named it */
	bool waited_in_vain;   /* for libvirt, which has not been seen since */
	bool watches;          /* all is settled but for an unplug that may come late */
};

extern const struct server_op requests[];
extern const size_t n_requests;

#endif
