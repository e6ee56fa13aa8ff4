// count, sum, avg, variance and stddev.
//
// Integers and numerics of fixed scale are summed exactly in 128 bits; their variances from exact
// sums and sums of squares, as PostgreSQL does. Floating sums carry their rounding error along
// (Neumaier 1974), so that another order of the same values changes the result by less than 1e-15
// of the sum of magnitudes. Ungrouped, a batch is first summed in eight lanes (struct mr_fsum), 256
// rows a lane at most, which adds less than 3e-14 and is the same on every ISA. Variances of floats
// follow Youngs and Cramer (1971), merged as in PostgreSQL's float8_combine.
#include "host/sql/agg.h"
#include "host/sql/fn.h"

#include <errno.h>
#include <math.h>
#include <string.h>

// Fewer rows than this are added one by one, with no error at all.
enum { FLOAT_BATCH_ROWS = 64 };

struct count_state {
	uint64_t n;
};

struct float_state {
	double sum;
	double rest;
	uint64_t n;
};

struct dec_state {
	struct mr_dec sum;
	uint64_t n;
};

struct interval_state {
	struct mr_interval sum;
	uint64_t n;
};

struct var_state {
	mr_i128 sum;
	mr_i128 squares;
	uint64_t n;
	bool wide; // beyond 128 bits
};

struct dvar_state {
	struct mr_dec sum;
	struct mr_dec squares;
	uint64_t n;
};

struct fvar_state {
	double sum;
	double squares; // of differences from the mean
	uint64_t n;
};

static int out_of_range(struct mr_agg_run *x, const char *what)
{
	return mr_diag_set(x->diag, -ERANGE, "22003", 0, "%s", what);
}

static int dec_failed(struct mr_agg_run *x)
{
	return out_of_range(x, "value overflows numeric format");
}

// ---- count ----

static int count_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *,
	const uint32_t *, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++)
		((struct count_state *)mr_agg_state(x, rows[k]))->n++;
	return 0;
}

// A zeroed element for each group.
static void *group_states(struct mr_agg_run *x, const struct mr_agg_batch *b, size_t bytes)
{
	void *io = mr_arena_zalloc(b->scratch, b->groups_count, bytes);

	if (!io)
		mr_agg_limit(x);
	return io;
}

static int count_batch(struct mr_agg_run *x, const struct mr_agg_batch *b)
{
	struct count_state *s = mr_agg_state(x, b->rows[0]);
	uint64_t *io;

	if (!b->groups) {
		s->n += mr_kern->agg->count(&b->which);
		return 0;
	}
	io = group_states(x, b, sizeof(*io));
	if (!io)
		return MR_ERR_LIMIT;
	mr_kern->group->count(b->groups, b->groups_count, &b->which, io);
	for (uint32_t g = 0; g < b->groups_count; g++)
		((struct count_state *)mr_agg_state(x, b->rows[g]))->n += io[g];
	return 0;
}

static int count_merge(struct mr_agg_run *, void *state, const void *other)
{
	((struct count_state *)state)->n += ((const struct count_state *)other)->n;
	return 0;
}

static int count_finish(struct mr_agg_run *, const void *state, void *out)
{
	*(int64_t *)out = (int64_t)((const struct count_state *)state)->n;
	return 0;
}

// States without pointers are saved as they lie.
static void plain_save(const struct mr_agg_run *x, const void *state, struct mr_buf *out)
{
	mr_buf_add(out, state, x->call->fn->state_bytes);
}

static int plain_load(struct mr_agg_run *x, void *state, struct mr_reader *in)
{
	const uint8_t *p = mr_read_bytes(in, x->call->fn->state_bytes);

	if (!p)
		return MR_ERR_CORRUPT;
	memcpy(state, p, x->call->fn->state_bytes);
	return 0;
}

// A numeric that mr_dec_* can take: bytes from outside may hold anything.
static bool dec_is_sound(struct mr_dec d)
{
	const mr_i128 limit = (mr_i128)100000000000000000 * 1000000000000000000;
	mr_i128 c = mr_dec_coefficient(d);

	return mr_dec_is_nan(d) ? c == 0
				: mr_dec_scale(d) <= MR_DEC_SCALE_MAX && c < limit && c > -limit;
}

// ---- sums of integers ----

static inline int64_t int_at(const struct mr_vec *v, uint32_t i)
{
	const void *p = mr_vec_at(v, i);

	switch (v->col.phys) {
	case MR_PHYS_I16: return *(const int16_t *)p;
	case MR_PHYS_I32: return *(const int32_t *)p;
	default: return *(const int64_t *)p;
	}
}

static int int_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		struct mr_isum *s = mr_agg_state(x, rows[k]);

		s->sum += int_at(&args[0], mr_sel(sel, k));
		s->count++;
	}
	return 0;
}

static int int_merge(struct mr_agg_run *, void *state, const void *other)
{
	struct mr_isum *s = state;
	const struct mr_isum *o = other;

	s->sum += o->sum;
	s->count += o->count;
	return 0;
}

static int int_batch(struct mr_agg_run *x, const struct mr_agg_batch *b)
{
	uint8_t phys = b->arg->phys;
	struct mr_isum *io;

	if (!b->groups) {
		mr_kern->agg->sum_int[phys](b->arg->values, &b->which, mr_agg_state(x, b->rows[0]));
		return 0;
	}
	io = group_states(x, b, sizeof(*io));
	if (!io)
		return MR_ERR_LIMIT;
	mr_kern->group->sum_int[phys](b->arg->values, b->groups, b->groups_count, &b->which, io);
	for (uint32_t g = 0; g < b->groups_count; g++)
		int_merge(x, mr_agg_state(x, b->rows[g]), &io[g]);
	return 0;
}

static int int_finish_i8(struct mr_agg_run *x, const void *state, void *out)
{
	const struct mr_isum *s = state;

	if (s->count == 0)
		return 1;
	if (s->sum != (int64_t)s->sum)
		return out_of_range(x, "bigint out of range");
	*(int64_t *)out = (int64_t)s->sum;
	return 0;
}

// The digits after the point of the values that lie as integers.
static unsigned scale_of(const struct mr_agg_run *x)
{
	return x->call->args[0]->type.type == MR_TYPE_NUMERIC ? x->call->args[0]->type.scale : 0;
}

// 0, or -ERANGE beyond 35 digits.
static int make_dec(mr_i128 coefficient, unsigned scale, struct mr_dec *out)
{
	const mr_i128 limit = (mr_i128)100000000000000000 * 1000000000000000000;

	if (coefficient >= limit || coefficient <= -limit)
		return -ERANGE;
	*out = mr_dec_make(coefficient, scale);
	return 0;
}

static int int_finish_n(struct mr_agg_run *x, const void *state, void *out)
{
	const struct mr_isum *s = state;

	if (s->count == 0)
		return 1;
	return make_dec(s->sum, scale_of(x), out) < 0 ? dec_failed(x) : 0;
}

static int int_avg(struct mr_agg_run *x, const void *state, void *out)
{
	const struct mr_isum *s = state;
	struct mr_dec sum;

	if (s->count == 0)
		return 1;
	if (make_dec(s->sum, scale_of(x), &sum) < 0 ||
		mr_dec_div(sum, mr_dec_from_i64((int64_t)s->count), out) < 0)
		return dec_failed(x);
	return 0;
}

// ---- sums of numerics ----

static int dec_add_to(struct mr_dec *sum, uint64_t *n, struct mr_dec v)
{
	return (*n)++ == 0 ? (*sum = v, 0) : mr_dec_add(*sum, v, sum);
}

static int dec_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		struct dec_state *s = mr_agg_state(x, rows[k]);
		const struct mr_dec *v = mr_vec_at(&args[0], mr_sel(sel, k));

		if (dec_add_to(&s->sum, &s->n, *v) < 0)
			return dec_failed(x);
	}
	return 0;
}

static int dec_merge(struct mr_agg_run *x, void *state, const void *other)
{
	struct dec_state *s = state;
	const struct dec_state *o = other;
	uint64_t n = s->n + o->n;

	if (o->n && dec_add_to(&s->sum, &s->n, o->sum) < 0)
		return dec_failed(x);
	s->n = n;
	return 0;
}

static int dec_load(struct mr_agg_run *x, void *state, struct mr_reader *in)
{
	int rc = plain_load(x, state, in);

	return rc == 0 && !dec_is_sound(((struct dec_state *)state)->sum) ? MR_ERR_CORRUPT : rc;
}

static int dec_finish(struct mr_agg_run *, const void *state, void *out)
{
	const struct dec_state *s = state;

	*(struct mr_dec *)out = s->sum;
	return s->n == 0;
}

static int dec_avg(struct mr_agg_run *x, const void *state, void *out)
{
	const struct dec_state *s = state;

	if (s->n == 0)
		return 1;
	return mr_dec_div(s->sum, mr_dec_from_i64((int64_t)s->n), out) < 0 ? dec_failed(x) : 0;
}

// ---- sums of floats ----

static inline double float_at(const struct mr_vec *v, uint32_t i)
{
	const void *p = mr_vec_at(v, i);

	return v->col.phys == MR_PHYS_F32 ? (double)*(const float *)p : *(const double *)p;
}

static inline void float_add(struct float_state *s, double v)
{
	double t = s->sum + v;

	s->rest += fabs(s->sum) >= fabs(v) ? (s->sum - t) + v : (v - t) + s->sum;
	s->sum = t;
}

static int float_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		struct float_state *s = mr_agg_state(x, rows[k]);

		float_add(s, float_at(&args[0], mr_sel(sel, k)));
		s->n++;
	}
	return 0;
}

static int float_batch(struct mr_agg_run *x, const struct mr_agg_batch *b)
{
	struct float_state *s = mr_agg_state(x, b->rows[0]);
	struct mr_fsum sum = {0};

	if (b->groups || b->which.count < FLOAT_BATCH_ROWS)
		return 1;
	if (b->arg->phys == MR_PHYS_F32)
		mr_kern->agg->sum_f32(b->arg->values, &b->which, &sum);
	else
		mr_kern->agg->sum_f64(b->arg->values, &b->which, &sum);
	// Lanes may overflow or meet infinities where the sum in order does not.
	if (!isfinite(mr_fsum_value(&sum)))
		return 1;
	float_add(s, mr_fsum_value(&sum));
	s->n += sum.count;
	return 0;
}

static int float_merge(struct mr_agg_run *, void *state, const void *other)
{
	struct float_state *s = state;
	const struct float_state *o = other;

	float_add(s, o->sum);
	s->rest += o->rest;
	s->n += o->n;
	return 0;
}

static double float_total(const struct float_state *s)
{
	return isfinite(s->sum) ? s->sum + s->rest : s->sum;
}

static int float_finish_f8(struct mr_agg_run *, const void *state, void *out)
{
	*(double *)out = float_total(state);
	return ((const struct float_state *)state)->n == 0;
}

static int float_finish_f4(struct mr_agg_run *, const void *state, void *out)
{
	*(float *)out = (float)float_total(state);
	return ((const struct float_state *)state)->n == 0;
}

static int float_avg(struct mr_agg_run *, const void *state, void *out)
{
	const struct float_state *s = state;

	*(double *)out = float_total(s) / (double)s->n;
	return s->n == 0;
}

// ---- intervals ----

static int interval_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		struct interval_state *s = mr_agg_state(x, rows[k]);
		const struct mr_interval *v = mr_vec_at(&args[0], mr_sel(sel, k));

		s->n++;
		if (mr_interval_add(s->sum, *v, &s->sum) < 0)
			return out_of_range(x, "interval out of range");
	}
	return 0;
}

static int interval_merge(struct mr_agg_run *x, void *state, const void *other)
{
	struct interval_state *s = state;
	const struct interval_state *o = other;

	s->n += o->n;
	if (mr_interval_add(s->sum, o->sum, &s->sum) < 0)
		return out_of_range(x, "interval out of range");
	return 0;
}

static int interval_finish(struct mr_agg_run *, const void *state, void *out)
{
	*(struct mr_interval *)out = ((const struct interval_state *)state)->sum;
	return ((const struct interval_state *)state)->n == 0;
}

static int interval_avg(struct mr_agg_run *x, const void *state, void *out)
{
	const struct interval_state *s = state;

	if (s->n == 0)
		return 1;
	if (mr_interval_mul(s->sum, 1.0 / (double)s->n, out) < 0)
		return out_of_range(x, "interval out of range");
	return 0;
}

// ---- variances ----

static int var_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		struct var_state *s = mr_agg_state(x, rows[k]);
		mr_i128 v = int_at(&args[0], mr_sel(sel, k));

		s->sum += v;
		s->wide |= __builtin_add_overflow(s->squares, v * v, &s->squares);
		s->n++;
	}
	return 0;
}

static int var_load(struct mr_agg_run *x, void *state, struct mr_reader *in)
{
	const uint8_t *at = in->at;
	int rc = plain_load(x, state, in);

	return rc == 0 && at[offsetof(struct var_state, wide)] > 1 ? MR_ERR_CORRUPT : rc;
}

static int var_merge(struct mr_agg_run *, void *state, const void *other)
{
	struct var_state *s = state;
	const struct var_state *o = other;

	s->sum += o->sum;
	s->wide |= o->wide | __builtin_add_overflow(s->squares, o->squares, &s->squares);
	s->n += o->n;
	return 0;
}

// (n * squares - sum * sum) / (n * (n - sample)), then its root if asked for. 1 = NULL.
static int dec_variance(struct mr_agg_run *x, struct mr_dec sum, struct mr_dec squares, uint64_t n,
	bool sample, bool root, struct mr_dec *out)
{
	struct mr_dec count = mr_dec_from_i64((int64_t)n), a, b, d;

	if (n == 0 || (sample && n == 1))
		return 1;
	if (mr_dec_mul(count, squares, &a) < 0 || mr_dec_mul(sum, sum, &b) < 0 ||
		mr_dec_sub(a, b, &a) < 0)
		return dec_failed(x);
	if (mr_dec_coefficient(a) <= 0 && !mr_dec_is_nan(a)) {
		*out = mr_dec_make(0, 0);
		return 0;
	}
	if (mr_dec_mul(count, mr_dec_from_i64((int64_t)(n - sample)), &d) < 0 ||
		mr_dec_div(a, d, out) < 0)
		return dec_failed(x);
	if (root && !mr_dec_is_nan(*out) && mr_numeric_sqrt(*out, (int)mr_dec_scale(*out), out) < 0)
		return dec_failed(x);
	return 0;
}

static int var_finish(struct mr_agg_run *x, const void *state, void *out, bool sample, bool root)
{
	const struct var_state *s = state;
	unsigned scale = scale_of(x);
	struct mr_dec sum, squares;

	if (s->wide || make_dec(s->sum, scale, &sum) < 0 ||
		make_dec(s->squares, 2 * scale, &squares) < 0)
		return dec_failed(x);
	return dec_variance(x, sum, squares, s->n, sample, root, out);
}

static int dvar_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		struct dvar_state *s = mr_agg_state(x, rows[k]);
		const struct mr_dec *v = mr_vec_at(&args[0], mr_sel(sel, k));
		struct mr_dec square;

		if (mr_dec_mul(*v, *v, &square) < 0 || mr_dec_add(s->sum, *v, &s->sum) < 0 ||
			mr_dec_add(s->squares, square, &s->squares) < 0)
			return dec_failed(x);
		s->n++;
	}
	return 0;
}

static int dvar_merge(struct mr_agg_run *x, void *state, const void *other)
{
	struct dvar_state *s = state;
	const struct dvar_state *o = other;

	s->n += o->n;
	if (mr_dec_add(s->sum, o->sum, &s->sum) < 0 ||
		mr_dec_add(s->squares, o->squares, &s->squares) < 0)
		return dec_failed(x);
	return 0;
}

static int dvar_load(struct mr_agg_run *x, void *state, struct mr_reader *in)
{
	const struct dvar_state *s = state;
	int rc = plain_load(x, state, in);

	return rc == 0 && !(dec_is_sound(s->sum) && dec_is_sound(s->squares)) ? MR_ERR_CORRUPT : rc;
}

static int dvar_finish(struct mr_agg_run *x, const void *state, void *out, bool sample, bool root)
{
	const struct dvar_state *s = state;

	return dec_variance(x, s->sum, s->squares, s->n, sample, root, out);
}

static int fvar_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		struct fvar_state *s = mr_agg_state(x, rows[k]);
		double v = float_at(&args[0], mr_sel(sel, k)), t;

		s->n++;
		s->sum += v;
		t = v * (double)s->n - s->sum;
		if (s->n > 1)
			s->squares += t * t / ((double)s->n * (double)(s->n - 1));
		else if (!isfinite(v))
			s->squares = (double)NAN;
	}
	return 0;
}

static int fvar_merge(struct mr_agg_run *, void *state, const void *other)
{
	struct fvar_state *s = state;
	const struct fvar_state *o = other;
	double t;

	if (o->n == 0)
		return 0;
	if (s->n == 0) {
		*s = *o;
		return 0;
	}
	t = s->sum / (double)s->n - o->sum / (double)o->n;
	s->squares += o->squares + (double)s->n * (double)o->n * t * t / (double)(s->n + o->n);
	s->sum += o->sum;
	s->n += o->n;
	return 0;
}

static int fvar_finish(struct mr_agg_run *, const void *state, void *out, bool sample, bool root)
{
	const struct fvar_state *s = state;
	double v;

	if (s->n == 0 || (sample && s->n == 1))
		return 1;
	v = s->squares / (double)(s->n - sample);
	*(double *)out = root ? sqrt(v) : v;
	return 0;
}

#define VAR_FINISH(kind)                                                           \
	static int kind##_var_samp(struct mr_agg_run *x, const void *s, void *out) \
	{                                                                          \
		return kind##_finish(x, s, out, true, false);                      \
	}                                                                          \
	static int kind##_var_pop(struct mr_agg_run *x, const void *s, void *out)  \
	{                                                                          \
		return kind##_finish(x, s, out, false, false);                     \
	}                                                                          \
	static int kind##_dev_samp(struct mr_agg_run *x, const void *s, void *out) \
	{                                                                          \
		return kind##_finish(x, s, out, true, true);                       \
	}                                                                          \
	static int kind##_dev_pop(struct mr_agg_run *x, const void *s, void *out)  \
	{                                                                          \
		return kind##_finish(x, s, out, false, true);                      \
	}

VAR_FINISH(var)
VAR_FINISH(dvar)
VAR_FINISH(fvar)

#define ROW_LOAD(name, arg, ret, kind, fin, load)                                                 \
	{                                                                                         \
		name, 1, {arg}, ret, 0, sizeof(struct kind##_state), kind##_update, kind##_merge, \
			fin, plain_save, load, NULL, NULL                                         \
	}
#define ROW(name, arg, ret, kind, fin) ROW_LOAD(name, arg, ret, kind, fin, plain_load)
// With kernels; the state is struct `state`.
#define ROW_KERN(name, arg, ret, kind, state, fin)                                              \
	{                                                                                       \
		name, 1, {arg}, ret, 0, sizeof(struct state), kind##_update, kind##_merge, fin, \
			plain_save, plain_load, NULL, kind##_batch                              \
	}
// The sums of numeric(p, s) up to 18 digits are the integers' (the binder does not widen them).
#define VAR_ROWS(name, fin)                                                                    \
	ROW_LOAD(name, MR_TYPE_INT2, MR_TYPE_NUMERIC, var, var_##fin, var_load),               \
		ROW_LOAD(name, MR_TYPE_INT4, MR_TYPE_NUMERIC, var, var_##fin, var_load),       \
		ROW_LOAD(name, MR_TYPE_INT8, MR_TYPE_NUMERIC, var, var_##fin, var_load),       \
		ROW_LOAD(name, MR_TYPE_NUMERIC, MR_TYPE_NUMERIC, dvar, dvar_##fin, dvar_load), \
		ROW(name, MR_TYPE_FLOAT4, MR_TYPE_FLOAT8, fvar, fvar_##fin),                   \
		ROW(name, MR_TYPE_FLOAT8, MR_TYPE_FLOAT8, fvar, fvar_##fin)

const struct mr_agg_fn mr_agg_num[] = {
	{"count", 0, {0}, MR_TYPE_INT8, 0, sizeof(struct count_state), count_update, count_merge,
		count_finish, plain_save, plain_load, NULL, count_batch},
	ROW_KERN("count", MR_TYPE_COUNT, MR_TYPE_INT8, count, count_state, count_finish),
	ROW_KERN("sum", MR_TYPE_INT2, MR_TYPE_INT8, int, mr_isum, int_finish_i8),
	ROW_KERN("sum", MR_TYPE_INT4, MR_TYPE_INT8, int, mr_isum, int_finish_i8),
	ROW_KERN("sum", MR_TYPE_INT8, MR_TYPE_NUMERIC, int, mr_isum, int_finish_n),
	ROW_LOAD("sum", MR_TYPE_NUMERIC, MR_TYPE_NUMERIC, dec, dec_finish, dec_load),
	ROW_KERN("sum", MR_TYPE_FLOAT4, MR_TYPE_FLOAT4, float, float_state, float_finish_f4),
	ROW_KERN("sum", MR_TYPE_FLOAT8, MR_TYPE_FLOAT8, float, float_state, float_finish_f8),
	ROW("sum", MR_TYPE_INTERVAL, MR_TYPE_INTERVAL, interval, interval_finish),
	ROW_KERN("avg", MR_TYPE_INT2, MR_TYPE_NUMERIC, int, mr_isum, int_avg),
	ROW_KERN("avg", MR_TYPE_INT4, MR_TYPE_NUMERIC, int, mr_isum, int_avg),
	ROW_KERN("avg", MR_TYPE_INT8, MR_TYPE_NUMERIC, int, mr_isum, int_avg),
	ROW_LOAD("avg", MR_TYPE_NUMERIC, MR_TYPE_NUMERIC, dec, dec_avg, dec_load),
	ROW_KERN("avg", MR_TYPE_FLOAT4, MR_TYPE_FLOAT8, float, float_state, float_avg),
	ROW_KERN("avg", MR_TYPE_FLOAT8, MR_TYPE_FLOAT8, float, float_state, float_avg),
	ROW("avg", MR_TYPE_INTERVAL, MR_TYPE_INTERVAL, interval, interval_avg),
	VAR_ROWS("variance", var_samp),
	VAR_ROWS("var_samp", var_samp),
	VAR_ROWS("var_pop", var_pop),
	VAR_ROWS("stddev", dev_samp),
	VAR_ROWS("stddev_samp", dev_samp),
	VAR_ROWS("stddev_pop", dev_pop),
};
const size_t mr_agg_num_count = MR_COUNT_OF(mr_agg_num);

// The functions for a numeric that lies as an integer.
static const struct mr_agg_fn small_numeric[] = {
	ROW_KERN("sum", MR_TYPE_NUMERIC, MR_TYPE_NUMERIC, int, mr_isum, int_finish_n),
	ROW_KERN("avg", MR_TYPE_NUMERIC, MR_TYPE_NUMERIC, int, mr_isum, int_avg),
	ROW_LOAD("variance", MR_TYPE_NUMERIC, MR_TYPE_NUMERIC, var, var_var_samp, var_load),
	ROW_LOAD("var_samp", MR_TYPE_NUMERIC, MR_TYPE_NUMERIC, var, var_var_samp, var_load),
	ROW_LOAD("var_pop", MR_TYPE_NUMERIC, MR_TYPE_NUMERIC, var, var_var_pop, var_load),
	ROW_LOAD("stddev", MR_TYPE_NUMERIC, MR_TYPE_NUMERIC, var, var_dev_samp, var_load),
	ROW_LOAD("stddev_samp", MR_TYPE_NUMERIC, MR_TYPE_NUMERIC, var, var_dev_samp, var_load),
	ROW_LOAD("stddev_pop", MR_TYPE_NUMERIC, MR_TYPE_NUMERIC, var, var_dev_pop, var_load),
};

const struct mr_agg_fn *mr_agg_small(const struct mr_agg_fn *f)
{
	for (size_t i = 0; i < MR_COUNT_OF(small_numeric); i++)
		if (strcmp(small_numeric[i].name, f->name) == 0)
			return &small_numeric[i];
	return NULL;
}
