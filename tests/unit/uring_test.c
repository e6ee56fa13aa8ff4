// The ring on real descriptors: sockets, files, timeouts, cancels, a full submission queue.
#include "hw/uring.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct probe {
	struct mr_op op;
	int count;
	int res;
	unsigned flags;
};

static void probe_done(struct mr_op *op, int res, unsigned flags)
{
	struct probe *p = MR_CONTAINER(op, struct probe, op);

	p->count++;
	p->res = res;
	p->flags = flags;
}

static struct probe probe(void)
{
	return (struct probe){.op = {probe_done}};
}

// Turns until `p` has completed `count` times.
static void until(struct mr_uring *u, const struct probe *p, int count)
{
	for (int i = 0; i < 1000 && p->count < count; i++)
		assert_true(mr_uring_turn(u, 1000000000) >= 0);
	assert_true(p->count >= count);
}

static int setup(void **state)
{
	struct mr_uring *u;

	if (mr_uring_probe()) {
		print_message("SKIP: io_uring is refused here\n");
		*state = NULL;
		return 0;
	}
	assert_int_equal(mr_uring_create(&u, &(struct mr_uring_options){.entries = 8}), 0);
	*state = u;
	return 0;
}

static int teardown(void **state)
{
	mr_uring_destroy((struct mr_uring *)*state);
	return 0;
}

static struct mr_uring *ring(void **state)
{
	if (!*state)
		skip();
	return (struct mr_uring *)*state;
}

static void uring_turn_waits_no_longer_than_told(void **state)
{
	struct mr_uring *u = ring(state);

	assert_int_equal(mr_uring_turn(u, 0), 0);
	assert_int_equal(mr_uring_turn(u, 2000000), 0);
	assert_int_equal(mr_uring_in_flight(u), 0);
}

static void uring_accepts_and_receives_many_times(void **state)
{
	struct mr_uring *u = ring(state);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t a_bytes = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0);
	int c = socket(AF_INET, SOCK_STREAM, 0);
	struct probe accept_p = probe(), recv_p = probe(), cancel_p = probe();
	struct mr_uring_bufs *bufs;
	int s, id;

	assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(l, 8), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &a_bytes), 0);
	mr_uring_accept_multishot(u, &accept_p.op, l);
	mr_uring_flush(u);
	assert_int_equal(connect(c, (struct sockaddr *)&a, sizeof(a)), 0);
	until(u, &accept_p, 1);
	assert_true(accept_p.res >= 0 && mr_op_more(accept_p.flags));
	s = accept_p.res;

	assert_int_equal(mr_uring_bufs_create(&bufs, u, 3, 4, 64), 0);
	mr_uring_recv_multishot(u, &recv_p.op, s, 3);
	for (int i = 1; i <= 20; i++) {
		char text[16];
		int n = snprintf(text, sizeof(text), "message %d", i);

		assert_int_equal(write(c, text, (size_t)n), n);
		until(u, &recv_p, i);
		assert_int_equal(recv_p.res, n);
		id = mr_op_buffer(recv_p.flags);
		assert_true(id >= 0);
		assert_memory_equal(mr_uring_bufs_at(bufs, id), text, n);
		mr_uring_bufs_put(bufs, id);
	}
	mr_uring_cancel(u, &cancel_p.op, &recv_p.op);
	until(u, &cancel_p, 1);
	until(u, &recv_p, 21);
	assert_int_equal(recv_p.res, -ECANCELED);
	assert_false(mr_op_more(recv_p.flags));
	mr_uring_bufs_destroy(bufs);
	mr_uring_cancel(u, NULL, &accept_p.op);
	until(u, &accept_p, 2);
	close(c);
	close(s);
	close(l);
}

static void uring_sends_and_receives_into_a_place(void **state)
{
	struct mr_uring *u = ring(state);
	struct probe recv_p = probe(), msg_p = probe();
	char out[] = "abcdefgh", in[16] = "";
	struct iovec iov[2] = {{out, 4}, {out + 4, 4}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	mr_uring_recv(u, &recv_p.op, pair[1], in, 16, MSG_WAITALL);
	for (int i = 1; i <= 2; i++) {
		assert_int_equal(recv_p.count, 0);
		mr_uring_sendmsg(u, &msg_p.op, pair[0], &msg, 0);
		until(u, &msg_p, i);
	}
	until(u, &recv_p, 1);
	assert_int_equal(recv_p.res, 16);
	assert_memory_equal(in, "abcdefghabcdefgh", 16);
	close(pair[0]);
	close(pair[1]);
}

static void uring_wakes_on_eventfd_again_and_again(void **state)
{
	struct mr_uring *u = ring(state);
	struct probe p = probe();
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t one = 1;

	mr_uring_poll_multishot(u, &p.op, fd, POLLIN);
	for (int i = 1; i <= 5; i++) {
		mr_uring_flush(u);
		assert_int_equal(write(fd, &one, 8), 8);
		until(u, &p, i);
		assert_true(p.res & POLLIN);
		assert_int_equal(read(fd, &one, 8), 8);
	}
	mr_uring_cancel(u, NULL, &p.op);
	until(u, &p, 6);
	close(fd);
}

// Eight entries, a thousand reads: preparing flushes by itself and loses nothing.
static void uring_full_submission_queue_loses_nothing(void **state)
{
	enum { READS = 1000 };
	struct mr_uring *u = ring(state);
	struct probe *p = (struct probe *)calloc(READS, sizeof(*p));
	char byte[READS];
	int fd = open("/dev/zero", O_RDONLY);
	int done = 0;

	for (int i = 0; i < READS; i++) {
		p[i] = probe();
		mr_uring_read(u, &p[i].op, fd, &byte[i], 1, 0, -1);
	}
	for (int i = 0; i < 1000 && mr_uring_in_flight(u); i++)
		assert_true(mr_uring_turn(u, 100000000) >= 0);
	for (int i = 0; i < READS; i++)
		done += p[i].count == 1 && p[i].res == 1;
	assert_int_equal(done, READS);
	assert_true(mr_uring_stats(u)->sq_full > 0);
	close(fd);
	free(p);
}

static void uring_fixed_buffers_write_and_read(void **state)
{
	struct mr_uring *u = ring(state);
	struct probe w = probe(), r = probe();
	char path[] = "/tmp/mr_uring_XXXXXX";
	uint8_t *memory = (uint8_t *)aligned_alloc(4096, 8192);
	int fd = mkstemp(path);
	int index = mr_uring_buffer_add(u, memory, 8192);

	memset(memory, 0x42, 4096);
	memset(memory + 4096, 0, 4096);
	mr_uring_write(u, &w.op, fd, memory, 4096, 0, index < 0 ? -1 : index, 0);
	until(u, &w, 1);
	assert_int_equal(w.res, 4096);
	mr_uring_read(u, &r.op, fd, memory + 4096, 4096, 0, index < 0 ? -1 : index);
	until(u, &r, 1);
	assert_int_equal(r.res, 4096);
	assert_memory_equal(memory, memory + 4096, 4096);
	close(fd);
	unlink(path);
	free(memory);
}

int main(void)
{
#define RING_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		RING_TEST(uring_turn_waits_no_longer_than_told),
		RING_TEST(uring_accepts_and_receives_many_times),
		RING_TEST(uring_sends_and_receives_into_a_place),
		RING_TEST(uring_wakes_on_eventfd_again_and_again),
		RING_TEST(uring_full_submission_queue_loses_nothing),
		RING_TEST(uring_fixed_buffers_write_and_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
