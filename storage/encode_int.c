// Streams of integers. All arithmetic wraps modulo 2^64, so differences of any two values are
// exact.
#include "storage/encode.h"

#include "host/base/err.h"

#include <errno.h>
#include <stdlib.h>

// Wider values are stored raw: eight bytes loaded from any byte hold at least 57 bits behind the
// up to seven that belong to the value before.
enum { WIDTH_MAX = 56 };

int mr_coder_init(struct mr_coder *c)
{
	size_t bytes = MR_ENCODE_ROWS_MAX * sizeof(int64_t) + MR_COL_PAD;

	c->ints = aligned_alloc(MR_COL_ALIGN, bytes);
	c->runs = aligned_alloc(MR_COL_ALIGN, bytes);
	c->lengths = aligned_alloc(MR_COL_ALIGN, bytes);
	if (c->ints && c->runs && c->lengths)
		return 0;
	mr_coder_fini(c);
	return -ENOMEM;
}

void mr_coder_fini(struct mr_coder *c)
{
	free(c->ints);
	free(c->runs);
	free(c->lengths);
	*c = (struct mr_coder){0};
}

static uint32_t bits_of(uint64_t v)
{
	return v ? 64u - (uint32_t)__builtin_clzll(v) : 0;
}

static uint32_t width_of(int64_t min, int64_t max)
{
	uint32_t width = bits_of((uint64_t)max - (uint64_t)min);

	return width > WIDTH_MAX ? 64 : width;
}

static uint64_t packed_bytes(uint32_t count, uint32_t width)
{
	return ((uint64_t)count * width + 7) / 8;
}

// ---- packing: value i at bit i * width, least significant bit first

static void pack(struct mr_buf *out, const int64_t *v, uint32_t count, int64_t base, uint32_t width)
{
	uint8_t *to = mr_buf_extend(out, packed_bytes(count, width));
	unsigned __int128 bits = 0;
	uint32_t have = 0;

	if (!to)
		return;
	for (uint32_t i = 0; i < count; i++) {
		bits |= (unsigned __int128)((uint64_t)v[i] - (uint64_t)base) << have;
		have += width;
		if (have >= 64) {
			mr_store_le64(to, (uint64_t)bits);
			to += 8;
			bits >>= 64;
			have -= 64;
		}
	}
	for (; have > 0; have -= MR_MIN(have, 8u), bits >>= 8)
		*to++ = (uint8_t)bits;
}

static void unpack(const uint8_t *from, uint32_t count, int64_t base, uint32_t width, int64_t *out)
{
	uint64_t mask = (1ull << width) - 1, bit = 0;

	for (uint32_t i = 0; i < count; i++, bit += width)
		out[i] = (int64_t)((mr_load_le64(from + bit / 8) >> (bit % 8) & mask) +
				   (uint64_t)base);
}

// ---- choosing

struct shape {
	int64_t min, max;
	int64_t delta_min, delta_max;
	uint32_t runs;
	uint32_t run_min, run_max;
};

static struct shape measure(const int64_t *v, uint32_t count)
{
	struct shape s = {v[0], v[0], INT64_MAX, INT64_MIN, 1, UINT32_MAX, 0};
	uint32_t start = 0;

	for (uint32_t i = 1; i < count; i++) {
		int64_t d = (int64_t)((uint64_t)v[i] - (uint64_t)v[i - 1]);

		s.min = MR_MIN(s.min, v[i]);
		s.max = MR_MAX(s.max, v[i]);
		s.delta_min = MR_MIN(s.delta_min, d);
		s.delta_max = MR_MAX(s.delta_max, d);
		if (d) {
			s.run_min = MR_MIN(s.run_min, i - start);
			s.run_max = MR_MAX(s.run_max, i - start);
			start = i;
			s.runs++;
		}
	}
	s.run_min = MR_MIN(s.run_min, count - start);
	s.run_max = MR_MAX(s.run_max, count - start);
	return s;
}

// Bytes of a stream of packed, constant or raw integers, its head included.
static uint64_t plain_bytes(uint32_t count, int64_t min, int64_t max)
{
	return min == max ? 9 : 10 + packed_bytes(count, width_of(min, max));
}

static void encode_plain(
	struct mr_buf *out, const int64_t *v, uint32_t count, int64_t min, int64_t max)
{
	uint32_t width = width_of(min, max);

	if (min == max) {
		mr_buf_u8(out, MR_ENC_CONST);
		mr_buf_le64(out, (uint64_t)min);
	} else if (width == 64) {
		mr_buf_u8(out, MR_ENC_RAW);
		mr_buf_add(out, v, (size_t)count * sizeof(*v));
	} else {
		mr_buf_u8(out, MR_ENC_PACKED);
		mr_buf_le64(out, (uint64_t)min);
		mr_buf_u8(out, (uint8_t)width);
		pack(out, v, count, min, width);
	}
}

static void encode_delta(struct mr_coder *c, struct mr_buf *out, const int64_t *v, uint32_t count,
	const struct shape *s)
{
	for (uint32_t i = 1; i < count; i++)
		c->runs[i - 1] = (int64_t)((uint64_t)v[i] - (uint64_t)v[i - 1]);
	mr_buf_u8(out, MR_ENC_DELTA);
	mr_buf_le64(out, (uint64_t)v[0]);
	encode_plain(out, c->runs, count - 1, s->delta_min, s->delta_max);
}

static void encode_runs(struct mr_coder *c, struct mr_buf *out, const int64_t *v, uint32_t count,
	const struct shape *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0, start = 0; i < count; i++) {
		if (i + 1 < count && v[i + 1] == v[i])
			continue;
		c->runs[n] = v[i];
		c->lengths[n++] = i + 1 - start;
		start = i + 1;
	}
	MR_ASSERT(n == s->runs);
	mr_buf_u8(out, MR_ENC_RUNS);
	mr_buf_le32(out, n);
	encode_plain(out, c->runs, n, s->min, s->max);
	encode_plain(out, c->lengths, n, s->run_min, s->run_max);
}

void mr_ints_encode(struct mr_coder *c, struct mr_buf *out, const int64_t *v, uint32_t count)
{
	uint64_t plain, delta, runs;
	struct shape s;

	MR_ASSERT(count <= MR_ENCODE_ROWS_MAX);
	if (count == 0)
		return;
	s = measure(v, count);
	plain = plain_bytes(count, s.min, s.max);
	runs = 5 + plain_bytes(s.runs, s.min, s.max) + plain_bytes(s.runs, s.run_min, s.run_max);
	delta = count > 1 ? 9 + plain_bytes(count - 1, s.delta_min, s.delta_max) : UINT64_MAX;
	if (plain <= runs && plain <= delta)
		encode_plain(out, v, count, s.min, s.max);
	else if (runs <= delta)
		encode_runs(c, out, v, count, &s);
	else
		encode_delta(c, out, v, count, &s);
}

// ---- decoding

static int decode_plain(struct mr_reader *r, uint8_t kind, uint32_t count, int64_t *out)
{
	const uint8_t *from;
	uint32_t width;
	int64_t base;

	if (kind == MR_ENC_RAW) {
		from = mr_read_bytes(r, (size_t)count * sizeof(*out));
		if (from)
			memcpy(out, from, (size_t)count * sizeof(*out));
		return from ? 0 : (int)MR_ERR_CORRUPT;
	}
	base = (int64_t)mr_read_le64(r);
	if (kind == MR_ENC_CONST) {
		for (uint32_t i = 0; i < count; i++)
			out[i] = base;
		return r->bad ? (int)MR_ERR_CORRUPT : 0;
	}
	width = mr_read_u8(r);
	if (kind != MR_ENC_PACKED || r->bad || width == 0 || width > WIDTH_MAX)
		return MR_ERR_CORRUPT;
	from = mr_read_bytes(r, packed_bytes(count, width));
	if (!from)
		return MR_ERR_CORRUPT;
	unpack(from, count, base, width, out);
	return 0;
}

static int decode_delta(struct mr_reader *r, uint32_t count, int64_t *out)
{
	uint64_t sum = mr_read_le64(r);
	int rc = decode_plain(r, mr_read_u8(r), count - 1, out + 1);

	if (rc < 0)
		return rc;
	out[0] = (int64_t)sum;
	for (uint32_t i = 1; i < count; i++) {
		sum += (uint64_t)out[i];
		out[i] = (int64_t)sum;
	}
	return 0;
}

static int decode_runs(struct mr_coder *c, struct mr_reader *r, uint32_t count, int64_t *out)
{
	uint32_t runs = mr_read_le32(r), at = 0;
	int rc;

	if (r->bad || runs == 0 || runs > count)
		return MR_ERR_CORRUPT;
	rc = decode_plain(r, mr_read_u8(r), runs, c->runs);
	if (rc == 0)
		rc = decode_plain(r, mr_read_u8(r), runs, c->lengths);
	for (uint32_t i = 0; rc == 0 && i < runs; i++) {
		int64_t value = c->runs[i];

		if (c->lengths[i] <= 0 || c->lengths[i] > count - at)
			return MR_ERR_CORRUPT;
		for (uint32_t end = at + (uint32_t)c->lengths[i]; at < end; at++)
			out[at] = value;
	}
	return rc < 0 || at != count ? (int)MR_ERR_CORRUPT : 0;
}

int mr_ints_decode(struct mr_coder *c, struct mr_reader *r, uint32_t count, int64_t *out)
{
	uint8_t kind;

	if (count == 0)
		return 0;
	kind = mr_read_u8(r);
	if (r->bad || count > MR_ENCODE_ROWS_MAX)
		return MR_ERR_CORRUPT;
	if (kind == MR_ENC_DELTA)
		return count > 1 ? decode_delta(r, count, out) : (int)MR_ERR_CORRUPT;
	if (kind == MR_ENC_RUNS)
		return decode_runs(c, r, count, out);
	return decode_plain(r, kind, count, out);
}
