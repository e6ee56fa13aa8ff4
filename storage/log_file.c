// Names, heads, frames and records of log files: their bytes and the checks on them.
#include "host/base/hash.h"
#include "storage/log_int.h"

#include <inttypes.h>
#include <stdio.h>

void mr_log_file_name(uint64_t id, char out[MR_LOG_NAME_BYTES])
{
	snprintf(out, MR_LOG_NAME_BYTES, "log/%016" PRIx64 ".mlog", id);
}

bool mr_log_file_name_parse(const char *name, uint64_t *id)
{
	char again[MR_LOG_NAME_BYTES];

	if (sscanf(name, "%16" SCNx64, id) != 1)
		return false;
	mr_log_file_name(*id, again);
	return strcmp(again + sizeof("log/") - 1, name) == 0;
}

void mr_log_head_make(struct mr_log_head *h, const struct mr_log_file *f, uint64_t index_lsn)
{
	*h = (struct mr_log_head){
		.magic = MR_LOG_HEAD_MAGIC,
		.version = MR_LOG_VERSION,
		.flags = f->continues ? MR_LOG_CONTINUES : 0,
		.log_id = f->log_id,
		.file_id = f->id,
		.sequence = f->sequence,
		.first_lsn = f->first_lsn,
		.incarnation = f->incarnation,
		.previous = f->previous,
		.index_lsn = index_lsn,
		.file_bytes = f->bytes,
	};
	h->checksum = mr_checksum(&h->magic, sizeof(*h) - sizeof(h->checksum));
}

int mr_log_head_read(
	struct mr_log_file *f, const uint8_t head[MR_LOG_HEAD_BYTES], uint64_t *index_lsn_before)
{
	struct mr_log_head h;

	memcpy(&h, head, sizeof(h));
	if (h.magic != MR_LOG_HEAD_MAGIC ||
		h.checksum != mr_checksum(&h.magic, sizeof(h) - sizeof(h.checksum)))
		return MR_ERR_CORRUPT;
	// A recycled file shows the head of its former life until it is used.
	if (h.file_id != f->id || h.log_id != f->log_id || h.sequence != f->sequence)
		return MR_ERR_CORRUPT;
	if (h.version > MR_LOG_VERSION || h.flags > MR_LOG_CONTINUES)
		return MR_ERR_VERSION;
	if (h.version == 0 || h.first_lsn % MR_IO_ALIGN || h.file_bytes != f->bytes)
		return MR_ERR_CORRUPT;
	f->head_known = true;
	f->continues = h.flags & MR_LOG_CONTINUES;
	f->first_lsn = h.first_lsn;
	f->incarnation = h.incarnation;
	f->previous = h.previous;
	*index_lsn_before = h.index_lsn;
	return 0;
}

void mr_log_frame_seal(struct mr_log_frame *f)
{
	f->checksum = mr_checksum(&f->magic, sizeof(*f) - sizeof(f->checksum) + f->bytes);
}

uint64_t mr_log_record_checksum(const struct mr_log_record *r)
{
	return mr_checksum(&r->type, sizeof(*r) - sizeof(r->checksum) + r->bytes);
}

const struct mr_log_record *mr_log_record_next(struct mr_reader *r)
{
	const struct mr_log_record *rec =
		(const struct mr_log_record *)(const void *)mr_read_bytes(r, sizeof(*rec));

	if (!rec)
		return NULL;
	mr_read_bytes(r, mr_log_record_bytes(rec->bytes) - sizeof(*rec));
	return r->bad ? NULL : rec;
}

int mr_log_record_known(const struct mr_log_store *s, const struct mr_log_record *r)
{
	if (r->type >= MR_LOG_BATCH && r->type <= MR_LOG_INDEX && r->version == 0)
		return 0;
	for (size_t i = 0; i < s->options.type_count; i++)
		if (s->options.types[i].type == r->type)
			return r->version <= s->options.types[i].version_max ? 0 : MR_ERR_VERSION;
	return MR_ERR_VERSION;
}
