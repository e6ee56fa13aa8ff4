// Tables of the schema millrace that have a file of their own: each writes all rows of this moment.
#pragma once

#include "host/sql/row_table.h"

struct mr_control;

// 0 or negative; want of memory is remembered by `rows`.
int mr_system_fill_connections(struct mr_control *c, struct mr_row_table *rows);
// The devices of --dataplane dpdk: none on kernel sockets.
int mr_system_fill_ports(struct mr_control *c, struct mr_row_table *rows);
