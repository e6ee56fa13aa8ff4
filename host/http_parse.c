// The HTTP/1.1 parser.
#include "host/http_parse.h"

#include "host/http.h"

#include <strings.h>

bool mr_http_is(struct mr_span s, const char *what)
{
	return s.bytes == strlen(what) &&
	       (s.bytes == 0 || strncasecmp((const char *)s.data, what, s.bytes) == 0);
}

static struct mr_span trim(struct mr_span s)
{
	while (s.bytes && (s.data[0] == ' ' || s.data[0] == '\t'))
		s = mr_span(s.data + 1, s.bytes - 1);
	while (s.bytes && (s.data[s.bytes - 1] == ' ' || s.data[s.bytes - 1] == '\t'))
		s.bytes--;
	return s;
}

// Cuts `s` at the first `c`: returns what is before it, leaves what is behind it.
static struct mr_span cut(struct mr_span *s, char c)
{
	const uint8_t *at = s->bytes ? memchr(s->data, c, s->bytes) : NULL;
	struct mr_span head = *s;

	if (!at) {
		*s = mr_span(NULL, 0);
		return head;
	}
	head.bytes = (size_t)(at - s->data);
	*s = mr_span(at + 1, s->bytes - head.bytes - 1);
	return head;
}

bool mr_http_has_token(struct mr_span field, const char *token)
{
	while (field.bytes) {
		struct mr_span item = cut(&field, ',');

		if (mr_http_is(trim(cut(&item, ';')), token))
			return true;
	}
	return false;
}

// RFC 9110 section 5.6.2: the characters of tokens.
static bool is_token(struct mr_span s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < s.bytes; i++) {
		uint8_t c = s.data[i], lower = c | 0x20;

		if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') &&
			(c == 0 || !strchr(others, c)))
			return false;
	}
	return s.bytes > 0;
}

// The next line without its CRLF. 1; 0 when it is not complete; -400 for a bare LF or CR.
static int next_line(struct mr_span bytes, size_t *at, struct mr_span *line)
{
	const uint8_t *start = bytes.data + *at, *lf;
	size_t left = bytes.bytes - *at;

	lf = left ? memchr(start, '\n', left) : NULL;
	if (!lf)
		return 0;
	if (lf == start || lf[-1] != '\r')
		return -400;
	*line = mr_span(start, (size_t)(lf - start) - 1);
	*at += (size_t)(lf - start) + 1;
	return line->bytes && memchr(line->data, '\r', line->bytes) ? -400 : 1;
}

static enum mr_http_method method_of(struct mr_span name)
{
	// Methods are case-sensitive (RFC 9110 section 9.1).
	return mr_span_eq(name, mr_span_str("GET"))    ? MR_HTTP_GET
	       : mr_span_eq(name, mr_span_str("HEAD")) ? MR_HTTP_HEAD
	       : mr_span_eq(name, mr_span_str("POST")) ? MR_HTTP_POST
						       : MR_HTTP_OTHER;
}

static int parse_target(struct mr_span target, struct mr_http_request *r)
{
	// RFC 9112 section 3.2.2: the absolute form must be accepted; its authority is the host.
	if (target.bytes >= 7 && strncasecmp((const char *)target.data, "http://", 7) == 0) {
		struct mr_span rest = mr_span(target.data + 7, target.bytes - 7);
		const uint8_t *slash = rest.bytes ? memchr(rest.data, '/', rest.bytes) : NULL;

		if (!slash)
			return -400;
		r->host = mr_span(rest.data, (size_t)(slash - rest.data));
		target = mr_span(slash, rest.bytes - r->host.bytes);
	}
	for (size_t i = 0; i < target.bytes; i++)
		if (target.data[i] <= ' ' || target.data[i] >= 0x7f)
			return -400;
	// "*" is for OPTIONS; it names nothing here and becomes 404 or 405.
	if (target.bytes == 0 || (target.data[0] != '/' && !mr_http_is(target, "*")))
		return -400;
	r->path = cut(&target, '?');
	r->query = target;
	return 1;
}

static int parse_request_line(struct mr_span line, struct mr_http_request *r)
{
	struct mr_span method = cut(&line, ' '), target = cut(&line, ' ');

	if (!is_token(method))
		return -400;
	r->method = method_of(method);
	if (target.bytes > MR_HTTP_TARGET_BYTES_MAX)
		return -414;
	if (line.bytes != 8 || memcmp(line.data, "HTTP/", 5) != 0 || line.data[6] != '.')
		return -400;
	if (line.data[5] != '1' || (line.data[7] != '0' && line.data[7] != '1'))
		return -505;
	r->is_1_0 = line.data[7] == '0';
	r->keeps_alive = !r->is_1_0;
	return parse_target(target, r);
}

static int parse_content_length(struct mr_span value, struct mr_http_request *r)
{
	int64_t n = 0;

	if (value.bytes == 0 || value.bytes > 15 || r->content_length >= 0)
		return -400;
	for (size_t i = 0; i < value.bytes; i++) {
		if (value.data[i] < '0' || value.data[i] > '9')
			return -400;
		n = n * 10 + (value.data[i] - '0');
	}
	r->content_length = n;
	return 1;
}

static int parse_transfer_encoding(struct mr_span value, struct mr_http_request *r)
{
	if (r->is_chunked || r->is_1_0)
		return -400;
	if (!mr_http_is(value, "chunked"))
		return -501;
	r->is_chunked = true;
	return 1;
}

static void parse_connection(struct mr_span value, struct mr_http_request *r)
{
	if (mr_http_has_token(value, "close"))
		r->keeps_alive = false;
	else if (r->is_1_0 && mr_http_has_token(value, "keep-alive"))
		r->keeps_alive = true;
}

static int parse_expect(struct mr_span value, struct mr_http_request *r)
{
	if (!mr_http_is(value, "100-continue"))
		return -417;
	r->expects_continue = !r->is_1_0;
	return 1;
}

static int apply_field(
	struct mr_span name, struct mr_span value, struct mr_http_request *r, struct mr_span *host)
{
	if (mr_http_is(name, "host")) {
		if (host->data)
			return -400;
		*host = value;
	} else if (mr_http_is(name, "content-length")) {
		return parse_content_length(value, r);
	} else if (mr_http_is(name, "transfer-encoding")) {
		return parse_transfer_encoding(value, r);
	} else if (mr_http_is(name, "expect")) {
		return parse_expect(value, r);
	} else if (mr_http_is(name, "connection")) {
		parse_connection(value, r);
	} else if (mr_http_is(name, "origin")) {
		r->origin = value;
	} else if (mr_http_is(name, "sec-fetch-site")) {
		r->sec_fetch_site = value;
	} else if (mr_http_is(name, "accept")) {
		r->accept = value;
	} else if (mr_http_is(name, "content-type")) {
		r->content_type = value;
	}
	return 1;
}

static int parse_field(struct mr_span line, struct mr_http_request *r, struct mr_span *host)
{
	const uint8_t *colon = memchr(line.data, ':', line.bytes);
	struct mr_span name, value;

	// No colon, a folded line (RFC 9112 section 5.2) or a blank before the colon (5.1).
	if (!colon)
		return -400;
	name = mr_span(line.data, (size_t)(colon - line.data));
	if (!is_token(name))
		return -400;
	value = trim(mr_span(colon + 1, line.bytes - name.bytes - 1));
	for (size_t i = 0; i < value.bytes; i++)
		if ((value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f)
			return -400;
	return apply_field(name, value, r, host);
}

// What only the whole head tells.
static int check_head(struct mr_http_request *r, struct mr_span host)
{
	// RFC 9112 section 3.2: a 1.1 request without Host is an error.
	if (!host.data && !r->is_1_0)
		return -400;
	// Section 6.1: both at once is what request smuggling is made of.
	if (r->is_chunked && r->content_length >= 0)
		return -400;
	// An absolute target's authority wins over the field (section 3.2.2).
	if (!r->host.data)
		r->host = host;
	return 1;
}

int mr_http_parse_head(struct mr_span bytes, struct mr_http_request *r)
{
	struct mr_span line, host = {NULL, 0};
	size_t at = 0;
	int rc;

	*r = (struct mr_http_request){.content_length = -1};
	// Section 2.2: one empty line in front of a request is ignored.
	if (bytes.bytes >= 2 && memcmp(bytes.data, "\r\n", 2) == 0)
		at = 2;
	rc = next_line(bytes, &at, &line);
	if (rc == 0)
		return bytes.bytes > MR_HTTP_TARGET_BYTES_MAX + 64 ? -414 : 0;
	if (rc > 0)
		rc = parse_request_line(line, r);
	for (int fields = 0; rc > 0; fields++) {
		rc = next_line(bytes, &at, &line);
		if (rc == 0)
			return bytes.bytes >= MR_HTTP_HEAD_BYTES_MAX ? -431 : 0;
		if (at > MR_HTTP_HEAD_BYTES_MAX || fields > MR_HTTP_FIELDS_MAX)
			return -431;
		if (rc > 0 && line.bytes == 0)
			break;
		if (rc > 0)
			rc = parse_field(line, r, &host);
	}
	if (rc > 0)
		rc = check_head(r, host);
	return rc < 0 ? rc : (int)at;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// `size [; extensions]`: extensions are read over.
static int parse_chunk_size(struct mr_span line, uint64_t *out)
{
	struct mr_span digits = trim(cut(&line, ';'));
	uint64_t size = 0;

	if (digits.bytes == 0 || digits.bytes > 8)
		return -400;
	for (size_t i = 0; i < digits.bytes; i++) {
		int d = hex_digit(digits.data[i]);

		if (d < 0)
			return -400;
		size = size * 16 + (uint64_t)d;
	}
	*out = size;
	return 1;
}

// One line of the framing: a size, the end of a chunk's data, or a trailer field. 1 when taken.
static int chunk_line(struct mr_http_chunks *c, struct mr_span line, size_t body_bytes)
{
	int rc = 1;

	switch (c->state) {
	case MR_HTTP_CHUNK_SIZE:
		rc = parse_chunk_size(line, &c->left);
		if (rc > 0 && c->left > c->body_bytes_max - body_bytes)
			return -413;
		c->state = c->left ? MR_HTTP_CHUNK_DATA : MR_HTTP_CHUNK_TRAILER;
		return rc;
	case MR_HTTP_CHUNK_DATA_END:
		c->state = MR_HTTP_CHUNK_SIZE;
		return line.bytes == 0 ? 1 : -400;
	default:
		c->trailer_bytes += line.bytes + 2;
		return c->trailer_bytes > MR_HTTP_HEAD_BYTES_MAX ? -431 : 1;
	}
}

int mr_http_parse_chunks(
	struct mr_http_chunks *c, struct mr_span bytes, size_t *taken, struct mr_buf *body)
{
	struct mr_span line;
	size_t n;
	int rc;

	*taken = 0;
	for (;;) {
		if (c->state == MR_HTTP_CHUNK_DATA) {
			n = MR_MIN(bytes.bytes - *taken, c->left);
			mr_buf_add(body, bytes.data + *taken, n);
			*taken += n;
			c->left -= n;
			if (c->left > 0)
				return 0;
			c->state = MR_HTTP_CHUNK_DATA_END;
		}
		rc = next_line(bytes, taken, &line);
		if (rc == 0)
			return bytes.bytes - *taken > 4096 ? -400 : 0;
		if (rc > 0 && c->state == MR_HTTP_CHUNK_TRAILER && line.bytes == 0)
			return 1;
		if (rc > 0)
			rc = chunk_line(c, line, body->bytes);
		if (rc < 0)
			return rc;
	}
}

bool mr_http_query_value(struct mr_span query, const char *name, char *out, size_t out_bytes)
{
	while (query.bytes) {
		struct mr_span value = cut(&query, '&'), key = cut(&value, '=');
		size_t n = 0;

		if (!mr_span_eq(key, mr_span_str(name)))
			continue;
		for (size_t i = 0; i < value.bytes && n + 1 < out_bytes; i++) {
			int high = -1, low = -1;

			if (value.data[i] == '%' && i + 2 < value.bytes) {
				high = hex_digit(value.data[i + 1]);
				low = hex_digit(value.data[i + 2]);
			}
			if (high >= 0 && low >= 0)
				i += 2;
			out[n++] = high >= 0 && low >= 0 ? (char)(high * 16 + low)
							 : (char)value.data[i];
		}
		out[n] = 0;
		return true;
	}
	return false;
}
