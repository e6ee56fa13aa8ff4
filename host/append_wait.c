// Appends that wait for room.
//
// What waits for the log (ring, next file) waits in one list of the worker, in order: the log is
// one for all partitions. What waits for memory for a table's rows waits with its partition, before
// the log (`waiting`) or behind it, durable but with rows that the table has not taken yet
// (`unseen`); partitions of other tables go on. Nothing overtakes what waits in the same partition:
// when its first append has to change lists, the others of the partition go with it.
//
// No wait is for ever: at the end of an append's time it is answered with REQUEST_TIMED_OUT, and so
// is everything behind it in its partition, or a later batch of an idempotent producer could get in
// before the refused one. librdkafka and the Java client send such a batch again under the same
// producer id, epoch and sequence: what was not in the log gets in then, and what was is found to
// be a duplicate, so it counts once in either case. Clients in the meantime are slowed down by
// their own limit of requests in flight and by the TCP window.
#include "dataplane/kafka_error.h"
#include "host/worker.h"

static const char no_room[] = "no room for the record batch within kafka.append_wait";
static const char no_memory[] = "the table's memory was used up for longer than kafka.append_wait";
static const char unseen[] =
	"the record batch is stored, but its table had no memory for longer than kafka.append_wait";
static const char stopping[] = "the daemon is stopping";

void mr_append_list_add(struct mr_append_list *l, struct mr_append *a)
{
	if (!l->head)
		l->tail = &l->head;
	a->next = NULL;
	*l->tail = a;
	l->tail = &a->next;
}

struct mr_append *mr_append_list_take(struct mr_append_list *l)
{
	struct mr_append *a = l->head;

	l->head = a->next;
	return a;
}

static void list_push_front(struct mr_append_list *l, struct mr_append *a)
{
	if (!l->head)
		l->tail = &a->next;
	a->next = l->head;
	l->head = a;
}

static struct mr_append_list *list_of(
	struct mr_worker *w, struct mr_partition *p, enum mr_append_wait why)
{
	switch (why) {
	case MR_APPEND_WAIT_MEMORY: return &p->waiting;
	case MR_APPEND_WAIT_VISIBLE: return &p->unseen;
	default: return &w->stalled;
	}
}

// Books that an append has stopped waiting: `since_ns` is its wait_since_ns, for it may be gone.
static void wait_over(struct mr_worker *w, enum mr_append_wait why, int64_t since_ns)
{
	mr_stat_add(&w->stats.appends_waiting[why], (uint64_t)-1);
	mr_hist_record(&w->stats.append_wait[why], (uint64_t)(mr_now_ns(w->clock) - since_ns));
}

static void hold(struct mr_worker *w, struct mr_partition *p)
{
	if (p->held)
		return;
	p->held = true;
	p->held_next = w->held;
	w->held = p;
}

static void unhold(struct mr_worker *w, struct mr_partition *p)
{
	struct mr_partition **at = &w->held;

	if (!p->held)
		return;
	while (*at != p)
		at = &(*at)->held_next;
	*at = p->held_next;
	p->held = false;
}

static void refuse(struct mr_worker *w, struct mr_append *a, enum mr_append_wait why)
{
	static const char *const texts[MR_APPEND_WAITS] = {no_room, no_memory, unseen};

	mr_stat_add(&w->stats.appends_timed_out, 1);
	mr_append_fail(w, a, MR_KAFKA_REQUEST_TIMED_OUT, w->refusing ? stopping : texts[why]);
}

void mr_append_wait(struct mr_worker *w, struct mr_append *a, enum mr_append_wait why)
{
	struct mr_partition *p = mr_append_partition(a);

	if (w->refusing) {
		refuse(w, a, why);
		return;
	}
	a->wait_since_ns = mr_now_ns(w->clock);
	mr_stat_add(&w->stats.appends_waiting[why], 1);
	mr_append_list_add(list_of(w, p, why), a);
	w->append_deadline_ns = MR_MIN(w->append_deadline_ns, a->deadline_ns);
	if (why != MR_APPEND_WAIT_LOG)
		hold(w, p);
}

// Moves the partition's appends from one list to the end of another. `from` may have others' too.
static void move(struct mr_worker *w, struct mr_partition *p, enum mr_append_wait from,
	enum mr_append_wait to)
{
	struct mr_append_list *l = list_of(w, p, from), old = *l;

	l->head = NULL;
	while (old.head) {
		struct mr_append *a = mr_append_list_take(&old);

		if (mr_append_partition(a) == p) {
			wait_over(w, from, a->wait_since_ns);
			mr_append_wait(w, a, to);
		} else {
			mr_append_list_add(l, a);
		}
	}
}

// Tries the head of a list. False: it stays there, and `tried` says why.
static bool go_on(struct mr_worker *w, struct mr_append_list *l, enum mr_append_wait why,
	enum mr_append_try *tried)
{
	struct mr_append *a = mr_append_list_take(l);
	int64_t since_ns = a->wait_since_ns;

	// An answer may free it and bring the next append, so it is in no list meanwhile.
	*tried = mr_append_try(w, a);
	if (*tried == MR_APPEND_TAKEN)
		wait_over(w, why, since_ns);
	else
		list_push_front(l, a);
	return *tried == MR_APPEND_TAKEN;
}

static void retry_stalled(struct mr_worker *w)
{
	enum mr_append_try tried;

	while (w->stalled.head) {
		struct mr_partition *p = mr_append_partition(w->stalled.head);

		if (go_on(w, &w->stalled, MR_APPEND_WAIT_LOG, &tried))
			continue;
		if (tried == MR_APPEND_NO_LOG)
			return;
		move(w, p, MR_APPEND_WAIT_LOG, MR_APPEND_WAIT_MEMORY);
	}
}

static void retry_held(struct mr_worker *w, struct mr_partition *p)
{
	enum mr_append_try tried = MR_APPEND_TAKEN;

	while (p->unseen.head && mr_append_is_applied(p->unseen.head)) {
		struct mr_append *a = mr_append_list_take(&p->unseen);

		wait_over(w, MR_APPEND_WAIT_VISIBLE, a->wait_since_ns);
		mr_append_done(w, a);
	}
	if (p->waiting.head && !w->stalled.head && !mr_feeds_full(w, p))
		while (p->waiting.head && go_on(w, &p->waiting, MR_APPEND_WAIT_MEMORY, &tried))
			;
	if (p->waiting.head && !mr_feeds_full(w, p))
		move(w, p, MR_APPEND_WAIT_MEMORY, MR_APPEND_WAIT_LOG);
}

// Takes the partition's appends out of a list; of all partitions when it is NULL.
static struct mr_append_list split(struct mr_append_list *l, const struct mr_partition *p)
{
	struct mr_append_list own = {0}, old = *l;

	l->head = NULL;
	while (old.head) {
		struct mr_append *a = mr_append_list_take(&old);

		mr_append_list_add(!p || mr_append_partition(a) == p ? &own : l, a);
	}
	return own;
}

// Answers all of the partition's appends in a list. An answer may bring the next one, so they leave
// the list first.
static void refuse_all(struct mr_worker *w, struct mr_partition *p, enum mr_append_wait why)
{
	struct mr_append_list own = split(list_of(w, p, why), p);

	while (own.head) {
		struct mr_append *a = mr_append_list_take(&own);

		wait_over(w, why, a->wait_since_ns);
		refuse(w, a, why);
	}
}

static bool is_late(const struct mr_append_list *l, int64_t now_ns)
{
	return l->head && l->head->deadline_ns <= now_ns;
}

static int64_t first_deadline(const struct mr_append_list *l, int64_t deadline_ns)
{
	return l->head ? MR_MIN(deadline_ns, l->head->deadline_ns) : deadline_ns;
}

// Refuses what has waited its time, and finds out when the next one will have. Only the heads of
// lists are looked at: who came later with less patience waits as long as the one before it.
static void expire(struct mr_worker *w, int64_t now_ns)
{
	int64_t deadline_ns = INT64_MAX;

	while (is_late(&w->stalled, now_ns))
		refuse_all(w, mr_append_partition(w->stalled.head), MR_APPEND_WAIT_LOG);
	for (struct mr_partition *p = w->held; p; p = p->held_next) {
		if (is_late(&p->waiting, now_ns))
			refuse_all(w, p, MR_APPEND_WAIT_MEMORY);
		if (is_late(&p->unseen, now_ns))
			refuse_all(w, p, MR_APPEND_WAIT_VISIBLE);
	}
	deadline_ns = first_deadline(&w->stalled, deadline_ns);
	for (const struct mr_partition *p = w->held; p; p = p->held_next)
		deadline_ns = first_deadline(&p->unseen, first_deadline(&p->waiting, deadline_ns));
	w->append_deadline_ns = deadline_ns;
}

void mr_worker_appends_turn(struct mr_worker *w)
{
	struct mr_partition **at = &w->held;
	int64_t now_ns;

	if (w->stalled.head)
		retry_stalled(w);
	if (w->held && w->held_look) {
		w->held_look = false;
		for (struct mr_partition *p = w->held; p; p = p->held_next)
			retry_held(w, p);
		while (*at) {
			struct mr_partition *p = *at;

			p->held = p->waiting.head || p->unseen.head;
			if (p->held)
				at = &p->held_next;
			else
				*at = p->held_next;
		}
	}
	if (w->append_deadline_ns == INT64_MAX)
		return;
	now_ns = mr_now_ns(w->clock);
	if (now_ns >= w->append_deadline_ns)
		expire(w, now_ns);
}

void mr_worker_appends_refuse(struct mr_worker *w)
{
	w->refusing = true;
	while (w->stalled.head)
		refuse_all(w, mr_append_partition(w->stalled.head), MR_APPEND_WAIT_LOG);
	for (struct mr_partition *p = w->held; p; p = p->held_next) {
		refuse_all(w, p, MR_APPEND_WAIT_MEMORY);
		refuse_all(w, p, MR_APPEND_WAIT_VISIBLE);
	}
}

static void fail_all(struct mr_worker *w, struct mr_append_list own, int16_t error)
{
	while (own.head)
		mr_append_fail(w, mr_append_list_take(&own), error, NULL);
}

void mr_worker_appends_fail(struct mr_worker *w, struct mr_partition *p)
{
	fail_all(w, split(&w->pending, p), MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	for (int why = 0; why < MR_APPEND_WAITS; why++) {
		struct mr_append_list own = split(list_of(w, p, (enum mr_append_wait)why), p);

		for (const struct mr_append *a = own.head; a; a = a->next)
			wait_over(w, (enum mr_append_wait)why, a->wait_since_ns);
		fail_all(w, own, MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	}
	unhold(w, p);
}

void mr_worker_appends_abort(struct mr_worker *w)
{
	mr_worker_appends_refuse(w);
	fail_all(w, split(&w->pending, NULL), MR_KAFKA_KAFKA_STORAGE_ERROR);
}
