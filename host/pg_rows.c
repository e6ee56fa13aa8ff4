// RowDescription and DataRow: blocks of columns become rows on the wire.
//
// A result is sent as its blocks come, through an output buffer of MR_PG_OUT_BYTES: neither the
// result nor a whole block of text is ever held.
#include "host/pg_int.h"

#include "host/base/value.h"

#include <errno.h>

static struct mr_typeref wire_type(struct mr_typeref t)
{
	// A bare NULL is text to the client, as in PostgreSQL.
	if (t.type == MR_TYPE_NULL)
		t.type = MR_TYPE_TEXT;
	return t;
}

void mr_pg_send_description(
	struct mr_pg_session *s, const struct mr_statement *statement, const uint8_t *binary)
{
	const struct mr_result_column *columns;
	uint32_t count = statement ? mr_statement_columns(statement, &columns) : 0;
	struct mr_buf *b = &s->out.buf;

	if (count == 0) {
		mr_pg_put_empty(&s->out, 'n');
		return;
	}
	mr_pg_begin(&s->out, 'T');
	mr_buf_be16(b, (uint16_t)count);
	for (uint32_t i = 0; i < count; i++) {
		struct mr_typeref t = wire_type(columns[i].type);
		const struct mr_type_info *info = mr_type_info((enum mr_type)t.type);

		mr_buf_add(b, columns[i].name.data, columns[i].name.bytes);
		mr_buf_u8(b, 0);
		mr_buf_be32(b, 0); // the table and its column: not told
		mr_buf_be16(b, 0);
		mr_buf_be32(b, info->oid);
		mr_buf_be16(b, (uint16_t)info->bytes);
		mr_buf_be32(b, (uint32_t)mr_typeref_typmod(t));
		mr_buf_be16(b, binary ? binary[i] : 0);
	}
	mr_pg_end(&s->out);
}

// Decimal digits of `v`, two at a time, into the end of `out`; returns where they begin.
static char *format_digits(uint64_t v, char *end)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324"
				    "25262728293031323334353637383940414243444546474849"
				    "50515253545556575859606162636465666768697071727374"
				    "75767778798081828384858687888990919293949596979899";

	while (v >= 100) {
		end -= 2;
		memcpy(end, pairs + 2 * (v % 100), 2);
		v /= 100;
	}
	if (v >= 10) {
		end -= 2;
		memcpy(end, pairs + 2 * v, 2);
	} else {
		*--end = (char)('0' + v);
	}
	return end;
}

static void put_integer(struct mr_buf *b, int64_t v)
{
	char text[24], *end = text + sizeof(text);
	char *at = format_digits(v < 0 ? -(uint64_t)v : (uint64_t)v, end);
	uint8_t *p;

	if (v < 0)
		*--at = '-';
	p = mr_buf_extend(b, 4 + (size_t)(end - at));
	if (p) {
		mr_store_be32(p, (uint32_t)(end - at));
		memcpy(p + 4, at, (size_t)(end - at));
	}
}

static void put_bytes(struct mr_buf *b, struct mr_str v)
{
	uint8_t *p = mr_buf_extend(b, 4 + (size_t)v.bytes);

	if (p) {
		mr_store_be32(p, v.bytes);
		if (v.bytes)
			memcpy(p + 4, v.data, v.bytes);
	}
}

// Any type: the value behind its length, which is filled in afterwards.
static void put_formatted(struct mr_buf *b, struct mr_typeref t, const void *value,
	const struct mr_tz *tz, bool is_binary)
{
	size_t start = b->bytes;

	mr_buf_be32(b, 0);
	if (is_binary)
		mr_value_format_binary(t, value, b);
	else
		mr_value_format(t, value, tz, b);
	if (!b->failed)
		mr_store_be32(b->data + start, (uint32_t)(b->bytes - start - 4));
}

// One field: length and value, or -1.
static void put_field(struct mr_buf *b, const struct mr_col *c, uint32_t row, bool is_binary,
	const struct mr_tz *tz)
{
	const void *value = (const uint8_t *)c->values + row * mr_phys_bytes((enum mr_phys)c->phys);
	struct mr_str string;

	if (c->type.type == MR_TYPE_NULL || mr_col_is_null(c, row)) {
		mr_buf_be32(b, UINT32_MAX);
		return;
	}
	if (c->phys == MR_PHYS_BYTES) {
		string = mr_col_str(c, row);
		value = &string;
		if (is_binary || c->type.type == MR_TYPE_TEXT) {
			put_bytes(b, string);
			return;
		}
	} else if (!is_binary) {
		// The commonest types without a detour.
		switch ((enum mr_type)c->type.type) {
		case MR_TYPE_INT2: put_integer(b, *(const int16_t *)value); return;
		case MR_TYPE_INT4: put_integer(b, *(const int32_t *)value); return;
		case MR_TYPE_INT8: put_integer(b, *(const int64_t *)value); return;
		default: break;
		}
	}
	put_formatted(b, c->type, value, tz, is_binary);
}

static int send_row(struct mr_pg_session *s, const struct mr_block *block, uint32_t row,
	const uint8_t *binary, uint32_t columns_count, const struct mr_tz *tz)
{
	struct mr_buf *b = &s->out.buf;

	mr_pg_begin(&s->out, 'D');
	mr_buf_be16(b, (uint16_t)columns_count);
	for (uint32_t i = 0; i < columns_count; i++)
		put_field(b, &block->columns[i], row, binary && binary[i], tz);
	if (mr_pg_end(&s->out) == 0)
		return 0;
	mr_diag_set(&s->diag, MR_ERR_LIMIT, "54000", 0, "row of the result is too big to send");
	mr_diag_detail(&s->diag, "One row may have %u MiB.", MR_PG_ROW_BYTES_MAX >> 20);
	return MR_ERR_LIMIT;
}

int mr_pg_send_rows(struct mr_pg_session *s, struct mr_cursor *cursor, const uint8_t *binary,
	uint32_t columns_count, uint64_t rows_max, uint64_t *rows)
{
	const struct mr_tz *tz = mr_session_tz(s->sql);
	struct mr_block block;
	int rc;

	for (;;) {
		rc = mr_cursor_next(cursor,
			rows_max ? (uint32_t)MR_MIN(rows_max - *rows, (uint64_t)UINT32_MAX) : 0,
			&block, &s->diag);
		if (rc <= 0)
			return rc;
		for (uint32_t row = 0; row < block.rows; row++) {
			rc = send_row(s, &block, row, binary, columns_count, tz);
			if (rc < 0)
				return rc;
		}
		*rows += block.rows;
		if (s->out.err)
			return mr_diag_set(
				&s->diag, s->out.err, "08006", 0, "connection to client lost");
		if (rows_max && *rows >= rows_max)
			return 1;
	}
}
