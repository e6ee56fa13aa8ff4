// Registers what the daemon counts.
#pragma once

#include "host/metrics.h"

struct mr_control;

// Places are borrowed: the registry must not be read once control stops. 0 or -ENOMEM.
[[nodiscard]] int mr_daemon_metrics(struct mr_metrics *m, struct mr_control *c);
