#!/usr/bin/env python3
"""The limits of what can be made by SQL: each is met and said, and what is just within it works."""
import os
import re
import subprocess
import sys
import tempfile

try:
    import psycopg2
except ImportError:
    print("skip: no psycopg2")
    sys.exit(77)

BUILD = os.environ.get("MILLRACE_BUILD", "build/release")


def columns(n):
    return ", ".join(f"c{i} int" for i in range(n))


def run(sql):
    def refused(state, text, statement):
        try:
            sql.execute(statement)
        except psycopg2.Error as e:
            assert e.pgcode == state and text in str(e), (e.pgcode, str(e), statement[:80])
        else:
            raise AssertionError(f"went through: {statement[:80]}")

    def rows(query):
        sql.execute(query)
        return sql.fetchall()

    # Columns.
    sql.execute(f"CREATE TABLE wide ({columns(1600)}) WITH (partitions = 1)")
    assert rows("SELECT count(*) FROM information_schema.columns WHERE table_name = 'wide'") == [(1600,)]
    refused("54011", "1 to 1600 columns", f"CREATE TABLE wider ({columns(1601)})")
    refused("54011", "1 to 1600 columns", "CREATE TABLE none ()")
    refused("42701", "more than once", "CREATE TABLE twice (a int, a int)")
    # Names: cut to 63 bytes, as in PostgreSQL.
    sql.execute(f"CREATE TABLE {'n' * 70} ({'c' * 70} int) WITH (partitions = 1)")
    assert rows(f"SELECT column_name FROM information_schema.columns WHERE table_name = '{'n' * 63}'") == \
        [("c" * 63,)]
    refused("42P07", "already exists", f"CREATE TABLE {'n' * 64} (a int)")
    # Topics.
    sql.execute(f"CREATE TABLE longest (a int) WITH (topic = '{'t' * 249}', partitions = 1)")
    refused("22023", "topic", f"CREATE TABLE longer (a int) WITH (topic = '{'t' * 250}')")
    refused("22023", "not a topic name", "CREATE TABLE odd (a int) WITH (topic = 'a/b')")
    refused("22023", "1 to 4096", "CREATE TABLE few (a int) WITH (partitions = 0)")
    refused("22023", "1 to 4096", "CREATE TABLE many (a int) WITH (partitions = 4097)")
    # Views: the text of the query.
    sql.execute("CREATE TABLE source (a int, t text) WITH (partitions = 1)")
    view = "CREATE MATERIALIZED VIEW v{} AS SELECT a, count(*) AS n FROM source WHERE t <> '{}' GROUP BY a"
    sql.execute(view.format(1, "x" * 1000000))
    refused("54000", "at most 1048576 bytes", view.format(2, "x" * (1 << 20)))
    refused("54000", "at most 1048576 bytes", view.format(3, "x" * (5 << 20)))
    # One INSERT is one batch.
    refused("54000", "kafka.message_bytes_max",
            "INSERT INTO source VALUES (1, '" + "x" * (5 << 20) + "')")
    assert rows("SELECT count(*) FROM source") == [(0,)]


def main():
    with tempfile.TemporaryDirectory() as folder:
        daemon = subprocess.Popen(
            [f"{BUILD}/millraced", "--data", f"{folder}/d", "--kafka-port", "0", "--sql-port", "0",
             "--http-port", "0", "--set", "log.file_bytes=16MiB", "--set", "log.ring_bytes=16MiB",
             "--set", "log.reserve_bytes=16MiB"],
            stdout=subprocess.PIPE, stderr=open(f"{folder}/log", "w"), text=True)
        try:
            port = int(re.search(r"sql=\S+:(\d+)", daemon.stdout.readline()).group(1))
            c = psycopg2.connect(host="127.0.0.1", port=port, user="millrace", dbname="millrace")
            c.autocommit = True
            run(c.cursor())
            c.close()
            daemon.terminate()
            assert daemon.wait(30) == 0
        finally:
            daemon.kill()
            daemon.wait()


main()
