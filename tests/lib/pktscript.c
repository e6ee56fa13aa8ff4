// The interpreter of packet scripts.
#include "tests/lib/pktscript.h"

#include "dataplane/tcpip/port_sim.h"
#include "dataplane/tcpip/stack.h"
#include "tests/lib/netpkt.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND 1000000000ll

enum {
	PORT = 9092,
	FRAMES = 2048,
	FRAME_BYTES = 16384,
	QUEUE = 2048,
	TOLERANCE_NS = 2000000,
	LINE_MAX = 512,
};

// ---- state

// A segment of ours, kept until a line has looked at it.
struct sent {
	int64_t ns;
	struct netpkt p;
	struct netpkt_tcp t;
	uint8_t frame[9216];
	uint32_t bytes;
};

// What is known of the connection with one port of the peer.
struct remote {
	bool isn_known;
	uint32_t our_isn;
	uint32_t last_ts;
	uint8_t peer_ws, our_ws;
	bool syn_sent_by_us;
	struct mr_tcp_conn *conn;
	uint64_t received, sent;
	char last_event[64];
	uint32_t events;
};

struct run {
	const struct pktscript *s;
	bool v6;
	int line;
	jmp_buf fail;
	struct mr_sim *sim;
	struct mr_port *port, *peer;
	struct mr_stack *stack;
	struct mr_tcp *tcp;
	struct mr_tcp_listener *listener;
	struct mr_stack_options o;
	struct mr_ip our_ip, peer_ip;
	int64_t now_ns, script_ns;
	uint32_t peer_isn;
	uint16_t peer_port;
	struct remote *remotes; // by port of the peer
	struct sent *sent;
	uint32_t head, count;
	long i; // $i
	bool in_burst, trace;
	char on_data[32], on_opened[32], on_ended[32];
	uint8_t frame[NETPKT_MAX], l4[NETPKT_MAX];
};

static char message[2048];
static struct run *running; // for callbacks

static const struct mr_mac our_mac = {{0x02, 0, 0, 0, 0, 1}};
static const struct mr_mac peer_mac = {{0x02, 0, 0, 0, 0, 2}};

static _Noreturn void wrong(struct run *r, const char *fmt, ...) MR_PRINTF(2, 3);

static _Noreturn void wrong(struct run *r, const char *fmt, ...)
{
	va_list args;
	int at = snprintf(message, sizeof(message), "%s:%d: %s over IPv%d: ", r->s->file, r->line,
		r->s->name, r->v6 ? 6 : 4);

	va_start(args, fmt);
	vsnprintf(message + at, sizeof(message) - (size_t)at, fmt, args);
	va_end(args);
	longjmp(r->fail, 1);
}

static uint8_t pattern(uint64_t offset)
{
	return (uint8_t)(offset % 251);
}

static struct remote *remote(struct run *r)
{
	return &r->remotes[r->peer_port];
}

// ---- the application

static void event(struct remote *m, const char *name, int err)
{
	snprintf(m->last_event, sizeof(m->last_event), "%s%s%s", name, err ? " " : "",
		err ? strerrorname_np(-err) : "");
	m->events++;
}

static void app_send(struct run *r, struct remote *m, long bytes)
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
		app_send(r, m, atol(what + 5));
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
	event(m, "opened", 0);
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

	event(m, "connected", err);
	if (err)
		m->conn = NULL;
}

static size_t on_data(struct mr_tcp_conn *c, struct mr_span bytes)
{
	struct remote *m = mr_tcp_user(c);
	struct run *r = running;
	size_t take = bytes.bytes;

	MR_ASSERT(bytes.bytes > 0);
	if (strncmp(r->on_data, "take ", 5) == 0) {
		take = MR_MIN(take, (size_t)atol(r->on_data + 5));
		mr_tcp_pause(c);
	}
	for (size_t i = 0; i < take; i++)
		if (bytes.data[i] != pattern(m->received + i))
			wrong(r, "byte %llu of the stream was delivered wrong",
				(unsigned long long)(m->received + i));
	m->received += take;
	react(r, m, r->on_data);
	return take;
}

static void on_sendable(struct mr_tcp_conn *c)
{
	event(mr_tcp_user(c), "sendable", 0);
}

static void on_ended(struct mr_tcp_conn *c)
{
	struct remote *m = mr_tcp_user(c);

	event(m, "ended", 0);
	react(running, m, running->on_ended);
}

static void on_closed(struct mr_tcp_conn *c, int err)
{
	struct remote *m = mr_tcp_user(c);

	event(m, "closed", err);
	m->conn = NULL;
}

static const struct mr_tcp_events app_events = {
	.opened = on_opened,
	.connected = on_connected,
	.data = on_data,
	.sendable = on_sendable,
	.ended = on_ended,
	.closed = on_closed,
};

// ---- options of TCP

struct tcp_options {
	int mss, ws; // -1: not there
	bool sack_ok, ts, other;
	uint32_t ts_val, ts_ecr;
	uint32_t sacks[8];
	int sacks_count; // pairs
};

static bool parse_options(const struct netpkt_tcp *t, struct tcp_options *o)
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

static const char *describe(struct run *r, const struct sent *s)
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
	parse_options(&s->t, &o);
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

static void put_frame(struct run *r, const uint8_t *frame, uint32_t bytes)
{
	if (!netpkt_put(r->peer, frame, bytes))
		wrong(r, "no frame left: the stack keeps them");
}

static struct netpkt from_peer(struct run *r, uint8_t protocol)
{
	return netpkt_ip(peer_mac, our_mac, &r->peer_ip, &r->our_ip, protocol);
}

// The peer answers what the stack asks of the link.
static void answer_link(struct run *r, const struct netpkt *p)
{
	if (netpkt_asks(p, &r->peer_ip))
		put_frame(r, r->frame,
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
			wrong(r, "byte %u of our stream was sent wrong", offset + i);
	}
}

static void note_sent(struct run *r, struct sent *s)
{
	struct remote *m = &r->remotes[s->t.dst_port];
	struct tcp_options o;

	if (!parse_options(&s->t, &o))
		wrong(r, "our segment has damaged options: %s", describe(r, s));
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
		printf("   %10.6f %s\n", (double)s->ns / 1e9, describe(r, s));
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
				wrong(r, "more frames than a script should cause");
			memcpy(s->frame, f[i].data, f[i].bytes);
			s->bytes = f[i].bytes;
			s->ns = r->now_ns;
			if (!netpkt_parse(s->frame, s->bytes, true, &s->p, &why))
				wrong(r, "we sent a damaged frame: %s", why);
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
static void moment(struct run *r)
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
static void advance(struct run *r, int64_t until_ns, bool stop)
{
	moment(r);
	while (r->now_ns < until_ns && !(stop && r->count > 0)) {
		int64_t next_ns = MR_MIN(mr_sim_next_ns(r->sim), mr_stack_next_ns(r->stack));

		r->now_ns = MR_MIN(MR_MAX(next_ns, r->now_ns + 1), until_ns);
		moment(r);
	}
}

// ---- words of a line

static const char *skip(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == ',')
		p++;
	return p;
}

static bool word(const char **p, const char *w)
{
	const char *at = skip(*p);
	size_t n = strlen(w);

	if (strncmp(at, w, n) != 0 || (at[n] && !strchr(" \t,:>()", at[n])))
		return false;
	*p = at + n;
	return true;
}

static long factor(struct run *r, const char **p)
{
	char *end;
	long v;

	*p = skip(*p);
	if (strncmp(*p, "$i", 2) == 0) {
		*p += 2;
		return r->i;
	}
	if (strncmp(*p, "$mss", 4) == 0) {
		*p += 4;
		return (r->o.mtu ? r->o.mtu : 1500) - (r->v6 ? 60 : 40);
	}
	v = strtol(*p, &end, 0);
	if (end == *p)
		wrong(r, "a number was expected at '%s'", *p);
	*p = end;
	return v;
}

static long term(struct run *r, const char **p)
{
	long v = factor(r, p);

	while (**p == '*' || **p == '%') {
		char op = *(*p)++;
		long w = factor(r, p);

		v = op == '*' ? v * w : v % w;
	}
	return v;
}

static long number(struct run *r, const char **p)
{
	long v = term(r, p);

	while (**p == '+' || **p == '-') {
		char op = *(*p)++;
		long w = term(r, p);

		v = op == '+' ? v + w : v - w;
	}
	return v;
}

static int64_t seconds(struct run *r, const char **p)
{
	char *end;
	double v = strtod(*p, &end);

	if (end == *p)
		wrong(r, "a time was expected at '%s'", *p);
	*p = end;
	return (int64_t)(v * 1e9 + 0.5);
}

static void want_end(struct run *r, const char *p)
{
	if (*skip(p))
		wrong(r, "not understood: '%s'", p);
}

// ---- segments of a line

struct spec {
	uint8_t flags;
	bool any_flags, any_seq, any_end, has_ack, has_win, has_wnd, has_options, any_ecr, any_val;
	long seq, end, len, ack, win, wnd, urg;
	struct tcp_options o;
	bool ecr_last;
	uint8_t raw[40];
	uint32_t raw_bytes; // of options as written
};

static void put(struct run *r, struct spec *s, const void *bytes, uint32_t n)
{
	if (s->raw_bytes + n > sizeof(s->raw))
		wrong(r, "too many options");
	memcpy(s->raw + s->raw_bytes, bytes, n);
	s->raw_bytes += n;
}

static void option_ts(struct run *r, const char **p, struct spec *s)
{
	uint8_t b[10] = {8, 10};

	s->o.ts = true;
	*p = skip(*p);
	if (**p == '*') {
		s->any_val = true;
		(*p)++;
	} else {
		s->o.ts_val = (uint32_t)number(r, p);
	}
	*p = skip(*p);
	if (**p == '*') {
		s->any_ecr = true;
		(*p)++;
	} else if (word(p, "last")) {
		s->o.ts_ecr = remote(r)->last_ts;
	} else {
		s->o.ts_ecr = (uint32_t)number(r, p);
	}
	mr_store_be32(b + 2, s->o.ts_val);
	mr_store_be32(b + 6, s->o.ts_ecr);
	put(r, s, b, 10);
}

static void option_sack(struct run *r, const char **p, struct spec *s, bool ours)
{
	uint32_t base = ours ? r->peer_isn : remote(r)->our_isn;
	uint8_t b[34] = {5};
	int n = 0;

	while (n < 4 && (*skip(*p) == '$' || (*skip(*p) >= '0' && *skip(*p) <= '9'))) {
		s->o.sacks[2 * n] = base + (uint32_t)number(r, p);
		if (**p != ':')
			wrong(r, "a SACK block is A:B");
		(*p)++;
		s->o.sacks[2 * n + 1] = base + (uint32_t)number(r, p);
		mr_store_be32(b + 2 + 8 * n, s->o.sacks[2 * n]);
		mr_store_be32(b + 6 + 8 * n, s->o.sacks[2 * n + 1]);
		n++;
	}
	s->o.sacks_count = n;
	b[1] = (uint8_t)(2 + 8 * n);
	put(r, s, b, b[1]);
}

static void option_hex(struct run *r, const char **p, struct spec *s)
{
	unsigned v;
	int n;

	*p = skip(*p);
	while (sscanf(*p, "%2x%n", &v, &n) == 1 && n == 2) {
		uint8_t b = (uint8_t)v;

		put(r, s, &b, 1);
		*p = skip(*p + 2);
	}
}

static void options_of(struct run *r, const char **p, struct spec *s, bool ours)
{
	s->has_options = true;
	s->o.mss = s->o.ws = -1;
	for (;;) {
		*p = skip(*p);
		if (**p == '>') {
			(*p)++;
			break;
		}
		if (word(p, "mss")) {
			s->o.mss = (int)number(r, p);
			put(r, s, (uint8_t[]){2, 4, (uint8_t)(s->o.mss >> 8), (uint8_t)s->o.mss},
				4);
		} else if (word(p, "ws")) {
			s->o.ws = (int)number(r, p);
			put(r, s, (uint8_t[]){3, 3, (uint8_t)s->o.ws}, 3);
		} else if (word(p, "sackOK")) {
			s->o.sack_ok = true;
			put(r, s, (uint8_t[]){4, 2}, 2);
		} else if (word(p, "ts")) {
			option_ts(r, p, s);
		} else if (word(p, "sack")) {
			option_sack(r, p, s, ours);
		} else if (word(p, "nop")) {
			put(r, s, (uint8_t[]){1}, 1);
		} else if (word(p, "eol")) {
			put(r, s, (uint8_t[]){0}, 1);
		} else if (word(p, "hex")) {
			option_hex(r, p, s);
		} else {
			wrong(r, "no such option: '%s'", *p);
		}
	}
}

static struct spec parse_spec(struct run *r, const char *p, bool ours)
{
	static const char letters[] = "FSRP.UEW";
	struct spec s = {.has_ack = false};

	p = skip(p);
	if (*p == '*' && p[1] == ' ') {
		s.any_flags = true;
		p++;
	}
	for (; *p && *p != ' '; p++) {
		const char *at = strchr(letters, *p);

		if (!at)
			wrong(r, "no such flag: '%s'", p);
		s.flags |= (uint8_t)(1u << (at - letters));
	}
	p = skip(p);
	if (*p == '*') {
		s.any_seq = s.any_end = true;
		p++;
	} else {
		s.seq = number(r, &p);
		if (*p != ':')
			wrong(r, "a segment is SEQ:END(LEN)");
		p++;
		s.end = number(r, &p);
		if (*p != '(')
			wrong(r, "a segment is SEQ:END(LEN)");
		p++;
		s.len = number(r, &p);
		if (*p != ')' || s.end - s.seq != s.len)
			wrong(r, "the length is not END - SEQ");
		p++;
	}
	while (*(p = skip(p))) {
		if (word(&p, "ack")) {
			s.has_ack = true;
			s.ack = number(r, &p);
		} else if (word(&p, "win")) {
			s.has_win = true;
			s.win = number(r, &p);
		} else if (word(&p, "wnd")) {
			s.has_wnd = true;
			s.wnd = number(r, &p);
		} else if (word(&p, "urg")) {
			s.urg = number(r, &p);
		} else if (*p == '<') {
			p++;
			options_of(r, &p, &s, ours);
		} else {
			wrong(r, "not understood: '%s'", p);
		}
	}
	return s;
}

static void inject(struct run *r, const char *p)
{
	char spoil = *p == '!' || *p == '?' ? *p++ : 0;
	struct spec s = parse_spec(r, p, false);
	static uint8_t payload[NETPKT_MAX];
	struct netpkt out = from_peer(r, MR_IP_TCP);
	struct netpkt_tcp t = {
		.src_port = r->peer_port,
		.dst_port = PORT,
		.seq = r->peer_isn + (uint32_t)s.seq,
		.ack = s.has_ack ? remote(r)->our_isn + (uint32_t)s.ack : 0,
		.flags = s.flags,
		.window = (uint16_t)(s.has_win ? s.win : 65535),
		.urgent = (uint16_t)s.urg,
		.options = s.raw,
		.payload = payload,
		.payload_bytes = (uint32_t)s.len,
	};
	uint32_t bytes;

	while (s.raw_bytes % 4)
		s.raw[s.raw_bytes++] = 0;
	t.options_bytes = s.raw_bytes;
	for (long i = 0; i < s.len; i++)
		payload[i] = pattern((uint64_t)(s.seq - !(s.flags & NP_SYN) + i));
	out.l4 = r->l4;
	out.l4_bytes = netpkt_tcp(r->l4, &t);
	bytes = netpkt_build(r->frame, &out);
	if (spoil == '!')
		r->frame[bytes - 1] ^= 1;
	mr_sim_way(r->sim, 1)->partial_sums = spoil == '?';
	if (r->trace)
		printf("   %10.6f < %s\n", (double)r->now_ns / 1e9, p);
	put_frame(r, r->frame, bytes);
	mr_sim_way(r->sim, 1)->partial_sums = false;
	if (!r->in_burst)
		moment(r);
}

static void compare_options(struct run *r, const struct spec *w, const struct sent *s)
{
	struct tcp_options o;

	parse_options(&s->t, &o);
	if (w->o.mss != o.mss || w->o.ws != o.ws || w->o.sack_ok != o.sack_ok || w->o.ts != o.ts)
		wrong(r, "options differ: %s", describe(r, s));
	if (o.ts && !w->any_val && w->o.ts_val != o.ts_val)
		wrong(r, "timestamp differs: %s", describe(r, s));
	if (o.ts && !w->any_ecr && w->o.ts_ecr != o.ts_ecr)
		wrong(r, "timestamp echo differs: %s", describe(r, s));
	if (w->o.sacks_count != o.sacks_count ||
		memcmp(w->o.sacks, o.sacks, sizeof(uint32_t) * 2 * (size_t)o.sacks_count) != 0)
		wrong(r, "SACK blocks differ: %s", describe(r, s));
}

static void compare(struct run *r, const struct spec *w, const struct sent *s)
{
	const struct remote *m = &r->remotes[s->t.dst_port];
	uint32_t wnd = (uint32_t)s->t.window << (s->t.flags & NP_SYN ? 0 : m->our_ws);

	if (s->t.dst_port != r->peer_port || s->t.src_port != PORT)
		wrong(r, "to another port: %s", describe(r, s));
	if (!w->any_flags && (s->t.flags | NP_PSH) != (w->flags | NP_PSH))
		wrong(r, "flags differ: %s", describe(r, s));
	if (!w->any_seq && s->t.seq != m->our_isn + (uint32_t)w->seq)
		wrong(r, "sequence differs: %s", describe(r, s));
	if (!w->any_end && s->t.payload_bytes != (uint32_t)w->len)
		wrong(r, "length differs: %s", describe(r, s));
	if (w->has_ack && s->t.ack != r->peer_isn + (uint32_t)w->ack)
		wrong(r, "acknowledgement differs: %s", describe(r, s));
	if (w->has_win && s->t.window != w->win)
		wrong(r, "window differs: %s", describe(r, s));
	if (w->has_wnd && wnd != w->wnd)
		wrong(r, "window differs, %u: %s", wnd, describe(r, s));
	if (w->has_options)
		compare_options(r, w, s);
}

static void expect_segment(struct run *r, const char *p, int64_t from_ns, int64_t to_ns)
{
	struct spec w = parse_spec(r, p, true);
	struct sent *s;

	advance(r, to_ns, true);
	if (r->count == 0)
		wrong(r, "nothing was sent by +%.6f", (double)(r->now_ns - r->script_ns) / 1e9);
	s = &r->sent[r->head];
	compare(r, &w, s);
	if (s->ns < from_ns || s->ns > to_ns)
		wrong(r, "at another time: %s", describe(r, s));
	r->head = (r->head + 1) % QUEUE;
	r->count--;
}

// ---- expectations of state

static const char *const states[MR_TCP_STATES] = {"SYN_SENT", "SYN_RECEIVED", "ESTABLISHED",
	"FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT"};

static bool find_info(struct run *r, struct mr_tcp_info *out)
{
	static struct mr_tcp_info all[4096];
	uint32_t n = mr_tcp_list(r->tcp, all, MR_COUNT_OF(all));

	for (uint32_t i = 0; i < MR_MIN(n, MR_COUNT_OF(all)); i++)
		if (all[i].peer_port == r->peer_port) {
			*out = all[i];
			return true;
		}
	return false;
}

static void expect_state(struct run *r, const char *p)
{
	struct mr_tcp_info info;
	bool found = find_info(r, &info);

	p = skip(p);
	if (strcmp(p, "none") == 0) {
		if (found)
			wrong(r, "there is a connection in %s", states[info.state]);
	} else if (!found || strcmp(p, states[info.state]) != 0) {
		wrong(r, "the state is %s", found ? states[info.state] : "none");
	}
}

struct field {
	const char *name;
	size_t offset;
	int bytes;
};

#define INFO(f)                                                                           \
	{                                                                                 \
#f, offsetof(struct mr_tcp_info, f), sizeof(((struct mr_tcp_info *)0)->f) \
	}
#define TCPC(f)                                                   \
	{                                                         \
		"tcp." #f, offsetof(struct mr_tcp_counters, f), 8 \
	}
#define STKC(f)                                                       \
	{                                                             \
		"stack." #f, offsetof(struct mr_stack_counters, f), 8 \
	}

static const struct field infos[] = {INFO(snd_wnd), INFO(rcv_wnd), INFO(cwnd), INFO(ssthresh),
	INFO(mss), INFO(srtt_ns), INFO(rttvar_ns), INFO(rto_ns), INFO(send_queued),
	INFO(receive_queued), INFO(out_of_order), INFO(received_bytes), INFO(sent_bytes),
	INFO(retransmits), INFO(timeouts), INFO(sack), INFO(timestamps), INFO(paused)};

static const struct field tcp_counters[] = {TCPC(segments_in), TCPC(segments_out), TCPC(bytes_in),
	TCPC(bytes_in_place), TCPC(bytes_queued), TCPC(bytes_out), TCPC(connections), TCPC(opened),
	TCPC(connected), TCPC(closed), TCPC(reset_in), TCPC(reset_out), TCPC(timed_out),
	TCPC(refused), TCPC(syns), TCPC(syns_dropped), TCPC(cookies_sent), TCPC(cookies_good),
	TCPC(cookies_bad), TCPC(timewaits), TCPC(timewaits_evicted), TCPC(timewaits_recycled),
	TCPC(acks_delayed), TCPC(duplicates), TCPC(out_of_order), TCPC(out_of_order_dropped),
	TCPC(memory_dropped), TCPC(memory_used), TCPC(outside_window), TCPC(paws_dropped),
	TCPC(challenge_acks), TCPC(challenge_limited), TCPC(bad_segments), TCPC(bad_sacks),
	TCPC(retransmits), TCPC(fast_recoveries), TCPC(timeouts), TCPC(probes), TCPC(tail_probes),
	TCPC(tail_losses), TCPC(keepalives), TCPC(window_updates), TCPC(zero_windows),
	TCPC(pmtu_lowered), TCPC(orphans_dropped)};

static const struct field stack_counters[] = {STKC(frames_in), STKC(frames_out), STKC(not_ours),
	STKC(bad_frame), STKC(bad_ip_sum), STKC(bad_tcp_sum), STKC(bad_partial_sum),
	STKC(icmp_unbelieved), STKC(pmtu_lowered), STKC(neighbour_unknown)};

static bool find_field(
	const struct field *fields, size_t n, const char *name, const void *base, int64_t *out)
{
	for (size_t i = 0; i < n; i++) {
		const uint8_t *at = (const uint8_t *)base + fields[i].offset;

		if (strcmp(fields[i].name, name) != 0)
			continue;
		*out = fields[i].bytes == 8   ? (int64_t)mr_load_le64(at)
		       : fields[i].bytes == 4 ? (int64_t)mr_load_le32(at)
					      : *at;
		return true;
	}
	return false;
}

static int64_t value_of(struct run *r, const char *name)
{
	struct mr_tcp_info info;
	int64_t v;

	if (strcmp(name, "received") == 0)
		return (int64_t)remote(r)->received;
	if (strcmp(name, "events") == 0)
		return remote(r)->events;
	if (strcmp(name, "sent") == 0)
		return (int64_t)remote(r)->sent;
	if (find_field(tcp_counters, MR_COUNT_OF(tcp_counters), name, mr_tcp_counters(r->tcp), &v))
		return v;
	if (find_field(stack_counters, MR_COUNT_OF(stack_counters), name,
		    mr_stack_counters(r->stack), &v))
		return v;
	if (!find_info(r, &info))
		wrong(r, "there is no connection to have %s", name);
	if (!find_field(infos, MR_COUNT_OF(infos), name, &info, &v))
		wrong(r, "nothing is called %s", name);
	return v;
}

static void expect_value(struct run *r, const char *p)
{
	char name[48], op[4];
	int n;
	int64_t have;
	long want;
	bool good;

	if (sscanf(p, "%47s %3s%n", name, op, &n) != 2)
		wrong(r, "an expectation is NAME OP NUMBER");
	have = value_of(r, name);
	p += n;
	want = number(r, &p);
	want_end(r, p);
	good = strcmp(op, "=") == 0    ? have == want
	       : strcmp(op, "!=") == 0 ? have != want
	       : strcmp(op, "<") == 0  ? have < want
	       : strcmp(op, ">") == 0  ? have > want
	       : strcmp(op, "<=") == 0 ? have <= want
				       : have >= want;
	if (!good)
		wrong(r, "%s is %lld", name, (long long)have);
}

static void expect_event(struct run *r, const char *p)
{
	struct remote *m = remote(r);

	p = skip(p);
	if (strcmp(p, "none") == 0 ? m->last_event[0] != '\0' : strcmp(p, m->last_event) != 0)
		wrong(r, "the last event was '%s'", m->last_event);
	m->last_event[0] = '\0';
}

static void expect(struct run *r, const char *p)
{
	advance(r, r->now_ns, false);
	if (word(&p, "state"))
		expect_state(r, p);
	else if (word(&p, "event"))
		expect_event(r, p);
	else
		expect_value(r, skip(p));
}

// ---- lines

static void establish(struct run *r, const char *p)
{
	long mss = (r->o.mtu ? r->o.mtu : 1500) - (r->v6 ? 60 : 40), ws = 7, win = 65535;
	bool sack = true, ts = false;
	char line[200], options[120];
	int at;

	while (*(p = skip(p))) {
		if (word(&p, "mss"))
			mss = number(r, &p);
		else if (word(&p, "ws"))
			ws = number(r, &p);
		else if (word(&p, "win"))
			win = number(r, &p);
		else if (word(&p, "nosack"))
			sack = false;
		else if (word(&p, "ts"))
			ts = true;
		else
			wrong(r, "not understood: '%s'", p);
	}
	at = snprintf(options, sizeof(options), "<mss %ld", mss);
	if (sack)
		at += snprintf(options + at, 40, ",sackOK");
	if (ts)
		at += snprintf(options + at, 40, ",ts 100 0");
	if (ws >= 0)
		at += snprintf(options + at, 40, ",ws %ld", ws);
	snprintf(line, sizeof(line), "S 0:0(0) win 65535 %s>", options);
	remote(r)->isn_known = remote(r)->syn_sent_by_us = false;
	inject(r, line);
	expect_segment(r, "S. 0:0(0) ack 1", r->now_ns, r->now_ns + TOLERANCE_NS);
	snprintf(line, sizeof(line), ". 1:1(0) ack 1 win %ld%s", win, ts ? " <ts 101 last>" : "");
	inject(r, line);
	if (!remote(r)->conn && strcmp(r->on_opened, "nothing") == 0)
		wrong(r, "the connection was not opened");
}

static void icmp(struct run *r, const char *p)
{
	long type = number(r, &p), code = number(r, &p), value = number(r, &p), seq = number(r, &p);
	uint8_t l4[256] = {0}, quote[NETPKT_MAX], tcp[64];
	struct netpkt_tcp t = {.src_port = PORT,
		.dst_port = r->peer_port,
		.seq = remote(r)->our_isn + (uint32_t)seq,
		.flags = NP_ACK};
	struct netpkt q = from_peer(r, MR_IP_TCP),
		      out = from_peer(r, r->v6 ? MR_IP_ICMP6 : MR_IP_ICMP);
	uint32_t bytes;

	q.src = r->our_ip;
	q.dst = r->peer_ip;
	q.l4_bytes = netpkt_tcp(tcp, &t);
	q.l4 = tcp;
	bytes = netpkt_build(quote, &q) - 14;
	if (!r->v6)
		mr_store_be16(quote + 16, 1500);
	memcpy(l4 + 8, quote + 14, bytes);
	mr_store_be32(l4 + 4, (uint32_t)value);
	l4[0] = (uint8_t)type;
	l4[1] = (uint8_t)code;
	if (r->v6) { // the same meaning in the other family's numbers
		l4[0] = type == 11 ? 3 : code == 4 ? 2 : 1;
		l4[1] = code == 3 ? 4 : 0;
	}
	out.l4 = l4;
	out.l4_bytes = 8 + bytes;
	put_frame(r, r->frame, netpkt_build(r->frame, &out));
	moment(r);
}

static struct mr_tcp_conn *conn(struct run *r)
{
	if (!remote(r)->conn)
		wrong(r, "the application has no connection");
	return remote(r)->conn;
}

static void do_listen(struct run *r)
{
	if (mr_tcp_listen(r->tcp, PORT, &app_events, r, &r->listener) < 0)
		wrong(r, "listen fails");
}

static void do_connect(struct run *r)
{
	struct remote *m = remote(r);
	int rc;

	if (r->listener) // its port is ours
		mr_tcp_unlisten(r->listener);
	r->listener = NULL;
	m->isn_known = m->syn_sent_by_us = false;
	rc = mr_tcp_connect(
		r->tcp, &r->our_ip, PORT, &r->peer_ip, r->peer_port, &app_events, m, &m->conn);
	if (rc < 0)
		wrong(r, "connect: %d", rc);
}

static bool app_line(struct run *r, const char *p)
{
	if (word(&p, "listen")) {
		do_listen(r);
	} else if (word(&p, "unlisten")) {
		mr_tcp_unlisten(r->listener);
		r->listener = NULL;
	} else if (word(&p, "connect")) {
		do_connect(r);
	} else if (word(&p, "send")) {
		conn(r);
		app_send(r, remote(r), number(r, &p));
	} else if (word(&p, "close")) {
		mr_tcp_close(conn(r));
		remote(r)->conn = NULL;
	} else if (word(&p, "abort")) {
		mr_tcp_abort(conn(r));
		remote(r)->conn = NULL;
	} else if (word(&p, "shutdown")) {
		mr_tcp_shutdown(conn(r));
	} else if (word(&p, "pause")) {
		mr_tcp_pause(conn(r));
	} else if (word(&p, "resume")) {
		mr_tcp_resume(conn(r));
	} else {
		return false;
	}
	want_end(r, p);
	moment(r);
	return true;
}

static void on_line(struct run *r, const char *p)
{
	char *to = word(&p, "data")     ? r->on_data
		   : word(&p, "opened") ? r->on_opened
		   : word(&p, "ended")  ? r->on_ended
					: NULL;

	if (!to)
		wrong(r, "no such event: '%s'", p);
	snprintf(to, 32, "%s", skip(p));
}

static void line_at(struct run *r, const char *p, int64_t from_ns, int64_t to_ns)
{
	if (*p == '>') {
		expect_segment(r, p + 1, from_ns, to_ns);
		return;
	}
	if (!r->in_burst)
		advance(r, r->script_ns, false);
	if (*p == '<') {
		inject(r, p + 1);
	} else if (word(&p, "quiet")) {
		int64_t ns;

		p = skip(p);
		ns = seconds(r, &p);
		advance(r, r->now_ns + ns, true);
		if (r->count > 0)
			wrong(r, "sent in the silence: %s", describe(r, &r->sent[r->head]));
		r->script_ns = r->now_ns;
	} else if (word(&p, "ignore")) {
		r->count = 0;
	} else if (word(&p, "expect")) {
		expect(r, p);
	} else if (word(&p, "establish")) {
		establish(r, p);
	} else if (word(&p, "burst")) {
		r->in_burst = true;
	} else if (word(&p, "port")) {
		r->peer_port = (uint16_t)number(r, &p);
	} else if (word(&p, "icmp")) {
		icmp(r, p);
	} else if (word(&p, "on")) {
		on_line(r, p);
	} else if (!app_line(r, p)) {
		wrong(r, "not understood: '%s'", p);
	}
}

static void run_line(struct run *r, const char *p)
{
	int64_t from_ns = r->script_ns, to_ns = r->script_ns;
	bool range = false;

	if (*p == '+') {
		p++;
		from_ns += seconds(r, &p);
		to_ns = from_ns;
		if (*p == '~') {
			p++;
			to_ns = r->script_ns + seconds(r, &p);
			range = true;
		}
		p = skip(p);
	}
	if (!range) {
		r->script_ns = from_ns;
		from_ns -= TOLERANCE_NS;
		to_ns += TOLERANCE_NS;
	}
	line_at(r, p, from_ns, to_ns);
	// What comes next is counted from here, when this was late.
	r->script_ns = MR_MAX(r->script_ns, range ? r->now_ns : r->script_ns);
}

// ---- options of the run

static const struct {
	const char *name;
	size_t offset;
	int bytes;
} settings[] = {
#define SET(f)                                                                                  \
	{                                                                                       \
#f, offsetof(struct mr_tcp_options, f), sizeof(((struct mr_tcp_options *)0)->f) \
	}
	SET(connections_max),
	SET(syns_max),
	SET(syns_per_source),
	SET(timewaits_max),
	SET(memory_bytes),
	SET(receive_window_max),
	SET(send_queue_max),
	SET(sack_bytes_max),
	SET(challenge_per_second),
	SET(keepalive_probes),
	SET(retries_max),
	SET(syn_retries_max),
	SET(always_cookies),
	SET(no_timestamps),
	SET(no_sack),
	SET(no_tail_probes),
	// Times.
	{"rto_min", offsetof(struct mr_tcp_options, rto_min_ns), 8},
	{"rto_max", offsetof(struct mr_tcp_options, rto_max_ns), 8},
	{"rto_first", offsetof(struct mr_tcp_options, rto_first_ns), 8},
	{"delayed_ack", offsetof(struct mr_tcp_options, delayed_ack_ns), 8},
	{"timewait", offsetof(struct mr_tcp_options, timewait_ns), 8},
	{"fin_wait2", offsetof(struct mr_tcp_options, fin_wait2_ns), 8},
	{"keepalive_idle", offsetof(struct mr_tcp_options, keepalive_idle_ns), 8},
	{"keepalive_every", offsetof(struct mr_tcp_options, keepalive_every_ns), 8},
};

static void set_option(struct run *r, const char *p)
{
	char name[48], text[48];
	char *unit;
	double v;

	if (sscanf(p, "%47s %47s", name, text) != 2)
		wrong(r, "an option is NAME VALUE");
	v = strtod(text, &unit);
	v *= strcmp(unit, "ms") == 0 ? 1e6 : strcmp(unit, "us") == 0 ? 1e3 : *unit == 's' ? 1e9 : 1;
	if (strcmp(name, "mtu") == 0) {
		r->o.mtu = (uint16_t)v;
		return;
	}
	if (strcmp(name, "peer_isn") == 0) {
		r->peer_isn = (uint32_t)v;
		return;
	}
	for (size_t i = 0; i < MR_COUNT_OF(settings); i++) {
		uint64_t bits = (uint64_t)(int64_t)v;

		if (strcmp(settings[i].name, name) != 0)
			continue;
		memcpy((uint8_t *)&r->o.tcp + settings[i].offset, &bits, (size_t)settings[i].bytes);
		return;
	}
	wrong(r, "no such option: %s", name);
}

static void begin(struct run *r)
{
	struct mr_sim_port_options po = {.mac = our_mac, .mtu = 9000, .rx_max = 4096};

	if (mr_sim_create(1, FRAMES, FRAME_BYTES, &r->sim) < 0 || mr_sim_add(r->sim, &po) < 0)
		wrong(r, "no memory");
	po.mac = peer_mac;
	if (mr_sim_add(r->sim, &po) < 0)
		wrong(r, "no memory");
	r->port = mr_sim_queue(r->sim, 0, 0);
	r->peer = mr_sim_queue(r->sim, 1, 0);
	if (mr_ip_parse(r->v6 ? "fd00::1" : "10.0.0.1", &r->our_ip) < 0 ||
		mr_ip_parse(r->v6 ? "fd00::2" : "10.0.0.2", &r->peer_ip) < 0)
		wrong(r, "no address");
	r->o.port = r->port;
	r->o.mtu = r->o.mtu ? r->o.mtu : 1500;
	r->o.addresses[0] = (struct mr_stack_address){r->our_ip, r->v6 ? 64 : 24};
	r->o.addresses_count = 1;
	r->o.now_ns = r->now_ns = SECOND;
	r->o.seed = 1;
	if (r->o.tcp.memory_bytes == 0)
		r->o.tcp.memory_bytes = 16u << 20;
	if (mr_stack_create(&r->o, &r->stack) < 0)
		wrong(r, "mr_stack_create refuses the options");
	r->tcp = mr_stack_tcp(r->stack);
	do_listen(r);
	// Past duplicate address detection, with the neighbour known.
	advance(r, 3 * SECOND, false);
	put_frame(r, r->frame, netpkt_ask(r->frame, peer_mac, our_mac, &r->peer_ip, &r->our_ip));
	advance(r, r->now_ns, false);
	r->script_ns = r->now_ns;
}

static void finish(struct run *r)
{
	if (r->stack)
		mr_stack_destroy(r->stack);
	r->stack = NULL;
	if (r->sim)
		mr_sim_time(r->sim, INT64_MAX - 1);
}

// Copies the next line without its comment; returns past it, NULL at the end.
static const char *next_line(const char *p, char line[LINE_MAX])
{
	const char *end = strchr(p, '\n');
	size_t n;

	if (!*p)
		return NULL;
	end = end ? end : p + strlen(p);
	n = MR_MIN((size_t)(end - p), LINE_MAX - 1u);
	memcpy(line, p, n);
	line[n] = '\0';
	if (strchr(line, '#'))
		*strchr(line, '#') = '\0';
	for (n = strlen(line); n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'); n--)
		line[n - 1] = '\0';
	return *end ? end + 1 : end;
}

static void interpret(struct run *r)
{
	char line[LINE_MAX];
	const char *p = r->s->text, *again = NULL;
	int again_line = 0;
	long times = 0;
	bool begun = false;

	for (r->line = r->s->line + 1; (p = next_line(p, line)); r->line++) {
		const char *at = skip(line);

		if (!*at)
			continue;
		if (word(&at, "option")) {
			set_option(r, skip(at));
			continue;
		}
		if (!begun)
			begin(r);
		begun = true;
		if (word(&at, "repeat")) {
			times = number(r, &at);
			r->i = 0;
			again = p;
			again_line = r->line;
		} else if (word(&at, "end")) {
			if (r->in_burst) {
				r->in_burst = false;
				moment(r);
			} else if (++r->i < times) {
				p = again;
				r->line = again_line;
			} else {
				r->i = 0;
			}
		} else {
			run_line(r, skip(at));
		}
	}
	moment(r);
	if (r->count > 0)
		wrong(r, "sent, and not expected: %s", describe(r, &r->sent[r->head]));
}

const char *pktscript_run(const struct pktscript *s, bool v6)
{
	struct run *r = calloc(1, sizeof(*r));
	const char *volatile result = NULL;

	r->s = s;
	r->v6 = v6;
	r->line = s->line;
	r->peer_port = 1000;
	r->peer_isn = 70000;
	r->trace = getenv("PKT_TRACE") != NULL;
	r->remotes = calloc(65536, sizeof(*r->remotes));
	r->sent = malloc(QUEUE * sizeof(*r->sent));
	strcpy(r->on_data, "nothing");
	strcpy(r->on_opened, "nothing");
	strcpy(r->on_ended, "nothing");
	running = r;
	if (setjmp(r->fail) == 0) {
		interpret(r);
		finish(r);
		mr_sim_check(r->sim);
		if (mr_sim_frames_lent(r->sim) != 0)
			wrong(r, "%u frames were not given back", mr_sim_frames_lent(r->sim));
	} else {
		result = message;
		finish(r);
	}
	mr_sim_destroy(r->sim);
	free(r->remotes);
	free(r->sent);
	free(r);
	return result;
}

// ---- files

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_script(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 4 && strcmp(e->d_name + n - 4, ".pkt") == 0;
}

static void add_line(struct pktscript *s, const char *line)
{
	size_t have = s->text ? strlen(s->text) : 0, more = strlen(line);

	s->text = realloc(s->text, have + more + 1);
	memcpy(s->text + have, line, more + 1);
}

static void load_file(const char *path, struct pktscript **all, int *count)
{
	FILE *f = fopen(path, "r");
	struct pktscript *s = NULL;
	char line[LINE_MAX];
	int number_of_line = 0;

	MR_ASSERT(f);
	while (fgets(line, sizeof(line), f)) {
		number_of_line++;
		if (strncmp(line, "== ", 3) == 0) {
			*all = realloc(*all, (size_t)(*count + 1) * sizeof(**all));
			s = &(*all)[(*count)++];
			*s = (struct pktscript){.line = number_of_line};
			snprintf(s->file, sizeof(s->file), "%s", path);
			sscanf(line + 3, "%95s", s->name);
			s->only4 = strstr(line, " ipv4") != NULL;
			s->only6 = strstr(line, " ipv6") != NULL;
			add_line(s, "");
		} else if (s) {
			add_line(s, line);
		}
	}
	fclose(f);
}

int pktscript_load(const char *folder, struct pktscript **out)
{
	struct dirent **names;
	int n = scandir(folder, &names, is_script, by_name), count = 0;
	char path[128];

	*out = NULL;
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%.40s/%.80s", folder, names[i]->d_name);
		load_file(path, out, &count);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return count;
}
