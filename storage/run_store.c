// Runs by id, as the manifest's records make them.
#include "storage/run_store.h"

#include "host/base/place.h"
#include "storage/dir.h"

#include <errno.h>
#include <stdlib.h>

enum { RANGES_MAX = 1 << 16, RANGE_BYTES = 20, FOOTER_BYTES_MAX = 1 << 28, END_BYTES = 48 };

struct mr_run_store {
	struct mr_disk *disk;
	struct mr_manifest *manifest;
	pthread_mutex_t lock; // of everything below
	struct mr_run **list; // by ascending id, nearly always the order of appends
	size_t count, max;
	uint64_t next_id;
	bool opened; // records come from appends now, and are durable
};

// ---- records

void mr_run_store_save(struct mr_buf *b, const struct mr_run_info *i)
{
	mr_buf_le64(b, i->id);
	mr_buf_le64(b, i->view_id);
	mr_buf_le64(b, i->table_id);
	mr_buf_le64(b, i->fingerprint);
	mr_buf_le64(b, i->groups);
	mr_buf_le64(b, i->raw_bytes);
	mr_buf_le64(b, i->rows_failed);
	mr_buf_le64(b, i->rows_untimed);
	mr_buf_le64(b, i->file_bytes);
	mr_buf_le64(b, i->footer_at);
	mr_buf_le64(b, i->footer_checksum);
	mr_buf_le32(b, i->footer_bytes);
	mr_buf_le32(b, i->ranges_count);
	for (uint32_t k = 0; k < i->ranges_count; k++) {
		mr_buf_le32(b, i->ranges[k].partition);
		mr_buf_le64(b, (uint64_t)i->ranges[k].from);
		mr_buf_le64(b, (uint64_t)i->ranges[k].to);
	}
}

void mr_run_store_dropped(struct mr_buf *out, uint64_t id)
{
	mr_buf_le64(out, id);
}

static bool sane(const struct mr_run_info *i)
{
	return i->id && i->view_id && i->footer_at >= MR_RUN_HEAD_BYTES &&
	       i->footer_at < i->file_bytes && i->footer_bytes <= FOOTER_BYTES_MAX &&
	       i->file_bytes - i->footer_at == (uint64_t)i->footer_bytes + END_BYTES &&
	       i->ranges_count <= RANGES_MAX;
}

static int load(struct mr_reader *r, struct mr_run_info *i)
{
	i->id = mr_read_le64(r);
	i->view_id = mr_read_le64(r);
	i->table_id = mr_read_le64(r);
	i->fingerprint = mr_read_le64(r);
	i->groups = mr_read_le64(r);
	i->raw_bytes = mr_read_le64(r);
	i->rows_failed = mr_read_le64(r);
	i->rows_untimed = mr_read_le64(r);
	i->file_bytes = mr_read_le64(r);
	i->footer_at = mr_read_le64(r);
	i->footer_checksum = mr_read_le64(r);
	i->footer_bytes = mr_read_le32(r);
	i->ranges_count = mr_read_le32(r);
	if (r->bad || !sane(i) || mr_read_left(r) != i->ranges_count * (size_t)RANGE_BYTES)
		return MR_ERR_CORRUPT;
	i->ranges = calloc(i->ranges_count + 1, sizeof(*i->ranges));
	if (!i->ranges)
		return -ENOMEM;
	for (uint32_t k = 0; k < i->ranges_count; k++) {
		i->ranges[k].partition = mr_read_le32(r);
		i->ranges[k].from = (int64_t)mr_read_le64(r);
		i->ranges[k].to = (int64_t)mr_read_le64(r);
		r->bad |= i->ranges[k].from < 0 || i->ranges[k].to <= i->ranges[k].from;
	}
	return r->bad ? (int)MR_ERR_CORRUPT : 0;
}

static uint64_t id_at(const void *list, size_t at)
{
	return ((struct mr_run *const *)list)[at]->info.id;
}

// Where the run of this id stands or would stand.
static size_t place_of(const struct mr_run_store *s, uint64_t id)
{
	return mr_place_of(s->list, s->count, id, id_at);
}

static bool is_at(const struct mr_run_store *s, size_t at, uint64_t id)
{
	return at < s->count && s->list[at]->info.id == id;
}

static int add(struct mr_run_store *s, struct mr_reader *r)
{
	struct mr_run_info info = {0};
	struct mr_run *run;
	int rc = load(r, &info);
	size_t at = place_of(s, info.id);

	if (rc == 0 && is_at(s, at, info.id))
		rc = MR_ERR_CORRUPT;
	if (rc == 0)
		rc = mr_run_create(s->disk, &info, &run);
	if (rc < 0) {
		free(info.ranges);
		return rc;
	}
	if (s->count == s->max) {
		size_t max = s->max * 2 + 64;
		struct mr_run **list = realloc(s->list, max * sizeof(struct mr_run *));

		MR_ASSERT(list);
		s->list = list;
		s->max = max;
	}
	memmove(&s->list[at + 1], &s->list[at], (s->count++ - at) * sizeof(s->list[0]));
	s->list[at] = run;
	s->next_id = MR_MAX(s->next_id, info.id + 1);
	return 0;
}

// Files of dropped runs go with their last reader; those of an earlier life when it is certain that
// the record is durable, by mr_run_store_clean.
static void let_go(const struct mr_run_store *s, struct mr_run *run)
{
	atomic_store_explicit(&run->dropped, s->opened, memory_order_release);
	mr_run_put(run);
}

// All runs of a view, or of the views of a table.
static void drop(struct mr_run_store *s, uint16_t type, uint64_t id)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct mr_run_info *info = &s->list[i]->info;

		if (id == (type == MR_RUN_RECORD_VIEW_DROPPED ? info->view_id : info->table_id))
			let_go(s, s->list[i]);
		else
			s->list[kept++] = s->list[i];
	}
	s->count = kept;
}

// What is replaced exists: a record that says otherwise is not ours.
static int replace(struct mr_run_store *s, struct mr_reader *r)
{
	uint64_t view_id = mr_read_le64(r);
	uint32_t count = mr_read_le32(r);

	if (r->bad || count == 0 || mr_read_left(r) != count * (size_t)8)
		return MR_ERR_CORRUPT;
	while (count--) {
		uint64_t id = mr_read_le64(r);
		size_t at = place_of(s, id);

		if (!is_at(s, at, id) || s->list[at]->info.view_id != view_id)
			return MR_ERR_CORRUPT;
		let_go(s, s->list[at]);
		memmove(&s->list[at], &s->list[at + 1], (--s->count - at) * sizeof(s->list[0]));
	}
	return 0;
}

static int apply(struct mr_run_store *s, uint16_t type, struct mr_reader *r)
{
	uint64_t n;

	if (type == MR_RUN_RECORD)
		return add(s, r);
	if (type == MR_RUN_RECORD_REPLACED)
		return replace(s, r);
	n = mr_read_le64(r);
	if (r->bad || mr_read_left(r))
		return MR_ERR_CORRUPT;
	if (type == MR_RUN_RECORD_NEXT_ID)
		s->next_id = MR_MAX(s->next_id, n);
	else
		drop(s, type, n);
	return 0;
}

static int replay(void *ctx, const struct mr_manifest_record *rec, struct mr_diag *diag)
{
	struct mr_run_store *s = ctx;
	struct mr_reader r = mr_reader(rec->payload);
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = apply(s, rec->type, &r);
	pthread_mutex_unlock(&s->lock);
	if (rc < 0)
		return mr_diag_set(
			diag, rc, "XX001", 0, "run record of type %u is damaged", rec->type);
	return 0;
}

static void snapshot(void *ctx, struct mr_buf *out)
{
	struct mr_run_store *s = ctx;
	struct mr_buf b = {0};

	pthread_mutex_lock(&s->lock);
	mr_buf_le64(&b, s->next_id);
	mr_manifest_emit(out, MR_RUN_RECORD_NEXT_ID, MR_RUN_RECORD_VERSION, mr_buf_span(&b));
	for (size_t i = 0; i < s->count; i++) {
		mr_buf_reset(&b);
		mr_run_store_save(&b, &s->list[i]->info);
		mr_manifest_emit(out, MR_RUN_RECORD, MR_RUN_RECORD_VERSION, mr_buf_span(&b));
	}
	pthread_mutex_unlock(&s->lock);
	MR_ASSERT(!b.failed);
	mr_buf_fini(&b);
}

// ---- life

int mr_run_store_create(
	struct mr_disk *disk, struct mr_manifest *manifest, struct mr_run_store **out)
{
	struct mr_run_store *s = calloc(1, sizeof(*s));
	const struct mr_manifest_owner owner = {
		MR_RUN_RECORD, MR_RUN_RECORD_LAST, MR_RUN_RECORD_VERSION, s, replay, snapshot};

	if (!s)
		return -ENOMEM;
	s->disk = disk;
	s->manifest = manifest;
	s->next_id = 1;
	pthread_mutex_init(&s->lock, NULL);
	mr_manifest_register(manifest, &owner);
	*out = s;
	return 0;
}

void mr_run_store_destroy(struct mr_run_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		mr_run_put(s->list[i]);
	free(s->list);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static_assert(MR_RUN_NAME_BYTES <= MR_DIR_NAME_BYTES);

static bool has(void *owner, uint64_t id)
{
	struct mr_run_store *s = owner;
	bool found;

	pthread_mutex_lock(&s->lock);
	found = is_at(s, place_of(s, id), id);
	pthread_mutex_unlock(&s->lock);
	return found;
}

int mr_run_store_clean(struct mr_run_store *s)
{
	pthread_mutex_lock(&s->lock);
	s->opened = true;
	pthread_mutex_unlock(&s->lock);
	return mr_dir_clean(s->disk, &(struct mr_dir_files){"run", mr_run_name, has, s});
}

uint64_t mr_run_store_id(struct mr_run_store *s)
{
	uint64_t id;

	pthread_mutex_lock(&s->lock);
	id = s->next_id++;
	pthread_mutex_unlock(&s->lock);
	return id;
}

// The records of a commit, whose payloads lie in one buffer.
static int commit(struct mr_run_store *s, const struct mr_run_info *infos, uint32_t infos_count,
	struct mr_buf *b, struct mr_manifest_record *records, uint32_t *ends)
{
	uint32_t count = infos_count;

	for (uint32_t i = 0; i < infos_count; i++) {
		mr_run_store_save(b, &infos[i]);
		ends[i] = (uint32_t)b->bytes;
	}
	if (ends[infos_count])
		count++;
	if (b->failed)
		return -ENOMEM;
	for (uint32_t i = 0, at = 0; i < infos_count; at = ends[i++])
		records[i] = (struct mr_manifest_record){
			MR_RUN_RECORD, MR_RUN_RECORD_VERSION, mr_span(b->data + at, ends[i] - at)};
	return mr_manifest_append(s->manifest, records, count);
}

int mr_run_store_commit(struct mr_run_store *s, const struct mr_run_info *infos,
	uint32_t infos_count, struct mr_run *const *replaced, uint32_t replaced_count)
{
	struct mr_manifest_record *records = calloc(infos_count + 1, sizeof(*records));
	uint32_t *ends = calloc(infos_count + 1, sizeof(*ends));
	struct mr_buf b = {0}, gone = {0};
	int rc = records && ends ? 0 : -ENOMEM;

	if (replaced_count) {
		mr_buf_le64(&gone, replaced[0]->info.view_id);
		mr_buf_le32(&gone, replaced_count);
		for (uint32_t i = 0; i < replaced_count; i++)
			mr_buf_le64(&gone, replaced[i]->info.id);
		if (gone.failed)
			rc = -ENOMEM;
	}
	if (rc == 0) {
		records[infos_count] = (struct mr_manifest_record){
			MR_RUN_RECORD_REPLACED, MR_RUN_RECORD_VERSION, mr_buf_span(&gone)};
		ends[infos_count] = replaced_count;
		rc = commit(s, infos, infos_count, &b, records, ends);
	}
	mr_buf_fini(&b);
	mr_buf_fini(&gone);
	free(records);
	free(ends);
	return rc;
}

int mr_run_store_drop_view(struct mr_run_store *s, uint64_t view_id)
{
	struct mr_manifest_record record = {MR_RUN_RECORD_VIEW_DROPPED, MR_RUN_RECORD_VERSION, {0}};
	struct mr_buf b = {0};
	int rc;

	mr_run_store_dropped(&b, view_id);
	record.payload = mr_buf_span(&b);
	rc = b.failed ? -ENOMEM : mr_manifest_append(s->manifest, &record, 1);
	mr_buf_fini(&b);
	return rc;
}

struct mr_run *mr_run_store_find(struct mr_run_store *s, uint64_t id)
{
	struct mr_run *run = NULL;
	size_t at;

	pthread_mutex_lock(&s->lock);
	at = place_of(s, id);
	if (is_at(s, at, id))
		run = mr_run_get(s->list[at]);
	pthread_mutex_unlock(&s->lock);
	return run;
}

int mr_run_store_list(struct mr_run_store *s, uint64_t view_id, struct mr_run ***out)
{
	int n = 0;

	pthread_mutex_lock(&s->lock);
	*out = calloc(s->count + 1, sizeof(struct mr_run *));
	for (size_t i = 0; *out && i < s->count; i++)
		if (!view_id || s->list[i]->info.view_id == view_id)
			(*out)[n++] = mr_run_get(s->list[i]);
	pthread_mutex_unlock(&s->lock);
	return *out ? n : -ENOMEM;
}
