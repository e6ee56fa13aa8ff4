// Frames in and out.
#include "host/pg_proto.h"

#include <errno.h>

int mr_pg_message_read(
	struct mr_link_in *in, uint32_t bytes_max, int timeout_ms, struct mr_pg_message *out)
{
	const uint8_t *head;
	uint32_t bytes;
	int rc;

	rc = mr_link_in_need(in, 5, timeout_ms);
	if (rc <= 0)
		return rc;
	head = mr_link_in_span(in).data;
	bytes = mr_load_be32(head + 1);
	if (bytes < 4)
		return -EBADMSG;
	if (bytes > bytes_max)
		return MR_ERR_LIMIT;
	// Memory grows with what has arrived, not with what the length promises.
	rc = mr_link_in_need(in, 1 + (size_t)bytes, timeout_ms);
	if (rc <= 0)
		return rc;
	head = mr_link_in_span(in).data;
	out->type = head[0];
	out->body = mr_span(head + 5, bytes - 4);
	mr_link_in_take(in, 1 + (size_t)bytes);
	return 1;
}

struct mr_span mr_pg_read_cstring(struct mr_reader *r)
{
	size_t left = mr_read_left(r);
	const uint8_t *nul = !r->bad && left ? memchr(r->at, 0, left) : NULL;
	struct mr_span s;

	if (!nul) {
		r->bad = true;
		return (struct mr_span){NULL, 0};
	}
	s = mr_read_span(r, (size_t)(nul - r->at));
	r->at++;
	return s;
}

int mr_pg_flush(struct mr_pg_out *o)
{
	if (!o->err && o->buf.bytes > 0)
		o->err = o->link->ops->write(o->link, o->buf.data, o->buf.bytes);
	// One big row must not keep its memory for the life of the session.
	if (o->buf.bytes_max > 4 * MR_PG_OUT_BYTES)
		mr_buf_fini(&o->buf);
	mr_buf_reset(&o->buf);
	return o->err;
}

int mr_pg_end(struct mr_pg_out *o)
{
	if (MR_UNLIKELY(o->buf.failed)) {
		o->buf.bytes = o->message_off;
		o->buf.failed = false;
		return MR_ERR_LIMIT;
	}
	mr_store_be32(
		o->buf.data + o->message_off + 1, (uint32_t)(o->buf.bytes - o->message_off - 1));
	if (o->buf.bytes >= MR_PG_OUT_BYTES)
		mr_pg_flush(o);
	return 0;
}

void mr_pg_add_string(struct mr_pg_out *o, const char *s)
{
	mr_buf_add(&o->buf, s, strlen(s) + 1);
}

void mr_pg_put_empty(struct mr_pg_out *o, char type)
{
	mr_pg_begin(o, type);
	mr_pg_end(o);
}

void mr_pg_put_string(struct mr_pg_out *o, char type, const char *s)
{
	mr_pg_begin(o, type);
	mr_pg_add_string(o, s);
	mr_pg_end(o);
}

void mr_pg_put_pair(struct mr_pg_out *o, char type, const char *a, const char *b)
{
	mr_pg_begin(o, type);
	mr_pg_add_string(o, a);
	mr_pg_add_string(o, b);
	mr_pg_end(o);
}

static void add_field(struct mr_pg_out *o, char field, const char *text)
{
	if (!*text)
		return;
	mr_buf_u8(&o->buf, (uint8_t)field);
	mr_pg_add_string(o, text);
}

void mr_pg_put_diag(
	struct mr_pg_out *o, char type, const char *severity, const struct mr_diag *diag)
{
	mr_pg_begin(o, type);
	add_field(o, 'S', severity);
	add_field(o, 'V', severity);
	add_field(o, 'C', diag->sqlstate);
	add_field(o, 'M', diag->message);
	add_field(o, 'D', diag->detail);
	add_field(o, 'H', diag->hint);
	if (diag->position > 0)
		mr_buf_printf(&o->buf, "P%d%c", diag->position, 0);
	mr_buf_u8(&o->buf, 0);
	mr_pg_end(o);
}
