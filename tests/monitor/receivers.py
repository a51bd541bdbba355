"""Whom alerts reach: a webhook and a mail server, each real, in a thread."""

import email
import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Got:
    """`body` is as it was signed."""

    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Webhook:
    """Answers `status`, after `pause` seconds, to whatever comes."""

    url: str = ""
    status: int = 200
    pause: float = 0.0
    got: list[Got] = field(default_factory=list)

    def about(self, subject: str, *, state: str = "", figure: str = "") -> list[dict[str, Any]]:
        documents = [got.document for got in self.got]
        return [
            each
            for each in documents
            if each.get("subject") == subject and state in ("", each["state"]) and figure in ("", each["figure"])
        ]


@contextmanager
def webhook() -> Iterator[Webhook]:
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            time.sleep(hook.pause)
            hook.got.append(Got({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(hook.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.url = f"http://127.0.0.1:{server.server_address[1]}/hook/SECRET"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield hook
        finally:
            server.shutdown()


@dataclass
class MailServer:
    url: str = ""
    mails: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """Takes every mail."""
    sink = MailServer()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 sink\r\n")
            while line := self.rfile.readline().strip():
                verb = line.split()[0].upper()
                if verb == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = []
                    while (part := self.rfile.readline()) not in (b".\r\n", b""):
                        lines.append(part)
                    message = email.message_from_bytes(b"".join(lines), policy=policy.default)
                    found = {name.lower(): str(value).strip() for name, value in message.items()}
                    sink.mails.append({**found, "body": message.get_content()})
                self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
                if verb == b"QUIT":
                    return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        sink.url = f"smtp://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield sink
        finally:
            server.shutdown()


def until(holds: Callable[[], object], *, within: float, what: Callable[[], object] = lambda: "") -> float:
    """Wait; how long it took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < within, what()
        time.sleep(0.05)
    return time.monotonic() - started
