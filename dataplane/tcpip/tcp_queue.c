// Byte queues: the bytes of a connection that have to be kept, each at its place in the sequence.
//
// A block holds the 16 KiB of sequence numbers that share their upper 18 bits; the queue's map, an
// array as long as the largest window has blocks, finds it by the lower ones of these. So writing
// out of order, reading and releasing need no search, and a queue without bytes has neither block
// nor map:
//
//	seq  = [ block number : 18 ][ offset : 14 ]
//	map[block number % map size] = block of the pool, 0: none
#include "dataplane/tcpip/tcp_int.h"

#define NUMBER_MASK ((1u << (32 - MR_TCP_BLOCK_SHIFT)) - 1)

static uint32_t *map_of(const struct mr_tcp *t, const struct mr_tcp_queue *q)
{
	return mr_tcp_slab_at(&t->maps, q->map);
}

static bool start(struct mr_tcp *t, struct mr_tcp_queue *q, uint32_t base)
{
	if (q->map)
		return true;
	q->map = mr_tcp_slab_get(&t->maps);
	if (!q->map)
		return false;
	memset(map_of(t, q), 0, (t->map_mask + 1) * sizeof(uint32_t));
	q->low = base >> MR_TCP_BLOCK_SHIFT;
	q->blocks = 0;
	return true;
}

static uint8_t *block_for(struct mr_tcp *t, struct mr_tcp_queue *q, uint32_t seq, uint32_t reserve)
{
	uint32_t number = seq >> MR_TCP_BLOCK_SHIFT;
	uint32_t *slot = &map_of(t, q)[number & t->map_mask];

	MR_ASSERT(((number - q->low) & NUMBER_MASK) <= t->map_mask);
	if (!*slot) {
		if (t->blocks.used + reserve >= t->blocks.max)
			return NULL;
		*slot = mr_tcp_slab_get(&t->blocks);
		q->blocks++;
		mr_stat_add(&t->counters.memory_used, MR_TCP_BLOCK_BYTES);
	}
	return mr_tcp_slab_at(&t->blocks, *slot);
}

uint32_t mr_tcp_queue_write(struct mr_tcp *t, struct mr_tcp_queue *q, uint32_t base, uint32_t seq,
	const uint8_t *data, uint32_t bytes, uint32_t reserve)
{
	uint32_t done = 0;

	if (!start(t, q, base))
		return 0;
	while (done < bytes) {
		uint32_t at = (seq + done) % MR_TCP_BLOCK_BYTES;
		uint32_t n = MR_MIN(bytes - done, MR_TCP_BLOCK_BYTES - at);
		uint8_t *block = block_for(t, q, seq + done, reserve);

		if (!block)
			break;
		memcpy(block + at, data + done, n);
		done += n;
	}
	if (!q->blocks)
		mr_tcp_queue_clear(t, q);
	return done;
}

struct mr_span mr_tcp_queue_at(
	const struct mr_tcp *t, const struct mr_tcp_queue *q, uint32_t seq, uint32_t bytes)
{
	uint32_t at = seq % MR_TCP_BLOCK_BYTES;
	uint32_t id = map_of(t, q)[(seq >> MR_TCP_BLOCK_SHIFT) & t->map_mask];
	uint8_t *block = mr_tcp_slab_at(&t->blocks, id);

	MR_ASSERT(id != 0);
	return mr_span(block + at, MR_MIN(bytes, MR_TCP_BLOCK_BYTES - at));
}

void mr_tcp_queue_read(const struct mr_tcp *t, const struct mr_tcp_queue *q, uint32_t seq,
	uint8_t *out, uint32_t bytes)
{
	while (bytes) {
		struct mr_span s = mr_tcp_queue_at(t, q, seq, bytes);

		memcpy(out, s.data, s.bytes);
		out += s.bytes;
		seq += (uint32_t)s.bytes;
		bytes -= (uint32_t)s.bytes;
	}
}

static void give_back(struct mr_tcp *t, struct mr_tcp_queue *q, uint32_t number)
{
	uint32_t *slot = &map_of(t, q)[number & t->map_mask];

	if (!*slot)
		return;
	mr_tcp_slab_put(&t->blocks, *slot);
	*slot = 0;
	q->blocks--;
	mr_stat_add(&t->counters.memory_used, (uint64_t) - (int64_t)MR_TCP_BLOCK_BYTES);
}

void mr_tcp_queue_release(struct mr_tcp *t, struct mr_tcp_queue *q, uint32_t seq)
{
	uint32_t number = seq >> MR_TCP_BLOCK_SHIFT;

	if (!q->map)
		return;
	for (; q->low != number && q->blocks; q->low = (q->low + 1) & NUMBER_MASK)
		give_back(t, q, q->low);
	q->low = number;
	if (!q->blocks)
		mr_tcp_queue_clear(t, q);
}

void mr_tcp_queue_clear(struct mr_tcp *t, struct mr_tcp_queue *q)
{
	if (!q->map)
		return;
	for (uint32_t i = 0; q->blocks; i++) {
		MR_ASSERT(i <= t->map_mask);
		give_back(t, q, q->low + i);
	}
	mr_tcp_slab_put(&t->maps, q->map);
	*q = (struct mr_tcp_queue){};
}
