// CRC-32C (RFC 3720 B.4) of bytes, by the chosen kernels. Any thread.
#pragma once

#include "kernels/kernels.h"

// The CRC of `bytes` bytes behind what `crc` is the CRC of (0: nothing).
static inline uint32_t mr_crc32c(uint32_t crc, const void *data, size_t bytes)
{
	return mr_kern->crc->update(crc, data, bytes);
}

// The same, and copies the bytes in the same pass. No overlap.
static inline uint32_t mr_crc32c_copy(
	uint32_t crc, void *restrict dst, const void *restrict src, size_t bytes)
{
	return mr_kern->crc->copy(crc, dst, src, bytes);
}
