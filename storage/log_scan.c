// Reading the frames of one log file in order, verifying each.
//
// A frame counts only when its magic, log, lsn, incarnation, chain and checksum are right. Lengths
// from disk are used only below the limit of the file.
#include "host/base/hash.h"
#include "storage/log_int.h"

#include <errno.h>
#include <stdlib.h>

enum { READ_BYTES = 1 << 20 };

void mr_log_scan_init(
	struct mr_log_scan *s, const struct mr_log_file *f, uint64_t lsn, uint64_t limit)
{
	*s = (struct mr_log_scan){.file = f, .lsn = lsn, .limit = limit};
	if (lsn == f->first_lsn) {
		s->previous = f->previous;
		s->chained = true;
	}
}

void mr_log_scan_fini(struct mr_log_scan *s)
{
	free(s->data);
	s->data = NULL;
}

// Makes [offset, offset + bytes) of the file present; *out is NULL when the file ends before.
static int fetch(struct mr_log_scan *s, uint64_t offset, size_t bytes, const uint8_t **out)
{
	uint64_t left = mr_log_file_offset(s->file, s->limit) - offset; // a multiple of a page
	size_t want = MR_MAX(MR_MIN((uint64_t)READ_BYTES, left), mr_round_up(bytes, MR_IO_ALIGN));
	int rc;

	*out = NULL;
	if (offset < s->data_at || offset + bytes > s->data_at + s->data_bytes || !s->data) {
		if (want > s->data_max) {
			free(s->data);
			s->data = (uint8_t *)aligned_alloc(MR_IO_ALIGN, want);
			s->data_max = s->data ? want : 0;
			s->data_bytes = 0;
		}
		if (!s->data)
			return -ENOMEM;
		rc = mr_file_read(s->file->file, offset, s->data, want);
		if (rc < 0)
			return rc;
		s->data_at = offset;
		s->data_bytes = (size_t)rc;
	}
	if (offset + bytes <= s->data_at + s->data_bytes)
		*out = s->data + (offset - s->data_at);
	return 0;
}

// The frame at `lsn` but for its chain.
static int frame_at(struct mr_log_scan *s, uint64_t lsn, const struct mr_log_frame **out)
{
	const struct mr_log_file *file = s->file;
	uint64_t offset = mr_log_file_offset(file, lsn);
	const struct mr_log_frame *f;
	const uint8_t *p;
	int rc;

	*out = NULL;
	if (lsn + MR_IO_ALIGN > s->limit)
		return 0;
	rc = fetch(s, offset, MR_IO_ALIGN, &p);
	f = (const struct mr_log_frame *)(const void *)p;
	if (rc || !f || f->magic != MR_LOG_FRAME_MAGIC || f->log_id != file->log_id ||
		f->lsn != lsn || f->incarnation != file->incarnation ||
		mr_log_frame_bytes(f->bytes) > s->limit - lsn)
		return rc;
	rc = fetch(s, offset, mr_log_frame_bytes(f->bytes), &p);
	f = (const struct mr_log_frame *)(const void *)p;
	if (rc || !f)
		return rc;
	// Fetched again, perhaps; a length that changed under us fails the checksum or this.
	if (mr_log_frame_bytes(f->bytes) > s->data_bytes - (offset - s->data_at))
		return 0;
	if (f->checksum == mr_checksum(&f->magic, sizeof(*f) - sizeof(f->checksum) + f->bytes))
		*out = f;
	return 0;
}

int mr_log_scan_next(struct mr_log_scan *s, const struct mr_log_frame **out)
{
	int rc = frame_at(s, s->lsn, out);
	const struct mr_log_frame *f = *out;

	if (rc || !f)
		return rc;
	if (s->chained && f->previous != s->previous) {
		*out = NULL;
		return 0;
	}
	if (f->version > MR_LOG_VERSION || f->type != 1)
		return MR_ERR_VERSION;
	s->lsn += mr_log_frame_bytes(f->bytes);
	s->previous = f->checksum;
	s->chained = true;
	return 0;
}

int mr_log_scan_proves(struct mr_log_scan *s, uint64_t from, uint64_t lsn)
{
	const struct mr_log_frame *f;

	for (uint64_t at = from; at + MR_IO_ALIGN <= s->limit; at += MR_IO_ALIGN) {
		int rc = frame_at(s, at, &f);

		if (rc)
			return rc;
		if (f && f->durable_lsn > lsn)
			return 1;
	}
	return 0;
}
