/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/record.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"
#include "util/str.h"

json_t *json_text(const char *s)
{
	CLEANUP_FREE char *ascii = NULL;
	json_t *json;

	if (!s)
		return json_null();
	json = json_string(s);
	if (json)
		return json;
	ascii = str_dup(s);
	for (char *c = ascii; *c; c++)
		if (*c & 0x80)
			*c = '?';
	return json_string(ascii);
}

static const void *at(const void *data, size_t offset)
{
	return (const char *)data + offset;
}

static void *at_rw(void *data, size_t offset)
{
	return (char *)data + offset;
}

static json_t *encode_list(const struct field *f, const void *data)
{
	const char *elements = *(char *const *)at(data, f->offset);
	size_t n = *(const size_t *)at(data, f->count_offset);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, record_encode(f->of, elements + i * f->of->size));
	return list;
}

static json_t *encode_field(const struct field *f, const void *data)
{
	switch (f->type) {
	case FIELD_STR:
		return json_text(*(char *const *)at(data, f->offset));
	case FIELD_INT:
		return json_integer(*(const int64_t *)at(data, f->offset));
	case FIELD_BOOL:
		return json_boolean(*(const bool *)at(data, f->offset));
	case FIELD_RECORDS:
		return encode_list(f, data);
	case FIELD_RECORD:
		return record_encode(f->of, at(data, f->offset));
	}
	abort();
}

json_t *record_encode(const struct record *r, const void *data)
{
	json_t *object = json_object();

	for (size_t i = 0; i < r->n_fields; i++)
		json_object_set_new(object, r->fields[i].name, encode_field(&r->fields[i], data));
	return object;
}

static int wrong_type(const struct field *f, const char *expected, struct err *e)
{
	return err_set(e, "\"%s\" is not %s", f->name, expected);
}

static int decode_list(const struct field *f, const json_t *json, void *data, struct err *e)
{
	size_t *n = at_rw(data, f->count_offset), count = json_array_size(json);
	char **elements = at_rw(data, f->offset);

	if (!json_is_array(json))
		return wrong_type(f, "a list", e);
	*elements = mem_new(count * f->of->size);
	for (*n = 0; *n < count; (*n)++)
		if (record_decode(f->of, json_array_get(json, *n), *elements + *n * f->of->size,
			    e) < 0)
			return err_prefix(e, "%s", f->name);
	return 0;
}

static int decode_field(const struct field *f, const json_t *json, void *data, struct err *e)
{
	switch (f->type) {
	case FIELD_STR:
		if (!json_is_string(json))
			return wrong_type(f, "text", e);
		str_set(at_rw(data, f->offset), json_string_value(json));
		return 0;
	case FIELD_INT:
		if (!json_is_integer(json))
			return wrong_type(f, "a number", e);
		*(int64_t *)at_rw(data, f->offset) = json_integer_value(json);
		return 0;
	case FIELD_BOOL:
		if (!json_is_boolean(json))
			return wrong_type(f, "true or false", e);
		*(bool *)at_rw(data, f->offset) = json_is_true(json);
		return 0;
	case FIELD_RECORDS:
		return decode_list(f, json, data, e);
	case FIELD_RECORD:
		return record_decode(f->of, json, at_rw(data, f->offset), e);
	}
	abort();
}

int record_decode(const struct record *r, const json_t *json, void *ret, struct err *e)
{
	if (!json_is_object(json))
		return err_set(e, "not an object");
	for (size_t i = 0; i < r->n_fields; i++) {
		const json_t *value = json_object_get(json, r->fields[i].name);

		if (!value || json_is_null(value))
			continue;
		if (decode_field(&r->fields[i], value, ret, e) < 0) {
			record_clear(r, ret);
			return -1;
		}
	}
	return 0;
}

static void clear_list(const struct field *f, void *data)
{
	char *elements = *(char **)at_rw(data, f->offset);
	size_t n = *(size_t *)at_rw(data, f->count_offset);

	for (size_t i = 0; i < n; i++)
		record_clear(f->of, elements + i * f->of->size);
	free(elements);
}

void record_clear(const struct record *r, void *data)
{
	for (size_t i = 0; i < r->n_fields; i++) {
		const struct field *f = &r->fields[i];

		if (f->type == FIELD_STR)
			free(*(char **)at_rw(data, f->offset));
		else if (f->type == FIELD_RECORDS)
			clear_list(f, data);
		else if (f->type == FIELD_RECORD)
			record_clear(f->of, at_rw(data, f->offset));
	}
	memset(data, 0, r->size);
}
