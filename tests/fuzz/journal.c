/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A journal, and the end of a migration that is taken up by it. */
#include "agent/journal.h"
#include "core/end.h"
#include "core/steps.h"
#include "fuzz.h"
#include "record.h"
#include "util/mem.h"
#include "util/str.h"

const char fuzz_name[] = "journal";

static bool is_line_about(const json_t *line, const char *step, int i)
{
	return str_equal(json_string_value(json_object_get(line, "step")), step) &&
	       json_integer_value(json_object_get(line, "pair")) == i;
}

/* A step is begun when the last line about it says so. */
static bool should_be_begun(const json_t *lines, const char *step, int i)
{
	bool begun = false;
	const json_t *line;
	size_t n;

	json_array_foreach(lines, n, line)
		if (is_line_about(line, step, i))
			begun = json_is_true(json_object_get(line, "begun"));
	return begun;
}

static void all_steps_known(const json_t *lines)
{
	const json_t *line;
	size_t n;

	json_array_foreach(lines, n, line) {
		const char *step = json_string_value(json_object_get(line, "step"));

		must(!step || step_find(step));
	}
}

/* Of another boot a part is forgotten. */
static bool agrees(bool begun, const struct journal_content *c, const char *step, int i)
{
	bool should = should_be_begun(c->lines, step, i);

	return c->same_boot ? begun == should : !begun || should;
}

static void check_end(const struct end *end, const struct journal_content *c)
{
	all_steps_known(c->lines);
	for (size_t k = 0; k < END_STEPS_MAX; k++) {
		must(k < n_steps || !end->begun[k]);
		if (k < n_steps)
			must(agrees(end->begun[k], c, steps[k].name, END_DOMAIN));
		for (size_t i = 0; i < end->order.n_pairs; i++) {
			must(k < n_steps || !end->pairs[i].begun[k]);
			if (k < n_steps)
				must(agrees(end->pairs[i].begun[k], c, steps[k].name, (int)i));
		}
	}
	for (size_t i = 0; i < end->order.n_pairs; i++) {
		must(!end->pairs[i].n_found == !end->pairs[i].found || !end->pairs[i].n_found);
		must(c->same_boot || (!end->pairs[i].unplug_asked && !end->pairs[i].self_added &&
					     !end->pairs[i].n_found));
	}
}

/* Without the lines that later ones made void. */
static void same_when_short(const struct end *end, const char *uuid,
	const struct journal_content *c)
{
	struct journal_content few = *c;
	struct end again = { 0 };
	struct err e;

	few.lines = end_needed_lines(c->lines);
	must(json_array_size(few.lines) <= json_array_size(c->lines));
	must(end_take_up(&again, uuid, &few, &e) == 0);
	must(memcmp(end->begun, again.begun, sizeof(again.begun)) == 0);
	for (size_t i = 0; i < end->order.n_pairs; i++) {
		const struct pair_state *a = &end->pairs[i], *b = &again.pairs[i];

		must(memcmp(a->begun, b->begun, sizeof(a->begun)) == 0);
		must(a->self_added == b->self_added && a->refused == b->refused);
		must(a->unproved == b->unproved && a->given == b->given);
		must(a->n_found == b->n_found && a->unplug_asked == b->unplug_asked);
	}
	end_close(&again, false);
	json_decref(few.lines);
}

static void take_up(const struct journal_content *c)
{
	const char *uuid = json_string_value(json_object_get(c->head, "uuid"));
	struct end end = { 0 }, other = { 0 };
	struct err e = { 0 };

	if (end_take_up(&end, uuid ? uuid : "nobody", c, &e) == 0) {
		must(end.open && end.order.uuid && end.order.name && end.order.owner);
		check_end(&end, c);
		same_when_short(&end, uuid, c);
	} else {
		must(e.msg[0] && e.hint[0]);
	}
	end_close(&end, false);
	must(end_take_up(&other, "somebody-else", c, &e) < 0);
	end_close(&other, false);
}

/* What a crash may have left behind the whole lines changes nothing. */
static void with_tail(const char *text, const struct journal_content *c, const char *tail,
	size_t len)
{
	CLEANUP_FREE char *torn = mem_new(c->whole + len + 1);
	struct journal_content again = { 0 };
	struct err e;

	memcpy(torn, text, c->whole);
	memcpy(torn + c->whole, tail, len);
	must(journal_parse("j", torn, c->whole + len, &again, &e) == 0);
	must(again.whole == c->whole && again.torn == (len > 0));
	must(json_equal(again.head, c->head) && json_equal(again.lines, c->lines));
	journal_content_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = fuzz_text(data, size);
	struct journal_content c = { 0 };
	struct err e = { 0 };

	if (journal_parse("j", text, size, &c, &e) < 0) {
		must(e.msg[0] && strstr(e.msg, "j"));
		must(e.kind == ERR_NOT_FOUND || e.hint[0]);
		return 0;
	}
	must(json_is_object(c.head) && json_is_array(c.lines) && c.whole && c.whole <= size);
	take_up(&c);
	c.same_boot = true;
	take_up(&c);
	with_tail(text, &c, "", 0);
	with_tail(text, &c, "{\"step\": \"mig", 13);
	with_tail(text, &c, "\0\0\0", 3);
	with_tail(text, &c, "\0\0}\n", 4);
	journal_content_free(&c);
	return 0;
}
