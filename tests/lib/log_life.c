// See log_life.h.
#include "tests/lib/log_life.h"

#include "host/base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct mr_uuid topic_of(int part)
{
	struct mr_uuid u = {{0}};

	u.b[0] = 0x70;
	u.b[15] = (uint8_t)(part / 2);
	return u;
}

static int32_t number_of(int part)
{
	return part % 2;
}

void life_model_init(struct life_model *m)
{
	*m = (struct life_model){0};
	for (int p = 0; p < LIFE_PARTITIONS; p++) {
		m->parts[p].checksums =
			(uint64_t *)calloc(LIFE_BATCHES_MAX, sizeof(*m->parts[p].checksums));
		MR_ASSERT(m->parts[p].checksums);
	}
}

void life_model_fini(struct life_model *m)
{
	for (int p = 0; p < LIFE_PARTITIONS; p++)
		free(m->parts[p].checksums);
}

static void on_durable(void *ctx, uint64_t lsn)
{
	struct life *l = (struct life *)ctx;

	while (l->pending_head != l->pending_tail && l->pending[l->pending_head].lsn < lsn) {
		struct life_sent *s = &l->pending[l->pending_head++];

		MR_ASSERT(l->model->parts[s->part].acked == s->offset);
		l->model->parts[s->part].acked = s->offset + 1;
	}
}

static void on_stopped(void *ctx, int err)
{
	((struct life *)ctx)->stopped = err;
}

static uint64_t on_checkpoint_bytes(void *)
{
	return mr_log_record_bytes(100);
}

static void on_checkpoint(void *ctx, struct mr_log *log)
{
	struct mr_log_record *r;
	int rc = mr_log_reserve(log, MR_LOG_CHECKPOINT, 100, 0, &r);

	(void)ctx;
	MR_ASSERT(rc == 0);
	memset(mr_log_payload(r), 0x5a, 100);
	mr_log_commit(log);
}

int life_begin(
	struct life *l, struct mr_io_sim *sim, struct life_model *m, const struct life_options *o)
{
	static const struct mr_log_type_known types[] = {{MR_LOG_OWNER, 0}};
	struct mr_manifest_options mo = {
		.disk = &sim->disk, .file_bytes = 64 << 10, .snapshot_records = 40};
	struct mr_log_store_options so = {
		.disk = &sim->disk,
		.clock = &sim->clock.clock,
		.file_bytes = o->file_bytes ? o->file_bytes : 256 << 10,
		.bytes_free_min = 1,
		.seed = sim->options.seed,
		.types = types,
		.type_count = MR_COUNT_OF(types),
	};
	struct mr_diag diag = {0};
	int rc;

	*l = (struct life){.sim = sim, .model = m};
	l->pending =
		(struct life_sent *)calloc(LIFE_PARTITIONS * LIFE_BATCHES_MAX, sizeof(*l->pending));
	MR_ASSERT(l->pending);
	rc = mr_dir_init(&sim->disk, &diag);
	if (!rc)
		rc = mr_manifest_create(&l->manifest, &mo);
	so.manifest = l->manifest;
	if (!rc)
		rc = mr_log_store_create(&l->store, &so);
	if (!rc)
		rc = mr_manifest_open(l->manifest, &diag);
	if (!rc)
		rc = mr_log_store_recover(l->store, &diag);
	if (!rc && !o->read_only)
		rc = mr_log_open(&l->log, l->store,
			&(struct mr_log_options){&sim->io, 4 << 20,
				{l, on_durable, on_stopped, on_checkpoint_bytes, on_checkpoint},
				0});
	for (int p = 0; p < LIFE_PARTITIONS && !rc; p++)
		mr_log_store_retain_offset(l->store, topic_of(p), number_of(p), m->parts[p].start);
	snprintf(l->message, sizeof(l->message), "%s", diag.message);
	return rc;
}

int life_close_log(struct life *l)
{
	int rc = mr_log_close(l->log);

	l->log = NULL;
	return rc;
}

void life_end(struct life *l)
{
	if (l->log)
		mr_log_discard(l->log);
	mr_log_store_destroy(l->store);
	mr_manifest_destroy(l->manifest);
	free(l->pending);
	l->sim->locked = false;
}

static int bind_all(struct life *l)
{
	int rc = 0;

	for (int p = 0; p < LIFE_PARTITIONS && !l->bound && !rc; p++)
		rc = mr_log_bind(l->log, topic_of(p), number_of(p), &l->refs[p]);
	l->bound |= !rc;
	return rc;
}

int life_append(struct life *l, struct mr_rand *r, uint32_t bytes_max)
{
	int part = (int)mr_rand_below(r, LIFE_PARTITIONS);
	uint32_t bytes = (uint32_t)mr_rand_below(r, bytes_max) + 1;
	int64_t offset = l->model->parts[part].sent;
	struct mr_log_record *rec;
	uint64_t fill = mr_rand_u64(r);
	int rc = bind_all(l);

	if (!rc && offset == LIFE_BATCHES_MAX)
		rc = -EAGAIN;
	if (!rc)
		rc = mr_log_reserve(l->log, MR_LOG_BATCH, bytes, 0, &rec);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < bytes; i++)
		mr_log_payload(rec)[i] = (uint8_t)(fill >> (i % 8 * 8)) ^ (uint8_t)(i >> 3);
	if (mr_rand_below(r, 20) == 0) {
		mr_log_abort(l->log);
		return 0;
	}
	rec->partition_ref = l->refs[part];
	rec->base_offset = offset;
	rec->offset_count = 1;
	rec->max_timestamp_ms = offset;
	l->model->parts[part].checksums[offset] = mr_checksum(mr_log_payload(rec), bytes);
	l->model->parts[part].sent++;
	l->pending[l->pending_tail++] = (struct life_sent){mr_log_commit(l->log), part, offset};
	return 0;
}

void life_turn(struct life *l)
{
	mr_io_sim_step(l->sim);
	mr_log_flush(l->log);
	for (int i = 0; i < 10 && mr_log_store_work(l->store) > 0; i++)
		;
}

void life_settle(struct life *l)
{
	for (int i = 0;
		i < 1000 && !mr_log_state(l->log) && mr_log_durable(l->log) < mr_log_head(l->log);
		i++)
		life_turn(l);
}

void life_retain_and_clean(struct life *l, struct mr_rand *r)
{
	static const struct mr_log_cleaner at_once;
	struct mr_log_info logs[64];
	size_t count = mr_log_store_logs(l->store, logs, MR_COUNT_OF(logs));
	int rc;

	for (size_t i = 0; i < MR_MIN(count, MR_COUNT_OF(logs)); i++)
		mr_log_store_retain_lsn(
			l->store, logs[i].id, logs[i].open ? mr_log_durable(l->log) : UINT64_MAX);
	for (int p = 1; p < LIFE_PARTITIONS; p++) {
		int64_t span = l->model->parts[p].acked - l->model->parts[p].start;

		if (span <= 0)
			continue;
		l->model->parts[p].start += (int64_t)mr_rand_below(r, (uint64_t)span + 1);
		mr_log_store_retain_offset(
			l->store, topic_of(p), number_of(p), l->model->parts[p].start);
	}
	while ((rc = mr_log_store_clean(l->store, &at_once)) > 0)
		l->model->cleanings++;
	l->model->wrong += rc == MR_ERR_CORRUPT;
}

struct check {
	struct life_model *model;
	uint8_t *seen[LIFE_PARTITIONS];
	int64_t next[LIFE_PARTITIONS];
	uint64_t batches;
};

static int check_record(void *arg, const struct mr_log_scan_record *r)
{
	struct check *c = (struct check *)arg;

	if (r->record->type != MR_LOG_BATCH)
		return 0;
	c->batches++;
	for (int p = 0; p < LIFE_PARTITIONS; p++) {
		struct mr_span s = mr_log_payload_span(r->record);
		int64_t offset = r->record->base_offset;

		if (r->partition != number_of(p) || !mr_uuid_eq(r->topic, topic_of(p)))
			continue;
		if (offset < 0 || offset >= c->model->parts[p].sent || c->seen[p][offset]++ ||
			c->model->parts[p].checksums[offset] != mr_checksum(s.data, s.bytes)) {
			c->model->wrong++;
			return 0;
		}
		c->next[p] = MR_MAX(c->next[p], offset + 1);
		return 0;
	}
	c->model->wrong++;
	return 0;
}

// Nothing is missing from the partition's start to its end, and the index leads to all of it.
static void check_part(struct life *l, const struct check *c, int p)
{
	for (int64_t at = l->model->parts[p].start; at < c->next[p]; at++) {
		struct mr_log_entry e;
		int rc;

		do
			rc = mr_log_store_find(l->store, topic_of(p), number_of(p), at, &e);
		while (rc == -EINPROGRESS && mr_log_store_load(l->store) == 1);
		if (!c->seen[p][at] || rc || e.base_offset != at)
			l->model->wrong++;
	}
}

int life_check(struct life *l, bool adopt)
{
	struct check c = {.model = l->model};
	struct mr_log_info logs[64];
	size_t count = mr_log_store_logs(l->store, logs, MR_COUNT_OF(logs));
	struct mr_diag diag;
	int rc = 0;

	MR_ASSERT(count <= MR_COUNT_OF(logs));
	l->model->lost = l->model->wrong = 0;
	for (int p = 0; p < LIFE_PARTITIONS; p++) {
		c.seen[p] = (uint8_t *)calloc(LIFE_BATCHES_MAX, 1);
		MR_ASSERT(c.seen[p]);
		c.next[p] = l->model->parts[p].start;
	}
	for (size_t i = 0; i < count && !rc; i++)
		rc = mr_log_store_scan(l->store, logs[i].id, 0, check_record, &c, &diag);
	if (rc)
		snprintf(l->message, sizeof(l->message), "%s", diag.message);
	l->model->batches = c.batches;
	for (int p = 0; p < LIFE_PARTITIONS && !rc; p++) {
		check_part(l, &c, p);
		if (c.next[p] < l->model->parts[p].acked)
			l->model->lost += (uint64_t)(l->model->parts[p].acked - c.next[p]);
		if (adopt)
			l->model->parts[p].sent = l->model->parts[p].acked = c.next[p];
	}
	for (int p = 0; p < LIFE_PARTITIONS; p++)
		free(c.seen[p]);
	return rc;
}
