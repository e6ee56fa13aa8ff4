// Table parts: decoding batches into chunks, publishing rows, versions for readers.
#include "host/table.h"

#include "host/base/quote.h"
#include "host/scan.h"
#include "host/view/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct mr_typeref hidden_types[MR_HIDDEN_COUNT] = {
	[MR_HIDDEN_KEY] = {MR_TYPE_BYTEA, 0, 0},
	[MR_HIDDEN_HEADERS] = {MR_TYPE_TEXT, 0, 0},
	[MR_HIDDEN_PARTITION] = {MR_TYPE_INT4, 0, 0},
	[MR_HIDDEN_OFFSET] = {MR_TYPE_INT8, 0, 0},
	[MR_HIDDEN_TIMESTAMP] = {MR_TYPE_TIMESTAMPTZ, 0, 0},
};

static const char *const hidden_names[MR_HIDDEN_COUNT] = {
	[MR_HIDDEN_KEY] = "_key",
	[MR_HIDDEN_HEADERS] = "_headers",
	[MR_HIDDEN_PARTITION] = "_partition",
	[MR_HIDDEN_OFFSET] = "_offset",
	[MR_HIDDEN_TIMESTAMP] = "_timestamp",
};

static const struct mr_typeref dead_types[MR_DEAD_COUNT] = {
	[MR_DEAD_TOPIC] = {MR_TYPE_TEXT, 0, 0},
	[MR_DEAD_PARTITION] = {MR_TYPE_INT4, 0, 0},
	[MR_DEAD_OFFSET] = {MR_TYPE_INT8, 0, 0},
	[MR_DEAD_TIMESTAMP] = {MR_TYPE_TIMESTAMPTZ, 0, 0},
	[MR_DEAD_KEY] = {MR_TYPE_BYTEA, 0, 0},
	[MR_DEAD_VALUE] = {MR_TYPE_BYTEA, 0, 0},
	[MR_DEAD_REASON] = {MR_TYPE_TEXT, 0, 0},
};

static void count(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(
		c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

// ---- versions

static void version_empty(struct mr_version *v)
{
	for (uint32_t i = 0; i < v->chunks_count; i++)
		mr_chunk_put(v->chunks[i]);
	v->chunks_count = 0;
}

void mr_version_unpin(struct mr_version *v)
{
	uint32_t r = atomic_load_explicit(&v->references, memory_order_relaxed);

	for (;;) {
		uint32_t next = r == 1 ? MR_VERSION_BUSY : r - 1;

		MR_ASSERT(r != 0 && r != MR_VERSION_BUSY);
		if (atomic_compare_exchange_weak_explicit(
			    &v->references, &r, next, memory_order_acq_rel, memory_order_relaxed))
			break;
	}
	if (r > 1)
		return;
	version_empty(v);
	atomic_store_explicit(&v->references, 0, memory_order_release);
}

static bool version_try_pin(struct mr_version *v)
{
	uint32_t r = atomic_load_explicit(&v->references, memory_order_relaxed);

	while (r != 0 && r != MR_VERSION_BUSY)
		if (atomic_compare_exchange_weak_explicit(
			    &v->references, &r, r + 1, memory_order_acquire, memory_order_relaxed))
			return true;
	return false;
}

struct mr_version *mr_chunk_list_pin(struct mr_chunk_list *l)
{
	for (;;) {
		struct mr_version *v = atomic_load_explicit(&l->version, memory_order_acquire);

		if (!version_try_pin(v))
			continue;
		if (atomic_load_explicit(&l->version, memory_order_acquire) == v)
			return v;
		mr_version_unpin(v);
	}
}

// A slot that nobody holds, with room for `chunks` chunks. References stay 0 until it is published.
static struct mr_version *version_slot(struct mr_chunk_list *l, uint32_t chunks)
{
	struct mr_version *v = l->slots;

	while (v && atomic_load_explicit(&v->references, memory_order_acquire) != 0)
		v = v->slot_next;
	if (!v) {
		v = calloc(1, sizeof(*v));
		MR_ASSERT(v);
		v->slot_next = l->slots;
		l->slots = v;
	}
	if (v->chunks_max < chunks) {
		uint32_t max = MR_MAX(chunks, v->chunks_max * 2 + 8);
		struct mr_chunk **grown = realloc(v->chunks, max * sizeof(struct mr_chunk *));

		MR_ASSERT(grown);
		v->chunks = grown;
		v->chunks_max = max;
	}
	return v;
}

// Publishes the present list with `added` (may be NULL) at its end.
static void list_publish(struct mr_chunk_list *l, struct mr_chunk *added)
{
	struct mr_version *old = atomic_load_explicit(&l->version, memory_order_relaxed);
	uint32_t kept = old ? old->chunks_count : 0;
	struct mr_version *v = version_slot(l, kept + 1);

	for (uint32_t i = 0; i < kept; i++) {
		mr_chunk_get(old->chunks[i]);
		v->chunks[i] = old->chunks[i];
	}
	v->chunks_count = kept;
	if (added)
		v->chunks[v->chunks_count++] = added;
	atomic_store_explicit(&v->references, 1, memory_order_release);
	atomic_store_explicit(&l->version, v, memory_order_release);
	if (old)
		mr_version_unpin(old);
}

static int list_init(struct mr_chunk_list *l, const struct mr_typeref *types, uint32_t types_count)
{
	*l = (struct mr_chunk_list){.types = types, .types_count = types_count};
	l->plain = calloc(types_count, sizeof(*l->plain));
	if (!l->plain)
		return -ENOMEM;
	list_publish(l, NULL);
	return 0;
}

static void list_fini(struct mr_chunk_list *l)
{
	struct mr_version *v = atomic_load_explicit(&l->version, memory_order_relaxed);

	if (v)
		mr_version_unpin(v);
	while (l->slots) {
		v = l->slots;
		l->slots = v->slot_next;
		MR_ASSERT(atomic_load_explicit(&v->references, memory_order_acquire) == 0);
		free(v->chunks);
		free(v);
	}
	free(l->plain);
}

// ---- marks

void mr_marks_fini(struct mr_marks *m)
{
	for (size_t i = 0; i < m->count; i++)
		mr_chunk_put(m->items[(m->head + i) % m->max].chunk);
	free(m->items);
	*m = (struct mr_marks){0};
}

static void marks_grow(struct mr_marks *m)
{
	size_t max = m->max ? m->max * 2 : 256;
	struct mr_mark *items = calloc(max, sizeof(*items));

	MR_ASSERT(items);
	for (size_t i = 0; i < m->count; i++)
		items[i] = m->items[(m->head + i) % m->max];
	free(m->items);
	*m = (struct mr_marks){items, 0, m->count, max};
}

// Says that rows of `chunk` below `rows` become visible at `lsn`, or with the mark before it where
// that is later: rows of a chunk are published in the order they were written.
static void marks_push(struct mr_marks *m, struct mr_table_part *p, struct mr_chunk *chunk,
	bool dead, uint64_t lsn)
{
	struct mr_mark *last;

	if (m->count) {
		last = &m->items[(m->head + m->count - 1) % m->max];
		lsn = MR_MAX(lsn, last->lsn);
		if (last->chunk == chunk && last->lsn == lsn) {
			last->rows = chunk->rows;
			return;
		}
	}
	if (m->count == m->max)
		marks_grow(m);
	mr_chunk_get(chunk);
	m->items[(m->head + m->count++) % m->max] =
		(struct mr_mark){lsn, p, chunk, chunk->rows, dead};
}

static void mark_publish(const struct mr_mark *k)
{
	uint32_t from = atomic_load_explicit(&k->chunk->rows_published, memory_order_relaxed);

	if (k->rows <= from)
		return;
	mr_chunk_publish(k->chunk, k->rows);
	if (k->dead)
		return;
	count(&k->part->rows_visible, k->rows - from);
	for (struct mr_view_part *v = k->part->views; v; v = v->next)
		mr_view_part_fold(v, k->chunk, from, k->rows);
}

void mr_marks_publish(struct mr_marks *m, uint64_t durable)
{
	while (m->count && m->items[m->head].lsn <= durable) {
		struct mr_mark k = m->items[m->head];

		m->head = (m->head + 1) % m->max;
		m->count--;
		mark_publish(&k);
		mr_chunk_put(k.chunk);
	}
}

// ---- applying batches

// The chunk to write to, opening a new one when there is none or it is full; NULL when memory is
// used up. The rows that a full chunk got from this batch become visible with it.
static struct mr_chunk *list_chunk(struct mr_table_part *p, struct mr_chunk_list *l,
	const struct mr_apply *a, struct mr_marks *marks)
{
	struct mr_chunk *c = l->open;

	if (c && !c->full)
		return c;
	if (c)
		marks_push(marks, p, c, l == &p->dead, a->lsn);
	for (uint32_t i = 0; c && i < l->types_count; i++)
		l->plain[i] = mr_chunk_prefers_plain(c, i);
	if (mr_chunk_create(p->pool, l->types, l->types_count, l->plain, p->chunk_bytes_max, &c) <
		0) {
		count(&p->chunks_waited, 1);
		return NULL;
	}
	l->open = c;
	list_publish(l, c);
	return c;
}

// Headers as a JSON array of [key, value] pairs; a value that is not UTF-8 as \x hex.
static void format_headers(struct mr_buf *b, const struct mr_record *r)
{
	struct mr_reader in = mr_reader(r->headers);
	struct mr_record_header h;
	bool first = true;

	mr_buf_reset(b);
	mr_buf_u8(b, '[');
	while (mr_record_header_next(&in, &h)) {
		mr_buf_str(b, first ? "[" : ",[");
		mr_quote_json(b, h.key);
		mr_buf_u8(b, ',');
		if (h.value.data)
			mr_quote_json(b, h.value);
		else
			mr_buf_str(b, "null");
		mr_buf_u8(b, ']');
		first = false;
	}
	mr_buf_u8(b, ']');
}

static int set_optional_bytes(struct mr_chunk *c, uint32_t column, struct mr_span s)
{
	return s.data ? mr_chunk_set_bytes(c, column, s.data, s.bytes) : 0;
}

static int set_hidden(struct mr_table_part *p, struct mr_chunk *c, const struct mr_apply *a,
	const struct mr_record *r)
{
	uint32_t first = p->table->def->columns_count;
	int rc = set_optional_bytes(c, first + MR_HIDDEN_KEY, r->key);

	if (rc == 0 && r->headers_count > 0) {
		format_headers(&p->scratch, r);
		rc = mr_chunk_set_bytes(
			c, first + MR_HIDDEN_HEADERS, p->scratch.data, p->scratch.bytes);
	}
	*(int32_t *)mr_chunk_slot(c, first + MR_HIDDEN_PARTITION) = (int32_t)a->partition;
	*(int64_t *)mr_chunk_slot(c, first + MR_HIDDEN_OFFSET) = a->base_offset + r->offset_delta;
	*(int64_t *)mr_chunk_slot(c, first + MR_HIDDEN_TIMESTAMP) =
		mr_record_timestamp(a->batch, r) * 1000;
	return rc;
}

static int write_dead(struct mr_table_part *p, struct mr_chunk *c, const struct mr_apply *a,
	const struct mr_record *r, const char *reason)
{
	struct mr_span topic = p->table->topic->topic.name;
	int rc;

	mr_chunk_row_begin(c);
	rc = mr_chunk_set_bytes(c, MR_DEAD_TOPIC, topic.data, topic.bytes);
	*(int32_t *)mr_chunk_slot(c, MR_DEAD_PARTITION) = (int32_t)a->partition;
	*(int64_t *)mr_chunk_slot(c, MR_DEAD_OFFSET) = a->base_offset + r->offset_delta;
	*(int64_t *)mr_chunk_slot(c, MR_DEAD_TIMESTAMP) = mr_record_timestamp(a->batch, r) * 1000;
	if (rc == 0)
		rc = set_optional_bytes(c, MR_DEAD_KEY, r->key);
	if (rc == 0)
		rc = set_optional_bytes(c, MR_DEAD_VALUE, r->value);
	if (rc == 0)
		rc = mr_chunk_set_bytes(c, MR_DEAD_REASON, (const uint8_t *)reason, strlen(reason));
	if (rc == 0)
		mr_chunk_row_commit(c);
	else
		mr_chunk_row_abort(c);
	return rc;
}

// A chunk that cannot take one more row is closed, and the row goes to the next. False when memory
// for that is used up. A dead letter larger than a whole chunk is kept without its value.
static bool apply_dead(struct mr_table_part *p, const struct mr_apply *a, struct mr_record *r,
	const char *reason, struct mr_marks *marks)
{
	for (;;) {
		struct mr_chunk *c = list_chunk(p, &p->dead, a, marks);

		if (!c)
			return false;
		if (write_dead(p, c, a, r, reason) == 0) {
			marks_push(marks, p, c, true, a->lsn);
			count(&p->rows_dead, 1);
			return true;
		}
		c->full = true;
		if (c->rows == 0)
			r->value = (struct mr_span){NULL, 0};
	}
}

static bool apply_record(struct mr_table_part *p, const struct mr_apply *a, struct mr_record *r,
	struct mr_marks *marks)
{
	struct mr_decode_error error;

	for (;;) {
		struct mr_chunk *c = list_chunk(p, &p->rows, a, marks);
		int rc;

		if (!c)
			return false;
		mr_chunk_row_begin(c);
		rc = mr_decode_json(p->decoder, r->value, c, &error);
		if (rc == 0)
			rc = set_hidden(p, c, a, r);
		if (rc == 0) {
			mr_chunk_row_commit(c);
			count(&p->rows_decoded, 1);
			return true;
		}
		mr_chunk_row_abort(c);
		if (rc > 0)
			return apply_dead(p, a, r, error.text, marks);
		marks_push(marks, p, c, false, a->lsn);
		c->full = true;
		if (c->rows == 0)
			return apply_dead(
				p, a, r, "the row is larger than a chunk of memory", marks);
	}
}

int64_t mr_table_part_apply(
	struct mr_table_part *p, const struct mr_apply *a, struct mr_marks *marks)
{
	int64_t next = MR_MAX(a->from_offset, a->base_offset);
	struct mr_records it;
	struct mr_record r;

	mr_records_begin(&it, a->records, a->batch->count);
	while (mr_records_next(&it, &r)) {
		if (a->base_offset + r.offset_delta < a->from_offset)
			continue;
		if (!apply_record(p, a, &r, marks))
			break;
		next = a->base_offset + r.offset_delta + 1;
	}
	if (p->rows.open)
		marks_push(marks, p, p->rows.open, false, a->lsn);
	return next;
}

// ---- tables

static void part_destroy(struct mr_table_part *p)
{
	if (!p)
		return;
	mr_decoder_destroy(p->decoder);
	list_fini(&p->rows);
	list_fini(&p->dead);
	mr_buf_fini(&p->scratch);
	free(p);
}

static int part_create(struct mr_table *t, struct mr_chunk_pool *pool, size_t chunk_bytes_max,
	struct mr_table_part **out)
{
	struct mr_table_part *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	*p = (struct mr_table_part){.table = t, .pool = pool, .chunk_bytes_max = chunk_bytes_max};
	rc = mr_decoder_create(t->schema, chunk_bytes_max / 2, &p->decoder);
	if (rc == 0)
		rc = list_init(&p->rows, t->types, t->relation.columns_count);
	if (rc == 0)
		rc = list_init(&p->dead, dead_types, MR_DEAD_COUNT);
	if (rc < 0) {
		part_destroy(p);
		return rc;
	}
	*out = p;
	return 0;
}

static void table_destroy(struct mr_table *t)
{
	for (uint32_t i = 0; t->parts && i < t->parts_count; i++)
		part_destroy(t->parts[i]);
	free(t->parts);
	free(t->types);
	free((void *)(uintptr_t)t->relation.columns);
	mr_schema_destroy(t->schema);
	mr_table_def_put(t->def);
	mr_topic_def_put(t->topic);
	free(t);
}

struct mr_table *mr_table_get(struct mr_table *t)
{
	atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
	return t;
}

void mr_table_put(struct mr_table *t)
{
	if (t && atomic_fetch_sub_explicit(&t->references, 1, memory_order_acq_rel) == 1)
		table_destroy(t);
}

static int table_columns(struct mr_table *t)
{
	const struct mr_table_def *d = t->def;
	uint32_t total = d->columns_count + MR_HIDDEN_COUNT;
	struct mr_relation_column *columns = calloc(total, sizeof(*columns));
	struct mr_schema_column *schema = calloc(d->columns_count + 1, sizeof(*schema));
	int rc = -ENOMEM;

	t->types = calloc(total, sizeof(*t->types));
	t->relation.columns = columns;
	t->relation.columns_count = total;
	if (!columns || !schema || !t->types)
		goto out;
	for (uint32_t i = 0; i < d->columns_count; i++) {
		const struct mr_column_def *c = &d->columns[i];

		columns[i] = (struct mr_relation_column){
			mr_span_str(c->name), c->type, c->not_null, false};
		schema[i] = (struct mr_schema_column){mr_span_str(c->name), c->type, c->not_null};
		t->types[i] = c->type;
	}
	for (uint32_t i = 0; i < MR_HIDDEN_COUNT; i++) {
		columns[d->columns_count + i] = (struct mr_relation_column){
			mr_span_str(hidden_names[i]), hidden_types[i], false, true};
		t->types[d->columns_count + i] = hidden_types[i];
	}
	rc = mr_schema_create(schema, d->columns_count, &t->schema);
out:
	free(schema);
	return rc;
}

int mr_table_create(struct mr_table_def *def, struct mr_topic_def *topic, uint32_t parts_count,
	struct mr_chunk_pool *const *pools, size_t chunk_bytes_max, struct mr_table **out)
{
	struct mr_table *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return -ENOMEM;
	atomic_init(&t->references, 1);
	t->def = mr_table_def_get(def);
	t->topic = mr_topic_def_get(topic);
	t->parts_count = parts_count;
	t->parts = calloc(parts_count, sizeof(struct mr_table_part *));
	t->relation.id = def->id;
	t->relation.kind = MR_RELATION_TABLE;
	t->relation.ops = &mr_table_relation_ops;
	t->relation.schema = mr_span_str("public");
	t->relation.name = mr_span_str(def->name);
	t->relation.owner = t;
	rc = t->parts ? table_columns(t) : -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < parts_count; i++)
		rc = part_create(t, pools[i], chunk_bytes_max, &t->parts[i]);
	if (rc < 0) {
		table_destroy(t);
		return rc;
	}
	*out = t;
	return 0;
}
