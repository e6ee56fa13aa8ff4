// Fuzz: a document against one schema of all types, real decoder and reference side by side.
#include "dataplane/decode.h"

#include "tests/lib/json_ref.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const struct mr_schema_column columns[] = {
	{{(const uint8_t *)"b", 1}, {.type = MR_TYPE_BOOL}, false},
	{{(const uint8_t *)"i2", 2}, {.type = MR_TYPE_INT2}, false},
	{{(const uint8_t *)"i4", 2}, {.type = MR_TYPE_INT4}, false},
	{{(const uint8_t *)"i8", 2}, {.type = MR_TYPE_INT8}, false},
	{{(const uint8_t *)"f4", 2}, {.type = MR_TYPE_FLOAT4}, false},
	{{(const uint8_t *)"f8", 2}, {.type = MR_TYPE_FLOAT8}, false},
	{{(const uint8_t *)"n", 1}, {.type = MR_TYPE_NUMERIC, .precision = 12, .scale = 2}, false},
	{{(const uint8_t *)"bare", 4}, {.type = MR_TYPE_NUMERIC}, false},
	{{(const uint8_t *)"text", 4}, {.type = MR_TYPE_TEXT}, false},
	{{(const uint8_t *)"uuid", 4}, {.type = MR_TYPE_UUID}, false},
	{{(const uint8_t *)"date", 4}, {.type = MR_TYPE_DATE}, false},
	{{(const uint8_t *)"ts", 2}, {.type = MR_TYPE_TIMESTAMP}, false},
	{{(const uint8_t *)"tstz", 4}, {.type = MR_TYPE_TIMESTAMPTZ}, false},
	{{(const uint8_t *)"bytea", 5}, {.type = MR_TYPE_BYTEA}, false},
};
#define COLUMNS MR_COUNT_OF(columns)

static const struct mr_schema *schema;
static struct mr_decoder *decoder;
static struct mr_chunk_pool *pool;
static struct mr_arena arena;

static void set_up(void)
{
	mr_arena_init(&arena, 0);
	MR_ASSERT(mr_schema_create(columns, COLUMNS, &schema) == 0);
	MR_ASSERT(mr_decoder_create(schema, 1 << 16, &decoder) == 0);
	MR_ASSERT(mr_chunk_pool_create(64u << 20, -1, &pool) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct mr_chunk *chunk;
	struct mr_typeref types[COLUMNS];
	struct mr_decode_error error;
	struct mr_json_ref ref;
	int err;

	if (!schema)
		set_up();
	for (size_t i = 0; i < COLUMNS; i++)
		types[i] = columns[i].type;
	if (!chunk)
		MR_ASSERT(mr_chunk_create(pool, types, COLUMNS, NULL, 32u << 20, &chunk) == 0);
	mr_chunk_row_begin(chunk);
	err = mr_decode_json(decoder, mr_span(data, bytes), chunk, &error);
	if (err)
		mr_chunk_row_abort(chunk);
	else
		mr_chunk_row_commit(chunk);
	if (chunk->full) {
		mr_chunk_put(chunk);
		chunk = NULL;
	}
	if (bytes == 0 || bytes > 1 << 16 || err == -ENOMEM)
		return 0;
	mr_arena_reset(&arena);
	mr_json_ref_decode(schema, mr_span(data, bytes), &arena, &ref);
	MR_ASSERT(ref.accepted == (err == 0));
	return 0;
}
