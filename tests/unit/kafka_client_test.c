// Our Kafka client against a cluster that misbehaves by script: nothing lost, nothing doubled, all
// in order, and a clear line when it cannot be.
#include "client/kafka_client.h"

#include "dataplane/batch_build.h"
#include "host/base/rand.h"
#include "tests/lib/fake_broker.h"
#include "tests/lib/mr_test.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCHES = 60, ROWS_PER_BATCH = 3 };

static const int64_t second_ns = 1000 * 1000 * 1000;

struct life {
	struct fake_broker *broker;
	struct mr_kafka_client *client;
	struct mr_produce_batch batches[BATCHES];
	int acked;
	int acked_twice;
	bool done[BATCHES];
	char error[512];
};

static void acked(void *owner, struct mr_produce_batch *b)
{
	struct life *l = owner;
	size_t i = (size_t)(b - l->batches);

	l->acked++;
	l->acked_twice += l->done[i];
	l->done[i] = true;
}

// Batch i is named i + 1 by its timestamps.
static void make_batches(struct life *l)
{
	struct mr_batch_builder builder;

	mr_batch_builder_init(&builder, 0);
	for (int i = 0; i < BATCHES; i++) {
		struct mr_buf out = {0};

		for (int k = 0; k < ROWS_PER_BATCH; k++)
			assert_true(mr_batch_builder_add(
				&builder, i + 1, mr_span(NULL, 0), mr_span("v", 1), NULL, 0));
		assert_int_equal(mr_batch_builder_finish(&builder, NULL, MR_CODEC_NONE,
					 MR_BATCH_PRODUCER_NONE, &out),
			0);
		l->batches[i].data = out.data;
		l->batches[i].bytes = out.bytes;
		l->batches[i].rows = ROWS_PER_BATCH;
	}
	mr_batch_builder_fini(&builder);
}

static struct life *life_begin(void)
{
	struct life *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	l->broker = malloc(sizeof(*l->broker));
	assert_non_null(l->broker);
	fake_broker_open(l->broker);
	make_batches(l);
	return l;
}

static void life_end(struct life *l)
{
	mr_kafka_client_destroy(l->client);
	fake_broker_close(l->broker);
	for (int i = 0; i < BATCHES; i++)
		free(l->batches[i].data);
	free(l->broker);
	free(l);
}

static struct mr_kafka_client_options options_of(struct life *l)
{
	return (struct mr_kafka_client_options){.bootstrap = l->broker->bootstrap,
		.topic = "t",
		.acks = -1,
		.idempotent = true,
		.request_timeout_ns = second_ns / 5,
		.delivery_timeout_ns = 20 * second_ns,
		.acked = acked,
		.owner = l};
}

static int life_connect(struct life *l, const struct mr_kafka_client_options *o)
{
	fake_broker_start(l->broker);
	return mr_kafka_client_create(o, &l->client, l->error, sizeof(l->error));
}

// Sends all batches, alternating partitions, and polls until all are answered or the client fails.
static int life_run(struct life *l)
{
	int e = 0;

	for (int i = 0; i < BATCHES; i++)
		mr_kafka_client_send(l->client, (uint32_t)(i % FAKE_PARTS), &l->batches[i]);
	while (e == 0 && mr_kafka_client_pending(l->client))
		e = mr_kafka_client_poll(l->client, second_ns / 10, -1);
	fake_broker_stop(l->broker);
	return e;
}

// Each partition has its batches once each, in the order they were given.
static void assert_exactly_once_in_order(const struct life *l)
{
	assert_int_equal(l->acked, BATCHES);
	assert_int_equal(l->acked_twice, 0);
	assert_int_equal(l->broker->bad, 0);
	for (int p = 0; p < FAKE_PARTS; p++) {
		const struct fake_part *part = &l->broker->parts[p];

		assert_int_equal(part->count, BATCHES / FAKE_PARTS);
		for (int i = 0; i < part->count; i++)
			assert_int_equal(part->ids[i], i * FAKE_PARTS + p + 1);
	}
}

static void run_script(const struct fake_step *steps, int steps_count)
{
	struct life *l = life_begin();
	struct mr_kafka_client_options o = options_of(l);

	for (int i = 0; i < steps_count; i++)
		l->broker->script[i] = steps[i];
	l->broker->steps_count = steps_count;
	assert_int_equal(life_connect(l, &o), 0);
	assert_int_equal(mr_kafka_client_partitions(l->client), FAKE_PARTS);
	if (life_run(l) < 0)
		fail_msg("%s", mr_kafka_client_error(l->client));
	assert_exactly_once_in_order(l);
	life_end(l);
}

static void client_delivers_in_order(void **)
{
	run_script(NULL, 0);
}

static void client_resends_after_retriable_errors(void **)
{
	const struct fake_step steps[] = {{FAKE_OK, 0}, {FAKE_ERROR, 7}, {FAKE_ERROR, 56},
		{FAKE_OK, 0}, {FAKE_ERROR, 19}, {FAKE_ERROR, 2}};

	run_script(steps, MR_COUNT_OF(steps));
}

static void client_resends_after_disconnects(void **)
{
	const struct fake_step steps[] = {{FAKE_OK, 0}, {FAKE_DROP, 0}, {FAKE_OK, 0}, {FAKE_OK, 0},
		{FAKE_DROP_APPENDED, 0}, {FAKE_HALF_ANSWER, 0}};

	run_script(steps, MR_COUNT_OF(steps));
}

static void client_follows_a_moving_leader(void **)
{
	const struct fake_step steps[] = {
		{FAKE_OK, 0}, {FAKE_MOVE, 0}, {FAKE_OK, 0}, {FAKE_OK, 0}, {FAKE_MOVE, 0}};

	run_script(steps, MR_COUNT_OF(steps));
}

static void client_distrusts_wrong_answers(void **)
{
	const struct fake_step steps[] = {
		{FAKE_WRONG_CORRELATION, 0}, {FAKE_OK, 0}, {FAKE_HUGE_ANSWER, 0}, {FAKE_OK, 0}};

	run_script(steps, MR_COUNT_OF(steps));
}

static void client_gives_up_a_silent_connection(void **)
{
	const struct fake_step steps[] = {{FAKE_OK, 0}, {FAKE_SILENT, 0}};

	run_script(steps, MR_COUNT_OF(steps));
}

static void client_speaks_old_versions_of_produce(void **)
{
	const int16_t versions[] = {5, 7, 8};

	for (size_t i = 0; i < MR_COUNT_OF(versions); i++) {
		struct life *l = life_begin();
		struct mr_kafka_client_options o = options_of(l);

		l->broker->produce_version_max = versions[i];
		assert_int_equal(life_connect(l, &o), 0);
		assert_int_equal(life_run(l), 0);
		assert_exactly_once_in_order(l);
		life_end(l);
	}
}

static void client_survives_random_misbehaviour(void **)
{
	const enum fake_action actions[] = {FAKE_OK, FAKE_OK, FAKE_OK, FAKE_ERROR, FAKE_DROP,
		FAKE_DROP_APPENDED, FAKE_MOVE, FAKE_HALF_ANSWER, FAKE_WRONG_CORRELATION};
	const char *again = getenv("MILLRACE_SEED");
	uint64_t seed = again ? strtoull(again, NULL, 10) : mr_rand_seed_os();

	print_message("seed %llu\n", (unsigned long long)seed);
	for (int run = 0; run < 3; run++) {
		struct fake_step steps[50];
		struct mr_rand r;

		mr_rand_init(&r, seed + (uint64_t)run);
		for (size_t i = 0; i < MR_COUNT_OF(steps); i++)
			steps[i] = (struct fake_step){
				actions[mr_rand_below(&r, MR_COUNT_OF(actions))], 7};
		run_script(steps, MR_COUNT_OF(steps));
	}
}

static void client_waits_for_a_topic_being_made(void **)
{
	struct life *l = life_begin();
	struct mr_kafka_client_options o = options_of(l);

	l->broker->metadata_error = 5; // LEADER_NOT_AVAILABLE
	l->broker->metadata_errors = 3;
	assert_int_equal(life_connect(l, &o), 0);
	assert_int_equal(life_run(l), 0);
	assert_exactly_once_in_order(l);
	life_end(l);
}

static void client_says_why_a_topic_is_refused(void **)
{
	struct life *l = life_begin();
	struct mr_kafka_client_options o = options_of(l);

	l->broker->metadata_error = 17;
	l->broker->metadata_errors = 100;
	assert_true(life_connect(l, &o) < 0);
	assert_string_equal(l->error, "topic t: INVALID_TOPIC_EXCEPTION");
	fake_broker_stop(l->broker);
	life_end(l);
}

static void client_fails_with_the_brokers_words(void **)
{
	struct life *l = life_begin();
	struct mr_kafka_client_options o = options_of(l);

	l->broker->script[0] = (struct fake_step){FAKE_ERROR, 10};
	l->broker->steps_count = 1;
	assert_int_equal(life_connect(l, &o), 0);
	assert_true(life_run(l) < 0);
	assert_non_null(strstr(mr_kafka_client_error(l->client),
		"MESSAGE_TOO_LARGE (error 10): because the script says so"));
	life_end(l);
}

// A gap that no failure of ours explains must not be papered over.
static void client_fails_on_a_lost_sequence(void **)
{
	struct life *l = life_begin();
	struct mr_kafka_client_options o = options_of(l);

	l->broker->parts[0].next_sequence = 3000;
	l->broker->parts[0].recent[0] = -1;
	assert_int_equal(life_connect(l, &o), 0);
	assert_true(life_run(l) < 0);
	assert_non_null(strstr(mr_kafka_client_error(l->client), "OUT_OF_ORDER_SEQUENCE_NUMBER"));
	life_end(l);
}

static void client_gives_up_after_the_delivery_timeout(void **)
{
	struct life *l = life_begin();
	struct mr_kafka_client_options o = options_of(l);

	o.delivery_timeout_ns = second_ns / 2;
	for (int i = 0; i < FAKE_STEPS_MAX; i++)
		l->broker->script[i] = (struct fake_step){FAKE_ERROR, 7};
	l->broker->steps_count = FAKE_STEPS_MAX;
	assert_int_equal(life_connect(l, &o), 0);
	assert_true(life_run(l) < 0);
	assert_non_null(strstr(mr_kafka_client_error(l->client), "not acknowledged in 0.5 s"));
	assert_non_null(strstr(mr_kafka_client_error(l->client), "REQUEST_TIMED_OUT"));
	life_end(l);
}

static void client_needs_no_answer_with_acks_0(void **)
{
	struct life *l = life_begin();
	struct mr_kafka_client_options o = options_of(l);

	o.acks = 0;
	o.idempotent = false;
	assert_int_equal(life_connect(l, &o), 0);
	assert_int_equal(life_run(l), 0);
	assert_int_equal(l->acked, BATCHES);
	life_end(l);
}

static void client_says_who_does_not_answer(void **)
{
	struct life *l = life_begin();
	struct mr_kafka_client_options o = options_of(l);

	o.bootstrap = "127.0.0.1:1";
	assert_true(mr_kafka_client_create(&o, &l->client, l->error, sizeof(l->error)) < 0);
	assert_string_equal(l->error, "cannot connect to 127.0.0.1:1: Connection refused");
	o.bootstrap = "nonsense";
	assert_true(mr_kafka_client_create(&o, &l->client, l->error, sizeof(l->error)) < 0);
	assert_string_equal(l->error, "\"nonsense\" is not ADDR:PORT");
	life_end(l);
}

static void address_is_host_and_port(void **)
{
	static const char *const bad[] = {
		"", ":", "a", "a:", ":1", "[]:1", "a:b", "a:1b", "a:123456789"};
	struct mr_kafka_address a;

	assert_int_equal(mr_kafka_address_parse("[::1]:9092", &a), 0);
	assert_string_equal(a.host, "::1");
	assert_string_equal(a.port, "9092");
	assert_int_equal(mr_kafka_address_parse("host:1", &a), 0);
	assert_string_equal(a.host, "host");
	for (size_t i = 0; i < MR_COUNT_OF(bad); i++)
		assert_true(mr_kafka_address_parse(bad[i], &a) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(client_delivers_in_order),
		cmocka_unit_test(client_resends_after_retriable_errors),
		cmocka_unit_test(client_resends_after_disconnects),
		cmocka_unit_test(client_follows_a_moving_leader),
		cmocka_unit_test(client_distrusts_wrong_answers),
		cmocka_unit_test(client_gives_up_a_silent_connection),
		cmocka_unit_test(client_speaks_old_versions_of_produce),
		cmocka_unit_test(client_survives_random_misbehaviour),
		cmocka_unit_test(client_waits_for_a_topic_being_made),
		cmocka_unit_test(client_says_why_a_topic_is_refused),
		cmocka_unit_test(client_fails_with_the_brokers_words),
		cmocka_unit_test(client_fails_on_a_lost_sequence),
		cmocka_unit_test(client_gives_up_after_the_delivery_timeout),
		cmocka_unit_test(client_needs_no_answer_with_acks_0),
		cmocka_unit_test(client_says_who_does_not_answer),
		cmocka_unit_test(address_is_host_and_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
