// Operator lines on stderr, with a rate limit for each call site's format.
#include "host/base/note.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NOTE_SITES = 64 };

// A format string is a call site's identity: the same pointer means the same line of code.
static struct note_site {
	const char *fmt;
	time_t second;
	unsigned count;
	unsigned held;
} sites[NOTE_SITES];

static pthread_mutex_t sites_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int level_now = MR_NOTE_NOTICE;
static _Atomic unsigned lost; // lines that nobody took

static const char *const level_names[] = {"error", "warning", "notice", "info", "debug"};

void mr_note_level_set(enum mr_note_level level)
{
	atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

// Says whether the line may be written now; `*held` gets how many were held back before it.
static bool site_admit(const char *fmt, time_t now, unsigned *held)
{
	struct note_site *s = &sites[((uintptr_t)fmt >> 3) % NOTE_SITES];
	bool admit;

	*held = 0;
	pthread_mutex_lock(&sites_lock);
	if (s->fmt != fmt || s->second != now) {
		if (s->fmt == fmt)
			*held = s->held;
		*s = (struct note_site){.fmt = fmt, .second = now};
	}
	admit = s->count < MR_NOTE_BURST;
	s->count++;
	s->held += !admit;
	pthread_mutex_unlock(&sites_lock);
	return admit;
}

// A pipe or socket that its reader has left full must not stop the thread that has something to
// say. One that can be written has room for several lines.
static bool stderr_takes_a_line(void)
{
	struct pollfd p = {STDERR_FILENO, POLLOUT, 0};

	return poll(&p, 1, 0) != 0;
}

void mr_note(enum mr_note_level level, const char *subsystem, const char *fmt, ...)
{
	char line[1024];
	struct timespec ts;
	struct tm tm;
	unsigned held, unread;
	va_list args;
	size_t at;
	int bytes;

	if ((int)level > atomic_load_explicit(&level_now, memory_order_relaxed))
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	if (!site_admit(fmt, ts.tv_sec, &held))
		return;
	gmtime_r(&ts.tv_sec, &tm);
	at = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	at += (size_t)snprintf(line + at, sizeof(line) - at,
		".%03ldZ %s %s: ", ts.tv_nsec / 1000000, level_names[level], subsystem);
	va_start(args, fmt);
	bytes = vsnprintf(line + at, sizeof(line) - at, fmt, args);
	va_end(args);
	at += bytes > 0 ? (size_t)bytes : 0;
	at = MR_MIN(at, sizeof(line) - 96);
	if (!stderr_takes_a_line()) {
		atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
		return;
	}
	unread = atomic_exchange_explicit(&lost, 0, memory_order_relaxed);
	if (unread)
		at += (size_t)snprintf(
			line + at, sizeof(line) - at, " lines_lost_before=%u", unread);
	if (held)
		at += (size_t)snprintf(line + at, sizeof(line) - at, " repeated_unsaid=%u", held);
	line[at++] = '\n';
	if (write(STDERR_FILENO, line, at) < 0)
		return; // stderr is gone: nobody is left to tell
}

void mr_assert_fail(const char *file, int line, const char *what)
{
	mr_note(MR_NOTE_ERR, "assert", "file=%s line=%d condition=\"%s\"", file, line, what);
	abort();
}
