// Multi-producer single-consumer mailbox.
#include "host/base/mailbox.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int mr_mailbox_open(struct mr_mailbox *box)
{
	atomic_init(&box->head, NULL);
	box->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return box->event_fd < 0 ? -errno : 0;
}

void mr_mailbox_close(struct mr_mailbox *box)
{
	close(box->event_fd);
	box->event_fd = -1;
}

void mr_mailbox_wake(struct mr_mailbox *box)
{
	uint64_t one = 1;

	// Full (EAGAIN) means that a wake-up is pending already.
	if (write(box->event_fd, &one, sizeof(one)) < 0)
		MR_ASSERT(errno == EAGAIN);
}

void mr_mailbox_clear(struct mr_mailbox *box)
{
	uint64_t count;

	if (read(box->event_fd, &count, sizeof(count)) < 0)
		MR_ASSERT(errno == EAGAIN);
}

void mr_mailbox_push(struct mr_mailbox *box, struct mr_message *m)
{
	struct mr_message *head = atomic_load_explicit(&box->head, memory_order_relaxed);

	do {
		m->next = head;
	} while (!atomic_compare_exchange_weak_explicit(
		&box->head, &head, m, memory_order_release, memory_order_relaxed));
	if (!head)
		mr_mailbox_wake(box);
}

int mr_mailbox_drain(struct mr_mailbox *box, void *owner)
{
	struct mr_message *m = atomic_exchange_explicit(&box->head, NULL, memory_order_acquire);
	struct mr_message *oldest = NULL;
	int count = 0;

	while (m) {
		struct mr_message *next = m->next;

		m->next = oldest;
		oldest = m;
		m = next;
	}
	while (oldest) {
		struct mr_message *next = oldest->next;

		oldest->handle(oldest, owner);
		oldest = next;
		count++;
	}
	return count;
}

void mr_mailbox_ask(struct mr_mailbox *box, struct mr_call *call,
	void (*handle)(struct mr_message *m, void *owner))
{
	call->message.handle = handle;
	sem_init(&call->done, 0, 0);
	mr_mailbox_push(box, &call->message);
}

void mr_call_wait(struct mr_call *call)
{
	while (sem_wait(&call->done) < 0)
		MR_ASSERT(errno == EINTR);
	sem_destroy(&call->done);
}

void mr_mailbox_call(struct mr_mailbox *box, struct mr_call *call,
	void (*handle)(struct mr_message *m, void *owner))
{
	mr_mailbox_ask(box, call, handle);
	mr_call_wait(call);
}

void mr_call_done(struct mr_call *call)
{
	sem_post(&call->done);
}
