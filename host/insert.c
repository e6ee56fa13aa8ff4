// INSERT is a produce: rows become JSON records of one batch, appended by the worker that owns the
// partition, and the statement is answered when they are durable and visible.
#include "host/insert.h"

#include "dataplane/batch_build.h"
#include "dataplane/broker.h"
#include "host/base/quote.h"
#include "host/base/value.h"
#include "host/control.h"
#include "host/table.h"
#include "host/worker.h"

#include <errno.h>

static bool is_bare_json(enum mr_type t)
{
	return t == MR_TYPE_BOOL || t == MR_TYPE_INT2 || t == MR_TYPE_INT4 || t == MR_TYPE_INT8;
}

// A value as the decoder reads it back: numbers and texts as strings, booleans bare.
static void put_value(
	struct mr_buf *json, struct mr_buf *text, const struct mr_col *c, uint32_t row)
{
	struct mr_str s;
	const void *v;

	if (c->phys == MR_PHYS_BYTES) {
		s = mr_col_str(c, row);
		v = &s;
	} else {
		v = (const uint8_t *)c->values + row * mr_phys_bytes((enum mr_phys)c->phys);
	}
	if (c->type.type == MR_TYPE_BOOL) {
		mr_buf_str(json, *(const uint8_t *)v ? "true" : "false");
		return;
	}
	mr_buf_reset(text);
	mr_value_format(c->type, v, NULL, text);
	if (is_bare_json((enum mr_type)c->type.type))
		mr_buf_add(json, text->data, text->bytes);
	else
		mr_quote_json(json, mr_buf_span(text));
}

static void put_row(struct mr_buf *json, struct mr_buf *text, const struct mr_relation *r,
	const uint32_t *columns, uint32_t columns_count, const struct mr_block *rows, uint32_t row)
{
	bool first = true;

	mr_buf_reset(json);
	mr_buf_u8(json, '{');
	for (uint32_t i = 0; i < columns_count; i++) {
		const struct mr_col *c = &rows->columns[i];

		if (mr_col_is_null(c, row))
			continue;
		if (!first)
			mr_buf_u8(json, ',');
		first = false;
		mr_quote_json(json, r->columns[columns[i]].name);
		mr_buf_u8(json, ':');
		put_value(json, text, c, row);
	}
	mr_buf_u8(json, '}');
}

struct insert {
	struct mr_call call;
	struct mr_append append;
};

static void insert_done(struct mr_append *a)
{
	mr_call_done(&MR_CONTAINER(a, struct insert, append)->call);
}

static void handle_insert(struct mr_message *m, void *owner)
{
	struct mr_worker *w = owner;

	mr_worker_append(&w->broker, &MR_CONTAINER(m, struct insert, call.message)->append);
}

static const char *insert_sqlstate(int16_t error)
{
	switch (error) {
	case MR_KAFKA_MESSAGE_TOO_LARGE: return "54000";
	case MR_KAFKA_REQUEST_TIMED_OUT: return "53000"; // insufficient resources
	default: return "58030";
	}
}

static int append_batch(
	struct mr_control *c, struct mr_table *t, struct mr_span batch, struct mr_diag *diag)
{
	static _Atomic uint32_t turn;
	const struct mr_topic *topic = &t->topic->topic;
	uint32_t partition = atomic_fetch_add(&turn, 1) % topic->partitions;
	struct mr_worker *w = c->workers[mr_topic_owner(topic, partition, c->workers_count)];
	struct insert in = {
		.append = {.topic = topic,
			.partition = partition,
			.batch = batch,
			.done = insert_done},
	};

	mr_mailbox_call(&w->box, &in.call, handle_insert);
	if (in.append.error == 0)
		return 0;
	return mr_diag_set(diag, -EIO, insert_sqlstate(in.append.error), 0,
		"the rows could not be stored: %s",
		in.append.message ? in.append.message : mr_kafka_error_name(in.append.error));
}

// Rows that the decoder would turn into dead letters are refused before any is appended.
static int check_not_null(const struct mr_relation *r, const uint32_t *columns,
	uint32_t columns_count, const struct mr_block *rows, struct mr_diag *diag)
{
	for (uint32_t k = 0; k < r->columns_count; k++) {
		const struct mr_col *c = NULL;

		if (!r->columns[k].not_null)
			continue;
		for (uint32_t i = 0; i < columns_count; i++)
			if (columns[i] == k)
				c = &rows->columns[i];
		for (uint32_t row = 0; row < rows->rows; row++)
			if (!c || mr_col_is_null(c, row))
				return mr_diag_set(diag, -EINVAL, "23502", 0,
					"null value in column \"%.*s\" of relation \"%.*s\" "
					"violates not-null constraint",
					(int)r->columns[k].name.bytes, r->columns[k].name.data,
					(int)r->name.bytes, r->name.data);
	}
	return 0;
}

int mr_insert(struct mr_control *c, const struct mr_relation *r, const uint32_t *columns,
	uint32_t columns_count, const struct mr_block *rows, struct mr_diag *diag)
{
	struct mr_table *t = r->owner;
	int64_t now_ms = mr_wall_us(c->clock) / 1000;
	struct mr_buf json = {0}, text = {0}, batch = {0};
	struct mr_batch_builder b;
	int rc = check_not_null(r, columns, columns_count, rows, diag);

	if (rc < 0 || rows->rows == 0)
		return rc;
	mr_batch_builder_init(&b, c->config->kafka_message_bytes_max);
	for (uint32_t row = 0; rc == 0 && row < rows->rows; row++) {
		put_row(&json, &text, r, columns, columns_count, rows, row);
		if (json.failed || text.failed ||
			!mr_batch_builder_add(
				&b, now_ms, (struct mr_span){NULL, 0}, mr_buf_span(&json), NULL, 0))
			rc = mr_diag_set(diag, MR_ERR_LIMIT, "54000", 0,
				"the rows of one INSERT take more than kafka.message_bytes_max");
	}
	if (rc == 0 && mr_batch_builder_finish(
			       &b, NULL, MR_CODEC_NONE, MR_BATCH_PRODUCER_NONE, &batch) < 0)
		rc = mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	if (rc == 0)
		rc = append_batch(c, t, mr_buf_span(&batch), diag);
	mr_batch_builder_fini(&b);
	mr_buf_fini(&json);
	mr_buf_fini(&text);
	mr_buf_fini(&batch);
	return rc;
}
