// Whole requests into the Kafka layer, with a broker in memory.
//
// The first byte of an input says how the broker behaves; then come frames, each with a length of
// two bytes in front. Every request must end in exactly one of an answer, silence or a close, with
// all its memory freed; an answer begins with the request's correlation id.
#include "tests/lib/kafka_mock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { PARK = 1, NEWEST_FIRST = 2, CREATE_OFF = 4, TWO_NODES = 8, FEW_MEMORY = 16 };

static void send_one(struct mock *m, struct mr_span frame)
{
	int before = m->answered + m->closed + m->silent, answered = m->answered;
	struct mock_request *waiting = mock_send(m, frame);
	int after = m->answered + m->closed + m->silent;

	MR_ASSERT(waiting ? after == before : after == before + 1);
	if (m->answered > answered)
		MR_ASSERT(
			m->response.bytes >= 4 && memcmp(m->response.data, frame.data + 4, 4) == 0);
	mr_buf_reset(&m->calls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mr_reader r = mr_reader(mr_span(data, bytes));
	uint8_t how = mr_read_u8(&r);
	struct mock *m = mock_create_all();
	int sent = 0;

	m->park = how & PARK;
	m->auto_create_off = how & CREATE_OFF;
	m->nodes = how & TWO_NODES ? 2 : 1;
	m->memory_left = how & FEW_MEMORY ? 300 : SIZE_MAX;
	while (!r.bad && mr_read_left(&r) > 0) {
		size_t n = mr_read_be16(&r);

		// A cut last frame is a frame too.
		n = MR_MIN(n, mr_read_left(&r));
		send_one(m, mr_read_span(&r, n));
		sent++;
	}
	mock_unpark(m, how & NEWEST_FIRST);
	MR_ASSERT(m->answered + m->closed + m->silent == sent);
	mock_destroy_all(m);
	return 0;
}
