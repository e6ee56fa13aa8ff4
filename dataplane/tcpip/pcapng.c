// The rings and the file of captures.
#include "dataplane/tcpip/pcapng.h"

#include "hw/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
	SNAP_DEFAULT = 262,
	BUFFER_BYTES = 256 << 10,
	IDLE_MS = 20,
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 6, // enhanced
	OPT_IF_NAME = 2,
	OPT_IF_TSRESOL = 9,
	OPT_EPB_FLAGS = 2,
	LINK_ETHERNET = 1,
	PACKET_OVERHEAD = 44, // block header, fixed part, epb_flags, end of options, trailer
};

// In a ring: this, then `snap` bytes, rounded up to 8.
struct entry {
	int64_t ns;
	uint32_t bytes;
	uint32_t snap; // SKIP: nothing until the ring's end
	uint32_t out;
	uint32_t reserved;
};

#define SKIP UINT32_MAX

// Single producer, single consumer; positions run on and are masked.
struct mr_capture {
	struct mr_capture_file *file;
	uint32_t lane;
	// worker: wo, thread: ro
	_Atomic uint64_t head MR_ALIGNED(MR_CACHELINE);
	uint64_t tail_seen;
	// thread: wo, worker: ro
	_Atomic uint64_t tail MR_ALIGNED(MR_CACHELINE);
	struct mr_pages ring MR_ALIGNED(MR_CACHELINE);
	uint64_t mask;
};

struct mr_capture_file {
	struct mr_capture_options o;
	struct mr_capture_counters counters;
	struct mr_capture *lanes;
	int fd;
	pthread_t thread;
	_Atomic bool quit;
	uint8_t *buffer; // of the thread
	size_t at;
};

// ---- the filter

static bool ip_is_any(const struct mr_ip *ip)
{
	static const struct mr_ip zero;

	return mr_ip_eq(ip, &zero);
}

static bool match_ports(struct mr_reader *r, uint8_t protocol, uint16_t port)
{
	uint16_t src, dst;

	if (port == 0)
		return true;
	src = mr_read_be16(r);
	dst = mr_read_be16(r);
	return !r->bad && (protocol == MR_IP_TCP || protocol == MR_IP_UDP) &&
	       (src == port || dst == port);
}

static bool match_ip4(struct mr_reader *r, const struct mr_ip *host, uint16_t port)
{
	const uint8_t *h = mr_read_bytes(r, MR_IP4_BYTES);
	struct mr_ip src, dst;

	if (!h)
		return false;
	src = mr_ip4(mr_load_be32(h + 12));
	dst = mr_ip4(mr_load_be32(h + 16));
	if (!ip_is_any(host) && !mr_ip_eq(host, &src) && !mr_ip_eq(host, &dst))
		return false;
	mr_read_bytes(r, MR_MAX((h[0] & 15) * 4u, MR_IP4_BYTES) - MR_IP4_BYTES);
	return match_ports(r, h[9], port);
}

static bool match_ip6(struct mr_reader *r, const struct mr_ip *host, uint16_t port)
{
	const uint8_t *h = mr_read_bytes(r, MR_IP6_BYTES);

	if (!h)
		return false;
	if (!ip_is_any(host) && memcmp(host->b, h + 8, 16) != 0 && memcmp(host->b, h + 24, 16) != 0)
		return false;
	return match_ports(r, h[6], port);
}

static bool match_arp(struct mr_reader *r, const struct mr_ip *host, uint16_t port)
{
	const uint8_t *h = mr_read_bytes(r, 28);

	if (!h || port)
		return false;
	return ip_is_any(host) ||
	       (mr_ip_is_v4(host) && (memcmp(host->b + 12, h + 14, 4) == 0 ||
					     memcmp(host->b + 12, h + 24, 4) == 0));
}

bool mr_capture_matches(const struct mr_ip *host, uint16_t port, struct mr_span frame)
{
	struct mr_reader r = mr_reader(frame);
	uint16_t type;

	if (ip_is_any(host) && port == 0)
		return true;
	mr_read_bytes(&r, 12);
	type = mr_read_be16(&r);
	if (type == MR_ETHERTYPE_VLAN) {
		mr_read_be16(&r);
		type = mr_read_be16(&r);
	}
	switch (type) {
	case MR_ETHERTYPE_IP4: return match_ip4(&r, host, port);
	case MR_ETHERTYPE_IP6: return match_ip6(&r, host, port);
	case MR_ETHERTYPE_ARP: return match_arp(&r, host, port);
	default: return false;
	}
}

// ---- the worker's side

static void count(_Atomic uint64_t *c)
{
	atomic_fetch_add_explicit(c, 1, memory_order_relaxed);
}

// Where an entry of `bytes` goes; NULL: no room. An entry never wraps: what is left before the
// ring's end is skipped when it is too short.
static struct entry *reserve(struct mr_capture *c, uint64_t bytes, uint64_t *head)
{
	uint64_t to_end, skip;
	struct entry *e;

	*head = atomic_load_explicit(&c->head, memory_order_relaxed);
	to_end = c->mask + 1 - (*head & c->mask);
	skip = to_end < bytes ? to_end : 0;
	if (*head + skip + bytes - c->tail_seen > c->mask + 1) {
		c->tail_seen = atomic_load_explicit(&c->tail, memory_order_acquire);
		if (*head + skip + bytes - c->tail_seen > c->mask + 1)
			return NULL;
	}
	e = (void *)(c->ring.data + (*head & c->mask));
	if (skip >= sizeof(*e))
		e->snap = SKIP;
	*head += skip;
	return (void *)(c->ring.data + (*head & c->mask));
}

void mr_capture_frame(
	struct mr_capture *c, int64_t now_ns, const uint8_t *data, uint32_t bytes, bool out)
{
	struct mr_capture_file *f = c->file;
	uint32_t snap = MR_MIN(bytes, f->o.snap_bytes);
	uint64_t need = sizeof(struct entry) + mr_round_up(snap, 8), head;
	struct entry *e;

	if (atomic_load_explicit(&f->counters.stopped, memory_order_relaxed) ||
		!mr_capture_matches(&f->o.host, f->o.port, mr_span(data, bytes)))
		return;
	e = reserve(c, need, &head);
	if (!e) {
		count(&f->counters.lost);
		return;
	}
	*e = (struct entry){now_ns, bytes, snap, out, 0};
	memcpy(e + 1, data, snap);
	count(&f->counters.frames);
	// Pairs with the acquire of drain.
	atomic_store_explicit(&c->head, head + need, memory_order_release);
}

// ---- the file's side

static void stop(struct mr_capture_file *f, int error)
{
	if (error)
		atomic_store_explicit(&f->counters.error, error, memory_order_relaxed);
	atomic_store_explicit(&f->counters.stopped, true, memory_order_relaxed);
}

static void flush(struct mr_capture_file *f)
{
	size_t done = 0;

	while (done < f->at) {
		ssize_t n = write(f->fd, f->buffer + done, f->at - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			stop(f, n < 0 ? -errno : -EIO);
			break;
		}
		done += (size_t)n;
	}
	f->at = 0;
}

static struct mr_writer room(struct mr_capture_file *f, size_t bytes)
{
	if (BUFFER_BYTES - f->at < bytes)
		flush(f);
	return mr_writer(f->buffer + f->at, bytes);
}

static void wrote(struct mr_capture_file *f, const struct mr_writer *w)
{
	MR_ASSERT(!w->bad);
	f->at += w->at;
	atomic_fetch_add_explicit(&f->counters.bytes, w->at, memory_order_relaxed);
}

static void write_section(struct mr_capture_file *f)
{
	struct mr_writer w = room(f, 28);

	mr_write_le32(&w, BLOCK_SECTION);
	mr_write_le32(&w, 28);
	mr_write_le32(&w, 0x1a2b3c4d);
	mr_write_le16(&w, 1);
	mr_write_le16(&w, 0);
	mr_write_le64(&w, UINT64_MAX); // of unknown length
	mr_write_le32(&w, 28);
	wrote(f, &w);
}

static void write_interface(struct mr_capture_file *f)
{
	const char *name = f->o.interface ? f->o.interface : "port";
	size_t bytes = MR_MIN(strlen(name), 64u), padded = mr_round_up(bytes, 4);
	uint32_t total = (uint32_t)(16 + 4 + padded + 8 + 4 + 4);
	struct mr_writer w = room(f, total);

	mr_write_le32(&w, BLOCK_INTERFACE);
	mr_write_le32(&w, total);
	mr_write_le16(&w, LINK_ETHERNET);
	mr_write_le16(&w, 0);
	mr_write_le32(&w, f->o.snap_bytes);
	mr_write_le16(&w, OPT_IF_NAME);
	mr_write_le16(&w, (uint16_t)bytes);
	mr_write_bytes(&w, name, bytes);
	mr_write_zeros(&w, padded - bytes);
	mr_write_le16(&w, OPT_IF_TSRESOL);
	mr_write_le16(&w, 1);
	mr_write_le32(&w, 9); // 10^-9 s
	mr_write_le32(&w, 0); // end of options
	mr_write_le32(&w, total);
	wrote(f, &w);
}

static void write_packet(struct mr_capture_file *f, uint32_t lane, const struct entry *e)
{
	uint32_t padded = (uint32_t)mr_round_up(e->snap, 4), total = PACKET_OVERHEAD + padded;
	uint64_t ns = (uint64_t)(e->ns + f->o.wall_minus_ns);
	struct mr_writer w = room(f, total);

	mr_write_le32(&w, BLOCK_PACKET);
	mr_write_le32(&w, total);
	mr_write_le32(&w, lane);
	mr_write_le32(&w, (uint32_t)(ns >> 32));
	mr_write_le32(&w, (uint32_t)ns);
	mr_write_le32(&w, e->snap);
	mr_write_le32(&w, e->bytes);
	mr_write_bytes(&w, e + 1, e->snap);
	mr_write_zeros(&w, padded - e->snap);
	mr_write_le16(&w, OPT_EPB_FLAGS);
	mr_write_le16(&w, 4);
	mr_write_le32(&w, e->out ? 2 : 1);
	mr_write_le32(&w, 0);
	mr_write_le32(&w, total);
	wrote(f, &w);
}

static bool is_full(struct mr_capture_file *f, const struct entry *e)
{
	uint64_t written = atomic_load_explicit(&f->counters.written, memory_order_relaxed);
	uint64_t bytes = atomic_load_explicit(&f->counters.bytes, memory_order_relaxed);

	return (f->o.frames_max && written >= f->o.frames_max) ||
	       bytes + PACKET_OVERHEAD + mr_round_up(e->snap, 4) > f->o.bytes_max;
}

// Writes what a lane holds; false: nothing.
static bool drain(struct mr_capture_file *f, struct mr_capture *c)
{
	uint64_t head = atomic_load_explicit(&c->head, memory_order_acquire);
	uint64_t tail = atomic_load_explicit(&c->tail, memory_order_relaxed);
	bool any = tail != head;

	while (tail != head) {
		const struct entry *e = (void *)(c->ring.data + (tail & c->mask));
		uint64_t to_end = c->mask + 1 - (tail & c->mask);

		if (to_end < sizeof(*e) || e->snap == SKIP) {
			tail += to_end;
			continue;
		}
		if (is_full(f, e))
			stop(f, 0);
		if (!atomic_load_explicit(&f->counters.stopped, memory_order_relaxed)) {
			write_packet(f, c->lane, e);
			count(&f->counters.written);
		}
		tail += sizeof(*e) + mr_round_up(e->snap, 8);
		atomic_store_explicit(&c->tail, tail, memory_order_release);
	}
	atomic_store_explicit(&c->tail, tail, memory_order_release);
	return any;
}

static void *run(void *arg)
{
	struct timespec idle = {.tv_nsec = IDLE_MS * 1000000l};
	struct mr_capture_file *f = arg;
	bool quit;

	do {
		bool any = false;

		// Read before the rings: what was put in before the wish to end is written.
		quit = atomic_load_explicit(&f->quit, memory_order_acquire);
		for (uint32_t i = 0; i < f->o.lanes; i++)
			any |= drain(f, &f->lanes[i]);
		flush(f);
		if (!any && !quit)
			nanosleep(&idle, NULL);
	} while (!quit);
	return NULL;
}

// ---- life

static int make_lanes(struct mr_capture_file *f)
{
	f->lanes = aligned_alloc(MR_CACHELINE, f->o.lanes * sizeof(*f->lanes));
	if (!f->lanes)
		return -ENOMEM;
	memset(f->lanes, 0, f->o.lanes * sizeof(*f->lanes));
	for (uint32_t i = 0; i < f->o.lanes; i++) {
		struct mr_capture *c = &f->lanes[i];
		int rc = mr_pages_reserve(&c->ring, f->o.ring_bytes, MR_PAGES_SMALL, -1);

		if (rc < 0)
			return rc;
		c->file = f;
		c->lane = i;
		c->mask = f->o.ring_bytes - 1;
	}
	return 0;
}

static void release(struct mr_capture_file *f)
{
	for (uint32_t i = 0; f->lanes && i < f->o.lanes; i++)
		if (f->lanes[i].ring.data)
			mr_pages_release(&f->lanes[i].ring);
	if (f->fd >= 0)
		close(f->fd);
	free(f->lanes);
	free(f->buffer);
	free(f);
}

static int take_options(struct mr_capture_file *f, const struct mr_capture_options *o)
{
	f->o = *o;
	f->o.lanes = o->lanes ? o->lanes : 1;
	f->o.snap_bytes = o->snap_bytes ? o->snap_bytes : SNAP_DEFAULT;
	f->o.ring_bytes = o->ring_bytes ? o->ring_bytes : 4u << 20;
	f->o.bytes_max = o->bytes_max ? o->bytes_max : 1ull << 30;
	if (f->o.lanes > MR_CAPTURE_LANES_MAX || f->o.snap_bytes > MR_CAPTURE_SNAP_MAX ||
		!mr_is_pow2(f->o.ring_bytes) || f->o.ring_bytes < 2 * MR_CAPTURE_SNAP_MAX)
		return -EINVAL;
	return 0;
}

int mr_capture_open(const struct mr_capture_options *o, struct mr_capture_file **out)
{
	struct mr_capture_file *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return -ENOMEM;
	f->fd = -1;
	rc = take_options(f, o);
	if (rc == 0)
		rc = make_lanes(f);
	if (rc == 0) {
		f->buffer = malloc(BUFFER_BYTES);
		rc = f->buffer ? 0 : -ENOMEM;
	}
	if (rc == 0) {
		f->fd = open(o->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		rc = f->fd >= 0 ? 0 : -errno;
	}
	if (rc == 0) {
		write_section(f);
		for (uint32_t i = 0; i < f->o.lanes; i++)
			write_interface(f);
		rc = -pthread_create(&f->thread, NULL, run, f);
	}
	if (rc < 0) {
		release(f);
		return rc;
	}
	*out = f;
	return 0;
}

void mr_capture_close(struct mr_capture_file *f)
{
	if (!f)
		return;
	atomic_store_explicit(&f->quit, true, memory_order_release);
	pthread_join(f->thread, NULL);
	release(f);
}

struct mr_capture *mr_capture_lane(struct mr_capture_file *f, uint32_t lane)
{
	return lane < f->o.lanes ? &f->lanes[lane] : NULL;
}

struct mr_capture_counters *mr_capture_counters(struct mr_capture_file *f)
{
	return &f->counters;
}
