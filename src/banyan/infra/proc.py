"""What the kernel tells of processes, and how one of ours is ended."""

import asyncio
import contextlib
import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_PIECE = 65_536


def children(parent: int) -> list[int]:
    """The processes that it has started and that have not ended."""
    try:
        return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        if not Path(f"/proc/{parent}").exists():
            return []
        # The kernel was built without that file.
        return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _parent(entry) == parent]


def resident(pid: int, *, shared: bool = True) -> int:
    """Bytes in memory, with or without those that others see, too; 0 where /proc does not tell."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_bytes().split()
        return _PAGE * (int(fields[1]) - (0 if shared else int(fields[2])))
    except (OSError, IndexError, ValueError):
        return 0


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill it, if it still runs, and wait for that. Nobody else may be reading its pipes any more."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        # asyncio's wait also waits for every pipe's end, which a full one that nobody reads never sees.
        for pipe in (process.stdout, process.stderr):
            while pipe is not None and await pipe.read(_PIECE):
                pass
        await process.wait()


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_bytes().rsplit(b")", 1)[1].split()[1])
    except (OSError, IndexError):
        return 0
