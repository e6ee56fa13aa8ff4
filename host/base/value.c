// Types by name, and values to text.
#include "host/base/value.h"

#include "host/base/num.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

// pg_type's rows of the types we know (src/include/catalog/pg_type.dat).
static const struct mr_type_info infos[MR_TYPE_COUNT] = {
	[MR_TYPE_NULL] = {"unknown", "unknown", 705, 0, -2, 'X'},
	[MR_TYPE_BOOL] = {"boolean", "bool", 16, 1000, 1, 'B'},
	[MR_TYPE_INT2] = {"smallint", "int2", 21, 1005, 2, 'N'},
	[MR_TYPE_INT4] = {"integer", "int4", 23, 1007, 4, 'N'},
	[MR_TYPE_INT8] = {"bigint", "int8", 20, 1016, 8, 'N'},
	[MR_TYPE_FLOAT4] = {"real", "float4", 700, 1021, 4, 'N'},
	[MR_TYPE_FLOAT8] = {"double precision", "float8", 701, 1022, 8, 'N'},
	[MR_TYPE_NUMERIC] = {"numeric", "numeric", 1700, 1231, -1, 'N'},
	[MR_TYPE_TEXT] = {"text", "text", 25, 1009, -1, 'S'},
	[MR_TYPE_UUID] = {"uuid", "uuid", 2950, 2951, 16, 'U'},
	[MR_TYPE_DATE] = {"date", "date", 1082, 1182, 4, 'D'},
	[MR_TYPE_TIMESTAMP] = {"timestamp without time zone", "timestamp", 1114, 1115, 8, 'D'},
	[MR_TYPE_TIMESTAMPTZ] = {"timestamp with time zone", "timestamptz", 1184, 1185, 8, 'D'},
	[MR_TYPE_BYTEA] = {"bytea", "bytea", 17, 1001, -1, 'U'},
	[MR_TYPE_INTERVAL] = {"interval", "interval", 1186, 1187, 16, 'T'},
};

// Names the grammar takes beside those above.
static const struct {
	const char *name;
	enum mr_type type;
} aliases[] = {
	{"int", MR_TYPE_INT4},
	{"float", MR_TYPE_FLOAT8},
	{"decimal", MR_TYPE_NUMERIC},
	{"dec", MR_TYPE_NUMERIC},
	{"varchar", MR_TYPE_TEXT},
	{"bpchar", MR_TYPE_TEXT},
	{"character varying", MR_TYPE_TEXT},
	{"string", MR_TYPE_TEXT},
	{"name", MR_TYPE_TEXT},
};

static const struct {
	uint32_t oid;
	enum mr_type type;
} oid_aliases[] = {
	{1043, MR_TYPE_TEXT}, // varchar
	{1042, MR_TYPE_TEXT}, // bpchar
	{19, MR_TYPE_TEXT},   // name
	{705, MR_TYPE_TEXT},  // unknown
};

const struct mr_type_info *mr_type_info(enum mr_type type)
{
	MR_ASSERT(type < MR_TYPE_COUNT);
	return &infos[type];
}

static bool is_name(struct mr_span name, const char *want)
{
	return strlen(want) == name.bytes &&
	       strncasecmp(want, (const char *)name.data, name.bytes) == 0;
}

enum mr_type mr_type_by_name(struct mr_span name)
{
	for (int t = MR_TYPE_BOOL; t < MR_TYPE_COUNT; t++)
		if (is_name(name, infos[t].name) || is_name(name, infos[t].udt))
			return (enum mr_type)t;
	for (size_t i = 0; i < MR_COUNT_OF(aliases); i++)
		if (is_name(name, aliases[i].name))
			return aliases[i].type;
	return MR_TYPE_COUNT;
}

enum mr_type mr_type_by_oid(uint32_t oid)
{
	for (int t = MR_TYPE_BOOL; t < MR_TYPE_COUNT; t++)
		if (infos[t].oid == oid)
			return (enum mr_type)t;
	for (size_t i = 0; i < MR_COUNT_OF(oid_aliases); i++)
		if (oid_aliases[i].oid == oid)
			return oid_aliases[i].type;
	return MR_TYPE_COUNT;
}

size_t mr_typeref_format(struct mr_typeref t, char out[40])
{
	const char *name = mr_type_info((enum mr_type)t.type)->name;

	if (t.type == MR_TYPE_NUMERIC && t.precision)
		return (size_t)snprintf(out, 40, "%s(%d,%d)", name, t.precision, t.scale);
	return (size_t)snprintf(out, 40, "%s", name);
}

int32_t mr_typeref_typmod(struct mr_typeref t)
{
	if (t.type != MR_TYPE_NUMERIC || t.precision == 0)
		return -1;
	return (t.precision << 16 | t.scale) + 4; // VARHDRSZ
}

// ---- text out

struct mr_dec mr_value_to_dec(struct mr_typeref t, const void *value)
{
	struct mr_dec d;
	int64_t v;

	if (mr_type_phys(t) == MR_PHYS_I64) {
		memcpy(&v, value, sizeof(v));
		return mr_dec_make(v, t.scale);
	}
	memcpy(&d, value, sizeof(d));
	return d;
}

int mr_value_from_dec(struct mr_typeref t, struct mr_dec d, void *out)
{
	int64_t v;
	int err;

	if (t.precision) {
		err = mr_dec_fit(d, t.precision, t.scale, &d);
		if (err)
			return err;
	}
	if (mr_type_phys(t) == MR_PHYS_DEC) {
		memcpy(out, &d, sizeof(d));
		return 0;
	}
	if (mr_dec_is_nan(d))
		return -ERANGE;
	v = (int64_t)mr_dec_coefficient(d);
	memcpy(out, &v, sizeof(v));
	return 0;
}

static void format_bytea(struct mr_str s, struct mr_buf *out)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t *p = mr_buf_extend(out, 2 + 2 * (size_t)s.bytes);

	if (!p)
		return;
	*p++ = '\\';
	*p++ = 'x';
	for (uint32_t i = 0; i < s.bytes; i++) {
		*p++ = (uint8_t)hex[s.data[i] >> 4];
		*p++ = (uint8_t)hex[s.data[i] & 15];
	}
}

// The types whose text has a bounded length.
static size_t format_short(
	struct mr_typeref t, const union mr_value *v, const struct mr_tz *tz, char *out)
{
	switch ((enum mr_type)t.type) {
	case MR_TYPE_INT2: return mr_num_format_i64(v->i16, out);
	case MR_TYPE_INT4: return mr_num_format_i64(v->i32, out);
	case MR_TYPE_INT8: return mr_num_format_i64(v->i64, out);
	case MR_TYPE_FLOAT4: return mr_num_format_float(v->f32, out);
	case MR_TYPE_FLOAT8: return mr_num_format_double(v->f64, out);
	case MR_TYPE_NUMERIC: return mr_dec_format(mr_value_to_dec(t, v), out);
	case MR_TYPE_DATE: return mr_date_format(v->i32, out);
	case MR_TYPE_TIMESTAMP: return mr_ts_format(v->i64, out);
	case MR_TYPE_TIMESTAMPTZ: return mr_tstz_format(v->i64, tz, out);
	case MR_TYPE_INTERVAL: return mr_interval_format(v->interval, out);
	case MR_TYPE_UUID: mr_uuid_format(v->uuid, out); return MR_UUID_TEXT_BYTES;
	case MR_TYPE_NULL: return 0;
	default: out[0] = v->u8 ? 't' : 'f'; return 1;
	}
}

void mr_value_format(
	struct mr_typeref t, const void *value, const struct mr_tz *tz, struct mr_buf *out)
{
	char text[MR_INTERVAL_TEXT_BYTES];
	union mr_value v;

	static_assert(sizeof(text) >= MR_DEC_TEXT_BYTES);
	static_assert(sizeof(text) >= MR_DATETIME_TEXT_BYTES);
	memcpy(&v, value, mr_phys_bytes(mr_type_phys(t)));
	if (t.type == MR_TYPE_TEXT)
		mr_buf_add(out, v.str.data, v.str.bytes);
	else if (t.type == MR_TYPE_BYTEA)
		format_bytea(v.str, out);
	else
		mr_buf_add(out, text, format_short(t, &v, tz, text));
}
