"""Requests that nobody means well with, for the listening server: the same ones for the same seed.

Imported by tests/listening and, by its path, by benchmarks/hostile_requests.py; needs the standard library only.
"""

import contextlib
import json
import random
import re
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

STATUS = re.compile(rb"(?:^|\r\n|\})HTTP/1\.[01] (\d{3})")
PIECE = 1 << 16
MOST_SENT = 1 << 25  # bytes of a body that claims to be without end


@dataclass(frozen=True)
class Hostile:
    """One connection.

    Args:
        name: its kind.
        pieces: what is sent, one after the other.
        pause: seconds before each piece but the first.
        repeated: whether the last piece is sent until the server closes.
        read: whether the answer is taken.
    """

    name: str
    pieces: Sequence[bytes]
    pause: float = 0.0
    repeated: bool = False
    read: bool = True


@dataclass(frozen=True)
class Target:
    """A server, and a listener of it whom requests pretend to be: his cookie (NAME=VALUE) and his trial's number."""

    host: str
    port: int
    cookie: str
    trial: int


def begin(address: str) -> tuple[Target, dict[str, Any]]:
    """Begin a test: the new listener as a target, and what the page would show him."""
    with urllib.request.urlopen(urllib.request.Request(f"{address}/api/listener", b""), timeout=30) as response:
        state = json.loads(response.read())
        cookie = response.headers["Set-Cookie"].partition(";")[0]
    place = urlsplit(address)
    return Target(place.hostname or "", place.port or 0, cookie, state["trial"]["number"]), state


def head(target: Target, method: str = "POST", path: str = "/api/answer", **headers: str) -> bytes:
    """The request line and headers, with the empty line; ``headers`` replaces what is usual, ``""`` takes it away."""
    usual = {
        "Host": f"{target.host}:{target.port}",
        "Cookie": target.cookie,
        "Content-Type": "application/json",
    }
    usual |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in usual.items() if value)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def whole(target: Target, body: bytes, method: str = "POST", path: str = "/api/answer", **headers: str) -> bytes:
    """A whole request."""
    return head(target, method, path, Content_Length=str(len(body)), **headers) + body


def _noise(rng: random.Random, most: int = 200) -> bytes:
    return rng.randbytes(rng.randint(1, most))


def _malformed_json(rng: random.Random, target: Target) -> Hostile:
    bodies = [
        b"{",
        b'{"trial": 1, "values": [3',
        b"",
        b"\x00",
        b"{}{}",
        b'{"trial": NaN, "values": [NaN]}',
        b"nul",
        b"[" * 9000,
        b'{"a":' * 2000,
        b'{"\\ud800": 1}',
        b'{"trial": 1, "values": ["\\udfff"]}',
        b'{"trial": 1e400, "values": [3]}',
        b'{"trial": ' + b"9" * 5000 + b', "values": [3]}',
        _noise(rng),
        b'{"x' + _noise(rng, 9000) + b'": 1}',
    ]
    return Hostile("malformed JSON", [whole(target, rng.choice(bodies))])


def _wrong_types(rng: random.Random, target: Target) -> Hostile:
    def value() -> object:
        return rng.choice([None, True, -1, 0, 2**63, 10**30, 3.5, "3", [], {}, [[3]], {"a": 1}, "\x1b[2J", "é" * 99])

    body: object = {"trial": value(), "values": [value() for _ in range(rng.randint(0, 120))], "more": value()}
    body = rng.choice([body, value(), {"trial": target.trial, "values": value()}, {"values": value()}])
    return Hostile("wrong types", [whole(target, json.dumps(body).encode())])


def _huge_body(rng: random.Random, target: Target) -> Hostile:
    size = rng.choice([20_000, 1 << 20, 400_000_000, 2**63, 10**30])
    stated = head(target, path=rng.choice(["/api/answer", "/api/listener", "/"]), Content_Length=str(size))
    return Hostile("huge body", [stated, b"3," * (PIECE // 2)], repeated=True)


def _endless_chunks(rng: random.Random, target: Target) -> Hostile:
    stated = head(target, rng.choice(["POST", "GET", "PUT"]), Transfer_Encoding="chunked")
    return Hostile("chunked without end", [stated, b"1000\r\n" + b"7" * 4096 + b"\r\n"], repeated=True)


def _bad_chunks(rng: random.Random, target: Target) -> Hostile:
    chunk = rng.choice(
        [b"-1\r\n", b"FFFFFFFFFFFFFFFFFFFF\r\n", b"zz\r\n", b"5;" + b"x" * 20_000, b"0\r\nA: b\r\n" * 50]
    )
    return Hostile("bad chunks", [head(target, Transfer_Encoding="chunked") + chunk, _noise(rng)])


def _slow_headers(rng: random.Random, target: Target) -> Hostile:
    start = f"GET / HTTP/1.1\r\nHost: {target.host}\r\n".encode()
    return Hostile("slow headers", [start[: rng.randint(0, len(start))], b"X: y\r\n"], pause=0.1, repeated=True)


def _slow_body(rng: random.Random, target: Target) -> Hostile:
    return Hostile("slow body", [head(target, Content_Length="10000"), b"1"], pause=0.1, repeated=True)


def _silence(rng: random.Random, target: Target) -> Hostile:
    return Hostile("silence", [rng.choice([b"", b"G", b"\r\n"])])


def _bad_origin(rng: random.Random, target: Target) -> Hostile:
    origin = rng.choice(
        [
            "http://[",
            "http://]",
            "null",
            "//",
            "http://elsewhere",
            "http://[::1",
            "http://a@b:c",
            "\xff",
            "http://" + "a" * 5000,
            f"http://{target.host}:{target.port}@evil",
        ]
    )
    body = json.dumps({"trial": target.trial, "values": [3]}).encode()
    return Hostile("bad Origin", [whole(target, body, Origin=origin)])


def _bad_host(rng: random.Random, target: Target) -> Hostile:
    host = rng.choice(
        [
            "[",
            "[::1",
            "elsewhere",
            "127.0.0.1.elsewhere",
            "localhost:99999999",
            "a" * 5000,
            "\x80\xff",
            "localhost@evil",
            "..",
            "[fe80::1%25lo]",
            ",",
        ]
    )
    return Hostile("bad Host", [head(target, "GET", "/", Host=host)])


def _bad_cookie(rng: random.Random, target: Target) -> Hostile:
    name = target.cookie.partition("=")[0]
    cookie = rng.choice(
        [
            name,
            f"{name}=" + "x" * 9000,
            f'{name}="\\377\\000"',
            f"{name}=' OR 1=1 --",
            ";;;=",
            f"{name}=\xff\xfe",
            f"{name}=a; {name}=b",
            "=" * 4000,
            f"{name}=../../etc/passwd",
        ]
    )
    path = rng.choice(["/api/trial", f"/audio/{target.trial}/0", "/"])
    return Hostile("bad cookie", [head(target, "GET", path, Cookie=cookie)])


def _traversal(rng: random.Random, target: Target) -> Hostile:
    path = rng.choice(
        [
            "/../../../../etc/passwd",
            "/audio/..%2f..%2fetc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "//etc/passwd",
            "/audio/1/../../../etc/passwd",
            "/audio/%00/0",
            "/..%5c..%5c",
            "/audio/-1/0",
            "/%ff%fe",
            f"/audio/{10**30}/0",
            f"/audio/{'9' * 5000}/0",
            f"/audio/{target.trial}/{2**70}",
            "/" + "a/" * 4000,
            "http://elsewhere/etc/passwd",
            "/?listener=%00",
            "/?listener=" + "%ff" * 64,
            "/?listener[]=1",
            "/openapi.json",
            "/docs",
            "/static/../listen.sqlite",
        ]
    )
    return Hostile("path traversal", [head(target, "GET", path)])


def _wrong_method(rng: random.Random, target: Target) -> Hostile:
    method = rng.choice(["PUT", "DELETE", "TRACE", "CONNECT", "OPTIONS", "PATCH", "HEAD", "PROPFIND", "X" * 500, "get"])
    path = rng.choice(["/", "/api/answer", "/api/trial", "/api/listener", f"/audio/{target.trial}/0"])
    return Hostile("wrong method", [head(target, method, path)])


def _replayed(rng: random.Random, target: Target) -> Hostile:
    trial = rng.choice([target.trial, target.trial, target.trial + 1, 1, 2])
    body = json.dumps({"trial": trial, "values": [rng.choice([0, 6, 99, -1])]}).encode()
    return Hostile("replayed answer", [whole(target, body) * rng.randint(1, 20)])


def _not_utf8(rng: random.Random, target: Target) -> Hostile:
    kind = rng.choice(
        ["application/json", "text/plain", "application/json; charset=utf-16", "multipart/form-data", "\xff"]
    )
    body = rng.choice([b"\xff\xfe{\x00}\x00", b'{"trial": "\xc3\x28"}', b"\xed\xa0\x80", _noise(rng)])
    return Hostile("invalid UTF-8", [whole(target, body, Content_Type=kind)])


def _pipelining(rng: random.Random, target: Target) -> Hostile:
    good = head(target, "GET", "/api/trial")
    tails = [
        good * 200,
        _noise(rng),
        b"POST / HTTP/1.1\r\n",
        good[:-3],
        whole(target, b"{") * 30,
        head(target, Content_Length="99999") + b"x",
    ]
    return Hostile("pipelining", [good * rng.randint(1, 5) + rng.choice(tails)])


def _huge_headers(rng: random.Random, target: Target) -> Hostile:
    line = rng.choice([b"X: " + b"y" * 100_000 + b"\r\n", b"X: y\r\n" * 20_000, b"y" * 200_000])
    return Hostile("huge headers", [b"GET / HTTP/1.1\r\nHost: localhost\r\n" + line + b"\r\n"])


def _no_http(rng: random.Random, target: Target) -> Hostile:
    data = rng.choice(
        [
            b"GET /\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET  /  HTTP/1.1\r\n\r\n",
            _noise(rng, 5000),
            b"\r\n" * 5000,
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            b"GET / HTTP/1.0\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
        ]
    )
    return Hostile("no HTTP", [data])


def _smuggling(rng: random.Random, target: Target) -> Hostile:
    extra = rng.choice(
        [
            "Content-Length: 5\r\nContent-Length: 50",
            "Content-Length: -5",
            "Content-Length: 5, 6",
            "Content-Length: \xb2",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Transfer-Encoding: gzip",
            "Expect: 100-continue\r\nContent-Length: 400000000",
            "Host: a\r\nHost: b",
        ]
    )
    start = head(target)[:-2] + extra.encode("latin-1") + b"\r\n\r\n"
    return Hostile("two lengths", [start + b"0\r\n\r\nGET /etc/passwd HTTP/1.1\r\n\r\n"])


def _upgrade(rng: random.Random, target: Target) -> Hostile:
    to = rng.choice(["websocket", "h2c", "\xff"])
    asked = head(
        target, "GET", "/", Connection="Upgrade", Upgrade=to, Sec_WebSocket_Key="x", Sec_WebSocket_Version="13"
    )
    return Hostile("upgrade", [asked, b"\x81\xfe\xff\xff"])


def _never_reads(rng: random.Random, target: Target) -> Hostile:
    return Hostile("an answer that is not taken", [head(target, "GET", f"/audio/{target.trial}/0") * 400], read=False)


KINDS: Sequence[Callable[[random.Random, Target], Hostile]] = (
    _malformed_json,
    _wrong_types,
    _huge_body,
    _endless_chunks,
    _bad_chunks,
    _slow_headers,
    _slow_body,
    _silence,
    _bad_origin,
    _bad_host,
    _bad_cookie,
    _traversal,
    _wrong_method,
    _replayed,
    _not_utf8,
    _pipelining,
    _huge_headers,
    _no_http,
    _smuggling,
    _upgrade,
    _never_reads,
)


def hostile_requests(target: Target, count: int, seed: int) -> Iterator[Hostile]:
    """So many, of all kinds in turn."""
    rng = random.Random(seed)
    for number in range(count):
        yield KINDS[number % len(KINDS)](rng, target)


def send(target: Target, hostile: Hostile, limit: float) -> tuple[list[int], float]:
    """The statuses of the answers, and the seconds until the server closed; ``limit`` where it did not."""
    begun, answer = time.monotonic(), b""
    with socket.create_connection((target.host, target.port), timeout=limit) as connection:
        connection.settimeout(0.05)

        def left() -> float:
            return limit - (time.monotonic() - begun)

        closed = False

        def take() -> None:
            nonlocal answer, closed
            try:
                piece = connection.recv(PIECE)
            except TimeoutError:
                return
            answer, closed = answer + piece, not piece

        # A connection that is reset has no more answer.
        with contextlib.suppress(ConnectionError):
            for piece in _pieces(hostile):
                rest = memoryview(piece)
                while rest and left() > 0 and not closed:
                    try:
                        rest = rest[connection.send(rest) :]
                    except TimeoutError:
                        if hostile.read:
                            take()
                if closed or left() <= 0:
                    break
                if hostile.pause:
                    time.sleep(hostile.pause)
                    take()
            while hostile.read and not closed and left() > 0:
                take()
            while not hostile.read and not closed and left() > 0:  # sending fails once the server has closed
                time.sleep(0.1)
                with contextlib.suppress(TimeoutError):
                    connection.send(b"G")
    statuses = [int(status) for status in STATUS.findall(answer)]
    return statuses, time.monotonic() - begun


def _pieces(hostile: Hostile) -> Iterator[bytes]:
    yield from hostile.pieces
    sent = 0
    while hostile.repeated and sent < MOST_SENT:
        sent += len(hostile.pieces[-1])
        yield hostile.pieces[-1]


def send_all(
    target: Target, count: int, seed: int, limit: float, at_once: int = 16
) -> list[tuple[str, list[int], float]]:
    """All of them, several at once: kind, statuses and seconds of each."""
    with ThreadPoolExecutor(at_once) as pool:
        found = list(hostile_requests(target, count, seed))
        sent = pool.map(lambda hostile: send(target, hostile, limit), found)
        return [(hostile.name, *told) for hostile, told in zip(found, sent, strict=True)]


def memory(pid: int) -> int:
    """Bytes of a process in memory (Linux)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS"))
