// millrace bench freshness: how long from the acknowledgement of a record to the first SQL answer
// that has it.
//
// Marks go to a small table of their own, `freshness`, made anew: batch k of a partition ("lane")
// carries {"lane": L, "seq": k}. A second thread asks `SELECT lane, max(seq) … GROUP BY lane` again
// and again; a batch is seen when an answer that has it, or a later one of its lane, has arrived
// whole. A record is thus late by the rest of one question and all of the next, as for any reader.
// A batch that is seen before its acknowledgement has been read counts as 0.
//
// With --scan a third thread runs full scans of the events table as fast as they come back.
#include "client/bench.h"
#include "client/db.h"
#include "client/kafka_client.h"
#include "dataplane/batch_build.h"
#include "host/base/err.h"
#include "host/metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
	BATCHES_PER_SECOND_MAX = 1000,
	LANES_MAX = 1024,
	SETTLE_SECONDS = 10,
};

static const int64_t second_ns = 1000 * 1000 * 1000;
static const char probe_sql[] = "SELECT lane, max(seq) FROM freshness GROUP BY lane";

struct mark {
	struct mr_produce_batch batch; // first: a batch is cast back to its mark
	int64_t acked_ns;              // producer writes; read after joining
	int64_t seen_ns;               // poller writes; read after joining
};

struct lane {
	_Atomic uint32_t sent; // marks given to the client; producer writes, poller reads
	uint32_t seen;         // poller only
};

struct freshness {
	struct mr_bench *b;
	struct mr_kafka_client *client;
	struct mark *marks; // mark i is number i / lanes_count of lane i % lanes_count
	uint32_t marks_count;
	uint32_t lanes_count;
	struct lane lanes[LANES_MAX];
	uint64_t rows_per_batch;
	_Atomic uint32_t acked;
	_Atomic uint32_t seen;
	atomic_bool stop_poll, stop_scan;
	uint64_t scans;
	struct mr_hist poll, scan;
	char poll_error[300], scan_error[300];
};

static int64_t now_ns(void)
{
	return mr_now_ns(&mr_clock_system);
}

static void acked(void *owner, struct mr_produce_batch *batch)
{
	struct freshness *f = owner;

	((struct mark *)batch)->acked_ns = now_ns();
	atomic_fetch_add(&f->acked, 1);
}

// Every mark of a lane up to `seq` is seen at `at`.
static void see(struct freshness *f, uint32_t lane, uint32_t seq, int64_t at)
{
	struct lane *l = &f->lanes[lane];

	for (; l->seen <= seq && l->seen < atomic_load(&l->sent); l->seen++) {
		f->marks[l->seen * f->lanes_count + lane].seen_ns = at;
		atomic_fetch_add(&f->seen, 1);
	}
}

static bool poll_once(struct freshness *f, PGconn *c)
{
	int64_t begin = now_ns(), end;
	PGresult *r = PQexec(c, probe_sql);
	bool well = PQresultStatus(r) == PGRES_TUPLES_OK;

	end = now_ns();
	mr_hist_record(&f->poll, (uint64_t)(end - begin));
	if (!well)
		snprintf(f->poll_error, sizeof(f->poll_error), "%s", PQerrorMessage(c));
	for (int i = 0; well && i < PQntuples(r); i++) {
		uint64_t lane = strtoull(PQgetvalue(r, i, 0), NULL, 10);

		if (lane < f->lanes_count)
			see(f, (uint32_t)lane, (uint32_t)strtoul(PQgetvalue(r, i, 1), NULL, 10),
				end);
	}
	PQclear(r);
	return well;
}

static void *poll_sql(void *arg)
{
	struct freshness *f = arg;
	PGconn *c = mr_db_open(f->b->sql, "millrace bench", f->poll_error, sizeof(f->poll_error));
	// The daemon may have one core for everything: a question every so often, not one on
	// another.
	const struct timespec pause = {0, 500 * 1000};

	while (c && !atomic_load(&f->stop_poll) && poll_once(f, c))
		nanosleep(&pause, NULL);
	PQfinish(c);
	return NULL;
}

static void *scan_sql(void *arg)
{
	struct freshness *f = arg;
	PGconn *c = mr_db_open(f->b->sql, "millrace bench", f->scan_error, sizeof(f->scan_error));
	char text[512];
	bool well = c;

	snprintf(text, sizeof(text),
		"SELECT country, status, count(*), sum(amount), avg(response_time_ms) FROM \"%s\" "
		"GROUP BY country, status",
		f->b->topic);
	while (well && !atomic_load(&f->stop_scan)) {
		int64_t begin = now_ns();

		well = mr_db_run(c, text, f->scan_error, sizeof(f->scan_error)) >= 0;
		mr_hist_record(&f->scan, (uint64_t)(now_ns() - begin));
		f->scans += well;
	}
	PQfinish(c);
	return NULL;
}

static int encode(struct freshness *f, uint32_t index, struct mr_batch_builder *builder)
{
	struct mr_produce_batch *b = &f->marks[index].batch;
	struct mr_buf out = {0};
	char row[96];
	int n = snprintf(row, sizeof(row), "{\"lane\":%u,\"seq\":%u}", index % f->lanes_count,
		index / f->lanes_count);
	bool well = true;

	for (uint64_t i = 0; i < f->rows_per_batch; i++)
		well &= mr_batch_builder_add(builder, mr_wall_us(&mr_clock_system) / 1000,
			mr_span(NULL, 0), mr_span(row, (size_t)n), NULL, 0);
	if (!well || mr_batch_builder_finish(
			     builder, NULL, MR_CODEC_NONE, MR_BATCH_PRODUCER_NONE, &out) < 0) {
		mr_buf_fini(&out);
		return -ENOMEM;
	}
	b->data = out.data; // taken: freed with the marks
	b->bytes = out.bytes;
	b->rows = (int32_t)f->rows_per_batch;
	return 0;
}

// Sends what is due, at times set beforehand. Returns when all is acknowledged.
static int produce(struct freshness *f)
{
	int64_t begin = now_ns();
	int64_t gap = (int64_t)((double)f->b->seconds * 1e9 / f->marks_count);
	uint32_t next = 0;
	int e = 0;

	while (e == 0 && (next < f->marks_count || mr_kafka_client_pending(f->client))) {
		int64_t due = begin + next * gap, now = now_ns();

		if (next < f->marks_count && due <= now) {
			uint32_t lane = next % f->lanes_count;

			f->marks[next].batch.intended_ns = due;
			mr_kafka_client_send(f->client, lane, &f->marks[next].batch);
			atomic_fetch_add(&f->lanes[lane].sent, 1);
			next++;
			continue;
		}
		e = mr_kafka_client_poll(
			f->client, next < f->marks_count ? due - now : second_ns / 10, -1);
	}
	if (e < 0)
		snprintf(f->b->error, sizeof(f->b->error), "%s", mr_kafka_client_error(f->client));
	return e;
}

static int settle(struct freshness *f)
{
	int64_t until = now_ns() + SETTLE_SECONDS * second_ns;
	const struct timespec pause = {0, 1000 * 1000};

	while (atomic_load(&f->seen) < f->marks_count && now_ns() < until && !f->poll_error[0])
		nanosleep(&pause, NULL);
	return atomic_load(&f->seen) == f->marks_count ? 0 : -ETIMEDOUT;
}

static int start(struct freshness *f, pthread_t *thread, void *(*run)(void *))
{
	if (pthread_create(thread, NULL, run, f) == 0)
		return 0;
	snprintf(f->b->error, sizeof(f->b->error), "cannot start a thread");
	return -EAGAIN;
}

static int run_threads(struct freshness *f)
{
	struct mr_bench *b = f->b;
	pthread_t poller, scanner;
	int e = start(f, &poller, poll_sql), settled;

	if (e < 0)
		return e;
	if (b->scan && start(f, &scanner, scan_sql) < 0)
		b->scan = false;
	e = produce(f);
	settled = e == 0 ? settle(f) : 0;
	atomic_store(&f->stop_poll, true);
	atomic_store(&f->stop_scan, true);
	pthread_join(poller, NULL);
	if (b->scan)
		pthread_join(scanner, NULL);
	if (e < 0)
		return e;
	if (f->poll_error[0] || f->scan_error[0] || settled < 0)
		snprintf(b->error, sizeof(b->error), "%s",
			f->poll_error[0]   ? f->poll_error
			: f->scan_error[0] ? f->scan_error
					   : "SQL does not see all that was acknowledged");
	return b->error[0] ? -EIO : 0;
}

static void report_hist(struct mr_bench *b, const char *what, const struct mr_hist *h)
{
	struct mr_report *r = &b->report;

	mr_report_text(r, "what", what);
	mr_report_number(r, "count", (double)mr_hist_count(h), 0);
	mr_report_number(r, "p50_ms", (double)mr_hist_quantile_ns(h, 0.5) / 1e6, 3);
	mr_report_number(r, "p90_ms", (double)mr_hist_quantile_ns(h, 0.9) / 1e6, 3);
	mr_report_number(r, "p99_ms", (double)mr_hist_quantile_ns(h, 0.99) / 1e6, 3);
	mr_report_number(r, "max_ms", (double)mr_hist_quantile_ns(h, 1) / 1e6, 3);
	mr_report_end_row(r);
}

static void record(struct mr_hist *h, int64_t from, int64_t to)
{
	mr_hist_record(h, (uint64_t)MR_MAX(to - from, 0));
}

static int report(struct freshness *f)
{
	struct mr_hist *h = calloc(3, sizeof(*h));

	if (!h)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->marks_count; i++) {
		const struct mark *m = &f->marks[i];

		record(&h[0], m->batch.intended_ns, m->acked_ns);
		record(&h[1], m->acked_ns, m->seen_ns);
		record(&h[2], m->batch.intended_ns, m->seen_ns);
	}
	report_hist(f->b, "due to acknowledged", &h[0]);
	report_hist(f->b, "acknowledged to seen", &h[1]);
	report_hist(f->b, "due to seen", &h[2]);
	report_hist(f->b, "the probing question", &f->poll);
	if (f->b->scan)
		report_hist(f->b, "the full scan beside", &f->scan);
	free(h);
	return 0;
}

static int make_table(struct mr_bench *b)
{
	PGconn *c = mr_db_open(b->sql, "millrace bench", b->error, sizeof(b->error));
	char text[256];
	int64_t done;

	if (!c)
		return -ECONNREFUSED;
	snprintf(text, sizeof(text),
		"CREATE TABLE freshness (lane integer, seq bigint) WITH (topic = 'freshness', "
		"format = 'json', partitions = %llu)",
		(unsigned long long)b->partitions);
	done = mr_db_run(c, "DROP TABLE IF EXISTS freshness CASCADE", b->error, sizeof(b->error));
	if (done >= 0)
		done = mr_db_run(c, text, b->error, sizeof(b->error));
	PQfinish(c);
	return done < 0 ? -EIO : 0;
}

static int prepare(struct freshness *f)
{
	struct mr_bench *b = f->b;
	struct mr_kafka_client_options o = {.bootstrap = b->bootstrap,
		.topic = "freshness",
		.acks = -1,
		.idempotent = true,
		.acked = acked,
		.owner = f};
	uint64_t per_second = MR_MIN(b->rate, BATCHES_PER_SECOND_MAX);
	struct mr_batch_builder builder;
	int e = mr_kafka_client_create(&o, &f->client, b->error, sizeof(b->error));

	if (e < 0)
		return e;
	f->lanes_count = MR_MIN(mr_kafka_client_partitions(f->client), LANES_MAX);
	f->rows_per_batch = b->rate / per_second;
	f->marks_count = (uint32_t)(per_second * b->seconds);
	f->marks = calloc(f->marks_count, sizeof(*f->marks));
	mr_batch_builder_init(&builder, 0);
	e = f->marks ? 0 : -ENOMEM;
	for (uint32_t i = 0; e == 0 && i < f->marks_count; i++)
		e = encode(f, i, &builder);
	mr_batch_builder_fini(&builder);
	if (e < 0)
		snprintf(b->error, sizeof(b->error), "out of memory");
	return e;
}

int mr_bench_freshness(struct mr_bench *b)
{
	struct freshness *f = calloc(1, sizeof(*f));
	int e;

	if (!f) {
		snprintf(b->error, sizeof(b->error), "out of memory");
		return -ENOMEM;
	}
	f->b = b;
	b->rate = b->rate ? b->rate : 1000;
	b->seconds = b->seconds ? b->seconds : 10;
	b->partitions = MR_MIN(b->partitions, LANES_MAX);
	e = make_table(b);
	if (e == 0)
		e = prepare(f);
	if (e == 0)
		e = run_threads(f);
	if (e == 0)
		e = report(f);
	mr_kafka_client_destroy(f->client);
	for (uint32_t i = 0; f->marks && i < f->marks_count; i++)
		free(f->marks[i].batch.data);
	free(f->marks);
	free(f);
	return e;
}
