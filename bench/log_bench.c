// The log's group commit: closed and open loop, on the worker's own ring and with a commit thread,
// from a worker that sleeps between turns and from one that never does.
//
// Usage: log_bench [DIR] [SECONDS]. Records of 1 KiB; one line per case.
#include "storage/dir.h"
#include "storage/log_store.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RECORD_BYTES = 1024, SAMPLES_MAX = 1 << 23 };

struct bench {
	struct mr_uring *ring;
	struct mr_io *io;
	struct mr_log *log;
	struct sample {
		uint64_t lsn;
		int64_t sent_ns;
	} * sent; // a queue in append order
	size_t sent_head;
	size_t sent_tail;
	uint32_t *latency_us10; // tenths of microseconds
	size_t samples;
	uint32_t ref;
};

struct setting {
	const char *name;
	bool plain;       // commit thread instead of the worker's ring
	bool busy;        // the worker never sleeps
	unsigned clients; // closed loop: records outstanding; 0: open loop
	double rate;      // open loop: records a second
};

static void on_durable(void *ctx, uint64_t lsn)
{
	struct bench *b = (struct bench *)ctx;
	int64_t now = mr_now_ns(&mr_clock_system);

	while (b->sent_head != b->sent_tail && b->sent[b->sent_head].lsn < lsn) {
		int64_t ns = now - b->sent[b->sent_head++].sent_ns;

		if (b->samples < SAMPLES_MAX)
			b->latency_us10[b->samples++] = (uint32_t)MR_MIN(ns / 100, UINT32_MAX);
	}
}

static bool append(struct bench *b, int64_t sent_ns)
{
	struct mr_log_record *r;

	if (b->sent_tail == SAMPLES_MAX ||
		mr_log_reserve(b->log, MR_LOG_BATCH, RECORD_BYTES, 0, &r))
		return false;
	memset(mr_log_payload(r), 0x61, RECORD_BYTES);
	r->partition_ref = b->ref;
	r->offset_count = 1;
	b->sent[b->sent_tail].sent_ns = sent_ns;
	b->sent[b->sent_tail++].lsn = mr_log_commit(b->log);
	return true;
}

// Waits for a completion, at most `wait_ns`; not at all when the worker is busy.
static void turn(struct bench *b, int64_t wait_ns)
{
	struct pollfd p = {.fd = b->io->event_fd, .events = POLLIN};
	struct timespec ts = {wait_ns / 1000000000, wait_ns % 1000000000};

	if (b->ring) {
		if (mr_uring_turn(b->ring, wait_ns) < 0)
			abort();
		return;
	}
	if (wait_ns)
		ppoll(&p, 1, &ts, NULL);
	mr_io_reap(b->io);
}

static void run_loop(struct bench *b, const struct setting *s, double seconds)
{
	int64_t start = mr_now_ns(&mr_clock_system);
	int64_t end = start + (int64_t)(seconds * 1e9);
	int64_t now = start;
	double due = 0;

	while (now < end) {
		int64_t wait = 1000000;

		if (s->clients) {
			while (b->sent_tail - b->sent_head < s->clients && append(b, now))
				;
		} else {
			while (start + (int64_t)due <= now && append(b, start + (int64_t)due))
				due += 1e9 / s->rate;
			wait = MR_MAX((int64_t)1, start + (int64_t)due - now);
		}
		mr_log_flush(b->log);
		turn(b, s->busy ? 0 : wait);
		now = mr_now_ns(&mr_clock_system);
	}
	while (mr_log_durable(b->log) < mr_log_head(b->log)) {
		mr_log_flush(b->log);
		turn(b, 1000000);
	}
}

static int cmp_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void must(int rc, const char *what)
{
	if (rc < 0) {
		fprintf(stderr, "log_bench: %s: %s\n", what, mr_err_text(rc));
		exit(1);
	}
}

static void run_case(const char *dir, const struct setting *s, double seconds)
{
	struct mr_log_store_options so = {.clock = &mr_clock_system, .seed = 1};
	struct mr_manifest_options mo = {0};
	struct mr_manifest *manifest;
	struct mr_log_store *store;
	struct mr_disk *disk;
	struct bench b = {0};
	double cpu;

	must(mr_dir_open(&disk, dir, NULL), "open");
	must(mr_dir_init(disk, NULL), "init");
	mo.disk = so.disk = disk;
	must(mr_manifest_create(&manifest, &mo), "manifest");
	so.manifest = manifest;
	must(mr_log_store_create(&store, &so), "store");
	must(mr_manifest_open(manifest, NULL), "manifest");
	must(mr_log_store_recover(store, NULL), "recover");
	if (s->plain) {
		must(mr_io_plain_create(&b.io), "io");
	} else {
		must(mr_uring_create(&b.ring, NULL), "ring");
		must(mr_io_uring_create(&b.io, b.ring), "io");
	}
	must(mr_log_open(&b.log, store,
		     &(struct mr_log_options){
			     .io = b.io, .events = {.ctx = &b, .durable = on_durable}}),
		"log");
	must(mr_log_bind(b.log, (struct mr_uuid){{1}}, 0, &b.ref), "bind");
	b.sent = (struct sample *)calloc(SAMPLES_MAX, sizeof(*b.sent));
	b.latency_us10 = (uint32_t *)calloc(SAMPLES_MAX, sizeof(*b.latency_us10));
	cpu = cpu_seconds();
	run_loop(&b, s, seconds);
	cpu = cpu_seconds() - cpu;
	qsort(b.latency_us10, b.samples, sizeof(*b.latency_us10), cmp_u32);
	printf("%-34s %9.0f acks/s  p50 %7.1f  p99 %8.1f  p99.9 %8.1f us  %6.0f commits/s  cpu "
	       "%3.0f %%\n",
		s->name, (double)b.samples / seconds, b.latency_us10[b.samples / 2] / 10.0,
		b.latency_us10[b.samples - 1 - b.samples / 100] / 10.0,
		b.latency_us10[b.samples - 1 - b.samples / 1000] / 10.0,
		(double)mr_log_stats(b.log)->frames / seconds, cpu / seconds * 100);
	fflush(stdout);
	must(mr_log_close(b.log), "close");
	mr_log_store_retain_offset(store, (struct mr_uuid){{1}}, 0, INT64_MAX);
	mr_log_store_retain_lsn(store, 1, UINT64_MAX);
	while (mr_log_store_work(store) > 0)
		;
	mr_io_destroy(b.io);
	mr_uring_destroy(b.ring);
	mr_log_store_destroy(store);
	mr_manifest_destroy(manifest);
	mr_disk_destroy(disk);
	free(b.sent);
	free(b.latency_us10);
}

int main(int argc, char **argv)
{
	static const struct setting settings[] = {
		{"own ring, sleeps, 1 client", false, false, 1, 0},
		{"own ring, sleeps, 64 clients", false, false, 64, 0},
		{"own ring, sleeps, 1024 clients", false, false, 1024, 0},
		{"own ring, sleeps, 100 k/s", false, false, 0, 1e5},
		{"own ring, busy, 64 clients", false, true, 64, 0},
		{"own ring, busy, 100 k/s", false, true, 0, 1e5},
		{"commit thread, sleeps, 64 clients", true, false, 64, 0},
		{"commit thread, sleeps, 100 k/s", true, false, 0, 1e5},
		{"commit thread, busy, 64 clients", true, true, 64, 0},
		{"commit thread, busy, 100 k/s", true, true, 0, 1e5},
	};
	const char *dir = argc > 1 ? argv[1] : NULL;
	double seconds = argc > 2 ? atof(argv[2]) : 0.2;
	char temporary[] = "/tmp/mr_log_bench_XXXXXX";
	char path[600], command[640];

	if (!dir)
		dir = mkdtemp(temporary);
	for (size_t i = 0; dir && i < MR_COUNT_OF(settings); i++) {
		snprintf(path, sizeof(path), "%s/%zu", dir, i);
		run_case(path, &settings[i], seconds);
		snprintf(command, sizeof(command), "rm -rf '%s'", path);
		if (system(command))
			return 1;
	}
	if (dir == temporary)
		rmdir(temporary);
	return dir ? 0 : 1;
}
