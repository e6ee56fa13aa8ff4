// The session and the server, as clients ask for them.
#include "host/sql/fn_int.h"
#include "host/sql/session_int.h"

#include <stdlib.h>
#include <string.h>

static int answer(struct mr_fn_call *c, const char *text, void *out)
{
	return text ? mr_fn_str(c, text, strlen(text), out) : 1;
}

static int version(struct mr_fn_call *c, const void *const *, void *out)
{
	return answer(c, "PostgreSQL 15.0 (millrace " MR_VERSION ")", out);
}

static int database(struct mr_fn_call *c, const void *const *, void *out)
{
	const struct mr_session *s = c->ev->session;

	return answer(c, s ? s->database : "millrace", out);
}

static int user(struct mr_fn_call *c, const void *const *, void *out)
{
	const struct mr_session *s = c->ev->session;

	return answer(c, s ? s->user : "millrace", out);
}

static int schema(struct mr_fn_call *c, const void *const *, void *out)
{
	return answer(c, "public", out);
}

static int backend_pid(struct mr_fn_call *c, const void *const *, void *out)
{
	const struct mr_session *s = c->ev->session;

	RESULT(int32_t) = s ? s->opts.backend_pid : 0;
	return 0;
}

static int current_setting(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_session *s = c->ev->session;
	struct mr_span name = fn_span(a[0]), found;
	char *text = mr_arena_strndup(c->ev->arena, (const char *)name.data, name.bytes);
	const char *v;

	if (!text)
		return mr_eval_no_memory(c->ev);
	v = s ? mr_setting_value(s, text) : NULL;
	if (v)
		return answer(c, v, out);
	if (s && s->opts.env->ops->setting &&
		s->opts.env->ops->setting(s->opts.env, c->ev->arena, name, &found))
		return mr_fn_str(c, found.data, found.bytes, out);
	if (c->args_count > 1 && ARG(uint8_t, 1))
		return 1;
	return mr_fn_error(c, "42704", "unrecognized configuration parameter \"%s\"", text);
}

static int set_config(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_session *s = c->ev->session;
	struct mr_span name = fn_span(a[0]), value = fn_span(a[1]);
	char *n = mr_arena_strndup(c->ev->arena, (const char *)name.data, name.bytes);
	char *v = mr_arena_strndup(c->ev->arena, (const char *)value.data, value.bytes);
	int rc;

	if (!n || !v)
		return mr_eval_no_memory(c->ev);
	if (!s)
		return mr_fn_error(c, "0A000", "set_config is not supported here");
	rc = mr_setting_change(s, n, v, 0, c->ev->diag);
	return rc < 0 ? rc : answer(c, mr_setting_value(s, n), out);
}

static int yes(struct mr_fn_call *, const void *const *, void *out)
{
	RESULT(uint8_t) = 1;
	return 0;
}

static int no(struct mr_fn_call *, const void *const *, void *out)
{
	RESULT(uint8_t) = 0;
	return 0;
}

// Whether there is such a session, whose query then ends, or all of it.
static int signal_backend(struct mr_fn_call *c, const void *const *a, bool terminate, void *out)
{
	const struct mr_session *s = c->ev->session;

	if (!s || !s->opts.env->ops->session_cancel)
		return mr_fn_error(c, "0A000", "there are no other sessions here");
	RESULT(uint8_t) = s->opts.env->ops->session_cancel(s->opts.env, ARG(int32_t, 0), terminate);
	return 0;
}

static int cancel_backend(struct mr_fn_call *c, const void *const *a, void *out)
{
	return signal_backend(c, a, false, out);
}

static int terminate_backend(struct mr_fn_call *c, const void *const *a, void *out)
{
	return signal_backend(c, a, true, out);
}

// What the daemon lists of this session; NULL when it lists nothing.
static const struct mr_activity *own_activity(struct mr_fn_call *c)
{
	const struct mr_session *s = c->ev->session;
	struct mr_env *env = s ? s->opts.env : NULL;
	struct mr_activity *list;
	int n = env && env->ops->sessions ? env->ops->sessions(env, c->ev->arena, &list) : 0;

	for (int i = 0; i < n; i++)
		if (list[i].pid == s->opts.backend_pid)
			return &list[i];
	return NULL;
}

static int client_addr(struct mr_fn_call *c, const void *const *, void *out)
{
	const struct mr_activity *a = own_activity(c);
	const char *colon = a ? strrchr(a->peer, ':') : NULL;
	bool v6 = colon && a->peer[0] == '[';

	return colon ? mr_fn_str(c, a->peer + v6, (size_t)(colon - a->peer) - 2 * v6, out) : 1;
}

static int client_port(struct mr_fn_call *c, const void *const *, void *out)
{
	const struct mr_activity *a = own_activity(c);
	const char *colon = a ? strrchr(a->peer, ':') : NULL;

	RESULT(int32_t) = colon ? atoi(colon + 1) : 0;
	return !colon;
}

static int server_port(struct mr_fn_call *c, const void *const *, void *out)
{
	const struct mr_activity *a = own_activity(c);

	RESULT(int32_t) = a ? a->local_port : 0;
	return !a;
}

static int capture(struct mr_fn_call *c, struct mr_capture_ask *a, void *out)
{
	const struct mr_session *s = c->ev->session;
	struct mr_env *env = s ? s->opts.env : NULL;
	int rc;

	if (!env || !env->ops->capture)
		return mr_fn_error(c, "0A000", "there are no frames to capture here");
	a->answer = mr_arena_alloc(c->ev->arena, MR_CAPTURE_ANSWER_BYTES);
	if (!a->answer)
		return mr_eval_no_memory(c->ev);
	rc = env->ops->capture(env, a, c->ev->diag);
	return rc < 0 ? rc : answer(c, a->answer, out);
}

static int capture_start(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_capture_ask ask = {.file_name = fn_span(a[0])};

	if (c->args_count > 1)
		ask.filter = fn_span(a[1]);
	return capture(c, &ask, out);
}

static int capture_stop(struct mr_fn_call *c, const void *const *, void *out)
{
	struct mr_capture_ask ask = {.stop = true};

	return capture(c, &ask, out);
}

// Waits between polls of the cancel flag, so that a sleeping query can be stopped.
static int pg_sleep(struct mr_fn_call *c, const void *const *a, void *out)
{
	int64_t end = mr_now_ns(&mr_clock_system) + (int64_t)(MR_MIN(ARG(double, 0), 1e6) * 1e9);

	while (mr_now_ns(&mr_clock_system) < end) {
		struct timespec t = {0, 5000000};
		int rc = mr_query_poll(c->ev->query, c->ev->diag);

		if (rc < 0)
			return rc;
		nanosleep(&t, NULL);
	}
	RESULT(struct mr_str) = (struct mr_str){(const uint8_t *)"", 0, 0};
	return 0;
}

#define ST MR_FN_STABLE
#define NONE(name, f)                          \
	{                                      \
		name, T_T, 0, {0}, ST, f, NULL \
	}

static const struct mr_fn fns[] = {
	{"version", T_T, 0, {0}, ST, version, NULL},
	NONE("current_database", database),
	NONE("current_catalog", database),
	NONE("current_user", user),
	NONE("session_user", user),
	NONE("user", user),
	NONE("current_role", user),
	NONE("current_schema", schema),
	{"pg_backend_pid", T_I4, 0, {0}, ST, backend_pid, NULL},
	{"pg_cancel_backend", T_B, 1, {T_I4}, MR_FN_VOLATILE, cancel_backend, NULL},
	{"pg_terminate_backend", T_B, 1, {T_I4}, MR_FN_VOLATILE, terminate_backend, NULL},
	{"pg_terminate_backend", T_B, 2, {T_I4, T_I8}, MR_FN_VOLATILE, terminate_backend, NULL},
	NONE("inet_client_addr", client_addr),
	{"inet_client_port", T_I4, 0, {0}, ST, client_port, NULL},
	{"inet_server_port", T_I4, 0, {0}, ST, server_port, NULL},
	{"current_setting", T_T, 1, {T_T}, ST, current_setting, NULL},
	{"current_setting", T_T, 2, {T_T, T_B}, ST, current_setting, NULL},
	{"set_config", T_T, 3, {T_T, T_T, T_B}, MR_FN_VOLATILE, set_config, NULL},
	{"pg_is_in_recovery", T_B, 0, {0}, ST, no, NULL},
	{"pg_advisory_unlock_all", T_B, 0, {0}, MR_FN_VOLATILE, yes, NULL},
	{"millrace.capture_start", T_T, 1, {T_T}, MR_FN_VOLATILE, capture_start, NULL},
	{"millrace.capture_start", T_T, 2, {T_T, T_T}, MR_FN_VOLATILE, capture_start, NULL},
	{"millrace.capture_stop", T_T, 0, {0}, MR_FN_VOLATILE, capture_stop, NULL},
	{"pg_sleep", T_T, 1, {T_F8}, MR_FN_VOLATILE, pg_sleep, NULL},
};

const struct mr_fn_family mr_fn_system = {fns, MR_COUNT_OF(fns)};
