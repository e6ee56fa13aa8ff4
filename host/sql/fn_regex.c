// Regular expressions in SQL: operators, and functions that find and replace.
//
// Every function here goes through one loop that keeps the last pattern compiled, so that a
// constant pattern is compiled once a batch.
#include "host/base/regex.h"
#include "host/sql/fn_int.h"

struct pattern {
	struct mr_regex *re;
	struct mr_span text;
	unsigned flags;
	bool all; // flag g
	bool null;
};

typedef int regex_row(struct mr_fn_call *c, struct pattern *p, const struct mr_span *a, void *out);

static int read_flags(struct mr_fn_call *c, struct mr_span flags, struct pattern *p)
{
	unsigned f = 0;

	p->all = false;
	for (size_t i = 0; i < flags.bytes; i++)
		switch (flags.data[i]) {
		case 'g': p->all = true; break;
		case 'i': f |= MR_REGEX_FOLD_CASE; break;
		case 'c': f &= ~(unsigned)MR_REGEX_FOLD_CASE; break;
		case 'n':
		case 'm': f |= MR_REGEX_LINES; break;
		case 's': f &= ~(unsigned)MR_REGEX_LINES; break;
		case 'x': f |= MR_REGEX_EXTENDED; break;
		case 't': f &= ~(unsigned)MR_REGEX_EXTENDED; break;
		case 'q': f |= MR_REGEX_LITERAL; break;
		default:
			return mr_fn_error(c, "22023", "invalid regular expression option: \"%c\"",
				flags.data[i]);
		}
	return (int)f;
}

static int use(struct mr_fn_call *c, struct pattern *p, struct mr_span text, unsigned flags)
{
	if (p->re && p->flags == flags && mr_span_eq(p->text, text))
		return 0;
	mr_regex_destroy(p->re);
	p->re = NULL;
	p->text = text;
	p->flags = flags;
	return mr_regex_create(text, flags, &p->re, c->ev->diag);
}

static int set_null(struct mr_fn_call *c, uint32_t row)
{
	size_t words = (c->ev->rows + 63) / 64 + 1;

	if (!c->valid) {
		c->valid = mr_arena_column(c->ev->arena, words * 8);
		if (!c->valid)
			return mr_eval_no_memory(c->ev);
		memset(c->valid, 0xff, words * 8);
	}
	mr_bit_clear(c->valid, row);
	return 0;
}

// Calls `row` for each row; argument `flags_at` holds flags (0: there is none), the second the
// pattern.
static int loop(struct mr_fn_call *c, const uint32_t *sel, uint32_t n, uint32_t flags_at,
	unsigned flags, regex_row *row)
{
	size_t width = mr_phys_bytes((enum mr_phys)c->out->col.phys);
	struct pattern p = {0};
	int rc = 0;

	for (uint32_t k = 0; k < n && rc >= 0; k++) {
		uint32_t i = mr_sel(sel, k);
		struct mr_span a[MR_FN_ARGS_MAX];

		for (uint32_t j = 0; j < c->args_count; j++)
			a[j] = fn_span(mr_vec_at(&c->args[j], i));
		rc = flags_at && flags_at < c->args_count ? read_flags(c, a[flags_at], &p)
							  : (int)flags;
		rc = rc < 0 ? rc : use(c, &p, a[1], (unsigned)rc);
		rc = rc < 0 ? rc : row(c, &p, a, (uint8_t *)c->values + i * width);
		if (rc == 1)
			rc = set_null(c, i);
	}
	mr_regex_destroy(p.re);
	return rc < 0 ? rc : 0;
}

static int find(struct mr_fn_call *c, struct pattern *p, struct mr_span s, size_t start,
	struct mr_regex_match *m)
{
	const _Atomic bool *cancelled = c->ev->query->cancelled;

	if (cancelled && atomic_load_explicit(cancelled, memory_order_relaxed))
		return mr_diag_set(c->ev->diag, MR_ERR_CANCELLED, "57014", 0,
			"canceling statement due to user request");
	return mr_regex_find(p->re, s, start, m, c->ev->diag);
}

static int matches(struct mr_fn_call *c, struct pattern *p, const struct mr_span *a, void *out)
{
	struct mr_regex_match m;
	int rc = find(c, p, a[0], 0, &m);

	*(uint8_t *)out = rc == 1;
	return rc < 0 ? rc : 0;
}

static int differs(struct mr_fn_call *c, struct pattern *p, const struct mr_span *a, void *out)
{
	int rc = matches(c, p, a, out);

	*(uint8_t *)out ^= 1;
	return rc;
}

// Where to look for the next match: an empty one must not be found again.
static size_t next_start(struct mr_span s, const struct mr_regex_match *m)
{
	size_t at = (size_t)(m->groups[0].data - s.data) + m->groups[0].bytes;

	if (m->groups[0].bytes)
		return at;
	at++;
	while (at < s.bytes && (s.data[at] & 0xc0) == 0x80)
		at++;
	return at;
}

// \1 to \9, \& and \\ of the replacement.
static void add_replacement(struct mr_buf *out, struct mr_span with, const struct mr_regex_match *m)
{
	for (size_t i = 0; i < with.bytes; i++) {
		uint8_t next = i + 1 < with.bytes ? with.data[i + 1] : 0;

		if (with.data[i] != '\\' || !next) {
			mr_buf_u8(out, with.data[i]);
			continue;
		}
		i++;
		if (next == '&' || (next >= '0' && next <= '9')) {
			struct mr_span g = m->groups[next == '&' ? 0 : next - '0'];

			if (g.data)
				mr_buf_add(out, g.data, g.bytes);
		} else {
			if (next != '\\')
				mr_buf_u8(out, '\\');
			mr_buf_u8(out, next);
		}
	}
}

static int replace(struct mr_fn_call *c, struct pattern *p, const struct mr_span *a, void *out)
{
	struct mr_buf buf = {.budget = c->ev->query->memory};
	struct mr_regex_match m;
	size_t done = 0, start = 0;
	int rc = 0;

	while (start <= a[0].bytes && (rc = find(c, p, a[0], start, &m)) == 1) {
		size_t at = (size_t)(m.groups[0].data - a[0].data);

		mr_buf_add(&buf, a[0].data + done, at - done);
		add_replacement(&buf, a[2], &m);
		done = at + m.groups[0].bytes;
		start = next_start(a[0], &m);
		if (!p->all)
			break;
		if (buf.failed) {
			rc = mr_eval_no_memory(c->ev);
			break;
		}
	}
	if (rc >= 0) {
		if (done < a[0].bytes)
			mr_buf_add(&buf, a[0].data + done, a[0].bytes - done);
		rc = mr_fn_str(c, buf.data, buf.bytes, out);
	}
	mr_buf_fini(&buf);
	return rc;
}

static int count_all(struct mr_fn_call *c, struct pattern *p, const struct mr_span *a, void *out)
{
	struct mr_regex_match m;
	size_t start = 0;
	int32_t n = 0;
	int rc = 0;

	while (start <= a[0].bytes && (rc = find(c, p, a[0], start, &m)) == 1) {
		start = next_start(a[0], &m);
		n++;
	}
	*(int32_t *)out = n;
	return rc < 0 ? rc : 0;
}

static int give(const struct mr_span *s, void *out)
{
	*(struct mr_str *)out = (struct mr_str){s->data, (uint32_t)s->bytes, 0};
	return s->data ? 0 : 1;
}

static int whole(struct mr_fn_call *c, struct pattern *p, const struct mr_span *a, void *out)
{
	struct mr_regex_match m;
	int rc = find(c, p, a[0], 0, &m);

	return rc <= 0 ? (rc < 0 ? rc : 1) : give(&m.groups[0], out);
}

// substring(text from pattern): the first group, or all of it when there is no group.
static int part(struct mr_fn_call *c, struct pattern *p, const struct mr_span *a, void *out)
{
	struct mr_regex_match m;
	int rc = find(c, p, a[0], 0, &m);

	return rc <= 0 ? (rc < 0 ? rc : 1) : give(&m.groups[m.count > 1], out);
}

#define VEC(name, flags_at, flags, row)                                        \
	static int name(struct mr_fn_call *c, const uint32_t *sel, uint32_t n) \
	{                                                                      \
		return loop(c, sel, n, flags_at, flags, row);                  \
	}

VEC(op_match, 0, 0, matches)
VEC(op_match_fold, 0, MR_REGEX_FOLD_CASE, matches)
VEC(op_differ, 0, 0, differs)
VEC(op_differ_fold, 0, MR_REGEX_FOLD_CASE, differs)
VEC(fn_like, 2, 0, matches)
VEC(fn_replace, 3, 0, replace)
VEC(fn_count, 0, 0, count_all)
VEC(fn_whole, 0, 0, whole)
VEC(fn_part, 0, 0, part)

static const struct mr_fn fns[] = {
	{"~", T_B, 2, {T_T, T_T}, 0, NULL, op_match},
	{"~*", T_B, 2, {T_T, T_T}, 0, NULL, op_match_fold},
	{"!~", T_B, 2, {T_T, T_T}, 0, NULL, op_differ},
	{"!~*", T_B, 2, {T_T, T_T}, 0, NULL, op_differ_fold},
	{"regexp_like", T_B, 2, {T_T, T_T}, 0, NULL, fn_like},
	{"regexp_like", T_B, 3, {T_T, T_T, T_T}, 0, NULL, fn_like},
	{"regexp_replace", T_T, 3, {T_T, T_T, T_T}, 0, NULL, fn_replace},
	{"regexp_replace", T_T, 4, {T_T, T_T, T_T, T_T}, 0, NULL, fn_replace},
	{"regexp_count", T_I4, 2, {T_T, T_T}, 0, NULL, fn_count},
	{"regexp_substr", T_T, 2, {T_T, T_T}, 0, NULL, fn_whole},
	{"substring", T_T, 2, {T_T, T_T}, 0, NULL, fn_part},
};

const struct mr_fn_family mr_fn_regex = {fns, MR_COUNT_OF(fns)};
