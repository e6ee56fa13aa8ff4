// The tail ring's memory: one memfd mapped twice in a row, so that a frame which begins near the
// end goes on behind it, at the same physical bytes as the beginning.
#include "storage/log_writer_int.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int mr_log_ring_map(uint64_t bytes, uint8_t **out)
{
	int fd = memfd_create("millrace-log", MFD_CLOEXEC);
	uint8_t *base;
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes)) {
		rc = -errno;
		goto close_fd;
	}
	base = (uint8_t *)mmap(
		NULL, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		rc = -errno;
		goto close_fd;
	}
	for (int i = 0; i < 2 && !rc; i++)
		if (mmap(base + (uint64_t)i * bytes, bytes, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			rc = -errno;
	if (rc)
		munmap(base, 2 * bytes);
	else
		*out = base;
close_fd:
	close(fd);
	return rc;
}

void mr_log_ring_unmap(uint8_t *ring, uint64_t bytes)
{
	munmap(ring, 2 * bytes);
}
