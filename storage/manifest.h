// The manifest: the list of everything durable, as checksummed typed records in one chain.
//
// What exists (logs, their files, sealed ends, topics, segments) is exactly what the manifest's
// records say. An owner registers the record types it understands; every record, whether read at
// start or appended now, reaches its owner through the same `replay` callback, so an owner's state
// is always a function of the records and a snapshot of it is always whole.
//
// Bytes: docs/FORMAT.md, "Manifest". Two files are written in turn, each preallocated; two
// superblock slots say which one counts. Nothing that counts is ever overwritten.
//
// Threads: any thread may append; calls block until durable and are serialised by a lock inside.
// `replay` and `snapshot` run under that lock: they may take an owner's own lock, and so nobody
// appends while holding one of those.
#pragma once

#include "host/base/buf.h"
#include "host/base/err.h"
#include "storage/io.h"

// Ranges of record types. A type is never reused.
enum {
	MR_MANIFEST_TYPE_LOG = 1,       // 1..63: the log store
	MR_MANIFEST_TYPE_CATALOG = 64,  // 64..127: topics, tables, views, counters of ids
	MR_MANIFEST_TYPE_SEGMENT = 128, // 128..191: segments
	MR_MANIFEST_TYPE_RUN = 192,     // 192..255: runs of views
	MR_MANIFEST_TYPE_MAX = 255,
};

struct mr_manifest_record {
	uint16_t type;
	uint16_t version;
	struct mr_span payload; // borrowed for the call
};

struct mr_manifest;

struct mr_manifest_owner {
	uint16_t type_first;
	uint16_t type_last;
	uint16_t version_max; // newer records of these types are refused
	void *ctx;
	// Applies one record. An error at start makes the open fail; a record just appended must
	// apply (the owner checks before it appends), so an error then stops the manifest.
	int (*replay)(void *ctx, const struct mr_manifest_record *r, struct mr_diag *diag);
	// Adds, with mr_manifest_emit, the records that make the present state from nothing.
	void (*snapshot)(void *ctx, struct mr_buf *out);
};

struct mr_manifest_options {
	struct mr_disk *disk;      // borrowed
	uint64_t file_bytes;       // of each of the two files; default 4 MiB, grows when it must
	uint32_t snapshot_records; // rewrite after so many records; default 4096
};

// Returns owned. Register the owners, then open.
[[nodiscard]] int mr_manifest_create(struct mr_manifest **out, const struct mr_manifest_options *o);
void mr_manifest_register(struct mr_manifest *m, const struct mr_manifest_owner *owner);

// Reads and replays what is there, or starts an empty one when neither superblock nor files exist.
// MR_ERR_CORRUPT, MR_ERR_VERSION with `diag` naming file and offset.
[[nodiscard]] int mr_manifest_open(struct mr_manifest *m, struct mr_diag *diag);
void mr_manifest_destroy(struct mr_manifest *m); // nothing to flush: all is durable

// Appends all `count` records or none, durably, then replays them to their owners in order. After a
// failed write the manifest goes on in its other file (a fresh snapshot); a second failure, before
// that file has been full once, stops it and every later append returns MR_ERR_STOPPED. -ENOSPC
// leaves it usable.
[[nodiscard]] int mr_manifest_append(
	struct mr_manifest *m, const struct mr_manifest_record *records, size_t count);

// Rewrites the manifest as a snapshot now.
[[nodiscard]] int mr_manifest_compact(struct mr_manifest *m);

// For `snapshot`: adds one record.
void mr_manifest_emit(struct mr_buf *out, uint16_t type, uint16_t version, struct mr_span payload);

struct mr_manifest_stats {
	uint64_t generation; // of the current file
	uint64_t sequence;   // frames in it
	uint64_t records;    // since the snapshot
	uint64_t bytes;      // used of the current file
	uint64_t compactions;
	bool stopped;
};
struct mr_manifest_stats mr_manifest_stats(struct mr_manifest *m);
// Any thread; waits for no disk.
bool mr_manifest_is_stopped(const struct mr_manifest *m);
