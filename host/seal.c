// The sealing thread.
#include "host/seal.h"

#include "host/base/note.h"
#include "host/base/stat.h"
#include "host/control.h"
#include "host/view/view_merger.h"
#include "host/worker.h"
#include "storage/segment_store.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>

enum { RETRY_MS = 2000, CHECKPOINT_POLL_NS = 2000000, PIECES_MAX = 64 };

// Pieces of one part, in their order.
struct queue {
	struct queue *next;
	struct mr_table_part *part; // a reference of its table is held by each piece
	struct mr_piece *head, **tail;
	uint32_t count;
	uint64_t rows;
	int64_t since_ns; // when the first came
	int64_t retry_ns; // no write before
	bool failing;     // the last write failed
	bool due;
};

// A table whose pieces wait, as often as it is held.
struct held {
	struct held *next;
	uint64_t table_id;
};

struct mr_seal {
	struct mr_control *control;
	struct mr_mailbox box;
	pthread_t thread;
	bool running;
	_Atomic bool stopping;
	_Atomic bool hurry;
	// The thread's.
	struct mr_segment_writer *writer;
	struct mr_view_tools tools;
	struct queue *queues;
	struct held *held;
	struct mr_seal_stats stats;
};

// What goes back to the worker.
struct sealed {
	struct mr_message message;
	struct mr_table_part *part;
	struct mr_piece *by; // the segment's, or NULL when the pieces held nothing
	uint32_t count;
	struct mr_piece *pieces[PIECES_MAX]; // a reference each, and one of the table each
};

static void set_time(_Atomic uint64_t *c, int64_t ns)
{
	atomic_store_explicit(c, (uint64_t)ns, memory_order_relaxed);
}

uint64_t mr_seal_bytes_max(uint64_t chunk_bytes_max)
{
	// The last piece may pass the count of rows at which a segment is whole.
	uint64_t rows = MR_SEAL_ROWS + MR_CHUNK_ROWS;
	uint64_t views = (uint64_t)PIECES_MAX * MR_PIECE_KINDS * MR_CHUNK_COLUMNS_MAX *
			 (sizeof(struct mr_col) + sizeof(struct mr_dict));

	return mr_segment_writer_bytes_max(rows, chunk_bytes_max) + views;
}

// ---- from workers

static void handle_piece(struct mr_message *m, void *owner)
{
	struct mr_seal *s = owner;
	struct mr_piece *p = MR_CONTAINER(m, struct mr_piece, message);
	struct queue *q = s->queues;

	while (q && q->part != p->part)
		q = q->next;
	if (!q) {
		q = calloc(1, sizeof(*q));
		MR_ASSERT(q);
		*q = (struct queue){.next = s->queues, .part = p->part};
		q->tail = &q->head;
		s->queues = q;
	}
	if (!q->head)
		q->since_ns = mr_now_ns(s->control->clock);
	p->next = NULL;
	*q->tail = p;
	q->tail = &p->next;
	q->count++;
	q->rows += mr_piece_rows(p, MR_PIECE_ROWS) + mr_piece_rows(p, MR_PIECE_DEAD);
	q->due |= p->due;
	mr_stat_add(&s->stats.pieces_waiting, 1);
}

void mr_seal_push(struct mr_seal *s, struct mr_piece *p)
{
	mr_table_get(p->part->table);
	mr_piece_get(p);
	p->message.handle = handle_piece;
	mr_mailbox_push(&s->box, &p->message);
}

void mr_seal_hurry(struct mr_seal *s)
{
	if (!atomic_exchange_explicit(&s->hurry, true, memory_order_relaxed))
		mr_mailbox_wake(&s->box);
}

// ---- back to workers

static struct mr_feed *feed_of(
	struct mr_worker *w, const struct mr_table_part *part, uint32_t number)
{
	struct mr_partition *p = mr_worker_partition(w, &part->table->topic->topic, number);
	struct mr_feed *f = p ? p->feeds : NULL;

	while (f && f->part != part)
		f = f->next;
	return f;
}

static void release(struct sealed *b)
{
	struct mr_table *t = b->part->table;

	for (uint32_t i = 0; i < b->count; i++) {
		mr_piece_put(b->pieces[i]);
		mr_table_put(t);
	}
	free(b);
}

static void handle_sealed(struct mr_message *m, void *owner)
{
	struct sealed *b = MR_CONTAINER(m, struct sealed, message);
	struct mr_worker *w = owner;
	const struct mr_segment_info *info = b->by ? &b->by->segment->info : NULL;

	for (uint32_t i = 0; info && i < info->ranges_count; i++) {
		struct mr_feed *f = feed_of(w, b->part, info->ranges[i].partition);

		if (f)
			f->sealed_offset = info->ranges[i].to;
	}
	mr_table_part_replace(b->part, b->pieces, b->count, b->by);
	release(b);
}

// ---- writing

// Views of chunks as the writer wants them.
struct source {
	struct mr_segment_source sections[MR_SEGMENT_SECTIONS];
	struct mr_segment_column *columns[MR_SEGMENT_SECTIONS];
	struct mr_segment_rows *blocks[MR_SEGMENT_SECTIONS];
	struct mr_col *cols;
	struct mr_dict *dicts;
};

static void source_fini(struct source *x)
{
	for (int k = 0; k < MR_SEGMENT_SECTIONS; k++) {
		free(x->columns[k]);
		free(x->blocks[k]);
	}
	free(x->cols);
	free(x->dicts);
}

static void add_block(struct source *x, int kind, const struct mr_chunk *c, size_t *at)
{
	struct mr_segment_source *s = &x->sections[kind];
	uint32_t rows = c ? mr_chunk_rows(c) : 0;

	if (!rows)
		return;
	x->blocks[kind][s->blocks_count++] = (struct mr_segment_rows){rows, &x->cols[*at]};
	for (uint32_t i = 0; i < s->columns_count; i++, ++*at)
		mr_chunk_column_view(c, i, &x->cols[*at], &x->dicts[*at]);
}

static int source_init(struct source *x, const struct mr_table_part *part,
	struct mr_piece *const *pieces, uint32_t count)
{
	uint32_t columns = MR_MAX(part->table->relation.columns_count, (uint32_t)MR_DEAD_COUNT);
	size_t at = 0;

	*x = (struct source){0};
	x->cols = calloc((size_t)count * 2 * columns, sizeof(*x->cols));
	x->dicts = calloc((size_t)count * 2 * columns, sizeof(*x->dicts));
	for (int k = 0; k < MR_SEGMENT_SECTIONS; k++) {
		x->columns[k] = calloc(columns, sizeof(**x->columns));
		x->blocks[k] = calloc(count, sizeof(**x->blocks));
		if (!x->cols || !x->dicts || !x->columns[k] || !x->blocks[k])
			return -ENOMEM;
		x->sections[k].columns = x->columns[k];
		x->sections[k].blocks = x->blocks[k];
		x->sections[k].columns_count =
			mr_table_segment_columns(part->table, k, x->columns[k]);
		mr_table_segment_times(part->table, k, &x->sections[k]);
		for (uint32_t i = 0; i < count; i++)
			add_block(x, k, mr_piece_chunk(pieces[i], k), &at);
	}
	return 0;
}

// The pieces' ranges as one list, ascending by partition.
static int merge_ranges(
	struct mr_piece *const *pieces, uint32_t count, struct mr_segment_info *info)
{
	struct mr_piece all = {0};

	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < pieces[i]->ranges_count; k++) {
			const struct mr_offset_range *r = &pieces[i]->ranges[k];

			mr_piece_note(&all, r->partition, r->from, r->to);
		}
	info->ranges = all.ranges;
	info->ranges_count = all.ranges_count;
	return 0;
}

// The append that makes the segment exist, and the runs of the table's views with it. 1: the table
// has been dropped or emptied. Under the commit lock.
static int commit(struct mr_seal *s, const struct mr_table *table,
	const struct mr_segment_info *info, struct mr_view_sealing *views, struct mr_segment **out)
{
	struct mr_manifest_record *records;
	int rc;

	if (table->retired)
		return 1;
	records = calloc(views->count + 1, sizeof(*records));
	rc = records ? mr_view_sealing_records(views, records) : -ENOMEM;
	if (rc >= 0)
		rc = mr_segment_store_commit(s->control->segments, info, records, (size_t)rc, out);
	free(records);
	return rc;
}

// Runs of the table's views, the commit, and what comes of it.
static int commit_with_views(struct mr_seal *s, struct mr_table_part *part, uint64_t sequence,
	const struct mr_segment_info *info, struct mr_segment **out)
{
	struct mr_segment_store *store = s->control->segments;
	struct mr_snapshot *now = mr_control_snapshot(s->control);
	struct mr_view_sealing views;
	int rc = mr_view_sealing_write(
		&views, &s->tools, now->views, now->views_count, part, sequence, info);
	bool written = rc == 0;

	if (written) {
		mr_segment_store_lock_commits(store);
		rc = commit(s, part->table, info, &views, out);
		mr_segment_store_unlock_commits(store);
	}
	mr_view_sealing_end(&views, written ? rc : 1);
	if (rc == 0)
		mr_view_merger_poke(s->control->view_merger);
	mr_snapshot_put(now);
	return rc;
}

// Writes and commits. The table may have been dropped or emptied meanwhile: then the segment is not
// wanted any more (1).
static int write_segment(struct mr_seal *s, struct mr_table_part *part,
	struct mr_piece *const *pieces, uint32_t count, struct mr_segment **out)
{
	struct mr_segment_info info = {
		.id = mr_segment_store_id(s->control->segments), .table_id = part->table->def->id};
	char name[MR_SEGMENT_NAME_BYTES];
	struct source x;
	int rc = source_init(&x, part, pieces, count);

	if (rc == 0)
		rc = merge_ranges(pieces, count, &info);
	if (rc == 0)
		rc = mr_segment_write(s->writer, x.sections, &info);
	source_fini(&x);
	if (rc == 0) {
		rc = commit_with_views(s, part, pieces[count - 1]->sequence, &info, out);
		mr_segment_name(info.id, name);
		// After a failed append the record may or may not be there: the file stays, and the
		// next start decides.
		if (rc == 1)
			(void)!mr_disk_unlink(s->control->disk, name);
	}
	if (rc == 0) {
		mr_stat_add(&s->stats.segments, 1);
		mr_stat_add(&s->stats.rows, (*out)->info.rows + (*out)->info.dead_rows);
		mr_stat_add(&s->stats.bytes, (*out)->info.file_bytes);
	} else {
		free(info.ranges);
	}
	return rc;
}

// The first pieces of a queue that make a segment.
static uint32_t take(const struct queue *q, struct mr_piece **pieces, uint64_t *rows)
{
	uint32_t n = 0;

	*rows = 0;
	for (struct mr_piece *p = q->head; p && n < PIECES_MAX && *rows < MR_SEAL_ROWS;
		p = p->next) {
		pieces[n++] = p;
		*rows += mr_piece_rows(p, MR_PIECE_ROWS) + mr_piece_rows(p, MR_PIECE_DEAD);
	}
	return n;
}

static void give_back(struct mr_seal *s, struct queue *q, struct sealed *b, uint64_t rows)
{
	struct mr_worker *w = s->control->workers[q->part->index];

	q->head = b->pieces[b->count - 1]->next;
	if (!q->head)
		q->tail = &q->head;
	q->count -= b->count;
	q->rows -= rows;
	mr_stat_add(&s->stats.pieces_waiting, -(uint64_t)b->count);
	b->message.handle = handle_sealed;
	mr_mailbox_push(&w->box, &b->message);
}

static void set_failing(struct mr_seal *s, struct queue *q, bool failing)
{
	if (q->failing == failing)
		return;
	q->failing = failing;
	mr_stat_add(&s->stats.failing, failing ? 1 : (uint64_t)-1);
	if (!mr_seal_failing(s))
		set_time(&s->stats.failing_since_ns, 0);
	else if (!atomic_load_explicit(&s->stats.failing_since_ns, memory_order_relaxed))
		set_time(&s->stats.failing_since_ns, mr_now_ns(s->control->clock));
}

// The other tables' pieces are written meanwhile.
static void write_failed(struct mr_seal *s, struct queue *q, int rc)
{
	mr_stat_add(&s->stats.failures, 1);
	set_failing(s, q, true);
	q->retry_ns = mr_now_ns(s->control->clock) + (int64_t)RETRY_MS * 1000000;
	mr_note(MR_NOTE_ERR, "seal", "event=failed table=%s pieces=%u retry_ms=%d error=\"%s\"",
		q->part->table->def->name, q->count, (int)RETRY_MS, mr_err_text(rc));
}

// Seals the first pieces of a queue. False when that failed.
static bool seal_some(struct mr_seal *s, struct queue *q)
{
	struct sealed *b = calloc(1, sizeof(*b));
	struct mr_segment *segment = NULL;
	uint64_t rows;
	int rc = 0;

	MR_ASSERT(b);
	b->part = q->part;
	b->count = take(q, b->pieces, &rows);
	atomic_store_explicit(&s->stats.writing, 1, memory_order_relaxed);
	if (rows)
		rc = write_segment(s, q->part, b->pieces, b->count, &segment);
	atomic_store_explicit(&s->stats.writing, 0, memory_order_relaxed);
	if (rc == 0 && segment) {
		rc = mr_piece_create(q->part, &b->by);
		MR_ASSERT(rc == 0);
		b->by->segment = segment;
		b->by->sequence = b->pieces[0]->sequence;
		b->by->closed = b->by->handed = true;
	}
	if (rc < 0) {
		write_failed(s, q, rc);
		free(b);
		return false;
	}
	set_failing(s, q, false);
	give_back(s, q, b, rows);
	return true;
}

// ---- holding

struct hold {
	struct mr_message message;
	struct held *held; // to add; NULL: release
	uint64_t table_id;
	sem_t done;
};

static void handle_hold(struct mr_message *m, void *owner)
{
	struct hold *h = MR_CONTAINER(m, struct hold, message);
	struct mr_seal *s = owner;
	struct held **at = &s->held, *gone;

	if (h->held) {
		h->held->next = s->held;
		s->held = h->held;
	} else {
		while (*at && (*at)->table_id != h->table_id)
			at = &(*at)->next;
		gone = *at;
		MR_ASSERT(gone);
		*at = gone->next;
		free(gone);
	}
	sem_post(&h->done);
}

static void hold(struct mr_seal *s, uint64_t table_id, struct held *held)
{
	struct hold h = {{NULL, handle_hold}, held, table_id, {{0}}};

	sem_init(&h.done, 0, 0);
	mr_mailbox_push(&s->box, &h.message);
	while (sem_wait(&h.done) < 0)
		;
	sem_destroy(&h.done);
}

void mr_seal_hold(struct mr_seal *s, uint64_t table_id)
{
	struct held *held = calloc(1, sizeof(*held));

	MR_ASSERT(held);
	held->table_id = table_id;
	hold(s, table_id, held);
}

void mr_seal_release(struct mr_seal *s, uint64_t table_id)
{
	hold(s, table_id, NULL);
}

static bool is_held(const struct mr_seal *s, const struct queue *q)
{
	for (const struct held *h = s->held; h; h = h->next)
		if (h->table_id == q->part->table->def->id)
			return true;
	return false;
}

// ---- the thread

static bool wants(const struct mr_seal *s, const struct queue *q, int64_t now_ns, bool hurry)
{
	struct mr_chunk_pool *pool = mr_chunk_pool_whole(q->part->pool);

	return q->due || hurry || q->rows >= MR_SEAL_ROWS || q->count >= PIECES_MAX ||
	       now_ns - q->since_ns >= (int64_t)s->control->config->table_seal_after_ms * 1000000 ||
	       mr_chunk_pool_bytes_used(pool) > mr_chunk_pool_bytes_max(pool) / 2;
}

// One round over all queues. Queues that are empty go: their part may.
static void seal_round(struct mr_seal *s)
{
	int64_t now = mr_now_ns(s->control->clock);
	bool hurry = atomic_exchange_explicit(&s->hurry, false, memory_order_relaxed) ||
		     mr_view_budget_hurry(&s->control->views.budget);
	struct queue **at = &s->queues;
	int64_t oldest = 0;

	while (*at) {
		struct queue *q = *at;
		bool go = now >= q->retry_ns && wants(s, q, now, hurry) && !is_held(s, q);

		while (go && q->head && !atomic_load_explicit(&s->stopping, memory_order_relaxed))
			go = seal_some(s, q);
		if (q->head) {
			oldest = oldest ? MR_MIN(oldest, q->since_ns) : q->since_ns;
			at = &q->next;
			continue;
		}
		*at = q->next;
		free(q);
	}
	set_time(&s->stats.waiting_since_ns, oldest);
}

static void *seal_main(void *arg)
{
	struct mr_seal *s = arg;

	mr_thread_name("mr-seal");
	mr_control_place_background(s->control);
	while (!atomic_load_explicit(&s->stopping, memory_order_relaxed)) {
		struct pollfd p = {.fd = s->box.event_fd, .events = POLLIN};

		poll(&p, 1, s->queues ? 100 : 1000);
		mr_mailbox_clear(&s->box);
		mr_mailbox_drain(&s->box, s);
		seal_round(s);
	}
	return NULL;
}

int mr_seal_create(struct mr_control *c, struct mr_seal **out)
{
	struct mr_seal *s = calloc(1, sizeof(*s));
	int rc = s ? 0 : -ENOMEM;

	if (rc < 0)
		return rc;
	s->control = c;
	rc = mr_mailbox_open(&s->box);
	if (rc < 0) {
		free(s);
		return rc;
	}
	rc = mr_segment_writer_create(c->disk, &s->writer);
	if (rc == 0)
		rc = mr_view_tools_init(&s->tools, c->disk);
	if (rc < 0) {
		mr_seal_destroy(s);
		return rc;
	}
	*out = s;
	return 0;
}

int mr_seal_start(struct mr_seal *s)
{
	int rc = pthread_create(&s->thread, NULL, seal_main, s);

	s->running = rc == 0;
	return -rc;
}

void mr_seal_stop(struct mr_seal *s)
{
	if (!s || !s->running)
		return;
	atomic_store_explicit(&s->stopping, true, memory_order_relaxed);
	mr_mailbox_wake(&s->box);
	pthread_join(s->thread, NULL);
	s->running = false;
}

void mr_seal_destroy(struct mr_seal *s)
{
	if (!s)
		return;
	mr_mailbox_drain(&s->box, s);
	while (s->queues) {
		struct queue *q = s->queues;

		s->queues = q->next;
		while (q->head) {
			struct mr_piece *p = q->head;
			struct mr_table *t = p->part->table;

			q->head = p->next;
			mr_piece_put(p);
			mr_table_put(t);
		}
		free(q);
	}
	while (s->held) {
		struct held *h = s->held;

		s->held = h->next;
		free(h);
	}
	mr_segment_writer_destroy(s->writer);
	mr_view_tools_fini(&s->tools);
	mr_mailbox_close(&s->box);
	free(s);
}

const struct mr_seal_stats *mr_seal_stats(const struct mr_seal *s)
{
	return &s->stats;
}

bool mr_seal_busy(const struct mr_seal *s)
{
	return atomic_load_explicit(&s->stats.writing, memory_order_relaxed) != 0;
}

bool mr_seal_failing(const struct mr_seal *s)
{
	return atomic_load_explicit(&s->stats.failing, memory_order_relaxed) != 0;
}

// ---- CHECKPOINT

struct checkpoint {
	struct mr_snapshot *snapshot;
	uint64_t *bounds; // sequences: of each table and worker
	bool left;        // some piece below the bounds is in memory still
};

static void close_all(struct mr_worker *w, void *arg)
{
	struct checkpoint *k = arg;

	for (size_t i = 0; i < k->snapshot->tables_count; i++) {
		struct mr_table_part *p = k->snapshot->tables[i]->parts[w->id];

		mr_table_part_close(p);
		k->bounds[i * w->count + w->id] = p->sequence;
	}
}

static void look(struct mr_worker *w, void *arg)
{
	struct checkpoint *k = arg;

	for (size_t i = 0; i < k->snapshot->tables_count && !k->left; i++) {
		const struct mr_table_part *p = k->snapshot->tables[i]->parts[w->id];
		const struct mr_version *v = mr_pieces_now(&p->pieces);
		uint64_t bound = k->bounds[i * w->count + w->id];

		for (uint32_t n = 0; n < v->count; n++)
			k->left |= !v->pieces[n]->segment && v->pieces[n]->closed &&
				   v->pieces[n]->sequence < bound;
	}
}

static int wait_sealed(
	struct mr_seal *s, struct checkpoint *k, _Atomic bool *cancelled, struct mr_diag *diag)
{
	uint64_t failures = atomic_load_explicit(&s->stats.failures, memory_order_relaxed);
	const struct timespec pause = {0, CHECKPOINT_POLL_NS};

	for (;;) {
		k->left = false;
		mr_seal_hurry(s);
		for (uint32_t i = 0; i < s->control->workers_count && !k->left; i++)
			mr_worker_call(s->control->workers[i], look, k);
		if (!k->left)
			return 0;
		if (atomic_load_explicit(&s->stats.failures, memory_order_relaxed) != failures)
			return mr_diag_set(diag, -EIO, "58030", 0,
				"cannot write a segment; the daemon's log says why");
		if (cancelled && atomic_load_explicit(cancelled, memory_order_relaxed))
			return mr_diag_set(diag, MR_ERR_CANCELLED, "57014", 0,
				"canceling statement due to user request");
		nanosleep(&pause, NULL);
	}
}

int mr_seal_checkpoint(struct mr_seal *s, _Atomic bool *cancelled, struct mr_diag *diag)
{
	struct checkpoint k = {.snapshot = mr_control_snapshot(s->control)};
	int rc;

	k.bounds =
		calloc(k.snapshot->tables_count * s->control->workers_count + 1, sizeof(*k.bounds));
	MR_ASSERT(k.bounds);
	mr_workers_call(s->control->workers, s->control->workers_count, close_all, &k);
	rc = wait_sealed(s, &k, cancelled, diag);
	free(k.bounds);
	mr_snapshot_put(k.snapshot);
	return rc;
}
