// Every setting of the daemon: one table of keys with type, unit, default, limits and one line of
// help, from which flags, the --config file, --set, --check-config and SHOW all come.
#pragma once

#include "host/base/err.h"

enum mr_io_choice { MR_IO_AUTO, MR_IO_URING, MR_IO_PLAIN };
enum mr_dataplane { MR_DATAPLANE_SOCKET, MR_DATAPLANE_DPDK };

#define MR_WORKERS_MAX 128

struct mr_config {
	char data[4096];
	char listen[256];
	char advertise[256]; // HOST[:PORT], or empty
	char eal[1024];
	uint64_t kafka_port;
	uint64_t sql_port;
	uint64_t http_port;
	uint64_t workers;
	uint64_t dataplane; // enum mr_dataplane
	uint64_t io;        // enum mr_io_choice
	bool insecure;
	bool pin;
	bool realtime;
	uint64_t log_level; // enum mr_note_level

	// --dataplane dpdk
	char net_address[1024]; // ADDRESS/PREFIX, commas between
	char net_gateway[128];
	char net_port[64];     // device; empty: the first
	char net_module[1024]; // millrace-dpdk.so; empty: beside the daemon
	uint64_t net_vlan;     // 0: untagged
	uint64_t net_mtu;
	uint64_t net_checksum;  // enum mr_dpdk_sums
	uint64_t net_poll_busy; // 0: adaptive
	uint64_t net_idle_us;
	uint64_t net_queues; // 0: one for each worker
	uint64_t net_refuse_remote;
	uint64_t net_memory_bytes;
	uint64_t net_window_bytes;
	bool net_accept_ra;

	uint64_t log_file_bytes;
	uint64_t log_ring_bytes;
	uint64_t log_open_files_max;
	uint64_t log_clean_bytes_per_s;
	uint64_t log_index_memory_bytes;
	uint64_t segment_footer_memory_bytes;
	uint64_t disk_reserve_bytes;

	bool kafka_auto_create;
	uint64_t topics_max;
	uint64_t partitions_max; // of all topics
	uint64_t tables_max;
	uint64_t views_max;
	uint64_t kafka_partitions;
	uint64_t kafka_request_bytes_max;
	uint64_t kafka_message_bytes_max;
	uint64_t kafka_connections_max;
	uint64_t kafka_memory_bytes;
	uint64_t kafka_decompressed_bytes_max;
	uint64_t kafka_idle_timeout_ms;
	uint64_t kafka_append_wait_ms;
	uint64_t producer_expiry_ms;
	uint64_t producers_max;
	uint64_t retention_ms;

	uint64_t table_memory_bytes;
	uint64_t table_memory_ahead;
	uint64_t table_chunk_bytes_max;
	uint64_t table_seal_after_ms;
	uint64_t view_memory_bytes;
	uint64_t max_future_ms;
	uint64_t seal_failing_max_ms;
	uint64_t merge_memory_bytes;
	uint64_t merge_rows;
	uint64_t merge_bytes;
	uint64_t table_idle_timeout_ms;

	uint64_t sql_connections_max;
	uint64_t sql_memory_bytes;
	uint64_t sql_query_bytes_max;
	uint64_t sql_statement_timeout_ms;
	uint64_t http_connections_max;

	// Not settings: the plan of descriptors (host/descriptors.h). 0: no end.
	int kafka_descriptors_end;
	int sessions_descriptors_end;

	bool check_config;
	bool help;
	bool version;
};

void mr_config_init(struct mr_config *c);

// Sets one key from its text. 0, or -EINVAL with a message that names the key, what is wrong, and
// for an unknown key the nearest one.
[[nodiscard]] int mr_config_set(
	struct mr_config *c, const char *key, const char *value, struct mr_diag *diag);

// Reads `key value` lines with # comments. Errors name the line.
[[nodiscard]] int mr_config_file(struct mr_config *c, const char *path, struct mr_diag *diag);

// Reads the command line: --config first, then everything else in order, so that flags win.
[[nodiscard]] int mr_config_args(
	struct mr_config *c, int argc, char *const *argv, struct mr_diag *diag);

// What only makes sense together: ports that overlap, ring against file sizes. -EINVAL with diag.
[[nodiscard]] int mr_config_check(const struct mr_config *c, struct mr_diag *diag);

// The value of key `index` as text, for SHOW and --check-config; NULL past the last key.
const char *mr_config_key(size_t index, const char **help);
void mr_config_value(const struct mr_config *c, size_t index, char *out, size_t bytes);

// The usage text of millraced.
const char *mr_config_usage(void);
