// Shared by the two files of the producing client: kafka_client.c decides what goes where and when,
// kafka_conn.c moves the bytes of one connection.
#pragma once

#include "client/kafka_client.h"

#include <poll.h>

struct kc_list {
	struct mr_produce_batch *head;
	struct mr_produce_batch *tail;
};

struct kc_part {
	int32_t conn; // its leader's, -1: not known
	uint32_t inflight;
	bool careful;  // one batch at a time: may_send says why
	bool draining; // a batch failed: nothing is sent until `inflight` is 0
	int64_t not_before_ns;
	int32_t next_sequence;
	struct kc_list queue; // to be sent, in order
	struct kc_list retry; // failed, in order; goes in front of the queue when drained
};

struct kc_conn {
	struct mr_kafka_node node;
	int fd; // -1: closed
	bool connecting;
	int64_t backoff_ns;
	int64_t retry_at_ns;
	struct kc_list flight;            // being written or awaiting their answer, in order
	struct mr_produce_batch *writing; // first of `flight` not wholly written
	size_t written;                   // of its request
	struct mr_buf in;
	size_t in_at;
};

struct mr_kafka_client {
	struct mr_kafka_client_options opt;
	struct mr_kafka_address *bootstrap;
	uint32_t bootstrap_count;
	struct mr_kafka_caller caller;
	int64_t producer_id;
	int16_t producer_epoch;
	int32_t correlation;
	struct kc_part *parts;
	uint32_t parts_count;
	struct kc_conn *conns;
	uint32_t conns_count;
	struct pollfd *polls; // conns_count + 1
	uint64_t pending;
	uint64_t retries;
	bool refresh; // leaders must be asked for
	int64_t refresh_at_ns;
	int64_t check_at_ns;
	int failed; // negative once it is
	char error[800];
	char last[200]; // last failure that may pass
};

void kc_list_push(struct kc_list *l, struct mr_produce_batch *b);
struct mr_produce_batch *kc_list_pop(struct kc_list *l);
// All of `from` in front of `l`.
void kc_list_prepend(struct kc_list *l, struct kc_list *from);

int64_t kc_now(const struct mr_kafka_client *c);
void kc_fail(struct mr_kafka_client *c, int err, const char *fmt, ...) MR_PRINTF(3, 4);
// Keeps why something failed that may pass, for the case that it does not.
void kc_note(struct mr_kafka_client *c, const char *fmt, ...) MR_PRINTF(2, 3);

// What became of a batch in flight. `text` is the broker's, or empty.
void kc_answered(
	struct mr_kafka_client *c, struct mr_produce_batch *b, int16_t error, struct mr_span text);
void kc_lost(struct mr_kafka_client *c, struct mr_produce_batch *b);

// Starts connecting. Failures set the time of the next attempt.
void kc_conn_dial(struct mr_kafka_client *c, struct kc_conn *n);
// Closes, and gives every batch in flight back as lost.
void kc_conn_break(struct mr_kafka_client *c, struct kc_conn *n, const char *why);
// Puts a batch on its way: sequence, checksum, request head.
void kc_conn_submit(struct mr_kafka_client *c, struct kc_conn *n, struct mr_produce_batch *b);
void kc_conn_writable(struct mr_kafka_client *c, struct kc_conn *n);
void kc_conn_readable(struct mr_kafka_client *c, struct kc_conn *n);
