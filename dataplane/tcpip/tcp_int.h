// TCP's own structures: what its files share. The map of them is in README.md.
//
// Sequence numbers are 32 bits and wrap: they are compared by mr_seq_* only. snd_* is what we send,
// rcv_* what we receive, named as in RFC 9293 3.3.1 where it has a name.
#pragma once

#include "dataplane/tcpip/siphash.h"
#include "dataplane/tcpip/tcp.h"
#include "dataplane/tcpip/wheel.h"
#include "host/base/rand.h"
#include "host/base/stat.h"
#include "hw/pages.h"

#include <errno.h>

#define MR_TCP_BLOCK_SHIFT     14
#define MR_TCP_LISTENERS_MAX   64
#define MR_TCP_RANGES_MAX      64 // of a scoreboard; a receiver keeps MR_TCP_SACK_MAX
#define MR_TCP_MSS_MIN         64 // smaller ones are not believed (CVE-2019-11479)
#define MR_TCP_DUP_THRESHOLD   3  // RFC 5681
#define MR_TCP_R1              3  // RFC 1122 4.2.3.5: ask for another way
#define MR_TCP_SECOND          1000000000ll
#define MR_TCP_CHALLENGE_EVERY (MR_TCP_SECOND / 2)      // of one connection
#define MR_TCP_PAWS_IDLE_MS    (24u * 24 * 3600 * 1000) // RFC 7323 5.5
#define MR_TCP_RETRY_NS        100000                   // when there was no frame to send with
#define MR_TCP_PROBE_SHIFT     10                       // 1 us, 2^31 of which outlast any RTO
#define MR_TCP_WSCALE_MAX      14                       // RFC 7323 2.3

static_assert(MR_TCP_BLOCK_BYTES == 1u << MR_TCP_BLOCK_SHIFT);

static inline bool mr_seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool mr_seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline uint32_t mr_seq_max(uint32_t a, uint32_t b)
{
	return mr_seq_lt(a, b) ? b : a;
}

static inline uint32_t mr_seq_min(uint32_t a, uint32_t b)
{
	return mr_seq_lt(a, b) ? a : b;
}

enum mr_tcp_flag {
	MR_TCP_FIN = 0x01,
	MR_TCP_SYN = 0x02,
	MR_TCP_RST = 0x04,
	MR_TCP_PSH = 0x08,
	MR_TCP_ACK = 0x10,
	MR_TCP_URG = 0x20,
};

// States beside those of the header: a connection without any on the wire.
enum {
	MR_TCP_GONE = MR_TCP_STATES, // freed when the stack of calls has unwound
	MR_TCP_FINISHED,             // over, but its user has not closed it
	MR_TCP_UNUSED,               // a slot of the slab
};

// ---- memory: tcp_slab.c

// Slots of one size, taken and given back in the order that keeps caches warm. Identified from 1;
// 0 is none. Slots that were never used are never touched.
struct mr_tcp_slab {
	struct mr_pages pages;
	uint32_t stride;
	uint32_t max;
	uint32_t high; // slots above it have never been used
	uint32_t free; // the first of a list that runs through the slots
	uint32_t used;
};

[[nodiscard]] int mr_tcp_slab_init(
	struct mr_tcp_slab *s, uint32_t max, uint32_t stride, enum mr_pages_kind kind, int node);
void mr_tcp_slab_fini(struct mr_tcp_slab *s);
uint32_t mr_tcp_slab_get(struct mr_tcp_slab *s); // 0: none left
void mr_tcp_slab_put(struct mr_tcp_slab *s, uint32_t id);

static inline void *mr_tcp_slab_at(const struct mr_tcp_slab *s, uint32_t id)
{
	return s->pages.data + (size_t)(id - 1) * s->stride;
}

static inline uint32_t mr_tcp_slab_id(const struct mr_tcp_slab *s, const void *slot)
{
	return (uint32_t)((size_t)((const uint8_t *)slot - s->pages.data) / s->stride) + 1;
}

// ---- four-tuples: tcp_table.c

// What a connection, a half-open one and a TIME-WAIT record begin with.
struct mr_tcp_entry {
	struct mr_ip_path path;
	uint16_t local_port;
	uint16_t peer_port;
	uint32_t next; // of its hash chain
};
static_assert(sizeof(struct mr_tcp_entry) == 48);

struct mr_tcp_table {
	struct mr_tcp_slab slab;
	uint32_t *heads;
	uint32_t mask;
	uint64_t key[4]; // secret
	struct mr_pages heads_pages;
};

struct mr_tcp_seg;

[[nodiscard]] int mr_tcp_table_init(struct mr_tcp_table *t, uint32_t max, uint32_t stride,
	struct mr_rand *rand, enum mr_pages_kind kind, int node);
void mr_tcp_table_fini(struct mr_tcp_table *t);
void *mr_tcp_table_find(const struct mr_tcp_table *t, const struct mr_ip *local,
	uint16_t local_port, const struct mr_ip *peer, uint16_t peer_port);
void mr_tcp_table_insert(struct mr_tcp_table *t, struct mr_tcp_entry *e);
void mr_tcp_table_remove(struct mr_tcp_table *t, struct mr_tcp_entry *e);

// ---- byte queues: tcp_queue.c

struct mr_tcp_queue {
	uint32_t map;    // slot of the slab of maps; 0: no byte is held
	uint32_t low;    // block number of the first position that may be in use
	uint32_t blocks; // held
};

// Copies bytes to their place; `base` is the first position that matters to the queue. Returns how
// many found room: the pool may be used up.
uint32_t mr_tcp_queue_write(struct mr_tcp *t, struct mr_tcp_queue *q, uint32_t base, uint32_t seq,
	const uint8_t *data, uint32_t bytes, uint32_t reserve);
// Up to `bytes` of what lies in a row from `seq`.
struct mr_span mr_tcp_queue_at(
	const struct mr_tcp *t, const struct mr_tcp_queue *q, uint32_t seq, uint32_t bytes);
void mr_tcp_queue_read(const struct mr_tcp *t, const struct mr_tcp_queue *q, uint32_t seq,
	uint8_t *out, uint32_t bytes);
// Positions before `seq` are not needed any more.
void mr_tcp_queue_release(struct mr_tcp *t, struct mr_tcp_queue *q, uint32_t seq);
void mr_tcp_queue_clear(struct mr_tcp *t, struct mr_tcp_queue *q);

// ---- sets of sequence ranges: tcp_ranges.c

struct mr_tcp_range {
	uint32_t from;
	uint32_t to;
	uint32_t stamp; // grows with each addition that touches the range
};

// Ascending, disjoint and not adjacent.
struct mr_tcp_ranges {
	uint32_t count;
	uint32_t stamp;
	struct mr_tcp_range r[MR_TCP_RANGES_MAX];
};

// Adds [from, to). Returns how many positions are new, or -ENOSPC when it would make more than
// `max` ranges: nothing has changed then.
int64_t mr_tcp_ranges_add(struct mr_tcp_ranges *s, uint32_t from, uint32_t to, uint32_t max);
void mr_tcp_ranges_trim(struct mr_tcp_ranges *s, uint32_t below);
uint32_t mr_tcp_ranges_bytes(const struct mr_tcp_ranges *s);
// Fills the `max` ranges most recently touched, latest first (RFC 2018 section 4).
uint32_t mr_tcp_ranges_recent(
	const struct mr_tcp_ranges *s, struct mr_tcp_range *out, uint32_t max);

// ---- segments: tcp_segment.c

struct mr_tcp_seg {
	const struct mr_ip *src;
	const struct mr_ip *dst;
	uint16_t src_port;
	uint16_t dst_port;
	uint32_t seq;
	uint32_t ack;
	uint8_t flags;
	uint16_t window; // as on the wire
	const uint8_t *data;
	uint32_t bytes;
	// Options.
	bool has_ts;
	bool sack_permitted;
	uint8_t wscale; // MR_TCP_NO_WSCALE: none
	uint8_t sacks;
	uint16_t mss; // 0: none
	uint32_t ts_value;
	uint32_t ts_echo;
	struct {
		uint32_t from, to;
	} sack[4];
};

#define MR_TCP_NO_WSCALE 0xff

// False: lengths or flags contradict themselves. Any bytes may come in.
bool mr_tcp_segment_parse(const struct mr_tcp_segment_in *in, struct mr_tcp_seg *s);
bool mr_tcp_options_parse(const uint8_t *p, uint32_t bytes, struct mr_tcp_seg *s);

// Sequence numbers that a segment takes up.
static inline uint32_t mr_tcp_seg_length(const struct mr_tcp_seg *s)
{
	return s->bytes + !!(s->flags & MR_TCP_SYN) + !!(s->flags & MR_TCP_FIN);
}

// ---- connections

struct mr_tcp_link {
	struct mr_tcp_link *next, *prev;
};

enum mr_tcp_conn_flag {
	MR_TCP_C_SACK = 1u << 0,
	MR_TCP_C_TS = 1u << 1,
	MR_TCP_C_ACTIVE = 1u << 2, // by mr_tcp_connect, and `connected` has not come yet
	MR_TCP_C_PAUSED = 1u << 3,
	MR_TCP_C_ORPHAN = 1u << 4,      // its user has closed it
	MR_TCP_C_IN_DATA = 1u << 5,     // inside its data callback
	MR_TCP_C_CLOSE_SOON = 1u << 6,  // closed there
	MR_TCP_C_FIN_IN = 1u << 7,      // the peer's FIN is below rcv_nxt
	MR_TCP_C_FIN_SEEN = 1u << 8,    // at rcv_fin, beyond a hole perhaps
	MR_TCP_C_ENDED = 1u << 9,       // `ended` has come
	MR_TCP_C_FIN_OUT = 1u << 10,    // our FIN is behind snd_end
	MR_TCP_C_WANTS_ROOM = 1u << 11, // mr_tcp_send took less than all
	MR_TCP_C_ACK = 1u << 12,        // an acknowledgement is owed
	MR_TCP_C_ACK_NOW = 1u << 13,    // by the next flush
	MR_TCP_C_ANSWERS = 1u << 14,    // data went out with an acknowledgement: its user replies
	MR_TCP_C_RECOVERY = 1u << 15,
	MR_TCP_C_RESCUED = 1u << 16,     // RFC 6675: rescue retransmission done
	MR_TCP_C_PERSIST = 1u << 17,     // the retransmission timer runs for a window probe
	MR_TCP_C_SHUT_WINDOW = 1u << 18, // zero has been advertised
	MR_TCP_C_LOSS = 1u << 19, // after a timeout, until what was sent before is acknowledged
	MR_TCP_C_HASHED = 1u << 20,
	MR_TCP_C_RETRY = 1u << 21,       // there was no frame: again in MR_TCP_RETRY_NS
	MR_TCP_C_RESUMED = 1u << 22,     // inside its data callback
	MR_TCP_C_CWND_FULL = 1u << 23,   // the window of congestion has held something back
	MR_TCP_C_UNREACHABLE = 1u << 24, // ICMP says so: the reason if it times out
	MR_TCP_C_RETRANSMIT = 1u << 25,  // the segment at snd_una, whatever the windows say
	MR_TCP_C_PTO = 1u << 26,         // due_probe runs
	MR_TCP_C_TAIL = 1u << 27,        // a tail probe is out; outside of RECOVERY and LOSS
	MR_TCP_C_AGAIN = 1u << 28,       // it was a retransmission; in RECOVERY: has been made
	MR_TCP_C_TAIL_LOST = 1u << 29,   // this recovery: all below a held byte is lost
};

struct mr_tcp_conn {
	// Line 0: who it is.
	struct mr_tcp_entry e;
	uint32_t flags;
	uint8_t state;
	uint8_t snd_shift;
	uint8_t rcv_shift;
	uint8_t dup_acks;
	uint32_t ts_recent;
	uint32_t ts_recent_ms; // of our clock, when it was taken
	// Line 1: both windows.
	uint32_t rcv_nxt;
	uint32_t rcv_user;  // the first byte that the user has not taken
	uint32_t rcv_edge;  // the highest right edge ever advertised
	uint32_t rcv_acked; // what the last acknowledgement said
	uint32_t snd_una;
	uint32_t snd_nxt; // the next to send: goes back to snd_una after a timeout
	uint32_t snd_max; // the highest ever sent
	uint32_t snd_end; // behind the last byte queued; our FIN has this number
	uint32_t snd_wnd;
	uint32_t snd_wl1;
	uint32_t snd_wl2;
	uint32_t snd_wnd_max;
	uint32_t cwnd;
	uint32_t ssthresh;
	uint16_t mss;     // payload of a full segment, timestamps deducted
	uint16_t rcv_mss; // the largest payload that has come
	uint32_t ts_offset;
	// Line 2.
	const struct mr_tcp_events *events;
	struct mr_tcp *t;
	void *user;
	struct mr_tcp_link owes;
	int64_t heard_ns;
	uint32_t ranges_in;  // of slab `ranges`: beyond holes
	uint32_t ranges_out; // the scoreboard
	// Line 3: queues and timers.
	struct mr_tcp_queue in;
	struct mr_tcp_queue out;
	struct mr_wheel_node timer;
	// Line 4.
	int64_t due_rto; // 0: not running; also of window probes
	int64_t due_ack;
	int64_t due_life; // keepalive; of a connection without user: its end
	int64_t rto_ns;   // without backing off
	int64_t srtt_ns;
	int64_t rttvar_ns;
	int64_t rtt_at; // when rtt_seq was sent; 0: nothing is timed
	int64_t sent_ns;
	// Line 5.
	uint32_t rtt_seq;
	uint32_t recover;  // RFC 6582, 6675: snd_max at the loss, or behind the tail probe
	uint32_t high_rxt; // RFC 6675
	uint32_t acked;    // bytes acknowledged since the window grew (RFC 3465)
	uint32_t rcv_fin;
	uint32_t iss;
	uint8_t retries;
	uint8_t backoff;
	uint8_t probes; // keepalive
	uint8_t pad;
	uint16_t peer_mss;
	uint16_t pad2;
	int64_t challenged_ns;
	struct mr_tcp_link starved; // waits for a block
	uint64_t received_bytes;
	uint64_t sent_bytes;
	uint32_t retransmits;
	uint32_t timeouts;
	uint32_t out_of_order; // bytes
	uint32_t due_probe;    // of a tail probe: low bits of the time in units of the shift below
};

static_assert(sizeof(struct mr_tcp_conn) <= 384); // idle ones too

// A connection that the peer has only asked for.
struct mr_tcp_half {
	struct mr_tcp_entry e;
	struct mr_wheel_node timer;
	struct mr_tcp_listener *listener;
	int64_t sent_ns;
	uint32_t irs;
	uint32_t iss;
	uint32_t ts_recent;
	uint32_t window;
	uint16_t mss;
	uint8_t snd_shift;
	uint8_t flags; // MR_TCP_C_SACK, MR_TCP_C_TS
	uint8_t tries;
	bool scaled;
	bool used;
};

struct mr_tcp_wait {
	struct mr_tcp_entry e;
	uint32_t newer, older; // in order of their ends
	uint32_t snd_nxt;
	uint32_t rcv_nxt;
	uint32_t ts_recent;
	uint32_t ts_offset;
	int64_t end_ns;
	bool has_ts;
};

struct mr_tcp_listener {
	struct mr_tcp *t;
	const struct mr_tcp_events *events;
	void *owner;
	uint16_t port;
	bool used;
};

struct mr_tcp {
	int64_t now_ns;
	uint32_t now_ms; // the clock of timestamps (RFC 7323 5.4)
	uint32_t depth;  // of calls that may end in a callback
	struct mr_tcp_lower lower;
	struct mr_tcp_conn *last; // the last one found
	struct mr_tcp_link owes;
	struct mr_tcp_link starved;
	struct mr_tcp_link dead; // by their link `owes`
	struct mr_tcp_table conns;
	struct mr_tcp_table halves;
	struct mr_tcp_table waits;
	struct mr_tcp_slab blocks;
	struct mr_tcp_slab maps;
	struct mr_tcp_slab ranges;
	uint32_t map_mask;
	uint32_t blocks_reserve; // kept for sending
	uint32_t wait_oldest, wait_newest;
	uint16_t *sources; // half-open connections by hash of their source
	uint32_t sources_mask;
	uint8_t wscale; // ours
	uint32_t challenge_left;
	int64_t challenge_until;
	int64_t cookies_until; // a cookie may come back until then
	struct mr_siphash_key key_isn, key_cookie, key_ts, key_source;
	struct mr_rand rand;
	struct mr_wheel wheel;
	struct mr_wheel_node wait_timer;
	struct mr_tcp_options o;
	struct mr_tcp_listener listeners[MR_TCP_LISTENERS_MAX];
	struct mr_tcp_counters counters;
	struct mr_pages sources_pages;
	bool unreached; // a segment found no next hop: someone may wait for mr_tcp_path_ready
};

#define MR_TCP_COUNT(t, name)   mr_stat_add(&(t)->counters.name, 1)
#define MR_TCP_UNCOUNT(t, name) mr_stat_add(&(t)->counters.name, UINT64_MAX)

static inline void mr_tcp_link_init(struct mr_tcp_link *l)
{
	l->next = l->prev = l;
}

static inline void mr_tcp_link_add(struct mr_tcp_link *list, struct mr_tcp_link *l)
{
	l->prev = list->prev;
	l->next = list;
	l->prev->next = l;
	list->prev = l;
}

static inline void mr_tcp_link_remove(struct mr_tcp_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	mr_tcp_link_init(l);
}

static inline bool mr_tcp_link_is_alone(const struct mr_tcp_link *l)
{
	return l->next == l;
}

static inline bool mr_tcp_is_open(const struct mr_tcp_conn *c)
{
	return c->state < MR_TCP_TIME_WAIT && c->state >= MR_TCP_ESTABLISHED;
}

// Asks for a call of mr_tcp_output at the next flush.
static inline void mr_tcp_owe(struct mr_tcp_conn *c)
{
	if (mr_tcp_link_is_alone(&c->owes))
		mr_tcp_link_add(&c->t->owes, &c->owes);
}

static inline void mr_tcp_owe_ack(struct mr_tcp_conn *c, bool now)
{
	c->flags |= MR_TCP_C_ACK | (now ? MR_TCP_C_ACK_NOW : 0);
	mr_tcp_owe(c);
}

// ---- tcp_conn.c: life and death

static inline void mr_tcp_enter(struct mr_tcp *t)
{
	t->depth++;
}

// Frees what has died meanwhile, when nobody up the stack holds it any more.
void mr_tcp_leave(struct mr_tcp *t);

struct mr_tcp_conn *mr_tcp_conn_new(struct mr_tcp *t, const struct mr_ip_path *path,
	uint16_t local_port, uint16_t peer_port, const struct mr_tcp_events *events);
// The numbers and options that both sides have agreed on.
void mr_tcp_conn_agree(struct mr_tcp_conn *c, uint32_t irs, uint16_t peer_mss, bool scaled,
	uint8_t snd_shift, uint32_t window);
void mr_tcp_conn_set_mss(struct mr_tcp_conn *c);
// Off the wire and out of every list: state GONE.
void mr_tcp_conn_drop(struct mr_tcp_conn *c);
// The peer or the network has ended it: tells the user, and drops it.
void mr_tcp_conn_fail(struct mr_tcp_conn *c, int err);
// It has come to its end in order: gone, or FINISHED until its user closes it.
void mr_tcp_conn_finish(struct mr_tcp_conn *c);
// To TIME-WAIT: a record takes its place on the wire.
void mr_tcp_conn_time_wait(struct mr_tcp_conn *c);
void mr_tcp_conn_reset(struct mr_tcp_conn *c); // sends RST
// The user lets go, outside of its data callback.
void mr_tcp_conn_close(struct mr_tcp_conn *c);
uint32_t mr_tcp_iss(struct mr_tcp *t, const struct mr_tcp_entry *e);
uint32_t mr_tcp_ts_offset(const struct mr_tcp *t, const struct mr_ip_path *path);
struct mr_tcp_listener *mr_tcp_listener_at(struct mr_tcp *t, uint16_t port);
uint16_t mr_tcp_path_mss(const struct mr_ip_path *path);

// ---- tcp_input.c, tcp_receive.c, tcp_ack.c

void mr_tcp_conn_input(struct mr_tcp_conn *c, struct mr_tcp_seg *s);
// Text and FIN of an acceptable segment.
void mr_tcp_receive(struct mr_tcp_conn *c, const struct mr_tcp_seg *s);
// Delivers what waits in the queue, and `ended`.
void mr_tcp_deliver(struct mr_tcp_conn *c);
// Bytes in order that the user has not taken.
static inline uint32_t mr_tcp_waiting(const struct mr_tcp_conn *c)
{
	return c->rcv_nxt - c->rcv_user - !!(c->flags & MR_TCP_C_FIN_IN);
}
// False: the segment goes no further.
bool mr_tcp_ack(struct mr_tcp_conn *c, const struct mr_tcp_seg *s);
void mr_tcp_tell_room(struct mr_tcp_conn *c);

// ---- tcp_challenge.c: answers that an attacker must not be able to provoke at will

void mr_tcp_challenge(struct mr_tcp_conn *c);
// One answer per MR_TCP_CHALLENGE_EVERY to empty segments outside of the window: two confused
// peers would answer each other for ever.
bool mr_tcp_may_answer(struct mr_tcp_conn *c);
bool mr_tcp_challenge_budget(struct mr_tcp *t);

// ---- tcp_recovery.c, tcp_sack.c

void mr_tcp_cwnd_start(struct mr_tcp_conn *c);
void mr_tcp_cwnd_grow(struct mr_tcp_conn *c, uint32_t acked);
void mr_tcp_cwnd_halve(struct mr_tcp_conn *c);
void mr_tcp_enter_recovery(struct mr_tcp_conn *c);
void mr_tcp_duplicate_ack(struct mr_tcp_conn *c);
void mr_tcp_recovery_ack(struct mr_tcp_conn *c, uint32_t acked);
void mr_tcp_timed_out(struct mr_tcp_conn *c);
void mr_tcp_rtt_sample(struct mr_tcp_conn *c, int64_t rtt_ns);
int64_t mr_tcp_rto(const struct mr_tcp_conn *c);
// Takes the blocks of a segment into the scoreboard; true: they brought something new.
bool mr_tcp_sack_take(struct mr_tcp_conn *c, const struct mr_tcp_seg *s);
bool mr_tcp_sack_is_lost(const struct mr_tcp_conn *c, uint32_t seq);
uint32_t mr_tcp_sack_pipe(const struct mr_tcp_conn *c);
// What to send next in recovery (NextSeg of RFC 6675): false: nothing.
bool mr_tcp_sack_next(struct mr_tcp_conn *c, uint32_t *seq, uint32_t *bytes);
const struct mr_tcp_ranges *mr_tcp_scoreboard(const struct mr_tcp_conn *c);
void mr_tcp_ranges_drop(struct mr_tcp *t, uint32_t *id);
struct mr_tcp_ranges *mr_tcp_ranges_of(struct mr_tcp *t, uint32_t *id);

// ---- tcp_tail.c: tail loss probes

// After new text or an acknowledgement of some: a probe is due later, if one may help.
void mr_tcp_tail_arm(struct mr_tcp_conn *c);
void mr_tcp_tail_fire(struct mr_tcp_conn *c);
// An acceptable acknowledgement, SACK blocks and snd_una taken; `advanced`: that has moved.
void mr_tcp_tail_ack(struct mr_tcp_conn *c, const struct mr_tcp_seg *s, bool advanced);
// Nothing of a probe counts any more: another kind of recovery begins, or this one has ended.
void mr_tcp_tail_end(struct mr_tcp_conn *c);

// When the tail probe is due.
static inline int64_t mr_tcp_probe_ns(const struct mr_tcp_conn *c)
{
	int64_t now = c->t->now_ns >> MR_TCP_PROBE_SHIFT;

	return (now + (int32_t)(c->due_probe - (uint32_t)now)) << MR_TCP_PROBE_SHIFT;
}

// ---- tcp_output.c, tcp_emit.c

void mr_tcp_output(struct mr_tcp_conn *c);
void mr_tcp_send_probe(struct mr_tcp_conn *c);
void mr_tcp_send_keepalive(struct mr_tcp_conn *c);
// The next segment, or the last one `again`. 0 or -errno.
int mr_tcp_send_tail(struct mr_tcp_conn *c, bool *again);
// A segment of a connection with `bytes` of its send queue from `seq`. 0 or -errno of the IP layer.
int mr_tcp_emit(struct mr_tcp_conn *c, uint32_t seq, uint32_t bytes, uint8_t flags);
// Bytes of options that a data segment of the connection carries now.
uint32_t mr_tcp_options_bytes(const struct mr_tcp_conn *c);

// A segment without text and without a connection.
struct mr_tcp_bare {
	struct mr_ip_path *path;
	uint16_t local_port;
	uint16_t peer_port;
	uint32_t seq;
	uint32_t ack;
	uint16_t window;
	uint8_t flags;
	uint8_t options_bytes;
	uint8_t options[40];
};

int mr_tcp_emit_bare(struct mr_tcp *t, const struct mr_tcp_bare *b);
void mr_tcp_option_ts(struct mr_tcp_bare *b, uint32_t value, uint32_t echo);
// The options of our SYN.
void mr_tcp_option_syn(struct mr_tcp_bare *b, uint16_t mss, bool sack, int wscale);
// RST in answer to a segment that no connection wants (RFC 9293 3.10.7.1).
void mr_tcp_refuse(struct mr_tcp *t, const struct mr_tcp_seg *s);

// ---- tcp_timer.c

// Makes sure that the connection's timer fires at its earliest deadline.
void mr_tcp_arm(struct mr_tcp_conn *c);
void mr_tcp_run_timers(struct mr_tcp *t);

// ---- tcp_syn.c, tcp_cookie.c

// A SYN for a listener; iss_min: 0, or a number that our own must lie behind (RFC 6191).
void mr_tcp_syn_input(
	struct mr_tcp *t, struct mr_tcp_listener *l, const struct mr_tcp_seg *s, uint32_t iss_min);
// A segment of a half-open connection. Returns the connection that it has become, or NULL.
struct mr_tcp_conn *mr_tcp_half_input(
	struct mr_tcp *t, struct mr_tcp_half *h, const struct mr_tcp_seg *s);
void mr_tcp_half_timer(struct mr_tcp *t, struct mr_tcp_half *h);
void mr_tcp_half_drop(struct mr_tcp *t, struct mr_tcp_half *h);
// Opens what a half or a cookie stands for. NULL: refused.
struct mr_tcp_conn *mr_tcp_half_open(
	struct mr_tcp *t, const struct mr_tcp_half *h, const struct mr_tcp_seg *s);
void mr_tcp_send_syn_ack(struct mr_tcp *t, struct mr_tcp_half *h, uint32_t ts_value);

void mr_tcp_cookie_send(struct mr_tcp *t, struct mr_tcp_half *h);
struct mr_tcp_conn *mr_tcp_cookie_input(
	struct mr_tcp *t, struct mr_tcp_listener *l, const struct mr_tcp_seg *s);

// ---- tcp_timewait.c

void mr_tcp_wait_add(struct mr_tcp_conn *c);
void mr_tcp_wait_input(struct mr_tcp *t, struct mr_tcp_wait *w, const struct mr_tcp_seg *s);
void mr_tcp_wait_drop(struct mr_tcp *t, struct mr_tcp_wait *w);
void mr_tcp_wait_expire(struct mr_tcp *t);
