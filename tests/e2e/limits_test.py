#!/usr/bin/env python3
"""The product at its own limits: 4,096 tables and as many views, 65,536 topics. Each is reached, one
more is refused with its own error and counted, everything still works there and after a restart,
and in bounded time. Then the same limits set lower, and the sum of partitions."""
import os
import re
import struct
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kafka_raw as k

try:
    import psycopg2
except ImportError:
    print("skip: no psycopg2")
    sys.exit(77)

TABLES, TOPICS = 4096, 65536
METADATA, DELETE_TOPICS, CREATE_PARTITIONS = 3, 20, 37
POLICY_VIOLATION = 44


class timed:
    """Says how long something took, and that it was not longer than it may on a slow machine."""
    def __init__(self, what, most):
        self.what, self.most = what, most

    def __enter__(self):
        self.start = time.monotonic()

    def __exit__(self, *failed):
        took = time.monotonic() - self.start
        print(f"{self.what}: {took:.2f} s", flush=True)
        assert failed[0] or took < self.most, f"{self.what} took {took:.1f} s"


def connect(d):
    c = psycopg2.connect(host="127.0.0.1", port=d.sql_port, user="millrace", dbname="millrace")
    c.autocommit = True
    return c


def refused(sql, what, key, most, statement):
    try:
        sql.execute(statement)
    except psycopg2.Error as e:
        assert e.pgcode == "54000", (e.pgcode, str(e))
        assert e.diag.message_primary == f"too many {what}: there are {most}, and {key} is {most}", str(e)
        assert key in e.diag.message_hint, e.diag.message_hint
    else:
        raise AssertionError(f"went through: {statement}")


def rows(sql, query):
    sql.execute(query)
    return sql.fetchall()


def create_topics(client, names, partitions=1):
    """Returns the error of each."""
    client.send(k.CREATE_TOPICS, 2, struct.pack(">i", len(names)) + b"".join(
        k.text(n) + struct.pack(">ihii", partitions, 1, 0, 0) for n in names) + struct.pack(">ib", 10000, 0))
    r, errors, at = client.receive(), [], 8
    for _ in names:
        at += 2 + struct.unpack_from(">h", r, at)[0]
        errors.append(struct.unpack_from(">h", r, at)[0])
        at += 4 + max(struct.unpack_from(">h", r, at + 2)[0], 0)
    return errors


def delete_topics(client, names):
    client.send(DELETE_TOPICS, 1, struct.pack(">i", len(names)) + b"".join(map(k.text, names)) +
                struct.pack(">i", 10000))
    r, at = client.receive(), 8
    for _ in names:
        at += 2 + struct.unpack_from(">h", r, at)[0]
        assert struct.unpack_from(">h", r, at) == (0,)
        at += 2


def add_partitions(client, name, count):
    client.send(CREATE_PARTITIONS, 0, struct.pack(">i", 1) + k.text(name) +
                struct.pack(">ii", count, -1) + struct.pack(">ib", 10000, 0))
    r = client.receive()
    return struct.unpack_from(">h", r, 8 + 2 + len(name))[0]


def metadata(client, names=None):
    """The topics: name to (error, partitions); of all when no names are given."""
    client.send(METADATA, 1, struct.pack(">i", -1 if names is None else len(names)) +
                b"".join(map(k.text, names or [])))
    r = client.receive()
    at, (brokers,) = 4, struct.unpack_from(">i", r)
    for _ in range(brokers):
        at += 4
        at += 2 + struct.unpack_from(">h", r, at)[0] + 4
        at += 2 + max(struct.unpack_from(">h", r, at)[0], 0)
    at += 4  # the controller
    count, topics = struct.unpack_from(">i", r, at)[0], {}
    at += 4
    for _ in range(count):
        error, length = struct.unpack_from(">hh", r, at)
        name = r[at + 4:at + 4 + length].decode()
        at += 4 + length + 1
        partitions = struct.unpack_from(">i", r, at)[0]
        at += 4 + partitions * (2 + 4 + 4 + 4 + 4 + 4 + 4)
        topics[name] = (error, partitions)
    assert at == len(r)
    return topics


def refusals(d):
    page = urllib.request.urlopen(f"http://{d.http}/metrics", timeout=60).read().decode()
    lines = re.findall(r'^millrace_limit_refusals_total\{limit="([^"]*)"\} (\d+)$', page, re.M)
    return {limit: int(n) for limit, n in lines}


def fill_with_sql(sql):
    with timed(f"{TABLES} tables", 60):
        for i in range(TABLES):
            sql.execute(f"CREATE TABLE t{i} (a int, b text) WITH (partitions = 1)")
    refused(sql, "tables", "sql.tables_max", TABLES, "CREATE TABLE more (a int)")
    sql.execute("INSERT INTO t0 SELECT i, 'x' FROM generate_series(1, 1000) AS g(i)")
    with timed(f"{TABLES} views", 60):
        for i in range(TABLES):
            sql.execute(f"CREATE MATERIALIZED VIEW v{i} AS SELECT b, count(*) AS n FROM t{i} GROUP BY b")
    refused(sql, "materialized views", "sql.views_max", TABLES,
            "CREATE MATERIALIZED VIEW more AS SELECT a FROM t0 GROUP BY a")


def fill_with_kafka(client):
    have, batch = TABLES, 4096
    with timed(f"{TOPICS - TABLES} topics", 60):
        for start in range(have, TOPICS, batch):
            assert set(create_topics(client, [f"topic-{i}" for i in range(start, start + batch)])) == {0}
    assert create_topics(client, ["more", "topic-5000"]) == [POLICY_VIOLATION, 36]
    # By asking for it, and by SQL, too.
    assert metadata(client, ["more"]) == {"more": (POLICY_VIOLATION, 0)}


def look(d, sql, client):
    """Everything can be seen, in bounded time."""
    with timed("Metadata of all topics", 30):
        assert len(metadata(client)) == TOPICS
    with timed("Metadata of ten topics", 10):
        assert len(metadata(client, [f"topic-{i}" for i in range(50000, 50010)])) == 10
    with timed("pg_class", 30):
        assert rows(sql, "SELECT count(*) FROM pg_class WHERE relname ~ '^[tv][0-9]+$'") == [(2 * TABLES,)]
    with timed("the columns of a table", 30):
        assert rows(sql, "SELECT count(*) FROM information_schema.columns WHERE table_name = 't4095'") == [(2,)]
    with timed("millrace.partitions", 30):
        assert rows(sql, "SELECT count(*) FROM millrace.partitions") == [(TOPICS,)]
    with timed("metrics", 60):
        counted = refusals(d)
    assert counted == {"topics": 2, "partitions": 0, "tables": 1, "materialized views": 1}, counted
    print(re.search(r"VmRSS.*", open(f"/proc/{d.process.pid}/status").read())[0])


def work(sql, client, round_number):
    """The last ones work as the first."""
    for i in 0, TABLES - 1:
        before = rows(sql, f"SELECT coalesce(sum(n), 0)::int FROM v{i}")[0][0]
        sql.execute(f"INSERT INTO t{i} VALUES (1, 'y'), (2, 'y')")
        assert rows(sql, f"SELECT coalesce(sum(n), 0)::int FROM v{i}") == [(before + 2,)]
    client.produce(f"topic-{TOPICS - 1}", k.batch([b"{}"]))
    assert client.produced() == (0, round_number)


def change(d, sql, client):
    """What is full takes others when some go."""
    with timed("64 views and tables dropped and made again", 60):
        for i in range(64, 128):
            sql.execute(f"DROP TABLE t{i} CASCADE")
        assert len(metadata(client)) == TOPICS - 64
        for i in range(64, 128):
            sql.execute(f"CREATE TABLE t{i} (a int, b text) WITH (partitions = 1)")
            sql.execute(f"CREATE MATERIALIZED VIEW v{i} AS SELECT b, count(*) AS n FROM t{i} GROUP BY b")
    with timed("1000 topics deleted and made again", 60):
        names = [f"topic-{i}" for i in range(60000, 61000)]
        delete_topics(client, names)
        assert set(create_topics(client, names)) == {0}


def the_limits_are_reached(folder):
    d = k.Daemon(f"{folder}/full")
    sql, client = connect(d).cursor(), k.Client(d.kafka)
    fill_with_sql(sql)
    fill_with_kafka(client)
    look(d, sql, client)
    work(sql, client, 0)
    change(d, sql, client)
    d.stop()
    with timed("start with all of it", 180):
        d = k.Daemon(f"{folder}/full")
    sql, client = connect(d).cursor(), k.Client(d.kafka)
    assert len(metadata(client)) == TOPICS
    assert rows(sql, "SELECT n FROM v0 WHERE b = 'x'") == [(1000,)]
    work(sql, client, 1)
    d.stop()


def one_change_drops_a_table_with_many_views(sql):
    sql.execute("CREATE TABLE much (a int)")
    for i in range(200):
        sql.execute(f"CREATE MATERIALIZED VIEW much{i} AS SELECT a FROM much GROUP BY a")
    sql.execute("TRUNCATE much")
    assert rows(sql, "SELECT count(*) FROM pg_matviews WHERE matviewname ~ '^much'") == [(200,)]
    sql.execute("DROP TABLE much CASCADE")
    assert rows(sql, "SELECT count(*) FROM pg_matviews") == [(0,)]


def lower_limits_are_kept(folder):
    limits = {"kafka.topics_max": 5, "kafka.partitions_max": 20, "sql.tables_max": 3}
    d = k.Daemon(f"{folder}/low", *[a for key, n in limits.items() for a in ("--set", f"{key}={n}")])
    sql, client = connect(d).cursor(), k.Client(d.kafka)
    one_change_drops_a_table_with_many_views(sql)
    assert create_topics(client, ["a", "b"], 8) == [0, 0]
    # 16 partitions, 4 left: in one request with one that fits.
    assert create_topics(client, ["c"], 5) == [POLICY_VIOLATION]
    assert create_topics(client, ["d", "e", "f"], 2) == [0, 0, POLICY_VIOLATION]
    assert add_partitions(client, "a", 9) == POLICY_VIOLATION
    try:
        sql.execute("CREATE TABLE more (a int) WITH (partitions = 1)")
        raise AssertionError("21 partitions")
    except psycopg2.Error as e:
        assert e.pgcode == "54000" and "kafka.partitions_max is 20" in str(e), str(e)
    delete_topics(client, ["b"])
    assert add_partitions(client, "a", 9) == 0
    for i in range(2):
        sql.execute(f"CREATE TABLE s{i} (a int) WITH (partitions = 1)")
    refused(sql, "topics", "kafka.topics_max", 5, "CREATE TABLE more (a int) WITH (partitions = 1)")
    sql.execute("CREATE TABLE over_a (a int) WITH (topic = 'a')")
    refused(sql, "tables", "sql.tables_max", 3, "CREATE TABLE over_d (a int) WITH (topic = 'd')")
    counted = refusals(d)
    assert counted == {"topics": 1, "partitions": 4, "tables": 1, "materialized views": 0}, counted
    d.stop()
    # What there is stays, also below a limit that is lower yet.
    d = k.Daemon(f"{folder}/low", "--set", "sql.tables_max=1", "--set", "kafka.topics_max=1")
    assert rows(connect(d).cursor(), "SELECT count(*) FROM s1") == [(0,)]
    d.stop()


def partitions_fit_into_the_log(folder):
    """A log file begins with a checkpoint of all partitions: too many for it are refused."""
    d = k.Daemon(f"{folder}/log", "--set", "log.file_bytes=1MiB", "--set", "kafka.message_bytes_max=256KiB")
    client = k.Client(d.kafka)
    assert create_topics(client, [f"t{i}" for i in range(4097)]) == [0] * 4096 + [POLICY_VIOLATION]
    client.socket.settimeout(30)
    for i in range(20):
        client.produce("t7", k.batch([b"x" * 100000]))
        assert client.produced() == (0, i)
    d.stop()
    d = k.Daemon(f"{folder}/log", "--set", "log.file_bytes=1MiB", "--set", "kafka.message_bytes_max=256KiB")
    client = k.Client(d.kafka)
    client.produce("t7", k.batch([b"x"]))
    assert client.produced() == (0, 20)
    d.stop()


def fewer_workers_than_checkpoints_need_files(folder):
    """One worker gets the partitions of sixteen, which do not fit into a log file of the set size."""
    small = ["--set", "log.file_bytes=1MiB", "--set", "log.ring_bytes=4MiB", "--set",
             "kafka.message_bytes_max=256KiB"]
    d = k.Daemon(f"{folder}/fewer", "--workers", "16", "--set", "table.memory_bytes=64MiB", *small)
    client = k.Client(d.kafka)
    client.socket.settimeout(60)
    assert create_topics(client, [f"t{i}" for i in range(20)], 2000) == [0] * 20
    d.query("CREATE TABLE t0 (a int)")
    d.stop()
    for workers, offset in ("1", 0), ("2", None), ("1", 5):
        d = k.Daemon(f"{folder}/fewer", "--workers", workers, *small)
        client = k.Client(d.kafka)
        client.socket.settimeout(60)
        for i in range(5 if workers == "1" else 0):
            client.produce("t7", k.batch([b"x" * 200000]))
            assert client.produced() == (0, offset + i)
        assert create_topics(client, ["more"]) == [POLICY_VIOLATION]
        d.stop()


def main():
    with tempfile.TemporaryDirectory() as folder:
        lower_limits_are_kept(folder)
        partitions_fit_into_the_log(folder)
        fewer_workers_than_checkpoints_need_files(folder)
        the_limits_are_reached(folder)


main()
