// What every implementation of files and queues shares: thin calls and filling with zeros.
#include "storage/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void mr_io_submit(struct mr_io *io, struct mr_io_op *op)
{
	MR_ASSERT(op->done && op->file && op->bytes > 0);
	MR_ASSERT(op->offset % MR_IO_ALIGN == 0 && op->bytes % MR_IO_ALIGN == 0);
	MR_ASSERT((uintptr_t)op->data % MR_IO_ALIGN == 0);
	op->io = io;
	op->next = NULL;
	op->moved = 0;
	op->res = 0;
	io->in_flight++;
	if (op->kind == MR_IO_WRITE) {
		io->writes++;
		io->write_bytes += op->bytes;
	} else {
		io->reads++;
	}
	io->ops->submit(io, op);
}

int mr_io_reap(struct mr_io *io)
{
	return io->ops->reap(io);
}

int mr_io_wait(struct mr_io *io)
{
	return io->ops->wait(io);
}

int mr_io_buffer_add(struct mr_io *io, void *base, size_t bytes)
{
	return io->ops->buffer_add ? io->ops->buffer_add(io, base, bytes) : -1;
}

void mr_io_destroy(struct mr_io *io)
{
	if (io)
		io->ops->destroy(io);
}

void mr_disk_destroy(struct mr_disk *d)
{
	if (d)
		d->ops->destroy(d);
}

int mr_file_open(struct mr_disk *d, const char *name, unsigned flags, struct mr_file **out)
{
	return d->ops->open(d, name, flags, out);
}

void mr_file_close(struct mr_file *f)
{
	if (f)
		f->disk->ops->close(f);
}

int mr_file_read(struct mr_file *f, uint64_t offset, void *data, size_t bytes)
{
	return f->disk->ops->read(f, offset, data, bytes);
}

int mr_file_write(struct mr_file *f, uint64_t offset, const void *data, size_t bytes)
{
	return f->disk->ops->write(f, offset, data, bytes);
}

int mr_file_sync(struct mr_file *f)
{
	return f->disk->ops->sync(f);
}

int mr_file_truncate(struct mr_file *f, uint64_t bytes)
{
	return f->disk->ops->truncate(f, bytes);
}

int64_t mr_file_bytes(struct mr_file *f)
{
	return f->disk->ops->bytes(f);
}

int mr_file_fill(struct mr_file *f, uint64_t bytes)
{
	int64_t at = mr_file_bytes(f);
	size_t chunk =
		MR_MIN((uint64_t)1 << 20, bytes); // 1 MiB direct writes run at the disk's speed
	uint8_t *zeros;
	int rc = 0;

	if (at < 0 || (uint64_t)at >= bytes)
		return at < 0 ? (int)at : mr_file_sync(f);
	MR_ASSERT(bytes % MR_IO_ALIGN == 0);
	at -= at % MR_IO_ALIGN;
	zeros = (uint8_t *)aligned_alloc(MR_IO_ALIGN, chunk);
	if (!zeros)
		return -ENOMEM;
	memset(zeros, 0, chunk);
	while (!rc && (uint64_t)at < bytes) {
		size_t n = MR_MIN((uint64_t)chunk, bytes - (uint64_t)at);

		rc = mr_file_write(f, (uint64_t)at, zeros, n);
		at += (int64_t)n;
	}
	free(zeros);
	return rc ? rc : mr_file_sync(f);
}

int mr_disk_rename(struct mr_disk *d, const char *from, const char *to)
{
	return d->ops->rename(d, from, to);
}

int mr_disk_unlink(struct mr_disk *d, const char *name)
{
	return d->ops->unlink(d, name);
}

int mr_disk_mkdir(struct mr_disk *d, const char *name)
{
	return d->ops->mkdir(d, name);
}

int mr_disk_sync_dir(struct mr_disk *d, const char *name)
{
	return d->ops->sync_dir(d, name);
}

int mr_disk_list(
	struct mr_disk *d, const char *name, int (*each)(void *arg, const char *entry), void *arg)
{
	return d->ops->list(d, name, each, arg);
}

int mr_disk_lock(struct mr_disk *d, const char *name)
{
	return d->ops->lock(d, name);
}

int64_t mr_disk_bytes_free(struct mr_disk *d)
{
	return d->ops->bytes_free(d);
}
