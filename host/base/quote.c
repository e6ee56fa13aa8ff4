// JSON strings.
#include "host/base/quote.h"

#include "host/base/utf8.h"

static const char hex[] = "0123456789abcdef";

static void quote_hex(struct mr_buf *b, struct mr_span s)
{
	uint8_t *p;

	mr_buf_str(b, "\"\\\\x");
	p = mr_buf_extend(b, s.bytes * 2);
	for (size_t i = 0; p && i < s.bytes; i++) {
		*p++ = (uint8_t)hex[s.data[i] >> 4];
		*p++ = (uint8_t)hex[s.data[i] & 15];
	}
	mr_buf_u8(b, '"');
}

static void quote_special(struct mr_buf *b, uint8_t c)
{
	static const char names[] = "btn-fr"; // 8 to 13; 11 has none

	if (c == '"' || c == '\\') {
		mr_buf_u8(b, '\\');
		mr_buf_u8(b, c);
	} else if (c >= 8 && c <= 13 && c != 11) {
		mr_buf_u8(b, '\\');
		mr_buf_u8(b, (uint8_t)names[c - 8]);
	} else {
		mr_buf_printf(b, "\\u%04x", c);
	}
}

void mr_quote_json(struct mr_buf *b, struct mr_span s)
{
	size_t from = 0;

	if (!mr_utf8_is_valid(s)) {
		quote_hex(b, s);
		return;
	}
	mr_buf_u8(b, '"');
	for (size_t i = 0; i < s.bytes; i++) {
		uint8_t c = s.data[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		mr_buf_add(b, s.data + from, i - from);
		quote_special(b, c);
		from = i + 1;
	}
	mr_buf_add(b, s.data + from, s.bytes - from);
	mr_buf_u8(b, '"');
}
