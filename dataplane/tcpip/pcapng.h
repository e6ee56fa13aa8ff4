// Captures of a port's frames into a pcapng file, which Wireshark and tshark read.
//
// A file has one lane for each worker: a ring that the worker fills and that the file's own thread
// empties. The worker never waits: a frame for which the ring has no room is lost and counted.
// Format: draft-ietf-opsawg-pcapng; one interface a lane, nanoseconds, direction in epb_flags.
#pragma once

#include "dataplane/tcpip/inet.h"

#include <stdatomic.h>

struct mr_capture;      // a lane: one worker's
struct mr_capture_file; // all lanes and the thread

#define MR_CAPTURE_LANES_MAX 128
#define MR_CAPTURE_SNAP_MAX  65536u

// 0 takes the default behind it.
struct mr_capture_options {
	const char *path;      // made anew; -EEXIST when it is there
	const char *interface; // its name in the file
	uint32_t lanes;        // 1
	uint32_t snap_bytes;   // of a frame; 262
	uint64_t ring_bytes;   // of a lane, a power of two; 4 MiB
	uint64_t frames_max;   // then it stops by itself; no limit
	uint64_t bytes_max;    // of the file, likewise; 1 GiB
	struct mr_ip host;     // only frames from or to it; all zero: any
	uint16_t port;         // TCP or UDP, likewise; 0: any
	int64_t wall_minus_ns; // wall clock of the zero of mr_capture_frame's clock, nanoseconds
};

struct mr_capture_counters {
	_Atomic uint64_t frames;  // taken into the ring
	_Atomic uint64_t lost;    // the ring was full
	_Atomic uint64_t written; // of the file's thread
	_Atomic uint64_t bytes;   // of the file
	_Atomic bool stopped;     // a limit was reached, or the disk failed
	_Atomic int error;        // -errno of the file
};

// Any thread. Opens the file, makes the rings and starts the thread.
[[nodiscard]] int mr_capture_open(const struct mr_capture_options *o, struct mr_capture_file **out);
// Writes what the rings hold and closes. The workers must have let go of their lanes.
void mr_capture_close(struct mr_capture_file *f);
struct mr_capture *mr_capture_lane(struct mr_capture_file *f, uint32_t lane);
struct mr_capture_counters *mr_capture_counters(struct mr_capture_file *f);

// The lane's worker. Cheap when the filter does not match.
void mr_capture_frame(
	struct mr_capture *c, int64_t now_ns, const uint8_t *data, uint32_t bytes, bool out);
// Whether a frame is from or to this host and port; zero ones match all. For tests.
bool mr_capture_matches(const struct mr_ip *host, uint16_t port, struct mr_span frame);
