// Quantiles: a t-digest whose state does not depend on the order of its input.
//
// The state is a function of the *multiset* of values: order, threads and the way of merging change
// no bit of it. Up to `bins_max` distinct values it is exact, and quantiles are percentile_cont's;
// beyond, values share bins whose width is the same share of the value everywhere.
//
// NaN counts as the largest value, as SQL sorts it; -0 counts as 0. One thread at a time.
#pragma once

#include "kernels/kernels.h"

#define MR_QUANTILE_BINS_MIN     16
#define MR_QUANTILE_BINS_MAX     8192
#define MR_QUANTILE_BINS_DEFAULT 1024

struct mr_quantile_bin {
	int64_t code; // mr_fkey(value) >> shift
	uint64_t count;
};

// Owns its memory: at most 32 bytes times bins_max rounded up to a power of two; little while there
// are few distinct values.
struct mr_quantile {
	struct mr_quantile_bin *slots; // open addressing; count 0 = free
	uint32_t slots_count;          // power of two, or 0
	uint32_t bins_count;
	uint32_t bins_max;
	uint8_t shift;   // low bits of a key that bins leave out; 0: exact
	int64_t key_min; // keys of the finite extremes; mean nothing without finite values
	int64_t key_max;
	uint64_t finite; // values that are finite: the bins' counts together
	uint64_t infinite_low;
	uint64_t infinite_high;
	uint64_t nan;
};

// An empty sketch; takes no memory yet.
void mr_quantile_init(struct mr_quantile *q, uint32_t bins_max);
void mr_quantile_fini(struct mr_quantile *q);

// Adds `count` times a value; the looked-at rows of a column (not MR_PHYS_DEC); what `other`, of
// the same bins_max, has seen. 0, or -ENOMEM, after which the sketch is good only for fini.
[[nodiscard]] int mr_quantile_add(struct mr_quantile *q, double value, uint64_t count);
[[nodiscard]] int mr_quantile_update(
	struct mr_quantile *q, enum mr_phys phys, const void *values, const struct mr_rows *rows);
[[nodiscard]] int mr_quantile_merge(struct mr_quantile *q, const struct mr_quantile *other);

// Values added.
uint64_t mr_quantile_count(const struct mr_quantile *q);

// out[i] = the quantile at p[i], 0 … 1, by linear interpolation between the two nearest ranks of
// p * (count - 1). Between a finite and another value the nearer rank wins. The sketch must not be
// empty. 0 or -ENOMEM.
[[nodiscard]] int mr_quantile_values(
	const struct mr_quantile *q, const double *p, uint32_t count, double *out);

// The sketch's own bound: no quantile is off by more than this share of the ranks. 0 while exact.
double mr_quantile_rank_error(const struct mr_quantile *q);
// Nor by more than this share of the value.
double mr_quantile_value_error(const struct mr_quantile *q);

struct mr_centroid {
	double mean;
	uint64_t count;
};

// The finite values as a t-digest of `compression` (Dunning's delta): centroids ascending, at most
// compression + 1 of them, which `out` has room for. Returns how many, or -ENOMEM.
[[nodiscard]] int mr_quantile_centroids(
	const struct mr_quantile *q, unsigned compression, struct mr_centroid *out);

// Bytes that mr_quantile_save may write at most.
size_t mr_quantile_save_bytes_max(const struct mr_quantile *q);
// Writes the state and returns its bytes, or -ENOMEM: equal states give equal bytes.
[[nodiscard]] int mr_quantile_save(const struct mr_quantile *q, uint8_t *out);
// Fills `q` (not initialised before) from saved bytes, all of which must be used. Bytes from
// outside: MR_ERR_CORRUPT for what cannot be, MR_ERR_VERSION for a newer version, -ENOMEM.
[[nodiscard]] int mr_quantile_load(struct mr_quantile *q, struct mr_span bytes);

// What adding one value allocates at most, beside what is held meanwhile.
size_t mr_quantile_growth(const struct mr_quantile *q);
// Bytes of memory held now.
size_t mr_quantile_memory(const struct mr_quantile *q);
