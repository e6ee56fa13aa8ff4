// One HTTP connection, private to host/http_*.c and its tests.
#pragma once

#include "host/http.h"
#include "host/http_parse.h"

// A response gathers here; what fits is sent with a Content-Length, what does not goes out in
// chunks of this size, so a result of any length needs no more memory.
#define MR_HTTP_OUT_BYTES (64u << 10)

struct mr_http_out {
	struct mr_link *link;
	struct mr_clock *clock;
	struct mr_buf body; // not yet sent
	struct mr_buf head;
	int status;
	const char *content_type;
	const char *fields; // more header fields, each with CRLF; may be NULL
	bool is_head;       // the answer to HEAD: no body
	bool is_1_0;
	bool keeps_alive;
	bool is_begun; // the head is on its way, in chunked form
	int err;       // of the link; nothing more is sent
};

struct mr_http_session {
	const struct mr_http_opts *http;
	struct mr_seat *seat;
	struct mr_link_in in;
	struct mr_http_out out;
	struct mr_http_request request;
	struct mr_buf head; // the request's head; its spans point here
	struct mr_buf body; // the request's
};

// Runs one connection, the seat's link, to its end.
void mr_http_session_run(const struct mr_http_opts *http, struct mr_seat *seat);

// http_out.c. Begins a response; the body is appended to out->body.
void mr_http_begin(struct mr_http_out *o, int status, const char *content_type);
// Called now and then while the body grows: sends a chunk when enough has gathered. 0 or an error.
int mr_http_checkpoint(struct mr_http_out *o);
void mr_http_end(struct mr_http_out *o);
// The body cannot be completed: what has gathered is sent, the rest is visibly missing.
void mr_http_abort(struct mr_http_out *o);
// A whole response of one line of text.
void mr_http_put_text(struct mr_http_out *o, int status, const char *text);
const char *mr_http_reason(int status);

// http_query.c
void mr_http_query(struct mr_http_session *s);
// http_page.c
void mr_http_page(struct mr_http_session *s);
