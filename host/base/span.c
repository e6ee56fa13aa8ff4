// LEB128 variable-length integers.
#include "host/base/span.h"

// A value of `bits` bits takes at most ceil(bits / 7) bytes; the last one must not carry more.
static uint64_t read_leb128(struct mr_reader *r, unsigned bits)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < bits; shift += 7) {
		uint8_t b = mr_read_u8(r);
		unsigned room = bits - shift;

		if (room < 7 && (b & 0x7f) >> room)
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return r->bad ? 0 : v;
	}
	r->bad = true;
	return 0;
}

uint32_t mr_read_uvarint32(struct mr_reader *r)
{
	return (uint32_t)read_leb128(r, 32);
}

uint64_t mr_read_uvarint64(struct mr_reader *r)
{
	return read_leb128(r, 64);
}

void mr_write_uvarint(struct mr_writer *w, uint64_t v)
{
	while (v >= 0x80) {
		mr_write_u8(w, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	mr_write_u8(w, (uint8_t)v);
}
