// A strict reader of the Prometheus text format 0.0.4, for tests.
#pragma once

#include "host/base/span.h"

// Checks a whole exposition: grammar of every line, HELP and TYPE before a family's samples and the
// samples in one row, no sample twice, histograms with rising `le`, cumulative counts, +Inf equal
// to _count, counters not negative. 0, or the number of the first bad line with `why` set.
int mr_prom_check(struct mr_span text, const char **why);

// The value of a sample by its exact text before the blank: `name` or `name{labels}`. -1 when it
// is not there.
double mr_prom_value(struct mr_span text, const char *sample);
