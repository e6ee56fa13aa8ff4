// Segments out: header, options and the bytes of the send queue, into the IP layer's packet.
#include "dataplane/tcpip/tcp_int.h"

static void put_header(uint8_t *p, uint16_t from, uint16_t to, uint32_t seq, uint32_t ack,
	uint32_t options_bytes, uint8_t flags, uint16_t window)
{
	mr_store_be16(p, from);
	mr_store_be16(p + 2, to);
	mr_store_be32(p + 4, seq);
	mr_store_be32(p + 8, flags & MR_TCP_ACK ? ack : 0);
	p[12] = (uint8_t)((MR_TCP_BYTES + options_bytes) / 4 << 4);
	p[13] = flags;
	mr_store_be16(p + 14, window);
	mr_store_be32(p + 16, 0); // checksum: the IP layer's; no urgent pointer
}

static int begin(struct mr_tcp *t, struct mr_ip_path *path, struct mr_tcp_packet *p)
{
	int err = t->lower.begin(t->lower.ctx, path, p);

	t->unreached |= err == -EHOSTUNREACH;
	return err;
}

int mr_tcp_emit_bare(struct mr_tcp *t, const struct mr_tcp_bare *b)
{
	uint32_t bytes = MR_TCP_BYTES + b->options_bytes;
	struct mr_tcp_packet p;
	int err = begin(t, b->path, &p);

	if (err < 0)
		return err;
	MR_ASSERT(p.bytes_max >= bytes && bytes % 4 == 0);
	put_header(p.l4, b->local_port, b->peer_port, b->seq, b->ack, b->options_bytes, b->flags,
		b->window);
	memcpy(p.l4 + MR_TCP_BYTES, b->options, b->options_bytes);
	t->lower.send(t->lower.ctx, b->path, &p, bytes);
	MR_TCP_COUNT(t, segments_out);
	return 0;
}

void mr_tcp_option_ts(struct mr_tcp_bare *b, uint32_t value, uint32_t echo)
{
	uint8_t *p = b->options + b->options_bytes;

	mr_store_be32(p, 0x0101080a);
	mr_store_be32(p + 4, value);
	mr_store_be32(p + 8, echo);
	b->options_bytes += 12;
}

void mr_tcp_option_syn(struct mr_tcp_bare *b, uint16_t mss, bool sack, int wscale)
{
	uint8_t *p = b->options + b->options_bytes;

	mr_store_be32(p, 0x02040000u | mss);
	p += 4;
	if (sack) {
		mr_store_be32(p, 0x01010402);
		p += 4;
	}
	if (wscale >= 0) {
		mr_store_be32(p, 0x01030300u | (uint32_t)wscale);
		p += 4;
	}
	b->options_bytes = (uint8_t)(p - b->options);
}

// How many blocks fit beside timestamps: 3, else 4 (RFC 2018 section 3).
static uint32_t sacks_of(const struct mr_tcp_conn *c)
{
	const struct mr_tcp_ranges *s;

	if (!c->ranges_in || !(c->flags & MR_TCP_C_SACK))
		return 0;
	s = mr_tcp_slab_at(&c->t->ranges, c->ranges_in);
	return MR_MIN(s->count, c->flags & MR_TCP_C_TS ? 3u : 4u);
}

uint32_t mr_tcp_options_bytes(const struct mr_tcp_conn *c)
{
	uint32_t sacks = sacks_of(c);

	return (c->flags & MR_TCP_C_TS ? 12 : 0) + (sacks ? 4 + 8 * sacks : 0);
}

static void put_sacks(const struct mr_tcp_conn *c, uint8_t *p)
{
	struct mr_tcp_range recent[5];
	uint32_t n = sacks_of(c);

	if (!n)
		return;
	n = mr_tcp_ranges_recent(mr_tcp_slab_at(&c->t->ranges, c->ranges_in), recent, n);
	mr_store_be32(p, 0x01010500u | (2 + 8 * n));
	for (uint32_t i = 0; i < n; i++) {
		mr_store_be32(p + 4 + 8 * i, recent[i].from);
		mr_store_be32(p + 8 + 8 * i, recent[i].to);
	}
}

// The window to advertise: the room of the queue, whose right edge only moves by steps worth
// telling (RFC 9293 3.8.6.2.2) and never back (3.8.6). The scale cuts off less than one unit of
// it; what was advertised before is accepted all the same (RFC 7323 2.4).
static uint16_t window_of(struct mr_tcp_conn *c)
{
	uint32_t max = c->t->o.receive_window_max, edge = c->rcv_user + max, bytes, field;

	if (edge - c->rcv_edge < MR_MIN(max / 2, (uint32_t)c->rcv_mss))
		edge = c->rcv_edge;
	if (mr_seq_lt(edge, c->rcv_edge))
		edge = c->rcv_edge;
	bytes = mr_seq_lt(c->rcv_nxt, edge) ? edge - c->rcv_nxt : 0;
	field = MR_MIN(bytes >> c->rcv_shift, 65535u);
	c->rcv_edge = mr_seq_max(c->rcv_edge, c->rcv_nxt + (field << c->rcv_shift));
	return (uint16_t)field;
}

static void note_window(struct mr_tcp_conn *c, uint16_t window)
{
	if (window) {
		c->flags &= ~MR_TCP_C_SHUT_WINDOW;
	} else if (!(c->flags & MR_TCP_C_SHUT_WINDOW)) {
		c->flags |= MR_TCP_C_SHUT_WINDOW;
		MR_TCP_COUNT(c->t, zero_windows);
	}
}

int mr_tcp_emit(struct mr_tcp_conn *c, uint32_t seq, uint32_t bytes, uint8_t flags)
{
	uint32_t options = mr_tcp_options_bytes(c), header = MR_TCP_BYTES + options;
	struct mr_tcp *t = c->t;
	struct mr_tcp_packet p;
	uint16_t window;
	int err = begin(t, &c->e.path, &p);

	if (MR_UNLIKELY(err < 0))
		return err;
	MR_ASSERT(header + bytes <= p.bytes_max);
	window = flags & MR_TCP_RST ? 0 : window_of(c);
	put_header(p.l4, c->e.local_port, c->e.peer_port, seq, c->rcv_nxt, options, flags, window);
	if (c->flags & MR_TCP_C_TS) {
		mr_store_be32(p.l4 + 20, 0x0101080a);
		mr_store_be32(p.l4 + 24, t->now_ms + c->ts_offset);
		mr_store_be32(p.l4 + 28, c->ts_recent);
	}
	if (options > 12 || c->ranges_in)
		put_sacks(c, p.l4 + MR_TCP_BYTES + (c->flags & MR_TCP_C_TS ? 12 : 0));
	if (bytes)
		mr_tcp_queue_read(t, &c->out, seq, p.l4 + header, bytes);
	t->lower.send(t->lower.ctx, &c->e.path, &p, header + bytes);
	MR_TCP_COUNT(t, segments_out);
	if (flags & MR_TCP_RST)
		return 0;
	note_window(c, window);
	c->rcv_acked = c->rcv_nxt;
	c->flags &= ~(MR_TCP_C_ACK | MR_TCP_C_ACK_NOW);
	c->due_ack = 0;
	return 0;
}

void mr_tcp_refuse(struct mr_tcp *t, const struct mr_tcp_seg *s)
{
	struct mr_ip_path path = {.local = *s->dst, .peer = *s->src};
	struct mr_tcp_bare b = {.path = &path, .local_port = s->dst_port, .peer_port = s->src_port};

	if (s->flags & MR_TCP_RST || !t->lower.route(t->lower.ctx, &path))
		return;
	b.flags = MR_TCP_RST;
	if (s->flags & MR_TCP_ACK) {
		b.seq = s->ack;
	} else {
		b.flags |= MR_TCP_ACK;
		b.ack = s->seq + mr_tcp_seg_length(s);
	}
	if (mr_tcp_emit_bare(t, &b) == 0)
		MR_TCP_COUNT(t, reset_out);
}
