/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Journals: what an agent is about to do to its host, kept on disk so that whoever comes after
 * it can undo or finish it. One file for each domain, named by its UUID: a first line that
 * tells of the order, then a line for each change, synced before the change is made. A last
 * line that was cut off by a crash tells of a change that was not made, and is passed over; so is
 * a file without a whole line. Reading changes nothing in the file. Who goes on with one holds the file
 * itself against every other process, whatever becomes of lock.h's.
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

/*
 * Starts the journal of the domain UUID; HEAD (borrowed) is put into its first line. ERR_REFUSED where there is
 * one, ERR_BUSY where somebody holds that.
 */
int journal_create(const char *uuid, const json_t *head, struct journal **ret, struct err *e);

/* What a journal tells. */
struct journal_content {
	json_t *head;   /* owned; an object */
	json_t *lines;  /* owned; an array of objects */
	bool same_boot; /* the host has not been started again since it was begun */
	size_t whole;   /* length of the lines that are whole */
	bool torn;      /* a piece of a line stands behind them */
};

void journal_content_free(struct journal_content *c);

/*
 * Reads the LEN bytes at TEXT (a NUL follows them) of a journal that is called PATH in messages;
 * whatever they are. ERR_NOT_FOUND where there is no whole line yet; a damaged or newer one is an
 * error whose hint tells the way out.
 */
int journal_parse(const char *path, const char *text, size_t len, struct journal_content *ret,
	struct err *e);

/* Adds the way out to the error about a journal that cannot be used. Returns -1. */
int journal_hint_by_hand(struct err *e);

/*
 * Opens one that exists, to go on with it. Errors as above; ERR_NOT_FOUND where there is none, ERR_BUSY where
 * another process goes on with it.
 */
int journal_open(const char *uuid, struct journal **ret, struct journal_content *ret_content,
	struct err *e);

/* The head alone, without touching the file or asking who holds it. New reference. */
int journal_peek(const char *uuid, json_t **ret_head, struct err *e);

/* Whether somebody (this process counts) goes on with it; *ret_owner: by whom it was begun, caller frees, may be NULL. */
bool journal_is_held(const char *uuid, char **ret_owner);

/* Which boot of the host this is; caller frees. */
char *journal_boot_id(void);

/* Adds a line and waits until it is on disk. Takes the reference. */
int journal_write(struct journal *j, json_t *line, struct err *e);

/*
 * One that has SIZE bytes or more is written anew with those of its lines that NEEDED picks (new reference), if
 * they are fewer; the first stays. Either the old file or the new one is there at any time.
 */
int journal_shorten(struct journal *j, size_t size, json_t *(*needed)(const json_t *lines),
	struct err *e);

/* Leaves the file as it is. Accepts NULL. */
void journal_close(struct journal *j);
/* Leaves it for later: one that has lost its name, as somebody removed the folder, is written anew. Accepts NULL. */
int journal_leave(struct journal *j, struct err *e);
/* Nothing is left to do: removes the file. An error where that cannot be done; it is closed then as well. Accepts NULL. */
int journal_remove(struct journal *j, struct err *e);

/*
 * Puts the file aside, for a new one of the same domain to take its place; it comes back, or is
 * dropped, once that is closed. Nobody sees it meanwhile. Closes the journal.
 */
void journal_put_aside(struct journal *j);
/* The one put aside, if there is one, takes its place again. */
void journal_bring_back(const char *uuid);
void journal_drop_aside(const char *uuid);

/* Where they are, and what else outlives an agent; there once a journal was begun. */
const char *journal_directory(void);
/* So that a name itself, new or gone, survives a power cut. */
void journal_sync_directory(void);

/* Whether one could be begun and filled, as far as that can be told without changing anything. */
int journal_try(struct err *e);
bool journal_exists(const char *uuid);
/* UUIDs of the domains that have a journal on this host, in order. Array of strings. */
json_t *journal_list(void);

#endif
