// The simulated disk and queue. See io_sim.h for what they promise to break.
#include "storage/io_sim.h"

#include "host/base/err.h"
#include "host/base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// An unflushed change of a file's contents, oldest first.
struct sim_write {
	struct sim_write *next;
	uint64_t offset;
	uint64_t bytes;
	bool truncate; // to `bytes`
	uint8_t data[];
};

struct image {
	uint8_t *data;
	uint64_t bytes;
	uint64_t bytes_max;
};

struct sim_inode {
	struct image now;  // what reads see
	struct image base; // what survives
	struct sim_write *pending;
	struct sim_write **pending_last;
	unsigned refs; // names, lost names and open files
};

// One path. An entry's inode differs from its durable one until its directory is synced.
struct sim_name {
	struct sim_name *next;
	char path[MR_IO_NAME_MAX];
	bool is_dir;
	struct sim_inode *now;  // NULL: not there
	struct sim_inode *base; // NULL: not there
};

struct sim_file {
	struct mr_file file;
	struct sim_file *next;
	struct sim_inode *inode;
	bool stale; // opened before a power cut
};

static struct mr_io_sim *sim_of_disk(struct mr_disk *d)
{
	return MR_CONTAINER(d, struct mr_io_sim, disk);
}

static struct sim_file *file_of(struct mr_file *f)
{
	return MR_CONTAINER(f, struct sim_file, file);
}

static void *need(void *p)
{
	MR_ASSERT(p); // a test's memory
	return p;
}

static void image_resize(struct image *im, uint64_t bytes)
{
	if (bytes == im->bytes)
		return;
	if (bytes > im->bytes_max) {
		im->bytes_max = MR_MAX(bytes, im->bytes_max * 2);
		im->data = (uint8_t *)need(realloc(im->data, im->bytes_max));
	}
	if (bytes > im->bytes)
		memset(im->data + im->bytes, 0, bytes - im->bytes);
	im->bytes = bytes;
}

static void image_put(struct image *im, uint64_t offset, const void *data, uint64_t bytes)
{
	if (offset + bytes > im->bytes)
		image_resize(im, offset + bytes);
	if (bytes)
		memcpy(im->data + offset, data, bytes);
}

static struct sim_inode *inode_new(void)
{
	struct sim_inode *i = (struct sim_inode *)need(calloc(1, sizeof(*i)));

	i->pending_last = &i->pending;
	return i;
}

static void pending_drop(struct sim_inode *i)
{
	while (i->pending) {
		struct sim_write *w = i->pending;

		i->pending = w->next;
		free(w);
	}
	i->pending_last = &i->pending;
}

static void inode_put(struct sim_inode *i)
{
	if (!i || --i->refs)
		return;
	pending_drop(i);
	free(i->now.data);
	free(i->base.data);
	free(i);
}

static void name_set(struct sim_inode **slot, struct sim_inode *inode)
{
	if (inode)
		inode->refs++;
	inode_put(*slot);
	*slot = inode;
}

static struct sim_name *name_find(struct mr_io_sim *s, const char *path)
{
	struct sim_name *n = s->names;

	while (n && strcmp(n->path, path) != 0)
		n = n->next;
	return n;
}

static struct sim_name *name_make(struct mr_io_sim *s, const char *path)
{
	struct sim_name *n = name_find(s, path);
	struct sim_name **at = &s->names;

	if (n)
		return n;
	// Sorted, so that listing and digests do not depend on history.
	while (*at && strcmp((*at)->path, path) < 0)
		at = &(*at)->next;
	n = (struct sim_name *)need(calloc(1, sizeof(*n)));
	snprintf(n->path, sizeof(n->path), "%s", path);
	n->next = *at;
	*at = n;
	return n;
}

static bool name_is_in(const char *path, const char *dir)
{
	size_t n = strcmp(dir, ".") == 0 ? 0 : strlen(dir) + 1;

	if (n && (strncmp(path, dir, n - 1) != 0 || path[n - 1] != '/'))
		return false;
	return strchr(path + n, '/') == NULL;
}

// Counts an operation; returns the error it shall meet, or 0.
static int fault(struct mr_io_sim *s)
{
	s->ops++;
	if (s->dead)
		return -EIO;
	if (!s->fault.at || s->ops < s->fault.at || (s->ops > s->fault.at && !s->fault.for_ever))
		return 0;
	s->faults_hit++;
	return s->fault.err;
}

static void flushed(struct mr_io_sim *s)
{
	s->flushes++;
	if (s->die_at_flush && s->flushes >= s->die_at_flush)
		s->dead = true;
}

static uint64_t bytes_used(struct mr_io_sim *s)
{
	uint64_t used = 0;

	for (struct sim_name *n = s->names; n; n = n->next)
		if (n->now)
			used += n->now->now.bytes;
	return used;
}

static void pending_add(
	struct sim_inode *i, uint64_t offset, const void *data, uint64_t bytes, bool truncate)
{
	uint64_t room = truncate ? 0 : bytes;
	struct sim_write *w = (struct sim_write *)need(malloc(sizeof(*w) + room));

	*w = (struct sim_write){NULL, offset, bytes, truncate};
	if (room)
		memcpy(w->data, data, room);
	*i->pending_last = w;
	i->pending_last = &w->next;
}

static void write_apply(struct image *im, const struct sim_write *w)
{
	if (w->truncate)
		image_resize(im, w->bytes);
	else
		image_put(im, w->offset, w->data, w->bytes);
}

static void inode_flush(struct sim_inode *i)
{
	for (struct sim_write *w = i->pending; w; w = w->next)
		write_apply(&i->base, w);
	pending_drop(i);
}

// A cut: of a write, some sectors land.
static void write_tear(struct mr_io_sim *s, struct image *im, const struct sim_write *w)
{
	uint64_t sector = s->options.sector;

	for (uint64_t at = 0; at < w->bytes; at += sector)
		if (mr_rand_below(&s->rand, 2))
			image_put(im, w->offset + at, w->data + at, MR_MIN(sector, w->bytes - at));
}

static void inode_cut(struct mr_io_sim *s, struct sim_inode *i)
{
	for (struct sim_write *w = i->pending; w; w = w->next) {
		uint64_t fate = mr_rand_below(&s->rand, 4);

		if (fate == 0)
			continue;
		if (fate == 1 && !w->truncate)
			write_tear(s, &i->base, w);
		else
			write_apply(&i->base, w);
	}
	pending_drop(i);
	image_resize(&i->now, i->base.bytes);
	if (i->base.bytes)
		memcpy(i->now.data, i->base.data, i->base.bytes);
}

static int sim_open(struct mr_disk *d, const char *name, unsigned flags, struct mr_file **out)
{
	struct mr_io_sim *s = sim_of_disk(d);
	struct sim_name *n = name_find(s, name);
	int rc = flags & MR_FILE_CREATE ? fault(s) : 0;
	struct sim_file *f;

	if (rc || s->dead)
		return rc ? rc : -EIO;
	if (n && n->now && (flags & MR_FILE_EXCL))
		return -EEXIST;
	if (!n || !n->now) {
		if (!(flags & MR_FILE_CREATE))
			return -ENOENT;
		n = name_make(s, name);
		name_set(&n->now, inode_new());
	}
	f = (struct sim_file *)need(calloc(1, sizeof(*f)));
	f->file = (struct mr_file){.disk = d, .fd = -1};
	name_set(&f->inode, n->now);
	f->next = s->open_files;
	s->open_files = f;
	*out = &f->file;
	return 0;
}

static void sim_close(struct mr_file *file)
{
	struct sim_file *f = file_of(file);
	struct sim_file **at = &sim_of_disk(file->disk)->open_files;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	inode_put(f->inode);
	free(f);
}

static int inode_read(
	struct mr_io_sim *s, struct sim_inode *i, uint64_t offset, void *data, size_t bytes)
{
	size_t n = offset >= i->now.bytes ? 0 : MR_MIN(bytes, i->now.bytes - offset);

	if (n)
		memcpy(data, i->now.data + offset, n);
	if (n && s->options.rot_ppm && mr_rand_below(&s->rand, 1000000) < s->options.rot_ppm)
		((uint8_t *)data)[mr_rand_below(&s->rand, n)] ^=
			(uint8_t)(1u << mr_rand_below(&s->rand, 8));
	return (int)n;
}

static int sim_read(struct mr_file *file, uint64_t offset, void *data, size_t bytes)
{
	struct mr_io_sim *s = sim_of_disk(file->disk);
	int rc = fault(s);

	if (rc || file_of(file)->stale)
		return rc ? rc : -EIO;
	return inode_read(s, file_of(file)->inode, offset, data, bytes);
}

// Where a write goes: now and then somewhere else in its file.
static uint64_t aim(struct mr_io_sim *s, struct sim_inode *i, uint64_t offset, uint64_t bytes)
{
	if (!s->options.misdirect_ppm || i->now.bytes <= bytes ||
		mr_rand_below(&s->rand, 1000000) >= s->options.misdirect_ppm)
		return offset;
	return mr_rand_below(&s->rand, (i->now.bytes - bytes) / MR_IO_ALIGN + 1) * MR_IO_ALIGN;
}

// Visible and pending. A failing write may have moved a part.
static int inode_write(
	struct mr_io_sim *s, struct sim_inode *i, uint64_t offset, const void *data, uint64_t bytes)
{
	int rc = fault(s);

	if (s->dead)
		return -EIO;
	if (rc) // some prefix of sectors has moved
		bytes = mr_rand_below(&s->rand, bytes / s->options.sector + 1) * s->options.sector;
	else if (offset + bytes > i->now.bytes &&
		 bytes_used(s) + offset + bytes - i->now.bytes > s->options.capacity_bytes)
		return -ENOSPC;
	if (rc && (rc == -ENOSPC || offset + bytes > i->now.bytes))
		return rc;
	offset = aim(s, i, offset, bytes);
	if (bytes) {
		image_put(&i->now, offset, data, bytes);
		pending_add(i, offset, data, bytes, false);
	}
	return rc;
}

static int sim_write_file(struct mr_file *file, uint64_t offset, const void *data, size_t bytes)
{
	if (file_of(file)->stale)
		return -EIO;
	return inode_write(sim_of_disk(file->disk), file_of(file)->inode, offset, data, bytes);
}

static int sim_sync(struct mr_file *file)
{
	struct mr_io_sim *s = sim_of_disk(file->disk);
	int rc = fault(s);

	if (rc || file_of(file)->stale)
		return rc ? rc : -EIO;
	if (!s->options.no_flush)
		inode_flush(file_of(file)->inode);
	flushed(s);
	return 0;
}

static int sim_truncate(struct mr_file *file, uint64_t bytes)
{
	struct sim_inode *i = file_of(file)->inode;
	int rc = fault(sim_of_disk(file->disk));

	if (rc || file_of(file)->stale)
		return rc ? rc : -EIO;
	image_resize(&i->now, bytes);
	pending_add(i, 0, NULL, bytes, true);
	return 0;
}

static int64_t sim_bytes(struct mr_file *file)
{
	return (int64_t)file_of(file)->inode->now.bytes;
}

static int sim_rename(struct mr_disk *d, const char *from, const char *to)
{
	struct mr_io_sim *s = sim_of_disk(d);
	struct sim_name *n = name_find(s, from);
	int rc = fault(s);

	if (rc)
		return rc;
	if (!n || !n->now)
		return -ENOENT;
	name_set(&name_make(s, to)->now, n->now);
	name_set(&n->now, NULL);
	return 0;
}

static int sim_unlink(struct mr_disk *d, const char *name)
{
	struct mr_io_sim *s = sim_of_disk(d);
	struct sim_name *n = name_find(s, name);
	int rc = fault(s);

	if (rc)
		return rc;
	if (!n || !n->now)
		return -ENOENT;
	name_set(&n->now, NULL);
	return 0;
}

static int sim_mkdir(struct mr_disk *d, const char *name)
{
	struct mr_io_sim *s = sim_of_disk(d);
	int rc = fault(s);

	if (rc)
		return rc;
	// Directories are durable at once: no code of ours depends on when they become so.
	name_make(s, name)->is_dir = true;
	return 0;
}

static int sim_sync_dir(struct mr_disk *d, const char *name)
{
	struct mr_io_sim *s = sim_of_disk(d);
	int rc = fault(s);

	if (rc)
		return rc;
	for (struct sim_name *n = s->names; n && !s->options.no_flush; n = n->next)
		if (name_is_in(n->path, name))
			name_set(&n->base, n->now);
	flushed(s);
	return 0;
}

static int sim_list(
	struct mr_disk *d, const char *name, int (*each)(void *arg, const char *entry), void *arg)
{
	struct mr_io_sim *s = sim_of_disk(d);
	size_t skip = strcmp(name, ".") == 0 ? 0 : strlen(name) + 1;
	int rc = s->dead ? -EIO : 0;

	for (struct sim_name *n = s->names; n && !rc; n = n->next)
		if ((n->now || n->is_dir) && name_is_in(n->path, name))
			rc = each(arg, n->path + skip);
	return rc;
}

static int sim_lock(struct mr_disk *d, const char *name)
{
	struct mr_io_sim *s = sim_of_disk(d);
	struct mr_file *f;
	int rc = s->locked ? (int)MR_ERR_LOCKED
			   : sim_open(d, name, MR_FILE_WRITE | MR_FILE_CREATE, &f);

	if (rc)
		return rc;
	sim_close(f);
	s->locked = true;
	return 0;
}

static int64_t sim_bytes_free(struct mr_disk *d)
{
	struct mr_io_sim *s = sim_of_disk(d);
	uint64_t used = bytes_used(s);

	return used < s->options.capacity_bytes ? (int64_t)(s->options.capacity_bytes - used) : 0;
}

static void sim_disk_destroy(struct mr_disk *)
{
}

static const struct mr_disk_ops sim_disk_ops = {
	.open = sim_open,
	.close = sim_close,
	.read = sim_read,
	.write = sim_write_file,
	.sync = sim_sync,
	.truncate = sim_truncate,
	.bytes = sim_bytes,
	.rename = sim_rename,
	.unlink = sim_unlink,
	.mkdir = sim_mkdir,
	.sync_dir = sim_sync_dir,
	.list = sim_list,
	.lock = sim_lock,
	.bytes_free = sim_bytes_free,
	.destroy = sim_disk_destroy,
};

static struct mr_io_sim *sim_of_io(struct mr_io *io)
{
	return MR_CONTAINER(io, struct mr_io_sim, io);
}

static void queue_submit(struct mr_io *io, struct mr_io_op *op)
{
	struct mr_io_sim *s = sim_of_io(io);
	struct mr_io_op **at = &s->queue;

	op->due_ns = s->clock.ns + 1 +
		     (int64_t)mr_rand_below(&s->rand, (uint64_t)s->options.delay_ns_max);
	while (*at && (*at)->due_ns <= op->due_ns)
		at = &(*at)->next;
	op->next = *at;
	*at = op;
}

// Durable on its own: the newest pending change of the inode is this write, and it alone is
// flushed, after what it overwrites: the disk does not reorder writes of one place.
static void write_settle(struct sim_inode *i)
{
	struct sim_write **at = &i->pending;
	struct sim_write *newest = i->pending;

	while (newest->next)
		newest = newest->next;
	while (*at) {
		struct sim_write *w = *at;
		bool under = w->truncate || (w->offset < newest->offset + newest->bytes &&
						    newest->offset < w->offset + w->bytes);

		if (!under) {
			at = &w->next;
			continue;
		}
		write_apply(&i->base, w);
		*at = w->next;
		free(w);
	}
	i->pending_last = at;
}

static int op_run(struct mr_io_sim *s, struct mr_io_op *op)
{
	struct sim_inode *i = file_of(op->file)->inode;
	int rc;

	if (op->kind == MR_IO_READ) {
		rc = fault(s);
		return rc ? rc : inode_read(s, i, op->offset, op->data, op->bytes);
	}
	rc = inode_write(s, i, op->offset, op->data, op->bytes);
	if (rc)
		return rc;
	if (!s->options.no_flush)
		write_settle(i);
	flushed(s);
	return (int)op->bytes;
}

static int queue_reap(struct mr_io *io)
{
	struct mr_io_sim *s = sim_of_io(io);
	int count = 0;

	while (s->queue && s->queue->due_ns <= s->clock.ns) {
		struct mr_io_op *op = s->queue;
		int res;

		s->queue = op->next;
		res = op_run(s, op);
		io->in_flight--;
		io->errors += res < 0;
		op->done(op, res);
		count++;
	}
	return count;
}

static int queue_wait(struct mr_io *io)
{
	return mr_io_sim_step(sim_of_io(io)) ? 1 : -EIO;
}

static void queue_destroy(struct mr_io *)
{
}

static const struct mr_io_ops sim_io_ops = {
	queue_submit, queue_reap, queue_wait, NULL, queue_destroy};

void mr_io_sim_init(struct mr_io_sim *s, const struct mr_io_sim_options *o)
{
	*s = (struct mr_io_sim){.options = *o};
	s->options.sector = o->sector ? o->sector : 512;
	s->options.capacity_bytes = o->capacity_bytes ? o->capacity_bytes : 1u << 30;
	s->options.delay_ns_max = o->delay_ns_max ? o->delay_ns_max : 100000;
	s->disk.ops = &sim_disk_ops;
	s->io.ops = &sim_io_ops;
	s->io.event_fd = -1;
	mr_rand_init(&s->rand, o->seed);
	mr_clock_sim_init(&s->clock, 1700000000000000);
}

void mr_io_sim_fini(struct mr_io_sim *s)
{
	MR_ASSERT(!s->open_files);
	while (s->names) {
		struct sim_name *n = s->names;

		s->names = n->next;
		inode_put(n->now);
		inode_put(n->base);
		free(n);
	}
}

void mr_io_sim_clone(struct mr_io_sim *to, const struct mr_io_sim *from, uint64_t seed)
{
	struct mr_io_sim_options o = from->options;

	o.seed = seed;
	mr_io_sim_init(to, &o);
	for (const struct sim_name *n = from->names; n; n = n->next) {
		struct sim_name *copy = name_make(to, n->path);
		struct sim_inode *i;

		copy->is_dir = n->is_dir;
		if (!n->base)
			continue;
		MR_ASSERT(n->base == n->now && !n->base->pending);
		i = inode_new();
		image_put(&i->now, 0, n->base->base.data, n->base->base.bytes);
		image_put(&i->base, 0, n->base->base.data, n->base->base.bytes);
		name_set(&copy->now, i);
		name_set(&copy->base, i);
	}
}

bool mr_io_sim_step(struct mr_io_sim *s)
{
	if (!s->queue)
		return false;
	s->clock.ns = MR_MAX(s->clock.ns, s->queue->due_ns);
	mr_io_reap(&s->io);
	return true;
}

// What was queued and not answered: each write may be under way to the disk.
static void queue_drop(struct mr_io_sim *s)
{
	for (struct mr_io_op *op = s->queue; op; op = op->next) {
		struct sim_inode *i = file_of(op->file)->inode;

		if (op->kind != MR_IO_WRITE || s->dead || mr_rand_below(&s->rand, 2))
			continue;
		image_put(&i->now, op->offset, op->data, op->bytes);
		pending_add(i, op->offset, op->data, op->bytes, false);
	}
	s->queue = NULL;
	s->io.in_flight = 0;
}

static void revive(struct mr_io_sim *s)
{
	for (struct sim_file *f = s->open_files; f; f = f->next)
		f->stale = true;
	s->dead = false;
	s->locked = false;
	s->fault = (struct mr_io_sim_fault){0};
	s->die_at_flush = 0;
}

void mr_io_sim_power_cut(struct mr_io_sim *s)
{
	queue_drop(s);
	for (struct sim_name *n = s->names; n; n = n->next) {
		if (n->now != n->base && mr_rand_below(&s->rand, 2))
			name_set(&n->base, n->now);
		name_set(&n->now, n->base);
	}
	for (struct sim_name *n = s->names; n; n = n->next)
		if (n->now)
			inode_cut(s, n->now);
	revive(s);
}

void mr_io_sim_kill(struct mr_io_sim *s)
{
	queue_drop(s);
	revive(s);
}

bool mr_io_sim_flip(struct mr_io_sim *s, const char *name, uint64_t offset, uint8_t mask)
{
	struct sim_name *n = name_find(s, name);

	if (!n || !n->now || offset >= n->now->now.bytes)
		return false;
	n->now->now.data[offset] ^= mask;
	if (offset < n->now->base.bytes)
		n->now->base.data[offset] ^= mask;
	return true;
}

uint64_t mr_io_sim_digest(struct mr_io_sim *s)
{
	uint64_t h = 0;

	for (struct sim_name *n = s->names; n; n = n->next)
		if (n->now)
			h = mr_hash64(h ^ mr_hash_bytes(n->path, strlen(n->path)), 1) ^
			    mr_checksum(n->now->now.data, n->now->now.bytes);
	return h;
}
