// What the benchmarks of the client program share.
#pragma once

#include "client/client.h"
#include "client/report.h"

struct mr_bench {
	const char *bootstrap;
	const char *sql;
	const char *topic; // and the table of that name
	const char *file;
	uint64_t rows;
	uint64_t runs;
	uint64_t batch_bytes;
	uint64_t connections;
	uint64_t partitions;
	uint64_t inflight;
	uint64_t seed;
	uint64_t rate; // rows per second; 0: as fast as it goes
	uint64_t seconds;
	uint64_t pool_bytes;
	uint64_t pid; // of the daemon; 0: not told
	int codec;
	int16_t acks;
	bool table;      // make the table anew first
	bool scan;       // full scans beside
	const char *eal; // DPDK: our own stack
	const char *address;
	const char *gateway;
	uint64_t mtu;
	bool versions; // ApiVersions instead of Produce
	bool idle;     // connections that do nothing
	bool churn;    // connections that come and go
	bool json;
	struct mr_report report;
	char error[400];
};

// Each returns 0 or a negative code with `error` set, and leaves its rows in `report`.
[[nodiscard]] int mr_bench_ingest(struct mr_bench *b);
[[nodiscard]] int mr_bench_freshness(struct mr_bench *b);
[[nodiscard]] int mr_bench_query(struct mr_bench *b);
[[nodiscard]] int mr_bench_wire(struct mr_bench *b);

// Drops the table and its topic if they are there, and makes them anew with `b->partitions`.
[[nodiscard]] int mr_bench_make_table(struct mr_bench *b);

// CPU seconds that a process has used so far, user and system; 0 when it cannot be told.
double mr_bench_cpu_seconds(uint64_t pid);
// The same of this process.
double mr_bench_own_cpu_seconds(void);
