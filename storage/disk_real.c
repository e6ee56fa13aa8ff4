// Files of a real directory: the blocking calls of struct mr_disk.
//
// Everything is relative to a descriptor of the directory, so the path may change under us. Where a
// file system refuses O_DIRECT the file is opened without it, with one warning in a process; its
// writes are then made durable by RWF_DSYNC through the page cache all the same.
#include "host/base/err.h"
#include "host/base/note.h"
#include "storage/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct disk_real {
	struct mr_disk disk;
	int dir_fd;
	int lock_fd;
};

static struct disk_real *real_of(struct mr_disk *d)
{
	return MR_CONTAINER(d, struct disk_real, disk);
}

// A quota that is used up is a full disk.
static int os_error(void)
{
	return errno == EDQUOT ? -ENOSPC : -errno;
}

static int open_direct(int dir_fd, const char *name, int flags, bool *direct)
{
	static _Atomic bool warned;
	int fd = openat(dir_fd, name, flags | O_DIRECT, 0600);

	*direct = fd >= 0;
	if (fd >= 0 || errno != EINVAL)
		return fd;
	if (!atomic_exchange(&warned, true))
		mr_note(MR_NOTE_WARN, "storage",
			"file=%s the file system refuses O_DIRECT; using the page cache", name);
	return openat(dir_fd, name, flags, 0600);
}

// Background threads write segments and new log files beside workers that wait for their commits,
// so they write in pieces: a thread in a system call holds its core until the call ends on kernels
// without preemption, and a flush waits for all that the device was given before it. A piece that
// went to the page cache is on its way to the device before the next comes, so that the last flush
// finds little.
enum { PIECE_BYTES = 256 << 10 };

static int piece_written(struct mr_file *f, uint64_t offset, size_t bytes)
{
	if (f->direct || bytes < PIECE_BYTES)
		return 0;
	return sync_file_range(f->fd, (off_t)offset, (off_t)bytes,
		       SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			       SYNC_FILE_RANGE_WAIT_AFTER)
		       ? os_error()
		       : 0;
}

static int real_open(struct mr_disk *d, const char *name, unsigned flags, struct mr_file **out)
{
	int os = O_CLOEXEC | O_NOFOLLOW | (flags & MR_FILE_WRITE ? O_RDWR : O_RDONLY);
	struct mr_file *f = (struct mr_file *)calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	if (flags & MR_FILE_CREATE)
		os |= O_CREAT | (flags & MR_FILE_EXCL ? O_EXCL : 0);
	f->disk = d;
	if (flags & MR_FILE_DIRECT)
		f->fd = open_direct(real_of(d)->dir_fd, name, os, &f->direct);
	else
		f->fd = openat(real_of(d)->dir_fd, name, os, 0600);
	if (f->fd < 0) {
		int rc = os_error();

		free(f);
		return rc;
	}
	*out = f;
	return 0;
}

static void real_close(struct mr_file *f)
{
	close(f->fd);
	free(f);
}

static int real_read(struct mr_file *f, uint64_t offset, void *data, size_t bytes)
{
	size_t moved = 0;

	while (moved < bytes) {
		ssize_t n = pread(
			f->fd, (uint8_t *)data + moved, bytes - moved, (off_t)(offset + moved));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return os_error();
		if (n == 0)
			break;
		moved += (size_t)n;
		// A direct read stops short only at the end, where going on would be unaligned.
		if (moved % 512)
			break;
	}
	return (int)moved;
}

static int real_write(struct mr_file *f, uint64_t offset, const void *data, size_t bytes)
{
	size_t moved = 0;

	while (moved < bytes) {
		ssize_t n = pwrite(f->fd, (const uint8_t *)data + moved,
			MR_MIN(bytes - moved, (size_t)PIECE_BYTES), (off_t)(offset + moved));
		int rc;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? os_error() : -EIO;
		rc = piece_written(f, offset + moved, (size_t)n);
		if (rc)
			return rc;
		moved += (size_t)n;
	}
	return 0;
}

static int real_sync(struct mr_file *f)
{
	return fdatasync(f->fd) ? os_error() : 0;
}

static int real_truncate(struct mr_file *f, uint64_t bytes)
{
	return ftruncate(f->fd, (off_t)bytes) ? os_error() : 0;
}

static int64_t real_bytes(struct mr_file *f)
{
	struct stat st;

	return fstat(f->fd, &st) ? os_error() : st.st_size;
}

static int real_rename(struct mr_disk *d, const char *from, const char *to)
{
	int fd = real_of(d)->dir_fd;

	return renameat(fd, from, fd, to) ? os_error() : 0;
}

static int real_unlink(struct mr_disk *d, const char *name)
{
	return unlinkat(real_of(d)->dir_fd, name, 0) ? os_error() : 0;
}

static int real_mkdir(struct mr_disk *d, const char *name)
{
	return mkdirat(real_of(d)->dir_fd, name, 0700) && errno != EEXIST ? os_error() : 0;
}

static int real_sync_dir(struct mr_disk *d, const char *name)
{
	int fd = openat(real_of(d)->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return os_error();
	rc = fsync(fd) ? os_error() : 0;
	close(fd);
	return rc;
}

static int real_list(
	struct mr_disk *d, const char *name, int (*each)(void *arg, const char *entry), void *arg)
{
	int fd = openat(real_of(d)->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int rc = 0;

	if (!dir) {
		rc = os_error();
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (!rc && (errno = 0, e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = each(arg, e->d_name);
	if (!rc && errno)
		rc = os_error();
	closedir(dir);
	return rc;
}

static int real_lock(struct mr_disk *d, const char *name)
{
	struct disk_real *r = real_of(d);
	int fd = openat(r->dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	MR_ASSERT(r->lock_fd < 0);
	if (fd < 0)
		return os_error();
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int rc = errno == EWOULDBLOCK ? (int)MR_ERR_LOCKED : os_error();

		close(fd);
		return rc;
	}
	r->lock_fd = fd;
	return 0;
}

static int64_t real_bytes_free(struct mr_disk *d)
{
	struct statvfs v;

	if (fstatvfs(real_of(d)->dir_fd, &v))
		return os_error();
	return (int64_t)v.f_bavail * (int64_t)v.f_frsize;
}

static void real_destroy(struct mr_disk *d)
{
	struct disk_real *r = real_of(d);

	if (r->lock_fd >= 0)
		close(r->lock_fd);
	close(r->dir_fd);
	free(r);
}

static const struct mr_disk_ops real_ops = {
	.open = real_open,
	.close = real_close,
	.read = real_read,
	.write = real_write,
	.sync = real_sync,
	.truncate = real_truncate,
	.bytes = real_bytes,
	.rename = real_rename,
	.unlink = real_unlink,
	.mkdir = real_mkdir,
	.sync_dir = real_sync_dir,
	.list = real_list,
	.lock = real_lock,
	.bytes_free = real_bytes_free,
	.destroy = real_destroy,
};

int mr_disk_real_open(struct mr_disk **out, const char *path)
{
	struct disk_real *r = (struct disk_real *)calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->disk.ops = &real_ops;
	r->lock_fd = -1;
	r->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->dir_fd < 0) {
		int rc = os_error();

		free(r);
		return rc;
	}
	*out = &r->disk;
	return 0;
}
