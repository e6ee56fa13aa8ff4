// Checksums of RFC 1071 and the text forms of addresses.
//
// The sum is taken in native 64-bit words. Ones' complement addition does not care about byte
// order (RFC 1071 section 2(B)): a sum of byte-swapped words is the byte-swapped sum, so one swap
// at the end stands for a swap of every word. A carry out of a word is added to it again (an
// addition and an addition with carry); four sums, so that they need not wait for each other. Where
// more is wanted, the port does it.
#include "dataplane/tcpip/inet.h"

#include <errno.h>
#include <stdio.h>

// Folds to 32 bits and some: enough that sums of sums never overflow.
static uint64_t fold32(uint64_t sum)
{
	return (sum & 0xffffffffu) + (sum >> 32);
}

// Ones' complement.
static inline uint64_t add(uint64_t a, uint64_t b)
{
	return a + b + (a + b < b);
}

static uint64_t sum_words(uint64_t sum, const uint8_t *p, size_t words)
{
	uint64_t a = 0, b = 0, c = 0;

	for (; words >= 4; words -= 4, p += 32) {
		sum = add(sum, mr_load_le64(p));
		a = add(a, mr_load_le64(p + 8));
		b = add(b, mr_load_le64(p + 16));
		c = add(c, mr_load_le64(p + 24));
	}
	for (; words; words--, p += 8)
		sum = add(sum, mr_load_le64(p));
	return add(add(sum, a), add(b, c));
}

// The last piece is padded with zeros, as RFC 1071 pads an odd byte.
static uint64_t last_word(const uint8_t *p, size_t bytes, size_t rest)
{
	uint8_t tail[8] = {0};

	if (bytes >= 8)
		return mr_load_le64(p + bytes - 8) >> (64 - 8 * rest);
	memcpy(tail, p, bytes);
	return mr_load_le64(tail);
}

uint64_t mr_inet_sum(uint64_t sum, const void *data, size_t bytes)
{
	const uint8_t *p = data;

	sum = sum_words(sum, p, bytes / 8);
	if (bytes % 8)
		sum = add(sum, last_word(p, bytes, bytes % 8));
	return sum;
}

uint16_t mr_inet_fold(uint64_t sum)
{
	sum = fold32(fold32(sum));
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~__builtin_bswap16((uint16_t)sum);
}

uint64_t mr_inet_pseudo(
	const struct mr_ip *src, const struct mr_ip *dst, uint8_t protocol, uint32_t bytes)
{
	uint8_t tail[8] = {[7] = protocol};
	uint64_t sum;

	mr_store_be32(tail, bytes);
	if (mr_ip_is_v4(src)) {
		// The same words as of IPv6's form, the addresses being shorter.
		sum = (uint64_t)mr_load_le32(src->b + 12) + mr_load_le32(dst->b + 12);
		return sum_words(sum, tail, 1);
	}
	sum = sum_words(0, src->b, 2);
	sum = sum_words(sum, dst->b, 2);
	return sum_words(sum, tail, 1);
}

uint16_t mr_inet_update(uint16_t checksum, uint16_t before, uint16_t after)
{
	// RFC 1624 equation 3: HC' = ~(~HC + ~m + m').
	uint32_t sum = (uint32_t)(uint16_t)~checksum + (uint16_t)~before + after;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

// ---- text

// Decimal 0..max without leading zeros, which inet_aton would read as octal. Returns past it.
static const char *parse_decimal(const char *p, unsigned max, unsigned *out)
{
	unsigned v = 0;
	int digits = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (++digits > 3 || (digits > 1 && v == 0))
			return NULL;
		v = v * 10 + (unsigned)(*p - '0');
	}
	if (digits == 0 || v > max)
		return NULL;
	*out = v;
	return p;
}

// Dotted quad into 4 bytes; returns past it or NULL.
static const char *parse_quad(const char *p, uint8_t out[4])
{
	for (int i = 0; i < 4; i++) {
		unsigned v;

		if (i && *p++ != '.')
			return NULL;
		p = parse_decimal(p, 255, &v);
		if (!p)
			return NULL;
		out[i] = (uint8_t)v;
	}
	return p;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// One group of up to four hex digits; returns past it or NULL.
static const char *parse_group(const char *p, uint8_t out[2])
{
	unsigned v = 0;
	int digits = 0;

	for (; hex_digit(*p) >= 0; p++) {
		if (++digits > 4)
			return NULL;
		v = v << 4 | (unsigned)hex_digit(*p);
	}
	mr_store_be16(out, (uint16_t)v);
	return digits ? p : NULL;
}

// Whether a dotted quad begins here: a dot comes before any colon.
static bool is_quad(const char *p)
{
	while (hex_digit(*p) >= 0)
		p++;
	return *p == '.';
}

// RFC 4291 2.2 with all three forms; stops at the first byte that is not part of the address.
static const char *parse_v6(const char *p, struct mr_ip *out)
{
	uint8_t b[16] = {0};
	int at = 0, gap = -1;

	if (p[0] == ':' && p[1] != ':')
		return NULL;
	for (;;) {
		if (p[0] == ':' && p[1] == ':') {
			if (gap >= 0)
				return NULL;
			gap = at;
			p += 2;
			if (hex_digit(*p) < 0)
				break;
		} else if (at > 0 && at != gap) {
			if (*p != ':')
				break;
			p++;
		}
		if (at > 14)
			return NULL;
		if (is_quad(p)) {
			if (at > 12)
				return NULL;
			p = parse_quad(p, b + at);
			at += 4;
			if (!p)
				return NULL;
			break;
		}
		p = parse_group(p, b + at);
		if (!p)
			return NULL;
		at += 2;
	}
	// "::" stands for at least one group.
	if (gap < 0 ? at != 16 : at > 14)
		return NULL;
	memset(out, 0, sizeof(*out));
	if (gap < 0)
		gap = at;
	memcpy(out->b, b, (size_t)gap);
	memcpy(out->b + 16 - (at - gap), b + gap, (size_t)(at - gap));
	return p;
}

static const char *parse_any(const char *text, struct mr_ip *out)
{
	uint8_t quad[4];
	const char *p;

	if (!is_quad(text))
		return parse_v6(text, out);
	p = parse_quad(text, quad);
	if (p)
		*out = mr_ip4(mr_load_be32(quad));
	return p;
}

int mr_ip_parse(const char *text, struct mr_ip *out)
{
	const char *p = parse_any(text, out);

	return p && *p == '\0' ? 0 : -EINVAL;
}

int mr_ip_parse_prefix(const char *text, struct mr_ip *out, uint8_t *prefix)
{
	const char *p = parse_any(text, out);
	unsigned max, v;

	if (!p)
		return -EINVAL;
	max = v = mr_ip_is_v4(out) ? 32 : 128;
	if (*p == '/')
		p = parse_decimal(p + 1, max, &v);
	if (!p || *p != '\0')
		return -EINVAL;
	*prefix = (uint8_t)v;
	return 0;
}

// RFC 5952: the longest run of two or more zero groups, the first of equals.
static int longest_gap(const struct mr_ip *ip, int *groups)
{
	int best = -1, run = 0;

	*groups = 1;
	for (int i = 0; i < 8; i++) {
		run = mr_load_be16(ip->b + 2 * i) == 0 ? run + 1 : 0;
		if (run > *groups) {
			*groups = run;
			best = i - run + 1;
		}
	}
	return best;
}

void mr_ip_format(const struct mr_ip *ip, char text[48])
{
	size_t at = 0;
	int groups, gap;

	if (mr_ip_is_v4(ip)) {
		snprintf(text, 48, "%u.%u.%u.%u", ip->b[12], ip->b[13], ip->b[14], ip->b[15]);
		return;
	}
	gap = longest_gap(ip, &groups);
	text[0] = '\0';
	for (int i = 0; i < 8; i++) {
		if (i == gap) {
			at += (size_t)snprintf(text + at, 48 - at, "::");
			i += groups - 1;
			continue;
		}
		at += (size_t)snprintf(text + at, 48 - at, "%s%x",
			i > 0 && text[at - 1] != ':' ? ":" : "", mr_load_be16(ip->b + 2 * i));
	}
}

void mr_mac_format(struct mr_mac mac, char text[18])
{
	snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac.b[0], mac.b[1], mac.b[2], mac.b[3],
		mac.b[4], mac.b[5]);
}

// ---- what an address is

bool mr_ip_in_prefix(const struct mr_ip *ip, const struct mr_ip *net, uint8_t prefix)
{
	bool v4 = mr_ip_is_v4(net);
	unsigned bits = v4 ? prefix + 96u : prefix;
	unsigned bytes = MR_MIN(bits, 128u) / 8;

	if (v4 != mr_ip_is_v4(ip) || memcmp(ip->b, net->b, bytes) != 0)
		return false;
	if (bits % 8 == 0 || bytes == 16)
		return true;
	return ((ip->b[bytes] ^ net->b[bytes]) & (0xff00u >> (bits % 8)) & 0xff) == 0;
}

bool mr_ip_is_martian_source(const struct mr_ip *ip)
{
	uint64_t high = mr_load_be64(ip->b), low = mr_load_be64(ip->b + 8);

	if (mr_ip_is_v4(ip)) {
		uint8_t first = ip->b[12];

		// 0/8, 127/8, 224/4 and 240/4 with the limited broadcast.
		return first == 0 || first == 127 || first >= 224;
	}
	// ::, ::1 and ff00::/8.
	return ip->b[0] == 0xff || (high == 0 && low <= 1);
}
