// Frames as tests make and read them: written once more and plainly, apart from the stack's own
// code, so that the one checks the other.
#pragma once

#include "dataplane/tcpip/inet.h"
#include "dataplane/tcpip/port.h"

enum { NETPKT_MAX = 16384 };

enum netpkt_tcp_flag { NP_FIN = 1, NP_SYN = 2, NP_RST = 4, NP_PSH = 8, NP_ACK = 16, NP_URG = 32 };

// One frame, its fields in host order.
struct netpkt {
	struct mr_mac eth_src, eth_dst;
	uint16_t vlan; // 0: no tag
	uint16_t ethertype;
	struct mr_ip src, dst;
	uint8_t protocol;  // of IPv6: the header behind any extension headers
	uint8_t hop_limit; // 0: 64
	uint8_t traffic_class;
	const uint8_t *ext; // IPv6 extension headers to put in, the last naming `protocol`
	uint32_t ext_bytes;
	uint8_t ext_first; // what the IPv6 header names then
	const uint8_t *l4;
	uint32_t l4_bytes;
};

struct netpkt_tcp {
	uint16_t src_port, dst_port;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window;
	uint16_t urgent;
	const uint8_t *options; // a multiple of 4 bytes
	uint32_t options_bytes;
	const uint8_t *payload;
	uint32_t payload_bytes;
};

// A packet between two addresses of one kind, IPv4 or IPv6, without contents yet.
struct netpkt netpkt_ip(struct mr_mac eth_src, struct mr_mac eth_dst, const struct mr_ip *src,
	const struct mr_ip *dst, uint8_t protocol);
// Writes the frame to `out` (NETPKT_MAX bytes) and returns its length. The checksums of IPv4, and
// of TCP, UDP, ICMP or ICMPv6 at their places in l4, are filled in.
uint32_t netpkt_build(uint8_t *out, const struct netpkt *p);
// The TCP header and payload into `l4`; returns the length. The checksum is left 0.
uint32_t netpkt_tcp(uint8_t *l4, const struct netpkt_tcp *t);
// An ARP frame.
uint32_t netpkt_arp(uint8_t *out, struct mr_mac eth_src, struct mr_mac eth_dst, uint16_t op,
	struct mr_mac sha, uint32_t spa, struct mr_mac tha, uint32_t tpa);

// What neighbours say to each other, in ARP or in ND by the kind of the addresses: both are of one.
// `src` at `eth_src` asks where `dst` is, and so makes itself known.
uint32_t netpkt_ask(uint8_t *out, struct mr_mac eth_src, struct mr_mac eth_dst,
	const struct mr_ip *src, const struct mr_ip *dst);
// `src` at `eth_src` answers `dst`, who asked.
uint32_t netpkt_answer(uint8_t *out, struct mr_mac eth_src, struct mr_mac eth_dst,
	const struct mr_ip *src, const struct mr_ip *dst);
// Whether the packet asks where `ip` is.
bool netpkt_asks(const struct netpkt *p, const struct mr_ip *ip);

// Takes a frame apart; false when it is damaged in any way, checksums included (`sums`), with the
// reason in *why.
bool netpkt_parse(
	const uint8_t *frame, uint32_t bytes, bool sums, struct netpkt *p, const char **why);
bool netpkt_parse_tcp(const struct netpkt *p, struct netpkt_tcp *t);
// Sends a frame; false when the port has none left to send it in.
bool netpkt_put(struct mr_port *port, const uint8_t *frame, uint32_t bytes);
// RFC 1071, word by word.
uint16_t netpkt_sum(const struct netpkt *p, const uint8_t *l4, uint32_t bytes);
