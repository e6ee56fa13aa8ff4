// Startup: SSL and GSS requests, cancel requests, the startup packet, and the greeting.
#include "host/base/note.h"
#include "host/base/utf8.h"
#include "host/pg_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

// Reported at the start, and again by mr_pg_send_ready whenever one changes.
static const char *const reported_settings[] = {
	"server_version",
	"server_encoding",
	"client_encoding",
	"application_name",
	"is_superuser",
	"session_authorization",
	"DateStyle",
	"IntervalStyle",
	"TimeZone",
	"integer_datetimes",
	"standard_conforming_strings",
	"default_transaction_read_only",
	"in_hot_standby",
};

struct startup {
	struct mr_span user;
	struct mr_span database;
	struct mr_span options;
	bool is_replication;
	uint32_t minor;
	struct mr_span unknown[16]; // _pq_. options, which no version of ours knows
	uint32_t unknown_count;
};

// The startup packet as it stands in the buffer, without its length word. 1, or 0 when the
// connection just ends: nobody who speaks PostgreSQL sends the others.
static int packet_read(struct mr_pg_session *s, struct mr_span *out)
{
	struct mr_clock *clock = s->pg->clock;
	int64_t end_ns = mr_now_ns(clock) + MR_PG_STARTUP_TIMEOUT_MS * 1000000ll;
	size_t need = 4;
	int rc;

	for (;;) {
		struct mr_span have = mr_link_in_span(&s->in);
		int64_t left_ms = (end_ns - mr_now_ns(clock)) / 1000000;

		if (have.bytes >= 4)
			need = mr_load_be32(have.data);
		if (need < (have.bytes < 4 ? 4 : 8) || need > MR_PG_STARTUP_BYTES)
			return 0;
		if (have.bytes >= 4 && have.bytes >= need)
			break;
		rc = left_ms > 0 ? mr_link_in_more(&s->in, (int)left_ms) : -ETIMEDOUT;
		if (rc <= 0)
			return 0;
	}
	*out = mr_span(mr_link_in_span(&s->in).data + 4, need - 4);
	mr_link_in_take(&s->in, need);
	return 1;
}

static bool name_is(struct mr_span name, const char *what)
{
	return mr_span_eq(name, mr_span_str(what));
}

// Settings from the packet go to the SQL session, which knows their names and values.
static bool setting_apply(struct mr_pg_session *s, struct mr_span name, struct mr_span value)
{
	char name_text[64], *value_text;
	int rc;

	snprintf(name_text, sizeof(name_text), "%.*s", (int)MR_MIN(name.bytes, (size_t)63),
		(const char *)name.data);
	value_text = strndup((const char *)value.data, value.bytes);
	if (!value_text) {
		mr_pg_fatal(s, "53200", "out of memory");
		return false;
	}
	rc = mr_session_set(s->sql, name_text, value_text, &s->diag);
	free(value_text);
	if (rc < 0)
		mr_pg_fatal(s, s->diag.sqlstate, "%s", s->diag.message);
	return rc >= 0;
}

static bool options_bad(struct mr_pg_session *s, const char *word)
{
	mr_pg_fatal(s, "42601", "invalid command-line argument for server process: %s", word);
	return false;
}

// The next word of `options`: white space separates, a backslash takes the next character as it is.
static bool options_word(struct mr_span options, size_t *at, char *out, size_t out_bytes)
{
	size_t n = 0;

	while (*at < options.bytes && strchr(" \t\n\r\f\v", options.data[*at]))
		(*at)++;
	if (*at == options.bytes)
		return false;
	while (*at < options.bytes && !strchr(" \t\n\r\f\v", options.data[*at])) {
		if (options.data[*at] == '\\' && *at + 1 < options.bytes)
			(*at)++;
		if (n + 1 < out_bytes)
			out[n++] = (char)options.data[*at];
		(*at)++;
	}
	out[n] = 0;
	return true;
}

// `-c name=value`, `-cname=value` and `--name=value`, as `postgres` takes them.
static bool options_apply(struct mr_pg_session *s, struct mr_span options)
{
	char word[1024];
	size_t at = 0;

	while (options_word(options, &at, word, sizeof(word))) {
		char *setting = word + 2, *equals;

		if (strncmp(word, "-c", 2) != 0 && strncmp(word, "--", 2) != 0)
			return options_bad(s, word);
		if (strcmp(word, "-c") == 0) {
			setting = word;
			if (!options_word(options, &at, word, sizeof(word)))
				return options_bad(s, "-c");
		}
		equals = strchr(setting, '=');
		if (!equals)
			return options_bad(s, word);
		// --search-path=x means search_path.
		for (char *c = setting; c < equals; c++)
			if (*c == '-')
				*c = '_';
		if (!setting_apply(s, mr_span(setting, (size_t)(equals - setting)),
			    mr_span_str(equals + 1)))
			return false;
	}
	return true;
}

static void startup_pair(struct startup *st, struct mr_span name, struct mr_span value)
{
	if (name_is(name, "user"))
		st->user = value;
	else if (name_is(name, "database"))
		st->database = value;
	else if (name_is(name, "options"))
		st->options = value;
	else if (name_is(name, "replication"))
		st->is_replication =
			!name_is(value, "false") && !name_is(value, "off") && !name_is(value, "0");
	else if (name.bytes >= 5 && memcmp(name.data, "_pq_.", 5) == 0 &&
		 st->unknown_count < MR_COUNT_OF(st->unknown))
		st->unknown[st->unknown_count++] = name;
}

// Splits the packet into pairs. False when it is not well formed.
static bool startup_parse(struct mr_span pairs, struct startup *st)
{
	struct mr_reader r = mr_reader(pairs);

	for (;;) {
		struct mr_span name = mr_pg_read_cstring(&r), value;

		if (r.bad)
			return false;
		if (name.bytes == 0)
			return mr_read_left(&r) == 0;
		value = mr_pg_read_cstring(&r);
		if (r.bad)
			return false;
		startup_pair(st, name, value);
	}
}

// Everything in the packet that is not one of the protocol's own is a setting.
static bool startup_settings(struct mr_pg_session *s, struct mr_span pairs)
{
	static const char *const own[] = {"user", "database", "options", "replication"};
	struct mr_reader r = mr_reader(pairs);

	for (;;) {
		struct mr_span name = mr_pg_read_cstring(&r), value;
		bool is_own = name.bytes >= 5 && memcmp(name.data, "_pq_.", 5) == 0;

		if (name.bytes == 0)
			return true;
		value = mr_pg_read_cstring(&r);
		for (size_t i = 0; i < MR_COUNT_OF(own); i++)
			is_own |= name_is(name, own[i]);
		if (!is_own && !setting_apply(s, name, value))
			return false;
	}
}

// There is one role and one database; psql takes the name of the operating system's user for both.
static bool refuse_name(
	struct mr_pg_session *s, const char *sqlstate, const char *what, struct mr_span name)
{
	const struct mr_link *l = s->seat->link;

	mr_diag_set(&s->diag, -EPERM, sqlstate, 0, "%s \"%.*s\" does not exist", what,
		(int)MR_MIN(name.bytes, (size_t)63), (const char *)name.data);
	mr_diag_hint(&s->diag,
		"Connect as user millrace to database millrace, without a password: "
		"psql -h %s -p %u -U millrace -d millrace (or set PGUSER and PGDATABASE).",
		l->is_loopback ? "127.0.0.1" : "HOST", l->local_port);
	mr_pg_fatal_diag(s);
	return false;
}

// Who may come in: user millrace, database millrace.
static bool startup_admit(struct mr_pg_session *s, struct startup *st)
{
	if (st->user.bytes == 0) {
		mr_pg_fatal(s, "28000", "no PostgreSQL user name specified in startup packet");
		return false;
	}
	if (st->database.bytes == 0)
		st->database = st->user;
	if (st->is_replication) {
		mr_pg_fatal(s, "0A000", "replication connections are not supported");
		return false;
	}
	if (s->seat->link->over_limit) {
		mr_pg_fatal(s, "53300", "sorry, too many clients already");
		return false;
	}
	if (!name_is(st->user, "millrace"))
		return refuse_name(s, "28000", "role", st->user);
	if (!name_is(st->database, "millrace"))
		return refuse_name(s, "3D000", "database", st->database);
	return true;
}

// NegotiateProtocolVersion: a newer minor version or options of one; the client decides.
static void startup_negotiate(struct mr_pg_session *s, const struct startup *st)
{
	if (st->minor == 0 && st->unknown_count == 0)
		return;
	mr_pg_begin(&s->out, 'v');
	mr_buf_be32(&s->out.buf, MR_PG_PROTOCOL_3_0);
	mr_buf_be32(&s->out.buf, st->unknown_count);
	for (uint32_t i = 0; i < st->unknown_count; i++) {
		mr_buf_add(&s->out.buf, st->unknown[i].data, st->unknown[i].bytes);
		mr_buf_u8(&s->out.buf, 0);
	}
	mr_pg_end(&s->out);
}

static bool startup_session(struct mr_pg_session *s, const struct startup *st)
{
	const struct mr_session_opts opts = {
		.env = s->pg->env,
		.clock = s->pg->clock,
		.cancelled = &s->seat->cancelled,
		.query_bytes_max = s->pg->query_bytes_max,
		.memory = &s->seat->memory,
		.pins = &s->seat->pins,
		.user = st->user,
		.database = st->database,
		.backend_pid = s->seat->activity.pid,
	};

	if (mr_session_create(&opts, &s->sql) < 0) {
		s->sql = NULL;
		mr_pg_fatal(s, "53200", "out of memory");
		return false;
	}
	return true;
}

static void startup_greet(struct mr_pg_session *s)
{
	const char *name, *value;

	mr_pg_begin(&s->out, 'R'); // AuthenticationOk
	mr_buf_be32(&s->out.buf, 0);
	mr_pg_end(&s->out);
	for (size_t i = 0; i < MR_COUNT_OF(reported_settings); i++) {
		value = mr_session_setting(s->sql, reported_settings[i]);
		if (value)
			mr_pg_put_pair(&s->out, 'S', reported_settings[i], value);
	}
	// What the packet set has been told just now.
	while (mr_session_changed_setting(s->sql, &name, &value))
		continue;
	mr_pg_begin(&s->out, 'K'); // BackendKeyData
	mr_buf_be32(&s->out.buf, (uint32_t)s->seat->activity.pid);
	mr_buf_be32(&s->out.buf, s->seat->secret);
	mr_pg_end(&s->out);
	mr_pg_send_ready(s);
}

static bool startup_begin(struct mr_pg_session *s, uint32_t version, struct mr_span pairs)
{
	struct startup st = {.minor = version & 0xffff};

	if (version >> 16 != 3) {
		mr_pg_fatal(s, "0A000",
			"unsupported frontend protocol %u.%u: server supports 3.0 to 3.0",
			version >> 16, version & 0xffff);
		return false;
	}
	if (!startup_parse(pairs, &st) || !mr_utf8_is_valid(pairs)) {
		mr_pg_fatal(s, "08P01", "invalid startup packet layout");
		return false;
	}
	if (!startup_admit(s, &st) || !startup_session(s, &st))
		return false;
	startup_negotiate(s, &st);
	if (!options_apply(s, st.options) || !startup_settings(s, pairs))
		return false;
	startup_greet(s);
	return true;
}

bool mr_pg_startup(struct mr_pg_session *s)
{
	struct mr_span packet;
	uint32_t code;

	// A client may ask for SSL, then for GSS encryption, then start; more is no client.
	for (int round = 0; round < 3; round++) {
		if (!packet_read(s, &packet))
			return false;
		code = mr_load_be32(packet.data);
		if (code == MR_PG_CODE_CANCEL) {
			if (packet.bytes == 12)
				mr_sessions_cancel_request(s->seat->group->sessions,
					(int32_t)mr_load_be32(packet.data + 4),
					mr_load_be32(packet.data + 8));
			return false;
		}
		if (code != MR_PG_CODE_SSL && code != MR_PG_CODE_GSSENC)
			return startup_begin(s, code, mr_span(packet.data + 4, packet.bytes - 4));
		mr_buf_u8(&s->out.buf, 'N');
		if (mr_pg_flush(&s->out) < 0)
			return false;
	}
	return false;
}
