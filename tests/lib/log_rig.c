// See log_rig.h.
#include "tests/lib/log_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

const struct mr_uuid rig_topic = {{7}};

static void on_durable(void *ctx, uint64_t lsn)
{
	((struct rig *)ctx)->durable = lsn;
}

static uint64_t on_checkpoint_bytes(void *ctx)
{
	const struct rig *g = (const struct rig *)ctx;

	return g->checkpoint_records * mr_log_record_bytes(RIG_CHECKPOINT_BYTES);
}

static void on_checkpoint(void *ctx, struct mr_log *log)
{
	const struct rig *g = (const struct rig *)ctx;

	for (uint32_t i = 0; i < g->checkpoint_records; i++) {
		struct mr_log_record *r;
		int rc = mr_log_reserve(log, MR_LOG_CHECKPOINT, RIG_CHECKPOINT_BYTES, 0, &r);

		MR_ASSERT(rc == 0);
		memset(mr_log_payload(r), 0x5a, RIG_CHECKPOINT_BYTES);
		mr_log_commit(log);
	}
}

int rig_start(struct rig *g)
{
	struct mr_log_store_options so = {.clock = &mr_clock_system,
		.file_bytes = g->file_bytes ? g->file_bytes : RIG_FILE_BYTES,
		.file_bytes_first = g->file_bytes_first,
		.open_files_max = g->open_files_max,
		.index_memory_bytes = g->index_memory_bytes,
		.bytes_free_min = g->bytes_free_min ? g->bytes_free_min : 1 << 20,
		.seed = 9};
	struct mr_manifest_options mo = {.file_bytes = 1 << 20};
	int rc = 0;

	if (g->is_sim) {
		g->disk = &g->sim.disk;
		g->io = &g->sim.io;
		g->sim.locked = false;
	} else {
		rc = mr_dir_open(&g->disk, g->path, &g->diag);
		MR_ASSERT(rc == 0);
		if (g->plain) {
			MR_ASSERT(mr_io_plain_create(&g->io) == 0);
		} else {
			MR_ASSERT(mr_uring_create(&g->ring, NULL) == 0);
			MR_ASSERT(mr_io_uring_create(&g->io, g->ring) == 0);
		}
	}
	MR_ASSERT(mr_dir_init(g->disk, &g->diag) == 0);
	mo.disk = so.disk = g->disk;
	MR_ASSERT(mr_manifest_create(&g->manifest, &mo) == 0);
	so.manifest = g->manifest;
	MR_ASSERT(mr_log_store_create(&g->store, &so) == 0);
	rc = mr_manifest_open(g->manifest, &g->diag);
	if (!rc)
		rc = mr_log_store_recover(g->store, &g->diag);
	if (!rc)
		rc = mr_log_open(&g->log, g->store,
			&(struct mr_log_options){.io = g->io,
				.ring_bytes = g->ring_bytes,
				.events = {.ctx = g,
					.durable = on_durable,
					.checkpoint_bytes = on_checkpoint_bytes,
					.checkpoint = on_checkpoint}});
	for (int i = 0; i < 4 && !rc; i++)
		rc = mr_log_bind(g->log, rig_topic, i, &g->ref[i]);
	g->durable = 0;
	return rc;
}

void rig_stop(struct rig *g)
{
	if (g->log)
		MR_ASSERT(mr_log_close(g->log) == 0);
	g->log = NULL;
	mr_log_store_destroy(g->store);
	mr_manifest_destroy(g->manifest);
	mr_io_destroy(g->io);
	mr_uring_destroy(g->ring);
	g->ring = NULL;
	mr_disk_destroy(g->disk);
}

struct rig *rig_real(bool plain)
{
	struct rig *g = (struct rig *)calloc(1, sizeof(*g));

	snprintf(g->path, sizeof(g->path), "/tmp/mr_log_XXXXXX");
	MR_ASSERT(mkdtemp(g->path) != NULL);
	g->plain = plain;
	return g;
}

struct rig *rig_sim(uint64_t capacity)
{
	struct rig *g = (struct rig *)calloc(1, sizeof(*g));

	mr_io_sim_init(&g->sim, &(struct mr_io_sim_options){.seed = 4, .capacity_bytes = capacity});
	g->is_sim = true;
	return g;
}

void rig_free(struct rig *g)
{
	char command[64];

	if (g->is_sim) {
		mr_io_sim_fini(&g->sim);
	} else {
		snprintf(command, sizeof(command), "rm -rf %s", g->path);
		MR_ASSERT(system(command) == 0);
	}
	free(g);
}

void rig_turn(struct rig *g)
{
	mr_log_flush(g->log);
	while (mr_log_store_work(g->store) > 0)
		;
	if (g->io->in_flight)
		MR_ASSERT(mr_io_wait(g->io) >= 0);
}

void rig_settle(struct rig *g)
{
	while (mr_log_durable(g->log) < mr_log_head(g->log))
		rig_turn(g);
}

void rig_fill_batch(uint8_t *p, uint32_t bytes, int partition, int64_t offset)
{
	for (uint32_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(i * 3 + (uint32_t)partition * 11 + (uint64_t)offset * 7);
}

// Appends a batch of `count` offsets; retries while the log asks for patience.
int rig_append(struct rig *g, int partition, int64_t offset, uint32_t count, uint32_t bytes)
{
	struct mr_log_record *r;
	int rc = mr_log_reserve(g->log, MR_LOG_BATCH, bytes, 0, &r);

	for (int i = 0; rc == -EAGAIN && i < 100000; i++) {
		rig_turn(g);
		rc = mr_log_reserve(g->log, MR_LOG_BATCH, bytes, 0, &r);
	}
	if (rc)
		return rc;
	rig_fill_batch(mr_log_payload(r), bytes, partition, offset);
	r->partition_ref = g->ref[partition];
	r->base_offset = offset;
	r->offset_count = count;
	r->max_timestamp_ms = 1000 + offset;
	mr_log_commit(g->log);
	return 0;
}

int rig_load(struct rig *g)
{
	int rc;

	while ((rc = mr_log_store_load(g->store)) == -EAGAIN)
		usleep(1000);
	MR_ASSERT(rc >= 0);
	return rc;
}

int rig_find(struct rig *g, int partition, int64_t offset, struct mr_log_entry *e)
{
	int rc;

	while ((rc = mr_log_find(g->log, rig_topic, partition, offset, e)) == -EINPROGRESS)
		rig_load(g);
	return rc;
}

int rig_find_time(
	struct rig *g, int partition, int64_t offset, int64_t time_ms, struct mr_log_entry *e)
{
	int rc;

	while ((rc = mr_log_find_time(g->log, rig_topic, partition, offset, time_ms, e)) ==
		-EINPROGRESS)
		rig_load(g);
	return rc;
}

struct read_call {
	struct mr_log_read read;
	bool done;
	int res;
};

static void read_done(struct mr_log_read *r, int res)
{
	struct read_call *c = MR_CONTAINER(r, struct read_call, read);

	c->done = true;
	c->res = res;
}

// Reads the batch back from disk and compares.
int rig_read_back(struct rig *g, const struct mr_log_entry *e, int partition)
{
	uint64_t bytes = mr_log_record_bytes(e->bytes);
	struct read_call c = {.read = {.done = read_done,
				      .log_id = e->log_id,
				      .lsn = e->lsn,
				      .bytes = bytes,
				      .topic = rig_topic,
				      .partition = partition,
				      .base_offset = e->base_offset,
				      .buffer = -1}};
	uint8_t *want = (uint8_t *)malloc(e->bytes);
	int rc;

	c.read.data = (uint8_t *)aligned_alloc(4096, mr_log_read_bytes(bytes));
	rc = mr_log_store_read(g->store, g->io, &c.read);
	while (!rc && !c.done)
		MR_ASSERT(mr_io_wait(g->io) >= 0);
	if (!rc && !c.res) {
		const struct mr_log_record *r =
			(const struct mr_log_record *)(const void *)c.read.records.data;

		rig_fill_batch(want, e->bytes, partition, e->base_offset);
		MR_ASSERT(r->type == MR_LOG_BATCH);
		MR_ASSERT(r->base_offset == e->base_offset);
		MR_ASSERT(memcmp(r + 1, want, e->bytes) == 0);
	}
	free(c.read.data);
	free(want);
	return rc ? rc : c.res;
}

static void *thread_main(void *arg)
{
	struct rig_thread *t = (struct rig_thread *)arg;

	while (!t->stop) {
		int rc = t->turn(t->g);

		if (rc < 0) {
			t->error = rc;
			break;
		}
		t->done += (uint64_t)rc;
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	}
	return NULL;
}

void rig_thread_start(struct rig_thread *t, struct rig *g, int (*turn)(struct rig *g))
{
	*t = (struct rig_thread){.g = g, .turn = turn};
	MR_ASSERT(pthread_create(&t->thread, NULL, thread_main, t) == 0);
}

void rig_thread_stop(struct rig_thread *t)
{
	t->stop = true;
	pthread_join(t->thread, NULL);
}
