// Aggregates over the frames of a partition, in linear time.
//
// Within a partition a frame's ends only ever move forward, one frame after another. The aggregates
// of host/sql/agg.h can take a row in and can be merged, but not give a row back. Two stacks give
// the aggregate of every frame nevertheless (the FIFO queue of two stacks; Tangwongsan, Hirzel and
// Schneider 2021, "In-order sliding-window aggregation in worst-case constant time", section 3):
//
//         first          middle          end
//     ------[==============[===============)------   the frame
//            front: a state  back: one state
//            for [i, middle)
//            of each i
//
// A row that enters the frame is taken into `back`. The frame's value is front[first] merged with
// `back`. When `first` passes `middle` nothing of either is right any more: then the states of
// [i, end) of each i are made from the frame's end backwards, each out of the one before it, and
// `back` begins anew behind them. Each row is taken into `back` once and into `front` once,
// whatever the size of the frame. A frame that begins with its partition has no front: it is a
// running sum.
//
// Merging keeps the rows' order. The states of `front` are memory of the query: as many as the
// frame has rows.
#include "host/sql/over.h"

#include <string.h>

static size_t stride_of(const struct mr_over_agg *a)
{
	return mr_round_up(MR_MAX((size_t)a->call->agg.fn->state_bytes, (size_t)1), MR_GROUP_ALIGN);
}

void mr_over_agg_init(struct mr_over_agg *a, const struct mr_over_call *call, struct mr_query *q,
	struct mr_diag *diag)
{
	*a = (struct mr_over_agg){.call = call, .results = q->arena};
	mr_arena_init_budget(&a->arenas[0], q->memory);
	mr_arena_init_budget(&a->arenas[1], q->memory);
	a->kept = (struct mr_agg_run){&call->agg, &a->arenas[0], &a->outside_bytes[0], diag};
	a->brief = (struct mr_agg_run){&call->agg, &a->arenas[1], &a->outside_bytes[1], diag};
}

// Ends the states of a run: `count` of them, and `one` more unless it is NULL.
static void drop(
	struct mr_over_agg *a, struct mr_agg_run *x, uint8_t *states, uint32_t count, uint8_t *one)
{
	void (*fini)(void *) = a->call->agg.fn->fini;

	for (uint32_t i = 0; fini && i < count; i++)
		fini(states + i * stride_of(a));
	if (fini && one)
		fini(one);
	mr_budget_give(x->arena->budget, *x->outside_bytes);
	*x->outside_bytes = 0;
	mr_arena_reset(x->arena);
}

static void drop_brief(struct mr_over_agg *a)
{
	drop(a, &a->brief, NULL, 0, a->both);
	a->both = NULL;
}

static void drop_kept(struct mr_over_agg *a)
{
	drop(a, &a->kept, a->front, a->front ? a->middle - a->front_first : 0, a->back);
	a->front = a->back = NULL;
}

void mr_over_agg_fini(struct mr_over_agg *a)
{
	if (!a->call)
		return;
	drop_kept(a);
	drop_brief(a);
	mr_arena_fini(&a->arenas[0]);
	mr_arena_fini(&a->arenas[1]);
}

// Nothing is kept; the rows from `at` on are yet to come.
static int start_at(struct mr_over_agg *a, uint32_t at)
{
	drop_kept(a);
	a->front_first = a->middle = a->end = at;
	a->back = mr_arena_zalloc(a->kept.arena, 1, stride_of(a));
	return a->back ? 0 : mr_agg_limit(&a->kept);
}

int mr_over_agg_begin(struct mr_over_agg *a)
{
	a->has_last = false;
	return start_at(a, 0);
}

// Takes one row into a state.
static int take(struct mr_over_agg *a, uint8_t *state, const struct mr_rowset *set, uint8_t *row)
{
	static const uint64_t none = 0;
	const struct mr_over_call *c = a->call;
	struct mr_vec args[2];

	if (c->filter && (mr_rowset_is_null(row, c->filter_column) ||
				 !*(const uint8_t *)mr_rowset_at(set, row, c->filter_column)))
		return 0;
	if (c->agg.args_count && !(c->agg.fn->flags & MR_AGG_NULLS) &&
		mr_rowset_is_null(row, c->columns[0]))
		return 0;
	for (uint32_t i = 0; i < c->agg.args_count; i++) {
		struct mr_typeref t = c->agg.args[i]->type;

		args[i].constant = true;
		args[i].col = (struct mr_col){
			.type = t,
			.phys = (uint8_t)mr_type_phys(t),
			.values = mr_rowset_at(set, row, c->columns[i]),
			.valid = mr_rowset_is_null(row, c->columns[i]) ? &none : NULL,
		};
	}
	return c->agg.fn->update(&a->kept, &state, args, NULL, 1);
}

// Makes `front` of the frame's rows that were taken so far; those before it are left behind.
static int turn_over(struct mr_over_agg *a, const struct mr_over_rows *r)
{
	uint32_t first = r->frame_first, end = MR_MAX(a->end, first);
	size_t stride = stride_of(a);
	int rc = start_at(a, first);

	if (rc < 0 || first == end)
		return rc;
	a->front = mr_arena_zalloc(a->kept.arena, end - first, stride);
	if (!a->front)
		return mr_agg_limit(&a->kept);
	a->middle = a->end = end;
	for (uint32_t i = end; i-- > first && rc >= 0;) {
		uint8_t *state = a->front + (i - first) * stride;

		rc = take(a, state, r->set, r->rows[i]);
		if (rc >= 0 && i + 1 < end)
			rc = a->call->agg.fn->merge(&a->kept, state, state + stride);
	}
	return rc;
}

// The state of the frame, once `back` has all its rows.
static int combine(struct mr_over_agg *a, uint32_t first, uint8_t **out)
{
	uint8_t *front = a->front + (first - a->front_first) * stride_of(a);
	int rc;

	a->both = mr_arena_zalloc(a->brief.arena, 1, stride_of(a));
	if (!a->both)
		return mr_agg_limit(&a->brief);
	*out = a->both;
	rc = a->call->agg.fn->merge(&a->brief, a->both, front);
	return rc < 0 ? rc : a->call->agg.fn->merge(&a->brief, a->both, a->back);
}

// Keeps the value, whose string is copied unless it is the one before.
static int keep_value(struct mr_over_agg *a, struct mr_datum *v)
{
	struct mr_str was = a->last.value.str, *now = &v->value.str;

	if (mr_type_phys(a->call->type) == MR_PHYS_BYTES && !v->null) {
		if (a->has_last && !a->last.null && was.bytes == now->bytes &&
			memcmp(was.data, now->data, was.bytes) == 0)
			now->data = was.data;
		else
			now->data = mr_arena_copy(a->results, mr_span(now->data, now->bytes)).data;
		if (!now->data)
			return mr_agg_limit(&a->kept);
	}
	a->last = *v;
	a->has_last = true;
	return 0;
}

int mr_over_agg_value(struct mr_over_agg *a, const struct mr_over_rows *r, struct mr_datum *out)
{
	uint8_t *state;
	int rc = 0;

	if (a->has_last && a->last_first == r->frame_first && a->last_end == r->frame_end) {
		*out = a->last;
		return 0;
	}
	drop_brief(a);
	if (r->frame_first > a->middle)
		rc = turn_over(a, r);
	for (; rc >= 0 && a->end < r->frame_end; a->end++)
		rc = take(a, a->back, r->set, r->rows[a->end]);
	state = a->back;
	if (rc >= 0 && r->frame_first < a->middle)
		rc = combine(a, r->frame_first, &state);
	if (rc < 0)
		return rc;
	*out = (struct mr_datum){0};
	rc = a->call->agg.fn->finish(&a->brief, state, &out->value);
	if (rc < 0)
		return rc;
	out->null = rc == 1;
	a->last_first = r->frame_first;
	a->last_end = r->frame_end;
	return keep_value(a, out);
}
