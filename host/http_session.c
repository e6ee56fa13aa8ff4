// One HTTP connection: requests one after another, each read whole, routed, answered.
#include "host/http_int.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

static void handle_metrics(struct mr_http_session *s)
{
	mr_http_begin(&s->out, 200, "text/plain; version=0.0.4; charset=utf-8");
	mr_metrics_write(s->http->metrics, &s->out.body);
	mr_http_end(&s->out);
}

static void handle_health(struct mr_http_session *s)
{
	struct mr_diag diag = {0};

	if (!s->http->health || s->http->health(s->http->owner, &diag) == 0)
		mr_http_put_text(&s->out, 200, "ok");
	else
		mr_http_put_text(&s->out, 503, diag.message[0] ? diag.message : "not well");
}

#define BIT(method) (1u << (method))

static const struct route {
	const char *path;
	unsigned methods;
	const char *allow;
	bool is_private; // shows or changes data; see http.h
	void (*handle)(struct mr_http_session *s);
} routes[] = {
	{"/", BIT(MR_HTTP_GET) | BIT(MR_HTTP_HEAD), "Allow: GET, HEAD\r\n", true, mr_http_page},
	{"/metrics", BIT(MR_HTTP_GET) | BIT(MR_HTTP_HEAD), "Allow: GET, HEAD\r\n", false,
		handle_metrics},
	{"/healthz", BIT(MR_HTTP_GET) | BIT(MR_HTTP_HEAD), "Allow: GET, HEAD\r\n", false,
		handle_health},
	{"/query", BIT(MR_HTTP_POST), "Allow: POST\r\n", true, mr_http_query},
};

// The host part of `host[:port]` is localhost or a loopback address.
static bool host_is_loopback(struct mr_span host)
{
	char text[256];
	size_t n = MR_MIN(host.bytes, sizeof(text) - 1);
	unsigned a, b, c, d;
	char rest;

	memcpy(text, host.data, n);
	text[n] = 0;
	if (strcasecmp(text, "[::1]") == 0 || strncasecmp(text, "[::1]:", 6) == 0)
		return true;
	text[strcspn(text, ":")] = 0;
	if (strcasecmp(text, "localhost") == 0)
		return true;
	return sscanf(text, "%3u.%3u.%3u.%3u%c", &a, &b, &c, &d, &rest) == 4 && a == 127 &&
	       b < 256 && c < 256 && d < 256;
}

// `Origin: http://HOST` of this very server.
static bool origin_is_host(const struct mr_http_request *r)
{
	return r->origin.bytes == r->host.bytes + 7 &&
	       strncasecmp((const char *)r->origin.data, "http://", 7) == 0 &&
	       strncasecmp((const char *)r->origin.data + 7, (const char *)r->host.data,
		       r->host.bytes) == 0;
}

// Another web page may not use this port through its visitor's browser (http.h says how).
static bool refuse_strangers(struct mr_http_session *s)
{
	const struct mr_http_request *r = &s->request;

	if (s->seat->link->is_loopback && r->host.bytes && !host_is_loopback(r->host)) {
		mr_http_put_text(&s->out, 421,
			"this server listens on loopback and answers to localhost only");
		return true;
	}
	if ((r->origin.data && !origin_is_host(r)) ||
		(r->sec_fetch_site.data && !mr_http_is(r->sec_fetch_site, "same-origin") &&
			!mr_http_is(r->sec_fetch_site, "none"))) {
		mr_http_put_text(&s->out, 403, "requests from other web sites are refused");
		return true;
	}
	return false;
}

static void respond(struct mr_http_session *s)
{
	const struct mr_http_request *r = &s->request;

	for (size_t i = 0; i < MR_COUNT_OF(routes); i++) {
		if (!mr_span_eq(r->path, mr_span_str(routes[i].path)))
			continue;
		if (!(routes[i].methods & BIT(r->method))) {
			mr_http_begin(&s->out, 405, "text/plain; charset=utf-8");
			s->out.fields = routes[i].allow;
			mr_buf_str(&s->out.body, "method not allowed\n");
			mr_http_end(&s->out);
			return;
		}
		if (!routes[i].is_private || !refuse_strangers(s))
			routes[i].handle(s);
		return;
	}
	mr_http_put_text(&s->out, 404, "not found; there are /, /metrics, /healthz and /query");
}

// Answers an error of framing and ends the connection: where the next request begins is unknown.
static void refuse(struct mr_http_session *s, int status)
{
	s->out.keeps_alive = false;
	mr_http_put_text(&s->out, status, mr_http_reason(status));
	if (!s->out.err)
		s->out.err = -ECONNABORTED;
}

// Reads more of a request that has begun. True when there is more.
static bool read_more(struct mr_http_session *s, int64_t end_ns)
{
	int64_t left_ms = (end_ns - mr_now_ns(s->http->clock)) / 1000000;
	int rc = -ETIMEDOUT;

	if (left_ms > 0)
		rc = mr_link_in_more(
			&s->in, (int)MR_MIN(left_ms, (int64_t)MR_HTTP_READ_TIMEOUT_MS));
	if (rc == -ETIMEDOUT)
		refuse(s, 408);
	else if (rc <= 0)
		s->out.err = rc < 0 ? rc : -ECONNRESET;
	return rc > 0;
}

// The head, copied out of the input buffer because reading the body moves that.
static bool read_head(struct mr_http_session *s, int64_t *end_ns)
{
	int rc;

	if (mr_link_in_span(&s->in).bytes == 0) {
		rc = mr_link_in_more(&s->in, MR_HTTP_IDLE_TIMEOUT_MS);
		if (rc <= 0)
			return false;
	}
	*end_ns = mr_now_ns(s->http->clock) + MR_HTTP_REQUEST_TIMEOUT_MS * 1000000ll;
	while ((rc = mr_http_parse_head(mr_link_in_span(&s->in), &s->request)) == 0)
		if (!read_more(s, *end_ns))
			return false;
	if (rc < 0) {
		refuse(s, -rc);
		return false;
	}
	mr_buf_reset(&s->head);
	mr_buf_add(&s->head, mr_link_in_span(&s->in).data, (size_t)rc);
	mr_link_in_take(&s->in, (size_t)rc);
	if (s->head.failed || mr_http_parse_head(mr_buf_span(&s->head), &s->request) != rc) {
		refuse(s, 500);
		return false;
	}
	return true;
}

static bool read_chunked(struct mr_http_session *s, int64_t end_ns)
{
	struct mr_http_chunks c = {.body_bytes_max = MR_HTTP_BODY_BYTES_MAX};
	size_t taken;
	int rc;

	for (;;) {
		rc = mr_http_parse_chunks(&c, mr_link_in_span(&s->in), &taken, &s->body);
		mr_link_in_take(&s->in, taken);
		if (rc > 0)
			return true;
		if (rc < 0) {
			refuse(s, -rc);
			return false;
		}
		if (!read_more(s, end_ns))
			return false;
	}
}

static bool read_sized(struct mr_http_session *s, size_t bytes, int64_t end_ns)
{
	for (;;) {
		struct mr_span have = mr_link_in_span(&s->in);
		size_t n = MR_MIN(have.bytes, bytes - s->body.bytes);

		mr_buf_add(&s->body, have.data, n);
		mr_link_in_take(&s->in, n);
		if (s->body.bytes == bytes || s->body.failed)
			return !s->body.failed;
		if (!read_more(s, end_ns))
			return false;
	}
}

static bool read_body(struct mr_http_session *s, int64_t end_ns)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const struct mr_http_request *r = &s->request;

	mr_buf_reset(&s->body);
	if (r->content_length > MR_HTTP_BODY_BYTES_MAX) {
		refuse(s, 413);
		return false;
	}
	if (!r->is_chunked && r->content_length < 0) {
		if (r->method == MR_HTTP_POST)
			refuse(s, 411);
		return r->method != MR_HTTP_POST;
	}
	if (r->expects_continue && mr_link_in_span(&s->in).bytes == 0)
		s->out.err = s->seat->link->ops->write(s->seat->link, go_on, sizeof(go_on) - 1);
	if (s->out.err)
		return false;
	return r->is_chunked ? read_chunked(s, end_ns)
			     : read_sized(s, (size_t)r->content_length, end_ns);
}

static bool serve_one(struct mr_http_session *s)
{
	int64_t end_ns;

	s->out.is_head = s->out.is_1_0 = s->out.keeps_alive = false;
	if (!read_head(s, &end_ns))
		return false;
	s->out.is_head = s->request.method == MR_HTTP_HEAD;
	s->out.is_1_0 = s->request.is_1_0;
	if (!read_body(s, end_ns))
		return false;
	s->out.keeps_alive = s->request.keeps_alive && !atomic_load(&s->seat->stopping);
	mr_seat_request_begin(s->seat);
	mr_pins_let_go(&s->seat->pins);
	respond(s);
	mr_seat_report(s->seat, MR_SESSION_IDLE, NULL, NULL);
	if (s->body.bytes_max > 4 * MR_HTTP_OUT_BYTES)
		mr_buf_fini(&s->body);
	return s->out.keeps_alive && !s->out.err;
}

void mr_http_session_run(const struct mr_http_opts *http, struct mr_seat *seat)
{
	struct mr_http_session s = {
		.http = http,
		.seat = seat,
		.in = {.link = seat->link},
		.out = {.link = seat->link,
			.clock = http->clock,
			.body = {.budget = &seat->memory, .bytes_free = MR_LINK_KEEP_BYTES}},
		.body = {.budget = &seat->memory, .bytes_free = MR_LINK_KEEP_BYTES},
	};

	if (seat->link->over_limit)
		mr_http_put_text(&s.out, 503, "too many connections");
	else
		while (serve_one(&s))
			continue;
	mr_buf_fini(&s.in.buf);
	mr_buf_fini(&s.out.body);
	mr_buf_fini(&s.out.head);
	mr_buf_fini(&s.head);
	mr_buf_fini(&s.body);
}
