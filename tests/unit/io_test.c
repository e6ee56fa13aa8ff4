// Files and queues: the same calls on a real directory with the ring, with plain calls, and on the
// simulated disk; and the simulated disk's own promises.
#include "host/base/err.h"
#include "storage/dir.h"
#include "storage/io_sim.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct rig {
	char path[32];
	struct mr_disk *disk;
	struct mr_uring *ring;
	struct mr_io *io;
	struct mr_io_sim sim;
};

static void remove_tree(const char *path)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", path);
	assert_int_equal(system(command), 0);
}

static struct rig *rig_real(void)
{
	struct rig *g = (struct rig *)calloc(1, sizeof(*g));

	snprintf(g->path, sizeof(g->path), "/tmp/mr_io_XXXXXX");
	assert_non_null(mkdtemp(g->path));
	assert_int_equal(mr_disk_real_open(&g->disk, g->path), 0);
	return g;
}

static int setup_ring(void **state)
{
	struct rig *g = rig_real();

	*state = g;
	if (mr_uring_probe())
		return 0;
	assert_int_equal(mr_uring_create(&g->ring, NULL), 0);
	assert_int_equal(mr_io_uring_create(&g->io, g->ring), 0);
	return 0;
}

static int setup_plain(void **state)
{
	struct rig *g = rig_real();

	*state = g;
	assert_int_equal(mr_io_plain_create(&g->io), 0);
	return 0;
}

static int setup_sim(void **state)
{
	struct rig *g = (struct rig *)calloc(1, sizeof(*g));

	mr_io_sim_init(&g->sim, &(struct mr_io_sim_options){.seed = 7});
	g->disk = &g->sim.disk;
	g->io = &g->sim.io;
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = (struct rig *)*state;

	mr_io_destroy(g->io);
	mr_uring_destroy(g->ring);
	mr_disk_destroy(g->disk);
	if (g->path[0])
		remove_tree(g->path);
	else
		mr_io_sim_fini(&g->sim);
	free(g);
	return 0;
}

struct waiter {
	struct mr_io_op op;
	int res;
	bool done;
};

static void waiter_done(struct mr_io_op *op, int res)
{
	struct waiter *w = MR_CONTAINER(op, struct waiter, op);

	w->res = res;
	w->done = true;
}

static struct mr_io_op op_of(
	struct mr_file *f, enum mr_io_kind kind, uint64_t offset, uint8_t *data, uint32_t bytes)
{
	return (struct mr_io_op){
		.done = waiter_done,
		.file = f,
		.offset = offset,
		.data = data,
		.bytes = bytes,
		.buffer = -1,
		.kind = kind,
	};
}

static int run(struct mr_io *io, struct mr_file *f, enum mr_io_kind kind, uint64_t offset,
	uint8_t *data, uint32_t bytes)
{
	struct waiter w = {.op = op_of(f, kind, offset, data, bytes)};

	mr_io_submit(io, &w.op);
	while (!w.done)
		assert_true(mr_io_wait(io) >= 0);
	return w.res;
}

static void io_reads_back_what_it_wrote(void **state)
{
	struct rig *g = (struct rig *)*state;
	uint8_t *data = (uint8_t *)aligned_alloc(4096, 65536);
	uint8_t *back = (uint8_t *)aligned_alloc(4096, 65536);
	struct mr_file *f;

	if (!g->io)
		skip();
	assert_int_equal(
		mr_file_open(g->disk, "a", MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_DIRECT, &f), 0);
	assert_int_equal(mr_file_fill(f, 131072), 0);
	assert_true(mr_file_bytes(f) == 131072);
	for (int i = 0; i < 65536; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(run(g->io, f, MR_IO_WRITE, 4096, data, 65536), 65536);
	assert_int_equal(run(g->io, f, MR_IO_READ, 4096, back, 65536), 65536);
	assert_memory_equal(data, back, 65536);
	// Short only at the end of the file.
	assert_int_equal(run(g->io, f, MR_IO_READ, 126976, back, 65536), 4096);
	assert_int_equal(run(g->io, f, MR_IO_READ, 131072, back, 4096), 0);
	assert_int_equal(mr_file_read(f, 4096, back, 4096), 4096);
	assert_memory_equal(data, back, 4096);
	assert_int_equal(mr_file_truncate(f, 8192), 0);
	assert_true(mr_file_bytes(f) == 8192);
	mr_file_close(f);
	free(data);
	free(back);
}

static void io_many_in_flight_all_complete(void **state)
{
	enum { OPS = 64 };
	struct rig *g = (struct rig *)*state;
	uint8_t *data = (uint8_t *)aligned_alloc(4096, OPS * 4096);
	struct waiter *w = (struct waiter *)calloc(OPS, sizeof(*w));
	struct mr_file *f;
	int done = 0;

	if (!g->io)
		skip();
	assert_int_equal(
		mr_file_open(g->disk, "a", MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_DIRECT, &f), 0);
	assert_int_equal(mr_file_fill(f, OPS * 4096), 0);
	for (int i = 0; i < OPS; i++) {
		memset(data + i * 4096, i, 4096);
		w[i].op = op_of(f, i % 2 ? MR_IO_WRITE : MR_IO_READ, (uint64_t)i * 4096,
			data + i * 4096, 4096);
		mr_io_submit(g->io, &w[i].op);
	}
	while (g->io->in_flight)
		assert_true(mr_io_wait(g->io) >= 0);
	for (int i = 0; i < OPS; i++)
		done += w[i].done && w[i].res == 4096;
	assert_int_equal(done, OPS);
	assert_int_equal(g->io->errors, 0);
	mr_file_close(f);
	free(w);
	free(data);
}

// Longer than a piece and not a multiple of it, at an odd place, and through the page cache or not.
static void long_write_arrives_whole(void **state)
{
	enum { BYTES = 3 << 20 };
	struct rig *g = (struct rig *)*state;
	uint8_t *data = (uint8_t *)aligned_alloc(4096, BYTES), *back = data + BYTES / 2;

	for (int direct = 0; direct < 2; direct++) {
		uint64_t at = direct ? 4096 : 777;
		size_t bytes = direct ? BYTES / 2 - 4096 : BYTES / 2 - 5001;
		struct mr_file *f;

		for (int i = 0; i < BYTES / 2; i++)
			data[i] = (uint8_t)(i * 31 + i / 251 + direct);
		assert_int_equal(
			mr_file_open(g->disk, direct ? "direct" : "cached",
				MR_FILE_WRITE | MR_FILE_CREATE | (direct ? MR_FILE_DIRECT : 0), &f),
			0);
		assert_int_equal(mr_file_write(f, at, data, bytes), 0);
		assert_int_equal(mr_file_sync(f), 0);
		assert_int_equal(mr_file_bytes(f), at + bytes);
		memset(back, 0, BYTES / 2);
		assert_int_equal(mr_file_read(f, at, back, bytes), bytes);
		assert_memory_equal(back, data, bytes);
		mr_file_close(f);
	}
	free(data);
}

static int count_name(void *arg, const char *)
{
	++*(int *)arg;
	return 0;
}

static void disk_names_come_and_go(void **state)
{
	struct rig *g = (struct rig *)*state;
	struct mr_file *f;
	int count = 0;

	assert_int_equal(mr_disk_mkdir(g->disk, "log"), 0);
	assert_int_equal(mr_disk_mkdir(g->disk, "log"), 0);
	assert_int_equal(mr_file_open(g->disk, "log/a", MR_FILE_WRITE | MR_FILE_CREATE, &f), 0);
	mr_file_close(f);
	assert_int_equal(
		mr_file_open(g->disk, "log/a", MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_EXCL, &f),
		-EEXIST);
	assert_int_equal(mr_disk_rename(g->disk, "log/a", "log/b"), 0);
	assert_int_equal(mr_file_open(g->disk, "log/a", MR_FILE_READ, &f), -ENOENT);
	assert_int_equal(mr_disk_list(g->disk, "log", count_name, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(mr_disk_sync_dir(g->disk, "log"), 0);
	assert_int_equal(mr_disk_unlink(g->disk, "log/b"), 0);
	assert_int_equal(mr_disk_unlink(g->disk, "log/b"), -ENOENT);
	assert_true(mr_disk_bytes_free(g->disk) > 0);
}

static void dir_is_made_locked_and_refuses_foreign_files(void **)
{
	char path[] = "/tmp/mr_dir_XXXXXX", sub[64], file[80];
	struct mr_disk *a, *b;
	struct mr_diag diag;
	FILE *f;

	assert_non_null(mkdtemp(path));
	snprintf(sub, sizeof(sub), "%s/data", path);
	assert_int_equal(mr_dir_open(&a, sub, &diag), 0);
	assert_int_equal(mr_dir_init(a, &diag), 0);
	assert_int_equal(mr_dir_open(&b, sub, &diag), 0);
	assert_int_equal(mr_dir_init(b, &diag), MR_ERR_LOCKED);
	mr_disk_destroy(b);
	mr_disk_destroy(a);
	assert_int_equal(mr_dir_open(&a, sub, &diag), 0);
	assert_int_equal(mr_dir_init(a, &diag), 0);
	mr_disk_destroy(a);
	snprintf(file, sizeof(file), "%s/FORMAT", sub);
	f = fopen(file, "w");
	fputs("millrace 2\n", f);
	fclose(f);
	assert_int_equal(mr_dir_open(&a, sub, &diag), 0);
	assert_int_equal(mr_dir_init(a, &diag), MR_ERR_VERSION);
	mr_disk_destroy(a);
	snprintf(file, sizeof(file), "%s/notes.txt", sub);
	f = fopen(file, "w");
	fclose(f);
	assert_int_equal(mr_dir_open(&a, sub, &diag), 0);
	assert_int_equal(mr_dir_init(a, &diag), MR_ERR_FOREIGN);
	assert_non_null(strstr(diag.message, "notes.txt"));
	mr_disk_destroy(a);
	assert_int_equal(mr_dir_open(&a, "/nowhere/at/all", &diag), -ENOENT);
	remove_tree(path);
}

// What is flushed survives a cut; what is not may go, and over many seeds sometimes does.
static void sim_cut_keeps_the_flushed_and_may_lose_the_rest(void **)
{
	int kept = 0, torn = 0, lost = 0, names_lost = 0;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint8_t *data = (uint8_t *)aligned_alloc(4096, 8192);
		struct mr_io_sim s;
		struct mr_file *f, *g;
		int set = 0;

		mr_io_sim_init(&s, &(struct mr_io_sim_options){.seed = seed});
		assert_int_equal(mr_file_open(&s.disk, "f", MR_FILE_WRITE | MR_FILE_CREATE, &f), 0);
		assert_int_equal(mr_file_fill(f, 16384), 0);
		assert_int_equal(mr_disk_sync_dir(&s.disk, "."), 0);
		memset(data, 1, 8192);
		assert_int_equal(run(&s.io, f, MR_IO_WRITE, 0, data, 4096), 4096);
		assert_int_equal(mr_file_write(f, 8192, data, 8192), 0);
		assert_int_equal(mr_file_open(&s.disk, "g", MR_FILE_WRITE | MR_FILE_CREATE, &g), 0);
		mr_io_sim_power_cut(&s);
		mr_file_close(f);
		mr_file_close(g);
		assert_int_equal(mr_file_open(&s.disk, "f", MR_FILE_WRITE, &f), 0);
		assert_int_equal(mr_file_read(f, 0, data, 4096), 4096);
		for (int i = 0; i < 4096; i++)
			assert_int_equal(data[i], 1);
		assert_int_equal(mr_file_read(f, 8192, data, 8192), 8192);
		for (int i = 0; i < 8192; i++)
			set += data[i];
		kept += set == 8192;
		lost += set == 0;
		torn += set > 0 && set < 8192;
		mr_file_close(f);
		if (mr_file_open(&s.disk, "g", MR_FILE_READ, &g) == 0)
			mr_file_close(g);
		else
			names_lost++;
		mr_io_sim_fini(&s);
		free(data);
	}
	assert_true(kept > 5 && torn > 5 && lost > 5 && names_lost > 5);
}

int main(void)
{
#define RIG_TEST(f, rig) cmocka_unit_test_setup_teardown(f, setup_##rig, teardown)
	const struct CMUnitTest tests[] = {
		RIG_TEST(io_reads_back_what_it_wrote, ring),
		RIG_TEST(io_reads_back_what_it_wrote, plain),
		RIG_TEST(io_reads_back_what_it_wrote, sim),
		RIG_TEST(io_many_in_flight_all_complete, ring),
		RIG_TEST(io_many_in_flight_all_complete, plain),
		RIG_TEST(io_many_in_flight_all_complete, sim),
		RIG_TEST(long_write_arrives_whole, plain),
		RIG_TEST(long_write_arrives_whole, sim),
		RIG_TEST(disk_names_come_and_go, plain),
		RIG_TEST(disk_names_come_and_go, sim),
		cmocka_unit_test(dir_is_made_locked_and_refuses_foreign_files),
		cmocka_unit_test(sim_cut_keeps_the_flushed_and_may_lose_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
