// Captures of the network of --dataplane dpdk, started and stopped from SQL.
//
// One at a time, of all workers, into one pcapng file. A worker is given its lane, and lets go of
// it, by message: the packet path has no lock.
#include "host/nic_capture.h"

#include "dataplane/tcpip/pcapng.h"
#include "host/control.h"
#include "host/nic.h"
#include "host/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_MAX_BYTES = 128, PATH_BYTES = 4400 };

static struct {
	pthread_mutex_t lock;
	struct mr_capture_file *file;
	char path[PATH_BYTES];
} capture = {.lock = PTHREAD_MUTEX_INITIALIZER};

// A name and no path: a query must not write wherever it likes.
static bool is_file_name(struct mr_span name)
{
	if (name.bytes == 0 || name.bytes > NAME_MAX_BYTES || name.data[0] == '.')
		return false;
	for (size_t i = 0; i < name.bytes; i++) {
		uint8_t ch = name.data[i];
		bool word = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
			    (ch >= '0' && ch <= '9');

		if (!word && ch != '.' && ch != '_' && ch != '-')
			return false;
	}
	return true;
}

static int filter_number(const char *value, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(value, &end, 10);
	return *value >= '0' && *value <= '9' && !*end && !errno && *out <= max ? 0 : -EINVAL;
}

static int filter_pair(struct mr_capture_options *o, const char *key, const char *value)
{
	uint64_t n = 0;
	int rc;

	if (strcmp(key, "host") == 0)
		return mr_ip_parse(value, &o->host);
	rc = filter_number(value, strcmp(key, "port") == 0 ? UINT16_MAX : UINT64_MAX, &n);
	if (strcmp(key, "port") == 0)
		o->port = (uint16_t)n;
	else if (strcmp(key, "snap") == 0)
		o->snap_bytes = (uint32_t)MR_MIN(n, (uint64_t)MR_CAPTURE_SNAP_MAX);
	else if (strcmp(key, "frames") == 0)
		o->frames_max = n;
	else if (strcmp(key, "bytes") == 0)
		o->bytes_max = n;
	else
		return -EINVAL;
	return rc;
}

// "host 10.0.0.1 port 9092 snap 1500 frames 1000 bytes 1000000": any of them, in any order.
static int parse_filter(struct mr_capture_options *o, struct mr_span text, struct mr_diag *diag)
{
	char copy[256], *save = NULL, *key, *value;
	int rc = text.bytes < sizeof(copy) ? 0 : -EINVAL;

	memcpy(copy, text.data, rc ? 0 : text.bytes);
	copy[rc ? 0 : text.bytes] = 0;
	for (key = strtok_r(copy, " ", &save); rc == 0 && key; key = strtok_r(NULL, " ", &save)) {
		value = strtok_r(NULL, " ", &save);
		rc = value ? filter_pair(o, key, value) : -EINVAL;
	}
	if (rc == 0)
		return 0;
	mr_diag_set(diag, -EINVAL, "22023", 0, "the filter of a capture is not valid");
	mr_diag_hint(diag, "It is made of: host ADDRESS, port N, snap BYTES, frames N, bytes N.");
	return -EINVAL;
}

struct lane {
	struct mr_capture *lane;
};

static void take_lane(struct mr_worker *w, void *arg)
{
	mr_stack_capture(w->stack, ((struct lane *)arg)->lane);
}

static void give_lanes(struct mr_control *c, struct mr_capture_file *f)
{
	for (uint32_t i = 0; i < c->workers_count; i++) {
		struct lane l = {f ? mr_capture_lane(f, i) : NULL};

		mr_worker_call(c->workers[i], take_lane, &l);
	}
}

static int open_file(struct mr_control *c, struct mr_span name, struct mr_capture_options *o,
	struct mr_diag *diag)
{
	int rc;

	snprintf(capture.path, sizeof(capture.path), "%s/capture", c->config->data);
	if (mkdir(capture.path, 0700) < 0 && errno != EEXIST)
		return mr_diag_set(diag, -errno, "58030", 0, "cannot make %s: %s", capture.path,
			mr_err_text(-errno));
	snprintf(capture.path, sizeof(capture.path), "%s/capture/%.*s", c->config->data,
		(int)name.bytes, (const char *)name.data);
	o->path = capture.path;
	o->interface = mr_nic_port(c->nic, 0)->name;
	o->lanes = c->workers_count;
	o->wall_minus_ns = mr_wall_us(c->clock) * 1000 - mr_now_ns(c->clock);
	rc = mr_capture_open(o, &capture.file);
	if (rc < 0)
		return mr_diag_set(
			diag, rc, "58030", 0, "cannot write %s: %s", capture.path, mr_err_text(rc));
	return 0;
}

static int start(struct mr_control *c, const struct mr_capture_ask *a, struct mr_diag *diag)
{
	struct mr_capture_options o = {0};
	int rc;

	if (capture.file)
		return mr_diag_set(
			diag, -EBUSY, "55006", 0, "a capture is running: %s", capture.path);
	if (!is_file_name(a->file_name))
		return mr_diag_set(diag, -EINVAL, "22023", 0,
			"a capture's file name has letters, digits, \".\", \"_\" and \"-\" only");
	rc = parse_filter(&o, a->filter, diag);
	if (rc == 0)
		rc = open_file(c, a->file_name, &o, diag);
	if (rc < 0)
		return rc;
	give_lanes(c, capture.file);
	snprintf(a->answer, MR_CAPTURE_ANSWER_BYTES, "%s", capture.path);
	return 0;
}

static int stop(struct mr_control *c, const struct mr_capture_ask *a, struct mr_diag *diag)
{
	struct mr_capture_counters *k;

	if (!capture.file)
		return mr_diag_set(diag, -ENOENT, "55000", 0, "no capture is running");
	give_lanes(c, NULL);
	k = mr_capture_counters(capture.file);
	snprintf(a->answer, MR_CAPTURE_ANSWER_BYTES, "%llu frames, %llu lost: %s",
		(unsigned long long)atomic_load(&k->frames),
		(unsigned long long)atomic_load(&k->lost), capture.path);
	mr_capture_close(capture.file);
	capture.file = NULL;
	return 0;
}

int mr_nic_capture(struct mr_control *c, const struct mr_capture_ask *a, struct mr_diag *diag)
{
	int rc;

	if (!c->nic)
		return mr_diag_set(diag, MR_ERR_UNSUPPORTED, "55000", 0,
			"only --dataplane dpdk has frames to capture; use tcpdump");
	pthread_mutex_lock(&capture.lock);
	rc = a->stop ? stop(c, a, diag) : start(c, a, diag);
	pthread_mutex_unlock(&capture.lock);
	return rc;
}

void mr_nic_capture_end(void)
{
	if (capture.file)
		mr_capture_close(capture.file);
	capture.file = NULL;
}
