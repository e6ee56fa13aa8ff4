// One connection of the PostgreSQL port that sends any bytes at all. Nothing may happen but errors
// and the end of the connection; what is answered must be whole messages.
#include "host/pg_int.h"
#include "tests/lib/mem_link.h"
#include "tests/lib/sqltest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

// After the lone bytes that answer SSLRequest and GSSENCRequest come messages with lengths.
static void check_output(struct mr_span output)
{
	struct mr_reader r = mr_reader(output);

	while (mr_read_left(&r) > 0) {
		uint32_t length;

		if (mr_read_u8(&r) == 'N' && (mr_read_left(&r) == 0 || r.at[0] != 0))
			continue;
		length = mr_read_be32(&r);
		MR_ASSERT(length >= 4);
		mr_read_bytes(&r, length - 4);
		MR_ASSERT(!r.bad);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct mr_pg_opts pg = {
		.clock = &mr_clock_system,
		.query_bytes_max = 1 << 20,
		.message_bytes_max = 64 << 10,
	};
	static struct mr_sqltest *sql;
	static struct mr_session_group group = {.port = "sql"};
	struct mr_mem_link link;
	struct mr_seat seat;

	if (!group.sessions) {
		MR_ASSERT(mr_sessions_create(&(struct mr_sessions_opts){.clock = &mr_clock_system},
				  &group.sessions) == 0);
		MR_ASSERT(mr_sqltest_create(64u << 20, &sql) == 0);
		pg.env = mr_sqltest_env(sql);
	}
	mr_mem_link_init(&link, mr_span(data, bytes));
	link.write_max = 4 << 20;
	// The first byte also says how the rest is cut.
	if (bytes > 0)
		link.read_max = data[bytes - 1] % 64;
	mr_sessions_attach(&group, &seat, &link.link);
	mr_pg_session_run(&pg, &seat);
	mr_sessions_detach(&seat);
	check_output(mr_buf_span(&link.output));
	mr_mem_link_fini(&link);
	return 0;
}
