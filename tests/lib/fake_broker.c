// A scripted Kafka cluster.
#include "tests/lib/fake_broker.h"

#include "dataplane/batch.h"
#include "dataplane/kafka_wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NOT_LEADER = 6, OUT_OF_ORDER = 45, CORRUPT = 2 };

static void listen_on(struct fake_broker *f, int node)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t bytes = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MR_ASSERT(fd >= 0);
	MR_ASSERT(bind(fd, (struct sockaddr *)&a, bytes) == 0 && listen(fd, 16) == 0);
	MR_ASSERT(getsockname(fd, (struct sockaddr *)&a, &bytes) == 0);
	f->listeners[node] = fd;
	f->ports[node] = ntohs(a.sin_port);
}

void fake_broker_open(struct fake_broker *f)
{
	memset(f, 0, sizeof(*f));
	listen_on(f, 0);
	listen_on(f, 1);
	snprintf(f->bootstrap, sizeof(f->bootstrap), "127.0.0.1:%u", f->ports[0]);
	for (int i = 0; i < FAKE_CONNS_MAX; i++)
		f->conns[i].fd = -1;
	f->parts[1].leader = 1;
	f->produce_version_max = 12;
}

static void close_conn(struct fake_conn *c)
{
	close(c->fd);
	mr_buf_fini(&c->in);
	*c = (struct fake_conn){.fd = -1};
}

static void answer_versions(struct mr_kout *out, const struct fake_broker *f)
{
	const struct {
		int16_t key, min, max;
	} rows[] = {{0, 0, f->produce_version_max}, {3, 0, 12}, {18, 0, 4}, {19, 2, 7}, {22, 0, 5}};

	mr_kout_i16(out, 0);
	mr_kout_array(out, MR_COUNT_OF(rows));
	for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
		mr_kout_i16(out, rows[i].key);
		mr_kout_i16(out, rows[i].min);
		mr_kout_i16(out, rows[i].max);
	}
}

static void put_ids(struct mr_kout *out, int32_t id)
{
	mr_kout_array(out, 1);
	mr_kout_i32(out, id);
}

// Version 9, which the client asks of everyone who has it.
static void answer_metadata(struct mr_kout *out, struct fake_broker *f)
{
	bool wrong = f->metadata_errors > 0;

	f->metadata_errors -= wrong;
	mr_kout_i32(out, 0);
	mr_kout_array(out, 2);
	for (int i = 0; i < 2; i++) {
		mr_kout_i32(out, i);
		mr_kout_text(out, "127.0.0.1");
		mr_kout_i32(out, f->ports[i]);
		mr_kout_text(out, NULL);
		mr_kout_tags(out);
	}
	mr_kout_text(out, "fake");
	mr_kout_i32(out, 0);
	mr_kout_array(out, 1);
	mr_kout_i16(out, wrong ? f->metadata_error : 0);
	mr_kout_text(out, "t");
	mr_kout_bool(out, false);
	mr_kout_array(out, wrong ? 0 : FAKE_PARTS);
	for (int i = 0; !wrong && i < FAKE_PARTS; i++) {
		mr_kout_i16(out, 0);
		mr_kout_i32(out, i);
		mr_kout_i32(out, f->parts[i].leader);
		mr_kout_i32(out, 0);
		put_ids(out, f->parts[i].leader);
		put_ids(out, f->parts[i].leader);
		mr_kout_array(out, 0);
		mr_kout_tags(out);
	}
	mr_kout_i32(out, INT32_MIN);
	mr_kout_tags(out);
	mr_kout_i32(out, INT32_MIN);
	mr_kout_tags(out);
}

static void answer_producer(struct mr_kout *out)
{
	mr_kout_i32(out, 0);
	mr_kout_i16(out, 0);
	mr_kout_i64(out, 4711);
	mr_kout_i16(out, 3);
	mr_kout_tags(out);
}

// Kafka's rules: in sequence, or one of the last five again, or an error.
static int16_t append(struct fake_part *p, const struct mr_batch *b)
{
	bool again = false;

	if (b->producer_id >= 0) {
		for (int i = 0; i < 5 && i < p->count; i++)
			again |= p->recent[i] == b->base_sequence;
		if (again)
			return 0;
		// Of a producer it knows nothing of it takes what comes.
		if (b->base_sequence != p->next_sequence && (p->count || p->next_sequence))
			return OUT_OF_ORDER;
		p->next_sequence = b->base_sequence + b->count;
	}
	p->recent[p->count % 5] = b->base_sequence;
	MR_ASSERT(p->count < FAKE_BATCHES_MAX);
	p->ids[p->count++] = b->base_timestamp;
	return 0;
}

struct produced {
	int16_t acks;
	int32_t partition;
	int16_t error;
	enum fake_action action;
};

static void take_produce(struct fake_broker *f, int node, struct mr_kin *in, struct produced *out)
{
	struct fake_step s = {FAKE_OK, 0};
	struct mr_span records;
	struct mr_batch batch;

	if (f->produced < f->steps_count)
		s = f->script[f->produced];
	f->produced++;
	out->action = s.action;
	mr_kin_nullable_string(in);
	out->acks = mr_kin_i16(in);
	mr_kin_i32(in);
	mr_kin_array(in, 1);
	mr_kin_string(in);
	mr_kin_array(in, 1);
	out->partition = mr_kin_i32(in);
	records = mr_kin_nullable_bytes(in);
	mr_kin_tags(in);
	mr_kin_tags(in);
	mr_kin_tags(in);
	if (in->r.bad || mr_read_left(&in->r) || out->partition >= FAKE_PARTS ||
		mr_batch_check(records, &batch) != MR_BATCH_FAULT_NONE) {
		f->bad++;
		out->error = CORRUPT;
		return;
	}
	if (s.action == FAKE_MOVE)
		f->parts[out->partition].leader = !node;
	if (f->parts[out->partition].leader != node)
		out->error = NOT_LEADER;
	else if (s.action == FAKE_ERROR)
		out->error = s.error;
	else if (s.action != FAKE_DROP)
		out->error = append(&f->parts[out->partition], &batch);
}

static void answer_produce(struct mr_kout *out, const struct produced *p)
{
	mr_kout_array(out, 1);
	mr_kout_text(out, "t");
	mr_kout_array(out, 1);
	mr_kout_i32(out, p->partition);
	mr_kout_i16(out, p->error);
	mr_kout_i64(out, 0);
	mr_kout_i64(out, -1);
	mr_kout_i64(out, 0);
	if (out->version >= 8) {
		mr_kout_array(out, 0);
		mr_kout_text(out, p->error ? "because the script says so" : NULL);
	}
	mr_kout_tags(out);
	mr_kout_tags(out);
	mr_kout_i32(out, 0);
	mr_kout_tags(out);
}

static void send_answer(struct fake_conn *c, struct mr_kout *out, const struct produced *p)
{
	size_t bytes = out->w.at;

	MR_ASSERT(!out->w.bad);
	mr_store_be32(out->w.data, (uint32_t)bytes - 4);
	if (p->action == FAKE_WRONG_CORRELATION)
		out->w.data[7] ^= 0x55;
	if (p->action == FAKE_HUGE_ANSWER)
		mr_store_be32(out->w.data, INT32_MAX);
	if (p->action == FAKE_HALF_ANSWER)
		bytes /= 2;
	if (send(c->fd, out->w.data, bytes, MSG_NOSIGNAL) < 0 || p->action == FAKE_HALF_ANSWER)
		close_conn(c);
}

// One request. False when nothing more is to be read of this connection now.
static bool serve(struct fake_broker *f, struct fake_conn *c, struct mr_span frame)
{
	static const int16_t flexible_from[] = {[0] = 9, [3] = 9, [18] = 3, [19] = 5, [22] = 2};
	struct mr_kin in = {.r = mr_reader(frame)};
	int16_t key = mr_kin_i16(&in);
	int32_t correlation;
	struct produced p = {.action = FAKE_OK};
	uint8_t bytes[2048];
	struct mr_kout out = {.w = mr_writer(bytes, sizeof(bytes))};

	out.version = in.version = mr_kin_i16(&in);
	correlation = mr_kin_i32(&in);
	mr_kin_nullable_string(&in);
	out.flexible = in.flexible = in.version >= flexible_from[key];
	mr_kin_tags(&in);
	mr_kout_i32(&out, 0);
	mr_kout_i32(&out, correlation);
	mr_kout_tags(&out);
	switch (key) {
	case 0:
		take_produce(f, c->node, &in, &p);
		answer_produce(&out, &p);
		break;
	case 3: answer_metadata(&out, f); break;
	case 18: answer_versions(&out, f); break;
	case 22: answer_producer(&out); break;
	default: f->bad++; break;
	}
	c->silent |= p.action == FAKE_SILENT;
	if (p.action == FAKE_DROP || p.action == FAKE_DROP_APPENDED)
		close_conn(c);
	else if (!c->silent && !(key == 0 && p.acks == 0))
		send_answer(c, &out, &p);
	return c->fd >= 0;
}

static void read_conn(struct fake_broker *f, struct fake_conn *c)
{
	uint8_t *at = mr_buf_room(&c->in, 65536);
	ssize_t n = recv(c->fd, at, 65536, 0);
	size_t used = 0;

	if (n <= 0) {
		close_conn(c);
		return;
	}
	c->in.bytes += (size_t)n;
	while (c->in.bytes - used >= 4) {
		size_t bytes = mr_load_be32(c->in.data + used);

		if (c->in.bytes - used - 4 < bytes)
			break;
		if (!serve(f, c, mr_span(c->in.data + used + 4, bytes)))
			return;
		used += 4 + bytes;
	}
	memmove(c->in.data, c->in.data + used, c->in.bytes - used);
	c->in.bytes -= used;
}

static void accept_conn(struct fake_broker *f, int node)
{
	int fd = accept(f->listeners[node], NULL, NULL), i = 0;

	while (i < FAKE_CONNS_MAX && f->conns[i].fd >= 0)
		i++;
	MR_ASSERT(i < FAKE_CONNS_MAX);
	f->conns[i].fd = fd;
	f->conns[i].node = node;
}

static void *run(void *arg)
{
	struct fake_broker *f = arg;

	while (!atomic_load(&f->stop)) {
		struct pollfd p[2 + FAKE_CONNS_MAX];

		for (int i = 0; i < 2; i++)
			p[i] = (struct pollfd){f->listeners[i], POLLIN, 0};
		for (int i = 0; i < FAKE_CONNS_MAX; i++)
			p[2 + i] = (struct pollfd){f->conns[i].fd, POLLIN, 0};
		if (poll(p, 2 + FAKE_CONNS_MAX, 20) <= 0)
			continue;
		for (int i = 0; i < 2; i++)
			if (p[i].revents)
				accept_conn(f, i);
		for (int i = 0; i < FAKE_CONNS_MAX; i++)
			if (p[2 + i].revents && f->conns[i].fd >= 0)
				read_conn(f, &f->conns[i]);
	}
	return NULL;
}

void fake_broker_start(struct fake_broker *f)
{
	MR_ASSERT(pthread_create(&f->thread, NULL, run, f) == 0);
}

void fake_broker_stop(struct fake_broker *f)
{
	atomic_store(&f->stop, true);
	pthread_join(f->thread, NULL);
}

void fake_broker_close(struct fake_broker *f)
{
	for (int i = 0; i < FAKE_CONNS_MAX; i++)
		if (f->conns[i].fd >= 0)
			close_conn(&f->conns[i]);
	close(f->listeners[0]);
	close(f->listeners[1]);
}
