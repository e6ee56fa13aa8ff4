// The interpreter of packet scripts.
#include "tests/lib/pktscript_int.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct run *pks_running;
static char message[2048];

_Noreturn void pks_wrong(struct run *r, const char *fmt, ...)
{
	va_list args;
	int at = snprintf(message, sizeof(message), "%s:%d: %s over IPv%d: ", r->s->file, r->line,
		r->s->name, r->v6 ? 6 : 4);

	va_start(args, fmt);
	vsnprintf(message + at, sizeof(message) - (size_t)at, fmt, args);
	va_end(args);
	longjmp(r->fail, 1);
}

// ---- lines

static void establish(struct run *r, const char *p)
{
	long mss = (r->o.mtu ? r->o.mtu : 1500) - (r->v6 ? 60 : 40), ws = 7, win = 65535;
	bool sack = true, ts = false;
	char line[200], options[120];
	int at;

	while (*(p = pks_skip(p))) {
		if (pks_word(&p, "mss"))
			mss = pks_number(r, &p);
		else if (pks_word(&p, "ws"))
			ws = pks_number(r, &p);
		else if (pks_word(&p, "win"))
			win = pks_number(r, &p);
		else if (pks_word(&p, "nosack"))
			sack = false;
		else if (pks_word(&p, "ts"))
			ts = true;
		else
			pks_wrong(r, "not understood: '%s'", p);
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
	pks_inject(r, line);
	pks_expect_segment(r, "S. 0:0(0) ack 1", r->now_ns, r->now_ns + TOLERANCE_NS);
	snprintf(line, sizeof(line), ". 1:1(0) ack 1 win %ld%s", win, ts ? " <ts 101 last>" : "");
	pks_inject(r, line);
	if (!remote(r)->conn && strcmp(r->on_opened, "nothing") == 0)
		pks_wrong(r, "the connection was not opened");
}

static void icmp(struct run *r, const char *p)
{
	long type = pks_number(r, &p), code = pks_number(r, &p), value = pks_number(r, &p),
	     seq = pks_number(r, &p);
	uint8_t l4[256] = {0}, quote[NETPKT_MAX], tcp[64];
	struct netpkt_tcp t = {.src_port = PORT,
		.dst_port = r->peer_port,
		.seq = remote(r)->our_isn + (uint32_t)seq,
		.flags = NP_ACK};
	struct netpkt q = pks_from_peer(r, MR_IP_TCP),
		      out = pks_from_peer(r, r->v6 ? MR_IP_ICMP6 : MR_IP_ICMP);
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
	pks_put_frame(r, r->frame, netpkt_build(r->frame, &out));
	pks_moment(r);
}

static struct mr_tcp_conn *conn(struct run *r)
{
	if (!remote(r)->conn)
		pks_wrong(r, "the application has no connection");
	return remote(r)->conn;
}

static void do_listen(struct run *r)
{
	if (mr_tcp_listen(r->tcp, PORT, &pks_events, r, &r->listener) < 0)
		pks_wrong(r, "listen fails");
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
		r->tcp, &r->our_ip, PORT, &r->peer_ip, r->peer_port, &pks_events, m, &m->conn);
	if (rc < 0)
		pks_wrong(r, "connect: %d", rc);
}

static bool app_line(struct run *r, const char *p)
{
	if (pks_word(&p, "listen")) {
		do_listen(r);
	} else if (pks_word(&p, "unlisten")) {
		mr_tcp_unlisten(r->listener);
		r->listener = NULL;
	} else if (pks_word(&p, "connect")) {
		do_connect(r);
	} else if (pks_word(&p, "send")) {
		conn(r);
		pks_app_send(r, remote(r), pks_number(r, &p));
	} else if (pks_word(&p, "close")) {
		mr_tcp_close(conn(r));
		remote(r)->conn = NULL;
	} else if (pks_word(&p, "abort")) {
		mr_tcp_abort(conn(r));
		remote(r)->conn = NULL;
	} else if (pks_word(&p, "shutdown")) {
		mr_tcp_shutdown(conn(r));
	} else if (pks_word(&p, "pause")) {
		mr_tcp_pause(conn(r));
	} else if (pks_word(&p, "resume")) {
		mr_tcp_resume(conn(r));
	} else {
		return false;
	}
	pks_want_end(r, p);
	pks_moment(r);
	return true;
}

static void on_line(struct run *r, const char *p)
{
	char *to = pks_word(&p, "data")     ? r->on_data
		   : pks_word(&p, "opened") ? r->on_opened
		   : pks_word(&p, "ended")  ? r->on_ended
					    : NULL;

	if (!to)
		pks_wrong(r, "no such event: '%s'", p);
	snprintf(to, 32, "%s", pks_skip(p));
}

static void line_at(struct run *r, const char *p, int64_t from_ns, int64_t to_ns)
{
	if (*p == '>') {
		pks_expect_segment(r, p + 1, from_ns, to_ns);
		return;
	}
	if (!r->in_burst)
		pks_advance(r, r->script_ns, false);
	if (*p == '<') {
		pks_inject(r, p + 1);
	} else if (pks_word(&p, "quiet")) {
		int64_t ns;

		p = pks_skip(p);
		ns = pks_seconds(r, &p);
		pks_advance(r, r->now_ns + ns, true);
		if (r->count > 0)
			pks_wrong(r, "sent in the silence: %s", pks_describe(r, &r->sent[r->head]));
		r->script_ns = r->now_ns;
	} else if (pks_word(&p, "ignore")) {
		r->count = 0;
	} else if (pks_word(&p, "expect")) {
		pks_expect(r, p);
	} else if (pks_word(&p, "establish")) {
		establish(r, p);
	} else if (pks_word(&p, "burst")) {
		r->in_burst = true;
	} else if (pks_word(&p, "port")) {
		r->peer_port = (uint16_t)pks_number(r, &p);
	} else if (pks_word(&p, "icmp")) {
		icmp(r, p);
	} else if (pks_word(&p, "on")) {
		on_line(r, p);
	} else if (!app_line(r, p)) {
		pks_wrong(r, "not understood: '%s'", p);
	}
}

static void run_line(struct run *r, const char *p)
{
	int64_t from_ns = r->script_ns, to_ns = r->script_ns;
	bool range = false;

	if (*p == '+') {
		p++;
		from_ns += pks_seconds(r, &p);
		to_ns = from_ns;
		if (*p == '~') {
			p++;
			to_ns = r->script_ns + pks_seconds(r, &p);
			range = true;
		}
		p = pks_skip(p);
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
		pks_wrong(r, "an option is NAME VALUE");
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
	pks_wrong(r, "no such option: %s", name);
}

static void begin(struct run *r)
{
	struct mr_sim_port_options po = {.mac = our_mac, .mtu = 9000, .rx_max = 4096};

	if (mr_sim_create(1, FRAMES, FRAME_BYTES, &r->sim) < 0 || mr_sim_add(r->sim, &po) < 0)
		pks_wrong(r, "no memory");
	po.mac = peer_mac;
	if (mr_sim_add(r->sim, &po) < 0)
		pks_wrong(r, "no memory");
	r->port = mr_sim_queue(r->sim, 0, 0);
	r->peer = mr_sim_queue(r->sim, 1, 0);
	if (mr_ip_parse(r->v6 ? "fd00::1" : "10.0.0.1", &r->our_ip) < 0 ||
		mr_ip_parse(r->v6 ? "fd00::2" : "10.0.0.2", &r->peer_ip) < 0)
		pks_wrong(r, "no address");
	r->o.port = r->port;
	r->o.mtu = r->o.mtu ? r->o.mtu : 1500;
	r->o.addresses[0] = (struct mr_stack_address){r->our_ip, r->v6 ? 64 : 24};
	r->o.addresses_count = 1;
	r->o.now_ns = r->now_ns = SECOND;
	r->o.seed = 1;
	if (r->o.tcp.memory_bytes == 0)
		r->o.tcp.memory_bytes = 16u << 20;
	if (mr_stack_create(&r->o, &r->stack) < 0)
		pks_wrong(r, "mr_stack_create refuses the options");
	r->tcp = mr_stack_tcp(r->stack);
	do_listen(r);
	// Past duplicate address detection, with the neighbour known.
	pks_advance(r, 3 * SECOND, false);
	pks_put_frame(
		r, r->frame, netpkt_ask(r->frame, peer_mac, our_mac, &r->peer_ip, &r->our_ip));
	pks_advance(r, r->now_ns, false);
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
		const char *at = pks_skip(line);

		if (!*at)
			continue;
		if (pks_word(&at, "option")) {
			set_option(r, pks_skip(at));
			continue;
		}
		if (!begun)
			begin(r);
		begun = true;
		if (pks_word(&at, "repeat")) {
			times = pks_number(r, &at);
			r->i = 0;
			again = p;
			again_line = r->line;
		} else if (pks_word(&at, "end")) {
			if (r->in_burst) {
				r->in_burst = false;
				pks_moment(r);
			} else if (++r->i < times) {
				p = again;
				r->line = again_line;
			} else {
				r->i = 0;
			}
		} else {
			run_line(r, pks_skip(at));
		}
	}
	pks_moment(r);
	if (r->count > 0)
		pks_wrong(r, "sent, and not expected: %s", pks_describe(r, &r->sent[r->head]));
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
	pks_running = r;
	if (setjmp(r->fail) == 0) {
		interpret(r);
		finish(r);
		mr_sim_check(r->sim);
		if (mr_sim_frames_lent(r->sim) != 0)
			pks_wrong(r, "%u frames were not given back", mr_sim_frames_lent(r->sim));
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
