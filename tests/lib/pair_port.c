// A queue of frames each way.
#include "tests/lib/pair_port.h"
#include "host/base/stat.h"

#include <stdlib.h>

struct pair_port {
	struct mr_port port;
	struct pair_port *peer;
	struct mr_frame *queue; // that have come for this end
	uint32_t size;
	uint32_t head; // counts run freely
	uint32_t tail;
};

static struct pair_port *of(struct mr_port *p)
{
	return MR_CONTAINER(p, struct pair_port, port);
}

static int pair_rx(struct mr_port *port, struct mr_frame *out, int max)
{
	struct pair_port *p = of(port);
	int n = 0;

	while (n < max && p->tail != p->head) {
		out[n] = p->queue[p->tail++ % p->size];
		mr_stat_add(&port->counters.rx_bytes, out[n].bytes);
		n++;
	}
	mr_stat_add(&port->counters.rx_frames, (uint64_t)n);
	return n;
}

// Each frame is a block of its own, so that asan sees who keeps or oversteps one.
static void pair_rx_done(struct mr_port *, struct mr_frame *frames, int n)
{
	for (int i = 0; i < n; i++)
		free(frames[i].opaque);
}

static int pair_tx_alloc(struct mr_port *port, struct mr_frame *out, int n)
{
	for (int i = 0; i < n; i++) {
		uint8_t *block = malloc(MR_PORT_HEADROOM + port->frame_bytes_max);

		MR_ASSERT(block);
		out[i] = (struct mr_frame){.data = block + MR_PORT_HEADROOM, .opaque = block};
	}
	return n;
}

static void pair_tx(struct mr_port *port, struct mr_frame *frames, int n)
{
	struct pair_port *to = of(port)->peer;

	for (int i = 0; i < n; i++) {
		struct mr_frame *f = &frames[i];

		MR_ASSERT(f->bytes <= port->frame_bytes_max);
		if (f->bytes == 0 || to->head - to->tail == to->size) {
			mr_stat_add(&port->counters.tx_dropped, f->bytes != 0);
			free(f->opaque);
			continue;
		}
		mr_stat_add(&port->counters.tx_frames, 1);
		mr_stat_add(&port->counters.tx_bytes, f->bytes);
		f->flags = 0;
		to->queue[to->head++ % to->size] = *f;
	}
}

static void pair_close(struct mr_port *)
{
}

static const struct mr_port_ops pair_ops = {
	.name = "pair",
	.rx = pair_rx,
	.rx_done = pair_rx_done,
	.tx_alloc = pair_tx_alloc,
	.tx = pair_tx,
	.close = pair_close,
};

void pair_port_open(struct mr_port *ports[2], uint16_t mtu, uint32_t frames)
{
	struct pair_port *p[2];

	for (int i = 0; i < 2; i++) {
		p[i] = calloc(1, sizeof(*p[i]));
		MR_ASSERT(p[i]);
		p[i]->queue = calloc(frames, sizeof(*p[i]->queue));
		MR_ASSERT(p[i]->queue);
		p[i]->size = frames;
		p[i]->port = (struct mr_port){
			.ops = &pair_ops,
			.mac = {{2, 0, 0, 0, 0, (uint8_t)(i + 1)}},
			.mtu = mtu,
			.frame_bytes_max = (uint32_t)mtu + MR_ETH_BYTES + MR_VLAN_BYTES,
			.link_up = true,
			.node = -1,
			.name = "pair",
		};
		ports[i] = &p[i]->port;
	}
	p[0]->peer = p[1];
	p[1]->peer = p[0];
}

void pair_port_close(struct mr_port *ports[2])
{
	for (int i = 0; i < 2; i++) {
		struct pair_port *p = of(ports[i]);

		while (p->tail != p->head)
			free(p->queue[p->tail++ % p->size].opaque);
		free(p->queue);
		free(p);
	}
}

uint32_t pair_port_waiting(const struct mr_port *port)
{
	const struct pair_port *p = of((struct mr_port *)(uintptr_t)port);

	return p->head - p->tail;
}
