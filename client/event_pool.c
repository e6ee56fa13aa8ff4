// Batches encoded beforehand.
#include "client/event_pool.h"

#include "client/generator.h"
#include "dataplane/batch_build.h"

#include <errno.h>
#include <stdlib.h>

struct filling {
	const struct mr_event_pool_options *o;
	struct mr_event_pool *pool;
	struct mr_generator *generator;
	struct mr_zip *zip;
	struct mr_batch_builder builder;
	struct mr_buf bytes;
	size_t batches_max;
	int64_t now_ms;
};

// Moves the builder's batch into the pool.
static int keep(struct filling *f)
{
	struct mr_event_pool *p = f->pool;
	int32_t rows = f->builder.count;
	struct mr_produce_batch *b;
	int e;

	if (p->count == f->batches_max) {
		size_t more = f->batches_max * 2 + 64;
		void *grown = realloc(p->batches, more * sizeof(*p->batches));

		if (!grown)
			return -ENOMEM;
		p->batches = grown;
		f->batches_max = more;
	}
	mr_buf_reset(&f->bytes);
	e = mr_batch_builder_finish(
		&f->builder, f->zip, f->o->codec, MR_BATCH_PRODUCER_NONE, &f->bytes);
	if (e < 0)
		return e;
	p->batches[p->count] = (struct mr_event_batch){0};
	b = &p->batches[p->count].batch;
	b->data = malloc(f->bytes.bytes);
	if (!b->data)
		return -ENOMEM;
	memcpy(b->data, f->bytes.data, f->bytes.bytes);
	b->bytes = f->bytes.bytes;
	b->rows = rows;
	p->count++;
	p->rows += (uint64_t)rows;
	p->encoded_bytes += b->bytes;
	return 0;
}

static int fill(struct filling *f)
{
	uint8_t row[MR_GENERATOR_ROW_BYTES_MAX];
	int64_t time_ms;
	int e = 0;

	for (uint64_t i = 0; i < f->o->rows && e == 0; i++) {
		size_t bytes = mr_generator_row(f->generator, row, &time_ms);

		if (f->builder.count && f->builder.records.bytes + bytes > f->o->batch_bytes)
			e = keep(f);
		if (f->pool->encoded_bytes >= f->o->bytes_limit)
			return e;
		f->pool->value_bytes += bytes + 1;
		if (e == 0 && !mr_batch_builder_add(&f->builder, f->now_ms, mr_span(NULL, 0),
				      mr_span(row, bytes), NULL, 0))
			e = -ENOMEM;
	}
	return e == 0 && f->builder.count ? keep(f) : e;
}

int mr_event_pool_create(const struct mr_event_pool_options *o, struct mr_event_pool *out)
{
	struct filling f = {.o = o, .pool = out, .now_ms = mr_wall_us(&mr_clock_system) / 1000};
	int e;

	*out = (struct mr_event_pool){0};
	mr_batch_builder_init(&f.builder, 0);
	e = mr_generator_create(o->seed, MR_GENERATOR_EPOCH_MS, &f.generator);
	if (e == 0)
		e = mr_zip_create(&f.zip);
	if (e == 0)
		e = fill(&f);
	mr_generator_destroy(f.generator);
	mr_zip_destroy(f.zip);
	mr_batch_builder_fini(&f.builder);
	mr_buf_fini(&f.bytes);
	if (e < 0)
		mr_event_pool_destroy(out);
	return e;
}

void mr_event_pool_destroy(struct mr_event_pool *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		free(p->batches[i].batch.data);
	free(p->batches);
	*p = (struct mr_event_pool){0};
}
