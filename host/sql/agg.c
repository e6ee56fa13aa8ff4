// Finding aggregates by name and argument types.
#include "host/sql/agg.h"

#include "host/sql/fn.h"

int mr_agg_limit(struct mr_agg_run *x)
{
	mr_diag_set(x->diag, MR_ERR_LIMIT, "53200", 0, "out of memory");
	mr_diag_detail(x->diag, "The states of %s need more than the query's limit of %zu bytes.",
		x->call->fn->name, x->arena->bytes_limit);
	mr_diag_hint(x->diag, "Raise query_memory, or ask for fewer groups.");
	return MR_ERR_LIMIT;
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
