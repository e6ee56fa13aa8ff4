// Type names and literals with a type in front.
#include "host/sql/parse_int.h"

#include <errno.h>

// Key words that name a type, and the catalog's name for it. `mods`: '(' may follow.
static const struct {
	enum mr_keyword keyword;
	bool mods;
	const char *name;
} keyword_types[] = {
	{MR_KW_BIGINT, false, "int8"},
	{MR_KW_BIT, true, "bit"},
	{MR_KW_BOOLEAN, false, "bool"},
	{MR_KW_CHAR, true, "bpchar"},
	{MR_KW_CHARACTER, true, "bpchar"},
	{MR_KW_DEC, true, "numeric"},
	{MR_KW_DECIMAL, true, "numeric"},
	{MR_KW_FLOAT, true, "float8"},
	{MR_KW_INT, false, "int4"},
	{MR_KW_INTEGER, false, "int4"},
	{MR_KW_INTERVAL, true, "interval"},
	{MR_KW_NATIONAL, false, "bpchar"},
	{MR_KW_NCHAR, true, "bpchar"},
	{MR_KW_NUMERIC, true, "numeric"},
	{MR_KW_REAL, false, "float4"},
	{MR_KW_SMALLINT, false, "int2"},
	{MR_KW_TIME, true, "time"},
	{MR_KW_TIMESTAMP, true, "timestamp"},
	{MR_KW_VARCHAR, true, "varchar"},
};

static const char *keyword_type(enum mr_keyword k, bool *mods)
{
	for (size_t i = 0; k && i < MR_COUNT_OF(keyword_types); i++) {
		if (keyword_types[i].keyword == k) {
			*mods = keyword_types[i].mods;
			return keyword_types[i].name;
		}
	}
	return NULL;
}

// opt_type_modifiers: ['(' expr_list ')']
static struct mr_ast_exprs parse_mods(struct mr_parser *p)
{
	struct mr_ast_exprs mods = {0};

	if (mr_accept_char(p, '(')) {
		mods = mr_parse_exprs(p);
		mr_expect_char(p, ')');
	}
	return mods;
}

// '(' Iconst ')', as a list of one or none
static struct mr_ast_exprs parse_precision(struct mr_parser *p)
{
	struct mr_list list = {0};

	if (mr_accept_char(p, '(')) {
		int pos = mr_pos(p);

		mr_list_expr(p, &list, mr_new_int(p, mr_parse_int(p), pos));
		mr_expect_char(p, ')');
	}
	return mr_list_exprs(list);
}

// FLOAT ['(' Iconst ')']
static void parse_float(struct mr_parser *p, struct mr_ast_type *t)
{
	int64_t bits;
	int pos;

	if (!mr_accept_char(p, '('))
		return;
	pos = mr_pos(p);
	bits = mr_parse_int(p);
	if (bits < 1)
		mr_parse_fail(p, -EINVAL, "22023", pos,
			"precision for type float must be at least 1 bit");
	if (bits > 53)
		mr_parse_fail(p, -EINVAL, "22023", pos,
			"precision for type float must be less than 54 bits");
	if (bits < 25)
		t->name = "float4";
	mr_expect_char(p, ')');
}

// (CHARACTER | CHAR | NATIONAL (CHARACTER | CHAR) | NCHAR | BIT) [VARYING] ['(' Iconst ')']
// | VARCHAR ['(' Iconst ')']
static void parse_character(
	struct mr_parser *p, struct mr_ast_type *t, enum mr_keyword k, bool literal)
{
	struct mr_list one = {0};

	if (k == MR_KW_NATIONAL && !mr_accept_kw(p, MR_KW_CHARACTER))
		mr_expect_kw(p, MR_KW_CHAR);
	if (k != MR_KW_VARCHAR && mr_accept_kw(p, MR_KW_VARYING))
		t->name = k == MR_KW_BIT ? "varbit" : "varchar";
	t->mods = k == MR_KW_BIT ? parse_mods(p) : parse_precision(p);
	if (!literal && t->mods.count == 0 &&
		(strcmp(t->name, "bpchar") == 0 || strcmp(t->name, "bit") == 0)) {
		mr_list_expr(p, &one, mr_new_int(p, 1, t->pos)); // a char column is char(1)
		t->mods = mr_list_exprs(one);
	}
}

// (TIME | TIMESTAMP) ['(' Iconst ')'] [(WITH | WITHOUT) TIME ZONE]
static void parse_time(struct mr_parser *p, struct mr_ast_type *t, enum mr_keyword k)
{
	bool with;

	t->mods = parse_precision(p);
	with = mr_is_kw(p, MR_KW_WITH) && mr_is_kw_at(p, 1, MR_KW_TIME);
	if (!with && !mr_is_kw(p, MR_KW_WITHOUT))
		return;
	mr_parse_eat(p);
	mr_expect_kw(p, MR_KW_TIME);
	mr_expect_kw(p, MR_KW_ZONE);
	if (with)
		t->name = k == MR_KW_TIME ? "timetz" : "timestamptz";
}

static const enum mr_keyword interval_keywords[] = {
	MR_KW_YEAR, MR_KW_MONTH, MR_KW_DAY, MR_KW_HOUR, MR_KW_MINUTE, MR_KW_SECOND};

// The number of the field that stands `ahead`, or -1.
static int interval_field(struct mr_parser *p, uint32_t ahead)
{
	for (int i = 0; i < (int)MR_COUNT_OF(interval_keywords); i++)
		if (mr_is_kw_at(p, ahead, interval_keywords[i]))
			return i;
	return -1;
}

// opt_interval: [YEAR | MONTH | DAY | HOUR | MINUTE | interval_second | YEAR TO MONTH
// | DAY TO (HOUR | MINUTE | interval_second) | HOUR TO (MINUTE | interval_second)
// | MINUTE TO interval_second]; interval_second: SECOND ['(' Iconst ')']
static void parse_interval_fields(struct mr_parser *p, struct mr_ast_type *t)
{
	enum { YEAR, MONTH, DAY, HOUR, MINUTE, SECOND };
	int first = interval_field(p, 0);
	int last = first;

	if (first < 0)
		return;
	mr_parse_eat(p);
	if (mr_is_kw(p, MR_KW_TO) && first != MONTH && first != SECOND) {
		int to = interval_field(p, 1);

		mr_parse_eat(p);
		if (to <= first || (first == YEAR && to != MONTH))
			mr_parse_syntax(p);
		else
			mr_parse_eat(p);
		last = to;
	}
	for (int i = first; i <= last; i++)
		t->interval_fields |= (uint8_t)(1u << i);
	if (last == SECOND)
		t->mods = parse_precision(p);
}

// INTERVAL opt_interval | INTERVAL '(' Iconst ')'
static void parse_interval(struct mr_parser *p, struct mr_ast_type *t)
{
	if (mr_is_char(p, '('))
		t->mods = parse_precision(p);
	else
		parse_interval_fields(p, t);
}

// GenericType: type_function_name {'.' ColLabel} opt_type_modifiers
static void parse_generic(struct mr_parser *p, struct mr_ast_type *t)
{
	t->name = mr_parse_type_func_name(p);
	while (mr_accept_char(p, '.')) {
		t->schema = t->name;
		t->name = mr_parse_col_label(p);
	}
	if (mr_is_op(p, "%"))
		mr_parse_unsupported(p, "%TYPE is");
	t->mods = parse_mods(p);
}

// SimpleTypename. In a literal the interval's fields come behind the string instead.
static void parse_simple(struct mr_parser *p, struct mr_ast_type *t, bool literal)
{
	enum mr_keyword k = mr_cur(p)->keyword;
	bool mods = false;
	const char *name = keyword_type(k, &mods);

	t->pos = mr_pos(p);
	if (mr_accept_kws(p, MR_KW_DOUBLE, MR_KW_PRECISION)) {
		t->name = "float8";
		return;
	}
	if (!name) {
		parse_generic(p, t);
		return;
	}
	mr_parse_eat(p);
	t->name = name;
	switch (k) {
	case MR_KW_FLOAT: parse_float(p, t); break;
	case MR_KW_BIT:
	case MR_KW_CHAR:
	case MR_KW_CHARACTER:
	case MR_KW_NATIONAL:
	case MR_KW_NCHAR:
	case MR_KW_VARCHAR: parse_character(p, t, k, literal); break;
	case MR_KW_TIME:
	case MR_KW_TIMESTAMP: parse_time(p, t, k); break;
	case MR_KW_INTERVAL:
		if (!literal || mr_is_char(p, '('))
			parse_interval(p, t);
		break;
	default:
		if (mods)
			t->mods = parse_mods(p);
	}
}

// opt_array_bounds: {'[' [Iconst] ']'}, or ARRAY ['[' Iconst ']']
static void parse_array_bounds(struct mr_parser *p, struct mr_ast_type *t)
{
	enum { DIMS_MAX = 6 }; // PostgreSQL's MAXDIM

	if (mr_accept_kw(p, MR_KW_ARRAY)) {
		t->array_dims = 1;
		if (mr_accept_char(p, '[')) {
			(void)mr_parse_int(p);
			mr_expect_char(p, ']');
		}
		return;
	}
	while (mr_is_char(p, '[')) {
		mr_parse_eat(p);
		if (!mr_is_char(p, ']'))
			(void)mr_parse_int(p);
		mr_expect_char(p, ']');
		if (t->array_dims == DIMS_MAX)
			mr_parse_fail(p, MR_ERR_LIMIT, "54000", t->pos,
				"number of array dimensions exceeds the maximum allowed (%d)",
				DIMS_MAX);
		else
			t->array_dims++;
	}
}

// Typename: [SETOF] SimpleTypename opt_array_bounds
const struct mr_ast_type *mr_parse_type(struct mr_parser *p)
{
	struct mr_ast_type *out = mr_parse_new(p, sizeof(*out));
	struct mr_ast_type t = {.pos = mr_pos(p)};

	t.setof = mr_accept_kw(p, MR_KW_SETOF);
	parse_simple(p, &t, false);
	parse_array_bounds(p, &t);
	*out = t;
	return out;
}

// AexprConst begins with one of these words only if a type's rest or a string follows: they can be
// columns too.
bool mr_is_literal_type(struct mr_parser *p)
{
	const struct mr_token *next = mr_parse_peek(p, 1);
	enum mr_keyword k = mr_cur(p)->keyword;
	bool mods = false;

	if (k == MR_KW_DOUBLE)
		return next->keyword == MR_KW_PRECISION;
	if (!keyword_type(k, &mods))
		return false;
	if (next->kind == MR_TOK_STRING || (mods && mr_is_char_at(p, 1, '(')))
		return true;
	switch (k) {
	case MR_KW_TIME:
	case MR_KW_TIMESTAMP:
		return next->keyword == MR_KW_WITHOUT ||
		       (next->keyword == MR_KW_WITH && mr_is_kw_at(p, 2, MR_KW_TIME));
	case MR_KW_NATIONAL: return next->keyword == MR_KW_CHARACTER || next->keyword == MR_KW_CHAR;
	default: return next->keyword == MR_KW_VARYING;
	}
}

static struct mr_ast_expr *finish_literal(
	struct mr_parser *p, const struct mr_ast_type *t, bool fields)
{
	struct mr_ast_type *type = mr_parse_new(p, sizeof(*type));
	int pos = mr_pos(p);
	const char *text = mr_parse_string(p);

	*type = *t;
	if (fields)
		parse_interval_fields(p, type);
	return mr_new_cast(p, mr_new_string(p, text, pos), type, t->pos);
}

// ConstTypename Sconst | ConstInterval Sconst opt_interval | ConstInterval '(' Iconst ')' Sconst
struct mr_ast_expr *mr_parse_typed_literal(struct mr_parser *p)
{
	struct mr_ast_type t = {.pos = mr_pos(p)};
	bool interval = mr_is_kw(p, MR_KW_INTERVAL);

	parse_simple(p, &t, true);
	return finish_literal(p, &t, interval && t.mods.count == 0);
}

// func_name Sconst | func_name '(' … ')' Sconst
struct mr_ast_expr *mr_new_typed_literal(struct mr_parser *p, const char *schema, const char *name,
	struct mr_ast_exprs mods, int pos)
{
	struct mr_ast_type t = {.schema = schema, .name = name, .pos = pos, .mods = mods};

	return finish_literal(p, &t, false);
}
