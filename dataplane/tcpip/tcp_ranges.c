// Sets of sequence ranges: what a receiver holds beyond a hole, and what a sender has been told of.
//
// A sorted array: there are at most MR_TCP_RANGES_MAX, nearly always one or two, and the peer
// decides how many; every operation is linear in that bounded number (SegmentSmack, CVE-2018-5390).
// All sequence numbers of a set lie within 2^31 of each other: its user has checked them against a
// window.
#include "dataplane/tcpip/tcp_int.h"

// The first range that ends at or behind `seq`.
static uint32_t lower(const struct mr_tcp_ranges *s, uint32_t seq)
{
	uint32_t i = 0;

	while (i < s->count && mr_seq_lt(s->r[i].to, seq))
		i++;
	return i;
}

static void remove_some(struct mr_tcp_ranges *s, uint32_t at, uint32_t n)
{
	memmove(s->r + at, s->r + at + n, (s->count - at - n) * sizeof(s->r[0]));
	s->count -= n;
}

int64_t mr_tcp_ranges_add(struct mr_tcp_ranges *s, uint32_t from, uint32_t to, uint32_t max)
{
	uint32_t first = lower(s, from), last = first, held = 0;
	struct mr_tcp_range whole = {from, to, 0};

	MR_ASSERT(mr_seq_lt(from, to));
	for (; last < s->count && mr_seq_le(s->r[last].from, to); last++) {
		whole.from = mr_seq_min(whole.from, s->r[last].from);
		whole.to = mr_seq_max(whole.to, s->r[last].to);
		held += s->r[last].to - s->r[last].from;
	}
	if (first == last) {
		if (s->count >= MR_MIN(max, (uint32_t)MR_TCP_RANGES_MAX))
			return -ENOSPC;
		memmove(s->r + first + 1, s->r + first, (s->count - first) * sizeof(s->r[0]));
		s->count++;
	} else {
		remove_some(s, first + 1, last - first - 1);
	}
	whole.stamp = ++s->stamp;
	s->r[first] = whole;
	return (int64_t)(whole.to - whole.from) - held;
}

void mr_tcp_ranges_trim(struct mr_tcp_ranges *s, uint32_t below)
{
	uint32_t n = 0;

	while (n < s->count && mr_seq_le(s->r[n].to, below))
		n++;
	remove_some(s, 0, n);
	if (s->count && mr_seq_lt(s->r[0].from, below))
		s->r[0].from = below;
}

uint32_t mr_tcp_ranges_bytes(const struct mr_tcp_ranges *s)
{
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < s->count; i++)
		bytes += s->r[i].to - s->r[i].from;
	return bytes;
}

uint32_t mr_tcp_ranges_recent(const struct mr_tcp_ranges *s, struct mr_tcp_range *out, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t at = n;

		while (at > 0 && (int32_t)(s->r[i].stamp - out[at - 1].stamp) > 0)
			at--;
		if (at == max)
			continue;
		n += n < max;
		memmove(out + at + 1, out + at, (n - at - 1) * sizeof(out[0]));
		out[at] = s->r[i];
	}
	return n;
}

struct mr_tcp_ranges *mr_tcp_ranges_of(struct mr_tcp *t, uint32_t *id)
{
	struct mr_tcp_ranges *s;

	if (!*id) {
		*id = mr_tcp_slab_get(&t->ranges);
		MR_ASSERT(*id != 0); // two for each connection
		s = mr_tcp_slab_at(&t->ranges, *id);
		s->count = s->stamp = 0;
	}
	return mr_tcp_slab_at(&t->ranges, *id);
}

void mr_tcp_ranges_drop(struct mr_tcp *t, uint32_t *id)
{
	if (*id)
		mr_tcp_slab_put(&t->ranges, *id);
	*id = 0;
}
