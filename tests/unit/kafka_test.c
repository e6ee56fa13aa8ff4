// Behaviour of the Kafka layer that single frames do not show: waiting, order, limits, hostile
// headers, counters. The frames of each API and version are in tests/wire.
#include "tests/lib/kafka_mock.h"
#include "tests/lib/mr_test.h"

// Requests are written in their old forms, field by field.
static struct mr_writer frame_begin(uint8_t *bytes, size_t room, int16_t key, int16_t version)
{
	struct mr_writer w = mr_writer(bytes, room);

	mr_write_be16(&w, (uint16_t)key);
	mr_write_be16(&w, (uint16_t)version);
	mr_write_be32(&w, 5); // correlation id
	mr_write_be16(&w, UINT16_MAX);
	return w;
}

static void add_string(struct mr_writer *w, const char *s)
{
	mr_write_be16(w, (uint16_t)strlen(s));
	mr_write_bytes(w, s, strlen(s));
}

static struct mr_span frame_end(const struct mr_writer *w)
{
	MR_ASSERT(!w->bad);
	return mr_span(w->data, w->at);
}

static void add_batch(struct mr_writer *w, const uint8_t *batch, size_t bytes)
{
	mr_write_be32(w, (uint32_t)bytes);
	mr_write_bytes(w, batch, bytes);
}

static size_t one_record_batch(uint8_t *out)
{
	static const uint8_t record[] = {14, 0, 0, 0, 1, 2, 'x', 0};
	struct mr_writer w = mr_writer(out, 256);

	mr_write_be64(&w, 0);
	mr_write_be32(&w, 49 + sizeof(record));
	mr_write_be32(&w, 0);
	mr_write_u8(&w, 2);
	mr_write_be32(&w, 0);
	mr_write_be16(&w, 0);
	mr_write_be32(&w, 0);
	mr_write_zeros(&w, 16);
	for (int i = 0; i < 14; i++)
		mr_write_u8(&w, 0xff);
	mr_write_be32(&w, 1);
	mr_write_bytes(&w, record, sizeof(record));
	mr_store_be32(out + MR_BATCH_OFF_CRC, mr_batch_crc(out, w.at));
	return w.at;
}

// Produce of one batch into each of `partitions` partitions of "t".
static struct mr_span produce_of(uint8_t *bytes, size_t room, int16_t version, int16_t acks,
	int32_t partitions, const uint8_t *batch, size_t n)
{
	struct mr_writer w = frame_begin(bytes, room, 0, version);

	mr_write_be16(&w, UINT16_MAX);
	mr_write_be16(&w, (uint16_t)acks);
	mr_write_be32(&w, 1000);
	mr_write_be32(&w, 1);
	add_string(&w, "t");
	mr_write_be32(&w, (uint32_t)partitions);
	for (int32_t i = 0; i < partitions; i++) {
		mr_write_be32(&w, (uint32_t)i);
		add_batch(&w, batch, n);
	}
	return frame_end(&w);
}

static struct mr_span produce(uint8_t *bytes, size_t room, int16_t acks, int32_t partitions)
{
	uint8_t batch[256];
	size_t n = one_record_batch(batch);

	return produce_of(bytes, room, 7, acks, partitions, batch, n);
}

// Fetch v4 of `repeat` times partition 0 of "t".
static struct mr_span fetch(uint8_t *bytes, size_t room, int32_t wait_ms, int32_t repeat)
{
	struct mr_writer w = frame_begin(bytes, room, 1, 4);

	mr_write_be32(&w, UINT32_MAX);
	mr_write_be32(&w, (uint32_t)wait_ms);
	mr_write_be32(&w, 1);
	mr_write_be32(&w, INT32_MAX);
	mr_write_u8(&w, 0);
	mr_write_be32(&w, 1);
	add_string(&w, "t");
	mr_write_be32(&w, (uint32_t)repeat);
	for (int32_t i = 0; i < repeat; i++) {
		mr_write_be32(&w, 0);
		mr_write_be64(&w, 0);
		mr_write_be32(&w, 65536);
	}
	return frame_end(&w);
}

static struct mr_span metadata(uint8_t *bytes, size_t room, int32_t topics, const char *prefix)
{
	struct mr_writer w = frame_begin(bytes, room, 3, 4);
	char name[32];

	mr_write_be32(&w, (uint32_t)topics);
	for (int32_t i = 0; i < topics; i++) {
		snprintf(name, sizeof(name), "%s%d", prefix, i);
		add_string(&w, name);
	}
	mr_write_u8(&w, 1); // allowAutoTopicCreation
	return frame_end(&w);
}

static uint64_t count(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static int contains(const struct mr_buf *b, const char *text)
{
	int n = 0;

	for (size_t i = 0; i + strlen(text) <= b->bytes; i++)
		n += memcmp(b->data + i, text, strlen(text)) == 0;
	return n;
}

static uint8_t room[1 << 20];

static void produce_waits_for_every_partition(void **)
{
	for (int newest_first = 0; newest_first < 2; newest_first++) {
		struct mock *m = mock_create_all();

		m->park = true;
		assert_non_null(mock_send(m, produce(room, sizeof(room), -1, 2)));
		assert_int_equal(m->parked_count, 2);
		assert_int_equal(m->answered, 0);
		mock_unpark(m, newest_first);
		assert_int_equal(m->answered, 1);
		assert_int_equal(count(&mr_kafka_stats(m->kafka)->produced_batches), 2);
		mock_destroy_all(m);
	}
}

static void produce_without_acks_is_silent(void **)
{
	struct mock *m = mock_create_all();

	assert_null(mock_send(m, produce(room, sizeof(room), 0, 2)));
	assert_int_equal(m->silent, 1);
	assert_int_equal(contains(&m->calls, "skip=1"), 2);
	mock_destroy_all(m);
}

static void produce_without_acks_closes_on_an_error(void **)
{
	struct mock *m = mock_create_all();

	assert_null(mock_send(m, produce(room, sizeof(room), 0, 3))); // "t" has two partitions
	assert_int_equal(m->closed, 1);
	assert_string_equal(m->close_reason, mr_kafka_close_text(MR_KAFKA_CLOSE_ACKS_NONE));
	mock_destroy_all(m);
}

static void produce_names_the_bad_record(void **)
{
	struct mock *m = mock_create_all();
	uint8_t batch[256];
	size_t n = one_record_batch(batch);
	struct mr_writer w = frame_begin(room, sizeof(room), 0, 8);
	struct mr_reader r;

	m->append_error = MR_KAFKA_INVALID_RECORD;
	m->append_bad_record = 3;
	m->append_message = "no";
	mr_write_be16(&w, UINT16_MAX);
	mr_write_be16(&w, 1);
	mr_write_be32(&w, 1000);
	mr_write_be32(&w, 1);
	add_string(&w, "t");
	mr_write_be32(&w, 1);
	mr_write_be32(&w, 0);
	add_batch(&w, batch, n);
	assert_null(mock_send(m, frame_end(&w)));
	r = mr_reader(mr_buf_span(&m->response));
	mr_read_bytes(&r, 4 + 4 + 3 + 4 + 4);
	assert_int_equal(mr_read_be16(&r), MR_KAFKA_INVALID_RECORD);
	mr_read_bytes(&r, 24);
	assert_int_equal(mr_read_be32(&r), 1);
	assert_int_equal(mr_read_be32(&r), 3);
	assert_int_equal(mr_read_be16(&r), 2);
	assert_false(r.bad);
	assert_int_equal(count(&mr_kafka_stats(m->kafka)->errors[MR_KAFKA_INVALID_RECORD]), 1);
	mock_destroy_all(m);
}

static void partitions_of_another_worker_are_refused(void **)
{
	struct mock *m = mock_create_all();
	uint32_t mine = 0;

	m->nodes = 2;
	m->node_id = 1;
	assert_null(mock_send(m, produce(room, sizeof(room), -1, 2)));
	mine = (uint32_t)contains(&m->calls, "append");
	assert_int_equal(mine, 1); // two partitions go round two workers
	assert_int_equal(
		count(&mr_kafka_stats(m->kafka)->errors[MR_KAFKA_NOT_LEADER_OR_FOLLOWER]), 1);
	mock_destroy_all(m);
}

static void fetch_attaches_many_partitions_and_copies_the_rest(void **)
{
	struct mock *m = mock_create_all();
	uint8_t big[3000] = {0};
	struct mock_part *p = &m->all[0]->parts[0];
	size_t one;

	// A batch long enough to be attached; the mock's log takes any bytes.
	memset(big, 7, sizeof(big));
	mr_buf_add(&p->log, big, sizeof(big));
	p->batches = calloc(1, sizeof(*p->batches));
	p->batches_count = 1;
	p->batches[0].bytes = sizeof(big);
	p->next = 1;
	assert_null(mock_send(m, fetch(room, sizeof(room), 0, 1)));
	one = m->response.bytes;
	assert_null(mock_send(m, fetch(room, sizeof(room), 0, 50)));
	assert_int_equal(m->answered, 2);
	// Every partition's part is there, attached or copied, and in its place.
	assert_int_equal(m->response.bytes, one + 49 * (one - (4 + 4 + 4 + 3 + 4)));
	for (size_t i = 0; i < 50; i++) {
		size_t at = 19 + i * (one - 19);

		assert_int_equal(mr_load_be32(m->response.data + at + 26), sizeof(big));
		assert_memory_equal(m->response.data + at + 30, big, sizeof(big));
	}
	assert_int_equal(count(&mr_kafka_stats(m->kafka)->fetched_bytes), 51 * sizeof(big));
	mock_destroy_all(m);
}

static void fetch_of_everything_is_bounded(void **)
{
	struct mock *m = mock_create_all();
	char want[64];

	snprintf(want, sizeof(want), "max=%d\n", MR_KAFKA_FETCH_BYTES_MAX);
	assert_null(mock_send(m, fetch(room, sizeof(room), 0, 1))); // asks for 2 GiB
	assert_int_equal(contains(&m->calls, want), 1);
	mock_destroy_all(m);
}

// Clients that speak old versions could not read it.
static void zstd_is_refused_in_old_versions(void **)
{
	struct mock *m = mock_create_all();
	const struct mr_kafka_stats *s = mr_kafka_stats(m->kafka);
	const _Atomic uint64_t *refused = &s->errors[MR_KAFKA_UNSUPPORTED_COMPRESSION_TYPE];
	uint8_t batch[256];
	size_t n = one_record_batch(batch);

	mr_store_be16(batch + MR_BATCH_OFF_ATTRIBUTES, MR_CODEC_ZSTD);
	mr_store_be32(batch + MR_BATCH_OFF_CRC, mr_batch_crc(batch, n));
	assert_null(mock_send(m, produce_of(room, sizeof(room), 6, -1, 1, batch, n)));
	assert_int_equal(count(refused), 1);
	assert_null(mock_send(m, produce_of(room, sizeof(room), 7, -1, 1, batch, n)));
	assert_int_equal(count(refused), 1);
	assert_null(mock_send(m, fetch(room, sizeof(room), 0, 1)));
	assert_int_equal(count(refused), 2);
	assert_int_equal(count(&s->fetched_bytes), 0);
	mock_destroy_all(m);
}

static void fetch_is_cancelled_when_the_connection_goes(void **)
{
	struct mock *m = mock_create_all();
	struct mock_request *r;

	m->park = true;
	r = mock_send(m, fetch(room, sizeof(room), 500, 1));
	assert_non_null(r);
	assert_non_null(r->rq.on_abandon);
	r->rq.abandoned = true;
	r->rq.on_abandon(&r->rq);
	assert_int_equal(m->parked_count, 0);
	assert_int_equal(m->silent, 1);
	mock_destroy_all(m);
}

static void produce_finishes_after_the_connection_went(void **)
{
	struct mock *m = mock_create_all();
	struct mock_request *r;

	m->park = true;
	r = mock_send(m, produce(room, sizeof(room), -1, 2));
	assert_non_null(r);
	assert_null(r->rq.on_abandon);
	r->rq.abandoned = true;
	mock_unpark(m, false);
	assert_int_equal(m->silent, 1);
	assert_int_equal(m->all[0]->parts[0].next, 1); // what was begun is stored
	mock_destroy_all(m);
}

static void metadata_creates_topics_one_after_the_other(void **)
{
	for (int parked = 0; parked < 2; parked++) {
		struct mock *m = mock_create_all();

		m->park = parked;
		mock_send(m, metadata(room, sizeof(room), 3, "fresh"));
		if (parked) {
			assert_int_equal(m->parked_count, 1);
			mock_unpark(m, false);
		}
		assert_int_equal(m->answered, 1);
		assert_int_equal(m->topics.count, 5);
		assert_int_equal(contains(&m->response, "fresh"), 3);
		assert_int_equal(count(&mr_kafka_stats(m->kafka)->topics_auto_created), 3);
		mock_destroy_all(m);
	}
}

static void metadata_does_not_create_when_that_is_off(void **)
{
	struct mock *m = mock_create_all();

	m->auto_create_off = true;
	assert_null(mock_send(m, metadata(room, sizeof(room), 2, "fresh")));
	assert_int_equal(m->topics.count, 2);
	assert_int_equal(
		count(&mr_kafka_stats(m->kafka)->errors[MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION]), 2);
	mock_destroy_all(m);
}

static void metadata_creates_a_limited_number_at_once(void **)
{
	struct mock *m = mock_create_all();

	assert_null(mock_send(m, metadata(room, sizeof(room), 200, "fresh")));
	assert_int_equal(contains(&m->calls, "create "), MR_KAFKA_AUTO_CREATE_MAX);
	mock_destroy_all(m);
}

static void metadata_of_a_topic_repeated_endlessly_is_refused(void **)
{
	struct mock *m = mock_create_all();
	struct mr_writer w = frame_begin(room, sizeof(room), 3, 4);
	uint32_t n = MR_KAFKA_METADATA_PARTITIONS_MAX / MR_TOPIC_PARTITIONS_MAX + 1;

	mock_topic_make(
		m, mr_span_str("wide"), MR_TOPIC_PARTITIONS_MAX, mock_topic_defaults(&m->broker));
	mr_write_be32(&w, n);
	for (uint32_t i = 0; i < n; i++)
		add_string(&w, "wide");
	mr_write_u8(&w, 0);
	assert_null(mock_send(m, frame_end(&w)));
	assert_string_equal(m->close_reason, mr_kafka_close_text(MR_KAFKA_CLOSE_LIMIT));
	mock_destroy_all(m);
}

static void create_topics_waits_for_each_change(void **)
{
	struct mock *m = mock_create_all();
	struct mr_writer w = frame_begin(room, sizeof(room), 19, 2);

	mr_write_be32(&w, 2);
	for (int i = 0; i < 2; i++) {
		add_string(&w, i ? "two" : "one");
		mr_write_be32(&w, 1);
		mr_write_be16(&w, 3);
		mr_write_be32(&w, 0);
		mr_write_be32(&w, 0);
	}
	mr_write_be32(&w, 1000);
	mr_write_u8(&w, 0);
	m->park = true;
	assert_non_null(mock_send(m, frame_end(&w)));
	assert_int_equal(m->topics.count, 2);
	mock_unpark(m, false);
	assert_int_equal(m->topics.count, 4);
	assert_int_equal(m->answered, 1);
	mock_destroy_all(m);
}

static void responses_without_memory_close_the_connection(void **)
{
	struct mock *m = mock_create_all();

	m->memory_left = 10;
	assert_null(mock_send(m, metadata(room, sizeof(room), 1, "t")));
	assert_string_equal(m->close_reason, mr_kafka_close_text(MR_KAFKA_CLOSE_MEMORY));
	mock_destroy_all(m);
}

static void api_versions_above_ours_is_answered_in_version_0(void **)
{
	static const uint8_t want[] = {0, 0, 0, 5, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4};
	struct mock *m = mock_create_all();
	struct mr_writer w = frame_begin(room, sizeof(room), 18, 99);

	assert_null(mock_send(m, frame_end(&w)));
	assert_int_equal(m->response.bytes, sizeof(want));
	assert_memory_equal(m->response.data, want, sizeof(want));
	mock_destroy_all(m);
}

struct refused {
	const char *what;
	int16_t key;
	int16_t version;
	enum mr_kafka_close why;
};

static void requests_that_are_not_served_close_the_connection(void **)
{
	static const struct refused cases[] = {
		{"a produce that is advertised only", 0, 2, MR_KAFKA_CLOSE_VERSION},
		{"a produce of the future", 0, 13, MR_KAFKA_CLOSE_VERSION},
		{"a negative version", 3, -1, MR_KAFKA_CLOSE_VERSION},
		{"no such api", 999, 0, MR_KAFKA_CLOSE_API},
		{"a negative api", -1, 0, MR_KAFKA_CLOSE_API},
		{"join group", 11, 5, MR_KAFKA_CLOSE_API},
		{"an empty body", 3, 4, MR_KAFKA_CLOSE_BODY},
	};

	for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
		struct mock *m = mock_create_all();
		struct mr_writer w =
			frame_begin(room, sizeof(room), cases[i].key, cases[i].version);

		assert_null(mock_send(m, frame_end(&w)));
		if (!m->close_reason ||
			strcmp(m->close_reason, mr_kafka_close_text(cases[i].why)) != 0)
			fail_msg("%s", cases[i].what);
		assert_int_equal(count(&mr_kafka_stats(m->kafka)->closes[cases[i].why]), 1);
		mock_destroy_all(m);
	}
}

static void headers_cut_anywhere_close_the_connection(void **)
{
	struct mr_span whole = produce(room, sizeof(room), -1, 2);

	for (size_t cut = 0; cut < whole.bytes; cut++) {
		struct mock *m = mock_create_all();

		assert_null(mock_send(m, mr_span(whole.data, cut)));
		assert_int_equal(m->closed, 1);
		assert_int_equal(m->calls.bytes, 0); // nothing is stored of half a request
		mock_destroy_all(m);
	}
}

static void arrays_longer_than_the_request_are_refused(void **)
{
	struct mock *m = mock_create_all();
	struct mr_writer w = frame_begin(room, sizeof(room), 3, 4);

	mr_write_be32(&w, 0x7fffffff);
	mr_write_zeros(&w, 100);
	assert_null(mock_send(m, frame_end(&w)));
	assert_string_equal(m->close_reason, mr_kafka_close_text(MR_KAFKA_CLOSE_BODY));
	mock_destroy_all(m);
}

// Metadata v9 of topic "t", with tagged fields wherever they may be; `tag_bytes` is the length that
// the last one claims, and two bytes are there.
static struct mr_span tagged_metadata(uint8_t *bytes, size_t size, uint8_t tag_bytes)
{
	struct mr_writer w = frame_begin(bytes, size, 3, 9);
	static const uint8_t tail[] = {
		2, 5, 1, 'x', 200, 1, 0,  // header: tag 5 of one byte, tag 200 of none
		2, 2, 't', 1, 0, 2, 9, 9, // one topic, with a tag
		0, 0, 0,                  // three flags
		1, 7,                     // a tag at the end
	};

	mr_write_bytes(&w, tail, sizeof(tail));
	mr_write_u8(&w, tag_bytes);
	mr_write_zeros(&w, 2);
	return frame_end(&w);
}

static void unknown_tagged_fields_are_skipped(void **)
{
	struct mock *m = mock_create_all();

	assert_null(mock_send(m, tagged_metadata(room, sizeof(room), 2)));
	assert_int_equal(m->answered, 1);
	assert_int_equal(count(&mr_kafka_stats(m->kafka)->trailing_bytes), 0);
	assert_null(mock_send(m, tagged_metadata(room, sizeof(room), 3)));
	assert_string_equal(m->close_reason, mr_kafka_close_text(MR_KAFKA_CLOSE_BODY));
	mock_destroy_all(m);
}

// A compact length could say more than a string of Kafka's may have; echoing it would not fit.
static void strings_above_32767_bytes_are_refused(void **)
{
	for (uint32_t bytes = 32767; bytes <= 32768; bytes++) {
		struct mock *m = mock_create_all();
		struct mr_writer w = frame_begin(room, sizeof(room), 3, 9);

		mr_write_u8(&w, 0);
		mr_write_u8(&w, 2);
		mr_write_uvarint(&w, bytes + 1);
		for (uint32_t i = 0; i < bytes; i++)
			mr_write_u8(&w, 'a');
		mr_write_zeros(&w, 5);
		assert_null(mock_send(m, frame_end(&w)));
		assert_int_equal(m->answered, bytes == 32767);
		assert_int_equal(m->closed, bytes == 32768);
		mock_destroy_all(m);
	}
}

static void requests_are_counted_by_api(void **)
{
	struct mock *m = mock_create_all();
	const struct mr_kafka_stats *s = mr_kafka_stats(m->kafka);

	assert_null(mock_send(m, produce(room, sizeof(room), -1, 1)));
	assert_null(mock_send(m, fetch(room, sizeof(room), 0, 1)));
	assert_null(mock_send(m, fetch(room, sizeof(room), 0, 1)));
	assert_int_equal(count(&s->requests[MR_KAFKA_API_Produce]), 1);
	assert_int_equal(count(&s->requests[MR_KAFKA_API_Fetch]), 2);
	assert_true(count(&s->request_bytes) > 0 && count(&s->response_bytes) > 0);
	mock_destroy_all(m);
}

static void advertised_versions_are_in_order_and_hold_the_served_ones(void **)
{
	for (size_t i = 0; i < MR_KAFKA_API_COUNT; i++) {
		const struct mr_kafka_api *a = &mr_kafka_apis[i];

		assert_true(a->min <= a->served_min && a->served_min <= a->max);
		assert_true(i == 0 || mr_kafka_apis[i - 1].key < a->key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(produce_waits_for_every_partition),
		cmocka_unit_test(produce_without_acks_is_silent),
		cmocka_unit_test(produce_without_acks_closes_on_an_error),
		cmocka_unit_test(produce_names_the_bad_record),
		cmocka_unit_test(produce_finishes_after_the_connection_went),
		cmocka_unit_test(partitions_of_another_worker_are_refused),
		cmocka_unit_test(fetch_attaches_many_partitions_and_copies_the_rest),
		cmocka_unit_test(fetch_of_everything_is_bounded),
		cmocka_unit_test(zstd_is_refused_in_old_versions),
		cmocka_unit_test(fetch_is_cancelled_when_the_connection_goes),
		cmocka_unit_test(metadata_creates_topics_one_after_the_other),
		cmocka_unit_test(metadata_does_not_create_when_that_is_off),
		cmocka_unit_test(metadata_creates_a_limited_number_at_once),
		cmocka_unit_test(metadata_of_a_topic_repeated_endlessly_is_refused),
		cmocka_unit_test(create_topics_waits_for_each_change),
		cmocka_unit_test(responses_without_memory_close_the_connection),
		cmocka_unit_test(api_versions_above_ours_is_answered_in_version_0),
		cmocka_unit_test(requests_that_are_not_served_close_the_connection),
		cmocka_unit_test(headers_cut_anywhere_close_the_connection),
		cmocka_unit_test(arrays_longer_than_the_request_are_refused),
		cmocka_unit_test(unknown_tagged_fields_are_skipped),
		cmocka_unit_test(strings_above_32767_bytes_are_refused),
		cmocka_unit_test(requests_are_counted_by_api),
		cmocka_unit_test(advertised_versions_are_in_order_and_hold_the_served_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
