// How much memory this process may use.
#pragma once

#include "host/base/def.h"

// The machine's memory, or the limit of the control group when that is lower. 0: unknown.
uint64_t mr_ram_bytes(void);
