// A segment's header and options (RFC 9293 3.1, 3.2), out of any bytes.
#include "dataplane/tcpip/tcp_int.h"

enum option {
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_WSCALE = 3,
	OPTION_SACK_PERMITTED = 4,
	OPTION_SACK = 5,
	OPTION_TS = 8,
};

static bool parse_sack(const uint8_t *p, uint32_t bytes, struct mr_tcp_seg *s)
{
	if (bytes == 0 || bytes % 8 || bytes > sizeof(s->sack))
		return false;
	for (s->sacks = 0; bytes; p += 8, bytes -= 8) {
		s->sack[s->sacks].from = mr_load_be32(p);
		s->sack[s->sacks++].to = mr_load_be32(p + 4);
	}
	return true;
}

// One option without kind and length; what we do not know is skipped (MUST-6).
static bool parse_one(uint8_t kind, const uint8_t *p, uint32_t bytes, struct mr_tcp_seg *s)
{
	switch (kind) {
	case OPTION_MSS: s->mss = bytes == 2 ? mr_load_be16(p) : 0; return bytes == 2;
	case OPTION_WSCALE:
		s->wscale = bytes == 1 ? MR_MIN(p[0], MR_TCP_WSCALE_MAX) : MR_TCP_NO_WSCALE;
		return bytes == 1;
	case OPTION_SACK_PERMITTED: s->sack_permitted = true; return bytes == 0;
	case OPTION_SACK: return parse_sack(p, bytes, s);
	case OPTION_TS:
		if (bytes != 8)
			return false;
		s->has_ts = true;
		s->ts_value = mr_load_be32(p);
		s->ts_echo = mr_load_be32(p + 4);
		return true;
	default: return true;
	}
}

bool mr_tcp_options_parse(const uint8_t *p, uint32_t bytes, struct mr_tcp_seg *s)
{
	while (bytes) {
		uint8_t kind = p[0], n;

		if (kind == OPTION_END)
			return true;
		if (kind == OPTION_NOP) {
			p++;
			bytes--;
			continue;
		}
		if (bytes < 2)
			return false;
		n = p[1];
		if (n < 2 || n > bytes || !parse_one(kind, p + 2, n - 2u, s)) // MUST-7
			return false;
		p += n;
		bytes -= n;
	}
	return true;
}

// Combinations that nobody sends in good faith.
static bool flags_are_sane(uint8_t flags)
{
	uint8_t control = flags & (MR_TCP_SYN | MR_TCP_FIN | MR_TCP_RST);

	return (control & (control - 1)) == 0 && flags & (MR_TCP_SYN | MR_TCP_RST | MR_TCP_ACK);
}

bool mr_tcp_segment_parse(const struct mr_tcp_segment_in *in, struct mr_tcp_seg *s)
{
	const uint8_t *p = in->l4;
	uint32_t header;

	if (in->bytes < MR_TCP_BYTES)
		return false;
	header = (uint32_t)(p[12] >> 4) * 4;
	if (header < MR_TCP_BYTES || header > in->bytes)
		return false;
	s->src = &in->src;
	s->dst = &in->dst;
	s->src_port = mr_load_be16(p);
	s->dst_port = mr_load_be16(p + 2);
	s->seq = mr_load_be32(p + 4);
	s->ack = mr_load_be32(p + 8);
	s->flags = p[13] & 0x3f;
	s->window = mr_load_be16(p + 14);
	s->data = p + header;
	s->bytes = in->bytes - header;
	s->has_ts = s->sack_permitted = false;
	s->wscale = MR_TCP_NO_WSCALE;
	s->sacks = 0;
	s->mss = 0;
	if (!flags_are_sane(s->flags) || s->src_port == 0 || s->dst_port == 0)
		return false;
	// What every segment of an established connection looks like (RFC 7323 appendix A).
	if (header == MR_TCP_BYTES + 12 && mr_load_be32(p + 20) == 0x0101080a) {
		s->has_ts = true;
		s->ts_value = mr_load_be32(p + 24);
		s->ts_echo = mr_load_be32(p + 28);
		return true;
	}
	return mr_tcp_options_parse(p + MR_TCP_BYTES, header - MR_TCP_BYTES, s);
}
