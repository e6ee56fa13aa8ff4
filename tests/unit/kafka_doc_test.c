// docs/KAFKA.md is written from the tables of the Kafka layer; this test fails when it is stale.
// MR_TEST_ACCEPT=1 (tools/gen-kafka-doc) writes it anew.
#include "dataplane/kafka.h"
#include "dataplane/kafka_config.h"
#include "dataplane/kafka_wire.h"
#include "host/base/buf.h"
#include "tests/lib/mr_test.h"

#include <stdio.h>
#include <stdlib.h>

static const char path[] = "docs/KAFKA.md";

static void put_apis(struct mr_buf *b)
{
	mr_buf_str(b, "## APIs\n\n"
		      "Every other API key closes the connection, and so does a version that is "
		      "not served. Where\nadvertised and served differ, the note says why.\n\n"
		      "| Key | API | Advertised | Served | Flexible from | Notes |\n"
		      "|--:|---|---|---|--:|---|\n");
	for (size_t i = 0; i < MR_KAFKA_API_COUNT; i++) {
		const struct mr_kafka_api *a = &mr_kafka_apis[i];

		mr_buf_printf(b, "| %d | %s | %d-%d | %d-%d | %d | %s |\n", a->key, a->name, a->min,
			a->max, a->served_min, a->max, a->flexible_min, a->note);
	}
}

static void put_configs(struct mr_buf *b)
{
	static const struct mr_topic_config c; // settings of one value do not look at it

	mr_buf_str(b, "\n## Topic settings\n\n"
		      "Read from CreateTopics and shown by DescribeConfigs. Settings that tune "
		      "Kafka's own log files\n(`segment.bytes`, `flush.ms` and their like) are "
		      "accepted and change nothing; any other name is\nrefused with "
		      "INVALID_CONFIG.\n\n"
		      "| Setting | Meaning | Values |\n|---|---|---|\n");
	for (size_t i = 0; i < mr_kafka_config_keys_count; i++) {
		const struct mr_kafka_config_key *k = &mr_kafka_config_keys[i];
		char value[MR_KAFKA_CONFIG_VALUE_BYTES];

		k->format(&c, value);
		mr_buf_printf(b, "| `%s` | %s | %s%s%s |\n", k->name, k->doc,
			k->fixed ? "always `" : "can be set", k->fixed ? value : "",
			k->fixed ? "`" : "");
	}
}

static void put_errors(struct mr_buf *b)
{
	mr_buf_str(b, "\n## Error codes given\n\n"
		      "Clients ask again for ever after a retriable code; the others reach the "
		      "application at once.\n\n"
		      "| Code | Name | Retriable |\n|--:|---|---|\n");
#define X(name, code, retriable) \
	mr_buf_printf(b, "| %d | %s | %s |\n", code, #name, retriable ? "yes" : "no");
	MR_KAFKA_ERRORS(X)
#undef X
}

static void put_limits(struct mr_buf *b)
{
	mr_buf_printf(b,
		"\n## Limits\n\n"
		"| Limit | Value | When it is reached |\n|---|--:|---|\n"
		"| bytes of a request | %u | the connection closes |\n"
		"| array elements of a request, all arrays together | %u | the connection closes "
		"|\n"
		"| partitions in one Metadata answer to named topics | %u | the connection closes "
		"|\n"
		"| topics made by one Metadata request | %d | the others are unknown; clients ask "
		"again |\n"
		"| partitions of a topic | %d | INVALID_PARTITIONS |\n"
		"| topics | kafka.topics_max | POLICY_VIOLATION |\n"
		"| partitions of all topics | kafka.partitions_max | POLICY_VIOLATION |\n"
		"| bytes of records in one Fetch answer | %d | the rest is for the next one |\n"
		"| batches attached to one Fetch answer | %d | further ones are copied |\n",
		MR_KAFKA_REQUEST_BYTES_MAX, MR_KIN_ELEMENTS_MAX, MR_KAFKA_METADATA_PARTITIONS_MAX,
		MR_KAFKA_AUTO_CREATE_MAX, MR_TOPIC_PARTITIONS_MAX, MR_KAFKA_FETCH_BYTES_MAX,
		MR_KOUT_CUTS_MAX);
	mr_buf_str(b, "\n## Why this layer closes a connection\n\n");
	for (int i = 0; i < MR_KAFKA_CLOSE_COUNT; i++)
		mr_buf_printf(b, "- %s\n", mr_kafka_close_text((enum mr_kafka_close)i));
}

static void write_doc(struct mr_buf *b)
{
	mr_buf_str(b,
		"# The Kafka protocol, as millrace speaks it\n\n"
		"Written by `tools/gen-kafka-doc` from `dataplane/kafka_api.def` and the tables "
		"beside it; a test\nfails when it is stale. Change those, not this file.\n\n"
		"Every worker is a broker with a port of its own, and worker 0 is the controller. "
		"There is one\nreplica and one leader epoch, 0. `acks=1` and `acks=-1` answer when "
		"the batch is durable, which is\nmore than Kafka promises by default; `acks=0` is "
		"never answered, and an error closes its connection.\n\n"
		"Requests of kcat 1.7.1 (librdkafka 2.0.2), librdkafka 2.16.0, kafka-python "
		"3.0.12, aiokafka 0.14.0,\nkafkajs 2.2.4 and @platformatic/kafka 1.35.0 are kept "
		"in "
		"`tests/wire` with their answers.\n\n");
	put_apis(b);
	put_configs(b);
	put_limits(b);
	put_errors(b);
}

static void document_is_what_the_tables_say(void **)
{
	struct mr_buf want = {0}, have = {0};
	FILE *f;
	int c;

	write_doc(&want);
	if (getenv("MR_TEST_ACCEPT")) {
		f = fopen(path, "w");
		assert_non_null(f);
		fwrite(want.data, 1, want.bytes, f);
		fclose(f);
	}
	f = fopen(path, "r");
	assert_non_null(f);
	while ((c = fgetc(f)) != EOF)
		mr_buf_u8(&have, (uint8_t)c);
	fclose(f);
	if (!mr_span_eq(mr_buf_span(&want), mr_buf_span(&have)))
		fail_msg("%s is stale: run tools/gen-kafka-doc", path);
	mr_buf_fini(&want);
	mr_buf_fini(&have);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(document_is_what_the_tables_say)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
