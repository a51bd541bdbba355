"""Files that outlive a loss of power."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive it, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes) -> None:
    """All of it, however much the kernel takes at a time."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
