// millrace bench ingest: from the producer to durable, acknowledged and counted by SQL.
//
// The events are encoded into batches before the clock starts. Each connection is a producer of its
// own with a thread of its own, which replays its share of the pool and writes only producer id,
// epoch, sequence and checksum.
//
// Without a rate the loop is closed: the pipeline is kept full, and latency runs from the moment
// the client puts a batch on its way. With a rate it is open: batch k is due at a time set
// beforehand, latency runs from that time whether or not the batch could leave then, so a stall
// is seen by every batch that was due during it ("coordinated omission" is the mistake of not
// doing so).
#include "client/bench.h"
#include "client/db.h"
#include "client/event_pool.h"
#include "host/base/err.h"
#include "host/base/zip.h"
#include "host/metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SETTLE_SECONDS = 60 };

static const int64_t second_ns = 1000 * 1000 * 1000;

struct run;

struct producer {
	struct run *run;
	pthread_t thread;
	struct mr_kafka_client *client;
	struct mr_event_batch *batches; // its share of the pool
	uint32_t count;
	uint32_t next;
	uint32_t partition;
	uint64_t rows_wanted;
	uint64_t rows_sent;
	uint64_t rows_acked;
	uint64_t bytes_acked;
	int64_t first_ns, last_ns; // first batch given, last acknowledgement
	struct mr_hist latency;
	int failed;
};

struct run {
	struct mr_bench *b;
	struct mr_event_pool *pool;
	struct producer *producers;
	int64_t begin_ns;
	double rows_per_ns; // of each producer; 0: closed loop
	atomic_bool stop;
};

static int64_t now_ns(void)
{
	return mr_now_ns(&mr_clock_system);
}

static void acked(void *owner, struct mr_produce_batch *batch)
{
	struct producer *p = owner;
	int64_t from = p->run->rows_per_ns > 0 ? batch->intended_ns : batch->sent_ns;

	p->last_ns = now_ns();
	p->rows_acked += (uint64_t)batch->rows;
	p->bytes_acked += batch->bytes;
	mr_hist_record(&p->latency, (uint64_t)MR_MAX(p->last_ns - from, 0));
	((struct mr_event_batch *)batch)->busy = false;
}

// When the next batch is due: when its last row is there, at the rate asked for.
static int64_t due_ns(const struct producer *p)
{
	uint64_t rows = p->rows_sent + (uint64_t)p->batches[p->next].batch.rows;

	if (p->run->rows_per_ns <= 0)
		return 0;
	return p->run->begin_ns + (int64_t)((double)rows / p->run->rows_per_ns);
}

// Enough to keep every partition's pipeline full, with one batch in reserve.
static bool has_room(const struct producer *p)
{
	uint64_t inflight = p->run->b->inflight ? p->run->b->inflight : MR_PRODUCE_INFLIGHT_MAX;

	return p->run->rows_per_ns > 0 ||
	       mr_kafka_client_pending(p->client) <
		       mr_kafka_client_partitions(p->client) * (inflight + 1);
}

static void send_due(struct producer *p, int64_t now)
{
	while (p->rows_sent < p->rows_wanted && has_room(p)) {
		struct mr_event_batch *e = &p->batches[p->next];
		int64_t due = due_ns(p);

		if (e->busy || due > now)
			return;
		e->busy = true;
		e->batch.intended_ns = due ? due : now;
		p->rows_sent += (uint64_t)e->batch.rows;
		p->next = (p->next + 1) % p->count;
		mr_kafka_client_send(p->client, p->partition, &e->batch);
		p->partition = (p->partition + 1) % mr_kafka_client_partitions(p->client);
	}
}

static void *produce(void *arg)
{
	struct producer *p = arg;
	int e = 0;

	p->first_ns = now_ns();
	while (e == 0 && !atomic_load(&p->run->stop) &&
		(p->rows_sent < p->rows_wanted || mr_kafka_client_pending(p->client))) {
		int64_t now = now_ns(), wait = second_ns / 10;

		send_due(p, now);
		if (p->run->rows_per_ns > 0 && p->rows_sent < p->rows_wanted)
			wait = MR_MIN(wait, MR_MAX(due_ns(p) - now_ns(), 0));
		e = mr_kafka_client_poll(p->client, wait, -1);
	}
	p->failed = e;
	if (e < 0)
		atomic_store(&p->run->stop, true);
	return NULL;
}

static int connect_producer(struct run *r, uint32_t i)
{
	struct mr_bench *b = r->b;
	struct producer *p = &r->producers[i];
	uint32_t share = r->pool->count / (uint32_t)b->connections;
	struct mr_kafka_client_options o = {.bootstrap = b->bootstrap,
		.topic = b->topic,
		.acks = b->acks,
		.idempotent = b->acks == -1,
		.inflight_max = (uint32_t)b->inflight,
		.partitions = (int32_t)b->partitions,
		.acked = acked,
		.owner = p};

	p->run = r;
	p->batches = r->pool->batches + (size_t)i * share;
	p->count = i + 1 == b->connections ? r->pool->count - i * share : share;
	p->rows_wanted = b->rows / b->connections + (i == 0 ? b->rows % b->connections : 0);
	p->partition = i; // so that producers do not march in step
	return mr_kafka_client_create(&o, &p->client, b->error, sizeof(b->error));
}

static int start_and_join(struct run *r)
{
	struct mr_bench *b = r->b;
	uint64_t started = 0;
	int e = 0;

	r->begin_ns = now_ns();
	for (; started < b->connections; started++)
		if (pthread_create(&r->producers[started].thread, NULL, produce,
			    &r->producers[started]) != 0) {
			atomic_store(&r->stop, true);
			snprintf(b->error, sizeof(b->error), "cannot start a thread");
			e = -EAGAIN;
			break;
		}
	for (uint64_t i = 0; i < started; i++) {
		struct producer *p = &r->producers[i];

		pthread_join(p->thread, NULL);
		if (p->failed && e == 0) {
			e = p->failed;
			snprintf(
				b->error, sizeof(b->error), "%s", mr_kafka_client_error(p->client));
		}
	}
	return e;
}

static int count_rows(struct mr_bench *b, PGconn *c, int64_t *rows)
{
	char text[512];

	snprintf(text, sizeof(text), "SELECT count(*) FROM \"%s\"", b->topic);
	return mr_db_number(c, text, rows, b->error, sizeof(b->error)) ? 0 : -EIO;
}

// Asks until SQL counts what was acknowledged. `*counted_ns`: when it did.
static int await_count(struct mr_bench *b, PGconn *c, int64_t wanted, int64_t *counted_ns)
{
	int64_t until = now_ns() + SETTLE_SECONDS * second_ns, rows = 0;
	const struct timespec pause = {0, 1000 * 1000};

	for (;;) {
		int e = count_rows(b, c, &rows);

		*counted_ns = now_ns();
		if (e < 0)
			return e;
		if (rows == wanted)
			return 0;
		if (rows > wanted || *counted_ns > until)
			break;
		nanosleep(&pause, NULL);
	}
	snprintf(b->error, sizeof(b->error), "SQL counts %lld rows, %lld were expected",
		(long long)rows, (long long)wanted);
	return MR_ERR_CORRUPT;
}

struct totals {
	uint64_t rows, bytes, retries;
	int64_t first_ns, last_ns, counted_ns;
	struct mr_hist latency;
	double daemon_cpu, own_cpu;
};

static void sum_up(const struct run *r, struct totals *t)
{
	t->first_ns = INT64_MAX;
	for (uint64_t i = 0; i < r->b->connections; i++) {
		const struct producer *p = &r->producers[i];

		t->rows += p->rows_acked;
		t->bytes += p->bytes_acked;
		t->retries += mr_kafka_client_retries(p->client);
		t->first_ns = MR_MIN(t->first_ns, p->first_ns);
		t->last_ns = MR_MAX(t->last_ns, p->last_ns);
		mr_hist_add(&t->latency, &p->latency);
	}
}

static void report(
	struct mr_bench *b, const struct mr_event_pool *pool, uint64_t run, const struct totals *t)
{
	static const struct {
		const char *name;
		double q;
	} quantiles[] = {{"p50_ms", 0.5}, {"p90_ms", 0.9}, {"p99_ms", 0.99}, {"p999_ms", 0.999},
		{"max_ms", 1}};
	struct mr_report *r = &b->report;
	double s = (double)(t->last_ns - t->first_ns) / 1e9, millions = (double)t->rows / 1e6;
	double row_bytes = (double)pool->value_bytes / (double)pool->rows;

	mr_report_number(r, "run", (double)run + 1, 0);
	mr_report_text(r, "codec", mr_codec_name(b->codec));
	mr_report_number(r, "batch_KiB", (double)b->batch_bytes / 1024, 0);
	mr_report_number(r, "conns", (double)b->connections, 0);
	mr_report_number(r, "rows", (double)t->rows, 0);
	mr_report_number(r, "distinct", (double)MR_MIN(t->rows, pool->rows), 0);
	mr_report_number(r, "seconds", s, 3);
	mr_report_number(r, "rows_per_s", (double)t->rows / s, 0);
	mr_report_number(r, "json_MB_per_s", (double)t->rows * row_bytes / 1e6 / s, 1);
	mr_report_number(r, "wire_MB_per_s", (double)t->bytes / 1e6 / s, 1);
	for (size_t i = 0; i < MR_COUNT_OF(quantiles); i++)
		mr_report_number(r, quantiles[i].name,
			(double)mr_hist_quantile_ns(&t->latency, quantiles[i].q) / 1e6, 3);
	if (b->sql)
		mr_report_number(r, "counted_ms", (double)(t->counted_ns - t->last_ns) / 1e6, 1);
	if (b->pid)
		mr_report_number(r, "daemon_cpu_s_per_Mrow", t->daemon_cpu / millions, 3);
	mr_report_number(r, "own_cpu_s_per_Mrow", t->own_cpu / millions, 3);
	mr_report_number(r, "retries", (double)t->retries, 0);
	mr_report_end_row(r);
}

// One run: producers of their own, so fresh ids and sequences.
static int measure(struct run *r, PGconn *sql, struct totals *t)
{
	struct mr_bench *b = r->b;
	int64_t before = 0;
	int e = 0;

	for (uint32_t i = 0; i < b->connections && e == 0; i++)
		e = connect_producer(r, i);
	if (e == 0 && sql)
		e = count_rows(b, sql, &before);
	if (e < 0)
		return e;
	t->daemon_cpu = -mr_bench_cpu_seconds(b->pid);
	t->own_cpu = -mr_bench_own_cpu_seconds();
	e = start_and_join(r);
	t->own_cpu += mr_bench_own_cpu_seconds();
	sum_up(r, t);
	if (e == 0 && sql)
		e = await_count(b, sql, before + (int64_t)t->rows, &t->counted_ns);
	t->daemon_cpu += mr_bench_cpu_seconds(b->pid);
	return e;
}

static int run_once(struct mr_bench *b, struct mr_event_pool *pool, PGconn *sql, uint64_t index)
{
	struct totals *t = calloc(1, sizeof(*t));
	struct run r = {.b = b, .pool = pool};
	int e = -ENOMEM;

	r.rows_per_ns = (double)b->rate / (double)b->connections / 1e9;
	r.producers = calloc(b->connections, sizeof(*r.producers));
	if (t && r.producers)
		e = measure(&r, sql, t);
	else
		snprintf(b->error, sizeof(b->error), "out of memory");
	if (e == 0)
		report(b, pool, index, t);
	for (uint64_t i = 0; r.producers && i < b->connections; i++)
		mr_kafka_client_destroy(r.producers[i].client);
	free(r.producers);
	free(t);
	return e;
}

int mr_bench_ingest(struct mr_bench *b)
{
	struct mr_event_pool_options o = {.seed = b->seed,
		.batch_bytes = b->batch_bytes,
		.bytes_limit = b->pool_bytes,
		.codec = b->codec};
	struct mr_event_pool pool;
	PGconn *sql = NULL;
	int e;

	b->rows = b->rows ? b->rows : 2000000;
	o.rows = b->rows;
	e = mr_event_pool_create(&o, &pool);
	if (e < 0) {
		snprintf(b->error, sizeof(b->error), "encoding events: %s", mr_err_text(e));
		return e;
	}
	if (pool.count < b->connections) {
		snprintf(b->error, sizeof(b->error), "%u batches are too few for %llu connections",
			pool.count, (unsigned long long)b->connections);
		e = -EINVAL;
	}
	if (e == 0 && b->sql) {
		sql = mr_db_open(b->sql, "millrace bench", b->error, sizeof(b->error));
		e = sql ? 0 : -ECONNREFUSED;
	}
	for (uint64_t i = 0; e == 0 && i < MR_MAX(b->runs, 1); i++)
		e = run_once(b, &pool, sql, i);
	PQfinish(sql);
	mr_event_pool_destroy(&pool);
	return e;
}
