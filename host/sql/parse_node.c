// Making nodes, with their heights.
#include "host/sql/parse_int.h"

#include <stdio.h>

struct mr_ast_expr *mr_new_expr(struct mr_parser *p, enum mr_ast_expr_kind kind, int pos)
{
	struct mr_ast_expr *e = mr_parse_new(p, sizeof(*e));

	e->kind = (uint8_t)kind;
	e->pos = pos;
	return e;
}

struct mr_ast_expr *mr_new_string(struct mr_parser *p, const char *text, int pos)
{
	struct mr_ast_expr *e = mr_new_expr(p, MR_AST_STRING, pos);

	e->literal.text = text;
	return e;
}

struct mr_ast_expr *mr_new_int(struct mr_parser *p, int64_t v, int pos)
{
	struct mr_ast_expr *e = mr_new_expr(p, MR_AST_INT, pos);

	e->literal.integer = v;
	e->literal.text = mr_parse_text(p, "%lld", (long long)v);
	return e;
}

struct mr_ast_expr *mr_new_list(
	struct mr_parser *p, enum mr_ast_expr_kind kind, int pos, struct mr_ast_exprs list)
{
	struct mr_ast_expr *e = mr_new_expr(p, kind, pos);

	e->list = mr_kids(p, e, list);
	return e;
}

struct mr_ast_expr *mr_new_call(
	struct mr_parser *p, enum mr_ast_syntax syntax, const char *name, int pos)
{
	struct mr_ast_call *call = mr_parse_new(p, sizeof(*call));
	struct mr_ast_expr *e;

	call->name = name;
	call->syntax = (uint8_t)syntax;
	e = mr_new_expr(p, MR_AST_CALL, pos);
	e->call = call;
	return e;
}

// Calls made here have few arguments: the array is copied for each.
void mr_call_arg(struct mr_parser *p, struct mr_ast_expr *e, const struct mr_ast_expr *arg)
{
	struct mr_ast_call *call = (struct mr_ast_call *)e->call;
	struct mr_list list = {0};

	if (p->failed)
		return;
	for (uint32_t i = 0; i <= call->args_count; i++) {
		struct mr_ast_arg *item = mr_list_add(p, &list, sizeof(*item));

		if (i < call->args_count)
			*item = call->args[i];
		else
			item->value = mr_kid(p, e, arg);
	}
	if (p->failed)
		return;
	call->args = list.items;
	call->args_count = list.count;
}

struct mr_ast_expr *mr_new_cast(
	struct mr_parser *p, const struct mr_ast_expr *arg, const struct mr_ast_type *type, int pos)
{
	struct mr_ast_expr *e = mr_new_expr(p, MR_AST_CAST, pos);

	e->cast.arg = mr_kid(p, e, arg);
	e->cast.type = type;
	mr_raise_exprs(p, &e->height, type->mods);
	return e;
}

void mr_raise(struct mr_parser *p, uint16_t *height, unsigned kid_height)
{
	if (p->failed)
		return;
	if (kid_height >= MR_SQL_DEPTH_MAX) {
		p->depth = MR_SQL_DEPTH_MAX;
		(void)mr_parse_enter(p);
		return;
	}
	*height = (uint16_t)MR_MAX(*height, kid_height + 1);
}

const struct mr_ast_expr *mr_kid(
	struct mr_parser *p, struct mr_ast_expr *parent, const struct mr_ast_expr *kid)
{
	if (kid)
		mr_raise(p, &parent->height, kid->height);
	return kid;
}

void mr_raise_exprs(struct mr_parser *p, uint16_t *height, struct mr_ast_exprs kids)
{
	for (uint32_t i = 0; i < kids.count && !p->failed; i++)
		mr_raise(p, height, kids.items[i]->height);
}

struct mr_ast_exprs mr_kids(
	struct mr_parser *p, struct mr_ast_expr *parent, struct mr_ast_exprs kids)
{
	mr_raise_exprs(p, &parent->height, kids);
	return kids;
}

void mr_raise_sorts(struct mr_parser *p, uint16_t *height, struct mr_ast_sorts sorts)
{
	for (uint32_t i = 0; i < sorts.count && !p->failed; i++)
		mr_raise(p, height, sorts.items[i].expr->height);
}

void mr_raise_window(struct mr_parser *p, uint16_t *height, const struct mr_ast_window *w)
{
	if (p->failed)
		return;
	mr_raise_exprs(p, height, w->partition_by);
	mr_raise_sorts(p, height, w->order_by);
	if (w->start.offset)
		mr_raise(p, height, w->start.offset->height);
	if (w->end.offset)
		mr_raise(p, height, w->end.offset->height);
}
