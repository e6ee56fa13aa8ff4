// JSON decoding: nanoseconds per row of ten-field events of about 224 bytes, against copying the
// same bytes. Seeded; prints a table. Options: --rows N, --smoke.
//
// Each round decodes all rows into fresh chunks of one pool, so that dictionary building, chunk
// turnover and freeing are in the figure; the fastest and the median round are shown.
#include "dataplane/decode.h"
#include "host/base/clock.h"
#include "host/base/datetime.h"
#include "host/base/rand.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS     9
#define VALUE_MAX  4096
#define EPOCH_US   1700000000000000
#define CATEGORIES 20
#define COUNTRIES  200
#define PAGES      100000

static const struct mr_schema_column columns[] = {
	{{(const uint8_t *)"event_time", 10}, {.type = MR_TYPE_TIMESTAMPTZ}, true},
	{{(const uint8_t *)"user_id", 7}, {.type = MR_TYPE_INT8}, false},
	{{(const uint8_t *)"ip", 2}, {.type = MR_TYPE_TEXT}, false},
	{{(const uint8_t *)"category", 8}, {.type = MR_TYPE_TEXT}, false},
	{{(const uint8_t *)"country", 7}, {.type = MR_TYPE_TEXT}, false},
	{{(const uint8_t *)"page_url", 8}, {.type = MR_TYPE_TEXT}, false},
	{{(const uint8_t *)"amount", 6}, {.type = MR_TYPE_NUMERIC, .precision = 12, .scale = 2},
		false},
	{{(const uint8_t *)"response_time_ms", 16}, {.type = MR_TYPE_FLOAT8}, false},
	{{(const uint8_t *)"status", 6}, {.type = MR_TYPE_INT4}, false},
	{{(const uint8_t *)"is_bot", 6}, {.type = MR_TYPE_BOOL}, false},
};
#define COLUMNS MR_COUNT_OF(columns)

struct events {
	uint8_t *bytes;
	size_t bytes_count;
	uint32_t *ends;
	uint32_t rows;
};

// Zipf-like: small numbers far more often.
static uint64_t skewed(struct mr_rand *r, uint64_t n)
{
	return (uint64_t)(pow(mr_rand_unit(r), 4) * (double)n);
}

static size_t write_event(struct mr_rand *r, uint32_t row, char *out, size_t bytes_max)
{
	static const char *const statuses[] = {"200", "200", "200", "404", "500"};
	int64_t us = EPOCH_US + row * 10000ll - (int64_t)mr_rand_below(r, 5000000);
	char time[MR_DATETIME_TEXT_BYTES];
	uint64_t country = skewed(r, COUNTRIES), page = skewed(r, PAGES);

	mr_ts_format(us / 1000 * 1000, time);
	time[10] = 'T';
	return (size_t)snprintf(out, bytes_max,
		"{\"event_time\":\"%.19s.%03dZ\",\"user_id\":%llu,\"ip\":\"%d.%d.%d.%d\","
		"\"category\":\"category-%02d\",\"country\":\"%c%c\","
		"\"page_url\":\"/shop/items/%05llu/checkout\",\"amount\":%llu.%02d,"
		"\"response_time_ms\":%llu.%03d,\"status\":%s,\"is_bot\":%s}",
		time, (int)(us / 1000 % 1000), (unsigned long long)skewed(r, 10000000),
		(int)mr_rand_below(r, 256), (int)mr_rand_below(r, 256), (int)mr_rand_below(r, 256),
		(int)mr_rand_below(r, 256), (int)skewed(r, CATEGORIES), 'A' + (int)(country / 26),
		'A' + (int)(country % 26), (unsigned long long)page,
		(unsigned long long)skewed(r, 10000), (int)mr_rand_below(r, 100),
		(unsigned long long)skewed(r, 3000), (int)mr_rand_below(r, 1000),
		statuses[mr_rand_below(r, 5)], mr_rand_below(r, 10) ? "false" : "true");
}

static void make_events(struct events *e, uint32_t rows, uint64_t seed)
{
	struct mr_rand r;
	size_t at = 0;

	mr_rand_init(&r, seed);
	e->rows = rows;
	e->bytes = malloc((size_t)rows * 320);
	e->ends = malloc(rows * sizeof(*e->ends));
	MR_ASSERT(e->bytes && e->ends);
	for (uint32_t i = 0; i < rows; i++) {
		at += write_event(&r, i, (char *)e->bytes + at, 320);
		e->ends[i] = (uint32_t)at;
	}
	e->bytes_count = at;
}

static struct mr_chunk *next_chunk(struct mr_chunk_pool *pool, struct mr_chunk *old)
{
	struct mr_typeref types[COLUMNS];
	bool plain[COLUMNS] = {false};
	struct mr_chunk *c;

	for (uint32_t i = 0; i < COLUMNS; i++) {
		types[i] = columns[i].type;
		plain[i] = old && mr_chunk_prefers_plain(old, i);
	}
	mr_chunk_put(old);
	MR_ASSERT(mr_chunk_create(pool, types, COLUMNS, plain, 64u << 20, &c) == 0);
	return c;
}

// Decodes every row once; returns a sum that depends on it.
static uint64_t decode_all(struct mr_decoder *d, const struct events *e, struct mr_chunk_pool *pool,
	struct mr_chunk **c)
{
	struct mr_decode_error error;
	uint64_t sum = 0;
	uint32_t start = 0;

	for (uint32_t i = 0; i < e->rows; start = e->ends[i++]) {
		struct mr_span value = mr_span(e->bytes + start, e->ends[i] - start);
		int err;

		do { // a second time when the chunk's dictionaries or bytes were used up
			if ((*c)->full)
				*c = next_chunk(pool, *c);
			mr_chunk_row_begin(*c);
			err = mr_decode_json(d, value, *c, &error);
			if (err)
				mr_chunk_row_abort(*c);
		} while (err == -ENOMEM);
		MR_ASSERT(err == 0);
		mr_chunk_row_commit(*c);
		sum += (uint64_t)((int64_t *)(*c)->columns[6].values)[(*c)->rows - 1];
	}
	return sum;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void report(const char *name, int64_t ns[ROUNDS], const struct events *e)
{
	double least, median;

	qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
	least = (double)ns[0] / e->rows;
	median = (double)ns[ROUNDS / 2] / e->rows;
	printf("%-8s %8.1f %8.1f %10.2f %8.2f\n", name, least, median, 1e3 / median,
		(double)e->bytes_count / (double)ns[ROUNDS / 2]);
}

int main(int argc, char **argv)
{
	uint32_t rows = 1000000;
	const struct mr_schema *schema;
	struct mr_chunk_pool *pool;
	struct mr_chunk *chunk;
	struct mr_decoder *d;
	struct events e;
	int64_t ns[ROUNDS];
	uint64_t sum = 0;
	uint8_t *copy;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--smoke"))
			rows = 2000;
		else if (!strcmp(argv[i], "--rows") && i + 1 < argc)
			rows = (uint32_t)atoi(argv[++i]);
	}
	make_events(&e, rows, 42);
	copy = malloc(e.bytes_count);
	MR_ASSERT(copy && mr_schema_create(columns, COLUMNS, &schema) == 0);
	MR_ASSERT(mr_decoder_create(schema, VALUE_MAX, &d) == 0);
	MR_ASSERT(mr_chunk_pool_create(256u << 20, -1, &pool) == 0);
	chunk = next_chunk(pool, NULL);
	printf("%u rows, %.1f bytes each, seed 42\n%-8s %8s %8s %10s %8s\n", rows,
		(double)e.bytes_count / rows, "", "ns min", "ns med", "M rows/s", "GB/s");
	for (int i = 0; i < ROUNDS; i++) {
		int64_t start = mr_now_ns(&mr_clock_system);
		uint32_t from = 0;

		for (uint32_t k = 0; k < rows; from = e.ends[k++])
			memcpy(copy + from, e.bytes + from, e.ends[k] - from);
		ns[i] = mr_now_ns(&mr_clock_system) - start;
		sum += copy[i];
	}
	report("memcpy", ns, &e);
	for (int i = 0; i < ROUNDS; i++) {
		int64_t start = mr_now_ns(&mr_clock_system);

		sum += decode_all(d, &e, pool, &chunk);
		ns[i] = mr_now_ns(&mr_clock_system) - start;
	}
	report("decode", ns, &e);
	printf("hash %016llx\n", (unsigned long long)sum);
	mr_chunk_put(chunk);
	mr_chunk_pool_destroy(pool);
	mr_decoder_destroy(d);
	mr_schema_destroy(schema);
	free(copy);
	free(e.bytes);
	free(e.ends);
	return 0;
}
