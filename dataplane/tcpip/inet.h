// Addresses, checksums and header layouts of the Internet protocols, as bytes on the wire.
//
// An address is 16 bytes whatever its family, IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so that
// one form of key, comparison and hash serves both. Header fields are read and written at their
// offsets with the big-endian loads of host/base/span.h; nothing here is cast onto a packed struct.
#pragma once

#include "host/base/span.h"

#define MR_ETH_BYTES     14 // RFC 894
#define MR_VLAN_BYTES    4  // IEEE 802.1Q
#define MR_IP4_BYTES     20 // RFC 791, without options: we send none and drop what has some
#define MR_IP6_BYTES     40 // RFC 8200
#define MR_TCP_BYTES     20 // RFC 9293, without options
#define MR_TCP_BYTES_MAX 60
#define MR_IP4_MTU_MIN   68
#define MR_IP4_PMTU_MIN \
	552 // less is not believed of an ICMP message (RFC 1191; attacks of RFC 5927)
#define MR_IP6_MTU_MIN 1280 // RFC 8200 section 5
#define MR_NET_MTU_MAX 9000

enum mr_ethertype {
	MR_ETHERTYPE_IP4 = 0x0800,
	MR_ETHERTYPE_ARP = 0x0806,
	MR_ETHERTYPE_VLAN = 0x8100,
	MR_ETHERTYPE_IP6 = 0x86dd,
};

enum mr_ip_protocol {
	MR_IP_ICMP = 1,
	MR_IP_TCP = 6,
	MR_IP_UDP = 17,
	MR_IP_ICMP6 = 58,
};

struct mr_mac {
	uint8_t b[6];
};

struct mr_ip {
	uint8_t b[16];
};

static inline bool mr_mac_eq(struct mr_mac a, struct mr_mac b)
{
	return memcmp(a.b, b.b, sizeof(a.b)) == 0;
}

static inline bool mr_ip_eq(const struct mr_ip *a, const struct mr_ip *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static inline struct mr_ip mr_ip4(uint32_t host_order)
{
	struct mr_ip ip = {{[10] = 0xff, [11] = 0xff}};

	mr_store_be32(ip.b + 12, host_order);
	return ip;
}

static inline bool mr_ip_is_v4(const struct mr_ip *ip)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(ip->b, mapped, sizeof(mapped)) == 0;
}

// ---- RFC 1071

// The ones' complement sum so far, folded at the end. `bytes` may be odd only in the last piece.
uint64_t mr_inet_sum(uint64_t sum, const void *data, size_t bytes);
// What goes into (or must come out as zero of) a checksum field, in host order.
uint16_t mr_inet_fold(uint64_t sum);
// The pseudo header of TCP, UDP and ICMPv6 (RFC 9293 3.1, RFC 8200 8.1); src and dst of one family.
uint64_t mr_inet_pseudo(
	const struct mr_ip *src, const struct mr_ip *dst, uint8_t protocol, uint32_t bytes);
// A checksum after one 16-bit word of what it covers has changed (RFC 1624).
uint16_t mr_inet_update(uint16_t checksum, uint16_t before, uint16_t after);

// ---- text

// "10.0.0.2", "fd00::2". -EINVAL otherwise.
[[nodiscard]] int mr_ip_parse(const char *text, struct mr_ip *out);
// With "/24" behind it; without, the prefix is the whole address.
[[nodiscard]] int mr_ip_parse_prefix(const char *text, struct mr_ip *out, uint8_t *prefix);
void mr_ip_format(const struct mr_ip *ip, char text[48]);
void mr_mac_format(struct mr_mac mac, char text[18]);
// The first `prefix` bits (of the family's own length: 32 or 128) are the same.
bool mr_ip_in_prefix(const struct mr_ip *ip, const struct mr_ip *net, uint8_t prefix);
// Loopback, multicast, unspecified, broadcast: never the source of a segment (RFC 1122 3.2.1.3).
bool mr_ip_is_martian_source(const struct mr_ip *ip);
