// Grace periods: the rules one by one, every interleaving of a model of one reader and one writer,
// and threads that replace and read for a while (meant for MODE=tsan and asan too).
#include "host/base/rcu.h"
#include "tests/lib/mr_test.h"

#include <sched.h>
#include <stdlib.h>

static int freed;

static void count_free(struct mr_rcu_head *)
{
	freed++;
}

static void deferred_waits_for_online_readers_only(void **)
{
	struct mr_rcu rcu;
	struct mr_rcu_reader a, b;
	struct mr_rcu_head h[2];

	freed = 0;
	mr_rcu_init(&rcu);
	mr_rcu_register(&rcu, &a);
	mr_rcu_register(&rcu, &b);
	mr_rcu_online(&rcu, &a);
	mr_rcu_defer(&rcu, &h[0], count_free);
	assert_int_equal(mr_rcu_collect(&rcu), 1);
	mr_rcu_online(&rcu, &b); // came later: cannot hold it
	mr_rcu_quiescent(&rcu, &a);
	assert_int_equal(mr_rcu_collect(&rcu), 0);
	assert_int_equal(freed, 1);
	mr_rcu_defer(&rcu, &h[1], count_free);
	mr_rcu_quiescent(&rcu, &a);
	assert_int_equal(mr_rcu_collect(&rcu), 1);
	mr_rcu_offline(&b);
	assert_int_equal(mr_rcu_collect(&rcu), 0);
	assert_int_equal(freed, 2);
	mr_rcu_synchronize(&rcu, &a); // its caller is quiescent
	mr_rcu_unregister(&rcu, &a);
	mr_rcu_unregister(&rcu, &b);
	mr_rcu_fini(&rcu);
}

static void fini_frees_what_is_left(void **)
{
	struct mr_rcu rcu;
	struct mr_rcu_head h[3];

	freed = 0;
	mr_rcu_init(&rcu);
	for (int i = 0; i < 3; i++)
		mr_rcu_defer(&rcu, &h[i], count_free);
	mr_rcu_fini(&rcu);
	assert_int_equal(freed, 3);
}

// The model: each step is one load or store of rcu.h, explored in every order. The reader's stores
// of `seen` go through a store buffer, whose emptying is a step too: that is the one reordering
// that real machines do here, and only a sequentially consistent operation waits for it. The reader
// goes online, reads the pointer, uses it, is quiescent, reads and uses again, goes offline; the
// writer replaces version 0 by 1, counts, looks at `seen` until it may, and frees version 0.
// The broken forms leave out the second look of mr_rcu_online, or the writer's wait.
struct model {
	int now, seen, shared;
	int buffered; // store of `seen` on its way, or -1
	bool freed;
	int reader_at, reader_now, reader_held;
	int writer_at, writer_period;
};

enum broken { SOUND, NO_SECOND_LOOK, NO_WAIT };

static void buffer_empty(struct model *m)
{
	if (m->buffered >= 0)
		m->seen = m->buffered;
	m->buffered = -1;
}

static void store_seen(struct model *m, int value)
{
	buffer_empty(m); // one place is enough: stores leave in order
	m->buffered = value;
}

static bool reader_step(struct model *m, enum broken broken, bool *bad)
{
	switch (m->reader_at++) {
	case 0:
	case 5: m->reader_now = m->now; break;
	case 1:
	case 6: store_seen(m, m->reader_now); break;
	case 2:
		if (broken == NO_SECOND_LOOK)
			break;
		buffer_empty(m);
		if (m->now != m->reader_now)
			m->reader_at = 0;
		break;
	case 3:
	case 7: m->reader_held = m->shared; break;
	case 4:
	case 8: *bad |= m->freed && m->reader_held == 0; break;
	case 9: store_seen(m, 0); break;
	default: return false;
	}
	return true;
}

// False when it is done, or would only look at `seen` again.
static bool writer_step(struct model *m, enum broken broken)
{
	switch (m->writer_at) {
	case 0: m->shared = 1; break;
	case 1: m->writer_period = ++m->now; break;
	case 2:
		if (broken != NO_WAIT && m->seen && m->seen < m->writer_period)
			return false;
		break;
	case 3: m->freed = true; break;
	default: return false;
	}
	m->writer_at++;
	return true;
}

// Returns how many ends were reached; sets *bad when any order uses what is freed.
static uint64_t explore(struct model m, enum broken broken, bool *bad)
{
	struct model reader = m, writer = m, store = m;
	uint64_t ends = 0;
	bool end = true;

	if (reader_step(&reader, broken, bad)) {
		ends += explore(reader, broken, bad);
		end = false;
	}
	if (writer_step(&writer, broken)) {
		ends += explore(writer, broken, bad);
		end = false;
	}
	if (m.buffered >= 0) {
		buffer_empty(&store);
		ends += explore(store, broken, bad);
		end = false;
	}
	return end ? 1 : ends;
}

static bool model_uses_freed(enum broken broken)
{
	struct model start = {.now = 1, .buffered = -1};
	bool bad = false;

	assert_true(explore(start, broken, &bad) > 500);
	return bad;
}

static void no_interleaving_of_the_model_uses_freed_memory(void **)
{
	assert_false(model_uses_freed(SOUND));
}

static void the_model_notices_a_missing_look_and_a_missing_wait(void **)
{
	assert_true(model_uses_freed(NO_SECOND_LOOK));
	assert_true(model_uses_freed(NO_WAIT));
}

struct version {
	struct mr_rcu_head head;
	uint64_t a, b; // b == ~a while it may be read
};

static struct mr_rcu shared_rcu;
static _Atomic(struct version *) shared;
static _Atomic bool stop;
static _Atomic int reading;

static void version_free(struct mr_rcu_head *h)
{
	struct version *v = MR_CONTAINER(h, struct version, head);

	v->a = v->b = 0;
	free(v);
}

static void *read_many(void *)
{
	struct mr_rcu_reader me;
	uint64_t reads = 0;

	atomic_fetch_add(&reading, 1);
	mr_rcu_register(&shared_rcu, &me);
	do {
		mr_rcu_online(&shared_rcu, &me);
		for (int i = 0; i < 100; i++) {
			struct version *v = atomic_load_explicit(&shared, memory_order_acquire);

			MR_ASSERT(v->b == ~v->a);
			reads++;
			mr_rcu_quiescent(&shared_rcu, &me);
		}
		mr_rcu_offline(&me);
		sched_yield();
	} while (!atomic_load_explicit(&stop, memory_order_relaxed));
	mr_rcu_unregister(&shared_rcu, &me);
	return (void *)(uintptr_t)reads;
}

static struct version *version_make(uint64_t n)
{
	struct version *v = malloc(sizeof(*v));

	assert_non_null(v);
	*v = (struct version){.a = n, .b = ~n};
	return v;
}

static void readers_never_see_a_freed_version(void **)
{
	pthread_t threads[3];
	void *reads;

	mr_rcu_init(&shared_rcu);
	atomic_store(&shared, version_make(0));
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_many, NULL), 0);
	while (atomic_load(&reading) < 3)
		sched_yield();
	for (uint64_t n = 1; n < 2000; n++) {
		struct version *old = atomic_exchange(&shared, version_make(n));

		if (n % 4) {
			mr_rcu_defer(&shared_rcu, &old->head, version_free);
			mr_rcu_collect(&shared_rcu);
		} else {
			mr_rcu_synchronize(&shared_rcu, NULL);
			version_free(&old->head);
		}
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &reads);
		assert_true((uintptr_t)reads > 0);
	}
	assert_int_equal(mr_rcu_collect(&shared_rcu), 0);
	mr_rcu_fini(&shared_rcu);
	free(atomic_load(&shared));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(deferred_waits_for_online_readers_only),
		cmocka_unit_test(fini_frees_what_is_left),
		cmocka_unit_test(no_interleaving_of_the_model_uses_freed_memory),
		cmocka_unit_test(the_model_notices_a_missing_look_and_a_missing_wait),
		cmocka_unit_test(readers_never_see_a_freed_version),
	};

	return cmocka_run_group_tests_name("rcu", tests, NULL, NULL);
}
