"""What every process says of itself, each asked at its own pace: one that hangs keeps nobody waiting."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

import aiohttp
import msgspec

from banyan.contracts.monitor import Figures
from banyan.infra.http_client import HttpClient, ServiceAway, ServiceRefused
from banyan.infra.supervisor.probe import postgres_greets

_ANSWER_SECONDS = 2.0
_FIGURES = "/figures"

Heard = Callable[[str, Figures | None, float], None]


class Ears:
    """`heard` is told what each process answers, and after how many seconds; None of one that answers something
    else. Of the database servers, whose sockets are in `servers`, only a greeting is expected."""

    def __init__(
        self, heard: Heard, *, socket: Callable[[str], Path], servers: Mapping[str, Path], every: float
    ) -> None:
        self._heard = heard
        self._socket = socket
        self._servers = servers
        self._every = every
        self._listening: dict[str, asyncio.Task[None]] = {}

    def listen_to(self, names: Iterable[str]) -> None:
        """From now on to these and to nobody else."""
        wanted = set(names)
        for gone in self._listening.keys() - wanted:
            self._listening.pop(gone).cancel()
        for new in wanted - self._listening.keys():
            listening = self._greet(new, self._servers[new]) if new in self._servers else self._listen(new)
            self._listening[new] = asyncio.create_task(listening, name=f"figures of {new}")

    async def close(self) -> None:
        tasks = list(self._listening.values())
        self._listening.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, name: str) -> None:
        http = HttpClient(self._socket(name), name, timeout=_ANSWER_SECONDS, limit=2)
        try:
            await self._hear_for_ever(name, lambda: _figures(http))
        finally:
            await http.close()

    async def _greet(self, name: str, socket: Path) -> None:
        await self._hear_for_ever(name, lambda: asyncio.wait_for(postgres_greets(socket), _ANSWER_SECONDS))

    async def _hear_for_ever(self, name: str, ask: Callable[[], Awaitable[Figures | None]]) -> None:
        while True:
            begun = time.monotonic()
            with contextlib.suppress(ServiceAway, OSError, EOFError, TimeoutError):
                figures = await ask()
                self._heard(name, figures, time.monotonic() - begun)
            await asyncio.sleep(self._every)


async def _figures(http: HttpClient) -> Figures | None:
    """Raises ServiceAway where nobody answers at all."""
    try:
        return await http.get(_FIGURES, Figures)
    except ServiceRefused:
        return None
    except ServiceAway as fault:
        if fault.__cause__ is None or isinstance(fault.__cause__, msgspec.DecodeError):
            return None
        raise


async def texts(sockets: dict[str, tuple[Path, str]], *, within: float) -> dict[str, str]:
    """What each answers to its path, side by side; who does not answer in time is left out."""
    found = await asyncio.gather(*(_text(path, address, within) for path, address in sockets.values()))
    return {name: text for name, text in zip(sockets, found, strict=True) if text is not None}


async def _text(socket: Path, path: str, within: float) -> str | None:
    connector = aiohttp.UnixConnector(path=str(socket), force_close=True)
    timeout = aiohttp.ClientTimeout(total=within)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(f"http://monitor{path}", allow_redirects=False) as answer,
        ):
            return await answer.text() if answer.status == 200 else None
    except (aiohttp.ClientError, OSError, TimeoutError, UnicodeDecodeError):
        return None
