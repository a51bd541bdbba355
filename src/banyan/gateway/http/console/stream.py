"""`/_banyan/console/stream`: the parts of an open page, whenever they change. Everybody who looks at the same page in
the same language is shown the same picture, made once a second."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from banyan.infra import http
from banyan.infra.identity import Caller
from banyan.kit.errors import Unavailable

Parts = Mapping[str, bytes]
"""HTML by the id of its element."""

Key = tuple[str, ...]
Make = Callable[[], Awaitable[Parts]]

EVERY_SECONDS = 1.0
MOST_WATCHERS = 40
MOST_OF_A_SESSION = 10
_SENDING_SECONDS = 10.0
_RETRY = b"retry: 2000\n\n"
_BEAT = b":\n\n"
_HEADERS = (
    (b"content-type", http.EVENT_STREAM.encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


class TooManyWatchers(Unavailable):
    """More consoles are open than are kept up to date. This one works; it asks by itself every few seconds."""

    retry_after = 30


@dataclass(slots=True, eq=False)
class Watcher:
    caller: Caller
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Made:
    """A page as it is at one tick."""

    tick: int
    parts: "asyncio.Task[Parts]"


class Watchers:
    """Everybody with a page open. `is_in` says whether a caller is still signed in."""

    def __init__(self, is_in: Callable[[Caller], Awaitable[bool]], *, every: float = EVERY_SECONDS) -> None:
        self.is_in = is_in
        self.every = every
        self._watchers: set[Watcher] = set()
        self._made: dict[Key, _Made] = {}
        self._ending = False

    def join(self, caller: Caller) -> Watcher:
        """Raises TooManyWatchers. Who has joined must leave."""
        own = sum(watcher.caller.session_id == caller.session_id for watcher in self._watchers)
        if self._ending or len(self._watchers) >= MOST_WATCHERS or own >= MOST_OF_A_SESSION:
            raise TooManyWatchers
        watcher = Watcher(caller)
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    async def end_after(self, stop: asyncio.Event) -> None:
        """Let everybody go, and nobody in, once this process is to stop."""
        await stop.wait()
        self._ending = True
        for watcher in self._watchers:
            watcher.over.set()

    async def parts(self, key: Key, make: Make) -> Parts:
        """What `make` makes, once for all who ask for that key within a tick."""
        tick = int(asyncio.get_running_loop().time() / self.every)
        self._made = {known: made for known, made in self._made.items() if made.tick >= tick - 1}
        made = self._made.get(key)
        if made is None or made.tick != tick:
            made = self._made[key] = _Made(tick, asyncio.ensure_future(make()))
        return await asyncio.shield(made.parts)

    def until_next(self) -> float:
        """Seconds until the next tick: all watchers look together."""
        now = asyncio.get_running_loop().time()
        return self.every - now % self.every


class Stream(Response):
    """One watcher's stream, until the page is closed, the session ends, or this process does."""

    def __init__(self, watchers: Watchers, caller: Caller, *, key: Key, make: Make) -> None:
        super().__init__()
        self._watchers = watchers
        self._watcher = watchers.join(caller)
        self._key = key
        self._make = make
        self._sent: dict[str, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watcher = self._watcher
        gone = asyncio.create_task(_until_gone(receive, watcher))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            await _send(send, _RETRY)
            while not watcher.over.is_set() and await self._watchers.is_in(watcher.caller):
                await _send(send, await self._news())
                await _sleep(watcher.over, self._watchers.until_next())
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return  # who takes nothing for so long is cut off
        finally:
            self._watchers.leave(watcher)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _news(self) -> bytes:
        """The parts that are not as they were sent last; a sign of life if there are none."""
        parts = await self._watchers.parts(self._key, self._make)
        changed = {name: html for name, html in parts.items() if self._sent.get(name) != html}
        self._sent.update(changed)
        return b"".join(map(event, changed.values())) or _BEAT


def event(html: bytes) -> bytes:
    """A part as an event: each of its lines is a line of data, whatever it holds."""
    return b"event: part\n" + b"".join(b"data: %b\n" % line for line in html.splitlines()) + b"\n"


async def _until_gone(receive: Receive, watcher: Watcher) -> None:
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        watcher.over.set()


async def _send(send: Send, text: bytes) -> None:
    async with asyncio.timeout(_SENDING_SECONDS):
        await send({"type": "http.response.body", "body": text, "more_body": True})


async def _sleep(over: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        return


def key_of(request: Request, locale: str) -> Key:
    """Who asks with the same key is shown the same."""
    return (locale, *(f"{name}={value}" for name, value in sorted(request.query_params.items())))
