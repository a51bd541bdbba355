"""Whether a process ended because somebody asked it to, for whoever sees the next one start without a supervisor."""

import contextlib
from pathlib import Path

from banyan.infra.settings import Settings


def leave(settings: Settings, process: str) -> None:
    """Note that it ends as it was asked to."""
    with contextlib.suppress(OSError):
        _path(settings, process).touch(mode=0o600)


def take(settings: Settings, process: str) -> bool:
    """Whether the one before ended so; asked once."""
    try:
        _path(settings, process).unlink()
    except OSError:
        return False
    return True


def _path(settings: Settings, process: str) -> Path:
    return settings.run / f"{process}.farewell"
