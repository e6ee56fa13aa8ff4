// The control thread: start, messages, snapshots, stop.
#include "host/control.h"

#include "host/base/note.h"
#include "host/clean.h"
#include "host/log_load.h"
#include "host/merge.h"
#include "host/nic.h"
#include "host/nic_capture.h"
#include "host/partition_state.h"
#include "host/seal.h"
#include "host/view/view.h"
#include "host/view/view_merger.h"
#include "host/worker.h"
#include "storage/segment_store.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	PRODUCER_BLOCK = 1000,
	PORT_TRIES = 64,
	BACKGROUND_NICE = 10,
	LOG_FILE_BYTES_FIRST = 32 << 20,
	BACKGROUND_RETRY_S = 1,
};

// ---- snapshots

struct mr_snapshot *mr_control_snapshot(struct mr_control *c)
{
	struct mr_snapshot *s;

	pthread_mutex_lock(&c->snapshot_lock);
	s = mr_snapshot_get(c->snapshot);
	pthread_mutex_unlock(&c->snapshot_lock);
	return s;
}

// ---- messages from workers

struct mr_ask {
	struct mr_message message;
	struct mr_ask *next;
	struct mr_worker *from;
	struct mr_admin *admin;
	struct mr_producer_init *init;
};

static void handle_answer(struct mr_message *m, void *owner)
{
	struct mr_worker *w = owner;
	struct mr_ask *k = MR_CONTAINER(m, struct mr_ask, message);
	struct mr_ask ask = *k;

	free(k);
	w->asks--;
	if (ask.admin)
		ask.admin->done(ask.admin);
	else
		ask.init->done(ask.init);
}

static int64_t producer_id_next(struct mr_control *c)
{
	if (c->producer_given == c->catalog.producer_next) {
		struct mr_catalog_change change = {0};
		int rc;

		mr_catalog_add_producers(&change, c->producer_given + PRODUCER_BLOCK);
		rc = mr_catalog_commit(c->manifest, &change);
		if (rc < 0)
			return rc;
	}
	return c->producer_given++;
}

static void answer(struct mr_ask *k)
{
	k->message.handle = handle_answer;
	mr_mailbox_push(&k->from->box, &k->message);
}

static void init_producer(struct mr_control *c, struct mr_producer_init *init)
{
	int64_t id = producer_id_next(c);

	init->error = id < 0 ? MR_KAFKA_KAFKA_STORAGE_ERROR : 0;
	init->producer_id = id < 0 ? -1 : id;
}

// Changes of topics wait for the turn's end, to be made together.
static void handle_ask(struct mr_message *m, void *owner)
{
	struct mr_control *c = owner;
	struct mr_ask *k = MR_CONTAINER(m, struct mr_ask, message);

	if (k->admin && !c->stopping) {
		k->next = NULL;
		*(c->asks ? c->asks_tail : &c->asks) = k;
		c->asks_tail = &k->next;
		return;
	}
	if (k->admin)
		k->admin->error = MR_KAFKA_NOT_LEADER_OR_FOLLOWER;
	else
		init_producer(c, k->init);
	answer(k);
}

// One batch of them; where there are more, another turn follows, so that others have theirs too.
static void asks_turn(struct mr_control *c)
{
	struct mr_admin *admins[MR_DDL_ADMIN_BATCH];
	struct mr_ask *first = c->asks, *k = first;
	uint32_t count = 0;

	for (; k && count < MR_COUNT_OF(admins); k = k->next) {
		admins[count++] = k->admin;
		if (c->stopping)
			k->admin->error = MR_KAFKA_NOT_LEADER_OR_FOLLOWER;
	}
	c->asks = k;
	if (k)
		mr_mailbox_wake(&c->box);
	if (count && !c->stopping)
		mr_ddl_admin(c, admins, count);
	while (first != k) {
		struct mr_ask *next = first->next;

		answer(first);
		first = next;
	}
}

static void ask(struct mr_control *c, struct mr_worker *from, struct mr_admin *a,
	struct mr_producer_init *p)
{
	struct mr_ask *k = malloc(sizeof(*k));

	MR_ASSERT(k);
	*k = (struct mr_ask){{NULL, handle_ask}, NULL, from, a, p};
	mr_mailbox_push(&c->box, &k->message);
}

void mr_control_admin(struct mr_control *c, struct mr_worker *from, struct mr_admin *a)
{
	ask(c, from, a, NULL);
}

void mr_control_producer_init(
	struct mr_control *c, struct mr_worker *from, struct mr_producer_init *p)
{
	ask(c, from, NULL, p);
}

void mr_control_turn(struct mr_control *c)
{
	mr_mailbox_clear(&c->box);
	mr_mailbox_drain(&c->box, c);
	asks_turn(c);
}

// ---- calls from SQL threads

struct control_call {
	struct mr_call call;
	int (*fn)(struct mr_control *c, void *arg);
	void *arg;
	int rc;
};

static void handle_call(struct mr_message *m, void *owner)
{
	struct control_call *k = MR_CONTAINER(m, struct control_call, call.message);

	k->rc = k->fn(owner, k->arg);
	mr_call_done(&k->call);
}

int mr_control_call(struct mr_control *c, int (*fn)(struct mr_control *c, void *arg), void *arg)
{
	struct control_call k = {.fn = fn, .arg = arg};

	mr_mailbox_call(&c->box, &k.call, handle_call);
	return k.rc;
}

static void wait_all(sem_t *sem, uint32_t count)
{
	while (count)
		if (sem_wait(sem) == 0)
			count--;
}

struct caught_up {
	struct mr_when when;
	sem_t *sem;
};

static void run_caught_up(struct mr_when *when)
{
	sem_post(MR_CONTAINER(when, struct caught_up, when)->sem);
}

void mr_control_wait_caught_up(struct mr_control *c)
{
	struct caught_up waits[MR_WORKERS_MAX];
	sem_t sem;

	sem_init(&sem, 0, 0);
	for (uint32_t i = 0; i < c->workers_count; i++) {
		waits[i] = (struct caught_up){{.run = run_caught_up}, &sem};
		mr_worker_when_caught_up(c->workers[i], &waits[i].when);
	}
	wait_all(&sem, c->workers_count);
	sem_destroy(&sem);
}

// ---- the background thread: files for the logs, memory for rows

static void background_poke(void *ctx)
{
	struct mr_control *c = ctx;
	int waiting = 0;

	if (sem_getvalue(&c->background_wake, &waiting) || !waiting)
		sem_post(&c->background_wake);
}

// One block for each worker that lacks some; log files come first.
static bool commit_ahead(struct mr_control *c)
{
	bool any = false;

	for (uint32_t i = 0; i < c->workers_count; i++)
		any |= mr_chunk_pool_commit_ahead(c->pools[i]);
	return any;
}

// Does what there is to do for log files. What fails is told once, and so is its end: 0 or the
// error, which stands until a try again succeeds.
static int background_work(struct mr_control *c, int before)
{
	int rc;

	do
		rc = mr_log_store_work(c->store);
	while (rc > 0);
	if (rc == 0 && mr_log_store_stats(c->store).disk_full)
		rc = -ENOSPC;
	if (rc < 0 && rc != before)
		mr_note(MR_NOTE_ERR, "log", "event=background error=\"%s\"", mr_err_text(rc));
	else if (rc == 0 && before < 0)
		mr_note(MR_NOTE_NOTICE, "log", "event=background_well");
	return rc;
}

// Until somebody says that there is work; after a failure a while at most, since appends that wait
// for a file say nothing.
static void background_wait(struct mr_control *c, bool well)
{
	struct timespec until;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += BACKGROUND_RETRY_S;
	do
		rc = well ? sem_wait(&c->background_wake)
			  : sem_clockwait(&c->background_wake, CLOCK_MONOTONIC, &until);
	while (rc < 0 && errno == EINTR);
}

static void *background_main(void *arg)
{
	struct mr_control *c = arg;
	int rc = 0;

	mr_thread_name("mr-background");
	mr_control_place_background(c);
	while (!c->background_stop) {
		background_wait(c, rc == 0);
		do
			rc = background_work(c, rc);
		while (commit_ahead(c) && !c->background_stop);
	}
	return NULL;
}

static int background_start(struct mr_control *c)
{
	int rc = pthread_create(&c->background, NULL, background_main, c);

	c->background_running = rc == 0;
	return -rc;
}

static void background_stop(struct mr_control *c)
{
	if (!c->background_running)
		return;
	c->background_stop = true;
	sem_post(&c->background_wake);
	pthread_join(c->background, NULL);
	c->background_running = false;
}

// ---- start and stop

struct mr_topic_config mr_control_topic_defaults(const struct mr_config *config)
{
	return (struct mr_topic_config){
		.retention_ms = (int64_t)config->retention_ms,
		.retention_bytes = -1,
		.message_bytes_max = (int32_t)config->kafka_message_bytes_max,
	};
}

struct mr_span mr_control_cluster_id(struct mr_control *c)
{
	return mr_span_str(c->cluster_id);
}

// Kafka's own form of a cluster id: 22 characters of base64url.
static void format_cluster_id(struct mr_uuid id, char out[23])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned bits = 0, count = 0, at = 0;

	for (int i = 0; i < 16; i++) {
		bits = bits << 8 | id.b[i];
		for (count += 8; count >= 6; count -= 6)
			out[at++] = digits[bits >> (count - 6) & 63];
	}
	out[at++] = digits[bits << (6 - count) & 63];
	out[at] = 0;
}

static int ensure_cluster_id(struct mr_control *c)
{
	struct mr_catalog_change change = {0};
	int rc = 0;

	if (!c->catalog.has_cluster_id) {
		mr_catalog_add_cluster(&change, mr_uuid_make(&c->rand));
		rc = mr_catalog_commit(c->manifest, &change);
	}
	format_cluster_id(c->catalog.cluster_id, c->cluster_id);
	// Ids of an earlier start's block may have been handed out: they are all spent.
	c->producer_given = c->catalog.producer_next;
	return rc;
}

static int open_store(struct mr_control *c, struct mr_diag *diag)
{
	static const struct mr_log_type_known types[] = {
		{MR_LOG_CHECKPOINT, 1}, {MR_LOG_CHECKPOINT_END, 0}, {MR_LOG_WATERMARK, 0}};
	const struct mr_manifest_options mo = {.disk = c->disk};
	struct mr_log_store_options so = {
		.disk = c->disk,
		.clock = c->clock,
		.file_bytes = c->config->log_file_bytes,
		.file_bytes_first = LOG_FILE_BYTES_FIRST,
		.open_files_max = (unsigned)c->config->log_open_files_max,
		.bytes_free_min = c->config->disk_reserve_bytes,
		.seed = mr_rand_u64(&c->rand),
		.types = types,
		.type_count = MR_COUNT_OF(types),
		.index_memory_bytes = c->config->log_index_memory_bytes,
		.wake = background_poke,
		.index_wanted = mr_log_load_wanted,
		.index_loaded = mr_log_load_done,
		.wake_ctx = c,
	};
	int rc = mr_manifest_create(&c->manifest, &mo);

	if (rc < 0)
		return rc;
	mr_catalog_init(&c->catalog, c->manifest);
	so.manifest = c->manifest;
	rc = mr_log_store_create(&c->store, &so);
	if (rc == 0)
		rc = mr_segment_store_create(c->disk, c->manifest, &c->segments);
	if (rc == 0)
		mr_footer_cache_limit(mr_segment_store_footers(c->segments),
			c->config->segment_footer_memory_bytes);
	if (rc == 0)
		rc = mr_run_store_create(c->disk, c->manifest, &c->runs);
	if (rc == 0)
		rc = mr_manifest_open(c->manifest, diag);
	if (rc == 0)
		rc = mr_segment_store_clean(c->segments);
	if (rc == 0)
		rc = mr_run_store_clean(c->runs);
	if (rc == 0)
		rc = mr_log_store_recover(c->store, diag);
	if (rc == 0)
		rc = mr_recover(c->store, (uint32_t)c->config->producers_max,
			(int64_t)c->config->producer_expiry_ms, mr_wall_us(c->clock) / 1000,
			&c->recovered, diag);
	if (rc == 0)
		rc = ensure_cluster_id(c);
	return rc;
}

static int place(struct mr_control *c)
{
	struct mr_topo topo;
	int rc;

	if (!c->config->pin)
		return 0;
	rc = mr_topo_init(&topo);
	if (rc < 0)
		return rc;
	rc = mr_topo_place(&topo, (int)c->workers_count, MR_TOPO_SPREAD, &c->placement);
	mr_topo_fini(&topo);
	return rc;
}

void mr_control_place_background(void *control)
{
	struct mr_control *c = control;

	if (c->placement.background_count)
		mr_thread_pin(c->placement.background, c->placement.background_count);
	mr_thread_nice(BACKGROUND_NICE);
}

static int create_pool(struct mr_control *c, uint32_t worker)
{
	int node = c->placement.workers_count ? c->placement.workers[worker].node : -1;
	int rc = mr_chunk_pool_create(c->config->table_memory_bytes, node, &c->pools[worker]);

	if (rc == 0)
		mr_chunk_pool_keep_ahead(
			c->pools[worker], c->config->table_memory_ahead, background_poke, c);
	return rc;
}

static int create_workers(struct mr_control *c, struct mr_diag *diag)
{
	int rc;

	c->workers_count = (uint32_t)c->config->workers;
	rc = place(c);
	if (rc == 0 && c->config->dataplane == MR_DATAPLANE_DPDK)
		rc = mr_nic_open(c->config, &c->placement, c->workers_count, &c->nic, diag);
	c->workers = calloc(c->workers_count, sizeof(*c->workers));
	c->pools = calloc(c->workers_count, sizeof(*c->pools));
	if (!c->workers || !c->pools)
		return -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < c->workers_count; i++) {
		rc = create_pool(c, i);
		if (rc == 0)
			rc = mr_worker_create(c, i, &c->workers[i], diag);
	}
	return rc;
}

// Listens on `first` and the ports behind it. -EADDRINUSE names nothing: the caller tries again.
static int listen_from(struct mr_control *c, uint16_t first, struct mr_diag *diag)
{
	for (uint32_t i = 0; i < c->workers_count; i++) {
		uint16_t port = (uint16_t)(i ? c->workers[0]->port + i : first);
		int rc = mr_worker_listen(c->workers[i], port, diag);

		if (rc == 0)
			continue;
		while (i--)
			mr_conns_unlisten(c->workers[i]->conns);
		return rc;
	}
	return 0;
}

// Any free port means that many consecutive ones for the workers.
static int listen_all(struct mr_control *c, struct mr_diag *diag)
{
	int rc = listen_from(c, (uint16_t)c->config->kafka_port, diag);

	for (int i = 0; rc == -EADDRINUSE && c->config->kafka_port == 0 && i < PORT_TRIES; i++)
		rc = listen_from(c, 0, diag);
	if (rc == 0 && c->nic)
		mr_nic_steer(c->nic, c->workers[0]->port);
	return rc;
}

static int start_workers(struct mr_control *c, struct mr_diag *diag)
{
	c->views = (struct mr_view_host){.disk = c->disk,
		.runs = c->runs,
		.segments = c->segments,
		.workers = c->workers,
		.budget.bytes_max = c->config->view_memory_bytes};
	int rc;

	mr_view_host_init(&c->views);
	rc = mr_control_publish(c, diag);
	if (rc == 0 && c->catalog.views_count)
		rc = mr_control_publish(c, diag);
	for (size_t i = 0; rc == 0 && i < c->snapshot->views_count; i++)
		rc = mr_view_open(c->snapshot->views[i], diag);
	for (uint32_t i = 0; rc == 0 && i < c->workers_count; i++)
		rc = mr_worker_open_log(c->workers[i]);
	mr_recovered_destroy(c->recovered);
	c->recovered = NULL;
	if (rc == 0)
		rc = listen_all(c, diag);
	if (rc == 0)
		rc = mr_seal_start(c->seal);
	if (rc == 0)
		rc = mr_view_merger_start(c->view_merger);
	for (uint32_t i = 0; rc == 0 && i < c->workers_count; i++)
		rc = mr_worker_start(c->workers[i], diag);
	c->started = rc == 0;
	return rc;
}

static bool partition_known(void *arg, struct mr_uuid topic, int32_t partition)
{
	const struct mr_topic_def *t = mr_catalog_topic_by_id(arg, topic);

	return t && (uint32_t)partition < t->topic.partitions;
}

// Once every worker's first checkpoint is durable, the checkpoints of earlier logs are history. So
// are batches of topics that were deleted while their files had other topics' batches too.
static void release_old_logs(struct mr_control *c)
{
	size_t count = mr_log_store_logs(c->store, NULL, 0);
	struct mr_log_info *logs = calloc(count + 1, sizeof(*logs));

	MR_ASSERT(logs);
	count = MR_MIN(mr_log_store_logs(c->store, logs, count), count);
	for (size_t i = 0; i < count; i++)
		if (!logs[i].open)
			mr_log_store_retain_lsn(c->store, logs[i].id, UINT64_MAX);
	free(logs);
	mr_log_store_retain_known(c->store, partition_known, &c->catalog);
}

static void control_init(
	struct mr_control *c, const struct mr_config *config, struct mr_clock *clock)
{
	memset(c, 0, sizeof(*c));
	c->config = config;
	c->clock = clock;
	c->box.event_fd = -1;
	mr_rand_init(&c->rand, mr_rand_seed_os());
	pthread_mutex_init(&c->snapshot_lock, NULL);
	sem_init(&c->background_wake, 0, 0);
}

int mr_control_start(struct mr_control *c, const struct mr_config *config, struct mr_clock *clock,
	struct mr_env *env, struct mr_diag *diag)
{
	int rc;

	control_init(c, config, clock);
	c->env = env;
	memset(diag, 0, sizeof(*diag));
	rc = mr_mailbox_open(&c->box);
	if (rc == 0)
		rc = mr_dir_open(&c->disk, config->data, diag);
	if (rc == 0)
		rc = mr_dir_init(c->disk, diag);
	if (rc == 0)
		rc = open_store(c, diag);
	if (rc == 0)
		rc = mr_seal_create(c, &c->seal);
	if (rc == 0)
		rc = mr_view_merger_create(c, &c->view_merger);
	if (rc == 0)
		rc = mr_merge_create(c, &c->merge);
	if (rc == 0)
		rc = create_workers(c, diag);
	if (rc == 0)
		rc = background_start(c);
	if (rc == 0)
		rc = mr_log_load_start(c, &c->log_load);
	if (rc == 0)
		rc = start_workers(c, diag);
	if (rc == 0)
		rc = mr_merge_start(c->merge);
	if (rc < 0) {
		if (!diag->message[0])
			mr_diag_set(diag, rc, "58000", 0, "cannot start: %s", mr_err_text(rc));
		return rc;
	}
	mr_control_wait_caught_up(c);
	release_old_logs(c);
	rc = mr_clean_start(c, &c->clean);
	return rc < 0 ? mr_diag_set(
				diag, rc, "58000", 0, "cannot start a thread: %s", mr_err_text(rc))
		      : 0;
}

void mr_control_refuse_waits(struct mr_control *c)
{
	for (uint32_t i = 0; c->workers && i < c->workers_count; i++)
		if (c->workers[i])
			mr_worker_refuse_waits(c->workers[i]);
}

static bool workers_finished(const struct mr_control *c)
{
	for (uint32_t i = 0; i < c->workers_count; i++)
		if (c->workers[i] && !mr_worker_finished(c->workers[i]))
			return false;
	return true;
}

// All at once. Requests that have asked control are waited for by their workers, so control goes on
// answering; changes it makes no more, since they need every worker.
static void stop_workers(struct mr_control *c)
{
	struct pollfd box = {.fd = c->box.event_fd, .events = POLLIN};

	c->stopping = true;
	for (uint32_t i = 0; i < c->workers_count; i++)
		if (c->workers[i])
			mr_worker_stop(c->workers[i]);
	while (!workers_finished(c))
		if (poll(&box, 1, -1) > 0)
			mr_control_turn(c);
	for (uint32_t i = 0; i < c->workers_count; i++)
		if (c->workers[i])
			mr_worker_join(c->workers[i]);
}

void mr_control_stop(struct mr_control *c)
{
	mr_clean_stop(c->clean);
	mr_view_merger_stop(c->view_merger);
	mr_merge_stop(c->merge);
	mr_seal_stop(c->seal);
	if (c->workers)
		stop_workers(c);
	background_stop(c);
	mr_log_load_stop(c->log_load);
	for (uint32_t i = 0; c->workers && i < c->workers_count; i++)
		mr_worker_destroy(c->workers[i]);
	mr_merge_destroy(c->merge);
	mr_nic_capture_end();
	mr_nic_close(c->nic);
	mr_seal_destroy(c->seal);
	mr_view_merger_destroy(c->view_merger);
	if (c->views.disk)
		mr_view_host_fini(&c->views);
	mr_snapshot_put(c->snapshot);
	for (uint32_t i = 0; c->pools && i < c->workers_count; i++)
		if (c->pools[i])
			mr_chunk_pool_destroy(c->pools[i]);
	free(c->workers);
	free(c->pools);
	mr_topo_placement_fini(&c->placement);
	mr_recovered_destroy(c->recovered);
	if (c->store)
		mr_log_store_destroy(c->store);
	mr_segment_store_destroy(c->segments);
	mr_run_store_destroy(c->runs);
	if (c->manifest)
		mr_manifest_destroy(c->manifest);
	mr_catalog_fini(&c->catalog);
	if (c->disk)
		mr_disk_destroy(c->disk);
	if (c->box.event_fd >= 0)
		mr_mailbox_close(&c->box);
}

void mr_control_node(struct mr_control *c, uint32_t index, const char *local_host,
	uint16_t local_port, uint32_t local_index, struct mr_broker_node *out)
{
	const char *advertise = c->config->advertise, *colon = strrchr(advertise, ':');
	bool has_port = colon && !strchr(colon, ']') && strchr(advertise, ':') == colon;

	out->id = (int32_t)index;
	out->port = (uint16_t)(local_port - local_index + index);
	if (!advertise[0]) {
		snprintf(out->host, sizeof(out->host), "%s", local_host);
		return;
	}
	// [v6]:port and host:port; a bare v6 address has several colons and no port.
	has_port |= colon && colon > advertise && colon[-1] == ']';
	snprintf(out->host, sizeof(out->host), "%.*s",
		(int)(has_port ? (size_t)(colon - advertise) : strlen(advertise)), advertise);
	if (has_port)
		out->port = (uint16_t)(strtoul(colon + 1, NULL, 10) + index);
}
