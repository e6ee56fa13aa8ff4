// Bytes of a run's footer, and of a whole run file behind a manifest record that fits it: they are
// read or refused.
//
// First byte: 0: what follows is a footer; otherwise pairs of (place, value), three bytes each,
// that are written over a good file, whose checksums are made good again.
#include "host/base/hash.h"
#include "storage/io_sim.h"
#include "storage/run.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { FOOTER_AT_MAX = 1 << 20 };

static struct mr_io_sim sim;
static struct mr_run_info good;
static uint8_t *file;

static void setup(void)
{
	struct mr_run_writer *w;
	struct mr_file *f;
	uint8_t block[400] = {1, 2, 3};
	char name[MR_RUN_NAME_BYTES];

	mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = 1});
	MR_ASSERT(mr_disk_mkdir(&sim.disk, "run") == 0);
	MR_ASSERT(mr_run_writer_create(&sim.disk, &w) == 0);
	good = (struct mr_run_info){.id = 1, .view_id = 2, .table_id = 3, .fingerprint = 4};
	MR_ASSERT(mr_run_begin(w, &good) == 0);
	for (uint8_t i = 0; i < 3; i++)
		MR_ASSERT(mr_run_write(w, i, i, i, mr_span(block, 100u * (i + 1))) == 0);
	MR_ASSERT(mr_run_finish(w, &good) == 0);
	MR_ASSERT(mr_run_sync(w) == 0);
	mr_run_writer_destroy(w);
	file = malloc(good.file_bytes);
	mr_run_name(1, name);
	MR_ASSERT(file && mr_file_open(&sim.disk, name, MR_FILE_READ, &f) == 0);
	MR_ASSERT(mr_file_read(f, 0, file, good.file_bytes) == (int)good.file_bytes);
	mr_file_close(f);
}

static void read_all(const struct mr_run_info *info)
{
	struct mr_run_reader *r;
	struct mr_run *run;
	struct mr_diag diag;
	struct mr_span s;

	MR_ASSERT(mr_run_create(&sim.disk, info, &run) == 0);
	MR_ASSERT(mr_run_reader_create(&r) == 0);
	if (mr_run_reader_open(r, run, &diag) == 0)
		for (uint32_t i = 0; i < run->blocks_count; i++)
			(void)!mr_run_reader_block(r, i, &s, &diag);
	mr_run_reader_destroy(r);
	mr_run_put(run);
}

static void changed(const uint8_t *data, size_t bytes)
{
	struct mr_run_info info = good;
	uint8_t *copy = malloc(good.file_bytes), *footer = copy + good.footer_at;
	uint8_t *trailer = footer + good.footer_bytes;
	char name[MR_RUN_NAME_BYTES];
	struct mr_file *f;

	MR_ASSERT(copy);
	memcpy(copy, file, good.file_bytes);
	for (size_t i = 0; i + 3 <= bytes; i += 3)
		copy[mr_load_le16(data + i) % good.file_bytes] = data[i + 2];
	info.footer_checksum = mr_checksum(footer, good.footer_bytes);
	mr_store_le64(copy, mr_checksum(copy + 8, MR_RUN_HEAD_BYTES - 8));
	mr_store_le64(trailer + 40, info.footer_checksum);
	mr_store_le64(trailer, mr_checksum(trailer + 8, 40));
	mr_run_name(1, name);
	MR_ASSERT(mr_file_open(&sim.disk, name, MR_FILE_WRITE, &f) == 0);
	MR_ASSERT(mr_file_write(f, 0, copy, good.file_bytes) == 0);
	mr_file_close(f);
	free(copy);
	read_all(&info);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mr_run_block *blocks;
	int n;

	if (!file)
		setup();
	if (bytes < 1 || bytes > 64 << 10)
		return 0;
	if (data[0]) {
		changed(data + 1, bytes - 1);
		return 0;
	}
	n = mr_run_footer_load(mr_span(data + 1, bytes - 1), FOOTER_AT_MAX, &blocks);
	for (int i = 0; i < n; i++)
		MR_ASSERT(blocks[i].at + blocks[i].bytes <= FOOTER_AT_MAX &&
			  blocks[i].first <= blocks[i].last && blocks[i].raw_bytes);
	if (n >= 0)
		free(blocks);
	return 0;
}
