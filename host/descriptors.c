// The plan of file descriptors. What parts take is measured (ls /proc/PID/fd) and rounded up.
#include "host/descriptors.h"

#include "host/acceptor.h"

#include <errno.h>
#include <limits.h>

enum {
	OWN = 24,          // standard streams, directory, lock, manifest, signals, ports
	OF_WORKER = 6,     // ring or epoll, mailbox, queues of files, listener
	OF_PORT = 8,       // a worker's part of a DPDK device
	OF_SESSION = 2,    // its socket, and what wakes it
	LOG_FILES = 8,     // of a worker, that are being filled or made
	LOG_FILES_MIN = 4, // of these, without which nothing goes on
	RUNS = 3 * 64,     // of views: sealing, merging and filling flush so many together
	OTHER_FILES = 32,  // segments being written and read, cleaning, directories being flushed
	READ_AT_ONCE = 2,  // by a session: segments of a query
	LOG_OPEN_MIN = 16,
	SEATS_MIN = 2,
};

static uint64_t own(const struct mr_config *c)
{
	bool dpdk = c->dataplane == MR_DATAPLANE_DPDK;

	return OWN + c->workers * (OF_WORKER + (dpdk ? OF_PORT : 0));
}

// What the settings allow.
static struct mr_descriptors all_of(const struct mr_config *c)
{
	const uint64_t sessions =
		c->sql_connections_max + c->http_connections_max + 2 * MR_ACCEPTOR_RESERVE;
	// Our own TCP takes no descriptors.
	const uint64_t kafka =
		c->dataplane == MR_DATAPLANE_SOCKET ? c->workers * c->kafka_connections_max : 0;
	const uint64_t files = LOG_FILES * c->workers + RUNS + OTHER_FILES +
			       READ_AT_ONCE * sessions + c->log_open_files_max;
	const uint64_t kafka_end = own(c) + kafka, sessions_end = kafka_end + OF_SESSION * sessions;

	return (struct mr_descriptors){.wanted = sessions_end + files,
		.kafka_end = kafka_end,
		.sessions_end = sessions_end,
		.files = files,
		.kafka = kafka,
		.kafka_max = kafka,
		.log_open_files_max = c->log_open_files_max,
		.sql_connections_max = c->sql_connections_max,
		.http_connections_max = c->http_connections_max};
}

// Each server keeps its share of the sessions, so that neither keeps the other out.
static void share_sessions(struct mr_descriptors *d, uint64_t sessions)
{
	const uint64_t both = d->sql_connections_max + d->http_connections_max;
	const uint64_t reserve = 2 * MR_ACCEPTOR_RESERVE;
	const uint64_t seats = MR_MIN(both, sessions > reserve ? sessions - reserve : 0);
	uint64_t *const maxs[] = {&d->sql_connections_max, &d->http_connections_max};

	for (size_t i = 0; i < MR_COUNT_OF(maxs); i++)
		*maxs[i] = MR_MIN(*maxs[i], MR_MAX(seats * *maxs[i] / both, (uint64_t)SEATS_MIN));
}

// Of what a start leaves, a third is kept for files and a third of the rest for sessions, or what
// they want.
static void share(struct mr_descriptors *d, uint64_t limit, uint64_t left, uint64_t files_min)
{
	const uint64_t files = MR_MIN(d->files, MR_MAX(left / 3, files_min));
	const uint64_t sessions = MR_MIN(d->sessions_end - d->kafka_end, (left - files) / 3);

	if (files < d->files)
		d->log_open_files_max =
			MR_MIN(d->log_open_files_max, MR_MAX(files / 4, (uint64_t)LOG_OPEN_MIN));
	share_sessions(d, sessions / OF_SESSION);
	d->limit = limit;
	d->files = files;
	d->sessions_end = limit - files;
	d->kafka_end = d->sessions_end - sessions;
	d->kafka = MR_MIN(d->kafka_max, left - files - sessions);
}

int mr_descriptors_plan(
	const struct mr_config *c, uint64_t limit, struct mr_descriptors *out, struct mr_diag *diag)
{
	const uint64_t files_min = LOG_FILES_MIN * c->workers + OTHER_FILES;
	const uint64_t least = own(c) + 2 * files_min;

	*out = all_of(c);
	share(out, limit, MR_MAX(limit, least) - own(c), files_min);
	if (limit >= least)
		return 0;
	mr_diag_set(diag, -EMFILE, "53000", 0,
		"%llu file descriptors are too few: %llu workers start with %llu",
		(unsigned long long)limit, (unsigned long long)c->workers,
		(unsigned long long)least);
	mr_diag_hint(diag, "LimitNOFILE=%llu in the unit file.", (unsigned long long)out->wanted);
	return -EMFILE;
}

void mr_descriptors_apply(const struct mr_descriptors *d, struct mr_config *c)
{
	c->log_open_files_max = d->log_open_files_max;
	c->sql_connections_max = d->sql_connections_max;
	c->http_connections_max = d->http_connections_max;
	c->kafka_descriptors_end = (int)MR_MIN(d->kafka_end, (uint64_t)INT_MAX);
	c->sessions_descriptors_end = (int)MR_MIN(d->sessions_end, (uint64_t)INT_MAX);
}

bool mr_descriptors_are_few(const struct mr_descriptors *d)
{
	return d->limit < d->wanted;
}

void mr_descriptors_print(const struct mr_descriptors *d, FILE *f)
{
	fprintf(f,
		"descriptors, of %llu: %llu for files, the rest for %llu SQL, %llu HTTP and %llu "
		"of %llu Kafka connections\n",
		(unsigned long long)d->limit, (unsigned long long)d->files,
		(unsigned long long)d->sql_connections_max,
		(unsigned long long)d->http_connections_max, (unsigned long long)d->kafka,
		(unsigned long long)d->kafka_max);
}
