// One connection to a leader: requests out, answers in.
#include "client/kafka_client_int.h"
#include "dataplane/batch.h"
#include "host/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	GATHER_MAX = 16,          // batches per send
	RECEIVE_BYTES = 64 << 10, // an answer has about 60 bytes
	ANSWER_BYTES_MAX = 1 << 20,
	PRODUCE_TIMEOUT_MS = 30000,
};

static const int64_t backoff_min_ns = 20 * 1000 * 1000, backoff_max_ns = 1000 * 1000 * 1000;

static void delay(struct mr_kafka_client *c, struct kc_conn *n)
{
	n->retry_at_ns = kc_now(c) + n->backoff_ns;
	n->backoff_ns = MR_MIN(n->backoff_ns * 2, backoff_max_ns);
}

void kc_conn_dial(struct mr_kafka_client *c, struct kc_conn *n)
{
	int fd = mr_kafka_dial(&n->node.address, false, 0);

	n->backoff_ns = MR_MAX(n->backoff_ns, backoff_min_ns);
	if (fd < 0) {
		kc_note(c, "cannot connect to %s:%s: %s", n->node.address.host,
			n->node.address.port, mr_err_text(fd));
		delay(c, n);
		return;
	}
	n->fd = fd;
	n->connecting = true;
}

void kc_conn_break(struct mr_kafka_client *c, struct kc_conn *n, const char *why)
{
	struct mr_produce_batch *b;

	kc_note(c, "connection to %s:%s: %s", n->node.address.host, n->node.address.port, why);
	close(n->fd);
	n->fd = -1;
	n->connecting = false;
	n->writing = NULL;
	n->written = 0;
	n->in_at = 0;
	mr_buf_reset(&n->in);
	while ((b = kc_list_pop(&n->flight)))
		kc_lost(c, b);
	c->refresh = true; // its partitions may live elsewhere now
	delay(c, n);
}

// Offsets of the fields that make a batch a certain producer's.
enum { OFF_PRODUCER_ID = 43, OFF_PRODUCER_EPOCH = 51, OFF_SEQUENCE = 53 };

static void stamp(struct mr_kafka_client *c, struct mr_produce_batch *b)
{
	mr_store_be64(b->data + OFF_PRODUCER_ID, (uint64_t)c->producer_id);
	mr_store_be16(b->data + OFF_PRODUCER_EPOCH, (uint16_t)c->producer_epoch);
	mr_store_be32(b->data + OFF_SEQUENCE, (uint32_t)b->sequence);
	mr_store_be32(b->data + MR_BATCH_OFF_CRC, mr_batch_crc(b->data, b->bytes));
}

static void write_head(struct mr_kafka_client *c, struct mr_produce_batch *b)
{
	struct mr_kout out = {.version = c->caller.version_produce};
	bool flexible = out.version >= MR_PRODUCE_FLEXIBLE;

	out.w = mr_writer(b->head, sizeof(b->head));
	b->tail_bytes = flexible ? MR_PRODUCE_TAIL_BYTES : 0;
	mr_kout_i32(&out, 0);
	mr_kout_i16(&out, MR_KEY_PRODUCE);
	mr_kout_i16(&out, out.version);
	mr_kout_i32(&out, b->correlation);
	mr_kout_text(&out, MR_KAFKA_CLIENT_ID); // never compact
	out.flexible = flexible;
	mr_kout_tags(&out);
	mr_kout_text(&out, NULL); // transactionalId
	mr_kout_i16(&out, c->opt.acks);
	mr_kout_i32(&out, PRODUCE_TIMEOUT_MS);
	mr_kout_array(&out, 1);
	mr_kout_text(&out, c->opt.topic);
	mr_kout_array(&out, 1);
	mr_kout_i32(&out, (int32_t)b->partition);
	if (flexible)
		mr_write_uvarint(&out.w, b->bytes + 1);
	else
		mr_kout_i32(&out, (int32_t)b->bytes);
	MR_ASSERT(!out.w.bad);
	b->head_bytes = (uint32_t)out.w.at;
	mr_store_be32(b->head, (uint32_t)(b->head_bytes + b->bytes + b->tail_bytes - 4));
}

void kc_conn_submit(struct mr_kafka_client *c, struct kc_conn *n, struct mr_produce_batch *b)
{
	struct kc_part *p = &c->parts[b->partition];

	// A batch that is sent again keeps its sequence, and so its checksum.
	if (c->opt.idempotent && b->sequence < 0) {
		b->sequence = p->next_sequence;
		// Sequences wrap from 2^31 - 1 to 0.
		p->next_sequence =
			(int32_t)(((uint32_t)b->sequence + (uint32_t)b->rows) & INT32_MAX);
		stamp(c, b);
	}
	b->correlation = c->correlation++ & INT32_MAX;
	write_head(c, b);
	b->sent_ns = kc_now(c);
	p->inflight++;
	kc_list_push(&n->flight, b);
	if (!n->writing) {
		n->writing = b;
		n->written = 0;
	}
}

static size_t request_bytes(const struct mr_produce_batch *b)
{
	return b->head_bytes + b->bytes + b->tail_bytes;
}

// The pieces of a request behind its first `skip` bytes.
static int gather(const struct mr_produce_batch *b, size_t skip, struct iovec *v)
{
	static const uint8_t tail[MR_PRODUCE_TAIL_BYTES];
	const struct mr_span pieces[] = {mr_span(b->head, b->head_bytes),
		mr_span(b->data, b->bytes), mr_span(tail, b->tail_bytes)};
	int count = 0;

	for (size_t i = 0; i < MR_COUNT_OF(pieces); i++) {
		size_t off = MR_MIN(skip, pieces[i].bytes);

		skip -= off;
		if (pieces[i].bytes > off)
			v[count++] = (struct iovec){
				(uint8_t *)pieces[i].data + off, pieces[i].bytes - off};
	}
	return count;
}

// `sent` more bytes have left. With acks=0 that is all there is to wait for.
static void advance(struct mr_kafka_client *c, struct kc_conn *n, size_t sent)
{
	n->written += sent;
	while (n->writing && n->written >= request_bytes(n->writing)) {
		n->written -= request_bytes(n->writing);
		n->writing = n->writing->next;
		if (c->opt.acks == 0)
			kc_answered(c, kc_list_pop(&n->flight), 0, mr_span(NULL, 0));
	}
}

void kc_conn_writable(struct mr_kafka_client *c, struct kc_conn *n)
{
	while (n->fd >= 0 && n->writing) {
		struct iovec v[GATHER_MAX * 3];
		struct msghdr m = {.msg_iov = v};
		struct mr_produce_batch *b = n->writing;
		size_t skip = n->written;
		ssize_t sent;

		for (int i = 0; b && i < GATHER_MAX; i++, b = b->next, skip = 0)
			m.msg_iovlen += (size_t)gather(b, skip, &v[m.msg_iovlen]);
		sent = sendmsg(n->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (sent < 0) {
			kc_conn_break(c, n, mr_err_text(-errno));
			return;
		}
		advance(c, n, (size_t)sent);
	}
}

struct answer {
	int32_t partition;
	int16_t error;
	struct mr_span text;
};

static void read_part(struct mr_kin *in, struct answer *a)
{
	int32_t bad;

	a->partition = mr_kin_i32(in);
	a->error = mr_kin_i16(in);
	mr_kin_i64(in); // baseOffset
	mr_kin_i64(in); // logAppendTimeMs
	if (in->version >= 5)
		mr_kin_i64(in); // logStartOffset
	bad = in->version >= 8 ? mr_kin_array(in, 6) : 0;
	for (int32_t i = 0; i < bad && !in->r.bad; i++) {
		mr_kin_i32(in);
		mr_kin_nullable_string(in);
		mr_kin_tags(in);
	}
	if (in->version >= 8)
		a->text = mr_kin_nullable_string(in);
	mr_kin_tags(in);
}

// One answer is about one batch, because one request is. False when it is not well formed or not
// the next batch's.
static bool take_answer(struct mr_kafka_client *c, struct kc_conn *n, struct mr_span frame)
{
	struct mr_kin in = {.version = c->caller.version_produce, .r = mr_reader(frame)};
	const struct mr_produce_batch *b = n->flight.head;
	struct answer a = {0};

	in.flexible = in.version >= MR_PRODUCE_FLEXIBLE;
	if (!b || b == n->writing || mr_kin_i32(&in) != b->correlation)
		return false;
	mr_kin_tags(&in);
	if (mr_kin_array(&in, 2) != 1)
		return false;
	mr_kin_string(&in);
	if (mr_kin_array(&in, 14) != 1)
		return false;
	read_part(&in, &a);
	if (in.r.bad || a.partition < 0 || (uint32_t)a.partition != b->partition)
		return false;
	n->backoff_ns = backoff_min_ns;
	kc_answered(c, kc_list_pop(&n->flight), a.error, a.text);
	return true;
}

static void take_answers(struct mr_kafka_client *c, struct kc_conn *n)
{
	for (;;) {
		size_t left = n->in.bytes - n->in_at;
		uint32_t bytes = left >= 4 ? mr_load_be32(n->in.data + n->in_at) : 0;

		if (bytes > ANSWER_BYTES_MAX) {
			kc_conn_break(c, n, "the answer is too long");
			return;
		}
		if (left < 4 || left - 4 < bytes)
			break;
		if (!take_answer(c, n, mr_span(n->in.data + n->in_at + 4, bytes))) {
			kc_conn_break(c, n, "the answer is not Kafka's");
			return;
		}
		n->in_at += 4 + bytes;
	}
	if (n->in_at) {
		memmove(n->in.data, n->in.data + n->in_at, n->in.bytes - n->in_at);
		n->in.bytes -= n->in_at;
		n->in_at = 0;
	}
}

void kc_conn_readable(struct mr_kafka_client *c, struct kc_conn *n)
{
	uint8_t *at = mr_buf_room(&n->in, RECEIVE_BYTES);
	ssize_t got;

	if (!at) {
		kc_fail(c, -ENOMEM, "out of memory");
		return;
	}
	got = recv(n->fd, at, RECEIVE_BYTES, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		kc_conn_break(c, n, got ? mr_err_text(-errno) : "closed by the broker");
		return;
	}
	n->in.bytes += (size_t)got;
	take_answers(c, n);
}
