// The queue without a ring: one sleeping thread for durable writes and one for reads.
//
// Used where io_uring is refused, and beside a worker that polls without ever sleeping: the durable
// write of a spinning thread completes only at the scheduler's tick, that of a thread which sleeps
// in the call completes at once.
//
// The owner appends to a lane's list under its lock and signals; the lane's thread takes the whole
// list, does the calls in order, and pushes each finished op to the owner's mailbox-like stack,
// writing the eventfd when it was empty.
#include "hw/topo.h"
#include "storage/io.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

struct lane {
	struct io_plain *plain;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct mr_io_op *first; // under lock
	struct mr_io_op **last;
	_Atomic bool urgent; // wanted; the owner sets it
	bool stop;
};

struct io_plain {
	struct mr_io io;
	struct lane lanes[2];                // by enum mr_io_kind
	_Atomic(struct mr_io_op *) finished; // newest first; lanes push, the owner takes
	_Atomic uint64_t wakes;              // writes of the eventfd; lanes: rw, owner: ro
	uint64_t wakes_read;                 // owner
};

static struct io_plain *plain_of(struct mr_io *io)
{
	return MR_CONTAINER(io, struct io_plain, io);
}

static ssize_t move_once(struct mr_io_op *op)
{
	struct iovec iov = {op->data + op->moved, op->bytes - op->moved};
	off_t offset = (off_t)(op->offset + op->moved);

	if (op->kind == MR_IO_WRITE)
		return pwritev2(op->file->fd, &iov, 1, offset, RWF_DSYNC);
	return preadv(op->file->fd, &iov, 1, offset);
}

static int move_all(struct mr_io_op *op)
{
	while (op->moved < op->bytes) {
		ssize_t n = move_once(op);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return op->kind == MR_IO_WRITE ? -EIO : (int)op->moved;
		op->moved += (uint32_t)n;
		if (op->moved < op->bytes && op->moved % MR_IO_ALIGN)
			return op->kind == MR_IO_WRITE ? -EIO : (int)op->moved;
	}
	return (int)op->moved;
}

static void finish(struct io_plain *p, struct mr_io_op *op)
{
	struct mr_io_op *head = atomic_load_explicit(&p->finished, memory_order_relaxed);
	uint64_t one = 1;

	do {
		op->next = head;
	} while (!atomic_compare_exchange_weak_explicit(
		&p->finished, &head, op, memory_order_release, memory_order_relaxed));
	if (head)
		return;
	atomic_fetch_add_explicit(&p->wakes, 1, memory_order_relaxed);
	if (write(p->io.event_fd, &one, sizeof(one)) < 0)
		MR_ASSERT(errno == EAGAIN);
}

static void *lane_main(void *arg)
{
	struct lane *l = (struct lane *)arg;
	bool urgent = false;

	mr_thread_name(l == &l->plain->lanes[MR_IO_WRITE] ? "mr-commit" : "mr-read");
	pthread_mutex_lock(&l->lock);
	while (!l->stop || l->first) {
		struct mr_io_op *op = l->first;

		if (!op) {
			pthread_cond_wait(&l->more, &l->lock);
			continue;
		}
		l->first = op->next;
		if (!l->first)
			l->last = &l->first;
		pthread_mutex_unlock(&l->lock);
		if (urgent != l->urgent) {
			urgent = !urgent;
			mr_thread_urgent(urgent ? MR_MOST_URGENT : MR_NORMAL);
		}
		op->res = move_all(op);
		finish(l->plain, op);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

static void plain_submit(struct mr_io *io, struct mr_io_op *op)
{
	struct lane *l = &plain_of(io)->lanes[op->kind];

	pthread_mutex_lock(&l->lock);
	*l->last = op;
	l->last = &op->next;
	pthread_cond_signal(&l->more);
	pthread_mutex_unlock(&l->lock);
}

// Before taking: a lane that pushes afterwards finds the stack empty and writes again. The counter
// saves the system call when nothing was written, for an owner that polls.
static void wakes_clear(struct io_plain *p)
{
	uint64_t count;

	if (atomic_load_explicit(&p->wakes, memory_order_relaxed) == p->wakes_read)
		return;
	if (read(p->io.event_fd, &count, sizeof(count)) > 0)
		p->wakes_read += count;
	else
		MR_ASSERT(errno == EAGAIN); // counted, not written yet: it will poll readable
}

static int plain_reap(struct mr_io *io)
{
	struct io_plain *p = plain_of(io);
	struct mr_io_op *oldest = NULL;
	struct mr_io_op *op;
	int count = 0;

	wakes_clear(p);
	op = atomic_exchange_explicit(&p->finished, NULL, memory_order_acquire);
	while (op) {
		struct mr_io_op *next = op->next;

		op->next = oldest;
		oldest = op;
		op = next;
	}
	while (oldest) {
		op = oldest;
		oldest = op->next;
		io->in_flight--;
		io->errors += op->res < 0;
		op->done(op, op->res);
		count++;
	}
	return count;
}

static int plain_wait(struct mr_io *io)
{
	struct pollfd p = {.fd = io->event_fd, .events = POLLIN};

	if (poll(&p, 1, -1) < 0 && errno != EINTR)
		return -errno;
	return plain_reap(io);
}

static void lane_stop(struct lane *l)
{
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_signal(&l->more);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	pthread_cond_destroy(&l->more);
	pthread_mutex_destroy(&l->lock);
}

static int lane_start(struct lane *l, struct io_plain *p)
{
	l->plain = p;
	l->last = &l->first;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->more, NULL);
	return -pthread_create(&l->thread, NULL, lane_main, l);
}

static void plain_destroy(struct mr_io *io)
{
	struct io_plain *p = plain_of(io);

	MR_ASSERT(io->in_flight == 0);
	for (size_t i = 0; i < MR_COUNT_OF(p->lanes); i++)
		lane_stop(&p->lanes[i]);
	close(io->event_fd);
	free(p);
}

static const struct mr_io_ops plain_ops = {
	plain_submit, plain_reap, plain_wait, NULL, plain_destroy};

void mr_io_plain_urgent(struct mr_io *io, bool urgent)
{
	plain_of(io)->lanes[MR_IO_WRITE].urgent = urgent;
}

int mr_io_plain_create(struct mr_io **out)
{
	struct io_plain *p = (struct io_plain *)calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	p->io.ops = &plain_ops;
	p->io.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = p->io.event_fd < 0 ? -errno : 0;
	if (rc)
		goto free_plain;
	rc = lane_start(&p->lanes[MR_IO_READ], p);
	if (rc)
		goto close_event;
	rc = lane_start(&p->lanes[MR_IO_WRITE], p);
	if (rc)
		goto stop_reads;
	*out = &p->io;
	return 0;
stop_reads:
	lane_stop(&p->lanes[MR_IO_READ]);
close_event:
	close(p->io.event_fd);
free_plain:
	free(p);
	return rc;
}
