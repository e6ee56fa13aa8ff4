// Segments by id, as the manifest's records make them.
#include "storage/segment_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { RANGES_MAX = 1 << 16 };

struct mr_segment_store {
	struct mr_disk *disk;
	struct mr_manifest *manifest;
	pthread_mutex_t commits;
	pthread_mutex_t lock; // of everything below
	struct mr_segment **list;
	size_t count, max;
	uint64_t next_id;
	bool opened; // records come from appends now, and are durable
};

// ---- records

static void save(struct mr_buf *b, const struct mr_segment_info *i)
{
	mr_buf_le64(b, i->id);
	mr_buf_le64(b, i->table_id);
	mr_buf_le64(b, i->rows);
	mr_buf_le64(b, i->dead_rows);
	mr_buf_le64(b, i->file_bytes);
	mr_buf_le64(b, i->footer_at);
	mr_buf_le32(b, i->footer_bytes);
	mr_buf_le32(b, i->footer_raw_bytes);
	mr_buf_le64(b, i->footer_checksum);
	mr_buf_le64(b, i->fingerprint);
	mr_buf_le32(b, i->ranges_count);
	for (uint32_t k = 0; k < i->ranges_count; k++) {
		mr_buf_le32(b, i->ranges[k].partition);
		mr_buf_le64(b, (uint64_t)i->ranges[k].from);
		mr_buf_le64(b, (uint64_t)i->ranges[k].to);
	}
}

static bool sane(const struct mr_segment_info *i)
{
	return i->file_bytes > MR_SEGMENT_HEAD_BYTES && i->footer_at < i->file_bytes &&
	       i->footer_bytes <= i->file_bytes - i->footer_at && i->footer_raw_bytes &&
	       i->footer_raw_bytes <= MR_ZIP_BYTES_MAX && i->ranges_count <= RANGES_MAX;
}

static int load(struct mr_reader *r, struct mr_segment_info *i)
{
	i->id = mr_read_le64(r);
	i->table_id = mr_read_le64(r);
	i->rows = mr_read_le64(r);
	i->dead_rows = mr_read_le64(r);
	i->file_bytes = mr_read_le64(r);
	i->footer_at = mr_read_le64(r);
	i->footer_bytes = mr_read_le32(r);
	i->footer_raw_bytes = mr_read_le32(r);
	i->footer_checksum = mr_read_le64(r);
	i->fingerprint = mr_read_le64(r);
	i->ranges_count = mr_read_le32(r);
	if (r->bad || !sane(i) || mr_read_left(r) != i->ranges_count * (size_t)20)
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

static int add(struct mr_segment_store *s, struct mr_reader *r)
{
	struct mr_segment_info info = {0};
	struct mr_segment *seg;
	int rc = load(r, &info);

	if (rc == 0)
		rc = mr_segment_create(s->disk, &info, &seg);
	if (rc < 0) {
		free(info.ranges);
		return rc;
	}
	if (s->count == s->max) {
		size_t max = s->max * 2 + 64;
		struct mr_segment **list = realloc(s->list, max * sizeof(struct mr_segment *));

		MR_ASSERT(list);
		s->list = list;
		s->max = max;
	}
	s->list[s->count++] = seg;
	s->next_id = MR_MAX(s->next_id, info.id + 1);
	return 0;
}

// Files of dropped segments go with their last reader; those of an earlier life when it is certain
// that the record is durable, by mr_segment_store_clean.
static void drop_table(struct mr_segment_store *s, uint64_t table_id)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct mr_segment *seg = s->list[i];

		if (seg->info.table_id != table_id) {
			s->list[kept++] = seg;
			continue;
		}
		atomic_store_explicit(&seg->dropped, s->opened, memory_order_release);
		mr_segment_put(seg);
	}
	s->count = kept;
}

static int apply(struct mr_segment_store *s, uint16_t type, struct mr_reader *r)
{
	uint64_t n;

	switch (type) {
	case MR_SEGMENT_RECORD: return add(s, r);
	case MR_SEGMENT_RECORD_NEXT_ID:
		n = mr_read_le64(r);
		s->next_id = MR_MAX(s->next_id, n);
		break;
	default: drop_table(s, mr_read_le64(r)); break;
	}
	return r->bad || mr_read_left(r) ? (int)MR_ERR_CORRUPT : 0;
}

static int replay(void *ctx, const struct mr_manifest_record *rec, struct mr_diag *diag)
{
	struct mr_segment_store *s = ctx;
	struct mr_reader r = mr_reader(rec->payload);
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = apply(s, rec->type, &r);
	pthread_mutex_unlock(&s->lock);
	if (rc < 0)
		return mr_diag_set(
			diag, rc, "XX001", 0, "segment record of type %u is damaged", rec->type);
	return 0;
}

static void snapshot(void *ctx, struct mr_buf *out)
{
	struct mr_segment_store *s = ctx;
	struct mr_buf b = {0};

	pthread_mutex_lock(&s->lock);
	mr_buf_le64(&b, s->next_id);
	mr_manifest_emit(
		out, MR_SEGMENT_RECORD_NEXT_ID, MR_SEGMENT_RECORD_VERSION, mr_buf_span(&b));
	for (size_t i = 0; i < s->count; i++) {
		mr_buf_reset(&b);
		save(&b, &s->list[i]->info);
		mr_manifest_emit(
			out, MR_SEGMENT_RECORD, MR_SEGMENT_RECORD_VERSION, mr_buf_span(&b));
	}
	pthread_mutex_unlock(&s->lock);
	MR_ASSERT(!b.failed);
	mr_buf_fini(&b);
}

// ---- life

int mr_segment_store_create(
	struct mr_disk *disk, struct mr_manifest *manifest, struct mr_segment_store **out)
{
	struct mr_segment_store *s = calloc(1, sizeof(*s));
	const struct mr_manifest_owner owner = {MR_SEGMENT_RECORD, MR_SEGMENT_RECORD_LAST,
		MR_SEGMENT_RECORD_VERSION, s, replay, snapshot};

	if (!s)
		return -ENOMEM;
	s->disk = disk;
	s->manifest = manifest;
	s->next_id = 1;
	pthread_mutex_init(&s->commits, NULL);
	pthread_mutex_init(&s->lock, NULL);
	mr_manifest_register(manifest, &owner);
	*out = s;
	return 0;
}

void mr_segment_store_destroy(struct mr_segment_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		mr_segment_put(s->list[i]);
	free(s->list);
	pthread_mutex_destroy(&s->commits);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct cleaning {
	struct mr_segment_store *store;
	struct mr_buf names; // to remove, each with its NUL
};

static int find_orphan(void *arg, const char *entry)
{
	struct cleaning *k = arg;

	for (size_t i = 0; i < k->store->count; i++) {
		char name[MR_SEGMENT_NAME_BYTES];

		mr_segment_name(k->store->list[i]->info.id, name);
		if (strcmp(name + strlen("seg/"), entry) == 0)
			return 0;
	}
	mr_buf_str(&k->names, "seg/");
	mr_buf_add(&k->names, entry, strlen(entry) + 1);
	return 0;
}

int mr_segment_store_clean(struct mr_segment_store *s)
{
	struct cleaning k = {s, {0}};
	int rc;

	pthread_mutex_lock(&s->lock);
	s->opened = true;
	rc = mr_disk_list(s->disk, "seg", find_orphan, &k);
	pthread_mutex_unlock(&s->lock);
	if (k.names.failed)
		rc = -ENOMEM;
	for (size_t at = 0; rc == 0 && at < k.names.bytes;) {
		const char *name = (const char *)k.names.data + at;

		rc = mr_disk_unlink(s->disk, name);
		at += strlen(name) + 1;
	}
	mr_buf_fini(&k.names);
	return rc;
}

uint64_t mr_segment_store_id(struct mr_segment_store *s)
{
	uint64_t id;

	pthread_mutex_lock(&s->lock);
	id = s->next_id++;
	pthread_mutex_unlock(&s->lock);
	return id;
}

int mr_segment_store_commit(struct mr_segment_store *s, const struct mr_segment_info *info,
	const struct mr_manifest_record *also, size_t also_count, struct mr_segment **out)
{
	struct mr_manifest_record *records = calloc(also_count + 1, sizeof(*records));
	struct mr_buf b = {0};
	int rc;

	if (!records)
		return -ENOMEM;
	save(&b, info);
	records[0] = (struct mr_manifest_record){
		MR_SEGMENT_RECORD, MR_SEGMENT_RECORD_VERSION, mr_buf_span(&b)};
	if (also_count)
		memcpy(records + 1, also, also_count * sizeof(*records));
	rc = b.failed ? -ENOMEM : mr_manifest_append(s->manifest, records, also_count + 1);
	mr_buf_fini(&b);
	free(records);
	if (rc < 0)
		return rc;
	*out = NULL;
	pthread_mutex_lock(&s->lock);
	for (size_t i = s->count; i-- > 0 && !*out;)
		if (s->list[i]->info.id == info->id)
			*out = mr_segment_get(s->list[i]);
	pthread_mutex_unlock(&s->lock);
	MR_ASSERT(*out);
	free(info->ranges);
	return 0;
}

int mr_segment_store_list(struct mr_segment_store *s, uint64_t table_id, struct mr_segment ***out)
{
	int n = 0;

	pthread_mutex_lock(&s->lock);
	*out = calloc(s->count + 1, sizeof(struct mr_segment *));
	for (size_t i = 0; *out && i < s->count; i++)
		if (!table_id || s->list[i]->info.table_id == table_id)
			(*out)[n++] = mr_segment_get(s->list[i]);
	pthread_mutex_unlock(&s->lock);
	return *out ? n : -ENOMEM;
}

void mr_segment_store_table_dropped(struct mr_buf *out, uint64_t table_id)
{
	mr_buf_le64(out, table_id);
}

void mr_segment_store_lock_commits(struct mr_segment_store *s)
{
	pthread_mutex_lock(&s->commits);
}

void mr_segment_store_unlock_commits(struct mr_segment_store *s)
{
	pthread_mutex_unlock(&s->commits);
}
