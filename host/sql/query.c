// Why a query ends early: memory that it did not get, rows wanted back, or the user's wish.
#include "host/pins.h"
#include "host/sql/env.h"

int mr_query_no_memory(const struct mr_query *q, struct mr_diag *diag)
{
	const struct mr_budget *own = q->memory, *all = own;

	while (all && all->parent)
		all = all->parent;
	mr_diag_set(diag, MR_ERR_LIMIT, "53200", 0, "out of memory");
	if (own && own->limit && mr_budget_refused(own)) {
		mr_diag_detail(diag, "The query needs more than its limit of %llu bytes.",
			(unsigned long long)own->limit);
		mr_diag_hint(diag, "Ask for fewer groups or rows, or raise sql.query_bytes_max.");
	} else if (all && all != own && all->limit) {
		mr_diag_detail(diag,
			"All queries together may use %llu bytes, of which %llu are in use.",
			(unsigned long long)all->limit, (unsigned long long)mr_budget_used(all));
		mr_diag_hint(diag, "Try again when other queries have ended, ask for fewer groups "
				   "or rows, or raise sql.memory_bytes.");
	}
	return MR_ERR_LIMIT;
}

int mr_query_revoked(struct mr_diag *diag)
{
	mr_diag_set(diag, MR_ERR_CANCELLED, "53200", 0,
		"the query had to let go of rows in memory that ingest needs");
	mr_diag_detail(diag, "It was the oldest of those that kept rows which have been written to "
			     "segments meanwhile.");
	mr_diag_hint(diag, "Run it again, and fetch its rows without long pauses; or raise "
			   "table.memory_bytes.");
	return MR_ERR_CANCELLED;
}

int mr_query_poll(const struct mr_query *q, struct mr_diag *diag)
{
	if (q->cancelled && atomic_load_explicit(q->cancelled, memory_order_relaxed))
		return mr_diag_set(diag, MR_ERR_CANCELLED, "57014", 0,
			"canceling statement due to user request");
	if (q->pins && atomic_load_explicit(&q->pins->revoked, memory_order_relaxed))
		return mr_query_revoked(diag);
	return 0;
}
