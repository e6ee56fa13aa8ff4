// The ring. See uring.h for the rules; this file is the only one that includes liburing.
//
// Setup asks for SINGLE_ISSUER | DEFER_TASKRUN: completions are then produced only when the owner
// enters the kernel, which keeps them out of the middle of its work and on its core. The ring
// starts disabled and is enabled by its first turn, so another thread may create it.
#include "hw/uring.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static_assert(IORING_CQE_F_BUFFER == 1u && IORING_CQE_F_MORE == 2u);
static_assert(IORING_CQE_BUFFER_SHIFT == 16);
static_assert(sizeof(struct __kernel_timespec) == sizeof(int64_t[2]));

enum { BUFFERS_MAX = 16, ENTRIES = 1024, CQ_FACTOR = 4 };

struct completion {
	struct mr_op *op;
	int res;
	unsigned flags;
};

struct mr_uring {
	struct io_uring ring;
	bool enabled;
	bool buffers_ready;
	unsigned buffer_count;
	unsigned in_flight;
	unsigned overflow_seen;
	// Completions taken aside while the kernel refused submissions; run first by the next turn.
	struct completion *stash;
	size_t stash_count;
	size_t stash_max;
	struct mr_uring_stats stats;
};

struct mr_uring_bufs {
	struct mr_uring *ring;
	struct io_uring_buf_ring *slots;
	size_t slots_bytes;
	uint8_t *memory;
	unsigned group;
	unsigned count;
	unsigned bytes;
};

static int setup(struct io_uring *ring, unsigned entries, unsigned cq_entries, bool plain)
{
	static const unsigned modes[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_R_DISABLED,
		IORING_SETUP_R_DISABLED,
	};
	int rc = -EINVAL;

	for (size_t i = plain ? 2 : 0; i < MR_COUNT_OF(modes) && rc == -EINVAL; i++) {
		struct io_uring_params p = {
			.flags = modes[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
				 IORING_SETUP_SUBMIT_ALL,
			.cq_entries = cq_entries,
		};

		rc = io_uring_queue_init_params(entries, ring, &p);
		if (rc)
			continue;
		if ((p.features & IORING_FEAT_NODROP) && (p.features & IORING_FEAT_EXT_ARG))
			return 0;
		io_uring_queue_exit(ring);
		rc = -ENOSYS;
	}
	return rc;
}

int mr_uring_probe(void)
{
	struct mr_uring *u;
	struct io_uring_probe *p;
	int rc = mr_uring_create(&u, &(struct mr_uring_options){.entries = 8});

	if (rc)
		return rc;
	p = io_uring_get_probe_ring(&u->ring);
	// SEND_ZC came with 6.0, as did multishot receive and provided buffer rings before it.
	if (!p || !io_uring_opcode_supported(p, IORING_OP_SEND_ZC))
		rc = -ENOSYS;
	io_uring_free_probe(p);
	if (!rc)
		rc = mr_uring_turn(u, 0);
	mr_uring_destroy(u);
	return rc;
}

int mr_uring_create(struct mr_uring **out, const struct mr_uring_options *o)
{
	struct mr_uring_options opt = o ? *o : (struct mr_uring_options){0};
	struct mr_uring *u = (struct mr_uring *)calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return -ENOMEM;
	if (!opt.entries)
		opt.entries = ENTRIES;
	if (!opt.cq_entries)
		opt.cq_entries = opt.entries * CQ_FACTOR;
	rc = setup(&u->ring, opt.entries, opt.cq_entries, opt.plain_setup);
	if (rc) {
		free(u);
		return rc;
	}
	*out = u;
	return 0;
}

void mr_uring_destroy(struct mr_uring *u)
{
	if (!u)
		return;
	io_uring_queue_exit(&u->ring);
	free(u->stash);
	free(u);
}

// io_uring_enable_rings is declared by liburing 2.3 and left out of its shared library.
static int enable(struct mr_uring *u)
{
	if (!u->enabled && syscall(__NR_io_uring_register, u->ring.ring_fd,
				   IORING_REGISTER_ENABLE_RINGS, NULL, 0) != 0)
		return -errno;
	u->enabled = true;
	return 0;
}

static void stash_add(struct mr_uring *u, const struct io_uring_cqe *cqe)
{
	if (u->stash_count == u->stash_max) {
		size_t max = MR_MAX(u->stash_max * 2, (size_t)64);
		void *grown = realloc(u->stash, max * sizeof(*u->stash));

		MR_ASSERT(grown); // losing a completion would lose what it owns
		u->stash = (struct completion *)grown;
		u->stash_max = max;
	}
	u->stash[u->stash_count++] = (struct completion){
		(struct mr_op *)io_uring_cqe_get_data(cqe), cqe->res, cqe->flags};
	u->stats.stashed++;
}

static void stash_all(struct mr_uring *u)
{
	struct io_uring_cqe *cqe;

	io_uring_get_events(&u->ring);
	while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
		stash_add(u, cqe);
		io_uring_cqe_seen(&u->ring, cqe);
	}
}

void mr_uring_flush(struct mr_uring *u)
{
	int rc = enable(u);

	MR_ASSERT(rc == 0);
	// A short submit leaves the rest in the queue, so go on until it is empty.
	while (io_uring_sq_ready(&u->ring)) {
		rc = io_uring_submit(&u->ring);
		if (rc > 0) {
			u->stats.submitted += (unsigned)rc;
			continue;
		}
		if (rc == -EINTR)
			continue;
		// The kernel is out of memory or wants its completions taken first.
		MR_ASSERT(rc == 0 || rc == -EBUSY || rc == -EAGAIN || rc == -ENOMEM);
		stash_all(u);
		if (rc != -EBUSY)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

static struct io_uring_sqe *sqe_get(struct mr_uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (MR_UNLIKELY(!sqe)) {
		u->stats.sq_full++;
		mr_uring_flush(u);
		sqe = io_uring_get_sqe(&u->ring);
		MR_ASSERT(sqe);
	}
	u->in_flight++;
	return sqe;
}

static void run(struct mr_uring *u, struct completion c)
{
	u->stats.completed++;
	if (!mr_op_more(c.flags))
		u->in_flight--;
	if (c.op)
		c.op->done(c.op, c.res, c.flags);
}

static int run_stash(struct mr_uring *u)
{
	size_t count = u->stash_count;

	if (!count)
		return 0;
	// A callback may prepare and so stash more; those wait for the next turn, in order.
	for (size_t i = 0; i < count; i++)
		run(u, u->stash[i]);
	if (u->stash_count > count)
		memmove(u->stash, u->stash + count, (u->stash_count - count) * sizeof(*u->stash));
	u->stash_count -= count;
	return (int)count;
}

static int run_queue(struct mr_uring *u)
{
	unsigned left = io_uring_cq_ready(&u->ring);
	int count = 0;

	// Only what is there now: operations that complete at once must not hold the turn for ever.
	// A callback's prep may take the rest aside, so look again each time.
	while (left-- && !u->stash_count) {
		struct io_uring_cqe *cqe;
		struct completion c;

		if (io_uring_peek_cqe(&u->ring, &cqe) != 0)
			break;
		c = (struct completion){
			(struct mr_op *)io_uring_cqe_get_data(cqe), cqe->res, cqe->flags};
		io_uring_cqe_seen(&u->ring, cqe);
		run(u, c);
		count++;
	}
	return count;
}

static int enter(struct mr_uring *u, int64_t wait_ns)
{
	unsigned prepared = io_uring_sq_ready(&u->ring);
	struct __kernel_timespec ts = {wait_ns / 1000000000, wait_ns % 1000000000};
	struct io_uring_cqe *cqe;
	int rc;

	if (wait_ns == 0 || u->stash_count || io_uring_cq_ready(&u->ring))
		rc = io_uring_submit_and_get_events(&u->ring);
	else
		rc = io_uring_submit_and_wait_timeout(
			&u->ring, &cqe, 1, wait_ns < 0 ? NULL : &ts, NULL);
	u->stats.submitted += prepared - io_uring_sq_ready(&u->ring);
	return rc;
}

int mr_uring_turn(struct mr_uring *u, int64_t wait_ns)
{
	unsigned overflow;
	int rc = enable(u);
	int count;

	if (rc)
		return rc;
	u->stats.turns++;
	rc = enter(u, wait_ns);
	if (rc < 0 && rc != -ETIME && rc != -EINTR && rc != -EBUSY && rc != -EAGAIN)
		return rc;
	overflow = *u->ring.cq.koverflow;
	u->stats.overflow += overflow - u->overflow_seen;
	u->overflow_seen = overflow;
	count = run_stash(u);
	count += run_queue(u);
	return count;
}

const struct mr_uring_stats *mr_uring_stats(const struct mr_uring *u)
{
	return &u->stats;
}

unsigned mr_uring_in_flight(const struct mr_uring *u)
{
	return u->in_flight;
}

void mr_uring_accept_multishot(struct mr_uring *u, struct mr_op *op, int fd)
{
	struct io_uring_sqe *sqe = sqe_get(u);

	io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data(sqe, op);
}

void mr_uring_recv_multishot(struct mr_uring *u, struct mr_op *op, int fd, unsigned group)
{
	struct io_uring_sqe *sqe = sqe_get(u);

	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = (uint16_t)group;
	io_uring_sqe_set_data(sqe, op);
}

void mr_uring_recv_select(struct mr_uring *u, struct mr_op *op, int fd, unsigned group)
{
	struct io_uring_sqe *sqe = sqe_get(u);

	io_uring_prep_recv(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = (uint16_t)group;
	io_uring_sqe_set_data(sqe, op);
}

void mr_uring_recv(
	struct mr_uring *u, struct mr_op *op, int fd, void *data, size_t bytes, int flags)
{
	struct io_uring_sqe *sqe = sqe_get(u);

	io_uring_prep_recv(sqe, fd, data, bytes, flags);
	io_uring_sqe_set_data(sqe, op);
}

void mr_uring_sendmsg(
	struct mr_uring *u, struct mr_op *op, int fd, const struct msghdr *msg, int flags)
{
	struct io_uring_sqe *sqe = sqe_get(u);

	io_uring_prep_sendmsg(sqe, fd, msg, (unsigned)flags);
	io_uring_sqe_set_data(sqe, op);
}

void mr_uring_read(struct mr_uring *u, struct mr_op *op, int fd, void *data, unsigned bytes,
	uint64_t offset, int buffer)
{
	struct io_uring_sqe *sqe = sqe_get(u);

	if (buffer >= 0)
		io_uring_prep_read_fixed(sqe, fd, data, bytes, offset, buffer);
	else
		io_uring_prep_read(sqe, fd, data, bytes, offset);
	io_uring_sqe_set_data(sqe, op);
}

void mr_uring_write(struct mr_uring *u, struct mr_op *op, int fd, const void *data, unsigned bytes,
	uint64_t offset, int buffer, int rw_flags)
{
	struct io_uring_sqe *sqe = sqe_get(u);

	if (buffer >= 0)
		io_uring_prep_write_fixed(sqe, fd, data, bytes, offset, buffer);
	else
		io_uring_prep_write(sqe, fd, data, bytes, offset);
	sqe->rw_flags = rw_flags;
	io_uring_sqe_set_data(sqe, op);
}

void mr_uring_poll_multishot(struct mr_uring *u, struct mr_op *op, int fd, unsigned poll_mask)
{
	struct io_uring_sqe *sqe = sqe_get(u);

	io_uring_prep_poll_multishot(sqe, fd, poll_mask);
	io_uring_sqe_set_data(sqe, op);
}

void mr_uring_cancel(struct mr_uring *u, struct mr_op *op, struct mr_op *target)
{
	struct io_uring_sqe *sqe = sqe_get(u);

	io_uring_prep_cancel(sqe, target, 0);
	io_uring_sqe_set_data(sqe, op);
}

int mr_uring_buffer_add(struct mr_uring *u, void *base, size_t bytes)
{
	struct iovec iov = {base, bytes};
	__u64 tag = 0;
	int rc;

	if (!u->buffers_ready) {
		rc = io_uring_register_buffers_sparse(&u->ring, BUFFERS_MAX);
		if (rc)
			return rc;
		u->buffers_ready = true;
	}
	if (u->buffer_count == BUFFERS_MAX)
		return -ENOSPC;
	rc = io_uring_register_buffers_update_tag(&u->ring, u->buffer_count, &iov, &tag, 1);
	if (rc < 0)
		return rc;
	return rc == 1 ? (int)u->buffer_count++ : -ENOMEM;
}

static size_t bufs_slots_bytes(unsigned count)
{
	return mr_round_up(count * sizeof(struct io_uring_buf), MR_PAGE);
}

int mr_uring_bufs_create(struct mr_uring_bufs **out, struct mr_uring *u, unsigned group,
	unsigned count, unsigned bytes)
{
	struct mr_uring_bufs *b = (struct mr_uring_bufs *)calloc(1, sizeof(*b));
	size_t slots_bytes = bufs_slots_bytes(count);
	size_t map_bytes = slots_bytes + (size_t)count * bytes;
	struct io_uring_buf_reg reg = {.ring_entries = count, .bgid = (uint16_t)group};
	void *map;
	int rc;

	MR_ASSERT(mr_is_pow2(count) && count <= 32768);
	if (!b)
		return -ENOMEM;
	map = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED) {
		free(b);
		return -ENOMEM;
	}
	reg.ring_addr = (uint64_t)(uintptr_t)map;
	rc = io_uring_register_buf_ring(&u->ring, &reg, 0);
	if (rc) {
		munmap(map, map_bytes);
		free(b);
		return rc;
	}
	*b = (struct mr_uring_bufs){u, (struct io_uring_buf_ring *)map, slots_bytes,
		(uint8_t *)map + slots_bytes, group, count, bytes};
	io_uring_buf_ring_init(b->slots);
	for (unsigned i = 0; i < count; i++)
		mr_uring_bufs_put(b, (int)i);
	*out = b;
	return 0;
}

void mr_uring_bufs_destroy(struct mr_uring_bufs *b)
{
	if (!b)
		return;
	io_uring_unregister_buf_ring(&b->ring->ring, (int)b->group);
	munmap(b->slots, b->slots_bytes + (size_t)b->count * b->bytes);
	free(b);
}

uint8_t *mr_uring_bufs_at(struct mr_uring_bufs *b, int id)
{
	MR_ASSERT(id >= 0 && (unsigned)id < b->count);
	return b->memory + (size_t)id * b->bytes;
}

void mr_uring_bufs_put(struct mr_uring_bufs *b, int id)
{
	io_uring_buf_ring_add(b->slots, mr_uring_bufs_at(b, id), b->bytes, (uint16_t)id,
		io_uring_buf_ring_mask(b->count), 0);
	io_uring_buf_ring_advance(b->slots, 1);
}
