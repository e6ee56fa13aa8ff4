// Messages of protocol 3.0: reading frames, writing frames (PostgreSQL 15 documentation, chapter
// 55, "Frontend/Backend Protocol").
#pragma once

#include "host/link.h"

// Codes in place of a protocol version in the first packet.
#define MR_PG_CODE_CANCEL   80877102
#define MR_PG_CODE_SSL      80877103
#define MR_PG_CODE_GSSENC   80877104
#define MR_PG_PROTOCOL_3_0  196608
#define MR_PG_STARTUP_BYTES 10000 // longest startup packet, as PostgreSQL's

// Output is sent when this much has gathered, so a result of any size needs no more than this and
// one row.
#define MR_PG_OUT_BYTES (64u << 10)

struct mr_pg_message {
	uint8_t type;
	struct mr_span body; // valid until the next read
};

// Reads one typed message. 1; 0 at the end of input; -EBADMSG for an impossible length;
// MR_ERR_LIMIT when it is longer than `bytes_max`; or as mr_link_ops.read. After the two errors of
// framing the place of the next message is unknown and the connection must end.
[[nodiscard]] int mr_pg_message_read(
	struct mr_link_in *in, uint32_t bytes_max, int timeout_ms, struct mr_pg_message *out);

// A NUL-terminated string, without its NUL. Sets `bad` when there is no NUL.
struct mr_span mr_pg_read_cstring(struct mr_reader *r);

// Output: messages gather in `buf` and go to the link in big writes. After a failed write
// everything is dropped and `err` stays.
struct mr_pg_out {
	struct mr_link *link;
	struct mr_buf buf;
	size_t message_off; // of the message being written
	int err;
};

static inline void mr_pg_begin(struct mr_pg_out *o, char type)
{
	o->message_off = o->buf.bytes;
	mr_buf_u8(&o->buf, (uint8_t)type);
	mr_buf_be32(&o->buf, 0);
}

// Completes the message: fills its length, sends when enough has gathered. 0, or MR_ERR_LIMIT when
// the message did not fit; it is dropped then, and the stream is as before it.
int mr_pg_end(struct mr_pg_out *o);
// Sends what has gathered. 0 or the link's error, which stays in `err`.
int mr_pg_flush(struct mr_pg_out *o);

// Whole messages without or with a simple body.
void mr_pg_put_empty(struct mr_pg_out *o, char type);
void mr_pg_put_string(struct mr_pg_out *o, char type, const char *s);
void mr_pg_put_pair(struct mr_pg_out *o, char type, const char *a, const char *b);
// A NUL-terminated string inside a message.
void mr_pg_add_string(struct mr_pg_out *o, const char *s);
// ErrorResponse ('E') or NoticeResponse ('N').
void mr_pg_put_diag(
	struct mr_pg_out *o, char type, const char *severity, const struct mr_diag *diag);
