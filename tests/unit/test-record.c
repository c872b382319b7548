/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "agent/record.h"
#include "core/order.h"
#include "tap.h"
#include "util/mem.h"
#include "util/str.h"

static void fill(struct order *o)
{
	struct pair_order *p;

	o->is_source = true;
	o->name = str_dup("vm-01");
	o->uuid = str_dup("7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101");
	o->detach_ms = 60000;
	o->migration.dest_uri = str_dup("qemu+ssh://host-b/system");
	o->migration.parallel = INT64_MAX;
	p = mem_append(&o->pairs, &o->n_pairs, sizeof(*p));
	p->mac = str_dup("52:54:00:00:12:53");
	p->vf_index = -1;
	mem_append(&o->pairs, &o->n_pairs, sizeof(*p));
}

static void test_there_and_back(void)
{
	struct order out = { 0 }, in = { 0 };
	json_t *json;
	struct err e;

	fill(&out);
	json = record_encode(&order_record, &out);
	ok(record_decode(&order_record, json, &in, &e) == 0, "what was written can be read");
	ok(in.is_source && in.detach_ms == 60000 && in.n_pairs == 2 && in.pairs[0].vf_index == -1 &&
			in.migration.parallel == INT64_MAX,
		"numbers come back");
	is_text(in.name, "vm-01", "texts come back");
	is_text(in.migration.dest_uri, "qemu+ssh://host-b/system", "from embedded records, too");
	is_text(in.pairs[0].mac, "52:54:00:00:12:53", "and from lists");
	ok(in.pairs[1].mac == NULL && in.peer_uuid == NULL, "nothing stays nothing");
	record_clear(&order_record, &in);
	ok(in.n_pairs == 0 && !in.name, "cleared is empty");
	record_clear(&order_record, &out);
	json_decref(json);
}

static void is_refused(const char *text, const char *what)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
	struct order o = { 0 };
	struct err e = { 0 };
	int r = record_decode(&order_record, json, &o, &e);

	tap_result(r < 0 && e.msg[0] && !o.name && !o.n_pairs, "refused: %s", what);
	json_decref(json);
}

static void test_refusals(void)
{
	is_refused("[]", "a list in the place of a record");
	is_refused("5", "a number in the place of a record");
	is_refused("{\"name\": 5}", "a number in the place of a text");
	is_refused("{\"name\": \"x\", \"persistent\": \"yes\"}", "a text in the place of a truth");
	is_refused("{\"detach_ms\": \"5\"}", "a text in the place of a number");
	is_refused("{\"detach_ms\": 5.5}", "a fraction in the place of a number");
	is_refused("{\"name\": \"x\", \"pairs\": {}}", "a record in the place of a list");
	is_refused("{\"pairs\": [5]}", "a number in a list of records");
	is_refused("{\"pairs\": [{\"mac\": \"x\"}, {\"mac\": []}]}", "a bad one behind a good one");
	is_refused("{\"migration\": []}", "a list in the place of an embedded record");
}

static void test_tolerance(void)
{
	json_t *json = json_loads(
		"{\"name\": \"x\", \"from_the_future\": [1, {\"a\": 2}], \"uuid\": null}", 0, NULL);
	struct order o = { 0 };
	struct err e;

	ok(record_decode(&order_record, json, &o, &e) == 0, "what nobody knows yet is passed over");
	is_text(o.name, "x", "the rest is read");
	ok(!o.uuid && o.detach_ms == 0, "what is missing is nothing");
	record_clear(&order_record, &o);
	json_decref(json);
}

static void test_bad_text(void)
{
	json_t *bad = json_text("caf\xe9 \xff\xfe"), *good = json_text("caf\xc3\xa9"),
	       *none = json_text(NULL);

	ok(json_is_string(bad), "text that is no UTF-8 is still sent");
	is_text(json_string_value(good), "caf\xc3\xa9", "text that is stays as it is");
	ok(json_is_null(none), "no text is null");
	json_decref(bad);
	json_decref(good);
	json_decref(none);
}

int main(void)
{
	test_there_and_back();
	test_refusals();
	test_tolerance();
	test_bad_text();
	return tap_done();
}
