#!/usr/bin/env python3
"""Real clients against the SQL port: psql and psycopg2, cancel, limits, slow readers, stop.

Method: a small server over relations in memory (tests/e2e/pg_server.c), each check in a function.
"""
import datetime
import decimal
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import psycopg2

SERVER = os.path.join(os.environ.get("MILLRACE_BUILD", "build/release"), "tests/e2e/pg_server")


class Server:
    def __init__(self, *args):
        self.process = subprocess.Popen([SERVER, *map(str, args)], stdout=subprocess.PIPE, text=True)
        words = dict(w.split("=") for w in self.process.stdout.readline().split()[1:])
        self.port = int(words["sql"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        assert code == 0, f"server ended with {code}"

    def connect(self, **more):
        return psycopg2.connect(host="127.0.0.1", port=self.port, user="millrace",
                                dbname="millrace", **more)

    def psql(self, *args):
        return subprocess.run(
            ["psql", "-X", f"host=127.0.0.1 port={self.port} user=millrace dbname=millrace", *args],
            capture_output=True, text=True, timeout=60)


def psql_runs_statements(server):
    r = server.psql("-Atc", "select 1, 'a'", "-c", "select 2; select 3")
    assert r.stdout.split() == ["1|a", "2", "3"], r
    r = server.psql("-c", "selec 1")
    assert r.returncode == 1 and 'syntax error at or near "selec' in r.stderr, r
    assert "LINE 1: selec 1\n        ^" in r.stderr, r


def psql_reads_a_million_rows(server):
    r = server.psql("-Atc", "select * from generate_series(1, 1000000)")
    lines = r.stdout.split()
    assert len(lines) == 1000000 and lines[-1] == "1000000"


def wrong_names_are_refused(server):
    for dsn, want in [("user=joe dbname=millrace", 'role "joe" does not exist'),
                      ("user=millrace dbname=shop", 'database "shop" does not exist')]:
        try:
            psycopg2.connect(f"host=127.0.0.1 port={server.port} {dsn}")
            assert False
        except psycopg2.OperationalError as e:
            assert want in str(e), e


def psycopg2_runs_transactions(server):
    c = server.connect(application_name="test app")
    assert c.get_parameter_status("application_name") == "test app"
    assert c.get_parameter_status("client_encoding") == "UTF8"
    assert c.server_version // 10000 == 15
    with c.cursor() as cur:
        cur.execute("select %s, 'x'", (5,))
        assert cur.fetchall() == [(5, "x")]
        assert cur.description[0].type_code == 23
        try:
            cur.execute("select 1/0")
            assert False
        except psycopg2.errors.DivisionByZero:
            pass
        try:
            cur.execute("select 1")
            assert False
        except psycopg2.errors.InFailedSqlTransaction:
            pass
    c.rollback()
    with c.cursor() as cur:
        cur.execute("select * from generate_series(1, 3)")
        assert [r[0] for r in cur] == [1, 2, 3]
    c.commit()
    c.close()


def psycopg2_reads_every_type(server):
    c = server.connect()
    c.autocommit = True
    with c.cursor() as cur:
        cur.execute("create table every (b boolean, i2 smallint, i4 integer, i8 bigint, f4 real,"
                    " f8 double precision, n numeric(12,2), t text, u uuid, d date, ts timestamp,"
                    " tz timestamptz, y bytea)")
        cur.execute("insert into every values (true, -1, 2, 9007199254740993, 1.5, '1e300', 12.30,"
                    " %s, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2026-02-28',"
                    " '2026-02-28 23:59:59.999999', '2026-02-28 23:59:59+02', '\\x00ff'),"
                    " (null, null, null, null, null, null, null, null, null, null, null, null, null)",
                    ("q'uo\"te\\ \u00e9\U0001f600",))
        assert cur.statusmessage == "INSERT 0 2"
        cur.execute("select * from every")
        row, nulls = cur.fetchall()
        assert row[:9] == (True, -1, 2, 9007199254740993, 1.5, 1e300, decimal.Decimal("12.30"),
                           "q'uo\"te\\ \u00e9\U0001f600", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), row
        assert row[9] == datetime.date(2026, 2, 28)
        assert row[10] == datetime.datetime(2026, 2, 28, 23, 59, 59, 999999)
        assert row[11] == datetime.datetime(2026, 2, 28, 21, 59, 59, tzinfo=datetime.timezone.utc)
        assert bytes(row[12]) == b"\x00\xff", row
        assert nulls == (None,) * 13
        assert [d.type_code for d in cur.description] == [
            16, 21, 23, 20, 700, 701, 1700, 25, 2950, 1082, 1114, 1184, 17]
        assert (cur.description[6].precision, cur.description[6].scale) == (12, 2)
        cur.execute("drop table every")
    c.close()


def server_side_cursors_fetch_in_steps(server):
    c = server.connect()
    with c.cursor("steps") as a, c.cursor("other") as b:
        a.itersize = b.itersize = 1000
        a.execute("select * from generate_series(1, 5000)")
        b.execute("select * from generate_series(1, 3)")
        assert a.fetchmany(3) == [(1,), (2,), (3,)]
        assert b.fetchall() == [(1,), (2,), (3,)]
        assert sum(1 for _ in a) == 4997
    c.commit()
    c.close()


def move_returns_a_count_and_no_rows(server):
    script = ("BEGIN; DECLARE c CURSOR FOR SELECT g FROM generate_series(1, 20) g; MOVE 10 IN c; "
              "FETCH 1 FROM c; MOVE FORWARD ALL IN c; MOVE 1 IN c; COMMIT")
    p = server.psql("-t", "-A", *[a for s in script.split(";") for a in ("-c", s)])
    assert p.returncode == 0 and p.stderr == "", p
    assert p.stdout.split("\n")[2:6] == ["MOVE 10", "11", "MOVE 9", "MOVE 0"], p.stdout
    c = server.connect()
    with c.cursor() as cur:
        cur.execute("DECLARE c CURSOR FOR SELECT g FROM generate_series(1, 20) g")
        cur.execute("MOVE 10 IN c")
        assert cur.description is None and cur.statusmessage == "MOVE 10", cur.statusmessage
    c.close()


def sql_prepared_statements_run(server):
    c = server.connect()
    with c.cursor() as cur:
        cur.execute("prepare plus as select $1::int + 1")
        cur.execute("execute plus (41)")
        assert cur.fetchone() == (42,)
        cur.execute("deallocate plus")
        cur.execute("set statement_timeout = 100")
        try:
            cur.execute("select pg_sleep(30)")
            assert False
        except psycopg2.errors.QueryCanceled as e:
            assert "statement timeout" in str(e), e
    c.close()


def copy_is_refused(server):
    c = server.connect()
    with c.cursor() as cur:
        try:
            cur.copy_expert("copy (select 1) to stdout", sys.stderr)
            assert False
        except psycopg2.Error as e:
            assert e.pgcode in ("0A000", "42601"), (e.pgcode, e)
    c.rollback()
    c.close()


def cancel_from_another_thread(server):
    c = server.connect()
    timer = threading.Timer(0.3, c.cancel)
    timer.start()
    began = time.monotonic()
    with c.cursor() as cur:
        try:
            cur.execute("select pg_sleep(30)")
            assert False
        except psycopg2.errors.QueryCanceled as e:
            assert "canceling statement due to user request" in str(e)
    assert time.monotonic() - began < 20
    c.rollback()
    with c.cursor() as cur:
        cur.execute("select 1")
        assert cur.fetchone() == (1,)
    c.close()


def wrong_secret_cancels_nothing(server):
    c = server.connect()
    pid = c.get_backend_pid()
    done = []

    def run():
        with c.cursor() as cur:
            cur.execute("select pg_sleep(0.5)")
            done.append(True)

    t = threading.Thread(target=run)
    t.start()
    time.sleep(0.1)
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(struct.pack(">iiii", 16, 80877102, pid, 12345))
        assert s.recv(10) == b""
    t.join()
    assert done
    c.close()


def ten_sessions_at_once(server):
    failures = []

    def run(n):
        try:
            c = server.connect()
            with c.cursor() as cur:
                for k in range(50):
                    cur.execute("select %s, %s", (n, k))
                    assert cur.fetchone() == (n, k)
            c.close()
        except Exception as e:  # reported by the main thread
            failures.append(e)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures


def raw_session(server):
    s = socket.create_connection(("127.0.0.1", server.port))
    body = struct.pack(">i", 196608) + b"user\0millrace\0\0"
    s.sendall(struct.pack(">i", len(body) + 4) + body)
    data = b""
    while not data.endswith(b"Z\0\0\0\5I"):
        data += s.recv(65536)
    return s


def slow_reader_stalls_only_itself(server):
    slow = raw_session(server)
    text = b"select * from generate_series(1, 1000000)\0"
    slow.sendall(b"Q" + struct.pack(">i", len(text) + 4) + text)
    time.sleep(0.2)  # its answer is stuck in the socket's buffers by now
    c = server.connect()
    worst = 0.0
    with c.cursor() as cur:
        for k in range(50):
            began = time.monotonic()
            cur.execute("select %s", (k,))
            worst = max(worst, time.monotonic() - began)
    assert worst < 10, worst
    data = 0
    tail = b""
    while not tail.endswith(b"Z\0\0\0\5I"):
        got = slow.recv(1 << 20)
        assert got
        data += len(got)
        tail = (tail + got)[-16:]
    assert data > 1000000 * 11
    slow.close()
    c.close()


def too_many_clients_are_told(_):
    with Server(3) as server:
        held = [server.connect() for _ in range(3)]
        for _ in range(5):
            try:
                server.connect()
                assert False
            except psycopg2.OperationalError as e:
                assert "sorry, too many clients already" in str(e), e
        held[0].cancel()  # gets through although the port is full
        held.pop().close()
        for attempt in range(600):
            try:
                server.connect().close()
                break
            except psycopg2.OperationalError:
                time.sleep(0.1)
        else:
            assert False, "the place was not given back"


def savepoints_are_limited(server):
    c = server.connect()
    with c.cursor() as cur:
        for i in range(1000):
            cur.execute("savepoint s%d" % i)
        try:
            cur.execute("savepoint one_more")
            assert False
        except psycopg2.Error as e:
            assert e.pgcode == "54000", e
        cur.execute("rollback to s0")
        cur.execute("savepoint one_more")
    c.close()


def statement_timeout_cancels(_):
    with Server(10, 200) as server:
        c = server.connect()
        for query in ("select pg_sleep(30)",
                      "set statement_timeout = 50; select sum(x) over (order by -x % 1000) "
                      "from generate_series(1, 500000) x",
                      "set statement_timeout = 50; select max(x) over (rows between 9999 "
                      "preceding and current row) from generate_series(1, 500000) x"):
            began = time.monotonic()
            with c.cursor() as cur:
                try:
                    cur.execute(query)
                    assert False
                except psycopg2.errors.QueryCanceled as e:
                    assert "statement timeout" in str(e), e
            assert time.monotonic() - began < 20
            c.rollback()
        time.sleep(0.4)  # an idle session is left alone
        with c.cursor() as cur:
            cur.execute("select 1")
        c.close()


def stop_ends_every_session(_):
    server = Server()
    idle = raw_session(server)
    running = raw_session(server)
    running.sendall(b"Q" + struct.pack(">i", 24) + b"select pg_sleep(60)\0")
    stuck = raw_session(server)
    text = b"select * from generate_series(1, 2000000000)\0"
    stuck.sendall(b"Q" + struct.pack(">i", len(text) + 4) + text)
    time.sleep(0.3)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 30
    for s in (idle, running):
        data = b""
        while True:
            got = s.recv(65536)
            if not got:
                break
            data += got
        assert b"C57P01\0" in data, data
    for s in (idle, running, stuck):
        s.close()


def garbage_breaks_nothing(server):
    for data in (b"", b"\0", b"GET / HTTP/1.0\r\n\r\n", os.urandom(4096), b"\xff" * 64):
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            s.settimeout(60)
            try:
                while s.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    s = raw_session(server)
    s.sendall(os.urandom(10000))
    s.shutdown(socket.SHUT_WR)
    try:
        while s.recv(4096):
            pass
    except ConnectionResetError:
        pass
    s.close()
    psql_runs_statements(server)


CHECKS = [psql_runs_statements, psql_reads_a_million_rows, wrong_names_are_refused,
          psycopg2_runs_transactions, psycopg2_reads_every_type,
          server_side_cursors_fetch_in_steps, move_returns_a_count_and_no_rows,
          sql_prepared_statements_run, copy_is_refused,
          cancel_from_another_thread, wrong_secret_cancels_nothing,
          ten_sessions_at_once, slow_reader_stalls_only_itself, too_many_clients_are_told,
          savepoints_are_limited, statement_timeout_cancels, stop_ends_every_session, garbage_breaks_nothing]


def main():
    with Server() as server:
        for check in CHECKS:
            began = time.monotonic()
            check(server)
            print(f"ok {check.__name__} {time.monotonic() - began:.2f} s")


if __name__ == "__main__":
    main()
    sys.exit(0)
