// The window functions that are not aggregates.
#include "host/sql/over.h"

#include "host/sql/fn.h"

#include <errno.h>
#include <string.h>

static int whole(struct mr_datum *out, uint64_t v)
{
	*out = (struct mr_datum){.value.i64 = (int64_t)v};
	return 0;
}

static int fraction(struct mr_datum *out, uint32_t part, uint32_t of)
{
	*out = (struct mr_datum){.value.f64 = (double)part / of};
	return 0;
}

static bool is_null(const struct mr_over_call *c, const uint8_t *row, uint32_t arg)
{
	return mr_rowset_is_null(row, c->columns[arg]);
}

static int32_t int_of(const struct mr_over_rows *r, const struct mr_over_call *c,
	const uint8_t *row, uint32_t arg)
{
	return *(const int32_t *)mr_rowset_at(r->set, row, c->columns[arg]);
}

// An argument's value in any row.
static int value_of(const struct mr_over_rows *r, const struct mr_over_call *c, const uint8_t *row,
	uint32_t arg, struct mr_datum *out)
{
	out->null = is_null(c, row, arg);
	memcpy(&out->value, mr_rowset_at(r->set, row, c->columns[arg]), sizeof(out->value));
	return 0;
}

static int null_value(struct mr_datum *out)
{
	*out = (struct mr_datum){.null = true};
	return 0;
}

static int row_number(
	const struct mr_over_rows *r, const struct mr_over_call *, struct mr_datum *out)
{
	return whole(out, r->at + 1ull);
}

static int rank(const struct mr_over_rows *r, const struct mr_over_call *, struct mr_datum *out)
{
	return whole(out, r->peers_first + 1ull);
}

static int dense_rank(
	const struct mr_over_rows *r, const struct mr_over_call *, struct mr_datum *out)
{
	return whole(out, r->peers_number);
}

static int percent_rank(
	const struct mr_over_rows *r, const struct mr_over_call *, struct mr_datum *out)
{
	return r->count > 1 ? fraction(out, r->peers_first, r->count - 1) : fraction(out, 0, 1);
}

static int cume_dist(
	const struct mr_over_rows *r, const struct mr_over_call *, struct mr_datum *out)
{
	return fraction(out, r->peers_end, r->count);
}

// The number of buckets is the first row's. The first `more` buckets have one row more.
static int ntile(const struct mr_over_rows *r, const struct mr_over_call *c, struct mr_datum *out)
{
	uint32_t buckets, each, more, big;

	if (is_null(c, r->rows[0], 0))
		return null_value(out);
	if (int_of(r, c, r->rows[0], 0) <= 0)
		return mr_diag_set(r->diag, -EINVAL, "22014", 0,
			"argument of ntile must be greater than zero");
	buckets = (uint32_t)int_of(r, c, r->rows[0], 0);
	each = r->count / buckets;
	more = r->count % buckets;
	big = more * (each + 1);
	out->null = false;
	out->value.i32 = (int32_t)(r->at < big ? r->at / (each + 1) : more + (r->at - big) / each);
	out->value.i32++;
	return 0;
}

// The row `sign` times the offset away, or else the default.
static int away(
	const struct mr_over_rows *r, const struct mr_over_call *c, int sign, struct mr_datum *out)
{
	const uint8_t *row = r->rows[r->at];
	int64_t at = (int64_t)r->at + sign;

	if (c->args_count > 1) {
		if (is_null(c, row, 1))
			return null_value(out);
		at = (int64_t)r->at + (int64_t)sign * int_of(r, c, row, 1);
	}
	if (at >= 0 && at < r->count)
		return value_of(r, c, r->rows[at], 0, out);
	return c->args_count > 2 ? value_of(r, c, row, 2, out) : null_value(out);
}

static int lag(const struct mr_over_rows *r, const struct mr_over_call *c, struct mr_datum *out)
{
	return away(r, c, -1, out);
}

static int lead(const struct mr_over_rows *r, const struct mr_over_call *c, struct mr_datum *out)
{
	return away(r, c, 1, out);
}

static int first_value(
	const struct mr_over_rows *r, const struct mr_over_call *c, struct mr_datum *out)
{
	return r->frame_first < r->frame_end ? value_of(r, c, r->rows[r->frame_first], 0, out)
					     : null_value(out);
}

static int last_value(
	const struct mr_over_rows *r, const struct mr_over_call *c, struct mr_datum *out)
{
	return r->frame_first < r->frame_end ? value_of(r, c, r->rows[r->frame_end - 1], 0, out)
					     : null_value(out);
}

static int nth_value(
	const struct mr_over_rows *r, const struct mr_over_call *c, struct mr_datum *out)
{
	int32_t n;

	if (is_null(c, r->rows[r->at], 1))
		return null_value(out);
	n = int_of(r, c, r->rows[r->at], 1);
	if (n <= 0)
		return mr_diag_set(r->diag, -EINVAL, "22016", 0,
			"argument of nth_value must be greater than zero");
	return (uint32_t)n <= r->frame_end - r->frame_first
		       ? value_of(r, c, r->rows[r->frame_first + (uint32_t)n - 1], 0, out)
		       : null_value(out);
}

#define ANY  MR_FN_ANY
#define INT4 MR_TYPE_INT4

static const struct mr_over_fn functions[] = {
	{"row_number", 0, 0, {0}, MR_TYPE_INT8, 0, row_number},
	{"rank", 0, 0, {0}, MR_TYPE_INT8, MR_OVER_PEERS, rank},
	{"dense_rank", 0, 0, {0}, MR_TYPE_INT8, MR_OVER_PEERS, dense_rank},
	{"percent_rank", 0, 0, {0}, MR_TYPE_FLOAT8, MR_OVER_PEERS, percent_rank},
	{"cume_dist", 0, 0, {0}, MR_TYPE_FLOAT8, MR_OVER_PEERS, cume_dist},
	{"ntile", 1, 1, {INT4}, MR_TYPE_INT4, 0, ntile},
	{"lag", 1, 3, {ANY, INT4, ANY}, 0, MR_OVER_RET_ARG, lag},
	{"lead", 1, 3, {ANY, INT4, ANY}, 0, MR_OVER_RET_ARG, lead},
	{"first_value", 1, 1, {ANY}, 0, MR_OVER_RET_ARG | MR_OVER_FRAME, first_value},
	{"last_value", 1, 1, {ANY}, 0, MR_OVER_RET_ARG | MR_OVER_FRAME, last_value},
	{"nth_value", 2, 2, {ANY, INT4}, 0, MR_OVER_RET_ARG | MR_OVER_FRAME, nth_value},
};

const struct mr_over_fn *mr_over_find(struct mr_span name)
{
	for (size_t i = 0; i < MR_COUNT_OF(functions); i++)
		if (mr_span_eq(mr_span_str(functions[i].name), name))
			return &functions[i];
	return NULL;
}
