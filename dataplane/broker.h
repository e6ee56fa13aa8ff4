// What the Kafka layer asks of whoever keeps the data: filled by host/, called by kafka_*.c.
//
// One broker object per worker, used on that worker's thread only. Every operation that may have to
// wait takes a struct with a `done` callback, which runs later on the same thread, or at once from
// inside the call. Errors are Kafka error codes (kafka_error.h), because this is Kafka's boundary.
#pragma once

#include "dataplane/topic.h"

struct mr_request;
struct mr_broker;

// Where clients reach worker `id`.
struct mr_broker_node {
	int32_t id;
	char host[256];
	uint16_t port;
};

// One partition of a Produce request: a whole record batch, not yet looked into.
struct mr_append {
	// in
	const struct mr_topic *topic;
	uint32_t partition;
	struct mr_span batch; // the records field as it came; borrowed until done
	bool may_skip_done;   // acks=0: done may come before the bytes are durable
	int32_t wait_ms_max;  // the client's patience; 0 = it has not said
	int64_t received_ns;
	void (*done)(struct mr_append *a);
	void *user;
	// out
	int16_t error;              // Kafka error code, 0 = durable and visible
	int64_t base_offset;        // also for an exact duplicate: the original's
	int64_t log_append_time_ms; // -1 with CreateTime
	int64_t log_start_offset;
	int32_t bad_record;  // index of the record that made the batch invalid, -1 = none
	const char *message; // static text for Produce v8+, or NULL
	// the broker's own
	struct mr_append *next;
	uint64_t lsn_end;
	int64_t committed_ns;
	int64_t wait_since_ns;
	int64_t deadline_ns;
	void *wait[2];
};

// One partition of a Fetch request.
struct mr_fetch_part {
	// in
	const struct mr_topic *topic; // NULL: not there; the caller has set `error` already
	uint32_t partition;
	int64_t offset;
	int32_t bytes_max;
	// out
	int16_t error;
	int64_t high_watermark; // also the last stable offset: there are no transactions
	int64_t log_start_offset;
	const uint8_t *records; // whole batches, in memory of mr_request_alloc
	size_t records_bytes;
};

struct mr_fetch {
	// in
	struct mr_request *request; // for memory
	struct mr_fetch_part *parts;
	uint32_t parts_count;
	int32_t wait_ms_max;
	int32_t bytes_min;
	int32_t bytes_max;
	void (*done)(struct mr_fetch *f);
	void *user;
	// the broker's own
	void *wait[4];
};

struct mr_list_offset {
	// in
	const struct mr_topic *topic; // NULL: not there; the caller has set `error` already
	uint32_t partition;
	int64_t timestamp; // ms, or -1 latest, -2 earliest, -3 max timestamp
	// out
	int16_t error;
	int64_t offset;       // -1 = none
	int64_t at_timestamp; // -1 = none
};

// ListOffsets of one request; a look-up by time may have to read the disk.
struct mr_list_offsets {
	struct mr_request *request;
	struct mr_list_offset *parts;
	uint32_t parts_count;
	void (*done)(struct mr_list_offsets *l);
	void *user;
	void *wait[4];
};

// An administrative change of one topic, decided by control.
enum mr_admin_kind { MR_ADMIN_CREATE, MR_ADMIN_DELETE, MR_ADMIN_ADD_PARTITIONS };

struct mr_admin {
	// in
	enum mr_admin_kind kind;
	struct mr_span name;           // borrowed until done
	uint32_t partitions;           // create: 0 = default; add: the new total
	struct mr_topic_config config; // create; start from mr_broker_ops.topic_defaults
	bool validate_only;
	bool automatic; // auto-creation: refused when that is switched off
	void (*done)(struct mr_admin *a);
	void *user;
	// out
	int16_t error;
	char message[200]; // "" or text for the client
	struct mr_uuid topic_id;
	uint32_t partitions_now;
	// the broker's own
	struct mr_broker *broker;
	void *wait[4];
};

// A fresh producer id, unique for ever.
struct mr_producer_init {
	void (*done)(struct mr_producer_init *p);
	void *user;
	int16_t error;
	int64_t producer_id;
	struct mr_broker *broker;
	void *wait[4];
};

struct mr_broker_ops {
	// The snapshot for this turn of the loop; valid until control is returned to the loop.
	const struct mr_topics *(*topics)(struct mr_broker *b);
	// Node `index` of this cluster: a worker. The controller is always node 0. `local_host` and
	// `local_port` are the address the client came in on.
	void (*node)(struct mr_broker *b, uint32_t index, const char *local_host,
		uint16_t local_port, struct mr_broker_node *out);
	uint32_t (*nodes_count)(struct mr_broker *b);
	int32_t (*node_id)(struct mr_broker *b);           // this worker's
	struct mr_span (*cluster_id)(struct mr_broker *b); // 22 characters, the same for ever
	bool (*auto_create)(struct mr_broker *b);
	struct mr_topic_config (*topic_defaults)(struct mr_broker *b);

	// Checks, orders and appends a batch. `done` exactly once.
	void (*append)(struct mr_broker *b, struct mr_append *a);
	// Answers when bytes_min are there or wait_ms_max has passed. `done` exactly once, also
	// after fetch_cancel, which is for connections that have gone.
	void (*fetch)(struct mr_broker *b, struct mr_fetch *f);
	void (*fetch_cancel)(struct mr_broker *b, struct mr_fetch *f);
	void (*list_offsets)(struct mr_broker *b, struct mr_list_offsets *l);
	void (*admin)(struct mr_broker *b, struct mr_admin *a);
	void (*producer_init)(struct mr_broker *b, struct mr_producer_init *p);
};

struct mr_broker {
	const struct mr_broker_ops *ops;
};
