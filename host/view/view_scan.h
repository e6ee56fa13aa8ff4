// Reading views: the base with everything merged that workers had folded when the scan began.
#pragma once

#include "host/view/view.h"

extern const struct mr_relation_ops mr_view_relation_ops;

// Freezes and merges; `*out` stays unchanged until mr_view_unread. SQL threads.
[[nodiscard]] int mr_view_read(struct mr_view *v, struct mr_view_base **out, struct mr_diag *diag);
void mr_view_unread(struct mr_view *v, struct mr_view_base *b);
