// millrace bench freshness and query: not built yet, and they say so.
#include "client/bench.h"

int mr_bench_freshness(struct mr_bench *b)
{
	snprintf(b->error, sizeof(b->error), "freshness is not built yet");
	return -1;
}

int mr_bench_query(struct mr_bench *b)
{
	snprintf(b->error, sizeof(b->error), "query is not built yet");
	return -1;
}
