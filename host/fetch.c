// Fetch: reading the log for Kafka consumers.
//
// A Fetch is planned over the index (which batches, how many bytes), waits while there is less than
// bytes_min, then copies hot batches from the log's tail in memory and reads the others from disk,
// a few at a time. What leaves are whole batches, equal byte for byte to what was produced.
#include "dataplane/kafka_error.h"
#include "dataplane/request.h"
#include "host/worker.h"

#include <errno.h>
#include <stdlib.h>

enum { READS_AT_ONCE = 8, ITEMS_MIN = 16, ITEMS_MAX = 4096, PART_BYTES_MAX = 16 << 20 };

struct fetch_item {
	struct mr_log_entry entry;
	struct mr_uuid topic;
	struct mr_fetch_part *part;
	uint32_t at; // in the part's records
};

struct fetch_read {
	struct mr_log_read read;
	struct mr_fetch_wait *fetch;
	struct fetch_item *item;
};

struct mr_fetch_wait {
	struct mr_fetch_wait *next; // of the worker's list, while waiting
	struct mr_worker *worker;
	struct mr_fetch *fetch;
	int64_t deadline_ns;
	struct fetch_item *items;
	uint32_t items_count;
	uint32_t items_max;
	uint32_t items_started;
	uint32_t reads_open;
	bool indexing; // the index of a part's next batch is being read
	bool cancelled;
	bool finished;            // done has to be called when no read is open
	struct mr_read_wait room; // for memory to read into
	struct fetch_read reads[READS_AT_ONCE];
};

int mr_worker_find(
	struct mr_worker *w, const struct mr_partition *p, int64_t offset, struct mr_log_entry *out)
{
	return mr_log_find(w->log, p->topic->topic.id, (int32_t)p->number, offset, out);
}

static void part_error(struct mr_fetch_part *part, int16_t error)
{
	part->error = error;
	part->high_watermark = -1;
	part->log_start_offset = -1;
}

// Room for one more item; false when there are as many as one Fetch may have.
static bool item_room(struct mr_fetch_wait *fw)
{
	uint32_t max = fw->items_max ? fw->items_max * 2 : ITEMS_MIN;
	struct fetch_item *grown;

	if (fw->items_count < fw->items_max)
		return true;
	if (fw->items_count == ITEMS_MAX)
		return false;
	grown = (struct fetch_item *)(void *)mr_request_alloc(
		fw->fetch->request, max * sizeof(*grown));
	if (!grown)
		return false;
	if (fw->items_count)
		memcpy(grown, fw->items, fw->items_count * sizeof(*grown));
	fw->items = grown;
	fw->items_max = max;
	return true;
}

static int16_t read_error(int err)
{
	return err == MR_ERR_CORRUPT ? MR_KAFKA_CORRUPT_MESSAGE : MR_KAFKA_KAFKA_STORAGE_ERROR;
}

// Lists the batches of one partition that fit; the first one of the whole Fetch always does
// (KIP-74).
static void plan_part(struct mr_fetch_wait *fw, struct mr_fetch_part *part, size_t *total)
{
	struct mr_worker *w = fw->worker;
	struct mr_partition *p =
		part->topic ? mr_worker_partition(w, part->topic, part->partition) : NULL;
	size_t limit = MR_MIN((size_t)MR_MAX(part->bytes_max, 0), (size_t)PART_BYTES_MAX),
	       bytes = 0;
	int64_t offset = part->offset;

	part->records = NULL;
	part->records_bytes = 0;
	if (!part->topic)
		return;
	if (!p) {
		part_error(part, MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
		return;
	}
	part->error = 0;
	part->high_watermark = p->high_watermark;
	part->log_start_offset = p->log_start;
	p->waited_for = true;
	if (offset < p->log_start || offset > p->next_offset) {
		part->error = MR_KAFKA_OFFSET_OUT_OF_RANGE;
		return;
	}
	while (offset < p->high_watermark && item_room(fw)) {
		struct mr_log_entry e;
		int rc = mr_worker_find(w, p, offset, &e);

		if (rc == -EINPROGRESS)
			fw->indexing = true;
		else if (rc < 0 && rc != -ENOENT && !bytes)
			part->error = read_error(rc);
		if (rc < 0 || e.base_offset >= p->high_watermark)
			break;
		if (fw->items_count &&
			(bytes + e.bytes > limit ||
				*total + e.bytes > (size_t)MR_MAX(fw->fetch->bytes_max, 0)))
			break;
		fw->items[fw->items_count++] =
			(struct fetch_item){e, p->topic->topic.id, part, (uint32_t)bytes};
		bytes += e.bytes;
		*total += e.bytes;
		offset = e.base_offset + e.offset_count;
	}
	part->records_bytes = bytes;
}

static bool has_error(const struct mr_fetch *f)
{
	for (uint32_t i = 0; i < f->parts_count; i++)
		if (f->parts[i].error)
			return true;
	return false;
}

static size_t plan(struct mr_fetch_wait *fw)
{
	size_t total = 0;

	fw->items_count = 0;
	fw->indexing = false;
	for (uint32_t i = 0; i < fw->fetch->parts_count; i++)
		plan_part(fw, &fw->fetch->parts[i], &total);
	return total;
}

static void finish(struct mr_fetch_wait *fw)
{
	struct mr_fetch *f = fw->fetch;

	fw->finished = true;
	if (fw->reads_open)
		return;
	f->wait[0] = NULL;
	mr_read_forget(&fw->worker->read_room, &fw->room);
	free(fw);
	f->done(f);
}

// A batch that cannot be read ends its partition's records there; what is damaged is never served.
static void item_failed(const struct fetch_item *it, int err)
{
	struct mr_fetch_part *part = it->part;

	if (it->at < part->records_bytes)
		part->records_bytes = it->at;
	// One that was moved, and whose new place has to be read first, comes with the next Fetch.
	if (it->at == 0 && err != -EINPROGRESS)
		part->error = read_error(err);
}

static void read_next(struct mr_fetch_wait *fw);

static void read_done(struct mr_log_read *r, int res)
{
	struct fetch_read *fr = MR_CONTAINER(r, struct fetch_read, read);
	struct mr_fetch_wait *fw = fr->fetch;
	struct fetch_item *it = fr->item;
	struct mr_worker *w = fw->worker;
	size_t bytes = mr_log_read_bytes(r->bytes);
	uint8_t *data = r->data;

	fw->reads_open--;
	if (res < 0) {
		item_failed(it, res);
	} else {
		memcpy((uint8_t *)(uintptr_t)it->part->records + it->at,
			r->records.data + sizeof(struct mr_log_record), it->entry.bytes);
		mr_stat_add(&fw->worker->stats.fetch_bytes_cold, it->entry.bytes);
	}
	fr->item = NULL;
	if (fw->cancelled || (fw->items_started == fw->items_count && !fw->reads_open))
		finish(fw);
	else
		read_next(fw);
	mr_read_give(&w->read_room, data, bytes);
}

// Starts reading an item into a slot. False: there is no memory for it yet.
static bool read_start(struct mr_fetch_wait *fw, struct fetch_read *fr, struct fetch_item *it)
{
	uint64_t bytes = mr_log_record_bytes(it->entry.bytes);
	struct mr_worker *w = fw->worker;
	uint8_t *data = NULL;
	int rc = mr_read_take(&w->read_room, mr_log_read_bytes(bytes), &fw->room, &data);

	if (rc == -EAGAIN)
		return false;
	fw->items_started++;
	fr->read = (struct mr_log_read){.done = read_done,
		.log_id = it->entry.log_id,
		.lsn = it->entry.lsn,
		.bytes = bytes,
		.topic = it->topic,
		.partition = it->part->partition,
		.base_offset = it->entry.base_offset,
		.data = data,
		.buffer = -1};
	fr->fetch = fw;
	fr->item = it;
	if (rc == 0)
		rc = mr_log_store_read(w->store, w->reads.io, &fr->read);
	if (rc == 0) {
		fw->reads_open++;
		return true;
	}
	fr->item = NULL;
	item_failed(it, rc);
	mr_read_give(&w->read_room, data, mr_log_read_bytes(bytes));
	return true;
}

static void fetch_ready(struct mr_read_wait *w)
{
	read_next(MR_CONTAINER(w, struct mr_fetch_wait, room));
}

static void read_next(struct mr_fetch_wait *fw)
{
	struct mr_log *log = fw->worker->log;

	while (fw->items_started < fw->items_count) {
		struct fetch_item *it = &fw->items[fw->items_started];
		const uint8_t *hot = NULL;
		uint32_t slot = 0;

		if (it->entry.log_id == mr_log_id(log))
			hot = mr_log_hot(log, it->entry.lsn, mr_log_record_bytes(it->entry.bytes));
		if (hot) {
			memcpy((uint8_t *)(uintptr_t)it->part->records + it->at,
				hot + sizeof(struct mr_log_record), it->entry.bytes);
			mr_stat_add(&fw->worker->stats.fetch_bytes_hot, it->entry.bytes);
			fw->items_started++;
			continue;
		}
		while (slot < READS_AT_ONCE && fw->reads[slot].item)
			slot++;
		if (slot == READS_AT_ONCE || !read_start(fw, &fw->reads[slot], it))
			return;
	}
	if (!fw->reads_open)
		finish(fw);
}

static void collect(struct mr_fetch_wait *fw)
{
	struct mr_fetch *f = fw->fetch;

	for (uint32_t i = 0; i < f->parts_count; i++) {
		struct mr_fetch_part *part = &f->parts[i];

		if (!part->records_bytes)
			continue;
		part->records = mr_request_alloc(f->request, part->records_bytes);
		if (!part->records) {
			// Memory is short: this partition comes with a later Fetch.
			for (uint32_t k = 0; k < fw->items_count; k++)
				if (fw->items[k].part == part)
					fw->items[k].part = NULL;
			part->records_bytes = 0;
		}
	}
	uint32_t kept = 0;
	for (uint32_t k = 0; k < fw->items_count; k++)
		if (fw->items[k].part)
			fw->items[kept++] = fw->items[k];
	fw->items_count = kept;
	fw->items_started = 0;
	read_next(fw);
}

// Plans; answers, or leaves it waiting. True when it is answered or being read.
static bool attempt(struct mr_fetch_wait *fw, int64_t now_ns)
{
	struct mr_fetch *f = fw->fetch;
	size_t total = plan(fw);

	// Like a read from disk, reading an index may take longer than the client's patience; what
	// there is of other partitions goes out meanwhile.
	if (fw->indexing) {
		mr_worker_wait_index(fw->worker);
		if (!total && !has_error(f) && now_ns != INT64_MAX)
			return false;
	}
	if ((int64_t)total < f->bytes_min && now_ns < fw->deadline_ns && !has_error(f))
		return false;
	collect(fw);
	return true;
}

// One that waits for an index has no deadline of its own.
static void enlist(struct mr_worker *w, struct mr_fetch_wait *fw)
{
	fw->next = w->fetches;
	w->fetches = fw;
	if (!fw->indexing)
		w->fetch_deadline_ns = MR_MIN(w->fetch_deadline_ns, fw->deadline_ns);
}

void mr_worker_fetch(struct mr_broker *b, struct mr_fetch *f)
{
	struct mr_worker *w = MR_CONTAINER(b, struct mr_worker, broker);
	struct mr_fetch_wait *fw = calloc(1, sizeof(*fw));
	int64_t now = mr_now_ns(w->clock);

	mr_stat_add(&w->stats.fetches, 1);
	if (!fw) {
		for (uint32_t i = 0; i < f->parts_count; i++)
			part_error(&f->parts[i], MR_KAFKA_KAFKA_STORAGE_ERROR);
		f->done(f);
		return;
	}
	fw->worker = w;
	fw->fetch = f;
	fw->room.ready = fetch_ready;
	fw->deadline_ns = now + (int64_t)MR_MAX(f->wait_ms_max, 0) * 1000000;
	f->wait[0] = fw;
	if (attempt(fw, now))
		return;
	mr_stat_add(&w->stats.fetches_waited, 1);
	enlist(w, fw);
}

static bool fetch_unlist(struct mr_worker *w, const struct mr_fetch_wait *fw)
{
	for (struct mr_fetch_wait **at = &w->fetches; *at; at = &(*at)->next) {
		if (*at == fw) {
			*at = fw->next;
			return true;
		}
	}
	return false;
}

void mr_worker_fetch_cancel(struct mr_broker *b, struct mr_fetch *f)
{
	struct mr_worker *w = MR_CONTAINER(b, struct mr_worker, broker);
	struct mr_fetch_wait *fw = f->wait[0];

	if (!fw)
		return;
	fw->cancelled = true;
	if (fetch_unlist(w, fw) || (fw->room.waiting && !fw->reads_open))
		finish(fw);
}

// Tries every waiting Fetch again. The list is taken whole: an answer may bring the next request,
// or end a connection that has another Fetch in the list.
static void fetches_retry(struct mr_worker *w, int64_t now_ns)
{
	struct mr_fetch_wait *list = w->fetches;

	w->fetch_wakeup = false;
	w->fetch_deadline_ns = INT64_MAX;
	w->fetches = NULL;
	while (list) {
		struct mr_fetch_wait *fw = list;

		list = fw->next;
		if (fw->cancelled) {
			finish(fw);
			continue;
		}
		if (attempt(fw, now_ns))
			continue;
		enlist(w, fw);
	}
}

void mr_worker_fetches_turn(struct mr_worker *w, int64_t now_ns)
{
	if (w->fetch_wakeup || now_ns >= w->fetch_deadline_ns)
		fetches_retry(w, now_ns);
}

void mr_worker_fetches_answer(struct mr_worker *w)
{
	fetches_retry(w, INT64_MAX);
}

void mr_worker_fetches_abort(struct mr_worker *w)
{
	while (w->fetches) {
		struct mr_fetch_wait *fw = w->fetches;

		w->fetches = fw->next;
		plan(fw);
		fw->items_count = 0;
		for (uint32_t i = 0; i < fw->fetch->parts_count; i++)
			fw->fetch->parts[i].records_bytes = 0;
		finish(fw);
	}
}
