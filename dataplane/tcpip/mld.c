// The host side of MLDv2 (RFC 3810), as much as switches that snoop need: one report that names the
// solicited-node group of each of our addresses, at the start and after each query.
#include "dataplane/tcpip/stack_int.h"

enum {
	MLD_REPORT = 143,
	MODE_IS_EXCLUDE = 2,
	CHANGE_TO_EXCLUDE = 4,
	RECORD_BYTES = 20,
	HEADER_BYTES = 8,
	ROUTER_ALERT_BYTES = 8,
	QUERY_BYTES = 24,
	RECORDS_MAX = MR_STACK_ADDRESSES_MAX + 1,
};

#define REPORT_EVERY_NS (1 * MR_NS_PER_S) // unsolicited report interval

// Fills `records` and returns how many. Addresses that end alike share a group: named once.
static uint32_t put_records(const struct mr_stack *s, uint8_t type, uint8_t *records)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < s->locals_count; i++) {
		const struct mr_local *l = &s->locals[i];
		uint8_t record[RECORD_BYTES] = {
			type, [4] = 0xff, [5] = 0x02, [15] = 1, [16] = 0xff};
		bool seen = l->v4 || l->dad == MR_DAD_DUPLICATE;

		memcpy(record + 17, l->ip.b + 13, 3);
		for (uint32_t k = 0; k < count; k++)
			seen |= memcmp(records + k * RECORD_BYTES, record, RECORD_BYTES) == 0;
		if (!seen)
			memcpy(records + count++ * RECORD_BYTES, record, RECORD_BYTES);
	}
	return count;
}

static void report(struct mr_stack *s, uint8_t type)
{
	static const struct mr_ip nobody, routers = {{0xff, 0x02, [15] = 0x16}};
	static const uint8_t router_alert[ROUTER_ALERT_BYTES] = {MR_IP_ICMP6, 0, 5, 2, 0, 0, 1, 0};
	static const struct mr_mac mac = {{0x33, 0x33, 0, 0, 0, 0x16}};
	const struct mr_local *own = &s->locals[s->locals_count - 1]; // the link-local one
	const struct mr_ip *src = own->dad == MR_DAD_DONE ? &own->ip : &nobody;
	uint8_t body[HEADER_BYTES + RECORDS_MAX * RECORD_BYTES] = {MLD_REPORT};
	uint32_t count = put_records(s, type, body + HEADER_BYTES);
	uint32_t bytes = HEADER_BYTES + count * RECORD_BYTES;
	struct mr_frame f;
	uint8_t *l3;

	mr_store_be16(body + 6, (uint16_t)count);
	mr_store_be16(
		body + 2, mr_inet_fold(mr_inet_sum(
				  mr_inet_pseudo(src, &routers, MR_IP_ICMP6, bytes), body, bytes)));
	if (!mr_eth_begin(
		    s, mac, MR_ETHERTYPE_IP6, MR_IP6_BYTES + ROUTER_ALERT_BYTES + bytes, &f, &l3))
		return;
	mr_ip6_header(l3, src, &routers, 0, ROUTER_ALERT_BYTES + bytes, 1);
	memcpy(l3 + MR_IP6_BYTES, router_alert, ROUTER_ALERT_BYTES);
	memcpy(l3 + MR_IP6_BYTES + ROUTER_ALERT_BYTES, body, bytes);
	MR_COUNT(s, nd_out);
	mr_eth_send(s, &f);
}

// RFC 3810 6.2: the answer is put off by a random part of the time that the query allows; a second
// query within it changes nothing, so that queries cannot make us answer more than once in it.
void mr_mld_query(struct mr_stack *s, const struct mr_stack_rx *rx)
{
	uint16_t code;

	if (rx->l4_bytes < QUERY_BYTES || rx->hop_limit != 1 || rx->src.b[0] != 0xfe) {
		MR_COUNT(s, bad_frame);
		return;
	}
	if (rx->flags & MR_FRAME_LEARN || s->mld_ns != INT64_MAX || s->locals_count == 0)
		return;
	code = mr_load_be16(rx->l4 + 4);
	s->mld_query = true;
	s->mld_left = 1;
	s->mld_ns = s->now_ns + (50 + (int64_t)mr_rand_below(&s->rand, MR_MIN(code, 10000u) + 1u)) *
					MR_NS_PER_MS;
}

void mr_mld_time(struct mr_stack *s)
{
	report(s, s->mld_query ? MODE_IS_EXCLUDE : CHANGE_TO_EXCLUDE);
	s->mld_query = false;
	s->mld_ns = --s->mld_left ? s->now_ns + REPORT_EVERY_NS : INT64_MAX;
}
