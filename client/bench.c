// millrace bench: the table of benchmarks and their options. Methods are in docs/PERFORMANCE.md.
#include "client/bench.h"

#include "client/db.h"
#include "client/generator.h"
#include "client/kafka_client.h"
#include "client/wire_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage[] =
	"usage: millrace bench ingest    --bootstrap ADDR:PORT [--sql ADDR:PORT] [option]...\n"
	"       millrace bench freshness --bootstrap ADDR:PORT --sql ADDR:PORT [option]...\n"
	"       millrace bench query     --sql ADDR:PORT [option]...\n"
	"       millrace bench wire      --bootstrap ADDR:PORT [option]...\n"
	"\n"
	"ingest sends events that were encoded beforehand, as fast as they are acknowledged or at "
	"a\n"
	"rate, and checks the count through SQL. freshness measures from the acknowledgement of a\n"
	"record to the first SQL answer that has it. query times everyday queries. wire sends "
	"requests\n"
	"over many connections as fast as they are answered.\n"
	"\n"
	"  --topic T            topic and table; default events\n"
	"  --table              drop and create the table first (and with it the topic)\n"
	"  --runs N             default 1; of query 5\n"
	"  --json               JSON instead of a table\n"
	"  --seed N             of the events; default 42\n"
	"  --partitions N       default 4\n"
	"  --rate N             rows per second; ingest: default unlimited, freshness: 1000\n"
	"  --batch-bytes SIZE   default 128KiB\n"
	"  --acks 0|1|all       default all (idempotent)\n"
	"  --pid N              the daemon, to report its CPU time\n"
	"ingest only:\n"
	"  --rows N             default 2000000\n"
	"  --codec NAME         none, gzip, snappy, lz4, zstd; default none\n"
	"  --connections N      producers, each with a thread; default 1\n"
	"  --inflight N         batches on their way per partition; default 5\n"
	"  --pool-bytes SIZE    memory for encoded batches; default 4GiB; rows repeat beyond it\n"
	"freshness only:\n"
	"  --seconds N          default 10\n"
	"  --scan               full scans in a second SQL session meanwhile\n"
	"query only:\n"
	"  --file FILE          queries, one a line, instead of the built-in ones\n"
	"wire only (--connections 16, --inflight 4, --seconds 5 unless told):\n"
	"  --versions           ApiVersions requests, the smallest there are, instead of Produce\n"
	"  --idle               opens N connections, asks each once, leaves them alone for the "
	"time, and\n"
	"                       asks each again; with --pid the memory that they take; with --eal\n"
	"  --churn              opens, asks once and closes, N connections at a time; with --eal\n"
	"  --eal \"ARGS\"         through DPDK and our own TCP, polling, instead of kernel "
	"sockets\n"
	"  --address IP/PREFIX  our address there; several with commas: 64,512 connections each\n"
	"  --gateway IP, --mtu N  as the network needs\n";

enum { CONNECTIONS_MAX = 256 }; // each a thread or a descriptor

#define AT(field) offsetof(struct mr_bench, field)

static const struct mr_option options[] = {
	{"--bootstrap", MR_OPTION_TEXT, AT(bootstrap), 0},
	{"--sql", MR_OPTION_TEXT, AT(sql), 0},
	{"--topic", MR_OPTION_TEXT, AT(topic), 0},
	{"--file", MR_OPTION_TEXT, AT(file), 0},
	{"--rows", MR_OPTION_NUMBER, AT(rows), INT64_MAX},
	{"--runs", MR_OPTION_NUMBER, AT(runs), 1000},
	{"--batch-bytes", MR_OPTION_NUMBER, AT(batch_bytes), 16 << 20},
	{"--connections", MR_OPTION_NUMBER, AT(connections), MR_WIRE_CONNECTIONS_MAX},
	{"--partitions", MR_OPTION_NUMBER, AT(partitions), MR_KAFKA_PARTITIONS_MAX},
	{"--inflight", MR_OPTION_NUMBER, AT(inflight), MR_PRODUCE_INFLIGHT_MAX},
	{"--seed", MR_OPTION_NUMBER, AT(seed), UINT64_MAX},
	{"--rate", MR_OPTION_NUMBER, AT(rate), 1000000000},
	{"--seconds", MR_OPTION_NUMBER, AT(seconds), 86400},
	{"--pool-bytes", MR_OPTION_NUMBER, AT(pool_bytes), UINT64_MAX},
	{"--pid", MR_OPTION_NUMBER, AT(pid), INT32_MAX},
	{"--codec", MR_OPTION_CODEC, AT(codec), 0},
	{"--acks", MR_OPTION_ACKS, AT(acks), 0},
	{"--table", MR_OPTION_FLAG, AT(table), 0},
	{"--scan", MR_OPTION_FLAG, AT(scan), 0},
	{"--versions", MR_OPTION_FLAG, AT(versions), 0},
	{"--idle", MR_OPTION_FLAG, AT(idle), 0},
	{"--churn", MR_OPTION_FLAG, AT(churn), 0},
	{"--eal", MR_OPTION_TEXT, AT(eal), 0},
	{"--address", MR_OPTION_TEXT, AT(address), 0},
	{"--gateway", MR_OPTION_TEXT, AT(gateway), 0},
	{"--mtu", MR_OPTION_NUMBER, AT(mtu), 9000},
	{"--json", MR_OPTION_FLAG, AT(json), 0},
};

static const struct bench {
	const char *name;
	int (*run)(struct mr_bench *b);
	bool needs_kafka, needs_sql;
	uint32_t connections; // unless told
} benches[] = {
	{"ingest", mr_bench_ingest, true, false, 1},
	{"freshness", mr_bench_freshness, true, true, 1},
	{"query", mr_bench_query, false, true, 1},
	{"wire", mr_bench_wire, true, false, 16},
};

double mr_bench_cpu_seconds(uint64_t pid)
{
	char path[64], text[1024], *at;
	unsigned long long user = 0, system = 0;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)pid);
	f = pid ? fopen(path, "re") : NULL;
	if (!f)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	// Fields 14 and 15 (proc(5)), counted from behind the name, which may hold anything.
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
			   &system) != 2)
		return 0;
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

double mr_bench_own_cpu_seconds(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) < 0)
		return 0;
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

// The name goes between quotes; quotes in it would end them.
static bool is_plain_name(const char *name)
{
	return !strpbrk(name, "\"'");
}

int mr_bench_make_table(struct mr_bench *b)
{
	PGconn *c = mr_db_open(b->sql, "millrace bench", b->error, sizeof(b->error));
	char text[1024];
	int64_t done;

	if (!c)
		return -ECONNREFUSED;
	snprintf(text, sizeof(text), "DROP TABLE IF EXISTS \"%s\" CASCADE", b->topic);
	done = mr_db_run(c, text, b->error, sizeof(b->error));
	snprintf(text, sizeof(text),
		"CREATE TABLE \"%s\" (%s) WITH (topic = '%s', format = 'json', partitions = %llu, "
		"watermark = 'event_time - 5 seconds')",
		b->topic, mr_generator_columns_sql, b->topic, (unsigned long long)b->partitions);
	if (done >= 0)
		done = mr_db_run(c, text, b->error, sizeof(b->error));
	PQfinish(c);
	return done < 0 ? -EIO : 0;
}

static const struct bench *find(const char *name)
{
	for (size_t i = 0; i < MR_COUNT_OF(benches); i++)
		if (strcmp(benches[i].name, name) == 0)
			return &benches[i];
	return NULL;
}

static int take_options(struct mr_bench *b, const struct bench *bench, int argc, char **argv)
{
	int code = mr_client_options("bench", argc, argv, options, MR_COUNT_OF(options), b, NULL);

	if (code)
		return code;
	if (!b->connections)
		b->connections = bench->connections;
	if (bench->needs_kafka && !b->bootstrap)
		return mr_client_complain(
			"bench", MR_CLIENT_USAGE, "--bootstrap ADDR:PORT is needed");
	if ((bench->needs_sql || b->table) && !b->sql)
		return mr_client_complain("bench", MR_CLIENT_USAGE, "--sql ADDR:PORT is needed");
	if (b->eal && (!b->address || b->runs > 1))
		return mr_client_complain(
			"bench", MR_CLIENT_USAGE, "--eal needs --address IP/PREFIX, and runs once");
	if ((b->idle || b->churn) && (!b->eal || (b->idle && b->churn)))
		return mr_client_complain(
			"bench", MR_CLIENT_USAGE, "--idle or --churn, one of them, needs --eal");
	if (b->connections > CONNECTIONS_MAX && !b->eal)
		return mr_client_complain("bench", MR_CLIENT_USAGE,
			"at most %d connections without --eal", CONNECTIONS_MAX);
	if (!is_plain_name(b->topic))
		return mr_client_complain(
			"bench", MR_CLIENT_USAGE, "a topic without quotes, please");
	return 0;
}

int mr_client_bench(int argc, char **argv)
{
	struct mr_bench b = {.topic = "events",
		.batch_bytes = 128 << 10,
		.partitions = 4,
		.seed = 42,
		.pool_bytes = UINT64_C(4) << 30,
		.acks = -1};
	const struct bench *bench = argc > 1 ? find(argv[1]) : NULL;
	int e;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[argc - 1], "--help") == 0))
		return fputs(usage, stdout) < 0;
	if (!bench) {
		fputs(usage, stderr);
		return MR_CLIENT_USAGE;
	}
	e = take_options(&b, bench, argc - 1, argv + 1);
	if (e)
		return e;
	mr_client_use_cpu();
	mr_report_init(&b.report, b.json);
	e = b.table ? mr_bench_make_table(&b) : 0;
	if (e == 0)
		e = bench->run(&b);
	if (!mr_report_print(&b.report, stdout) && e == 0) {
		snprintf(b.error, sizeof(b.error), "out of memory");
		e = -ENOMEM;
	}
	mr_report_fini(&b.report);
	return e < 0 ? mr_client_complain("bench", MR_CLIENT_FAILED, "%s", b.error) : 0;
}
