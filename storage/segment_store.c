// Segments by id and by table, as the manifest's records make them.
#include "storage/segment_store.h"

#include "host/base/hash.h"
#include "storage/dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { RANGES_MAX = 1 << 16, TABLE_SLOTS = 1024, SLOTS_MIN = 1024 };

// A segment at its place.
struct node {
	struct node *chain; // of its slot
	struct mr_segment *segment;
	struct node *next, *previous; // of its table, in order
};

struct table {
	struct table *chain;
	uint64_t id;
	struct node *first, *last;
	size_t count;
	uint32_t expired_count;
	struct mr_offset_range *expired; // ascending by partition, from 0
};

struct mr_segment_store {
	struct mr_disk *disk;
	struct mr_manifest *manifest;
	struct mr_footer_cache *footers;
	pthread_mutex_t commits;
	pthread_mutex_t lock; // of everything below
	struct node **slots;  // by id
	size_t slots_count, count;
	struct table *tables[TABLE_SLOTS];
	uint64_t next_id;
	bool opened; // records come from appends now, and are durable
};

// ---- look-ups

static size_t slot_of(size_t slots, uint64_t id)
{
	return (size_t)mr_hash64(id, MR_HASH_SEED) & (slots - 1);
}

static struct node *find(const struct mr_segment_store *s, uint64_t id)
{
	struct node *n = s->slots_count ? s->slots[slot_of(s->slots_count, id)] : NULL;

	while (n && n->segment->info.id != id)
		n = n->chain;
	return n;
}

static void grow(struct mr_segment_store *s)
{
	size_t count = s->slots_count ? s->slots_count * 2 : SLOTS_MIN;
	struct node **slots = calloc(count, sizeof(struct node *));

	MR_ASSERT(slots);
	for (size_t i = 0; i < s->slots_count; i++) {
		for (struct node *n = s->slots[i], *next; n; n = next) {
			struct node **at = &slots[slot_of(count, n->segment->info.id)];

			next = n->chain;
			n->chain = *at;
			*at = n;
		}
	}
	free(s->slots);
	s->slots = slots;
	s->slots_count = count;
}

static struct table *find_table(const struct mr_segment_store *s, uint64_t id)
{
	struct table *t = s->tables[slot_of(TABLE_SLOTS, id)];

	while (t && t->id != id)
		t = t->chain;
	return t;
}

static struct table *need_table(struct mr_segment_store *s, uint64_t id)
{
	struct table *t = find_table(s, id), **at = &s->tables[slot_of(TABLE_SLOTS, id)];

	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	MR_ASSERT(t);
	*t = (struct table){.chain = *at, .id = id};
	*at = t;
	return t;
}

// Takes the reference of the caller. `before` NULL: at the end of its table.
static void insert(struct mr_segment_store *s, struct mr_segment *seg, struct node *before)
{
	struct table *t = need_table(s, seg->info.table_id);
	struct node *n = calloc(1, sizeof(*n)), **at;

	MR_ASSERT(n);
	if (s->count >= s->slots_count)
		grow(s);
	at = &s->slots[slot_of(s->slots_count, seg->info.id)];
	*n = (struct node){.chain = *at,
		.segment = seg,
		.next = before,
		.previous = before ? before->previous : t->last};
	*at = n;
	*(n->previous ? &n->previous->next : &t->first) = n;
	*(before ? &before->previous : &t->last) = n;
	t->count++;
	s->count++;
}

// Files of segments that are gone go with their last reader; those of an earlier life when it is
// certain that the record is durable, by mr_segment_store_clean.
static void take_out(struct mr_segment_store *s, struct node *n)
{
	struct table *t = find_table(s, n->segment->info.table_id);
	struct node **at = &s->slots[slot_of(s->slots_count, n->segment->info.id)];

	while (*at != n)
		at = &(*at)->chain;
	*at = n->chain;
	*(n->previous ? &n->previous->next : &t->first) = n->next;
	*(n->next ? &n->next->previous : &t->last) = n->previous;
	t->count--;
	s->count--;
	atomic_store_explicit(&n->segment->dropped, s->opened, memory_order_release);
	mr_segment_put(n->segment);
	free(n);
}

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
	mr_buf_le64(b, i->raw_bytes);
	mr_buf_le64(b, (uint64_t)i->time_min);
	mr_buf_le64(b, (uint64_t)i->time_max);
	mr_buf_le16(b, i->merges);
	mr_buf_le16(b, i->level);
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

// What a segment of version 1 does not say: it never expires.
static void load_more(struct mr_reader *r, uint16_t version, struct mr_segment_info *i)
{
	i->time_min = INT64_MIN;
	i->time_max = INT64_MAX;
	i->level = MR_SEGMENT_LEVEL_FAST;
	if (version < MR_SEGMENT_INFO_VERSION)
		return;
	i->raw_bytes = mr_read_le64(r);
	i->time_min = (int64_t)mr_read_le64(r);
	i->time_max = (int64_t)mr_read_le64(r);
	i->merges = mr_read_le16(r);
	i->level = mr_read_le16(r);
}

static int load(struct mr_reader *r, uint16_t version, struct mr_segment_info *i)
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
	load_more(r, version, i);
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

static int add(
	struct mr_segment_store *s, struct mr_reader *r, uint16_t version, struct node *before)
{
	struct mr_segment_info info = {0};
	struct mr_segment *seg;
	int rc = load(r, version, &info);

	if (rc == 0 &&
		(find(s, info.id) || (before && before->segment->info.table_id != info.table_id)))
		rc = MR_ERR_CORRUPT;
	if (rc == 0)
		rc = mr_segment_create(s->disk, &info, &seg);
	if (rc < 0) {
		free(info.ranges);
		return rc;
	}
	mr_footer_cache_join(s->footers, seg);
	insert(s, seg, before);
	s->next_id = MR_MAX(s->next_id, info.id + 1);
	return 0;
}

// Reads `count` ids of segments that follow each other in their table, and returns the first.
static struct node *find_run(struct mr_segment_store *s, struct mr_reader *r, uint32_t count)
{
	struct node *first = NULL, *last = NULL;

	for (uint32_t i = 0; i < count && !r->bad; i++) {
		struct node *n = find(s, mr_read_le64(r));

		if (!n || (last && last->next != n))
			return NULL;
		first = first ? first : n;
		last = n;
	}
	return r->bad ? NULL : first;
}

static int replace(struct mr_segment_store *s, struct mr_reader *r, uint16_t version)
{
	uint32_t count = mr_read_le32(r);
	struct node *old = find_run(s, r, count);
	int rc = old ? add(s, r, version, old) : (int)MR_ERR_CORRUPT;

	while (rc == 0 && count--) {
		struct node *next = old->next;

		take_out(s, old);
		old = next;
	}
	return rc;
}

static void note_expired(struct table *t, uint32_t partition, int64_t to)
{
	struct mr_offset_range *grown;
	uint32_t i = 0;

	while (i < t->expired_count && t->expired[i].partition < partition)
		i++;
	if (i < t->expired_count && t->expired[i].partition == partition) {
		t->expired[i].to = MR_MAX(t->expired[i].to, to);
		return;
	}
	grown = realloc(t->expired, (t->expired_count + 1) * sizeof(*grown));
	MR_ASSERT(grown);
	t->expired = grown;
	memmove(&grown[i + 1], &grown[i], (t->expired_count - i) * sizeof(*grown));
	grown[i] = (struct mr_offset_range){partition, 0, to};
	t->expired_count++;
}

static int expire(struct mr_segment_store *s, struct mr_reader *r)
{
	uint64_t table_id = mr_read_le64(r);
	uint32_t count = mr_read_le32(r), ranges;

	while (count-- && !r->bad) {
		struct node *n = find(s, mr_read_le64(r));

		if (!n || n->segment->info.table_id != table_id)
			return MR_ERR_CORRUPT;
		take_out(s, n);
	}
	ranges = mr_read_le32(r);
	if (r->bad || ranges > RANGES_MAX || mr_read_left(r) != ranges * (size_t)12)
		return MR_ERR_CORRUPT;
	while (ranges--) {
		uint32_t partition = mr_read_le32(r);

		note_expired(need_table(s, table_id), partition, (int64_t)mr_read_le64(r));
	}
	return 0;
}

static void drop_table(struct mr_segment_store *s, uint64_t table_id)
{
	struct table *t = find_table(s, table_id),
		     **at = &s->tables[slot_of(TABLE_SLOTS, table_id)];

	if (!t)
		return;
	while (t->first)
		take_out(s, t->first);
	while (*at != t)
		at = &(*at)->chain;
	*at = t->chain;
	free(t->expired);
	free(t);
}

static int apply(struct mr_segment_store *s, const struct mr_manifest_record *rec)
{
	struct mr_reader r = mr_reader(rec->payload);
	uint64_t next;
	int rc = 0;

	switch (rec->type) {
	case MR_SEGMENT_RECORD: rc = add(s, &r, rec->version, NULL); break;
	case MR_SEGMENT_RECORD_NEXT_ID:
		next = mr_read_le64(&r);
		s->next_id = MR_MAX(s->next_id, next);
		break;
	case MR_SEGMENT_RECORD_TABLE_DROPPED: drop_table(s, mr_read_le64(&r)); break;
	case MR_SEGMENT_RECORD_REPLACED: rc = replace(s, &r, rec->version); break;
	default: rc = expire(s, &r); break;
	}
	return rc == 0 && (r.bad || mr_read_left(&r)) ? (int)MR_ERR_CORRUPT : rc;
}

static int replay(void *ctx, const struct mr_manifest_record *rec, struct mr_diag *diag)
{
	struct mr_segment_store *s = ctx;
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = apply(s, rec);
	pthread_mutex_unlock(&s->lock);
	if (rc < 0)
		return mr_diag_set(
			diag, rc, "XX001", 0, "segment record of type %u is damaged", rec->type);
	return 0;
}

static void save_expired(struct mr_buf *b, uint64_t table_id, struct mr_segment *const *old,
	uint32_t count, const struct mr_offset_range *ranges, uint32_t ranges_count)
{
	mr_buf_le64(b, table_id);
	mr_buf_le32(b, count);
	for (uint32_t i = 0; i < count; i++)
		mr_buf_le64(b, old[i]->info.id);
	mr_buf_le32(b, ranges_count);
	for (uint32_t i = 0; i < ranges_count; i++) {
		mr_buf_le32(b, ranges[i].partition);
		mr_buf_le64(b, (uint64_t)ranges[i].to);
	}
}

static void snapshot_table(const struct table *t, struct mr_buf *out)
{
	struct mr_buf b = {0};

	for (const struct node *n = t->first; n; n = n->next) {
		mr_buf_reset(&b);
		save(&b, &n->segment->info);
		mr_manifest_emit(out, MR_SEGMENT_RECORD, MR_SEGMENT_INFO_VERSION, mr_buf_span(&b));
	}
	if (t->expired_count) {
		mr_buf_reset(&b);
		save_expired(&b, t->id, NULL, 0, t->expired, t->expired_count);
		mr_manifest_emit(
			out, MR_SEGMENT_RECORD_EXPIRED, MR_SEGMENT_RECORD_VERSION, mr_buf_span(&b));
	}
	MR_ASSERT(!b.failed);
	mr_buf_fini(&b);
}

static void snapshot(void *ctx, struct mr_buf *out)
{
	struct mr_segment_store *s = ctx;
	struct mr_buf b = {0};

	pthread_mutex_lock(&s->lock);
	mr_buf_le64(&b, s->next_id);
	mr_manifest_emit(
		out, MR_SEGMENT_RECORD_NEXT_ID, MR_SEGMENT_RECORD_VERSION, mr_buf_span(&b));
	for (size_t i = 0; i < TABLE_SLOTS; i++)
		for (const struct table *t = s->tables[i]; t; t = t->chain)
			snapshot_table(t, out);
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
		MR_SEGMENT_INFO_VERSION, s, replay, snapshot};

	if (!s || mr_footer_cache_create(MR_SEGMENT_FOOTER_BYTES, &s->footers) < 0) {
		free(s);
		return -ENOMEM;
	}
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
	s->opened = false; // files stay
	for (size_t i = 0; i < TABLE_SLOTS; i++)
		while (s->tables[i])
			drop_table(s, s->tables[i]->id);
	free(s->slots);
	mr_footer_cache_put(s->footers);
	pthread_mutex_destroy(&s->commits);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct mr_footer_cache *mr_segment_store_footers(struct mr_segment_store *s)
{
	return s->footers;
}

static_assert(MR_SEGMENT_NAME_BYTES <= MR_DIR_NAME_BYTES);

static bool has(void *owner, uint64_t id)
{
	struct mr_segment_store *s = owner;
	bool found;

	pthread_mutex_lock(&s->lock);
	found = find(s, id) != NULL;
	pthread_mutex_unlock(&s->lock);
	return found;
}

int mr_segment_store_clean(struct mr_segment_store *s)
{
	pthread_mutex_lock(&s->lock);
	s->opened = true;
	pthread_mutex_unlock(&s->lock);
	return mr_dir_clean(s->disk, &(struct mr_dir_files){"seg", mr_segment_name, has, s});
}

uint64_t mr_segment_store_id(struct mr_segment_store *s)
{
	uint64_t id;

	pthread_mutex_lock(&s->lock);
	id = s->next_id++;
	pthread_mutex_unlock(&s->lock);
	return id;
}

// Appends a record that makes the segment exist, and what goes with it.
static int commit(struct mr_segment_store *s, uint16_t type, const struct mr_buf *payload,
	const struct mr_segment_info *info, const struct mr_manifest_record *also,
	size_t also_count, struct mr_segment **out)
{
	struct mr_manifest_record *records = calloc(also_count + 1, sizeof(*records));
	int rc = records && !payload->failed ? 0 : -ENOMEM;

	if (rc == 0) {
		records[0] = (struct mr_manifest_record){
			type, MR_SEGMENT_INFO_VERSION, mr_buf_span(payload)};
		if (also_count)
			memcpy(records + 1, also, also_count * sizeof(*records));
		rc = mr_manifest_append(s->manifest, records, also_count + 1);
	}
	free(records);
	if (rc < 0)
		return rc;
	*out = mr_segment_store_find(s, info->id);
	MR_ASSERT(*out);
	free(info->ranges);
	return 0;
}

int mr_segment_store_commit(struct mr_segment_store *s, const struct mr_segment_info *info,
	const struct mr_manifest_record *also, size_t also_count, struct mr_segment **out)
{
	struct mr_buf b = {0};
	int rc;

	save(&b, info);
	rc = commit(s, MR_SEGMENT_RECORD, &b, info, also, also_count, out);
	mr_buf_fini(&b);
	return rc;
}

int mr_segment_store_replace(struct mr_segment_store *s, const struct mr_segment_info *info,
	struct mr_segment *const *old, uint32_t count, struct mr_segment **out)
{
	struct mr_buf b = {0};
	int rc;

	MR_ASSERT(count > 0);
	mr_buf_le32(&b, count);
	for (uint32_t i = 0; i < count; i++)
		mr_buf_le64(&b, old[i]->info.id);
	save(&b, info);
	rc = commit(s, MR_SEGMENT_RECORD_REPLACED, &b, info, NULL, 0, out);
	mr_buf_fini(&b);
	return rc;
}

int mr_segment_store_expire(struct mr_segment_store *s, uint64_t table_id,
	struct mr_segment *const *old, uint32_t count)
{
	struct mr_manifest_record rec = {MR_SEGMENT_RECORD_EXPIRED, MR_SEGMENT_RECORD_VERSION, {0}};
	struct table held = {0};
	struct mr_buf b = {0};
	int rc;

	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < old[i]->info.ranges_count; k++)
			note_expired(
				&held, old[i]->info.ranges[k].partition, old[i]->info.ranges[k].to);
	save_expired(&b, table_id, old, count, held.expired, held.expired_count);
	rec.payload = mr_buf_span(&b);
	rc = b.failed ? -ENOMEM : mr_manifest_append(s->manifest, &rec, 1);
	mr_buf_fini(&b);
	free(held.expired);
	return rc;
}

struct mr_segment *mr_segment_store_find(struct mr_segment_store *s, uint64_t id)
{
	struct node *n;
	struct mr_segment *seg;

	pthread_mutex_lock(&s->lock);
	n = find(s, id);
	seg = n ? mr_segment_get(n->segment) : NULL;
	pthread_mutex_unlock(&s->lock);
	return seg;
}

static int list_table(const struct table *t, struct mr_segment **out)
{
	int n = 0;

	for (const struct node *k = t ? t->first : NULL; k; k = k->next)
		out[n++] = mr_segment_get(k->segment);
	return n;
}

int mr_segment_store_list(struct mr_segment_store *s, uint64_t table_id, struct mr_segment ***out)
{
	const struct table *t;
	int n = 0;

	pthread_mutex_lock(&s->lock);
	t = find_table(s, table_id);
	*out = calloc((table_id ? t ? t->count : 0 : s->count) + 1, sizeof(struct mr_segment *));
	if (*out && table_id)
		n = list_table(t, *out);
	for (size_t i = 0; *out && !table_id && i < TABLE_SLOTS; i++)
		for (t = s->tables[i]; t; t = t->chain)
			n += list_table(t, *out + n);
	pthread_mutex_unlock(&s->lock);
	return *out ? n : -ENOMEM;
}

int mr_segment_store_expired(
	struct mr_segment_store *s, uint64_t table_id, struct mr_offset_range **out)
{
	const struct table *t;
	int n;

	pthread_mutex_lock(&s->lock);
	t = find_table(s, table_id);
	n = t ? (int)t->expired_count : 0;
	*out = calloc((size_t)n + 1, sizeof(**out));
	if (*out && n)
		memcpy(*out, t->expired, (size_t)n * sizeof(**out));
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
