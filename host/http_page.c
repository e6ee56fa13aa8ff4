// GET /: what runs here, and what to type next, as one small page without scripts.
#include "host/http_int.h"

#include "host/base/arena.h"

#include <stdio.h>

// Names of relations come from users: whatever is markup in them is escaped.
static void put_text(struct mr_buf *b, struct mr_span text)
{
	for (size_t i = 0; i < text.bytes; i++) {
		switch (text.data[i]) {
		case '<': mr_buf_str(b, "&lt;"); break;
		case '>': mr_buf_str(b, "&gt;"); break;
		case '&': mr_buf_str(b, "&amp;"); break;
		case '"': mr_buf_str(b, "&quot;"); break;
		case '\'': mr_buf_str(b, "&#39;"); break;
		default: mr_buf_u8(b, text.data[i]);
		}
	}
}

static void put_string(struct mr_buf *b, const char *text)
{
	put_text(b, mr_span_str(text));
}

static void put_row(struct mr_buf *b, const struct mr_relation *r)
{
	static const char *const kinds[] = {"table", "view", "system"};
	int64_t rows = r->ops->rows_known ? r->ops->rows_known(r) : -1;

	mr_buf_str(b, "<tr><td>");
	put_text(b, r->name);
	mr_buf_printf(b, "<td>%s<td class=n>", kinds[r->kind]);
	if (rows >= 0)
		mr_buf_printf(b, "%lld", (long long)rows);
	mr_buf_str(b, "\n");
}

static void put_relations(struct mr_http_session *s, struct mr_buf *b)
{
	const struct mr_relation **relations;
	struct mr_env *env = s->http->env;
	struct mr_arena arena;
	int count, shown = 0;

	mr_arena_init(&arena, 16u << 20);
	count = env->ops->relations ? env->ops->relations(env, &arena, &relations) : 0;
	mr_buf_str(b, "<h2>Tables and views</h2>\n");
	for (int i = 0; i < count; i++) {
		if (relations[i]->kind != MR_RELATION_SYSTEM) {
			if (shown++ == 0)
				mr_buf_str(b, "<table><tr><th>name<th>kind<th class=n>rows\n");
			put_row(b, relations[i]);
		}
		env->ops->relation_put(env, relations[i]);
	}
	mr_buf_str(b, shown ? "</table>\n" : "<p>None yet.</p>\n");
	mr_arena_fini(&arena);
}

// ADDR:PORT as -h and -p, or host and port, want them: the parts by themselves.
static struct mr_span port_of(const char *address)
{
	const char *colon = strrchr(address, ':');

	return mr_span_str(colon ? colon + 1 : "");
}

static struct mr_span host_of(const char *address)
{
	const char *colon = strrchr(address, ':');

	return mr_span(address, colon ? (size_t)(colon - address) : strlen(address));
}

static void put_commands(struct mr_http_session *s, struct mr_buf *b)
{
	const struct mr_http_opts *h = s->http;

	mr_buf_str(b, "<h2>What to type next</h2>\n<pre>");
	mr_buf_str(b, "echo '{\"category\":\"toys\",\"amount\":9.5}' | kcat -P -b ");
	put_string(b, h->kafka_address);
	mr_buf_str(b, " -t orders\n\npsql 'host=");
	put_text(b, host_of(h->sql_address));
	mr_buf_str(b, " port=");
	put_text(b, port_of(h->sql_address));
	mr_buf_str(b, " user=millrace dbname=millrace'\n\n"
		      "CREATE TABLE orders (category text, amount numeric(12,2))\n"
		      "  WITH (topic = 'orders', format = 'json');\n"
		      "SELECT category, count(*), sum(amount) FROM orders GROUP BY category;\n\n"
		      "curl --data-binary 'SELECT count(*) FROM orders' 'http://");
	put_text(b, s->request.host);
	mr_buf_str(b, "/query?format=csv'\ncurl http://");
	put_text(b, s->request.host);
	mr_buf_str(b, "/metrics\n</pre>\n");
}

void mr_http_page(struct mr_http_session *s)
{
	const struct mr_http_opts *h = s->http;
	struct mr_buf *b = &s->out.body;

	mr_http_begin(&s->out, 200, "text/html; charset=utf-8");
	s->out.fields = "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
			"X-Frame-Options: DENY\r\n";
	mr_buf_str(b,
		"<!doctype html>\n<html lang=en><meta charset=utf-8><title>millrace</title>\n"
		"<style>body{font:15px/1.5 system-ui,sans-serif;max-width:48em;margin:2em auto;"
		"padding:0 1em}pre{background:#f4f4f4;padding:1em;overflow:auto}"
		"td,th{text-align:left;padding:.1em 1.5em .1em 0}.n{text-align:right}"
		"</style>\n<h1>millrace</h1>\n<p>Version ");
	put_string(b, h->version);
	mr_buf_printf(b, ", %u worker%s. Kafka on <b>", h->workers, h->workers == 1 ? "" : "s");
	put_string(b, h->kafka_address);
	mr_buf_str(b, "</b>, SQL on <b>");
	put_string(b, h->sql_address);
	mr_buf_str(b, "</b>, <a href=/metrics>metrics</a>, <a href=/healthz>health</a>.</p>\n");
	put_relations(s, b);
	put_commands(s, b);
	mr_http_end(&s->out);
}
