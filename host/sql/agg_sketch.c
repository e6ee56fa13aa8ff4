// approx_count_distinct and approx_percentile.
#include "host/sql/agg.h"

const struct mr_agg_fn mr_agg_sketch[1];
const size_t mr_agg_sketch_count = 0;
