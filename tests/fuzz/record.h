/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records that came from outside: what was read is what is told again. */
#ifndef FUZZ_RECORD_H
#define FUZZ_RECORD_H

#include "agent/record.h"
#include "fuzz.h"

/* Reads JSON into DATA (zeroed). Whatever it is, encoding and decoding it again changes nothing. */
static inline bool fuzz_decode(const struct record *r, const json_t *json, void *data)
{
	struct err e = { 0 };
	json_t *once, *again;
	void *copy;

	if (record_decode(r, json, data, &e) < 0) {
		must(e.msg[0]);
		return false;
	}
	once = record_encode(r, data);
	copy = calloc(1, r->size);
	must(copy && record_decode(r, once, copy, &e) == 0);
	again = record_encode(r, copy);
	must(json_equal(once, again));
	record_clear(r, copy);
	free(copy);
	json_decref(once);
	json_decref(again);
	return true;
}

#endif
