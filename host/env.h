// The SQL layer's environment over the real catalog.
#pragma once

#include "host/sql/env.h"

struct mr_control;
struct mr_host_env;

// Borrows control, which outlives it.
[[nodiscard]] int mr_host_env_create(struct mr_control *c, struct mr_host_env **out);
void mr_host_env_destroy(struct mr_host_env *e);
struct mr_env *mr_host_env_env(struct mr_host_env *e);
