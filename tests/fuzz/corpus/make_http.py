#!/usr/bin/env python3
"""Writes the seed corpus of http_fuzz: requests as clients make them, and near misses."""
import os

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "http")
H = "Host: localhost:8088\r\n"


def post(target, fields, text):
    return f"POST {target} HTTP/1.1\r\n{H}{fields}Content-Length: {len(text)}\r\n\r\n{text}"


CHUNKED = f"POST /query HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n"
SEEDS = {
    "page": f"GET / HTTP/1.1\r\n{H}\r\n",
    "metrics": f"GET /metrics HTTP/1.1\r\n{H}User-Agent: Prometheus/2.40\r\nAccept: text/plain;"
               "version=0.0.4;q=0.5,*/*;q=0.1\r\nAccept-Encoding: gzip\r\n\r\n",
    "health_1_0": "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\nHEAD / HTTP/1.0\r\n\r\n",
    "absolute": f"GET http://localhost:8088/healthz?x HTTP/1.1\r\n{H}\r\n",
    "json": post("/query", "", "select 1, 'a', null; select 2"),
    "csv": post("/query?format=csv", "", "select 'a\"b'"),
    "ndjson": post("/query", "Accept: application/x-ndjson\r\n", "select * from generate_series(1, 5)"),
    "format": post("/query?format=%63sv&numbers=text&x", "", "select 1"),
    "error": post("/query", "", "selec"),
    "comments": post("/query", "", "select 1; /* a /* b */ */ -- c"),
    "big": post("/query", "", "select * from generate_series(1, 20000)"),
    "chunked": CHUNKED + "\r\n4;x=y\r\nsele\r\n4\r\nct 1\r\n0\r\nA: b\r\n\r\n" + f"GET / HTTP/1.1\r\n{H}\r\n",
    "chunk_long": CHUNKED + "\r\nffffffff\r\n",
    "chunk_bad": CHUNKED + "\r\n4\r\nselect\r\n",
    "smuggle": CHUNKED + "Content-Length: 4\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "two_lengths": f"POST /query HTTP/1.1\r\n{H}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "expect": post("/query", "Expect: 100-continue\r\n", "select 1"),
    "origin": post("/query", "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n", "x"),
    "rebound": "POST /query HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1\r\n\r\nx",
    "pipelined": f"GET /healthz HTTP/1.1\r\n{H}\r\n" * 3 + f"DELETE /query HTTP/1.1\r\n{H}\r\n",
    "no_host": "GET / HTTP/1.1\r\n\r\n",
    "folded": f"GET / HTTP/1.1\r\n{H} x\r\n\r\n",
    "bare_lf": "GET / HTTP/1.1\nHost: x\n\n",
    "long_target": "GET /" + "a" * 9000,
    "postgres": "\0\0\0\x08\x04\xd2\x16\x2f",
    "empty": "",
}

os.makedirs(OUT, exist_ok=True)
for name, data in SEEDS.items():
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(data.encode("latin-1"))
