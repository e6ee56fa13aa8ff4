// millrace bench wire: how much a receiver takes off the wire. Produce requests (or the smallest
// there is, ApiVersions), encoded beforehand, over some connections with some on their way each.
#include "client/bench.h"
#include "client/wire_load.h"
#include "host/base/clock.h"
#include "host/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { POOL_BYTES = 32 << 20, POOL_MAX = 4096, DEPTH = 4, SECONDS = 5 };

static bool is_small(const struct mr_bench *b)
{
	return b->versions || b->idle || b->churn;
}

static int make_pool(struct mr_bench *b, struct mr_wire_load *l)
{
	const struct mr_wire_pool_options o = {
		.request = is_small(b) ? MR_WIRE_VERSIONS : MR_WIRE_PRODUCE,
		.topic = b->topic,
		.partitions = (uint32_t)b->partitions,
		.batch_bytes = b->batch_bytes,
		.seed = b->seed,
		.count = (uint32_t)MR_MIN(POOL_BYTES / b->batch_bytes + 1, (uint64_t)POOL_MAX),
		.acks = b->acks,
	};
	int rc = mr_wire_load_init(l, &o, b->inflight ? (uint32_t)b->inflight : DEPTH);

	if (rc < 0)
		snprintf(b->error, sizeof(b->error), "cannot encode requests: %s", mr_err_text(rc));
	return rc;
}

static void report(struct mr_bench *b, const struct mr_wire_load *l, double seconds, double cpu_s)
{
	struct mr_report *r = &b->report;

	mr_report_text(r, "request", is_small(b) ? "versions" : "produce");
	mr_report_number(r, "request_bytes", (double)l->requests[0].bytes, 0);
	mr_report_number(r, "conns", (double)b->connections, 0);
	mr_report_number(r, "depth", l->depth, 0);
	mr_report_number(r, "seconds", seconds, 3);
	mr_report_number(r, "requests", (double)l->requests_answered, 0);
	mr_report_number(r, "requests_per_s", (double)l->requests_answered / seconds, 0);
	mr_report_number(r, "Gb_per_s", (double)l->bytes_answered * 8e-9 / seconds, 3);
	mr_report_number(r, "p50_us", (double)mr_hist_quantile_ns(&l->latency, 0.5) / 1e3, 1);
	mr_report_number(r, "p99_us", (double)mr_hist_quantile_ns(&l->latency, 0.99) / 1e3, 1);
	mr_report_number(r, "p999_us", (double)mr_hist_quantile_ns(&l->latency, 0.999) / 1e3, 1);
	mr_report_number(r, "retransmits", (double)l->retransmits, 0);
	mr_report_number(r, "errors", (double)l->errors, 0);
	mr_report_number(r, "receiver_cpu_s", cpu_s, 2);
	mr_report_end_row(r);
}

static int carry(struct mr_bench *b, struct mr_wire_load *l, double seconds)
{
	const struct mr_wire_stack_options o = {
		b->eal, b->address, b->gateway, b->bootstrap, b->mtu};
	uint32_t connections = (uint32_t)b->connections;

	if (b->eal)
		return mr_wire_over_stack(l, &o, connections, seconds, b->error);
	return mr_wire_over_sockets(l, b->bootstrap, connections, seconds, b->error);
}

static void report_idle(struct mr_bench *b, const struct mr_wire_conns *k)
{
	struct mr_report *r = &b->report;
	double n = (double)k->connections, mib = 1 << 20;

	mr_report_number(r, "conns", n, 0);
	mr_report_number(r, "opened_per_s", n / k->open_s, 0);
	mr_report_number(r, "idle_s", k->seconds, 0);
	mr_report_number(r, "answered_again_per_s", n / k->again_s, 0);
	mr_report_number(r, "closed_per_s", n / k->closed_s, 0);
	mr_report_number(r, "receiver_MiB_before", (double)k->before_bytes / mib, 1);
	mr_report_number(r, "receiver_MiB_after", (double)k->after_bytes / mib, 1);
	mr_report_number(
		r, "bytes_per_conn", ((double)k->after_bytes - (double)k->before_bytes) / n, 0);
	mr_report_end_row(r);
}

static void report_churn(struct mr_bench *b, const struct mr_wire_conns *k, double cpu_s)
{
	struct mr_report *r = &b->report;

	mr_report_number(r, "conns", (double)k->connections, 0);
	mr_report_number(r, "seconds", k->closed_s, 3);
	mr_report_number(r, "opened_and_closed", (double)k->closed, 0);
	mr_report_number(r, "per_s", (double)k->closed / k->closed_s, 0);
	mr_report_number(r, "p50_us", (double)mr_hist_quantile_ns(&k->cycles, 0.5) / 1e3, 1);
	mr_report_number(r, "p99_us", (double)mr_hist_quantile_ns(&k->cycles, 0.99) / 1e3, 1);
	mr_report_number(r, "receiver_cpu_s", cpu_s, 2);
	mr_report_end_row(r);
}

// Connections, not requests: --idle and --churn.
static int count_connections(struct mr_bench *b, struct mr_wire_load *l)
{
	const struct mr_wire_stack_options o = {
		b->eal, b->address, b->gateway, b->bootstrap, b->mtu};
	static struct mr_wire_conns k;
	double cpu = mr_bench_cpu_seconds(b->pid);
	int rc;

	k.connections = (uint32_t)b->connections;
	k.seconds = b->seconds ? (double)b->seconds : SECONDS;
	k.pid = b->pid;
	rc = b->idle ? mr_wire_idle(l, &o, &k, b->error) : mr_wire_churn(l, &o, &k, b->error);
	if (rc == 0 && b->idle)
		report_idle(b, &k);
	else if (rc == 0)
		report_churn(b, &k, mr_bench_cpu_seconds(b->pid) - cpu);
	return rc;
}

int mr_bench_wire(struct mr_bench *b)
{
	double seconds = b->seconds ? (double)b->seconds : SECONDS;
	static struct mr_wire_load load;
	int rc = make_pool(b, &load);

	if (rc == 0 && (b->idle || b->churn)) {
		rc = count_connections(b, &load);
		mr_wire_load_fini(&load);
		return rc;
	}
	for (uint64_t run = 0; rc == 0 && run < MR_MAX(b->runs, (uint64_t)1); run++) {
		double cpu = mr_bench_cpu_seconds(b->pid);
		int64_t start = mr_now_ns(&mr_clock_system);

		load.latency = (struct mr_hist){0};
		load.requests_sent = load.requests_answered = load.bytes_answered = 0;
		load.retransmits = load.errors = 0;
		rc = carry(b, &load, seconds);
		if (rc < 0)
			break;
		report(b, &load, (double)(mr_now_ns(&mr_clock_system) - start) / 1e9,
			mr_bench_cpu_seconds(b->pid) - cpu);
		if (load.requests_answered < load.requests_sent || load.errors) {
			snprintf(b->error, sizeof(b->error),
				"%llu requests without an answer, %llu refused (the last with "
				"Kafka "
				"error %d)",
				(unsigned long long)(load.requests_sent - load.requests_answered),
				(unsigned long long)load.errors, load.error);
			rc = -EIO;
		}
	}
	mr_wire_load_fini(&load);
	return rc;
}
