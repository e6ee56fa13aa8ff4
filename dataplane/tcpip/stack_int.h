// What the files of the stack share: the stack itself, one frame on its way up, neighbours.
#pragma once

#include "dataplane/tcpip/stack.h"

#include "host/base/rand.h"
#include "host/base/stat.h"

#define MR_NS_PER_S  1000000000ll
#define MR_NS_PER_MS 1000000ll

// What of a frame the layers above Ethernet look at.
struct mr_stack_rx {
	const uint8_t *frame;
	struct mr_mac src_mac;
	uint32_t flags; // enum mr_frame_flags
	bool unicast;   // sent to our MAC, not to a group
	struct mr_ip src, dst;
	const uint8_t *l3; // of `l3_bytes`, without Ethernet's padding
	uint32_t l3_bytes;
	const uint8_t *l4;
	uint32_t l4_bytes;
	uint8_t hop_limit;
	bool ecn_ce;
};

// ---- neighbours: RFC 826 and RFC 4861 7.3, one table for both families

enum mr_neigh_state {
	MR_NEIGH_FREE,
	MR_NEIGH_INCOMPLETE, // asked for
	MR_NEIGH_STALE,      // known, perhaps no longer true; used until a probe says otherwise
	MR_NEIGH_REACHABLE,
	MR_NEIGH_DELAY, // stale and used: a sign of life is waited for
	MR_NEIGH_PROBE, // asked directly
};

#define MR_NEIGH_NONE UINT16_MAX

struct mr_neigh {
	struct mr_ip ip;
	struct mr_mac mac;
	uint8_t state;
	uint8_t tries;
	bool proven;         // on the list of the used and known, not of the rest
	uint16_t hash_next;  // MR_NEIGH_NONE ends
	uint16_t prev, next; // of its list, the most recent first
	uint32_t generation; // changes when the entry comes to mean another address
	int64_t due_ns;      // of INCOMPLETE, DELAY, PROBE; else INT64_MAX
	int64_t confirmed_ns;
	int64_t used_ns; // of its place in the list
};

// Peers whose segments found no next hop. Those that find no place here come again by their timer.
#define MR_NEIGH_WAITERS 64

struct mr_neigh_waiter {
	struct mr_ip peer;
	uint16_t neighbour; // MR_NEIGH_NONE: a free place
	uint32_t generation;
};

#define MR_NEIGH_HEARD 1024

// When a MAC last sent us something good: what upper layers know of reachability (RFC 4861 7.3.1).
struct mr_neigh_heard {
	struct mr_ip ip; // zero: from beyond the link
	struct mr_mac mac;
	int64_t ns;
};

enum { MR_NEIGH_LIST_FREE, MR_NEIGH_LIST_NEW, MR_NEIGH_LIST_PROVEN, MR_NEIGH_LISTS };

struct mr_neigh_table {
	struct mr_neigh *entries;
	uint16_t *buckets;
	uint32_t count_max, buckets_mask, used;
	uint16_t head[MR_NEIGH_LISTS], tail[MR_NEIGH_LISTS];
	uint32_t count[MR_NEIGH_LISTS];
	uint64_t hash_seed;
	int64_t next_ns; // the earliest due_ns, or earlier
	int64_t budget_ns;
	uint32_t budget; // questions that may still be asked in this tenth of a second
	struct mr_neigh_waiter waiters[MR_NEIGH_WAITERS];
	struct mr_neigh_heard last; // by address of the packet, router or not
	struct mr_neigh_heard heard[MR_NEIGH_HEARD];
};

// ---- IPv6 beside TCP

enum mr_dad { MR_DAD_DONE, MR_DAD_TENTATIVE, MR_DAD_DUPLICATE };

struct mr_local {
	struct mr_ip ip;
	uint8_t prefix;
	bool v4;
	enum mr_dad dad; // IPv4: always done
};

struct mr_stack {
	struct mr_port *port;
	struct mr_tcp *tcp;
	struct mr_capture *capture;
	struct mr_mac mac;
	uint16_t vlan, mtu, mtu6; // mtu6: lowered by a router's advertisement
	uint16_t l2_bytes;
	bool accept_ra, answer_echo;
	int64_t now_ns;
	struct mr_rand rand;
	struct mr_local locals[MR_STACK_ADDRESSES_MAX + 1]; // and a link-local address
	uint32_t locals_count;
	struct mr_ip gateways[2];
	struct mr_ip ra_router;
	int64_t ra_until_ns; // 0: none
	struct mr_neigh_table neigh;
	// Timed work of its own: announcements, DAD, RS, MLD. INT64_MAX: not wanted.
	int64_t announce_ns, dad_ns, rs_ns, mld_ns;
	uint8_t announces_left, rs_left, mld_left;
	bool probed, dad_begun, dad_asks, gateways_asked;
	bool mld_query; // the next report answers a query
	int64_t conflict_note_ns, defend_ns;
	struct mr_mac conflict_mac;
	struct mr_ip conflict_ip;
	uint32_t conflicts_untold;
	// Token bucket of ICMP answers.
	uint32_t icmp_tokens;
	int64_t icmp_ns;
	// Frames taken ahead from the port, and those made in this turn.
	struct mr_frame free[MR_PORT_BURST], ready[MR_PORT_BURST];
	int free_count, ready_count;
	struct mr_stack_counters counters;
};

#define MR_COUNT(s, field) mr_stat_add(&(s)->counters.field, 1)

// eth.c
// A frame's Ethernet and VLAN header parsed; hands it to the layer above.
void mr_eth_input(struct mr_stack *s, const struct mr_frame *f);
// A frame to send with its Ethernet header written for `ethertype`; `payload` behind it. False: no
// frame. `bytes` is what the payload will be.
bool mr_eth_begin(struct mr_stack *s, struct mr_mac dst, uint16_t ethertype, uint32_t bytes,
	struct mr_frame *out, uint8_t **payload);
void mr_eth_send(struct mr_stack *s, const struct mr_frame *f);
// Takes a frame from the port's burst; false: the port has none.
bool mr_eth_take(struct mr_stack *s, struct mr_frame *out);
void mr_eth_give_back(struct mr_stack *s, const struct mr_frame *f);
void mr_eth_header(const struct mr_stack *s, uint8_t *at, struct mr_mac dst, uint16_t ethertype);
void mr_eth_flush(struct mr_stack *s);
void mr_eth_return_all(struct mr_stack *s);

// neigh.c
int mr_neigh_create(struct mr_neigh_table *n, uint32_t count_max, uint64_t seed);
void mr_neigh_destroy(struct mr_neigh_table *n);
// The entry of a next hop, made and asked for when it is new. Never NULL.
struct mr_neigh *mr_neigh_want(struct mr_stack *s, const struct mr_ip *hop);
struct mr_neigh *mr_neigh_find(struct mr_stack *s, const struct mr_ip *hop);
// A neighbour has told its address: a new entry only when `make`. `solicited`: it answered us.
// `override`: its word counts against what is known (RFC 4861 7.2.5).
void mr_neigh_learn(struct mr_stack *s, const struct mr_ip *ip, struct mr_mac mac, bool make,
	bool solicited, bool override);
// It is about to be sent to: what is stale begins to be probed.
void mr_neigh_use(struct mr_stack *s, struct mr_neigh *e);
void mr_neigh_forget(struct mr_stack *s, const struct mr_ip *ip);
void mr_neigh_wait(struct mr_stack *s, const struct mr_neigh *e, const struct mr_ip *peer);
// A good packet of `src` has come from `mac`. False: that was so a moment ago already.
bool mr_neigh_heard(struct mr_stack *s, struct mr_mac mac, const struct mr_ip *src);
void mr_neigh_time(struct mr_stack *s);

static inline bool mr_neigh_usable(const struct mr_neigh *e)
{
	return e->state >= MR_NEIGH_STALE;
}

static inline uint16_t mr_neigh_index(const struct mr_stack *s, const struct mr_neigh *e)
{
	return (uint16_t)(e - s->neigh.entries);
}

// arp.c
void mr_arp_input(struct mr_stack *s, const struct mr_stack_rx *rx);
void mr_arp_ask(struct mr_stack *s, const struct mr_ip *hop, const struct mr_mac *direct);
// "Is this address free": a question in nobody's name (RFC 5227 2.1.1).
void mr_arp_probe(struct mr_stack *s, const struct mr_ip *ip);
void mr_arp_announce(struct mr_stack *s, const struct mr_ip *ip);
void mr_stack_conflict(struct mr_stack *s, const struct mr_ip *ip, struct mr_mac mac);

// ip4.c, ip6.c
void mr_ip4_input(struct mr_stack *s, struct mr_stack_rx *rx);
void mr_ip4_header(uint8_t *l3, const struct mr_ip *src, const struct mr_ip *dst, uint8_t protocol,
	uint32_t l4_bytes);
void mr_ip6_input(struct mr_stack *s, struct mr_stack_rx *rx);
void mr_ip6_header(uint8_t *l3, const struct mr_ip *src, const struct mr_ip *dst, uint8_t next,
	uint32_t l4_bytes, uint8_t hop_limit);
// Walks a bounded chain of extension headers from `next`; the header reached in the end, or
// negative: -EINVAL damaged, -EOPNOTSUPP not taken, -EMLINK a fragment.
int mr_ip6_skip(const uint8_t **at, const uint8_t *end, uint8_t next);

// ip.c: what both share
const struct mr_local *mr_ip_local(const struct mr_stack *s, const struct mr_ip *ip);
// Where a packet to `peer` goes first; false: nowhere.
bool mr_ip_next_hop(const struct mr_stack *s, const struct mr_ip *peer, struct mr_ip *hop);
bool mr_ip_is_zero(const struct mr_ip *ip);
void mr_ip_tcp_input(struct mr_stack *s, const struct mr_stack_rx *rx);
extern const struct mr_tcp_lower mr_ip_tcp_lower;

// icmp.c
void mr_icmp_input(struct mr_stack *s, const struct mr_stack_rx *rx);
void mr_icmp6_input(struct mr_stack *s, const struct mr_stack_rx *rx);
bool mr_icmp_allow(struct mr_stack *s);

// nd.c
// `secondary`: another worker asks, answers and announces.
void mr_nd_create(struct mr_stack *s, bool secondary);
void mr_nd_input(struct mr_stack *s, const struct mr_stack_rx *rx);
void mr_nd_ask(struct mr_stack *s, const struct mr_ip *hop, const struct mr_mac *direct);
void mr_nd_announce(struct mr_stack *s, const struct mr_local *l);
void mr_nd_time(struct mr_stack *s);
int64_t mr_nd_next_ns(const struct mr_stack *s);
// Whether a group MAC (33:33:…) is one that we have joined.
bool mr_nd_joined(const struct mr_stack *s, struct mr_mac mac);

// mld.c
void mr_mld_query(struct mr_stack *s, const struct mr_stack_rx *rx);
void mr_mld_time(struct mr_stack *s);
