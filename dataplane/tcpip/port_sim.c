// The simulated wire: pool of frames, ways, switch, events.
#include "dataplane/tcpip/port_sim.h"

#include "host/base/rand.h"

#include <errno.h>
#include <stdlib.h>

enum {
	ETHER_MIN = 60, // shorter frames are padded, with rubbish, as some devices do
	RX_MAX_DEFAULT = 1024,
	MTU_DEFAULT = 1500,
	ICMP_QUOTE = 28,
};

enum place { PLACE_FREE, PLACE_LENT_TX, PLACE_WIRE, PLACE_QUEUED, PLACE_LENT_RX, PLACES };

struct buffer {
	uint32_t bytes;
	uint32_t flags;
	uint8_t place;
	uint8_t *data; // behind MR_PORT_HEADROOM
};

struct event {
	int64_t ns;
	uint64_t order; // of those at one time
	uint32_t buffer;
	int port;
};

struct sim_port;

struct sim_queue {
	struct mr_port port;
	struct sim_port *owner;
	uint32_t index;
	uint32_t *ring; // of buffers, rx_max
	uint32_t head, count;
};

struct sim_port {
	struct mr_sim *sim;
	struct mr_sim_port_options o;
	int number;
	struct sim_queue *queues;
	int64_t busy_until_ns; // the way is sending
	int64_t last_arrival_ns;
	uint64_t sent;
	bool in_burst, gone;
};

struct mr_sim {
	int64_t now_ns;
	struct mr_rand rand;
	struct sim_port ports[MR_SIM_PORTS_MAX];
	int ports_count;
	uint32_t frames, frame_bytes;
	uint8_t *memory;
	struct buffer *buffers;
	uint32_t *free;
	uint32_t free_count;
	struct event *heap;
	uint32_t heap_count;
	uint64_t order;
	struct mr_sim_counters counters;
};

// ---- pool

static bool take(struct mr_sim *sim, enum place place, uint32_t *out)
{
	if (sim->free_count == 0) {
		sim->counters.no_frame++;
		return false;
	}
	*out = sim->free[--sim->free_count];
	MR_ASSERT(sim->buffers[*out].place == PLACE_FREE);
	sim->buffers[*out].place = (uint8_t)place;
	sim->buffers[*out].flags = 0;
	return true;
}

static void give(struct mr_sim *sim, uint32_t i)
{
	MR_ASSERT(sim->buffers[i].place != PLACE_FREE);
	sim->buffers[i].place = PLACE_FREE;
	sim->free[sim->free_count++] = i;
}

static void move(struct mr_sim *sim, uint32_t i, enum place from, enum place to)
{
	MR_ASSERT(sim->buffers[i].place == from);
	sim->buffers[i].place = (uint8_t)to;
}

static bool copy(struct mr_sim *sim, uint32_t from, uint32_t *out)
{
	if (!take(sim, PLACE_WIRE, out))
		return false;
	sim->buffers[*out].bytes = sim->buffers[from].bytes;
	memcpy(sim->buffers[*out].data, sim->buffers[from].data, sim->buffers[from].bytes);
	return true;
}

// ---- events: a binary heap

static bool earlier(const struct event *a, const struct event *b)
{
	return a->ns != b->ns ? a->ns < b->ns : a->order < b->order;
}

static void heap_push(struct mr_sim *sim, struct event e)
{
	uint32_t i = sim->heap_count++;

	MR_ASSERT(i < sim->frames);
	for (; i > 0 && earlier(&e, &sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
		sim->heap[i] = sim->heap[(i - 1) / 2];
	sim->heap[i] = e;
}

static struct event heap_pop(struct mr_sim *sim)
{
	struct event first = sim->heap[0], last = sim->heap[--sim->heap_count];
	uint32_t i = 0, child;

	while ((child = 2 * i + 1) < sim->heap_count) {
		if (child + 1 < sim->heap_count &&
			earlier(&sim->heap[child + 1], &sim->heap[child]))
			child++;
		if (!earlier(&sim->heap[child], &last))
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	sim->heap[i] = last;
	return first;
}

static void arrive(struct mr_sim *sim, int port, uint32_t buffer, int64_t ns)
{
	heap_push(sim, (struct event){MR_MAX(ns, sim->now_ns), sim->order++, buffer, port});
}

// ---- what is in a frame

struct view {
	uint16_t type;
	uint32_t l3, l4; // offsets; l4 0: no TCP
	uint32_t l4_bytes;
	struct mr_ip src, dst;
};

static void view4(const struct buffer *b, struct view *v)
{
	const uint8_t *h = b->data + v->l3;

	if (b->bytes < v->l3 + MR_IP4_BYTES + MR_TCP_BYTES || h[0] != 0x45 || h[9] != MR_IP_TCP ||
		mr_load_be16(h + 2) < MR_IP4_BYTES + MR_TCP_BYTES ||
		v->l3 + mr_load_be16(h + 2) > b->bytes)
		return;
	v->src = mr_ip4(mr_load_be32(h + 12));
	v->dst = mr_ip4(mr_load_be32(h + 16));
	v->l4 = v->l3 + MR_IP4_BYTES;
	v->l4_bytes = mr_load_be16(h + 2) - MR_IP4_BYTES;
}

static void view6(const struct buffer *b, struct view *v)
{
	const uint8_t *h = b->data + v->l3;

	if (b->bytes < v->l3 + MR_IP6_BYTES + MR_TCP_BYTES || h[6] != MR_IP_TCP ||
		mr_load_be16(h + 4) < MR_TCP_BYTES ||
		v->l3 + MR_IP6_BYTES + mr_load_be16(h + 4) > b->bytes)
		return;
	memcpy(v->src.b, h + 8, 16);
	memcpy(v->dst.b, h + 24, 16);
	v->l4 = v->l3 + MR_IP6_BYTES;
	v->l4_bytes = mr_load_be16(h + 4);
}

static struct view view(const struct buffer *b)
{
	struct view v = {.l3 = MR_ETH_BYTES};

	if (b->bytes < MR_ETH_BYTES + MR_VLAN_BYTES)
		return v;
	v.type = mr_load_be16(b->data + 12);
	if (v.type == MR_ETHERTYPE_VLAN) {
		v.l3 += MR_VLAN_BYTES;
		v.type = mr_load_be16(b->data + 16);
	}
	if (v.type == MR_ETHERTYPE_IP4)
		view4(b, &v);
	else if (v.type == MR_ETHERTYPE_IP6)
		view6(b, &v);
	return v;
}

// ---- ICMP errors of the router that the wire plays

static void too_big4(
	const struct buffer *in, const struct view *v, uint16_t mtu, struct buffer *out)
{
	const uint8_t *h = in->data + v->l3;
	uint8_t *o = out->data + v->l3, *icmp = o + MR_IP4_BYTES;

	memcpy(o, h, MR_IP4_BYTES);
	mr_store_be16(o + 2, MR_IP4_BYTES + 8 + ICMP_QUOTE);
	o[9] = MR_IP_ICMP;
	memcpy(o + 12, h + 16, 4);
	memcpy(o + 16, h + 12, 4);
	mr_store_be16(o + 10, 0);
	mr_store_be16(o + 10, mr_inet_fold(mr_inet_sum(0, o, MR_IP4_BYTES)));
	memset(icmp, 0, 8);
	icmp[0] = 3;
	icmp[1] = 4;
	mr_store_be16(icmp + 6, mtu);
	memcpy(icmp + 8, h, ICMP_QUOTE);
	mr_store_be16(icmp + 2, mr_inet_fold(mr_inet_sum(0, icmp, 8 + ICMP_QUOTE)));
	out->bytes = v->l3 + MR_IP4_BYTES + 8 + ICMP_QUOTE;
}

static void too_big6(
	const struct buffer *in, const struct view *v, uint16_t mtu, struct buffer *out)
{
	const uint32_t quote = MR_IP6_BYTES + MR_TCP_BYTES;
	const uint8_t *h = in->data + v->l3;
	uint8_t *o = out->data + v->l3, *icmp = o + MR_IP6_BYTES;
	uint64_t sum = mr_inet_pseudo(&v->dst, &v->src, MR_IP_ICMP6, 8 + quote);

	memcpy(o, h, MR_IP6_BYTES);
	mr_store_be16(o + 4, (uint16_t)(8 + quote));
	o[6] = MR_IP_ICMP6;
	memcpy(o + 8, v->dst.b, 16);
	memcpy(o + 24, v->src.b, 16);
	memset(icmp, 0, 8);
	icmp[0] = 2;
	mr_store_be32(icmp + 4, mtu);
	memcpy(icmp + 8, h, quote);
	mr_store_be16(icmp + 2, mr_inet_fold(mr_inet_sum(sum, icmp, 8 + quote)));
	out->bytes = v->l3 + MR_IP6_BYTES + 8 + quote;
}

static void tell_too_big(struct sim_port *p, uint32_t buffer, const struct view *v)
{
	struct mr_sim *sim = p->sim;
	const struct buffer *in = &sim->buffers[buffer];
	uint32_t i;

	if (v->l4 == 0 || !take(sim, PLACE_WIRE, &i))
		return;
	memcpy(sim->buffers[i].data, in->data + 6, 6);
	memcpy(sim->buffers[i].data + 6, in->data, 6);
	memcpy(sim->buffers[i].data + 12, in->data + 12, v->l3 - 12);
	if (v->type == MR_ETHERTYPE_IP4)
		too_big4(in, v, p->o.way.mtu, &sim->buffers[i]);
	else
		too_big6(in, v, p->o.way.mtu, &sim->buffers[i]);
	arrive(sim, p->number, i, sim->now_ns + p->o.way.delay_ns);
}

// ---- the way of a frame

static bool chance(struct mr_sim *sim, uint32_t of_a_million)
{
	return of_a_million && mr_rand_below(&sim->rand, MR_SIM_MILLION) < of_a_million;
}

static bool is_lost(struct sim_port *p)
{
	const struct mr_sim_way *w = &p->o.way;
	struct mr_sim *sim = p->sim;
	bool burst = p->in_burst;

	p->sent++;
	if (burst)
		p->in_burst = !chance(sim, w->burst_leave);
	else
		p->in_burst = burst = chance(sim, w->burst_enter);
	if (burst || chance(sim, w->loss) || (w->loss_every && p->sent % w->loss_every == 0)) {
		sim->counters.lost++;
		return true;
	}
	return false;
}

// When the last bit has left; false: the queue before the way is full.
static bool departs(struct sim_port *p, uint32_t bytes, int64_t *ns)
{
	const struct mr_sim_way *w = &p->o.way;
	int64_t begin = MR_MAX(p->busy_until_ns, p->sim->now_ns);

	if (w->rate_bps == 0) {
		*ns = p->sim->now_ns;
		return true;
	}
	if (w->queue_bytes) {
		unsigned __int128 waiting =
			(unsigned __int128)(begin - p->sim->now_ns) * w->rate_bps;

		if (waiting / 8000000000u + bytes > w->queue_bytes) {
			p->sim->counters.queue_dropped++;
			return false;
		}
	}
	*ns = p->busy_until_ns = begin + (int64_t)(bytes * 8000000000ull / w->rate_bps);
	return true;
}

static int64_t arrives(struct sim_port *p, int64_t departure_ns)
{
	const struct mr_sim_way *w = &p->o.way;
	struct mr_sim *sim = p->sim;
	int64_t ns = departure_ns + w->delay_ns;

	if (w->jitter_ns)
		ns += (int64_t)mr_rand_below(&sim->rand, (uint64_t)w->jitter_ns + 1);
	if (chance(sim, w->reorder)) {
		sim->counters.reordered++;
		return ns + 1 + (int64_t)mr_rand_below(&sim->rand, (uint64_t)w->reorder_ns + 1);
	}
	p->last_arrival_ns = MR_MAX(p->last_arrival_ns, ns);
	return p->last_arrival_ns;
}

// A flip of one bit behind the Ethernet header: what the checksums of IP, TCP and ICMP are for.
// (What ARP says has none and relies on Ethernet's own.)
static void corrupt(struct mr_sim *sim, uint32_t buffer)
{
	struct buffer *b = &sim->buffers[buffer];
	struct view v = view(b);
	uint64_t bit;

	if (v.l4 == 0)
		return;
	bit = mr_rand_below(&sim->rand, (v.l4 + v.l4_bytes - v.l3) * 8ull);
	b->data[v.l3 + bit / 8] ^= (uint8_t)(1u << bit % 8);
	sim->counters.corrupted++;
}

static void send_to(struct sim_port *p, int to, uint32_t buffer, int64_t departure_ns)
{
	struct mr_sim *sim = p->sim;
	uint32_t again;

	if (chance(sim, p->o.way.duplicate) && copy(sim, buffer, &again)) {
		sim->counters.duplicated++;
		arrive(sim, to, again, arrives(p, departure_ns));
	}
	if (chance(sim, p->o.way.corrupt))
		corrupt(sim, buffer);
	arrive(sim, to, buffer, arrives(p, departure_ns));
}

// The switch: to the port of that MAC, or to all others.
static void forward(struct sim_port *p, uint32_t buffer, int64_t departure_ns)
{
	struct mr_sim *sim = p->sim;
	const uint8_t *dst = sim->buffers[buffer].data;
	uint32_t each;

	for (int i = 0; i < sim->ports_count; i++) {
		if (memcmp(sim->ports[i].o.mac.b, dst, 6) != 0)
			continue;
		if (i == p->number)
			break;
		send_to(p, i, buffer, departure_ns);
		return;
	}
	for (int i = 0; dst[0] & 1 && i < sim->ports_count; i++)
		if (i != p->number && copy(sim, buffer, &each))
			send_to(p, i, each, departure_ns);
	give(sim, buffer);
}

static void fill_sums(struct buffer *b, const struct mr_sim_way *w)
{
	struct view v = view(b);
	uint64_t sum;

	if (v.l4 == 0)
		return;
	if (b->flags & MR_FRAME_SUM_L3)
		mr_store_be16(b->data + v.l3 + 10,
			mr_inet_fold(mr_inet_sum(0, b->data + v.l3, MR_IP4_BYTES)));
	if (b->flags & MR_FRAME_SUM_L4)
		mr_store_be16(b->data + v.l4 + 16,
			mr_inet_fold(mr_inet_sum(0, b->data + v.l4, v.l4_bytes)));
	if (w->partial_sums) {
		sum = mr_inet_pseudo(&v.src, &v.dst, MR_IP_TCP, v.l4_bytes);
		mr_store_be16(b->data + v.l4 + 16, (uint16_t)~mr_inet_fold(sum));
	}
}

static void pad(struct buffer *b)
{
	if (b->bytes < ETHER_MIN) {
		memset(b->data + b->bytes, 0xa5, ETHER_MIN - b->bytes);
		b->bytes = ETHER_MIN;
	}
}

static bool passes(struct sim_port *p, uint32_t buffer, const struct view *v)
{
	const struct mr_sim_way *w = &p->o.way;
	struct mr_sim *sim = p->sim;

	if (w->mtu && sim->buffers[buffer].bytes > v->l3 + w->mtu) {
		sim->counters.too_big++;
		if (w->mtu_tells)
			tell_too_big(p, buffer, v);
		return false;
	}
	if (sim->now_ns >= w->black_from_ns && sim->now_ns < w->black_until_ns) {
		sim->counters.blackholed++;
		return false;
	}
	return true;
}

static void wire(struct sim_port *p, uint32_t buffer)
{
	struct mr_sim *sim = p->sim;
	struct buffer *b = &sim->buffers[buffer];
	struct view v;
	int64_t departure_ns;
	uint32_t own;

	fill_sums(b, &p->o.way);
	pad(b);
	v = view(b);
	if (p->o.way.echo_own && copy(sim, buffer, &own))
		arrive(sim, p->number, own, sim->now_ns);
	if (p->gone || !p->queues[0].port.link_up || !passes(p, buffer, &v) ||
		!departs(p, b->bytes, &departure_ns) || is_lost(p))
		give(sim, buffer);
	else
		forward(p, buffer, departure_ns);
}

// ---- arrival

static void add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static void enqueue(struct sim_queue *q, uint32_t buffer, uint32_t flags)
{
	struct mr_sim *sim = q->owner->sim;

	if (q->count == q->owner->o.rx_max) {
		add(&q->port.counters.rx_missed, 1);
		give(sim, buffer);
		return;
	}
	move(sim, buffer, PLACE_WIRE, PLACE_QUEUED);
	sim->buffers[buffer].flags = flags;
	q->ring[(q->head + q->count++) % q->owner->o.rx_max] = buffer;
}

// Steering in software: TCP by destination port, everything else to all queues, of which the first
// answers.
static void deliver(struct sim_port *p, uint32_t buffer)
{
	struct mr_sim *sim = p->sim;
	struct view v = view(&sim->buffers[buffer]);
	uint32_t queue = 0, each;

	sim->counters.delivered++;
	if (v.l4) {
		queue = mr_load_be16(sim->buffers[buffer].data + v.l4 + 2) - p->o.port_first;
		if (queue >= p->o.queues)
			queue = 0;
	} else {
		for (uint32_t i = 1; i < p->o.queues; i++)
			if (copy(sim, buffer, &each))
				enqueue(&p->queues[i], each, MR_FRAME_LEARN);
	}
	enqueue(&p->queues[queue], buffer, 0);
}

void mr_sim_time(struct mr_sim *sim, int64_t now_ns)
{
	while (sim->heap_count > 0 && sim->heap[0].ns <= now_ns) {
		struct event e = heap_pop(sim);
		struct sim_port *p = &sim->ports[e.port];

		sim->now_ns = MR_MAX(sim->now_ns, e.ns);
		if (p->gone || !p->queues[0].port.link_up)
			give(sim, e.buffer);
		else
			deliver(p, e.buffer);
	}
	sim->now_ns = MR_MAX(sim->now_ns, now_ns);
}

int64_t mr_sim_next_ns(const struct mr_sim *sim)
{
	return sim->heap_count ? sim->heap[0].ns : INT64_MAX;
}

// ---- a port's operations

static int sim_rx(struct mr_port *port, struct mr_frame *out, int max)
{
	struct sim_queue *q = MR_CONTAINER(port, struct sim_queue, port);
	struct mr_sim *sim = q->owner->sim;
	int n = 0;

	if (q->owner->gone)
		return -ENODEV;
	for (; n < max && q->count > 0; n++) {
		uint32_t i = q->ring[q->head];
		struct buffer *b = &sim->buffers[i];

		q->head = (q->head + 1) % q->owner->o.rx_max;
		q->count--;
		move(sim, i, PLACE_QUEUED, PLACE_LENT_RX);
		out[n] = (struct mr_frame){
			.data = b->data, .bytes = b->bytes, .flags = b->flags, .opaque = b};
		add(&port->counters.rx_bytes, b->bytes);
	}
	add(&port->counters.rx_frames, (uint64_t)n);
	add(n ? &port->counters.rx_bursts : &port->counters.rx_empty, 1);
	return n;
}

static void sim_rx_done(struct mr_port *port, struct mr_frame *frames, int count)
{
	struct sim_queue *q = MR_CONTAINER(port, struct sim_queue, port);
	struct mr_sim *sim = q->owner->sim;

	for (int i = 0; i < count; i++) {
		struct buffer *b = frames[i].opaque;

		MR_ASSERT(b->place == PLACE_LENT_RX);
		give(sim, (uint32_t)(b - sim->buffers));
	}
}

static int sim_tx_alloc(struct mr_port *port, struct mr_frame *out, int count)
{
	struct sim_queue *q = MR_CONTAINER(port, struct sim_queue, port);
	struct mr_sim *sim = q->owner->sim;
	int n = 0;

	for (uint32_t i; n < count && take(sim, PLACE_LENT_TX, &i); n++)
		out[n] =
			(struct mr_frame){.data = sim->buffers[i].data, .opaque = &sim->buffers[i]};
	if (n == 0)
		add(&port->counters.tx_no_frame, 1);
	return n;
}

static void sim_tx(struct mr_port *port, struct mr_frame *frames, int count)
{
	struct sim_queue *q = MR_CONTAINER(port, struct sim_queue, port);
	struct mr_sim *sim = q->owner->sim;

	for (int i = 0; i < count; i++) {
		struct buffer *b = frames[i].opaque;
		uint32_t index = (uint32_t)(b - sim->buffers);

		MR_ASSERT(frames[i].bytes <= sim->frame_bytes && frames[i].data == b->data);
		if (frames[i].bytes == 0) {
			MR_ASSERT(b->place == PLACE_LENT_TX);
			give(sim, index);
			continue;
		}
		MR_ASSERT(frames[i].bytes >= MR_ETH_BYTES);
		move(sim, index, PLACE_LENT_TX, PLACE_WIRE);
		b->bytes = frames[i].bytes;
		b->flags = frames[i].flags;
		add(&port->counters.tx_frames, 1);
		add(&port->counters.tx_bytes, b->bytes);
		wire(q->owner, index);
	}
}

static void sim_close(struct mr_port *port)
{
	struct sim_queue *q = MR_CONTAINER(port, struct sim_queue, port);

	for (; q->count > 0; q->count--) {
		give(q->owner->sim, q->ring[q->head]);
		q->head = (q->head + 1) % q->owner->o.rx_max;
	}
}

static const struct mr_port_ops sim_ops = {
	.name = "sim",
	.rx = sim_rx,
	.rx_done = sim_rx_done,
	.tx_alloc = sim_tx_alloc,
	.tx = sim_tx,
	.close = sim_close,
};

// ---- life

int mr_sim_create(uint64_t seed, uint32_t frames, uint32_t frame_bytes, struct mr_sim **out)
{
	struct mr_sim *sim = calloc(1, sizeof(*sim));
	size_t each = MR_PORT_HEADROOM + mr_round_up(MR_MAX(frame_bytes, 128u), 64);

	if (!sim)
		return -ENOMEM;
	sim->memory = malloc(frames * each);
	sim->buffers = calloc(frames, sizeof(*sim->buffers));
	sim->free = calloc(frames, sizeof(*sim->free));
	sim->heap = calloc(frames, sizeof(*sim->heap));
	sim->frames = frames;
	sim->frame_bytes = frame_bytes;
	mr_rand_init(&sim->rand, seed);
	if (!sim->memory || !sim->buffers || !sim->free || !sim->heap) {
		mr_sim_destroy(sim);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < frames; i++) {
		sim->buffers[i].data = sim->memory + i * each + MR_PORT_HEADROOM;
		sim->free[sim->free_count++] = frames - 1 - i;
	}
	*out = sim;
	return 0;
}

void mr_sim_destroy(struct mr_sim *sim)
{
	if (!sim)
		return;
	for (int i = 0; i < sim->ports_count; i++) {
		for (uint32_t k = 0; k < sim->ports[i].o.queues; k++)
			free(sim->ports[i].queues[k].ring);
		free(sim->ports[i].queues);
	}
	free(sim->memory);
	free(sim->buffers);
	free(sim->free);
	free(sim->heap);
	free(sim);
}

static int init_queue(struct sim_port *p, uint32_t index)
{
	struct sim_queue *q = &p->queues[index];

	q->owner = p;
	q->index = index;
	q->ring = calloc(p->o.rx_max, sizeof(*q->ring));
	q->port.ops = &sim_ops;
	q->port.mac = p->o.mac;
	q->port.mtu = p->o.mtu;
	q->port.frame_bytes_max = p->sim->frame_bytes;
	q->port.offloads = p->o.offloads;
	q->port.link_up = true;
	q->port.node = -1;
	memcpy(q->port.name, "sim", 4);
	return q->ring ? 0 : -ENOMEM;
}

int mr_sim_add(struct mr_sim *sim, const struct mr_sim_port_options *o)
{
	struct sim_port *p = &sim->ports[sim->ports_count];
	int rc = 0;

	if (sim->ports_count == MR_SIM_PORTS_MAX || o->queues > MR_SIM_QUEUES_MAX)
		return -ENOSPC;
	*p = (struct sim_port){.sim = sim, .o = *o, .number = sim->ports_count};
	p->o.queues = o->queues ? o->queues : 1;
	p->o.mtu = o->mtu ? o->mtu : MTU_DEFAULT;
	p->o.rx_max = o->rx_max ? o->rx_max : RX_MAX_DEFAULT;
	p->queues = calloc(p->o.queues, sizeof(*p->queues));
	if (!p->queues)
		return -ENOMEM;
	sim->ports_count++;
	for (uint32_t i = 0; i < p->o.queues; i++)
		rc = rc ? rc : init_queue(p, i);
	return rc ? rc : p->number;
}

struct mr_port *mr_sim_queue(struct mr_sim *sim, int port, uint32_t queue)
{
	MR_ASSERT(port < sim->ports_count && queue < sim->ports[port].o.queues);
	return &sim->ports[port].queues[queue].port;
}

struct mr_sim_way *mr_sim_way(struct mr_sim *sim, int port)
{
	return &sim->ports[port].o.way;
}

void mr_sim_link(struct mr_sim *sim, int port, bool up)
{
	struct sim_port *p = &sim->ports[port];

	for (uint32_t i = 0; i < p->o.queues; i++) {
		p->queues[i].port.link_up = up;
		add(&p->queues[i].port.counters.link_changes, 1);
	}
}

void mr_sim_remove(struct mr_sim *sim, int port)
{
	for (uint32_t i = 0; i < sim->ports[port].o.queues; i++)
		sim_close(&sim->ports[port].queues[i].port);
	sim->ports[port].gone = true;
}

const struct mr_sim_counters *mr_sim_counters(const struct mr_sim *sim)
{
	return &sim->counters;
}

uint32_t mr_sim_frames_used(const struct mr_sim *sim)
{
	return sim->frames - sim->free_count;
}

uint32_t mr_sim_frames_lent(const struct mr_sim *sim)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < sim->frames; i++)
		n += sim->buffers[i].place == PLACE_LENT_TX ||
		     sim->buffers[i].place == PLACE_LENT_RX;
	return n;
}

void mr_sim_check(const struct mr_sim *sim)
{
	uint32_t in[PLACES] = {0}, queued = 0;

	for (uint32_t i = 0; i < sim->frames; i++)
		in[sim->buffers[i].place]++;
	for (int i = 0; i < sim->ports_count; i++)
		for (uint32_t k = 0; k < sim->ports[i].o.queues; k++)
			queued += sim->ports[i].queues[k].count;
	MR_ASSERT(in[PLACE_FREE] == sim->free_count);
	MR_ASSERT(in[PLACE_WIRE] == sim->heap_count);
	MR_ASSERT(in[PLACE_QUEUED] == queued);
	for (uint32_t i = 0; i < sim->heap_count; i++)
		MR_ASSERT(sim->buffers[sim->heap[i].buffer].place == PLACE_WIRE);
}
