// Responses: status lines, header fields, bodies whole or in chunks.
#include "host/http_int.h"

#include <errno.h>
#include <time.h>

const char *mr_http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {{200, "OK"}, {400, "Bad Request"}, {403, "Forbidden"}, {404, "Not Found"},
		{405, "Method Not Allowed"}, {408, "Request Timeout"}, {411, "Length Required"},
		{413, "Content Too Large"}, {414, "URI Too Long"}, {417, "Expectation Failed"},
		{421, "Misdirected Request"}, {431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"}, {501, "Not Implemented"},
		{503, "Service Unavailable"}, {504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"}};

	for (size_t i = 0; i < MR_COUNT_OF(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

void mr_http_begin(struct mr_http_out *o, int status, const char *content_type)
{
	mr_buf_reset(&o->body);
	o->status = status;
	o->content_type = content_type;
	o->fields = NULL;
	o->is_begun = false;
}

static void send_bytes(struct mr_http_out *o, const struct mr_buf *b)
{
	if (!o->err && b->failed)
		o->err = -ENOMEM;
	if (!o->err && b->bytes > 0)
		o->err = o->link->ops->write(o->link, b->data, b->bytes);
}

// RFC 9110 section 6.6.1: a server with a clock says the date.
static void put_date(struct mr_http_out *o)
{
	time_t now = (time_t)(mr_wall_us(o->clock) / 1000000);
	char text[40];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	mr_buf_printf(&o->head, "Date: %s\r\n", text);
}

static void put_head(struct mr_http_out *o)
{
	struct mr_buf *b = &o->head;

	mr_buf_reset(b);
	mr_buf_printf(b, "HTTP/1.1 %d %s\r\n", o->status, mr_http_reason(o->status));
	put_date(o);
	mr_buf_printf(b, "Content-Type: %s\r\n", o->content_type);
	mr_buf_str(b, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
	if (o->fields)
		mr_buf_str(b, o->fields);
	if (!o->keeps_alive)
		mr_buf_str(b, "Connection: close\r\n");
	else if (o->is_1_0)
		mr_buf_str(b, "Connection: keep-alive\r\n");
}

static void begin_chunked(struct mr_http_out *o)
{
	// HTTP/1.0 knows no chunks: the end of the connection ends the body.
	if (o->is_1_0)
		o->keeps_alive = false;
	put_head(o);
	mr_buf_str(&o->head, o->is_1_0 ? "\r\n" : "Transfer-Encoding: chunked\r\n\r\n");
	send_bytes(o, &o->head);
	o->is_begun = true;
}

static void send_chunk(struct mr_http_out *o)
{
	if (!o->is_begun)
		begin_chunked(o);
	if (!o->is_head && o->body.bytes > 0) {
		mr_buf_reset(&o->head);
		if (!o->is_1_0)
			mr_buf_printf(&o->head, "%zx\r\n", o->body.bytes);
		send_bytes(o, &o->head);
		if (!o->is_1_0)
			mr_buf_str(&o->body, "\r\n");
		send_bytes(o, &o->body);
	}
	// One big row must not keep its memory for the life of the connection.
	if (o->body.bytes_max > 4 * MR_HTTP_OUT_BYTES)
		mr_buf_fini(&o->body);
	mr_buf_reset(&o->body);
}

int mr_http_checkpoint(struct mr_http_out *o)
{
	if (o->body.failed)
		o->err = -ENOMEM;
	if (o->body.bytes >= MR_HTTP_OUT_BYTES)
		send_chunk(o);
	return o->err;
}

void mr_http_end(struct mr_http_out *o)
{
	if (!o->is_begun) {
		put_head(o);
		mr_buf_printf(&o->head, "Content-Length: %zu\r\n\r\n", o->body.bytes);
		if (!o->is_head)
			mr_buf_add(&o->head, o->body.data, o->body.bytes);
		send_bytes(o, &o->head);
		return;
	}
	send_chunk(o);
	mr_buf_reset(&o->head);
	if (!o->is_1_0)
		mr_buf_str(&o->head, "0\r\n\r\n");
	send_bytes(o, &o->head);
}

void mr_http_abort(struct mr_http_out *o)
{
	send_chunk(o);
	// Without the last chunk every client sees that the body is cut.
	if (!o->err)
		o->err = -ECONNABORTED;
}

void mr_http_put_text(struct mr_http_out *o, int status, const char *text)
{
	mr_http_begin(o, status, "text/plain; charset=utf-8");
	mr_buf_printf(&o->body, "%s\n", text);
	mr_http_end(o);
}
