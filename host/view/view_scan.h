// Views as relations that SQL scans: the base, or, for a view larger than memory, one range of hash
// parts after another.
#pragma once

#include "host/view/view.h"

extern const struct mr_relation_ops mr_view_relation_ops;
