"""The data folder that a restore makes. It is made inside, in a folder of its own, because the data folder may be a
disk; while that is there nothing starts on it, so a restore that was cut off is run again and no more."""

import json
import os
import shutil
import stat
from pathlib import Path

from banyan.infra.backup.places import sync_folder
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from banyan.infra.supervisor.state import RESTORING, AlreadyRunning, DataFolderLock
from banyan.kit.errors import Conflict

_PLACING = "placing.json"  # the names that are being moved up
_STAYS = {"run", "logs", "lock", _PLACING}
_NO_MATTER = {RESTORING, "lock", "lost+found"}


class TargetNotEmpty(Conflict):
    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} is not empty, and a restore overwrites nothing. Name a folder that is empty or not there yet."
        )


class Target:
    def __init__(self, settings: Settings) -> None:
        self.draft = settings.data / RESTORING
        self._settings = settings
        self._data = settings.data
        self._made_data = False
        self._lock: DataFolderLock | None = None

    def check(self) -> None:
        """Raises TargetNotEmpty, AlreadyRunning."""
        if state.read_living(self._settings) is not None:
            raise AlreadyRunning(f"Banyan runs on {self._data}; a restore makes a data folder of its own.")
        if self._data.exists() and not self._data.is_dir():
            raise TargetNotEmpty(self._data)
        if self._data.exists() and any(not self._is_no_matter(entry) for entry in self._data.iterdir()):
            raise TargetNotEmpty(self._data)

    def claim(self) -> None:
        """Take the folder and clear away what a cut-off restore left. Raises TargetNotEmpty, AlreadyRunning."""
        self._made_data = not self._data.exists()
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.getuid() == 0:  # PostgreSQL may have to run as somebody else, and passes through here
            self._data.chmod(stat.S_IMODE(self._data.stat().st_mode) | 0o011)
        self._lock = DataFolderLock(self._settings)
        self._lock.take(restoring=True)
        self.check()
        for name in self._placed():
            _remove(self._data / name)
        shutil.rmtree(self.draft, ignore_errors=True)
        self.draft.mkdir(mode=0o700)
        sync_folder(self._data)

    def place(self) -> None:
        """Everything is there: make it the data folder."""
        names = sorted(entry.name for entry in self.draft.iterdir() if entry.name not in _STAYS)
        (self.draft / _PLACING).write_text(json.dumps(names))
        sync_folder(self.draft)
        for name in names:
            (self.draft / name).rename(self._data / name)
        sync_folder(self._data)
        shutil.rmtree(self.draft)
        sync_folder(self._data)

    def leave(self) -> None:
        """Give the folder back; what was not placed is gone."""
        if self._lock is None:
            return
        if self.draft.exists():
            for name in self._placed():
                _remove(self._data / name)
            shutil.rmtree(self.draft, ignore_errors=True)
            (self._data / "lock").unlink(missing_ok=True)
            if self._made_data and not any(self._data.iterdir()):
                self._data.rmdir()
        self._lock.close()
        self._lock = None

    def _is_no_matter(self, entry: Path) -> bool:
        if entry.name in _NO_MATTER | self._placed():
            return True
        # What `banyan up` makes before it sees that a restore was cut off here.
        return self.draft.exists() and (entry.name in ("run", "logs") or (entry.is_dir() and not any(entry.iterdir())))

    def _placed(self) -> set[str]:
        try:
            return {str(name) for name in json.loads((self.draft / _PLACING).read_text())} - _NO_MATTER
        except (FileNotFoundError, ValueError):
            return set()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
