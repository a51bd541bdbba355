"""Readiness by one small HTTP request over a Unix socket; aiohttp would cost the supervisor half its start-up."""

import asyncio
import contextlib
import json
import socket
from pathlib import Path

_LONGEST_ANSWER = 65_536
_TLS_WANTED = bytes.fromhex("00000008 04d2162f")


class NotReady(Exception):
    """The process answered that it is not ready; the message is its reason."""


async def http_ready(socket_path: Path, path: str) -> None:
    """Raises NotReady unless `GET path` answers 2xx, OSError if nobody answers."""
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        answer = b""
        # To its end: the reason may come after the head, in a piece of its own.
        while len(answer) < _LONGEST_ANSWER and (piece := await reader.read(_LONGEST_ANSWER)):
            answer += piece
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head[9:12]
    if not status.startswith(b"2"):
        raise NotReady(_reason(body) or f"{path} answered {status.decode('ascii', 'replace') or 'nothing'}")


async def tcp_open(host: str, port: int) -> None:
    """Raises OSError unless somebody listens there."""
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def anybody_listens(folder: Path) -> bool:
    """Whether a socket below that folder has somebody behind it, whoever started them."""
    return any(_listens(path) for path in folder.rglob("*") if path.is_socket())


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as trial:
        trial.setblocking(False)
        try:
            trial.connect(str(path))
        except BlockingIOError:  # so busy that it takes nobody just now
            return True
        except OSError:
            return False
    return True


async def postgres_greets(socket_path: Path) -> None:
    """Raises OSError or EOFError unless the server takes newcomers. Asks for TLS and leaves at the answer: a session is
    begun for that, and nothing is computed or logged."""
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    try:
        writer.write(_TLS_WANTED)
        await reader.readexactly(1)
    finally:
        writer.close()


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace").strip()[:200]
