// Parsing of HTTP/1.1 requests (RFC 9110, RFC 9112), strict where leniency has led to smuggling.
//
// Hostile bytes can only cause an error with a status. Refused rather than guessed at: bare LF,
// folded lines, white space before a colon, repeated Host, Content-Length or Transfer-Encoding,
// both of the latter together, a transfer coding other than chunked, a Content-Length that is not
// plain digits, chunk sizes beyond 8 digits.
#pragma once

#include "host/base/buf.h"
#include "host/base/span.h"

enum mr_http_method { MR_HTTP_GET, MR_HTTP_HEAD, MR_HTTP_POST, MR_HTTP_OTHER };

struct mr_http_request {
	enum mr_http_method method;
	struct mr_span path;  // before the question mark, as sent
	struct mr_span query; // behind it
	bool is_1_0;
	bool keeps_alive;
	bool is_chunked;
	bool expects_continue;
	int64_t content_length; // -1: none
	struct mr_span host;    // of the Host field or the absolute target; empty: none
	struct mr_span origin;
	struct mr_span sec_fetch_site;
	struct mr_span accept;
	struct mr_span content_type;
};

// Parses request line and header fields at the beginning of `bytes`; spans borrow it. >0: bytes of
// the head; 0: it is not complete; -status (400, 414, 417, 431, 501, 505) when it is wrong.
[[nodiscard]] int mr_http_parse_head(struct mr_span bytes, struct mr_http_request *out);

// A chunked body, decoded bit by bit into `body`.
struct mr_http_chunks {
	enum {
		MR_HTTP_CHUNK_SIZE,
		MR_HTTP_CHUNK_DATA,
		MR_HTTP_CHUNK_DATA_END,
		MR_HTTP_CHUNK_TRAILER
	} state;
	uint64_t left;        // bytes of the chunk still to come
	size_t trailer_bytes; // so far
	size_t body_bytes_max;
};

// Takes what can be decoded from `bytes` and says how much that was in `taken`. 1: the body is
// complete; 0: more is needed; -status (400, 413, 431) when it is wrong.
[[nodiscard]] int mr_http_parse_chunks(
	struct mr_http_chunks *c, struct mr_span bytes, size_t *taken, struct mr_buf *body);

// The value of `name` in a query string, percent-decoded into `out` (cut). False when absent.
bool mr_http_query_value(struct mr_span query, const char *name, char *out, size_t out_bytes);

// Equal but for ASCII case.
bool mr_http_is(struct mr_span s, const char *what);
// A comma-separated field holds this token (parameters behind ';' are ignored).
bool mr_http_has_token(struct mr_span field, const char *token);
