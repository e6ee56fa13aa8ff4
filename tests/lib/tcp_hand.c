// A hand-made peer. See tcp_hand.h.
#include "tests/lib/tcp_hand.h"
#include "tests/lib/mr_test.h"

#include <stdlib.h>

static int begin(void *ctx, struct mr_ip_path *, struct mr_tcp_packet *p)
{
	struct hand *h = ctx;

	if (h->begin_err)
		return h->begin_err;
	p->l4 = h->frame;
	p->bytes_max = sizeof(h->frame);
	return 0;
}

static void send_packet(void *ctx, struct mr_ip_path *path, struct mr_tcp_packet *p, uint32_t bytes)
{
	struct hand *h = ctx;
	struct mr_tcp_segment_in in = {path->local, path->peer, p->l4, bytes, false};
	struct hand_seg *o = &h->out[h->made % MR_COUNT_OF(h->out)];
	struct mr_tcp_seg s;

	assert_true(bytes + MR_IP4_BYTES <= path->mtu);
	assert_true(mr_tcp_segment_parse(&in, &s));
	if (s.flags & MR_TCP_SYN)
		h->iss = s.seq;
	*o = (struct hand_seg){.flags = s.flags, .seq = s.seq - h->iss, .bytes = s.bytes};
	o->ack = s.flags & MR_TCP_ACK ? s.ack - h->irs : 0;
	o->window = s.window;
	o->ts = s.has_ts ? s.ts_value : 0;
	o->ts_echo = s.has_ts ? s.ts_echo : 0;
	o->sacks = s.sacks;
	for (uint32_t i = 0; i < s.sacks; i++) {
		o->sack[2 * i] = s.sack[i].from - h->irs;
		o->sack[2 * i + 1] = s.sack[i].to - h->irs;
	}
	o->mss = s.mss;
	o->wscale = s.wscale == MR_TCP_NO_WSCALE ? 0 : HAND_SCALE(s.wscale);
	o->sack_ok = s.sack_permitted;
	o->peer = s.dst_port - 5000u;
	memcpy(h->text[h->made % MR_COUNT_OF(h->out)], s.data, MR_MIN(s.bytes, 64u));
	h->local_port = s.src_port;
	h->made++;
}

static bool route(void *ctx, struct mr_ip_path *path)
{
	struct hand *h = ctx;

	h->routes++;
	if (!path->mtu)
		path->mtu = h->mtu;
	return !h->no_way;
}

static int on_opened(void *owner, struct mr_tcp_conn *c)
{
	struct hand *h = owner;

	mr_tcp_set_user(c, h);
	h->c = c;
	h->opened++;
	return h->in_opened ? h->in_opened(h, c) : 0;
}

static void on_connected(struct mr_tcp_conn *c, int err)
{
	struct hand *h = mr_tcp_user(c);

	h->connected++;
	h->error = err;
}

static size_t on_data(struct mr_tcp_conn *c, struct mr_span s)
{
	struct hand *h = mr_tcp_user(c);
	size_t n = MR_MIN(s.bytes, h->take_max);

	for (size_t i = 0; i < n; i++)
		h->last[(h->received + i) % sizeof(h->last)] = s.data[i];
	h->received += n;
	if (n < s.bytes)
		mr_tcp_pause(c);
	if (h->in_data)
		h->in_data(h, c);
	return n;
}

static void on_sendable(struct mr_tcp_conn *c)
{
	((struct hand *)mr_tcp_user(c))->sendable++;
}

static void on_ended(struct mr_tcp_conn *c)
{
	((struct hand *)mr_tcp_user(c))->ended++;
}

static void on_closed(struct mr_tcp_conn *c, int err)
{
	struct hand *h = mr_tcp_user(c);

	h->closed++;
	h->error = err;
	if (h->in_closed)
		h->in_closed(h, c);
}

const struct mr_tcp_events hand_events = {
	on_opened, on_connected, on_data, on_sendable, on_ended, on_closed};

struct mr_tcp_options hand_options(void)
{
	return (struct mr_tcp_options){.connections_max = 32,
		.syns_max = 32,
		.timewaits_max = 8,
		.memory_bytes = 2u << 20,
		.node = -1,
		.seed = 7};
}

void hand_init(struct hand *h, const struct mr_tcp_options *o)
{
	struct mr_tcp_lower lower = {h, begin, send_packet, route};
	struct mr_tcp_options small = hand_options();
	struct mr_tcp_listener *l;

	memset(h, 0, sizeof(*h));
	h->now_ns = 5000 * 1000 * HAND_MS;
	h->irs = 0xfffffc00u; // wraps soon
	h->mtu = 1500;
	h->take_max = SIZE_MAX;
	h->local_port = 9092;
	assert_int_equal(mr_tcp_create(o ? o : &small, &lower, h->now_ns, &h->t), 0);
	assert_int_equal(mr_tcp_listen(h->t, 9092, &hand_events, h, &l), 0);
}

void hand_fini(struct hand *h)
{
	mr_tcp_check(h->t);
	mr_tcp_destroy(h->t);
}

static uint32_t put_options(const struct hand *h, const struct hand_seg *s, uint8_t *p)
{
	uint8_t *at = p;

	if (s->mss) {
		mr_store_be32(at, 0x02040000u | s->mss);
		at += 4;
	}
	if (s->sack_ok) {
		mr_store_be32(at, 0x01010402);
		at += 4;
	}
	if (s->wscale) {
		mr_store_be32(at, 0x01030300u | (uint32_t)(s->wscale - 1));
		at += 4;
	}
	if (!h->no_ts && s->ts) {
		mr_store_be32(at, 0x0101080a);
		mr_store_be32(at + 4, s->ts);
		mr_store_be32(at + 8, s->ts_echo);
		at += 12;
	}
	if (s->sacks) {
		mr_store_be32(at, 0x01010500u | (2 + 8 * s->sacks));
		for (uint32_t i = 0; i < 2 * s->sacks; i++)
			mr_store_be32(at + 4 + 4 * i, s->sack[i] + h->iss);
		at += 4 + 8 * s->sacks;
	}
	return (uint32_t)(at - p);
}

void hand_give(struct hand *h, struct hand_seg s)
{
	struct mr_tcp_segment_in in = {
		.src = mr_ip4(0x0a000002 + s.peer), .dst = mr_ip4(0x0a000001)};
	uint8_t *b = malloc(60 + s.bytes), *exact;
	uint32_t options = put_options(h, &s, b + 20), window = s.window;

	if (!window)
		window = 65535;
	if (window == HAND_SHUT)
		window = 0;
	mr_store_be16(b, (uint16_t)(5000 + s.peer));
	mr_store_be16(b + 2, h->local_port);
	mr_store_be32(b + 4, s.seq + h->irs);
	mr_store_be32(b + 8, s.flags & MR_TCP_ACK ? s.ack + h->iss : 0);
	b[12] = (uint8_t)((20 + options) / 4 << 4);
	b[13] = s.flags;
	mr_store_be16(b + 14, (uint16_t)window);
	mr_store_be32(b + 16, 0);
	memset(b + 20 + options, s.fill, s.bytes);
	in.bytes = 20 + options + s.bytes;
	exact = malloc(in.bytes); // so that a sanitizer sees reads past the end
	memcpy(exact, b, in.bytes);
	in.l4 = exact;
	mr_tcp_input(h->t, &in);
	mr_tcp_check(h->t);
	free(exact);
	free(b);
}

void hand_flush(struct hand *h)
{
	mr_tcp_flush(h->t);
	mr_tcp_check(h->t);
}

void hand_in(struct hand *h, struct hand_seg s)
{
	hand_give(h, s);
	hand_flush(h);
}

void hand_wait(struct hand *h, int64_t ns)
{
	int64_t until = h->now_ns + ns;

	while (h->now_ns < until) {
		int64_t next = MR_MIN(mr_tcp_next_ns(h->t), until);

		h->now_ns = MR_MAX(h->now_ns, next);
		mr_tcp_time(h->t, h->now_ns);
		hand_flush(h);
	}
}

struct hand_seg hand_out(struct hand *h)
{
	if (h->seen == h->made)
		return (struct hand_seg){};
	assert_true(h->made - h->seen <= MR_COUNT_OF(h->out));
	return h->out[h->seen++ % MR_COUNT_OF(h->out)];
}

bool hand_is_quiet(struct hand *h)
{
	return h->seen == h->made;
}

void hand_forget(struct hand *h)
{
	h->seen = h->made;
}

struct mr_tcp_conn *hand_open(struct hand *h)
{
	struct hand_seg o;

	hand_in(h, (struct hand_seg){.flags = MR_TCP_SYN,
			   .mss = 1460,
			   .sack_ok = true,
			   .wscale = HAND_SCALE(2),
			   .ts = 100});
	o = hand_out(h);
	assert_int_equal(o.flags, MR_TCP_SYN | MR_TCP_ACK);
	assert_int_equal(o.ack, 1);
	hand_in(h, (struct hand_seg){.flags = MR_TCP_ACK, .seq = 1, .ack = 1, .ts = 100});
	assert_int_equal(h->opened, 1);
	assert_true(hand_is_quiet(h));
	return h->c;
}
