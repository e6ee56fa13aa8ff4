// Binding of FROM: relations, subqueries, windows, joins.
#include "host/sql/bind.h"
#include "host/sql/pgcatalog.h"

#include <string.h>

// ---- Columns, on demand ----

static int find_or_add(struct mr_bind *b, struct mr_plan *p, uint32_t source, bool right,
	const struct mr_plan_column *like)
{
	struct mr_plan_column c = *like;

	for (uint32_t i = 0; i < p->columns_count; i++)
		if (p->columns[i].source == source && p->columns[i].right == right)
			return (int)i;
	c.source = source;
	c.right = right;
	return mr_plan_add_column(b, p, c);
}

// The column of a leaf of FROM, by what the scope calls it.
static int leaf_column(struct mr_bind *b, struct mr_plan *p, const struct mr_plan_column *c)
{
	int at;

	if (p->kind == MR_PLAN_SCAN)
		return find_or_add(b, p, c->source, false, c);
	if (p->kind != MR_PLAN_WINDOW)
		return (int)c->source;
	if (c->source >= MR_PLAN_WINDOW_END)
		return find_or_add(b, p, c->source, false, c);
	at = leaf_column(b, p->child, c);
	return at < 0 ? at : find_or_add(b, p, (uint32_t)at, false, c);
}

int mr_bind_column_of(
	struct mr_bind *b, struct mr_scope *s, struct mr_scope_rel *rel, uint32_t column)
{
	const struct mr_plan_column *c = &rel->columns[column];
	struct mr_plan *p = rel->plan;
	int at = leaf_column(b, p, c);

	for (; at >= 0 && p != s->root; p = p->up)
		if (p->up->kind == MR_PLAN_JOIN)
			at = find_or_add(b, p->up, (uint32_t)at, p->is_right, c);
	return at;
}

static struct mr_scope_rel *add_rel(struct mr_bind *b, struct mr_scope *s)
{
	if (s->rels_count == s->rels_max) {
		uint32_t max = MR_MAX(2 * s->rels_max, 4u);
		struct mr_scope_rel *r = mr_arena_zalloc(b->arena, max, sizeof(*r));

		if (!r)
			return NULL;
		if (s->rels_count)
			memcpy(r, s->rels, s->rels_count * sizeof(*r));
		s->rels = r;
		s->rels_max = max;
	}
	return &s->rels[s->rels_count++];
}

// Names the relation of a leaf: its alias, its columns' aliases.
static int name_rel(
	struct mr_bind *b, struct mr_scope *s, struct mr_scope_rel r, const struct mr_ast_from *f)
{
	struct mr_scope_rel *rel;

	if (f->alias)
		r.alias = mr_span_str(f->alias);
	for (uint32_t i = 0; i < s->rels_count; i++)
		if (mr_span_eq(s->rels[i].alias, r.alias))
			return mr_bind_error(b, f->pos, "42712",
				"table name \"%.*s\" specified more than once", (int)r.alias.bytes,
				(const char *)r.alias.data);
	if (f->alias_columns.count > r.columns_count)
		return mr_bind_error(b, f->pos, "42P10",
			"table \"%.*s\" has %u columns available but %u columns specified",
			(int)r.alias.bytes, (const char *)r.alias.data, r.columns_count,
			f->alias_columns.count);
	for (uint32_t i = 0; i < f->alias_columns.count; i++)
		r.columns[i].name = mr_span_str(f->alias_columns.items[i].name);
	rel = add_rel(b, s);
	if (!rel)
		return mr_bind_no_memory(b);
	*rel = r;
	return 0;
}

// ---- Relations ----

static int pin_relation(struct mr_bind *b, const char *schema, const char *name, int pos,
	const struct mr_relation **out)
{
	struct mr_span sch = mr_span_str(schema ? schema : ""), nm = mr_span_str(name);
	const struct mr_relation *r = NULL, **all;

	// pg_catalog comes first on every search path. Its relations live as long as the arena.
	if (mr_pg_relation(b->arena, b->env, b->session, sch, nm, out) < 0)
		return mr_bind_no_memory(b);
	if (*out)
		return 0;
	r = b->env->ops->relation_get(b->env, sch, nm);
	if (!r) {
		mr_bind_error(b, pos, "42P01", "relation \"%s%s%s\" does not exist",
			schema ? schema : "", schema ? "." : "", name);
		if (b->env->ops->relation_hint)
			b->env->ops->relation_hint(b->env, nm, b->diag);
		return -1;
	}
	all = mr_arena_room(
		b->arena, b->relations, b->relations_count, &b->relations_max, sizeof(*all));
	if (!all) {
		b->env->ops->relation_put(b->env, r);
		return mr_bind_no_memory(b);
	}
	b->relations = all;
	b->relations[b->relations_count++] = r;
	*out = r;
	return 0;
}

static int scan_rel(
	struct mr_bind *b, const char *schema, const char *name, int pos, struct mr_scope_rel *rel)
{
	const struct mr_relation *r = NULL;
	int rc = pin_relation(b, schema, name, pos, &r);

	if (rc < 0)
		return rc;
	rel->plan = mr_bind_plan(b, MR_PLAN_SCAN, NULL);
	rel->alias = r->name;
	rel->columns_count = r->columns_count;
	rel->columns = mr_arena_zalloc(b->arena, r->columns_count + 2, sizeof(*rel->columns));
	if (!rel->plan || !rel->columns)
		return mr_bind_no_memory(b);
	rel->plan->relation = r;
	for (uint32_t i = 0; i < r->columns_count; i++)
		rel->columns[i] = (struct mr_plan_column){.name = r->columns[i].name,
			.type = r->columns[i].type,
			.source = i,
			.hidden = r->columns[i].hidden};
	return 0;
}

static int subquery_rel(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_select *query,
	const struct mr_ast_idents *names, struct mr_scope_rel *rel)
{
	uint32_t count;
	int rc = mr_bind_select(b, s, query, &rel->plan, &count);

	if (rc < 0)
		return rc;
	rel->columns_count = count;
	rel->columns = mr_arena_zalloc(b->arena, count + 1, sizeof(*rel->columns));
	if (!rel->columns)
		return mr_bind_no_memory(b);
	for (uint32_t i = 0; i < count; i++) {
		rel->columns[i] = rel->plan->columns[i];
		rel->columns[i].source = i;
		if (names && i < names->count)
			rel->columns[i].name = mr_span_str(names->items[i].name);
	}
	return 0;
}

// 1: not a common table expression.
static int cte_rel(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_from *f,
	struct mr_scope_rel *rel)
{
	for (; s; s = s->parent)
		for (uint32_t i = s->with ? s->with_count : 0; i-- > 0;) {
			const struct mr_ast_cte *c = &s->with->items[i];
			struct mr_scope *sees = mr_arena_zalloc(b->arena, 1, sizeof(*sees));

			if (strcmp(c->name, f->name.name) != 0)
				continue;
			if (!sees)
				return mr_bind_no_memory(b);
			if (c->stmt->kind != MR_STMT_SELECT)
				return mr_bind_unsupported(b, c->pos, "a data-modifying WITH");
			*sees = (struct mr_scope){
				.parent = s->parent, .with = s->with, .with_count = i};
			rel->alias = mr_span_str(c->name);
			return subquery_rel(b, sees, c->stmt->select, &c->columns, rel);
		}
	return 1;
}

// ---- Windows and series ----

static int constant_interval(
	struct mr_bind *b, const struct mr_ast_expr *ast, const char *what, struct mr_interval *out)
{
	struct mr_expr *e;
	int rc = mr_bind_value(b, ast, &e);

	rc = rc < 0 ? rc
		    : mr_bind_coerce(b, e, (struct mr_typeref){.type = MR_TYPE_INTERVAL},
			      MR_COERCE_IMPLICIT, &e);
	if (rc < 0)
		return rc;
	if (e->kind != MR_EXPR_CONST || e->null)
		return mr_bind_unsupported(b, ast->pos, "a %s that is not a constant", what);
	*out = e->value.interval;
	return 0;
}

// In microseconds, or in days for a date.
static int window_width(struct mr_bind *b, const struct mr_ast_expr *ast, const char *what,
	uint8_t type, int64_t *out)
{
	struct mr_interval v = {0};
	int rc = constant_interval(b, ast, what, &v);
	int64_t us;

	if (rc < 0)
		return rc;
	if (v.months)
		return mr_bind_error(b, ast->pos, "22023",
			"%s must not contain months or years: they differ in length", what);
	if (__builtin_mul_overflow((int64_t)v.days, MR_US_PER_DAY, &us) ||
		__builtin_add_overflow(us, v.us, &us) || us <= 0)
		return mr_bind_error(b, ast->pos, "22023", "%s must be above zero", what);
	if (type == MR_TYPE_DATE && us % MR_US_PER_DAY)
		return mr_bind_error(
			b, ast->pos, "22023", "%s of a date column must be whole days", what);
	*out = type == MR_TYPE_DATE ? us / MR_US_PER_DAY : us;
	return 0;
}

static int window_time(struct mr_bind *b, struct mr_scope_rel *rel, const struct mr_ast_expr *ast,
	uint8_t *type, int *column)
{
	struct mr_scope s = {.rels = rel, .rels_count = 1, .root = rel->plan, .clause = "a window"};
	struct mr_expr *e;
	int rc = mr_bind_expr(b, &s, ast, &e);

	if (rc < 0)
		return rc;
	if (e->kind != MR_EXPR_COLUMN)
		return mr_bind_error(b, ast->pos, "42601",
			"the second argument of a window must be a column of the relation");
	*type = e->type.type;
	*column = (int)e->index;
	if (*type != MR_TYPE_DATE && *type != MR_TYPE_TIMESTAMP && *type != MR_TYPE_TIMESTAMPTZ)
		return mr_bind_error(b, ast->pos, "42804",
			"the time column of a window must be a date or timestamp, not %s",
			mr_type_info((enum mr_type) * type)->name);
	return 0;
}

static int window_rel(struct mr_bind *b, struct mr_scope *, const struct mr_ast_expr *ast,
	struct mr_scope_rel *rel)
{
	const struct mr_ast_call *c = ast->call;
	bool hop = strcmp(c->name, "hop") == 0;
	const struct mr_ast_idents *parts;
	struct mr_plan *w;
	uint8_t type = 0;
	int column = 0, rc;

	if (c->args_count != (hop ? 4u : 3u) || c->args[0].value->kind != MR_AST_COLUMN)
		return mr_bind_error(b, ast->pos, "42883", "%s wants (relation, time column, %s)",
			c->name, hop ? "slide, size" : "size");
	parts = &c->args[0].value->column.parts;
	rc = scan_rel(b, parts->count > 1 ? parts->items[parts->count - 2].name : NULL,
		parts->items[parts->count - 1].name, c->args[0].value->pos, rel);
	rc = rc < 0 ? rc : window_time(b, rel, c->args[1].value, &type, &column);
	if (rc < 0)
		return rc;
	w = mr_bind_plan(b, MR_PLAN_WINDOW, rel->plan);
	if (!w)
		return mr_bind_no_memory(b);
	w->time_column = (uint32_t)column;
	rc = window_width(b, c->args[2].value, hop ? "slide" : "size", type, &w->slide);
	w->size = w->slide;
	if (rc >= 0 && hop)
		rc = window_width(b, c->args[3].value, "size", type, &w->size);
	if (rc < 0)
		return rc;
	if (w->size / w->slide > 10000)
		return mr_bind_error(
			b, ast->pos, "22023", "a row would be in more than 10000 windows");
	rel->plan = w;
	rel->columns[rel->columns_count++] =
		(struct mr_plan_column){.name = mr_span_str("window_start"),
			.type = {.type = type},
			.source = MR_PLAN_WINDOW_START};
	rel->columns[rel->columns_count++] =
		(struct mr_plan_column){.name = mr_span_str("window_end"),
			.type = {.type = type},
			.source = MR_PLAN_WINDOW_END};
	return 0;
}

static bool is_time(uint8_t type)
{
	return type == MR_TYPE_DATE || type == MR_TYPE_TIMESTAMP || type == MR_TYPE_TIMESTAMPTZ;
}

// All of one type; or two times and an interval, of which PostgreSQL prefers timestamptz.
static int series_types(struct mr_bind *b, struct mr_expr **e, uint32_t count)
{
	struct mr_typeref t = {.type = MR_TYPE_TIMESTAMPTZ};
	uint8_t x = e[0]->type.type, y = e[1]->type.type;
	int rc = 0;

	if (count < 3 || (!is_time(x) && !is_time(y) && e[2]->type.type != MR_TYPE_INTERVAL))
		return mr_bind_unify(b, "generate_series", e, count, 1);
	if ((x == MR_TYPE_TIMESTAMP || y == MR_TYPE_TIMESTAMP) && x != t.type && y != t.type)
		t.type = MR_TYPE_TIMESTAMP;
	for (uint32_t i = 0; i < 3 && rc >= 0; i++)
		rc = mr_bind_coerce(b, e[i],
			i < 2 ? t : (struct mr_typeref){.type = MR_TYPE_INTERVAL},
			MR_COERCE_IMPLICIT, &e[i]);
	return rc;
}

static int series_rel(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast,
	struct mr_scope_rel *rel)
{
	const struct mr_ast_call *c = ast->call;
	struct mr_plan *p = mr_bind_plan(b, MR_PLAN_SERIES, NULL);
	// The relations beside it are not visible; those of a query around are.
	struct mr_scope around = {.parent = s->parent, .root = p, .clause = "FROM"};

	if (!p)
		return mr_bind_no_memory(b);
	if (c->args_count < 2 || c->args_count > 3)
		return mr_bind_error(b, ast->pos, "42883",
			"generate_series wants (start, stop) or (start, stop, step)");
	p->exprs = mr_arena_zalloc(b->arena, 3, sizeof(*p->exprs));
	rel->columns = mr_arena_zalloc(b->arena, 1, sizeof(*rel->columns));
	if (!p->exprs || !rel->columns)
		return mr_bind_no_memory(b);
	p->exprs_count = c->args_count;
	for (uint32_t i = 0; i < c->args_count; i++)
		if (mr_bind_expr(b, &around, c->args[i].value, &p->exprs[i]) < 0)
			return -1;
	if (series_types(b, p->exprs, c->args_count) < 0)
		return -1;
	if (p->exprs[0]->type.type != MR_TYPE_INT4 && p->exprs[0]->type.type != MR_TYPE_INT8 &&
		p->exprs[0]->type.type != MR_TYPE_TIMESTAMP &&
		p->exprs[0]->type.type != MR_TYPE_TIMESTAMPTZ)
		return mr_bind_unsupported(b, ast->pos, "generate_series over %s",
			mr_type_info((enum mr_type)p->exprs[0]->type.type)->name);
	rel->alias = mr_span_str("generate_series");
	rel->columns[0] =
		(struct mr_plan_column){.name = rel->alias, .type = p->exprs[0]->type, .source = 0};
	rel->columns_count = 1;
	rel->plan = p;
	return mr_plan_add_column(b, p, rel->columns[0]);
}

// unnest(array): generate_series(1, array_length(array, 1)) and the item of each number.
static int unnest_rel(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast,
	struct mr_scope_rel *rel)
{
	struct mr_plan *series = mr_bind_plan(b, MR_PLAN_SERIES, NULL), *p;
	struct mr_scope around = {.parent = s->parent, .root = series, .clause = "FROM"};
	struct mr_expr *one, *length[2], *item[2];

	p = series ? mr_bind_plan(b, MR_PLAN_PROJECT, series) : NULL;
	if (ast->call->args_count != 1)
		return mr_bind_error(b, ast->pos, "42883", "unnest wants one array");
	one = mr_bind_new(b, MR_EXPR_CONST, MR_TYPE_INT4, 0, ast->pos);
	item[1] = mr_bind_new(b, MR_EXPR_COLUMN, MR_TYPE_INT4, 0, ast->pos);
	rel->columns = mr_arena_zalloc(b->arena, 1, sizeof(*rel->columns));
	if (!p || !one || !item[1] || !rel->columns)
		return mr_bind_no_memory(b);
	series->exprs = mr_arena_zalloc(b->arena, 2, sizeof(*series->exprs));
	p->exprs = mr_arena_zalloc(b->arena, 1, sizeof(*p->exprs));
	if (!series->exprs || !p->exprs)
		return mr_bind_no_memory(b);
	one->value.i32 = 1;
	if (mr_bind_expr(b, &around, ast->call->args[0].value, &item[0]) < 0)
		return -1;
	length[0] = item[0];
	length[1] = one;
	series->exprs[0] = one;
	series->exprs_count = 2;
	p->exprs_count = 1;
	if (mr_bind_function(b, mr_span_str("array_length"), length, 2, ast->pos, false,
		    &series->exprs[1]) < 0 ||
		mr_bind_function(b, mr_span_str("catalog.array_item"), item, 2, ast->pos, false,
			&p->exprs[0]) < 0 ||
		mr_plan_add_column(b, series, (struct mr_plan_column){.type = one->type}) < 0)
		return -1;
	rel->alias = mr_span_str("unnest");
	rel->columns[0] =
		(struct mr_plan_column){.name = rel->alias, .type = {.type = MR_TYPE_TEXT}};
	rel->columns_count = 1;
	rel->plan = p;
	return mr_plan_add_column(b, p, rel->columns[0]);
}

// Any other function: one row of its value, in a column of its name.
static int value_rel(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast,
	struct mr_scope_rel *rel)
{
	struct mr_plan *one = mr_bind_plan(b, MR_PLAN_ONE, NULL), *p;
	struct mr_scope around = {.parent = s->parent, .root = one, .clause = "FROM"};

	p = one ? mr_bind_plan(b, MR_PLAN_PROJECT, one) : NULL;
	rel->columns = mr_arena_zalloc(b->arena, 1, sizeof(*rel->columns));
	if (!p || !rel->columns)
		return mr_bind_no_memory(b);
	p->exprs = mr_arena_zalloc(b->arena, 1, sizeof(*p->exprs));
	if (!p->exprs)
		return mr_bind_no_memory(b);
	p->exprs_count = 1;
	if (mr_bind_call(b, &around, ast, &p->exprs[0]) < 0 ||
		mr_bind_known(b, p->exprs[0], &p->exprs[0]) < 0)
		return -1;
	rel->alias = mr_span_str(ast->call->name);
	rel->columns[0] = (struct mr_plan_column){.name = rel->alias, .type = p->exprs[0]->type};
	rel->columns_count = 1;
	rel->plan = p;
	return mr_plan_add_column(b, p, rel->columns[0]);
}

static int function_rel(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_from *f,
	struct mr_scope_rel *rel)
{
	const struct mr_ast_expr *e = f->functions.items[0];
	const char *name = e->kind == MR_AST_CALL ? e->call->name : "";
	int rc;

	if (f->with_ordinality || f->functions.count > 1 || f->column_defs.count)
		return mr_bind_unsupported(
			b, f->pos, "WITH ORDINALITY, ROWS FROM or a column list");
	if (strcmp(name, "tumble") == 0 || strcmp(name, "hop") == 0)
		return window_rel(b, s, e, rel);
	if (strcmp(name, "cumulate") == 0 || strcmp(name, "session") == 0)
		return mr_bind_unsupported(
			b, e->pos, "%s", name[0] == 'c' ? "CUMULATE" : "SESSION");
	if (!*name)
		return mr_bind_unsupported(b, e->pos, "this call in FROM");
	if (strcmp(name, "pg_get_keywords") == 0 && e->call->args_count == 0)
		return scan_rel(b, MR_PG_FUNCTIONS, name, e->pos, rel);
	rc = strcmp(name, "generate_series") == 0 ? series_rel(b, s, e, rel)
	     : strcmp(name, "unnest") == 0        ? unnest_rel(b, s, e, rel)
						  : value_rel(b, s, e, rel);
	// A single column is called as the alias is.
	if (rc >= 0 && f->alias)
		rel->columns[0].name = mr_span_str(f->alias);
	return rc;
}

// ---- Joins ----

static int from_item(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_from *f, struct mr_plan **out);

static struct mr_plan *make_join(struct mr_bind *b, struct mr_plan *left, struct mr_plan *right)
{
	struct mr_plan *j = mr_bind_plan(b, MR_PLAN_JOIN, left);

	if (!j)
		return NULL;
	j->right = right;
	right->up = j;
	right->is_right = true;
	return j;
}

// In the result of *, the columns of the last USING come first, in its order.
static void mark_merged(
	struct mr_scope_rel *rels, uint32_t count, const struct mr_ast_idents *names)
{
	uint16_t most = 0;

	for (uint32_t r = 0; r < count; r++)
		for (uint32_t c = 0; c < rels[r].columns_count; c++)
			most = MR_MAX(most, rels[r].columns[c].merged);
	for (uint32_t r = 0; r < count; r++)
		for (uint32_t c = 0; c < rels[r].columns_count; c++)
			for (uint32_t i = 0; i < names->count; i++)
				if (!rels[r].columns[c].right &&
					mr_span_eq(rels[r].columns[c].name,
						mr_span_str(names->items[i].name)))
					rels[r].columns[c].merged =
						(uint16_t)(most + names->count - i);
}

// USING (a, b): left.a = right.a AND …; both columns stay, the left one is found first by name.
static int using_condition(struct mr_bind *b, struct mr_scope *s, uint32_t left_rels,
	const struct mr_ast_idents *names, struct mr_expr **out)
{
	struct mr_expr *all = mr_bind_new(b, MR_EXPR_AND, MR_TYPE_BOOL, names->count, 0);

	if (!all)
		return mr_bind_no_memory(b);
	for (uint32_t i = 0; i < names->count; i++) {
		struct mr_ast_expr ref = {.kind = MR_AST_COLUMN, .pos = names->items[i].pos};
		struct mr_scope l = *s, r = *s;
		struct mr_expr *pair[2];

		ref.column.parts = (struct mr_ast_idents){&names->items[i], 1};
		l.rels_count = left_rels;
		r.rels += left_rels;
		r.rels_count -= left_rels;
		if (mr_bind_expr(b, &l, &ref, &pair[0]) < 0 ||
			mr_bind_expr(b, &r, &ref, &pair[1]) < 0 ||
			mr_bind_function(
				b, mr_span_str("="), pair, 2, ref.pos, true, &all->args[i]) < 0)
			return -1;
		for (uint32_t k = left_rels; k < s->rels_count; k++)
			for (uint32_t c = 0; c < s->rels[k].columns_count; c++)
				if (mr_span_eq(s->rels[k].columns[c].name,
					    mr_span_str(names->items[i].name))) {
					// Only t.a and t.* find it from here on.
					s->rels[k].columns[c].right = true;
				}
	}
	mark_merged(s->rels, left_rels, names);
	*out = all;
	return 0;
}

static bool visible_in(const struct mr_scope_rel *rels, uint32_t count, struct mr_span name)
{
	for (uint32_t r = 0; r < count; r++)
		for (uint32_t c = 0; c < rels[r].columns_count; c++)
			if (!rels[r].columns[c].hidden && !rels[r].columns[c].right &&
				mr_span_eq(rels[r].columns[c].name, name))
				return true;
	return false;
}

// NATURAL is USING of the names that both sides have, in the order of the left side.
static int common_names(struct mr_bind *b, const struct mr_scope *s, uint32_t left_rels, int pos,
	struct mr_ast_idents *out)
{
	uint32_t most = 0;
	struct mr_ast_ident *names;

	for (uint32_t r = 0; r < left_rels; r++)
		most += s->rels[r].columns_count;
	names = mr_arena_zalloc(b->arena, most + 1, sizeof(*names));
	if (!names)
		return mr_bind_no_memory(b);
	*out = (struct mr_ast_idents){names, 0};
	for (uint32_t r = 0; r < left_rels; r++)
		for (uint32_t c = 0; c < s->rels[r].columns_count; c++) {
			const struct mr_plan_column *col = &s->rels[r].columns[c];
			char *name;

			if (col->hidden || col->right ||
				!visible_in(
					s->rels + left_rels, s->rels_count - left_rels, col->name))
				continue;
			name = mr_arena_printf(b->arena, "%.*s", (int)col->name.bytes,
				(const char *)col->name.data);
			if (!name)
				return mr_bind_no_memory(b);
			names[out->count++] = (struct mr_ast_ident){name, pos};
		}
	return 0;
}

static int join_item(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_from *f, struct mr_plan **out)
{
	uint32_t first = s->rels_count, middle;
	struct mr_plan *left, *right;
	struct mr_expr *on = NULL;
	struct mr_ast_idents names = f->join.using;
	bool mirrored = f->join.kind == MR_AST_JOIN_RIGHT, full = f->join.kind == MR_AST_JOIN_FULL;
	struct mr_scope here;
	int rc = from_item(b, s, f->join.left, &left);

	middle = s->rels_count;
	rc = rc < 0 ? rc : from_item(b, s, f->join.right, &right);
	if (rc < 0)
		return rc;
	if (f->alias || f->join.using_alias)
		return mr_bind_unsupported(b, f->pos, "the alias of a join");
	if ((mirrored || full) && !f->join.on)
		return mr_bind_unsupported(
			b, f->pos, "%s JOIN without ON", full ? "FULL" : "RIGHT");
	*out = mirrored ? make_join(b, right, left) : make_join(b, left, right);
	if (!*out)
		return mr_bind_no_memory(b);
	(*out)->outer = mirrored || full || f->join.kind == MR_AST_JOIN_LEFT;
	(*out)->full = full;
	here = *s;
	here.rels += first;
	here.rels_count -= first;
	here.root = *out;
	here.clause = "JOIN conditions";
	if (f->join.natural)
		rc = common_names(b, &here, middle - first, f->pos, &names);
	if (f->join.on)
		rc = mr_bind_condition(b, &here, f->join.on, "JOIN/ON", &on);
	else if (rc >= 0 && names.count)
		rc = using_condition(b, &here, middle - first, &names, &on);
	return rc < 0 || !on ? rc : mr_bind_join_on(b, *out, on);
}

static int from_item(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_from *f, struct mr_plan **out)
{
	struct mr_scope_rel rel = {0};
	int rc = 1;

	if (f->kind == MR_AST_FROM_JOIN)
		return join_item(b, s, f, out);
	if (f->lateral)
		return mr_bind_unsupported(b, f->pos, "LATERAL");
	if (f->kind == MR_AST_FROM_RELATION && !f->name.schema)
		rc = cte_rel(b, s, f, &rel);
	if (rc == 1 && f->kind == MR_AST_FROM_RELATION)
		rc = scan_rel(b, f->name.schema, f->name.name, f->pos, &rel);
	else if (f->kind == MR_AST_FROM_SUBQUERY)
		rc = subquery_rel(b, s, f->query, NULL, &rel);
	else if (f->kind == MR_AST_FROM_FUNCTION)
		rc = function_rel(b, s, f, &rel);
	rc = rc < 0 ? rc : name_rel(b, s, rel, f);
	*out = rel.plan;
	return rc;
}

int mr_bind_from(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_from *const *from,
	uint32_t count, struct mr_plan **out)
{
	*out = NULL;
	for (uint32_t i = 0; i < count; i++) {
		struct mr_plan *p;
		int rc = from_item(b, s, from[i], &p);

		if (rc < 0)
			return rc;
		*out = *out ? make_join(b, *out, p) : p;
		if (!*out)
			return mr_bind_no_memory(b);
	}
	if (!*out)
		*out = mr_bind_plan(b, MR_PLAN_ONE, NULL);
	return *out ? 0 : mr_bind_no_memory(b);
}
