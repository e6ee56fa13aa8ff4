// The progress line.
#include "client/progress.h"

#include "host/base/clock.h"

#include <stdio.h>
#include <unistd.h>

enum { BAR_CELLS = 24 };

static const int64_t draw_ns = 100 * 1000 * 1000;

void mr_progress_begin(struct mr_progress *p, bool quiet)
{
	p->begin_ns = mr_now_ns(&mr_clock_system);
	p->shown_ns = p->begin_ns;
	p->quiet = quiet;
	p->terminal = isatty(STDERR_FILENO);
}

static double seconds(const struct mr_progress *p)
{
	double s = (double)(mr_now_ns(&mr_clock_system) - p->begin_ns) / 1e9;

	return s > 1e-9 ? s : 1e-9;
}

static void bar(const struct mr_progress *p)
{
	int full = (int)(MR_MIN(p->bytes, p->bytes_total) * BAR_CELLS / p->bytes_total);

	fprintf(stderr, "[%.*s%*s] ", full, "########################", BAR_CELLS - full, "");
}

void mr_progress_show(struct mr_progress *p, uint64_t rows_acked)
{
	int64_t now = p->quiet || !p->terminal ? p->shown_ns : mr_now_ns(&mr_clock_system);
	double s;

	if (now - p->shown_ns < draw_ns)
		return;
	p->shown_ns = now;
	s = seconds(p);
	fputs("\r", stderr);
	if (p->bytes_total)
		bar(p);
	fprintf(stderr, "%llu rows acknowledged, %.1f MB/s, %.0f rows/s \033[K",
		(unsigned long long)rows_acked, (double)p->bytes / 1e6 / s, (double)rows_acked / s);
}

void mr_progress_end(struct mr_progress *p, uint64_t rows_acked)
{
	double s = seconds(p);

	if (p->quiet)
		return;
	fprintf(stderr, "%s%llu rows, %llu bytes in %.3f s, %.0f rows/s\n",
		p->terminal ? "\r\033[K" : "", (unsigned long long)rows_acked,
		(unsigned long long)p->bytes, s, (double)rows_acked / s);
}
