// The syntax tree of SQL: what the parser builds, the binder reads and deparse.c prints.
//
// Every node lives in the arena given to the parser and is read-only once the parser has returned.
// Texts are NUL-terminated, UTF-8 and in the arena too; identifiers are already folded to lower
// case (or as written, if quoted) and cut to 63 bytes. `pos` is the place of the node in the SQL
// text: a character number counted from 1, as struct mr_diag and the wire want it. Lists are an
// array and a count; an empty list has count 0.
//
// The tree says what was written, with three kinds of canonical form so that the binder has fewer
// cases: special function syntax becomes a call (see enum mr_ast_syntax), type names become the
// catalog's names (`double precision` is float8), and a chain of ANDs or ORs is one n-ary node.
//
// Depth: no path from a statement to a leaf is longer than MR_SQL_DEPTH_MAX expression, query and
// join nodes, so recursive walks are safe.
#pragma once

#include "host/base/span.h"

struct mr_ast_expr;
struct mr_ast_select;
struct mr_ast_stmt;

struct mr_ast_ident {
	const char *name;
	int pos;
};

struct mr_ast_idents {
	const struct mr_ast_ident *items;
	uint32_t count;
};

// [catalog.][schema.]name of a relation; the parts not written are NULL.
struct mr_ast_name {
	const char *catalog;
	const char *schema;
	const char *name;
	int pos;
};

struct mr_ast_names {
	const struct mr_ast_name *items;
	uint32_t count;
};

struct mr_ast_exprs {
	const struct mr_ast_expr *const *items;
	uint32_t count;
};

// Which fields INTERVAL '…' YEAR TO MONTH and the like keep.
enum mr_ast_interval_field {
	MR_AST_INTERVAL_YEAR = 1,
	MR_AST_INTERVAL_MONTH = 2,
	MR_AST_INTERVAL_DAY = 4,
	MR_AST_INTERVAL_HOUR = 8,
	MR_AST_INTERVAL_MINUTE = 16,
	MR_AST_INTERVAL_SECOND = 32,
};

// A type as written. Keyword spellings have become PostgreSQL's catalog names: bool int2 int4 int8
// float4 float8 numeric bpchar varchar bit varbit date time timetz timestamp timestamptz interval;
// other names (text, uuid, bytea, regclass, …) are as written.
struct mr_ast_type {
	const char *schema; // NULL if none was written
	const char *name;
	int pos;
	struct mr_ast_exprs mods; // (12, 2) of numeric, (3) of timestamp, (20) of varchar
	uint8_t interval_fields;  // enum mr_ast_interval_field, 0 = all
	uint8_t array_dims;       // int[][] has 2
	bool setof;
};

// ---- Expressions ----

enum mr_ast_expr_kind {
	MR_AST_NULL,   // NULL
	MR_AST_BOOL,   // TRUE, FALSE: literal.boolean
	MR_AST_INT,    // integer that fits int8: literal.integer and its text
	MR_AST_NUMBER, // any other number: literal.text (1.5, -2e10); a sign is folded in
	MR_AST_STRING, // literal.text; its type is still unknown

	MR_AST_PARAM,  // $n: param
	MR_AST_COLUMN, // a, t.a, s.t.a, *, t.*: column

	MR_AST_OP,  // l op r, op r (left NULL): op
	MR_AST_AND, // list, two or more
	MR_AST_OR,  // list, two or more
	MR_AST_NOT, // arg

	MR_AST_IS,            // arg IS [NOT] NULL|TRUE|FALSE|UNKNOWN: is
	MR_AST_DISTINCT_FROM, // left IS [NOT] DISTINCT FROM right: op.left, op.right
	MR_AST_BETWEEN,       // between
	MR_AST_LIKE,          // like
	MR_AST_IN,            // in
	MR_AST_QUANTIFIED,    // left op ANY|ALL (array | query): quantified
	MR_AST_EXISTS,        // EXISTS (query): query
	MR_AST_SUBQUERY,      // (query) as a value: query
	MR_AST_ARRAY_QUERY,   // ARRAY(query): query
	MR_AST_ARRAY,         // ARRAY[list]; inner [..] of nested arrays are MR_AST_ARRAY too
	MR_AST_ROW,           // ROW(list) or (a, b): list

	MR_AST_CASE,    // case_
	MR_AST_CAST,    // CAST(arg AS type), arg::type, type 'text': cast
	MR_AST_COLLATE, // arg COLLATE name: collate
	MR_AST_CALL,    // function, aggregate or window call: call

	MR_AST_SUBSCRIPT, // arg[low] or arg[low:high]: subscript
	MR_AST_FIELD,     // (arg).name, (arg).*: field

	MR_AST_DEFAULT,       // DEFAULT in VALUES of INSERT or in UPDATE
	MR_AST_GROUPING_SETS, // grouping; only in GROUP BY
};

enum mr_ast_is { MR_AST_IS_NULL, MR_AST_IS_TRUE, MR_AST_IS_FALSE, MR_AST_IS_UNKNOWN };

enum mr_ast_like { MR_AST_LIKE_PLAIN, MR_AST_ILIKE, MR_AST_SIMILAR };

enum mr_ast_grouping {
	MR_AST_GROUPING_EMPTY, // ()
	MR_AST_GROUPING_ROLLUP,
	MR_AST_GROUPING_CUBE,
	MR_AST_GROUPING_SETS_LIST, // GROUPING SETS (…)
};

// How a call was written. Everything but PLAIN names a function of pg_catalog, whatever the search
// path is. Arguments are always in the order of the function's own signature.
enum mr_ast_syntax {
	MR_AST_CALL_PLAIN,     // name(args)
	MR_AST_CALL_KEYWORD,   // coalesce, nullif, greatest, least, grouping: name(args)
	MR_AST_CALL_VALUE,     // current_date, current_timestamp[(n)], localtime, current_user, …
	MR_AST_CALL_TIMEZONE,  // x AT TIME ZONE z: timezone(z, x)
	MR_AST_CALL_EXTRACT,   // EXTRACT(f FROM x): extract('f', x)
	MR_AST_CALL_SUBSTRING, // SUBSTRING(x FROM a FOR b): substring(x, a, b)
	MR_AST_CALL_SIMILAR,   // SUBSTRING(x SIMILAR p ESCAPE e): substring(x, p, e)
	MR_AST_CALL_POSITION,  // POSITION(a IN b): position(b, a)
	MR_AST_CALL_OVERLAY,   // OVERLAY(x PLACING y FROM a FOR b): overlay(x, y, a, b)
	MR_AST_CALL_TRIM,      // TRIM([BOTH] c FROM x): btrim(x, c); also ltrim, rtrim
	MR_AST_CALL_OVERLAPS,  // (a, b) OVERLAPS (c, d): overlaps(a, b, c, d)
};

enum mr_ast_nulls { MR_AST_NULLS_DEFAULT, MR_AST_NULLS_FIRST, MR_AST_NULLS_LAST };

struct mr_ast_sort {
	const struct mr_ast_expr *expr;
	const char *using_op; // ORDER BY x USING op, else NULL
	bool desc;
	uint8_t nulls; // enum mr_ast_nulls; DEFAULT: last for ASC, first for DESC
};

struct mr_ast_sorts {
	const struct mr_ast_sort *items;
	uint32_t count;
};

enum mr_ast_frame_unit { MR_AST_FRAME_NONE, MR_AST_ROWS, MR_AST_RANGE, MR_AST_GROUPS };

enum mr_ast_bound_kind {
	MR_AST_UNBOUNDED_PRECEDING,
	MR_AST_PRECEDING, // offset
	MR_AST_CURRENT_ROW,
	MR_AST_FOLLOWING, // offset
	MR_AST_UNBOUNDED_FOLLOWING,
};

enum mr_ast_exclude {
	MR_AST_EXCLUDE_NONE, // also NO OTHERS
	MR_AST_EXCLUDE_CURRENT_ROW,
	MR_AST_EXCLUDE_GROUP,
	MR_AST_EXCLUDE_TIES,
};

struct mr_ast_bound {
	uint8_t kind; // enum mr_ast_bound_kind
	const struct mr_ast_expr *offset;
};

// OVER (…), OVER name, or one item of the WINDOW clause.
struct mr_ast_window {
	const char *name; // of the WINDOW clause's item, or of OVER name; else NULL
	const char *base; // OVER (base …): copies that window; else NULL
	int pos;
	bool by_name; // OVER name
	struct mr_ast_exprs partition_by;
	struct mr_ast_sorts order_by;
	uint8_t frame;   // enum mr_ast_frame_unit; NONE: the default frame
	uint8_t exclude; // enum mr_ast_exclude
	bool between;    // an end was written; else it is CURRENT ROW
	struct mr_ast_bound start;
	struct mr_ast_bound end;
};

struct mr_ast_when {
	const struct mr_ast_expr *when;
	const struct mr_ast_expr *then;
};

struct mr_ast_arg {
	const char *name; // of `name => value`, else NULL
	const struct mr_ast_expr *value;
};

struct mr_ast_call {
	const char *schema; // NULL if none was written
	const char *name;
	uint8_t syntax; // enum mr_ast_syntax
	bool star;      // count(*)
	bool distinct;  // agg(DISTINCT …)
	bool variadic;  // the last argument is VARIADIC
	bool within_group;
	const struct mr_ast_arg *args;
	uint32_t args_count;
	struct mr_ast_sorts order_by; // agg(x ORDER BY …), or WITHIN GROUP (ORDER BY …)
	const struct mr_ast_expr *filter;
	const struct mr_ast_window *over;
};

struct mr_ast_expr {
	uint8_t kind;      // enum mr_ast_expr_kind
	bool negated : 1;  // the NOT of IS NOT, NOT IN, NOT BETWEEN, NOT LIKE, IS NOT DISTINCT FROM
	bool implicit : 1; // MR_AST_ROW: (a, b) without the word ROW; in GROUP BY a set, not a row
	uint16_t height;   // longest path down to a leaf
	int pos;           // operators: of the operator, as PostgreSQL reports it
	union {
		struct {
			bool boolean;
			int64_t integer;
			const char *text;
		} literal;
		int32_t param;
		struct {
			struct mr_ast_idents parts; // t.* has one part, * none
			bool star;
		} column;
		struct {
			const char *schema; // of OPERATOR(schema.op), else NULL
			const char *name;   // `<>` for both spellings of not-equal
			const struct mr_ast_expr *left;
			const struct mr_ast_expr *right;
		} op;
		struct mr_ast_exprs list;
		const struct mr_ast_expr *arg;
		struct {
			const struct mr_ast_expr *arg;
			uint8_t test; // enum mr_ast_is
		} is;
		struct {
			const struct mr_ast_expr *arg;
			const struct mr_ast_expr *low;
			const struct mr_ast_expr *high;
			bool symmetric;
		} between;
		struct {
			const struct mr_ast_expr *arg;
			const struct mr_ast_expr *pattern;
			const struct mr_ast_expr *escape; // NULL if none was written
			uint8_t how;                      // enum mr_ast_like
		} like;
		struct {
			const struct mr_ast_expr *arg;
			struct mr_ast_exprs list;          // IN (a, b)
			const struct mr_ast_select *query; // IN (SELECT …), else NULL
		} in;
		struct {
			const char *schema;
			const char
				*name; // operator; "~~", "!~~", "~~*", "!~~*" for [NOT] [I]LIKE ANY
			const struct mr_ast_expr *left;
			const struct mr_ast_expr *array;   // or
			const struct mr_ast_select *query; // one of the two
			bool all;                          // ALL; else ANY or SOME
		} quantified;
		const struct mr_ast_select *query;
		struct {
			const struct mr_ast_expr *arg; // CASE arg WHEN …, else NULL
			const struct mr_ast_when *whens;
			uint32_t whens_count;
			const struct mr_ast_expr *otherwise; // ELSE, or NULL
		} case_;
		struct {
			const struct mr_ast_expr *arg;
			const struct mr_ast_type *type;
		} cast;
		struct {
			const struct mr_ast_expr *arg;
			const char *schema;
			const char *name;
		} collate;
		const struct mr_ast_call *call;
		struct {
			const struct mr_ast_expr *arg;
			const struct mr_ast_expr *low;  // NULL in [:b]
			const struct mr_ast_expr *high; // of a slice; NULL in [a:]
			bool slice;
		} subscript;
		struct {
			const struct mr_ast_expr *arg;
			const char *name; // NULL for (arg).*
		} field;
		struct {
			struct mr_ast_exprs list;
			uint8_t kind; // enum mr_ast_grouping
		} grouping;
	};
};

// ---- Queries ----

enum mr_ast_from_kind {
	MR_AST_FROM_RELATION, // name
	MR_AST_FROM_SUBQUERY, // query
	MR_AST_FROM_FUNCTION, // call: TUMBLE(orders, ts, INTERVAL '1 minute'), generate_series(1,
			      // 3)
	MR_AST_FROM_JOIN, // join
};

enum mr_ast_join {
	MR_AST_JOIN_INNER,
	MR_AST_JOIN_LEFT,
	MR_AST_JOIN_RIGHT,
	MR_AST_JOIN_FULL,
	MR_AST_JOIN_CROSS,
};

// AS f(a int, b text)
struct mr_ast_column_def {
	const char *name;
	const struct mr_ast_type *type;
	int pos;
	const struct mr_ast_expr *default_value; // NULL if none
	bool not_null;
	bool primary_key;
	bool unique;
};

struct mr_ast_column_defs {
	const struct mr_ast_column_def *items;
	uint32_t count;
};

struct mr_ast_from {
	uint8_t kind; // enum mr_ast_from_kind
	bool lateral;
	bool only;            // ONLY name
	bool with_ordinality; // of functions
	bool rows_from;       // ROWS FROM (f(), g())
	uint16_t height;
	int pos;
	const char *alias; // NULL if none; a join may have one: (a JOIN b …) AS j
	int alias_pos;
	struct mr_ast_idents alias_columns;
	struct mr_ast_column_defs column_defs; // AS f(a int, b text), of functions
	union {
		struct mr_ast_name name;
		const struct mr_ast_select *query;
		// One call, or those of ROWS FROM. Each is MR_AST_CALL (or what `func_expr` allows:
		// CURRENT_DATE, CAST…). Window functions take a relation as first argument: it is
		// an MR_AST_COLUMN of one to three parts.
		struct mr_ast_exprs functions;
		struct {
			uint8_t kind; // enum mr_ast_join
			bool natural;
			const struct mr_ast_from *left;
			const struct mr_ast_from *right;
			const struct mr_ast_expr *on;
			struct mr_ast_idents using;
			const char *using_alias; // USING (…) AS alias, else NULL
		} join;
	};
};

struct mr_ast_target {
	const struct mr_ast_expr *expr;
	const char *alias; // NULL if none was written
	int pos;
};

struct mr_ast_targets {
	const struct mr_ast_target *items;
	uint32_t count;
};

enum mr_ast_materialized {
	MR_AST_MATERIALIZED_DEFAULT,
	MR_AST_MATERIALIZED,
	MR_AST_NOT_MATERIALIZED,
};

struct mr_ast_cte {
	const char *name;
	int pos;
	struct mr_ast_idents columns;
	uint8_t materialized;           // enum mr_ast_materialized
	const struct mr_ast_stmt *stmt; // SELECT; INSERT, UPDATE, DELETE parse too
};

struct mr_ast_with {
	int pos;
	bool recursive;
	const struct mr_ast_cte *items;
	uint32_t count;
};

enum mr_ast_select_kind {
	MR_AST_SELECT,
	MR_AST_VALUES,
	MR_AST_UNION, // left, right, all
	MR_AST_INTERSECT,
	MR_AST_EXCEPT,
};

// One query. WITH, ORDER BY, LIMIT and OFFSET belong to every kind; the rest as marked.
struct mr_ast_select {
	uint8_t kind; // enum mr_ast_select_kind
	bool all;     // set operations: ALL
	bool distinct;
	bool group_distinct;
	bool limit_with_ties; // FETCH FIRST n ROWS WITH TIES
	uint16_t height;
	int pos;
	const struct mr_ast_with *with;

	struct mr_ast_exprs distinct_on; // DISTINCT ON (…): `distinct` is set too
	struct mr_ast_targets targets;
	const struct mr_ast_from *const *from;
	uint32_t from_count;
	const struct mr_ast_expr *where;
	struct mr_ast_exprs group_by; // MR_AST_INT: a position
	const struct mr_ast_expr *having;
	const struct mr_ast_window *windows;
	uint32_t windows_count;

	const struct mr_ast_exprs *rows; // VALUES
	uint32_t rows_count;

	const struct mr_ast_select *left;
	const struct mr_ast_select *right;

	struct mr_ast_sorts order_by;
	const struct mr_ast_expr *limit; // NULL: none (LIMIT ALL too)
	const struct mr_ast_expr *offset;
};

// ---- Statements ----

enum mr_ast_stmt_kind {
	MR_STMT_SELECT,
	MR_STMT_INSERT,
	MR_STMT_UPDATE,
	MR_STMT_DELETE,
	MR_STMT_CREATE_TABLE,
	MR_STMT_CREATE_TABLE_AS,
	MR_STMT_CREATE_VIEW, // plain, not materialized
	MR_STMT_CREATE_MATERIALIZED_VIEW,
	MR_STMT_REFRESH,
	MR_STMT_DROP,
	MR_STMT_TRUNCATE,
	MR_STMT_ALTER,
	MR_STMT_COMMENT,
	MR_STMT_EXPLAIN,
	MR_STMT_SET,
	MR_STMT_RESET,
	MR_STMT_SHOW,
	MR_STMT_TRANSACTION,
	MR_STMT_DECLARE,
	MR_STMT_FETCH,
	MR_STMT_CLOSE,
	MR_STMT_PREPARE,
	MR_STMT_EXECUTE,
	MR_STMT_DEALLOCATE,
	MR_STMT_DISCARD,
	MR_STMT_CHECKPOINT,
	MR_STMT_VACUUM, // ANALYZE too
	MR_STMT_COPY,
	MR_STMT_LISTEN,
	MR_STMT_UNLISTEN,
	MR_STMT_NOTIFY,
	MR_STMT_LOCK,
};

enum mr_ast_value_kind {
	MR_AST_VALUE_NONE, // the option's name stood alone
	MR_AST_VALUE_INT,
	MR_AST_VALUE_NUMBER,
	MR_AST_VALUE_STRING,
	MR_AST_VALUE_WORD, // an identifier or keyword, folded: true, on, json, default
};

// name [=] value, of WITH (…), SET, EXPLAIN (…), COPY (…), VACUUM (…). Numbers keep their sign.
struct mr_ast_option {
	const char *name; // dotted parts joined
	const char *text; // "" when kind is NONE
	uint8_t kind;     // enum mr_ast_value_kind
	int pos;          // of the name
	int value_pos;
};

struct mr_ast_options {
	const struct mr_ast_option *items;
	uint32_t count;
};

enum mr_ast_object {
	MR_AST_OBJECT_TABLE,
	MR_AST_OBJECT_VIEW,
	MR_AST_OBJECT_MATERIALIZED_VIEW,
	MR_AST_OBJECT_INDEX,
	MR_AST_OBJECT_SCHEMA,
	MR_AST_OBJECT_SEQUENCE,
	MR_AST_OBJECT_COLUMN, // COMMENT ON COLUMN t.c
	MR_AST_OBJECT_DATABASE,
};

enum mr_ast_emit {
	MR_AST_EMIT_DEFAULT,
	MR_AST_EMIT_ON_UPDATE,
	MR_AST_EMIT_ON_WINDOW_CLOSE,
};

enum mr_ast_alter {
	MR_AST_ALTER_SET,   // options
	MR_AST_ALTER_RESET, // options, names only
	MR_AST_ALTER_RENAME,
	MR_AST_ALTER_RENAME_COLUMN,
	MR_AST_ALTER_ADD_COLUMN,
	MR_AST_ALTER_DROP_COLUMN,
};

enum mr_ast_set_scope { MR_AST_SET_SESSION, MR_AST_SET_LOCAL };

enum mr_ast_txn {
	MR_AST_TXN_BEGIN,
	MR_AST_TXN_COMMIT,
	MR_AST_TXN_ROLLBACK,
	MR_AST_TXN_SAVEPOINT,
	MR_AST_TXN_RELEASE,
	MR_AST_TXN_ROLLBACK_TO,
};

enum mr_ast_isolation {
	MR_AST_ISOLATION_DEFAULT,
	MR_AST_READ_UNCOMMITTED,
	MR_AST_READ_COMMITTED,
	MR_AST_REPEATABLE_READ,
	MR_AST_SERIALIZABLE,
};

struct mr_ast_txn_modes {
	uint8_t isolation; // enum mr_ast_isolation
	int8_t read_only;  // 1: READ ONLY, 0: READ WRITE, -1: not said
	int8_t deferrable; // likewise
};

enum mr_ast_fetch_kind {
	MR_AST_FETCH_FORWARD, // count rows; count < 0 never
	MR_AST_FETCH_BACKWARD,
	MR_AST_FETCH_ABSOLUTE,
	MR_AST_FETCH_RELATIVE,
};

#define MR_AST_FETCH_ALL INT64_MAX

enum mr_ast_set_target {
	MR_AST_SET_VARIABLE,        // SET name = values; also TIME ZONE, NAMES, ROLE, SCHEMA
	MR_AST_SET_TRANSACTION,     // SET TRANSACTION modes
	MR_AST_SET_CHARACTERISTICS, // SET SESSION CHARACTERISTICS AS TRANSACTION modes
};

// One statement of a script. `text` is its source from its first to its last token.
struct mr_ast_stmt {
	uint8_t kind; // enum mr_ast_stmt_kind
	int pos;
	int32_t params; // highest $n in it
	struct mr_span text;
	union {
		const struct mr_ast_select *select;
		struct {
			const struct mr_ast_with *with;
			struct mr_ast_name table;
			const char *alias;
			struct mr_ast_idents columns;
			const struct mr_ast_select *query; // NULL: DEFAULT VALUES
			struct mr_ast_targets returning;
		} insert;
		struct { // UPDATE and DELETE: enough to name the table in an error
			const struct mr_ast_with *with;
			struct mr_ast_name table;
			const char *alias;
			struct mr_ast_targets set;             // alias = column's name; UPDATE
			const struct mr_ast_from *const *from; // UPDATE … FROM, DELETE … USING
			uint32_t from_count;
			const struct mr_ast_expr *where;
			struct mr_ast_targets returning;
		} change;
		struct {
			struct mr_ast_name name;
			bool if_not_exists;
			struct mr_ast_column_defs columns;
			struct mr_ast_idents
				primary_key; // PRIMARY KEY (a, b) as a table constraint
			struct mr_ast_options options;
		} create_table;
		struct { // CREATE [MATERIALIZED] VIEW and CREATE TABLE AS
			struct mr_ast_name name;
			bool or_replace;
			bool if_not_exists;
			bool with_no_data;
			uint8_t emit; // enum mr_ast_emit
			struct mr_ast_idents columns;
			struct mr_ast_options options;
			const struct mr_ast_select *query;
		} create_view;
		struct {
			struct mr_ast_name name;
			bool concurrently;
			bool with_no_data;
		} refresh;
		struct {                // DROP and TRUNCATE
			uint8_t object; // enum mr_ast_object
			bool if_exists;
			bool cascade;
			struct mr_ast_names names;
		} drop;
		struct {
			uint8_t object; // enum mr_ast_object
			uint8_t action; // enum mr_ast_alter
			bool if_exists;
			bool if_not_exists;    // ADD COLUMN IF NOT EXISTS
			bool column_if_exists; // DROP COLUMN IF EXISTS
			bool cascade;
			struct mr_ast_name name;
			struct mr_ast_options options;
			const char *column; // renamed or dropped
			const char *to;     // new name
			struct mr_ast_column_def add;
		} alter;
		struct {
			uint8_t object; // enum mr_ast_object
			struct mr_ast_name name;
			const char *column; // of OBJECT_COLUMN
			const char *text;   // NULL: IS NULL
		} comment;
		struct {
			struct mr_ast_options
				options; // ANALYZE and VERBOSE without list become these
			const struct mr_ast_stmt *stmt;
		} explain;
		struct { // SET, RESET, SHOW. "all" is the name of RESET ALL and SHOW ALL.
			uint8_t scope;   // enum mr_ast_set_scope
			uint8_t target;  // enum mr_ast_set_target
			bool is_default; // SET x TO DEFAULT
			const char *name;
			struct mr_ast_options values; // names are ""
			struct mr_ast_txn_modes modes;
		} set;
		struct {
			uint8_t what; // enum mr_ast_txn
			bool chain;   // AND CHAIN
			const char *savepoint;
			struct mr_ast_txn_modes modes;
		} txn;
		struct {
			const char *name;
			bool binary;
			bool scroll;
			bool no_scroll;
			bool hold;
			bool insensitive;
			const struct mr_ast_select *query;
		} declare;
		struct { // FETCH and MOVE
			const char *cursor;
			uint8_t how; // enum mr_ast_fetch_kind
			bool move;
			int64_t count; // MR_AST_FETCH_ALL: ALL
		} fetch;
		struct {
			const char *name; // CLOSE, DEALLOCATE (NULL: ALL), LISTEN, UNLISTEN (NULL:
					  // *), DISCARD (what)
		} named;
		struct {
			const char *name;
			const struct mr_ast_type *const *types;
			uint32_t types_count;
			const struct mr_ast_stmt *stmt;
		} prepare;
		struct {
			const char *name;
			struct mr_ast_exprs args;
		} execute;
		struct {
			bool analyze_only;             // ANALYZE
			struct mr_ast_options options; // FULL, FREEZE, VERBOSE, ANALYZE in any form
			struct mr_ast_names tables;
		} vacuum;
		struct {
			struct mr_ast_name table; // name NULL: query
			struct mr_ast_idents columns;
			const struct mr_ast_stmt *query;
			bool from;        // FROM STDIN, else TO STDOUT
			const char *file; // a file name or program (to be refused), else NULL
			struct mr_ast_options options;
		} copy;
		struct {
			const char *channel;
			const char *payload; // NULL if none
		} notify;
		struct {
			struct mr_ast_names tables;
			const char *mode; // "ACCESS EXCLUSIVE" and so on
			bool nowait;
		} lock;
	};
};

struct mr_ast_script {
	const struct mr_ast_stmt *const *stmts;
	uint32_t count;
};
