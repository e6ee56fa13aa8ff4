// Simulated lives of connections, by seed. LIVES=n runs that many from FIRST=n on, SEED=n one of
// them, telling.
#include "tests/lib/mr_test.h"
#include "tests/lib/tcp_life.h"

#include <stdio.h>
#include <stdlib.h>

static void connections_live_through_a_bad_wire(void **)
{
	const char *one = getenv("SEED"), *lives = getenv("LIVES"), *from = getenv("FIRST");
	uint64_t first = one ? strtoull(one, NULL, 0) : from ? strtoull(from, NULL, 0) : 1;
	uint64_t count = one ? 1 : lives ? strtoull(lives, NULL, 0) : 500;
	struct tcp_life_result sum = {0}, r;

	for (uint64_t seed = first; seed < first + count; seed++) {
		const char *wrong = tcp_life_run(seed, one != NULL, &r);

		if (wrong)
			fail_msg("%s (again with SEED=%llu)", wrong, (unsigned long long)seed);
		sum.steps += r.steps;
		sum.bytes += r.bytes;
		sum.connections += r.connections;
		sum.retransmits += r.retransmits;
		sum.timeouts += r.timeouts;
		sum.virtual_ns += r.virtual_ns;
	}
	printf("%llu lives from seed %llu: %llu connections, %llu bytes, %llu retransmissions, "
	       "%llu timeouts, %.0f virtual s, %llu steps\n",
		(unsigned long long)count, (unsigned long long)first,
		(unsigned long long)sum.connections, (unsigned long long)sum.bytes,
		(unsigned long long)sum.retransmits, (unsigned long long)sum.timeouts,
		(double)sum.virtual_ns / 1e9, (unsigned long long)sum.steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_live_through_a_bad_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
