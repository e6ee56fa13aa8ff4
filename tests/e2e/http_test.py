#!/usr/bin/env python3
"""The HTTP port through curl and http.client: formats, streaming, slow clients, limits, stop."""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

SERVER = os.path.join(os.environ.get("MILLRACE_BUILD", "build/release"), "tests/e2e/pg_server")


class Server:
    def __init__(self, *args, **env):
        self.process = subprocess.Popen([SERVER, *map(str, args)], stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, **env})
        words = dict(w.split("=") for w in self.process.stdout.readline().split()[1:])
        self.port = int(words["http"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=60) == 0

    def curl(self, path, *args):
        r = subprocess.run(["curl", "-sS", "--max-time", "30", *args,
                            f"http://127.0.0.1:{self.port}{path}"], capture_output=True, text=True)
        return r.stdout


def curl_gets_each_format(server):
    answer = json.loads(server.curl("/query", "-d", "select 1, 'a', null"))
    assert answer["rows"] == [[1, "a", None]] and answer["tag"] == "SELECT 1", answer
    assert [c["type"] for c in answer["columns"]][:2] == ["integer", "text"], answer
    assert server.curl("/query?format=csv", "-d", "select 1").split() == ["?column?", "1"]
    lines = server.curl("/query", "-H", "Accept: application/x-ndjson", "-d",
                        "select * from generate_series(1, 3)").splitlines()
    assert [json.loads(x)["generate_series"] for x in lines] == [1, 2, 3]
    error = json.loads(server.curl("/query", "-d", "select 1/0"))["error"]
    assert error["sqlstate"] == "22012", error


def big_result_streams(server):
    text = server.curl("/query", "-d", "select * from generate_series(1, 1000000)")
    answer = json.loads(text)
    assert answer["row_count"] == 1000000 and answer["rows"][-1] == [1000000]


def connections_are_kept(server):
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for _ in range(20):
        c.request("POST", "/query?format=csv", "select 1")
        r = c.getresponse()
        assert r.status == 200 and r.read() == b"?column?\n1\n"
        c.request("GET", "/healthz")
        assert c.getresponse().read() == b"ok\n"
    c.close()


def slow_reader_stalls_only_itself(server):
    slow = socket.create_connection(("127.0.0.1", server.port))
    text = b"select * from generate_series(1, 2000000000)"
    slow.sendall(b"POST /query HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
                 % (len(text), text))
    time.sleep(0.2)
    began = time.monotonic()
    for _ in range(10):
        assert server.curl("/healthz") == "ok\n"
    assert time.monotonic() - began < 20
    slow.close()


def too_many_connections_are_told(_):
    with Server(2) as server:
        held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
        time.sleep(0.1)
        for _ in range(3):
            out = server.curl("/healthz", "-i")
            assert out.startswith("HTTP/1.1 503"), out
        for s in held:
            s.close()
        for _ in range(600):
            if server.curl("/healthz") == "ok\n":
                break
            time.sleep(0.1)
        else:
            assert False, "the places were not given back"


def health_fails_with_the_reason(_):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "unwell")
        with Server(UNWELL_FILE=path) as server:
            assert server.curl("/healthz") == "ok\n"
            open(path, "w").close()
            out = server.curl("/healthz", "-i")
            assert out.startswith("HTTP/1.1 503") and "writing has failed twice" in out, out


def queries_time_out_and_stop_ends_them(_):
    with Server(10, 200) as server:
        out = server.curl("/query", "-i", "-d", "select pg_sleep(30)")
        assert out.startswith("HTTP/1.1 504") and "statement timeout" in out, out
    with Server() as server:
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(b"POST /query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 19\r\n\r\n"
                  b"select pg_sleep(60)")
        time.sleep(0.2)
        began = time.monotonic()
        server.__exit__()
        assert time.monotonic() - began < 30
        s.close()


def metrics_count_connections(server):
    text = server.curl("/metrics")
    assert '\nmillrace_connections_total{port="http"} ' in text, text
    assert "# TYPE millrace_sql_queries_total counter\n" in text, text


CHECKS = [curl_gets_each_format, big_result_streams, connections_are_kept,
          slow_reader_stalls_only_itself, too_many_connections_are_told,
          health_fails_with_the_reason, queries_time_out_and_stop_ends_them,
          metrics_count_connections]


def main():
    with Server() as server:
        for check in CHECKS:
            began = time.monotonic()
            check(server)
            print(f"ok {check.__name__} {time.monotonic() - began:.2f} s")


if __name__ == "__main__":
    main()
    sys.exit(0)
