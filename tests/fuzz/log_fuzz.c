// Bytes of a log file: recovery of the log that it belongs to ends with an error or with records
// that can all be read, and a second recovery gives the same.
//
// The input stands behind a file's head. Where its first byte is odd the checksums of its frames
// and records are repaired, so that the fuzzer reaches what lies behind them.
#include "host/base/hash.h"
#include "host/base/note.h"
#include "storage/dir.h"
#include "storage/io_sim.h"
#include "storage/log_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { FILE_BYTES = 80 << 10, INCARNATION = 77 };

static const struct mr_log_type_known types[] = {{MR_LOG_CHECKPOINT, 0}, {MR_LOG_OWNER, 3}};

struct store {
	struct mr_manifest *manifest;
	struct mr_log_store *store;
};

static int store_open(struct store *s, struct mr_io_sim *sim)
{
	struct mr_manifest_options mo = {.disk = &sim->disk, .file_bytes = 16 << 10};
	struct mr_log_store_options so = {.disk = &sim->disk,
		.clock = &sim->clock.clock,
		.file_bytes = 256 << 10,
		.types = types,
		.type_count = MR_COUNT_OF(types)};
	struct mr_diag diag;
	int rc;

	sim->locked = false;
	rc = mr_dir_init(&sim->disk, &diag);
	MR_ASSERT(rc == 0 && mr_manifest_create(&s->manifest, &mo) == 0);
	so.manifest = s->manifest;
	MR_ASSERT(mr_log_store_create(&s->store, &so) == 0);
	return mr_manifest_open(s->manifest, &diag);
}

static void store_close(struct store *s)
{
	mr_log_store_destroy(s->store);
	mr_manifest_destroy(s->manifest);
}

static void repair_records(struct mr_log_frame *f)
{
	uint8_t *at = (uint8_t *)(f + 1);
	uint8_t *end = at + f->bytes;

	f->records = 0;
	while ((size_t)(end - at) >= sizeof(struct mr_log_record)) {
		struct mr_log_record *r = (struct mr_log_record *)(void *)at;

		if (mr_log_record_bytes(r->bytes) > (size_t)(end - at))
			return;
		r->checksum = mr_log_record_checksum(r);
		at += mr_log_record_bytes(r->bytes);
		f->records++;
	}
}

static void repair(uint8_t *body, size_t bytes)
{
	uint64_t previous = 0;

	for (size_t at = 0; at + sizeof(struct mr_log_frame) <= bytes;) {
		struct mr_log_frame *f = (struct mr_log_frame *)(void *)(body + at);

		f->magic = MR_LOG_FRAME_MAGIC;
		f->version = MR_LOG_VERSION;
		f->type = 1;
		f->log_id = 1;
		f->lsn = at;
		f->previous = previous;
		f->incarnation = INCARNATION;
		f->bytes %= 8192;
		if (f->bytes > bytes - at - sizeof(*f))
			return;
		repair_records(f);
		mr_log_frame_seal(f);
		previous = f->checksum;
		at += mr_log_frame_bytes(f->bytes);
	}
}

static void write_file(struct mr_io_sim *sim, const uint8_t *data, size_t bytes)
{
	struct mr_log_file f = {
		.id = 1, .log_id = 1, .bytes = FILE_BYTES, .incarnation = INCARNATION};
	uint8_t *page = (uint8_t *)calloc(1, FILE_BYTES);
	struct mr_file *file;
	int rc;

	MR_ASSERT(page);
	mr_log_head_make((struct mr_log_head *)(void *)page, &f, MR_LOG_NO_LSN);
	memcpy(page + MR_LOG_HEAD_BYTES, data + 1, bytes - 1);
	if (data[0] & 1)
		repair(page + MR_LOG_HEAD_BYTES, mr_round_up(bytes - 1, MR_IO_ALIGN));
	rc = mr_file_open(
		&sim->disk, "log/0000000000000001.mlog", MR_FILE_WRITE | MR_FILE_CREATE, &file);
	MR_ASSERT(rc == 0 && mr_file_write(file, 0, page, FILE_BYTES) == 0);
	mr_file_close(file);
	free(page);
}

static void declare_file(struct store *s)
{
	uint64_t log[] = {1}, file[] = {1, 1, 0, FILE_BYTES};
	struct mr_manifest_record r[] = {
		{MR_LOG_M_OPEN, 1, mr_span(log, sizeof(log))},
		{MR_LOG_M_FILE_ADD, 1, mr_span(file, sizeof(file))},
	};

	MR_ASSERT(mr_manifest_append(s->manifest, r, 2) == 0);
}

static int count_record(void *arg, const struct mr_log_scan_record *r)
{
	*(uint64_t *)arg += 1 + r->record->bytes;
	return 0;
}

static int recover(struct mr_io_sim *sim, uint64_t *sum)
{
	struct store s;
	struct mr_diag diag;
	int rc = store_open(&s, sim);

	*sum = 0;
	if (!rc)
		rc = mr_log_store_recover(s.store, &diag);
	if (!rc)
		(void)!mr_log_store_scan(s.store, 1, 0, count_record, sum, &diag);
	store_close(&s);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mr_io_sim sim;
	struct store s;
	uint64_t first, second;

	if (bytes < 1 || bytes > 64 << 10)
		return 0;
	mr_note_level_set((enum mr_note_level)(MR_NOTE_ERR - 1));
	mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = 1});
	MR_ASSERT(store_open(&s, &sim) == 0);
	declare_file(&s);
	write_file(&sim, data, bytes);
	store_close(&s);
	if (recover(&sim, &first) == 0)
		MR_ASSERT(recover(&sim, &second) == 0 && first == second);
	mr_io_sim_fini(&sim);
	return 0;
}
