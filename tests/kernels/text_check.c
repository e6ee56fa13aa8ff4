// Byte kernels of every ISA: CRC-32C, JSON masks, UTF-8, packing; against one byte or bit a time.
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

static void find_byte_finds_the_first(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	struct check_mem in = check_mem(rows, mr_rand_below(r, 64));
	uint8_t byte = (uint8_t)mr_rand_below(r, 256);
	size_t want = 0;

	for (uint32_t i = 0; i < rows; i++)
		in.at[i] = mr_rand_below(r, rows) ? (uint8_t)(byte ^ (1 + mr_rand_below(r, 255)))
						  : byte;
	while (want < rows && in.at[want] != byte)
		want++;
	CHECK(k->text->find_byte(in.at, rows, byte) == want);
	check_mem_done(in);
}

// The masks one byte at a time.
static void json_slowly(const uint8_t *data, size_t bytes, struct mr_json_masks *out)
{
	bool inside = false, escaped = false;

	for (size_t i = 0; i < bytes; i++) {
		struct mr_json_masks *m = &out[i / 64];
		uint64_t bit = 1ull << (i % 64);
		uint8_t c = data[i];
		bool quote = c == '"' && !escaped;

		if (quote)
			inside = !inside;
		m->quote |= quote ? bit : 0;
		m->in_string |= inside ? bit : 0;
		m->structural |= !inside && c && strchr("{}[]:,", c) ? bit : 0;
		m->backslash |= c == '\\' ? bit : 0;
		m->control |= inside && c < 0x20 ? bit : 0;
		m->non_ascii |= c >= 0x80 ? bit : 0;
		escaped = c == '\\' && !escaped;
	}
	for (size_t i = bytes; i % 64; i++)
		out[i / 64].in_string |= inside ? 1ull << (i % 64) : 0;
}

static void json_scan_marks_each_byte(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	static const char often[] = "\"\"\\\\\\{}[]:, a\n\xc3";
	struct check_mem in = check_mem(rows, mr_rand_below(r, 64));
	size_t blocks = (rows + 63) / 64, cut = mr_rand_below(r, blocks + 1);
	struct check_mem out = check_mem(blocks * sizeof(struct mr_json_masks), 0);
	struct mr_json_masks *want = calloc(blocks + 1, sizeof(*want)), *got = (void *)out.at;
	struct mr_json_carry carry = {0, 0};
	uint64_t often_in = 1 + mr_rand_below(r, 20);

	for (uint32_t i = 0; i < rows; i++)
		in.at[i] = mr_rand_below(r, often_in) ? (uint8_t)mr_rand_below(r, 256)
						      : (uint8_t)often[mr_rand_below(r, 15)];
	json_slowly(in.at, rows, want);
	cut = cut * 64 <= rows ? cut : 0;
	k->text->json_scan(in.at, cut * 64, &carry, got);
	k->text->json_scan(in.at + cut * 64, rows - cut * 64, &carry, got + cut);
	CHECK(memcmp(got, want, blocks * sizeof(*want)) == 0);
	check_mem_done(out);
	check_mem_done(in);
	free(want);
}

// Appends the UTF-8 of a code point, or a mistake.
static uint32_t utf8_put(struct mr_rand *r, uint8_t *p)
{
	uint32_t kind = (uint32_t)mr_rand_below(r, 4);
	uint32_t c = kind == 0   ? (uint32_t)mr_rand_below(r, 0x80)
		     : kind == 1 ? 0x80 + (uint32_t)mr_rand_below(r, 0x780)
		     : kind == 2 ? 0x800 + (uint32_t)mr_rand_below(r, 0xd000)
				 : 0x10000 + (uint32_t)mr_rand_below(r, 0x100000);

	if (kind == 0)
		return p[0] = (uint8_t)c, 1;
	for (uint32_t i = kind; i > 0; i--, c >>= 6)
		p[i] = (uint8_t)(0x80 | (c & 0x3f));
	p[0] = (uint8_t)((kind == 1 ? 0xc0 : kind == 2 ? 0xe0 : 0xf0) | c);
	return kind + 1;
}

// Decodes by the definition: the shortest form, no surrogates, below U+110000.
static bool utf8_slowly(const uint8_t *p, size_t bytes)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

	for (size_t i = 0, n; i < bytes; i += n) {
		uint32_t c = p[i];

		n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
		if (n == 0 || i + n > bytes)
			return false;
		c &= n == 1 ? 0x7f : 0xffu >> (n + 1);
		for (size_t j = 1; j < n; j++) {
			if (p[i + j] >> 6 != 2)
				return false;
			c = c << 6 | (p[i + j] & 0x3f);
		}
		if (c < least[n] || (c >= 0xd800 && c < 0xe000) || c >= 0x110000)
			return false;
	}
	return true;
}

static void utf8_is_checked_by_the_definition(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	for (int round = 0; round < 20; round++) {
		struct check_mem in = check_mem(rows, mr_rand_below(r, 64));
		uint32_t at = 0;

		memset(in.at, 'x', rows);
		while (at + 4 <= rows)
			at += mr_rand_below(r, 3) ? utf8_put(r, in.at + at) : 1;
		CHECK(k->text->is_utf8(in.at, rows));
		if (rows)
			in.at[mr_rand_below(r, rows)] ^= (uint8_t)(1u << mr_rand_below(r, 8));
		CHECK(k->text->is_utf8(in.at, rows) == utf8_slowly(in.at, rows));
		check_mem_done(in);
	}
}

static void utf8_refuses_each_bad_form(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	uint8_t bytes[64 + 8];

	for (uint32_t i = 0; i < 64; i++) {
		size_t at = mr_rand_below(r, 65);
		uint32_t code = rows * 64 + i;

		memset(bytes, 'x', sizeof(bytes));
		bytes[at] = (uint8_t)(0xc0 | (code >> 6 & 0x3f));
		bytes[at + 1] = (uint8_t)(code * 4);
		bytes[at + 2] = (uint8_t)(0x80 | (mr_rand_u64(r) & 0x7f));
		bytes[at + 3] = (uint8_t)(0x80 | (mr_rand_u64(r) & 0x3f));
		for (size_t n = at; n < at + 6; n++)
			CHECK(k->text->is_utf8(bytes, n) == utf8_slowly(bytes, n));
	}
}

static void pack_returns_what_was_packed(const struct mr_kernels *k,
	const struct mr_kernels *oracle, struct mr_rand *r, uint32_t rows)
{
	for (unsigned width = 0; width <= 64; width += 1 + (unsigned)mr_rand_below(r, 3)) {
		uint64_t mask = width == 64 ? ~0ull : (1ull << width) - 1, base = mr_rand_u64(r);
		size_t bytes = mr_pack_bytes(rows, width), groups = (rows + 511) / 512 * 512;
		struct check_mem in = check_mem(rows * 8, 8), packed = check_mem(bytes, 8);
		struct check_mem again = check_mem(bytes, 0), out = check_mem(groups * 8, 8);
		uint64_t *v = (uint64_t *)in.at;
		uint32_t *w = calloc(rows + 1, 4);

		for (uint32_t i = 0; i < rows; i++) {
			v[i] = (mr_rand_below(r, 4) ? mr_rand_u64(r) : ~0ull) & mask;
			w[i] = (uint32_t)v[i];
		}
		k->pack->pack_u64(v, rows, width, packed.at);
		oracle->pack->pack_u64(v, rows, width, again.at);
		CHECK(memcmp(packed.at, again.at, bytes) == 0);
		k->pack->unpack_u64(packed.at, rows, width, base, (uint64_t *)out.at);
		for (uint32_t i = 0; i < rows; i++)
			CHECK(((uint64_t *)out.at)[i] == v[i] + base);
		if (width <= 32) {
			k->pack->pack_u32(w, rows, width, packed.at);
			k->pack->unpack_u32(
				packed.at, rows, width, (uint32_t)base, (uint32_t *)out.at);
			for (uint32_t i = 0; i < rows; i++)
				CHECK(((uint32_t *)out.at)[i] == w[i] + (uint32_t)base);
		}
		check_mem_done(out);
		check_mem_done(packed);
		check_mem_done(again);
		check_mem_done(in);
		free(w);
	}
}

int main(void)
{
	static const struct check checks[] = {
		{"crc_gives_rfc3720_examples", crc_gives_rfc3720_examples},
		{"crc_equals_bitwise_and_copies", crc_equals_bitwise_and_copies},
		{"find_byte_finds_the_first", find_byte_finds_the_first},
		{"json_scan_marks_each_byte", json_scan_marks_each_byte},
		{"utf8_is_checked_by_the_definition", utf8_is_checked_by_the_definition},
		{"utf8_refuses_each_bad_form", utf8_refuses_each_bad_form},
		{"pack_returns_what_was_packed", pack_returns_what_was_packed},
	};

	return check_main(checks, MR_COUNT_OF(checks));
}
