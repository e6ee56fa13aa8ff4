#!/usr/bin/env python3
"""The manifest cannot be written any more: /healthz and the metrics say so though no log has stopped
and no table waits to be sealed; what changes no file goes on; a restart has everything."""
import os
import resource
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

from kafka_raw import Client, Daemon, batch, needs


def ignore():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def health(d):
    try:
        return urllib.request.urlopen(f"http://{d.http}/healthz", timeout=60).status, ""
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def limit(d, file_bytes):
    resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))


def stops(d):
    d.query("CREATE TABLE t (x int) WITH (topic='t', partitions=1)")
    assert health(d) == (200, "") and d.metric("millrace_manifest_stopped") == 0
    limit(d, 4096)
    for attempt in range(2):
        try:
            d.query("CREATE TABLE more (x int)")
            raise AssertionError("a table that is not durable")
        except subprocess.CalledProcessError as e:
            assert "ERROR" in e.stderr, e.stderr
    limit(d, resource.RLIM_INFINITY)
    code, text = health(d)
    assert code == 503 and "manifest has stopped" in text, (code, text)
    assert d.metric("millrace_manifest_stopped") == 1 and d.metric("millrace_log_stopped") == 0
    c = Client(d.kafka)
    c.produce("t", batch([b'{"x":1}']))
    assert c.produced() == (0, 0)
    assert d.query("SELECT sum(x) FROM t") == "1"


def comes_back(d):
    assert health(d) == (200, "")
    assert d.query("SELECT sum(x) FROM t") == "1"
    d.query("CREATE TABLE more (x int)")


def main():
    needs("psql")
    with tempfile.TemporaryDirectory(prefix="millrace-test.") as folder:
        d = Daemon(f"{folder}/d", before=ignore)
        try:
            stops(d)
            d.crash()
            d = Daemon(f"{folder}/d")
            comes_back(d)
            d.stop()
        finally:
            if d.process.poll() is None:
                d.crash()
            with open(f"{folder}/d.err") as f:
                sys.stderr.write(f.read()[-3000:])


main()
