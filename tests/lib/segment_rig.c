// The segment store's tests share how it is opened, filled and killed.
#include "tests/lib/segment_rig.h"

#include "storage/dir.h"
#include "tests/lib/mr_test.h"

#include <stdlib.h>

enum { ROUNDS = 4, FLUSHES_MAX = 1000 };

int segment_rig_open(struct segment_rig *r, struct mr_io_sim *sim, uint32_t snapshot_records)
{
	struct mr_manifest_options mo = {
		.disk = &sim->disk, .file_bytes = 64 << 10, .snapshot_records = snapshot_records};
	struct mr_diag diag;
	int rc;

	*r = (struct segment_rig){0};
	sim->locked = false;
	rc = mr_dir_init(&sim->disk, &diag);
	if (rc < 0)
		return rc;
	assert_int_equal(mr_manifest_create(&r->manifest, &mo), 0);
	assert_int_equal(mr_segment_store_create(&sim->disk, r->manifest, &r->segments), 0);
	assert_int_equal(mr_segment_writer_create(&sim->disk, &r->writer), 0);
	rc = mr_manifest_open(r->manifest, &diag);
	return rc < 0 ? rc : mr_segment_store_clean(r->segments);
}

void segment_rig_close(struct segment_rig *r)
{
	mr_segment_writer_destroy(r->writer);
	mr_segment_store_destroy(r->segments);
	if (r->manifest)
		mr_manifest_destroy(r->manifest);
}

int segment_rig_seal(
	struct segment_rig *r, const struct mr_segment_source *rows, struct mr_segment_info *info)
{
	struct mr_segment_source sources[2] = {*rows, *rows};
	struct mr_segment *committed;
	int rc;

	sources[1].blocks_count = 0;
	rc = mr_segment_write(r->writer, sources, info);
	if (rc == 0)
		rc = mr_segment_store_commit(r->segments, info, NULL, 0, &committed);
	if (rc == 0)
		mr_segment_put(committed);
	else
		free(info->ranges);
	return rc;
}

static int count_entry(void *arg, const char *)
{
	++*(int *)arg;
	return 0;
}

int segment_rig_files(struct mr_io_sim *sim, const char *folder)
{
	int files = 0;

	assert_int_equal(mr_disk_list(&sim->disk, folder, count_entry, &files), 0);
	return files;
}

// The process is killed or the power is cut. Whether the disk had died before.
static bool die(struct mr_io_sim *sim, bool kill)
{
	bool died = sim->dead;

	if (kill)
		mr_io_sim_kill(sim);
	else
		mr_io_sim_power_cut(sim);
	sim->die_at_flush = 0;
	return died;
}

static bool live_and_die(
	const struct segment_life *of, uint64_t seed, uint64_t die_at_flush, bool kill)
{
	void *known = calloc(1, of->known_bytes);
	struct mr_io_sim sim;
	struct segment_rig s;
	struct mr_rand r;
	bool died;

	assert_non_null(known);
	mr_rand_init(&r, seed);
	mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = seed});
	assert_int_equal(segment_rig_open(&s, &sim, of->snapshot_records), 0);
	sim.die_at_flush = sim.flushes + die_at_flush;
	of->live(&sim, &s, known, &r);
	segment_rig_close(&s);
	died = die(&sim, kill);
	assert_int_equal(segment_rig_open(&s, &sim, of->snapshot_records), 0);
	of->check(&sim, &s, known);
	of->live(&sim, &s, known, &r);
	segment_rig_close(&s);
	mr_io_sim_power_cut(&sim);
	assert_int_equal(segment_rig_open(&s, &sim, of->snapshot_records), 0);
	of->check(&sim, &s, known);
	segment_rig_close(&s);
	mr_io_sim_fini(&sim);
	free(known);
	return died;
}

void segment_rig_every_flush(const struct segment_life *of)
{
	uint64_t seed = mr_rand_seed_os(), at;

	print_message("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < ROUNDS; round++)
		for (at = 1; live_and_die(of, seed + at + (uint64_t)round * 1000, at, round & 1);
			at++)
			assert_true(at < FLUSHES_MAX);
}
