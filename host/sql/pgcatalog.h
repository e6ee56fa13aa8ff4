// pg_catalog and information_schema: relations that exist in the SQL layer only.
//
// Each is a row of one table (pgcatalog_tables.c): its columns and a function that writes its rows
// when a scan begins, from what the environment says exists. PostgreSQL's types that we do not have
// are shown as the nearest one: oid as bigint, name and "char" as text, arrays as text '{a,b}'.
#pragma once

#include "host/sql/env.h"
#include "host/sql/expr.h"

enum {
	MR_PG_OID_CATALOG = 11,       // the schema pg_catalog
	MR_PG_OID_PUBLIC = 2200,      // the schema public
	MR_PG_OID_INFORMATION = 1300, // the schema information_schema
	MR_PG_OID_MILLRACE = 1301,    // the schema millrace
	MR_PG_OID_OWNER = 10,         // the only role
	MR_PG_OID_DATABASE = 5,       // the only database
	MR_PG_OID_VIRTUAL = 11000,    // relations of this file, in the order of their table
	MR_PG_OID_SYSTEM = 12000,     // relations of the schema millrace
	MR_PG_OID_USER = 16384,       // tables and views: this and their id
};

// What a fill function writes to. Memory is the scan's.
struct mr_pg_fill;

// The schema of those that are functions of pg_catalog in FROM and not listed as relations.
#define MR_PG_FUNCTIONS "pg_catalog()"

struct mr_pg_def {
	const char *schema;
	const char *name;
	// "name:type=default …", separated by spaces. Types: o oid, l bigint, i integer, s
	// smallint, b boolean, t text, f real, z timestamptz. No default: NULL.
	const char *columns;
	int (*fill)(struct mr_pg_fill *f); // NULL: no rows
};

extern const struct mr_pg_def mr_pg_defs[];
extern const size_t mr_pg_defs_count;

// Makes the relation of that name in `arena`; `schema` empty: pg_catalog. NULL in `*out` when there
// is none. -ENOMEM.
[[nodiscard]] int mr_pg_relation(struct mr_arena *arena, struct mr_env *env, void *session,
	struct mr_span schema, struct mr_span name, const struct mr_relation **out);

// ---- For fill functions ----

struct mr_env *mr_pg_env(const struct mr_pg_fill *f);
struct mr_session *mr_pg_session(const struct mr_pg_fill *f);
struct mr_arena *mr_pg_arena(const struct mr_pg_fill *f);
// A row of defaults; 0, or MR_ERR_LIMIT.
[[nodiscard]] int mr_pg_row(struct mr_pg_fill *f);
void mr_pg_int(struct mr_pg_fill *f, const char *column, int64_t v); // any integer type, boolean
void mr_pg_text(struct mr_pg_fill *f, const char *column, struct mr_span v); // borrows
void mr_pg_str(struct mr_pg_fill *f, const char *column, const char *v);

// Appends an item of an array as PostgreSQL writes it, with quotes where it needs them.
void mr_pg_array_add(struct mr_buf *out, struct mr_span item);

// ---- Relations and types by OID ----

// A relation as the catalog shows it: one of the environment's or one of ours.
struct mr_pg_class {
	int64_t oid;
	struct mr_span schema;
	struct mr_span name;
	const struct mr_relation *relation;
};

// All there are; pinned until mr_pg_classes_put. Count, or negative.
[[nodiscard]] int mr_pg_classes(
	struct mr_env *env, struct mr_arena *arena, struct mr_pg_class **out);
void mr_pg_classes_put(struct mr_env *env, struct mr_pg_class *c, int count);
int64_t mr_pg_schema_oid(struct mr_span schema);

struct mr_pg_type {
	uint32_t oid;
	uint32_t array_oid;
	const char *name;   // pg_type.typname
	const char *format; // as format_type says it
	int16_t bytes;
	char category;
};

// The i-th type, or false: ours first, then those that clients ask for by OID.
bool mr_pg_type_at(size_t i, struct mr_pg_type *out);
