// Hashes of columns: murmur3's finaliser for numbers, XXH3 for strings.
//
// 8 B (the value's size) read and 8 B written a row. Bounded by the two 64-bit multiplications:
// AVX-512DQ has the instruction (VPMULLQ), AVX2 builds it from three 32-bit ones.
#include "host/base/hash.h"
#include "kernels/rows.h"
#include "kernels/simd.h"

V_OP int64_t key_int(int64_t v)
{
	return v;
}

#define HASH(t, type, key)                                                              \
	static void hash_##t(const void *values, uint32_t rows, uint64_t *restrict out) \
	{                                                                               \
		const type *v = values;                                                 \
                                                                                        \
		for (uint32_t i = 0; i < rows; i++)                                     \
			out[i] = mr_hash64((uint64_t)key(v[i]), MR_HASH_SEED);          \
	}

HASH(u8, uint8_t, key_int)
HASH(i16, int16_t, key_int)
HASH(i32, int32_t, key_int)
HASH(i64, int64_t, key_int)
HASH(f32, float, mr_fkey)
HASH(f64, double, mr_fkey)

// 16 B read a row and the string itself.
static void hash_str(const struct mr_str *values, uint32_t rows, uint64_t *restrict out)
{
	for (uint32_t i = 0; i < rows; i++)
		out[i] = mr_hash_bytes(values[i].data, values[i].bytes);
}

const struct mr_hash_kernels MR_ISA_NAME(mr_kernels_hash) = {
	.num = {hash_u8, hash_i16, hash_i32, hash_i64, hash_f32, hash_f64},
	.str = hash_str,
};
