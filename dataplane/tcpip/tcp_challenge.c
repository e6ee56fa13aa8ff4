// Challenge acknowledgements (RFC 5961) and the limits on whatever a blind attacker may provoke.
//
// A limit that all connections share tells an attacker of one about another (CVE-2016-5696): so
// each connection has its own, and the common one is drawn anew each second.
#include "dataplane/tcpip/tcp_int.h"

bool mr_tcp_challenge_budget(struct mr_tcp *t)
{
	uint32_t most = t->o.challenge_per_second;

	if (t->now_ns >= t->challenge_until) {
		t->challenge_until = t->now_ns + MR_TCP_SECOND;
		t->challenge_left = most / 2 + (uint32_t)mr_rand_below(&t->rand, most);
	}
	if (t->challenge_left == 0) {
		MR_TCP_COUNT(t, challenge_limited);
		return false;
	}
	t->challenge_left--;
	return true;
}

bool mr_tcp_may_answer(struct mr_tcp_conn *c)
{
	struct mr_tcp *t = c->t;

	if (t->now_ns - c->challenged_ns < MR_TCP_CHALLENGE_EVERY) {
		MR_TCP_COUNT(t, challenge_limited);
		return false;
	}
	c->challenged_ns = t->now_ns;
	return true;
}

void mr_tcp_challenge(struct mr_tcp_conn *c)
{
	if (!mr_tcp_may_answer(c) || !mr_tcp_challenge_budget(c->t))
		return;
	MR_TCP_COUNT(c->t, challenge_acks);
	mr_tcp_owe_ack(c, true);
}
