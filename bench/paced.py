"""An open-loop load generator: requests are sent when they are due, and each answer's time counts from that moment.

A server that stalls is charged for every request that had to wait meanwhile (no coordinated omission). A process of
its own with nothing but sockets in it, so that its own floor is low; the bench measures that floor in the same run.

    python -m bench.paced 127.0.0.1:8000 /path RATE SECONDS CONNECTIONS TIMEOUT [HEADER ...] [--bodies FILE]

With a file of bodies, one a line, the requests are POSTs with these in turn.
"""

import argparse
import ctypes
import gc
import json
import re
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from bench.figures import due_times

_TIMER_SLACK = 29  # PR_SET_TIMERSLACK: the default lets the kernel wake us 50 us late
_LONGEST_WAIT = 0.05
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:\s*close", re.IGNORECASE)
_SIDE = re.compile(rb"\r\nx-banyan-side:\s*(\w+)", re.IGNORECASE)


@dataclass(slots=True)
class Outcome:
    """`answers` are (sent, finished, seconds since due, side) in the monotonic clock of the machine."""

    answers: list[tuple[float, float, float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    due: float = 0.0
    sent: float = 0.0
    received: bytes = b""


class Generator:
    """One run. `stop()` lets it end early with what it has."""

    def __init__(
        self, address: tuple[str, int], requests: Sequence[bytes], *, connections: int, timeout: float
    ) -> None:
        self._address = address
        self._requests = cycle(requests)
        self._connections = connections
        self._timeout = timeout
        self._idle: list[_Connection] = []
        self._busy: dict[socket.socket, _Connection] = {}
        self._stopped = False
        self.outcome = Outcome()

    def stop(self) -> None:
        self._stopped = True

    def run(self, *, rate: float, seconds: float) -> Outcome:
        self._idle = [self._connect() for _ in range(min(self._connections, 8))]
        dues = due_times(start=time.monotonic() + 0.01, rate=rate, seconds=seconds)
        position = 0
        while position < len(dues) and not self._stopped:
            now = time.monotonic()
            while position < len(dues) and dues[position] <= now and self._send(dues[position]):
                position += 1
            if position < len(dues):
                self._receive(min(_LONGEST_WAIT, dues[position] - time.monotonic()))
        while self._busy:
            self._receive(_LONGEST_WAIT)
        for connection in self._idle:
            connection.socket.close()
        return self.outcome

    def _connect(self) -> _Connection:
        made = socket.create_connection(self._address, timeout=self._timeout)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        return _Connection(made)

    def _send(self, due: float) -> bool:
        """False while every connection is busy: the request stays due."""
        if not self._idle and len(self._busy) >= self._connections:
            return False
        try:
            connection = self._idle.pop() if self._idle else self._connect()
            connection.due, connection.sent, connection.received = due, time.monotonic(), b""
            connection.socket.send(next(self._requests))
        except OSError as fault:
            self.outcome.failures.append(repr(fault))
            return True
        self._busy[connection.socket] = connection
        return True

    def _receive(self, wait: float) -> None:
        idle = {connection.socket: connection for connection in self._idle}
        readable, _, _ = select.select([*self._busy, *idle], [], [], max(0.0, wait))
        for ready in readable:
            if ready in self._busy:
                self._read(self._busy[ready])
            else:  # closed by the server between two requests, as it may; a browser takes another one then
                self._idle.remove(idle[ready])
                ready.close()
        now = time.monotonic()
        for connection in [each for each in self._busy.values() if now - each.due > self._timeout]:
            self._fail(connection, "no answer in time")

    def _read(self, connection: _Connection) -> None:
        try:
            some = connection.socket.recv(262_144)
        except OSError as fault:
            self._fail(connection, repr(fault))
            return
        if not some:
            self._fail(connection, "closed before the answer was complete")
            return
        connection.received += some
        head = complete_head(connection.received)
        if head is None:
            return
        now = time.monotonic()
        if head.split(b" ", 2)[1] in (b"200", b"201", b"204"):
            side = _SIDE.search(head)
            self.outcome.answers.append((connection.sent, now, now - connection.due, side[1].decode() if side else ""))
        else:
            self.outcome.failures.append(f"status {head.split(b' ', 2)[1].decode()}")
        del self._busy[connection.socket]
        if _CLOSE.search(head):
            connection.socket.close()
        else:
            self._idle.append(connection)

    def _fail(self, connection: _Connection, why: str) -> None:
        self.outcome.failures.append(why)
        del self._busy[connection.socket]
        connection.socket.close()


def complete_head(received: bytes) -> bytes | None:
    """The head of an answer once all of the answer is there."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return None
    if _CHUNKED.search(head):
        return head if body == b"0\r\n\r\n" or body.endswith(b"\r\n0\r\n\r\n") else None
    length = _LENGTH.search(head)
    return head if len(body) >= (int(length[1]) if length else 0) else None


def get(host: str, path: str, headers: Sequence[str]) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()


def post(host: str, path: str, headers: Sequence[str], body: bytes) -> bytes:
    about = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([f"POST {path} HTTP/1.1", f"Host: {host}", *headers, *about, "", ""]).encode() + body


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.paced")
    for name, kind in (("address", str), ("path", str), ("rate", float), ("seconds", float)):
        parser.add_argument(name, type=kind)
    parser.add_argument("connections", type=int)
    parser.add_argument("timeout", type=float)
    parser.add_argument("headers", nargs="*")
    parser.add_argument("--bodies", type=Path)
    told = parser.parse_args(arguments)
    host, _, port = told.address.rpartition(":")
    requests = [get(told.address, told.path, told.headers)]
    if told.bodies:
        bodies = told.bodies.read_bytes().splitlines()
        requests = [post(told.address, told.path, told.headers, body) for body in bodies]
    generator = Generator((host, int(port)), requests, connections=told.connections, timeout=told.timeout)
    signal.signal(signal.SIGTERM, lambda *_: generator.stop())
    ctypes.CDLL(None).prctl(_TIMER_SLACK, 1, 0, 0, 0)
    gc.disable()
    outcome = generator.run(rate=told.rate, seconds=told.seconds)
    json.dump([outcome.answers, outcome.failures], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
