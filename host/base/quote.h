// Writing strings into JSON.
#pragma once

#include "host/base/buf.h"

// Appends `s` as a JSON string (RFC 8259 §7) with its quotes. Bytes that are not UTF-8 make the
// whole string `\x` and hexadecimal digits, as PostgreSQL writes bytea.
void mr_quote_json(struct mr_buf *b, struct mr_span s);
