// The table of the memory budget. Each row is a limit that its part keeps by itself.
#include "host/memory_plan.h"

#include "dataplane/conn.h"
#include "dataplane/stream.h"
#include "host/acceptor.h"
#include "host/base/zip.h"
#include "host/nic.h"
#include "host/read_room.h"
#include "host/seal.h"
#include "host/sessions.h"
#include "host/view/view_merge.h"
#include "storage/log_store.h"
#include "storage/segment.h"

// A Kafka connection at rest: 352 bytes of conn.c, 208 of the stream and 384 of our own TCP with
// its place in a hash table; a socket's memory is the kernel's.
#define KAFKA_CONNECTION_BYTES (1u << 10)
// A request on its way: its object, its arena's first block, and what a Fetch waits with.
#define KAFKA_REQUEST_BYTES (MR_REQUEST_BYTES + (6u << 10))

// Sealing, merging of runs, and filling from memory and from segments; all but one of these write.
enum { VIEW_WORKS = 4, VIEW_WRITERS = 3 };

// Of one column, when it is larger than what is gathered: as stored and decompressed, in buffers
// that may have doubled; gathered, encoded, compressed.
enum { MERGE_BLOCKS = 7 };

static void add(struct mr_memory_plan *p, const char *what, const char *setting, uint64_t bytes,
	uint64_t count)
{
	MR_ASSERT(p->count < MR_MEMORY_PLAN_ROWS);
	p->rows[p->count++] = (struct mr_memory_row){what, setting, bytes, count};
	p->total_bytes += bytes * count;
}

void mr_memory_plan(const struct mr_config *c, struct mr_memory_plan *out)
{
	const uint64_t w = c->workers;
	// Of one row.
	const uint64_t text = MR_MIN(c->table_chunk_bytes_max, c->kafka_decompressed_bytes_max) / 2;
	const uint64_t sessions =
		c->sql_connections_max + c->http_connections_max + 2 * MR_ACCEPTOR_RESERVE;

	*out = (struct mr_memory_plan){0};
	add(out, "log tail", "log.ring_bytes", c->log_ring_bytes, w);
	add(out, "log files being written", "log.ring_bytes",
		mr_log_active_bytes_max(c->log_file_bytes, c->log_ring_bytes), w);
	add(out, "log index", "log.index_memory_bytes", c->log_index_memory_bytes, 1);
	if (c->log_clean_bytes_per_s)
		add(out, "log cleaning", NULL,
			mr_log_clean_bytes_max(c->log_file_bytes, c->log_ring_bytes), 1);
	add(out, "batches read from disk", NULL, MR_READ_ROOM_BYTES, w);
	add(out, "Kafka requests", "kafka.memory_bytes", c->kafka_memory_bytes, w);
	add(out, "receive buffers", NULL, MR_NET_RXBUFS_DEFAULT * (uint64_t)MR_NET_RXBUF_BYTES, w);
	add(out, "a batch decompressed", "kafka.decompressed_bytes_max",
		c->kafka_decompressed_bytes_max + MR_ZIP_WINDOW_BYTES_MAX + text, w);
	add(out, "Kafka connections", "kafka.connections_max",
		c->kafka_connections_max * KAFKA_CONNECTION_BYTES, w);
	add(out, "requests on their way", NULL,
		(uint64_t)MR_CONN_REQUESTS_MAX * KAFKA_REQUEST_BYTES, w);
	if (c->dataplane == MR_DATAPLANE_DPDK) {
		add(out, "TCP queues", "net.memory_bytes", c->net_memory_bytes, w);
		add(out, "frames", "net.mtu", mr_nic_frames_bytes(c), w);
	}
	add(out, "table rows", "table.memory_bytes", c->table_memory_bytes, w);
	add(out, "sealing", "table.chunk_bytes_max", mr_seal_bytes_max(c->table_chunk_bytes_max),
		1);
	add(out, "views", "view.memory_bytes", c->view_memory_bytes, 1);
	add(out, "a step of views", NULL, MR_VIEW_STEP_BYTES + text, w + VIEW_WORKS);
	add(out, "runs being written", NULL, MR_VIEW_TOOLS_BYTES + text, VIEW_WRITERS);
	add(out, "footers of segments", "segment.footer_memory_bytes",
		c->segment_footer_memory_bytes, 1);
	add(out, "merging segments", "merge.memory_bytes", c->merge_memory_bytes, 1);
	add(out, "large blocks merged", "table.chunk_bytes_max",
		MERGE_BLOCKS * c->table_chunk_bytes_max, 1);
	add(out, "queries", "sql.memory_bytes", c->sql_memory_bytes, 1);
	add(out, "SQL and HTTP sessions", "sql.connections_max", MR_SESSION_BYTES, sessions);
}

void mr_memory_plan_print(const struct mr_memory_plan *p, uint64_t ram_bytes, FILE *f)
{
	const double mib = 1 << 20;

	fprintf(f, "memory budget, at most, in MiB:\n");
	for (uint32_t i = 0; i < p->count; i++) {
		const struct mr_memory_row *r = &p->rows[i];

		fprintf(f, "  %-22s %9.1f x %-4llu %10.1f  %s\n", r->what, (double)r->bytes / mib,
			(unsigned long long)r->count, (double)(r->bytes * r->count) / mib,
			r->setting ? r->setting : "");
	}
	fprintf(f, "  %-39s %10.1f  of %.0f in this machine\n", "total",
		(double)p->total_bytes / mib, (double)ram_bytes / mib);
	if (ram_bytes && p->total_bytes > ram_bytes)
		fprintf(f, "  warning: the limits add up to more than this machine's memory\n");
}
