#!/usr/bin/env python3
"""psycopg 3 as programs use it: types in text and binary, prepared statements, pipelines, cursors on
the server, errors in transactions, cancelling. Over relations in memory (tests/e2e/pg_server.c)."""
import datetime
import decimal
import os
import signal
import subprocess
import sys
import threading
import time

try:
    import psycopg
except ImportError:
    print("skip: no psycopg 3 (python3-psycopg)")
    sys.exit(77)

SERVER = os.path.join(os.environ.get("MILLRACE_BUILD", "build/release"), "tests/e2e/pg_server")
UTC = datetime.timezone.utc
VALUES = [
    ("smallint", 7), ("integer", -70000), ("bigint", 1 << 40), ("text", "é\"\\"),
    ("boolean", True), ("double precision", 1.5), ("numeric", decimal.Decimal("12.340")),
    ("bytea", b"\x00\xff"), ("timestamptz", datetime.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
    ("date", datetime.date(2024, 2, 29)),
]


def types_in_both_formats(c):
    for binary in (False, True):
        for name, value in VALUES:
            got = c.execute(f"SELECT %s::{name}, NULL::{name}", (value,), binary=binary).fetchone()
            assert got == (value, None), (binary, name, got)


def statements_are_prepared_on_the_fly(c):
    for i in range(20):  # the sixth run of a text is prepared
        assert c.execute("SELECT %s::int + 1", (i,)).fetchone() == (i + 1,)
    assert c.execute("SELECT %s::text", ("x",), prepare=True).fetchone() == ("x",)


def pipelines_answer_in_order(c):
    with c.pipeline():
        cursors = [c.execute("SELECT %s::int", (i,)) for i in range(50)]
    assert [q.fetchone()[0] for q in cursors] == list(range(50))


def errors_fail_the_transaction_only(c):
    try:
        with c.transaction():
            c.execute("SELECT 1 / 0")
        raise AssertionError("no error")
    except psycopg.errors.DivisionByZero:
        pass
    assert c.execute("SELECT 1").fetchone() == (1,)


def server_cursors_read_in_steps(c):
    with c.transaction(), c.cursor("steps") as cursor:
        cursor.itersize = 1000
        cursor.execute("SELECT g FROM generate_series(1, 10000) g")
        assert sum(row[0] for row in cursor) == 50005000


def rows_stream(c):
    assert sum(1 for _ in c.cursor().stream("SELECT g FROM generate_series(1, 5000) g")) == 5000


def many_are_executed(c):
    c.execute("CREATE TABLE many (id int, at timestamptz, amount numeric(12,2))")
    rows = [(i, datetime.datetime.fromtimestamp(i, UTC), decimal.Decimal(i) / 4) for i in range(100)]
    c.cursor().executemany("INSERT INTO many VALUES (%s, %s, %s)", rows)
    assert c.execute("SELECT count(*), sum(id) FROM many").fetchone() == (100, 4950)


def copy_is_refused_and_the_session_lives(c):
    try:
        with c.cursor().copy("COPY many FROM STDIN"):
            pass
        raise AssertionError("COPY went through")
    except psycopg.Error:
        pass
    assert c.execute("SELECT 2").fetchone() == (2,)


def a_query_is_cancelled(c):
    threading.Timer(0.3, c.cancel).start()
    before = time.monotonic()
    try:
        c.execute("SELECT pg_sleep(30)")
        raise AssertionError("not cancelled")
    except psycopg.errors.QueryCanceled:
        assert time.monotonic() - before < 20


def main():
    server = subprocess.Popen([SERVER], stdout=subprocess.PIPE, text=True)
    port = int(dict(w.split("=") for w in server.stdout.readline().split()[1:])["sql"])
    try:
        with psycopg.connect(host="127.0.0.1", port=port, user="millrace", dbname="millrace",
                             autocommit=True) as c:
            assert c.info.server_version == 150000, c.info.server_version
            for check in (types_in_both_formats, statements_are_prepared_on_the_fly,
                          pipelines_answer_in_order, errors_fail_the_transaction_only,
                          server_cursors_read_in_steps, rows_stream, many_are_executed,
                          copy_is_refused_and_the_session_lives, a_query_is_cancelled):
                check(c)
                print("ok", check.__name__)
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0


main()
