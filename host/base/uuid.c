// UUID text.
#include "host/base/uuid.h"

void mr_uuid_format(struct mr_uuid u, char out[MR_UUID_TEXT_BYTES + 1])
{
	static const char hex[] = "0123456789abcdef";
	char *p = out;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[u.b[i] >> 4];
		*p++ = hex[u.b[i] & 15];
	}
	*p = 0;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool mr_uuid_parse(struct mr_span text, struct mr_uuid *out)
{
	struct mr_reader r;
	bool braces = text.bytes >= 2 && text.data[0] == '{';

	if (braces) {
		if (text.data[text.bytes - 1] != '}')
			return false;
		text = mr_span(text.data + 1, text.bytes - 2);
	}
	r = mr_reader(text);
	for (int i = 0; i < 16; i++) {
		int hi, lo;

		if (i && i % 2 == 0 && mr_read_left(&r) && *r.at == '-')
			r.at++;
		hi = hex_digit(mr_read_u8(&r));
		lo = hex_digit(mr_read_u8(&r));
		if (hi < 0 || lo < 0)
			return false;
		out->b[i] = (uint8_t)(hi << 4 | lo);
	}
	return !r.bad && mr_read_left(&r) == 0;
}
