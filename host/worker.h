// A worker: one thread that owns its connections, its partitions, their log and its table parts.
//
// Everything in struct mr_worker belongs to the worker's thread, but what is marked shared. Others
// reach it through its mailbox. The loop: network and disk completions, messages, then what waits
// for time or memory, then one log flush (group commit).
#pragma once

#include "dataplane/broker.h"
#include "dataplane/conn.h"
#include "dataplane/kafka.h"
#include "dataplane/producer_state.h"
#include "host/base/mailbox.h"
#include "host/base/stat.h"
#include "host/config.h"
#include "host/metrics.h"
#include "host/read_room.h"
#include "host/snapshot.h"
#include "host/urgency.h"
#include "host/watermark.h"
#include "hw/uring.h"
#include "storage/log_store.h"

#include <pthread.h>

struct mr_control;
struct mr_worker;

// A table that takes the rows of a partition. Live: the next batch appended is the next one it
// needs. Otherwise it catches up from the log.
struct mr_feed {
	struct mr_feed *next; // of the partition
	struct mr_worker *worker;
	struct mr_partition *partition; // NULL: dropped while a read was under way
	struct mr_table_part *part;
	struct mr_table *table; // a reference is held
	int64_t next_offset;    // first record not applied yet
	int64_t sealed_offset;  // below, committed segments hold what the table needs
	int64_t live_end;       // behind the last batch it was given live
	bool starved;           // memory for rows was used up at the last try
	bool lagging;           // in the worker's list of feeds that catch up
	struct mr_feed *lag_next;
	struct mr_log_read read;  // of a batch that is no longer in memory
	struct mr_read_wait room; // for memory to read it into
	bool reading;
	bool indexing; // the store is reading where its next batch is
	bool failed;   // the log cannot be read there: stays behind, and says so
	struct mr_watermark watermark;
};

struct mr_append_list {
	struct mr_append *head;
	struct mr_append **tail; // means nothing while head is NULL
};

// What an append waits for.
enum mr_append_wait {
	MR_APPEND_WAIT_LOG,     // room in the log's ring, or its next file
	MR_APPEND_WAIT_MEMORY,  // memory for rows of a table of its partition
	MR_APPEND_WAIT_VISIBLE, // durable; the rest of its rows has to get memory
	MR_APPEND_WAITS,
};

struct mr_partition {
	struct mr_partition *next;  // hash chain
	struct mr_topic_def *topic; // a reference is held
	uint32_t number;
	uint32_t log_ref;
	bool bound; // log_ref is valid in this worker's log
	int64_t log_start;
	int64_t next_offset;
	int64_t high_watermark;   // end of what is durable
	int64_t max_timestamp_ms; // of all batches, -1 = none
	struct mr_producers *producers;
	struct mr_watermark_state *watermarks; // recovered, for feeds to come
	uint32_t watermarks_count;
	struct mr_feed *feeds;
	struct mr_append_list waiting; // MR_APPEND_WAIT_MEMORY
	struct mr_append_list unseen;  // MR_APPEND_WAIT_VISIBLE
	struct mr_partition *held_next;
	bool held;       // in the worker's list of partitions with such appends
	bool waited_for; // a Fetch has looked here since the last wake-up
	// worker: wo, others: ro, relaxed
	_Atomic uint64_t batches_in;
	_Atomic uint64_t records_in;
	_Atomic uint64_t bytes_in;
	_Atomic uint64_t records_deduplicated;
};

struct mr_worker_queue {
	struct mr_io *io;
	struct mr_watch watch;
};

#define MR_PARTITION_SLOTS 16384

// Counters of one worker; written by it, read by any thread, relaxed.
struct mr_worker_stats {
	_Atomic uint64_t appends;
	_Atomic uint64_t appends_failed;
	_Atomic uint64_t appends_stalled;
	_Atomic uint64_t appends_timed_out;
	_Atomic uint64_t appends_waiting[MR_APPEND_WAITS]; // gauges
	_Atomic uint64_t fetches;
	_Atomic uint64_t fetches_waited;
	_Atomic uint64_t fetch_bytes_hot;
	_Atomic uint64_t fetch_bytes_cold;
	_Atomic uint64_t feeds_lagging;
	_Atomic uint64_t feeds_failed;
	_Atomic uint64_t log_index_bytes; // gauges, looked at now and then
	_Atomic uint64_t read_bytes_peak;
	_Atomic uint64_t read_waits;
	_Atomic uint64_t turns;
	_Atomic uint64_t urgent;      // 1: in the real-time class
	_Atomic uint64_t log_stopped; // 1: acknowledges nothing any more
	struct mr_hist stage_check;   // received to checked and in the log
	struct mr_hist stage_decode;  // of one batch
	struct mr_hist stage_flush;   // in the log to durable
	struct mr_hist stage_visible; // publishing and folding, of one flush
	struct mr_hist ack;           // received to acknowledged
	struct mr_hist append_wait[MR_APPEND_WAITS];
};

struct mr_worker {
	struct mr_broker broker; // first: mr_broker_ops get it
	uint32_t id;
	uint32_t count; // of workers
	const struct mr_config *config;
	struct mr_control *control;
	struct mr_clock *clock;
	struct mr_log_store *store;
	pthread_t thread;
	int core;         // -1: not pinned
	int node;         // NUMA, -1: anywhere
	bool shares_core; // with background threads and commits

	struct mr_uring *ring;  // NULL: plain
	struct mr_stack *stack; // our own TCP/IP; NULL: kernel sockets
	struct mr_port *frames; // its port
	struct mr_net *net;
	struct mr_conns *conns;
	struct mr_worker_queue reads;
	struct mr_read_room read_room;  // what they read into
	struct mr_worker_queue commits; // durable writes
	struct mr_log *log;
	struct mr_kafka *kafka;
	struct mr_zip *zip;
	struct mr_protocol protocol;
	uint16_t port;

	struct mr_mailbox box; // shared
	struct mr_watch box_watch;
	bool running; // the thread is; control's
	bool stopping;
	_Atomic bool finished; // shared: the thread is done
	struct mr_message stop_message;
	struct mr_message refuse_message;
	uint32_t asks; // of control, not answered yet

	struct mr_snapshot *snapshot;
	struct mr_partition *partitions[MR_PARTITION_SLOTS];
	size_t partitions_count;

	struct mr_append_list pending; // in the log, waiting to be durable
	struct mr_append_list stalled; // MR_APPEND_WAIT_LOG, of all partitions, in order
	struct mr_partition *held;     // partitions with appends that wait for memory
	bool held_look;                // a feed has had memory since the last look at them
	int64_t append_deadline_ns;    // when the first wait ends, INT64_MAX = none waits
	bool refusing;                 // stopping: no append waits any more
	struct mr_marks marks;
	struct mr_feed *lagging;
	_Atomic bool memory_freed; // shared: starved feeds may try again
	int64_t starved_retry_ns;  // when they try without having been told
	_Atomic bool index_loaded; // shared: the store has read an index
	bool index_waited;         // somebody waits for one
	int64_t index_retry_ns;    // when they try without having been told
	struct list_wait *lists;   // ListOffsets that wait for one
	struct mr_when *when_caught_up;
	uint64_t first_lsn;            // end of the log's first checkpoint
	uint64_t checkpoint_lsn;       // where the newest begins
	uint64_t checkpoint_end;       // and ends; 0: those before it are released already
	struct mr_fetch_wait *fetches; // waiting for data, any order
	bool fetch_wakeup;             // a partition that is waited for has advanced
	int64_t fetch_deadline_ns;     // earliest, INT64_MAX = none
	int64_t housekeeping_ns;       // when next
	size_t housekeeping_slot;      // where in `partitions`
	struct mr_urgency urgency;
	bool may_be_urgent;           // neither configuration nor the host refused it
	struct mr_worker_stats stats; // shared
};

// Makes all of a worker but its log and its thread; blocks.
[[nodiscard]] int mr_worker_create(
	struct mr_control *control, uint32_t id, struct mr_worker **out, struct mr_diag *diag);
void mr_worker_destroy(struct mr_worker *w);

// Opens the worker's new log, which begins with a checkpoint of its partitions: after the first
// mr_worker_apply_snapshot, before the thread. Blocks.
[[nodiscard]] int mr_worker_open_log(struct mr_worker *w);
// Listens on a port (0 = any; w->port says which). Before the thread.
[[nodiscard]] int mr_worker_listen(struct mr_worker *w, uint16_t port, struct mr_diag *diag);
[[nodiscard]] int mr_worker_start(struct mr_worker *w, struct mr_diag *diag);
// Refuses appends that wait for room, and those to come: nobody is to wait while the daemon stops.
// Control's thread, once.
void mr_worker_refuse_waits(struct mr_worker *w);
// Asks it to finish. Control goes on answering until it has, and its box is woken then: the log is
// closed and sealed.
void mr_worker_stop(struct mr_worker *w);
bool mr_worker_finished(const struct mr_worker *w);
void mr_worker_join(struct mr_worker *w);

// Something to run on the worker once its tables have caught up with its log. Caller's memory.
struct mr_when {
	struct mr_message message;
	struct mr_when *next;
	void (*run)(struct mr_when *when);
};
// The store has read where batches of some file are. Any thread.
void mr_worker_index_loaded(struct mr_worker *w);
// Any thread.
void mr_worker_when_caught_up(struct mr_worker *w, struct mr_when *when);

// Runs `fn` on the worker's thread and waits for it. Any thread but a worker's.
void mr_worker_call(struct mr_worker *w, void (*fn)(struct mr_worker *w, void *arg), void *arg);
// The same on all of them at once, so that it takes as long as with the slowest: `fn` runs on
// several threads at a time.
void mr_workers_call(struct mr_worker *const *workers, uint32_t count,
	void (*fn)(struct mr_worker *w, void *arg), void *arg);

// partition.c
struct mr_partition *mr_worker_partition(
	const struct mr_worker *w, const struct mr_topic *t, uint32_t number);
// Takes the snapshot over: makes what the change from the one before adds, drops what is gone.
void mr_worker_apply_snapshot(
	struct mr_worker *w, struct mr_snapshot *s, const struct mr_snapshot_change *ch);
void mr_worker_drop_partitions(struct mr_worker *w);
uint64_t mr_worker_checkpoint_bytes(void *ctx);
void mr_worker_checkpoint(void *ctx, struct mr_log *log);
void mr_worker_release_checkpoints(struct mr_worker *w);
void mr_partition_retain(struct mr_worker *w, struct mr_partition *p);

// append.c
void mr_worker_append(struct mr_broker *b, struct mr_append *a);
void mr_worker_durable(void *ctx, uint64_t lsn);
// Answers appends that are durable and visible.
void mr_worker_acknowledge(struct mr_worker *w);
void mr_worker_log_stopped(void *ctx, int err);

// One try to put an append into the log.
enum mr_append_try { MR_APPEND_TAKEN, MR_APPEND_NO_LOG, MR_APPEND_NO_MEMORY };
enum mr_append_try mr_append_try(struct mr_worker *w, struct mr_append *a);
// What an append keeps in `wait`: its partition.
static inline struct mr_partition *mr_append_partition(const struct mr_append *a)
{
	return a->wait[0];
}
// All rows of the append are in the tables that take them live.
bool mr_append_is_applied(const struct mr_append *a);
void mr_append_done(struct mr_worker *w, struct mr_append *a);
void mr_append_fail(struct mr_worker *w, struct mr_append *a, int16_t error, const char *message);

// append_wait.c: appends that wait.
void mr_append_list_add(struct mr_append_list *l, struct mr_append *a);
struct mr_append *mr_append_list_take(struct mr_append_list *l);
// Waits, in the list of its reason, until it can go on or its time is up.
void mr_append_wait(struct mr_worker *w, struct mr_append *a, enum mr_append_wait why);
// What can go on goes on; what has waited too long is refused. Every turn.
void mr_worker_appends_turn(struct mr_worker *w);
// Answers what waits for a partition that goes away.
void mr_worker_appends_fail(struct mr_worker *w, struct mr_partition *p);
// Refuses what waits, now and from now on: the daemon is stopping.
void mr_worker_appends_refuse(struct mr_worker *w);
// Answers everything that is left, before the connections go.
void mr_worker_appends_abort(struct mr_worker *w);

// feed.c
void mr_feed_add(struct mr_worker *w, struct mr_partition *p, struct mr_table *t);
void mr_feeds_drop(struct mr_worker *w, struct mr_partition *p, const struct mr_table *only);
// Applies the batch to the partition's live feeds.
void mr_feeds_live(struct mr_worker *w, struct mr_partition *p, const struct mr_batch *batch,
	struct mr_span records, uint64_t lsn);
// Memory for rows of this partition's tables is used up: appends wait.
bool mr_feeds_full(struct mr_worker *w, const struct mr_partition *p);
// Some catching up; true when there is more that can be done now.
bool mr_feeds_step(struct mr_worker *w);
// Feeds that wait for memory may try again. `worker` is a struct mr_worker; any thread.
void mr_worker_memory_freed(void *worker);
// Closes what is open of the worker's table parts, to be sealed.
void mr_worker_close_pieces(struct mr_worker *w);

// What the table still needs the log for: offsets from here on.
int64_t mr_feed_needs(const struct mr_feed *f);

// fetch.c
// The first batch of the partition that ends above `offset`, in whichever log it is. 0 or -ENOENT.
// -EINPROGRESS when that has to be read from disk first: everything that waits is tried again when
// it was (mr_worker_index_turn).
[[nodiscard]] int mr_worker_find(struct mr_worker *w, const struct mr_partition *p, int64_t offset,
	struct mr_log_entry *out);
void mr_worker_fetch(struct mr_broker *b, struct mr_fetch *f);
void mr_worker_fetch_cancel(struct mr_broker *b, struct mr_fetch *f);

void mr_worker_fetches_turn(struct mr_worker *w, int64_t now_ns);
// Answers every waiting Fetch with what there is, as if its time were up.
void mr_worker_fetches_answer(struct mr_worker *w);
void mr_worker_fetches_abort(struct mr_worker *w);

// list_offsets.c
void mr_worker_list_offsets(struct mr_broker *b, struct mr_list_offsets *l);
// Those that wait for an index try again, or end with an error.
void mr_worker_lists_retry(struct mr_worker *w);
void mr_worker_lists_abort(struct mr_worker *w);
// Somebody waits for an index: mr_worker_find or another look at the store said -EINPROGRESS.
void mr_worker_wait_index(struct mr_worker *w);
