// An order-independent t-digest.
//
// A t-digest [1] merges neighbouring values into centroids as they come, so what it holds depends
// on the order of values, threads and merges: two nodes that saw the same data disagree. Here the
// state is a histogram whose bins are fixed in advance, and the centroids are computed from it when
// somebody asks.
//
// A double's bits, flipped so that they order as integers (mr_fkey), are a logarithm in steps: the
// exponent, then linear steps within each octave. Dropping the low s bits of that key gives bins of
// the same relative width 2^(s-52) everywhere (the idea of HdrHistogram and DDSketch [2]); s = 0
// gives each distinct double a bin of its own, which is exact. The sketch keeps counts per bin in a
// hash table, at most `bins_max` of them, and s is the least number for which they suffice. When
// they do not, s grows by one: pairs of bins become one, everywhere at once [3].
//
// Why the state is a function of the multiset M: the number of bins that M fills at level s can
// only grow with M and only shrink with s, and bins of s + 1 are unions of bins of s. So whatever
// the order, the level passes only through values at or below the final one, least s at which M
// fits, and the counts at that level are those of M. The same holds for merging.
//
// Error: a quantile lies in the bin where its rank is, so its relative error is below 2^(s-52) and
// its rank error below the bin's share of the values; mr_quantile_rank_error is the greatest share.
// Within a bin values are taken to be evenly spread, so what is measured is far better
// (tests/unit/quantile_test.c, 200,000 values, bins_max 1,024, worst of p = 0.001 ... 0.999):
//
//     distribution            level   value bound   rank bound   rank error measured
//     uniform 0 to 1             46       1.6 %       0.83 %          0.027 %
//     normal                     47       3.1 %       0.75 %          0.023 %
//     log-normal, sigma 2        47       3.1 %       0.63 %          0.025 %
//     Pareto, alpha 1.1          46       1.6 %       1.7  %          0.030 %
//     integers below 1,000        0       0           0               0
//
// What defeats it: data dense in one place and spread over hundreds of octaves elsewhere with over
// bins_max / 2 distinct places. The sketch then says so by its own bound.
//
//     [1] Dunning 2019, arXiv 1902.04023         [2] Masson, Rim, Lee 2019, DDSketch
//     [3] Epicoco et al. 2020, UDDSketch
//
// Saved: u8 version 1, u8 level, u16 0, u32 bins_max, u32 bins, u32 0, u64 -infinities, u64
// +infinities, u64 NaNs, i64 least key, i64 greatest key (0 without bins); per bin, ascending:
// uvarint code - code before (first: zigzag of the code), uvarint count; u64 XXH3 of all before.
// Little endian.
#include "kernels/quantile.h"

#include "host/base/hash.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define VERSION      1
#define SLOTS_MIN    8
#define HEADER_BYTES 56
#define KEY_INFINITE 0x7ff0000000000000 // mr_fkey(+infinity); -infinity has ~KEY_INFINITE
#define SHIFT_MAX    63                 // two bins: negative or not
#define WINDOW       4096               // bins; 16 KiB, half of an L1 cache

void mr_quantile_init(struct mr_quantile *q, uint32_t bins_max)
{
	MR_ASSERT(bins_max >= MR_QUANTILE_BINS_MIN && bins_max <= MR_QUANTILE_BINS_MAX);
	*q = (struct mr_quantile){.bins_max = bins_max};
}

void mr_quantile_fini(struct mr_quantile *q)
{
	free(q->slots);
	*q = (struct mr_quantile){.bins_max = q->bins_max};
}

size_t mr_quantile_memory(const struct mr_quantile *q)
{
	return q->slots_count * sizeof(*q->slots);
}

size_t mr_quantile_growth(const struct mr_quantile *q)
{
	if ((q->bins_count + 1) * 4 > q->slots_count * 3)
		return MR_MAX(q->slots_count * 2, SLOTS_MIN) * sizeof(*q->slots);
	return q->bins_count == q->bins_max ? q->slots_count * sizeof(*q->slots) : 0;
}

uint64_t mr_quantile_count(const struct mr_quantile *q)
{
	return q->finite + q->infinite_low + q->infinite_high + q->nan;
}

// --- the table of bins ---------------------------------------------------------------------------

// The slot that holds `code`, or the free one where it belongs. There always is a free one.
static struct mr_quantile_bin *slot_of(
	struct mr_quantile_bin *slots, uint32_t slots_count, int64_t code)
{
	// The product's top bits (14: as many slots as there ever are), for codes of small integers
	// end in 42 zeros and more.
	uint64_t h = (uint64_t)code * 0x9e3779b97f4a7c15u;
	uint32_t i = (uint32_t)(h >> 50) & (slots_count - 1);

	while (slots[i].count != 0 && slots[i].code != code)
		i = (i + 1) & (slots_count - 1);
	return &slots[i];
}

// Moves all bins to a new table, codes shifted right by `by`. 0 or -ENOMEM, nothing changed.
static int rebuild(struct mr_quantile *q, uint32_t slots_count, unsigned by)
{
	struct mr_quantile_bin *slots = calloc(slots_count, sizeof(*slots));
	uint32_t bins = 0;

	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < q->slots_count; i++) {
		const struct mr_quantile_bin *b = &q->slots[i];
		struct mr_quantile_bin *to;

		if (b->count == 0)
			continue;
		to = slot_of(slots, slots_count, b->code >> by);
		bins += to->count == 0;
		to->code = b->code >> by;
		to->count += b->count;
	}
	free(q->slots);
	q->slots = slots;
	q->slots_count = slots_count;
	q->bins_count = bins;
	q->shift = (uint8_t)(q->shift + by);
	return 0;
}

// Adds to the bin of a finite key; makes room first and the level coarser afterwards.
static int add_key(struct mr_quantile *q, int64_t key, uint64_t count)
{
	struct mr_quantile_bin *b;
	int err = 0;

	if ((q->bins_count + 1) * 4 > q->slots_count * 3) {
		err = rebuild(q, MR_MAX(q->slots_count * 2, SLOTS_MIN), 0);
		if (err < 0)
			return err;
	}
	b = slot_of(q->slots, q->slots_count, key >> q->shift);
	q->bins_count += b->count == 0;
	b->code = key >> q->shift;
	b->count += count;
	while (err == 0 && q->bins_count > q->bins_max)
		err = rebuild(q, q->slots_count, 1);
	return err;
}

static void note_finite(struct mr_quantile *q, int64_t low, int64_t high, uint64_t count)
{
	q->key_min = q->finite ? MR_MIN(q->key_min, low) : low;
	q->key_max = q->finite ? MR_MAX(q->key_max, high) : high;
	q->finite += count;
}

static int add(struct mr_quantile *q, int64_t key, uint64_t count)
{
	if (key > KEY_INFINITE)
		q->nan += count;
	else if (key == KEY_INFINITE)
		q->infinite_high += count;
	else if (key == ~KEY_INFINITE)
		q->infinite_low += count;
	else {
		note_finite(q, key, key, count);
		return add_key(q, key, count);
	}
	return 0;
}

int mr_quantile_add(struct mr_quantile *q, double value, uint64_t count)
{
	return count ? add(q, mr_fkey(value), count) : 0;
}

// Counts of neighbouring bins while a column goes by: an array where the table would need a search
// (6.2 -> 3.3 ns a row). Bins are put into the table at the end; until then the sketch lacks them.
struct window {
	int64_t first; // code of counts[0], at level `shift`
	uint8_t shift;
	uint64_t rows; // rows in the window, and their extreme keys
	int64_t key_min;
	int64_t key_max;
	uint32_t counts[WINDOW];
};

static void window_begin(struct window *w, const struct mr_quantile *q, int64_t key)
{
	memset(w, 0, sizeof(*w));
	w->shift = q->shift;
	w->first = (key >> q->shift) - WINDOW / 2;
	w->key_min = INT64_MAX;
	w->key_max = INT64_MIN;
}

static int window_end(struct window *w, struct mr_quantile *q)
{
	int err = 0;

	if (w->rows == 0)
		return 0;
	note_finite(q, w->key_min, w->key_max, w->rows);
	for (int i = 0; i < WINDOW && err == 0; i++) {
		uint64_t code = (uint64_t)(w->first + i);

		if (w->counts[i])
			err = add_key(q, (int64_t)(code << w->shift), w->counts[i]);
	}
	w->rows = 0;
	return err;
}

// A finite key goes to the window when its bin is there, all else to the sketch.
static int window_add(struct window *w, struct mr_quantile *q, int64_t key)
{
	uint64_t at = (uint64_t)(key >> w->shift) - (uint64_t)w->first;

	if (key >= KEY_INFINITE || key <= ~KEY_INFINITE || at >= WINDOW)
		return add(q, key, 1);
	w->counts[at]++;
	w->rows++;
	w->key_min = MR_MIN(w->key_min, key);
	w->key_max = MR_MAX(w->key_max, key);
	return 0;
}

// Rows of one block, whose keys are at hand; `steps` of a selection, or rows, from `at`.
struct block {
	const int64_t *keys;
	uint32_t row;
	uint32_t at;
	uint32_t steps;
};

static int add_block(
	struct mr_quantile *q, struct window *w, const struct mr_rows *rows, const struct block *b)
{
	int err = 0;

	for (uint32_t k = 0; k < b->steps && err == 0; k++) {
		uint32_t i = rows->sel ? rows->sel[b->at + k] : b->row + k;

		if (rows->mask && !mr_bit_get(rows->mask, i))
			continue;
		err = w ? window_add(w, q, b->keys[i - b->row]) : add(q, b->keys[i - b->row], 1);
	}
	return err;
}

// Keys come from the kernel, a block at a time. Past the exact level, and when there are rows
// enough to pay for it, a window does most of the counting.
int mr_quantile_update(
	struct mr_quantile *q, enum mr_phys phys, const void *values, const struct mr_rows *rows)
{
	enum { BLOCK = 256 };
	int64_t keys[BLOCK] = {0};
	struct window window, *w = NULL;
	uint32_t at = 0, end = rows->count;
	int err = 0;

	if (rows->sel)
		end = rows->count ? rows->sel[rows->count - 1] + 1 : 0;
	for (uint32_t row = 0; row < end && err == 0; row += BLOCK) {
		uint32_t n = MR_MIN(end - row, BLOCK), steps = n;
		const uint8_t *from = (const uint8_t *)values + row * mr_phys_bytes(phys);

		if (rows->sel)
			for (steps = 0;
				at + steps < rows->count && rows->sel[at + steps] < row + n;)
				steps++;
		if (steps == 0)
			continue;
		mr_kern->quantile->bins[phys](from, n, 0, keys);
		if (!w && q->shift && rows->count - at >= WINDOW) {
			w = &window;
			window_begin(w, q, keys[0]);
		}
		err = add_block(q, w, rows, &(struct block){keys, row, at, steps});
		at += steps;
	}
	return err == 0 && w ? window_end(w, q) : err;
}

int mr_quantile_merge(struct mr_quantile *q, const struct mr_quantile *other)
{
	int err = 0;

	MR_ASSERT(q->bins_max == other->bins_max);
	q->nan += other->nan;
	q->infinite_low += other->infinite_low;
	q->infinite_high += other->infinite_high;
	if (other->finite == 0)
		return 0;
	note_finite(q, other->key_min, other->key_max, other->finite);
	if (q->shift < other->shift)
		err = rebuild(q, MR_MAX(q->slots_count, SLOTS_MIN), other->shift - q->shift);
	for (uint32_t i = 0; i < other->slots_count && err == 0; i++) {
		const struct mr_quantile_bin *b = &other->slots[i];

		// Any key of the bin will do: this level is at least as coarse.
		if (b->count)
			err = add_key(q, (int64_t)((uint64_t)b->code << other->shift), b->count);
	}
	return err;
}

// --- reading -------------------------------------------------------------------------------------

static int bin_order(const void *a, const void *b)
{
	int64_t x = ((const struct mr_quantile_bin *)a)->code;
	int64_t y = ((const struct mr_quantile_bin *)b)->code;

	return (x > y) - (x < y);
}

// The bins ascending, in memory of the caller's to free; NULL when there is none to be had.
static struct mr_quantile_bin *sorted_bins(const struct mr_quantile *q)
{
	struct mr_quantile_bin *bins = malloc((q->bins_count + 1) * sizeof(*bins));
	uint32_t n = 0;

	if (!bins)
		return NULL;
	for (uint32_t i = 0; i < q->slots_count; i++)
		if (q->slots[i].count)
			bins[n++] = q->slots[i];
	MR_ASSERT(n == q->bins_count);
	qsort(bins, n, sizeof(*bins), bin_order);
	return bins;
}

// The value at `share` of the way through the bin, whose ends are cut to the extremes seen.
static double bin_value(const struct mr_quantile *q, int64_t code, double share)
{
	int64_t first = (int64_t)((uint64_t)code << q->shift);
	int64_t last = (int64_t)((uint64_t)first | ((1ull << q->shift) - 1));
	double low = mr_fkey_value(MR_MAX(first, q->key_min));
	double high = mr_fkey_value(MR_MIN(last, q->key_max));

	return low + (high - low) * share;
}

// The value of rank `rank` from 0, in SQL's order.
static double item(const struct mr_quantile *q, const struct mr_quantile_bin *bins, uint64_t rank)
{
	if (rank < q->infinite_low)
		return -INFINITY;
	rank -= q->infinite_low;
	if (rank >= q->finite)
		return rank - q->finite < q->infinite_high ? INFINITY : NAN;
	if (rank == 0)
		return mr_fkey_value(q->key_min);
	if (rank == q->finite - 1)
		return mr_fkey_value(q->key_max);
	for (;; bins++) {
		if (rank < bins->count)
			return bin_value(q, bins->code, ((double)rank + 0.5) / (double)bins->count);
		rank -= bins->count;
	}
}

// Between two neighbours in rank; PostgreSQL's formula where it does not overflow.
static double between(double low, double high, double share)
{
	if (share == 0 || low == high)
		return low;
	if (!isfinite(low) || !isfinite(high))
		return share < 0.5 ? low : high;
	if (isfinite(high - low))
		return low + share * (high - low);
	return low * (1 - share) + high * share;
}

int mr_quantile_values(const struct mr_quantile *q, const double *p, uint32_t count, double *out)
{
	struct mr_quantile_bin *bins = sorted_bins(q);
	uint64_t n = mr_quantile_count(q);

	MR_ASSERT(n > 0);
	if (!bins)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		double rank = p[i] * (double)(n - 1);
		uint64_t first = MR_MIN((uint64_t)rank, n - 1);
		uint64_t second = MR_MIN(first + 1, n - 1);

		MR_ASSERT(p[i] >= 0 && p[i] <= 1);
		out[i] = between(item(q, bins, first), item(q, bins, second), rank - (double)first);
	}
	free(bins);
	return 0;
}

double mr_quantile_rank_error(const struct mr_quantile *q)
{
	uint64_t most = 0;

	if (q->shift == 0)
		return 0;
	for (uint32_t i = 0; i < q->slots_count; i++)
		most = MR_MAX(most, q->slots[i].count);
	return (double)most / (double)mr_quantile_count(q);
}

double mr_quantile_value_error(const struct mr_quantile *q)
{
	return q->shift ? ldexp(1, q->shift - 52) : 0;
}

// Greedy merging under the scale function k1 = delta / (2 pi) asin(2q - 1): a centroid spans at
// most one unit of k, so centroids are small at the ends, and two neighbours span more than one.
int mr_quantile_centroids(
	const struct mr_quantile *q, unsigned compression, struct mr_centroid *out)
{
	struct mr_quantile_bin *bins = sorted_bins(q);
	const double scale = compression / (2 * M_PI), total = (double)q->finite;
	double before = 0, k_end = -INFINITY;
	int n = 0;

	if (!bins)
		return -ENOMEM;
	for (uint32_t i = 0; i < q->bins_count; i++) {
		double weight = (double)bins[i].count, mean = bin_value(q, bins[i].code, 0.5);
		double after = MR_MIN((before + weight) / total, 1.0);

		if (scale * asin(2 * after - 1) <= k_end) {
			struct mr_centroid *c = &out[n - 1];

			c->count += bins[i].count;
			c->mean += (mean - c->mean) * (weight / (double)c->count);
		} else {
			out[n++] = (struct mr_centroid){mean, bins[i].count};
			k_end = scale * asin(2 * MR_MIN(before / total, 1.0) - 1) + 1;
		}
		before += weight;
	}
	free(bins);
	return n;
}

// --- saving --------------------------------------------------------------------------------------

size_t mr_quantile_save_bytes_max(const struct mr_quantile *q)
{
	return HEADER_BYTES + q->bins_count * (size_t)20 + 8;
}

int mr_quantile_save(const struct mr_quantile *q, uint8_t *out)
{
	struct mr_writer w = mr_writer(out, mr_quantile_save_bytes_max(q));
	struct mr_quantile_bin *bins = sorted_bins(q);

	if (!bins)
		return -ENOMEM;
	mr_write_u8(&w, VERSION);
	mr_write_u8(&w, q->shift);
	mr_write_le16(&w, 0);
	mr_write_le32(&w, q->bins_max);
	mr_write_le32(&w, q->bins_count);
	mr_write_le32(&w, 0);
	mr_write_le64(&w, q->infinite_low);
	mr_write_le64(&w, q->infinite_high);
	mr_write_le64(&w, q->nan);
	mr_write_le64(&w, q->finite ? (uint64_t)q->key_min : 0);
	mr_write_le64(&w, q->finite ? (uint64_t)q->key_max : 0);
	for (uint32_t i = 0; i < q->bins_count; i++) {
		uint64_t code = (uint64_t)bins[i].code;

		mr_write_uvarint(
			&w, i ? code - (uint64_t)bins[i - 1].code : mr_zigzag_encode(bins[i].code));
		mr_write_uvarint(&w, bins[i].count);
	}
	free(bins);
	mr_write_le64(&w, mr_checksum(out, w.at));
	MR_ASSERT(!w.bad);
	return (int)w.at;
}

// Codes ascend without wrapping, counts are not 0, and the ends are where the extremes are.
static int load_bins(struct mr_quantile *q, struct mr_reader *r, uint32_t bins)
{
	int64_t code = 0;
	int err = 0;

	for (uint32_t i = 0; i < bins && err == 0; i++) {
		uint64_t step = mr_read_uvarint64(r);
		int64_t next = i ? (int64_t)((uint64_t)code + step) : mr_zigzag_decode(step);
		uint64_t count = mr_read_uvarint64(r), sum;

		if (r->bad || count == 0 || (i && next <= code) ||
			(i == 0 && next != q->key_min >> q->shift) ||
			(i == bins - 1 && next != q->key_max >> q->shift) ||
			__builtin_add_overflow(q->finite, count, &sum))
			return MR_ERR_CORRUPT;
		code = next;
		q->finite = sum;
		err = add_key(q, (int64_t)((uint64_t)code << q->shift), count);
	}
	return err;
}

static int load_header(struct mr_quantile *q, struct mr_reader *r, uint32_t *bins)
{
	uint8_t version = mr_read_u8(r), shift = mr_read_u8(r);
	uint16_t zero = mr_read_le16(r);
	uint32_t bins_max = mr_read_le32(r), zero2;

	*bins = mr_read_le32(r);
	zero2 = mr_read_le32(r);
	if (version != VERSION)
		return MR_ERR_VERSION;
	if (shift > SHIFT_MAX || zero || zero2 || bins_max < MR_QUANTILE_BINS_MIN ||
		bins_max > MR_QUANTILE_BINS_MAX || *bins > bins_max)
		return MR_ERR_CORRUPT;
	mr_quantile_init(q, bins_max);
	q->shift = shift;
	q->infinite_low = mr_read_le64(r);
	q->infinite_high = mr_read_le64(r);
	q->nan = mr_read_le64(r);
	q->key_min = (int64_t)mr_read_le64(r);
	q->key_max = (int64_t)mr_read_le64(r);
	if (r->bad || q->key_min > q->key_max || q->key_max >= KEY_INFINITE ||
		q->key_min <= ~KEY_INFINITE || (*bins == 0 && (q->key_min || q->key_max || shift)))
		return MR_ERR_CORRUPT;
	return 0;
}

int mr_quantile_load(struct mr_quantile *q, struct mr_span bytes)
{
	struct mr_reader r = mr_reader(bytes);
	uint32_t bins = 0;
	uint64_t n;
	int err;

	mr_quantile_init(q, MR_QUANTILE_BINS_DEFAULT);
	if (bytes.bytes < HEADER_BYTES + 8 || mr_load_le64(bytes.data + bytes.bytes - 8) !=
						      mr_checksum(bytes.data, bytes.bytes - 8))
		return MR_ERR_CORRUPT;
	r.end -= 8;
	err = load_header(q, &r, &bins);
	if (err == 0)
		err = load_bins(q, &r, bins);
	if (err == 0 && (mr_read_left(&r) != 0 || __builtin_add_overflow(q->finite, q->nan, &n) ||
				__builtin_add_overflow(n, q->infinite_low, &n) ||
				__builtin_add_overflow(n, q->infinite_high, &n)))
		err = MR_ERR_CORRUPT;
	if (err < 0)
		mr_quantile_fini(q);
	return err;
}
