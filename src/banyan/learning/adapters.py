"""Where the files of lessons are."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from banyan.learning.domain.media import MediaUnknown

Maker = Callable[[str, Path], None]


class MediaFolder:
    """Files by name. `maker` makes one that is missing, as the demo does with its clips."""

    def __init__(self, folder: Path, *, maker: Maker | None = None) -> None:
        self._folder = folder
        self._maker = maker
        self._making = asyncio.Lock()

    async def find(self, name: str) -> Path:
        """Raises MediaUnknown. `name` has been signed by us, so it is one that we gave out."""
        path = self._folder / name
        if not path.is_file() and self._maker is not None:
            async with self._making:
                if not path.is_file():
                    self._folder.mkdir(parents=True, exist_ok=True)
                    await asyncio.to_thread(self._maker, name, path)
        if not path.is_file():
            raise MediaUnknown
        return path
