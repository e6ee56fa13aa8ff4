// The JSON decoder: what it takes and refuses by table, and by the thousand against the slow
// reference, with random schemas, documents, orders, duplicates and damage.
#include "dataplane/decode.h"

#include "dataplane/json.h"
#include "host/base/rand.h"
#include "host/base/value.h"
#include "tests/lib/json_ref.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUE_MAX 65536

// A schema, its decoder and a chunk to decode into.
struct bench {
	const struct mr_schema *schema;
	struct mr_decoder *decoder;
	struct mr_chunk_pool *pool;
	struct mr_chunk *chunk;
	struct mr_decode_error error;
	struct mr_buf text;
};

static void open_chunk(struct bench *b)
{
	struct mr_typeref types[MR_SCHEMA_COLUMNS_MAX];

	for (uint32_t i = 0; i < b->schema->columns_count; i++)
		types[i] = b->schema->columns[i].type;
	mr_chunk_put(b->chunk);
	assert_int_equal(mr_chunk_create(b->pool, types, b->schema->columns_count, NULL, 16u << 20,
				 &b->chunk),
		0);
}

static void open_bench(struct bench *b, const struct mr_schema_column *columns, uint32_t count)
{
	*b = (struct bench){0};
	assert_int_equal(mr_schema_create(columns, count, &b->schema), 0);
	assert_int_equal(mr_decoder_create(b->schema, VALUE_MAX, &b->decoder), 0);
	assert_int_equal(mr_chunk_pool_create(64u << 20, -1, &b->pool), 0);
	open_chunk(b);
}

static void close_bench(struct bench *b)
{
	mr_chunk_put(b->chunk);
	mr_chunk_pool_destroy(b->pool);
	mr_decoder_destroy(b->decoder);
	mr_schema_destroy(b->schema);
	mr_buf_fini(&b->text);
}

// Decodes from a heap copy that ends where the value ends, so that sanitizers see every overrun.
static int decode(struct bench *b, struct mr_span value)
{
	uint8_t *copy = malloc(MR_MAX(value.bytes, (size_t)1));
	int err;

	memcpy(copy, value.data, value.bytes);
	do {
		if (b->chunk->full)
			open_chunk(b);
		mr_chunk_row_begin(b->chunk);
		err = mr_decode_json(b->decoder, mr_span(copy, value.bytes), b->chunk, &b->error);
		if (err)
			mr_chunk_row_abort(b->chunk);
		else
			mr_chunk_row_commit(b->chunk);
	} while (err == -ENOMEM);
	free(copy);
	return err;
}

// The last row's value as text; data NULL = null.
static struct mr_span last_text(struct bench *b, uint32_t column)
{
	uint32_t row = b->chunk->rows - 1;
	struct mr_dict dict;
	struct mr_col col;
	struct mr_str s;

	mr_chunk_column_view(b->chunk, column, &col, &dict);
	if (mr_col_is_null(&col, row))
		return mr_span(NULL, 0);
	mr_buf_reset(&b->text);
	if (col.phys == MR_PHYS_BYTES) {
		s = mr_col_str(&col, row);
		mr_value_format(col.type, &s, NULL, &b->text);
	} else {
		size_t width = mr_phys_bytes((enum mr_phys)col.phys);

		mr_value_format(
			col.type, (const uint8_t *)col.values + row * width, NULL, &b->text);
	}
	if (!b->text.data)
		mr_buf_u8(&b->text, 0), b->text.bytes = 0;
	return mr_buf_span(&b->text);
}

static struct mr_schema_column column_of(
	const char *name, enum mr_type type, uint8_t precision, uint8_t scale)
{
	return (struct mr_schema_column){
		.name = mr_span_str(name), .type = {(uint8_t)type, precision, scale}};
}

// ---- by table

static const struct {
	enum mr_type type;
	const char *json;
	const char *text; // NULL: dead letter; "": null
} conversions[] = {
	{MR_TYPE_BOOL, "true", "t"},
	{MR_TYPE_BOOL, "false", "f"},
	{MR_TYPE_BOOL, "null", ""},
	{MR_TYPE_BOOL, "1", NULL},
	{MR_TYPE_BOOL, "\"true\"", NULL},
	{MR_TYPE_INT2, "32767", "32767"},
	{MR_TYPE_INT2, "32768", NULL},
	{MR_TYPE_INT2, "-32768", "-32768"},
	{MR_TYPE_INT4, "\"42\"", "42"},
	{MR_TYPE_INT4, "5.0", "5"},
	{MR_TYPE_INT4, "1e3", "1000"},
	{MR_TYPE_INT4, "1.5", NULL},
	{MR_TYPE_INT4, "1e-1", NULL},
	{MR_TYPE_INT4, "true", NULL},
	{MR_TYPE_INT4, "\"\"", NULL},
	{MR_TYPE_INT4, "\" 1\"", NULL},
	{MR_TYPE_INT4, "2147483648", NULL},
	{MR_TYPE_INT4, "{}", NULL},
	{MR_TYPE_INT8, "9223372036854775807", "9223372036854775807"},
	{MR_TYPE_INT8, "-9223372036854775808", "-9223372036854775808"},
	{MR_TYPE_INT8, "9223372036854775808", NULL},
	{MR_TYPE_INT8, "5.00000000000000000000000000000000000000000000000000", "5"},
	{MR_TYPE_FLOAT8, "0.1", "0.1"},
	{MR_TYPE_FLOAT8, "-0", "-0"},
	{MR_TYPE_FLOAT8, "-0.0", "-0"},
	{MR_TYPE_FLOAT8, "1e400", NULL},
	{MR_TYPE_FLOAT8, "\"NaN\"", "NaN"},
	{MR_TYPE_FLOAT8, "\"-Infinity\"", "-Infinity"},
	{MR_TYPE_FLOAT8, "123456789012345678901234567890", "1.2345678901234568e+29"},
	{MR_TYPE_FLOAT4, "0.1", "0.1"},
	{MR_TYPE_FLOAT4, "1e39", NULL},
	{MR_TYPE_NUMERIC, "12.345", "12.35"},
	{MR_TYPE_NUMERIC, "-12.345", "-12.35"},
	{MR_TYPE_NUMERIC, "12.344999999999999999999999999999999999999999", "12.34"},
	{MR_TYPE_NUMERIC, "\"7\"", "7.00"},
	{MR_TYPE_NUMERIC, "9999999999.99", "9999999999.99"},
	{MR_TYPE_NUMERIC, "9999999999.995", NULL},
	{MR_TYPE_NUMERIC, "10000000000", NULL},
	{MR_TYPE_NUMERIC, "1e2", "100.00"},
	{MR_TYPE_NUMERIC, "\"NaN\"", NULL},
	{MR_TYPE_TEXT, "\"\"", "(empty)"},
	{MR_TYPE_TEXT, "\"a\\u00e9\\n\\ud83d\\ude00\"", "a\xc3\xa9\n\xf0\x9f\x98\x80"},
	{MR_TYPE_TEXT, "\"\\u0000\"", NULL},
	{MR_TYPE_TEXT, "12.50", "12.50"},
	{MR_TYPE_TEXT, "true", "true"},
	{MR_TYPE_TEXT, "{\"a\" : [1, \"\\u0000\"]}", "{\"a\" : [1, \"\\u0000\"]}"},
	{MR_TYPE_TEXT, "[ ]", "[ ]"},
	{MR_TYPE_UUID, "\"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11\"",
		"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
	{MR_TYPE_UUID, "\"a0eebc99\"", NULL},
	{MR_TYPE_UUID, "1", NULL},
	{MR_TYPE_DATE, "\"2026-11-21\"", "2026-11-21"},
	{MR_TYPE_DATE, "\"2026-11-21T03:04:05Z\"", "2026-11-21"},
	{MR_TYPE_DATE, "\"2026-02-30\"", NULL},
	{MR_TYPE_DATE, "\"today\"", NULL},
	{MR_TYPE_TIMESTAMPTZ, "\"2026-11-21T03:04:05.678Z\"", "2026-11-21 03:04:05.678+00"},
	{MR_TYPE_TIMESTAMPTZ, "\"2026-11-21 03:04:05+02:00\"", "2026-11-21 01:04:05+00"},
	{MR_TYPE_TIMESTAMPTZ, "\"2026-11-21T03:04\"", "2026-11-21 03:04:00+00"},
	{MR_TYPE_TIMESTAMPTZ, "1700000000123", "2023-11-14 22:13:20.123+00"},
	{MR_TYPE_TIMESTAMPTZ, "1700000000123.4567", "2023-11-14 22:13:20.123457+00"},
	{MR_TYPE_TIMESTAMPTZ, "-1", "1969-12-31 23:59:59.999+00"},
	{MR_TYPE_TIMESTAMPTZ, "1e300", NULL},
	{MR_TYPE_TIMESTAMPTZ, "\"now\"", NULL},
	{MR_TYPE_TIMESTAMPTZ, "\"infinity\"", NULL},
	{MR_TYPE_TIMESTAMPTZ, "\"2026-11-21 10:00 America/New_York\"", NULL},
	{MR_TYPE_TIMESTAMPTZ, "true", NULL},
	{MR_TYPE_TIMESTAMP, "\"2026-11-21T03:04:05+02:00\"", "2026-11-21 03:04:05"},
	{MR_TYPE_BYTEA, "\"\\\\xDEad\"", "\\xdead"},
	{MR_TYPE_BYTEA, "\"\\\\x\"", "\\x"},
	{MR_TYPE_BYTEA, "\"\\\\xd\"", NULL},
	{MR_TYPE_BYTEA, "\"dead\"", NULL},
};

static void decode_converts_as_the_contract_says(void **)
{
	for (size_t i = 0; i < MR_COUNT_OF(conversions); i++) {
		bool numeric = conversions[i].type == MR_TYPE_NUMERIC;
		struct mr_schema_column c =
			column_of("v", conversions[i].type, numeric ? 12 : 0, numeric ? 2 : 0);
		const char *want = conversions[i].text;
		struct mr_span got;
		struct bench b;
		char json[256];
		int err;

		snprintf(json, sizeof(json), "{\"v\":%s}", conversions[i].json);
		open_bench(&b, &c, 1);
		err = decode(&b, mr_span_str(json));
		if ((err != 0) != (want == NULL))
			fail_msg("%s for type %d: %d %s", json, conversions[i].type, err,
				err ? b.error.text : "");
		if (want) {
			got = last_text(&b, 0);
			if (!strcmp(want, "(empty)"))
				want = "";
			else if (!*want)
				assert_null(got.data);
			if (!mr_span_eq(got, mr_span_str(want)))
				fail_msg("%s: want %s, got %.*s", json, want, (int)got.bytes,
					(const char *)got.data);
		} else {
			assert_int_equal(b.error.column, 0);
			assert_non_null(strstr(b.error.text, "column \"v\""));
		}
		close_bench(&b);
	}
}

static void decode_refuses_what_is_not_one_object(void **)
{
	static const struct {
		const char *json;
		uint32_t position;
	} cases[] = {
		{"", 0},
		{" ", 1},
		{"[]", 0},
		{"null", 0},
		{"12", 0},
		{"{", 1},
		{"{}x", 2},
		{"{} {}", 3},
		{"{\"a\"}", 4},
		{"{\"a\":}", 5},
		{"{\"a\":1,}", 7},
		{"{,}", 1},
		{"{\"a\":01}", 6},
		{"{\"a\":1.}", 7},
		{"{\"a\":.5}", 5},
		{"{\"a\":+5}", 5},
		{"{\"a\":-}", 6},
		{"{\"a\":1e}", 7},
		{"{\"a\":tru}", 8},
		{"{\"a\":nul", 8},
		{"{\"a\":NaN}", 5},
		{"{'a':1}", 1},
		{"{\"a\":\"\\x\"}", 7},
		{"{\"a\":\"\\ud800\"}", 12},
		{"{\"a\":\"\\udc00\"}", 7},
		{"{\"a\":\"\\u12g4\"}", 7},
		{"{\"a\":\"\x01\"}", 6},
		{"{\"a\":\"\xff\"}", 6},
		{"{\"a\":\"\xc0\x80\"}", 6},
		{"{\"\xed\xa0\x80\":1}", 2},
		{"{\"a\":[1,]}", 8},
		{"{\"a\":[1 2]}", 8},
		{"{\"a\":{\"b\"}}", 9},
		{"{\"a\":[}", 6},
		{"{\"a\":\"abc", 9},
		{"\xef\xbb\xbf{}", 0},
	};
	struct mr_schema_column c = column_of("v", MR_TYPE_INT8, 0, 0);
	struct bench b;

	open_bench(&b, &c, 1);
	for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
		assert_true(decode(&b, mr_span_str(cases[i].json)) > 0);
		assert_int_equal(b.error.column, -1);
		if (b.error.position != cases[i].position)
			fail_msg("%s: want position %u, got %u: %s", cases[i].json,
				cases[i].position, b.error.position, b.error.text);
	}
	assert_true(mr_decode_json(b.decoder, mr_span(NULL, 0), b.chunk, &b.error) > 0);
	assert_string_equal(b.error.text, "the value is null");
	assert_int_equal(decode(&b, mr_span_str("{}")), 0);
	close_bench(&b);
}

static void decode_limits_nesting_and_bytes(void **)
{
	struct mr_schema_column c = column_of("v", MR_TYPE_TEXT, 0, 0);
	static char json[VALUE_MAX + 16];
	struct bench b;

	open_bench(&b, &c, 1);
	for (int depth = 60; depth < 70; depth++) {
		int at = sprintf(json, "{\"v\":");

		for (int i = 0; i < depth; i++)
			at += sprintf(json + at, "%s", i % 2 ? "[" : "{\"k\":");
		at += sprintf(json + at, "0");
		for (int i = depth - 1; i >= 0; i--)
			at += sprintf(json + at, "%s", i % 2 ? "]" : "}");
		sprintf(json + at, "}");
		assert_int_equal(decode(&b, mr_span_str(json)) > 0, depth + 1 > MR_JSON_DEPTH_MAX);
	}
	memset(json, ' ', sizeof(json));
	json[0] = '{';
	json[VALUE_MAX - 1] = '}';
	assert_int_equal(decode(&b, mr_span(json, VALUE_MAX)), 0);
	json[VALUE_MAX - 1] = ' ';
	json[VALUE_MAX] = '}';
	assert_true(decode(&b, mr_span(json, VALUE_MAX + 1)) > 0);
	assert_non_null(strstr(b.error.text, "limit"));
	close_bench(&b);
}

static void decode_last_duplicate_wins_in_any_order(void **)
{
	struct mr_schema_column columns[] = {
		column_of("userId", MR_TYPE_INT8, 0, 0), column_of("t", MR_TYPE_TEXT, 0, 0)};
	struct bench b;

	columns[0].not_null = true;
	open_bench(&b, columns, 2);
	assert_int_equal(decode(&b, mr_span_str("{\"userId\":\"x\",\"t\":\"a\",\"userId\":7}")), 0);
	assert_true(mr_span_eq(last_text(&b, 0), mr_span_str("7")));
	assert_int_equal(decode(&b, mr_span_str("{\"t\":\"b\",\"userId\":1,\"t\":null}")), 0);
	assert_null(last_text(&b, 1).data);
	assert_int_equal(decode(&b, mr_span_str("{\"user\\u0049d\":9,\"userid\":8}")), 0);
	assert_true(mr_span_eq(last_text(&b, 0), mr_span_str("9")));
	assert_true(decode(&b, mr_span_str("{\"userid\":8}")) > 0);
	assert_int_equal(b.error.column, 0);
	assert_true(decode(&b, mr_span_str("{\"userId\":8,\"userId\":null}")) > 0);
	close_bench(&b);
}

// A row that meets a full chunk is decoded again into the next one, and nothing is lost.
static void decode_full_chunk_asks_for_another(void **)
{
	struct mr_schema_column c = column_of("v", MR_TYPE_TEXT, 0, 0);
	struct bench b;
	int enomem = 0;

	open_bench(&b, &c, 1);
	for (int i = 0; i < 70000; i++) {
		char json[64];
		int err;

		snprintf(json, sizeof(json), "{\"v\":\"%d\"}", i);
		if (b.chunk->full)
			open_chunk(&b);
		mr_chunk_row_begin(b.chunk);
		err = mr_decode_json(b.decoder, mr_span_str(json), b.chunk, &b.error);
		if (err) {
			assert_int_equal(err, -ENOMEM);
			assert_true(b.chunk->full);
			mr_chunk_row_abort(b.chunk);
			enomem++;
			i--;
			continue;
		}
		mr_chunk_row_commit(b.chunk);
	}
	assert_int_equal(enomem, 1);
	close_bench(&b);
}

// ---- by the thousand

static const char *const names[] = {"a", "id", "userId", "a_rather_long_column_name", "12345678",
	"1234567", "123456789", "\xc3\xa9t\xc3\xa9", "with space", "A", "x.y", "quote\"d"};
static const char *const scalars[] = {"0", "-1", "42", "1.5", "-0.005", "1e3", "12345678901234567",
	"99999999999999999999", "1.0", "0.1e-5", "true", "false", "null", "\"\"", "\"abc\"",
	"\"12.5\"", "\"-7\"", "\"2026-11-21T03:04:05.678Z\"", "\"2026-11-21\"", "1700000000123",
	"\"\\\\xdeadbeef\"", "\"\\u0041\\n\\ud83d\\ude00\"", "\"\\u0000\"", "\"\xe2\x82\xac\"",
	"\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"", "{}", "[]", "{\"a\":{\"b\":[1,\"]\"]}}",
	"[[],[{}],\"}\"]", "\"a long string with \\\" and more than 8 and 16 bytes\"", "-0",
	"32768", "1e400", "123.456789012345678901234567890123456789", "\"NaN\"", "\"+5\"",
	"2147483647"};

static void add_spaces(struct mr_rand *r, struct mr_buf *b)
{
	while (mr_rand_below(r, 8) == 0)
		mr_buf_u8(b, " \n\t\r"[mr_rand_below(r, 4)]);
}

static void add_name(struct mr_rand *r, struct mr_buf *b)
{
	const char *name = names[mr_rand_below(r, MR_COUNT_OF(names))];

	mr_buf_u8(b, '"');
	for (; *name; name++) {
		if (*name == '"')
			mr_buf_str(b, "\\\"");
		else if ((uint8_t)*name < 128 && mr_rand_below(r, 30) == 0)
			mr_buf_printf(b, "\\u%04x", (unsigned)*name);
		else
			mr_buf_u8(b, (uint8_t)*name);
	}
	mr_buf_u8(b, '"');
}

static void random_document(struct mr_rand *r, struct mr_buf *b)
{
	uint64_t fields = mr_rand_below(r, 8);

	mr_buf_reset(b);
	add_spaces(r, b);
	mr_buf_u8(b, '{');
	for (uint64_t i = 0; i < fields; i++) {
		if (i)
			mr_buf_u8(b, ',');
		add_spaces(r, b);
		add_name(r, b);
		add_spaces(r, b);
		mr_buf_u8(b, ':');
		add_spaces(r, b);
		mr_buf_str(b, scalars[mr_rand_below(r, MR_COUNT_OF(scalars))]);
		add_spaces(r, b);
	}
	mr_buf_u8(b, '}');
	add_spaces(r, b);
}

static void damage(struct mr_rand *r, struct mr_buf *b)
{
	static const char bytes[] = "{}[]\",:\\u0-+.eE1 tfn\x01\x80\xc3\xff";
	size_t at = mr_rand_below(r, b->bytes);

	switch (mr_rand_below(r, 4)) {
	case 0: b->data[at] = (uint8_t)bytes[mr_rand_below(r, sizeof(bytes) - 1)]; break;
	case 1: b->bytes = at; break;
	case 2:
		memmove(b->data + at, b->data + at + 1, b->bytes - at - 1);
		b->bytes--;
		break;
	default:
		mr_buf_u8(b, 0);
		memmove(b->data + at + 1, b->data + at, b->bytes - at - 1);
		b->data[at] = (uint8_t)bytes[mr_rand_below(r, sizeof(bytes) - 1)];
	}
}

static uint32_t random_columns(struct mr_rand *r, struct mr_schema_column *columns)
{
	uint32_t first = (uint32_t)mr_rand_below(r, MR_COUNT_OF(names));
	uint32_t count = 1 + (uint32_t)mr_rand_below(r, 6);

	for (uint32_t i = 0; i < count; i++) {
		uint8_t precision = (uint8_t)(1 + mr_rand_below(r, 35));
		enum mr_type type = (enum mr_type)(1 + mr_rand_below(r, MR_TYPE_INTERVAL - 1));

		if (mr_rand_below(r, 2))
			type = MR_TYPE_TEXT;
		columns[i] = column_of(names[(first + i) % MR_COUNT_OF(names)], type, 0, 0);
		columns[i].not_null = mr_rand_below(r, 8) == 0;
		if (type == MR_TYPE_NUMERIC && mr_rand_below(r, 4)) {
			columns[i].type.precision = precision;
			columns[i].type.scale = (uint8_t)mr_rand_below(r, precision + 1);
		}
	}
	return count;
}

static void compare_with_reference(struct bench *b, struct mr_arena *arena, struct mr_span value)
{
	struct mr_json_ref ref;
	int err = decode(b, value);

	mr_arena_reset(arena);
	mr_json_ref_decode(b->schema, value, arena, &ref);
	if (value.bytes && (err == 0) != ref.accepted)
		fail_msg("%.*s: decoder %s, reference %s", (int)value.bytes,
			(const char *)value.data, err ? b->error.text : "accepts",
			ref.accepted ? "accepts" : ref.why);
	if (err)
		return;
	for (uint32_t i = 0; i < b->schema->columns_count; i++) {
		struct mr_span got = last_text(b, i);

		if (!got.data != !ref.texts[i].data || !mr_span_eq(got, ref.texts[i]))
			fail_msg("%.*s column %u: got %.*s, reference %.*s", (int)value.bytes,
				(const char *)value.data, i, (int)got.bytes,
				got.data ? (const char *)got.data : "", (int)ref.texts[i].bytes,
				ref.texts[i].data ? (const char *)ref.texts[i].data : "");
	}
}

static void decode_agrees_with_the_reference(void **)
{
	uint64_t seed = getenv("MR_SEED") ? strtoull(getenv("MR_SEED"), NULL, 10) : 51;
	struct mr_buf document = {0};
	struct mr_arena arena;
	struct mr_rand r;

	print_message("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&r, seed);
	mr_arena_init(&arena, 0);
	for (int s = 0; s < 150; s++) {
		struct mr_schema_column columns[8];
		uint32_t count = random_columns(&r, columns);
		struct bench b;

		open_bench(&b, columns, count);
		for (int i = 0; i < 300; i++) {
			if (document.bytes == 0 || mr_rand_below(&r, 3))
				random_document(&r, &document);
			if (mr_rand_below(&r, 3) == 0 && document.bytes)
				damage(&r, &document);
			compare_with_reference(&b, &arena, mr_buf_span(&document));
		}
		close_bench(&b);
	}
	mr_buf_fini(&document);
	mr_arena_fini(&arena);
}

static void schema_rejects_bad_columns(void **)
{
	struct mr_schema_column columns[] = {
		column_of("a", MR_TYPE_INT4, 0, 0), column_of("a", MR_TYPE_TEXT, 0, 0)};
	const struct mr_schema *s;

	assert_int_equal(mr_schema_create(columns, 2, &s), -EINVAL);
	columns[1].name = mr_span_str("");
	assert_int_equal(mr_schema_create(columns, 2, &s), -EINVAL);
	columns[1] = column_of("b", MR_TYPE_INTERVAL, 0, 0);
	assert_int_equal(mr_schema_create(columns, 2, &s), -EINVAL);
	columns[1] = column_of("b", MR_TYPE_TEXT, 0, 0);
	assert_int_equal(mr_schema_create(columns, 2, &s), 0);
	assert_int_equal(mr_schema_find(s, mr_span_str("b")), 1);
	assert_int_equal(mr_schema_find(s, mr_span_str("c")), -1);
	mr_schema_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decode_converts_as_the_contract_says),
		cmocka_unit_test(decode_refuses_what_is_not_one_object),
		cmocka_unit_test(decode_limits_nesting_and_bytes),
		cmocka_unit_test(decode_last_duplicate_wins_in_any_order),
		cmocka_unit_test(decode_full_chunk_asks_for_another),
		cmocka_unit_test(decode_agrees_with_the_reference),
		cmocka_unit_test(schema_rejects_bad_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
