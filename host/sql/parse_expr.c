// Expressions: PostgreSQL's a_expr and b_expr by precedence climbing; operands are
// parse_primary.c's.
//
// One table holds the operators' binding strength; one loop (`climb`) reads operators stronger than
// its limit and calls itself for right operands. An operator that is not associative (comparison,
// IS DISTINCT FROM, BETWEEN, LIKE) may not follow itself, but something that ends in a terminal (IS
// NULL, IN (…)) may: `a IS NULL IS NULL` is fine, `a < b < c` is not.
#include "host/sql/parse_int.h"

#include <errno.h>
#include <stdlib.h>

// From weak to strong, as %left, %right and %nonassoc of PostgreSQL's gram.y.
enum strength {
	LOWEST,
	STRENGTH_OR,
	STRENGTH_AND,
	STRENGTH_NOT,
	STRENGTH_IS,      // IS ISNULL NOTNULL; not associative
	STRENGTH_COMPARE, // < > = <= >= <>; not associative
	STRENGTH_MATCH,   // BETWEEN IN LIKE ILIKE SIMILAR; not associative
	STRENGTH_OP,      // any other operator
	STRENGTH_ADD,     // + -
	STRENGTH_MUL,     // * / %
	STRENGTH_POWER,   // ^
	STRENGTH_AT,      // AT TIME ZONE
	STRENGTH_COLLATE,
	STRENGTH_SIGN, // unary + -
	STRENGTH_CAST, // ::
};

static const struct {
	const char *op;
	uint8_t strength;
} op_strengths[] = {
	{"<", STRENGTH_COMPARE},
	{">", STRENGTH_COMPARE},
	{"=", STRENGTH_COMPARE},
	{"<=", STRENGTH_COMPARE},
	{">=", STRENGTH_COMPARE},
	{"<>", STRENGTH_COMPARE},
	{"+", STRENGTH_ADD},
	{"-", STRENGTH_ADD},
	{"*", STRENGTH_MUL},
	{"/", STRENGTH_MUL},
	{"%", STRENGTH_MUL},
	{"^", STRENGTH_POWER},
};

static const struct {
	enum mr_keyword keyword;
	uint8_t strength;
} keyword_strengths[] = {
	{MR_KW_OR, STRENGTH_OR},
	{MR_KW_AND, STRENGTH_AND},
	{MR_KW_IS, STRENGTH_IS},
	{MR_KW_ISNULL, STRENGTH_IS},
	{MR_KW_NOTNULL, STRENGTH_IS},
	{MR_KW_BETWEEN, STRENGTH_MATCH},
	{MR_KW_IN, STRENGTH_MATCH},
	{MR_KW_LIKE, STRENGTH_MATCH},
	{MR_KW_ILIKE, STRENGTH_MATCH},
	{MR_KW_SIMILAR, STRENGTH_MATCH},
	{MR_KW_OPERATOR, STRENGTH_OP},
	{MR_KW_AT, STRENGTH_AT},
	{MR_KW_COLLATE, STRENGTH_COLLATE},
};

static struct mr_ast_expr *climb(struct mr_parser *p, enum strength limit, bool b_expr);

// ---- Which operator stands here ----

static bool is_match_keyword(enum mr_keyword k)
{
	return k == MR_KW_BETWEEN || k == MR_KW_IN || k == MR_KW_LIKE || k == MR_KW_ILIKE ||
	       k == MR_KW_SIMILAR;
}

static enum strength keyword_strength(struct mr_parser *p)
{
	enum mr_keyword k = mr_cur(p)->keyword;
	enum mr_keyword next;

	if (k == MR_NO_KEYWORD)
		return LOWEST;
	next = mr_parse_peek(p, 1)->keyword;
	if (k == MR_KW_NOT)
		return is_match_keyword(next) ? STRENGTH_MATCH : LOWEST;
	if (k == MR_KW_SIMILAR && next != MR_KW_TO) // SUBSTRING(x SIMILAR y ESCAPE z)
		return LOWEST;
	if (k == MR_KW_OPERATOR && !mr_is_char_at(p, 1, '('))
		return LOWEST;
	for (size_t i = 0; i < MR_COUNT_OF(keyword_strengths); i++)
		if (keyword_strengths[i].keyword == k)
			return keyword_strengths[i].strength;
	return LOWEST;
}

// LOWEST if the current token is no binary or postfix operator. A b_expr has no key word operators
// but IS DISTINCT FROM and OPERATOR(…).
static enum strength operator_strength(struct mr_parser *p, bool b_expr)
{
	const struct mr_token *t = mr_cur(p);
	enum strength s;

	if (t->kind == MR_TOK_CAST)
		return STRENGTH_CAST;
	if (t->kind == MR_TOK_OP) {
		for (size_t i = 0; i < MR_COUNT_OF(op_strengths); i++)
			if (strcmp(op_strengths[i].op, t->text) == 0)
				return op_strengths[i].strength;
		return STRENGTH_OP;
	}
	s = keyword_strength(p);
	return b_expr && s != STRENGTH_OP && !mr_is_kw(p, MR_KW_IS) ? LOWEST : s;
}

// ---- Operands ----

// Folds a sign into a number as PostgreSQL's doNegate, so that -9223372036854775808 is an integer.
static struct mr_ast_expr *negate(struct mr_parser *p, struct mr_ast_expr *e, int pos)
{
	const char *text = e->literal.text;

	if (p->failed)
		return e;
	e->pos = pos;
	text = text[0] == '-' ? text + 1 : mr_parse_text(p, "-%s", text);
	e->literal.text = text;
	errno = 0;
	e->literal.integer = strtoll(text, NULL, 10);
	if (strspn(text + (text[0] == '-'), "0123456789") == strlen(text) - (text[0] == '-'))
		e->kind = errno == 0 ? MR_AST_INT : MR_AST_NUMBER;
	return e;
}

static struct mr_ast_expr *new_op(struct mr_parser *p, const char *schema, const char *name,
	const struct mr_ast_expr *left, const struct mr_ast_expr *right, int pos)
{
	struct mr_ast_expr *e = mr_new_expr(p, MR_AST_OP, pos);

	e->op.schema = schema;
	e->op.name = name;
	e->op.left = mr_kid(p, e, left);
	e->op.right = mr_kid(p, e, right);
	return e;
}

// prefix: '+' a_expr | '-' a_expr | qual_Op a_expr | NOT a_expr
static struct mr_ast_expr *parse_prefix(struct mr_parser *p, bool b_expr)
{
	int pos = mr_pos(p);
	struct mr_ast_expr *e;
	struct mr_ast_expr *arg;
	const char *schema;
	const char *op;
	bool sign = mr_is_op(p, "+") || mr_is_op(p, "-");

	if (mr_is_kw(p, MR_KW_NOT) && !b_expr) {
		mr_parse_eat(p);
		arg = climb(p, STRENGTH_NOT, false);
		e = mr_new_expr(p, MR_AST_NOT, pos);
		e->arg = mr_kid(p, e, arg);
		return e;
	}
	if (mr_is_tok(p, MR_TOK_OP) && !sign && operator_strength(p, b_expr) != STRENGTH_OP) {
		mr_parse_syntax(p);
		return mr_new_expr(p, MR_AST_NULL, pos);
	}
	op = mr_parse_qual_op(p, &schema);
	arg = climb(p, sign ? STRENGTH_SIGN : STRENGTH_OP, b_expr);
	if (sign && op[0] == '-' && (arg->kind == MR_AST_INT || arg->kind == MR_AST_NUMBER))
		return negate(p, arg, pos);
	return new_op(p, schema, op, NULL, arg, pos);
}

// ---- Operators ----

// row OVERLAPS row, each of two expressions: overlaps(a, b, c, d)
static struct mr_ast_expr *parse_overlaps(struct mr_parser *p, const struct mr_ast_expr *left)
{
	int pos = mr_pos(p);
	struct mr_ast_expr *e = mr_new_call(p, MR_AST_CALL_OVERLAPS, "overlaps", pos);
	const struct mr_ast_expr *sides[2] = {left, NULL};

	mr_parse_eat(p);
	if (!mr_is_char(p, '(') && !mr_is_kw(p, MR_KW_ROW))
		mr_parse_syntax(p);
	sides[1] = mr_parse_c_expr(p);
	if (!p->failed && sides[1]->kind != MR_AST_ROW)
		mr_parse_syntax(p);
	for (int i = 0; i < 2 && !p->failed; i++) {
		if (sides[i]->list.count != 2)
			mr_parse_fail(p, -EINVAL, "42601", sides[i]->pos,
				"wrong number of parameters on %s side of OVERLAPS expression",
				i ? "right" : "left");
		for (uint32_t k = 0; k < sides[i]->list.count && !p->failed; k++)
			mr_call_arg(p, e, sides[i]->list.items[k]);
	}
	return e;
}

// a AND b AND c is one node: `left` takes the new operand if it is such a node already.
static struct mr_ast_expr *parse_logic(
	struct mr_parser *p, struct mr_ast_expr *left, enum strength strength)
{
	enum mr_ast_expr_kind kind = strength == STRENGTH_OR ? MR_AST_OR : MR_AST_AND;
	enum mr_keyword k = strength == STRENGTH_OR ? MR_KW_OR : MR_KW_AND;
	struct mr_list list = {0};
	int pos = mr_pos(p);

	if (left->kind == kind)
		for (uint32_t i = 0; i < left->list.count && !p->failed; i++)
			mr_list_expr(p, &list, left->list.items[i]);
	else
		mr_list_expr(p, &list, left);
	while (mr_accept_kw(p, k))
		mr_list_expr(p, &list, climb(p, strength, false));
	return mr_new_list(p, kind, pos, mr_list_exprs(list));
}

// sub_type: ANY | SOME | ALL
static bool is_sub_type(struct mr_parser *p)
{
	return mr_is_kw(p, MR_KW_ANY) || mr_is_kw(p, MR_KW_SOME) || mr_is_kw(p, MR_KW_ALL);
}

// a_expr subquery_Op sub_type select_with_parens | a_expr subquery_Op sub_type '(' a_expr ')'
static struct mr_ast_expr *parse_quantified(struct mr_parser *p, const struct mr_ast_expr *left,
	const char *schema, const char *op, int pos)
{
	struct mr_ast_expr *e = mr_new_expr(p, MR_AST_QUANTIFIED, pos);
	const struct mr_ast_select *query = NULL;
	const struct mr_ast_expr *array = NULL;

	e->quantified.schema = schema;
	e->quantified.name = op;
	e->quantified.left = mr_kid(p, e, left);
	e->quantified.all = mr_is_kw(p, MR_KW_ALL);
	mr_parse_eat(p);
	if (mr_is_query(p)) {
		array = mr_parse_query_parens(p, &query);
	} else {
		mr_expect_char(p, '(');
		array = mr_parse_expr(p);
		mr_expect_char(p, ')');
	}
	e->quantified.query = query;
	e->quantified.array = query ? NULL : mr_kid(p, e, array);
	if (query)
		mr_raise(p, &e->height, query->height);
	return e;
}

// IS [NOT] NULL|TRUE|FALSE|UNKNOWN; also ISNULL, NOTNULL
static struct mr_ast_expr *new_is(struct mr_parser *p, const struct mr_ast_expr *arg,
	enum mr_ast_is test, bool negated, int pos)
{
	struct mr_ast_expr *e = mr_new_expr(p, MR_AST_IS, pos);

	e->negated = negated;
	e->is.arg = mr_kid(p, e, arg);
	e->is.test = (uint8_t)test;
	return e;
}

static struct mr_ast_expr *parse_is(
	struct mr_parser *p, const struct mr_ast_expr *left, bool b_expr, bool *open)
{
	int pos = mr_pos(p);
	bool negated;
	struct mr_ast_expr *e;

	if (mr_accept_kw(p, MR_KW_ISNULL))
		return new_is(p, left, MR_AST_IS_NULL, false, pos);
	if (mr_accept_kw(p, MR_KW_NOTNULL))
		return new_is(p, left, MR_AST_IS_NULL, true, pos);
	mr_parse_eat(p);
	negated = mr_accept_kw(p, MR_KW_NOT);
	if (mr_accept_kw(p, MR_KW_DISTINCT)) {
		mr_expect_kw(p, MR_KW_FROM);
		e = new_op(p, NULL, "=", left, climb(p, STRENGTH_IS, b_expr), pos);
		e->kind = MR_AST_DISTINCT_FROM;
		e->negated = negated;
		*open = true;
		return e;
	}
	if (!b_expr && mr_accept_kw(p, MR_KW_NULL))
		return new_is(p, left, MR_AST_IS_NULL, negated, pos);
	if (!b_expr && mr_accept_kw(p, MR_KW_TRUE))
		return new_is(p, left, MR_AST_IS_TRUE, negated, pos);
	if (!b_expr && mr_accept_kw(p, MR_KW_FALSE))
		return new_is(p, left, MR_AST_IS_FALSE, negated, pos);
	if (b_expr || !mr_accept_kw(p, MR_KW_UNKNOWN))
		mr_parse_syntax(p);
	return new_is(p, left, MR_AST_IS_UNKNOWN, negated, pos);
}

// [NOT] BETWEEN [SYMMETRIC|ASYMMETRIC] b_expr AND a_expr
static struct mr_ast_expr *parse_between(
	struct mr_parser *p, const struct mr_ast_expr *left, bool negated, int pos)
{
	struct mr_ast_expr *e = mr_new_expr(p, MR_AST_BETWEEN, pos);

	mr_parse_eat(p);
	e->negated = negated;
	e->between.arg = mr_kid(p, e, left);
	e->between.symmetric = mr_accept_kw(p, MR_KW_SYMMETRIC);
	if (!e->between.symmetric)
		mr_accept_kw(p, MR_KW_ASYMMETRIC);
	e->between.low = mr_kid(p, e, mr_parse_b_expr(p));
	mr_expect_kw(p, MR_KW_AND);
	e->between.high = mr_kid(p, e, climb(p, STRENGTH_MATCH, false));
	return e;
}

// [NOT] IN in_expr; in_expr: select_with_parens | '(' expr_list ')'
static struct mr_ast_expr *parse_in(
	struct mr_parser *p, const struct mr_ast_expr *left, bool negated, int pos)
{
	struct mr_ast_expr *e = mr_new_expr(p, MR_AST_IN, pos);
	const struct mr_ast_select *query = NULL;
	struct mr_ast_exprs list;

	mr_parse_eat(p);
	e->negated = negated;
	e->in.arg = mr_kid(p, e, left);
	if (mr_is_query(p)) {
		list = mr_parse_in_query(p, &query);
	} else {
		mr_expect_char(p, '(');
		list = mr_parse_exprs(p);
		mr_expect_char(p, ')');
	}
	e->in.query = query;
	e->in.list = mr_kids(p, e, list);
	if (query)
		mr_raise(p, &e->height, query->height);
	return e;
}

static const char *like_operator(enum mr_ast_like how, bool negated)
{
	if (how == MR_AST_ILIKE)
		return negated ? "!~~*" : "~~*";
	return negated ? "!~~" : "~~";
}

// [NOT] LIKE|ILIKE|SIMILAR TO a_expr [ESCAPE a_expr]; [NOT] [I]LIKE ANY|ALL (…)
static struct mr_ast_expr *parse_like(
	struct mr_parser *p, const struct mr_ast_expr *left, bool negated, int pos, bool *open)
{
	enum mr_ast_like how = mr_is_kw(p, MR_KW_LIKE)    ? MR_AST_LIKE_PLAIN
			       : mr_is_kw(p, MR_KW_ILIKE) ? MR_AST_ILIKE
							  : MR_AST_SIMILAR;
	struct mr_ast_expr *e;

	mr_parse_eat(p);
	if (how == MR_AST_SIMILAR)
		mr_expect_kw(p, MR_KW_TO);
	else if (is_sub_type(p))
		return parse_quantified(p, left, NULL, like_operator(how, negated), pos);
	e = mr_new_expr(p, MR_AST_LIKE, pos);
	e->negated = negated;
	e->like.how = (uint8_t)how;
	e->like.arg = mr_kid(p, e, left);
	e->like.pattern = mr_kid(p, e, climb(p, STRENGTH_MATCH, false));
	if (mr_accept_kw(p, MR_KW_ESCAPE))
		e->like.escape = mr_kid(p, e, climb(p, STRENGTH_MATCH, false));
	*open = true;
	return e;
}

static struct mr_ast_expr *parse_match(
	struct mr_parser *p, const struct mr_ast_expr *left, bool *open)
{
	int pos = mr_pos(p);
	bool negated = mr_accept_kw(p, MR_KW_NOT);

	if (mr_is_kw(p, MR_KW_IN))
		return parse_in(p, left, negated, pos);
	if (!mr_is_kw(p, MR_KW_BETWEEN))
		return parse_like(p, left, negated, pos, open);
	*open = true;
	return parse_between(p, left, negated, pos);
}

// a_expr COLLATE any_name
static struct mr_ast_expr *parse_collate(struct mr_parser *p, const struct mr_ast_expr *left)
{
	struct mr_ast_expr *e = mr_new_expr(p, MR_AST_COLLATE, mr_pos(p));
	struct mr_ast_name name;

	mr_parse_eat(p);
	name = mr_parse_qualified_name(p);
	e->collate.arg = mr_kid(p, e, left);
	e->collate.schema = name.schema;
	e->collate.name = name.name;
	return e;
}

// a_expr AT TIME ZONE a_expr
static struct mr_ast_expr *parse_at_time_zone(struct mr_parser *p, const struct mr_ast_expr *left)
{
	struct mr_ast_expr *e = mr_new_call(p, MR_AST_CALL_TIMEZONE, "timezone", mr_pos(p));

	mr_parse_eat(p);
	mr_expect_kw(p, MR_KW_TIME);
	mr_expect_kw(p, MR_KW_ZONE);
	mr_call_arg(p, e, climb(p, STRENGTH_AT, false));
	mr_call_arg(p, e, left);
	return e;
}

// The operator at the cursor and what is to its right. `open`: it ends in an operand, so a second
// operator of the same strength makes a chain.
static struct mr_ast_expr *parse_operator(struct mr_parser *p, struct mr_ast_expr *left,
	enum strength strength, bool b_expr, bool *open)
{
	int pos = mr_pos(p);
	const char *schema;
	const char *op;

	*open = false;
	switch (strength) {
	case STRENGTH_OR:
	case STRENGTH_AND: return parse_logic(p, left, strength);
	case STRENGTH_IS: return parse_is(p, left, b_expr, open);
	case STRENGTH_MATCH: return parse_match(p, left, open);
	case STRENGTH_AT: return parse_at_time_zone(p, left);
	case STRENGTH_COLLATE: return parse_collate(p, left);
	case STRENGTH_CAST: mr_parse_eat(p); return mr_new_cast(p, left, mr_parse_type(p), pos);
	default: break;
	}
	op = mr_parse_qual_op(p, &schema);
	if (!b_expr && is_sub_type(p))
		return parse_quantified(p, left, schema, op, pos);
	*open = true;
	return new_op(p, schema, op, left, climb(p, strength, b_expr), pos);
}

static bool is_associative(enum strength s)
{
	return s != STRENGTH_IS && s != STRENGTH_COMPARE && s != STRENGTH_MATCH;
}

static struct mr_ast_expr *climb_from(
	struct mr_parser *p, struct mr_ast_expr *left, enum strength limit, bool b_expr)
{
	enum strength closed = LOWEST; // the strength that may not follow

	for (;;) {
		enum strength strength = operator_strength(p, b_expr);
		bool open;

		if (strength <= limit)
			return left;
		if (strength == closed) {
			mr_parse_syntax(p);
			return left;
		}
		left = parse_operator(p, left, strength, b_expr, &open);
		closed = open && !is_associative(strength) ? strength : LOWEST;
	}
}

// An expression made of operators stronger than `limit`.
static struct mr_ast_expr *climb(struct mr_parser *p, enum strength limit, bool b_expr)
{
	struct mr_ast_expr *left;

	if (!mr_parse_enter(p)) {
		mr_parse_leave(p);
		return mr_new_expr(p, MR_AST_NULL, 0);
	}
	if (mr_is_tok(p, MR_TOK_OP) || mr_is_kw(p, MR_KW_NOT) ||
		(mr_is_kw(p, MR_KW_OPERATOR) && mr_is_char_at(p, 1, '(')))
		left = parse_prefix(p, b_expr);
	else
		left = mr_parse_c_expr(p);
	if (left->kind == MR_AST_ROW && !b_expr && mr_is_kw(p, MR_KW_OVERLAPS))
		left = parse_overlaps(p, left);
	left = climb_from(p, left, limit, b_expr);
	mr_parse_leave(p);
	return left;
}

struct mr_ast_expr *mr_parse_expr(struct mr_parser *p)
{
	return climb(p, LOWEST, false);
}

struct mr_ast_expr *mr_parse_expr_from(struct mr_parser *p, struct mr_ast_expr *first)
{
	return climb_from(p, first, LOWEST, false);
}

const struct mr_ast_expr *mr_parse_b_expr(struct mr_parser *p)
{
	return climb(p, LOWEST, true);
}

// expr_list: a_expr {',' a_expr}
struct mr_ast_exprs mr_parse_exprs(struct mr_parser *p)
{
	struct mr_list list = {0};

	do
		mr_list_expr(p, &list, mr_parse_expr(p));
	while (mr_accept_char(p, ','));
	return mr_list_exprs(list);
}
