"""How far a long file is, said now and then; short ones are silent."""

import time
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

Tell: TypeAlias = Callable[[str], None]

_EVERY_SECONDS = 10.0


async def telling(name: str, chunks: AsyncIterator[bytes], tell: Tell) -> AsyncIterator[bytes]:
    size, told = 0, time.monotonic()
    async for chunk in chunks:
        size += len(chunk)
        if time.monotonic() - told > _EVERY_SECONDS:
            told = time.monotonic()
            tell(f"           {name:<16} {size / 1e6:8.1f} MB so far")
        yield chunk
