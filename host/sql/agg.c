// Finding aggregates by name and argument types.
#include "host/sql/agg.h"

#include "host/sql/fn.h"

int mr_agg_limit(struct mr_agg_run *x)
{
	const struct mr_query q = {.memory = x->arena->budget};

	return mr_query_no_memory(&q, x->diag);
}

int mr_agg_account(struct mr_agg_run *x, size_t bytes_before, size_t bytes_after)
{
	if (bytes_after > bytes_before &&
		!mr_budget_take(x->arena->budget, bytes_after - bytes_before))
		return mr_agg_limit(x);
	if (bytes_after < bytes_before)
		mr_budget_give(x->arena->budget, bytes_before - bytes_after);
	*x->outside_bytes += bytes_after - bytes_before;
	return 0;
}

int mr_agg_grow_begin(struct mr_agg_run *x, size_t growth)
{
	return mr_budget_take(x->arena->budget, growth) ? 0 : mr_agg_limit(x);
}

int mr_agg_grow_end(struct mr_agg_run *x, size_t growth, size_t bytes_before, size_t bytes_after)
{
	if (growth)
		mr_budget_give(x->arena->budget, growth);
	return mr_agg_account(x, bytes_before, bytes_after);
}

static const struct mr_agg_fn *nth(size_t i)
{
	if (i < mr_agg_num_count)
		return &mr_agg_num[i];
	i -= mr_agg_num_count;
	if (i < mr_agg_misc_count)
		return &mr_agg_misc[i];
	i -= mr_agg_misc_count;
	return i < mr_agg_sketch_count ? &mr_agg_sketch[i] : NULL;
}

bool mr_agg_exists(struct mr_span name)
{
	const struct mr_agg_fn *f;

	for (size_t i = 0; (f = nth(i)); i++)
		if (mr_span_eq(mr_span_str(f->name), name))
			return true;
	return false;
}

// Exact types count 2, implicit casts to the preferred numeric type 1, others 0; -1 = impossible.
static int fit(const struct mr_agg_fn *f, const struct mr_typeref *types, uint32_t count)
{
	int total = 0;

	if (f->args_count != count)
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		enum mr_type want = (enum mr_type)f->args[i], have = (enum mr_type)types[i].type;

		if (f->args[i] == MR_FN_ANY || want == have)
			total += 4;
		else if (!mr_fn_implicit(have, want))
			return -1;
		else if (have == MR_TYPE_NULL)
			total += want == MR_TYPE_TEXT ? 2 : want == MR_TYPE_FLOAT8;
		else
			total += want == MR_TYPE_FLOAT8;
	}
	return total;
}

enum mr_agg_found mr_agg_find(struct mr_span name, const struct mr_typeref *types, uint32_t count,
	bool within_group, const struct mr_agg_fn **out)
{
	const struct mr_agg_fn *f;
	bool known = false;
	int best = -1;

	for (size_t i = 0; (f = nth(i)); i++) {
		int score;

		if (!mr_span_eq(mr_span_str(f->name), name))
			continue;
		known = true;
		if (((f->flags & MR_AGG_WITHIN_GROUP) != 0) != within_group)
			continue;
		score = fit(f, types, count);
		if (score > best) {
			best = score;
			*out = f;
		}
	}
	return !known ? MR_AGG_NO_NAME : best < 0 ? MR_AGG_NO_TYPES : MR_AGG_FOUND;
}
