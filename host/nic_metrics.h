// Registers what a worker's own network counts.
#pragma once

#include "host/metrics.h"

struct mr_worker;

// Places are borrowed, as in daemon_metrics.h; `id` is the worker's, as a label.
[[nodiscard]] int mr_nic_metrics(struct mr_metrics *m, struct mr_worker *w, const char *id);
