// Loading saved sketches from hostile bytes. The first byte chooses the sketch. The bytes are tried
// as they are, and once more with their last eight replaced by the right checksum, so that the
// structure behind it is reached too. What loads must save to something that loads to the same, and
// must answer.
#include "host/base/hash.h"
#include "kernels/hll.h"
#include "kernels/quantile.h"
#include "kernels/topk.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void try_hll(struct mr_span s)
{
	struct mr_hll h, again;
	uint8_t *out;

	if (mr_hll_load(&h, s) < 0)
		return;
	out = malloc(mr_hll_save_bytes(&h));
	MR_ASSERT(out);
	mr_hll_save(&h, out);
	MR_ASSERT(mr_hll_load(&again, mr_span(out, mr_hll_save_bytes(&h))) == 0);
	MR_ASSERT(mr_hll_estimate(&h) == mr_hll_estimate(&again));
	MR_ASSERT(mr_hll_merge(&h, &again) == 0);
	MR_ASSERT(mr_hll_estimate(&h) == mr_hll_estimate(&again));
	mr_hll_fini(&h);
	mr_hll_fini(&again);
	free(out);
}

static void try_quantile(struct mr_span s)
{
	static const double p[] = {0, 0.5, 1};
	struct mr_quantile q, again;
	double values[3];
	uint8_t *out;
	int n;

	if (mr_quantile_load(&q, s) < 0)
		return;
	out = malloc(mr_quantile_save_bytes_max(&q));
	MR_ASSERT(out);
	n = mr_quantile_save(&q, out);
	MR_ASSERT(n > 0 && mr_quantile_load(&again, mr_span(out, (size_t)n)) == 0);
	MR_ASSERT(mr_quantile_count(&q) == mr_quantile_count(&again));
	if (mr_quantile_count(&q))
		MR_ASSERT(mr_quantile_values(&q, p, 3, values) == 0);
	MR_ASSERT(mr_quantile_merge(&q, &again) == 0);
	mr_quantile_fini(&q);
	mr_quantile_fini(&again);
	free(out);
}

static void try_topk(struct mr_span s)
{
	struct mr_topk_item top[8];
	struct mr_topk t, again;
	uint8_t *out;
	int n;

	if (mr_topk_load(&t, s) < 0)
		return;
	out = malloc(mr_topk_save_bytes_max(&t));
	MR_ASSERT(out);
	n = mr_topk_save(&t, out);
	MR_ASSERT(n > 0 && mr_topk_load(&again, mr_span(out, (size_t)n)) == 0);
	MR_ASSERT(mr_topk_list(&t, 8, top) == mr_topk_list(&again, 8, top));
	MR_ASSERT(mr_topk_merge(&t, &again) == 0);
	mr_topk_fini(&t);
	mr_topk_fini(&again);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static void (*const tries[])(struct mr_span) = {try_hll, try_quantile, try_topk};
	uint8_t *mended;

	if (bytes < 9)
		return 0;
	tries[data[0] % 3](mr_span(data + 1, bytes - 1));
	mended = malloc(bytes - 1);
	MR_ASSERT(mended);
	memcpy(mended, data + 1, bytes - 1);
	mr_store_le64(mended + bytes - 9, mr_checksum(mended, bytes - 9));
	tries[data[0] % 3](mr_span(mended, bytes - 1));
	free(mended);
	return 0;
}
