// Values into the bins of a quantile sketch: the order-preserving integer key of a double, its low
// bits dropped. The value's size read and 8 B written a row; bounded by stores.
#include "kernels/kernels.h"
#include "kernels/simd.h"

#define BINS(t, type)                                                                     \
	static void bins_##t(                                                             \
		const void *values, uint32_t rows, unsigned shift, int64_t *restrict out) \
	{                                                                                 \
		const type *v = values;                                                   \
                                                                                          \
		for (uint32_t i = 0; i < rows; i++)                                       \
			out[i] = mr_fkey((double)v[i]) >> shift;                          \
	}

BINS(u8, uint8_t)
BINS(i16, int16_t)
BINS(i32, int32_t)
BINS(i64, int64_t)
BINS(f32, float)
BINS(f64, double)

const struct mr_quantile_kernels MR_ISA_NAME(mr_kernels_quantile) = {
	.bins = {bins_u8, bins_i16, bins_i32, bins_i64, bins_f32, bins_f64},
};
