// One worker's TCP as a whole: made and destroyed, its clock, its bursts.
#include "dataplane/tcpip/tcp_int.h"

#include <stdlib.h>

#define DEFAULT(field, value)               \
	do {                                \
		if (!(o)->field)            \
			(o)->field = value; \
	} while (0)
#define MS 1000000ll

static void fill_defaults(struct mr_tcp_options *o)
{
	DEFAULT(connections_max, 4096);
	DEFAULT(syns_max, MR_TCP_SYNS_MAX);
	DEFAULT(syns_per_source, 256);
	DEFAULT(timewaits_max, MR_TCP_TIMEWAITS_MAX);
	DEFAULT(memory_bytes, 256ull << 20);
	DEFAULT(receive_window_max, 1u << 20);
	o->receive_window_max = MR_MIN(o->receive_window_max, 16u << 20);
	DEFAULT(send_queue_max, 1u << 20);
	o->send_queue_max = MR_MIN(o->send_queue_max, 16u << 20);
	DEFAULT(sack_bytes_max, o->receive_window_max);
	DEFAULT(rto_min_ns, 200 * MS);
	DEFAULT(rto_max_ns, 60000 * MS);
	DEFAULT(rto_first_ns, 1000 * MS);
	DEFAULT(delayed_ack_ns, 40 * MS);
	DEFAULT(timewait_ns, 10000 * MS);
	DEFAULT(fin_wait2_ns, 60000 * MS);
	DEFAULT(keepalive_idle_ns, 60000 * MS);
	DEFAULT(keepalive_every_ns, 10000 * MS);
	DEFAULT(keepalive_probes, 6);
	DEFAULT(retries_max, 15);
	DEFAULT(syn_retries_max, 5);
	DEFAULT(challenge_per_second, 100);
}

// Four keys out of the secret, so that no use of one tells about another.
static void derive_keys(struct mr_tcp *t)
{
	struct mr_siphash_key master = mr_siphash_key(t->o.secret);
	struct mr_siphash_key *keys[] = {&t->key_isn, &t->key_cookie, &t->key_ts, &t->key_source};

	for (uint8_t i = 0; i < MR_COUNT_OF(keys); i++) {
		uint8_t label[2] = {i, 0};

		keys[i]->k[0] = mr_siphash(&master, label, 2);
		label[1] = 1;
		keys[i]->k[1] = mr_siphash(&master, label, 2);
	}
	mr_rand_init(&t->rand, t->o.seed ^ mr_siphash(&master, "rand", 4));
}

static int reserve_sources(struct mr_tcp *t)
{
	uint32_t n = 256;
	int err;

	while (n < 4 * t->o.syns_max)
		n *= 2;
	err = mr_pages_reserve(
		&t->sources_pages, n * sizeof(uint16_t), MR_PAGES_TRANSPARENT, t->o.node);
	t->sources = (uint16_t *)t->sources_pages.data;
	t->sources_mask = n - 1;
	return err;
}

static int reserve_queues(struct mr_tcp *t)
{
	const struct mr_tcp_options *o = &t->o;
	uint32_t most = MR_MAX(o->receive_window_max, o->send_queue_max), entries = 4;
	uint32_t blocks = (uint32_t)MR_MAX(o->memory_bytes / MR_TCP_BLOCK_BYTES, 8);
	int err;

	while (entries < most / MR_TCP_BLOCK_BYTES + 2)
		entries *= 2;
	t->map_mask = entries - 1;
	t->blocks_reserve = blocks / 8;
	err = mr_tcp_slab_init(&t->blocks, blocks, MR_TCP_BLOCK_BYTES, MR_PAGES_HUGE, o->node);
	if (err < 0)
		return err;
	return mr_tcp_slab_init(
		&t->maps, blocks, entries * sizeof(uint32_t), MR_PAGES_TRANSPARENT, o->node);
}

static int reserve(struct mr_tcp *t)
{
	const struct mr_tcp_options *o = &t->o;
	enum mr_pages_kind kind = MR_PAGES_TRANSPARENT;
	int err;

	if ((err = reserve_queues(t)) < 0 || (err = reserve_sources(t)) < 0 ||
		(err = mr_tcp_slab_init(&t->ranges, 2 * o->connections_max,
			 sizeof(struct mr_tcp_ranges), kind, o->node)) < 0 ||
		(err = mr_tcp_table_init(&t->conns, o->connections_max,
			 (uint32_t)mr_round_up(sizeof(struct mr_tcp_conn), MR_CACHELINE), &t->rand,
			 kind, o->node)) < 0 ||
		(err = mr_tcp_table_init(&t->halves, o->syns_max, sizeof(struct mr_tcp_half),
			 &t->rand, kind, o->node)) < 0)
		return err;
	return mr_tcp_table_init(
		&t->waits, o->timewaits_max, sizeof(struct mr_tcp_wait), &t->rand, kind, o->node);
}

int mr_tcp_create(const struct mr_tcp_options *o, const struct mr_tcp_lower *lower, int64_t now_ns,
	struct mr_tcp **out)
{
	struct mr_tcp *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->o = *o;
	t->lower = *lower;
	t->now_ns = now_ns;
	t->now_ms = (uint32_t)(now_ns / MS);
	fill_defaults(&t->o);
	derive_keys(t);
	while (t->o.receive_window_max >> t->wscale > 65535)
		t->wscale++;
	mr_tcp_link_init(&t->owes);
	mr_tcp_link_init(&t->starved);
	mr_tcp_link_init(&t->dead);
	mr_wheel_init(&t->wheel, now_ns);
	err = reserve(t);
	if (err < 0) {
		mr_tcp_destroy(t);
		return err;
	}
	*out = t;
	return 0;
}

void mr_tcp_destroy(struct mr_tcp *t)
{
	if (!t)
		return;
	mr_tcp_slab_fini(&t->blocks);
	mr_tcp_slab_fini(&t->maps);
	mr_tcp_slab_fini(&t->ranges);
	mr_tcp_table_fini(&t->conns);
	mr_tcp_table_fini(&t->halves);
	mr_tcp_table_fini(&t->waits);
	if (t->sources_pages.data)
		mr_pages_release(&t->sources_pages);
	free(t);
}

void mr_tcp_time(struct mr_tcp *t, int64_t now_ns)
{
	MR_ASSERT(now_ns >= t->now_ns);
	t->now_ns = now_ns;
	t->now_ms = (uint32_t)(now_ns / MS);
	mr_tcp_enter(t);
	mr_tcp_run_timers(t);
	mr_tcp_leave(t);
}

// Blocks have come free: those that found none may go on, in the order in which they waited.
static void feed_starved(struct mr_tcp *t)
{
	uint32_t tries = t->blocks.max - t->blocks.used;

	while (tries-- > 0 && !mr_tcp_link_is_alone(&t->starved)) {
		struct mr_tcp_conn *c = MR_CONTAINER(t->starved.next, struct mr_tcp_conn, starved);

		mr_tcp_link_remove(&c->starved);
		if (!mr_tcp_is_open(c) || mr_tcp_send_room(c) == 0)
			continue;
		c->flags &= ~MR_TCP_C_WANTS_ROOM;
		c->events->sendable(c);
	}
}

void mr_tcp_flush(struct mr_tcp *t)
{
	struct mr_tcp_link *l;

	mr_tcp_enter(t);
	if (MR_UNLIKELY(!mr_tcp_link_is_alone(&t->starved)))
		feed_starved(t);
	while ((l = t->owes.next) != &t->owes) {
		mr_tcp_link_remove(l);
		mr_tcp_output(MR_CONTAINER(l, struct mr_tcp_conn, owes));
	}
	mr_tcp_leave(t);
}

int64_t mr_tcp_next_ns(const struct mr_tcp *t)
{
	return mr_wheel_next_ns(&t->wheel);
}

struct mr_tcp_counters *mr_tcp_counters(struct mr_tcp *t)
{
	return &t->counters;
}
