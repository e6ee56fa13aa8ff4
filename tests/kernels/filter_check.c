// Filters of every ISA against comparisons written row by row in PostgreSQL's order.
#include "tests/kernels/check.h"

// Three-way order of two values: integers as usual, floats with NaN last and equal to itself.
static int order(enum mr_phys t, const void *a, const void *b)
{
	int64_t x = 0, y = 0;
	double d = 0, e = 0;

	switch (t) {
	case MR_PHYS_U8: x = *(const uint8_t *)a, y = *(const uint8_t *)b; break;
	case MR_PHYS_I16: x = *(const int16_t *)a, y = *(const int16_t *)b; break;
	case MR_PHYS_I32: x = *(const int32_t *)a, y = *(const int32_t *)b; break;
	case MR_PHYS_I64: x = *(const int64_t *)a, y = *(const int64_t *)b; break;
	case MR_PHYS_F32: d = *(const float *)a, e = *(const float *)b; break;
	default: d = *(const double *)a, e = *(const double *)b; break;
	}
	if (t != MR_PHYS_F32 && t != MR_PHYS_F64)
		return (x > y) - (x < y);
	if (d != d || e != e)
		return (d != d) - (e != e);
	return (d > e) - (d < e);
}

static bool holds(enum mr_cmp op, int c)
{
	switch (op) {
	case MR_CMP_EQ: return c == 0;
	case MR_CMP_NE: return c != 0;
	case MR_CMP_LT: return c < 0;
	case MR_CMP_LE: return c <= 0;
	case MR_CMP_GT: return c > 0;
	case MR_CMP_GE: break;
	}
	return c >= 0;
}

static struct check_mem bits_out(struct mr_rand *r, uint32_t rows)
{
	return check_mem((rows + 63) / 64 * 8, mr_rand_below(r, 8) * 8);
}

static void check_tail(const struct check_mem *out, uint32_t rows)
{
	const uint64_t *w = (const uint64_t *)out->at;

	if (rows % 64)
		CHECK(w[rows / 64] >> rows % 64 == 0);
}

static void filter_compares_as_postgresql_orders(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	for (int t = 0; t < MR_KERN_TYPES; t++)
		for (int op = MR_CMP_EQ; op <= MR_CMP_GE; op++) {
			struct check_mem a = check_column(r, t, rows), b = check_column(r, t, rows);
			struct check_mem c = check_column(r, t, 1), out = bits_out(r, rows);
			struct check_mem two = bits_out(r, rows);
			size_t size = mr_phys_bytes(t);

			k->filter->cmp_const[t](a.at, rows, op, c.at, (uint64_t *)out.at);
			k->filter->cmp_cols[t](a.at, b.at, rows, op, (uint64_t *)two.at);
			for (uint32_t i = 0; i < rows; i++) {
				bool one = holds(op, order(t, a.at + i * size, c.at));
				bool col = holds(op, order(t, a.at + i * size, b.at + i * size));

				CHECK(mr_bit_get((uint64_t *)out.at, i) == one);
				CHECK(mr_bit_get((uint64_t *)two.at, i) == col);
			}
			check_tail(&out, rows);
			check_tail(&two, rows);
			check_mem_done(out);
			check_mem_done(two);
			check_mem_done(a);
			check_mem_done(b);
			check_mem_done(c);
		}
}

static void filter_codes_looks_up_the_set(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	uint32_t codes_count = 1 + (uint32_t)mr_rand_below(r, 3000);
	struct check_mem set = check_bits(r, codes_count), out = bits_out(r, rows);
	struct check_mem codes = check_mem(rows * 4, mr_rand_below(r, 16) * 4);

	for (uint32_t i = 0; i < rows; i++)
		((uint32_t *)codes.at)[i] = (uint32_t)mr_rand_below(r, codes_count);
	k->filter->codes((uint32_t *)codes.at, rows, (uint64_t *)set.at, (uint64_t *)out.at);
	for (uint32_t i = 0; i < rows; i++)
		CHECK(mr_bit_get((uint64_t *)out.at, i) ==
			mr_bit_get((uint64_t *)set.at, ((uint32_t *)codes.at)[i]));
	check_tail(&out, rows);
	check_mem_done(out);
	free(codes.block);
	free(set.block);
}

static void bits_follow_boolean_algebra(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	struct check_mem a = check_bits(r, rows), b = check_bits(r, rows), o[3];
	const uint64_t *x = (uint64_t *)a.at, *y = (uint64_t *)b.at;

	for (int i = 0; i < 3; i++)
		o[i] = bits_out(r, rows);
	k->filter->bits_and(x, y, rows, (uint64_t *)o[0].at);
	k->filter->bits_or(x, y, rows, (uint64_t *)o[1].at);
	k->filter->bits_not(x, rows, (uint64_t *)o[2].at);
	for (uint32_t i = 0; i < rows; i++) {
		bool p = mr_bit_get(x, i), q = mr_bit_get(y, i);

		CHECK(mr_bit_get((uint64_t *)o[0].at, i) == (p && q));
		CHECK(mr_bit_get((uint64_t *)o[1].at, i) == (p || q));
		CHECK(mr_bit_get((uint64_t *)o[2].at, i) == !p);
	}
	for (int i = 0; i < 3; i++) {
		check_tail(&o[i], rows);
		check_mem_done(o[i]);
	}
	free(a.block);
	free(b.block);
}

static void bits_to_sel_lists_set_bits_in_order(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	struct check_mem bits = check_bits(r, rows);
	struct check_mem out = check_mem((rows + 16) * 4, mr_rand_below(r, 16) * 4);
	const uint32_t *sel = (uint32_t *)out.at;
	uint32_t n = k->filter->bits_to_sel((uint64_t *)bits.at, rows, (uint32_t *)out.at), at = 0;

	for (uint32_t i = 0; i < rows; i++)
		if (mr_bit_get((uint64_t *)bits.at, i)) {
			CHECK(at < n && sel[at] == i);
			at++;
		}
	CHECK(at == n);
	check_mem_done(out);
	free(bits.block);
}

int main(void)
{
	static const struct check checks[] = {
		{"filter_compares_as_postgresql_orders", filter_compares_as_postgresql_orders},
		{"filter_codes_looks_up_the_set", filter_codes_looks_up_the_set},
		{"bits_follow_boolean_algebra", bits_follow_boolean_algebra},
		{"bits_to_sel_lists_set_bits_in_order", bits_to_sel_lists_set_bits_in_order},
	};

	return check_main(checks, MR_COUNT_OF(checks));
}
