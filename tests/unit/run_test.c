// Runs: what is written is read again; every changed or missing byte is noticed and named; the
// records say which runs exist, over any history of commits, replacements and drops.
#include "tests/lib/mr_test.h"

#include "host/base/rand.h"
#include "storage/dir.h"
#include "storage/io_sim.h"
#include "storage/run_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCKS_MAX = 12, STEPS = 200, VIEWS = 3 };

struct place {
	struct mr_io_sim sim;
	struct mr_manifest *manifest;
	struct mr_run_store *store;
	struct mr_run_writer *writer;
};

static void open_again(struct place *p)
{
	struct mr_manifest_options mo = {
		.disk = &p->sim.disk, .file_bytes = 64 << 10, .snapshot_records = 7};
	struct mr_diag diag;

	p->sim.locked = false;
	assert_int_equal(mr_dir_init(&p->sim.disk, &diag), 0);
	assert_int_equal(mr_manifest_create(&p->manifest, &mo), 0);
	assert_int_equal(mr_run_store_create(&p->sim.disk, p->manifest, &p->store), 0);
	assert_int_equal(mr_run_writer_create(&p->sim.disk, &p->writer), 0);
	assert_int_equal(mr_manifest_open(p->manifest, &diag), 0);
	assert_int_equal(mr_run_store_clean(p->store), 0);
}

static void close_all(struct place *p)
{
	mr_run_writer_destroy(p->writer);
	mr_run_store_destroy(p->store);
	mr_manifest_destroy(p->manifest);
}

static void place_init(struct place *p, uint64_t seed)
{
	mr_io_sim_init(&p->sim, &(struct mr_io_sim_options){.seed = seed});
	open_again(p);
}

static void place_fini(struct place *p)
{
	close_all(p);
	mr_io_sim_fini(&p->sim);
}

// What a run holds: block i has parts i*20 .. i*20+19.
struct content {
	uint32_t count;
	struct mr_buf blocks[BLOCKS_MAX];
};

static void content_make(struct mr_rand *r, struct content *c)
{
	*c = (struct content){.count = (uint32_t)mr_rand_below(r, BLOCKS_MAX + 1)};
	for (uint32_t i = 0; i < c->count; i++) {
		uint32_t bytes = 1 + (uint32_t)mr_rand_below(r, 300);
		bool dull = mr_rand_below(r, 2) != 0;

		for (uint32_t k = 0; k < bytes; k++)
			mr_buf_u8(&c->blocks[i], dull ? 7 : (uint8_t)mr_rand_u64(r));
	}
}

static void content_fini(struct content *c)
{
	for (uint32_t i = 0; i < c->count; i++)
		mr_buf_fini(&c->blocks[i]);
}

// One with `least` to `most` blocks.
static void content_make_of(struct mr_rand *r, struct content *c, uint32_t least, uint32_t most)
{
	for (;;) {
		content_make(r, c);
		if (c->count >= least && c->count <= most)
			return;
		content_fini(c);
	}
}

static void write_unsynced(struct place *p, const struct content *c, struct mr_run_info *info)
{
	assert_int_equal(mr_run_begin(p->writer, info), 0);
	for (uint32_t i = 0; i < c->count; i++)
		assert_int_equal(mr_run_write(p->writer, (uint8_t)(i * 20), (uint8_t)(i * 20 + 19),
					 i, mr_buf_span(&c->blocks[i])),
			0);
	assert_int_equal(mr_run_finish(p->writer, info), 0);
}

static void write_run(struct place *p, const struct content *c, struct mr_run_info *info)
{
	write_unsynced(p, c, info);
	assert_int_equal(mr_run_sync(p->writer), 0);
}

// 0 when all is as written; otherwise the error, which names the file.
static int read_run(struct mr_run *run, const struct content *c)
{
	struct mr_run_reader *r;
	struct mr_diag diag = {0};
	struct mr_span bytes;
	char name[MR_RUN_NAME_BYTES];
	int rc;

	mr_run_name(run->info.id, name);
	assert_int_equal(mr_run_reader_create(&r), 0);
	rc = mr_run_reader_open(r, run, &diag);
	if (rc == 0)
		assert_int_equal(run->blocks_count, c->count);
	for (uint32_t i = 0; rc == 0 && i < c->count; i++) {
		assert_int_equal(run->blocks[i].first, i * 20);
		assert_int_equal(run->blocks[i].last, i * 20 + 19);
		assert_int_equal(run->blocks[i].groups, i);
		rc = mr_run_reader_block(r, i, &bytes, &diag);
		if (rc == 0)
			assert_true(mr_span_eq(bytes, mr_buf_span(&c->blocks[i])));
	}
	if (rc < 0)
		assert_non_null(strstr(diag.message, name));
	mr_run_reader_destroy(r);
	return rc;
}

static void run_read_gives_what_was_written(void **)
{
	uint64_t seed = mr_rand_seed_os();
	struct mr_rand r;
	struct place p;

	print_message("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&r, seed);
	place_init(&p, seed);
	for (int i = 0; i < 50; i++) {
		struct mr_run_info info = {.id = mr_run_store_id(p.store), .view_id = 2};
		struct content c;
		struct mr_run *run;

		content_make(&r, &c);
		write_run(&p, &c, &info);
		assert_int_equal(mr_run_create(&p.sim.disk, &info, &run), 0);
		assert_int_equal(read_run(run, &c), 0);
		mr_run_put(run);
		content_fini(&c);
	}
	place_fini(&p);
}

static void run_read_refuses_every_changed_byte_and_every_shorter_file(void **)
{
	struct mr_run_info info = {.view_id = 2, .table_id = 3, .fingerprint = 4};
	struct mr_file *f;
	struct mr_rand r;
	struct content c;
	struct mr_run *run;
	struct place p;
	char name[MR_RUN_NAME_BYTES];

	mr_rand_init(&r, 11);
	place_init(&p, 11);
	content_make_of(&r, &c, 4, BLOCKS_MAX);
	info.id = mr_run_store_id(p.store);
	write_run(&p, &c, &info);
	mr_run_name(info.id, name);
	assert_int_equal(mr_file_open(&p.sim.disk, name, MR_FILE_WRITE, &f), 0);
	for (uint64_t at = 0; at < info.file_bytes; at++) {
		uint8_t byte, other;

		assert_int_equal(mr_file_read(f, at, &byte, 1), 1);
		other = byte ^ (uint8_t)(1u << at % 8);
		assert_int_equal(mr_file_write(f, at, &other, 1), 0);
		assert_int_equal(mr_run_create(&p.sim.disk, &info, &run), 0);
		assert_int_equal(read_run(run, &c), MR_ERR_CORRUPT);
		mr_run_put(run);
		assert_int_equal(mr_file_write(f, at, &byte, 1), 0);
	}
	assert_int_equal(mr_run_create(&p.sim.disk, &info, &run), 0);
	assert_int_equal(read_run(run, &c), 0);
	mr_run_put(run);
	for (uint64_t bytes = info.file_bytes; bytes-- > 0;) {
		assert_int_equal(mr_file_truncate(f, bytes), 0);
		assert_int_equal(mr_run_create(&p.sim.disk, &info, &run), 0);
		assert_int_equal(read_run(run, &c), MR_ERR_CORRUPT);
		mr_run_put(run);
	}
	mr_file_close(f);
	assert_int_equal(mr_disk_unlink(&p.sim.disk, name), 0);
	assert_int_equal(mr_run_create(&p.sim.disk, &info, &run), 0);
	assert_int_equal(read_run(run, &c), MR_ERR_CORRUPT);
	mr_run_put(run);
	content_fini(&c);
	place_fini(&p);
}

static void run_footer_refuses_what_cannot_be(void **)
{
	struct mr_run_block *blocks;
	struct mr_buf b = {0};

	mr_buf_le32(&b, 1);
	mr_buf_le64(&b, MR_RUN_HEAD_BYTES);
	mr_buf_le32(&b, 10);
	mr_buf_le32(&b, 10);
	mr_buf_le64(&b, 0);
	mr_buf_le32(&b, 1);
	mr_buf_u8(&b, 3);
	mr_buf_u8(&b, 5);
	mr_buf_u8(&b, 0);
	assert_int_equal(mr_run_footer_load(mr_buf_span(&b), MR_RUN_HEAD_BYTES + 10, &blocks), 1);
	free(blocks);
	// Behind the blocks' end, before the head's, parts the wrong way round, of two sizes though
	// plain, of no bytes, a flag unknown, a count that lies.
	assert_int_equal(mr_run_footer_load(mr_buf_span(&b), MR_RUN_HEAD_BYTES + 9, &blocks),
		MR_ERR_CORRUPT);
	for (size_t at = 0; at < b.bytes; at++) {
		uint8_t kept = b.data[at];
		static const size_t may_change[] = {4 + 16, 4 + 23, 4 + 24, 4 + 27};

		if (at >= may_change[0] && at <= may_change[3])
			continue; // checksum and groups mean nothing here
		b.data[at] = 0xfe;
		assert_int_equal(
			mr_run_footer_load(mr_buf_span(&b), MR_RUN_HEAD_BYTES + 10, &blocks),
			at == 4 + 29 ? 1 : MR_ERR_CORRUPT);
		if (at == 4 + 29)
			free(blocks);
		b.data[at] = kept;
	}
	mr_buf_fini(&b);
}

// A reader outlives the runs that it read, and the next run may be made in the memory of one that
// went.
static void run_reader_tells_a_run_from_one_that_lay_there_before(void **)
{
	struct mr_run *runs[2], other;
	struct mr_run_reader *reader;
	struct content c[2];
	struct mr_diag diag;
	struct mr_span bytes;
	struct mr_rand r;
	struct place p;

	mr_rand_init(&r, 5);
	place_init(&p, 5);
	for (int i = 0; i < 2; i++) {
		struct mr_run_info info = {.id = mr_run_store_id(p.store), .view_id = 2};

		content_make_of(&r, &c[i], 1 + (uint32_t)i, 1 + (uint32_t)i);
		write_run(&p, &c[i], &info);
		assert_int_equal(mr_run_create(&p.sim.disk, &info, &runs[i]), 0);
	}
	assert_int_equal(mr_run_reader_create(&reader), 0);
	assert_int_equal(mr_run_reader_open(reader, runs[0], &diag), 0);
	other = *runs[0];
	*runs[0] = *runs[1];
	*runs[1] = other;
	assert_int_equal(mr_run_reader_open(reader, runs[0], &diag), 0);
	assert_int_equal(runs[0]->blocks_count, 2);
	assert_int_equal(mr_run_reader_block(reader, 1, &bytes, &diag), 0);
	assert_true(mr_span_eq(bytes, mr_buf_span(&c[1].blocks[1])));
	mr_run_reader_destroy(reader);
	for (int i = 0; i < 2; i++) {
		mr_run_put(runs[i]);
		content_fini(&c[i]);
	}
	place_fini(&p);
}

// ---- the store

struct model {
	struct mr_run_info infos[STEPS * 2];
	uint32_t count;
	uint64_t id_kept; // taken, to be committed later; 0: none
};

static void model_drop(struct model *m, uint64_t view, uint64_t table, const uint64_t *ids, int n)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < m->count; i++) {
		bool gone = table ? m->infos[i].table_id == table
				  : m->infos[i].view_id == view && n == 0;

		for (int k = 0; k < n; k++)
			gone |= m->infos[i].id == ids[k];
		if (gone)
			free(m->infos[i].ranges);
		else
			m->infos[kept++] = m->infos[i];
	}
	m->count = kept;
}

static int count_entry(void *arg, const char *)
{
	++*(uint32_t *)arg;
	return 0;
}

static void same(struct place *p, const struct model *m)
{
	struct mr_run **list;
	uint32_t files = 0;
	int n = mr_run_store_list(p->store, 0, &list);

	assert_int_equal(n, m->count);
	for (int i = 0; i < n; i++) {
		const struct mr_run_info *a = &list[i]->info, *b = NULL;

		for (uint32_t k = 0; k < m->count; k++)
			b = m->infos[k].id == a->id ? &m->infos[k] : b;
		assert_non_null(b);
		assert_true(i == 0 || list[i - 1]->info.id < a->id);
		assert_int_equal(a->view_id, b->view_id);
		assert_int_equal(a->table_id, b->table_id);
		assert_int_equal(a->groups, b->groups);
		assert_int_equal(a->rows_failed, b->rows_failed);
		assert_int_equal(a->footer_checksum, b->footer_checksum);
		assert_int_equal(a->ranges_count, b->ranges_count);
		for (uint32_t k = 0; k < a->ranges_count; k++)
			assert_int_equal(a->ranges[k].to, b->ranges[k].to);
		mr_run_put(list[i]);
	}
	free(list);
	assert_int_equal(mr_disk_list(&p->sim.disk, "run", count_entry, &files), 0);
	assert_int_equal(files, m->count);
}

// Some ids are committed behind later ones, as threads do it that write at the same time.
static uint64_t take_id(struct place *p, struct mr_rand *r, struct model *m)
{
	uint64_t id = mr_run_store_id(p->store), kept = m->id_kept;

	if (mr_rand_below(r, 2))
		return id;
	m->id_kept = id;
	return kept ? kept : mr_run_store_id(p->store);
}

static void store_add(struct place *p, struct mr_rand *r, struct model *m, struct mr_run **old,
	uint32_t old_count)
{
	uint64_t view = old_count ? old[0]->info.view_id : 1 + mr_rand_below(r, VIEWS);
	struct mr_run_info info = {.id = take_id(p, r, m),
		.view_id = view,
		.table_id = 10 + view / 2,
		.rows_failed = mr_rand_u64(r),
		.ranges_count = (uint32_t)mr_rand_below(r, 3)};
	struct content c;

	content_make(r, &c);
	write_run(p, &c, &info);
	info.ranges = calloc(info.ranges_count + 1, sizeof(*info.ranges));
	for (uint32_t i = 0; i < info.ranges_count; i++)
		info.ranges[i] =
			(struct mr_offset_range){i, 5, 6 + (int64_t)mr_rand_below(r, 1000)};
	assert_int_equal(mr_run_store_commit(p->store, &info, 1, old, old_count), 0);
	m->infos[m->count++] = info;
	content_fini(&c);
}

static void store_replace(struct place *p, struct mr_rand *r, struct model *m)
{
	struct mr_run **list;
	uint64_t ids[STEPS];
	int n = mr_run_store_list(p->store, 1 + mr_rand_below(r, VIEWS), &list), some = n / 2;

	for (int i = 0; i < some; i++)
		ids[i] = list[i]->info.id;
	if (some) {
		store_add(p, r, m, list, (uint32_t)some);
		model_drop(m, 0, 0, ids, some);
	}
	for (int i = 0; i < n; i++)
		mr_run_put(list[i]);
	free(list);
}

static void store_drop(struct place *p, struct mr_rand *r, struct model *m)
{
	uint64_t id = 1 + mr_rand_below(r, VIEWS);
	struct mr_manifest_record rec = {MR_RUN_RECORD_TABLE_DROPPED, MR_RUN_RECORD_VERSION, {0}};
	struct mr_buf b = {0};

	if (mr_rand_below(r, 2)) {
		assert_int_equal(mr_run_store_drop_view(p->store, id), 0);
		model_drop(m, id, 0, NULL, 0);
		return;
	}
	mr_run_store_dropped(&b, 10 + id / 2);
	rec.payload = mr_buf_span(&b);
	assert_int_equal(mr_manifest_append(p->manifest, &rec, 1), 0);
	model_drop(m, 0, 10 + id / 2, NULL, 0);
	mr_buf_fini(&b);
}

static void store_knows_the_same_runs_after_any_history(void **)
{
	uint64_t seed = mr_rand_seed_os();
	struct model *m = calloc(1, sizeof(*m));
	struct mr_rand r;
	struct place p;

	print_message("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&r, seed);
	place_init(&p, seed);
	for (int i = 0; i < STEPS; i++) {
		switch (mr_rand_below(&r, 8)) {
		case 0: store_drop(&p, &r, m); break;
		case 1: store_replace(&p, &r, m); break;
		case 2:
			close_all(&p);
			mr_io_sim_power_cut(&p.sim);
			open_again(&p);
			m->id_kept = 0; // not recorded anywhere: it may be given again
			break;
		default: store_add(&p, &r, m, NULL, 0); break;
		}
		same(&p, m);
	}
	for (uint32_t i = 0; i < m->count; i++)
		free(m->infos[i].ranges);
	free(m);
	place_fini(&p);
}

static void run_file_goes_with_its_last_reader(void **)
{
	struct mr_rand r;
	struct model *m = calloc(1, sizeof(*m));
	struct mr_run *held;
	struct place p;
	uint32_t files = 0;

	mr_rand_init(&r, 3);
	place_init(&p, 3);
	store_add(&p, &r, m, NULL, 0);
	held = mr_run_store_find(p.store, m->infos[0].id);
	assert_non_null(held);
	assert_int_equal(mr_run_store_drop_view(p.store, m->infos[0].view_id), 0);
	assert_null(mr_run_store_find(p.store, m->infos[0].id));
	assert_int_equal(mr_disk_list(&p.sim.disk, "run", count_entry, &files), 0);
	assert_int_equal(files, 1);
	mr_run_put(held);
	files = 0;
	assert_int_equal(mr_disk_list(&p.sim.disk, "run", count_entry, &files), 0);
	assert_int_equal(files, 0);
	free(m->infos[0].ranges);
	free(m);
	place_fini(&p);
}

// More than the writer keeps open, so that it flushes some by itself.
static void runs_are_there_after_a_power_cut_when_they_were_synced(void **)
{
	enum { RUNS = 150 };
	static struct mr_run_info infos[RUNS];
	static struct content contents[RUNS];
	struct mr_rand r;
	struct place p;

	mr_rand_init(&r, 8);
	place_init(&p, 8);
	for (int i = 0; i < RUNS; i++) {
		infos[i] = (struct mr_run_info){.id = (uint64_t)i + 1, .view_id = 2, .table_id = 3};
		content_make(&r, &contents[i]);
		write_unsynced(&p, &contents[i], &infos[i]);
	}
	assert_int_equal(mr_run_sync(p.writer), 0);
	mr_io_sim_power_cut(&p.sim);
	for (int i = 0; i < RUNS; i++) {
		struct mr_run *run;

		assert_int_equal(mr_run_create(&p.sim.disk, &infos[i], &run), 0);
		assert_int_equal(read_run(run, &contents[i]), 0);
		mr_run_put(run);
		content_fini(&contents[i]);
	}
	place_fini(&p);
}

static void a_sync_that_fails_says_so_and_the_next_one_does_not(void **)
{
	struct mr_run_info info = {.id = 1, .view_id = 2, .table_id = 3};
	struct content c;
	struct mr_rand r;
	struct place p;

	mr_rand_init(&r, 9);
	place_init(&p, 9);
	content_make(&r, &c);
	write_unsynced(&p, &c, &info);
	p.sim.fault = (struct mr_io_sim_fault){.at = p.sim.ops + 1, .err = -EIO};
	assert_true(mr_run_sync(p.writer) < 0);
	info.id = 2;
	write_run(&p, &c, &info);
	content_fini(&c);
	place_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run_read_gives_what_was_written),
		cmocka_unit_test(run_read_refuses_every_changed_byte_and_every_shorter_file),
		cmocka_unit_test(run_footer_refuses_what_cannot_be),
		cmocka_unit_test(run_reader_tells_a_run_from_one_that_lay_there_before),
		cmocka_unit_test(store_knows_the_same_runs_after_any_history),
		cmocka_unit_test(run_file_goes_with_its_last_reader),
		cmocka_unit_test(runs_are_there_after_a_power_cut_when_they_were_synced),
		cmocka_unit_test(a_sync_that_fails_says_so_and_the_next_one_does_not),
	};

	return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
