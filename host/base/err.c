// Error texts and diagnostics.
#include "host/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	int err;
	const char *text;
} err_texts[] = {
	{MR_ERR_CORRUPT, "data is damaged"},
	{MR_ERR_VERSION, "format is newer than this program, or unknown"},
	{MR_ERR_LIMIT, "limit reached"},
	{MR_ERR_UNSUPPORTED, "not supported"},
	{MR_ERR_TRUNCATED, "data ends too early"},
	{MR_ERR_FOREIGN, "not a millrace file or directory"},
	{MR_ERR_LOCKED, "in use by another process"},
	{MR_ERR_STOPPED, "stopped after a failure"},
	{MR_ERR_CANCELLED, "cancelled"},
};

const char *mr_err_text(int err)
{
	static _Thread_local char text[128];

	for (size_t i = 0; i < MR_COUNT_OF(err_texts); i++)
		if (err_texts[i].err == err)
			return err_texts[i].text;
	return strerror_r(-err, text, sizeof(text));
}

int mr_diag_set(
	struct mr_diag *d, int err, const char *sqlstate, int position, const char *fmt, ...)
{
	va_list args;

	if (!d)
		return err;
	memset(d, 0, sizeof(*d));
	snprintf(d->sqlstate, sizeof(d->sqlstate), "%s", sqlstate);
	d->position = position;
	va_start(args, fmt);
	vsnprintf(d->message, sizeof(d->message), fmt, args);
	va_end(args);
	return err;
}

void mr_diag_detail(struct mr_diag *d, const char *fmt, ...)
{
	va_list args;

	if (!d)
		return;
	va_start(args, fmt);
	vsnprintf(d->detail, sizeof(d->detail), fmt, args);
	va_end(args);
}

void mr_diag_hint(struct mr_diag *d, const char *fmt, ...)
{
	va_list args;

	if (!d)
		return;
	va_start(args, fmt);
	vsnprintf(d->hint, sizeof(d->hint), fmt, args);
	va_end(args);
}
