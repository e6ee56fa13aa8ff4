// Finding things in a log store that holds much: many partitions bound to one log, many files.
//
// Usage: log_lookup_bench [DIR] [BATCHES]. 4,096 partitions, batches of 5,000 bytes spread over
// them by turns, files of 1 MiB; one line per kind of call, nanoseconds each. Then a second start.
#include "host/base/rand.h"
#include "storage/dir.h"
#include "storage/log_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PARTITIONS = 4096, BATCH_BYTES = 5000, FILE_BYTES = 1 << 20, FINDS = 20000 };

static const struct mr_uuid topic = {{1}};

struct bench {
	struct mr_disk *disk;
	struct mr_manifest *manifest;
	struct mr_log_store *store;
	struct mr_io *io;
	struct mr_log *log;
	int64_t since_ns;
	uint32_t refs[PARTITIONS];
	int64_t batches;
};

static void must(int rc, const char *what)
{
	if (rc < 0) {
		fprintf(stderr, "log_lookup_bench: %s: %s\n", what, mr_err_text(rc));
		exit(1);
	}
}

static void lap(struct bench *b, const char *what, int64_t count)
{
	int64_t now = mr_now_ns(&mr_clock_system);

	printf("%-44s %9lld times %12.0f ns each %9.1f ms\n", what, (long long)count,
		(double)(now - b->since_ns) / (double)count, (double)(now - b->since_ns) / 1e6);
	fflush(stdout);
	b->since_ns = mr_now_ns(&mr_clock_system);
}

static void start(struct bench *b, const char *dir)
{
	struct mr_log_store_options so = {.clock = &mr_clock_system,
		.file_bytes = FILE_BYTES,
		.bytes_free_min = 1 << 20,
		.seed = 1};
	struct mr_manifest_options mo = {0};

	b->since_ns = mr_now_ns(&mr_clock_system);
	must(mr_dir_open(&b->disk, dir, NULL), "open");
	must(mr_dir_init(b->disk, NULL), "init");
	mo.disk = so.disk = b->disk;
	must(mr_manifest_create(&b->manifest, &mo), "manifest");
	so.manifest = b->manifest;
	must(mr_log_store_create(&b->store, &so), "store");
	must(mr_manifest_open(b->manifest, NULL), "manifest");
	must(mr_log_store_recover(b->store, NULL), "recover");
	lap(b, "start: manifest and recovery", 1);
	must(mr_io_plain_create(&b->io), "io");
	must(mr_log_open(&b->log, b->store, &(struct mr_log_options){.io = b->io}), "log");
	lap(b, "start: a new log", 1);
}

static void stop(struct bench *b)
{
	b->since_ns = mr_now_ns(&mr_clock_system);
	if (b->log)
		must(mr_log_close(b->log), "close");
	lap(b, "close", 1);
	mr_log_store_destroy(b->store);
	mr_manifest_destroy(b->manifest);
	mr_io_destroy(b->io);
	mr_disk_destroy(b->disk);
}

static void bind_all(struct bench *b)
{
	for (int p = 0; p < PARTITIONS; p++) {
		int rc;

		while ((rc = mr_log_bind(b->log, topic, p, &b->refs[p])) == -EAGAIN)
			must(mr_log_store_work(b->store), "work");
		must(rc, "bind");
	}
}

static void append(struct bench *b, int64_t i)
{
	struct mr_log_record *r;
	int rc;

	while ((rc = mr_log_reserve(b->log, MR_LOG_BATCH, BATCH_BYTES, 0, &r)) == -EAGAIN) {
		mr_log_flush(b->log);
		must(mr_log_store_work(b->store), "work");
		if (b->io->in_flight)
			must(mr_io_wait(b->io), "wait");
	}
	must(rc, "reserve");
	memset(mr_log_payload(r), 0x61, BATCH_BYTES);
	r->partition_ref = b->refs[i % PARTITIONS];
	r->base_offset = i / PARTITIONS * 2;
	r->offset_count = 2;
	r->max_timestamp_ms = 1000 + i;
	mr_log_commit(b->log);
}

static void find(struct bench *b, bool by_time)
{
	struct mr_log_entry e;
	struct mr_rand r;

	mr_rand_init(&r, 7);
	for (int i = 0; i < FINDS; i++) {
		int64_t at = (int64_t)mr_rand_below(&r, (uint64_t)b->batches);
		int32_t p = (int32_t)(at % PARTITIONS);
		int64_t offset = at / PARTITIONS * 2;
		int rc = by_time ? mr_log_find_time(b->log, topic, p, 0, 1000 + at, &e)
				 : mr_log_find(b->log, topic, p, offset, &e);

		must(rc, "find");
		MR_ASSERT(e.base_offset == offset);
	}
}

static void extents(struct bench *b)
{
	for (int32_t p = 0; p < PARTITIONS; p++) {
		struct mr_log_extent x;

		mr_log_store_extent(b->store, topic, p, &x);
	}
}

static void retain(struct bench *b)
{
	for (int32_t p = 0; p < PARTITIONS; p++)
		mr_log_store_retain_offset(
			b->store, topic, p, b->batches / PARTITIONS * 2 / 10 * 9);
}

// Four of five partitions are given up; the fifth pins every file.
static void clean(struct bench *b)
{
	static const struct mr_log_cleaner at_once;
	int count = 0, rc;

	for (int32_t p = 0; p < PARTITIONS; p++)
		if (p % 5)
			mr_log_store_retain_offset(b->store, topic, p, INT64_MAX);
	mr_log_store_retain_lsn(b->store, 1, UINT64_MAX);
	b->since_ns = mr_now_ns(&mr_clock_system);
	while ((rc = mr_log_store_clean(b->store, &at_once)) > 0)
		count++;
	must(rc, "clean");
	lap(b, "clean: new files written", count);
	printf("cleaned: %llu files, %.0f MiB, of which %.0f MiB copied\n",
		(unsigned long long)mr_log_store_stats(b->store).cleaned_files,
		(double)mr_log_store_stats(b->store).cleaned_bytes / 1048576,
		(double)mr_log_store_stats(b->store).copied_bytes / 1048576);
	b->since_ns = mr_now_ns(&mr_clock_system);
}

static void run(struct bench *b, const char *dir)
{
	int count = 0, rc;

	start(b, dir);
	bind_all(b);
	lap(b, "bind: new", PARTITIONS);
	bind_all(b);
	lap(b, "bind: known", PARTITIONS);
	for (int64_t i = 0; i < b->batches; i++)
		append(b, i);
	while (mr_log_durable(b->log) < mr_log_head(b->log)) {
		mr_log_flush(b->log);
		must(mr_io_wait(b->io), "wait");
	}
	lap(b, "append", b->batches);
	printf("files: %llu\n", (unsigned long long)mr_log_store_stats(b->store).files);
	find(b, false);
	lap(b, "find: by offset", FINDS);
	find(b, true);
	lap(b, "find: by time, from offset 0", FINDS);
	extents(b);
	lap(b, "extent", PARTITIONS);
	stop(b);
	start(b, dir);
	find(b, false);
	lap(b, "find: by offset, second start", FINDS);
	clean(b);
	retain(b);
	lap(b, "retain", PARTITIONS);
	while ((rc = mr_log_store_work(b->store)) > 0)
		count++;
	must(rc, "work");
	lap(b, "work: removing dead files", count + 1);
	stop(b);
}

int main(int argc, char **argv)
{
	struct bench b = {.batches = argc > 2 ? atoll(argv[2]) : 20000};
	char temporary[] = "/tmp/mr_lookup_bench_XXXXXX";
	const char *dir = argc > 1 ? argv[1] : mkdtemp(temporary);
	char command[640];

	if (!dir)
		return 1;
	run(&b, dir);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command) ? 1 : 0;
}
