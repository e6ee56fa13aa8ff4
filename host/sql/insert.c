// INSERT: a query or rows of values, coerced to the table's columns and handed to the environment.
#include "host/sql/session_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int find_column(const struct mr_relation *r, struct mr_span name)
{
	for (uint32_t i = 0; i < r->columns_count; i++)
		if (!r->columns[i].hidden && mr_span_eq(r->columns[i].name, name))
			return (int)i;
	return -1;
}

static int choose_columns(struct mr_statement *st, const struct mr_relation *r)
{
	const struct mr_ast_idents *names = &st->ast->insert.columns;

	st->target_columns = mr_arena_zalloc(
		&st->arena, r->columns_count + 1 + names->count, sizeof(*st->target_columns));
	if (!st->target_columns)
		return mr_bind_no_memory(&st->bind);
	for (uint32_t i = 0; i < names->count; i++) {
		int at = find_column(r, mr_span_str(names->items[i].name));

		if (at < 0)
			return mr_bind_error(&st->bind, names->items[i].pos, "42703",
				"column \"%s\" of relation \"%.*s\" does not exist",
				names->items[i].name, (int)r->name.bytes,
				(const char *)r->name.data);
		for (uint32_t k = 0; k < i; k++)
			if (st->target_columns[k] == (uint32_t)at)
				return mr_bind_error(&st->bind, names->items[i].pos, "42701",
					"column \"%s\" specified more than once",
					names->items[i].name);
		st->target_columns[st->target_columns_count++] = (uint32_t)at;
	}
	for (uint32_t i = 0; names->count == 0 && i < r->columns_count; i++)
		if (!r->columns[i].hidden)
			st->target_columns[st->target_columns_count++] = i;
	return 0;
}

static int too_many(struct mr_statement *st, int pos)
{
	return mr_bind_error(
		&st->bind, pos, "42601", "INSERT has more expressions than target columns");
}

static int too_few(struct mr_statement *st, int pos)
{
	return mr_bind_error(
		&st->bind, pos, "42601", "INSERT has more target columns than expressions");
}

// Gives an expression the type of its column.
static int to_column(struct mr_statement *st, uint32_t i, struct mr_expr *e, struct mr_expr **out)
{
	const struct mr_relation_column *c = &st->target->columns[st->target_columns[i]];
	struct mr_bind *b = &st->bind;
	enum mr_coerce how = MR_COERCE_ASSIGN;

	if (e->kind == MR_EXPR_CONST && e->type.type == MR_TYPE_TEXT)
		how = MR_COERCE_EXPLICIT;
	if (e->type.type == MR_TYPE_NULL ||
		mr_fn_cast_find((enum mr_type)e->type.type, (enum mr_type)c->type.type) ||
		e->type.type == c->type.type)
		if (mr_bind_coerce(b, e, c->type, how, out) == 0)
			return 0;
	if (b->diag->sqlstate[0] && strcmp(b->diag->sqlstate, "42846") != 0)
		return -EINVAL;
	mr_bind_error(b, e->position, "42804",
		"column \"%.*s\" is of type %s but expression is of type %s", (int)c->name.bytes,
		(const char *)c->name.data, mr_type_info((enum mr_type)c->type.type)->name,
		mr_type_info((enum mr_type)e->type.type)->name);
	mr_diag_hint(b->diag, "You will need to rewrite or cast the expression.");
	return -EINVAL;
}

static int null_value(struct mr_bind *b, int pos, struct mr_expr **out)
{
	*out = mr_bind_new(b, MR_EXPR_CONST, MR_TYPE_NULL, 0, pos);
	if (!*out)
		return mr_bind_no_memory(b);
	(*out)->null = true;
	return 0;
}

static int bind_rows(struct mr_statement *st, const struct mr_ast_select *q)
{
	struct mr_bind *b = &st->bind;
	struct mr_plan *p = mr_bind_plan(b, MR_PLAN_VALUES, NULL);
	uint32_t width = q->rows[0].count;

	if (!p)
		return mr_bind_no_memory(b);
	if (width > st->target_columns_count)
		return too_many(st, q->rows[0].items[st->target_columns_count]->pos);
	if (width < st->target_columns_count && st->ast->insert.columns.count)
		return too_few(st, st->ast->insert.columns.items[width].pos);
	st->target_columns_count = width;
	p->exprs_count = q->rows_count * width;
	p->exprs = mr_arena_zalloc(b->arena, p->exprs_count + 1, sizeof(*p->exprs));
	if (!p->exprs)
		return mr_bind_no_memory(b);
	for (uint32_t k = 0; k < p->exprs_count; k++) {
		const struct mr_ast_exprs *row = &q->rows[k / width];
		const struct mr_ast_expr *ast;
		int rc;

		if (row->count != width)
			return mr_bind_error(b, row->items[0]->pos, "42601",
				"VALUES lists must all be the same length");
		ast = row->items[k % width];
		rc = ast->kind == MR_AST_DEFAULT ? null_value(b, ast->pos, &p->exprs[k])
						 : mr_bind_value(b, ast, &p->exprs[k]);
		rc = rc < 0 ? rc : to_column(st, k % width, p->exprs[k], &p->exprs[k]);
		if (rc < 0)
			return rc;
	}
	for (uint32_t i = 0; i < width; i++)
		if (mr_plan_add_column(b, p,
			    (struct mr_plan_column){
				    .type = st->target->columns[st->target_columns[i]].type}) < 0)
			return -ENOMEM;
	st->plan.root = p;
	return 0;
}

static int bind_query(struct mr_statement *st, const struct mr_ast_select *q)
{
	struct mr_bind *b = &st->bind;
	int rc = mr_bind_query(b, q, &st->plan);
	uint32_t width = st->plan.columns_count;
	struct mr_plan *p;

	if (rc < 0)
		return rc;
	if (width > st->target_columns_count)
		return too_many(st, q->pos);
	if (width < st->target_columns_count && st->ast->insert.columns.count)
		return too_few(st, st->ast->insert.columns.items[width].pos);
	st->target_columns_count = width;
	p = mr_bind_plan(b, MR_PLAN_PROJECT, st->plan.root);
	if (!p)
		return mr_bind_no_memory(b);
	p->exprs = mr_arena_zalloc(b->arena, width + 1, sizeof(*p->exprs));
	if (!p->exprs)
		return mr_bind_no_memory(b);
	p->exprs_count = width;
	for (uint32_t i = 0; i < width; i++) {
		struct mr_expr *e = mr_bind_new(b, MR_EXPR_COLUMN, 0, 0, q->pos);
		bool literal = st->plan.root->kind == MR_PLAN_PROJECT &&
			       st->plan.root->exprs[i]->kind == MR_EXPR_CONST;

		if (!e)
			return mr_bind_no_memory(b);
		e->type = st->plan.root->columns[i].type;
		e->index = i;
		rc = to_column(st, i, literal ? st->plan.root->exprs[i] : e, &p->exprs[i]);
		if (rc >= 0)
			rc = mr_plan_add_column(
				b, p, (struct mr_plan_column){.type = p->exprs[i]->type});
		if (rc < 0)
			return rc;
	}
	st->plan.root = p;
	return 0;
}

static bool is_plain_values(const struct mr_ast_select *q)
{
	return q->kind == MR_AST_VALUES && !q->order_by.count && !q->limit && !q->offset &&
	       !q->with;
}

int mr_insert_prepare(struct mr_statement *st)
{
	const struct mr_ast_stmt *a = st->ast;
	struct mr_bind *b = &st->bind;
	const char *schema = a->insert.table.schema;
	int rc;

	if (a->insert.with || a->insert.returning.count || !a->insert.query)
		return mr_bind_unsupported(b, a->pos, "%s",
			a->insert.with              ? "WITH before INSERT"
			: a->insert.returning.count ? "RETURNING"
						    : "DEFAULT VALUES");
	b->relations = mr_arena_zalloc(&st->arena, 4, sizeof(*b->relations));
	if (!b->relations)
		return mr_bind_no_memory(b);
	b->relations_max = 4;
	st->target = st->env->ops->relation_get(
		st->env, mr_span_str(schema ? schema : ""), mr_span_str(a->insert.table.name));
	if (!st->target) {
		mr_bind_error(b, a->insert.table.pos, "42P01", "relation \"%s\" does not exist",
			a->insert.table.name);
		if (st->env->ops->relation_hint)
			st->env->ops->relation_hint(
				st->env, mr_span_str(a->insert.table.name), b->diag);
		return -ENOENT;
	}
	b->relations[b->relations_count++] = st->target;
	if (st->target->kind != MR_RELATION_TABLE)
		return mr_bind_error(b, a->insert.table.pos, "42809",
			"cannot insert into \"%s\": it is not a table", a->insert.table.name);
	rc = choose_columns(st, st->target);
	if (rc >= 0)
		rc = is_plain_values(a->insert.query) ? bind_rows(st, a->insert.query)
						      : bind_query(st, a->insert.query);
	st->plan.columns_count = st->target_columns_count;
	st->plan.subqueries = b->subqueries;
	st->plan.subqueries_count = b->subqueries_count;
	st->plan.memos_count = b->memos_count;
	st->has_plan = rc >= 0;
	return rc;
}

static int not_null(
	const struct mr_statement *st, const struct mr_block *rows, struct mr_diag *diag)
{
	const struct mr_relation *r = st->target;

	for (uint32_t c = 0; c < r->columns_count; c++) {
		uint32_t at = 0;
		bool null = rows->rows > 0;

		if (!r->columns[c].not_null || r->columns[c].hidden)
			continue;
		while (at < st->target_columns_count && st->target_columns[at] != c)
			at++;
		if (at < st->target_columns_count) {
			null = false;
			for (uint32_t i = 0; i < rows->rows && !null; i++)
				null = mr_col_is_null(&rows->columns[at], i);
		}
		if (null)
			return mr_diag_set(diag, -EINVAL, "23502", 0,
				"null value in column \"%.*s\" of relation \"%.*s\" violates "
				"not-null constraint",
				(int)r->columns[c].name.bytes,
				(const char *)r->columns[c].name.data, (int)r->name.bytes,
				(const char *)r->name.data);
	}
	return 0;
}

int mr_insert_run(struct mr_cursor *c, struct mr_diag *diag)
{
	struct mr_statement *st = c->statement;
	struct mr_eval ev = {.query = &c->query, .arena = &c->scratch, .diag = diag};
	struct mr_block block;
	int rc = mr_cursor_start(c, diag);

	while (rc >= 0 && (rc = mr_run_next(&c->run, &c->batch)) == 1) {
		if (c->batch.n == 0)
			continue;
		mr_arena_reset(&c->scratch);
		ev.rows = c->batch.rows;
		rc = mr_batch_block(
			&ev, &c->batch, 0, c->batch.n, st->target_columns_count, &block);
		rc = rc < 0 ? rc : not_null(st, &block, diag);
		if (rc >= 0)
			rc = st->env->ops->insert(st->env, st->target, st->target_columns,
				st->target_columns_count, &block, diag);
		if (rc >= 0)
			c->rows += block.rows;
	}
	snprintf(c->tag, sizeof(c->tag), "INSERT 0 %llu", (unsigned long long)c->rows);
	return rc < 0 ? rc : 0;
}
