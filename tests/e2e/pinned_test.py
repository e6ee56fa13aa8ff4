#!/usr/bin/env python3
"""Ingest never waits for a reader.

Method: a table whose memory holds a few chunks. A client leaves a portal suspended (and another a
cursor) over rows in memory; then far more is produced than fits beside what they pin. The produce
must go through, the readers must be told when they go on, the counter must say so, and a query that
pins nothing stale must be left alone.
"""
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

try:
    import psycopg2
except ImportError:
    print("skip: no psycopg2")
    sys.exit(77)

BUILD = os.environ.get("MILLRACE_BUILD", "build/release")


class Daemon:
    def __init__(self, folder):
        self.process = subprocess.Popen(
            [f"{BUILD}/millraced", "--data", f"{folder}/d", "--kafka-port", "0", "--sql-port", "0",
             "--http-port", "0", "--set", "log.file_bytes=64MiB", "--set", "log.ring_bytes=16MiB",
             "--set", "log.reserve_bytes=16MiB", "--set", "table.memory_bytes=32MiB",
             "--set", "table.chunk_bytes_max=4MiB", "--set", "table.seal_after=1s"],
            stdout=subprocess.PIPE, stderr=open(f"{folder}/log", "w"), text=True)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"ready kafka=(\S+) sql=\S+:(\d+) http=(\S+)\n", line)
        assert found, line + open(f"{folder}/log").read()
        self.kafka, self.sql, self.http = found.group(1), int(found.group(2)), found.group(3)

    def connect(self):
        return psycopg2.connect(host="127.0.0.1", port=self.sql, user="millrace", dbname="millrace")

    def metric(self, name):
        text = urllib.request.urlopen(f"http://{self.http}/metrics").read().decode()
        return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))

    def produce(self, first, count):
        rows = "".join(f'{{"id":{i},"pad":"{i:040d}{i * 7919:040d}"}}\n'
                       for i in range(first, first + count))
        run = subprocess.run([f"{BUILD}/millrace", "produce", "--bootstrap", self.kafka, "--topic", "t"],
                             input=rows, text=True, timeout=180, capture_output=True)
        assert run.returncode == 0, run.stderr


def main():
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(folder)
        try:
            run(daemon)
            daemon.process.terminate()
            assert daemon.process.wait(60) == 0
        except BaseException:
            print(open(f"{folder}/log").read()[-3000:])
            raise
        finally:
            daemon.process.kill()
            daemon.process.wait()


def run(daemon):
    setup = daemon.connect()
    setup.autocommit = True
    sql = setup.cursor()
    sql.execute("CREATE TABLE t (id bigint, pad text) WITH (topic = 't', partitions = 1)")
    sql.execute("CREATE TABLE other (id bigint)")
    sql.execute("INSERT INTO other VALUES (1), (2), (3)")
    daemon.produce(0, 50000)
    # Two readers that stop in the middle: a cursor of SQL, and one over another table.
    victim, bystander = daemon.connect(), daemon.connect()
    held = victim.cursor("held")
    held.itersize = 10
    held.execute("SELECT id, pad FROM t")
    assert len(held.fetchmany(10)) == 10
    beside = bystander.cursor("beside")
    beside.execute("SELECT id FROM other")
    assert len(beside.fetchmany(1)) == 1
    sql.execute("SELECT pinned_bytes > 0 FROM millrace.connections WHERE pid = %s",
                (victim.get_backend_pid(),))
    assert sql.fetchone() == (True,)
    assert daemon.metric("millrace_sql_pinned_bytes") > 0
    before = time.monotonic()
    for piece in range(1, 9):
        daemon.produce(piece * 50000, 50000)
    took = time.monotonic() - before
    sql.execute("SELECT count(*) FROM t")
    assert sql.fetchone() == (450000,)
    assert daemon.metric("millrace_sql_pins_revoked_total") >= 1
    assert daemon.metric("millrace_sql_pins_cut_total") == 0
    try:
        held.fetchmany(10)
        raise AssertionError("the reader was not told")
    except psycopg2.Error as e:
        assert e.pgcode == "53200", e
        assert "let go" in str(e), e
    victim.rollback()
    again = victim.cursor()
    again.execute("SELECT count(*) FROM t")
    assert again.fetchone() == (450000,)
    assert len(beside.fetchall()) == 2, "who kept nothing stale was ended too"
    print(f"pinned: 450,000 rows beside a suspended reader in {took:.1f} s")


main()
