// Table parts: decoding batches into chunks, publishing rows, versions for readers.
#include "host/table.h"

#include "host/base/quote.h"
#include "host/base/stat.h"
#include "host/scan.h"
#include "host/seal.h"
#include "host/view/view.h"
#include "host/watermark.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HURRY_ROWS = 4096 };

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

// ---- marks

void mr_marks_fini(struct mr_marks *m)
{
	for (size_t i = 0; i < m->count; i++)
		mr_piece_put(m->items[(m->head + i) % m->max].piece);
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

// Says that the rows that the piece has of a kind become visible at `lsn`, or with the mark before
// it where that is later: rows are published in the order they were written.
static void marks_push(struct mr_marks *m, struct mr_piece *piece, int kind, uint64_t lsn)
{
	const struct mr_chunk *chunk = mr_piece_chunk(piece, kind);
	struct mr_mark *last;

	if (!chunk)
		return;
	if (m->count) {
		last = &m->items[(m->head + m->count - 1) % m->max];
		lsn = MR_MAX(lsn, last->lsn);
		if (last->piece == piece && last->kind == kind && last->lsn == lsn) {
			last->rows = chunk->rows;
			return;
		}
	}
	if (m->count == m->max)
		marks_grow(m);
	m->items[(m->head + m->count++) % m->max] =
		(struct mr_mark){lsn, piece->part, mr_piece_get(piece), chunk->rows, (uint8_t)kind};
}

// A closed piece whose rows are all visible, and so durable, goes to be sealed.
static void piece_hand_over(struct mr_piece *p)
{
	if (!p->closed || p->handed || !p->part->seal)
		return;
	for (int i = 0; i < MR_PIECE_KINDS; i++) {
		const struct mr_chunk *c = mr_piece_chunk(p, i);

		if (c && mr_chunk_rows(c) < c->rows)
			return;
	}
	p->handed = true;
	for (struct mr_view_part *v = p->part->views; v; v = v->next)
		mr_view_part_hand_over(v, p->sequence);
	mr_seal_push(p->part->seal, p);
}

// Views take much memory: what they have folded is sealed early. Pieces of few rows wait for more,
// unless appends already have to.
static void hurry(struct mr_table_part *p)
{
	if (!p->seal || !mr_view_parts_hurry(p->views))
		return;
	if (p->open && mr_piece_rows(p->open, MR_PIECE_ROWS) >= HURRY_ROWS)
		mr_table_part_close(p);
	mr_seal_hurry(p->seal);
}

// Says what decoded rows will add to the views' memory.
static void expect(struct mr_table_part *p)
{
	if (p->views)
		mr_view_parts_expect(
			p, atomic_load_explicit(&p->rows_decoded, memory_order_relaxed) -
				   atomic_load_explicit(&p->rows_visible, memory_order_relaxed));
}

static void mark_publish(const struct mr_mark *k)
{
	struct mr_chunk *chunk = mr_piece_chunk(k->piece, k->kind);
	uint32_t from = atomic_load_explicit(&chunk->rows_published, memory_order_relaxed);

	if (k->rows > from) {
		mr_chunk_publish(chunk, k->rows);
		if (k->kind == MR_PIECE_ROWS) {
			mr_stat_add(&k->part->rows_visible, k->rows - from);
			for (struct mr_view_part *v = k->part->views; v; v = v->next)
				mr_view_part_fold(v, k->piece->sequence, chunk, from, k->rows);
			expect(k->part);
			hurry(k->part);
		}
	}
	piece_hand_over(k->piece);
}

void mr_marks_publish(struct mr_marks *m, uint64_t durable)
{
	while (m->count && m->items[m->head].lsn <= durable) {
		struct mr_mark k = m->items[m->head];

		m->head = (m->head + 1) % m->max;
		m->count--;
		mark_publish(&k);
		mr_piece_put(k.piece);
	}
}

// ---- pieces

static void piece_close(struct mr_table_part *p)
{
	struct mr_piece *piece = p->open;

	for (int k = 0; k < MR_PIECE_KINDS; k++) {
		const struct mr_chunk *c = mr_piece_chunk(piece, k);
		struct mr_chunk_form *f = &p->forms[k];

		for (uint32_t i = 0; c && i < f->types_count; i++)
			f->plain[i] = mr_chunk_prefers_plain(c, i);
	}
	piece->closed = true;
	p->open = NULL;
	piece_hand_over(piece);
}

void mr_table_part_close(struct mr_table_part *p)
{
	if (!p->open || p->open->ranges_count == 0)
		return;
	p->open->due = true;
	piece_close(p);
}

void mr_table_part_replace(struct mr_table_part *p, struct mr_piece *const *old, uint32_t old_count,
	struct mr_piece *by)
{
	// Before the part may give it away again: it is there for the merging thread from now on.
	if (by && by->segment)
		atomic_store_explicit(&by->segment->placed, true, memory_order_release);
	mr_pieces_replace(&p->pieces, old, old_count, by);
}

static bool is_among(const struct mr_segment *s, struct mr_segment *const *list, uint32_t count)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if ((uintptr_t)list[mid] < (uintptr_t)s)
			low = mid + 1;
		else
			high = mid;
	}
	return low < count && list[low] == s;
}

void mr_table_part_swap(
	struct mr_table_part *p, struct mr_segment *const *old, uint32_t count, struct mr_piece *by)
{
	const struct mr_version *v = mr_pieces_now(&p->pieces);
	struct mr_piece **pieces = calloc(v->count + 1, sizeof(struct mr_piece *));
	uint32_t n = 0;

	MR_ASSERT(pieces);
	for (uint32_t i = 0; i < v->count; i++)
		if (v->pieces[i]->segment && is_among(v->pieces[i]->segment, old, count))
			pieces[n++] = v->pieces[i];
	if (n || by)
		mr_table_part_replace(p, pieces, n, by);
	free(pieces);
}

// One part changes in one step; only several need the lock.
void mr_table_move_begin(struct mr_table *t)
{
	if (t->parts_count > 1)
		pthread_rwlock_wrlock(&t->moves);
}

void mr_table_move_end(struct mr_table *t)
{
	if (t->parts_count > 1)
		pthread_rwlock_unlock(&t->moves);
}

void mr_table_pin_begin(struct mr_table *t)
{
	pthread_rwlock_rdlock(&t->moves);
}

void mr_table_pin_end(struct mr_table *t)
{
	pthread_rwlock_unlock(&t->moves);
}

// ---- applying batches

// A batch on its way into the part.
struct applying {
	struct mr_table_part *part;
	const struct mr_apply *a;
	struct mr_marks *marks;
	int64_t piece_from; // first offset of the batch in the open piece
	int64_t at;         // offset of the record being applied
	uint32_t rows_from; // first row of the batch in the open piece
};

// Has the watermark count the rows that the open piece got since the last look.
static void observe_rows(struct applying *x)
{
	const struct mr_table_part *p = x->part;
	const struct mr_chunk *c = p->open ? mr_piece_chunk(p->open, MR_PIECE_ROWS) : NULL;
	uint32_t offsets = p->table->def->columns_count + MR_HIDDEN_OFFSET;

	if (c && x->a->watermark)
		mr_watermark_observe(
			x->a->watermark, c, offsets, x->rows_from, c->rows, x->a->future_us);
	x->rows_from = c ? c->rows : 0;
}

// Notes what the open piece got of the batch.
static void note_applied(struct applying *x)
{
	struct mr_piece *open = x->part->open;

	observe_rows(x);
	if (open && x->piece_from < x->at)
		mr_piece_note(open, x->a->partition, x->piece_from, x->at);
	x->piece_from = x->at;
	for (int k = 0; open && k < MR_PIECE_KINDS; k++)
		marks_push(x->marks, open, k, x->a->lsn);
}

static int piece_open(struct mr_table_part *p, int kind, struct mr_chunk *chunk)
{
	struct mr_piece *piece;
	int rc = mr_piece_create(p, &piece);

	if (rc < 0)
		return rc;
	piece->sequence = p->sequence++;
	atomic_store_explicit(&piece->chunks[kind], chunk, memory_order_release);
	p->open = piece;
	mr_pieces_add(&p->pieces, &piece, 1);
	return 0;
}

// The chunk to write to, opening one when there is none and closing the piece when its chunk is
// full; NULL when memory is used up.
static struct mr_chunk *chunk_for(struct applying *x, int kind)
{
	struct mr_table_part *p = x->part;
	const struct mr_chunk_form *f = &p->forms[kind];
	struct mr_chunk *c = p->open ? mr_piece_chunk(p->open, kind) : NULL;
	int rc;

	if (c && !c->full)
		return c;
	if (c) {
		note_applied(x);
		piece_close(p);
		x->rows_from = 0;
	}
	rc = mr_chunk_create(p->pool, f->types, f->types_count, f->plain, p->chunk_bytes_max, &c);
	if (rc == 0 && p->open) {
		atomic_store_explicit(&p->open->chunks[kind], c, memory_order_release);
	} else if (rc == 0) {
		rc = piece_open(p, kind, c);
		if (rc < 0)
			mr_chunk_put(c);
	}
	if (rc == 0)
		return c;
	mr_stat_add(&p->chunks_waited, 1);
	return NULL;
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

// A chunk without rows could not take one. That says something of the row only when there was no
// more memory to wait for; otherwise the chunk waits as it is.
static bool must_wait(struct applying *x, const struct mr_chunk *c)
{
	struct mr_chunk_pool *whole = mr_chunk_pool_whole(x->part->pool);

	if (c->rows > 0 || mr_chunk_pool_bytes_used(whole) <=
				   atomic_load_explicit(&c->bytes, memory_order_relaxed))
		return false;
	mr_stat_add(&x->part->chunks_waited, 1);
	return true;
}

// A chunk that cannot take one more row is closed, and the row goes to the next. False when memory
// for that is used up. A dead letter larger than a whole chunk is kept without its value.
static bool apply_dead(struct applying *x, struct mr_record *r, const char *reason)
{
	for (;;) {
		struct mr_chunk *c = chunk_for(x, MR_PIECE_DEAD);

		if (!c)
			return false;
		if (write_dead(x->part, c, x->a, r, reason) == 0) {
			mr_stat_add(&x->part->rows_dead, 1);
			return true;
		}
		if (must_wait(x, c))
			return false;
		c->full = true;
		if (c->rows == 0)
			r->value = (struct mr_span){NULL, 0};
	}
}

static bool apply_record(struct applying *x, struct mr_record *r)
{
	struct mr_decode_error error;

	for (;;) {
		struct mr_chunk *c = chunk_for(x, MR_PIECE_ROWS);
		int rc;

		if (!c)
			return false;
		mr_chunk_row_begin(c);
		rc = mr_decode_json(x->part->decoder, r->value, c, &error);
		if (rc == 0)
			rc = set_hidden(x->part, c, x->a, r);
		if (rc == 0) {
			mr_chunk_row_commit(c);
			mr_stat_add(&x->part->rows_decoded, 1);
			return true;
		}
		mr_chunk_row_abort(c);
		if (rc > 0)
			return apply_dead(x, r, error.text);
		if (must_wait(x, c))
			return false;
		c->full = true;
		if (c->rows == 0)
			return apply_dead(x, r, "the row is larger than a chunk of memory");
	}
}

bool mr_table_part_may_take(struct mr_table_part *p)
{
	const struct mr_chunk_form *f = &p->forms[MR_PIECE_ROWS];
	const struct mr_chunk *c = p->open ? mr_piece_chunk(p->open, MR_PIECE_ROWS) : NULL;

	if (p->seal && mr_view_parts_full(p))
		return false;
	if (c && !c->full)
		return c->rows > 0 || mr_chunk_pool_has(p->pool, MR_CHUNK_BLOCK_BYTES);
	return mr_chunk_pool_has(p->pool, mr_chunk_bytes_min(f->types, f->types_count, f->plain));
}

bool mr_table_part_wants_room(const struct mr_table_part *p)
{
	return !p->views_waited || mr_view_parts_hurry(p->views);
}

int64_t mr_table_part_apply(
	struct mr_table_part *p, const struct mr_apply *a, struct mr_marks *marks)
{
	int64_t from = MR_MAX(a->from_offset, a->base_offset);
	const struct mr_chunk *rows = p->open ? mr_piece_chunk(p->open, MR_PIECE_ROWS) : NULL;
	struct applying x = {p, a, marks, from, from, rows ? rows->rows : 0};
	uint64_t may_take = (uint64_t)a->batch->count;
	struct mr_records it;
	struct mr_record r;

	if (p->seal)
		may_take = mr_view_parts_take(p, may_take, a->records.bytes);
	if (!may_take)
		return from;
	mr_records_begin(&it, a->records, a->batch->count);
	while (may_take && mr_records_next(&it, &r)) {
		if (a->base_offset + r.offset_delta < a->from_offset)
			continue;
		may_take--;
		x.at = a->base_offset + r.offset_delta;
		if (!apply_record(&x, &r))
			break;
		x.at++;
	}
	note_applied(&x);
	expect(p);
	return x.at;
}

// ---- tables

static void part_destroy(struct mr_table_part *p)
{
	if (!p)
		return;
	mr_decoder_destroy(p->decoder);
	mr_pieces_fini(&p->pieces);
	mr_chunk_pool_destroy(p->pool);
	for (int k = 0; k < MR_PIECE_KINDS; k++)
		free(p->forms[k].plain);
	mr_buf_fini(&p->scratch);
	free(p);
}

static int form_init(struct mr_chunk_form *f, const struct mr_typeref *types, uint32_t count)
{
	*f = (struct mr_chunk_form){types, count, calloc(count, sizeof(bool))};
	return f->plain ? 0 : -ENOMEM;
}

static int part_create(struct mr_table *t, const struct mr_table_setup *o, uint32_t index,
	struct mr_table_part **out)
{
	struct mr_table_part *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	*p = (struct mr_table_part){
		.table = t, .chunk_bytes_max = o->chunk_bytes_max, .index = index, .seal = o->seal};
	mr_pieces_init(&p->pieces);
	atomic_init(&p->watermark_least_us, MR_WATERMARK_NONE);
	atomic_init(&p->watermark_most_us, MR_WATERMARK_NONE);
	rc = mr_chunk_pool_share(o->pools[index], &p->pool);
	if (rc == 0)
		rc = mr_decoder_create(t->schema, o->chunk_bytes_max / 2, &p->decoder);
	if (rc == 0)
		rc = form_init(&p->forms[MR_PIECE_ROWS], t->types, t->relation.columns_count);
	if (rc == 0)
		rc = form_init(&p->forms[MR_PIECE_DEAD], dead_types, MR_DEAD_COUNT);
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
	free(t->held);
	free((void *)(uintptr_t)t->relation.columns);
	mr_schema_destroy(t->schema);
	mr_table_def_put(t->def);
	mr_topic_def_put(t->topic);
	pthread_rwlock_destroy(&t->moves);
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

uint32_t mr_table_segment_columns(const struct mr_table *t, int kind, struct mr_segment_column *out)
{
	uint32_t n = kind == MR_PIECE_ROWS ? t->relation.columns_count : MR_DEAD_COUNT;

	for (uint32_t i = 0; i < n; i++) {
		bool own = kind == MR_PIECE_ROWS && i < t->def->columns_count;

		out[i].id = own ? t->def->columns[i].id : 0;
		out[i].type = kind == MR_PIECE_ROWS ? t->types[i] : dead_types[i];
	}
	return n;
}

void mr_table_segment_times(const struct mr_table *t, int kind, struct mr_segment_source *out)
{
	int32_t watermark = t->def->options.watermark_column;
	uint32_t stamp = kind == MR_PIECE_ROWS ? t->def->columns_count + MR_HIDDEN_TIMESTAMP
					       : (uint32_t)MR_DEAD_TIMESTAMP;

	out->time_column = kind == MR_PIECE_ROWS && watermark >= 0 ? (uint32_t)watermark : stamp;
	out->time_fallback = stamp;
}

int64_t mr_table_held(const struct mr_table *t, uint32_t partition)
{
	return partition < t->held_count ? t->held[partition] : 0;
}

// Makes room for a partition.
static int need_held(struct mr_table *t, uint32_t partition)
{
	uint32_t n = partition + 1;
	int64_t *held;

	if (partition >= MR_TOPIC_PARTITIONS_MAX)
		return MR_ERR_CORRUPT;
	if (n <= t->held_count)
		return 0;
	held = realloc(t->held, n * sizeof(*held));
	if (!held)
		return -ENOMEM;
	memset(held + t->held_count, 0, (n - t->held_count) * sizeof(*held));
	t->held = held;
	t->held_count = n;
	return 0;
}

static int note_held(struct mr_table *t, const struct mr_segment_info *info)
{
	for (uint32_t i = 0; i < info->ranges_count; i++) {
		const struct mr_offset_range *r = &info->ranges[i];
		int rc = need_held(t, r->partition);

		if (rc < 0)
			return rc;
		// In a table's order of segments the ranges of a partition ascend.
		if (r->from < t->held[r->partition])
			return MR_ERR_CORRUPT;
		t->held[r->partition] = r->to;
	}
	return 0;
}

// Rows that have expired are not read from the log again.
static int note_expired(struct mr_table *t, const struct mr_table_setup *o)
{
	for (uint32_t i = 0; i < o->expired_count; i++) {
		const struct mr_offset_range *r = &o->expired[i];
		int rc = need_held(t, r->partition);

		if (rc < 0)
			return rc;
		t->held[r->partition] = MR_MAX(t->held[r->partition], r->to);
	}
	return 0;
}

static int segment_piece(struct mr_table_part *p, struct mr_segment *s, struct mr_piece **out)
{
	int rc = mr_piece_create(p, out);

	if (rc < 0)
		return rc;
	(*out)->segment = mr_segment_get(s);
	(*out)->closed = (*out)->handed = true;
	(*out)->sequence = p->sequence++;
	atomic_store_explicit(&s->placed, true, memory_order_release);
	mr_stat_add(&p->rows_visible, s->info.rows);
	mr_stat_add(&p->rows_decoded, s->info.rows);
	mr_stat_add(&p->rows_dead, s->info.dead_rows);
	return 0;
}

// Segment i goes to part i modulo their number; each part gets its own in one version.
static int place_segments(struct mr_table *t, const struct mr_table_setup *o)
{
	struct mr_piece **pieces = calloc(o->segments_count + 1, sizeof(struct mr_piece *));
	int rc = pieces ? 0 : -ENOMEM;

	for (uint32_t k = 0; rc == 0 && k < t->parts_count; k++) {
		uint32_t n = 0;

		for (uint32_t i = k; rc == 0 && i < o->segments_count; i += t->parts_count) {
			rc = segment_piece(t->parts[k], o->segments[i], &pieces[n]);
			n += rc == 0;
		}
		mr_pieces_add(&t->parts[k]->pieces, pieces, n);
	}
	free(pieces);
	return rc;
}

// Stored segments are shared out among the parts; which part has which means nothing.
static int table_segments(struct mr_table *t, const struct mr_table_setup *o)
{
	struct mr_segment_column *columns = calloc(t->relation.columns_count, sizeof(*columns));
	uint64_t fingerprint;
	int rc = 0;

	if (!columns)
		return -ENOMEM;
	fingerprint = mr_segment_fingerprint(
		columns, mr_table_segment_columns(t, MR_PIECE_ROWS, columns));
	free(columns);
	for (uint32_t i = 0; rc == 0 && i < o->segments_count; i++)
		rc = o->segments[i]->info.fingerprint == fingerprint
			     ? note_held(t, &o->segments[i]->info)
			     : (int)MR_ERR_CORRUPT;
	if (rc == 0)
		rc = note_expired(t, o);
	return rc < 0 ? rc : place_segments(t, o);
}

// Merging must not wait for ever behind readers that come one after the other.
static void moves_init(struct mr_table *t)
{
	pthread_rwlockattr_t a;

	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&t->moves, &a);
	pthread_rwlockattr_destroy(&a);
}

int mr_table_create(struct mr_table_def *def, struct mr_topic_def *topic,
	const struct mr_table_setup *setup, struct mr_table **out)
{
	uint32_t parts_count = setup->parts_count;
	struct mr_table *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return -ENOMEM;
	atomic_init(&t->references, 1);
	moves_init(t);
	t->def = mr_table_def_get(def);
	t->topic = mr_topic_def_get(topic);
	t->parts_count = parts_count;
	atomic_init(&t->watermark_us, MR_WATERMARK_NONE);
	t->parts = calloc(parts_count, sizeof(struct mr_table_part *));
	t->relation.id = def->id;
	t->relation.kind = MR_RELATION_TABLE;
	t->relation.ops = &mr_table_relation_ops;
	t->relation.schema = mr_span_str("public");
	t->relation.name = mr_span_str(def->name);
	t->relation.owner = t;
	rc = t->parts ? table_columns(t) : -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < parts_count; i++)
		rc = part_create(t, setup, i, &t->parts[i]);
	if (rc == 0)
		rc = table_segments(t, setup);
	if (rc < 0) {
		table_destroy(t);
		return rc;
	}
	*out = t;
	return 0;
}

void mr_table_break(struct mr_table *t, uint32_t partition, int64_t offset)
{
	atomic_store_explicit(&t->broken_offset, offset, memory_order_relaxed);
	// Pairs with the acquire in mr_table_whole.
	atomic_store_explicit(&t->broken_partition, partition + 1, memory_order_release);
}

int mr_table_whole(const struct mr_table *t, struct mr_diag *diag)
{
	uint32_t broken = atomic_load_explicit(&t->broken_partition, memory_order_acquire);

	if (!broken)
		return 0;
	mr_diag_set(diag, MR_ERR_CORRUPT, "XX001", 0,
		"table \"%s\" is not complete: partition %u cannot be read from offset %lld on",
		t->def->name, broken - 1,
		(long long)atomic_load_explicit(&t->broken_offset, memory_order_relaxed));
	mr_diag_hint(diag, "The daemon's log lines name the damaged file.");
	return MR_ERR_CORRUPT;
}
