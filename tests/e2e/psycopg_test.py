#!/usr/bin/env python3
"""The main job as a Python program does it: psycopg2 beside kcat, with 1, 2 and 4 workers.

Method: a table and a view, kcat producing in pieces while the program reads; at every reading the
table only grows and the view is a state that the table had; at the end all is exact, also after
kill -9.
"""
import datetime
import decimal
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import psycopg2
import psycopg2.extras

BUILD = os.environ.get("MILLRACE_BUILD", "build/release")
RECORDS, PIECES = 20000, 10
UTC = datetime.timezone.utc


class Daemon:
    def __init__(self, folder, workers):
        self.process = subprocess.Popen(
            [f"{BUILD}/millraced", "--data", f"{folder}/d", "--kafka-port", "0", "--sql-port", "0",
             "--http-port", "0", "--workers", str(workers), "--set", "log.file_bytes=16MiB", "--set",
             "log.ring_bytes=16MiB", "--set", "log.reserve_bytes=16MiB"],
            stdout=subprocess.PIPE, stderr=open(f"{folder}/log", "a"), text=True)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"ready kafka=(\S+) sql=\S+:(\d+) http=\S+\n", line)
        assert found, line + open(f"{folder}/log").read()
        self.kafka, self.sql = found.group(1), int(found.group(2))

    def connect(self):
        return psycopg2.connect(host="127.0.0.1", port=self.sql, user="millrace", dbname="millrace")

    def end(self, sig):
        self.process.send_signal(sig)
        code = self.process.wait(timeout=60)
        assert code == (0 if sig == signal.SIGTERM else -sig), code


def order(i):
    return (f'{{"order_id":{i},"category":"c{i % 5}","amount":"{i % 100}.25",'
            f'"event_time":"2026-11-21T10:{i % 3:02}:00Z"}}\n')


class Kcat(threading.Thread):
    """Produces RECORDS orders in PIECES; every fifth piece has a line that is not JSON."""

    def __init__(self, daemon):
        super().__init__()
        self.daemon_kafka, self.failed = daemon.kafka, None

    def run(self):
        for piece in range(PIECES):
            first = piece * RECORDS // PIECES
            lines = [order(i) for i in range(first, first + RECORDS // PIECES)]
            if piece % 5 == 0:
                lines.append("not json\n")
            r = subprocess.run(["kcat", "-b", self.daemon_kafka, "-P", "-t", "orders", "-X",
                                "acks=all", "-X", "linger.ms=1"], input="".join(lines), text=True)
            self.failed = self.failed or r.returncode


def read_while_it_grows(connection, kcat):
    """Returns how often it could read."""
    cursor, last, readings = connection.cursor(), 0, 0
    while kcat.is_alive():
        cursor.execute("SELECT count(*), sum(order_id), count(DISTINCT order_id) FROM orders")
        count, _, distinct = cursor.fetchone()
        cursor.execute("SELECT coalesce(sum(orders), 0) FROM revenue_per_category")
        viewed = cursor.fetchone()[0]
        assert last <= count == distinct <= viewed <= RECORDS, (last, count, distinct, viewed)
        last, readings = count, readings + 1
        time.sleep(0.01)
    return readings


def check_all(connection, inserted):
    cursor = connection.cursor(cursor_factory=psycopg2.extras.NamedTupleCursor)
    wanted = {}
    rows = [(i, f"c{i % 5}", decimal.Decimal(f"{i % 100}.25"), i % 3) for i in range(RECORDS)]
    for _, category, amount, minute in rows + inserted:
        orders, revenue = wanted.get((category, minute), (0, decimal.Decimal(0)))
        wanted[category, minute] = orders + 1, revenue + amount
    cursor.execute("SELECT category, window_start, orders, revenue FROM revenue_per_category")
    got = {(r.category, r.window_start.minute): (r.orders, r.revenue) for r in cursor}
    assert got == wanted, (got, wanted)
    cursor.execute("SELECT count(*) FROM orders WHERE category = %s AND amount > %s",
                   ("c1", decimal.Decimal("50")))
    assert cursor.fetchone()[0] == sum(r[1] == "c1" and r[2] > 50 for r in rows + inserted)
    cursor.execute("SELECT min(event_time) AS t, max(amount) AS a FROM orders")
    first = cursor.fetchone()
    assert first.t == datetime.datetime(2026, 11, 21, 10, 0, tzinfo=UTC), first
    assert first.a == decimal.Decimal("99.25"), first
    cursor.execute("SELECT value, reason FROM millrace.dead_letters WHERE topic = 'orders'")
    letters = cursor.fetchall()
    assert [bytes(r.value) for r in letters] == [b"not json"] * 2 and letters[0].reason, letters


def insert_rows(connection):
    """What is inserted is there for the next statement of the session."""
    cursor, rows = connection.cursor(), []
    for i in range(5):
        rows.append((RECORDS + i, f"new{i % 2}", decimal.Decimal("1.50"), 0))
        cursor.execute("INSERT INTO orders VALUES (%s, %s, %s, %s)",
                       rows[-1][:3] + (datetime.datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC),))
        cursor.execute("SELECT amount FROM orders WHERE order_id = %s", (rows[-1][0],))
        assert cursor.fetchall() == [(rows[-1][2],)]
    return rows


def errors_are_pythons(connection):
    cursor = connection.cursor()
    for sql, kind in (("SELECT * FROM nowhere", psycopg2.errors.UndefinedTable),
                      ("SELECT nothing FROM orders", psycopg2.errors.UndefinedColumn),
                      ("SELEC 1", psycopg2.errors.SyntaxError),
                      ("SELECT 1/0", psycopg2.errors.DivisionByZero)):
        try:
            cursor.execute(sql)
            raise AssertionError(f"no error: {sql}")
        except kind:
            pass
    cursor.execute("SELECT 1")
    assert cursor.fetchone() == (1,)


def main_job(workers):
    folder = tempfile.mkdtemp(prefix="millrace-test.")
    daemon = Daemon(folder, workers)
    try:
        connection = daemon.connect()
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("""CREATE TABLE orders (order_id bigint, category text,
            amount numeric(12,2), event_time timestamptz) WITH (topic = 'orders', format = 'json',
            partitions = 4, watermark = 'event_time - 5 seconds')""")
        cursor.execute("""CREATE MATERIALIZED VIEW revenue_per_category AS
            SELECT category, window_start, count(*) AS orders, sum(amount) AS revenue
            FROM TUMBLE(orders, event_time, INTERVAL '1 minute') GROUP BY category, window_start""")
        kcat = Kcat(daemon)
        kcat.start()
        readings = read_while_it_grows(connection, kcat)
        kcat.join()
        assert kcat.failed == 0, kcat.failed
        check_all(connection, [])
        inserted = insert_rows(connection)
        errors_are_pythons(connection)
        check_all(connection, inserted)
        daemon.end(signal.SIGKILL)
        daemon = Daemon(folder, workers)
        connection = daemon.connect()
        check_all(connection, inserted)
        connection.close()
        daemon.end(signal.SIGTERM)
        print(f"ok workers={workers}, {readings} readings while it grew")
    except BaseException:
        print(open(f"{folder}/log").read()[-3000:])
        raise
    finally:
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for count in (1, 2, 4):
        main_job(count)
