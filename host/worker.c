// A worker's life: made by control, run on its own thread, stopped by a message.
#include "host/worker.h"

#include "host/base/note.h"
#include "host/control.h"
#include "host/nic.h"
#include "host/partition_state.h"
#include "host/seal.h"
#include "host/view/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	HOUSEKEEPING_NS = 1000000000,
	HOUSEKEEPING_TURNS = 16, // to get round all partitions
	WAIT_NS_MAX = 100000000,
	STALLED_WAIT_NS = 2000000, // nobody tells of room in the log
	STOP_TURN_NS = 1000000,
	SEAL_ROWS_FEW = 4096,
	SEAL_FEW_TIMES = 60,
};

#define STOP_NS_MAX INT64_C(5000000000)

// ---- the broker's small answers

static struct mr_worker *of(struct mr_broker *b)
{
	return MR_CONTAINER(b, struct mr_worker, broker);
}

static const struct mr_topics *broker_topics(struct mr_broker *b)
{
	return &of(b)->snapshot->topics;
}

static void broker_node(struct mr_broker *b, uint32_t index, const char *local_host,
	uint16_t local_port, struct mr_broker_node *out)
{
	struct mr_worker *w = of(b);

	mr_control_node(w->control, index, local_host, local_port, w->id, out);
}

static uint32_t broker_nodes_count(struct mr_broker *b)
{
	return of(b)->count;
}

static int32_t broker_node_id(struct mr_broker *b)
{
	return (int32_t)of(b)->id;
}

static struct mr_span broker_cluster_id(struct mr_broker *b)
{
	return mr_control_cluster_id(of(b)->control);
}

static bool broker_auto_create(struct mr_broker *b)
{
	return of(b)->config->kafka_auto_create;
}

static struct mr_topic_config broker_topic_defaults(struct mr_broker *b)
{
	return mr_control_topic_defaults(of(b)->config);
}

static void broker_admin(struct mr_broker *b, struct mr_admin *a)
{
	a->broker = b;
	of(b)->asks++;
	mr_control_admin(of(b)->control, of(b), a);
}

static void broker_producer_init(struct mr_broker *b, struct mr_producer_init *p)
{
	p->broker = b;
	of(b)->asks++;
	mr_control_producer_init(of(b)->control, of(b), p);
}

static const struct mr_broker_ops worker_broker_ops = {
	.topics = broker_topics,
	.node = broker_node,
	.nodes_count = broker_nodes_count,
	.node_id = broker_node_id,
	.cluster_id = broker_cluster_id,
	.auto_create = broker_auto_create,
	.topic_defaults = broker_topic_defaults,
	.append = mr_worker_append,
	.fetch = mr_worker_fetch,
	.fetch_cancel = mr_worker_fetch_cancel,
	.list_offsets = mr_worker_list_offsets,
	.admin = broker_admin,
	.producer_init = broker_producer_init,
};

// ---- making one

static void io_ready(struct mr_watch *watch)
{
	mr_io_reap(MR_CONTAINER(watch, struct mr_worker_queue, watch)->io);
}

static void box_ready(struct mr_watch *watch)
{
	struct mr_worker *w = MR_CONTAINER(watch, struct mr_worker, box_watch);

	mr_mailbox_clear(&w->box);
	mr_mailbox_drain(&w->box, w);
}

static int open_ring(struct mr_worker *w)
{
	int rc;

	// Our own network polls descriptors, not a ring.
	if (w->config->io == MR_IO_PLAIN || w->control->nic)
		return 0;
	rc = mr_uring_probe();
	if (rc == 0)
		rc = mr_uring_create(&w->ring, NULL);
	if (rc == 0 || w->config->io == MR_IO_URING)
		return rc;
	if (w->id == 0)
		mr_note(MR_NOTE_WARN, "io", "io_uring=refused error=\"%s\" using=plain",
			mr_err_text(rc));
	return 0;
}

static int open_network(struct mr_worker *w)
{
	const struct mr_config *c = w->config;
	struct mr_net_options net = {
		.uring = w->ring,
		.clock = w->clock,
		.node = w->node,
		.streams_max = (uint32_t)c->kafka_connections_max + 16,
		.descriptors_end = c->kafka_descriptors_end,
		.idle_ns = (int64_t)c->net_idle_us * 1000,
		.busy = c->net_poll_busy,
		.announces = w->id == 0,
	};
	struct mr_conn_limits limits = {
		.connections_max = (uint32_t)c->kafka_connections_max,
		.request_bytes_max = (uint32_t)c->kafka_request_bytes_max,
		.request_memory_bytes = c->kafka_memory_bytes,
		.idle_ns = (int64_t)c->kafka_idle_timeout_ms * 1000000,
	};
	int rc = 0;

	if (w->control->nic)
		rc = mr_nic_stack(w->control->nic, w->id, w->clock, &w->stack, &w->frames);
	net.stack = w->stack;
	net.port = w->frames;
	if (rc == 0)
		rc = mr_net_create(&net, &w->net);
	if (rc == 0)
		rc = mr_conns_create(w->net, &limits, w->node, &w->conns);
	return rc;
}

// A queue of file operations whose completions the loop takes: through the ring, or when its
// eventfd polls readable.
static int queue_open(struct mr_worker *w, struct mr_worker_queue *q, bool on_ring)
{
	int rc = on_ring ? mr_io_uring_create(&q->io, w->ring) : mr_io_plain_create(&q->io);

	if (rc < 0 || q->io->event_fd < 0)
		return rc;
	q->watch = (struct mr_watch){.fd = q->io->event_fd, .ready = io_ready};
	return mr_net_watch(w->net, &q->watch);
}

static void queue_close(struct mr_worker *w, struct mr_worker_queue *q)
{
	if (q->watch.ready)
		mr_net_unwatch(w->net, &q->watch);
	if (q->io)
		mr_io_destroy(q->io);
	*q = (struct mr_worker_queue){0};
}

// Reads go through the ring. Durable writes go through a thread beside the worker that sleeps in
// them: measured, the completion of a flush that a busy thread submitted itself waits for the
// kernel's next tick, up to 4 ms.
static int open_files(struct mr_worker *w)
{
	int rc = queue_open(w, &w->reads, w->ring != NULL);

	return rc < 0 ? rc : queue_open(w, &w->commits, false);
}

static int worker_open(struct mr_worker *w)
{
	int rc = open_ring(w);

	if (rc == 0)
		rc = open_network(w);
	if (rc == 0)
		rc = open_files(w);
	if (rc == 0)
		rc = mr_mailbox_open(&w->box);
	if (rc == 0) {
		w->box_watch = (struct mr_watch){.fd = w->box.event_fd, .ready = box_ready};
		rc = mr_net_watch(w->net, &w->box_watch);
	}
	if (rc == 0)
		rc = mr_zip_create(&w->zip);
	if (rc == 0)
		rc = mr_kafka_create(&w->broker, &w->kafka);
	return rc;
}

int mr_worker_create(
	struct mr_control *control, uint32_t id, struct mr_worker **out, struct mr_diag *diag)
{
	struct mr_worker *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return -ENOMEM;
	w->broker.ops = &worker_broker_ops;
	w->id = id;
	w->count = control->workers_count;
	w->config = control->config;
	w->control = control;
	w->clock = control->clock;
	w->store = control->store;
	w->core = control->placement.workers_count ? control->placement.workers[id].pu : -1;
	w->node = control->placement.workers_count ? control->placement.workers[id].node : -1;
	w->shares_core = !control->placement.workers_count || control->placement.background_shares;
	w->box.event_fd = -1;
	w->fetch_deadline_ns = INT64_MAX;
	w->append_deadline_ns = INT64_MAX;
	mr_read_room_init(&w->read_room, MR_READ_ROOM_BYTES);
	mr_chunk_pool_on_give(control->pools[id], mr_worker_memory_freed, w);
	rc = worker_open(w);
	if (rc < 0) {
		mr_worker_destroy(w);
		return mr_diag_set(
			diag, rc, "58000", 0, "cannot start worker %u: %s", id, mr_err_text(rc));
	}
	*out = w;
	return 0;
}

// Closes what the ring's own thread must close: the worker's, or the caller of mr_worker_destroy
// when the thread was never started.
static void worker_close(struct mr_worker *w)
{
	// Requests are answered while their connections have the memory for it, and what reads for
	// them or for tables comes back before its queue goes.
	mr_worker_appends_abort(w);
	while (w->reads.io && w->reads.io->in_flight && mr_io_wait(w->reads.io) >= 0)
		;
	if (w->conns)
		mr_conns_destroy(w->conns);
	w->conns = NULL;
	if (w->log)
		mr_log_close(w->log);
	w->log = NULL;
	mr_worker_drop_partitions(w);
	queue_close(w, &w->commits);
	queue_close(w, &w->reads);
	if (w->box_watch.ready)
		mr_net_unwatch(w->net, &w->box_watch);
	w->box_watch.ready = NULL;
	if (w->net)
		mr_net_destroy(w->net);
	w->net = NULL;
	if (w->stack)
		mr_stack_destroy(w->stack);
	w->stack = NULL;
	if (w->ring)
		mr_uring_destroy(w->ring);
	w->ring = NULL;
}

void mr_worker_destroy(struct mr_worker *w)
{
	if (!w)
		return;
	worker_close(w);
	mr_chunk_pool_on_give(w->control->pools[w->id], NULL, NULL);
	mr_marks_fini(&w->marks);
	if (w->kafka)
		mr_kafka_destroy(w->kafka);
	mr_snapshot_put(w->snapshot);
	if (w->zip)
		mr_zip_destroy(w->zip);
	if (w->box.event_fd >= 0)
		mr_mailbox_close(&w->box);
	free(w);
}

int mr_worker_open_log(struct mr_worker *w)
{
	const struct mr_log_options o = {
		.io = w->commits.io,
		.ring_bytes = w->config->log_ring_bytes,
		.record_bytes_max = (uint32_t)w->config->kafka_message_bytes_max,
		.events = {.ctx = w,
			.durable = mr_worker_durable,
			.stopped = mr_worker_log_stopped,
			.checkpoint_bytes = mr_worker_checkpoint_bytes,
			.checkpoint = mr_worker_checkpoint},
	};
	struct mr_log_record *r;
	int rc = mr_log_open(&w->log, w->store, &o);

	// The first record of a log has its first checkpoint written in front of it.
	if (rc == 0)
		rc = mr_log_reserve(w->log, MR_LOG_CHECKPOINT_END, MR_CHECKPOINT_END_BYTES, 0, &r);
	if (rc < 0)
		return rc;
	mr_checkpoint_end_save(mr_log_payload(r), (uint32_t)w->partitions_count);
	mr_log_commit(w->log);
	w->first_lsn = mr_log_head(w->log);
	return 0;
}

int mr_worker_listen(struct mr_worker *w, uint16_t port, struct mr_diag *diag)
{
	const char *host = w->control->nic ? mr_nic_host(w->control->nic) : w->config->listen;
	int rc;

	w->protocol = mr_kafka_protocol(w->kafka);
	rc = mr_conns_listen(w->conns, host, port, &w->protocol, &w->port);
	if (rc < 0)
		return mr_diag_set(diag, rc, "58000", 0, "cannot listen on %s port %u: %s", host,
			port, mr_err_text(rc));
	return 0;
}

// ---- the loop

// Runs what waits for the tables to have everything that is in the log, and for the log's first
// checkpoint to be durable.
static void tell_caught_up(struct mr_worker *w)
{
	struct mr_when *list = w->when_caught_up;

	if (mr_log_durable(w->log) < w->first_lsn)
		return;
	for (const struct mr_feed *f = w->lagging; f; f = f->lag_next)
		if (!f->failed && !(f->starved && mr_seal_failing(w->control->seal)))
			return;
	w->when_caught_up = NULL;
	while (list) {
		struct mr_when *when = list;

		list = when->next;
		when->run(when);
	}
}

static void handle_when(struct mr_message *m, void *owner)
{
	struct mr_worker *w = owner;
	struct mr_when *when = MR_CONTAINER(m, struct mr_when, message);

	when->next = w->when_caught_up;
	w->when_caught_up = when;
}

void mr_worker_when_caught_up(struct mr_worker *w, struct mr_when *when)
{
	when->message.handle = handle_when;
	mr_mailbox_push(&w->box, &when->message);
}

struct worker_call {
	struct mr_call call;
	void (*fn)(struct mr_worker *w, void *arg);
	void *arg;
};

static void handle_call(struct mr_message *m, void *owner)
{
	struct worker_call *k = MR_CONTAINER(m, struct worker_call, call.message);

	k->fn(owner, k->arg);
	mr_call_done(&k->call);
}

void mr_worker_call(struct mr_worker *w, void (*fn)(struct mr_worker *w, void *arg), void *arg)
{
	struct worker_call k = {.fn = fn, .arg = arg};

	mr_mailbox_call(&w->box, &k.call, handle_call);
}

void mr_workers_call(struct mr_worker *const *workers, uint32_t count,
	void (*fn)(struct mr_worker *w, void *arg), void *arg)
{
	struct worker_call calls[MR_WORKERS_MAX];

	MR_ASSERT(count <= MR_WORKERS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		calls[i] = (struct worker_call){.fn = fn, .arg = arg};
		mr_mailbox_ask(&workers[i]->box, &calls[i].call, handle_call);
	}
	for (uint32_t i = 0; i < count; i++)
		mr_call_wait(&calls[i].call);
}

// A piece that has been open for long is closed, so that its rows reach the disk as a segment and a
// restart need not decode them again. A segment of a handful of rows is not worth its file, and
// they are soon decoded: they wait longer.
static void close_old_pieces(struct mr_worker *w)
{
	uint32_t seal_after_s = (uint32_t)(w->config->table_seal_after_ms / 1000);

	for (size_t i = 0; i < w->snapshot->tables_count; i++) {
		struct mr_table_part *p = w->snapshot->tables[i]->parts[w->id];
		bool few;

		if (!p->open)
			continue;
		few = mr_piece_rows(p->open, MR_PIECE_ROWS) +
			      mr_piece_rows(p->open, MR_PIECE_DEAD) <
		      SEAL_ROWS_FEW;
		if (++p->open->age >= seal_after_s * (few ? SEAL_FEW_TIMES : 1) ||
			mr_view_parts_hurry(p->views))
			mr_table_part_close(p);
	}
}

static void note_memory(struct mr_worker *w)
{
	struct mr_worker_stats *s = &w->stats;

	atomic_store_explicit(
		&s->log_index_bytes, mr_log_index_bytes(w->log), memory_order_relaxed);
	atomic_store_explicit(&s->read_bytes_peak, w->read_room.bytes_peak, memory_order_relaxed);
	atomic_store_explicit(&s->read_waits, w->read_room.waits, memory_order_relaxed);
}

static void housekeep(struct mr_worker *w, int64_t now_ns)
{
	if (now_ns < w->housekeeping_ns)
		return;
	w->housekeeping_ns = now_ns + HOUSEKEEPING_NS;
	if (w->stack)
		mr_nic_watch(w->control->nic, w->id, w->stack);
	mr_worker_release_checkpoints(w);
	mr_worker_watermarks(w);
	note_memory(w);
	close_old_pieces(w);
	for (int i = 0; i < MR_PARTITION_SLOTS / HOUSEKEEPING_TURNS; i++) {
		size_t slot = w->housekeeping_slot++ % MR_PARTITION_SLOTS;

		for (struct mr_partition *p = w->partitions[slot]; p; p = p->next) {
			mr_partition_retain(w, p);
			mr_producers_expire(p->producers, mr_wall_us(w->clock) / 1000);
		}
	}
}

enum { INDEX_RETRY_NS = 100000000 };

void mr_worker_index_loaded(struct mr_worker *w)
{
	// Pairs with the exchange in index_turn: what was read is there when it looks.
	if (w && !atomic_exchange_explicit(&w->index_loaded, true, memory_order_release))
		mr_mailbox_wake(&w->box);
}

void mr_worker_wait_index(struct mr_worker *w)
{
	if (!w->index_waited)
		w->index_retry_ns = mr_now_ns(w->clock) + INDEX_RETRY_NS;
	w->index_waited = true;
}

// Those who wait for an index try again: one was read, or it has been long.
static void index_turn(struct mr_worker *w)
{
	bool told = atomic_load_explicit(&w->index_loaded, memory_order_relaxed) &&
		    atomic_exchange_explicit(&w->index_loaded, false, memory_order_acquire);

	if (!w->index_waited || (!told && mr_now_ns(w->clock) < w->index_retry_ns))
		return;
	w->index_waited = false;
	w->fetch_wakeup |= w->fetches != NULL;
	for (struct mr_feed *f = w->lagging; f; f = f->lag_next)
		f->indexing = false;
	mr_worker_lists_retry(w);
}

// Commits go with their worker, or they would interrupt one that has work without end for each
// flush. One over DPDK is busy while it has nothing to do: its commits always go first.
static void place_commits(struct mr_worker *w)
{
	bool urgent = w->config->realtime && (w->control->nic || w->urgency.urgent);

	mr_io_plain_urgent(w->commits.io, urgent);
}

static void follow_urgency(struct mr_worker *w, int64_t now_ns)
{
	if (!w->may_be_urgent || !mr_urgency_due(&w->urgency, now_ns))
		return;
	if (mr_urgency_step(&w->urgency, now_ns, mr_thread_cpu_ns())) {
		place_commits(w);
		w->may_be_urgent = mr_thread_urgent(w->urgency.urgent ? MR_URGENT : MR_NORMAL);
	}
	atomic_store_explicit(
		&w->stats.urgent, w->may_be_urgent && w->urgency.urgent, memory_order_relaxed);
}

static void worker_turn(struct mr_worker *w)
{
	index_turn(w);
	bool more = (w->lagging || w->held) && mr_feeds_step(w);
	int64_t wait_ns = WAIT_NS_MAX, now;

	if (w->pending.head)
		mr_worker_acknowledge(w);
	mr_worker_appends_turn(w);
	if (w->when_caught_up)
		tell_caught_up(w);
	now = mr_now_ns(w->clock);
	mr_worker_fetches_turn(w, now);
	housekeep(w, now);
	follow_urgency(w, now);
	mr_log_flush(w->log);
	if (w->fetch_deadline_ns != INT64_MAX)
		wait_ns = MR_MIN(wait_ns, MR_MAX(w->fetch_deadline_ns - now, 0));
	if (w->stalled.head)
		wait_ns = MR_MIN(wait_ns, STALLED_WAIT_NS);
	if (w->index_waited)
		wait_ns = MR_MIN(wait_ns, MR_MAX(w->index_retry_ns - now, 0));
	mr_net_gives_way(w->net, w->shares_core && w->commits.io->in_flight);
	mr_net_turn(w->net, more || w->fetch_wakeup ? 0 : wait_ns);
	mr_stat_add(&w->stats.turns, 1);
}

// What came in before the end is finished: batches in the log become durable, control answers, and
// connections go. None of that depends on a client.
static void worker_finish(struct mr_worker *w)
{
	int64_t start = mr_now_ns(w->clock), now = start;

	mr_worker_appends_refuse(w);
	mr_worker_fetches_abort(w);
	mr_worker_lists_abort(w);
	mr_worker_watermarks(w);
	// Connections go first, so that no request comes in while the log is being closed.
	mr_conns_close_all(w->conns);
	while ((mr_conns_count(w->conns) || w->pending.head || w->asks) &&
		now - start < STOP_NS_MAX) {
		mr_worker_appends_turn(w);
		mr_worker_lists_abort(w);
		mr_log_flush(w->log);
		mr_net_turn(w->net, STOP_TURN_NS);
		now = mr_now_ns(w->clock);
	}
	mr_note(MR_NOTE_INFO, "worker", "event=stopped worker=%u us=%lld connections=%u asks=%u",
		w->id, (long long)(now - start) / 1000, mr_conns_count(w->conns), w->asks);
}

static void *worker_main(void *arg)
{
	struct mr_worker *w = arg;
	char name[16];

	snprintf(name, sizeof(name), "mr-worker-%u", w->id);
	mr_thread_name(name);
	if (w->core >= 0)
		mr_thread_pin(&w->core, 1);
	if (w->control->nic)
		mr_nic_enter(w->control->nic, w->id);
	w->may_be_urgent = w->config->realtime;
	place_commits(w);
	while (!w->stopping)
		worker_turn(w);
	worker_finish(w);
	worker_close(w);
	if (w->control->nic)
		mr_nic_leave(w->control->nic, w->id);
	atomic_store_explicit(&w->finished, true, memory_order_release);
	mr_mailbox_wake(&w->control->box);
	return NULL;
}

int mr_worker_start(struct mr_worker *w, struct mr_diag *diag)
{
	int rc = pthread_create(&w->thread, NULL, worker_main, w);

	if (rc)
		return mr_diag_set(
			diag, -rc, "58000", 0, "cannot start a thread: %s", mr_err_text(-rc));
	w->running = true;
	return 0;
}

static void handle_stop(struct mr_message *m, void *)
{
	struct mr_worker *w = MR_CONTAINER(m, struct mr_worker, stop_message);

	w->stopping = true;
}

void mr_worker_stop(struct mr_worker *w)
{
	if (!w->running)
		return;
	w->stop_message.handle = handle_stop;
	mr_mailbox_push(&w->box, &w->stop_message);
}

bool mr_worker_finished(const struct mr_worker *w)
{
	return !w->running || atomic_load_explicit(&w->finished, memory_order_acquire);
}

void mr_worker_join(struct mr_worker *w)
{
	if (w->running)
		pthread_join(w->thread, NULL);
	w->running = false;
}

static void handle_refuse(struct mr_message *m, void *)
{
	mr_worker_appends_refuse(MR_CONTAINER(m, struct mr_worker, refuse_message));
}

void mr_worker_refuse_waits(struct mr_worker *w)
{
	if (!w->running)
		return;
	w->refuse_message.handle = handle_refuse;
	mr_mailbox_push(&w->box, &w->refuse_message);
}
