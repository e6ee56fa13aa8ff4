#!/usr/bin/env bash
# What an analyst types first: psql's backslash commands and SQLAlchemy's inspector, against a daemon.
. "$(dirname "$0")/lib.sh"
command -v psql >/dev/null || skip "no psql"

meta() {
	PGCONNECT_TIMEOUT=10 psql -X -A -P footer=off -h 127.0.0.1 -p "$SQL_PORT" -U millrace -d millrace \
		-v ON_ERROR_STOP=1 -c "$1" 2>&1
}

# expect COMMAND: its output must be standard input.
expect() {
	local want got
	want=$(cat)
	got=$(meta "$1") || fail "$1: $got"
	[ "$got" = "$want" ] || fail "$1"$'\n'"--- expected"$'\n'"$want"$'\n'"--- got"$'\n'"$got"
}

start catalog
meta "CREATE TABLE orders (id bigint NOT NULL, amount numeric(12,2), note text, at timestamptz)" >/dev/null
meta "CREATE MATERIALIZED VIEW per_note AS SELECT note, count(*) AS n FROM orders GROUP BY note" >/dev/null

expect '\d' <<'X'
List of relations
Schema|Name|Type|Owner
public|orders|table|millrace
public|per_note|materialized view|millrace
X
expect '\dt' <<'X'
List of relations
Schema|Name|Type|Owner
public|orders|table|millrace
X
expect '\dm' <<'X'
List of relations
Schema|Name|Type|Owner
public|per_note|materialized view|millrace
X
expect '\dv' <<'X'
Did not find any relations.
X
ORDERS='Table "public.orders"
Column|Type|Collation|Nullable|Default
id|bigint||not null|
amount|numeric(12,2)|||
note|text|||
at|timestamp with time zone|||'
expect '\d orders' <<<"$ORDERS"
expect '\d per_note' <<'X'
Materialized view "public.per_note"
Column|Type|Collation|Nullable|Default
note|text|||
n|bigint|||
X
expect '\d or*' <<<"$ORDERS"
expect '\dn' <<'X'
List of schemas
Name|Owner
millrace|millrace
public|millrace
X
expect '\l' <<'X'
List of databases
Name|Owner|Encoding|Collate|Ctype|ICU Locale|Locale Provider|Access privileges
millrace|millrace|UTF8|C|C.UTF-8||libc|
X
expect '\du' <<'X'
List of roles
Role name|Attributes|Member of
millrace|Superuser|{}
X
expect '\df' <<'X'
List of functions
Schema|Name|Result data type|Argument data types|Type
X
meta '\dt millrace.*' | grep -q '^millrace|partitions|table|' || fail '\dt millrace.*'
meta '\d millrace.topics' | grep -q '^topic|text' || fail '\d millrace.topics'
for c in '\dt+' '\di' '\ds' '\dp' '\db' '\dT' '\d pg_class' '\d+ orders' '\d+ per_note'; do
	got=$(meta "$c") || fail "$c: $got"
done

if python3=/usr/bin/python3 && $python3 -c 'import sqlalchemy' 2>/dev/null; then
	$python3 - "$SQL_PORT" <<'S' || fail "SQLAlchemy"
import sys
import sqlalchemy as sa

i = sa.inspect(sa.create_engine(f"postgresql+psycopg2://millrace@127.0.0.1:{sys.argv[1]}/millrace"))
assert i.get_table_names() == ["orders"], i.get_table_names()
assert i.get_view_names() == ["per_note"], i.get_view_names()
assert i.has_table("orders") and not i.has_table("nosuch")
columns = [(c["name"], str(c["type"]), c["nullable"]) for c in i.get_columns("orders")]
assert columns == [("id", "BIGINT", False), ("amount", "NUMERIC(12, 2)", True), ("note", "TEXT", True),
    ("at", "TIMESTAMP", True)], columns
assert i.get_foreign_keys("orders") == []
assert "GROUP BY" in i.get_view_definition("per_note")
S
fi
stop
echo ok
