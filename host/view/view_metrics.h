// What /metrics shows of views: each view's figures, and the memory of all of them.
#pragma once

#include "host/metrics.h"

struct mr_control;

// Control is borrowed.
[[nodiscard]] int mr_view_metrics(struct mr_metrics *m, struct mr_control *c);
