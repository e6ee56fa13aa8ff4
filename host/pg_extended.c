// The extended query protocol: Parse, Bind, Describe, Execute, Close.
#include "host/pg_int.h"

#include "host/base/value.h"

#include <errno.h>
#include <stdio.h>

#define OID_UNSPECIFIED 0
#define OID_UNKNOWN     705

// For the message of an error: names are quoted up to NAMEDATALEN.
#define NAME_ARGS(name) (int)MR_MIN((name).bytes, (size_t)63), (const char *)(name).data

int mr_pg_bad_message(struct mr_pg_session *s)
{
	return mr_diag_set(&s->diag, -EBADMSG, "08P01", 0, "invalid message format");
}

static int no_statement(struct mr_pg_session *s, struct mr_span name)
{
	if (name.bytes == 0)
		return mr_diag_set(
			&s->diag, -ENOENT, "26000", 0, "unnamed prepared statement does not exist");
	return mr_diag_set(&s->diag, -ENOENT, "26000", 0,
		"prepared statement \"%.*s\" does not exist", NAME_ARGS(name));
}

static int no_portal(struct mr_pg_session *s, struct mr_span name)
{
	return mr_diag_set(
		&s->diag, -ENOENT, "34000", 0, "portal \"%.*s\" does not exist", NAME_ARGS(name));
}

// Parameter types by OID, as the client gave them. NULL with s->diag filled.
static struct mr_typeref *param_types(struct mr_pg_session *s, struct mr_reader *r, uint32_t count)
{
	struct mr_typeref *types = mr_arena_zalloc(&s->bind_arena, count + 1, sizeof(*types));

	if (!types) {
		mr_diag_set(&s->diag, -ENOMEM, "53200", 0, "out of memory");
		return NULL;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t oid = mr_read_be32(r);
		enum mr_type type = oid == OID_UNSPECIFIED || oid == OID_UNKNOWN
					    ? MR_TYPE_NULL
					    : mr_type_by_oid(oid);

		if (type == MR_TYPE_COUNT) {
			mr_diag_set(&s->diag, MR_ERR_UNSUPPORTED, "0A000", 0,
				"parameter $%u has the type with OID %u, which is not supported",
				i + 1, oid);
			return NULL;
		}
		types[i].type = (uint8_t)type;
	}
	return types;
}

// Exactly one statement, or none at all.
static int prepare_one(struct mr_pg_session *s, struct mr_span text, const struct mr_typeref *types,
	uint32_t types_count, struct mr_statement **out)
{
	struct mr_statement *second = NULL;
	struct mr_span rest = text;
	int rc = mr_pg_check_text(s, text);

	if (rc < 0)
		return rc;
	rc = mr_statement_prepare(s->sql, text, &rest, types, types_count, out, &s->diag);
	if (rc < 0 || !*out)
		return rc;
	rc = mr_statement_prepare(s->sql, text, &rest, types, types_count, &second, &s->diag);
	if (rc >= 0 && !second)
		return 0;
	if (rc >= 0) {
		mr_statement_destroy(second);
		rc = mr_diag_set(&s->diag, -EINVAL, "42601", 0,
			"cannot insert multiple commands into a prepared statement");
	}
	mr_statement_destroy(*out);
	return rc;
}

int mr_pg_parse(struct mr_pg_session *s, struct mr_span body)
{
	struct mr_reader r = mr_reader(body);
	struct mr_span name = mr_pg_read_cstring(&r);
	struct mr_span text = mr_pg_read_cstring(&r);
	uint32_t count = mr_read_be16(&r);
	struct mr_statement *st;
	struct mr_typeref *types;
	int rc;

	if (r.bad || mr_read_left(&r) != 4 * (size_t)count)
		return mr_pg_bad_message(s);
	mr_pg_report_query(s, text);
	if (name.bytes == 0)
		mr_pg_prepared_drop(s, name);
	else if (mr_pg_prepared_find(s, name))
		return mr_diag_set(&s->diag, -EEXIST, "42P05", 0,
			"prepared statement \"%.*s\" already exists", NAME_ARGS(name));
	mr_arena_reset(&s->bind_arena);
	types = param_types(s, &r, count);
	if (!types)
		return MR_ERR_UNSUPPORTED;
	rc = prepare_one(s, text, types, count, &st);
	if (rc < 0)
		return rc;
	rc = mr_pg_prepared_add(s, name, st, text.bytes);
	if (rc < 0) {
		if (st)
			mr_statement_destroy(st);
		return rc;
	}
	mr_pg_put_empty(&s->out, '1');
	return 0;
}

// Format codes of a Bind: none, one for all, or one each.
struct formats {
	uint32_t count;
	const uint8_t *codes;
};

static bool format_is_binary(const struct formats *f, uint32_t index)
{
	if (f->count == 0)
		return false;
	return mr_load_be16(f->codes + 2 * (f->count == 1 ? 0 : index)) == 1;
}

static int read_formats(struct mr_pg_session *s, struct mr_reader *r, struct formats *f)
{
	f->count = mr_read_be16(r);
	f->codes = mr_read_bytes(r, 2 * (size_t)f->count);
	if (r->bad)
		return mr_pg_bad_message(s);
	for (uint32_t i = 0; i < f->count; i++)
		if (mr_load_be16(f->codes + 2 * i) > 1)
			return mr_diag_set(&s->diag, -EINVAL, "22023", 0,
				"unsupported format code: %d",
				(int16_t)mr_load_be16(f->codes + 2 * i));
	return 0;
}

// One value of a Bind into the arena.
static int read_param(struct mr_pg_session *s, struct mr_span bytes, struct mr_typeref type,
	bool is_binary, struct mr_param *out)
{
	struct mr_datetime_env env = {
		.tz = mr_session_tz(s->sql),
		.now_us = mr_wall_us(s->pg->clock),
	};
	union mr_value *value = mr_arena_alloc(&s->bind_arena, sizeof(*value));
	int rc;

	if (!value)
		return mr_diag_set(&s->diag, -ENOMEM, "53200", 0, "out of memory");
	// A parameter whose type nothing tells is text.
	if (type.type == MR_TYPE_NULL)
		type.type = MR_TYPE_TEXT;
	if (is_binary)
		rc = mr_value_parse_binary(type, bytes, value, &s->diag);
	else
		rc = mr_pg_check_text(s, bytes);
	if (rc >= 0 && !is_binary)
		rc = mr_value_parse(type, bytes, &env, &s->bind_arena, value, &s->diag);
	out->value = value;
	return rc;
}

static int read_params(struct mr_pg_session *s, struct mr_reader *r, const struct formats *f,
	const struct mr_typeref *types, uint32_t count, struct mr_param *params)
{
	int rc = 0;

	for (uint32_t i = 0; i < count && rc >= 0; i++) {
		uint32_t bytes = mr_read_be32(r);
		struct mr_span value;

		params[i].value = NULL;
		if (bytes == UINT32_MAX)
			continue;
		value = mr_read_span(r, bytes);
		if (r->bad)
			break;
		rc = read_param(s, value, types[i], format_is_binary(f, i), &params[i]);
		if (rc < 0 && strcmp(s->diag.sqlstate, "22P03") == 0)
			mr_diag_set(&s->diag, rc, "22P03", 0,
				"incorrect binary data format in bind parameter %u", i + 1);
	}
	return r->bad ? mr_pg_bad_message(s) : rc;
}

struct bind {
	struct mr_span portal;
	struct mr_span statement;
	struct formats param_formats;
	struct formats result_formats;
	uint32_t params_count;
	struct mr_param *params;
};

static int bind_counts(struct mr_pg_session *s, const struct bind *b, uint32_t wanted)
{
	if (b->param_formats.count > 1 && b->param_formats.count != b->params_count)
		return mr_diag_set(&s->diag, -EINVAL, "08P01", 0,
			"bind message has %u parameter formats but %u parameters",
			b->param_formats.count, b->params_count);
	if (b->params_count != wanted)
		return mr_diag_set(&s->diag, -EINVAL, "08P01", 0,
			"bind message supplies %u parameters, but prepared statement \"%.*s\" "
			"requires %u",
			b->params_count, NAME_ARGS(b->statement), wanted);
	return 0;
}

// Reads the rest of the message, now that the statement's types are known.
static int bind_values(struct mr_pg_session *s, struct mr_reader *r, const struct mr_pg_prepared *p,
	struct bind *b)
{
	const struct mr_result_column *columns;
	const struct mr_typeref *types = NULL;
	uint32_t wanted = p->statement ? mr_statement_params(p->statement, &types) : 0;
	uint32_t columns_count = p->statement ? mr_statement_columns(p->statement, &columns) : 0;
	int rc = bind_counts(s, b, wanted);

	if (rc < 0)
		return rc;
	mr_arena_reset(&s->bind_arena);
	b->params = mr_arena_zalloc(&s->bind_arena, wanted + 1, sizeof(*b->params));
	if (!b->params)
		return mr_diag_set(&s->diag, -ENOMEM, "53200", 0, "out of memory");
	rc = read_params(s, r, &b->param_formats, types, wanted, b->params);
	if (rc >= 0)
		rc = read_formats(s, r, &b->result_formats);
	if (rc < 0)
		return rc;
	if (mr_read_left(r) > 0)
		return mr_pg_bad_message(s);
	if (b->result_formats.count > 1 && b->result_formats.count != columns_count)
		return mr_diag_set(&s->diag, -EINVAL, "08P01", 0,
			"bind message has %u result formats but query has %u columns",
			b->result_formats.count, columns_count);
	return 0;
}

static int bind_portal(struct mr_pg_session *s, const struct bind *b, struct mr_pg_prepared *p)
{
	const struct mr_result_column *columns;
	struct mr_pg_portal *portal;
	uint32_t count;
	int rc = 0;

	if (b->portal.bytes == 0)
		mr_pg_portal_drop(s, b->portal);
	else if (mr_pg_portal_find(s, b->portal))
		return mr_diag_set(&s->diag, -EEXIST, "42P03", 0, "cursor \"%.*s\" already exists",
			NAME_ARGS(b->portal));
	portal = mr_pg_portal_add(s, b->portal, p);
	if (!portal)
		return MR_ERR_LIMIT;
	if (!p->statement)
		return 0;
	count = mr_statement_columns(p->statement, &columns);
	for (uint32_t i = 0; i < count; i++)
		portal->binary[i] = format_is_binary(&b->result_formats, i);
	rc = mr_cursor_open(
		s->sql, p->statement, b->params, b->params_count, &portal->cursor, &s->diag);
	if (rc < 0) {
		portal->cursor = NULL;
		mr_pg_portal_drop(s, b->portal);
	}
	return rc;
}

int mr_pg_bind(struct mr_pg_session *s, struct mr_span body)
{
	struct mr_reader r = mr_reader(body);
	struct bind b = {.portal = mr_pg_read_cstring(&r)};
	struct mr_pg_prepared *p;
	int rc;

	b.statement = mr_pg_read_cstring(&r);
	rc = read_formats(s, &r, &b.param_formats);
	if (rc < 0)
		return rc;
	b.params_count = mr_read_be16(&r);
	if (r.bad)
		return mr_pg_bad_message(s);
	p = mr_pg_prepared_find(s, b.statement);
	if (!p)
		return no_statement(s, b.statement);
	rc = bind_values(s, &r, p, &b);
	if (rc >= 0)
		rc = bind_portal(s, &b, p);
	if (rc >= 0)
		mr_pg_put_empty(&s->out, '2');
	return rc;
}

static void describe_params(struct mr_pg_session *s, const struct mr_statement *st)
{
	const struct mr_typeref *types;
	uint32_t count = st ? mr_statement_params(st, &types) : 0;

	mr_pg_begin(&s->out, 't');
	mr_buf_be16(&s->out.buf, (uint16_t)count);
	for (uint32_t i = 0; i < count; i++) {
		enum mr_type type = (enum mr_type)types[i].type;

		mr_buf_be32(
			&s->out.buf, mr_type_info(type == MR_TYPE_NULL ? MR_TYPE_TEXT : type)->oid);
	}
	mr_pg_end(&s->out);
}

// Reads the 'S' or 'P' and the name of Describe and Close.
static int read_target(
	struct mr_pg_session *s, struct mr_span body, uint8_t *kind, struct mr_span *name)
{
	struct mr_reader r = mr_reader(body);

	*kind = mr_read_u8(&r);
	*name = mr_pg_read_cstring(&r);
	if (r.bad || mr_read_left(&r) > 0 || (*kind != 'S' && *kind != 'P'))
		return mr_pg_bad_message(s);
	return 0;
}

int mr_pg_describe(struct mr_pg_session *s, struct mr_span body)
{
	struct mr_pg_prepared *p;
	const struct mr_statement *declared;
	struct mr_pg_portal *portal;
	struct mr_span name;
	uint8_t kind;
	int rc = read_target(s, body, &kind, &name);

	if (rc < 0)
		return rc;
	if (kind == 'S') {
		p = mr_pg_prepared_find(s, name);
		if (!p)
			return no_statement(s, name);
		describe_params(s, p->statement);
		mr_pg_send_description(s, p->statement, NULL);
		return 0;
	}
	portal = mr_pg_portal_find(s, name);
	declared = portal ? NULL : mr_session_declared(s->sql, name);
	if (!portal && !declared)
		return no_portal(s, name);
	if (portal)
		mr_pg_send_description(s, portal->prepared->statement, portal->binary);
	else
		mr_pg_send_description(s, declared, NULL);
	return 0;
}

// PostgreSQL's tag of a suspended SELECT counts the rows of the last Execute only.
static void complete_portal(struct mr_pg_session *s, struct mr_pg_portal *p, uint64_t rows)
{
	const char *tag = mr_cursor_tag(p->cursor);
	char text[40];

	if ((p->is_suspended || p->is_done) && strncmp(tag, "SELECT ", 7) == 0) {
		snprintf(text, sizeof(text), "SELECT %llu", (unsigned long long)rows);
		tag = text;
	}
	p->is_done = true;
	p->is_suspended = false;
	mr_pg_complete(s, tag);
}

int mr_pg_execute(struct mr_pg_session *s, struct mr_span body)
{
	struct mr_reader r = mr_reader(body);
	struct mr_span name = mr_pg_read_cstring(&r);
	int32_t rows_max = (int32_t)mr_read_be32(&r);
	const struct mr_result_column *columns;
	struct mr_pg_portal *p;
	uint64_t rows = 0;
	uint32_t count;
	int rc = 0;

	if (r.bad || mr_read_left(&r) > 0)
		return mr_pg_bad_message(s);
	p = mr_pg_portal_find(s, name);
	if (!p)
		return no_portal(s, name);
	if (!p->cursor) {
		mr_pg_put_empty(&s->out, 'I');
		return 0;
	}
	count = mr_statement_columns(p->prepared->statement, &columns);
	if (p->is_done && count == 0)
		return mr_diag_set(&s->diag, -EINVAL, "55000", 0, "portal \"%.*s\" cannot be run",
			NAME_ARGS(name));
	if (!p->is_done)
		rc = mr_pg_send_rows(s, p->cursor, p->binary, count,
			rows_max > 0 ? (uint64_t)rows_max : 0, &rows);
	if (rc > 0) {
		p->is_suspended = true;
		mr_pg_put_empty(&s->out, 's');
	} else if (rc == 0) {
		complete_portal(s, p, rows);
	}
	return MR_MIN(rc, 0);
}

int mr_pg_close(struct mr_pg_session *s, struct mr_span body)
{
	struct mr_span name;
	uint8_t kind;
	int rc = read_target(s, body, &kind, &name);

	if (rc < 0)
		return rc;
	if (kind == 'S')
		mr_pg_prepared_drop(s, name);
	else
		mr_pg_portal_drop(s, name);
	mr_pg_put_empty(&s->out, '3');
	return 0;
}
