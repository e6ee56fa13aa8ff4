// Control: the one thread that changes what exists, and the calls that reach it.
//
// Topics, tables and views are made and dropped here, one change at a time: checked, appended to
// the manifest (durable), made into a new snapshot, taken over by every worker; only then is the
// change answered, so it is in force everywhere. Workers ask by message (Kafka's admin requests);
// SQL threads call and wait. Control may wait for workers; a worker never waits for control.
#pragma once

#include "dataplane/broker.h"
#include "host/base/mailbox.h"
#include "host/config.h"
#include "host/snapshot.h"
#include "host/view/view.h"
#include "hw/topo.h"
#include "storage/dir.h"
#include "storage/log_store.h"
#include "storage/manifest.h"

#include <pthread.h>
#include <semaphore.h>

struct mr_clean;
struct mr_log_load;
struct mr_env;
struct mr_fold;
struct mr_merge;
struct mr_nic;
struct mr_recovered;
struct mr_run_store;
struct mr_seal;
struct mr_view_merger;
struct mr_segment_store;
struct mr_worker;

struct mr_ask;

// What there may be so many of at most, each by a setting.
enum mr_limit {
	MR_LIMIT_TOPICS,
	MR_LIMIT_PARTITIONS,
	MR_LIMIT_TABLES,
	MR_LIMIT_VIEWS,
	MR_LIMITS,
};

struct mr_control {
	const struct mr_config *config;
	struct mr_clock *clock;
	struct mr_sessions *sessions; // borrowed, set before the ports open; NULL: there are none
	struct mr_disk *disk;
	struct mr_manifest *manifest;
	struct mr_log_store *store;
	struct mr_segment_store *segments;
	struct mr_run_store *runs;
	struct mr_seal *seal;
	struct mr_clean *clean;
	struct mr_log_load *log_load;
	struct mr_view_host views;
	struct mr_view_merger *view_merger;
	struct mr_merge *merge;
	struct mr_catalog catalog;
	struct mr_rand rand;
	char cluster_id[23]; // base64url of the cluster's UUID
	struct mr_recovered *recovered;

	struct mr_env *env;           // borrowed: compiles views
	struct mr_fold *fold_new;     // of the view being created, until it is published
	struct mr_chunk_pool **pools; // one per worker
	struct mr_worker **workers;
	uint32_t workers_count;
	struct mr_nic *nic;                 // NULL: kernel sockets
	struct mr_topo_placement placement; // empty: threads are not pinned
	bool started;                       // workers run

	struct mr_mailbox box;
	bool stopping;
	struct mr_ask *asks; // of workers, not answered yet, in order
	struct mr_ask **asks_tail;
	_Atomic uint64_t refusals[MR_LIMITS]; // changes that were refused; read by any thread

	pthread_mutex_t snapshot_lock; // held for a moment by control and SQL threads
	struct mr_snapshot *snapshot;

	int64_t producer_given; // the next id to hand out; below catalog.producer_next

	pthread_t background; // makes log files and memory ready, removes dead files
	bool background_running;
	sem_t background_wake; // posted without a lock: workers do, and that thread may wait long
	_Atomic bool background_stop;
};

// Opens the data directory, recovers it, makes the workers and their listeners and starts them.
// When it returns 0 everything that was acknowledged before is readable and visible.
[[nodiscard]] int mr_control_start(struct mr_control *c, const struct mr_config *config,
	struct mr_clock *clock, struct mr_env *env, struct mr_diag *diag);
// Before a stop: appends that wait for room are refused, for SQL sessions may wait for them.
void mr_control_refuse_waits(struct mr_control *c);
// Stops the workers, seals their logs, closes the directory. After a start that failed, too.
void mr_control_stop(struct mr_control *c);

// Handles messages until there are none; the main thread calls it when c->box polls readable.
void mr_control_turn(struct mr_control *c);

// Runs `fn` on the control thread and returns what it returns. Any other thread but a worker's.
int mr_control_call(struct mr_control *c, int (*fn)(struct mr_control *c, void *arg), void *arg);

// Waits until every worker's tables have taken what is in the log now (they may be behind after
// CREATE TABLE). Any thread but control's and workers'.
void mr_control_wait_caught_up(struct mr_control *c);

// The snapshot as it is now; a reference for the caller. Any thread.
struct mr_snapshot *mr_control_snapshot(struct mr_control *c);

// Puts the calling thread where SQL and background work belongs: off the workers' cores, or at
// lower priority on them. `control` is a struct mr_control.
void mr_control_place_background(void *control);

// For workers.
void mr_control_admin(struct mr_control *c, struct mr_worker *from, struct mr_admin *a);
void mr_control_producer_init(
	struct mr_control *c, struct mr_worker *from, struct mr_producer_init *p);
void mr_control_node(struct mr_control *c, uint32_t index, const char *local_host,
	uint16_t local_port, uint32_t local_index, struct mr_broker_node *out);
struct mr_span mr_control_cluster_id(struct mr_control *c);
struct mr_topic_config mr_control_topic_defaults(const struct mr_config *config);

// ddl.c: changes, on the control thread. 0, 1 (nothing to do), or negative with diag.
struct mr_create_table;
struct mr_create_view;
struct mr_drop;
struct mr_table_change {
	const struct mr_create_table *create;
	const struct mr_drop *drop;
	struct mr_create_view *view;
	struct mr_view *made; // by CREATE MATERIALIZED VIEW: a reference; to undo it: that view
	uint64_t table_id;    // TRUNCATE
	struct mr_diag *diag;
};
int mr_ddl_create_table(struct mr_control *c, void *table_change);
int mr_ddl_drop_table(struct mr_control *c, void *table_change);
int mr_ddl_truncate(struct mr_control *c, void *table_change);
int mr_ddl_create_view(struct mr_control *c, void *table_change);
int mr_ddl_drop_view(struct mr_control *c, void *table_change);
// Drops change->made, if it is still there, whatever has its name now.
int mr_ddl_undo_view(struct mr_control *c, void *table_change);
// ddl_topics.c: the topic changes that admin requests ask for; fills their answers.
#define MR_DDL_ADMIN_BATCH 256
void mr_ddl_admin(struct mr_control *c, struct mr_admin *const *asked, uint32_t count);
// Makes the catalog as it is now into a snapshot and has every worker take it over.
[[nodiscard]] int mr_control_publish(struct mr_control *c, struct mr_diag *diag);
