// The thread that cleans log files which are mostly dead (storage/log_clean.c), at a bounded rate.
//
// It has blocking files of its own, so commits and reads of workers never wait behind it but at the
// device, and there for at most a mebibyte at a time.
#pragma once

#include "host/base/err.h"

struct mr_clean;
struct mr_control;

// Starts the thread, at the rate of log.clean_bytes_per_s (0: it is not started). Borrows control,
// whose store, config and clock it uses. Once the catalog and the partitions have said what they
// need. Returns owned, or NULL in *out at rate 0.
[[nodiscard]] int mr_clean_start(struct mr_control *c, struct mr_clean **out);
// Ends what it is at, as if that had never begun. NULL does nothing. Before the store goes.
void mr_clean_stop(struct mr_clean *k);
