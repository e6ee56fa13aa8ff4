// Writing and reading runs: head, blocks, footer, trailer.
#include "storage/run.h"

#include "host/base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD_MAGIC    0x316e757265636c6dull // "mlcerun1"
#define TRAILER_MAGIC 0x31646e656e75726dull // "mrunend1"

enum {
	WRITE_BYTES = 1 << 20,
	ZSTD_LEVEL = 1,
	BLOCK_SAVED_BYTES = 31,
	BLOCK_ZSTD = 1,
	WRITTEN_MAX = 64, // descriptors that wait for a flush
};

struct head {
	uint64_t checksum; // of the rest
	uint64_t magic;
	uint16_t version;
	uint16_t flags; // 0
	uint32_t zero;
	uint64_t id;
	uint64_t view_id;
	uint64_t table_id;
	uint64_t fingerprint;
	uint64_t zeros;
};

static_assert(sizeof(struct head) == MR_RUN_HEAD_BYTES);

struct trailer {
	uint64_t checksum; // of the rest
	uint64_t magic;
	uint64_t id;
	uint64_t footer_at;
	uint32_t footer_bytes;
	uint32_t zero;
	uint64_t footer_checksum;
};

static_assert(sizeof(struct trailer) == 48);

void mr_run_name(uint64_t id, char out[MR_RUN_NAME_BYTES])
{
	snprintf(out, MR_RUN_NAME_BYTES, "run/%016llx.run", (unsigned long long)id);
}

// ---- writing

struct mr_run_writer {
	struct mr_disk *disk;
	struct mr_zip *zip;
	struct mr_file *file; // NULL: no run is being written
	uint64_t id;
	uint64_t at; // in the file: of pending's end
	struct mr_buf packed;
	struct mr_buf pending;
	struct mr_buf footer;
	uint32_t blocks;
	uint64_t groups, raw_bytes;
	struct mr_file *written[WRITTEN_MAX]; // whole, not flushed yet
	uint32_t written_count;
};

int mr_run_writer_create(struct mr_disk *disk, struct mr_run_writer **out)
{
	struct mr_run_writer *w = calloc(1, sizeof(*w));
	int rc = w ? mr_zip_create(&w->zip) : -ENOMEM;

	if (rc < 0) {
		free(w);
		return rc;
	}
	w->disk = disk;
	*out = w;
	return 0;
}

void mr_run_writer_destroy(struct mr_run_writer *w)
{
	if (!w)
		return;
	mr_run_abort(w);
	for (uint32_t i = 0; i < w->written_count; i++)
		mr_file_close(w->written[i]);
	mr_zip_destroy(w->zip);
	mr_buf_fini(&w->packed);
	mr_buf_fini(&w->pending);
	mr_buf_fini(&w->footer);
	free(w);
}

void mr_run_abort(struct mr_run_writer *w)
{
	char name[MR_RUN_NAME_BYTES];

	if (!w->file)
		return;
	mr_file_close(w->file);
	w->file = NULL;
	mr_run_name(w->id, name);
	(void)!mr_disk_unlink(w->disk, name);
}

static int flush(struct mr_run_writer *w)
{
	int rc = w->pending.failed ? -ENOMEM : 0;

	if (rc == 0 && w->pending.bytes)
		rc = mr_file_write(
			w->file, w->at - w->pending.bytes, w->pending.data, w->pending.bytes);
	mr_buf_reset(&w->pending);
	return rc;
}

static int put(struct mr_run_writer *w, const void *data, size_t bytes)
{
	mr_buf_add(&w->pending, data, bytes);
	w->at += bytes;
	return w->pending.bytes >= WRITE_BYTES || w->pending.failed ? flush(w) : 0;
}

static int failed(struct mr_run_writer *w, int rc)
{
	if (rc < 0)
		mr_run_abort(w);
	return rc;
}

int mr_run_begin(struct mr_run_writer *w, const struct mr_run_info *info)
{
	struct head h = {.magic = HEAD_MAGIC,
		.version = MR_RUN_VERSION,
		.id = info->id,
		.view_id = info->view_id,
		.table_id = info->table_id,
		.fingerprint = info->fingerprint};
	char name[MR_RUN_NAME_BYTES];
	int rc;

	MR_ASSERT(!w->file);
	if (w->written_count == WRITTEN_MAX) {
		rc = mr_run_sync(w);
		if (rc < 0)
			return rc;
	}
	h.checksum = mr_checksum(&h.magic, sizeof(h) - sizeof(h.checksum));
	w->id = info->id;
	w->at = w->groups = w->raw_bytes = w->blocks = 0;
	mr_buf_reset(&w->pending);
	mr_buf_reset(&w->footer);
	mr_buf_le32(&w->footer, 0);
	mr_run_name(info->id, name);
	rc = mr_file_open(w->disk, name, MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_EXCL, &w->file);
	return rc < 0 ? rc : failed(w, put(w, &h, sizeof(h)));
}

// Compresses where that saves a twentieth.
static struct mr_span squeeze(struct mr_run_writer *w, struct mr_span raw, bool *zstd)
{
	size_t most = raw.bytes - raw.bytes / 20;
	int n;

	*zstd = false;
	mr_buf_reset(&w->packed);
	if (raw.bytes < 64 || !mr_buf_room(&w->packed, most))
		return raw;
	n = mr_zip_compress(w->zip, MR_CODEC_ZSTD, ZSTD_LEVEL, raw, w->packed.data, most);
	if (n < 0)
		return raw;
	*zstd = true;
	return mr_span(w->packed.data, (size_t)n);
}

int mr_run_write(
	struct mr_run_writer *w, uint8_t first, uint8_t last, uint32_t groups, struct mr_span raw)
{
	struct mr_span stored;
	bool zstd;

	MR_ASSERT(w->file && raw.bytes && first <= last);
	if (raw.bytes > MR_RUN_BLOCK_BYTES_MAX)
		return failed(w, MR_ERR_LIMIT);
	stored = squeeze(w, raw, &zstd);
	mr_buf_le64(&w->footer, w->at);
	mr_buf_le32(&w->footer, (uint32_t)stored.bytes);
	mr_buf_le32(&w->footer, (uint32_t)raw.bytes);
	mr_buf_le64(&w->footer, mr_checksum(stored.data, stored.bytes));
	mr_buf_le32(&w->footer, groups);
	mr_buf_u8(&w->footer, first);
	mr_buf_u8(&w->footer, last);
	mr_buf_u8(&w->footer, zstd ? BLOCK_ZSTD : 0);
	w->blocks++;
	w->groups += groups;
	w->raw_bytes += raw.bytes;
	return failed(w, put(w, stored.data, stored.bytes));
}

static int put_end(struct mr_run_writer *w, struct mr_run_info *info)
{
	struct trailer t = {.magic = TRAILER_MAGIC, .id = w->id};
	int rc;

	if (w->footer.failed)
		return -ENOMEM;
	mr_store_le32(w->footer.data, w->blocks);
	t.footer_at = info->footer_at = w->at;
	t.footer_bytes = info->footer_bytes = (uint32_t)w->footer.bytes;
	t.footer_checksum = info->footer_checksum = mr_checksum(w->footer.data, w->footer.bytes);
	t.checksum = mr_checksum(&t.magic, sizeof(t) - sizeof(t.checksum));
	rc = put(w, w->footer.data, w->footer.bytes);
	if (rc == 0)
		rc = put(w, &t, sizeof(t));
	if (rc == 0)
		rc = flush(w);
	return rc;
}

int mr_run_finish(struct mr_run_writer *w, struct mr_run_info *info)
{
	int rc;

	MR_ASSERT(w->file && info->id == w->id);
	rc = put_end(w, info);
	if (rc < 0)
		return failed(w, rc);
	w->written[w->written_count++] = w->file;
	w->file = NULL;
	info->file_bytes = w->at;
	info->groups = w->groups;
	info->raw_bytes = w->raw_bytes;
	return 0;
}

int mr_run_sync(struct mr_run_writer *w)
{
	int rc = 0;

	for (uint32_t i = 0; i < w->written_count; i++) {
		if (rc == 0)
			rc = mr_file_sync(w->written[i]);
		mr_file_close(w->written[i]);
	}
	if (rc == 0 && w->written_count)
		rc = mr_disk_sync_dir(w->disk, "run");
	w->written_count = 0;
	return rc;
}

// ---- the shared part

int mr_run_create(struct mr_disk *disk, const struct mr_run_info *info, struct mr_run **out)
{
	struct mr_run *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->info = *info;
	r->disk = disk;
	atomic_init(&r->references, 1);
	pthread_mutex_init(&r->lock, NULL);
	*out = r;
	return 0;
}

struct mr_run *mr_run_get(struct mr_run *r)
{
	atomic_fetch_add_explicit(&r->references, 1, memory_order_relaxed);
	return r;
}

void mr_run_put(struct mr_run *r)
{
	char name[MR_RUN_NAME_BYTES];

	if (!r || atomic_fetch_sub_explicit(&r->references, 1, memory_order_acq_rel) != 1)
		return;
	mr_run_name(r->info.id, name);
	// A file that stays behind is removed at the next start.
	if (atomic_load_explicit(&r->dropped, memory_order_acquire))
		(void)!mr_disk_unlink(r->disk, name);
	pthread_mutex_destroy(&r->lock);
	free(r->blocks);
	free(r->info.ranges);
	free(r);
}

// ---- reading

struct mr_run_reader {
	struct mr_zip *zip;
	struct mr_run *run;
	struct mr_file *file; // of the run `id`
	uint64_t id;
	struct mr_buf stored;
	struct mr_buf raw;
};

int mr_run_reader_create(struct mr_run_reader **out)
{
	struct mr_run_reader *r = calloc(1, sizeof(*r));
	int rc = r ? mr_zip_create(&r->zip) : -ENOMEM;

	if (rc < 0) {
		free(r);
		return rc;
	}
	*out = r;
	return 0;
}

void mr_run_reader_destroy(struct mr_run_reader *r)
{
	if (!r)
		return;
	mr_file_close(r->file);
	mr_zip_destroy(r->zip);
	mr_buf_fini(&r->stored);
	mr_buf_fini(&r->raw);
	free(r);
}

size_t mr_run_reader_bytes(const struct mr_run_reader *r)
{
	return r->stored.bytes_max + r->raw.bytes_max + MR_ZIP_IDLE_BYTES;
}

int mr_run_damaged(const struct mr_run *run, uint64_t at, const char *what, struct mr_diag *diag)
{
	char name[MR_RUN_NAME_BYTES];

	mr_run_name(run->info.id, name);
	return mr_diag_set(diag, MR_ERR_CORRUPT, "XX001", 0, "file \"%s\" offset %llu: %s", name,
		(unsigned long long)at, what);
}

static int cannot_read(const struct mr_run *run, uint64_t at, int rc, struct mr_diag *diag)
{
	char name[MR_RUN_NAME_BYTES];

	if (rc == -ENOENT)
		return mr_run_damaged(run, at, "the file is missing", diag);
	if (rc == MR_ERR_TRUNCATED)
		return mr_run_damaged(run, at, "the file ends here", diag);
	mr_run_name(run->info.id, name);
	return mr_diag_set(diag, rc, rc == -ENOMEM ? "53200" : "58030", 0,
		"cannot read file \"%s\" offset %llu: %s", name, (unsigned long long)at,
		mr_err_text(rc));
}

// All of the bytes, or negative with diag.
static int read_at(
	struct mr_run_reader *r, uint64_t at, void *to, size_t bytes, struct mr_diag *diag)
{
	int rc = mr_file_read(r->file, at, to, bytes);

	if (rc >= 0 && (size_t)rc != bytes)
		rc = MR_ERR_TRUNCATED;
	return rc < 0 ? cannot_read(r->run, at, rc, diag) : 0;
}

static int load_block(struct mr_reader *in, uint64_t blocks_end, struct mr_run_block *b)
{
	uint8_t flags;

	b->at = mr_read_le64(in);
	b->bytes = mr_read_le32(in);
	b->raw_bytes = mr_read_le32(in);
	b->checksum = mr_read_le64(in);
	b->groups = mr_read_le32(in);
	b->first = mr_read_u8(in);
	b->last = mr_read_u8(in);
	flags = mr_read_u8(in);
	b->zstd = flags == BLOCK_ZSTD;
	return in->bad || flags > BLOCK_ZSTD || b->first > b->last || b->bytes == 0 ||
			       b->raw_bytes == 0 || b->raw_bytes > MR_RUN_BLOCK_BYTES_MAX ||
			       (!b->zstd && b->bytes != b->raw_bytes) ||
			       b->at < MR_RUN_HEAD_BYTES || b->at > blocks_end ||
			       b->bytes > blocks_end - b->at
		       ? MR_ERR_CORRUPT
		       : 0;
}

int mr_run_footer_load(struct mr_span raw, uint64_t blocks_end, struct mr_run_block **out)
{
	struct mr_reader in = mr_reader(raw);
	uint32_t count = mr_read_le32(&in);
	struct mr_run_block *blocks;
	int rc = 0;

	if (in.bad || count > INT32_MAX || mr_read_left(&in) != count * (size_t)BLOCK_SAVED_BYTES)
		return MR_ERR_CORRUPT;
	blocks = calloc(count + 1, sizeof(*blocks));
	if (!blocks)
		return -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		rc = load_block(&in, blocks_end, &blocks[i]);
		if (rc == 0 && i && blocks[i].first < blocks[i - 1].first)
			rc = MR_ERR_CORRUPT;
	}
	if (rc < 0) {
		free(blocks);
		return rc;
	}
	*out = blocks;
	return (int)count;
}

static int check_ends(struct mr_run_reader *r, struct mr_diag *diag)
{
	const struct mr_run_info *i = &r->run->info;
	uint64_t trailer_at = i->file_bytes - sizeof(struct trailer);
	struct trailer t;
	struct head h;
	int rc = read_at(r, 0, &h, sizeof(h), diag);

	if (rc < 0)
		return rc;
	if (h.magic != HEAD_MAGIC ||
		h.checksum != mr_checksum(&h.magic, sizeof(h) - sizeof(h.checksum)))
		return mr_run_damaged(r->run, 0, "no valid head of a run", diag);
	if (h.version > MR_RUN_VERSION)
		return mr_diag_set(diag, MR_ERR_VERSION, "XX000", 0,
			"run version %u is newer than this program", h.version);
	if (h.id != i->id || h.view_id != i->view_id || h.table_id != i->table_id ||
		h.fingerprint != i->fingerprint)
		return mr_run_damaged(r->run, 0, "the head belongs to another run", diag);
	rc = read_at(r, trailer_at, &t, sizeof(t), diag);
	if (rc < 0)
		return rc;
	if (t.magic != TRAILER_MAGIC ||
		t.checksum != mr_checksum(&t.magic, sizeof(t) - sizeof(t.checksum)) ||
		t.id != i->id || t.footer_at != i->footer_at || t.footer_bytes != i->footer_bytes ||
		t.footer_checksum != i->footer_checksum)
		return mr_run_damaged(r->run, trailer_at, "no valid trailer", diag);
	return 0;
}

static int check_counts(const struct mr_run *run, const struct mr_run_block *blocks, int count)
{
	uint64_t groups = 0, raw_bytes = 0;

	for (int i = 0; i < count; i++) {
		groups += blocks[i].groups;
		raw_bytes += blocks[i].raw_bytes;
	}
	return groups == run->info.groups && raw_bytes == run->info.raw_bytes ? 0 : MR_ERR_CORRUPT;
}

static int read_footer(struct mr_run_reader *r, struct mr_diag *diag)
{
	struct mr_run *run = r->run;
	const struct mr_run_info *i = &run->info;
	struct mr_run_block *blocks = NULL;
	uint8_t *to;
	int rc = check_ends(r, diag);

	if (rc < 0)
		return rc;
	mr_buf_reset(&r->stored);
	to = mr_buf_extend(&r->stored, i->footer_bytes);
	if (!to)
		return cannot_read(run, i->footer_at, -ENOMEM, diag);
	rc = read_at(r, i->footer_at, to, i->footer_bytes, diag);
	if (rc < 0)
		return rc;
	if (mr_checksum(to, i->footer_bytes) != i->footer_checksum)
		return mr_run_damaged(run, i->footer_at, "checksum of the footer is wrong", diag);
	rc = mr_run_footer_load(mr_span(to, i->footer_bytes), i->footer_at, &blocks);
	if (rc == -ENOMEM)
		return cannot_read(run, i->footer_at, rc, diag);
	if (rc < 0 || check_counts(run, blocks, rc) < 0) {
		free(blocks);
		return mr_run_damaged(run, i->footer_at, "the footer is not one", diag);
	}
	run->blocks = blocks;
	run->blocks_count = (uint32_t)rc;
	run->opened = true;
	return 0;
}

int mr_run_reader_open(struct mr_run_reader *r, struct mr_run *run, struct mr_diag *diag)
{
	char name[MR_RUN_NAME_BYTES];
	int rc;

	// By id: a run may lie where one lay that has gone since.
	if (r->file && r->id == run->info.id) {
		r->run = run;
		return 0;
	}
	mr_file_close(r->file);
	r->file = NULL;
	r->run = run;
	r->id = run->info.id;
	mr_run_name(run->info.id, name);
	rc = mr_file_open(run->disk, name, MR_FILE_READ, &r->file);
	if (rc < 0)
		return cannot_read(run, 0, rc, diag);
	pthread_mutex_lock(&run->lock);
	if (!run->opened)
		rc = read_footer(r, diag);
	pthread_mutex_unlock(&run->lock);
	if (rc < 0) {
		mr_file_close(r->file);
		r->file = NULL;
	}
	return rc;
}

int mr_run_reader_block(
	struct mr_run_reader *r, uint32_t index, struct mr_span *out, struct mr_diag *diag)
{
	const struct mr_run_block *b = &r->run->blocks[index];
	uint8_t *to;
	int rc;

	MR_ASSERT(r->file && index < r->run->blocks_count);
	mr_buf_reset(&r->stored);
	to = mr_buf_extend(&r->stored, b->bytes);
	if (!to)
		return cannot_read(r->run, b->at, -ENOMEM, diag);
	rc = read_at(r, b->at, to, b->bytes, diag);
	if (rc < 0)
		return rc;
	if (mr_checksum(to, b->bytes) != b->checksum)
		return mr_run_damaged(r->run, b->at, "checksum of a block is wrong", diag);
	*out = mr_span(to, b->bytes);
	if (!b->zstd)
		return 0;
	mr_buf_reset(&r->raw);
	to = mr_buf_extend(&r->raw, b->raw_bytes);
	if (!to)
		return cannot_read(r->run, b->at, -ENOMEM, diag);
	rc = mr_zip_decompress_into(r->zip, MR_CODEC_ZSTD, *out, to, b->raw_bytes);
	if (rc < 0 || (uint32_t)rc != b->raw_bytes)
		return mr_run_damaged(r->run, b->at, "a block does not decompress", diag);
	*out = mr_span(to, b->raw_bytes);
	return 0;
}
