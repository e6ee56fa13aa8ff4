// Binding of what only queries of the catalog need: PostgreSQL's OID types, and arrays as text.
#include "host/sql/bind.h"

#include <string.h>

static const struct mr_typeref text_type = {.type = MR_TYPE_TEXT};
static const struct mr_typeref oid_type = {.type = MR_TYPE_INT8};

static int call(struct mr_bind *b, const char *name, struct mr_expr *x, struct mr_expr *y, int pos,
	struct mr_expr **out)
{
	struct mr_expr *args[2] = {x, y};

	return mr_bind_function(b, mr_span_str(name), args, y ? 2 : 1, pos, false, out);
}

static bool is_one_of(const char *name, const char *const *list)
{
	while (*list && strcmp(*list, name) != 0)
		list++;
	return *list;
}

// 'orders'::regclass is the number, oid::regclass the name.
static int reg_cast(
	struct mr_bind *b, const char *name, struct mr_expr *e, int pos, struct mr_expr **out)
{
	bool text = e->type.type == MR_TYPE_NULL || e->type.type == MR_TYPE_TEXT;
	char *fn = mr_arena_printf(b->arena, "catalog.%s", name);
	int rc = mr_bind_coerce(b, e, text ? text_type : oid_type, MR_COERCE_IMPLICIT, &e);

	if (!fn)
		return mr_bind_no_memory(b);
	return rc < 0 ? rc : call(b, fn, e, NULL, pos, out);
}

int mr_bind_catalog_cast(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	static const char *const regs[] = {"regclass", "regtype", "regnamespace", NULL};
	static const char *const texts[] = {
		"name", "char", "int2vector", "oidvector", "regproc", "regprocedure", NULL};
	const struct mr_ast_type *t = ast->cast.type;
	bool array = t->array_dims > 0, oid = !array && strcmp(t->name, "oid") == 0;
	bool reg = !array && is_one_of(t->name, regs);
	struct mr_expr *e;
	int rc;

	if (!array && !oid && !reg && !is_one_of(t->name, texts))
		return 1;
	rc = mr_bind_expr(b, s, ast->cast.arg, &e);
	if (rc < 0)
		return rc;
	if (reg)
		return reg_cast(b, t->name, e, ast->pos, out);
	return mr_bind_coerce(b, e, oid ? oid_type : text_type, MR_COERCE_EXPLICIT, out);
}

// x = ANY (array): IN, when the items are written out; else a look into the text.
static int any_of(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast,
	bool negated, struct mr_expr **out)
{
	const struct mr_ast_expr *array = ast->quantified.array;
	struct mr_ast_expr in = {.kind = MR_AST_IN, .pos = ast->pos, .negated = negated};
	struct mr_expr *x, *list;

	in.in.arg = ast->quantified.left;
	in.in.query = ast->quantified.query;
	if (in.in.query)
		return mr_bind_expr(b, s, &in, out);
	while (array->kind == MR_AST_CAST && array->cast.arg->kind == MR_AST_ARRAY)
		array = array->cast.arg;
	if (array->kind == MR_AST_ARRAY && array->list.count) {
		in.in.list = array->list;
		return mr_bind_expr(b, s, &in, out);
	}
	if (mr_bind_expr(b, s, ast->quantified.left, &x) < 0 ||
		mr_bind_expr(b, s, array, &list) < 0 ||
		mr_bind_coerce(b, x, text_type, MR_COERCE_EXPLICIT, &x) < 0 ||
		mr_bind_coerce(b, list, text_type, MR_COERCE_IMPLICIT, &list) < 0 ||
		call(b, "catalog.array_has", x, list, ast->pos, &x) < 0)
		return -1;
	*out = x;
	if (!negated)
		return 0;
	*out = mr_bind_new(b, MR_EXPR_NOT, MR_TYPE_BOOL, 1, ast->pos);
	if (!*out)
		return mr_bind_no_memory(b);
	(*out)->args[0] = x;
	return 0;
}

int mr_bind_any(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	bool all = ast->quantified.all;

	if (strcmp(ast->quantified.name, all ? "<>" : "=") != 0)
		return mr_bind_unsupported(
			b, ast->pos, "%s %s", ast->quantified.name, all ? "ALL" : "ANY");
	return any_of(b, s, ast, all, out);
}

// A number of an array that is text: pg_index.indkey[0], pg_constraint.conkey[1].
// Arrays have no type of their own here: those of the catalog that hold numbers are known by name.
static bool holds_numbers(const struct mr_ast_expr *array)
{
	static const char *const names[] = {"indkey", "indclass", "indcollation", "indoption",
		"conkey", "confkey", "prattrs", "proargtypes", "i_indoption"};
	const struct mr_ast_idents *parts = &array->column.parts;

	if (array->kind != MR_AST_COLUMN || parts->count == 0)
		return false;
	for (size_t i = 0; i < MR_COUNT_OF(names); i++)
		if (strcmp(parts->items[parts->count - 1].name, names[i]) == 0)
			return true;
	return false;
}

int mr_bind_subscript(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	struct mr_expr *array, *i;

	if (ast->subscript.slice)
		return mr_bind_unsupported(b, ast->pos, "a slice of an array");
	if (mr_bind_expr(b, s, ast->subscript.arg, &array) < 0 ||
		mr_bind_expr(b, s, ast->subscript.low, &i) < 0)
		return -1;
	return call(b,
		holds_numbers(ast->subscript.arg) ? "catalog.array_get" : "catalog.array_item",
		array, i, ast->pos, out);
}

// (information_schema._pg_expandarray(array)).n and .x: there are no such values, see set_returning
// in fn_catalog.c, but JDBC asks for those of pg_index, which has no rows.
int mr_bind_field(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	static const char *const names[] = {"n", "x", NULL};
	struct mr_expr *e;

	if (!ast->field.name || !is_one_of(ast->field.name, names))
		return mr_bind_unsupported(b, ast->pos, "a composite value's field");
	if (mr_bind_expr(b, s, ast->field.arg, &e) < 0)
		return -1;
	if (e->type.type != MR_TYPE_TEXT)
		return mr_bind_unsupported(b, ast->pos, "a composite value's field");
	return call(b, "catalog.field", e, NULL, ast->pos, out);
}
