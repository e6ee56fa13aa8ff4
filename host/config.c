// The table of settings, and reading them from flags and files.
#include "host/config.h"

#include "hw/ram.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_TEXT, KIND_COUNT, KIND_BYTES, KIND_MS, KIND_BOOL, KIND_CHOICE };

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)
#define DAY_MS 86400000ull

#define AT(field) offsetof(struct mr_config, field), sizeof(((struct mr_config *)0)->field)

static const char *const io_choices[] = {"auto", "uring", "plain", NULL};
static const char *const dataplane_choices[] = {"socket", "dpdk", NULL};
static const char *const sum_choices[] = {"hw", "sw", "trust", NULL};
static const char *const poll_choices[] = {"adaptive", "busy", NULL};
static const char *const remote_choices[] = {"warn", "refuse", NULL};
static const char *const level_choices[] = {"error", "warning", "notice", "info", "debug", NULL};

// `flag` is the long option that sets the key; NULL means --set only.
static const struct key {
	const char *name;
	const char *flag;
	enum kind kind;
	size_t offset;
	size_t size;
	uint64_t low;
	uint64_t high;
	const char *value; // default; NULL: set_computed knows
	const char *const *choices;
	const char *help;
} keys[] = {
	{"data", "data", KIND_TEXT, AT(data), 0, 0, "", NULL, "data directory"},
	{"listen", "listen", KIND_TEXT, AT(listen), 0, 0, "127.0.0.1", NULL,
		"address of all ports"},
	{"advertise", "advertise", KIND_TEXT, AT(advertise), 0, 0, "", NULL,
		"HOST[:PORT] that Kafka clients are told"},
	{"kafka.port", "kafka-port", KIND_COUNT, AT(kafka_port), 0, 65535, "9092", NULL,
		"Kafka port of worker 0; worker w has port + w; 0 = any free"},
	{"sql.port", "sql-port", KIND_COUNT, AT(sql_port), 0, 65535, "5433", NULL,
		"PostgreSQL port; 0 = any free"},
	{"http.port", "http-port", KIND_COUNT, AT(http_port), 0, 65535, "8088", NULL,
		"HTTP port; 0 = any free"},
	{"workers", "workers", KIND_COUNT, AT(workers), 1, MR_WORKERS_MAX, "1", NULL,
		"worker threads; each is a Kafka broker of its own"},
	{"dataplane", "dataplane", KIND_CHOICE, AT(dataplane), 0, 0, "socket", dataplane_choices,
		"socket or dpdk"},
	{"eal", "eal", KIND_TEXT, AT(eal), 0, 0, "", NULL, "DPDK EAL arguments"},
	{"insecure", NULL, KIND_BOOL, AT(insecure), 0, 1, "off", NULL,
		"allow SQL and HTTP without passwords on other than loopback"},
	{"io", NULL, KIND_CHOICE, AT(io), 0, 0, "auto", io_choices,
		"uring, plain, or auto: uring where the host allows it"},
	{"pin", NULL, KIND_BOOL, AT(pin), 0, 1, "on", NULL, "pin worker threads to cores"},
	{"realtime", NULL, KIND_BOOL, AT(realtime), 0, 1, "on", NULL,
		"workers run before other threads while they are mostly idle, where the host "
		"allows it"},
	{"log_level", NULL, KIND_CHOICE, AT(log_level), 0, 0, "notice", level_choices,
		"least important lines on stderr"},
	{"net.address", NULL, KIND_TEXT, AT(net_address), 0, 0, "", NULL,
		"dpdk: ADDRESS/PREFIX of the port, IPv4 or IPv6, several with commas"},
	{"net.gateway", NULL, KIND_TEXT, AT(net_gateway), 0, 0, "", NULL,
		"dpdk: routers, one of each family"},
	{"net.port", NULL, KIND_TEXT, AT(net_port), 0, 0, "", NULL,
		"dpdk: the device's name; default: the first"},
	{"net.module", NULL, KIND_TEXT, AT(net_module), 0, 0, "", NULL,
		"dpdk: path of millrace-dpdk.so; default: beside the daemon"},
	{"net.vlan", NULL, KIND_COUNT, AT(net_vlan), 0, 4094, "0", NULL,
		"dpdk: 802.1Q tag; 0 = none"},
	{"net.mtu", NULL, KIND_COUNT, AT(net_mtu), 1280, 9000, "1500", NULL,
		"dpdk: longest IP packet"},
	{"net.checksum", NULL, KIND_CHOICE, AT(net_checksum), 0, 0, "hw", sum_choices,
		"dpdk: hw = the device where it can, sw, or trust = nobody checks"},
	{"net.poll", NULL, KIND_CHOICE, AT(net_poll_busy), 0, 0, "adaptive", poll_choices,
		"dpdk: adaptive = workers sleep when idle, busy = they never do"},
	{"net.idle_us", NULL, KIND_COUNT, AT(net_idle_us), 0, 1000000, "100", NULL,
		"dpdk: microseconds without work before a worker sleeps"},
	{"net.queues", NULL, KIND_COUNT, AT(net_queues), 0, 128, "0", NULL,
		"dpdk: queues of the device at most; 0 = one for each worker"},
	{"net.remote_node", NULL, KIND_CHOICE, AT(net_refuse_remote), 0, 0, "warn", remote_choices,
		"dpdk: a worker on another NUMA node than the device: warn or refuse"},
	{"net.memory_bytes", NULL, KIND_BYTES, AT(net_memory_bytes), MIB(4), GIB(64), "256MiB",
		NULL, "dpdk: memory of TCP's queues, per worker"},
	{"net.window_bytes", NULL, KIND_BYTES, AT(net_window_bytes), KIB(64), MIB(16), "1MiB", NULL,
		"dpdk: largest TCP receive window"},
	{"net.accept_ra", NULL, KIND_BOOL, AT(net_accept_ra), 0, 1, "on", NULL,
		"dpdk: learn IPv6 routers from their advertisements"},
	{"log.file_bytes", NULL, KIND_BYTES, AT(log_file_bytes), MIB(1), GIB(4), "256MiB", NULL,
		"size of one log file; preallocated"},
	{"log.ring_bytes", NULL, KIND_BYTES, AT(log_ring_bytes), MIB(4), GIB(4), "64MiB", NULL,
		"log tail kept in memory, per worker"},
	{"log.open_files_max", NULL, KIND_COUNT, AT(log_open_files_max), 16, 1 << 20, "256", NULL,
		"log files kept open; others are opened when they are read"},
	{"log.clean_bytes_per_s", NULL, KIND_BYTES, AT(log_clean_bytes_per_s), 0, GIB(64), "32MiB",
		NULL,
		"read and written to give back the space of mostly dead log files; 0 = never"},
	{"log.index_memory_bytes", NULL, KIND_BYTES, AT(log_index_memory_bytes), KIB(512), GIB(64),
		"256MiB", NULL,
		"where batches lie in ended log files; what does not fit is read when it is "
		"needed"},
	{"log.reserve_bytes", NULL, KIND_BYTES, AT(disk_reserve_bytes), 0, GIB(1024), "512MiB",
		NULL, "free disk space below which produce gets a retriable error"},
	{"kafka.auto_create", NULL, KIND_BOOL, AT(kafka_auto_create), 0, 1, "on", NULL,
		"create topics that clients ask for"},
	{"kafka.partitions", NULL, KIND_COUNT, AT(kafka_partitions), 1, 4096, "4", NULL,
		"partitions of a new topic"},
	{"kafka.topics_max", NULL, KIND_COUNT, AT(topics_max), 1, 65536, "65536", NULL, "topics"},
	{"kafka.partitions_max", NULL, KIND_COUNT, AT(partitions_max), 1, 1 << 20, "262144", NULL,
		"partitions of all topics together"},
	{"kafka.request_bytes_max", NULL, KIND_BYTES, AT(kafka_request_bytes_max), KIB(64), GIB(1),
		"100MiB", NULL, "longest request"},
	{"kafka.message_bytes_max", NULL, KIND_BYTES, AT(kafka_message_bytes_max), KIB(1), MIB(15),
		"4MiB", NULL, "longest record batch (max.message.bytes of new topics)"},
	{"kafka.connections_max", NULL, KIND_COUNT, AT(kafka_connections_max), 1, 1000000, "10000",
		NULL, "Kafka connections per worker"},
	{"kafka.memory_bytes", NULL, KIND_BYTES, AT(kafka_memory_bytes), MIB(4), GIB(64), "256MiB",
		NULL, "memory for requests and responses, per worker"},
	{"kafka.decompressed_bytes_max", NULL, KIND_BYTES, AT(kafka_decompressed_bytes_max),
		KIB(64), GIB(1), "64MiB", NULL, "largest record batch when decompressed"},
	{"kafka.idle_timeout", NULL, KIND_MS, AT(kafka_idle_timeout_ms), 1000, 30 * DAY_MS, "10min",
		NULL, "idle Kafka connections are closed after this"},
	{"kafka.append_wait", NULL, KIND_MS, AT(kafka_append_wait_ms), 1, DAY_MS, "20s", NULL,
		"a record batch that finds no room waits this long for it, then is refused"},
	{"producer.expiry", NULL, KIND_MS, AT(producer_expiry_ms), 1000, 365 * DAY_MS, "1d", NULL,
		"idempotent producers are forgotten after this long without a batch"},
	{"producers_max", NULL, KIND_COUNT, AT(producers_max), 16, 1 << 20, "4096", NULL,
		"idempotent producers remembered per partition"},
	{"topic.retention", NULL, KIND_MS, AT(retention_ms), 1000, 36500 * DAY_MS, "7d", NULL,
		"retention.ms of new topics"},
	{"table.memory_bytes", NULL, KIND_BYTES, AT(table_memory_bytes), MIB(16), GIB(1024), "2GiB",
		NULL, "memory for rows not yet in segments, per worker"},
	{"table.memory_ahead", NULL, KIND_BYTES, AT(table_memory_ahead), 0, GIB(1024), "64MiB",
		NULL, "of that, committed before rows need it, on workers with tables"},
	{"table.chunk_bytes_max", NULL, KIND_BYTES, AT(table_chunk_bytes_max), MIB(1), GIB(4),
		"64MiB", NULL, "a chunk of rows is closed at this size, or at 65,536 rows"},
	{"table.seal_after", NULL, KIND_MS, AT(table_seal_after_ms), 1000, DAY_MS, "10s", NULL,
		"rows go to a segment after this long, few rows after 60 times as long"},
	{"view.memory_bytes", NULL, KIND_BYTES, AT(view_memory_bytes), MIB(1), GIB(1024), "512MiB",
		NULL, "memory for all materialized views; what does not fit is on disk"},
	{"table.max_future", NULL, KIND_MS, AT(max_future_ms), 0, 36500 * DAY_MS, "1h", NULL,
		"event times further ahead than this do not move the watermark"},
	{"table.seal_failing_max", NULL, KIND_MS, AT(seal_failing_max_ms), 0, DAY_MS, "1min", NULL,
		"/healthz fails when no segment could be written for this long"},
	{"segment.footer_memory_bytes", NULL, KIND_BYTES, AT(segment_footer_memory_bytes), MIB(1),
		GIB(64), "64MiB", NULL,
		"footers of segments in memory; others are read when they are needed"},
	{"merge.memory_bytes", NULL, KIND_BYTES, AT(merge_memory_bytes), MIB(32), GIB(16), "256MiB",
		NULL, "memory of the thread that merges segments"},
	{"merge.rows", NULL, KIND_COUNT, AT(merge_rows), 64, 64 << 20, "4194304", NULL,
		"a segment of so many rows is not merged any more; one has at most twice as many"},
	{"merge.bytes", NULL, KIND_BYTES, AT(merge_bytes), MIB(1), GIB(64), "2GiB", NULL,
		"a merged segment's file is at most about so large"},
	{"table.idle_timeout", NULL, KIND_MS, AT(table_idle_timeout_ms), 1, 36500 * DAY_MS, "1min",
		NULL, "a partition without rows for so long does not hold its table's watermark"},
	{"sql.connections_max", NULL, KIND_COUNT, AT(sql_connections_max), 1, 10000, "100", NULL,
		"SQL sessions"},
	{"sql.memory_bytes", NULL, KIND_BYTES, AT(sql_memory_bytes), MIB(16), GIB(4096), NULL, NULL,
		"memory of all queries together; a quarter of the machine's when not set"},
	{"sql.query_bytes_max", NULL, KIND_BYTES, AT(sql_query_bytes_max), MIB(1), GIB(1024),
		"2GiB", NULL, "memory of one query"},
	{"sql.statement_timeout", NULL, KIND_MS, AT(sql_statement_timeout_ms), 0, 365 * DAY_MS,
		"0ms", NULL, "queries are cancelled after this; 0 = never"},
	{"sql.tables_max", NULL, KIND_COUNT, AT(tables_max), 1, 4096, "4096", NULL, "tables"},
	{"sql.views_max", NULL, KIND_COUNT, AT(views_max), 1, 4096, "4096", NULL,
		"materialized views"},
	{"http.connections_max", NULL, KIND_COUNT, AT(http_connections_max), 1, 10000, "64", NULL,
		"HTTP connections"},
};

static const struct unit {
	const char *text;
	uint64_t factor;
} byte_units[] = {{"", 1}, {"B", 1}, {"KiB", KIB(1)}, {"MiB", MIB(1)}, {"GiB", GIB(1)}},
  ms_units[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", DAY_MS}};

static void *key_place(const struct mr_config *c, const struct key *k)
{
	return (char *)(uintptr_t)c + k->offset;
}

static int bad_value(const struct key *k, const char *value, struct mr_diag *diag)
{
	static const char *const forms[] = {
		[KIND_TEXT] = "a shorter text",
		[KIND_COUNT] = "a whole number",
		[KIND_BYTES] = "a size such as 64MiB",
		[KIND_MS] = "a duration such as 500ms, 5s, 10min, 1h or 7d",
		[KIND_BOOL] = "on or off",
		[KIND_CHOICE] = "one of its choices",
	};
	int rc = mr_diag_set(diag, -EINVAL, "22023", 0, "%s: \"%s\" is not valid", k->name, value);

	mr_diag_hint(diag, "It takes %s.", forms[k->kind]);
	return rc;
}

static int parse_number(
	const char *value, const struct unit *units, size_t units_count, uint64_t *out)
{
	char *end;

	if (*value < '0' || *value > '9')
		return -EINVAL;
	errno = 0;
	*out = strtoull(value, &end, 10);
	if (errno)
		return -EINVAL;
	for (size_t i = 0; i < units_count; i++)
		if (strcmp(end, units[i].text) == 0)
			return __builtin_mul_overflow(*out, units[i].factor, out) ? -EINVAL : 0;
	return -EINVAL;
}

static int parse_bool(const char *value, bool *out)
{
	static const char *const yes[] = {"on", "true", "yes", "1"};
	static const char *const no[] = {"off", "false", "no", "0"};

	for (size_t i = 0; i < MR_COUNT_OF(yes); i++) {
		if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
			*out = strcmp(value, yes[i]) == 0;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_choice(const char *value, const char *const *choices, uint64_t *out)
{
	for (uint64_t i = 0; choices[i]; i++) {
		if (strcmp(value, choices[i]) == 0) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int key_parse(struct mr_config *c, const struct key *k, const char *value)
{
	static const struct unit none = {"", 1};
	uint64_t *number = key_place(c, k);

	switch (k->kind) {
	case KIND_TEXT:
		if (strlen(value) >= k->size)
			return -EINVAL;
		strcpy(key_place(c, k), value);
		return 0;
	case KIND_COUNT: return parse_number(value, &none, 1, number);
	case KIND_BYTES: return parse_number(value, byte_units, MR_COUNT_OF(byte_units), number);
	case KIND_MS: return parse_number(value, ms_units, MR_COUNT_OF(ms_units), number);
	case KIND_BOOL: return parse_bool(value, key_place(c, k));
	case KIND_CHOICE: return parse_choice(value, k->choices, number);
	}
	return -EINVAL;
}

static bool key_has_limits(const struct key *k)
{
	return k->kind == KIND_COUNT || k->kind == KIND_BYTES || k->kind == KIND_MS;
}

static int key_set(
	struct mr_config *c, const struct key *k, const char *value, struct mr_diag *diag)
{
	uint64_t number;

	if (key_parse(c, k, value) < 0)
		return bad_value(k, value, diag);
	if (!key_has_limits(k))
		return 0;
	number = *(uint64_t *)key_place(c, k);
	if (number < k->low || number > k->high) {
		int rc = mr_diag_set(
			diag, -EINVAL, "22023", 0, "%s: %s is out of range", k->name, value);

		mr_diag_hint(diag, "It may be %llu to %llu%s.", (unsigned long long)k->low,
			(unsigned long long)k->high,
			k->kind == KIND_BYTES ? " bytes"
			: k->kind == KIND_MS  ? " ms"
					      : "");
		return rc;
	}
	return 0;
}

// Defaults that depend on the machine.
static void set_computed(struct mr_config *c)
{
	// A whole number of 64 MiB, so that it reads well.
	c->sql_memory_bytes = MR_MAX(mr_ram_bytes() / 4 / MIB(64), (uint64_t)4) * MIB(64);
}

void mr_config_init(struct mr_config *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < MR_COUNT_OF(keys); i++)
		MR_ASSERT(!keys[i].value || key_set(c, &keys[i], keys[i].value, NULL) == 0);
	set_computed(c);
}

// Edit distance of short words, for "did you mean".
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[64], n = MR_MIN(strlen(b), (size_t)63);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t change = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = MR_MIN(MR_MIN(row[j], row[j - 1]) + 1, change);
		}
	}
	return row[n];
}

int mr_config_set(struct mr_config *c, const char *key, const char *value, struct mr_diag *diag)
{
	const char *nearest = NULL;
	size_t best = strlen(key) / 2 + 1;
	int rc;

	for (size_t i = 0; i < MR_COUNT_OF(keys); i++) {
		size_t d = edit_distance(key, keys[i].name);

		if (d == 0)
			return key_set(c, &keys[i], value, diag);
		if (d < best) {
			best = d;
			nearest = keys[i].name;
		}
	}
	rc = mr_diag_set(diag, -EINVAL, "42704", 0, "unknown setting \"%s\"", key);
	if (nearest)
		mr_diag_hint(diag, "Perhaps you meant \"%s\".", nearest);
	return rc;
}

static char *trim(char *s)
{
	char *end;

	s += strspn(s, " \t\r\n");
	end = s + strlen(s);
	while (end > s && strchr(" \t\r\n", end[-1]))
		*--end = 0;
	return s;
}

static int config_line(struct mr_config *c, char *line, struct mr_diag *diag)
{
	char *comment = strchr(line, '#'), *key, *value;

	if (comment)
		*comment = 0;
	key = trim(line);
	if (!*key)
		return 0;
	value = key + strcspn(key, " \t");
	if (*value)
		*value++ = 0;
	return mr_config_set(c, key, trim(value), diag);
}

int mr_config_file(struct mr_config *c, const char *path, struct mr_diag *diag)
{
	FILE *f = fopen(path, "re");
	char line[4096];
	int rc = 0, number = 0;

	if (!f)
		return mr_diag_set(diag, -errno, "58P01", 0, "cannot read configuration %s: %s",
			path, mr_err_text(-errno));
	while (rc == 0 && fgets(line, sizeof(line), f)) {
		struct mr_diag inner;

		number++;
		rc = config_line(c, line, &inner);
		if (rc < 0) {
			mr_diag_set(diag, rc, inner.sqlstate, 0, "%s line %d: %s", path, number,
				inner.message);
			mr_diag_hint(diag, "%s", inner.hint);
		}
	}
	fclose(f);
	return rc;
}

static int set_pair(struct mr_config *c, const char *pair, struct mr_diag *diag)
{
	const char *eq = strchr(pair, '=');
	char key[64];

	if (!eq || eq == pair || (size_t)(eq - pair) >= sizeof(key))
		return mr_diag_set(
			diag, -EINVAL, "22023", 0, "--set takes key=value, not \"%s\"", pair);
	memcpy(key, pair, (size_t)(eq - pair));
	key[eq - pair] = 0;
	return mr_config_set(c, key, eq + 1, diag);
}

static const struct key *key_of_flag(const char *flag)
{
	for (size_t i = 0; i < MR_COUNT_OF(keys); i++)
		if (keys[i].flag && strcmp(keys[i].flag, flag) == 0)
			return &keys[i];
	return NULL;
}

// Flags without a value. True when `flag` is one of them.
static bool bare_flag(struct mr_config *c, const char *flag)
{
	const struct {
		const char *name;
		bool *place;
	} bare[] = {{"insecure", &c->insecure}, {"check-config", &c->check_config},
		{"help", &c->help}, {"version", &c->version}};

	for (size_t i = 0; i < MR_COUNT_OF(bare); i++) {
		if (strcmp(bare[i].name, flag) == 0) {
			*bare[i].place = true;
			return true;
		}
	}
	return false;
}

// One pass over the arguments: reads the --config files, or everything else.
static int args_pass(
	struct mr_config *c, int argc, char *const *argv, bool files, struct mr_diag *diag)
{
	for (int i = 1; i < argc; i++) {
		char flag[64];
		const char *arg = argv[i], *eq = strchr(arg, '='), *value = NULL;
		const struct key *k;
		int rc = 0;

		if (strncmp(arg, "--", 2) != 0 || !arg[2])
			return mr_diag_set(
				diag, -EINVAL, "22023", 0, "unexpected argument \"%s\"", arg);
		snprintf(flag, sizeof(flag), "%.*s", (int)(eq ? eq - arg - 2 : 62), arg + 2);
		if (!eq && bare_flag(c, flag))
			continue;
		k = key_of_flag(flag);
		if (!k && strcmp(flag, "config") != 0 && strcmp(flag, "set") != 0)
			return mr_diag_set(diag, -EINVAL, "22023", 0, "unknown option \"%s\"", arg);
		value = eq ? eq + 1 : i + 1 < argc ? argv[++i] : NULL;
		if (!value)
			return mr_diag_set(diag, -EINVAL, "22023", 0, "--%s needs a value", flag);
		if (strcmp(flag, "config") == 0)
			rc = files ? mr_config_file(c, value, diag) : 0;
		else if (!files)
			rc = k ? key_set(c, k, value, diag) : set_pair(c, value, diag);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int mr_config_args(struct mr_config *c, int argc, char *const *argv, struct mr_diag *diag)
{
	int rc = args_pass(c, argc, argv, true, diag);

	return rc < 0 ? rc : args_pass(c, argc, argv, false, diag);
}

static bool in_kafka_ports(const struct mr_config *c, uint64_t port)
{
	return port && c->kafka_port && port >= c->kafka_port && port < c->kafka_port + c->workers;
}

int mr_config_check(const struct mr_config *c, struct mr_diag *diag)
{
	if (!c->data[0])
		return mr_diag_set(diag, -EINVAL, "22023", 0, "--data DIR is needed");
	if (c->kafka_port && c->kafka_port + c->workers - 1 > 65535)
		return mr_diag_set(diag, -EINVAL, "22023", 0,
			"kafka.port %llu leaves no room for %llu workers",
			(unsigned long long)c->kafka_port, (unsigned long long)c->workers);
	if (in_kafka_ports(c, c->sql_port) || in_kafka_ports(c, c->http_port) ||
		(c->sql_port && c->sql_port == c->http_port))
		return mr_diag_set(diag, -EINVAL, "22023", 0,
			"ports overlap: kafka %llu to %llu, sql %llu, http %llu",
			(unsigned long long)c->kafka_port,
			(unsigned long long)(c->kafka_port + c->workers - 1),
			(unsigned long long)c->sql_port, (unsigned long long)c->http_port);
	if (!mr_is_pow2(c->log_ring_bytes))
		return mr_diag_set(
			diag, -EINVAL, "22023", 0, "log.ring_bytes must be a power of two");
	if (c->log_file_bytes % MR_PAGE)
		return mr_diag_set(
			diag, -EINVAL, "22023", 0, "log.file_bytes must be a multiple of 4KiB");
	// A batch of 128 bytes or more takes 40 in the index, twice while it is read.
	if (c->log_index_memory_bytes < c->log_file_bytes / 2)
		return mr_diag_set(diag, -EINVAL, "22023", 0,
			"log.index_memory_bytes must be at least half of log.file_bytes");
	if (c->kafka_message_bytes_max + KIB(64) > c->log_ring_bytes / 2 ||
		c->kafka_message_bytes_max + KIB(64) > c->log_file_bytes / 2)
		return mr_diag_set(diag, -EINVAL, "22023", 0,
			"kafka.message_bytes_max must fit twice into log.ring_bytes and "
			"log.file_bytes");
	return 0;
}

const char *mr_config_key(size_t index, const char **help)
{
	if (index >= MR_COUNT_OF(keys))
		return NULL;
	if (help)
		*help = keys[index].help;
	return keys[index].name;
}

// The largest unit that divides the number.
static void format_units(
	char *out, size_t bytes, uint64_t v, const struct unit *units, size_t count)
{
	size_t best = 0;

	for (size_t i = 0; i < count; i++)
		if (v && v % units[i].factor == 0 && units[i].text[0])
			best = i;
	snprintf(out, bytes, "%llu%s", (unsigned long long)(v / units[best].factor),
		units[best].text);
}

void mr_config_value(const struct mr_config *c, size_t index, char *out, size_t bytes)
{
	const struct key *k = &keys[index];
	uint64_t number =
		k->kind == KIND_TEXT || k->kind == KIND_BOOL ? 0 : *(uint64_t *)key_place(c, k);

	switch (k->kind) {
	case KIND_TEXT: snprintf(out, bytes, "%s", (char *)key_place(c, k)); break;
	case KIND_COUNT: snprintf(out, bytes, "%llu", (unsigned long long)number); break;
	case KIND_BYTES:
		format_units(out, bytes, number, byte_units, MR_COUNT_OF(byte_units));
		break;
	case KIND_MS: format_units(out, bytes, number, ms_units, MR_COUNT_OF(ms_units)); break;
	case KIND_BOOL: snprintf(out, bytes, "%s", *(bool *)key_place(c, k) ? "on" : "off"); break;
	case KIND_CHOICE: snprintf(out, bytes, "%s", k->choices[number]); break;
	}
}

const char *mr_config_usage(void)
{
	return "usage: millraced --data DIR [option]...\n"
	       "\n"
	       "  --data DIR              data directory; made if its parent exists\n"
	       "  --config FILE           settings, one `key value` per line, # comments\n"
	       "  --listen ADDR           address of all ports (127.0.0.1)\n"
	       "  --kafka-port N          Kafka port of worker 0; worker w has N + w (9092; 0 = "
	       "any)\n"
	       "  --sql-port N            PostgreSQL port (5433; 0 = any)\n"
	       "  --http-port N           HTTP port (8088; 0 = any)\n"
	       "  --workers N             worker threads, each a Kafka broker of its own (1)\n"
	       "  --advertise HOST[:PORT] what Kafka clients are told to connect to\n"
	       "  --dataplane socket|dpdk how packets come in (socket)\n"
	       "  --eal \"ARGS\"            DPDK EAL arguments\n"
	       "  --insecure              allow SQL and HTTP without passwords beyond loopback\n"
	       "  --set key=value         any setting; --check-config lists them\n"
	       "  --check-config          check the settings, print the memory budget, exit\n"
	       "  --version, --help\n";
}
