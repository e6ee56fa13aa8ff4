// Group-by: each row adds to the state its group id names.
//
// A row's addition must wait for the one before it when both hit the same state (store to load
// forwarding, about 5 cycles). With few groups that is the rule, so integers go to eight small
// tables, row i to table i & 7, which are added up at the end: 0.6 against 0.4 ns a row for 20
// groups.
//
// 4 B of group id and the value read a row, one state read and written. Beyond the caches a random
// access a row bounds it, and the caller should partition first.
#include "kernels/rows.h"
#include "kernels/simd.h"

// Few groups: the eight tables of 24-byte cells stay in L1 (64 groups: 12 KiB), and there are rows
// enough to pay for clearing and adding them up. Measured crossover: about 8 rows per cell.
#define FEW_GROUPS 64

static bool worth_tables(uint32_t groups_count, const struct mr_rows *rows)
{
	return !rows->sel && groups_count <= FEW_GROUPS && rows->count >= groups_count * 64;
}

// Runs the statement for each row looked at, `i`, with `t` = i & 7 known when all rows are.
#define EACH_OF_EIGHT(rows, i, t, statement)                                             \
	do {                                                                             \
		if (!(rows)->mask) {                                                     \
			const uint32_t full_ = (rows)->count / 8 * 8;                    \
                                                                                         \
			for (uint32_t k_ = 0; k_ < full_; k_ += 8)                       \
				_Pragma("GCC unroll 8") for (uint32_t t = 0; t < 8; t++) \
				{                                                        \
					const uint32_t i = k_ + t;                       \
					statement;                                       \
				}                                                        \
			for (uint32_t i = full_; i < (rows)->count; i++) {               \
				const uint32_t t = 0;                                    \
				statement;                                               \
			}                                                                \
		} else {                                                                 \
			MR_ROWS_EACH(rows, i, {                                          \
				const uint32_t t = i % 8;                                \
				statement;                                               \
			});                                                              \
		}                                                                        \
	} while (0)

static void group_count(
	const uint32_t *groups, uint32_t groups_count, const struct mr_rows *rows, uint64_t *io)
{
	uint32_t tables[8][FEW_GROUPS];

	if (!worth_tables(groups_count, rows)) {
		MR_ROWS_EACH(rows, i, io[groups[i]]++);
		return;
	}
	for (uint32_t t = 0; t < 8; t++)
		memset(tables[t], 0, groups_count * sizeof(tables[t][0]));
	EACH_OF_EIGHT(rows, i, t, tables[t][groups[i]]++);
	for (uint32_t t = 0; t < 8; t++)
		for (uint32_t g = 0; g < groups_count; g++)
			io[g] += tables[t][g];
}

V_OP void isum_add(struct mr_isum *s, int64_t v)
{
	s->sum += v;
	s->count++;
}

// What the small tables hold: half of a struct mr_isum, when the sums fit.
struct cell {
	int64_t sum;
	uint64_t count;
};

V_OP void cell_add(struct cell *c, int64_t v)
{
	c->sum += v;
	c->count++;
}

static void cells_finish(
	struct cell (*tables)[FEW_GROUPS], uint32_t groups_count, struct mr_isum *io)
{
	for (uint32_t t = 0; t < 8; t++)
		for (uint32_t g = 0; g < groups_count; g++) {
			io[g].sum += tables[t][g].sum;
			io[g].count += tables[t][g].count;
		}
}

// Whether no sum of some of the values can leave 64 bits: below 2^31 rows of 32 bits never can, of
// 64-bit ones look how many bits are used (one vectorised pass, 0.1 ns a row).
#define SUM_FITS(t, type)                                                               \
	V_OP bool sum_fits_##t(const type *v, uint32_t rows)                            \
	{                                                                               \
		uint64_t used = 1;                                                      \
                                                                                        \
		if (sizeof(type) < 8)                                                   \
			return true;                                                    \
		for (uint32_t i = 0; i < rows; i++)                                     \
			used |= (uint64_t)(v[i] < 0 ? ~v[i] : v[i]);                    \
		return (64 - __builtin_clzll(used)) + (32 - __builtin_clz(rows)) <= 63; \
	}

#define SUM_INT(t, type)                                                                  \
	SUM_FITS(t, type)                                                                 \
                                                                                          \
	static void group_sum_##t(const void *values, const uint32_t *groups,             \
		uint32_t groups_count, const struct mr_rows *rows, struct mr_isum *io)    \
	{                                                                                 \
		const type *v = values;                                                   \
		struct cell tables[8][FEW_GROUPS];                                        \
                                                                                          \
		if (!worth_tables(groups_count, rows) || !sum_fits_##t(v, rows->count)) { \
			MR_ROWS_EACH(rows, i, isum_add(&io[groups[i]], v[i]));            \
			return;                                                           \
		}                                                                         \
		for (uint32_t k = 0; k < 8; k++)                                          \
			memset(tables[k], 0, groups_count * sizeof(struct cell));         \
		EACH_OF_EIGHT(rows, i, k, cell_add(&tables[k][groups[i]], v[i]));         \
		cells_finish(tables, groups_count, io);                                   \
	}

SUM_INT(u8, uint8_t)
SUM_INT(i16, int16_t)
SUM_INT(i32, int32_t)
SUM_INT(i64, int64_t)

V_OP int64_t key_int(int64_t v)
{
	return v;
}

V_OP void minmax_add(struct mr_minmax *m, int64_t v)
{
	m->min = v < m->min ? v : m->min;
	m->max = v > m->max ? v : m->max;
	m->count++;
}

#define MINMAX(t, type, key)                                                               \
	static void group_minmax_##t(const void *values, const uint32_t *groups, uint32_t, \
		const struct mr_rows *rows, struct mr_minmax *io)                          \
	{                                                                                  \
		const type *v = values;                                                    \
                                                                                           \
		MR_ROWS_EACH(rows, i, minmax_add(&io[groups[i]], key(v[i])));              \
	}

MINMAX(u8, uint8_t, key_int)
MINMAX(i16, int16_t, key_int)
MINMAX(i32, int32_t, key_int)
MINMAX(i64, int64_t, key_int)
MINMAX(f32, float, mr_fkey)
MINMAX(f64, double, mr_fkey)

const struct mr_group_kernels MR_ISA_NAME(mr_kernels_group) = {
	.count = group_count,
	.sum_int = {group_sum_u8, group_sum_i16, group_sum_i32, group_sum_i64},
	.minmax = {group_minmax_u8, group_minmax_i16, group_minmax_i32, group_minmax_i64,
		group_minmax_f32, group_minmax_f64},
};
