// Many threads write, one reads: how control, SQL and background threads reach a worker, and back.
//
// An intrusive list: push is one atomic exchange-like loop on the head, the owner takes the whole
// list at once and reverses it, so messages arrive in the order they were pushed. Nothing is
// allocated: a message lives in its sender's memory until its handler has run. SPSC rings, one for
// each pair of threads, would need one for every SQL session that comes and goes.
//
// Memory order: push releases the message, take acquires it. The wake-up is an eventfd, written
// only by the push that found the box empty, so a busy box costs no system call.
#pragma once

#include "host/base/def.h"

#include <semaphore.h>
#include <stdatomic.h>

struct mr_message {
	struct mr_message *next;
	// Runs on the receiving thread.
	void (*handle)(struct mr_message *m, void *owner);
};

struct mr_mailbox {
	_Atomic(struct mr_message *) head MR_ALIGNED(MR_CACHELINE);
	int event_fd; // readable when the box may hold messages; the owner polls it and reads it
};

// Opens the eventfd. 0 or -errno.
[[nodiscard]] int mr_mailbox_open(struct mr_mailbox *box);
void mr_mailbox_close(struct mr_mailbox *box);

// Any thread.
void mr_mailbox_push(struct mr_mailbox *box, struct mr_message *m);

// Owner only. Runs the handler of every message there, in order; returns how many.
int mr_mailbox_drain(struct mr_mailbox *box, void *owner);

// A message whose sender waits for it. It lies first in a struct of the sender's that has what is
// asked and what comes back.
struct mr_call {
	struct mr_message message;
	sem_t done;
};

// Pushes the call and returns when mr_call_done has been called of it: by the handler itself or
// later, on any thread. Any thread that the receiver never waits for.
void mr_mailbox_call(struct mr_mailbox *box, struct mr_call *call,
	void (*handle)(struct mr_message *m, void *owner));
// The two halves of it, so that several can be asked before the first is waited for.
void mr_mailbox_ask(struct mr_mailbox *box, struct mr_call *call,
	void (*handle)(struct mr_message *m, void *owner));
void mr_call_wait(struct mr_call *call);
// The last that the receiver does with the call: the sender's memory may be gone at once.
void mr_call_done(struct mr_call *call);

// Writes the eventfd without a message, to make the owner turn once. Any thread.
void mr_mailbox_wake(struct mr_mailbox *box);

// Clears the eventfd after it polled readable. Owner only; call before mr_mailbox_drain.
void mr_mailbox_clear(struct mr_mailbox *box);
