// CRC-32C of every ISA against one bit a time.
#include "kernels/crc32c.h"
#include "tests/kernels/check.h"

static uint32_t crc_bitwise(uint32_t crc, const uint8_t *data, size_t bytes)
{
	crc = ~crc;
	for (size_t i = 0; i < bytes; i++) {
		crc ^= data[i];
		for (int b = 0; b < 8; b++)
			crc = crc >> 1 ^ (-(crc & 1) & 0x82f63b78);
	}
	return ~crc;
}

static void crc_equals_bitwise_and_copies(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	uint32_t bytes = rows > 130 ? rows * 3 + (uint32_t)mr_rand_below(r, 100) : rows;
	struct check_mem in = check_mem(bytes, mr_rand_below(r, 64));
	struct check_mem out = check_mem(bytes, mr_rand_below(r, 64));
	uint32_t before = (uint32_t)mr_rand_u64(r), want;

	mr_rand_bytes(r, in.at, bytes);
	want = crc_bitwise(before, in.at, bytes);
	CHECK(k->crc->update(before, in.at, bytes) == want);
	CHECK(k->crc->copy(before, out.at, in.at, bytes) == want);
	CHECK(memcmp(in.at, out.at, bytes) == 0);
	if (bytes > 1) {
		uint32_t cut = (uint32_t)mr_rand_below(r, bytes);

		CHECK(k->crc->update(k->crc->update(before, in.at, cut), in.at + cut,
			      bytes - cut) == want);
	}
	check_mem_done(out);
	check_mem_done(in);
}

static void crc_gives_rfc3720_examples(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *, uint32_t)
{
	uint8_t up[32], zeros[32] = {0}, ones[32];

	memset(ones, 0xff, sizeof(ones));
	for (uint8_t i = 0; i < 32; i++)
		up[i] = i;
	CHECK(k->crc->update(0, zeros, 32) == 0x8a9136aa);
	CHECK(k->crc->update(0, ones, 32) == 0x62a8ab43);
	CHECK(k->crc->update(0, up, 32) == 0x46dd794e);
	CHECK(k->crc->update(0, "123456789", 9) == 0xe3069283);
}

int main(void)
{
	static const struct check checks[] = {
		{"crc_gives_rfc3720_examples", crc_gives_rfc3720_examples},
		{"crc_equals_bitwise_and_copies", crc_equals_bitwise_and_copies},
	};

	return check_main(checks, MR_COUNT_OF(checks));
}
