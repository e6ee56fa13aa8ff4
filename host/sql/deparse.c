// Expressions, types and names to text. Parentheses stand only where the grammar needs them.
#include "host/sql/deparse_int.h"

#include "host/sql/lex.h"

// ---- Names and strings ----

static bool is_plain_word(const char *name)
{
	if (!(*name >= 'a' && *name <= 'z') && *name != '_')
		return false;
	for (const char *c = name; *c; c++)
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= '0' && *c <= '9') && *c != '_')
			return false;
	return true;
}

static void print_quoted(struct mr_buf *out, const char *text, char quote)
{
	mr_buf_u8(out, (uint8_t)quote);
	for (const char *c = text; *c; c++) {
		if (*c == quote)
			mr_buf_u8(out, (uint8_t)quote);
		mr_buf_u8(out, (uint8_t)*c);
	}
	mr_buf_u8(out, (uint8_t)quote);
}

static void print_word(struct mr_buf *out, const char *name, bool keyword_ok)
{
	enum mr_keyword k = mr_keyword_find(name);

	if (is_plain_word(name) && (k == MR_NO_KEYWORD || keyword_ok))
		mr_buf_str(out, name);
	else
		print_quoted(out, name, '"');
}

void mr_ast_print_ident(struct mr_buf *out, const char *name)
{
	print_word(out, name, mr_keywords[mr_keyword_find(name)].class == MR_KW_UNRESERVED);
}

void mr_print_label(struct mr_buf *out, const char *name)
{
	print_word(out, name, strcmp(name, "default") != 0);
}

void mr_print_string(struct mr_buf *out, const char *text)
{
	print_quoted(out, text, '\'');
}

void mr_print_idents(struct mr_buf *out, struct mr_ast_idents idents)
{
	for (uint32_t i = 0; i < idents.count; i++) {
		mr_buf_str(out, i ? ", " : "");
		mr_ast_print_ident(out, idents.items[i].name);
	}
}

void mr_print_columns(struct mr_buf *out, struct mr_ast_idents idents)
{
	if (idents.count == 0)
		return;
	mr_buf_str(out, " (");
	mr_print_idents(out, idents);
	mr_buf_str(out, ")");
}

static void print_prefix(struct mr_buf *out, const char *name)
{
	if (!name)
		return;
	mr_ast_print_ident(out, name);
	mr_buf_str(out, ".");
}

void mr_print_name(struct mr_buf *out, const struct mr_ast_name *name)
{
	print_prefix(out, name->catalog);
	print_prefix(out, name->schema);
	mr_ast_print_ident(out, name->name);
}

void mr_print_names(struct mr_buf *out, struct mr_ast_names names)
{
	for (uint32_t i = 0; i < names.count; i++) {
		mr_buf_str(out, i ? ", " : "");
		mr_print_name(out, &names.items[i]);
	}
}

void mr_print_function_name(struct mr_buf *out, const char *schema, const char *name)
{
	print_prefix(out, schema);
	print_word(out, name, false);
}

// ---- Types ----

// Types that have a spelling of their own; `mods`: with (n) behind it, `need`: only so.
static const struct {
	const char *name;
	const char *head;
	const char *tail;
	bool mods;
	bool need;
} type_spellings[] = {
	{"bool", "boolean", "", false, false},
	{"int2", "smallint", "", false, false},
	{"int4", "integer", "", false, false},
	{"int8", "bigint", "", false, false},
	{"float4", "real", "", false, false},
	{"float8", "double precision", "", false, false},
	{"numeric", "numeric", "", true, false},
	{"varchar", "character varying", "", true, false},
	{"bpchar", "character", "", true, true},
	{"bit", "bit", "", true, true},
	{"varbit", "bit varying", "", true, false},
	{"time", "time", "", true, false},
	{"timetz", "time", " with time zone", true, false},
	{"timestamp", "timestamp", "", true, false},
	{"timestamptz", "timestamp", " with time zone", true, false},
	{"interval", "interval", "", true, false},
};

static void print_mods(struct mr_buf *out, struct mr_ast_exprs mods)
{
	if (mods.count == 0)
		return;
	mr_buf_str(out, "(");
	mr_print_exprs(out, mods);
	mr_buf_str(out, ")");
}

static bool is_small_int(const struct mr_ast_expr *e)
{
	return e->kind == MR_AST_INT && e->literal.integer >= 0 && e->literal.integer <= INT32_MAX;
}

// What the key word's own grammar takes in its parentheses; else the type is printed quoted.
static bool spelling_fits(const struct mr_ast_type *t, size_t i)
{
	if (t->schema || strcmp(type_spellings[i].name, t->name) != 0)
		return false;
	if (t->mods.count == 0)
		return !type_spellings[i].need;
	if (strcmp(t->name, "numeric") == 0 || strcmp(t->name, "bit") == 0 ||
		strcmp(t->name, "varbit") == 0)
		return true;
	return type_spellings[i].mods && t->mods.count == 1 && is_small_int(t->mods.items[0]);
}

static void print_interval_fields(struct mr_buf *out, uint8_t fields)
{
	static const char *const names[] = {"year", "month", "day", "hour", "minute", "second"};
	int first = __builtin_ctz(fields);
	int last = 31 - __builtin_clz(fields);

	mr_buf_printf(out, " %s", names[first]);
	if (last != first)
		mr_buf_printf(out, " to %s", names[last]);
}

static void print_simple_type(struct mr_buf *out, const struct mr_ast_type *t)
{
	for (size_t i = 0; i < MR_COUNT_OF(type_spellings); i++) {
		if (!spelling_fits(t, i))
			continue;
		mr_buf_str(out, type_spellings[i].head);
		if (t->interval_fields)
			print_interval_fields(out, t->interval_fields);
		print_mods(out, t->mods);
		mr_buf_str(out, type_spellings[i].tail);
		return;
	}
	print_prefix(out, t->schema);
	mr_ast_print_ident(out, t->name);
	print_mods(out, t->mods);
}

void mr_ast_print_type(struct mr_buf *out, const struct mr_ast_type *t)
{
	if (t->setof)
		mr_buf_str(out, "SETOF ");
	print_simple_type(out, t);
	for (int i = 0; i < t->array_dims; i++)
		mr_buf_str(out, "[]");
}

// ---- Expressions ----

// Binding strengths, as in parse_expr.c.
enum {
	ANY,
	OR,
	AND,
	NOT,
	IS,
	COMPARE,
	MATCH,
	OP,
	ADD,
	MUL,
	POWER,
	AT,
	COLLATE,
	SIGN,
	CAST,
	PRIMARY,
};

static int op_strength(const char *op)
{
	static const char *const compares[] = {"<", ">", "=", "<=", ">=", "<>"};

	for (size_t i = 0; i < MR_COUNT_OF(compares); i++)
		if (strcmp(op, compares[i]) == 0)
			return COMPARE;
	if (op[1])
		return OP;
	switch (op[0]) {
	case '+':
	case '-': return ADD;
	case '*':
	case '/':
	case '%': return MUL;
	case '^': return POWER;
	default: return OP;
	}
}

static int operator_strength(const struct mr_ast_expr *e)
{
	if (e->op.schema)
		return OP;
	if (!e->op.left)
		return op_strength(e->op.name) == ADD ? SIGN : OP;
	return op_strength(e->op.name);
}

static int call_strength(const struct mr_ast_call *c)
{
	if (c->syntax == MR_AST_CALL_TIMEZONE)
		return AT;
	return c->syntax == MR_AST_CALL_OVERLAPS ? IS : PRIMARY;
}

static int strength(const struct mr_ast_expr *e)
{
	switch ((enum mr_ast_expr_kind)e->kind) {
	case MR_AST_OR: return OR;
	case MR_AST_AND: return AND;
	case MR_AST_NOT: return NOT;
	case MR_AST_IS:
	case MR_AST_DISTINCT_FROM: return IS;
	case MR_AST_BETWEEN:
	case MR_AST_LIKE:
	case MR_AST_IN: return MATCH;
	case MR_AST_OP: return operator_strength(e);
	case MR_AST_QUANTIFIED: return e->quantified.schema ? OP : op_strength(e->quantified.name);
	case MR_AST_CAST: return CAST;
	case MR_AST_COLLATE: return COLLATE;
	case MR_AST_CALL: return call_strength(e->call);
	case MR_AST_INT:
	case MR_AST_NUMBER: return e->literal.text[0] == '-' ? SIGN : PRIMARY;
	case MR_AST_DEFAULT: return ANY;
	default: return PRIMARY;
	}
}

static void print_expr(struct mr_buf *out, const struct mr_ast_expr *e);

// `e` as an operand that must bind at least as strongly as `least`.
static void print_operand(struct mr_buf *out, const struct mr_ast_expr *e, int least)
{
	bool parens = strength(e) < least;

	mr_buf_str(out, parens ? "(" : "");
	print_expr(out, e);
	mr_buf_str(out, parens ? ")" : "");
}

static void print_parens(struct mr_buf *out, const struct mr_ast_expr *e)
{
	mr_buf_str(out, "(");
	print_expr(out, e);
	mr_buf_str(out, ")");
}

void mr_print_b_expr(struct mr_buf *out, const struct mr_ast_expr *e)
{
	print_operand(out, e, SIGN);
}

void mr_print_exprs(struct mr_buf *out, struct mr_ast_exprs list)
{
	for (uint32_t i = 0; i < list.count; i++) {
		mr_buf_str(out, i ? ", " : "");
		print_expr(out, list.items[i]);
	}
}

static void print_column(struct mr_buf *out, const struct mr_ast_expr *e)
{
	struct mr_ast_idents parts = e->column.parts;

	for (uint32_t i = 0; i < parts.count; i++) {
		mr_buf_str(out, i ? "." : "");
		mr_ast_print_ident(out, parts.items[i].name);
	}
	if (e->column.star)
		mr_buf_str(out, parts.count ? ".*" : "*");
}

static void print_op_name(struct mr_buf *out, const char *schema, const char *name)
{
	if (schema) {
		mr_buf_str(out, "OPERATOR(");
		print_prefix(out, schema);
		mr_buf_printf(out, "%s)", name);
	} else {
		mr_buf_str(out, name);
	}
}

static void print_op(struct mr_buf *out, const struct mr_ast_expr *e)
{
	int s = operator_strength(e);
	bool chain = s != COMPARE; // left-associative

	if (e->op.left) {
		print_operand(out, e->op.left, chain ? s : s + 1);
		mr_buf_str(out, " ");
	}
	print_op_name(out, e->op.schema, e->op.name);
	mr_buf_str(out, " ");
	print_operand(out, e->op.right, e->op.left || s != SIGN ? s + 1 : s);
}

static void print_logic(struct mr_buf *out, const struct mr_ast_expr *e)
{
	int s = strength(e);

	for (uint32_t i = 0; i < e->list.count; i++) {
		if (i)
			mr_buf_str(out, s == OR ? " OR " : " AND ");
		print_operand(out, e->list.items[i], s + 1);
	}
}

static void print_is(struct mr_buf *out, const struct mr_ast_expr *e)
{
	static const char *const tests[] = {"NULL", "TRUE", "FALSE", "UNKNOWN"};

	print_operand(out, e->is.arg, IS + 1);
	mr_buf_printf(out, " IS %s%s", e->negated ? "NOT " : "", tests[e->is.test]);
}

static void print_distinct_from(struct mr_buf *out, const struct mr_ast_expr *e)
{
	print_operand(out, e->op.left, IS + 1);
	mr_buf_printf(out, " IS %sDISTINCT FROM ", e->negated ? "NOT " : "");
	print_operand(out, e->op.right, IS + 1);
}

static void print_between(struct mr_buf *out, const struct mr_ast_expr *e)
{
	print_operand(out, e->between.arg, MATCH + 1);
	mr_buf_printf(out, " %sBETWEEN %s", e->negated ? "NOT " : "",
		e->between.symmetric ? "SYMMETRIC " : "");
	mr_print_b_expr(out, e->between.low);
	mr_buf_str(out, " AND ");
	print_operand(out, e->between.high, MATCH + 1);
}

static void print_like(struct mr_buf *out, const struct mr_ast_expr *e)
{
	static const char *const words[] = {"LIKE", "ILIKE", "SIMILAR TO"};

	print_operand(out, e->like.arg, MATCH + 1);
	mr_buf_printf(out, " %s%s ", e->negated ? "NOT " : "", words[e->like.how]);
	print_operand(out, e->like.pattern, MATCH + 1);
	if (e->like.escape) {
		mr_buf_str(out, " ESCAPE ");
		print_operand(out, e->like.escape, MATCH + 1);
	}
}

static void print_query(struct mr_buf *out, const char *before, const struct mr_ast_select *query)
{
	mr_buf_printf(out, "%s(", before);
	mr_ast_print_select(out, query);
	mr_buf_str(out, ")");
}

static void print_list(
	struct mr_buf *out, const char *open, struct mr_ast_exprs list, const char *close)
{
	mr_buf_str(out, open);
	mr_print_exprs(out, list);
	mr_buf_str(out, close);
}

static void print_in(struct mr_buf *out, const struct mr_ast_expr *e)
{
	print_operand(out, e->in.arg, MATCH + 1);
	mr_buf_str(out, e->negated ? " NOT IN " : " IN ");
	if (e->in.query)
		print_query(out, "", e->in.query);
	else
		print_list(out, "(", e->in.list, ")");
}

static void print_quantified(struct mr_buf *out, const struct mr_ast_expr *e)
{
	print_operand(out, e->quantified.left, strength(e) + 1);
	mr_buf_str(out, " ");
	print_op_name(out, e->quantified.schema, e->quantified.name);
	mr_buf_str(out, e->quantified.all ? " ALL " : " ANY ");
	if (e->quantified.query)
		print_query(out, "", e->quantified.query);
	else
		print_parens(out, e->quantified.array);
}

static void print_case(struct mr_buf *out, const struct mr_ast_expr *e)
{
	mr_buf_str(out, "CASE");
	if (e->case_.arg) {
		mr_buf_str(out, " ");
		print_expr(out, e->case_.arg);
	}
	for (uint32_t i = 0; i < e->case_.whens_count; i++) {
		mr_buf_str(out, " WHEN ");
		print_expr(out, e->case_.whens[i].when);
		mr_buf_str(out, " THEN ");
		print_expr(out, e->case_.whens[i].then);
	}
	if (e->case_.otherwise) {
		mr_buf_str(out, " ELSE ");
		print_expr(out, e->case_.otherwise);
	}
	mr_buf_str(out, " END");
}

static void print_cast(struct mr_buf *out, const struct mr_ast_expr *e)
{
	print_operand(out, e->cast.arg, CAST);
	mr_buf_str(out, "::");
	mr_ast_print_type(out, e->cast.type);
}

static void print_collate(struct mr_buf *out, const struct mr_ast_expr *e)
{
	print_operand(out, e->collate.arg, COLLATE);
	mr_buf_str(out, " COLLATE ");
	print_prefix(out, e->collate.schema);
	mr_ast_print_ident(out, e->collate.name);
}

// Fields and subscripts may stand bare behind these; anything else goes into parentheses.
static void print_container(struct mr_buf *out, const struct mr_ast_expr *arg, bool column_ok)
{
	bool bare = arg->kind == MR_AST_SUBSCRIPT || arg->kind == MR_AST_PARAM ||
		    (arg->kind == MR_AST_FIELD && arg->field.name) ||
		    (arg->kind == MR_AST_COLUMN && column_ok && !arg->column.star);

	if (bare)
		print_expr(out, arg);
	else
		print_parens(out, arg);
}

static void print_subscript(struct mr_buf *out, const struct mr_ast_expr *e)
{
	print_container(out, e->subscript.arg, true);
	mr_buf_str(out, "[");
	if (e->subscript.low)
		print_expr(out, e->subscript.low);
	mr_buf_str(out, e->subscript.slice ? ":" : "");
	if (e->subscript.high)
		print_expr(out, e->subscript.high);
	mr_buf_str(out, "]");
}

static void print_field(struct mr_buf *out, const struct mr_ast_expr *e)
{
	print_container(out, e->field.arg, false);
	mr_buf_str(out, ".");
	if (e->field.name)
		mr_ast_print_ident(out, e->field.name);
	else
		mr_buf_str(out, "*");
}

static void print_grouping(struct mr_buf *out, const struct mr_ast_expr *e)
{
	static const char *const opens[] = {"(", "ROLLUP (", "CUBE (", "GROUPING SETS ("};

	print_list(out, opens[e->grouping.kind], e->grouping.list, ")");
}

// ---- Calls ----

// Two arguments with a word between them: EXTRACT(a FROM b).
static void print_args_with(
	struct mr_buf *out, const char *open, const struct mr_ast_call *c, const char *const *words)
{
	mr_buf_str(out, open);
	for (uint32_t i = 0; i < c->args_count; i++) {
		mr_buf_str(out, i ? words[i - 1] : "");
		print_expr(out, c->args[i].value);
	}
	mr_buf_str(out, ")");
}

static void print_trim(struct mr_buf *out, const struct mr_ast_call *c)
{
	const char *side = c->name[0] == 'b' ? "BOTH" : c->name[0] == 'l' ? "LEADING" : "TRAILING";
	static const char *const commas[] = {", "};

	// TRIM(BOTH FROM a, b) takes more arguments than the form with characters before FROM.
	mr_buf_printf(out, "TRIM(%s FROM ", side);
	for (uint32_t i = 0; i < c->args_count; i++) {
		mr_buf_str(out, i ? commas[0] : "");
		print_expr(out, c->args[i].value);
	}
	mr_buf_str(out, ")");
}

static void print_overlaps(struct mr_buf *out, const struct mr_ast_call *c)
{
	static const char *const words[] = {", ", ") OVERLAPS ROW(", ", "};

	print_args_with(out, "ROW(", c, words);
}

static void print_value_function(struct mr_buf *out, const struct mr_ast_call *c)
{
	static const char *const none[] = {""};

	for (const char *s = c->name; *s; s++)
		mr_buf_u8(out, (uint8_t)(*s == '_' ? '_' : *s & ~0x20));
	if (c->args_count)
		print_args_with(out, "(", c, none);
}

static void print_args(struct mr_buf *out, const struct mr_ast_call *c)
{
	if (c->distinct)
		mr_buf_str(out, "DISTINCT ");
	if (c->star)
		mr_buf_str(out, "*");
	for (uint32_t i = 0; i < c->args_count; i++) {
		mr_buf_str(out, i ? ", " : "");
		if (c->variadic && i + 1 == c->args_count)
			mr_buf_str(out, "VARIADIC ");
		if (c->args[i].name) {
			print_word(out, c->args[i].name, false);
			mr_buf_str(out, " => ");
		}
		print_expr(out, c->args[i].value);
	}
	if (c->order_by.count && !c->within_group) {
		mr_buf_str(out, " ORDER BY ");
		mr_print_sorts(out, c->order_by);
	}
}

static void print_plain_call(struct mr_buf *out, const struct mr_ast_call *c)
{
	if (c->syntax == MR_AST_CALL_KEYWORD)
		mr_buf_str(out, c->name);
	else
		mr_print_function_name(out, c->schema, c->name);
	mr_buf_str(out, "(");
	print_args(out, c);
	mr_buf_str(out, ")");
	if (c->within_group) {
		mr_buf_str(out, " WITHIN GROUP (ORDER BY ");
		mr_print_sorts(out, c->order_by);
		mr_buf_str(out, ")");
	}
	if (c->filter) {
		mr_buf_str(out, " FILTER (WHERE ");
		print_expr(out, c->filter);
		mr_buf_str(out, ")");
	}
	if (!c->over)
		return;
	mr_buf_str(out, " OVER ");
	if (c->over->by_name)
		mr_ast_print_ident(out, c->over->name);
	else
		mr_print_window(out, c->over);
}

static void print_call(struct mr_buf *out, const struct mr_ast_call *c)
{
	static const char *const extract[] = {" FROM "};
	static const char *const substring[] = {" FROM ", " FOR "};
	static const char *const similar[] = {" SIMILAR ", " ESCAPE "};
	static const char *const overlay[] = {" PLACING ", " FROM ", " FOR "};

	switch ((enum mr_ast_syntax)c->syntax) {
	case MR_AST_CALL_PLAIN:
	case MR_AST_CALL_KEYWORD: print_plain_call(out, c); break;
	case MR_AST_CALL_VALUE: print_value_function(out, c); break;
	case MR_AST_CALL_TIMEZONE:
		print_operand(out, c->args[1].value, AT);
		mr_buf_str(out, " AT TIME ZONE ");
		print_operand(out, c->args[0].value, AT + 1);
		break;
	case MR_AST_CALL_EXTRACT: print_args_with(out, "EXTRACT(", c, extract); break;
	case MR_AST_CALL_SUBSTRING: print_args_with(out, "SUBSTRING(", c, substring); break;
	case MR_AST_CALL_SIMILAR: print_args_with(out, "SUBSTRING(", c, similar); break;
	case MR_AST_CALL_OVERLAY: print_args_with(out, "OVERLAY(", c, overlay); break;
	case MR_AST_CALL_POSITION:
		mr_buf_str(out, "POSITION(");
		mr_print_b_expr(out, c->args[1].value);
		mr_buf_str(out, " IN ");
		mr_print_b_expr(out, c->args[0].value);
		mr_buf_str(out, ")");
		break;
	case MR_AST_CALL_TRIM: print_trim(out, c); break;
	case MR_AST_CALL_OVERLAPS: print_overlaps(out, c); break;
	}
}

static void print_expr(struct mr_buf *out, const struct mr_ast_expr *e)
{
	switch ((enum mr_ast_expr_kind)e->kind) {
	case MR_AST_NULL: mr_buf_str(out, "NULL"); break;
	case MR_AST_BOOL: mr_buf_str(out, e->literal.boolean ? "TRUE" : "FALSE"); break;
	case MR_AST_INT:
	case MR_AST_NUMBER: mr_buf_str(out, e->literal.text); break;
	case MR_AST_STRING: mr_print_string(out, e->literal.text); break;
	case MR_AST_PARAM: mr_buf_printf(out, "$%d", e->param); break;
	case MR_AST_COLUMN: print_column(out, e); break;
	case MR_AST_OP: print_op(out, e); break;
	case MR_AST_AND:
	case MR_AST_OR: print_logic(out, e); break;
	case MR_AST_NOT:
		mr_buf_str(out, "NOT ");
		print_operand(out, e->arg, NOT);
		break;
	case MR_AST_IS: print_is(out, e); break;
	case MR_AST_DISTINCT_FROM: print_distinct_from(out, e); break;
	case MR_AST_BETWEEN: print_between(out, e); break;
	case MR_AST_LIKE: print_like(out, e); break;
	case MR_AST_IN: print_in(out, e); break;
	case MR_AST_QUANTIFIED: print_quantified(out, e); break;
	case MR_AST_EXISTS: print_query(out, "EXISTS ", e->query); break;
	case MR_AST_SUBQUERY: print_query(out, "", e->query); break;
	case MR_AST_ARRAY_QUERY: print_query(out, "ARRAY", e->query); break;
	case MR_AST_ARRAY: print_list(out, "ARRAY[", e->list, "]"); break;
	case MR_AST_ROW: print_list(out, e->implicit ? "(" : "ROW(", e->list, ")"); break;
	case MR_AST_CASE: print_case(out, e); break;
	case MR_AST_CAST: print_cast(out, e); break;
	case MR_AST_COLLATE: print_collate(out, e); break;
	case MR_AST_CALL: print_call(out, e->call); break;
	case MR_AST_SUBSCRIPT: print_subscript(out, e); break;
	case MR_AST_FIELD: print_field(out, e); break;
	case MR_AST_DEFAULT: mr_buf_str(out, "DEFAULT"); break;
	case MR_AST_GROUPING_SETS: print_grouping(out, e); break;
	}
}

void mr_ast_print_expr(struct mr_buf *out, const struct mr_ast_expr *e)
{
	print_expr(out, e);
}
