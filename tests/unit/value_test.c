// Values to text, binary and back, against PostgreSQL 15: tests/golden/value.tsv holds a type, a
// text put in, the text and the binary form (hexadecimal) that come out, or SQLSTATE and message.
#include "host/base/value.h"

#include "host/base/rand.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/tsv.h"

#include <errno.h>
#include <stdlib.h>

static struct mr_arena arena;

static struct mr_typeref type_of(const char *text)
{
	struct mr_typeref t = {0};
	const char *modifier = strchr(text, '(');
	size_t bytes = modifier ? (size_t)(modifier - text) : strlen(text);
	int precision = 0, scale = 0;

	if (modifier)
		assert_int_equal(sscanf(modifier, "(%d,%d)", &precision, &scale), 2);
	t.type = (uint8_t)mr_type_by_name(mr_span(text, bytes));
	t.precision = (uint8_t)precision;
	t.scale = (uint8_t)scale;
	assert_int_not_equal(t.type, MR_TYPE_COUNT);
	return t;
}

static const char *text_of(struct mr_typeref t, const union mr_value *v, struct mr_buf *b)
{
	mr_buf_reset(b);
	mr_value_format(t, v, mr_tz_find(mr_span_str("Asia/Kolkata")), b);
	mr_buf_u8(b, 0);
	return (const char *)b->data;
}

static bool hex_matches(struct mr_span bytes, const char *hex)
{
	char two[3];

	if (strlen(hex) != bytes.bytes * 2)
		return false;
	for (size_t i = 0; i < bytes.bytes; i++) {
		snprintf(two, sizeof(two), "%02x", bytes.data[i]);
		if (memcmp(two, hex + 2 * i, 2) != 0)
			return false;
	}
	return true;
}

// The text and binary forms, and the binary one read back.
static bool check_value(const struct mr_tsv *t, struct mr_typeref type, const union mr_value *v)
{
	struct mr_buf text = {0}, binary = {0};
	union mr_value back;
	bool ok;

	ok = strcmp(text_of(type, v, &text), t->fields[2]) == 0;
	mr_value_format_binary(type, v, &binary);
	ok &= hex_matches(mr_buf_span(&binary), t->fields[3]);
	if (mr_value_parse_binary(type, mr_buf_span(&binary), &back, NULL))
		ok = false;
	else
		ok &= strcmp(text_of(type, &back, &text), t->fields[2]) == 0;
	if (!ok)
		print_error("line %d: %s '%s': want %s %s, got %s\n", t->number, t->fields[0],
			t->fields[1], t->fields[2], t->fields[3], text_of(type, v, &text));
	mr_buf_fini(&text);
	mr_buf_fini(&binary);
	return ok;
}

static bool check_error(const struct mr_tsv *t, const struct mr_diag *d)
{
	char message[700];

	snprintf(message, sizeof(message), "%s%s%s", d->message, *d->detail ? "|" : "", d->detail);
	if (!strcmp(d->sqlstate, t->fields[2]) && !strcmp(message, t->fields[3]))
		return true;
	print_error("line %d: %s '%s': want %s %s, got %s %s\n", t->number, t->fields[0],
		t->fields[1], t->fields[2], t->fields[3], d->sqlstate, message);
	return false;
}

static void value_agrees_with_postgres(void **)
{
	struct mr_tsv t = {.file = fopen("tests/golden/value.tsv", "r")};
	struct mr_datetime_env env = {.tz = mr_tz_find(mr_span_str("Asia/Kolkata"))};
	int wrong = 0;

	assert_non_null(t.file);
	assert_non_null(env.tz);
	while (mr_tsv_next(&t)) {
		struct mr_typeref type = type_of(t.fields[0]);
		union mr_value v;
		struct mr_diag d;
		int err;

		assert_int_equal(t.count, 4);
		err = mr_value_parse(type, mr_span_str(t.fields[1]), &env, &arena, &v, &d);
		wrong += !(err ? check_error(&t, &d) : check_value(&t, type, &v));
	}
	fclose(t.file);
	assert_true(t.number > 200);
	assert_int_equal(wrong, 0);
}

static void value_binary_noise_is_refused_or_read(void **)
{
	struct mr_buf text = {0};
	struct mr_rand r;

	mr_rand_init(&r, 41);
	for (int i = 0; i < 100000; i++) {
		struct mr_typeref t = {.type = (uint8_t)(1 + mr_rand_below(&r, MR_TYPE_COUNT - 1))};
		uint8_t bytes[24];
		size_t n = mr_rand_below(&r, sizeof(bytes));
		union mr_value v;

		mr_rand_bytes(&r, bytes, sizeof(bytes));
		for (size_t k = 0; k < 8; k += 2)
			bytes[k] = mr_rand_below(&r, 3) ? 0 : bytes[k];
		if (mr_value_parse_binary(t, mr_span(bytes, n), &v, NULL) == 0)
			text_of(t, &v, &text);
	}
	mr_buf_fini(&text);
}

static void value_types_are_known_by_name_and_oid(void **)
{
	char name[40];

	for (int t = MR_TYPE_BOOL; t < MR_TYPE_COUNT; t++) {
		const struct mr_type_info *i = mr_type_info((enum mr_type)t);

		assert_int_equal(mr_type_by_name(mr_span_str(i->name)), t);
		assert_int_equal(mr_type_by_name(mr_span_str(i->udt)), t);
		assert_int_equal(mr_type_by_oid(i->oid), t);
	}
	assert_int_equal(mr_type_by_name(mr_span_str("INT")), MR_TYPE_INT4);
	assert_int_equal(mr_type_by_name(mr_span_str("blob")), MR_TYPE_COUNT);
	assert_int_equal(mr_type_by_oid(1043), MR_TYPE_TEXT);
	mr_typeref_format((struct mr_typeref){MR_TYPE_NUMERIC, 12, 2}, name);
	assert_string_equal(name, "numeric(12,2)");
	assert_int_equal(mr_typeref_typmod((struct mr_typeref){MR_TYPE_NUMERIC, 12, 2}), 786438);
	assert_int_equal(mr_typeref_typmod((struct mr_typeref){.type = MR_TYPE_TEXT}), -1);
}

static int setup(void **)
{
	mr_arena_init(&arena, 0);
	return 0;
}

static int teardown(void **)
{
	mr_arena_fini(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(value_agrees_with_postgres),
		cmocka_unit_test(value_binary_noise_is_refused_or_read),
		cmocka_unit_test(value_types_are_known_by_name_and_oid),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
