"""The data folder that a restore makes. It is made inside, in a folder of its own, because the data folder may be a
disk; while that is there nothing starts on it, so a restore that was cut off is run again and no more."""

import json
import os
import shutil
import stat
from pathlib import Path

from banyan.infra.disk import sync_folder
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from banyan.infra.supervisor.state import RESTORING, AlreadyRunning, DataFolderLock
from banyan.kit.errors import Conflict

_PLACING = "placing.json"  # the names that are being moved up
_PLACED = ".restored"  # the draft, when everything was moved out of it
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
        lock = DataFolderLock(self._settings)
        try:
            lock.take(restoring=True)
            self.check()
        except BaseException:
            lock.close()  # what lies there is another's, perhaps of a restore that works on it just now
            raise
        self._lock = lock
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
        gone = self._data / _PLACED
        shutil.rmtree(gone, ignore_errors=True)
        self.draft.rename(gone)  # in one step, or a restore cut off here could be neither used nor run again
        sync_folder(self._data)
        shutil.rmtree(gone, ignore_errors=True)

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
            names = {str(name) for name in json.loads((self.draft / _PLACING).read_text())}
        except (FileNotFoundError, ValueError, TypeError):
            return set()
        # A backup may bring such a file of its own, and these names are removed.
        return {name for name in names - _NO_MATTER if name not in ("", ".", "..") and "/" not in name}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
