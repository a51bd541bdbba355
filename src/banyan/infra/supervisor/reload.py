"""For `--reload`: an edited file restarts the processes that use it, and no other."""

import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import msgspec
from watchfiles import awatch

from banyan.infra.settings import Settings
from banyan.infra.supervisor.supervisor import Supervisor

_INSTALLED = (sys.base_prefix, sys.prefix, sysconfig.get_paths()["purelib"])


def note_modules(settings: Settings, process: str) -> None:
    """Called inside a process when it is up: which files of ours it has loaded."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    ours = sorted(file for file in files if file and not file.startswith(_INSTALLED))
    _note(settings, process).write_bytes(msgspec.json.encode(ours))


async def watch(settings: Settings, supervisor: Supervisor, folders: Iterable[Path]) -> None:
    """Restart, for each batch of edits, the processes that these touch."""
    async for changes in awatch(*folders, debounce=200, step=50):
        changed = {Path(path) for _, path in changes}
        for name, child in list(supervisor.children.items()):
            if child.spec.kind == "process" and touches(loaded_by(settings, name), changed):
                await child.restart("an edited file")


def loaded_by(settings: Settings, process: str) -> set[Path]:
    try:
        return {Path(text) for text in msgspec.json.decode(_note(settings, process).read_bytes(), type=list[str])}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return set()


def touches(loaded: set[Path], changed: set[Path]) -> bool:
    """A Python file counts where it was loaded; a template, style or text for whoever loaded the package it is in."""
    for path in changed:
        if path.suffix == ".py":
            if path in loaded:
                return True
        elif path.suffix != ".pyc":
            package = next((folder for folder in path.parents if (folder / "__init__.py").exists()), None)
            if package is not None and package / "__init__.py" in loaded:
                return True
    return False


def _note(settings: Settings, process: str) -> Path:
    return settings.run / f"{process}.modules.json"
