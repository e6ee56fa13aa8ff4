// Neighbours: which MAC a next hop has, for ARP and ND alike, by the rules of RFC 4861 7.3.
//
// Entries live on one of three lists: free, new, proven. New ones are asked for, or told by others
// without our asking; one becomes proven when it is known and we have sent to it. A flood (of ARP
// requests, or of segments from invented addresses of our own link) recycles new entries, half of
// the table at most, and never a proven one. All is bounded; nothing is allocated.
//
// A stale entry that is used need not be probed when its MAC has been heard of meanwhile with good
// packets of that address, or with any from beyond the link for a router (RFC 4861 7.3.1): that
// is a table of when, overwritten by hash, because a wrong miss costs only a probe.
#include "dataplane/tcpip/stack_int.h"

#include "host/base/hash.h"

#include <errno.h>
#include <stdlib.h>

enum {
	TRIES_MAX = 3,   // MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT
	TICK_MS = 50,    // deadlines are rounded up to it, so that a full table is not walked often
	BUDGET = 100,    // questions in
	BUDGET_MS = 100, // this time
};

#define RETRANS_NS   (1 * MR_NS_PER_S)
#define DELAY_NS     (5 * MR_NS_PER_S)
#define REACHABLE_NS (30 * MR_NS_PER_S)
#define HEARD_NS     (100 * MR_NS_PER_MS)
#define LIST_MOVE_NS (1 * MR_NS_PER_S)

static uint32_t ip_hash(const struct mr_neigh_table *n, const struct mr_ip *ip)
{
	uint64_t h = mr_hash64(mr_load_le64(ip->b), n->hash_seed);

	return (uint32_t)mr_hash64(h ^ mr_load_le64(ip->b + 8), n->hash_seed);
}

// ---- lists

static void list_remove(struct mr_neigh_table *n, int list, uint16_t i)
{
	struct mr_neigh *e = &n->entries[i];

	if (e->prev == MR_NEIGH_NONE)
		n->head[list] = e->next;
	else
		n->entries[e->prev].next = e->next;
	if (e->next == MR_NEIGH_NONE)
		n->tail[list] = e->prev;
	else
		n->entries[e->next].prev = e->prev;
	n->count[list]--;
}

static void list_push(struct mr_neigh_table *n, int list, uint16_t i)
{
	struct mr_neigh *e = &n->entries[i];

	e->prev = MR_NEIGH_NONE;
	e->next = n->head[list];
	if (e->next == MR_NEIGH_NONE)
		n->tail[list] = i;
	else
		n->entries[e->next].prev = i;
	n->head[list] = i;
	n->count[list]++;
}

static int list_of(const struct mr_neigh *e)
{
	if (e->state == MR_NEIGH_FREE)
		return MR_NEIGH_LIST_FREE;
	return e->proven ? MR_NEIGH_LIST_PROVEN : MR_NEIGH_LIST_NEW;
}

int mr_neigh_create(struct mr_neigh_table *n, uint32_t count_max, uint64_t seed)
{
	uint32_t buckets = 16;

	while (buckets < count_max)
		buckets *= 2;
	n->entries = calloc(count_max, sizeof(*n->entries));
	n->buckets = malloc(buckets * sizeof(*n->buckets));
	if (!n->entries || !n->buckets)
		return -ENOMEM;
	memset(n->buckets, 0xff, buckets * sizeof(*n->buckets));
	memset(n->head, 0xff, sizeof(n->head));
	memset(n->tail, 0xff, sizeof(n->tail));
	n->count_max = count_max;
	n->buckets_mask = buckets - 1;
	n->hash_seed = seed;
	n->next_ns = INT64_MAX;
	for (uint32_t i = count_max; i-- > 0;) {
		n->entries[i].generation = 1;
		n->entries[i].due_ns = INT64_MAX;
		list_push(n, MR_NEIGH_LIST_FREE, (uint16_t)i);
	}
	for (int i = 0; i < MR_NEIGH_WAITERS; i++)
		n->waiters[i].neighbour = MR_NEIGH_NONE;
	return 0;
}

void mr_neigh_destroy(struct mr_neigh_table *n)
{
	free(n->entries);
	free(n->buckets);
}

// ---- entries

struct mr_neigh *mr_neigh_find(struct mr_stack *s, const struct mr_ip *hop)
{
	struct mr_neigh_table *n = &s->neigh;
	uint16_t i = n->buckets[ip_hash(n, hop) & n->buckets_mask];

	while (i != MR_NEIGH_NONE && !mr_ip_eq(&n->entries[i].ip, hop))
		i = n->entries[i].hash_next;
	return i == MR_NEIGH_NONE ? NULL : &n->entries[i];
}

static void gauge(struct mr_stack *s)
{
	atomic_store_explicit(&s->counters.neighbours, s->neigh.used, memory_order_relaxed);
}

static void release(struct mr_stack *s, struct mr_neigh *e)
{
	struct mr_neigh_table *n = &s->neigh;
	uint16_t i = mr_neigh_index(s, e);
	uint16_t *at = &n->buckets[ip_hash(n, &e->ip) & n->buckets_mask];

	while (*at != i)
		at = &n->entries[*at].hash_next;
	*at = e->hash_next;
	list_remove(n, list_of(e), i);
	e->state = MR_NEIGH_FREE;
	e->proven = false;
	e->due_ns = INT64_MAX;
	// What paths have cached of it is void. 0 is what a path holds that has cached nothing.
	e->generation += e->generation == UINT32_MAX ? 2 : 1;
	list_push(n, MR_NEIGH_LIST_FREE, i);
	n->used--;
	gauge(s);
}

void mr_neigh_forget(struct mr_stack *s, const struct mr_ip *ip)
{
	struct mr_neigh *e = mr_neigh_find(s, ip);

	if (e)
		release(s, e);
}

static struct mr_neigh *make_entry(struct mr_stack *s, const struct mr_ip *ip)
{
	struct mr_neigh_table *n = &s->neigh;
	uint32_t bucket = ip_hash(n, ip) & n->buckets_mask;
	struct mr_neigh *e;
	uint16_t i;

	if (n->count[MR_NEIGH_LIST_NEW] >= n->count_max / 2 || n->used == n->count_max) {
		int list = n->count[MR_NEIGH_LIST_NEW] ? MR_NEIGH_LIST_NEW : MR_NEIGH_LIST_PROVEN;

		release(s, &n->entries[n->tail[list]]);
		MR_COUNT(s, neighbours_evicted);
	}
	i = n->head[MR_NEIGH_LIST_FREE];
	e = &n->entries[i];
	list_remove(n, MR_NEIGH_LIST_FREE, i);
	*e = (struct mr_neigh){.ip = *ip,
		.state = MR_NEIGH_INCOMPLETE,
		.generation = e->generation,
		.hash_next = n->buckets[bucket],
		.due_ns = INT64_MAX,
		.used_ns = s->now_ns};
	n->buckets[bucket] = i;
	list_push(n, MR_NEIGH_LIST_NEW, i);
	n->used++;
	gauge(s);
	return e;
}

static void set_due(struct mr_stack *s, struct mr_neigh *e, int64_t in_ns)
{
	int64_t tick = TICK_MS * MR_NS_PER_MS;

	e->due_ns = (s->now_ns + in_ns + tick - 1) / tick * tick;
	s->neigh.next_ns = MR_MIN(s->neigh.next_ns, e->due_ns);
}

// All questions together are limited, so that invented addresses cannot make us flood the link.
static bool may_ask(struct mr_stack *s)
{
	struct mr_neigh_table *n = &s->neigh;

	if (s->now_ns >= n->budget_ns) {
		n->budget_ns = s->now_ns + BUDGET_MS * MR_NS_PER_MS;
		n->budget = BUDGET;
	}
	if (n->budget == 0)
		return false;
	n->budget--;
	return true;
}

static void ask(struct mr_stack *s, struct mr_neigh *e)
{
	const struct mr_mac *direct = e->state == MR_NEIGH_PROBE ? &e->mac : NULL;

	if (!may_ask(s)) {
		set_due(s, e, BUDGET_MS * MR_NS_PER_MS);
		return;
	}
	e->tries++;
	set_due(s, e, RETRANS_NS);
	if (mr_ip_is_v4(&e->ip))
		mr_arp_ask(s, &e->ip, direct);
	else
		mr_nd_ask(s, &e->ip, direct);
}

struct mr_neigh *mr_neigh_want(struct mr_stack *s, const struct mr_ip *hop)
{
	struct mr_neigh *e = mr_neigh_find(s, hop);

	if (!e) {
		e = make_entry(s, hop);
		ask(s, e);
	}
	return e;
}

// ---- waiting

void mr_neigh_wait(struct mr_stack *s, const struct mr_neigh *e, const struct mr_ip *peer)
{
	struct mr_neigh_table *n = &s->neigh;
	struct mr_neigh_waiter *place = NULL;
	uint16_t index = mr_neigh_index(s, e);

	for (int i = 0; i < MR_NEIGH_WAITERS; i++) {
		struct mr_neigh_waiter *w = &n->waiters[i];
		bool live = w->neighbour != MR_NEIGH_NONE &&
			    n->entries[w->neighbour].generation == w->generation;

		if (!live && !place)
			place = w;
		if (live && w->neighbour == index && mr_ip_eq(&w->peer, peer))
			return;
	}
	if (place)
		*place = (struct mr_neigh_waiter){*peer, index, e->generation};
}

static void wake(struct mr_stack *s, const struct mr_neigh *e)
{
	uint16_t index = mr_neigh_index(s, e);
	uint32_t generation = e->generation;

	for (int i = 0; i < MR_NEIGH_WAITERS; i++) {
		struct mr_neigh_waiter *w = &s->neigh.waiters[i];

		if (w->neighbour != index || w->generation != generation)
			continue;
		w->neighbour = MR_NEIGH_NONE;
		mr_tcp_path_ready(s->tcp, &w->peer);
	}
}

// ---- learning

static void confirm(struct mr_neigh *e, int64_t at_ns)
{
	e->state = MR_NEIGH_REACHABLE;
	e->confirmed_ns = MR_MAX(e->confirmed_ns, at_ns);
	e->tries = 0;
	e->due_ns = INT64_MAX;
}

static void make_stale(struct mr_neigh *e)
{
	e->state = MR_NEIGH_STALE;
	e->tries = 0;
	e->due_ns = INT64_MAX;
}

void mr_neigh_learn(struct mr_stack *s, const struct mr_ip *ip, struct mr_mac mac, bool make,
	bool solicited, bool override)
{
	static const struct mr_mac zero;
	struct mr_neigh *e = mr_neigh_find(s, ip);
	bool was_usable, same;

	if (mac.b[0] & 1 || mr_mac_eq(mac, zero) || mr_mac_eq(mac, s->mac))
		return;
	if (!e && !make)
		return;
	if (!e)
		e = make_entry(s, ip);
	was_usable = mr_neigh_usable(e);
	same = was_usable && mr_mac_eq(e->mac, mac);
	// RFC 4861 7.2.5: without override another address is only a reason to doubt the known.
	if (was_usable && !same && !override) {
		if (e->state == MR_NEIGH_REACHABLE)
			make_stale(e);
		return;
	}
	e->mac = mac;
	if (solicited)
		confirm(e, s->now_ns);
	else if (!same)
		make_stale(e);
	if (!was_usable)
		wake(s, e);
}

// ---- signs of life

static bool is_router(const struct mr_stack *s, const struct mr_ip *ip)
{
	return mr_ip_eq(ip, &s->gateways[0]) || mr_ip_eq(ip, &s->gateways[1]) ||
	       mr_ip_eq(ip, &s->ra_router);
}

static struct mr_neigh_heard *heard_slot(
	struct mr_stack *s, struct mr_mac mac, const struct mr_ip *ip)
{
	uint64_t key = (uint64_t)mr_load_le32(mac.b) << 16 | mr_load_le16(mac.b + 4);

	return &s->neigh.heard[mr_hash64(key ^ ip_hash(&s->neigh, ip), s->neigh.hash_seed) %
			       MR_NEIGH_HEARD];
}

bool mr_neigh_heard(struct mr_stack *s, struct mr_mac mac, const struct mr_ip *src)
{
	static const struct mr_ip beyond;
	struct mr_neigh_heard *h = &s->neigh.last;
	struct mr_ip hop;

	// Packets of a burst are mostly of one peer, and a tenth of a second is exact enough.
	if (MR_LIKELY(s->now_ns - h->ns < HEARD_NS && mr_ip_eq(&h->ip, src) &&
		      mr_mac_eq(h->mac, mac)))
		return false;
	*h = (struct mr_neigh_heard){*src, mac, s->now_ns};
	if (!mr_ip_next_hop(s, src, &hop))
		return true;
	h = heard_slot(s, mac, mr_ip_eq(&hop, src) ? src : &beyond);
	*h = (struct mr_neigh_heard){mr_ip_eq(&hop, src) ? *src : beyond, mac, s->now_ns};
	return true;
}

// When the neighbour was last heard of; INT64_MIN: not known.
static int64_t last_heard(struct mr_stack *s, const struct mr_neigh *e)
{
	static const struct mr_ip beyond;
	const struct mr_ip *key = is_router(s, &e->ip) ? &beyond : &e->ip;
	const struct mr_neigh_heard *h = heard_slot(s, e->mac, key);

	return mr_mac_eq(h->mac, e->mac) && mr_ip_eq(&h->ip, key) ? h->ns : INT64_MIN;
}

static void promote(struct mr_stack *s, struct mr_neigh *e)
{
	uint16_t i = mr_neigh_index(s, e);

	list_remove(&s->neigh, list_of(e), i);
	e->proven = true;
	e->used_ns = s->now_ns;
	list_push(&s->neigh, MR_NEIGH_LIST_PROVEN, i);
}

void mr_neigh_use(struct mr_stack *s, struct mr_neigh *e)
{
	if (!e->proven || s->now_ns - e->used_ns > LIST_MOVE_NS)
		promote(s, e);
	if (e->state == MR_NEIGH_REACHABLE && s->now_ns - e->confirmed_ns > REACHABLE_NS) {
		int64_t heard_ns = last_heard(s, e);

		e->state = MR_NEIGH_STALE;
		if (heard_ns > e->confirmed_ns && s->now_ns - heard_ns <= REACHABLE_NS)
			confirm(e, heard_ns);
	}
	if (e->state == MR_NEIGH_STALE) {
		e->state = MR_NEIGH_DELAY;
		e->confirmed_ns = s->now_ns; // nothing heard before now counts
		set_due(s, e, DELAY_NS);
	}
}

static void entry_time(struct mr_stack *s, struct mr_neigh *e)
{
	if (e->state == MR_NEIGH_DELAY || e->state == MR_NEIGH_PROBE) {
		int64_t heard_ns = last_heard(s, e);

		if (heard_ns >= e->confirmed_ns) {
			confirm(e, heard_ns);
			return;
		}
	}
	if (e->state == MR_NEIGH_DELAY) {
		e->state = MR_NEIGH_PROBE;
		e->tries = 0;
	}
	if (e->tries >= TRIES_MAX)
		release(s, e);
	else
		ask(s, e);
}

void mr_neigh_time(struct mr_stack *s)
{
	struct mr_neigh_table *n = &s->neigh;
	int64_t next_ns = INT64_MAX;

	if (s->now_ns < n->next_ns)
		return;
	for (uint32_t i = 0; i < n->count_max; i++) {
		struct mr_neigh *e = &n->entries[i];

		if (e->due_ns <= s->now_ns)
			entry_time(s, e);
		next_ns = MR_MIN(next_ns, e->due_ns);
	}
	n->next_ns = next_ns;
}
