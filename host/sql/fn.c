// Calling functions over vectors, and finding them by name and types.
#include "host/sql/fn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct mr_fn_family *const families[] = {&mr_fn_cmp, &mr_fn_arith, &mr_fn_math,
	&mr_fn_numeric, &mr_fn_text, &mr_fn_time, &mr_fn_format, &mr_fn_number, &mr_fn_digest,
	&mr_fn_scan, &mr_fn_system, &mr_fn_regex, &mr_fn_bytes, &mr_fn_catalog, &mr_fn_quote};

// What a function gave for the entries of one dictionary, each computed when first met.
struct mr_memo {
	uint64_t epoch;
	const struct mr_dict *dict;
	uint32_t count;
	uint8_t *state; // 0 not yet, 1 value, 2 NULL
	uint8_t *values;
};

enum { MEMO_ENTRIES_MAX = 1 << 18 };

int mr_eval_memos_init(struct mr_eval *ev, struct mr_arena *arena, uint32_t count)
{
	ev->memos = mr_arena_zalloc(arena, (size_t)count + 1, sizeof(*ev->memos));
	return ev->memos ? 0 : mr_eval_no_memory(ev);
}

int mr_fn_error(struct mr_fn_call *c, const char *sqlstate, const char *fmt, ...)
{
	char text[sizeof(c->ev->diag->message)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return mr_diag_set(c->ev->diag, -EINVAL, sqlstate, 0, "%s", text);
}

int mr_fn_out_of_range(struct mr_fn_call *c, enum mr_type t)
{
	if (t == MR_TYPE_FLOAT4 || t == MR_TYPE_FLOAT8)
		return mr_fn_error(c, "22003", "value out of range: overflow");
	if (t == MR_TYPE_NUMERIC)
		return mr_fn_error(c, "22003", "value overflows numeric format");
	if (t == MR_TYPE_DATE || t == MR_TYPE_TIMESTAMP || t == MR_TYPE_TIMESTAMPTZ)
		return mr_fn_error(
			c, "22008", "%s out of range", t == MR_TYPE_DATE ? "date" : "timestamp");
	if (t == MR_TYPE_INTERVAL)
		return mr_fn_error(c, "22008", "interval out of range");
	return mr_fn_error(c, "22003", "%s out of range", mr_type_info(t)->name);
}

int mr_fn_str(struct mr_fn_call *c, const void *data, size_t bytes, void *out)
{
	uint8_t *p = mr_arena_alloc(c->ev->arena, bytes);

	if (!p || bytes > UINT32_MAX)
		return mr_eval_no_memory(c->ev);
	if (bytes)
		memcpy(p, data, bytes);
	*(struct mr_str *)out = (struct mr_str){p, (uint32_t)bytes, 0};
	return 0;
}

static size_t words_of(const struct mr_eval *ev)
{
	return (size_t)(ev->rows + 63) / 64;
}

static int set_null(struct mr_fn_call *c, uint32_t row)
{
	if (!c->valid) {
		c->valid = mr_arena_column(c->ev->arena, words_of(c->ev) * 8);
		if (!c->valid)
			return mr_eval_no_memory(c->ev);
		memset(c->valid, 0xff, words_of(c->ev) * 8);
	}
	mr_bit_clear(c->valid, row);
	return 0;
}

static int call_row(struct mr_fn_call *c, uint32_t row, void *out)
{
	const void *a[MR_FN_ARGS_MAX];
	const void **args = a;

	if (c->args_count > MR_FN_ARGS_MAX) {
		args = mr_arena_alloc(c->ev->arena, c->args_count * sizeof(*args));
		if (!args)
			return mr_eval_no_memory(c->ev);
	}
	for (uint32_t i = 0; i < c->args_count; i++)
		args[i] = mr_vec_is_null(&c->args[i], row) ? NULL : mr_vec_at(&c->args[i], row);
	return c->e->fn->row(c, args, out);
}

static int loop_rows(struct mr_fn_call *c, const uint32_t *sel, uint32_t n)
{
	size_t width = mr_phys_bytes((enum mr_phys)c->out->col.phys);

	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = mr_sel(sel, k);
		int rc = call_row(c, i, (uint8_t *)c->values + i * width);

		if (rc == 1)
			rc = set_null(c, i);
		if (rc < 0)
			return rc;
	}
	return 0;
}

// The only argument that is not constant, when it is a dictionary column; or NULL.
static const struct mr_col *dict_argument(const struct mr_fn_call *c)
{
	const struct mr_col *found = NULL;

	if (!c->e->memo || !c->ev->memos || !c->e->fn->row)
		return NULL;
	for (uint32_t i = 0; i < c->args_count; i++) {
		if (c->args[i].constant)
			continue;
		if (found || !c->args[i].col.codes)
			return NULL;
		found = &c->args[i].col;
	}
	return found && found->dict->count <= MEMO_ENTRIES_MAX ? found : NULL;
}

static struct mr_memo *memo_open(struct mr_fn_call *c, const struct mr_dict *dict)
{
	struct mr_memo *m = &c->ev->memos[c->e->memo];
	size_t width = mr_phys_bytes((enum mr_phys)c->out->col.phys);

	if (m->epoch == c->ev->dict_epoch && m->dict == dict && m->count == dict->count)
		return m;
	*m = (struct mr_memo){.epoch = c->ev->dict_epoch, .dict = dict, .count = dict->count};
	m->state = mr_arena_zalloc(c->ev->memo_arena, dict->count, 1);
	m->values = mr_arena_alloc(c->ev->memo_arena, dict->count * width);
	if (!m->state || !m->values) {
		m->epoch = 0;
		return NULL;
	}
	return m;
}

// One call per dictionary entry that occurs, instead of one per row.
static int loop_dict(
	struct mr_fn_call *c, const struct mr_col *col, const uint32_t *sel, uint32_t n)
{
	struct mr_memo *m = memo_open(c, col->dict);
	size_t width = mr_phys_bytes((enum mr_phys)c->out->col.phys);
	struct mr_arena *arena = c->ev->arena;
	int rc = 0;

	if (!m)
		return mr_eval_no_memory(c->ev);
	for (uint32_t k = 0; k < n && rc >= 0; k++) {
		uint32_t i = mr_sel(sel, k), code = col->codes[i];

		if (!m->state[code]) {
			c->ev->arena = c->ev->memo_arena;
			rc = call_row(c, i, m->values + code * width);
			c->ev->arena = arena;
			if (rc < 0)
				break;
			m->state[code] = rc == 1 ? 2 : 1;
		}
		if (m->state[code] == 2)
			rc = set_null(c, i);
		else
			memcpy((uint8_t *)c->values + i * width, m->values + code * width, width);
	}
	return rc < 0 ? rc : 0;
}

// Leaves out the rows where an argument is NULL; those rows' results are NULL.
static int drop_nulls(struct mr_fn_call *c, const uint32_t **sel, uint32_t *n)
{
	size_t words = words_of(c->ev);
	uint32_t *kept, count = 0;
	bool any = false;

	for (uint32_t a = 0; a < c->args_count; a++)
		any |= c->args[a].col.valid != NULL;
	if (!any)
		return 0;
	c->valid = mr_arena_column(c->ev->arena, words * 8);
	kept = mr_arena_alloc(c->ev->arena, *n * sizeof(*kept) + 1);
	if (!c->valid || !kept)
		return mr_eval_no_memory(c->ev);
	memset(c->valid, 0xff, words * 8);
	for (uint32_t a = 0; a < c->args_count; a++) {
		const struct mr_vec *v = &c->args[a];

		if (v->constant && v->col.valid && !mr_bit_get(v->col.valid, 0))
			memset(c->valid, 0, words * 8);
		else if (!v->constant && v->col.valid)
			for (size_t w = 0; w < words; w++)
				c->valid[w] &= v->col.valid[w];
	}
	for (uint32_t k = 0; k < *n; k++) {
		kept[count] = mr_sel(*sel, k);
		count += mr_bit_get(c->valid, mr_sel(*sel, k));
	}
	*sel = kept;
	*n = count;
	return 0;
}

static int run(struct mr_fn_call *c, const uint32_t *sel, uint32_t n)
{
	const struct mr_col *dict;
	int rc = 0;

	if (!(c->e->fn->flags & MR_FN_NONSTRICT))
		rc = drop_nulls(c, &sel, &n);
	if (rc < 0 || n == 0)
		return rc;
	if (c->e->fn->vec)
		return c->e->fn->vec(c, sel, n);
	dict = dict_argument(c);
	return dict && !(c->e->fn->flags & MR_FN_NONSTRICT) ? loop_dict(c, dict, sel, n)
							    : loop_rows(c, sel, n);
}

int mr_fn_eval(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel, uint32_t n,
	struct mr_vec *out)
{
	struct mr_vec *args = mr_arena_alloc(ev->arena, (e->args_count + 1) * sizeof(*args));
	struct mr_fn_call c = {.ev = ev, .e = e, .args = args, .args_count = e->args_count};
	bool constant = !(e->fn->flags & MR_FN_VOLATILE);
	enum mr_phys phys = mr_type_phys(e->type);
	int rc;

	if (!args)
		return mr_eval_no_memory(ev);
	for (uint32_t i = 0; i < e->args_count; i++) {
		rc = mr_expr_eval(ev, e->args[i], sel, n, &args[i]);
		if (rc < 0)
			return rc;
		constant &= args[i].constant;
	}
	*out = (struct mr_vec){
		.col = {.type = e->type, .phys = (uint8_t)phys}, .constant = constant};
	c.out = out;
	c.values = mr_arena_column(ev->arena, (constant ? 1 : ev->rows) * mr_phys_bytes(phys));
	if (!c.values)
		return mr_eval_no_memory(ev);
	rc = constant ? (n ? run(&c, NULL, 1) : 0) : run(&c, sel, n);
	out->col.values = c.values;
	out->col.valid = c.valid;
	return rc;
}

// ---- Finding ----

static bool is_preferred(uint8_t t)
{
	return t == MR_TYPE_BOOL || t == MR_TYPE_FLOAT8 || t == MR_TYPE_TEXT ||
	       t == MR_TYPE_TIMESTAMPTZ || t == MR_TYPE_INTERVAL;
}

static char category(uint8_t t)
{
	return t == MR_FN_ANY ? 'A' : mr_type_info((enum mr_type)t)->category;
}

bool mr_fn_implicit(enum mr_type from, enum mr_type to)
{
	const struct mr_fn *f;

	if (from == to || from == MR_TYPE_NULL)
		return true;
	f = mr_fn_cast_find(from, to);
	return f && !(f->flags & (MR_FN_EXPLICIT | MR_FN_ASSIGN));
}

const struct mr_fn *mr_fn_cast_find(enum mr_type from, enum mr_type to)
{
	for (size_t i = 0; i < mr_fn_cast.count; i++)
		if (mr_fn_cast.fns[i].args[0] == from && mr_fn_cast.fns[i].ret == to)
			return &mr_fn_cast.fns[i];
	return NULL;
}

static uint8_t arg_of(const struct mr_fn *f, uint32_t i)
{
	return f->args[MR_MIN(i, f->args_count - 1u)];
}

static bool takes(const struct mr_fn *f, const uint8_t *types, uint32_t count)
{
	if (count != f->args_count && !((f->flags & MR_FN_VARIADIC) && count >= f->args_count))
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (arg_of(f, i) != MR_FN_ANY &&
			!mr_fn_implicit((enum mr_type)types[i], (enum mr_type)arg_of(f, i)))
			return false;
	return true;
}

enum { CANDIDATES_MAX = 64 };

struct candidates {
	const struct mr_fn *fns[CANDIDATES_MAX];
	uint32_t count;
	bool name_known;
};

bool mr_fn_each(size_t *i, const struct mr_fn **out)
{
	size_t at = (*i)++;

	for (size_t f = 0; f < MR_COUNT_OF(families); at -= families[f++]->count)
		if (at < families[f]->count) {
			*out = &families[f]->fns[at];
			return true;
		}
	return false;
}

static void collect(struct candidates *c, struct mr_span name, const uint8_t *types, uint32_t count)
{
	const struct mr_fn *f;

	for (size_t i = 0; mr_fn_each(&i, &f);) {
		if (!mr_span_eq(mr_span_str(f->name), name))
			continue;
		c->name_known = true;
		if (takes(f, types, count) && c->count < CANDIDATES_MAX)
			c->fns[c->count++] = f;
	}
}

static uint32_t score(
	const struct mr_fn *f, const uint8_t *types, uint32_t count, bool with_preferred)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++)
		if (types[i] != MR_TYPE_NULL &&
			(arg_of(f, i) == types[i] ||
				(with_preferred && is_preferred(arg_of(f, i)) &&
					category(arg_of(f, i)) == category(types[i]))))
			n++;
	return n;
}

static void keep_best(
	struct candidates *c, const uint8_t *types, uint32_t count, bool with_preferred)
{
	uint32_t best = 0, kept = 0;

	for (uint32_t i = 0; i < c->count; i++)
		best = MR_MAX(best, score(c->fns[i], types, count, with_preferred));
	for (uint32_t i = 0; i < c->count; i++)
		if (score(c->fns[i], types, count, with_preferred) == best)
			c->fns[kept++] = c->fns[i];
	c->count = kept;
}

// An unknown argument takes the string category if any candidate does, else the one they share.
static bool keep_category(struct candidates *c, uint32_t arg)
{
	char wanted = category(arg_of(c->fns[0], arg));
	uint32_t kept = 0;
	bool preferred = false;

	for (uint32_t i = 0; i < c->count; i++) {
		char k = category(arg_of(c->fns[i], arg));

		if (k == 'S')
			wanted = 'S';
		else if (k != wanted && wanted != 'S')
			wanted = 0;
	}
	if (!wanted)
		return false;
	for (uint32_t i = 0; i < c->count; i++)
		preferred |= category(arg_of(c->fns[i], arg)) == wanted &&
			     is_preferred(arg_of(c->fns[i], arg));
	for (uint32_t i = 0; i < c->count; i++)
		if (category(arg_of(c->fns[i], arg)) == wanted &&
			(!preferred || is_preferred(arg_of(c->fns[i], arg))))
			c->fns[kept++] = c->fns[i];
	c->count = kept;
	return true;
}

// All arguments whose type is known have one type: the unknown ones are taken to have it too.
static void keep_same_type(struct candidates *c, const uint8_t *types, uint32_t count)
{
	uint8_t known = MR_TYPE_NULL, as[CANDIDATES_MAX];
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (types[i] != MR_TYPE_NULL && known != MR_TYPE_NULL && types[i] != known)
			return;
		known = types[i] != MR_TYPE_NULL ? types[i] : known;
	}
	if (known == MR_TYPE_NULL || count > CANDIDATES_MAX)
		return;
	memset(as, known, sizeof(as));
	for (uint32_t i = 0; i < c->count; i++)
		if (takes(c->fns[i], as, count))
			c->fns[kept++] = c->fns[i];
	if (kept == 1)
		c->count = 1;
}

static const struct mr_fn *exact(const struct candidates *c, const uint8_t *types, uint32_t count)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (score(c->fns[i], types, count, false) == count)
			return c->fns[i];
	return NULL;
}

// PostgreSQL has operators of real with the other numbers, all of which work in double precision.
static void widen_real(uint8_t types[2])
{
	for (int i = 0; i < 2; i++) {
		uint8_t other = types[1 - i];

		if (types[i] == MR_TYPE_FLOAT4 && other != MR_TYPE_FLOAT4 &&
			other != MR_TYPE_NULL && category(other) == 'N')
			types[i] = MR_TYPE_FLOAT8;
	}
}

static bool is_operator(struct mr_span name)
{
	return name.bytes && !strchr("abcdefghijklmnopqrstuvwxyz_", name.data[0]);
}

enum mr_fn_found mr_fn_find(
	struct mr_span name, const uint8_t *given, uint32_t count, const struct mr_fn **out)
{
	uint8_t types[CANDIDATES_MAX];
	struct candidates c = {.count = 0};

	if (count > CANDIDATES_MAX)
		return MR_FN_NONE;
	memcpy(types, given, count);
	if (count == 2 && is_operator(name))
		widen_real(types);
	collect(&c, name, types, count);
	if (!c.name_known)
		return MR_FN_NO_NAME;
	*out = exact(&c, types, count);
	if (!*out && count == 2 && is_operator(name)) {
		uint8_t same = types[0] == MR_TYPE_NULL ? types[1] : types[0];

		if (types[0] == MR_TYPE_NULL || types[1] == MR_TYPE_NULL)
			*out = exact(&c, (uint8_t[]){same, same}, 2);
	}
	if (*out)
		return MR_FN_ONE;
	if (c.count > 1)
		keep_best(&c, types, count, false);
	if (c.count > 1)
		keep_best(&c, types, count, true);
	for (uint32_t i = 0; i < count && c.count > 1; i++)
		if (types[i] == MR_TYPE_NULL && !keep_category(&c, i))
			break;
	if (c.count > 1)
		keep_same_type(&c, types, count);
	*out = c.count ? c.fns[0] : NULL;
	return c.count == 0 ? MR_FN_NONE : c.count == 1 ? MR_FN_ONE : MR_FN_AMBIGUOUS;
}

unsigned mr_name_distance(struct mr_span a, struct mr_span b, unsigned max)
{
	unsigned row[65];

	if (a.bytes > 64 || b.bytes > 64)
		return max + 1;
	for (unsigned j = 0; j <= b.bytes; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a.bytes; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= b.bytes; j++) {
			unsigned change = diagonal + (a.data[i - 1] != b.data[j - 1]);

			diagonal = row[j];
			row[j] = MR_MIN(change, MR_MIN(row[j], row[j - 1]) + 1);
		}
	}
	return MR_MIN(row[b.bytes], max + 1);
}

const char *mr_fn_nearest(struct mr_span name)
{
	unsigned best = MR_MIN(3u, (unsigned)(name.bytes + 1) / 2);
	const struct mr_fn *f;
	const char *nearest = NULL;

	for (size_t i = 0; mr_fn_each(&i, &f);) {
		unsigned d = mr_name_distance(name, mr_span_str(f->name), best);

		if (d < best && !is_operator(mr_span_str(f->name))) {
			best = d;
			nearest = f->name;
		}
	}
	return nearest;
}
