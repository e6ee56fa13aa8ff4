// Bytes of text: finding one, the structure of JSON, validity of UTF-8.
//
// JSON is classified 64 bytes at a time into bit masks (Langdale and Lemire 2019, "Parsing
// gigabytes of JSON per second"); strings come from the parity of quotation marks. 1 B read and 6/8
// B of masks written a byte; bounded by the eight byte comparisons of each 64 bytes.
#include "kernels/kernels.h"
#include "kernels/simd.h"

// Bit k: op(data[k], operand), for 64 bytes.
#define MASK64(name, op)                                          \
	V_OP uint64_t name(const uint8_t *data, v_t operand)      \
	{                                                         \
		uint64_t out = 0;                                 \
                                                                  \
		for (uint32_t k = 0; k < 64; k += V_LANES(8))     \
			out |= op(v_ld8(data + k), operand) << k; \
		return out;                                       \
	}

V_OP uint64_t lt_u8(v_t a, v_t b)
{
	return v_gt_u8(b, a);
}

// Brackets and braces differ in bit 5 only, so one comparison finds both.
V_OP uint64_t eq_folded(v_t a, v_t b)
{
	return v_eq_8(v_or(a, v_set8(0x20)), b);
}

MASK64(mask_eq, v_eq_8)
MASK64(mask_lt, lt_u8)
MASK64(mask_gt, v_gt_u8)
MASK64(mask_folded, eq_folded)

// Bytes escaped by a backslash before them, branch-free but for the common case of none (simdjson's
// method): within each run of backslashes every second byte escapes the next. Adding the odd starts
// to the run carries through it, and the carry's parity tells.
V_OP uint64_t json_escaped(uint64_t backslash, uint64_t *escaped_carry)
{
	const uint64_t even = 0x5555555555555555;
	uint64_t potential, follows, odd_starts, even_sums, overflow;

	if (!backslash) {
		uint64_t escaped = *escaped_carry;

		*escaped_carry = 0;
		return escaped;
	}
	backslash &= ~*escaped_carry;
	follows = backslash << 1 | *escaped_carry;
	odd_starts = backslash & ~even & ~follows;
	overflow = __builtin_add_overflow(odd_starts, backslash, &even_sums);
	*escaped_carry = overflow;
	potential = even_sums << 1;
	return (even ^ potential) & follows;
}

V_OP void json_block(
	const uint8_t *data, struct mr_json_carry *carry, struct mr_json_masks *restrict out)
{
	uint64_t backslash = mask_eq(data, v_set8('\\'));
	uint64_t escaped = json_escaped(backslash, &carry->escaped);
	uint64_t quote = mask_eq(data, v_set8('"')) & ~escaped;
	uint64_t in_string = v_prefix_xor(quote) ^ carry->in_string;
	uint64_t structural = mask_folded(data, v_set8('{')) | mask_folded(data, v_set8('}')) |
			      mask_eq(data, v_set8(':')) | mask_eq(data, v_set8(','));

	carry->in_string = (uint64_t)((int64_t)in_string >> 63);
	out->quote = quote;
	out->in_string = in_string;
	out->structural = structural & ~in_string;
	out->backslash = backslash;
	out->control = mask_lt(data, v_set8(0x20)) & in_string;
	out->non_ascii = mask_gt(data, v_set8(0x7f));
}

static void json_scan(const uint8_t *data, size_t bytes, struct mr_json_carry *carry,
	struct mr_json_masks *restrict out)
{
	uint8_t tail[64];
	size_t at = 0;

	for (; at + 64 <= bytes; at += 64)
		json_block(data + at, carry, out++);
	if (at < bytes) {
		memset(tail, ' ', sizeof(tail));
		memcpy(tail, data + at, bytes - at);
		json_block(tail, carry, out);
	}
}

static size_t find_byte(const uint8_t *data, size_t bytes, uint8_t byte)
{
	size_t at = 0;

	for (; at + 64 <= bytes; at += 64) {
		uint64_t m = mask_eq(data + at, v_set8(byte));

		if (m)
			return at + (size_t)__builtin_ctzll(m);
	}
	for (; at < bytes; at++)
		if (data[at] == byte)
			return at;
	return bytes;
}

// --- UTF-8 ---------------------------------------------------------------------------------------

V_OP bool is_tail(uint8_t c, uint8_t low, uint8_t high)
{
	return c >= low && c <= high;
}

// Bytes of the well-formed character at `p`, or 0. RFC 3629 section 4, the grammar's rows in order:
// the range of the second byte depends on the first, the others are 80..BF.
static size_t utf8_char(const uint8_t *p, size_t left)
{
	uint8_t c = p[0], low = 0x80, high = 0xbf;
	size_t n;

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (left < n)
		return 0;
	if (c == 0xe0)
		low = 0xa0; // no overlong form
	else if (c == 0xed)
		high = 0x9f; // no surrogate
	else if (c == 0xf0)
		low = 0x90; // no overlong form
	else if (c == 0xf4)
		high = 0x8f; // nothing above U+10FFFF
	if (!is_tail(p[1], low, high))
		return 0;
	for (size_t k = 2; k < n; k++)
		if (!is_tail(p[k], 0x80, 0xbf))
			return 0;
	return n;
}

// Runs of ASCII go 64 bytes at a time; other characters one by one (about 1 ns each): the text that
// producers send is mostly ASCII.
static bool is_utf8(const uint8_t *data, size_t bytes)
{
	size_t at = 0;

	while (at < bytes) {
		size_t n;

		if (bytes - at >= 64) {
			uint64_t m = mask_gt(data + at, v_set8(0x7f));

			at += m ? (size_t)__builtin_ctzll(m) : 64;
			if (!m)
				continue;
		}
		do {
			n = utf8_char(data + at, bytes - at);
			at += n;
		} while (n > 1 && at < bytes);
		if (n == 0)
			return false;
	}
	return true;
}

const struct mr_text_kernels MR_ISA_NAME(mr_kernels_text) = {
	.find_byte = find_byte,
	.json_scan = json_scan,
	.is_utf8 = is_utf8,
};
