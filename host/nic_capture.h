// Captures of frames, as SQL asks for them.
#pragma once

#include "host/sql/env.h"

struct mr_control;

// Starts or stops the capture. Any SQL thread; one at a time.
int mr_nic_capture(struct mr_control *c, const struct mr_capture_ask *a, struct mr_diag *diag);
// Closes what runs; once the workers are gone.
void mr_nic_capture_end(void);
