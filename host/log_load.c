// See log_load.h.
#include "host/log_load.h"

#include "host/control.h"
#include "host/worker.h"

#include <errno.h>
#include <stdlib.h>

enum { NO_ROOM_NS = 2000000 }; // until it looks for room again

struct mr_log_load {
	struct mr_control *control;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool wanted; // under the lock, as is stop
	bool stop;
};

// Loads what is wanted. -EAGAIN: more is wanted than there is room for now.
static int load_all(struct mr_log_load *l)
{
	int rc;

	do
		rc = mr_log_store_load(l->control->store);
	while (rc > 0);
	return rc;
}

static void *load_main(void *arg)
{
	struct mr_log_load *l = arg;
	int rc = 0;

	mr_thread_name("mr-index");
	mr_control_place_background(l->control);
	pthread_mutex_lock(&l->lock);
	while (!l->stop) {
		if (!l->wanted && rc == 0) {
			pthread_cond_wait(&l->wake, &l->lock);
			continue;
		}
		l->wanted = false;
		pthread_mutex_unlock(&l->lock);
		if (rc)
			nanosleep(&(struct timespec){0, NO_ROOM_NS}, NULL);
		rc = load_all(l);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

void mr_log_load_wanted(void *control)
{
	struct mr_log_load *l = ((struct mr_control *)control)->log_load;

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->wanted = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

void mr_log_load_done(void *control)
{
	struct mr_control *c = control;

	for (uint32_t i = 0; i < c->workers_count; i++)
		mr_worker_index_loaded(c->workers[i]);
}

int mr_log_load_start(struct mr_control *c, struct mr_log_load **out)
{
	struct mr_log_load *l = calloc(1, sizeof(*l));
	int rc;

	*out = NULL;
	if (!l)
		return -ENOMEM;
	l->control = c;
	l->wanted = true; // what was asked for before
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->wake, NULL);
	*out = l;
	rc = pthread_create(&l->thread, NULL, load_main, l);
	if (rc) {
		*out = NULL;
		free(l);
	}
	return -rc;
}

void mr_log_load_stop(struct mr_log_load *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->wake);
	free(l);
}
