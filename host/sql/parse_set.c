// SET, RESET, SHOW and transactions.
#include "host/sql/parse_int.h"

// ---- Values ----

// var_value: opt_boolean_or_string | NumericOnly; opt_boolean_or_string:
// Sconst | TRUE | FALSE | ON | any word that is not reserved
void mr_parse_option_value(struct mr_parser *p, struct mr_ast_option *o)
{
	bool minus = mr_is_op(p, "-");

	o->value_pos = mr_pos(p);
	if (minus || mr_is_op(p, "+"))
		mr_parse_eat(p);
	if (mr_is_tok(p, MR_TOK_INT) || mr_is_tok(p, MR_TOK_NUMBER)) {
		o->kind = mr_is_tok(p, MR_TOK_INT) ? MR_AST_VALUE_INT : MR_AST_VALUE_NUMBER;
		o->text = minus ? mr_parse_text(p, "-%s", mr_cur(p)->text) : mr_cur(p)->text;
		mr_parse_eat(p);
		return;
	}
	if (o->value_pos != mr_pos(p)) {
		mr_parse_syntax(p);
	} else if (mr_is_tok(p, MR_TOK_STRING)) {
		o->kind = MR_AST_VALUE_STRING;
		o->text = mr_parse_string(p);
	} else {
		enum mr_keyword k = mr_cur(p)->keyword;

		if (mr_keywords[k].class == MR_KW_RESERVED && k != MR_KW_TRUE && k != MR_KW_FALSE &&
			k != MR_KW_ON)
			mr_parse_syntax(p);
		o->kind = MR_AST_VALUE_WORD;
		o->text = mr_parse_col_label(p);
	}
}

static void add_value(struct mr_parser *p, struct mr_list *list, struct mr_ast_option o)
{
	struct mr_ast_option *item;

	o.name = "";
	item = mr_list_add(p, list, sizeof(o));
	*item = o;
}

static struct mr_ast_options one_value(
	struct mr_parser *p, enum mr_ast_value_kind kind, const char *text, int pos)
{
	struct mr_list list = {0};

	add_value(p, &list,
		(struct mr_ast_option){.kind = (uint8_t)kind, .text = text, .value_pos = pos});
	return (struct mr_ast_options){list.items, list.count};
}

// var_name: ColId {'.' ColId}
static const char *parse_var_name(struct mr_parser *p)
{
	const char *name = mr_parse_col_id(p);

	while (mr_accept_char(p, '.'))
		name = mr_parse_text(p, "%s.%s", name, mr_parse_col_id(p));
	return name;
}

// ---- Transaction modes ----

// iso_level: READ UNCOMMITTED | READ COMMITTED | REPEATABLE READ | SERIALIZABLE
static enum mr_ast_isolation parse_isolation(struct mr_parser *p)
{
	if (mr_accept_kws(p, MR_KW_READ, MR_KW_UNCOMMITTED))
		return MR_AST_READ_UNCOMMITTED;
	if (mr_accept_kws(p, MR_KW_READ, MR_KW_COMMITTED))
		return MR_AST_READ_COMMITTED;
	if (mr_accept_kws(p, MR_KW_REPEATABLE, MR_KW_READ))
		return MR_AST_REPEATABLE_READ;
	mr_expect_kw(p, MR_KW_SERIALIZABLE);
	return MR_AST_SERIALIZABLE;
}

// transaction_mode_item: ISOLATION LEVEL iso_level | READ ONLY | READ WRITE | [NOT] DEFERRABLE.
// False if none stands here.
static bool parse_txn_mode(struct mr_parser *p, struct mr_ast_txn_modes *m)
{
	if (mr_accept_kw(p, MR_KW_ISOLATION)) {
		mr_expect_kw(p, MR_KW_LEVEL);
		m->isolation = (uint8_t)parse_isolation(p);
	} else if (mr_accept_kw(p, MR_KW_READ)) {
		m->read_only = mr_accept_kw(p, MR_KW_ONLY);
		if (!m->read_only)
			mr_expect_kw(p, MR_KW_WRITE);
	} else if (mr_accept_kw(p, MR_KW_NOT)) {
		mr_expect_kw(p, MR_KW_DEFERRABLE);
		m->deferrable = 0;
	} else if (mr_accept_kw(p, MR_KW_DEFERRABLE)) {
		m->deferrable = 1;
	} else {
		return false;
	}
	return true;
}

// transaction_mode_list: mode {[','] mode}
static struct mr_ast_txn_modes parse_txn_modes(struct mr_parser *p, bool required)
{
	struct mr_ast_txn_modes m = {.read_only = -1, .deferrable = -1};

	if (!parse_txn_mode(p, &m)) {
		if (required)
			mr_parse_syntax(p);
		return m;
	}
	for (;;) {
		bool comma = mr_accept_char(p, ',');

		if (!parse_txn_mode(p, &m)) {
			if (comma)
				mr_parse_syntax(p);
			return m;
		}
	}
}

// ---- SET ----

// zone_value: Sconst | IDENT | INTERVAL Sconst opt_interval | NumericOnly | DEFAULT | LOCAL
static void parse_time_zone(struct mr_parser *p, struct mr_ast_stmt *s)
{
	struct mr_ast_option o = {0};
	struct mr_list list = {0};

	s->set.name = "timezone";
	if (mr_is_kw(p, MR_KW_INTERVAL)) {
		mr_parse_unsupported(p, "SET TIME ZONE INTERVAL is");
	} else if (mr_accept_kw(p, MR_KW_DEFAULT) || mr_accept_kw(p, MR_KW_LOCAL)) {
		s->set.is_default = true;
	} else {
		mr_parse_option_value(p, &o);
		add_value(p, &list, o);
		s->set.values = (struct mr_ast_options){list.items, list.count};
	}
}

// var_name (TO | '=') (var_value {',' var_value} | DEFAULT)
static void parse_set_variable(struct mr_parser *p, struct mr_ast_stmt *s)
{
	struct mr_list list = {0};

	s->set.name = parse_var_name(p);
	if (mr_is_kw(p, MR_KW_FROM))
		mr_parse_unsupported(p, "SET … FROM CURRENT is");
	if (!mr_accept_op(p, "="))
		mr_expect_kw(p, MR_KW_TO);
	if (mr_accept_kw(p, MR_KW_DEFAULT)) {
		s->set.is_default = true;
		return;
	}
	do {
		struct mr_ast_option o = {0};

		mr_parse_option_value(p, &o);
		add_value(p, &list, o);
	} while (mr_accept_char(p, ','));
	s->set.values = (struct mr_ast_options){list.items, list.count};
}

// SCHEMA Sconst | NAMES [Sconst | DEFAULT] | ROLE (name | Sconst)
// | SESSION AUTHORIZATION (name | Sconst | DEFAULT). False if none of them stands here.
static bool parse_set_special(struct mr_parser *p, struct mr_ast_stmt *s)
{
	bool names;
	int pos;

	if (mr_is_kw(p, MR_KW_SCHEMA) && mr_parse_peek(p, 1)->kind == MR_TOK_STRING)
		s->set.name = "search_path";
	else if (mr_is_kw(p, MR_KW_NAMES) && !mr_is_kw_at(p, 1, MR_KW_TO))
		s->set.name = "client_encoding";
	else if (mr_is_kw(p, MR_KW_ROLE) && !mr_is_kw_at(p, 1, MR_KW_TO))
		s->set.name = "role";
	else if (mr_is_kw(p, MR_KW_SESSION) && mr_is_kw_at(p, 1, MR_KW_AUTHORIZATION))
		s->set.name = "session_authorization";
	else
		return false;
	if (mr_parse_peek(p, 1)->kind == MR_TOK_OP) // SET role = …
		return false;
	mr_accept_kw(p, MR_KW_SESSION);
	mr_parse_eat(p);
	pos = mr_pos(p);
	names = strcmp(s->set.name, "client_encoding") == 0;
	if (mr_is_tok(p, MR_TOK_END) || mr_is_char(p, ';')) {
		if (!names)
			mr_parse_syntax(p);
		s->set.is_default = true;
	} else if (strcmp(s->set.name, "role") != 0 && mr_accept_kw(p, MR_KW_DEFAULT))
		s->set.is_default = true;
	else if (names || mr_is_tok(p, MR_TOK_STRING))
		s->set.values = one_value(p, MR_AST_VALUE_STRING, mr_parse_string(p), pos);
	else
		s->set.values = one_value(p, MR_AST_VALUE_WORD, mr_parse_col_id(p), pos);
	return true;
}

// VariableSetStmt: SET [SESSION | LOCAL] set_rest;
// set_rest: TRANSACTION modes | SESSION CHARACTERISTICS AS TRANSACTION modes | set_rest_more
const struct mr_ast_stmt *mr_parse_set(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_SET, mr_pos(p));

	mr_parse_eat(p);
	s->set.modes = (struct mr_ast_txn_modes){.read_only = -1, .deferrable = -1};
	if (mr_is_kw(p, MR_KW_SESSION) && mr_is_kw_at(p, 1, MR_KW_CHARACTERISTICS)) {
		mr_parse_eat(p);
		mr_parse_eat(p);
		mr_expect_kw(p, MR_KW_AS);
		mr_expect_kw(p, MR_KW_TRANSACTION);
		s->set.target = MR_AST_SET_CHARACTERISTICS;
		s->set.name = "session characteristics";
		s->set.modes = parse_txn_modes(p, true);
		return s;
	}
	if (mr_is_kw(p, MR_KW_LOCAL))
		s->set.scope = MR_AST_SET_LOCAL;
	if (!mr_is_kw_at(p, 1, MR_KW_AUTHORIZATION) && !mr_accept_kw(p, MR_KW_LOCAL))
		mr_accept_kw(p, MR_KW_SESSION);
	if (mr_is_kw(p, MR_KW_TRANSACTION) && mr_parse_peek(p, 1)->kind == MR_TOK_WORD &&
		!mr_is_kw_at(p, 1, MR_KW_TO)) {
		mr_parse_eat(p);
		if (mr_is_kw(p, MR_KW_SNAPSHOT))
			mr_parse_unsupported(p, "SET TRANSACTION SNAPSHOT is");
		s->set.target = MR_AST_SET_TRANSACTION;
		s->set.name = "transaction";
		s->set.modes = parse_txn_modes(p, true);
	} else if (mr_accept_kws(p, MR_KW_TIME, MR_KW_ZONE)) {
		parse_time_zone(p, s);
	} else if (!parse_set_special(p, s)) {
		parse_set_variable(p, s);
	}
	return s;
}

// ALL | var_name | TIME ZONE | TRANSACTION ISOLATION LEVEL | SESSION AUTHORIZATION
static const char *parse_reset_name(struct mr_parser *p)
{
	if (mr_accept_kw(p, MR_KW_ALL))
		return "all";
	if (mr_accept_kws(p, MR_KW_TIME, MR_KW_ZONE))
		return "timezone";
	if (mr_accept_kws(p, MR_KW_SESSION, MR_KW_AUTHORIZATION))
		return "session_authorization";
	if (mr_is_kw(p, MR_KW_TRANSACTION) && mr_is_kw_at(p, 1, MR_KW_ISOLATION)) {
		mr_parse_eat(p);
		mr_parse_eat(p);
		mr_expect_kw(p, MR_KW_LEVEL);
		return "transaction_isolation";
	}
	return parse_var_name(p);
}

// VariableResetStmt: RESET (ALL | name …)
const struct mr_ast_stmt *mr_parse_reset(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_RESET, mr_pos(p));

	mr_parse_eat(p);
	s->set.name = parse_reset_name(p);
	return s;
}

// VariableShowStmt: SHOW (ALL | name …)
const struct mr_ast_stmt *mr_parse_show(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_SHOW, mr_pos(p));

	mr_parse_eat(p);
	s->set.name = parse_reset_name(p);
	return s;
}

// ---- Transactions ----

// opt_transaction: [WORK | TRANSACTION]
static void skip_work(struct mr_parser *p)
{
	if (!mr_accept_kw(p, MR_KW_WORK))
		mr_accept_kw(p, MR_KW_TRANSACTION);
}

// opt_transaction_chain: [AND [NO] CHAIN]
static void parse_chain(struct mr_parser *p, struct mr_ast_stmt *s)
{
	if (!mr_accept_kw(p, MR_KW_AND))
		return;
	s->txn.chain = !mr_accept_kw(p, MR_KW_NO);
	mr_expect_kw(p, MR_KW_CHAIN);
}

// ROLLBACK [WORK | TRANSACTION] ([AND [NO] CHAIN] | TO [SAVEPOINT] ColId); also PREPARED: refused
static void parse_rollback(struct mr_parser *p, struct mr_ast_stmt *s)
{
	s->txn.what = MR_AST_TXN_ROLLBACK;
	skip_work(p);
	if (mr_accept_kw(p, MR_KW_TO)) {
		mr_accept_kw(p, MR_KW_SAVEPOINT);
		s->txn.what = MR_AST_TXN_ROLLBACK_TO;
		s->txn.savepoint = mr_parse_col_id(p);
		return;
	}
	parse_chain(p, s);
}

// TransactionStmt: BEGIN [WORK | TRANSACTION] [modes] | START TRANSACTION [modes]
// | (COMMIT | END) [WORK | TRANSACTION] [AND [NO] CHAIN] | (ROLLBACK | ABORT) …
// | SAVEPOINT ColId | RELEASE [SAVEPOINT] ColId
const struct mr_ast_stmt *mr_parse_transaction(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_TRANSACTION, mr_pos(p));
	enum mr_keyword k = mr_cur(p)->keyword;

	mr_parse_eat(p);
	s->txn.modes = (struct mr_ast_txn_modes){.read_only = -1, .deferrable = -1};
	if (mr_is_kw(p, MR_KW_PREPARED))
		mr_parse_unsupported(p, "two-phase commit is");
	switch (k) {
	case MR_KW_START:
		mr_expect_kw(p, MR_KW_TRANSACTION);
		s->txn.modes = parse_txn_modes(p, false);
		break;
	case MR_KW_BEGIN:
		skip_work(p);
		s->txn.modes = parse_txn_modes(p, false);
		break;
	case MR_KW_COMMIT:
	case MR_KW_END:
		s->txn.what = MR_AST_TXN_COMMIT;
		skip_work(p);
		parse_chain(p, s);
		break;
	case MR_KW_ABORT:
		s->txn.what = MR_AST_TXN_ROLLBACK;
		skip_work(p);
		parse_chain(p, s);
		break;
	case MR_KW_ROLLBACK: parse_rollback(p, s); break;
	case MR_KW_RELEASE: mr_accept_kw(p, MR_KW_SAVEPOINT); // fall through
	default:
		s->txn.what = k == MR_KW_RELEASE ? MR_AST_TXN_RELEASE : MR_AST_TXN_SAVEPOINT;
		s->txn.savepoint = mr_parse_col_id(p);
	}
	return s;
}
