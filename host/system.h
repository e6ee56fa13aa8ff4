// The machine's own state as tables of the schema `millrace`.
#pragma once

#include "host/sql/env.h"

struct mr_control;

struct mr_system;

// Makes the relations; they live as long as control.
[[nodiscard]] int mr_system_create(struct mr_control *c, struct mr_system **out);
void mr_system_destroy(struct mr_system *s);

const struct mr_relation *mr_system_find(const struct mr_system *s, struct mr_span name);
uint32_t mr_system_count(const struct mr_system *s);
const struct mr_relation *mr_system_at(const struct mr_system *s, uint32_t index);
