/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Journals: what an agent is about to do to its host, kept on disk so that whoever comes after
 * it can undo or finish it. One file for each domain, named by its UUID: a first line that
 * tells of the order, then a line for each change, synced before the change is made. A last
 * line that was cut off by a crash tells of a change that was not made, and is passed over.
 *
 * The files hold domain definitions, passwords included: mode 0600.
 */
#ifndef AGENT_JOURNAL_H
#define AGENT_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/err.h"

struct journal;

/* Grows when the meaning of a line changes; older ones stay readable. */
enum { JOURNAL_FORMAT = 1 };

/* Starts the journal of the domain UUID; HEAD (borrowed) is put into its first line. */
int journal_create(const char *uuid, const json_t *head, struct journal **ret, struct err *e);

/*
 * Opens one that exists, to go on with it. *ret_head and *ret_lines (an array): new references.
 * *ret_same_boot: the host has not been started again since it was begun. ERR_NOT_FOUND where
 * there is none; a damaged or newer one is an error whose hint tells the way out.
 */
int journal_open(const char *uuid, struct journal **ret, json_t **ret_head, json_t **ret_lines,
	bool *ret_same_boot, struct err *e);

/* The head alone, without touching the file or asking who holds it. New reference. */
int journal_peek(const char *uuid, json_t **ret_head, struct err *e);

/* Adds a line and waits until it is on disk. Takes the reference. */
int journal_write(struct journal *j, json_t *line, struct err *e);

/* Leaves the file for later. Accepts NULL. */
void journal_close(struct journal *j);
/* Nothing is left to do: removes the file. Accepts NULL. */
void journal_remove(struct journal *j);

bool journal_exists(const char *uuid);
/* UUIDs of the domains that have a journal on this host, in order. Array of strings. */
json_t *journal_list(void);

#endif
