// See clean.h.
#include "host/clean.h"

#include "host/base/note.h"
#include "host/control.h"

#include <errno.h>
#include <stdlib.h>

enum {
	LOOK_NS = 1000000000,       // how often it looks for something to do
	FAILED_LOOK_TIMES_MAX = 60, // the longest it waits after failures, in looks
	BURST_NS = 20000000,        // sleeps shorter than this are saved up
};

struct mr_clean {
	struct mr_control *control;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;      // under the lock
	int64_t due_ns; // when what was read and written so far should have been
	uint64_t bytes_per_s;
};

// True when told to stop.
static bool sleep_until(struct mr_clean *k, int64_t until_ns)
{
	struct timespec ts = {until_ns / 1000000000, until_ns % 1000000000};
	bool stop;

	pthread_mutex_lock(&k->lock);
	while (!k->stop && pthread_cond_timedwait(&k->wake, &k->lock, &ts) == 0)
		;
	stop = k->stop;
	pthread_mutex_unlock(&k->lock);
	return stop;
}

static int64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000 + ts.tv_nsec;
}

// Called by the store between reads and writes.
static int pace(void *ctx, uint64_t bytes)
{
	struct mr_clean *k = ctx;
	int64_t now = monotonic_ns();

	k->due_ns =
		MR_MAX(k->due_ns, now - BURST_NS) + (int64_t)(bytes * 1000000000 / k->bytes_per_s);
	return sleep_until(k, k->due_ns - now > BURST_NS ? k->due_ns : now);
}

static void *clean_main(void *arg)
{
	struct mr_clean *k = arg;
	const struct mr_log_cleaner cleaner = {pace, k};
	int64_t wait_ns = LOOK_NS;
	int failures = 0;

	mr_thread_name("mr-clean");
	mr_control_place_background(k->control);
	while (!sleep_until(k, monotonic_ns() + wait_ns)) {
		int rc;

		do
			rc = mr_log_store_clean(k->control->store, &cleaner);
		while (rc > 0);
		wait_ns = LOOK_NS;
		if (rc == 0 || rc == -ECANCELED) {
			failures = 0;
			continue;
		}
		// A damaged file is said by the store and not tried again; for the rest, patience.
		failures = MR_MIN(failures + 1, (int)FAILED_LOOK_TIMES_MAX);
		if (rc == MR_ERR_CORRUPT)
			continue;
		wait_ns = (int64_t)LOOK_NS * failures;
		if (failures == 1)
			mr_note(MR_NOTE_WARN, "log", "event=cleaning_failed error=\"%s\"",
				mr_err_text(rc));
	}
	return NULL;
}

int mr_clean_start(struct mr_control *c, struct mr_clean **out)
{
	struct mr_clean *k;
	pthread_condattr_t attr;
	int rc;

	*out = NULL;
	if (!c->config->log_clean_bytes_per_s)
		return 0;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->control = c;
	k->bytes_per_s = c->config->log_clean_bytes_per_s;
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = pthread_create(&k->thread, NULL, clean_main, k);
	if (rc) {
		free(k);
		return -rc;
	}
	*out = k;
	return 0;
}

void mr_clean_stop(struct mr_clean *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&k->lock);
	k->stop = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	pthread_mutex_destroy(&k->lock);
	pthread_cond_destroy(&k->wake);
	free(k);
}
