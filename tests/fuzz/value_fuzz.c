// Fuzz: a type (first byte) and its text and binary forms. What is read is written and read again:
// the second text must equal the first.
#include "host/base/value.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static bool is_same(struct mr_typeref t, const union mr_value *v, const union mr_value *w)
{
	struct mr_buf a = {0}, b = {0};
	bool same;

	mr_value_format(t, v, NULL, &a);
	mr_value_format(t, w, NULL, &b);
	same = mr_span_eq(mr_buf_span(&a), mr_buf_span(&b));
	mr_buf_fini(&a);
	mr_buf_fini(&b);
	return same;
}

static void check_text(struct mr_typeref t, struct mr_span text, struct mr_arena *arena)
{
	struct mr_buf out = {0};
	union mr_value v, again;
	struct mr_diag diag;

	if (mr_value_parse(t, text, NULL, arena, &v, &diag))
		return;
	mr_value_format(t, &v, NULL, &out);
	MR_ASSERT(mr_value_parse(t, mr_buf_span(&out), NULL, arena, &again, &diag) == 0);
	MR_ASSERT(is_same(t, &v, &again));
	mr_buf_fini(&out);
}

static void check_binary(struct mr_typeref t, struct mr_span bytes)
{
	struct mr_buf out = {0};
	union mr_value v, again;

	if (mr_value_parse_binary(t, bytes, &v, NULL))
		return;
	mr_value_format_binary(t, &v, &out);
	MR_ASSERT(mr_value_parse_binary(t, mr_buf_span(&out), &again, NULL) == 0);
	MR_ASSERT(is_same(t, &v, &again));
	mr_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mr_typeref t;
	struct mr_arena arena;

	if (bytes < 1 || bytes > 1 << 16)
		return 0;
	t = (struct mr_typeref){.type = (uint8_t)(1 + data[0] % (MR_TYPE_COUNT - 1))};
	if (t.type == MR_TYPE_NUMERIC && data[0] & 0x80) {
		t.precision = 12;
		t.scale = 2;
	}
	mr_arena_init(&arena, 0);
	check_text(t, mr_span(data + 1, bytes - 1), &arena);
	check_binary(t, mr_span(data + 1, bytes - 1));
	mr_arena_fini(&arena);
	return 0;
}
