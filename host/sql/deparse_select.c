// Queries to text, and the names of result columns.
#include "host/sql/deparse_int.h"

// ---- ORDER BY and windows ----

void mr_print_sorts(struct mr_buf *out, struct mr_ast_sorts sorts)
{
	static const char *const nulls[] = {"", " NULLS FIRST", " NULLS LAST"};

	for (uint32_t i = 0; i < sorts.count; i++) {
		const struct mr_ast_sort *s = &sorts.items[i];

		mr_buf_str(out, i ? ", " : "");
		mr_ast_print_expr(out, s->expr);
		if (s->using_op)
			mr_buf_printf(out, " USING %s", s->using_op);
		mr_buf_printf(out, "%s%s", s->desc ? " DESC" : "", nulls[s->nulls]);
	}
}

static void print_bound(struct mr_buf *out, const struct mr_ast_bound *b)
{
	static const char *const words[] = {"UNBOUNDED PRECEDING", " PRECEDING", "CURRENT ROW",
		" FOLLOWING", "UNBOUNDED FOLLOWING"};

	// A column may be called unbounded: parentheses keep it one.
	if (b->offset) {
		bool column = b->offset->kind == MR_AST_COLUMN;

		mr_buf_str(out, column ? "(" : "");
		mr_ast_print_expr(out, b->offset);
		mr_buf_str(out, column ? ")" : "");
	}
	mr_buf_str(out, words[b->kind]);
}

static void print_frame(struct mr_buf *out, const struct mr_ast_window *w)
{
	static const char *const units[] = {"", "ROWS ", "RANGE ", "GROUPS "};
	static const char *const excludes[] = {
		"", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES"};

	mr_buf_str(out, units[w->frame]);
	if (w->between)
		mr_buf_str(out, "BETWEEN ");
	print_bound(out, &w->start);
	if (w->between) {
		mr_buf_str(out, " AND ");
		print_bound(out, &w->end);
	}
	mr_buf_str(out, excludes[w->exclude]);
}

void mr_print_window(struct mr_buf *out, const struct mr_ast_window *w)
{
	const char *space = "";

	mr_buf_str(out, "(");
	if (w->base) {
		mr_print_function_name(out, NULL, w->base);
		space = " ";
	}
	if (w->partition_by.count) {
		mr_buf_printf(out, "%sPARTITION BY ", space);
		mr_print_exprs(out, w->partition_by);
		space = " ";
	}
	if (w->order_by.count) {
		mr_buf_printf(out, "%sORDER BY ", space);
		mr_print_sorts(out, w->order_by);
		space = " ";
	}
	if (w->frame != MR_AST_FRAME_NONE) {
		mr_buf_str(out, space);
		print_frame(out, w);
	}
	mr_buf_str(out, ")");
}

// ---- FROM ----

static void print_column_defs(struct mr_buf *out, struct mr_ast_column_defs defs)
{
	mr_buf_str(out, "(");
	for (uint32_t i = 0; i < defs.count; i++) {
		mr_buf_str(out, i ? ", " : "");
		mr_ast_print_ident(out, defs.items[i].name);
		mr_buf_str(out, " ");
		mr_ast_print_type(out, defs.items[i].type);
	}
	mr_buf_str(out, ")");
}

static void print_alias(struct mr_buf *out, const struct mr_ast_from *f)
{
	if (!f->alias && f->column_defs.count == 0)
		return;
	mr_buf_str(out, " AS ");
	if (f->alias)
		mr_ast_print_ident(out, f->alias);
	mr_print_columns(out, f->alias_columns);
	if (f->column_defs.count)
		print_column_defs(out, f->column_defs);
}

static void print_functions(struct mr_buf *out, const struct mr_ast_from *f)
{
	if (f->rows_from)
		mr_buf_str(out, "ROWS FROM (");
	for (uint32_t i = 0; i < f->functions.count; i++) {
		const struct mr_ast_expr *e = f->functions.items[i];

		mr_buf_str(out, i ? ", " : "");
		// A cast here can only be written in its long form.
		if (e->kind == MR_AST_CAST) {
			mr_buf_str(out, "CAST(");
			mr_ast_print_expr(out, e->cast.arg);
			mr_buf_str(out, " AS ");
			mr_ast_print_type(out, e->cast.type);
			mr_buf_str(out, ")");
		} else {
			mr_ast_print_expr(out, e);
		}
	}
	mr_buf_str(out, f->rows_from ? ")" : "");
	mr_buf_str(out, f->with_ordinality ? " WITH ORDINALITY" : "");
}

static void print_join_side(struct mr_buf *out, const struct mr_ast_from *f, bool parens)
{
	parens = parens && f->kind == MR_AST_FROM_JOIN && !f->alias;
	mr_buf_str(out, parens ? "(" : "");
	mr_print_from(out, f);
	mr_buf_str(out, parens ? ")" : "");
}

static void print_join(struct mr_buf *out, const struct mr_ast_from *f)
{
	static const char *const words[] = {
		"JOIN ", "LEFT JOIN ", "RIGHT JOIN ", "FULL JOIN ", "CROSS JOIN "};

	print_join_side(out, f->join.left, false);
	mr_buf_printf(out, " %s%s", f->join.natural ? "NATURAL " : "", words[f->join.kind]);
	print_join_side(out, f->join.right, true);
	if (f->join.on) {
		mr_buf_str(out, " ON ");
		mr_ast_print_expr(out, f->join.on);
	}
	if (f->join.using.count == 0)
		return;
	mr_buf_str(out, " USING");
	mr_print_columns(out, f->join.using);
	if (f->join.using_alias) {
		mr_buf_str(out, " AS ");
		mr_ast_print_ident(out, f->join.using_alias);
	}
}

void mr_print_from(struct mr_buf *out, const struct mr_ast_from *f)
{
	bool parens = f->kind == MR_AST_FROM_JOIN && f->alias;

	if (f->lateral)
		mr_buf_str(out, "LATERAL ");
	switch ((enum mr_ast_from_kind)f->kind) {
	case MR_AST_FROM_RELATION:
		mr_buf_str(out, f->only ? "ONLY " : "");
		mr_print_name(out, &f->name);
		break;
	case MR_AST_FROM_SUBQUERY:
		mr_buf_str(out, "(");
		mr_ast_print_select(out, f->query);
		mr_buf_str(out, ")");
		break;
	case MR_AST_FROM_FUNCTION: print_functions(out, f); break;
	case MR_AST_FROM_JOIN:
		mr_buf_str(out, parens ? "(" : "");
		print_join(out, f);
		mr_buf_str(out, parens ? ")" : "");
		break;
	}
	print_alias(out, f);
}

// ---- SELECT ----

void mr_print_targets(struct mr_buf *out, struct mr_ast_targets targets)
{
	for (uint32_t i = 0; i < targets.count; i++) {
		mr_buf_str(out, i ? ", " : "");
		mr_ast_print_expr(out, targets.items[i].expr);
		if (targets.items[i].alias) {
			mr_buf_str(out, " AS ");
			mr_ast_print_ident(out, targets.items[i].alias);
		}
	}
}

static void print_clause(struct mr_buf *out, const char *word, const struct mr_ast_expr *e)
{
	if (!e)
		return;
	mr_buf_str(out, word);
	mr_ast_print_expr(out, e);
}

static void print_select_list(struct mr_buf *out, const struct mr_ast_select *s)
{
	mr_buf_str(out, "SELECT");
	if (s->distinct)
		mr_buf_str(out, " DISTINCT");
	if (s->distinct_on.count) {
		mr_buf_str(out, " ON (");
		mr_print_exprs(out, s->distinct_on);
		mr_buf_str(out, ")");
	}
	if (s->targets.count) {
		mr_buf_str(out, " ");
		mr_print_targets(out, s->targets);
	}
}

static void print_windows(struct mr_buf *out, const struct mr_ast_select *s)
{
	for (uint32_t i = 0; i < s->windows_count; i++) {
		mr_buf_str(out, i ? ", " : " WINDOW ");
		mr_ast_print_ident(out, s->windows[i].name);
		mr_buf_str(out, " AS ");
		mr_print_window(out, &s->windows[i]);
	}
}

static void print_simple(struct mr_buf *out, const struct mr_ast_select *s)
{
	print_select_list(out, s);
	for (uint32_t i = 0; i < s->from_count; i++) {
		mr_buf_str(out, i ? ", " : " FROM ");
		mr_print_from(out, s->from[i]);
	}
	print_clause(out, " WHERE ", s->where);
	if (s->group_by.count) {
		mr_buf_str(out, s->group_distinct ? " GROUP BY DISTINCT " : " GROUP BY ");
		mr_print_exprs(out, s->group_by);
	}
	print_clause(out, " HAVING ", s->having);
	print_windows(out, s);
}

static void print_values(struct mr_buf *out, const struct mr_ast_select *s)
{
	for (uint32_t i = 0; i < s->rows_count; i++) {
		mr_buf_str(out, i ? ", (" : "VALUES (");
		mr_print_exprs(out, s->rows[i]);
		mr_buf_str(out, ")");
	}
}

static bool is_set_operation(const struct mr_ast_select *s)
{
	return s->kind == MR_AST_UNION || s->kind == MR_AST_INTERSECT || s->kind == MR_AST_EXCEPT;
}

static bool has_tail(const struct mr_ast_select *s)
{
	return s->with || s->order_by.count || s->limit || s->offset;
}

static void print_side(struct mr_buf *out, const struct mr_ast_select *s, bool parens)
{
	parens = parens || has_tail(s);
	mr_buf_str(out, parens ? "(" : "");
	mr_ast_print_select(out, s);
	mr_buf_str(out, parens ? ")" : "");
}

static void print_set_operation(struct mr_buf *out, const struct mr_ast_select *s)
{
	static const char *const words[] = {
		[MR_AST_UNION] = " UNION ",
		[MR_AST_INTERSECT] = " INTERSECT ",
		[MR_AST_EXCEPT] = " EXCEPT ",
	};
	bool intersect = s->kind == MR_AST_INTERSECT;

	print_side(out, s->left,
		intersect && is_set_operation(s->left) && s->left->kind != MR_AST_INTERSECT);
	mr_buf_str(out, words[s->kind]);
	mr_buf_str(out, s->all ? "ALL " : "");
	print_side(out, s->right,
		is_set_operation(s->right) && (intersect || s->right->kind != MR_AST_INTERSECT));
}

void mr_print_with(struct mr_buf *out, const struct mr_ast_with *with)
{
	static const char *const hints[] = {"", "MATERIALIZED ", "NOT MATERIALIZED "};

	if (!with)
		return;
	mr_buf_str(out, with->recursive ? "WITH RECURSIVE " : "WITH ");
	for (uint32_t i = 0; i < with->count; i++) {
		const struct mr_ast_cte *c = &with->items[i];

		mr_buf_str(out, i ? ", " : "");
		mr_ast_print_ident(out, c->name);
		mr_print_columns(out, c->columns);
		mr_buf_printf(out, " AS %s(", hints[c->materialized]);
		mr_ast_print_stmt(out, c->stmt);
		mr_buf_str(out, ")");
	}
	mr_buf_str(out, " ");
}

static void print_limit(struct mr_buf *out, const struct mr_ast_select *s)
{
	if (!s->limit_with_ties)
		print_clause(out, " LIMIT ", s->limit);
	print_clause(out, " OFFSET ", s->offset);
	if (!s->limit_with_ties)
		return;
	mr_buf_str(out, " FETCH FIRST (");
	mr_ast_print_expr(out, s->limit);
	mr_buf_str(out, ") ROWS WITH TIES");
}

void mr_ast_print_select(struct mr_buf *out, const struct mr_ast_select *s)
{
	mr_print_with(out, s->with);
	if (s->kind == MR_AST_SELECT)
		print_simple(out, s);
	else if (s->kind == MR_AST_VALUES)
		print_values(out, s);
	else
		print_set_operation(out, s);
	if (s->order_by.count) {
		mr_buf_str(out, " ORDER BY ");
		mr_print_sorts(out, s->order_by);
	}
	print_limit(out, s);
}

// ---- Column names ----

// PostgreSQL's FigureColname: how good a name is decides whether a cast or CASE around replaces it.
enum { NAMELESS, WEAK, GOOD };

static int figure_name(const struct mr_ast_expr *e, const char **name);

static int figure(const char *text, const char **name)
{
	*name = text;
	return GOOD;
}

static int figure_query(const struct mr_ast_select *s, const char **name)
{
	while (s->left)
		s = s->left;
	if (s->targets.count == 0)
		return NAMELESS;
	if (s->targets.items[0].alias)
		return figure(s->targets.items[0].alias, name);
	return figure_name(s->targets.items[0].expr, name);
}

static int figure_column(const struct mr_ast_expr *e, const char **name)
{
	uint32_t n = e->column.parts.count;

	if (n == 0 || e->column.star)
		return NAMELESS;
	return figure(e->column.parts.items[n - 1].name, name);
}

// `fallback` if what is inside has no good name of its own.
static int figure_inside(const struct mr_ast_expr *e, const char *fallback, const char **name)
{
	int s = e ? figure_name(e, name) : NAMELESS;

	if (s > WEAK)
		return s;
	*name = fallback;
	return WEAK;
}

static int figure_name(const struct mr_ast_expr *e, const char **name)
{
	switch ((enum mr_ast_expr_kind)e->kind) {
	case MR_AST_COLUMN: return figure_column(e, name);
	case MR_AST_CALL: return figure(e->call->name, name);
	case MR_AST_CAST: return figure_inside(e->cast.arg, e->cast.type->name, name);
	case MR_AST_CASE: return figure_inside(e->case_.otherwise, "case", name);
	case MR_AST_BOOL: return figure_inside(NULL, "bool", name);
	case MR_AST_COLLATE: return figure_name(e->collate.arg, name);
	case MR_AST_FIELD: return e->field.name ? figure(e->field.name, name) : NAMELESS;
	case MR_AST_SUBSCRIPT: return figure_name(e->subscript.arg, name);
	case MR_AST_SUBQUERY: return figure_query(e->query, name);
	case MR_AST_EXISTS: return figure("exists", name);
	case MR_AST_ARRAY:
	case MR_AST_ARRAY_QUERY: return figure("array", name);
	case MR_AST_ROW: return figure("row", name);
	default: return NAMELESS;
	}
}

const char *mr_ast_column_name(const struct mr_ast_expr *e)
{
	const char *name = NULL;

	return figure_name(e, &name) == NAMELESS ? "?column?" : name;
}
