// Figures of views, collected when they are asked for: views come and go.
#include "host/view/view_metrics.h"

#include "host/control.h"
#include "host/view/view.h"

#include <errno.h>
#include <stdlib.h>

#define COUNTER MR_METRIC_COUNTER
#define GAUGE   MR_METRIC_GAUGE

enum { VALUES = 17 };

struct row {
	struct mr_view *view;
	double values[VALUES];
};

static const struct {
	const char *name;
	const char *help;
	enum mr_metric_kind kind;
} entries[VALUES] = {
	{"millrace_view_groups", "Groups of the view's base; 0 when it has none.", GAUGE},
	{"millrace_view_active_bytes", "Memory of what workers are folding.", GAUGE},
	{"millrace_view_unsealed_states", "States set aside whose rows are in no segment yet.",
		GAUGE},
	{"millrace_view_unsealed_bytes", "Their memory.", GAUGE},
	{"millrace_view_base_bytes", "Memory of what readers share.", GAUGE},
	{"millrace_view_runs", "Files of the view.", GAUGE},
	{"millrace_view_run_groups", "Groups in them; one that is in several counts for each.",
		GAUGE},
	{"millrace_view_run_bytes", "Bytes of them.", GAUGE},
	{"millrace_view_rows_folded_total", "Rows folded by workers.", COUNTER},
	{"millrace_view_rows_filled_total", "Rows folded when the view was made or filled anew.",
		COUNTER},
	{"millrace_view_rows_failed_total", "Rows left out: an expression of theirs failed.",
		COUNTER},
	{"millrace_view_rows_untimed_total", "Rows in no window: their time is null or infinite.",
		COUNTER},
	{"millrace_view_reads_total", "Scans of the view.", COUNTER},
	{"millrace_view_reads_spilled_total", "Of these, without a base, from files in passes.",
		COUNTER},
	{"millrace_view_base_drops_total", "Bases dropped for want of memory.", COUNTER},
	{"millrace_view_runs_written_total", "Files written by sealing and filling.", COUNTER},
	{"millrace_view_runs_merged_total", "Files merged into others.", COUNTER},
};

static double load(const _Atomic uint64_t *c)
{
	return (double)atomic_load_explicit(c, memory_order_relaxed);
}

static void collect(struct row *r, struct mr_view *v, const struct mr_view_figures *f)
{
	const struct mr_view_stats *s = &v->stats;

	*r = (struct row){
		v, {(double)f->groups, (double)f->active_bytes, (double)f->unsealed,
			   (double)f->unsealed_bytes, (double)f->base_bytes, (double)f->runs,
			   (double)f->run_groups, (double)f->run_bytes, (double)f->rows_folded,
			   load(&s->rows_filled), (double)f->rows_failed, (double)f->rows_untimed,
			   load(&s->reads), load(&s->reads_spilled), load(&s->base_drops),
			   load(&s->runs_written), load(&s->runs_merged)}};
}

static void emit_views(struct mr_metrics_out *out, void *owner)
{
	struct mr_snapshot *s = mr_control_snapshot(owner);
	struct row *rows = calloc(s->views_count + 1, sizeof(*rows));
	struct mr_view_figures *figures = calloc(s->views_count + 1, sizeof(*figures));

	MR_ASSERT(rows && figures);
	mr_views_figures(s->views, s->views_count, figures);
	for (size_t i = 0; i < s->views_count; i++)
		collect(&rows[i], s->views[i], &figures[i]);
	for (size_t e = 0; e < VALUES; e++) {
		for (size_t i = 0; i < s->views_count; i++) {
			const struct mr_metric k = {.kind = entries[e].kind,
				.name = entries[e].name,
				.help = entries[e].help,
				.labels = {{"view", rows[i].view->def->name}}};

			mr_metrics_emit(out, &k, rows[i].values[e]);
		}
	}
	free(figures);
	free(rows);
	mr_snapshot_put(s);
}

static void emit_budget(struct mr_metrics_out *out, void *owner)
{
	const struct mr_view_budget *b = &((struct mr_control *)owner)->views.budget;
	const struct {
		const char *name;
		const char *help;
		enum mr_metric_kind kind;
		double value;
	} all[] = {
		{"millrace_views_memory_max_bytes", "view.memory_bytes.", GAUGE,
			(double)b->bytes_max},
		{"millrace_views_states_bytes", "Of it, what is folded and not in files yet.",
			GAUGE, (double)atomic_load_explicit(&b->states, memory_order_relaxed)},
		{"millrace_views_bases_bytes", "Of it, what readers share.", GAUGE,
			(double)atomic_load_explicit(&b->bases, memory_order_relaxed)},
		{"millrace_views_work_bytes", "Of it, sealing, merging and filling.", GAUGE,
			(double)atomic_load_explicit(&b->work, memory_order_relaxed)},
		{"millrace_views_work_peak_bytes", "The most that these had.", GAUGE,
			(double)atomic_load_explicit(&b->work_peak, memory_order_relaxed)},
		{"millrace_views_waits_total", "Times that a batch had to wait for it.", COUNTER,
			load(&b->waits)},
	};

	for (size_t i = 0; i < MR_COUNT_OF(all); i++) {
		const struct mr_metric k = {
			.kind = all[i].kind, .name = all[i].name, .help = all[i].help};

		mr_metrics_emit(out, &k, all[i].value);
	}
}

int mr_view_metrics(struct mr_metrics *m, struct mr_control *c)
{
	int rc = mr_metrics_add_source(m, emit_budget, c);

	return rc < 0 ? rc : mr_metrics_add_source(m, emit_views, c);
}
