// The queue on a worker's ring: direct reads, and direct writes with RWF_DSYNC, one operation each.
//
// RWF_DSYNC on an overwrite of written blocks is one FUA write where the device has it and write
// and flush elsewhere; it measured better than a linked fsync, which goes to a kernel thread.
#include "storage/io.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

struct io_ring {
	struct mr_io io;
	struct mr_uring *ring;
};

static struct io_ring *ring_of(struct mr_io *io)
{
	return MR_CONTAINER(io, struct io_ring, io);
}

static void ring_start(struct mr_io_op *op)
{
	struct mr_uring *u = ring_of(op->io)->ring;
	uint8_t *data = op->data + op->moved;
	uint32_t bytes = op->bytes - op->moved;
	uint64_t offset = op->offset + op->moved;

	if (op->kind == MR_IO_WRITE)
		mr_uring_write(
			u, &op->ring, op->file->fd, data, bytes, offset, op->buffer, RWF_DSYNC);
	else
		mr_uring_read(u, &op->ring, op->file->fd, data, bytes, offset, op->buffer);
}

static void ring_done(struct mr_op *ring, int res, unsigned)
{
	struct mr_io_op *op = MR_CONTAINER(ring, struct mr_io_op, ring);
	bool end = res == 0 && op->kind == MR_IO_READ;

	if (res == -EINTR || res == -EAGAIN) {
		ring_start(op);
		return;
	}
	if (res > 0)
		op->moved += (uint32_t)res;
	// Short: go on from there, unless a read met the end of the file.
	if (res > 0 && op->moved < op->bytes && op->moved % MR_IO_ALIGN == 0) {
		ring_start(op);
		return;
	}
	if (res >= 0 && op->moved < op->bytes && op->kind == MR_IO_WRITE)
		res = -EIO;
	op->io->in_flight--;
	op->io->errors += res < 0;
	op->done(op, res < 0 && !end ? res : (int)op->moved);
}

static void ring_submit(struct mr_io *, struct mr_io_op *op)
{
	op->ring.done = ring_done;
	ring_start(op);
}

static int ring_reap(struct mr_io *)
{
	return 0; // the ring's turn runs the completions
}

static int ring_wait(struct mr_io *io)
{
	return mr_uring_turn(ring_of(io)->ring, -1);
}

static int ring_buffer_add(struct mr_io *io, void *base, size_t bytes)
{
	int rc = mr_uring_buffer_add(ring_of(io)->ring, base, bytes);

	return rc < 0 ? -1 : rc;
}

static void ring_destroy(struct mr_io *io)
{
	MR_ASSERT(io->in_flight == 0);
	free(ring_of(io));
}

static const struct mr_io_ops ring_ops = {
	ring_submit, ring_reap, ring_wait, ring_buffer_add, ring_destroy};

int mr_io_uring_create(struct mr_io **out, struct mr_uring *ring)
{
	struct io_ring *r = (struct io_ring *)calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->io.ops = &ring_ops;
	r->io.event_fd = -1;
	r->ring = ring;
	*out = &r->io;
	return 0;
}
