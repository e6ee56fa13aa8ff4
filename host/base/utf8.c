// UTF-8. The ranges of second bytes are those of RFC 3629 section 4.
#include "host/base/utf8.h"

static bool is_tail(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

size_t mr_utf8_sequence_bytes(const uint8_t *p, size_t left)
{
	uint8_t a = p[0], b = left > 1 ? p[1] : 0;

	if (a >= 0xc2 && a <= 0xdf)
		return is_tail(b) ? 2 : 0;
	if (a >= 0xe0 && a <= 0xef) {
		if (b < (a == 0xe0 ? 0xa0 : 0x80) || b > (a == 0xed ? 0x9f : 0xbf) || left < 3)
			return 0;
		return is_tail(p[2]) ? 3 : 0;
	}
	if (a >= 0xf0 && a <= 0xf4) {
		if (b < (a == 0xf0 ? 0x90 : 0x80) || b > (a == 0xf4 ? 0x8f : 0xbf) || left < 4)
			return 0;
		return is_tail(p[2]) && is_tail(p[3]) ? 4 : 0;
	}
	return 0;
}

size_t mr_utf8_valid_bytes(struct mr_span text)
{
	size_t i = 0;

	while (i < text.bytes) {
		size_t n;

		if (text.bytes - i >= 8 && !(mr_load_le64(text.data + i) & 0x8080808080808080u)) {
			i += 8;
			continue;
		}
		n = text.data[i] < 0x80 ? 1 : mr_utf8_sequence_bytes(text.data + i, text.bytes - i);
		if (n == 0)
			return i;
		i += n;
	}
	return i;
}

size_t mr_utf8_count(struct mr_span text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.bytes; i++)
		n += !is_tail(text.data[i]);
	return n;
}

size_t mr_utf8_encode(uint32_t c, uint8_t out[4])
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (uint8_t)(0xc0 | c >> 6);
		out[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (uint8_t)(0xe0 | c >> 12);
		out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | c >> 18);
	out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	out[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}
