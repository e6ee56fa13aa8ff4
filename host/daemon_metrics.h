// Registers what the daemon counts.
#pragma once

#include "host/metrics.h"

struct mr_control;

// A counter, gauge or histogram at an offset of some struct.
struct mr_metric_entry {
	const char *name;
	const char *help;
	enum mr_metric_kind kind;
	size_t offset;
};

// Registers each entry of the struct at `base`, labelled with its worker.
[[nodiscard]] int mr_daemon_metrics_entries(struct mr_metrics *m,
	const struct mr_metric_entry *entries, size_t count, const void *base, const char *worker);

// Places are borrowed: the registry must not be read once control stops. 0 or -ENOMEM.
[[nodiscard]] int mr_daemon_metrics(struct mr_metrics *m, struct mr_control *c);
