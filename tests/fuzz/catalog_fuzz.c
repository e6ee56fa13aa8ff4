// Catalog records as a damaged manifest could hold them: whatever the bytes, only an error may come
// of them, numbers are never below those in use, and what was taken can be written again.
#include "host/catalog_int.h"
#include "storage/manifest.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

// The input is records: u8 type, counted from the catalog's first; u16 bytes; payload.
static void replay_all(struct mr_catalog *c, struct mr_span input)
{
	struct mr_reader in = mr_reader(input);

	while (mr_read_left(&in)) {
		uint16_t type = (uint16_t)(MR_MANIFEST_TYPE_CATALOG + mr_read_u8(&in) % 12);
		struct mr_span payload = mr_read_span(&in, mr_read_le16(&in));
		struct mr_manifest_record r = {type, 1, payload};
		struct mr_diag diag = {0};

		if (in.bad)
			return;
		if (mr_catalog_replay(c, &r, &diag) < 0)
			MR_ASSERT(diag.message[0]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mr_catalog c = {.number_next = 1, .object_next = 1, .producer_next = 1000};
	struct mr_buf again = {0};

	if (bytes > 64 << 10)
		return 0;
	mr_catalog_lists_init(&c);
	replay_all(&c, mr_span(data, bytes));
	for (size_t i = 0; i < c.topics_count; i++)
		MR_ASSERT(c.topics[i]->topic.name.bytes <= MR_TOPIC_NAME_MAX &&
			  c.topics[i]->topic.number < c.number_next);
	for (size_t i = 0; i < c.tables_count; i++)
		MR_ASSERT(c.tables[i]->id < c.object_next &&
			  c.tables[i]->options.watermark_column <
				  (int32_t)c.tables[i]->columns_count);
	mr_catalog_snapshot(&c, &again);
	mr_buf_fini(&again);
	mr_catalog_fini(&c);
	return 0;
}
