// Timers. A connection has four deadlines and one node in the wheel, which fires at the earliest
// of them or before: a deadline that moves later (they do with each acknowledgement) leaves the
// node where it is, and whatever fires looks at the deadlines themselves. So nothing fires after it
// was cancelled.
#include "dataplane/tcpip/tcp_int.h"

static int64_t sooner(int64_t a, int64_t b)
{
	return b && b < a ? b : a;
}

void mr_tcp_arm(struct mr_tcp_conn *c)
{
	int64_t due = sooner(sooner(sooner(INT64_MAX, c->due_rto), c->due_ack), c->due_life);

	if (c->flags & MR_TCP_C_PTO)
		due = MR_MIN(due, mr_tcp_probe_ns(c));
	if (due == INT64_MAX)
		return;
	if (!mr_wheel_is_set(&c->timer) || due < mr_wheel_due_ns(&c->timer))
		mr_wheel_set(&c->t->wheel, &c->timer, due);
}

static void give_up(struct mr_tcp_conn *c)
{
	MR_TCP_COUNT(c->t, timed_out);
	mr_tcp_conn_fail(c, c->flags & MR_TCP_C_UNREACHABLE ? -EHOSTUNREACH : -ETIMEDOUT);
}

static void fire_rto(struct mr_tcp_conn *c)
{
	const struct mr_tcp_options *o = &c->t->o;
	bool syn = c->state < MR_TCP_ESTABLISHED;

	c->due_rto = 0;
	if (c->retries >= (syn ? o->syn_retries_max : o->retries_max)) { // R2
		give_up(c);
		return;
	}
	if (c->flags & MR_TCP_C_PERSIST) {
		c->retries++;
		mr_tcp_send_probe(c);
		return;
	}
	if (syn) {
		c->retries++;
		c->backoff++;
		c->rtt_at = 0;
	} else {
		mr_tcp_timed_out(c);
	}
	mr_tcp_owe(c);
}

static void fire_ack(struct mr_tcp_conn *c)
{
	c->due_ack = 0;
	if (c->flags & MR_TCP_C_ACK) {
		c->flags |= MR_TCP_C_ACK_NOW;
		c->flags &= ~MR_TCP_C_ANSWERS; // its user does not reply soon
	}
	if (c->flags & (MR_TCP_C_ACK | MR_TCP_C_RETRY))
		mr_tcp_owe(c);
}

// The end of a connection that nobody holds: FIN-WAIT-2, or a peer that makes no progress.
static void end_orphan(struct mr_tcp_conn *c)
{
	MR_TCP_COUNT(c->t, orphans_dropped);
	if (c->state != MR_TCP_FIN_WAIT_2)
		mr_tcp_conn_reset(c);
	mr_tcp_conn_drop(c);
}

static void fire_life(struct mr_tcp_conn *c)
{
	struct mr_tcp *t = c->t;
	int64_t quiet = t->now_ns - c->heard_ns;

	c->due_life = 0;
	if (c->flags & MR_TCP_C_ORPHAN) {
		end_orphan(c);
		return;
	}
	if (quiet < t->o.keepalive_idle_ns) {
		c->due_life = c->heard_ns + t->o.keepalive_idle_ns;
		return;
	}
	c->due_life = t->now_ns + t->o.keepalive_every_ns;
	if (c->snd_una != c->snd_max) // the retransmission timer finds out
		return;
	if (c->probes++ >= t->o.keepalive_probes)
		give_up(c);
	else
		mr_tcp_send_keepalive(c);
}

static void fire(struct mr_tcp_conn *c)
{
	int64_t now = c->t->now_ns;

	if (c->due_ack && c->due_ack <= now)
		fire_ack(c);
	if (c->flags & MR_TCP_C_PTO && mr_tcp_probe_ns(c) <= now)
		mr_tcp_tail_fire(c);
	if (c->due_rto && c->due_rto <= now)
		fire_rto(c);
	if (c->state != MR_TCP_GONE && c->due_life && c->due_life <= now)
		fire_life(c);
	if (c->state != MR_TCP_GONE)
		mr_tcp_arm(c);
}

void mr_tcp_run_timers(struct mr_tcp *t)
{
	struct mr_wheel_node *n;
	const uint8_t *halves = t->halves.slab.pages.data;
	size_t halves_bytes = t->halves.slab.pages.bytes;

	while ((n = mr_wheel_pop(&t->wheel, t->now_ns))) {
		if (n == &t->wait_timer)
			mr_tcp_wait_expire(t);
		else if ((size_t)((const uint8_t *)n - halves) < halves_bytes)
			mr_tcp_half_timer(t, MR_CONTAINER(n, struct mr_tcp_half, timer));
		else
			fire(MR_CONTAINER(n, struct mr_tcp_conn, timer));
	}
}
