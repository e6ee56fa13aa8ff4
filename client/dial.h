// Where a broker is, and a TCP connection to it.
#pragma once

#include "host/base/def.h"

#define MR_KAFKA_HOST_BYTES 256

struct mr_kafka_address {
	char host[MR_KAFKA_HOST_BYTES];
	char port[8];
};

// "HOST:PORT" or "[HOST]:PORT". 0 or -EINVAL.
[[nodiscard]] int mr_kafka_address_parse(const char *text, struct mr_kafka_address *out);

// A TCP connection with TCP_NODELAY. `blocking` waits at most `timeout_ms` for the connection and
// for every later receive and send; otherwise the socket is non-blocking and may still be
// connecting. Returns the descriptor or -errno.
[[nodiscard]] int mr_kafka_dial(const struct mr_kafka_address *to, bool blocking, int timeout_ms);
