// Words, numbers and segments of a line: what the peer sends, what we must send, what state is.
#include "tests/lib/pktscript_int.h"

#include <stdio.h>
#include <stdlib.h>

// ---- words of a line

const char *pks_skip(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == ',')
		p++;
	return p;
}

bool pks_word(const char **p, const char *w)
{
	const char *at = pks_skip(*p);
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

	*p = pks_skip(*p);
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
		pks_wrong(r, "a number was expected at '%s'", *p);
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

long pks_number(struct run *r, const char **p)
{
	long v = term(r, p);

	while (**p == '+' || **p == '-') {
		char op = *(*p)++;
		long w = term(r, p);

		v = op == '+' ? v + w : v - w;
	}
	return v;
}

int64_t pks_seconds(struct run *r, const char **p)
{
	char *end;
	double v = strtod(*p, &end);

	if (end == *p)
		pks_wrong(r, "a time was expected at '%s'", *p);
	*p = end;
	return (int64_t)(v * 1e9 + 0.5);
}

void pks_want_end(struct run *r, const char *p)
{
	if (*pks_skip(p))
		pks_wrong(r, "not understood: '%s'", p);
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
		pks_wrong(r, "too many options");
	memcpy(s->raw + s->raw_bytes, bytes, n);
	s->raw_bytes += n;
}

static void option_ts(struct run *r, const char **p, struct spec *s)
{
	uint8_t b[10] = {8, 10};

	s->o.ts = true;
	*p = pks_skip(*p);
	if (**p == '*') {
		s->any_val = true;
		(*p)++;
	} else {
		s->o.ts_val = (uint32_t)pks_number(r, p);
	}
	*p = pks_skip(*p);
	if (**p == '*') {
		s->any_ecr = true;
		(*p)++;
	} else if (pks_word(p, "last")) {
		s->o.ts_ecr = remote(r)->last_ts;
	} else {
		s->o.ts_ecr = (uint32_t)pks_number(r, p);
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

	while (n < 4 && (*pks_skip(*p) == '$' || (*pks_skip(*p) >= '0' && *pks_skip(*p) <= '9'))) {
		s->o.sacks[2 * n] = base + (uint32_t)pks_number(r, p);
		if (**p != ':')
			pks_wrong(r, "a SACK block is A:B");
		(*p)++;
		s->o.sacks[2 * n + 1] = base + (uint32_t)pks_number(r, p);
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

	*p = pks_skip(*p);
	while (sscanf(*p, "%2x%n", &v, &n) == 1 && n == 2) {
		uint8_t b = (uint8_t)v;

		put(r, s, &b, 1);
		*p = pks_skip(*p + 2);
	}
}

static void options_of(struct run *r, const char **p, struct spec *s, bool ours)
{
	s->has_options = true;
	s->o.mss = s->o.ws = -1;
	for (;;) {
		*p = pks_skip(*p);
		if (**p == '>') {
			(*p)++;
			break;
		}
		if (pks_word(p, "mss")) {
			s->o.mss = (int)pks_number(r, p);
			put(r, s, (uint8_t[]){2, 4, (uint8_t)(s->o.mss >> 8), (uint8_t)s->o.mss},
				4);
		} else if (pks_word(p, "ws")) {
			s->o.ws = (int)pks_number(r, p);
			put(r, s, (uint8_t[]){3, 3, (uint8_t)s->o.ws}, 3);
		} else if (pks_word(p, "sackOK")) {
			s->o.sack_ok = true;
			put(r, s, (uint8_t[]){4, 2}, 2);
		} else if (pks_word(p, "ts")) {
			option_ts(r, p, s);
		} else if (pks_word(p, "sack")) {
			option_sack(r, p, s, ours);
		} else if (pks_word(p, "nop")) {
			put(r, s, (uint8_t[]){1}, 1);
		} else if (pks_word(p, "eol")) {
			put(r, s, (uint8_t[]){0}, 1);
		} else if (pks_word(p, "hex")) {
			option_hex(r, p, s);
		} else {
			pks_wrong(r, "no such option: '%s'", *p);
		}
	}
}

static struct spec parse_spec(struct run *r, const char *p, bool ours)
{
	static const char letters[] = "FSRP.UEW";
	struct spec s = {.has_ack = false};

	p = pks_skip(p);
	if (*p == '*' && p[1] == ' ') {
		s.any_flags = true;
		p++;
	}
	for (; *p && *p != ' '; p++) {
		const char *at = strchr(letters, *p);

		if (!at)
			pks_wrong(r, "no such flag: '%s'", p);
		s.flags |= (uint8_t)(1u << (at - letters));
	}
	p = pks_skip(p);
	if (*p == '*') {
		s.any_seq = s.any_end = true;
		p++;
	} else {
		s.seq = pks_number(r, &p);
		if (*p != ':')
			pks_wrong(r, "a segment is SEQ:END(LEN)");
		p++;
		s.end = pks_number(r, &p);
		if (*p != '(')
			pks_wrong(r, "a segment is SEQ:END(LEN)");
		p++;
		s.len = pks_number(r, &p);
		if (*p != ')' || s.end - s.seq != s.len)
			pks_wrong(r, "the length is not END - SEQ");
		p++;
	}
	while (*(p = pks_skip(p))) {
		if (pks_word(&p, "ack")) {
			s.has_ack = true;
			s.ack = pks_number(r, &p);
		} else if (pks_word(&p, "win")) {
			s.has_win = true;
			s.win = pks_number(r, &p);
		} else if (pks_word(&p, "wnd")) {
			s.has_wnd = true;
			s.wnd = pks_number(r, &p);
		} else if (pks_word(&p, "urg")) {
			s.urg = pks_number(r, &p);
		} else if (*p == '<') {
			p++;
			options_of(r, &p, &s, ours);
		} else {
			pks_wrong(r, "not understood: '%s'", p);
		}
	}
	return s;
}

void pks_inject(struct run *r, const char *p)
{
	char spoil = *p == '!' || *p == '?' ? *p++ : 0;
	struct spec s = parse_spec(r, p, false);
	static uint8_t payload[NETPKT_MAX];
	struct netpkt out = pks_from_peer(r, MR_IP_TCP);
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
	pks_put_frame(r, r->frame, bytes);
	mr_sim_way(r->sim, 1)->partial_sums = false;
	if (!r->in_burst)
		pks_moment(r);
}

static void compare_options(struct run *r, const struct spec *w, const struct sent *s)
{
	struct tcp_options o;

	pks_parse_options(&s->t, &o);
	if (w->o.mss != o.mss || w->o.ws != o.ws || w->o.sack_ok != o.sack_ok || w->o.ts != o.ts)
		pks_wrong(r, "options differ: %s", pks_describe(r, s));
	if (o.ts && !w->any_val && w->o.ts_val != o.ts_val)
		pks_wrong(r, "timestamp differs: %s", pks_describe(r, s));
	if (o.ts && !w->any_ecr && w->o.ts_ecr != o.ts_ecr)
		pks_wrong(r, "timestamp echo differs: %s", pks_describe(r, s));
	if (w->o.sacks_count != o.sacks_count ||
		memcmp(w->o.sacks, o.sacks, sizeof(uint32_t) * 2 * (size_t)o.sacks_count) != 0)
		pks_wrong(r, "SACK blocks differ: %s", pks_describe(r, s));
}

static void compare(struct run *r, const struct spec *w, const struct sent *s)
{
	const struct remote *m = &r->remotes[s->t.dst_port];
	uint32_t wnd = (uint32_t)s->t.window << (s->t.flags & NP_SYN ? 0 : m->our_ws);

	if (s->t.dst_port != r->peer_port || s->t.src_port != PORT)
		pks_wrong(r, "to another port: %s", pks_describe(r, s));
	if (!w->any_flags && (s->t.flags | NP_PSH) != (w->flags | NP_PSH))
		pks_wrong(r, "flags differ: %s", pks_describe(r, s));
	if (!w->any_seq && s->t.seq != m->our_isn + (uint32_t)w->seq)
		pks_wrong(r, "sequence differs: %s", pks_describe(r, s));
	if (!w->any_end && s->t.payload_bytes != (uint32_t)w->len)
		pks_wrong(r, "length differs: %s", pks_describe(r, s));
	if (w->has_ack && s->t.ack != r->peer_isn + (uint32_t)w->ack)
		pks_wrong(r, "acknowledgement differs: %s", pks_describe(r, s));
	if (w->has_win && s->t.window != w->win)
		pks_wrong(r, "window differs: %s", pks_describe(r, s));
	if (w->has_wnd && wnd != w->wnd)
		pks_wrong(r, "window differs, %u: %s", wnd, pks_describe(r, s));
	if (w->has_options)
		compare_options(r, w, s);
}

void pks_expect_segment(struct run *r, const char *p, int64_t from_ns, int64_t to_ns)
{
	struct spec w = parse_spec(r, p, true);
	struct sent *s;

	pks_advance(r, to_ns, true);
	if (r->count == 0)
		pks_wrong(r, "nothing was sent by +%.6f", (double)(r->now_ns - r->script_ns) / 1e9);
	s = &r->sent[r->head];
	compare(r, &w, s);
	if (s->ns < from_ns || s->ns > to_ns)
		pks_wrong(r, "at another time: %s", pks_describe(r, s));
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

	p = pks_skip(p);
	if (strcmp(p, "none") == 0) {
		if (found)
			pks_wrong(r, "there is a connection in %s", states[info.state]);
	} else if (!found || strcmp(p, states[info.state]) != 0) {
		pks_wrong(r, "the state is %s", found ? states[info.state] : "none");
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
		pks_wrong(r, "there is no connection to have %s", name);
	if (!find_field(infos, MR_COUNT_OF(infos), name, &info, &v))
		pks_wrong(r, "nothing is called %s", name);
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
		pks_wrong(r, "an expectation is NAME OP NUMBER");
	have = value_of(r, name);
	p += n;
	want = pks_number(r, &p);
	pks_want_end(r, p);
	good = strcmp(op, "=") == 0    ? have == want
	       : strcmp(op, "!=") == 0 ? have != want
	       : strcmp(op, "<") == 0  ? have < want
	       : strcmp(op, ">") == 0  ? have > want
	       : strcmp(op, "<=") == 0 ? have <= want
				       : have >= want;
	if (!good)
		pks_wrong(r, "%s is %lld", name, (long long)have);
}

static void expect_event(struct run *r, const char *p)
{
	struct remote *m = remote(r);

	p = pks_skip(p);
	if (strcmp(p, "none") == 0 ? m->last_event[0] != '\0' : strcmp(p, m->last_event) != 0)
		pks_wrong(r, "the last event was '%s'", m->last_event);
	m->last_event[0] = '\0';
}

void pks_expect(struct run *r, const char *p)
{
	pks_advance(r, r->now_ns, false);
	if (pks_word(&p, "state"))
		expect_state(r, p);
	else if (pks_word(&p, "event"))
		expect_event(r, p);
	else
		expect_value(r, pks_skip(p));
}
