// Relations and changes for SQL: snapshots to look things up, calls to control to change them.
#include "host/env.h"

#include "host/base/note.h"
#include "host/control.h"
#include "host/insert.h"
#include "host/merge.h"
#include "host/nic_capture.h"
#include "host/seal.h"
#include "host/sessions.h"
#include "host/system.h"
#include "host/view/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct mr_host_env {
	struct mr_env env; // first
	struct mr_control *control;
	struct mr_system *system;
};

static struct mr_host_env *of(struct mr_env *e)
{
	return MR_CONTAINER(e, struct mr_host_env, env);
}

static const struct mr_relation *relation_get(
	struct mr_env *e, struct mr_span schema, struct mr_span name)
{
	const struct mr_relation *r = NULL;
	struct mr_snapshot *s;
	struct mr_table *t;
	struct mr_view *v;

	if (mr_span_eq(schema, mr_span_str("millrace")))
		return mr_system_find(of(e)->system, name);
	if (schema.bytes && !mr_span_eq(schema, mr_span_str("public")))
		return NULL;
	s = mr_control_snapshot(of(e)->control);
	t = mr_snapshot_table(s, name);
	v = t ? NULL : mr_snapshot_view(s, name);
	if (t)
		r = &mr_table_get(t)->relation;
	else if (v && atomic_load_explicit(&v->ready, memory_order_acquire))
		r = &mr_view_get(v)->relation;
	mr_snapshot_put(s);
	return r;
}

static void relation_put(struct mr_env *, const struct mr_relation *r)
{
	if (r && r->kind == MR_RELATION_TABLE)
		mr_table_put(r->owner);
	else if (r && r->kind == MR_RELATION_VIEW)
		mr_view_put(r->owner);
}

static int relations(struct mr_env *e, struct mr_arena *arena, const struct mr_relation ***out)
{
	struct mr_snapshot *s = mr_control_snapshot(of(e)->control);
	uint32_t system = mr_system_count(of(e)->system);
	const struct mr_relation **list =
		mr_arena_zalloc(arena, s->tables_count + s->views_count + system, sizeof(*list));
	int n = 0;

	for (size_t i = 0; list && i < s->tables_count; i++)
		list[n++] = &mr_table_get(s->tables[i])->relation;
	for (size_t i = 0; list && i < s->views_count; i++)
		if (atomic_load_explicit(&s->views[i]->ready, memory_order_acquire))
			list[n++] = &mr_view_get(s->views[i])->relation;
	for (uint32_t i = 0; list && i < system; i++)
		list[n++] = mr_system_at(of(e)->system, i);
	mr_snapshot_put(s);
	*out = list;
	return list ? n : -ENOMEM;
}

static void relation_hint(struct mr_env *e, struct mr_span name, struct mr_diag *diag)
{
	struct mr_snapshot *s = mr_control_snapshot(of(e)->control);

	if (mr_topics_find(&s->topics, name))
		mr_diag_hint(diag,
			"Topic %.*s exists; CREATE TABLE %.*s (column type, …) WITH (topic = "
			"'%.*s') makes it queryable.",
			(int)name.bytes, name.data, (int)name.bytes, name.data, (int)name.bytes,
			name.data);
	else if (mr_system_find(of(e)->system, name))
		mr_diag_hint(diag, "There is a table millrace.%.*s.", (int)name.bytes, name.data);
	mr_snapshot_put(s);
}

static int create_table(struct mr_env *e, const struct mr_create_table *ct, struct mr_diag *diag)
{
	struct mr_table_change change = {.create = ct, .diag = diag};
	int rc = mr_control_call(of(e)->control, mr_ddl_create_table, &change);

	// What the topic's log already holds belongs to the table: wait for it.
	if (rc == 0)
		mr_control_wait_caught_up(of(e)->control);
	return rc;
}

static int drop(struct mr_env *e, const struct mr_drop *d, struct mr_diag *diag)
{
	struct mr_table_change change = {.drop = d, .diag = diag};

	return mr_control_call(of(e)->control,
		d->kind == MR_DROP_VIEW ? mr_ddl_drop_view : mr_ddl_drop_table, &change);
}

static int insert(struct mr_env *e, const struct mr_relation *r, const uint32_t *columns,
	uint32_t columns_count, const struct mr_block *rows, struct mr_diag *diag)
{
	if (r->kind != MR_RELATION_TABLE)
		return mr_diag_set(diag, -EINVAL, "42809", 0, "cannot insert into \"%.*s\"",
			(int)r->name.bytes, r->name.data);
	return mr_insert(of(e)->control, r, columns, columns_count, rows, diag);
}

// Bytes of the table's rows in memory.
static size_t memory_bytes(const struct mr_table *t)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < t->parts_count; i++) {
		struct mr_version *v = mr_pieces_pin(&t->parts[i]->pieces);

		for (uint32_t k = 0; k < v->count; k++)
			bytes += mr_piece_bytes(v->pieces[k]);
		mr_version_unpin(v);
	}
	return bytes;
}

// The view is made known to the workers, which fold from then on, and filled from what they had
// stored before, here: from memory while nothing of the table is sealed, then from segments. Where
// memory holds much of the table, that is sealed first: nobody can while it is being folded. A view
// that cannot be filled is dropped again: that very one.
static int create_view(struct mr_env *e, struct mr_create_view *cv, struct mr_diag *diag)
{
	struct mr_control *c = of(e)->control;
	struct mr_table_change change = {.view = cv, .diag = diag};
	struct mr_table_change undo = {0};
	const struct mr_relation *source = mr_fold_source(cv->fold);
	uint64_t table_id = source->id;
	int rc = 0;

	if (source->kind == MR_RELATION_TABLE &&
		memory_bytes(source->owner) > c->views.budget.bytes_max / 4)
		rc = mr_seal_checkpoint(c->seal, cv->cancelled, diag);
	if (rc < 0)
		return rc;
	mr_seal_hold(c->seal, table_id);
	rc = mr_control_call(c, mr_ddl_create_view, &change);
	if (rc == 0 && change.made)
		rc = mr_view_fill_memory(change.made, cv->cancelled, diag);
	mr_seal_release(c->seal, table_id);
	if (rc == 0 && change.made)
		rc = mr_view_fill_stored(change.made, cv->cancelled, diag);
	undo.made = change.made;
	if (rc < 0 && change.made && mr_control_call(c, mr_ddl_undo_view, &undo) < 0)
		mr_note(MR_NOTE_ERR, "view", "event=not_undone view=%s", change.made->def->name);
	mr_view_put(change.made);
	return rc;
}

// The views of the table come back empty, and are ready when that is known to the workers. What
// came in meanwhile is little. Once the table is emptied there is no way back: nothing cancels the
// rest.
static int refill_views(struct mr_control *c, uint64_t table_id, struct mr_diag *diag)
{
	struct mr_snapshot *s = mr_control_snapshot(c);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->views_count; i++)
		if (s->views[i]->def->table_id == table_id)
			rc = mr_view_fill_memory(s->views[i], NULL, diag);
	mr_seal_release(c->seal, table_id);
	for (size_t i = 0; rc == 0 && i < s->views_count; i++)
		if (s->views[i]->def->table_id == table_id)
			rc = mr_view_fill_stored(s->views[i], NULL, diag);
	mr_snapshot_put(s);
	return rc;
}

static int truncate_table(struct mr_env *e, const struct mr_relation *r, _Atomic bool *cancelled,
	struct mr_diag *diag)
{
	struct mr_control *c = of(e)->control;
	struct mr_table_change change = {.diag = diag};
	int rc;

	if (r->kind != MR_RELATION_TABLE)
		return mr_diag_set(diag, -EINVAL, "42809", 0, "\"%.*s\" is not a table",
			(int)r->name.bytes, r->name.data);
	mr_seal_hold(c->seal, r->id);
	change.table_id = r->id;
	if (cancelled && atomic_load_explicit(cancelled, memory_order_relaxed))
		rc = mr_diag_set(diag, MR_ERR_CANCELLED, "57014", 0,
			"canceling statement due to user request");
	else
		rc = mr_control_call(c, mr_ddl_truncate, &change);
	if (rc < 0) {
		mr_seal_release(c->seal, r->id);
		return rc;
	}
	rc = refill_views(c, r->id, diag);
	mr_control_wait_caught_up(c);
	return rc;
}

static int checkpoint(struct mr_env *e, _Atomic bool *cancelled, struct mr_diag *diag)
{
	return mr_seal_checkpoint(of(e)->control->seal, cancelled, diag);
}

// What is in memory is sealed first, so that it takes part.
static int vacuum(struct mr_env *e, const struct mr_relation *r, _Atomic bool *cancelled,
	struct mr_diag *diag)
{
	struct mr_control *c = of(e)->control;
	int rc;

	if (r && r->kind != MR_RELATION_TABLE)
		return mr_diag_set(diag, -EINVAL, "42809", 0, "\"%.*s\" is not a table",
			(int)r->name.bytes, r->name.data);
	rc = mr_seal_checkpoint(c->seal, cancelled, diag);
	return rc < 0 ? rc : mr_merge_vacuum(c->merge, r ? r->id : 0, cancelled, diag);
}

static bool setting(
	struct mr_env *e, struct mr_arena *arena, struct mr_span name, struct mr_span *out)
{
	const char *key;

	for (size_t i = 0; (key = mr_config_key(i, NULL)); i++) {
		char value[4096];

		if (!mr_span_eq(name, mr_span_str(key)))
			continue;
		mr_config_value(of(e)->control->config, i, value, sizeof(value));
		*out = mr_arena_copy(arena, mr_span_str(value));
		return out->data != NULL;
	}
	return false;
}

static int sessions(struct mr_env *e, struct mr_arena *arena, struct mr_activity **out)
{
	return mr_sessions_list(of(e)->control->sessions, arena, out);
}

static bool session_cancel(struct mr_env *e, int32_t pid, bool terminate)
{
	return mr_sessions_cancel(of(e)->control->sessions, pid, terminate);
}

static int capture(struct mr_env *e, const struct mr_capture_ask *a, struct mr_diag *diag)
{
	return mr_nic_capture(of(e)->control, a, diag);
}

static const struct mr_env_ops host_env_ops = {
	.relation_get = relation_get,
	.relation_put = relation_put,
	.relations = relations,
	.relation_hint = relation_hint,
	.create_table = create_table,
	.create_view = create_view,
	.drop = drop,
	.truncate = truncate_table,
	.insert = insert,
	.checkpoint = checkpoint,
	.vacuum = vacuum,
	.setting = setting,
	.sessions = sessions,
	.session_cancel = session_cancel,
	.capture = capture,
};

int mr_host_env_create(struct mr_control *c, struct mr_host_env **out)
{
	struct mr_host_env *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return -ENOMEM;
	e->env.ops = &host_env_ops;
	e->control = c;
	rc = mr_system_create(c, &e->system);
	if (rc < 0) {
		free(e);
		return rc;
	}
	*out = e;
	return 0;
}

void mr_host_env_destroy(struct mr_host_env *e)
{
	if (!e)
		return;
	mr_system_destroy(e->system);
	free(e);
}

struct mr_env *mr_host_env_env(struct mr_host_env *e)
{
	return &e->env;
}
