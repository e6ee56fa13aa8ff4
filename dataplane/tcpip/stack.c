// The stack of one worker: makes the layers, gives them time, and turns them.
#include "dataplane/tcpip/stack.h"

#include "dataplane/tcpip/pcapng.h"
#include "dataplane/tcpip/stack_int.h"
#include "host/base/note.h"

#include <errno.h>
#include <stdlib.h>

#define ANNOUNCE_EVERY_NS (2 * MR_NS_PER_S) // RFC 5227
#define NOTE_EVERY_NS     (10 * MR_NS_PER_S)

enum { ANNOUNCE_COUNT = 2 };

static int check_options(const struct mr_stack_options *o)
{
	uint16_t mtu = o->mtu ? o->mtu : o->port->mtu;
	bool v6 = false;

	if (o->addresses_count == 0 || o->addresses_count > MR_STACK_ADDRESSES_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < o->addresses_count; i++) {
		const struct mr_stack_address *a = &o->addresses[i];

		v6 |= !mr_ip_is_v4(&a->ip);
		if (mr_ip_is_martian_source(&a->ip) || a->prefix > (mr_ip_is_v4(&a->ip) ? 32 : 128))
			return -EINVAL;
	}
	if (mtu > o->port->mtu || mtu > MR_NET_MTU_MAX || o->vlan > 4094 ||
		mtu < (v6 ? MR_IP6_MTU_MIN : MR_IP4_PMTU_MIN))
		return -EINVAL;
	if (o->port->frame_bytes_max < MR_ETH_BYTES + MR_VLAN_BYTES + (uint32_t)mtu ||
		o->neighbours_max >= MR_NEIGH_NONE || o->neighbours_max == 1)
		return -EINVAL;
	return 0;
}

static void take_options(struct mr_stack *s, const struct mr_stack_options *o)
{
	s->port = o->port;
	s->mac = o->port->mac;
	s->vlan = o->vlan;
	s->mtu = s->mtu6 = o->mtu ? o->mtu : o->port->mtu;
	s->l2_bytes = (uint16_t)(MR_ETH_BYTES + (o->vlan ? MR_VLAN_BYTES : 0));
	s->accept_ra = o->accept_ra;
	s->answer_echo = o->answer_echo;
	s->now_ns = s->icmp_ns = o->now_ns;
	s->icmp_tokens = MR_STACK_ICMP_PER_SECOND;
	s->conflict_note_ns = o->now_ns - NOTE_EVERY_NS;
	s->defend_ns = o->now_ns - NOTE_EVERY_NS;
	mr_rand_init(&s->rand, o->seed);
	memcpy(s->gateways, o->gateways, sizeof(s->gateways));
	for (uint32_t i = 0; i < o->addresses_count; i++)
		s->locals[s->locals_count++] = (struct mr_local){.ip = o->addresses[i].ip,
			.prefix = o->addresses[i].prefix,
			.v4 = mr_ip_is_v4(&o->addresses[i].ip)};
	s->announce_ns = o->secondary ? INT64_MAX : o->now_ns;
	s->announces_left = ANNOUNCE_COUNT;
	s->dad_ns = INT64_MAX;
	mr_nd_create(s, o->secondary);
}

int mr_stack_create(const struct mr_stack_options *o, struct mr_stack **out)
{
	struct mr_tcp_lower lower = mr_ip_tcp_lower;
	struct mr_stack *s;
	int rc = check_options(o);

	if (rc < 0)
		return rc;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	take_options(s, o);
	rc = mr_neigh_create(&s->neigh,
		o->neighbours_max ? o->neighbours_max : MR_STACK_NEIGHBOURS_MAX,
		mr_rand_u64(&s->rand));
	lower.ctx = s;
	if (rc == 0)
		rc = mr_tcp_create(&o->tcp, &lower, o->now_ns, &s->tcp);
	if (rc < 0) {
		mr_neigh_destroy(&s->neigh);
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void mr_stack_destroy(struct mr_stack *s)
{
	if (!s)
		return;
	mr_tcp_destroy(s->tcp);
	mr_eth_return_all(s);
	mr_neigh_destroy(&s->neigh);
	free(s);
}

// ---- time

// At the start a probe asks whether our address is taken, without waiting for the answer: a server
// that comes back must not be silent for the seconds that RFC 5227 2.1 would have it wait. Two
// announcements follow, by which peers and switches forget where it was before.
static void announce_time(struct mr_stack *s)
{
	for (uint32_t i = 0; i < s->locals_count; i++) {
		const struct mr_local *l = &s->locals[i];

		if (!l->v4)
			mr_nd_announce(s, l);
		else if (!s->probed)
			mr_arp_probe(s, &l->ip);
		else
			mr_arp_announce(s, &l->ip);
	}
	if (s->probed)
		s->announces_left--;
	s->announce_ns = s->announces_left ? s->now_ns + ANNOUNCE_EVERY_NS : INT64_MAX;
	if (!s->probed)
		s->announce_ns = s->now_ns + ANNOUNCE_EVERY_NS / 2;
	s->probed = true;
}

static void note_conflicts(struct mr_stack *s)
{
	char address[48], mac[18];

	if (s->conflicts_untold == 0 || s->now_ns - s->conflict_note_ns < NOTE_EVERY_NS)
		return;
	mr_ip_format(&s->conflict_ip, address);
	mr_mac_format(s->conflict_mac, mac);
	mr_note(MR_NOTE_WARN, "net",
		"address=%s mac=%s times=%u: another host says that our address is its own",
		address, mac, s->conflicts_untold);
	s->conflict_note_ns = s->now_ns;
	s->conflicts_untold = 0;
}

// Asked for before the first peer from beyond the link needs it.
static void ask_for_gateways(struct mr_stack *s)
{
	for (int i = 0; i < 2; i++)
		if (!mr_ip_is_zero(&s->gateways[i]))
			mr_neigh_want(s, &s->gateways[i]);
	s->gateways_asked = true;
}

void mr_stack_time(struct mr_stack *s, int64_t now_ns)
{
	s->now_ns = MR_MAX(s->now_ns, now_ns);
	if (!s->gateways_asked)
		ask_for_gateways(s);
	if (s->now_ns >= s->announce_ns)
		announce_time(s);
	mr_nd_time(s);
	mr_neigh_time(s);
	note_conflicts(s);
	mr_tcp_time(s->tcp, s->now_ns);
}

int64_t mr_stack_next_ns(const struct mr_stack *s)
{
	int64_t next_ns = MR_MIN(mr_tcp_next_ns(s->tcp), s->neigh.next_ns);

	next_ns = MR_MIN(next_ns, s->announce_ns);
	return MR_MIN(next_ns, mr_nd_next_ns(s));
}

void mr_stack_announce(struct mr_stack *s)
{
	s->probed = true;
	s->announces_left = ANNOUNCE_COUNT;
	s->announce_ns = s->now_ns;
}

// ---- turns

void mr_stack_input(struct mr_stack *s, const struct mr_frame *frames, int count)
{
	for (int i = 0; i < count; i++) {
		if (i + 4 < count)
			__builtin_prefetch(frames[i + 4].data);
		if (s->capture)
			mr_capture_frame(
				s->capture, s->now_ns, frames[i].data, frames[i].bytes, false);
		mr_eth_input(s, &frames[i]);
	}
}

void mr_stack_flush(struct mr_stack *s)
{
	mr_tcp_flush(s->tcp);
	mr_eth_flush(s);
}

int mr_stack_turn(struct mr_stack *s, int64_t now_ns, int bursts_max)
{
	struct mr_frame frames[MR_PORT_BURST];
	int handled = 0;

	mr_stack_time(s, now_ns);
	for (int i = 0; i < bursts_max; i++) {
		int n = mr_port_rx(s->port, frames, MR_PORT_BURST);

		if (n < 0) {
			mr_stack_flush(s);
			return n;
		}
		mr_stack_input(s, frames, n);
		if (n > 0)
			mr_port_rx_done(s->port, frames, n);
		handled += n;
		if (n < MR_PORT_BURST)
			break;
	}
	mr_stack_flush(s);
	return handled;
}

struct mr_tcp *mr_stack_tcp(struct mr_stack *s)
{
	return s->tcp;
}

struct mr_stack_counters *mr_stack_counters(struct mr_stack *s)
{
	return &s->counters;
}

void mr_stack_capture(struct mr_stack *s, struct mr_capture *c)
{
	s->capture = c;
}
