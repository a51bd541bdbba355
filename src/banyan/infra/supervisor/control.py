"""How the command line and the console ask a running supervisor for something: one JSON line there, one back, on a
socket that only its owner may open."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
import structlog

from banyan.infra import http
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from banyan.kit.errors import Refusal, Unavailable

log = structlog.get_logger()

Wish: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[Wish], Awaitable[Wish]]

_LONGEST_LINE = 65536


class NotSupervised(Unavailable):
    """No supervisor runs on this data folder; `banyan up` starts one."""


class WishRefused(Refusal):
    """The supervisor refused; the message says why."""


class Control:
    """The supervisor's half. `handlers` maps what may be asked to what does it; a Refusal of theirs is the answer."""

    def __init__(self, settings: Settings, handlers: dict[str, Handler]) -> None:
        self._settings = settings
        self._handlers = handlers

    async def listen(self) -> None:
        """Answer for ever."""
        listener = http.listening_socket(self._settings.socket("supervisor"))
        server = await asyncio.start_unix_server(self._answer, sock=listener, limit=_LONGEST_LINE)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):  # whoever asked has gone, or sent a line without end
            writer.write(msgspec.json.encode(await self._do(await reader.readline())) + b"\n")
            await writer.drain()
        writer.close()

    async def _do(self, line: bytes) -> Wish:
        try:
            wish = msgspec.json.decode(line, type=Wish)
            handler = self._handlers.get(str(wish.pop("do", "")))
            if handler is None:
                return {"refused": f"There is nothing else to ask for than: {', '.join(sorted(self._handlers))}."}
            return {"done": await handler(wish)}
        except Refusal as refusal:
            return {"refused": refusal.detail}
        except msgspec.DecodeError as fault:
            return {"refused": f"Not a JSON object: {fault}"}
        except Exception as fault:  # the supervisor is everybody's parent: nothing that is asked may end it
            log.exception("a wish failed")
            return {"refused": f"It failed: {fault!r}"}


async def ask(settings: Settings, wish: str, *, within: float = 30.0, **details: object) -> Wish:
    """Ask the supervisor of a data folder. Raises NotSupervised, WishRefused, and TimeoutError after `within`
    seconds."""
    if state.read_living(settings) is None:
        raise NotSupervised
    async with asyncio.timeout(within):
        try:
            reader, writer = await asyncio.open_unix_connection(settings.socket("supervisor"), limit=_LONGEST_LINE)
        except OSError as fault:
            raise NotSupervised from fault
        try:
            writer.write(msgspec.json.encode({"do": wish, **details}) + b"\n")
            line = await reader.readline()
        except OSError as fault:
            raise NotSupervised from fault
        finally:
            writer.close()
    if not line:
        raise NotSupervised
    answer = msgspec.json.decode(line, type=Wish)
    if "refused" in answer:
        raise WishRefused(str(answer["refused"]))
    done: Wish = answer["done"]
    return done
