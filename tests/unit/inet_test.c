// Checksums against the definition of RFC 1071, addresses against the forms of RFC 4291 and 5952.
#include "dataplane/tcpip/inet.h"

#include "host/base/rand.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdio.h>

// The definition: 16-bit words, end-around carry.
static uint16_t slow_checksum(const uint8_t *p, size_t bytes)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < bytes; i += 2) {
		sum += (uint32_t)p[i] << 8 | (i + 1 < bytes ? p[i + 1] : 0);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)~sum;
}

static void sum_is_that_of_rfc_1071(void **)
{
	static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	uint8_t data[2048 + 8];
	struct mr_rand r;

	assert_int_equal(mr_inet_fold(mr_inet_sum(0, example, 8)), (uint16_t)~0xddf2);
	mr_rand_init(&r, 1);
	mr_rand_bytes(&r, data, sizeof(data));
	for (size_t n = 0; n < 2048; n++)
		assert_int_equal(mr_inet_fold(mr_inet_sum(0, data + n % 8, n)),
			slow_checksum(data + n % 8, n));
	memset(data, 0xff, sizeof(data));
	for (size_t n = 1; n < 2048; n += 7)
		assert_int_equal(mr_inet_fold(mr_inet_sum(0, data, n)), slow_checksum(data, n));
}

static void sum_may_be_taken_in_pieces(void **)
{
	uint8_t data[512];
	struct mr_rand r;

	mr_rand_init(&r, 2);
	mr_rand_bytes(&r, data, sizeof(data));
	for (size_t cut = 0; cut <= 512; cut += 2) {
		uint64_t sum = mr_inet_sum(0, data, cut);

		sum = mr_inet_sum(sum, data + cut, 511 - MR_MIN(cut, 511));
		assert_int_equal(mr_inet_fold(sum), slow_checksum(data, cut == 512 ? 512 : 511));
	}
}

static void sum_of_large_buffers_does_not_overflow(void **)
{
	static uint8_t data[1 << 16];
	uint64_t sum = 0;

	memset(data, 0xff, sizeof(data));
	for (int i = 0; i < 100; i++)
		sum = mr_inet_sum(sum, data, sizeof(data));
	assert_int_equal(mr_inet_fold(sum), 0);
}

static void pseudo_header_covers_both_families(void **)
{
	struct mr_ip a, b;
	uint8_t bytes[40] = {0};

	assert_int_equal(mr_ip_parse("10.1.2.3", &a), 0);
	assert_int_equal(mr_ip_parse("192.168.200.254", &b), 0);
	memcpy(bytes, a.b + 12, 4);
	memcpy(bytes + 4, b.b + 12, 4);
	bytes[9] = MR_IP_TCP;
	mr_store_be16(bytes + 10, 1234);
	assert_int_equal(
		mr_inet_fold(mr_inet_pseudo(&a, &b, MR_IP_TCP, 1234)), slow_checksum(bytes, 12));
	assert_int_equal(mr_ip_parse("fd00::1:2", &a), 0);
	assert_int_equal(mr_ip_parse("2001:db8:ffff::9", &b), 0);
	memcpy(bytes, a.b, 16);
	memcpy(bytes + 16, b.b, 16);
	mr_store_be32(bytes + 32, 70000);
	mr_store_be32(bytes + 36, MR_IP_ICMP6);
	assert_int_equal(
		mr_inet_fold(mr_inet_pseudo(&a, &b, MR_IP_ICMP6, 70000)), slow_checksum(bytes, 40));
}

static void update_equals_a_fresh_sum(void **)
{
	uint8_t data[64];
	struct mr_rand r;

	mr_rand_init(&r, 3);
	// The example of RFC 1624 section 4: eqn. 3 gives 0x0000, not 0xffff.
	assert_int_equal(mr_inet_update(0xdd2f, 0x5555, 0x3285), 0x0000);
	for (int i = 0; i < 5000; i++) {
		size_t at = 2 * mr_rand_below(&r, 32);
		uint16_t before, after, sum;

		mr_rand_bytes(&r, data, sizeof(data));
		sum = slow_checksum(data, sizeof(data));
		before = mr_load_be16(data + at);
		after = (uint16_t)mr_rand_u64(&r);
		mr_store_be16(data + at, after);
		assert_int_equal(
			mr_inet_update(sum, before, after), slow_checksum(data, sizeof(data)));
	}
}

static void text_of_addresses_is_read_and_written(void **)
{
	static const char *const cases[][2] = {
		{"0.0.0.0", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.255"},
		{"10.0.0.2", "10.0.0.2"},
		{"::", "::"},
		{"::1", "::1"},
		{"1::", "1::"},
		{"fd00::2", "fd00::2"},
		{"FD00:0:0:0:0:0:0:2", "fd00::2"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"::ffff:1.2.3.4", "1.2.3.4"},
		{"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
		{"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
		{"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
		{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
	};
	char text[48];
	struct mr_ip ip;

	for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
		assert_int_equal(mr_ip_parse(cases[i][0], &ip), 0);
		mr_ip_format(&ip, text);
		assert_string_equal(text, cases[i][1]);
	}
}

static void text_that_is_no_address_is_refused(void **)
{
	static const char *const cases[] = {"", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4",
		"1.2.3.4 ", "1..2.3", ":", ":::", "1:2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
		"::1::2", "12345::", "g::", ":1::2", "1::2:", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3",
		"1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1.2.3.4/24", "fd00::1%eth0"};
	struct mr_ip ip;

	for (size_t i = 0; i < MR_COUNT_OF(cases); i++)
		if (mr_ip_parse(cases[i], &ip) != -EINVAL)
			fail_msg("taken for an address: %s", cases[i]);
}

static void prefixes_are_read_and_compared(void **)
{
	struct mr_ip net, ip;
	uint8_t prefix;

	assert_int_equal(mr_ip_parse_prefix("10.1.2.3/12", &net, &prefix), 0);
	assert_int_equal(prefix, 12);
	assert_int_equal(mr_ip_parse("10.15.255.255", &ip), 0);
	assert_true(mr_ip_in_prefix(&ip, &net, prefix));
	assert_int_equal(mr_ip_parse("10.16.0.0", &ip), 0);
	assert_false(mr_ip_in_prefix(&ip, &net, prefix));
	assert_true(mr_ip_in_prefix(&ip, &net, 0));
	assert_int_equal(mr_ip_parse("fd00::1", &ip), 0);
	assert_false(mr_ip_in_prefix(&ip, &net, 0));
	assert_int_equal(mr_ip_parse_prefix("fd00::", &net, &prefix), 0);
	assert_int_equal(prefix, 128);
	assert_false(mr_ip_in_prefix(&ip, &net, prefix));
	assert_true(mr_ip_in_prefix(&ip, &net, 127));
	assert_true(mr_ip_in_prefix(&ip, &net, 64));
	for (size_t i = 0; i < 5; i++) {
		static const char *const bad[] = {
			"10.0.0.1/33", "fd00::/129", "10.0.0.1/", "10.0.0.1/-1", "10.0.0.1/024"};

		assert_int_equal(mr_ip_parse_prefix(bad[i], &net, &prefix), -EINVAL);
	}
}

static void martian_sources_are_known(void **)
{
	static const char *const bad[] = {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1",
		"239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"};
	static const char *const good[] = {
		"10.0.0.1", "128.0.0.1", "223.255.255.255", "fd00::1", "fe80::1", "2001:db8::1"};
	struct mr_ip ip;

	for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
		assert_int_equal(mr_ip_parse(bad[i], &ip), 0);
		assert_true(mr_ip_is_martian_source(&ip));
	}
	for (size_t i = 0; i < MR_COUNT_OF(good); i++) {
		assert_int_equal(mr_ip_parse(good[i], &ip), 0);
		assert_false(mr_ip_is_martian_source(&ip));
	}
}

static void mac_is_written_as_people_read_it(void **)
{
	char text[18];

	mr_mac_format((struct mr_mac){{0x02, 0, 0, 0xab, 0xcd, 0xef}}, text);
	assert_string_equal(text, "02:00:00:ab:cd:ef");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sum_is_that_of_rfc_1071),
		cmocka_unit_test(sum_may_be_taken_in_pieces),
		cmocka_unit_test(sum_of_large_buffers_does_not_overflow),
		cmocka_unit_test(pseudo_header_covers_both_families),
		cmocka_unit_test(update_equals_a_fresh_sum),
		cmocka_unit_test(text_of_addresses_is_read_and_written),
		cmocka_unit_test(text_that_is_no_address_is_refused),
		cmocka_unit_test(prefixes_are_read_and_compared),
		cmocka_unit_test(martian_sources_are_known),
		cmocka_unit_test(mac_is_written_as_people_read_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
