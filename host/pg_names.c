// The names of a session: prepared statements and portals, in short lists searched by hash.
#include "host/base/hash.h"
#include "host/pg_int.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t name_hash(struct mr_span name)
{
	return mr_hash_bytes(name.data, name.bytes);
}

static void prepared_put(struct mr_pg_prepared *p)
{
	if (--p->references > 0)
		return;
	if (p->statement)
		mr_statement_destroy(p->statement);
	free(p);
}

// The link that points at the named statement, or at the NULL at the end.
static struct mr_pg_prepared **prepared_link(struct mr_pg_session *s, struct mr_span name)
{
	struct mr_pg_prepared **at = &s->prepared;
	uint64_t hash = name_hash(name);

	while (*at &&
		((*at)->hash != hash || !mr_span_eq(mr_span((*at)->name, (*at)->name_bytes), name)))
		at = &(*at)->next;
	return at;
}

struct mr_pg_prepared *mr_pg_prepared_find(struct mr_pg_session *s, struct mr_span name)
{
	return *prepared_link(s, name);
}

int mr_pg_prepared_add(struct mr_pg_session *s, struct mr_span name, struct mr_statement *statement,
	size_t text_bytes)
{
	struct mr_pg_prepared *p;

	if (s->prepared_count >= MR_PG_STATEMENTS_MAX ||
		s->prepared_bytes + text_bytes > MR_PG_STATEMENTS_BYTES_MAX) {
		mr_diag_set(&s->diag, MR_ERR_LIMIT, "53400", 0,
			"too many prepared statements in this session");
		mr_diag_detail(&s->diag, "A session holds at most %d, with %u MiB of text.",
			MR_PG_STATEMENTS_MAX, MR_PG_STATEMENTS_BYTES_MAX >> 20);
		mr_diag_hint(&s->diag, "Close those that are no longer needed (DEALLOCATE).");
		return MR_ERR_LIMIT;
	}
	p = calloc(1, sizeof(*p) + name.bytes + 1);
	if (!p)
		return mr_diag_set(&s->diag, -ENOMEM, "53200", 0, "out of memory");
	p->references = 1;
	p->hash = name_hash(name);
	p->statement = statement;
	p->text_bytes = text_bytes;
	p->name_bytes = name.bytes;
	if (name.bytes)
		memcpy(p->name, name.data, name.bytes);
	p->next = s->prepared;
	s->prepared = p;
	s->prepared_count++;
	s->prepared_bytes += text_bytes;
	return 0;
}

void mr_pg_prepared_drop(struct mr_pg_session *s, struct mr_span name)
{
	struct mr_pg_prepared **at = prepared_link(s, name), *p = *at;

	if (!p)
		return;
	*at = p->next;
	s->prepared_count--;
	s->prepared_bytes -= p->text_bytes;
	prepared_put(p);
}

void mr_pg_prepared_drop_all(struct mr_pg_session *s)
{
	while (s->prepared)
		mr_pg_prepared_drop(s, mr_span(s->prepared->name, s->prepared->name_bytes));
}

static struct mr_pg_portal **portal_link(struct mr_pg_session *s, struct mr_span name)
{
	struct mr_pg_portal **at = &s->portals;
	uint64_t hash = name_hash(name);

	while (*at &&
		((*at)->hash != hash || !mr_span_eq(mr_span((*at)->name, (*at)->name_bytes), name)))
		at = &(*at)->next;
	return at;
}

struct mr_pg_portal *mr_pg_portal_find(struct mr_pg_session *s, struct mr_span name)
{
	return *portal_link(s, name);
}

struct mr_pg_portal *mr_pg_portal_add(
	struct mr_pg_session *s, struct mr_span name, struct mr_pg_prepared *prepared)
{
	const struct mr_result_column *columns;
	uint32_t count =
		prepared->statement ? mr_statement_columns(prepared->statement, &columns) : 0;
	struct mr_pg_portal *p;

	if (s->portals_count >= MR_PG_PORTALS_MAX) {
		mr_diag_set(&s->diag, MR_ERR_LIMIT, "53400", 0,
			"too many portals are open in this session (%d)", MR_PG_PORTALS_MAX);
		return NULL;
	}
	// The flags of the columns stand behind the name.
	p = calloc(1, sizeof(*p) + name.bytes + 1 + count);
	if (!p) {
		mr_diag_set(&s->diag, -ENOMEM, "53200", 0, "out of memory");
		return NULL;
	}
	p->hash = name_hash(name);
	p->prepared = prepared;
	prepared->references++;
	p->name_bytes = name.bytes;
	if (name.bytes)
		memcpy(p->name, name.data, name.bytes);
	p->binary = (uint8_t *)p->name + name.bytes + 1;
	p->next = s->portals;
	s->portals = p;
	s->portals_count++;
	return p;
}

void mr_pg_portal_drop(struct mr_pg_session *s, struct mr_span name)
{
	struct mr_pg_portal **at = portal_link(s, name), *p = *at;

	if (!p)
		return;
	*at = p->next;
	s->portals_count--;
	if (p->cursor)
		mr_cursor_close(p->cursor);
	prepared_put(p->prepared);
	free(p);
}

void mr_pg_portals_drop_all(struct mr_pg_session *s)
{
	while (s->portals)
		mr_pg_portal_drop(s, mr_span(s->portals->name, s->portals->name_bytes));
}
