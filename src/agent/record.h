/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plain structures to JSON and back, described once by a table of fields. What driver and
 * agents tell each other, and what is kept on disk, are such records.
 */
#ifndef AGENT_RECORD_H
#define AGENT_RECORD_H

#include <jansson.h>
#include <stddef.h>

#include "util/err.h"

enum field_type {
	FIELD_STR,     /* char *, owned, may be NULL */
	FIELD_INT,     /* int64_t */
	FIELD_BOOL,    /* bool */
	FIELD_RECORDS, /* array of records, owned, and its size_t count */
	FIELD_RECORD,  /* a record embedded */
};

struct record;

struct field {
	const char *name;
	enum field_type type;
	size_t offset;
	size_t count_offset;     /* FIELD_RECORDS */
	const struct record *of; /* FIELD_RECORDS, FIELD_RECORD */
};

struct record {
	size_t size;
	const struct field *fields;
	size_t n_fields;
};

/* For a field table of `struct T`: member M under its own name. */
#define RECORD_STR(T, m) \
	{ \
#m, FIELD_STR, offsetof(struct T, m), 0, NULL \
	}
#define RECORD_INT(T, m) \
	{ \
#m, FIELD_INT, offsetof(struct T, m), 0, NULL \
	}
#define RECORD_BOOL(T, m) RECORD_BOOL_AS(T, m, #m)
/* Under the name that it had in older journals. */
#define RECORD_BOOL_AS(T, m, name) \
	{ \
		name, FIELD_BOOL, offsetof(struct T, m), 0, NULL \
	}
#define RECORD_LIST(T, m, desc) \
	{ \
#m, FIELD_RECORDS, offsetof(struct T, m), offsetof(struct T, n_##m), desc \
	}
#define RECORD_ONE(T, m, desc) \
	{ \
#m, FIELD_RECORD, offsetof(struct T, m), 0, desc \
	}
#define RECORD_DEFINE(name, T) \
	const struct record name = { sizeof(struct T), T##_fields, ARRAY_SIZE(T##_fields) }

/* New reference. */
json_t *record_encode(const struct record *r, const void *data);
/*
 * Fills the zeroed structure RET. Unknown names are skipped and missing ones stay zero, so that
 * both sides may grow; a value of another type is an error, and RET is then empty.
 */
int record_decode(const struct record *r, const json_t *json, void *ret, struct err *e);
/* Frees what the structure owns, not the structure, and zeroes it. */
void record_clear(const struct record *r, void *data);

/* A JSON string from text that need not be UTF-8: bad bytes become '?'. NULL gives null. */
json_t *json_text(const char *s);

#endif
