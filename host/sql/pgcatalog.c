// Making, filling and scanning the relations of pg_catalog and information_schema.
#include "host/sql/pgcatalog.h"

#include "host/base/value.h"
#include "host/sql/row_table.h"
#include "host/sql/session_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pg_relation {
	struct mr_relation relation;
	const struct mr_pg_def *def;
	struct mr_env *env;
	struct mr_session *session;
	struct mr_datum *defaults;
};

struct mr_pg_fill {
	const struct pg_relation *r;
	struct mr_row_table *rows;
};

// ---- Filling ----

struct mr_env *mr_pg_env(const struct mr_pg_fill *f)
{
	return f->r->env;
}

struct mr_session *mr_pg_session(const struct mr_pg_fill *f)
{
	return f->r->session;
}

struct mr_arena *mr_pg_arena(const struct mr_pg_fill *f)
{
	return mr_row_table_arena(f->rows);
}

int mr_pg_row(struct mr_pg_fill *f)
{
	mr_row_begin(f->rows);
	return mr_row_table_failed(f->rows) ? MR_ERR_LIMIT : 0;
}

// Some fill several relations, of which not all have the column: then no place at all.
static uint32_t place(const struct mr_pg_fill *f, const char *column)
{
	const struct mr_relation *r = &f->r->relation;
	uint32_t i = 0;

	while (i < r->columns_count && !mr_span_eq(r->columns[i].name, mr_span_str(column)))
		i++;
	return i;
}

void mr_pg_int(struct mr_pg_fill *f, const char *column, int64_t v)
{
	mr_row_int(f->rows, place(f, column), v);
}

void mr_pg_text(struct mr_pg_fill *f, const char *column, struct mr_span v)
{
	mr_row_text(f->rows, place(f, column), v);
}

void mr_pg_str(struct mr_pg_fill *f, const char *column, const char *v)
{
	mr_pg_text(f, column, mr_span_str(v));
}

static int scan_begin(const struct mr_relation *r, const struct mr_scan_spec *spec,
	struct mr_scan **out, struct mr_diag *diag)
{
	const struct pg_relation *p = r->owner;
	struct mr_pg_fill fill = {.r = p};
	int rc = mr_row_table_open(r, spec, p->defaults, &fill.rows, diag);

	if (rc < 0)
		return rc;
	rc = p->def->fill ? p->def->fill(&fill) : 0;
	if (rc < 0) {
		mr_row_table_close(fill.rows);
		return mr_query_no_memory(spec->query, diag);
	}
	*out = (struct mr_scan *)fill.rows;
	return 0;
}

static const struct mr_relation_ops relation_ops = {scan_begin, mr_row_table_next,
	mr_row_table_stats, mr_row_table_end, mr_row_table_rows_known};

// ---- Making ----

static enum mr_type type_of(char c)
{
	switch (c) {
	case 'o':
	case 'l': return MR_TYPE_INT8;
	case 'i': return MR_TYPE_INT4;
	case 's': return MR_TYPE_INT2;
	case 'b': return MR_TYPE_BOOL;
	case 'f': return MR_TYPE_FLOAT4;
	case 'z': return MR_TYPE_TIMESTAMPTZ;
	default: return MR_TYPE_TEXT;
	}
}

// Reads "name:type=default …" of a definition; `columns` has room for all.
static int read_columns(const struct mr_pg_def *def, struct mr_arena *arena,
	struct mr_relation_column *columns, struct mr_datum *defaults)
{
	const char *at = def->columns;

	for (uint32_t i = 0; *at; i++) {
		size_t bytes = strcspn(at, " "), name = strcspn(at, ":");

		columns[i].name = mr_span(at, name);
		columns[i].type.type = (uint8_t)type_of(at[name + 1]);
		defaults[i].null = bytes <= name + 2;
		if (!defaults[i].null &&
			mr_value_parse(columns[i].type, mr_span(at + name + 3, bytes - name - 3),
				NULL, arena, &defaults[i].value, NULL) < 0)
			return -ENOMEM;
		at += bytes;
		at += *at == ' ';
	}
	return 0;
}

static uint32_t columns_of(const struct mr_pg_def *def)
{
	uint32_t n = 0;

	for (const char *p = def->columns; *p; p++)
		n += *p == ':';
	return n;
}

static int make(const struct mr_pg_def *def, struct mr_arena *arena, struct mr_env *env,
	void *session, const struct mr_relation **out)
{
	uint32_t n = columns_of(def);
	struct pg_relation *r = mr_arena_zalloc(arena, 1, sizeof(*r));
	struct mr_relation_column *columns = mr_arena_zalloc(arena, n + 1, sizeof(*columns));

	if (!r || !columns)
		return -ENOMEM;
	r->defaults = mr_arena_zalloc(arena, n + 1, sizeof(*r->defaults));
	if (!r->defaults || read_columns(def, arena, columns, r->defaults) < 0)
		return -ENOMEM;
	r->def = def;
	r->env = env;
	r->session = session;
	r->relation = (struct mr_relation){
		.kind = MR_RELATION_SYSTEM,
		.schema = mr_span_str(def->schema),
		.name = mr_span_str(def->name),
		.columns_count = n,
		.columns = columns,
		.ops = &relation_ops,
		.owner = r,
	};
	*out = &r->relation;
	return 0;
}

int mr_pg_relation(struct mr_arena *arena, struct mr_env *env, void *session, struct mr_span schema,
	struct mr_span name, const struct mr_relation **out)
{
	if (!schema.bytes)
		schema = mr_span_str("pg_catalog");
	*out = NULL;
	for (size_t i = 0; i < mr_pg_defs_count; i++)
		if (mr_span_eq(name, mr_span_str(mr_pg_defs[i].name)) &&
			mr_span_eq(schema, mr_span_str(mr_pg_defs[i].schema)))
			return make(&mr_pg_defs[i], arena, env, session, out);
	return 0;
}

// ---- All relations ----

static int64_t oid_of(const struct mr_relation *r)
{
	return r->kind == MR_RELATION_SYSTEM ? MR_PG_OID_SYSTEM + (int64_t)(UINT64_MAX - r->id)
					     : MR_PG_OID_USER + (int64_t)r->id;
}

int mr_pg_classes(struct mr_env *env, struct mr_arena *arena, struct mr_pg_class **out)
{
	const struct mr_relation **list = NULL;
	int n = env->ops->relations ? env->ops->relations(env, arena, &list) : 0, rc = 0, count;
	struct mr_pg_class *c =
		n < 0 ? NULL : mr_arena_zalloc(arena, (size_t)n + mr_pg_defs_count, sizeof(*c));

	for (int i = 0; i < n; i++)
		if (c)
			c[i] = (struct mr_pg_class){
				oid_of(list[i]), list[i]->schema, list[i]->name, list[i]};
		else
			env->ops->relation_put(env, list[i]);
	if (!c)
		return MR_ERR_LIMIT;
	*out = c;
	count = n;
	for (size_t i = 0; i < mr_pg_defs_count && rc >= 0; i++) {
		struct mr_pg_class *p = &c[count];

		if (strcmp(mr_pg_defs[i].schema, MR_PG_FUNCTIONS) == 0)
			continue;
		count++;
		p->oid = MR_PG_OID_VIRTUAL + (int64_t)i;
		p->schema = mr_span_str(mr_pg_defs[i].schema);
		p->name = mr_span_str(mr_pg_defs[i].name);
		rc = make(&mr_pg_defs[i], arena, env, NULL, &p->relation);
	}
	if (rc < 0)
		mr_pg_classes_put(env, c, n);
	return rc < 0 ? MR_ERR_LIMIT : count;
}

void mr_pg_classes_put(struct mr_env *env, struct mr_pg_class *c, int count)
{
	for (int i = 0; i < count; i++)
		if (c[i].relation && c[i].relation->ops != &relation_ops)
			env->ops->relation_put(env, c[i].relation);
}

int64_t mr_pg_schema_oid(struct mr_span schema)
{
	static const struct {
		const char *name;
		int64_t oid;
	} schemas[] = {{"public", MR_PG_OID_PUBLIC}, {"pg_catalog", MR_PG_OID_CATALOG},
		{"information_schema", MR_PG_OID_INFORMATION}, {"millrace", MR_PG_OID_MILLRACE}};

	for (size_t i = 0; i < MR_COUNT_OF(schemas); i++)
		if (mr_span_eq(schema, mr_span_str(schemas[i].name)))
			return schemas[i].oid;
	return 0;
}

// ---- Types ----

bool mr_pg_type_at(size_t i, struct mr_pg_type *out)
{
	static const struct mr_pg_type others[] = {
		{26, 1028, "oid", "oid", 4, 'N'},
		{19, 1003, "name", "name", 64, 'S'},
		{18, 1002, "char", "\"char\"", 1, 'Z'},
		{1043, 1015, "varchar", "character varying", -1, 'S'},
		{1042, 1014, "bpchar", "character", -1, 'S'},
		{114, 199, "json", "json", -1, 'U'},
		{3802, 3807, "jsonb", "jsonb", -1, 'U'},
		{2205, 2210, "regclass", "regclass", 4, 'N'},
		{22, 1006, "int2vector", "int2vector", -1, 'A'},
		{30, 1013, "oidvector", "oidvector", -1, 'A'},
		{1083, 1183, "time", "time without time zone", 8, 'D'},
		{705, 0, "unknown", "unknown", -2, 'X'},
		{2249, 2287, "record", "record", -1, 'P'},
		{2278, 0, "void", "void", 4, 'P'},
	};
	size_t ours = MR_TYPE_COUNT - MR_TYPE_BOOL;

	if (i < ours) {
		const struct mr_type_info *t = mr_type_info((enum mr_type)(MR_TYPE_BOOL + i));

		*out = (struct mr_pg_type){
			t->oid, t->array_oid, t->udt, t->name, t->bytes, t->category};
		return true;
	}
	if (i - ours >= MR_COUNT_OF(others))
		return false;
	*out = others[i - ours];
	return true;
}
