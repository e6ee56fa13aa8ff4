// Memory that a query asked for and did not get: whose limit it was, and what helps.
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
