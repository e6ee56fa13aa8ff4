// The thread that reads where batches are (storage/log_cache.c) for workers that look for some in
// files whose index is not in memory. It tells every worker of each file it has read.
#pragma once

#include "host/base/err.h"

struct mr_log_load;
struct mr_control;

// Starts the thread. Borrows control, whose store and workers it uses. Before the workers' threads.
[[nodiscard]] int mr_log_load_start(struct mr_control *c, struct mr_log_load **out);
// NULL does nothing. When the workers' threads have ended, before workers and store go.
void mr_log_load_stop(struct mr_log_load *l);

// The store's callbacks; `control` is a struct mr_control. Any thread.
void mr_log_load_wanted(void *control);
void mr_log_load_done(void *control);
