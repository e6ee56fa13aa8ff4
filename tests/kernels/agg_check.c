// Aggregates and group-by of every ISA: integers against 128-bit arithmetic row by row, float sums
// bit for bit against the stated order.
#include "tests/kernels/check.h"

// The key of a value: integers themselves, floats by mr_fkey.
static int64_t key_of(enum mr_phys t, const void *values, uint32_t i)
{
	switch (t) {
	case MR_PHYS_U8: return ((const uint8_t *)values)[i];
	case MR_PHYS_I16: return ((const int16_t *)values)[i];
	case MR_PHYS_I32: return ((const int32_t *)values)[i];
	case MR_PHYS_I64: return ((const int64_t *)values)[i];
	case MR_PHYS_F32: return mr_fkey(((const float *)values)[i]);
	default: return mr_fkey(((const double *)values)[i]);
	}
}

static double float_of(enum mr_phys t, const void *values, uint32_t i)
{
	return t == MR_PHYS_F32 ? ((const float *)values)[i] : ((const double *)values)[i];
}

// NaN payloads may differ between the operands of an addition; all else must not.
static bool same_double(double a, double b)
{
	return (a != a && b != b) || memcmp(&a, &b, sizeof(a)) == 0;
}

static void agg_integers_are_exact(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	for (int t = 0; t <= MR_PHYS_I64; t++)
		for (int kind = 0; kind < 4; kind++) {
			struct check_mem v = check_column(r, t, rows);
			struct check_rows c = check_rows(r, rows, kind);
			struct mr_isum got = {5, 3}, want = {5, 3};
			uint32_t at = 0;

			for (uint32_t i = 0; i < rows; i++)
				if (check_rows_has(&c.rows, i, &at)) {
					want.sum += key_of(t, v.at, i);
					want.count++;
				}
			k->agg->sum_int[t](v.at, &c.rows, &got);
			CHECK(got.sum == want.sum && got.count == want.count);
			CHECK(k->agg->count(&c.rows) == want.count - 3);
			check_mem_done(v);
			check_rows_done(c);
		}
}

static void agg_extremes_follow_the_keys(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	for (int t = 0; t < MR_KERN_TYPES; t++)
		for (int kind = 0; kind < 4; kind++) {
			struct check_mem v = check_column(r, t, rows);
			struct check_rows c = check_rows(r, rows, kind);
			struct mr_minmax got = MR_MINMAX_EMPTY, want = MR_MINMAX_EMPTY;
			uint32_t at = 0;

			for (uint32_t i = 0; i < rows; i++)
				if (check_rows_has(&c.rows, i, &at)) {
					int64_t x = key_of(t, v.at, i);

					want.min = MR_MIN(want.min, x);
					want.max = MR_MAX(want.max, x);
					want.count++;
				}
			k->agg->minmax[t](v.at, &c.rows, &got);
			CHECK(got.min == want.min && got.max == want.max &&
				got.count == want.count);
			check_mem_done(v);
			check_rows_done(c);
		}
}

static void agg_float_sums_keep_the_order(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	for (int t = MR_PHYS_F32; t <= MR_PHYS_F64; t++)
		for (int kind = 0; kind < 4; kind++) {
			struct check_mem v = check_column(r, t, rows);
			struct check_rows c = check_rows(r, rows, kind);
			struct mr_fsum got = {{1, -2}, 7}, want = {{1, -2}, 7};
			uint32_t at = 0;

			for (uint32_t i = 0; i < rows; i++)
				if (check_rows_has(&c.rows, i, &at)) {
					want.lane[i & 7] += float_of(t, v.at, i);
					want.count++;
				}
			if (t == MR_PHYS_F32)
				k->agg->sum_f32((float *)v.at, &c.rows, &got);
			else
				k->agg->sum_f64((double *)v.at, &c.rows, &got);
			for (int l = 0; l < 8; l++)
				CHECK(same_double(got.lane[l], want.lane[l]));
			CHECK(got.count == want.count);
			check_mem_done(v);
			check_rows_done(c);
		}
}

struct grouped {
	struct check_mem groups;
	uint32_t count;
};

static struct grouped make_groups(struct mr_rand *r, uint32_t rows)
{
	struct grouped g = {check_mem(rows * 4, mr_rand_below(r, 16) * 4), 1};

	g.count = 1 + (uint32_t)mr_rand_below(r, mr_rand_below(r, 2) ? 8 : 200);
	for (uint32_t i = 0; i < rows; i++)
		((uint32_t *)g.groups.at)[i] = (uint32_t)mr_rand_below(r, g.count);
	return g;
}

struct states {
	struct mr_isum sum[200];
	struct mr_minmax ends[200];
	uint64_t count[200];
};

static void states_init(struct states *s)
{
	memset(s, 0, sizeof(*s));
	for (int g = 0; g < 200; g++) {
		s->ends[g] = MR_MINMAX_EMPTY;
		s->sum[g].sum = -1;
		s->count[g] = 4;
	}
}

// What the group kernels should do, row by row.
static void states_fill(struct states *s, enum mr_phys t, const void *values,
	const uint32_t *groups, const struct mr_rows *rows, uint32_t n)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t g = groups[i];
		int64_t x = key_of(t, values, i);

		if (!check_rows_has(rows, i, &at))
			continue;
		s->count[g]++;
		s->sum[g].sum += x;
		s->sum[g].count++;
		s->ends[g].min = MR_MIN(s->ends[g].min, x);
		s->ends[g].max = MR_MAX(s->ends[g].max, x);
		s->ends[g].count++;
	}
}

static void group_check_one(
	const struct mr_kernels *k, struct mr_rand *r, enum mr_phys t, int kind, uint32_t rows)
{
	struct check_mem v = check_column(r, t, rows);
	struct check_rows c = check_rows(r, rows, kind);
	struct grouped g = make_groups(r, rows);
	const uint32_t *groups = (uint32_t *)g.groups.at;
	static struct states got, want;

	states_init(&got);
	states_init(&want);
	states_fill(&want, t, v.at, groups, &c.rows, rows);
	k->group->count(groups, g.count, &c.rows, got.count);
	k->group->minmax[t](v.at, groups, g.count, &c.rows, got.ends);
	if (t <= MR_PHYS_I64)
		k->group->sum_int[t](v.at, groups, g.count, &c.rows, got.sum);
	CHECK(memcmp(got.count, want.count, sizeof(got.count)) == 0);
	CHECK(memcmp(got.ends, want.ends, sizeof(got.ends)) == 0);
	for (uint32_t i = 0; i < 200 && t <= MR_PHYS_I64; i++)
		CHECK(got.sum[i].sum == want.sum[i].sum && got.sum[i].count == want.sum[i].count);
	check_mem_done(v);
	check_mem_done(g.groups);
	check_rows_done(c);
}

static void group_states_equal_row_by_row(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	for (int t = 0; t < MR_KERN_TYPES; t++)
		for (int kind = 0; kind < 4; kind++)
			group_check_one(k, r, t, kind, rows);
}

// Equal values, so that nothing cancels: where 64 bits are just enough and just too few.
static void sums_of_great_values_do_not_wrap(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *, uint32_t rows)
{
	struct check_mem v = check_mem(rows * 8, 0), groups = check_mem(rows * 4, 0);
	const struct mr_rows all = {.count = rows};

	memset(groups.at, 0, rows * 4);
	for (unsigned shift = 0; shift < 16; shift++)
		for (int sign = -1; sign <= 1; sign += 2) {
			int64_t x = sign < 0 ? INT64_MIN >> shift : INT64_MAX >> shift;
			struct mr_isum grouped = {0}, whole = {0};

			for (uint32_t i = 0; i < rows; i++)
				((int64_t *)v.at)[i] = x;
			k->group->sum_int[MR_PHYS_I64](
				v.at, (uint32_t *)groups.at, 1, &all, &grouped);
			k->agg->sum_int[MR_PHYS_I64](v.at, &all, &whole);
			CHECK(grouped.sum == (mr_i128)x * rows && grouped.count == rows);
			CHECK(whole.sum == (mr_i128)x * rows && whole.count == rows);
		}
	check_mem_done(v);
	check_mem_done(groups);
}

int main(void)
{
	static const struct check checks[] = {
		{"agg_integers_are_exact", agg_integers_are_exact},
		{"agg_extremes_follow_the_keys", agg_extremes_follow_the_keys},
		{"agg_float_sums_keep_the_order", agg_float_sums_keep_the_order},
		{"group_states_equal_row_by_row", group_states_equal_row_by_row},
		{"sums_of_great_values_do_not_wrap", sums_of_great_values_do_not_wrap},
	};

	return check_main(checks, MR_COUNT_OF(checks));
}
