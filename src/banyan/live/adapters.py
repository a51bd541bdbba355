"""A connection of its own that hears of new counts, whichever live process has recorded them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg

from banyan.infra import postgres
from banyan.infra.postgres import Connection, DatabaseAway

CHANNEL = "learners"
_ANSWER_SECONDS = 5.0


class Line:
    """Notifications on CHANNEL, for as long as the connection holds."""

    def __init__(self, url: str) -> None:
        self._url = url

    @asynccontextmanager
    async def open(self, heard: Callable[[str], None]) -> AsyncIterator[tuple[Connection, asyncio.Event]]:
        """Answers the connection, for questions in between, and an event that is set when it is lost.

        Raises DatabaseAway.
        """
        lost = asyncio.Event()
        try:
            connection = await asyncio.wait_for(
                asyncpg.connect(self._url, timeout=postgres.CONNECT_TIMEOUT, command_timeout=_ANSWER_SECONDS),
                postgres.CONNECT_TIMEOUT + 1,
            )
        except postgres.LOST as fault:
            raise DatabaseAway from fault
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, lambda *message: heard(str(message[3])))
            yield connection, lost
        except postgres.LOST as fault:
            raise DatabaseAway from fault
        finally:
            connection.terminate()
