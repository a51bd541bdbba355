"""Waiting for what happens elsewhere, and the tables of a context that tells or hears of events."""

import asyncio
from collections.abc import Awaitable, Callable

from banyan.infra import migrations


def event_tables() -> str:
    """What the copies in each context's migrations come to."""
    first = migrations.FOLDER / "iam" / "0002_outbox.sql"
    then = [
        *(migrations.FOLDER / "iam").glob("*_event_traceparent.sql"),
        *(migrations.FOLDER / "iam").glob("*_event_store.sql"),
    ]
    return "\n".join(path.read_text(encoding="utf-8") for path in (first, *then))


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)
