// Columns to streams: what is an integer in disguise, and what the directory says of a block.
#include "storage/encode.h"

#include "host/base/dec.h"
#include "host/base/err.h"

#include <math.h>

enum { DECIMAL_DIGITS_MAX = 15, FLAG_NULLS = 1 };

static const double powers[DECIMAL_DIGITS_MAX + 1] = {
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

static size_t bitmap_bytes(uint32_t rows)
{
	return (size_t)(rows + 63) / 64 * 8;
}

// ---- nulls

static uint32_t count_nulls(const struct mr_col *col, uint32_t rows)
{
	uint32_t valid = 0;

	if (!col->valid)
		return 0;
	for (uint32_t i = 0; i < rows / 64; i++)
		valid += (uint32_t)__builtin_popcountll(col->valid[i]);
	if (rows % 64)
		valid += (uint32_t)__builtin_popcountll(
			col->valid[rows / 64] & ((1ull << rows % 64) - 1));
	return rows - valid;
}

// Bits past the last row are zero on disk.
static void encode_nulls(struct mr_buf *out, const struct mr_col *col, uint32_t rows)
{
	size_t bytes = bitmap_bytes(rows);
	uint8_t *to = mr_buf_extend(out, bytes);

	if (!to)
		return;
	memcpy(to, col->valid, bytes);
	if (rows % 64)
		mr_store_le64(
			to + bytes - 8, mr_load_le64(to + bytes - 8) & ((1ull << rows % 64) - 1));
}

// A null row repeats the value before it (the first one the value behind), which costs least in
// every form.
static void fill_nulls(const struct mr_col *col, uint32_t rows, int64_t *v)
{
	int64_t last = 0;

	if (!col->valid)
		return;
	for (uint32_t i = 0; i < rows; i++) {
		if (mr_bit_get(col->valid, i)) {
			last = v[i];
			break;
		}
	}
	for (uint32_t i = 0; i < rows; i++) {
		if (mr_bit_get(col->valid, i))
			last = v[i];
		else
			v[i] = last;
	}
}

// ---- integers

static bool is_int(uint8_t phys)
{
	return phys <= MR_PHYS_I64;
}

static void widen(const struct mr_col *col, uint32_t rows, int64_t *out)
{
	switch ((enum mr_phys)col->phys) {
	case MR_PHYS_U8:
		for (uint32_t i = 0; i < rows; i++)
			out[i] = ((const uint8_t *)col->values)[i];
		break;
	case MR_PHYS_I16:
		for (uint32_t i = 0; i < rows; i++)
			out[i] = ((const int16_t *)col->values)[i];
		break;
	case MR_PHYS_I32:
		for (uint32_t i = 0; i < rows; i++)
			out[i] = ((const int32_t *)col->values)[i];
		break;
	default: memcpy(out, col->values, (size_t)rows * sizeof(*out)); break;
	}
}

static void int_stats(
	const struct mr_col *col, const int64_t *v, uint32_t rows, struct mr_block_stats *s)
{
	int64_t min = INT64_MAX, max = INT64_MIN;
	__int128 sum = 0;

	for (uint32_t i = 0; i < rows; i++) {
		if (mr_col_is_null(col, i))
			continue;
		min = MR_MIN(min, v[i]);
		max = MR_MAX(max, v[i]);
		sum += v[i];
	}
	s->has_bounds = s->nulls < rows;
	s->has_sum = true;
	s->min.i = min;
	s->max.i = max;
	s->sum = sum;
}

static int narrow(enum mr_phys phys, const int64_t *v, uint32_t rows, void *out)
{
	uint64_t bad = 0;

	switch (phys) {
	case MR_PHYS_U8:
		for (uint32_t i = 0; i < rows; i++) {
			((uint8_t *)out)[i] = (uint8_t)v[i];
			bad |= (uint64_t)v[i] > 1;
		}
		break;
	case MR_PHYS_I16:
		for (uint32_t i = 0; i < rows; i++) {
			((int16_t *)out)[i] = (int16_t)v[i];
			bad |= (int16_t)v[i] != v[i];
		}
		break;
	case MR_PHYS_I32:
		for (uint32_t i = 0; i < rows; i++) {
			((int32_t *)out)[i] = (int32_t)v[i];
			bad |= (int32_t)v[i] != v[i];
		}
		break;
	default: MR_ASSERT(phys == MR_PHYS_I64); break;
	}
	return bad ? (int)MR_ERR_CORRUPT : 0;
}

// ---- floats

// The integer that divided by 10^digits gives `v` again, bit for bit.
static bool to_decimal(double v, bool is_float, uint32_t digits, int64_t *out)
{
	double scaled = v * powers[digits], back;

	if (!(fabs(scaled) <= 0x1p53))
		return false;
	*out = (int64_t)(scaled + (scaled < 0 ? -0.5 : 0.5));
	back = (double)*out / powers[digits];
	if (is_float)
		back = (float)back;
	return memcmp(&back, &v, sizeof(v)) == 0;
}

static double float_at(const struct mr_col *col, uint32_t row)
{
	return col->phys == MR_PHYS_F32 ? (double)((const float *)col->values)[row]
					: ((const double *)col->values)[row];
}

// Digits with which all values are decimals, or -1; `v` has the integers then. More digits are
// tried from the first row on, as they may be too many for an earlier value.
static int find_decimals(const struct mr_col *col, uint32_t rows, int64_t *v)
{
	uint32_t digits = 0;

	for (uint32_t i = 0; i < rows;) {
		if (mr_col_is_null(col, i) ||
			to_decimal(float_at(col, i), col->phys == MR_PHYS_F32, digits, &v[i])) {
			i++;
			continue;
		}
		if (digits == DECIMAL_DIGITS_MAX)
			return -1;
		digits++;
		if (i > 0 && !to_decimal(float_at(col, i), col->phys == MR_PHYS_F32, digits, &v[i]))
			continue;
		i = 0;
	}
	return (int)digits;
}

static void float_stats(const struct mr_col *col, uint32_t rows, struct mr_block_stats *s)
{
	double min = INFINITY, max = -INFINITY;

	s->has_bounds = s->nulls < rows;
	for (uint32_t i = 0; i < rows; i++) {
		double v;

		if (mr_col_is_null(col, i))
			continue;
		v = float_at(col, i);
		s->has_bounds &= !isnan(v);
		min = v < min ? v : min;
		max = v > max ? v : max;
	}
	s->min.f = min;
	s->max.f = max;
}

static void decode_decimals(
	enum mr_phys phys, const int64_t *v, uint32_t rows, uint32_t digits, void *out)
{
	double power = powers[digits];

	for (uint32_t i = 0; phys == MR_PHYS_F64 && i < rows; i++)
		((double *)out)[i] = (double)v[i] / power;
	for (uint32_t i = 0; phys == MR_PHYS_F32 && i < rows; i++)
		((float *)out)[i] = (float)((double)v[i] / power);
}

// ---- numerics of any scale

// The scale that all values have, their coefficients fitting 64 bits; or -1.
static int find_scale(const struct mr_col *col, uint32_t rows, int64_t *v)
{
	const struct mr_dec *d = col->values;
	int scale = -1;

	for (uint32_t i = 0; i < rows; i++) {
		mr_i128 coefficient = mr_dec_coefficient(d[i]);

		if (mr_col_is_null(col, i))
			continue;
		if (scale < 0)
			scale = (int)mr_dec_scale(d[i]);
		if ((int)mr_dec_scale(d[i]) != scale || (int64_t)coefficient != coefficient)
			return -1;
		v[i] = (int64_t)coefficient;
	}
	return scale;
}

// ---- values as they are

static void encode_fixed(const struct mr_col *col, uint32_t rows, struct mr_buf *out)
{
	size_t width = mr_phys_bytes((enum mr_phys)col->phys);
	const uint8_t *v = col->values;
	bool same = true;
	size_t at;

	for (uint32_t i = 1; same && i < rows; i++)
		same = memcmp(v, v + i * width, width) == 0;
	mr_buf_u8(out, same ? MR_ENC_FIXED_CONST : MR_ENC_FIXED);
	at = out->bytes;
	mr_buf_add(out, v, same ? width : width * rows);
	for (uint32_t i = 0; !same && col->valid && !out->failed && i < rows; i++)
		if (!mr_bit_get(col->valid, i))
			memset(out->data + at + i * width, 0, width);
}

static int decode_fixed(
	struct mr_reader *r, uint8_t kind, size_t width, uint32_t rows, uint8_t *out)
{
	const uint8_t *from = mr_read_bytes(r, kind == MR_ENC_FIXED ? width * rows : width);

	if (!from)
		return MR_ERR_CORRUPT;
	if (kind == MR_ENC_FIXED)
		memcpy(out, from, width * rows);
	for (uint32_t i = 0; kind == MR_ENC_FIXED_CONST && i < rows; i++)
		memcpy(out + i * width, from, width);
	return 0;
}

// ---- strings

static void string_stats(const struct mr_col *col, uint32_t rows, struct mr_block_stats *s)
{
	struct mr_str min = {0}, max = {0};
	bool any = false;

	for (uint32_t i = 0; i < rows; i++) {
		struct mr_str v;
		struct mr_span span;

		if (mr_col_is_null(col, i))
			continue;
		v = mr_col_str(col, i);
		span = mr_span(v.data, v.bytes);
		if (!any || mr_span_cmp(span, mr_span(min.data, min.bytes)) < 0)
			min = v;
		if (!any || mr_span_cmp(span, mr_span(max.data, max.bytes)) > 0)
			max = v;
		any = true;
	}
	if (!any)
		return;
	s->has_bounds = true;
	s->min.s.bytes = (uint8_t)MR_MIN(min.bytes, (uint32_t)MR_BOUND_BYTES);
	s->max.s.bytes = (uint8_t)MR_MIN(max.bytes, (uint32_t)MR_BOUND_BYTES);
	// An empty string may have no bytes to point at.
	if (s->min.s.bytes)
		memcpy(s->min.s.data, min.data, s->min.s.bytes);
	if (s->max.s.bytes)
		memcpy(s->max.s.data, max.data, s->max.s.bytes);
	if (max.bytes <= MR_BOUND_BYTES)
		return;
	// What was cut off is covered by the next larger string of that length.
	while (s->max.s.bytes && s->max.s.data[s->max.s.bytes - 1] == 0xff)
		s->max.s.bytes--;
	if (s->max.s.bytes)
		s->max.s.data[s->max.s.bytes - 1]++;
	else
		s->has_bounds = false;
}

static void encode_strings(
	struct mr_coder *c, const struct mr_col *col, uint32_t rows, struct mr_buf *out)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < rows; i++) {
		c->ints[i] = mr_col_is_null(col, i) ? 0 : mr_col_str(col, i).bytes;
		bytes += (size_t)c->ints[i];
	}
	mr_buf_u8(out, MR_ENC_STRINGS);
	mr_ints_encode(c, out, c->ints, rows);
	mr_buf_room(out, bytes); // at once: growing by doubling would take twice that
	for (uint32_t i = 0; i < rows; i++) {
		struct mr_str s = mr_col_str(col, i);

		if (s.bytes && !mr_col_is_null(col, i))
			mr_buf_add(out, s.data, s.bytes);
	}
}

static int decode_strings(
	struct mr_coder *c, struct mr_reader *r, uint32_t rows, struct mr_str *out)
{
	int rc = mr_ints_decode(c, r, rows, c->ints);

	for (uint32_t i = 0; rc == 0 && i < rows; i++) {
		const uint8_t *data;

		if (c->ints[i] < 0 || c->ints[i] > UINT32_MAX)
			return MR_ERR_CORRUPT;
		data = mr_read_bytes(r, (size_t)c->ints[i]);
		if (!data)
			return MR_ERR_CORRUPT;
		out[i] = (struct mr_str){.data = data, .bytes = (uint32_t)c->ints[i]};
	}
	return rc;
}

static int decode_codes(
	struct mr_coder *c, struct mr_reader *r, uint32_t rows, uint32_t limit, uint32_t *out)
{
	int rc = mr_ints_decode(c, r, rows, c->ints);
	uint64_t bad = 0;

	for (uint32_t i = 0; rc == 0 && i < rows; i++) {
		bad |= (uint64_t)c->ints[i] >= limit;
		out[i] = (uint32_t)c->ints[i];
	}
	return rc < 0 || bad ? (int)MR_ERR_CORRUPT : 0;
}

// ---- columns

static void encode_ints(
	struct mr_coder *c, const struct mr_col *col, uint32_t rows, struct mr_buf *out)
{
	fill_nulls(col, rows, c->ints);
	mr_ints_encode(c, out, c->ints, rows);
}

static void encode_float(
	struct mr_coder *c, const struct mr_col *col, uint32_t rows, struct mr_buf *out)
{
	int digits = find_decimals(col, rows, c->ints);

	if (digits < 0) {
		encode_fixed(col, rows, out);
		return;
	}
	mr_buf_u8(out, MR_ENC_DECIMAL);
	mr_buf_u8(out, (uint8_t)digits);
	encode_ints(c, col, rows, out);
}

static void encode_dec(
	struct mr_coder *c, const struct mr_col *col, uint32_t rows, struct mr_buf *out)
{
	int scale = find_scale(col, rows, c->ints);

	if (scale < 0) {
		encode_fixed(col, rows, out);
		return;
	}
	mr_buf_u8(out, MR_ENC_SCALED);
	mr_buf_u8(out, (uint8_t)scale);
	encode_ints(c, col, rows, out);
}

static void encode_bytes(struct mr_coder *c, const struct mr_col *col, const uint32_t *codes,
	uint32_t rows, struct mr_buf *out)
{
	if (!codes) {
		encode_strings(c, col, rows, out);
		return;
	}
	for (uint32_t i = 0; i < rows; i++)
		c->ints[i] = codes[i];
	mr_buf_u8(out, MR_ENC_CODES);
	encode_ints(c, col, rows, out);
}

void mr_column_encode(struct mr_coder *c, const struct mr_col *col, const uint32_t *codes,
	uint32_t rows, struct mr_buf *out, struct mr_block_stats *stats)
{
	MR_ASSERT(rows > 0 && rows <= MR_ENCODE_ROWS_MAX);
	*stats = (struct mr_block_stats){.nulls = count_nulls(col, rows)};
	mr_buf_u8(out, stats->nulls ? FLAG_NULLS : 0);
	if (stats->nulls)
		encode_nulls(out, col, rows);
	switch ((enum mr_phys)col->phys) {
	case MR_PHYS_F32:
	case MR_PHYS_F64:
		float_stats(col, rows, stats);
		encode_float(c, col, rows, out);
		break;
	case MR_PHYS_DEC: encode_dec(c, col, rows, out); break;
	case MR_PHYS_B16: encode_fixed(col, rows, out); break;
	case MR_PHYS_BYTES:
		string_stats(col, rows, stats);
		encode_bytes(c, col, codes, rows, out);
		break;
	default:
		MR_ASSERT(is_int(col->phys));
		widen(col, rows, c->ints);
		int_stats(col, c->ints, rows, stats);
		encode_ints(c, col, rows, out);
		break;
	}
}

// Rows without a value read as zero: where the column was decoded to, for `out` may have room for
// columns of other types, too.
static void clear_nulls(
	enum mr_phys phys, bool coded, uint32_t rows, const struct mr_column_out *out)
{
	size_t width = mr_phys_bytes(phys);

	for (uint32_t i = 0; i < rows; i++) {
		if (mr_bit_get(out->valid, i))
			continue;
		if (coded)
			out->codes[i] = 0;
		else if (phys == MR_PHYS_BYTES)
			((struct mr_str *)out->values)[i] =
				(struct mr_str){.data = (const uint8_t *)""};
		else
			memset((uint8_t *)out->values + i * width, 0, width);
	}
}

static int decode_ints(
	struct mr_coder *c, struct mr_reader *r, enum mr_phys phys, uint32_t rows, void *out)
{
	int rc;

	if (phys == MR_PHYS_I64)
		return mr_ints_decode(c, r, rows, out);
	rc = mr_ints_decode(c, r, rows, c->ints);
	return rc < 0 ? rc : narrow(phys, c->ints, rows, out);
}

static int decode_scaled(struct mr_coder *c, struct mr_reader *r, uint8_t kind, enum mr_phys phys,
	uint32_t rows, void *out)
{
	uint8_t scale = mr_read_u8(r);
	int rc = mr_ints_decode(c, r, rows, c->ints);

	if (rc < 0)
		return rc;
	if (kind == MR_ENC_DECIMAL) {
		if (scale > DECIMAL_DIGITS_MAX)
			return MR_ERR_CORRUPT;
		decode_decimals(phys, c->ints, rows, scale, out);
		return 0;
	}
	if (scale > MR_DEC_SCALE_MAX && scale != MR_DEC_SCALE_NAN)
		return MR_ERR_CORRUPT;
	for (uint32_t i = 0; i < rows; i++)
		((struct mr_dec *)out)[i] = mr_dec_make(c->ints[i], scale);
	return 0;
}

static int decode_stream(struct mr_coder *c, struct mr_reader *r, enum mr_phys phys,
	uint32_t dict_count, uint32_t rows, const struct mr_column_out *out)
{
	uint8_t kind;

	if (is_int((uint8_t)phys))
		return decode_ints(c, r, phys, rows, out->values);
	kind = mr_read_u8(r);
	if (phys == MR_PHYS_BYTES && kind == MR_ENC_CODES && dict_count)
		return decode_codes(c, r, rows, dict_count, out->codes);
	if (phys == MR_PHYS_BYTES)
		return kind == MR_ENC_STRINGS && !dict_count
			       ? decode_strings(c, r, rows, out->values)
			       : (int)MR_ERR_CORRUPT;
	if (kind == MR_ENC_FIXED || kind == MR_ENC_FIXED_CONST)
		return decode_fixed(r, kind, mr_phys_bytes(phys), rows, out->values);
	if (kind == (phys == MR_PHYS_DEC ? MR_ENC_SCALED : MR_ENC_DECIMAL) && phys != MR_PHYS_B16)
		return decode_scaled(c, r, kind, phys, rows, out->values);
	return MR_ERR_CORRUPT;
}

int mr_column_decode(struct mr_coder *c, struct mr_span in, enum mr_phys phys, uint32_t dict_count,
	uint32_t rows, const struct mr_column_out *out)
{
	struct mr_reader r = mr_reader(in);
	uint8_t flags = mr_read_u8(&r);
	uint32_t nulls = 0;
	int rc;

	if (rows == 0 || rows > MR_ENCODE_ROWS_MAX || r.bad || flags & ~FLAG_NULLS)
		return MR_ERR_CORRUPT;
	if (flags & FLAG_NULLS) {
		const uint8_t *bits = mr_read_bytes(&r, bitmap_bytes(rows));
		const struct mr_col col = {.valid = out->valid};

		if (!bits)
			return MR_ERR_CORRUPT;
		memcpy(out->valid, bits, bitmap_bytes(rows));
		nulls = count_nulls(&col, rows);
	}
	rc = decode_stream(c, &r, phys, dict_count, rows, out);
	if (rc < 0 || r.bad || mr_read_left(&r) || (flags && !nulls))
		return MR_ERR_CORRUPT;
	if (nulls)
		clear_nulls(phys, phys == MR_PHYS_BYTES && dict_count, rows, out);
	return (int)nulls;
}
