// Memory for reads: never beyond its limit, everybody's turn comes, all of it comes back.
#include "host/base/rand.h"
#include "host/read_room.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdlib.h>

enum { READERS = 40, LIMIT = 1 << 20, READS = 50 };

// Reads so many times, one at a time.
struct reader {
	struct mr_read_wait wait; // first
	struct mr_read_room *room;
	size_t bytes;
	uint8_t *data;
	int reads;
};

static void start(struct reader *r)
{
	int rc;

	if (r->data || r->reads == READS)
		return;
	rc = mr_read_take(r->room, r->bytes, &r->wait, &r->data);
	assert_true(rc == 0 || (rc == -EAGAIN && r->wait.waiting));
	if (rc == 0)
		r->data[r->bytes - 1] = 1;
}

static void ready(struct mr_read_wait *w)
{
	assert_false(w->waiting);
	start((struct reader *)w);
}

static void reads_share_a_limit_and_all_get_through(void **)
{
	struct reader readers[READERS];
	struct mr_read_room room;
	struct mr_rand rand;
	int left = READERS * READS;

	print_message("seed 5\n");
	mr_rand_init(&rand, 5);
	mr_read_room_init(&room, LIMIT);
	for (int i = 0; i < READERS; i++) {
		readers[i] = (struct reader){.wait.ready = ready,
			.room = &room,
			.bytes = (1 + (size_t)mr_rand_below(&rand, 60)) * 4096};
		start(&readers[i]);
	}
	while (left) {
		struct reader *r = &readers[mr_rand_below(&rand, READERS)];
		uint8_t *data = r->data;

		assert_true(room.bytes <= LIMIT);
		if (!data)
			continue;
		r->data = NULL;
		r->reads++;
		left--;
		mr_read_give(&room, data, r->bytes);
		if (!r->wait.waiting)
			start(r);
	}
	assert_int_equal(room.bytes, 0);
	assert_null(room.first);
	assert_true(room.waits > 100 && room.bytes_peak > LIMIT / 2 && room.bytes_peak <= LIMIT);
}

static void larger_read_than_the_limit_goes_alone(void **)
{
	struct mr_read_room room;
	struct reader big = {.wait.ready = ready, .room = &room, .bytes = 2 * LIMIT};
	struct reader small = {.wait.ready = ready, .room = &room, .bytes = 4096};

	mr_read_room_init(&room, LIMIT);
	start(&small);
	start(&big);
	assert_true(!big.data && big.wait.waiting);
	mr_read_give(&room, small.data, small.bytes);
	assert_non_null(big.data);
	small.data = NULL;
	start(&small);
	assert_null(small.data);
	mr_read_forget(&room, &small.wait);
	mr_read_forget(&room, &small.wait);
	mr_read_give(&room, big.data, big.bytes);
	assert_null(small.data);
	assert_int_equal(room.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_share_a_limit_and_all_get_through),
		cmocka_unit_test(larger_read_than_the_limit_goes_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
