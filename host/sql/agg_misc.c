// min, max, bool_and, bool_or, bit_and, bit_or, bit_xor, string_agg, array_agg, and the exact
// percentiles.
#include "host/sql/agg.h"

#include "host/sql/fn.h"
#include "host/sql/groups.h"
#include "host/sql/pgcatalog.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct extreme_state {
	union mr_value value;
	uint32_t bytes_max; // of the string's own memory
	bool set;
};

struct bool_state {
	bool set;
	bool value;
};

struct bit_state {
	int64_t value;
	bool set;
};

struct text_state {
	uint8_t *data;
	uint32_t bytes;
	uint32_t bytes_max;
	bool set;
	uint32_t *pieces; // with DISTINCT: where each value and its delimiter begins and ends
	uint32_t pieces_count;
	uint32_t pieces_max;
};

struct list_state {
	uint8_t *values;
	uint64_t count;
	uint64_t count_max;
};

static struct mr_typeref arg_type(const struct mr_agg_run *x)
{
	return x->call->args[0]->type;
}

// ---- min and max ----

static int extreme_put(struct mr_agg_run *x, struct extreme_state *s, const void *value)
{
	const struct mr_str *from = value;
	uint8_t *data;

	s->set = true;
	if (mr_type_phys(arg_type(x)) != MR_PHYS_BYTES) {
		memcpy(&s->value, value, mr_phys_bytes(mr_type_phys(arg_type(x))));
		return 0;
	}
	data = (uint8_t *)(uintptr_t)s->value.str.data;
	if (from->bytes > s->bytes_max || !data) {
		s->bytes_max = MR_MAX(from->bytes + from->bytes / 2, 16u);
		data = mr_arena_alloc(x->arena, s->bytes_max);
		if (!data)
			return mr_agg_limit(x);
	}
	if (from->bytes)
		memcpy(data, from->data, from->bytes);
	s->value.str = (struct mr_str){data, from->bytes, 0};
	return 0;
}

static int extreme_take(struct mr_agg_run *x, struct extreme_state *s, const void *v, int sign)
{
	int c = s->set ? mr_value_cmp(arg_type(x), v, &s->value) * sign : 1;

	if (s->set && c == 0 && mr_type_phys(arg_type(x)) == MR_PHYS_DEC)
		c = mr_dec_scale(*(const struct mr_dec *)v) > mr_dec_scale(s->value.dec);
	return c > 0 ? extreme_put(x, s, v) : 0;
}

static int extreme_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n, int sign)
{
	for (uint32_t k = 0; k < n; k++)
		if (extreme_take(x, mr_agg_state(x, rows[k]), mr_vec_at(&args[0], mr_sel(sel, k)),
			    sign) < 0)
			return MR_ERR_LIMIT;
	return 0;
}

static int min_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	return extreme_update(x, rows, args, sel, n, -1);
}

static int max_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	return extreme_update(x, rows, args, sel, n, 1);
}

// An extreme found by a kernel. False for a zero of floats, whose sign the kernel does not keep.
static bool from_kernel(enum mr_phys phys, int64_t found, union mr_value *out)
{
	switch (phys) {
	case MR_PHYS_I16: out->i16 = (int16_t)found; return true;
	case MR_PHYS_I32: out->i32 = (int32_t)found; return true;
	case MR_PHYS_F32: out->f32 = (float)mr_fkey_value(found); return out->f32 != 0;
	case MR_PHYS_F64: out->f64 = mr_fkey_value(found); return out->f64 != 0;
	default: out->i64 = found; return true;
	}
}

static int extreme_batch(struct mr_agg_run *x, const struct mr_agg_batch *b, int sign)
{
	enum mr_phys phys = (enum mr_phys)b->arg->phys;
	struct mr_minmax one = MR_MINMAX_EMPTY, *io = &one;

	if (phys < MR_PHYS_I16 || phys > MR_PHYS_F64)
		return 1;
	if (!b->groups) {
		mr_kern->agg->minmax[phys](b->arg->values, &b->which, io);
	} else {
		io = mr_arena_alloc(b->scratch, b->groups_count * sizeof(*io));
		if (!io)
			return mr_agg_limit(x);
		for (uint32_t g = 0; g < b->groups_count; g++)
			io[g] = MR_MINMAX_EMPTY;
		mr_kern->group->minmax[phys](
			b->arg->values, b->groups, b->groups_count, &b->which, io);
	}
	for (uint32_t g = 0; g < b->groups_count; g++) {
		union mr_value v = {0};

		if (io[g].count == 0)
			continue;
		if (!from_kernel(phys, sign < 0 ? io[g].min : io[g].max, &v))
			return 1;
		if (extreme_take(x, mr_agg_state(x, b->rows[g]), &v, sign) < 0)
			return MR_ERR_LIMIT;
	}
	return 0;
}

static int min_batch(struct mr_agg_run *x, const struct mr_agg_batch *b)
{
	return extreme_batch(x, b, -1);
}

static int max_batch(struct mr_agg_run *x, const struct mr_agg_batch *b)
{
	return extreme_batch(x, b, 1);
}

static int min_merge(struct mr_agg_run *x, void *state, const void *other)
{
	const struct extreme_state *o = other;

	return o->set ? extreme_take(x, state, &o->value, -1) : 0;
}

static int max_merge(struct mr_agg_run *x, void *state, const void *other)
{
	const struct extreme_state *o = other;

	return o->set ? extreme_take(x, state, &o->value, 1) : 0;
}

static int extreme_finish(struct mr_agg_run *x, const void *state, void *out)
{
	const struct extreme_state *s = state;

	memcpy(out, &s->value, mr_phys_bytes(mr_type_phys(arg_type(x))));
	return !s->set;
}

static void extreme_save(const struct mr_agg_run *x, const void *state, struct mr_buf *out)
{
	const struct extreme_state *s = state;

	mr_buf_u8(out, s->set);
	if (!s->set)
		return;
	if (mr_type_phys(arg_type(x)) != MR_PHYS_BYTES) {
		mr_buf_add(out, &s->value, sizeof(s->value));
		return;
	}
	mr_buf_le32(out, s->value.str.bytes);
	mr_buf_add(out, s->value.str.data, s->value.str.bytes);
}

static int extreme_load(struct mr_agg_run *x, void *state, struct mr_reader *in)
{
	struct extreme_state *s = state;
	uint8_t set = mr_read_u8(in);
	const uint8_t *p;
	struct mr_str str;

	if (in->bad || set > 1)
		return MR_ERR_CORRUPT;
	if (!set)
		return 0;
	if (mr_type_phys(arg_type(x)) != MR_PHYS_BYTES) {
		union mr_value v;

		p = mr_read_bytes(in, sizeof(v));
		if (!p)
			return MR_ERR_CORRUPT;
		memcpy(&v, p, sizeof(v));
		return mr_value_is_sound(arg_type(x), &v) ? extreme_put(x, s, &v) : MR_ERR_CORRUPT;
	}
	str = (struct mr_str){.bytes = mr_read_le32(in)};
	str.data = mr_read_bytes(in, str.bytes);
	return str.data && mr_value_is_sound(arg_type(x), &str) ? extreme_put(x, s, &str)
								: MR_ERR_CORRUPT;
}

// ---- bool_and, bool_or ----

static int bool_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n, bool stop)
{
	for (uint32_t k = 0; k < n; k++) {
		struct bool_state *s = mr_agg_state(x, rows[k]);
		bool v = *(const uint8_t *)mr_vec_at(&args[0], mr_sel(sel, k)) != 0;

		s->value = !s->set || s->value != stop ? v : stop;
		s->set = true;
	}
	return 0;
}

static int and_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	return bool_update(x, rows, args, sel, n, false);
}

static int or_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	return bool_update(x, rows, args, sel, n, true);
}

static int bool_merge(void *state, const void *other, bool stop)
{
	struct bool_state *s = state;
	const struct bool_state *o = other;

	if (!o->set)
		return 0;
	s->value = !s->set || s->value != stop ? o->value : stop;
	s->set = true;
	return 0;
}

static int and_merge(struct mr_agg_run *, void *state, const void *other)
{
	return bool_merge(state, other, false);
}

static int or_merge(struct mr_agg_run *, void *state, const void *other)
{
	return bool_merge(state, other, true);
}

static int bool_finish(struct mr_agg_run *, const void *state, void *out)
{
	*(uint8_t *)out = ((const struct bool_state *)state)->value;
	return !((const struct bool_state *)state)->set;
}

static void bool_save(const struct mr_agg_run *, const void *state, struct mr_buf *out)
{
	const struct bool_state *s = state;

	mr_buf_u8(out, (uint8_t)(s->set | s->value << 1));
}

static int bool_load(struct mr_agg_run *, void *state, struct mr_reader *in)
{
	uint8_t bits = mr_read_u8(in);

	*(struct bool_state *)state = (struct bool_state){bits & 1, bits >> 1 & 1};
	return in->bad || bits > 3 ? MR_ERR_CORRUPT : 0;
}

// ---- bit_and, bit_or, bit_xor: of integers, sign bits included ----

static void bit_put(const struct mr_agg_run *x, struct bit_state *s, int64_t v)
{
	char op = x->call->fn->name[4];

	s->value = !s->set ? v : op == 'a' ? s->value & v : op == 'o' ? s->value | v : s->value ^ v;
	s->set = true;
}

static int bit_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	enum mr_phys phys = mr_type_phys(arg_type(x));

	for (uint32_t k = 0; k < n; k++) {
		const void *v = mr_vec_at(&args[0], mr_sel(sel, k));

		bit_put(x, mr_agg_state(x, rows[k]),
			phys == MR_PHYS_I16   ? *(const int16_t *)v
			: phys == MR_PHYS_I32 ? *(const int32_t *)v
					      : *(const int64_t *)v);
	}
	return 0;
}

static int bit_merge(struct mr_agg_run *x, void *state, const void *other)
{
	const struct bit_state *o = other;

	if (o->set)
		bit_put(x, state, o->value);
	return 0;
}

static int bit_finish(struct mr_agg_run *x, const void *state, void *out)
{
	const struct bit_state *s = state;

	switch (mr_type_phys(arg_type(x))) {
	case MR_PHYS_I16: *(int16_t *)out = (int16_t)s->value; break;
	case MR_PHYS_I32: *(int32_t *)out = (int32_t)s->value; break;
	default: *(int64_t *)out = s->value; break;
	}
	return !s->set;
}

static void bit_save(const struct mr_agg_run *, const void *state, struct mr_buf *out)
{
	const struct bit_state *s = state;

	mr_buf_u8(out, s->set);
	mr_buf_le64(out, (uint64_t)s->value);
}

static int bit_load(struct mr_agg_run *, void *state, struct mr_reader *in)
{
	struct bit_state *s = state;
	uint8_t set = mr_read_u8(in);

	*s = (struct bit_state){.value = (int64_t)mr_read_le64(in), .set = set};
	return in->bad || set > 1 ? MR_ERR_CORRUPT : 0;
}

// ---- string_agg ----

static int text_add(struct mr_agg_run *x, struct text_state *s, const void *data, uint32_t bytes)
{
	uint64_t need = (uint64_t)s->bytes + bytes;

	if (need > INT32_MAX)
		return mr_agg_limit(x);
	if (need > s->bytes_max) {
		uint32_t max = MR_MAX((uint32_t)need, s->bytes_max * 2);
		uint8_t *p = mr_arena_alloc(x->arena, max);

		if (!p)
			return mr_agg_limit(x);
		if (s->bytes)
			memcpy(p, s->data, s->bytes);
		s->data = p;
		s->bytes_max = max;
	}
	if (bytes)
		memcpy(s->data + s->bytes, data, bytes);
	s->bytes += bytes;
	return 0;
}

static int text_piece(struct mr_agg_run *x, struct text_state *s)
{
	uint32_t *p =
		mr_arena_room(x->arena, s->pieces, s->pieces_count, &s->pieces_max, sizeof(*p));

	if (!p)
		return mr_agg_limit(x);
	s->pieces = p;
	s->pieces[s->pieces_count++] = s->bytes;
	return 0;
}

// DISTINCT gives the values sorted, so they are joined at the end. `data` holds delimiter, value,
// delimiter, value; `pieces` says where each begins.
static int text_keep(
	struct mr_agg_run *x, struct text_state *s, const struct mr_str *d, const struct mr_str *v)
{
	if (text_piece(x, s) < 0 || (d && text_add(x, s, d->data, d->bytes) < 0) ||
		text_piece(x, s) < 0)
		return MR_ERR_LIMIT;
	return text_add(x, s, v->data, v->bytes);
}

static int text_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		struct text_state *s = mr_agg_state(x, rows[k]);
		const struct mr_str *v = mr_vec_at(&args[0], mr_sel(sel, k));
		const struct mr_str *d = mr_vec_is_null(&args[1], mr_sel(sel, k))
						 ? NULL
						 : mr_vec_at(&args[1], mr_sel(sel, k));
		int rc;

		if (x->call->distinct)
			rc = text_keep(x, s, d, v);
		else
			rc = (s->set && d && text_add(x, s, d->data, d->bytes) < 0)
				     ? MR_ERR_LIMIT
				     : text_add(x, s, v->data, v->bytes);
		if (rc < 0)
			return rc;
		s->set = true;
	}
	return 0;
}

struct text_pair {
	struct mr_span value, delimiter;
};

static int compare_spans(struct mr_span a, struct mr_span b)
{
	int rc = memcmp(a.data, b.data, MR_MIN(a.bytes, b.bytes));

	return rc ? rc : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static int compare_pairs(const void *a, const void *b)
{
	const struct text_pair *x = a, *y = b;
	int rc = compare_spans(x->value, y->value);

	return rc ? rc : compare_spans(x->delimiter, y->delimiter);
}

static int text_join(struct mr_agg_run *x, const struct text_state *s, struct text_state *out)
{
	uint32_t n = s->pieces_count / 2;
	struct text_pair *pairs = mr_arena_alloc(x->arena, n * sizeof(*pairs));

	if (!pairs)
		return mr_agg_limit(x);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t from = s->pieces[2 * i], middle = s->pieces[2 * i + 1];
		uint32_t to = i + 1 < n ? s->pieces[2 * i + 2] : s->bytes;

		pairs[i].delimiter = mr_span(s->data + from, middle - from);
		pairs[i].value = mr_span(s->data + middle, to - middle);
	}
	qsort(pairs, n, sizeof(*pairs), compare_pairs);
	for (uint32_t i = 0; i < n; i++)
		if ((i && text_add(x, out, pairs[i].delimiter.data,
				  (uint32_t)pairs[i].delimiter.bytes) < 0) ||
			text_add(x, out, pairs[i].value.data, (uint32_t)pairs[i].value.bytes) < 0)
			return MR_ERR_LIMIT;
	return 0;
}

static int text_finish(struct mr_agg_run *x, const void *state, void *out)
{
	const struct text_state *s = state;
	struct text_state joined = {.set = s->set};

	if (s->pieces_count) {
		if (text_join(x, s, &joined) < 0)
			return MR_ERR_LIMIT;
		s = &joined;
	}
	*(struct mr_str *)out = (struct mr_str){s->data, s->bytes, 0};
	return !s->set;
}

// ---- array_agg: as text, '{a,b}' ----

static int array_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	struct mr_buf item = {.budget = x->arena->budget};
	int rc = 0;

	for (uint32_t k = 0; k < n && rc >= 0; k++) {
		struct text_state *s = mr_agg_state(x, rows[k]);
		const void *v = mr_vec_at(&args[0], mr_sel(sel, k));
		const struct mr_str *text = v;

		mr_buf_reset(&item);
		mr_buf_u8(&item, s->set ? ',' : '{');
		if (mr_vec_is_null(&args[0], mr_sel(sel, k)))
			mr_buf_str(&item, "NULL");
		else if (arg_type(x).type == MR_TYPE_BOOL)
			mr_buf_u8(&item, *(const uint8_t *)v ? 't' : 'f');
		else
			mr_pg_array_add(&item, mr_span(text->data, text->bytes));
		s->set = true;
		rc = item.failed ? mr_agg_limit(x)
				 : text_add(x, s, item.data, (uint32_t)item.bytes);
	}
	mr_buf_fini(&item);
	return rc;
}

static int array_finish(struct mr_agg_run *x, const void *state, void *out)
{
	const struct text_state *s = state;
	uint8_t *p = s->set ? mr_arena_alloc(x->arena, s->bytes + 1) : NULL;

	if (!s->set)
		return 1;
	if (!p)
		return mr_agg_limit(x);
	memcpy(p, s->data, s->bytes);
	p[s->bytes] = '}';
	*(struct mr_str *)out = (struct mr_str){p, s->bytes + 1, 0};
	return 0;
}

// ---- percentile_cont, percentile_disc, mode ----

static int list_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	size_t width = mr_phys_bytes(mr_type_phys(arg_type(x)));

	for (uint32_t k = 0; k < n; k++) {
		struct list_state *s = mr_agg_state(x, rows[k]);
		const void *v = mr_vec_at(&args[0], mr_sel(sel, k));

		if (s->count == s->count_max) {
			uint64_t max = MR_MAX(s->count_max * 2, (uint64_t)8);
			uint8_t *p = mr_arena_alloc(x->arena, max * width);

			if (!p)
				return mr_agg_limit(x);
			if (s->count)
				memcpy(p, s->values, s->count * width);
			s->values = p;
			s->count_max = max;
		}
		memcpy(s->values + s->count * width, v, width);
		if (mr_type_phys(arg_type(x)) == MR_PHYS_BYTES) {
			const struct mr_str *str = v;
			struct mr_span copy =
				mr_arena_copy(x->arena, mr_span(str->data, str->bytes));

			if (!copy.data)
				return mr_agg_limit(x);
			memcpy(s->values + s->count * width, &copy.data, sizeof(copy.data));
		}
		s->count++;
	}
	return 0;
}

static int list_cmp(const void *a, const void *b, void *type)
{
	return mr_value_cmp(*(const struct mr_typeref *)type, a, b);
}

static void list_sort(struct mr_agg_run *x, const struct list_state *s)
{
	struct mr_typeref t = arg_type(x);

	if (s->count)
		qsort_r(s->values, s->count, mr_phys_bytes(mr_type_phys(t)), list_cmp, &t);
}

// The i-th in the order asked for.
static const void *list_at(const struct mr_agg_run *x, const struct list_state *s, uint64_t i)
{
	i = x->call->desc ? s->count - 1 - i : i;
	return s->values + i * mr_phys_bytes(mr_type_phys(arg_type(x)));
}

static int disc_finish(struct mr_agg_run *x, const void *state, void *out)
{
	const struct list_state *s = state;
	double at = ceil(x->call->fraction * (double)s->count);

	if (s->count == 0)
		return 1;
	list_sort(x, s);
	memcpy(out, list_at(x, s, at < 1 ? 0 : (uint64_t)at - 1),
		mr_phys_bytes(mr_type_phys(arg_type(x))));
	return 0;
}

static int cont_finish(struct mr_agg_run *x, const void *state, void *out)
{
	const struct list_state *s = state;
	double at = x->call->fraction * (double)(s->count - 1), low, high;

	if (s->count == 0)
		return 1;
	list_sort(x, s);
	low = *(const double *)list_at(x, s, (uint64_t)floor(at));
	high = *(const double *)list_at(x, s, (uint64_t)ceil(at));
	*(double *)out = floor(at) == ceil(at) ? low : low + (at - floor(at)) * (high - low);
	return 0;
}

#define EXTREME(name, kind)                                                                       \
	{                                                                                         \
		name, 1, {MR_FN_ANY}, MR_TYPE_NULL, MR_AGG_RET_ARG, sizeof(struct extreme_state), \
			kind##_update, kind##_merge, extreme_finish, extreme_save, extreme_load,  \
			NULL, kind##_batch                                                        \
	}
#define BOOLEAN(name, kind)                                                                        \
	{                                                                                          \
		name, 1, {MR_TYPE_BOOL}, MR_TYPE_BOOL, 0, sizeof(struct bool_state),               \
			kind##_update, kind##_merge, bool_finish, bool_save, bool_load, NULL, NULL \
	}

#define BITS_OF(name, type)                                                                \
	{                                                                                  \
		name, 1, {type}, type, 0, sizeof(struct bit_state), bit_update, bit_merge, \
			bit_finish, bit_save, bit_load, NULL, NULL                         \
	}
#define BITS(name) \
	BITS_OF(name, MR_TYPE_INT2), BITS_OF(name, MR_TYPE_INT4), BITS_OF(name, MR_TYPE_INT8)

const struct mr_agg_fn mr_agg_misc[] = {
	EXTREME("min", min),
	EXTREME("max", max),
	BOOLEAN("bool_and", and),
	BOOLEAN("every", and),
	BOOLEAN("bool_or", or),
	BITS("bit_and"),
	BITS("bit_or"),
	BITS("bit_xor"),
	{"string_agg", 2, {MR_TYPE_TEXT, MR_TYPE_TEXT}, MR_TYPE_TEXT, MR_AGG_UNBOUNDED,
		sizeof(struct text_state), text_update, NULL, text_finish, NULL, NULL, NULL, NULL},
	{"array_agg", 1, {MR_FN_ANY}, MR_TYPE_TEXT, MR_AGG_UNBOUNDED | MR_AGG_NULLS | MR_AGG_ARRAY,
		sizeof(struct text_state), array_update, NULL, array_finish, NULL, NULL, NULL,
		NULL},
	{"percentile_disc", 2, {MR_FN_ANY, MR_TYPE_FLOAT8}, MR_TYPE_NULL,
		MR_AGG_WITHIN_GROUP | MR_AGG_FRACTION | MR_AGG_UNBOUNDED | MR_AGG_RET_ARG,
		sizeof(struct list_state), list_update, NULL, disc_finish, NULL, NULL, NULL, NULL},
	{"percentile_cont", 2, {MR_TYPE_FLOAT8, MR_TYPE_FLOAT8}, MR_TYPE_FLOAT8,
		MR_AGG_WITHIN_GROUP | MR_AGG_FRACTION | MR_AGG_UNBOUNDED, sizeof(struct list_state),
		list_update, NULL, cont_finish, NULL, NULL, NULL, NULL},
};
const size_t mr_agg_misc_count = MR_COUNT_OF(mr_agg_misc);
