// The application above our stack, and the peer and its wire below.
#include "tests/lib/pktscript_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

// ---- the application

void pks_event(struct remote *m, const char *name, int err)
{
	snprintf(m->last_event, sizeof(m->last_event), "%s%s%s", name, err ? " " : "",
		err ? strerrorname_np(-err) : "");
	m->events++;
}

void pks_app_send(struct run *r, struct remote *m, long bytes)
{
	uint8_t chunk[4096];

	while (bytes > 0) {
		size_t n = (size_t)MR_MIN(bytes, (long)sizeof(chunk)), taken;

		for (size_t i = 0; i < n; i++)
			chunk[i] = pattern(m->sent + i);
		taken = mr_tcp_send(m->conn, chunk, n);
		m->sent += taken;
		bytes -= (long)taken;
		if (taken < n)
			break;
	}
	(void)r;
}

// What `on …` asks for. Returns whether the connection is still ours.
static bool react(struct run *r, struct remote *m, const char *what)
{
	if (strcmp(what, "pause") == 0)
		mr_tcp_pause(m->conn);
	else if (strcmp(what, "shutdown") == 0)
		mr_tcp_shutdown(m->conn);
	else if (strncmp(what, "send ", 5) == 0)
		pks_app_send(r, m, atol(what + 5));
	else if (strcmp(what, "close") == 0 || strcmp(what, "abort") == 0) {
		struct mr_tcp_conn *c = m->conn;

		m->conn = NULL;
		if (what[0] == 'c')
			mr_tcp_close(c);
		else
			mr_tcp_abort(c);
		return false;
	}
	return true;
}

static int on_opened(void *owner, struct mr_tcp_conn *c)
{
	struct run *r = owner;
	struct mr_tcp_info info;
	struct remote *m;

	mr_tcp_get_info(c, &info);
	m = &r->remotes[info.peer_port];
	pks_event(m, "opened", 0);
	if (strcmp(r->on_opened, "refuse") == 0)
		return -ECONNREFUSED;
	mr_tcp_set_user(c, m);
	m->conn = c;
	m->received = m->sent = 0;
	react(r, m, r->on_opened);
	return 0;
}

static void on_connected(struct mr_tcp_conn *c, int err)
{
	struct remote *m = mr_tcp_user(c);

	pks_event(m, "connected", err);
	if (err)
		m->conn = NULL;
}

static size_t on_data(struct mr_tcp_conn *c, struct mr_span bytes)
{
	struct remote *m = mr_tcp_user(c);
	struct run *r = pks_running;
	size_t take = bytes.bytes;

	MR_ASSERT(bytes.bytes > 0);
	if (strncmp(r->on_data, "take ", 5) == 0) {
		take = MR_MIN(take, (size_t)atol(r->on_data + 5));
		mr_tcp_pause(c);
	}
	for (size_t i = 0; i < take; i++)
		if (bytes.data[i] != pattern(m->received + i))
			pks_wrong(r, "byte %llu of the stream was delivered wrong",
				(unsigned long long)(m->received + i));
	m->received += take;
	react(r, m, r->on_data);
	return take;
}

static void on_sendable(struct mr_tcp_conn *c)
{
	pks_event(mr_tcp_user(c), "sendable", 0);
}

static void on_ended(struct mr_tcp_conn *c)
{
	struct remote *m = mr_tcp_user(c);

	pks_event(m, "ended", 0);
	react(pks_running, m, pks_running->on_ended);
}

static void on_closed(struct mr_tcp_conn *c, int err)
{
	struct remote *m = mr_tcp_user(c);

	pks_event(m, "closed", err);
	m->conn = NULL;
}

const struct mr_tcp_events pks_events = {
	.opened = on_opened,
	.connected = on_connected,
	.data = on_data,
	.sendable = on_sendable,
	.ended = on_ended,
	.closed = on_closed,
};

// ---- options of TCP

bool pks_parse_options(const struct netpkt_tcp *t, struct tcp_options *o)
{
	struct mr_reader r = mr_reader(mr_span(t->options, t->options_bytes));

	*o = (struct tcp_options){.mss = -1, .ws = -1};
	while (mr_read_left(&r) > 0) {
		uint8_t kind = mr_read_u8(&r), bytes;

		if (kind == 0)
			break;
		if (kind == 1)
			continue;
		bytes = mr_read_u8(&r);
		if (bytes < 2)
			return false;
		if (kind == 2 && bytes == 4)
			o->mss = mr_read_be16(&r);
		else if (kind == 3 && bytes == 3)
			o->ws = mr_read_u8(&r);
		else if (kind == 4 && bytes == 2)
			o->sack_ok = true;
		else if (kind == 8 && bytes == 10) {
			o->ts = true;
			o->ts_val = mr_read_be32(&r);
			o->ts_ecr = mr_read_be32(&r);
		} else if (kind == 5 && bytes % 8 == 2 && bytes <= 34) {
			for (; o->sacks_count < (bytes - 2) / 8; o->sacks_count++) {
				o->sacks[2 * o->sacks_count] = mr_read_be32(&r);
				o->sacks[2 * o->sacks_count + 1] = mr_read_be32(&r);
			}
		} else {
			o->other = true;
			mr_read_bytes(&r, bytes - 2u);
		}
	}
	return !r.bad;
}

const char *pks_describe(struct run *r, const struct sent *s)
{
	static char text[400];
	const struct remote *m = &r->remotes[s->t.dst_port];
	static const char letters[] = "FSRP.UEW";
	struct tcp_options o;
	char flags[9];
	int n = 0, at;
	uint32_t seq = s->t.seq - m->our_isn;

	for (int i = 0; i < 8; i++)
		if (s->t.flags >> i & 1)
			flags[n++] = letters[i];
	flags[n] = '\0';
	pks_parse_options(&s->t, &o);
	at = snprintf(text, sizeof(text), "+%.6f > %s %u:%u(%u) ack %u win %u port %u",
		(double)(s->ns - r->script_ns) / 1e9, flags, seq, seq + s->t.payload_bytes,
		s->t.payload_bytes, s->t.flags & NP_ACK ? s->t.ack - r->peer_isn : 0, s->t.window,
		s->t.dst_port);
	if (o.mss >= 0)
		at += snprintf(text + at, 30, " mss %d", o.mss);
	if (o.ws >= 0)
		at += snprintf(text + at, 30, " ws %d", o.ws);
	if (o.sack_ok)
		at += snprintf(text + at, 30, " sackOK");
	if (o.ts)
		at += snprintf(text + at, 40, " ts %u %u", o.ts_val, o.ts_ecr);
	for (int i = 0; i < o.sacks_count; i++)
		at += snprintf(text + at, 40, " sack %u:%u", o.sacks[2 * i] - r->peer_isn,
			o.sacks[2 * i + 1] - r->peer_isn);
	return text;
}

// ---- the wire

void pks_put_frame(struct run *r, const uint8_t *frame, uint32_t bytes)
{
	if (!netpkt_put(r->peer, frame, bytes))
		pks_wrong(r, "no frame left: the stack keeps them");
}

struct netpkt pks_from_peer(struct run *r, uint8_t protocol)
{
	return netpkt_ip(peer_mac, our_mac, &r->peer_ip, &r->our_ip, protocol);
}

// The peer answers what the stack asks of the link.
static void answer_link(struct run *r, const struct netpkt *p)
{
	if (netpkt_asks(p, &r->peer_ip))
		pks_put_frame(r, r->frame,
			netpkt_answer(r->frame, peer_mac, our_mac, &r->peer_ip, &r->our_ip));
}

static void verify_payload(struct run *r, const struct sent *s, const struct remote *m)
{
	uint32_t offset = s->t.seq - m->our_isn - 1;

	for (uint32_t i = 0; i < s->t.payload_bytes; i++) {
		// A probe may repeat a byte from before the stream; keepalives do.
		if (offset + i >= m->sent)
			continue;
		if (s->t.payload[i] != pattern(offset + i))
			pks_wrong(r, "byte %u of our stream was sent wrong", offset + i);
	}
}

static void note_sent(struct run *r, struct sent *s)
{
	struct remote *m = &r->remotes[s->t.dst_port];
	struct tcp_options o;

	if (!pks_parse_options(&s->t, &o))
		pks_wrong(r, "our segment has damaged options: %s", pks_describe(r, s));
	if (s->t.flags & NP_SYN) {
		if (!m->isn_known || !m->syn_sent_by_us || m->our_isn != s->t.seq)
			m->our_isn = s->t.seq;
		m->isn_known = m->syn_sent_by_us = true;
		m->our_ws = o.ws >= 0 ? (uint8_t)o.ws : 0;
	}
	if (o.ts)
		m->last_ts = o.ts_val;
	if (s->t.payload_bytes && m->isn_known)
		verify_payload(r, s, m);
	if (r->trace)
		printf("   %10.6f %s\n", (double)s->ns / 1e9, pks_describe(r, s));
}

static void collect(struct run *r)
{
	struct mr_frame f[32];
	const char *why;
	int n;

	while ((n = mr_port_rx(r->peer, f, 32)) > 0) {
		for (int i = 0; i < n; i++) {
			struct sent *s = &r->sent[(r->head + r->count) % QUEUE];

			if (f[i].bytes > sizeof(s->frame) || r->count == QUEUE)
				pks_wrong(r, "more frames than a script should cause");
			memcpy(s->frame, f[i].data, f[i].bytes);
			s->bytes = f[i].bytes;
			s->ns = r->now_ns;
			if (!netpkt_parse(s->frame, s->bytes, true, &s->p, &why))
				pks_wrong(r, "we sent a damaged frame: %s", why);
			if (netpkt_parse_tcp(&s->p, &s->t)) {
				note_sent(r, s);
				r->count++;
			} else {
				answer_link(r, &s->p);
			}
		}
		mr_port_rx_done(r->peer, f, n);
	}
}

// All that happens at this moment.
void pks_moment(struct run *r)
{
	do {
		mr_sim_time(r->sim, r->now_ns);
		while (mr_stack_turn(r->stack, r->now_ns, 64) > 0)
			mr_sim_time(r->sim, r->now_ns);
		mr_sim_time(r->sim, r->now_ns);
		collect(r);
	} while (mr_sim_next_ns(r->sim) <= r->now_ns);
	mr_tcp_check(r->tcp);
}

// Up to `until_ns`, or to the first segment of ours when `stop`.
void pks_advance(struct run *r, int64_t until_ns, bool stop)
{
	pks_moment(r);
	while (r->now_ns < until_ns && !(stop && r->count > 0)) {
		int64_t next_ns = MR_MIN(mr_sim_next_ns(r->sim), mr_stack_next_ns(r->stack));

		r->now_ns = MR_MIN(MR_MAX(next_ns, r->now_ns + 1), until_ns);
		pks_moment(r);
	}
}
