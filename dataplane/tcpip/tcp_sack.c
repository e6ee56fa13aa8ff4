// The sender's scoreboard (RFC 6675): which of the bytes in flight the peer holds.
//
//	snd_una     r[0]        r[1]             snd_max
//	   |  gap   |####|  gap |####|   gap        |
//
// The bytes of a gap share one answer to IsLost: it counts what is held above, and nothing is held
// inside a gap. Counted from the top, so gaps to the left of a lost one are lost too. What the peer
// says is only believed within [snd_una, snd_max], and MR_TCP_RANGES_MAX bounds the work
// (CVE-2019-11477 ff.): a block that finds no place is forgotten, which costs a retransmission.
#include "dataplane/tcpip/tcp_int.h"

static const struct mr_tcp_ranges none;

const struct mr_tcp_ranges *mr_tcp_scoreboard(const struct mr_tcp_conn *c)
{
	return c->ranges_out ? mr_tcp_slab_at(&c->t->ranges, c->ranges_out) : &none;
}

bool mr_tcp_sack_take(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	bool news = false;

	for (uint32_t i = 0; i < s->sacks; i++) {
		uint32_t low = mr_seq_max(c->snd_una, s->ack);
		uint32_t from = s->sack[i].from, to = s->sack[i].to;

		if (!mr_seq_lt(from, to) || mr_seq_lt(c->snd_max, to) ||
			mr_seq_lt(from, c->snd_una - c->snd_wnd_max)) {
			MR_TCP_COUNT(c->t, bad_sacks);
			continue;
		}
		if (mr_seq_le(to, low)) // old news, or RFC 2883
			continue;
		from = mr_seq_max(from, low);
		news |= mr_tcp_ranges_add(mr_tcp_ranges_of(c->t, &c->ranges_out), from, to,
				MR_TCP_RANGES_MAX) > 0;
	}
	return news;
}

// What lies above range i, itself included, makes the gap at `seq` below it lost.
static bool is_lost_below(
	const struct mr_tcp_conn *c, uint32_t seq, uint32_t islands, uint32_t bytes)
{
	return islands >= MR_TCP_DUP_THRESHOLD ||
	       bytes > (MR_TCP_DUP_THRESHOLD - 1) * (uint32_t)c->mss ||
	       (c->flags & MR_TCP_C_TAIL_LOST && islands && mr_seq_lt(seq, c->recover));
}

bool mr_tcp_sack_is_lost(const struct mr_tcp_conn *c, uint32_t seq)
{
	const struct mr_tcp_ranges *b = mr_tcp_scoreboard(c);
	uint32_t islands = 0, bytes = 0;

	for (uint32_t i = b->count; i-- > 0 && mr_seq_lt(seq, b->r[i].from);) {
		islands++;
		bytes += b->r[i].to - b->r[i].from;
	}
	return is_lost_below(c, seq, islands, bytes);
}

// Of [from, to), what has been retransmitted.
static uint32_t again(const struct mr_tcp_conn *c, uint32_t from, uint32_t to)
{
	return mr_seq_lt(from, c->high_rxt) ? mr_seq_min(to, c->high_rxt) - from : 0;
}

uint32_t mr_tcp_sack_pipe(const struct mr_tcp_conn *c)
{
	const struct mr_tcp_ranges *b = mr_tcp_scoreboard(c);
	uint32_t pipe = 0, islands = 0, bytes = 0, to = c->snd_max;

	for (uint32_t i = b->count;; i--) {
		uint32_t from = i ? b->r[i - 1].to : c->snd_una;

		if (!is_lost_below(c, from, islands, bytes))
			pipe += to - from;
		pipe += again(c, from, to);
		if (!i)
			return pipe;
		to = b->r[i - 1].from;
		bytes += b->r[i - 1].to - to;
		islands++;
	}
}

// The first gap below a held byte, from `at` on. False: there is none.
static bool next_gap(const struct mr_tcp_ranges *b, uint32_t at, uint32_t *from, uint32_t *to)
{
	for (uint32_t i = 0; i < b->count; i++) {
		if (mr_seq_lt(at, b->r[i].from)) {
			*from = at;
			*to = b->r[i].from;
			return true;
		}
		at = mr_seq_max(at, b->r[i].to);
	}
	return false;
}

static bool rescue(struct mr_tcp_conn *c, uint32_t *seq, uint32_t *bytes)
{
	const struct mr_tcp_ranges *b = mr_tcp_scoreboard(c);
	uint32_t from = b->count ? b->r[b->count - 1].to : c->snd_una;

	if (c->flags & MR_TCP_C_RESCUED || from == c->snd_max)
		return false;
	c->flags |= MR_TCP_C_RESCUED;
	if (c->snd_max - from > c->mss)
		from = c->snd_max - c->mss;
	*seq = from;
	*bytes = c->snd_max - from;
	return true;
}

bool mr_tcp_sack_next(struct mr_tcp_conn *c, uint32_t *seq, uint32_t *bytes)
{
	const struct mr_tcp_ranges *b = mr_tcp_scoreboard(c);
	uint32_t from = 0, to = 0, edge = c->snd_una + c->snd_wnd;
	bool gap = next_gap(b, mr_seq_max(c->snd_una, c->high_rxt), &from, &to);

	if (gap && mr_tcp_sack_is_lost(c, from)) { // (1)
		*seq = from;
		*bytes = to - from;
		return true;
	}
	if (mr_seq_lt(c->snd_nxt, c->snd_end) && mr_seq_lt(c->snd_nxt, edge)) { // (2)
		*seq = c->snd_nxt;
		*bytes = mr_seq_min(c->snd_end, edge) - c->snd_nxt;
		return true;
	}
	if (gap) { // (3)
		*seq = from;
		*bytes = to - from;
		return true;
	}
	return rescue(c, seq, bytes); // (4)
}
