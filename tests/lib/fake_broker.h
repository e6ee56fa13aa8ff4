// A small Kafka cluster that misbehaves by script: two nodes on loopback, one thread, one topic.
//
// It checks what producers send as a broker would (checksum, sequences per partition with 5 batches
// remembered) and keeps, per partition, the order in which batches were appended: a test names a
// batch by its base timestamp. What happens to the n-th Produce request is in `script`.
#pragma once

#include "host/base/buf.h"

#include <pthread.h>
#include <stdatomic.h>

enum fake_action {
	FAKE_OK,
	FAKE_ERROR,             // the code in `error`, not appended
	FAKE_DROP,              // the connection closes before the batch is looked at
	FAKE_DROP_APPENDED,     // appended, then the connection closes without an answer
	FAKE_MOVE,              // not the leader any more: the other node is
	FAKE_HALF_ANSWER,       // appended, half of the answer, then the connection closes
	FAKE_WRONG_CORRELATION, // appended, but the answer names another request
	FAKE_HUGE_ANSWER,       // appended, but the answer says it has 2 GiB
	FAKE_SILENT, // appended, never answered; later requests of the connection wait too
};

struct fake_step {
	enum fake_action action;
	int16_t error;
};

enum { FAKE_PARTS = 2, FAKE_STEPS_MAX = 256, FAKE_BATCHES_MAX = 4096, FAKE_CONNS_MAX = 64 };

struct fake_part {
	int leader; // node
	int32_t next_sequence;
	int32_t recent[5]; // base sequences of the last batches
	int count;
	int64_t ids[FAKE_BATCHES_MAX]; // base timestamps, in the order of appending
};

struct fake_conn {
	int fd; // -1: free
	int node;
	bool silent;
	struct mr_buf in;
};

struct fake_broker {
	int listeners[2];
	uint16_t ports[2];
	char bootstrap[32];
	struct fake_conn conns[FAKE_CONNS_MAX];
	struct fake_part parts[FAKE_PARTS];
	struct fake_step script[FAKE_STEPS_MAX];
	int steps_count;
	int16_t metadata_error; // for the topic, as often as `metadata_errors` says
	int metadata_errors;
	int16_t produce_version_max;
	int produced; // Produce requests so far
	int bad;      // requests that were not well formed, or had a wrong checksum
	atomic_bool stop;
	pthread_t thread;
};

// Starts listening; the caller then writes the script and starts the thread.
void fake_broker_open(struct fake_broker *f);
void fake_broker_start(struct fake_broker *f);
// Stops the thread: what it has seen may be looked at.
void fake_broker_stop(struct fake_broker *f);
void fake_broker_close(struct fake_broker *f);
