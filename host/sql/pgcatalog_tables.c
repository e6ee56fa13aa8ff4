// The tables of pg_catalog and information_schema: columns, and rows where there are any.
//
// Columns are those of PostgreSQL 15, in its order, as far as clients ask for them (manual,
// chapters 37 and 53).
#include "host/sql/pgcatalog.h"

#include "host/base/value.h"
#include "host/sql/lex.h"
#include "host/sql/session_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef int each_class(struct mr_pg_fill *f, const struct mr_pg_class *c);

static int for_classes(struct mr_pg_fill *f, each_class *row)
{
	struct mr_pg_class *c;
	int n = mr_pg_classes(mr_pg_env(f), mr_pg_arena(f), &c), rc = n < 0 ? n : 0;

	for (int i = 0; i < n && rc >= 0; i++) {
		// Names outlive the pin only as copies.
		c[i].name = mr_arena_copy(mr_pg_arena(f), c[i].name);
		c[i].schema = mr_arena_copy(mr_pg_arena(f), c[i].schema);
		rc = c[i].name.data && c[i].schema.data ? row(f, &c[i]) : MR_ERR_LIMIT;
	}
	if (n >= 0)
		mr_pg_classes_put(mr_pg_env(f), c, n);
	return rc;
}

static const char *database(const struct mr_pg_fill *f)
{
	return mr_pg_session(f) ? mr_pg_session(f)->database : "millrace";
}

static const char *user(const struct mr_pg_fill *f)
{
	return mr_pg_session(f) ? mr_pg_session(f)->user : "millrace";
}

static bool is_schema(const struct mr_pg_class *c, const char *name)
{
	return mr_span_eq(c->schema, mr_span_str(name));
}

// ---- Relations ----

static const char *kind_of(const struct mr_pg_class *c)
{
	return is_schema(c, "information_schema")      ? "v"
	       : c->relation->kind == MR_RELATION_VIEW ? "m"
						       : "r";
}

static int32_t visible_columns(const struct mr_relation *r)
{
	int32_t n = 0;

	for (uint32_t i = 0; i < r->columns_count; i++)
		n += !r->columns[i].hidden;
	return n;
}

static int class_row(struct mr_pg_fill *f, const struct mr_pg_class *c)
{
	int rc = mr_pg_row(f);

	if (rc < 0)
		return rc;
	mr_pg_int(f, "oid", c->oid);
	mr_pg_text(f, "relname", c->name);
	mr_pg_int(f, "relnamespace", mr_pg_schema_oid(c->schema));
	mr_pg_str(f, "relkind", kind_of(c));
	mr_pg_int(f, "relnatts", visible_columns(c->relation));
	mr_pg_int(f, "reltuples", c->relation->ops->rows_known(c->relation));
	mr_pg_int(f, "relhasrules", kind_of(c)[0] == 'v');
	return 0;
}

static int fill_class(struct mr_pg_fill *f)
{
	return for_classes(f, class_row);
}

static bool has_collation(enum mr_type t)
{
	return t == MR_TYPE_TEXT;
}

// Hidden columns have negative numbers, as PostgreSQL's system columns do.
static int attribute_rows(struct mr_pg_fill *f, const struct mr_pg_class *c)
{
	int visible = 0, hidden = 0, rc;

	for (uint32_t i = 0; i < c->relation->columns_count; i++) {
		const struct mr_relation_column *col = &c->relation->columns[i];
		const struct mr_type_info *t = mr_type_info((enum mr_type)col->type.type);
		struct mr_span name = mr_arena_copy(mr_pg_arena(f), col->name);

		rc = name.data ? mr_pg_row(f) : MR_ERR_LIMIT;
		if (rc < 0)
			return rc;
		mr_pg_int(f, "attrelid", c->oid);
		mr_pg_text(f, "attname", name);
		mr_pg_int(f, "atttypid", t->oid);
		mr_pg_int(f, "attlen", t->bytes);
		mr_pg_int(f, "attnum", col->hidden ? --hidden : ++visible);
		mr_pg_int(f, "atttypmod", mr_typeref_typmod(col->type));
		mr_pg_int(f, "attnotnull", col->not_null);
		mr_pg_str(f, "attstorage", t->bytes < 0 ? "x" : "p");
		mr_pg_int(f, "attcollation", has_collation((enum mr_type)col->type.type) ? 100 : 0);
	}
	return 0;
}

static int fill_attribute(struct mr_pg_fill *f)
{
	return for_classes(f, attribute_rows);
}

static int named_row(struct mr_pg_fill *f, const struct mr_pg_class *c, const char *kinds,
	const char *schema_column, const char *name_column, const char *owner_column)
{
	int rc;

	if (!strchr(kinds, kind_of(c)[0]))
		return 0;
	rc = mr_pg_row(f);
	if (rc < 0)
		return rc;
	mr_pg_text(f, schema_column, c->schema);
	mr_pg_text(f, name_column, c->name);
	mr_pg_str(f, owner_column, user(f));
	return 0;
}

static int table_row(struct mr_pg_fill *f, const struct mr_pg_class *c)
{
	return named_row(f, c, "r", "schemaname", "tablename", "tableowner");
}

static int view_row(struct mr_pg_fill *f, const struct mr_pg_class *c)
{
	return named_row(f, c, "v", "schemaname", "viewname", "viewowner");
}

static int matview_row(struct mr_pg_fill *f, const struct mr_pg_class *c)
{
	int rc = named_row(f, c, "m", "schemaname", "matviewname", "matviewowner");
	struct mr_span text;

	if (rc < 0 || kind_of(c)[0] != 'm' || !c->relation->definition.bytes)
		return rc;
	text = mr_arena_copy(mr_pg_arena(f), c->relation->definition);
	if (!text.data)
		return MR_ERR_LIMIT;
	mr_pg_text(f, "definition", text);
	return 0;
}

static int stat_row(struct mr_pg_fill *f, const struct mr_pg_class *c)
{
	int rc;

	if (!is_schema(c, "public"))
		return 0;
	rc = mr_pg_row(f);
	if (rc < 0)
		return rc;
	mr_pg_int(f, "relid", c->oid);
	mr_pg_text(f, "schemaname", c->schema);
	mr_pg_text(f, "relname", c->name);
	mr_pg_int(f, "n_live_tup", MR_MAX(c->relation->ops->rows_known(c->relation), (int64_t)0));
	return 0;
}

static int fill_tables(struct mr_pg_fill *f)
{
	return for_classes(f, table_row);
}

static int fill_views(struct mr_pg_fill *f)
{
	return for_classes(f, view_row);
}

static int fill_matviews(struct mr_pg_fill *f)
{
	return for_classes(f, matview_row);
}

static int fill_stat_tables(struct mr_pg_fill *f)
{
	return for_classes(f, stat_row);
}

// ---- What there is once ----

static const struct {
	const char *name;
	int64_t oid;
} schemas[] = {{"pg_catalog", MR_PG_OID_CATALOG}, {"public", MR_PG_OID_PUBLIC},
	{"information_schema", MR_PG_OID_INFORMATION}, {"millrace", MR_PG_OID_MILLRACE}};

static int fill_namespace(struct mr_pg_fill *f)
{
	for (size_t i = 0; i < MR_COUNT_OF(schemas); i++) {
		int rc = mr_pg_row(f);

		if (rc < 0)
			return rc;
		mr_pg_int(f, "oid", schemas[i].oid);
		mr_pg_str(f, "nspname", schemas[i].name);
	}
	return 0;
}

static int fill_schemata(struct mr_pg_fill *f)
{
	for (size_t i = 0; i < MR_COUNT_OF(schemas); i++) {
		int rc = mr_pg_row(f);

		if (rc < 0)
			return rc;
		mr_pg_str(f, "catalog_name", database(f));
		mr_pg_str(f, "schema_name", schemas[i].name);
		mr_pg_str(f, "schema_owner", user(f));
	}
	return 0;
}

static int fill_database(struct mr_pg_fill *f)
{
	int rc = mr_pg_row(f);

	if (rc >= 0)
		mr_pg_str(f, "datname", database(f));
	return rc;
}

// pg_roles, pg_authid and pg_user: the one who asks.
static int fill_roles(struct mr_pg_fill *f)
{
	int rc = mr_pg_row(f);

	if (rc < 0)
		return rc;
	mr_pg_str(f, "rolname", user(f));
	mr_pg_str(f, "usename", user(f));
	return 0;
}

static int fill_settings(struct mr_pg_fill *f)
{
	const struct mr_session *s = mr_pg_session(f);

	for (size_t i = 0; mr_setting_at(i); i++) {
		const char *v = s ? mr_setting_current(s, i) : mr_setting_at(i)->initial;
		int rc = mr_pg_row(f);

		if (rc < 0)
			return rc;
		mr_pg_str(f, "name", mr_setting_at(i)->name);
		mr_pg_str(f, "setting", v);
		mr_pg_str(f, "boot_val", mr_setting_at(i)->initial);
		mr_pg_str(f, "reset_val", mr_setting_at(i)->initial);
		mr_pg_str(f, "context",
			mr_setting_at(i)->flags & MR_SETTING_FIXED ? "internal" : "user");
	}
	return 0;
}

// "10.0.0.1:40000" or "[::1]:40000": address and port.
static void put_peer(struct mr_pg_fill *f, const char *peer)
{
	const char *colon = strrchr(peer, ':');
	bool v6 = peer[0] == '[';

	if (!colon)
		return;
	mr_pg_text(f, "client_addr", mr_span(peer + v6, (size_t)(colon - peer) - 2 * v6));
	mr_pg_int(f, "client_port", strtol(colon + 1, NULL, 10));
}

static void put_time(struct mr_pg_fill *f, const char *column, int64_t unix_us)
{
	if (unix_us)
		mr_pg_int(f, column, unix_us);
}

static int fill_activity(struct mr_pg_fill *f)
{
	struct mr_env *env = mr_pg_env(f);
	struct mr_activity *list;
	int n = env->ops->sessions ? env->ops->sessions(env, mr_pg_arena(f), &list) : 0;

	for (int i = 0; i < n; i++) {
		const struct mr_activity *a = &list[i];
		bool in_block = a->state >= MR_SESSION_IDLE_IN_TRANSACTION;
		int rc = mr_pg_row(f);

		if (rc < 0)
			return rc;
		mr_pg_int(f, "pid", a->pid);
		mr_pg_str(f, "application_name", a->application_name);
		put_peer(f, a->peer);
		put_time(f, "backend_start", a->backend_start_us);
		if (a->state == MR_SESSION_ACTIVE || in_block)
			put_time(f, "xact_start", a->query_start_us);
		put_time(f, "query_start", a->query_start_us);
		put_time(f, "state_change", a->state_change_us);
		if (a->state != MR_SESSION_ACTIVE) {
			mr_pg_str(f, "wait_event_type", "Client");
			mr_pg_str(f, "wait_event", "ClientRead");
		}
		mr_pg_str(f, "state", mr_session_state_name(a->state));
		mr_pg_str(f, "query", a->query);
		mr_pg_str(f, "backend_type", "client backend");
	}
	return MR_MIN(n, 0);
}

static int one_row(struct mr_pg_fill *f)
{
	return mr_pg_row(f);
}

static int fill_collation(struct mr_pg_fill *f)
{
	static const char *const names[] = {"default", "C", "POSIX"};
	static const int64_t oids[] = {100, 950, 951};

	for (size_t i = 0; i < MR_COUNT_OF(names); i++) {
		int rc = mr_pg_row(f);

		if (rc < 0)
			return rc;
		mr_pg_int(f, "oid", oids[i]);
		mr_pg_str(f, "collname", names[i]);
	}
	return 0;
}

static int fill_keywords(struct mr_pg_fill *f)
{
	static const struct {
		const char *code, *text;
	} classes[] = {
		[MR_KW_UNRESERVED] = {"U", "unreserved"},
		[MR_KW_COL_NAME] = {"C", "unreserved (cannot be function or type name)"},
		[MR_KW_TYPE_FUNC] = {"T", "reserved (can be function or type name)"},
		[MR_KW_RESERVED] = {"R", "reserved"},
	};

	for (int i = MR_NO_KEYWORD + 1; i < MR_KW_COUNT; i++) {
		const struct mr_keyword_info *k = &mr_keywords[i];
		int rc = mr_pg_row(f);

		if (rc < 0)
			return rc;
		mr_pg_str(f, "word", k->text);
		mr_pg_str(f, "catcode", classes[k->class].code);
		mr_pg_int(f, "barelabel", k->bare_label);
		mr_pg_str(f, "catdesc", classes[k->class].text);
		mr_pg_str(f, "baredesc", k->bare_label ? "can be bare label" : "requires AS");
	}
	return 0;
}

// ---- Types ----

static int type_row(struct mr_pg_fill *f, const struct mr_pg_type *t, bool array)
{
	char *name = mr_arena_printf(mr_pg_arena(f), "%s%s", array ? "_" : "", t->name);
	int rc = name ? mr_pg_row(f) : MR_ERR_LIMIT;
	char *category = mr_arena_printf(mr_pg_arena(f), "%c", array ? 'A' : t->category);

	if (rc < 0 || !category)
		return MR_ERR_LIMIT;
	mr_pg_int(f, "oid", array ? t->array_oid : t->oid);
	mr_pg_str(f, "typname", name);
	mr_pg_int(f, "typlen", array ? -1 : t->bytes);
	mr_pg_str(f, "typcategory", category);
	mr_pg_str(f, "typtype", t->category == 'P' ? "p" : "b");
	mr_pg_int(f, "typelem", array ? t->oid : 0);
	mr_pg_int(f, "typarray", array ? 0 : t->array_oid);
	mr_pg_int(f, "typcollation", t->category == 'S' ? 100 : 0);
	return 0;
}

static int fill_type(struct mr_pg_fill *f)
{
	struct mr_pg_type t;
	int rc = 0;

	for (size_t i = 0; rc >= 0 && mr_pg_type_at(i, &t); i++) {
		rc = type_row(f, &t, false);
		if (rc >= 0 && t.array_oid)
			rc = type_row(f, &t, true);
	}
	return rc;
}

// ---- information_schema ----

static int is_table_row(struct mr_pg_fill *f, const struct mr_pg_class *c)
{
	int rc = mr_pg_row(f);

	if (rc < 0)
		return rc;
	mr_pg_str(f, "table_catalog", database(f));
	mr_pg_text(f, "table_schema", c->schema);
	mr_pg_text(f, "table_name", c->name);
	mr_pg_str(f, "table_type", kind_of(c)[0] == 'r' ? "BASE TABLE" : "VIEW");
	return 0;
}

static int fill_is_tables(struct mr_pg_fill *f)
{
	return for_classes(f, is_table_row);
}

// A materialized view is a VIEW here: tools that know the standard only would not see it otherwise.
static int is_view_row(struct mr_pg_fill *f, const struct mr_pg_class *c)
{
	struct mr_span text = {0};
	int rc;

	if (kind_of(c)[0] == 'r')
		return 0;
	rc = is_table_row(f, c);
	if (rc < 0 || !c->relation->definition.bytes)
		return rc;
	text = mr_arena_copy(mr_pg_arena(f), c->relation->definition);
	if (!text.data)
		return MR_ERR_LIMIT;
	mr_pg_text(f, "view_definition", text);
	return 0;
}

static int fill_is_views(struct mr_pg_fill *f)
{
	return for_classes(f, is_view_row);
}

static void put_precision(struct mr_pg_fill *f, struct mr_typeref t)
{
	static const uint8_t bits[MR_TYPE_COUNT] = {[MR_TYPE_INT2] = 16,
		[MR_TYPE_INT4] = 32,
		[MR_TYPE_INT8] = 64,
		[MR_TYPE_FLOAT4] = 24,
		[MR_TYPE_FLOAT8] = 53};

	if (bits[t.type]) {
		mr_pg_int(f, "numeric_precision", bits[t.type]);
		mr_pg_int(f, "numeric_precision_radix", 2);
		if (t.type != MR_TYPE_FLOAT4 && t.type != MR_TYPE_FLOAT8)
			mr_pg_int(f, "numeric_scale", 0);
	} else if (t.type == MR_TYPE_NUMERIC) {
		mr_pg_int(f, "numeric_precision_radix", 10);
		if (t.precision) {
			mr_pg_int(f, "numeric_precision", t.precision);
			mr_pg_int(f, "numeric_scale", t.scale);
		}
	} else if (t.type == MR_TYPE_TIMESTAMP || t.type == MR_TYPE_TIMESTAMPTZ) {
		mr_pg_int(f, "datetime_precision", 6);
	} else if (t.type == MR_TYPE_DATE) {
		mr_pg_int(f, "datetime_precision", 0);
	}
}

static int is_column_rows(struct mr_pg_fill *f, const struct mr_pg_class *c)
{
	int number = 0;

	for (uint32_t i = 0; i < c->relation->columns_count; i++) {
		const struct mr_relation_column *col = &c->relation->columns[i];
		const struct mr_type_info *t = mr_type_info((enum mr_type)col->type.type);
		struct mr_span name = mr_arena_copy(mr_pg_arena(f), col->name);
		int rc = col->hidden ? 0 : is_table_row(f, c);

		if (col->hidden)
			continue;
		if (rc < 0 || !name.data)
			return MR_ERR_LIMIT;
		mr_pg_text(f, "column_name", name);
		mr_pg_int(f, "ordinal_position", ++number);
		mr_pg_str(f, "is_nullable", col->not_null ? "NO" : "YES");
		mr_pg_str(f, "data_type", t->name);
		mr_pg_str(f, "udt_catalog", database(f));
		mr_pg_str(f, "udt_name", t->udt);
		put_precision(f, col->type);
	}
	return 0;
}

static int fill_is_columns(struct mr_pg_fill *f)
{
	return for_classes(f, is_column_rows);
}

// ---- The table of tables ----

#define PG "pg_catalog"
#define IS "information_schema"

const struct mr_pg_def mr_pg_defs[] = {
	{PG, "pg_class",
		"oid:o relname:t relnamespace:o reltype:o=0 reloftype:o=0 relowner:o=10 relam:o=0 "
		"relfilenode:o=0 reltablespace:o=0 relpages:i=0 reltuples:f=-1 relallvisible:i=0 "
		"reltoastrelid:o=0 relhasindex:b=f relisshared:b=f relpersistence:t=p relkind:t "
		"relnatts:s relchecks:s=0 relhasrules:b=f relhastriggers:b=f relhassubclass:b=f "
		"relrowsecurity:b=f relforcerowsecurity:b=f relispopulated:b=t relreplident:t=d "
		"relispartition:b=f relrewrite:o=0 relfrozenxid:o=0 relminmxid:o=0 relacl:t "
		"reloptions:t relpartbound:t",
		fill_class},
	{PG, "pg_attribute",
		"attrelid:o attname:t atttypid:o attstattarget:i=-1 attlen:s attnum:s attndims:i=0 "
		"attcacheoff:i=-1 atttypmod:i attbyval:b=f attalign:t=i attstorage:t "
		"attcompression:t= attnotnull:b=f atthasdef:b=f atthasmissing:b=f attidentity:t= "
		"attgenerated:t= attisdropped:b=f attislocal:b=t attinhcount:i=0 attcollation:o=0 "
		"attacl:t attoptions:t attfdwoptions:t attmissingval:t",
		fill_attribute},
	{PG, "pg_type",
		"oid:o typname:t typnamespace:o=11 typowner:o=10 typlen:s typbyval:b=f typtype:t "
		"typcategory:t typispreferred:b=f typisdefined:b=t typdelim:t=, typrelid:o=0 "
		"typsubscript:t=- typelem:o=0 typarray:o=0 typinput:t=- typoutput:t=- "
		"typreceive:t=- typsend:t=- typmodin:t=- typmodout:t=- typanalyze:t=- "
		"typalign:t=i typstorage:t=p typnotnull:b=f typbasetype:o=0 typtypmod:i=-1 "
		"typndims:i=0 typcollation:o=0 typdefaultbin:t typdefault:t typacl:t",
		fill_type},
	{PG, "pg_namespace", "oid:o nspname:t nspowner:o=10 nspacl:t", fill_namespace},
	{PG, "pg_database",
		"oid:o=5 datname:t datdba:o=10 encoding:i=6 datlocprovider:t=c datistemplate:b=f "
		"datallowconn:b=t datconnlimit:i=-1 datfrozenxid:o=0 datminmxid:o=0 "
		"dattablespace:o=1663 datcollate:t=C datctype:t=C.UTF-8 daticulocale:t "
		"datcollversion:t datacl:t",
		fill_database},
	{PG, "pg_roles",
		"rolname:t rolsuper:b=t rolinherit:b=t rolcreaterole:b=f rolcreatedb:b=f "
		"rolcanlogin:b=t rolreplication:b=f rolconnlimit:i=-1 rolpassword:t=******** "
		"rolvaliduntil:z rolbypassrls:b=f rolconfig:t oid:o=10",
		fill_roles},
	{PG, "pg_authid",
		"oid:o=10 rolname:t rolsuper:b=t rolinherit:b=t rolcreaterole:b=f rolcreatedb:b=f "
		"rolcanlogin:b=t rolreplication:b=f rolbypassrls:b=f rolconnlimit:i=-1 "
		"rolpassword:t rolvaliduntil:z",
		fill_roles},
	{PG, "pg_user",
		"usename:t usesysid:o=10 usecreatedb:b=f usesuper:b=t userepl:b=f usebypassrls:b=f "
		"passwd:t=******** valuntil:z useconfig:t",
		fill_roles},
	{PG, "pg_auth_members", "roleid:o member:o grantor:o admin_option:b", NULL},
	{PG, "pg_settings",
		"name:t setting:t unit:t category:t=Settings short_desc:t extra_desc:t context:t "
		"vartype:t=string source:t=session min_val:t max_val:t enumvals:t boot_val:t "
		"reset_val:t sourcefile:t sourceline:i pending_restart:b=f",
		fill_settings},
	{PG, "pg_stat_activity",
		"datid:o=5 datname:t=millrace pid:i leader_pid:i usesysid:o=10 usename:t=millrace "
		"application_name:t client_addr:t client_hostname:t client_port:i backend_start:z "
		"xact_start:z query_start:z state_change:z wait_event_type:t wait_event:t state:t "
		"backend_xid:l backend_xmin:l query_id:l query:t backend_type:t",
		fill_activity},
	{PG, "pg_tables",
		"schemaname:t tablename:t tableowner:t tablespace:t hasindexes:b=f hasrules:b=f "
		"hastriggers:b=f rowsecurity:b=f",
		fill_tables},
	{PG, "pg_views", "schemaname:t viewname:t viewowner:t definition:t", fill_views},
	{PG, "pg_matviews",
		"schemaname:t matviewname:t matviewowner:t tablespace:t hasindexes:b=f "
		"ispopulated:b=t definition:t",
		fill_matviews},
	{PG, "pg_stat_user_tables",
		"relid:o schemaname:t relname:t seq_scan:l=0 seq_tup_read:l=0 idx_scan:l "
		"idx_tup_fetch:l n_tup_ins:l=0 n_tup_upd:l=0 n_tup_del:l=0 n_live_tup:l=0 "
		"n_dead_tup:l=0 last_vacuum:z last_analyze:z",
		fill_stat_tables},
	{PG, "pg_collation",
		"oid:o collname:t collnamespace:o=11 collowner:o=10 collprovider:t=c "
		"collisdeterministic:b=t collencoding:i=-1 collcollate:t=C collctype:t=C "
		"colliculocale:t collversion:t",
		fill_collation},
	{PG, "pg_opclass",
		"oid:o opcmethod:o opcname:t opcnamespace:o opcowner:o opcfamily:o opcintype:o "
		"opcdefault:b opckeytype:o",
		NULL},
	{PG, "pg_opfamily", "oid:o opfmethod:o opfname:t opfnamespace:o opfowner:o", NULL},
	{PG, "pg_am", "oid:o=2 amname:t=heap amhandler:t=heap_tableam_handler amtype:t=t", one_row},
	{PG, "pg_tablespace", "oid:o=1663 spcname:t=pg_default spcowner:o=10 spcacl:t spcoptions:t",
		one_row},
	{PG, "pg_description", "objoid:o classoid:o objsubid:i description:t", NULL},
	{PG, "pg_shdescription", "objoid:o classoid:o description:t", NULL},
	{PG, "pg_index",
		"indexrelid:o indrelid:o indnatts:s indnkeyatts:s indisunique:b "
		"indnullsnotdistinct:b indisprimary:b indisexclusion:b indimmediate:b "
		"indisclustered:b indisvalid:b indcheckxmin:b indisready:b indislive:b "
		"indisreplident:b indkey:t indcollation:t indclass:t indoption:t indexprs:t "
		"indpred:t",
		NULL},
	{PG, "pg_indexes", "schemaname:t tablename:t indexname:t tablespace:t indexdef:t", NULL},
	{PG, "pg_constraint",
		"oid:o conname:t connamespace:o contype:t condeferrable:b condeferred:b "
		"convalidated:b conrelid:o contypid:o conindid:o conparentid:o confrelid:o "
		"confupdtype:t confdeltype:t confmatchtype:t conislocal:b coninhcount:i "
		"connoinherit:b conkey:t confkey:t conpfeqop:t conppeqop:t conffeqop:t "
		"confdelsetcols:t conexclop:t conbin:t",
		NULL},
	{PG, "pg_attrdef", "oid:o adrelid:o adnum:s adbin:t", NULL},
	{PG, "pg_proc",
		"oid:o proname:t pronamespace:o proowner:o prolang:o procost:f prorows:f "
		"provariadic:o prosupport:t prokind:t prosecdef:b proleakproof:b proisstrict:b "
		"proretset:b provolatile:t proparallel:t pronargs:s pronargdefaults:s prorettype:o "
		"proargtypes:t proallargtypes:t proargmodes:t proargnames:t proargdefaults:t "
		"protrftypes:t prosrc:t probin:t prosqlbody:t proconfig:t proacl:t",
		NULL},
	{PG, "pg_language", "oid:o lanname:t lanowner:o lanispl:b lanpltrusted:b", NULL},
	{PG, "pg_operator",
		"oid:o oprname:t oprnamespace:o oprowner:o oprkind:t oprleft:o oprright:o "
		"oprresult:o oprcode:o",
		NULL},
	{PG, "pg_enum", "oid:o enumtypid:o enumsortorder:f enumlabel:t", NULL},
	{PG, "pg_range", "rngtypid:o rngsubtype:o rngmultitypid:o rngcollation:o rngsubopc:o",
		NULL},
	{PG, "pg_inherits", "inhrelid:o inhparent:o inhseqno:i inhdetachpending:b", NULL},
	{PG, "pg_partitioned_table", "partrelid:o partstrat:t partnatts:s partdefid:o", NULL},
	{PG, "pg_policy",
		"oid:o polname:t polrelid:o polcmd:t polpermissive:b polroles:t polqual:t "
		"polwithcheck:t",
		NULL},
	{PG, "pg_publication",
		"oid:o pubname:t pubowner:o puballtables:b pubinsert:b pubupdate:b pubdelete:b "
		"pubtruncate:b pubviaroot:b",
		NULL},
	{PG, "pg_publication_rel", "oid:o prpubid:o prrelid:o prqual:t prattrs:t", NULL},
	{PG, "pg_publication_namespace", "oid:o pnpubid:o pnnspid:o", NULL},
	{PG, "pg_statistic_ext",
		"oid:o stxrelid:o stxname:t stxnamespace:o stxowner:o stxstattarget:i stxkeys:t "
		"stxkind:t stxexprs:t",
		NULL},
	{PG, "pg_trigger",
		"oid:o tgrelid:o tgparentid:o tgname:t tgfoid:o tgtype:s tgenabled:t "
		"tgisinternal:b "
		"tgconstrrelid:o tgconstrindid:o tgconstraint:o tgdeferrable:b tginitdeferred:b "
		"tgnargs:s tgattr:t tgargs:t tgqual:t tgoldtable:t tgnewtable:t",
		NULL},
	{PG, "pg_rewrite",
		"oid:o rulename:t ev_class:o ev_type:t ev_enabled:t is_instead:b ev_qual:t "
		"ev_action:t",
		NULL},
	{PG, "pg_sequence",
		"seqrelid:o seqtypid:o seqstart:l seqincrement:l seqmax:l seqmin:l seqcache:l "
		"seqcycle:b",
		NULL},
	{PG, "pg_extension",
		"oid:o extname:t extowner:o extnamespace:o extrelocatable:b extversion:t", NULL},
	{PG, "pg_foreign_table", "ftrelid:o ftserver:o ftoptions:t", NULL},
	{PG, "pg_foreign_server", "oid:o srvname:t srvowner:o srvfdw:o srvoptions:t", NULL},
	{PG, "pg_event_trigger", "oid:o evtname:t evtevent:t evtowner:o evtfoid:o evtenabled:t",
		NULL},
	{PG, "pg_cast", "oid:o castsource:o casttarget:o castfunc:o castcontext:t castmethod:t",
		NULL},
	{PG, "pg_default_acl", "oid:o defaclrole:o defaclnamespace:o defaclobjtype:t defaclacl:t",
		NULL},
	{PG, "pg_db_role_setting", "setdatabase:o setrole:o setconfig:t", NULL},
	{PG, "pg_foreign_data_wrapper",
		"oid:o fdwname:t fdwowner:o fdwhandler:o fdwvalidator:o fdwacl:t fdwoptions:t",
		NULL},
	{PG, "pg_depend",
		"classid:o objid:o objsubid:i refclassid:o refobjid:o refobjsubid:i deptype:t",
		NULL},
	{PG, "pg_prepared_statements", "name:t statement:t prepare_time:z from_sql:b", NULL},
	{PG, "pg_locks", "locktype:t database:o relation:o pid:i mode:t granted:b", NULL},
	{MR_PG_FUNCTIONS, "pg_get_keywords", "word:t catcode:t barelabel:b catdesc:t baredesc:t",
		fill_keywords},
	{IS, "tables",
		"table_catalog:t table_schema:t table_name:t table_type:t "
		"self_referencing_column_name:t reference_generation:t user_defined_type_catalog:t "
		"user_defined_type_schema:t user_defined_type_name:t is_insertable_into:t=YES "
		"is_typed:t=NO commit_action:t",
		fill_is_tables},
	{IS, "columns",
		"table_catalog:t table_schema:t table_name:t column_name:t ordinal_position:i "
		"column_default:t is_nullable:t data_type:t character_maximum_length:i "
		"character_octet_length:i numeric_precision:i numeric_precision_radix:i "
		"numeric_scale:i datetime_precision:i interval_type:t interval_precision:i "
		"character_set_name:t collation_name:t domain_name:t udt_catalog:t "
		"udt_schema:t=pg_catalog udt_name:t is_self_referencing:t=NO is_identity:t=NO "
		"identity_generation:t is_generated:t=NEVER generation_expression:t "
		"is_updatable:t=NO",
		fill_is_columns},
	{IS, "schemata",
		"catalog_name:t schema_name:t schema_owner:t default_character_set_catalog:t "
		"default_character_set_schema:t default_character_set_name:t sql_path:t",
		fill_schemata},
	{IS, "views",
		"table_catalog:t table_schema:t table_name:t view_definition:t check_option:t=NONE "
		"is_updatable:t=NO is_insertable_into:t=NO",
		fill_is_views},
	{IS, "table_constraints",
		"constraint_catalog:t constraint_schema:t constraint_name:t table_catalog:t "
		"table_schema:t table_name:t constraint_type:t is_deferrable:t "
		"initially_deferred:t",
		NULL},
	{IS, "key_column_usage",
		"constraint_catalog:t constraint_schema:t constraint_name:t table_catalog:t "
		"table_schema:t table_name:t column_name:t ordinal_position:i "
		"position_in_unique_constraint:i",
		NULL},
	{IS, "role_table_grants",
		"grantor:t grantee:t table_catalog:t table_schema:t table_name:t privilege_type:t "
		"is_grantable:t with_hierarchy:t",
		NULL},
	{IS, "table_privileges",
		"grantor:t grantee:t table_catalog:t table_schema:t table_name:t privilege_type:t "
		"is_grantable:t with_hierarchy:t",
		NULL},
	{IS, "routines", "specific_schema:t specific_name:t routine_name:t routine_type:t", NULL},
};

const size_t mr_pg_defs_count = MR_COUNT_OF(mr_pg_defs);
