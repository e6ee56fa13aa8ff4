// One connection of the HTTP port that sends any bytes at all. Nothing may happen but answers and
// the end of the connection; each answer begins with a status line.
#include "host/http_int.h"
#include "tests/lib/mem_link.h"
#include "tests/lib/sqltest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct mr_http_opts opts = {
		.clock = &mr_clock_system,
		.query_bytes_max = 1 << 20,
		.version = "0",
		.kafka_address = "a:1",
		.sql_address = "a:2",
		.workers = 1,
	};
	static struct mr_sqltest *sql;
	static struct mr_session_group group = {.port = "http"};
	struct mr_mem_link link;
	struct mr_seat seat;

	if (!group.sessions) {
		MR_ASSERT(mr_sessions_create(&(struct mr_sessions_opts){.clock = &mr_clock_system},
				  &group.sessions) == 0);
		MR_ASSERT(mr_sqltest_create(64u << 20, &sql) == 0);
		opts.env = mr_sqltest_env(sql);
		MR_ASSERT(mr_metrics_create(&opts.metrics) == 0);
	}
	mr_mem_link_init(&link, mr_span(data, bytes));
	link.link.is_loopback = true;
	link.write_max = 4 << 20;
	// The last byte also says how the input is cut.
	if (bytes > 0)
		link.read_max = data[bytes - 1] % 64;
	mr_sessions_attach(&group, &seat, &link.link);
	mr_http_session_run(&opts, &seat);
	mr_sessions_detach(&seat);
	if (link.output.bytes > 0)
		MR_ASSERT(link.output.bytes > 13 && memcmp(link.output.data, "HTTP/1.1 ", 9) == 0);
	mr_mem_link_fini(&link);
	return 0;
}
