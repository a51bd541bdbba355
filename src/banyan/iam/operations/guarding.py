"""Guessing is slowed down; whoever knows the password, or comes with a browser that is known, is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from banyan.iam import domain
from banyan.iam.domain import Limit, TooBusy, TooManyAttempts, Visit
from banyan.iam.store import attempts, sessions
from banyan.iam.store.attempts import Counter
from banyan.infra.postgres import Connection

_MOST_WAITING = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    account: Limit
    address: Limit
    resets: Limit


class Guard:
    """Counts failed attempts per account and per address. A known device has a count of its own instead of both."""

    def __init__(self, limits: Limits, *, device_life: timedelta) -> None:
        self.limits = limits
        self._device_life = device_life
        self._turns: dict[Counter, tuple[asyncio.Lock, int]] = {}

    async def counters(self, tx: Connection, email: str, visit: Visit, *, now: datetime) -> list[Counter]:
        """What a failure would be counted on."""
        counters: list[Counter] = [("account", domain.digest(email)), ("address", _address(visit))]
        if visit.device is not None:
            device = domain.digest(visit.device)
            if await sessions.device_known_to(tx, email, device, since=now - self._device_life):
                return [("device", domain.digest(f"{email} {visit.device}"))]
        return counters

    async def failed(self, tx: Connection, counters: list[Counter], *, now: datetime) -> None:
        for counter in counters:
            limit = self.limits.address if counter[0] in ("address", "registration") else self.limits.account
            await attempts.count(tx, counter, limit, now=now)

    async def succeeded(self, tx: Connection, counters: list[Counter]) -> None:
        """The account's count starts anew; an address's does not, or one good account would open it for guessing."""
        for counter in counters:
            if counter[0] != "address":
                await attempts.clear(tx, counter)

    @asynccontextmanager
    async def turn(self, key: Counter) -> AsyncIterator[None]:
        """Attempts on one account are made one after the other, or a thousand at once would all be free.

        Raises TooBusy where too many wait.
        """
        lock, waiting = self._turns.get(key, (asyncio.Lock(), 0))
        if waiting >= _MOST_WAITING:
            raise TooBusy
        self._turns[key] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._turns.pop(key)
            if waiting > 1:
                self._turns[key] = (lock, waiting - 1)


async def check(tx: Connection, counters: list[Counter], *, now: datetime) -> None:
    """Raises TooManyAttempts."""
    wait = await attempts.wait(tx, counters, now=now)
    if wait > timedelta(0):
        raise TooManyAttempts(wait)


def registration(visit: Visit) -> Counter:
    """Asking which e-mail addresses are known, by trying to register them."""
    return ("registration", _address(visit))


def resets(visit: Visit, email: str) -> tuple[Counter, Counter]:
    return ("reset-address", _address(visit)), ("reset-account", domain.digest(email))


def _address(visit: Visit) -> bytes:
    return domain.digest(domain.network(visit.address))
