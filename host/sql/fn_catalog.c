// Functions that clients call about the catalog. What does not exist here (defaults, comments,
// expressions, privileges) has the answer of an empty PostgreSQL.
//
// An array is its text, '{a,b}': see pgcatalog.h.
#include "host/base/quote.h"
#include "host/sql/fn_int.h"
#include "host/sql/pgcatalog.h"
#include "host/sql/session_int.h"

#include <stdio.h>
#include <strings.h>

static int text(struct mr_fn_call *c, const char *s, void *out)
{
	return mr_fn_str(c, s, strlen(s), out);
}

static int yes(struct mr_fn_call *, const void *const *, void *out)
{
	RESULT(uint8_t) = 1;
	return 0;
}

static int null(struct mr_fn_call *, const void *const *, void *)
{
	return 1;
}

// The schemas that names without one are looked up in; an OID tells its schema.
static int visible(struct mr_fn_call *, const void *const *a, void *out)
{
	int64_t oid = ARG(int64_t, 0);

	RESULT(uint8_t) =
		oid >= MR_PG_OID_USER || oid < MR_PG_OID_VIRTUAL ||
		(oid < MR_PG_OID_SYSTEM && (size_t)(oid - MR_PG_OID_VIRTUAL) < mr_pg_defs_count &&
			strcmp(mr_pg_defs[oid - MR_PG_OID_VIRTUAL].schema, "pg_catalog") == 0);
	return 0;
}

static int userbyid(struct mr_fn_call *c, const void *const *a, void *out)
{
	const struct mr_session *s = c->ev->session;
	char unknown[48];

	if (ARG(int64_t, 0) == MR_PG_OID_OWNER)
		return text(c, s ? s->user : "millrace", out);
	snprintf(unknown, sizeof(unknown), "unknown (OID=%lld)", (long long)ARG(int64_t, 0));
	return text(c, unknown, out);
}

// current_schemas(implicit ones too)
static int schemas(struct mr_fn_call *c, const void *const *a, void *out)
{
	return text(c, ARG(uint8_t, 0) ? "{pg_catalog,public}" : "{public}", out);
}

static int encoding_name(struct mr_fn_call *c, const void *const *a, void *out)
{
	return text(c, ARG(int32_t, 0) == 6 ? "UTF8" : "", out);
}

// format_type(oid, typmod): NULL for a NULL oid only.
static int format_type(struct mr_fn_call *c, const void *const *a, void *out)
{
	int32_t mod = c->args_count > 1 && a[1] ? ARG(int32_t, 1) : -1;
	struct mr_pg_type t;
	char name[80];

	if (!a[0])
		return 1;
	if (ARG(int64_t, 0) == 0)
		return text(c, "-", out);
	for (size_t i = 0; mr_pg_type_at(i, &t); i++) {
		bool array = t.array_oid && t.array_oid == ARG(int64_t, 0);
		const char *dims = array ? "[]" : "";

		if (!array && t.oid != ARG(int64_t, 0))
			continue;
		if (mod >= 4 && strcmp(t.name, "numeric") == 0)
			snprintf(name, sizeof(name), "numeric(%d,%d)%s", (mod - 4) >> 16,
				(mod - 4) & 0x7ff, dims);
		else if (mod >= 4 && (t.oid == 1043 || t.oid == 1042))
			snprintf(name, sizeof(name), "%s(%d)%s", t.format, mod - 4, dims);
		else
			snprintf(name, sizeof(name), "%s%s", t.format, dims);
		return text(c, name, out);
	}
	return text(c, "???", out);
}

// ---- Names and numbers of relations, types and schemas ----

struct wanted {
	int64_t oid; // 0: by name
	struct mr_span schema;
	struct mr_span name;
};

// The first relation that is wanted: 1, 0, or negative. Calls `use` while it is pinned.
static int with_class(struct mr_fn_call *c, const struct wanted *w,
	int (*use)(struct mr_fn_call *c, const struct mr_pg_class *k, void *out), void *out)
{
	struct mr_session *s = c->ev->session;
	struct mr_arena arena;
	struct mr_pg_class *k;
	int n, rc = 1;

	if (!s)
		return 1;
	mr_arena_init(&arena, 0);
	n = mr_pg_classes(s->opts.env, &arena, &k);
	for (int i = 0; i < n && rc == 1; i++) {
		bool here = w->schema.bytes ? mr_span_eq(k[i].schema, w->schema)
					    : !mr_span_eq(k[i].schema, mr_span_str("millrace")) &&
						      !mr_span_eq(k[i].schema,
							      mr_span_str("information_schema"));

		if (w->oid ? k[i].oid == w->oid : here && mr_span_eq(k[i].name, w->name))
			rc = use(c, &k[i], out);
	}
	if (n >= 0)
		mr_pg_classes_put(s->opts.env, k, n);
	mr_arena_fini(&arena);
	return n < 0 ? mr_eval_no_memory(c->ev) : rc;
}

static int give_name(struct mr_fn_call *c, const struct mr_pg_class *k, void *out)
{
	bool bare = mr_span_eq(k->schema, mr_span_str("public")) ||
		    mr_span_eq(k->schema, mr_span_str("pg_catalog"));
	char *s = mr_arena_printf(c->ev->arena, "%.*s%s%.*s", bare ? 0 : (int)k->schema.bytes,
		(const char *)k->schema.data, bare ? "" : ".", (int)k->name.bytes,
		(const char *)k->name.data);

	return s ? text(c, s, out) : mr_eval_no_memory(c->ev);
}

static int give_oid(struct mr_fn_call *, const struct mr_pg_class *k, void *out)
{
	RESULT(int64_t) = k->oid;
	return 0;
}

static int give_definition(struct mr_fn_call *c, const struct mr_pg_class *k, void *out)
{
	char *s = mr_arena_printf(c->ev->arena, "%.*s;", (int)k->relation->definition.bytes,
		(const char *)k->relation->definition.data);

	if (!k->relation->definition.bytes)
		return 1;
	return s ? text(c, s, out) : mr_eval_no_memory(c->ev);
}

// oid::regclass: the name, or the number when there is no such relation.
static int regclass_out(struct mr_fn_call *c, const void *const *a, void *out)
{
	char number[24];
	int rc = 1;

	if (ARG(int64_t, 0))
		rc = with_class(c, &(struct wanted){.oid = ARG(int64_t, 0)}, give_name, out);
	if (rc != 1)
		return rc;
	snprintf(number, sizeof(number), "%lld", (long long)ARG(int64_t, 0));
	return text(c, ARG(int64_t, 0) ? number : "-", out);
}

// One identifier of a dotted name, folded unless quoted. The rest, or NULL: not a name.
static const uint8_t *read_part(
	struct mr_fn_call *c, const uint8_t *at, const uint8_t *end, struct mr_span *out)
{
	uint8_t *p = mr_arena_alloc(c->ev->arena, (size_t)(end - at) + 1);
	size_t n = 0;
	bool quoted = at < end && *at == '"';

	if (!p)
		return NULL;
	for (at += quoted; at < end && *at != (quoted ? '"' : '.'); at++)
		p[n++] = !quoted && *at >= 'A' && *at <= 'Z' ? (uint8_t)(*at | 0x20) : *at;
	*out = mr_span(p, n);
	return at + (quoted && at < end);
}

static void read_name(struct mr_fn_call *c, struct mr_span s, struct wanted *w)
{
	const uint8_t *end = s.data + s.bytes, *at = read_part(c, s.data, end, &w->name);

	if (at && at < end && *at == '.') {
		w->schema = w->name;
		read_part(c, at + 1, end, &w->name);
	}
}

static bool is_number(struct mr_span s)
{
	for (size_t i = 0; i < s.bytes; i++)
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	return s.bytes > 0 && s.bytes < 11;
}

static int to_regclass(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct wanted w = {0};

	read_name(c, fn_span(a[0]), &w);
	return with_class(c, &w, give_oid, out);
}

static int64_t number_of(struct mr_span s)
{
	int64_t v = 0;

	for (size_t i = 0; i < s.bytes; i++)
		v = v * 10 + (s.data[i] - '0');
	return v;
}

// 'orders'::regclass, which must exist.
static int regclass_in(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]);
	int rc;

	if (is_number(s)) {
		RESULT(int64_t) = number_of(s);
		return 0;
	}
	rc = to_regclass(c, a, out);
	if (rc == 1)
		return mr_fn_error(c, "42P01", "relation \"%.*s\" does not exist", (int)s.bytes,
			(const char *)s.data);
	return rc;
}

static int viewdef(struct mr_fn_call *c, const void *const *a, void *out)
{
	return with_class(c, &(struct wanted){.oid = ARG(int64_t, 0)}, give_definition, out);
}

static int regtype_in(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]);
	enum mr_type t = mr_type_by_name(s);
	struct mr_pg_type p;

	if (is_number(s) || t != MR_TYPE_COUNT) {
		RESULT(int64_t) = is_number(s) ? number_of(s) : mr_type_info(t)->oid;
		return 0;
	}
	for (size_t i = 0; mr_pg_type_at(i, &p); i++)
		if (mr_span_eq(s, mr_span_str(p.name)) || mr_span_eq(s, mr_span_str(p.format))) {
			RESULT(int64_t) = p.oid;
			return 0;
		}
	return mr_fn_error(
		c, "42704", "type \"%.*s\" does not exist", (int)s.bytes, (const char *)s.data);
}

static int to_regtype(struct mr_fn_call *c, const void *const *a, void *out)
{
	int rc = regtype_in(c, a, out);

	return rc < 0 ? 1 : rc;
}

// No item.
static int none(struct mr_fn_call *c, const void *const *, void *out)
{
	return text(c, "{}", out);
}

static int no(struct mr_fn_call *, const void *const *, void *out)
{
	RESULT(uint8_t) = 0;
	return 0;
}

static int regnamespace_out(struct mr_fn_call *c, const void *const *a, void *out)
{
	static const char *const names[] = {
		"public", "pg_catalog", "information_schema", "millrace"};

	for (size_t i = 0; i < MR_COUNT_OF(names); i++)
		if (mr_pg_schema_oid(mr_span_str(names[i])) == ARG(int64_t, 0))
			return text(c, names[i], out);
	return text(c, "-", out);
}

static int regnamespace_in(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]);

	RESULT(int64_t) = is_number(s) ? number_of(s) : mr_pg_schema_oid(s);
	if (RESULT(int64_t))
		return 0;
	return mr_fn_error(
		c, "3F000", "schema \"%.*s\" does not exist", (int)s.bytes, (const char *)s.data);
}

// As PostgreSQL does: the unit changes at ten times it, halves are rounded away.
static int size_pretty(struct mr_fn_call *c, const void *const *a, void *out)
{
	static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
	int64_t v = ARG(int64_t, 0), size = v < 0 ? -(v + 1) : v;
	size_t unit = 0;
	char s[48];

	for (; size >= 10240 && unit + 1 < MR_COUNT_OF(units); unit++)
		size = (size / 512 + 1) / 2;
	snprintf(s, sizeof(s), "%s%lld %s", v < 0 ? "-" : "", (long long)size, units[unit]);
	return text(c, s, out);
}

// ---- JSON ----

static void json_value(
	struct mr_fn_call *c, uint32_t i, const void *v, bool key, struct mr_buf *out)
{
	struct mr_typeref t = c->args[i].col.type;
	char category = mr_type_info((enum mr_type)t.type)->category;
	struct mr_buf plain = {0};

	if (t.type == MR_TYPE_BOOL && v) {
		mr_buf_str(&plain, *(const uint8_t *)v ? "true" : "false");
	} else if (v) {
		mr_value_format(t, v, c->ev->query->tz, &plain);
	} else {
		mr_buf_str(&plain, "null");
	}
	if (key || (v && category != 'N' && category != 'B'))
		mr_quote_json(out, mr_buf_span(&plain));
	else
		mr_buf_add(out, plain.data, plain.bytes);
	mr_buf_fini(&plain);
}

// json_build_object(key, value, …) as text.
static int json_object(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_buf buf = {.budget = c->ev->query->memory};
	int rc;

	if (c->args_count % 2)
		return mr_fn_error(c, "22023", "argument list must have even number of elements");
	mr_buf_u8(&buf, '{');
	for (uint32_t i = 0; i < c->args_count; i += 2) {
		if (!a[i]) {
			mr_buf_fini(&buf);
			return mr_fn_error(c, "22004", "argument %u cannot be null", i + 1);
		}
		mr_buf_str(&buf, i ? ", " : "");
		json_value(c, i, a[i], true, &buf);
		mr_buf_str(&buf, " : ");
		json_value(c, i + 1, a[i + 1], false, &buf);
	}
	mr_buf_u8(&buf, '}');
	rc = buf.failed ? mr_eval_no_memory(c->ev) : mr_fn_str(c, buf.data, buf.bytes, out);
	mr_buf_fini(&buf);
	return rc;
}

// ---- Arrays that are text ----

// The next item of '{a,"b c",NULL}': 1, or 0 at the end. `*at` starts at 0.
static int next_item(struct mr_fn_call *c, struct mr_span s, size_t *at, struct mr_span *out)
{
	uint8_t *p;
	size_t n = 0;
	bool quoted;

	if (*at == 0)
		*at = s.bytes && s.data[0] == '{';
	if (*at >= s.bytes || s.data[*at] == '}')
		return 0;
	p = mr_arena_alloc(c->ev->arena, s.bytes - *at + 1);
	if (!p)
		return mr_eval_no_memory(c->ev);
	quoted = s.data[*at] == '"';
	for (*at += quoted; *at < s.bytes; ++*at) {
		uint8_t b = s.data[*at];

		if (quoted ? b == '"' : b == ',' || b == '}')
			break;
		if (b == '\\' && *at + 1 < s.bytes)
			b = s.data[++*at];
		p[n++] = b;
	}
	*at += quoted;
	*at += *at < s.bytes && s.data[*at] == ',';
	*out = mr_span(p, n);
	if (!quoted && n == 4 && strncasecmp((const char *)p, "null", 4) == 0)
		out->data = NULL;
	return 1;
}

static int array_to_string(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]), between = fn_span(a[1]), item;
	uint8_t *p = mr_arena_alloc(c->ev->arena, s.bytes * (between.bytes + 1) + 1);
	size_t at = 0, n = 0;
	bool first = true;
	int rc;

	if (!p)
		return mr_eval_no_memory(c->ev);
	while ((rc = next_item(c, s, &at, &item)) == 1) {
		if (!item.data)
			continue;
		if (!first && between.bytes) {
			memcpy(p + n, between.data, between.bytes);
			n += between.bytes;
		}
		memcpy(p + n, item.data, item.bytes);
		n += item.bytes;
		first = false;
	}
	RESULT(struct mr_str) = (struct mr_str){p, (uint32_t)n, 0};
	return rc;
}

void mr_pg_array_add(struct mr_buf *out, struct mr_span s)
{
	bool plain =
		s.bytes > 0 && !(s.bytes == 4 && strncasecmp((const char *)s.data, "null", 4) == 0);

	for (size_t i = 0; i < s.bytes; i++)
		plain &= !strchr("{},\"\\ \t\n\r\v\f", s.data[i]);
	if (plain) {
		mr_buf_add(out, s.data, s.bytes);
		return;
	}
	mr_buf_u8(out, '"');
	for (size_t i = 0; i < s.bytes; i++) {
		if (s.data[i] == '"' || s.data[i] == '\\')
			mr_buf_u8(out, '\\');
		mr_buf_u8(out, s.data[i]);
	}
	mr_buf_u8(out, '"');
}

static int string_to_array(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]), cut = fn_span(a[1]);
	struct mr_buf b = {.budget = c->ev->query->memory};
	size_t from = 0;
	int rc;

	mr_buf_u8(&b, '{');
	for (size_t at = 0; s.bytes && at <= s.bytes; at++) {
		bool end = at == s.bytes, here = cut.bytes && at + cut.bytes <= s.bytes &&
						 memcmp(s.data + at, cut.data, cut.bytes) == 0;

		if (!end && !here)
			continue;
		if (from)
			mr_buf_u8(&b, ',');
		mr_pg_array_add(&b, mr_span(s.data + from, at - from));
		from = at + cut.bytes;
		at += here ? cut.bytes - 1 : 0;
	}
	mr_buf_u8(&b, '}');
	rc = b.failed ? mr_eval_no_memory(c->ev) : mr_fn_str(c, b.data, b.bytes, out);
	mr_buf_fini(&b);
	return rc;
}

// 1, or NULL of an empty one.
static int array_lower(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span item;
	size_t at = 0;
	int rc = next_item(c, fn_span(a[0]), &at, &item);

	RESULT(int32_t) = 1;
	return rc < 0 ? rc : rc != 1;
}

static int array_count(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span item;
	size_t at = 0;
	int32_t n = 0;
	int rc;

	while ((rc = next_item(c, fn_span(a[0]), &at, &item)) == 1)
		n++;
	RESULT(int32_t) = n;
	return rc < 0 ? rc : n == 0;
}

// The i-th number of an array, from 1.
static int array_get(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span item;
	size_t at = 0;
	int64_t n = 0;
	int rc;

	while ((rc = next_item(c, fn_span(a[0]), &at, &item)) == 1)
		if (++n == ARG(int64_t, 1) && item.data && is_number(item)) {
			RESULT(int64_t) = number_of(item);
			return 0;
		}
	return rc < 0 ? rc : 1;
}

static int array_item(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span item;
	size_t at = 0;
	int64_t n = 0;
	int rc;

	while ((rc = next_item(c, fn_span(a[0]), &at, &item)) == 1)
		if (++n == ARG(int64_t, 1)) {
			RESULT(struct mr_str) = (struct mr_str){item.data, (uint32_t)item.bytes, 0};
			return item.data ? 0 : 1;
		}
	return rc < 0 ? rc : 1;
}

// Clients write these in the select list of queries over pg_index, which has no rows.
static int set_returning(struct mr_fn_call *c, const void *const *, void *)
{
	return mr_fn_error(c, "0A000", "%s in a select list is not supported", c->e->fn->name);
}

// x = ANY (array)
static int array_has(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span item;
	size_t at = 0;
	int rc;

	RESULT(uint8_t) = 0;
	while ((rc = next_item(c, fn_span(a[1]), &at, &item)) == 1)
		if (item.data && mr_span_eq(item, fn_span(a[0]))) {
			RESULT(uint8_t) = 1;
			return 0;
		}
	return rc;
}

#define ST MR_FN_STABLE
#define NS (MR_FN_STABLE | MR_FN_NONSTRICT)

static const struct mr_fn fns[] = {
	{"pg_table_is_visible", T_B, 1, {T_I8}, ST, visible, NULL},
	{"pg_type_is_visible", T_B, 1, {T_I8}, ST, yes, NULL},
	{"pg_function_is_visible", T_B, 1, {T_I8}, ST, yes, NULL},
	{"pg_relation_is_publishable", T_B, 1, {T_I8}, ST, yes, NULL},
	{"pg_operator_is_visible", T_B, 1, {T_I8}, ST, yes, NULL},
	{"pg_collation_is_visible", T_B, 1, {T_I8}, ST, yes, NULL},
	{"pg_opclass_is_visible", T_B, 1, {T_I8}, ST, yes, NULL},
	{"pg_conversion_is_visible", T_B, 1, {T_I8}, ST, yes, NULL},
	{"pg_ts_config_is_visible", T_B, 1, {T_I8}, ST, yes, NULL},
	{"current_schemas", T_T, 1, {T_B}, ST, schemas, NULL},
	{"pg_statistics_obj_is_visible", T_B, 1, {T_I8}, ST, yes, NULL},
	{"pg_has_role", T_B, 2, {T_T, T_T}, ST, yes, NULL},
	{"pg_size_pretty", T_T, 1, {T_I8}, 0, size_pretty, NULL},
	{"json_build_object", T_T, 2, {T_ANY, T_ANY}, NS | MR_FN_VARIADIC, json_object, NULL},
	{"pg_database_size", T_I8, 1, {T_T}, ST, null, NULL},
	{"pg_get_userbyid", T_T, 1, {T_I8}, ST, userbyid, NULL},
	{"pg_encoding_to_char", T_T, 1, {T_I4}, ST, encoding_name, NULL},
	{"format_type", T_T, 2, {T_I8, T_I4}, NS, format_type, NULL},
	{"pg_get_expr", T_T, 2, {T_T, T_I8}, ST, null, NULL},
	{"pg_get_expr", T_T, 3, {T_T, T_I8, T_B}, ST, null, NULL},
	{"pg_get_viewdef", T_T, 1, {T_I8}, ST, viewdef, NULL},
	{"pg_get_viewdef", T_T, 2, {T_I8, T_B}, ST, viewdef, NULL},
	{"pg_get_ruledef", T_T, 2, {T_I8, T_B}, ST, null, NULL},
	{"pg_get_indexdef", T_T, 1, {T_I8}, ST, null, NULL},
	{"pg_get_indexdef", T_T, 3, {T_I8, T_I4, T_B}, ST, null, NULL},
	{"pg_get_constraintdef", T_T, 1, {T_I8}, ST, null, NULL},
	{"pg_get_constraintdef", T_T, 2, {T_I8, T_B}, ST, null, NULL},
	{"pg_get_triggerdef", T_T, 2, {T_I8, T_B}, ST, null, NULL},
	{"pg_get_function_result", T_T, 1, {T_I8}, ST, null, NULL},
	{"pg_get_function_arguments", T_T, 1, {T_I8}, ST, null, NULL},
	{"pg_get_function_identity_arguments", T_T, 1, {T_I8}, ST, null, NULL},
	{"pg_get_statisticsobjdef_columns", T_T, 1, {T_I8}, ST, null, NULL},
	{"pg_get_partkeydef", T_T, 1, {T_I8}, ST, null, NULL},
	{"pg_get_serial_sequence", T_T, 2, {T_T, T_T}, ST, null, NULL},
	{"obj_description", T_T, 2, {T_I8, T_T}, ST, null, NULL},
	{"obj_description", T_T, 1, {T_I8}, ST, null, NULL},
	{"shobj_description", T_T, 2, {T_I8, T_T}, ST, null, NULL},
	{"col_description", T_T, 2, {T_I8, T_I4}, ST, null, NULL},
	{"pg_tablespace_location", T_T, 1, {T_I8}, ST, null, NULL},
	{"pg_relation_size", T_I8, 1, {T_I8}, ST, null, NULL},
	{"pg_table_size", T_I8, 1, {T_I8}, ST, null, NULL},
	{"pg_total_relation_size", T_I8, 1, {T_I8}, ST, null, NULL},
	{"has_table_privilege", T_B, 2, {T_I8, T_T}, ST, yes, NULL},
	{"has_table_privilege", T_B, 3, {T_T, T_I8, T_T}, ST, yes, NULL},
	{"has_table_privilege", T_B, 2, {T_T, T_T}, ST, yes, NULL},
	{"has_table_privilege", T_B, 3, {T_T, T_T, T_T}, ST, yes, NULL},
	{"has_any_column_privilege", T_B, 2, {T_I8, T_T}, ST, yes, NULL},
	{"has_any_column_privilege", T_B, 2, {T_T, T_T}, ST, yes, NULL},
	{"has_any_column_privilege", T_B, 3, {T_T, T_T, T_T}, ST, yes, NULL},
	{"has_schema_privilege", T_B, 3, {T_T, T_T, T_T}, ST, yes, NULL},
	{"has_database_privilege", T_B, 3, {T_T, T_T, T_T}, ST, yes, NULL},
	{"has_schema_privilege", T_B, 2, {T_I8, T_T}, ST, yes, NULL},
	{"has_schema_privilege", T_B, 2, {T_T, T_T}, ST, yes, NULL},
	{"has_database_privilege", T_B, 2, {T_T, T_T}, ST, yes, NULL},
	{"to_regtype", T_I8, 1, {T_T}, ST, to_regtype, NULL},
	{"pg_is_other_temp_schema", T_B, 1, {T_I8}, ST, no, NULL},
	{"pg_blocking_pids", T_T, 1, {T_I4}, ST, none, NULL},
	{"to_regclass", T_I8, 1, {T_T}, ST, to_regclass, NULL},
	{"array_to_string", T_T, 2, {T_T, T_T}, ST, array_to_string, NULL},
	{"string_to_array", T_T, 2, {T_T, T_T}, ST, string_to_array, NULL},
	{"array_lower", T_I4, 2, {T_T, T_I4}, ST, array_lower, NULL},
	{"array_upper", T_I4, 2, {T_T, T_I4}, ST, array_count, NULL},
	{"array_length", T_I4, 2, {T_T, T_I4}, ST, array_count, NULL},
	{"cardinality", T_I4, 1, {T_T}, ST, array_count, NULL},
	// Not callable by name, because of the dot: what casts, subscripts and = ANY become.
	{"catalog.array_get", T_I8, 2, {T_T, T_I8}, ST, array_get, NULL},
	{"catalog.array_item", T_T, 2, {T_T, T_I8}, ST, array_item, NULL},
	{"unnest", T_I8, 1, {T_T}, ST, set_returning, NULL},
	{"generate_subscripts", T_I4, 2, {T_T, T_I4}, ST, set_returning, NULL},
	{"_pg_expandarray", T_T, 1, {T_T}, ST, set_returning, NULL},
	{"catalog.field", T_I4, 1, {T_T}, ST, set_returning, NULL},
	{"catalog.array_has", T_B, 2, {T_T, T_T}, ST, array_has, NULL},
	{"catalog.regclass", T_I8, 1, {T_T}, ST, regclass_in, NULL},
	{"catalog.regclass", T_T, 1, {T_I8}, ST, regclass_out, NULL},
	{"catalog.regtype", T_I8, 1, {T_T}, ST, regtype_in, NULL},
	{"catalog.regtype", T_T, 1, {T_I8}, NS, format_type, NULL},
	{"catalog.regnamespace", T_I8, 1, {T_T}, ST, regnamespace_in, NULL},
	{"catalog.regnamespace", T_T, 1, {T_I8}, ST, regnamespace_out, NULL},
};

const struct mr_fn_family mr_fn_catalog = {fns, MR_COUNT_OF(fns)};
