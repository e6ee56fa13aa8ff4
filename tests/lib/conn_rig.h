// Connections under test, for tests: server and clients share one thread. A round is one turn of
// the net and one pump of each client, and a test goes on until its condition holds or its rounds
// are used up, so that nothing depends on sleeping. The protocol answers with the request's own
// bytes, at once or later in an order of the test's.
#pragma once

#include "dataplane/conn.h"
#include "tests/lib/net_client.h"

enum { CONN_ROUNDS_MAX = 20000, CONN_HELD_MAX = 100000, CONN_SEED = 20240607 };

// The protocol: echoes. `hold` keeps requests until they are released.
struct conn_echo {
	struct mr_protocol protocol;
	bool hold;
	bool silent;          // no response: acks=0
	uint64_t close_at;    // the request with this number (from 1) closes its connection
	uint64_t output_each; // answer this much memory from mr_request_alloc instead
	uint64_t alloc_failed;
	uint64_t seen;
	uint64_t abandoned;
	uint64_t bytes;
	struct mr_request *held[CONN_HELD_MAX];
	uint32_t held_count;
};

struct conn_rig {
	struct net_over_parts on;
	struct mr_net *net;
	struct mr_conns *conns;
	struct mr_net_addr at;
	struct mr_rand rand;
	struct conn_echo echo;
	int idle_rounds;
};

// Over the network whose turn it is (net_over). Options NULL: small ones.
struct conn_rig *conn_rig_open(const struct mr_conn_limits *limits, const struct mr_net_options *o);
// Closes all; asserts that nothing is held any more.
void conn_rig_close(struct conn_rig *b);
// Finishes one held request: any, or the last one when `rand` is NULL.
void conn_rig_release(struct conn_echo *e, struct mr_rand *rand);
void conn_rig_round(struct conn_rig *b, struct net_client *c, size_t count);
// A number of rounds in which something must not happen.
void conn_rig_settle(struct conn_rig *b, struct net_client *c, size_t count);
// Reads the next response of a client and checks that it is the frame (bytes, seed).
void conn_rig_expect(struct net_client *c, size_t *at, size_t bytes, uint64_t seed);

// Goes on until `cond` holds.
#define UNTIL(b, c, count, cond)                         \
	do {                                             \
		int rounds_ = 0;                         \
		while (!(cond)) {                        \
			conn_rig_round(b, c, count);     \
			if (++rounds_ > CONN_ROUNDS_MAX) \
				fail_msg("%s", #cond);   \
		}                                        \
	} while (0)
