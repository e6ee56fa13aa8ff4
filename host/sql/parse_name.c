// Names: which words may stand where, and qualified names.
#include "host/sql/parse_int.h"

#include <errno.h>

static bool is_name(struct mr_parser *p, uint32_t ahead, unsigned classes)
{
	const struct mr_token *t = mr_parse_peek(p, ahead);

	if (t->kind == MR_TOK_QUOTED)
		return true;
	return t->kind == MR_TOK_WORD &&
	       (!t->keyword || (classes & 1u << mr_keywords[t->keyword].class));
}

// ColId: IDENT | unreserved_keyword | col_name_keyword
bool mr_is_col_id(struct mr_parser *p, uint32_t ahead)
{
	return is_name(p, ahead, 1u << MR_KW_UNRESERVED | 1u << MR_KW_COL_NAME);
}

// type_function_name: IDENT | unreserved_keyword | type_func_name_keyword
bool mr_is_type_name(struct mr_parser *p, uint32_t ahead)
{
	return is_name(p, ahead, 1u << MR_KW_UNRESERVED | 1u << MR_KW_TYPE_FUNC);
}

// ColLabel: IDENT | any key word
bool mr_is_col_label(struct mr_parser *p, uint32_t ahead)
{
	return is_name(p, ahead, ~0u);
}

static const char *take_name(struct mr_parser *p, bool ok)
{
	const char *name = mr_cur(p)->text;

	if (!ok) {
		mr_parse_syntax(p);
		return "";
	}
	mr_parse_eat(p);
	return name;
}

const char *mr_parse_col_id(struct mr_parser *p)
{
	return take_name(p, mr_is_col_id(p, 0));
}

const char *mr_parse_type_func_name(struct mr_parser *p)
{
	return take_name(p, mr_is_type_name(p, 0));
}

const char *mr_parse_col_label(struct mr_parser *p)
{
	return take_name(p, mr_is_col_label(p, 0));
}

const char *mr_parse_string(struct mr_parser *p)
{
	return take_name(p, mr_is_tok(p, MR_TOK_STRING));
}

// Iconst: an integer that fits int4, as in PostgreSQL
int64_t mr_parse_int(struct mr_parser *p)
{
	int64_t v = mr_cur(p)->integer;

	if (!mr_is_tok(p, MR_TOK_INT) || v > INT32_MAX) {
		mr_parse_syntax(p);
		return 0;
	}
	mr_parse_eat(p);
	return v;
}

// qualified_name: ColId {'.' ColLabel}
struct mr_ast_name mr_parse_qualified_name(struct mr_parser *p)
{
	struct mr_ast_name n = {.pos = mr_pos(p)};

	n.name = mr_parse_col_id(p);
	while (mr_accept_char(p, '.')) {
		if (n.catalog) {
			mr_parse_fail(p, -EINVAL, "42601", n.pos,
				"improper qualified name (too many dotted names): %s.%s.%s.%s",
				n.catalog, n.schema, n.name, mr_parse_col_label(p));
			return n;
		}
		n.catalog = n.schema;
		n.schema = n.name;
		n.name = mr_parse_col_label(p);
	}
	return n;
}

// qualified_name_list: qualified_name {',' qualified_name}
struct mr_ast_names mr_parse_qualified_names(struct mr_parser *p)
{
	struct mr_list list = {0};

	do {
		struct mr_ast_name n = mr_parse_qualified_name(p);
		struct mr_ast_name *item = mr_list_add(p, &list, sizeof(n));

		*item = n;
	} while (mr_accept_char(p, ','));
	return (struct mr_ast_names){list.items, list.count};
}

// name_list: ColId {',' ColId}
struct mr_ast_idents mr_parse_idents(struct mr_parser *p)
{
	struct mr_list list = {0};

	do {
		int pos = mr_pos(p);
		const char *name = mr_parse_col_id(p);
		struct mr_ast_ident *item = mr_list_add(p, &list, sizeof(*item));

		*item = (struct mr_ast_ident){name, pos};
	} while (mr_accept_char(p, ','));
	return (struct mr_ast_idents){list.items, list.count};
}

struct mr_ast_idents mr_parse_opt_idents(struct mr_parser *p)
{
	struct mr_ast_idents names = {0};

	if (mr_accept_char(p, '(')) {
		names = mr_parse_idents(p);
		mr_expect_char(p, ')');
	}
	return names;
}

// qual_all_Op: all_Op | OPERATOR '(' {ColId '.'} all_Op ')'
const char *mr_parse_qual_op(struct mr_parser *p, const char **schema)
{
	const char *op = "";
	bool qualified = mr_accept_kw(p, MR_KW_OPERATOR);

	*schema = NULL;
	if (qualified) {
		mr_expect_char(p, '(');
		while (mr_is_col_id(p, 0)) {
			if (*schema)
				mr_parse_syntax(p);
			*schema = mr_parse_col_id(p);
			mr_expect_char(p, '.');
		}
	}
	op = take_name(p, mr_is_tok(p, MR_TOK_OP));
	if (qualified)
		mr_expect_char(p, ')');
	return op;
}
