// SYN cookies (RFC 4987 3.6): under pressure the answer to a SYN carries what we would remember.
//
//	iss       = [ minute : 5 ][ MSS index : 3 ][ keyed hash of all of it, and of the peer : 24 ]
//	timestamp = [ clock : 26 ][ 1 ][ SACK : 1 ][ window scale : 4, 15: none ]
//
// A cookie is good for one to two minutes of 69 s. A guess hits once in 2^23; nothing else than the
// MSS is lost for a peer that has timestamps.
#include "dataplane/tcpip/tcp_int.h"

#define MINUTE_SHIFT 36
#define NO_SCALE     15
#define OPTION_BITS  6

static const uint16_t sizes[8] = {216, 536, 1220, 1300, 1400, 1440, 1460, 8940};

static uint32_t mac(
	const struct mr_tcp *t, const struct mr_tcp_half *h, uint64_t minute, uint32_t size)
{
	uint8_t b[52];

	memcpy(b, h->e.path.local.b, 16);
	memcpy(b + 16, h->e.path.peer.b, 16);
	mr_store_be16(b + 32, h->e.local_port);
	mr_store_be16(b + 34, h->e.peer_port);
	mr_store_be32(b + 36, h->irs);
	mr_store_be64(b + 40, minute);
	mr_store_be32(b + 48, size);
	return (uint32_t)(mr_siphash(&t->key_cookie, b, sizeof(b)) >> 40);
}

static uint32_t cookie(
	const struct mr_tcp *t, const struct mr_tcp_half *h, uint64_t minute, uint32_t size)
{
	return (uint32_t)(minute & 31) << 27 | size << 24 | mac(t, h, minute, size);
}

static uint32_t timestamp(const struct mr_tcp *t, const struct mr_tcp_half *h)
{
	uint32_t now = t->now_ms + mr_tcp_ts_offset(t, &h->e.path);
	uint32_t bits =
		32u | (h->flags & MR_TCP_C_SACK ? 16 : 0) | (h->scaled ? h->snd_shift : NO_SCALE);
	uint32_t value = (now & ~((1u << OPTION_BITS) - 1)) | bits;

	return mr_seq_lt(now, value) ? value - (1u << OPTION_BITS) : value;
}

void mr_tcp_cookie_send(struct mr_tcp *t, struct mr_tcp_half *h)
{
	uint32_t size = MR_COUNT_OF(sizes) - 1;

	while (size > 0 && sizes[size] > (h->mss ? h->mss : 536))
		size--;
	if (!(h->flags & MR_TCP_C_TS)) {
		h->flags = 0;
		h->scaled = false;
	}
	h->iss = cookie(t, h, (uint64_t)t->now_ns >> MINUTE_SHIFT, size);
	t->cookies_until = t->now_ns + (2ll << MINUTE_SHIFT);
	MR_TCP_COUNT(t, cookies_sent);
	mr_tcp_send_syn_ack(t, h, timestamp(t, h));
}

static bool is_good(const struct mr_tcp *t, struct mr_tcp_half *h)
{
	uint64_t minute = (uint64_t)t->now_ns >> MINUTE_SHIFT;
	uint32_t size = h->iss >> 24 & 7;

	if (t->now_ns > t->cookies_until)
		return false;
	if ((minute & 31) != h->iss >> 27)
		minute--;
	if (h->iss != cookie(t, h, minute, size))
		return false;
	h->mss = sizes[size];
	return true;
}

static void take_options(const struct mr_tcp *t, struct mr_tcp_half *h, const struct mr_tcp_seg *s)
{
	if (!s->has_ts || t->o.no_timestamps)
		return;
	h->flags = MR_TCP_C_TS | (s->ts_echo & 16 ? MR_TCP_C_SACK : 0);
	h->scaled = (s->ts_echo & 15) != NO_SCALE;
	h->snd_shift = h->scaled ? MR_MIN(s->ts_echo & 15, MR_TCP_WSCALE_MAX) : 0;
	h->ts_recent = s->ts_value;
}

struct mr_tcp_conn *mr_tcp_cookie_input(
	struct mr_tcp *t, struct mr_tcp_listener *l, const struct mr_tcp_seg *s)
{
	struct mr_ip_path path = {.local = *s->dst, .peer = *s->src};
	struct mr_tcp_half h = {.e = {path, s->dst_port, s->src_port, 0},
		.listener = l,
		.irs = s->seq - 1,
		.iss = s->ack - 1};

	if (s->flags & MR_TCP_SYN || !is_good(t, &h)) {
		if (t->now_ns <= t->cookies_until)
			MR_TCP_COUNT(t, cookies_bad);
		mr_tcp_refuse(t, s);
		return NULL;
	}
	MR_TCP_COUNT(t, cookies_good);
	take_options(t, &h, s);
	if (!t->lower.route(t->lower.ctx, &h.e.path))
		return NULL;
	return mr_tcp_half_open(t, &h, s);
}
