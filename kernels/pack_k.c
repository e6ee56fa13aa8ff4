// Bit-packing in groups of 512, lanes side by side (the layout is drawn at struct mr_pack_kernels).
//
// A step unpacks one slot of all lanes: the same shift for the whole vector, so 16 (8) values cost
// two loads, two shifts, an or, an and, an addition and a store. width/8 B read and 4 (8) B written
// a row; bounded by the stores.
#include "kernels/kernels.h"
#include "kernels/simd.h"

#define PACK(t, type, lanes)                                                                       \
	enum { SLOTS_##t = MR_PACK_GROUP / (lanes), BITS_##t = sizeof(type) * 8 };                 \
                                                                                                   \
	V_OP type mask_##t(unsigned width)                                                         \
	{                                                                                          \
		return width ? (type) ~(type)0 >> (BITS_##t - width) : 0;                          \
	}                                                                                          \
                                                                                                   \
	static void unpack_group_##t(                                                              \
		const type *in, unsigned width, type base, type *restrict out)                     \
	{                                                                                          \
		const type mask = mask_##t(width);                                                 \
                                                                                                   \
		for (unsigned slot = 0; slot < SLOTS_##t; slot++, out += (lanes)) {                \
			unsigned bit = slot * width, shift = bit % BITS_##t;                       \
			const type *low = in + bit / BITS_##t * (lanes);                           \
                                                                                                   \
			if (shift + width <= BITS_##t) {                                           \
				for (unsigned l = 0; l < (lanes); l++)                             \
					out[l] = (low[l] >> shift & mask) + base;                  \
				continue;                                                          \
			}                                                                          \
			for (unsigned l = 0; l < (lanes); l++) {                                   \
				type high = low[l + (lanes)] << (BITS_##t - shift);                \
                                                                                                   \
				out[l] = ((low[l] >> shift | high) & mask) + base;                 \
			}                                                                          \
		}                                                                                  \
	}                                                                                          \
                                                                                                   \
	static void unpack_##t(                                                                    \
		const void *packed, uint32_t count, unsigned width, type base, type *restrict out) \
	{                                                                                          \
		const type *in = packed;                                                           \
                                                                                                   \
		for (uint32_t i = 0; i < count; i += MR_PACK_GROUP, in += width * (lanes)) {       \
			if (width)                                                                 \
				unpack_group_##t(in, width, base, out + i);                        \
			else                                                                       \
				for (uint32_t k = 0; k < MR_PACK_GROUP; k++)                       \
					out[i + k] = base;                                         \
		}                                                                                  \
	}                                                                                          \
                                                                                                   \
	static void pack_##t(                                                                      \
		const type *values, uint32_t count, unsigned width, void *restrict packed)         \
	{                                                                                          \
		type *out = packed;                                                                \
                                                                                                   \
		memset(packed, 0, mr_pack_bytes(count, width));                                    \
		for (uint32_t i = 0; i < count && width; i++) {                                    \
			unsigned slot = i % MR_PACK_GROUP / (lanes), bit = slot * width;           \
			unsigned shift = bit % BITS_##t;                                           \
			type *at = out + (size_t)(i / MR_PACK_GROUP) * width * (lanes) +           \
				   bit / BITS_##t * (lanes) + i % (lanes);                         \
                                                                                                   \
			*at |= values[i] << shift;                                                 \
			if (shift + width > BITS_##t)                                              \
				at[(lanes)] |= values[i] >> (BITS_##t - shift);                    \
		}                                                                                  \
	}

PACK(u32, uint32_t, 16)
PACK(u64, uint64_t, 8)

const struct mr_pack_kernels MR_ISA_NAME(mr_kernels_pack) = {
	.pack_u32 = pack_u32,
	.pack_u64 = pack_u64,
	.unpack_u32 = unpack_u32,
	.unpack_u64 = unpack_u64,
};
