// Which batch goes to whom, and what becomes of it.
#include "client/kafka_client_int.h"
#include "dataplane/kafka.h"
#include "dataplane/kafka_error.h"
#include "host/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const int64_t ms_ns = 1000 * 1000, second_ns = 1000 * ms_ns;

void kc_list_push(struct kc_list *l, struct mr_produce_batch *b)
{
	b->next = NULL;
	if (l->tail)
		l->tail->next = b;
	else
		l->head = b;
	l->tail = b;
}

struct mr_produce_batch *kc_list_pop(struct kc_list *l)
{
	struct mr_produce_batch *b = l->head;

	if (!b)
		return NULL;
	l->head = b->next;
	if (!l->head)
		l->tail = NULL;
	return b;
}

void kc_list_prepend(struct kc_list *l, struct kc_list *from)
{
	if (!from->head)
		return;
	from->tail->next = l->head;
	l->head = from->head;
	if (!l->tail)
		l->tail = from->tail;
	*from = (struct kc_list){NULL, NULL};
}

int64_t kc_now(const struct mr_kafka_client *c)
{
	return mr_now_ns(c->opt.clock);
}

void kc_fail(struct mr_kafka_client *c, int err, const char *fmt, ...)
{
	va_list args;

	if (c->failed)
		return; // the first reason is the one to tell
	va_start(args, fmt);
	vsnprintf(c->error, sizeof(c->error), fmt, args);
	va_end(args);
	c->failed = err;
}

void kc_note(struct mr_kafka_client *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(c->last, sizeof(c->last), fmt, args);
	va_end(args);
}

static bool is_retriable(int16_t error)
{
	switch (error) {
#define X(name, code, retriable) \
	case code: return retriable;
		MR_KAFKA_ERRORS(X)
#undef X
	case 13: // NETWORK_EXCEPTION
	case 19: // NOT_ENOUGH_REPLICAS
	case 20: // NOT_ENOUGH_REPLICAS_AFTER_APPEND
		return true;
	default: return false;
	}
}

// When the last batch on its way is back, the failed ones go first again, in order.
static void end_drain(struct kc_part *p)
{
	if (!p->draining || p->inflight)
		return;
	kc_list_prepend(&p->queue, &p->retry);
	p->draining = false;
}

static void retry_later(struct mr_kafka_client *c, struct mr_produce_batch *b, int64_t wait_ns)
{
	struct kc_part *p = &c->parts[b->partition];

	p->draining = true;
	p->careful = true;
	p->not_before_ns = kc_now(c) + wait_ns;
	kc_list_push(&p->retry, b);
	c->retries++;
	end_drain(p);
}

void kc_lost(struct mr_kafka_client *c, struct mr_produce_batch *b)
{
	c->parts[b->partition].inflight--;
	retry_later(c, b, 0);
}

static void acknowledged(struct mr_kafka_client *c, struct mr_produce_batch *b)
{
	struct kc_part *p = &c->parts[b->partition];

	end_drain(p);
	p->careful = p->draining || (p->queue.head && p->queue.head->sequence >= 0);
	c->pending--;
	if (c->opt.acked)
		c->opt.acked(c->opt.owner, b);
}

void kc_answered(
	struct mr_kafka_client *c, struct mr_produce_batch *b, int16_t error, struct mr_span text)
{
	struct kc_part *p = &c->parts[b->partition];

	p->inflight--;
	// A duplicate whose offset the broker no longer knows is there all the same.
	if (error == 0 || (error == MR_KAFKA_DUPLICATE_SEQUENCE_NUMBER && c->opt.idempotent)) {
		acknowledged(c, b);
		return;
	}
	// Behind a failed batch its successors are out of order until it has been sent again.
	if (is_retriable(error) ||
		(error == MR_KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER && p->draining)) {
		kc_note(c, "partition %u: %s", b->partition, mr_kafka_error_name(error));
		if (error == MR_KAFKA_NOT_LEADER_OR_FOLLOWER ||
			error == MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION ||
			error == MR_KAFKA_LEADER_NOT_AVAILABLE)
			c->refresh = true;
		retry_later(c, b, 20 * ms_ns);
		return;
	}
	kc_fail(c, MR_ERR_STOPPED, "topic %s, partition %u: %s (error %d)%s%.*s", c->opt.topic,
		b->partition, mr_kafka_error_name(error), error, text.bytes ? ": " : "",
		(int)text.bytes, text.bytes ? (const char *)text.data : "");
}

static int32_t conn_of(const struct mr_kafka_client *c, int32_t node)
{
	for (uint32_t i = 0; i < c->conns_count; i++)
		if (c->conns[i].node.id == node)
			return (int32_t)i;
	return -1;
}

// Nodes are only ever added; one whose address changed is dialled there next time.
static int take_nodes(struct mr_kafka_client *c, const struct mr_kafka_cluster *cl)
{
	size_t most = (size_t)c->conns_count + cl->nodes_count;
	struct kc_conn *conns = realloc(c->conns, sizeof(*conns) * (most + 1));
	struct pollfd *polls;

	if (!conns)
		return -ENOMEM;
	c->conns = conns;
	polls = realloc(c->polls, sizeof(*polls) * (most + 1));
	if (!polls)
		return -ENOMEM;
	c->polls = polls;
	for (uint32_t i = 0; i < cl->nodes_count; i++) {
		int32_t at = conn_of(c, cl->nodes[i].id);

		if (at < 0) {
			at = (int32_t)c->conns_count++;
			c->conns[at] = (struct kc_conn){.fd = -1};
		}
		c->conns[at].node = cl->nodes[i];
	}
	return 0;
}

static int take_cluster(struct mr_kafka_client *c, const struct mr_kafka_cluster *cl)
{
	if (!c->parts) {
		c->parts = calloc((size_t)cl->partitions_count + 1, sizeof(*c->parts));
		c->parts_count = cl->partitions_count;
		for (uint32_t i = 0; c->parts && i < c->parts_count; i++)
			c->parts[i].careful = c->opt.idempotent;
	}
	if (!c->parts || take_nodes(c, cl) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->parts_count; i++) {
		struct kc_part *p = &c->parts[i];
		int32_t conn = i < cl->partitions_count ? conn_of(c, cl->leaders[i]) : -1;

		// What is on its way to the old leader must be back before the new one gets more.
		if (conn != p->conn && p->inflight)
			p->draining = true;
		p->conn = conn;
	}
	return 0;
}

static bool has_leaders(const struct mr_kafka_cluster *cl)
{
	for (uint32_t i = 0; i < cl->partitions_count; i++)
		if (cl->leaders[i] < 0)
			return false;
	return cl->partitions_count > 0;
}

// Asks whoever answers: the connection that is open, then every address ever heard of.
static int ask_metadata(struct mr_kafka_client *c, struct mr_kafka_cluster *cl)
{
	struct mr_kafka_caller *k = &c->caller;
	int e = k->fd >= 0 ? mr_kafka_ask_metadata(k, c->opt.topic, true, cl) : -ENOTCONN;

	for (uint32_t i = 0; e < 0 && i < c->bootstrap_count + c->conns_count; i++) {
		e = mr_kafka_caller_open(
			k, i < c->bootstrap_count ? &c->bootstrap[i]
						  : &c->conns[i - c->bootstrap_count].node.address);
		if (e == 0)
			e = mr_kafka_ask_metadata(k, c->opt.topic, true, cl);
	}
	return e;
}

static void refresh(struct mr_kafka_client *c)
{
	struct mr_kafka_cluster cl = {0};
	int e = ask_metadata(c, &cl);

	if (e < 0)
		kc_note(c, "%s", c->caller.error);
	else if (cl.topic_error && !is_retriable(cl.topic_error))
		kc_fail(c, MR_ERR_STOPPED, "topic %s: %s", c->opt.topic,
			mr_kafka_error_name(cl.topic_error));
	else if (take_cluster(c, &cl) < 0)
		kc_fail(c, -ENOMEM, "out of memory");
	c->refresh = e < 0 || !has_leaders(&cl);
	c->refresh_at_ns = kc_now(c) + 100 * ms_ns;
	mr_kafka_cluster_fini(&cl);
}

// The first metadata: a topic that was just made may have no leaders yet.
static int find_topic(struct mr_kafka_client *c)
{
	int64_t until = kc_now(c) + 10 * second_ns;

	for (;;) {
		struct mr_kafka_cluster cl = {0};
		int e = mr_kafka_ask_metadata(&c->caller, c->opt.topic, true, &cl);
		bool found = e == 0 && cl.topic_error == 0 && has_leaders(&cl);
		int16_t error = cl.topic_error;

		if (found)
			e = take_cluster(c, &cl);
		mr_kafka_cluster_fini(&cl);
		if (e < 0)
			kc_fail(c, e, "%s", c->caller.error);
		else if (!found && (kc_now(c) > until || (error && !is_retriable(error))))
			kc_fail(c, MR_ERR_STOPPED, "topic %s: %s", c->opt.topic,
				error ? mr_kafka_error_name(error) : "no leader");
		if (found || c->failed)
			return c->failed;
		usleep(20 * 1000);
	}
}

static int parse_bootstrap(struct mr_kafka_client *c)
{
	char *list = strdup(c->opt.bootstrap), *save = NULL;
	int e = list ? 0 : -ENOMEM;

	c->bootstrap = calloc(strlen(c->opt.bootstrap) + 1, sizeof(*c->bootstrap));
	if (!c->bootstrap)
		e = -ENOMEM;
	for (char *t = e ? NULL : strtok_r(list, ",", &save); t && e == 0;
		t = strtok_r(NULL, ",", &save))
		e = mr_kafka_address_parse(t, &c->bootstrap[c->bootstrap_count++]);
	free(list);
	if (e == 0 && c->bootstrap_count == 0)
		e = -EINVAL;
	if (e < 0)
		kc_fail(c, e, "\"%s\" is not ADDR:PORT", c->opt.bootstrap);
	return e;
}

static int open_bootstrap(struct mr_kafka_client *c)
{
	int e = -ENOTCONN;

	for (uint32_t i = 0; e < 0 && i < c->bootstrap_count; i++)
		e = mr_kafka_caller_open(&c->caller, &c->bootstrap[i]);
	if (e == 0 && c->caller.version_produce < 0) {
		kc_fail(c, MR_ERR_UNSUPPORTED,
			"the broker speaks no version of Produce that this "
			"program speaks");
		return MR_ERR_UNSUPPORTED;
	}
	if (e == 0 && c->opt.partitions > 0)
		e = mr_kafka_ask_topic(&c->caller, c->opt.topic, c->opt.partitions);
	if (e == 0 && c->opt.idempotent)
		e = mr_kafka_ask_producer_id(&c->caller, &c->producer_id, &c->producer_epoch);
	if (e < 0)
		kc_fail(c, e, "%s", c->caller.error);
	return e;
}

static void set_defaults(struct mr_kafka_client_options *o)
{
	o->inflight_max = o->inflight_max ? o->inflight_max : MR_PRODUCE_INFLIGHT_MAX;
	o->ask_timeout_ms = o->ask_timeout_ms ? o->ask_timeout_ms : 5000;
	o->request_timeout_ns = o->request_timeout_ns ? o->request_timeout_ns : 30 * second_ns;
	o->delivery_timeout_ns = o->delivery_timeout_ns ? o->delivery_timeout_ns : 120 * second_ns;
	o->clock = o->clock ? o->clock : &mr_clock_system;
}

int mr_kafka_client_create(const struct mr_kafka_client_options *options,
	struct mr_kafka_client **out, char *error, size_t error_bytes)
{
	struct mr_kafka_client *c = calloc(1, sizeof(*c));
	size_t topic_bytes = strlen(options->topic);
	int e;

	if (!c) {
		snprintf(error, error_bytes, "out of memory");
		return -ENOMEM;
	}
	c->opt = *options;
	set_defaults(&c->opt);
	c->producer_id = c->producer_epoch = -1;
	mr_kafka_caller_init(&c->caller, c->opt.ask_timeout_ms);
	if (topic_bytes == 0 || topic_bytes > MR_KAFKA_TOPIC_BYTES_MAX)
		kc_fail(c, -EINVAL, "a topic's name has 1 to %d bytes", MR_KAFKA_TOPIC_BYTES_MAX);
	e = c->failed;
	if (e == 0)
		e = parse_bootstrap(c);
	if (e == 0)
		e = open_bootstrap(c);
	if (e == 0)
		e = find_topic(c);
	if (e < 0) {
		snprintf(error, error_bytes, "%s", c->error);
		mr_kafka_client_destroy(c);
		return e;
	}
	*out = c;
	return 0;
}

void mr_kafka_client_destroy(struct mr_kafka_client *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < c->conns_count; i++) {
		if (c->conns[i].fd >= 0)
			close(c->conns[i].fd);
		mr_buf_fini(&c->conns[i].in);
	}
	mr_kafka_caller_fini(&c->caller);
	free(c->bootstrap);
	free(c->parts);
	free(c->conns);
	free(c->polls);
	free(c);
}

uint32_t mr_kafka_client_partitions(const struct mr_kafka_client *c)
{
	return c->parts_count;
}

uint64_t mr_kafka_client_pending(const struct mr_kafka_client *c)
{
	return c->pending;
}

uint64_t mr_kafka_client_retries(const struct mr_kafka_client *c)
{
	return c->retries;
}

const char *mr_kafka_client_error(const struct mr_kafka_client *c)
{
	return c->error;
}

void mr_kafka_client_send(struct mr_kafka_client *c, uint32_t partition, struct mr_produce_batch *b)
{
	MR_ASSERT(partition < c->parts_count);
	b->partition = partition;
	b->sequence = -1;
	b->queued_ns = kc_now(c);
	kc_list_push(&c->parts[partition].queue, b);
	c->pending++;
}

// With idempotence a broker that knows nothing of a producer takes whatever sequence comes first,
// and one that knows it remembers five batches. So the first batch of a partition, and every one
// that is sent again, goes alone: were its successors taken while it failed, it could never be
// told whether it is there.
static bool may_send(const struct mr_kafka_client *c, const struct kc_part *p)
{
	return p->queue.head && p->inflight < (p->careful ? 1 : c->opt.inflight_max);
}

// Puts on their way what may go.
static void submit(struct mr_kafka_client *c, int64_t now)
{
	for (uint32_t i = 0; i < c->parts_count; i++) {
		struct kc_part *p = &c->parts[i];
		struct kc_conn *n = p->conn >= 0 ? &c->conns[p->conn] : NULL;

		if (!p->queue.head || p->draining || now < p->not_before_ns)
			continue;
		if (!n) {
			c->refresh = true;
			continue;
		}
		if (n->fd < 0 && now >= n->retry_at_ns)
			kc_conn_dial(c, n);
		while (n->fd >= 0 && !n->connecting && may_send(c, p))
			kc_conn_submit(c, n, kc_list_pop(&p->queue));
	}
}

// Now and then: what waits too long.
static void check_timeouts(struct mr_kafka_client *c, int64_t now)
{
	if (now < c->check_at_ns)
		return;
	c->check_at_ns = now + MR_MIN(c->opt.request_timeout_ns, c->opt.delivery_timeout_ns) / 8;
	for (uint32_t i = 0; i < c->conns_count; i++) {
		struct kc_conn *n = &c->conns[i];

		if (n->flight.head && now - n->flight.head->sent_ns > c->opt.request_timeout_ns)
			kc_conn_break(c, n, "no answer in time");
	}
	for (uint32_t i = 0; i < c->parts_count; i++) {
		const struct kc_part *p = &c->parts[i];
		const struct mr_produce_batch *b = p->retry.head ? p->retry.head : p->queue.head;

		if (b && now - b->queued_ns > c->opt.delivery_timeout_ns)
			kc_fail(c, -ETIMEDOUT,
				"topic %s, partition %u: not acknowledged in %g s%s%s",
				c->opt.topic, i, (double)c->opt.delivery_timeout_ns / 1e9,
				c->last[0] ? "; last: " : "", c->last);
	}
}

// How long poll may sleep although nothing happens on a socket.
static int64_t sleep_ns(const struct mr_kafka_client *c, int64_t now, int64_t wait_ns)
{
	if (c->pending == 0)
		return wait_ns;
	wait_ns = MR_MIN(wait_ns, MR_MAX(c->check_at_ns - now, 0));
	if (c->refresh)
		wait_ns = MR_MIN(wait_ns, MR_MAX(c->refresh_at_ns - now, 0));
	for (uint32_t i = 0; i < c->parts_count; i++) {
		const struct kc_part *p = &c->parts[i];

		if (!p->queue.head || p->draining || p->conn < 0)
			continue;
		if (p->not_before_ns > now)
			wait_ns = MR_MIN(wait_ns, p->not_before_ns - now);
		else if (c->conns[p->conn].fd < 0)
			wait_ns = MR_MIN(wait_ns, MR_MAX(c->conns[p->conn].retry_at_ns - now, 0));
	}
	return wait_ns;
}

static void connected(struct mr_kafka_client *c, struct kc_conn *n)
{
	socklen_t bytes = sizeof(int);
	int error = 0;

	n->connecting = false;
	if (getsockopt(n->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
		error = errno;
	if (error)
		kc_conn_break(c, n, mr_err_text(-error));
}

static void serve(struct mr_kafka_client *c, struct kc_conn *n, short events)
{
	if (n->connecting) {
		if (events & (POLLOUT | POLLERR | POLLHUP))
			connected(c, n);
		return;
	}
	// Before writing: an answer may be there although the connection is dying.
	if (events & (POLLIN | POLLERR | POLLHUP))
		kc_conn_readable(c, n);
	if (n->fd >= 0 && (events & POLLOUT))
		kc_conn_writable(c, n);
}

static void wait_for_sockets(struct mr_kafka_client *c, int64_t wait_ns, int extra_fd)
{
	struct timespec t = {wait_ns / second_ns, wait_ns % second_ns};

	for (uint32_t i = 0; i < c->conns_count; i++) {
		const struct kc_conn *n = &c->conns[i];
		bool out = n->connecting || n->writing;

		c->polls[i] = (struct pollfd){n->fd, (short)(POLLIN | (out ? POLLOUT : 0)), 0};
	}
	c->polls[c->conns_count] = (struct pollfd){extra_fd, POLLIN, 0};
	if (ppoll(c->polls, c->conns_count + 1, &t, NULL) <= 0)
		return;
	for (uint32_t i = 0; i < c->conns_count; i++)
		if (c->polls[i].revents)
			serve(c, &c->conns[i], c->polls[i].revents);
}

int mr_kafka_client_poll(struct mr_kafka_client *c, int64_t wait_ns, int extra_fd)
{
	int64_t now = kc_now(c);

	if (c->failed)
		return c->failed;
	if (c->refresh && now >= c->refresh_at_ns)
		refresh(c);
	submit(c, now);
	for (uint32_t i = 0; i < c->conns_count; i++)
		if (!c->conns[i].connecting)
			kc_conn_writable(c, &c->conns[i]);
	check_timeouts(c, now);
	if (c->failed)
		return c->failed;
	wait_for_sockets(c, sleep_ns(c, now, wait_ns), extra_fd);
	return c->failed;
}
