// Statements by their first word.
#include "host/sql/parse_int.h"

struct mr_ast_stmt *mr_new_stmt(struct mr_parser *p, enum mr_ast_stmt_kind kind, int pos)
{
	struct mr_ast_stmt *s = mr_parse_new(p, sizeof(*s));

	s->kind = (uint8_t)kind;
	s->pos = pos;
	return s;
}

static const struct mr_ast_stmt *parse_query(struct mr_parser *p, const struct mr_ast_with *with)
{
	int pos = with ? with->pos : mr_pos(p);
	const struct mr_ast_select *select = mr_parse_select_with(p, with);
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_SELECT, pos);

	s->select = select;
	return s;
}

// PreparableStmt: SelectStmt | [with_clause] (InsertStmt | UpdateStmt | DeleteStmt)
const struct mr_ast_stmt *mr_parse_preparable(struct mr_parser *p)
{
	const struct mr_ast_with *with = NULL;
	const struct mr_ast_stmt *s;

	if (!mr_parse_enter(p)) {
		mr_parse_leave(p);
		return mr_new_stmt(p, MR_STMT_SELECT, 0);
	}
	if (mr_is_kw(p, MR_KW_WITH))
		with = mr_parse_with(p);
	switch ((enum mr_keyword)mr_cur(p)->keyword) {
	case MR_KW_INSERT: s = mr_parse_insert(p, with); break;
	case MR_KW_UPDATE: s = mr_parse_update(p, with); break;
	case MR_KW_DELETE: s = mr_parse_delete(p, with); break;
	default: s = parse_query(p, with); break;
	}
	mr_parse_leave(p);
	return s;
}

static const struct mr_ast_stmt *parse_by_word(struct mr_parser *p)
{
	const struct mr_ast_stmt *s;

	switch ((enum mr_keyword)mr_cur(p)->keyword) {
	case MR_KW_SELECT:
	case MR_KW_VALUES:
	case MR_KW_TABLE:
	case MR_KW_WITH:
	case MR_KW_INSERT:
	case MR_KW_UPDATE:
	case MR_KW_DELETE: return mr_parse_preparable(p);
	case MR_KW_CREATE: return mr_parse_create(p);
	case MR_KW_DROP: return mr_parse_drop(p);
	case MR_KW_TRUNCATE: return mr_parse_truncate(p);
	case MR_KW_ALTER: return mr_parse_alter(p);
	case MR_KW_REFRESH: return mr_parse_refresh(p);
	case MR_KW_COMMENT: return mr_parse_comment(p);
	case MR_KW_COPY: return mr_parse_copy(p);
	case MR_KW_SET: return mr_parse_set(p);
	case MR_KW_RESET: return mr_parse_reset(p);
	case MR_KW_SHOW: return mr_parse_show(p);
	case MR_KW_ABORT:
	case MR_KW_BEGIN:
	case MR_KW_START:
	case MR_KW_COMMIT:
	case MR_KW_END:
	case MR_KW_ROLLBACK:
	case MR_KW_SAVEPOINT:
	case MR_KW_RELEASE: return mr_parse_transaction(p);
	default: break;
	}
	if (mr_is_char(p, '('))
		return mr_parse_preparable(p);
	s = mr_parse_utility(p);
	if (!s)
		mr_parse_syntax(p);
	return s;
}

const struct mr_ast_stmt *mr_parse_stmt(struct mr_parser *p)
{
	uint32_t from = mr_cur(p)->off;
	struct mr_ast_stmt *s = (struct mr_ast_stmt *)parse_by_word(p);

	if (p->failed)
		return NULL;
	s->params = p->params;
	s->text = mr_span(p->lexer.text + from, p->eaten_off - from);
	return s;
}
