// Two ports that are each other's other end: what one sends the other receives, at once, whole and
// in order. For tests that need a network and no trouble.
#pragma once

#include "dataplane/tcpip/port.h"

struct pair_port;

// Fills both. Frames of `mtu` IP bytes; up to `frames` of them wait in each direction, what comes
// beyond is dropped and counted.
void pair_port_open(struct mr_port *ports[2], uint16_t mtu, uint32_t frames);
// Both.
void pair_port_close(struct mr_port *ports[2]);
// Frames that wait for this end.
uint32_t pair_port_waiting(const struct mr_port *p);
