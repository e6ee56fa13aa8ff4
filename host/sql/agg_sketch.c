// approx_count_distinct, approx_percentile and approx_top_k, over kernels/hll.h, quantile.h,
// topk.h.
//
// The sketches own their memory, outside the arena of the groups; it is counted with it.
#include "host/sql/agg.h"

#include "host/base/quote.h"
#include "host/base/utf8.h"
#include "host/base/value.h"
#include "host/sql/fn.h"
#include "host/sql/groups.h"
#include "kernels/hll.h"
#include "kernels/quantile.h"
#include "kernels/topk.h"

#include <errno.h>
#include <math.h>
#include <string.h>

struct hll_state {
	struct mr_hll hll;
	bool open;
};

struct quantile_state {
	struct mr_quantile quantile;
	bool open;
};

static void save_sized(struct mr_buf *out, size_t most, const void *sketch,
	int (*save)(const void *sketch, uint8_t *to))
{
	size_t at = out->bytes;
	uint8_t *p = mr_buf_extend(out, 4 + most);
	int bytes;

	if (!p)
		return;
	bytes = save(sketch, p + 4);
	if (bytes < 0) {
		out->failed = true;
		return;
	}
	mr_store_le32(out->data + at, (uint32_t)bytes);
	out->bytes = at + 4 + (size_t)bytes;
}

// ---- approx_count_distinct ----

static unsigned precision_of(const struct mr_agg_run *x)
{
	return x->call->parameter ? (unsigned)x->call->parameter : MR_HLL_P_DEFAULT;
}

static struct mr_hll *hll_open(const struct mr_agg_run *x, struct hll_state *s)
{
	if (!s->open)
		mr_hll_init(&s->hll, precision_of(x));
	s->open = true;
	return &s->hll;
}

static int hll_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		struct mr_hll *h = hll_open(x, mr_agg_state(x, rows[k]));
		size_t before = mr_hll_memory(h), growth = mr_hll_growth(h);
		uint64_t hash =
			mr_value_hash(args[0].col.type, mr_vec_at(&args[0], mr_sel(sel, k)));
		int rc = mr_agg_grow_begin(x, growth);

		if (rc < 0)
			return rc;
		rc = mr_hll_add(h, hash);
		if (mr_agg_grow_end(x, growth, before, mr_hll_memory(h)) < 0 || rc < 0)
			return mr_agg_limit(x);
	}
	return 0;
}

static int hll_merge(struct mr_agg_run *x, void *state, const void *other)
{
	const struct hll_state *o = other;
	struct mr_hll *h;
	size_t before;

	if (!o->open)
		return 0;
	h = hll_open(x, state);
	before = mr_hll_memory(h);
	if (mr_hll_merge(h, &o->hll) < 0)
		return mr_agg_limit(x);
	return mr_agg_account(x, before, mr_hll_memory(h));
}

static int hll_finish(struct mr_agg_run *, const void *state, void *out)
{
	const struct hll_state *s = state;

	*(int64_t *)out = s->open ? llround(mr_hll_estimate(&s->hll)) : 0;
	return 0;
}

static int hll_write(const void *sketch, uint8_t *to)
{
	mr_hll_save(sketch, to);
	return (int)mr_hll_save_bytes(sketch);
}

static void hll_save(const struct mr_agg_run *, const void *state, struct mr_buf *out)
{
	const struct hll_state *s = state;

	mr_buf_u8(out, s->open);
	if (s->open)
		save_sized(out, mr_hll_save_bytes(&s->hll), &s->hll, hll_write);
}

// The bytes of a saved sketch; false when there is none or the input is bad.
static bool read_sized(struct mr_reader *in, struct mr_span *out)
{
	uint8_t open = mr_read_u8(in);

	in->bad |= open > 1;
	if (in->bad || !open)
		return false;
	*out = mr_read_span(in, mr_read_le32(in));
	return !in->bad;
}

static int hll_load(struct mr_agg_run *x, void *state, struct mr_reader *in)
{
	struct hll_state *s = state;
	struct mr_span bytes;
	int rc;

	if (!read_sized(in, &bytes))
		return in->bad ? MR_ERR_CORRUPT : 0;
	rc = mr_hll_load(&s->hll, bytes);
	if (rc < 0)
		return rc == -ENOMEM ? MR_ERR_LIMIT : MR_ERR_CORRUPT;
	s->open = true;
	if (mr_agg_account(x, 0, mr_hll_memory(&s->hll)) < 0)
		return MR_ERR_LIMIT;
	return s->hll.p == precision_of(x) ? 0 : MR_ERR_CORRUPT;
}

static void hll_fini(void *state)
{
	struct hll_state *s = state;

	if (s->open)
		mr_hll_fini(&s->hll);
	s->open = false;
}

// ---- approx_percentile ----

static struct mr_quantile *quantile_open(struct quantile_state *s)
{
	if (!s->open)
		mr_quantile_init(&s->quantile, MR_QUANTILE_BINS_DEFAULT);
	s->open = true;
	return &s->quantile;
}

static int quantile_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		struct mr_quantile *q = quantile_open(mr_agg_state(x, rows[k]));
		size_t before = mr_quantile_memory(q), growth = mr_quantile_growth(q);
		const double *v = mr_vec_at(&args[0], mr_sel(sel, k));
		int rc = mr_agg_grow_begin(x, growth);

		if (rc < 0)
			return rc;
		rc = mr_quantile_add(q, *v, 1);
		if (mr_agg_grow_end(x, growth, before, mr_quantile_memory(q)) < 0 || rc < 0)
			return mr_agg_limit(x);
	}
	return 0;
}

static int quantile_merge(struct mr_agg_run *x, void *state, const void *other)
{
	const struct quantile_state *o = other;
	struct mr_quantile *q;
	size_t before;

	if (!o->open)
		return 0;
	q = quantile_open(state);
	before = mr_quantile_memory(q);
	if (mr_quantile_merge(q, &o->quantile) < 0)
		return mr_agg_limit(x);
	return mr_agg_account(x, before, mr_quantile_memory(q));
}

static int quantile_finish(struct mr_agg_run *x, const void *state, void *out)
{
	const struct quantile_state *s = state;
	double p = x->call->desc ? 1 - x->call->fraction : x->call->fraction;

	if (!s->open || mr_quantile_count(&s->quantile) == 0)
		return 1;
	return mr_quantile_values(&s->quantile, &p, 1, out) < 0 ? mr_agg_limit(x) : 0;
}

static int quantile_write(const void *sketch, uint8_t *to)
{
	return mr_quantile_save(sketch, to);
}

static void quantile_save(const struct mr_agg_run *, const void *state, struct mr_buf *out)
{
	const struct quantile_state *s = state;

	mr_buf_u8(out, s->open);
	if (s->open)
		save_sized(out, mr_quantile_save_bytes_max(&s->quantile), &s->quantile,
			quantile_write);
}

static int quantile_load(struct mr_agg_run *x, void *state, struct mr_reader *in)
{
	struct quantile_state *s = state;
	struct mr_span bytes;
	int rc;

	if (!read_sized(in, &bytes))
		return in->bad ? MR_ERR_CORRUPT : 0;
	rc = mr_quantile_load(&s->quantile, bytes);
	if (rc < 0)
		return rc == -ENOMEM ? MR_ERR_LIMIT : MR_ERR_CORRUPT;
	s->open = true;
	if (mr_agg_account(x, 0, mr_quantile_memory(&s->quantile)) < 0)
		return MR_ERR_LIMIT;
	return s->quantile.bins_max == MR_QUANTILE_BINS_DEFAULT ? 0 : MR_ERR_CORRUPT;
}

static void quantile_fini(void *state)
{
	struct quantile_state *s = state;

	if (s->open)
		mr_quantile_fini(&s->quantile);
	s->open = false;
}

// ---- approx_top_k ----
//
// Items are told apart by their text, which is the session's in nothing: time in UTC. The sketch
// has room for 16 items for each one wanted, so its error is at most an eighth of a share of 1/k.

struct topk_state {
	struct mr_topk topk;
	bool open;
};

static uint32_t topk_capacity(const struct mr_agg_run *x)
{
	return MR_MAX(MR_TOPK_CAPACITY_DEFAULT, 16 * (uint32_t)x->call->parameter);
}

static struct mr_topk *topk_open(const struct mr_agg_run *x, struct topk_state *s)
{
	if (!s->open)
		mr_topk_init(&s->topk, topk_capacity(x));
	s->open = true;
	return &s->topk;
}

static struct mr_span topk_item(struct mr_typeref t, const void *value, struct mr_buf *text)
{
	if (t.type == MR_TYPE_TEXT)
		return mr_span(((const struct mr_str *)value)->data,
			((const struct mr_str *)value)->bytes);
	mr_buf_reset(text);
	mr_value_format(t, value, mr_tz_utc(), text);
	return mr_buf_span(text);
}

static int topk_update(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
	const uint32_t *sel, uint32_t n)
{
	struct mr_buf text = {0};
	int rc = 0;

	for (uint32_t k = 0; k < n && rc == 0; k++) {
		struct mr_topk *t = topk_open(x, mr_agg_state(x, rows[k]));
		struct mr_span item =
			topk_item(args[0].col.type, mr_vec_at(&args[0], mr_sel(sel, k)), &text);
		size_t before = mr_topk_memory(t), growth = mr_topk_growth(t, item.bytes);

		rc = text.failed ? mr_agg_limit(x) : mr_agg_grow_begin(x, growth);
		if (rc < 0)
			break;
		rc = mr_topk_add(t, item, 1);
		if (mr_agg_grow_end(x, growth, before, mr_topk_memory(t)) < 0 || rc < 0)
			rc = mr_agg_limit(x);
	}
	mr_buf_fini(&text);
	return rc;
}

static int topk_merge(struct mr_agg_run *x, void *state, const void *other)
{
	const struct topk_state *o = other;
	struct mr_topk *t;
	size_t before;

	if (!o->open)
		return 0;
	t = topk_open(x, state);
	before = mr_topk_memory(t);
	if (mr_topk_merge(t, &o->topk) < 0)
		return mr_agg_limit(x);
	return mr_agg_account(x, before, mr_topk_memory(t));
}

// A value as JSON: a number or boolean as it is, all else as a string. A long one was cut.
static void put_item(struct mr_buf *b, char category, struct mr_span item)
{
	size_t digit = item.bytes > 1 && item.data[0] == '-';
	bool number =
		category == 'N' && item.bytes && item.data[digit] >= '0' && item.data[digit] <= '9';

	if (category == 'B')
		mr_buf_str(b, item.data[0] == 't' ? "true" : "false");
	else if (number)
		mr_buf_add(b, item.data, item.bytes);
	else
		mr_quote_json(b, mr_span(item.data, mr_utf8_valid_bytes(item)));
}

// [{"value": …, "count": …, "error": …}, …], the greatest count first. The arena is the reader's.
static int topk_finish(struct mr_agg_run *x, const void *state, void *out)
{
	const struct topk_state *s = state;
	char category = mr_type_info((enum mr_type)x->call->args[0]->type.type)->category;
	struct mr_buf b = {.budget = x->arena->budget};
	struct mr_topk_item *items;
	struct mr_span copy;
	int n;

	if (!s->open)
		return 1;
	items = mr_arena_alloc(x->arena, (size_t)x->call->parameter * sizeof(*items));
	n = items ? mr_topk_list(&s->topk, (uint32_t)x->call->parameter, items) : -ENOMEM;
	if (n < 0)
		return mr_agg_limit(x);
	mr_buf_u8(&b, '[');
	for (int i = 0; i < n; i++) {
		mr_buf_str(&b, i ? ", {\"value\": " : "{\"value\": ");
		put_item(&b, category, items[i].item);
		mr_buf_printf(&b, ", \"count\": %llu, \"error\": %llu}",
			(unsigned long long)items[i].count,
			(unsigned long long)mr_topk_error(&s->topk));
	}
	mr_buf_u8(&b, ']');
	copy = b.failed ? (struct mr_span){0} : mr_arena_copy(x->arena, mr_buf_span(&b));
	mr_buf_fini(&b);
	*(struct mr_str *)out = (struct mr_str){copy.data, (uint32_t)copy.bytes, 0};
	return copy.data ? 0 : mr_agg_limit(x);
}

static int topk_write(const void *sketch, uint8_t *to)
{
	return mr_topk_save(sketch, to);
}

static void topk_save(const struct mr_agg_run *, const void *state, struct mr_buf *out)
{
	const struct topk_state *s = state;

	mr_buf_u8(out, s->open);
	if (s->open)
		save_sized(out, mr_topk_save_bytes_max(&s->topk), &s->topk, topk_write);
}

static int topk_load(struct mr_agg_run *x, void *state, struct mr_reader *in)
{
	struct topk_state *s = state;
	struct mr_span bytes;
	int rc;

	if (!read_sized(in, &bytes))
		return in->bad ? MR_ERR_CORRUPT : 0;
	rc = mr_topk_load(&s->topk, bytes);
	if (rc < 0)
		return rc == -ENOMEM ? MR_ERR_LIMIT : MR_ERR_CORRUPT;
	s->open = true;
	return s->topk.capacity == topk_capacity(x) ? 0 : MR_ERR_CORRUPT;
}

static void topk_fini(void *state)
{
	struct topk_state *s = state;

	if (s->open)
		mr_topk_fini(&s->topk);
	s->open = false;
}

#define HLL                                                                                        \
	sizeof(struct hll_state), hll_update, hll_merge, hll_finish, hll_save, hll_load, hll_fini, \
		NULL
#define QUANTILE                                                                         \
	sizeof(struct quantile_state), quantile_update, quantile_merge, quantile_finish, \
		quantile_save, quantile_load, quantile_fini, NULL

#define TOPK                                                                                   \
	sizeof(struct topk_state), topk_update, topk_merge, topk_finish, topk_save, topk_load, \
		topk_fini, NULL

const struct mr_agg_fn mr_agg_sketch[] = {
	{"approx_count_distinct", 1, {MR_TYPE_COUNT}, MR_TYPE_INT8, 0, HLL},
	{"approx_count_distinct", 2, {MR_TYPE_COUNT, MR_TYPE_INT4}, MR_TYPE_INT8, MR_AGG_PRECISION,
		HLL},
	{"approx_percentile", 2, {MR_TYPE_FLOAT8, MR_TYPE_FLOAT8}, MR_TYPE_FLOAT8, MR_AGG_FRACTION,
		QUANTILE},
	{"approx_percentile", 2, {MR_TYPE_FLOAT8, MR_TYPE_FLOAT8}, MR_TYPE_FLOAT8,
		MR_AGG_FRACTION | MR_AGG_WITHIN_GROUP, QUANTILE},
	{"approx_top_k", 2, {MR_FN_ANY, MR_TYPE_INT4}, MR_TYPE_TEXT, MR_AGG_TOP, TOPK},
};
const size_t mr_agg_sketch_count = MR_COUNT_OF(mr_agg_sketch);
