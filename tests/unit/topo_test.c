// Placement on machines that we do not have (HWLOC_SYNTHETIC), and pinning and pages on the one
// that we have.
#include "hw/pages.h"
#include "hw/topo.h"
#include "tests/lib/mr_test.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static struct mr_topo machine(const char *synthetic)
{
	struct mr_topo t;

	setenv("HWLOC_SYNTHETIC", synthetic, 1);
	assert_int_equal(mr_topo_init(&t), 0);
	assert_false(t.is_real);
	unsetenv("HWLOC_SYNTHETIC");
	return t;
}

static const struct mr_topo_pu *pu_of(const struct mr_topo *t, int os)
{
	for (int i = 0; i < t->pus_count; i++)
		if (t->pus[i].os == os)
			return &t->pus[i];
	fail_msg("processor %d", os);
	return NULL;
}

static void one_core_is_shared_by_all(void **)
{
	struct mr_topo t = machine("core:1 pu:1");
	struct mr_topo_placement p;

	assert_int_equal(mr_topo_place(&t, 1, MR_TOPO_SPREAD, &p), 0);
	assert_int_equal(p.workers[0].pu, 0);
	assert_false(p.workers[0].shared);
	assert_true(p.background_shares);
	assert_int_equal(p.background_count, 1);
	mr_topo_placement_fini(&p);
	mr_topo_fini(&t);
}

static void two_cores_give_one_to_the_background(void **)
{
	struct mr_topo t = machine("core:2 pu:1");
	struct mr_topo_placement p;

	assert_int_equal(mr_topo_place(&t, 1, MR_TOPO_SPREAD, &p), 0);
	assert_false(p.background_shares);
	assert_int_equal(p.background_count, 1);
	assert_int_not_equal(p.background[0], p.workers[0].pu);
	mr_topo_placement_fini(&p);
	assert_int_equal(mr_topo_place(&t, 2, MR_TOPO_SPREAD, &p), 0);
	assert_int_not_equal(p.workers[0].pu, p.workers[1].pu);
	assert_true(p.background_shares);
	assert_int_equal(p.background_count, 2);
	mr_topo_placement_fini(&p);
	mr_topo_fini(&t);
}

static void eight_cores_keep_workers_on_cores_of_their_own(void **)
{
	struct mr_topo t = machine("l3:1(size=33554432) l2:8 core:1 pu:2");
	struct mr_topo_placement p;

	assert_int_equal(t.cores_count, 8);
	assert_int_equal(t.pus_count, 16);
	assert_int_equal(t.l3_bytes, 33554432);
	assert_int_equal(mr_topo_place(&t, 6, MR_TOPO_SPREAD, &p), 0);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(pu_of(&t, p.workers[i].pu)->smt, 0);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(
				pu_of(&t, p.workers[i].pu)->core, pu_of(&t, p.workers[j].pu)->core);
	}
	// Two whole cores are left, both processors of each.
	assert_int_equal(p.background_count, 4);
	assert_false(p.background_shares);
	mr_topo_placement_fini(&p);
	// With all cores taken, the siblings are the background's.
	assert_int_equal(mr_topo_place(&t, 8, MR_TOPO_SPREAD, &p), 0);
	assert_int_equal(p.background_count, 8);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pu_of(&t, p.background[i])->smt, 1);
	assert_false(p.background_shares);
	mr_topo_placement_fini(&p);
	mr_topo_fini(&t);
}

static void two_nodes_are_filled_by_policy(void **)
{
	struct mr_topo t = machine("node:2 core:32 pu:2");
	struct mr_topo_placement p;
	int on_node[2] = {0};

	assert_int_equal(t.nodes_count, 2);
	assert_int_equal(t.cores_count, 64);
	assert_int_equal(mr_topo_place(&t, 40, MR_TOPO_SPREAD, &p), 0);
	for (int i = 0; i < 40; i++) {
		on_node[p.workers[i].node]++;
		assert_int_equal(pu_of(&t, p.workers[i].pu)->smt, 0);
		assert_int_equal(pu_of(&t, p.workers[i].pu)->node, p.workers[i].node);
	}
	assert_int_equal(on_node[0], 20);
	assert_int_equal(on_node[1], 20);
	mr_topo_placement_fini(&p);

	assert_int_equal(mr_topo_place(&t, 70, MR_TOPO_PACK, &p), 0);
	for (int i = 0; i < 70; i++) {
		assert_int_equal(p.workers[i].node, i < 64 ? 0 : 1);
		assert_int_equal(pu_of(&t, p.workers[i].pu)->smt, i >= 32 && i < 64);
	}
	// The second node's other cores are whole.
	assert_int_equal(p.background_count, 2 * (32 - 6));
	mr_topo_placement_fini(&p);
	mr_topo_fini(&t);
}

static void a_hundred_and_twenty_eight_workers_have_a_processor_each(void **)
{
	struct mr_topo t = machine("node:2 core:32 pu:2");
	struct mr_topo_placement p;
	bool used[128] = {false};

	assert_int_equal(mr_topo_place(&t, 128, MR_TOPO_SPREAD, &p), 0);
	for (int i = 0; i < 128; i++) {
		assert_in_range(p.workers[i].pu, 0, 127);
		assert_false(used[p.workers[i].pu]);
		assert_false(p.workers[i].shared);
		// Siblings come only when every core has its worker.
		assert_int_equal(pu_of(&t, p.workers[i].pu)->smt, i >= 64);
		used[p.workers[i].pu] = true;
	}
	assert_true(p.background_shares);
	assert_int_equal(p.background_count, 128);
	mr_topo_placement_fini(&p);
	mr_topo_fini(&t);
}

static void more_workers_than_processors_share_evenly(void **)
{
	struct mr_topo t = machine("core:4 pu:1");
	struct mr_topo_placement p;
	int load[4] = {0};

	assert_int_equal(mr_topo_place(&t, 6, MR_TOPO_SPREAD, &p), 0);
	for (int i = 0; i < 6; i++)
		load[p.workers[i].pu]++;
	for (int i = 0; i < 6; i++)
		assert_int_equal(p.workers[i].shared, load[p.workers[i].pu] > 1);
	for (int i = 0; i < 4; i++)
		assert_in_range(load[i], 1, 2);
	mr_topo_placement_fini(&p);
	mr_topo_fini(&t);
}

static const char refused[] = "the host refuses";

// Says what is wrong: a thread beside a test asserts nothing.
static void *on_one_processor(void *arg)
{
	const int *pu = arg;
	struct mr_topo t;
	cpu_set_t set;

	mr_thread_name("a name that is longer than fifteen");
	if (!mr_thread_pin(pu, 1))
		return (void *)refused;
	if (sched_getaffinity(0, sizeof(set), &set) || CPU_COUNT(&set) != 1 ||
		!CPU_ISSET(*pu, &set))
		return "it is pinned elsewhere";
	if (!mr_thread_nice(5))
		return (void *)refused;
	// The topology is the process's, whatever this thread is pinned to.
	if (mr_topo_init(&t))
		return "no topology";
	mr_topo_fini(&t);
	return NULL;
}

static void threads_are_pinned_and_named(void **)
{
	struct mr_topo t;
	pthread_t thread;
	void *why;

	assert_int_equal(mr_topo_init(&t), 0);
	assert_true(t.is_real);
	assert_true(t.pus_count >= 1);
	assert_int_equal(pthread_create(&thread, NULL, on_one_processor, &t.pus[0].os), 0);
	pthread_join(thread, &why);
	mr_topo_fini(&t);
	if (why == refused)
		skip();
	if (why)
		fail_msg("%s", (const char *)why);
}

static void a_processor_that_is_not_there_is_refused_and_survived(void **)
{
	int none = 8000;

	assert_false(mr_thread_pin(&none, 1));
}

// Of all threads: a sanitizer has some of its own, and the process's is what any of them may use.
static void set_affinity(const cpu_set_t *set)
{
	DIR *d = opendir("/proc/self/task");
	const struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			assert_int_equal(sched_setaffinity(atoi(e->d_name), sizeof(*set), set), 0);
	closedir(d);
}

static void topology_follows_the_affinity_of_the_process(void **)
{
	cpu_set_t before, one;
	struct mr_topo t;
	int first = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	while (!CPU_ISSET(first, &before))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	set_affinity(&one);
	assert_int_equal(mr_topo_init(&t), 0);
	set_affinity(&before);
	assert_int_equal(t.pus_count, 1);
	assert_int_equal(t.pus[0].os, first);
	mr_topo_fini(&t);
}

static void pages_are_cleared_and_writable(void **)
{
	static const enum mr_pages_kind kinds[] = {
		MR_PAGES_SMALL, MR_PAGES_TRANSPARENT, MR_PAGES_HUGE};

	for (size_t i = 0; i < MR_COUNT_OF(kinds); i++) {
		struct mr_pages p;
		int rc;

		// A node that is not there is no error.
		assert_int_equal(mr_pages_reserve(&p, (4 << 20) + 1, kinds[i], i ? 900 : 0), 0);
		assert_true(p.bytes > 4 << 20);
		assert_true(p.kind <= kinds[i]);
		rc = mr_pages_commit(&p, 0, p.bytes);
		assert_true(rc == 0 || rc == -EINVAL); // an older kernel
		assert_int_equal(p.data[0] | p.data[p.bytes - 1], 0);
		memset(p.data, 7, p.bytes);
		mr_pages_release(&p);
	}
}

static void *class_of_new_thread(void *)
{
	return (void *)(intptr_t)sched_getscheduler(0);
}

static void *urgent_and_back(void *)
{
	struct sched_param urgent, most;
	pthread_t made;
	void *class;

	if (!mr_thread_urgent(MR_URGENT))
		return (void *)refused;
	if ((sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) != SCHED_RR ||
		sched_getparam(0, &urgent))
		return "it is not in the real-time class";
	if (!mr_thread_urgent(MR_MOST_URGENT) || sched_getparam(0, &most) ||
		most.sched_priority <= urgent.sched_priority)
		return "most urgent is no more than urgent";
	if (pthread_create(&made, NULL, class_of_new_thread, NULL))
		return "no thread";
	pthread_join(made, &class);
	if ((intptr_t) class != SCHED_OTHER)
		return "what it starts has its class";
	if (!mr_thread_urgent(MR_NORMAL) ||
		(sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) != SCHED_OTHER)
		return "it is not normal again";
	return NULL;
}

static void thread_is_urgent_and_normal_again_or_told_that_it_may_not(void **)
{
	pthread_t t;
	void *why;

	assert_int_equal(pthread_create(&t, NULL, urgent_and_back, NULL), 0);
	pthread_join(t, &why);
	if (why == refused)
		skip();
	if (why)
		fail_msg("%s", (const char *)why);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER); // each thread for itself
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_core_is_shared_by_all),
		cmocka_unit_test(two_cores_give_one_to_the_background),
		cmocka_unit_test(eight_cores_keep_workers_on_cores_of_their_own),
		cmocka_unit_test(two_nodes_are_filled_by_policy),
		cmocka_unit_test(a_hundred_and_twenty_eight_workers_have_a_processor_each),
		cmocka_unit_test(more_workers_than_processors_share_evenly),
		cmocka_unit_test(threads_are_pinned_and_named),
		cmocka_unit_test(a_processor_that_is_not_there_is_refused_and_survived),
		cmocka_unit_test(topology_follows_the_affinity_of_the_process),
		cmocka_unit_test(pages_are_cleared_and_writable),
		cmocka_unit_test(thread_is_urgent_and_normal_again_or_told_that_it_may_not),
	};

	return cmocka_run_group_tests_name("topo", tests, NULL, NULL);
}
