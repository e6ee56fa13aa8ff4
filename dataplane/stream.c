// The part of a network that all implementations share: tasks, time, receive buffers, addresses.
#include "dataplane/stream.h"

#include "dataplane/stream_int.h"

#include <errno.h>
#include <stdlib.h>

enum { STREAMS_MAX_DEFAULT = 4096, TASK_ROUNDS = 8 };

// Spare buffers for paused streams: address space only, until they are used. Our own TCP keeps
// their bytes itself.
static uint32_t spill_count(const struct mr_net *net)
{
	return net->options.stack ? 0 : net->options.streams_max;
}

int mr_net_init(struct mr_net *net, const struct mr_stream_ops *ops, const struct mr_net_options *o)
{
	uint32_t all;
	int err;

	net->ops = ops;
	net->options = *o;
	net->clock = o->clock;
	all = o->rxbufs + spill_count(net);
	net->rxbufs = calloc(all, sizeof(*net->rxbufs));
	if (!net->rxbufs)
		return -ENOMEM;
	err = mr_pages_reserve(
		&net->rx_pages, (size_t)all * MR_NET_RXBUF_BYTES, MR_PAGES_SMALL, o->node);
	if (err < 0)
		goto fail;
	err = mr_pages_reserve(
		&net->outs_pages, o->streams_max * sizeof(struct mr_out), MR_PAGES_SMALL, o->node);
	if (err < 0)
		goto fail_pages;
	for (uint32_t i = 0; i < all; i++) {
		struct mr_rxbuf *b = &net->rxbufs[i];

		*b = (struct mr_rxbuf){.index = i, .net = net};
		b->data = net->rx_pages.data + (size_t)i * MR_NET_RXBUF_BYTES;
		if (i >= o->rxbufs) {
			b->next = net->spill_free;
			net->spill_free = b;
		}
	}
	mr_net_time(net);
	net->ticked_ns = net->now_ns;
	return 0;
fail_pages:
	mr_pages_release(&net->rx_pages);
fail:
	free(net->rxbufs);
	return err;
}

void mr_net_fini(struct mr_net *net)
{
	mr_pages_release(&net->outs_pages);
	mr_pages_release(&net->rx_pages);
	free(net->rxbufs);
}

int mr_net_create(const struct mr_net_options *o, struct mr_net **out)
{
	struct mr_net_options filled = *o;

	if (filled.rxbufs == 0)
		filled.rxbufs = MR_NET_RXBUFS_DEFAULT;
	if (filled.streams_max == 0)
		filled.streams_max = STREAMS_MAX_DEFAULT;
	if (!mr_is_pow2(filled.rxbufs) || filled.rxbufs < 2 || filled.rxbufs > 32768)
		return -EINVAL;
	if (filled.stack)
		return mr_net_tcp_create(&filled, out);
	return filled.uring ? mr_net_uring_create(&filled, out) : mr_net_plain_create(&filled, out);
}

void mr_net_destroy(struct mr_net *net)
{
	if (net)
		net->ops->destroy(net);
}

void mr_net_time(struct mr_net *net)
{
	net->now_ns = mr_now_ns(net->clock);
}

void mr_net_gives_way(struct mr_net *net, bool on)
{
	net->gives_way = on;
}

void mr_net_later(struct mr_net *net, struct mr_net_task *t)
{
	if (t->queued)
		return;
	t->queued = true;
	t->next = NULL;
	if (net->task_first)
		net->task_last->next = t;
	else
		net->task_first = t;
	net->task_last = t;
	net->tasks_queued++;
}

// Runs the tasks that are queued and those that they queue, up to a bound: what is left then runs
// in the next turn, which will not wait.
static void run_tasks(struct mr_net *net)
{
	uint32_t budget = net->tasks_queued * TASK_ROUNDS + TASK_ROUNDS;

	while (net->task_first && budget--) {
		struct mr_net_task *t = net->task_first;

		net->task_first = t->next;
		net->tasks_queued--;
		t->queued = false;
		t->run(t);
	}
}

void mr_net_forget(struct mr_net *net, struct mr_net_task *t)
{
	struct mr_net_task **at = &net->task_first;

	if (!t->queued)
		return;
	net->task_last = NULL;
	while (*at) {
		if (*at == t) {
			*at = t->next;
			continue;
		}
		net->task_last = *at;
		at = &(*at)->next;
	}
	t->queued = false;
	net->tasks_queued--;
}

void mr_net_on_tick(struct mr_net *net, struct mr_net_ticker *t)
{
	t->next = net->tickers;
	net->tickers = t;
}

void mr_net_off_tick(struct mr_net *net, struct mr_net_ticker *t)
{
	struct mr_net_ticker **at = &net->tickers;

	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
}

static void run_tickers(struct mr_net *net)
{
	struct mr_net_ticker *t = net->tickers;

	while (t) {
		struct mr_net_ticker *next = t->next;

		t->tick(t);
		t = next;
	}
}

int mr_net_turn(struct mr_net *net, int64_t wait_ns)
{
	int n;

	MR_ASSERT(!net->in_turn);
	net->in_turn = true;
	mr_stat_add(&net->counters.turns, 1);
	if (net->task_first) {
		mr_net_time(net);
		run_tasks(net);
	}
	if (net->task_first)
		wait_ns = 0;
	if (wait_ns < 0 || wait_ns > MR_NET_TICK_NS)
		wait_ns = MR_NET_TICK_NS;
	n = net->ops->turn(net, wait_ns);
	if (net->now_ns - net->ticked_ns >= MR_NET_TICK_NS) {
		net->ticked_ns = net->now_ns;
		net->ops->tick(net);
		run_tickers(net);
	}
	run_tasks(net);
	net->ops->flush(net);
	net->in_turn = false;
	return n;
}

int mr_net_listen(struct mr_net *net, const struct mr_net_addr *at,
	const struct mr_stream_events *events, void *owner, uint16_t *port,
	struct mr_listener **out)
{
	struct mr_listener *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	*l = (struct mr_listener){.net = net, .events = events, .owner = owner, .local = *at};
	err = net->ops->listen(net, at, l);
	if (err < 0) {
		free(l);
		return err;
	}
	if (port)
		*port = l->local.port;
	*out = l;
	return 0;
}

void mr_net_unlisten(struct mr_net *net, struct mr_listener *l)
{
	net->ops->unlisten(net, l);
}

int mr_net_watch(struct mr_net *net, struct mr_watch *w)
{
	return net->ops->watch(net, w);
}

void mr_net_unwatch(struct mr_net *net, struct mr_watch *w)
{
	net->ops->unwatch(net, w);
}

struct mr_out *mr_out_take(struct mr_net *net, const struct iovec *pieces, unsigned count)
{
	struct mr_out *o = net->outs_free;

	MR_ASSERT(count > 0 && count <= MR_NET_PIECES_MAX);
	if (o) {
		net->outs_free = o->next;
	} else {
		MR_ASSERT(net->outs_used < net->options.streams_max);
		o = (struct mr_out *)(void *)net->outs_pages.data + net->outs_used++;
	}
	memcpy(o->pieces, pieces, count * sizeof(*pieces));
	o->at = 0;
	o->count = count;
	return o;
}

bool mr_out_sent(struct mr_out *o, size_t bytes)
{
	while (o->at < o->count) {
		struct iovec *v = &o->pieces[o->at];
		size_t part = MR_MIN(bytes, v->iov_len);

		v->iov_base = (uint8_t *)v->iov_base + part;
		v->iov_len -= part;
		bytes -= part;
		if (v->iov_len)
			break;
		o->at++;
	}
	MR_ASSERT(bytes == 0);
	return o->at == o->count;
}

void mr_out_put(struct mr_net *net, struct mr_out *o)
{
	if (!o)
		return;
	o->next = net->outs_free;
	net->outs_free = o;
}

bool mr_rxbuf_pin(struct mr_rxbuf *b)
{
	struct mr_net *net = b->net;

	if (b->pins == 0) {
		if (b->index < net->options.rxbufs) {
			if (net->rx_pinned >= net->options.rxbufs / 2)
				return false;
			net->rx_pinned++;
			mr_stat_add(&net->counters.rxbufs_pinned, 1);
		}
	} else if (b->pins == UINT16_MAX) {
		return false;
	}
	b->pins++;
	return true;
}

void mr_rxbuf_unpin(struct mr_rxbuf *b)
{
	struct mr_net *net = b->net;

	MR_ASSERT(b->pins > 0);
	if (--b->pins)
		return;
	if (b->index < net->options.rxbufs) {
		net->rx_pinned--;
		mr_stat_add(&net->counters.rxbufs_pinned, (uint64_t)-1);
	}
	if (!b->lent)
		mr_rxbuf_return(b);
}

void mr_rxbuf_return(struct mr_rxbuf *b)
{
	struct mr_net *net = b->net;

	MR_ASSERT(!b->lent && b->pins == 0);
	if (b->index < net->options.rxbufs) {
		net->rx_out--;
		net->ops->rxbuf_free(net, b);
		return;
	}
	b->next = net->spill_free;
	net->spill_free = b;
}

struct mr_rxbuf *mr_rxbuf_spill(struct mr_rxbuf *b)
{
	struct mr_net *net = b->net;
	struct mr_rxbuf *to = net->spill_free;

	MR_ASSERT(b->lent);
	if (!to || b->index >= net->options.rxbufs || net->rx_out <= net->options.rxbufs / 4)
		return b;
	net->spill_free = to->next;
	to->lent = true;
	to->at = 0;
	to->end = (uint16_t)(b->end - b->at);
	memcpy(to->data, b->data + b->at, to->end);
	mr_stat_add(&net->counters.spilled_bytes, to->end);
	b->lent = false;
	if (b->pins == 0)
		mr_rxbuf_return(b);
	return to;
}

int64_t mr_net_now_ns(const struct mr_net *net)
{
	return net->now_ns;
}

struct mr_net_counters *mr_net_counters(struct mr_net *net)
{
	return &net->counters;
}

const char *mr_net_name(const struct mr_net *net)
{
	return net->ops->name;
}
