"""Settings are environment variables `BANYAN_*`; but for the URLs of databases, this package alone reads them."""

import dataclasses
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from banyan.infra.settings import checks
from banyan.infra.settings.fields import Fields
from banyan.infra.settings.values import SettingError, is_database, is_loopback, named_sizes, parse, text_of

__all__ = ["LONGEST_SOCKET_PATH", "SettingError", "Settings", "is_loopback"]

_DATABASE_URL = re.compile(r"BANYAN_([A-Z]+_DATABASE|RELAY_[A-Z]+)_URL")
LONGEST_SOCKET_PATH = 90  # sun_path holds 107 bytes; Envoy and PostgreSQL add names of their own to ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Fields):
    """What a Banyan process was told; durations are seconds."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """Settings from the environment. Raises SettingError for a value of the wrong kind."""
        values: dict[str, Any] = {}
        for known in dataclasses.fields(cls):
            variable = known.metadata["variable"]
            text = environ.get(variable)
            if text is not None and text != "":
                values[known.name] = parse(variable, text, type(known.default))
        for variable, text in environ.items():
            if _DATABASE_URL.fullmatch(variable) and text and not is_database(text):
                raise SettingError(
                    f"{variable} cannot be used; it takes postgresql://role:password@host[:port]/database."
                )
        values["data"] = Path(values.get("data", ".banyan")).expanduser().resolve()
        settings = cls(**values)
        checks.check(settings)
        return settings

    def environ(self) -> dict[str, str]:
        """The same settings as variables, for a child process."""
        return {
            known.metadata["variable"]: text_of(getattr(self, known.name))
            for known in dataclasses.fields(self)
            if getattr(self, known.name) != known.default
        }

    @property
    def run(self) -> Path:
        """The folder of sockets and of the supervisor's state, owner-only, short enough for a Unix socket."""
        inside = self.data / "run"
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH - 30:
            return inside
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        # Not the system's idea of a temporary folder: that differs from shell to shell, and `banyan stop` must find it.
        return Path(os.sep, "tmp") / f"banyan-{os.getuid()}-{digest}"

    @property
    def secrets(self) -> Path:
        return self.data / "secrets"

    @property
    def objects(self) -> Path:
        """Files that are ours to serve, such as videos, a folder for each kind."""
        return self.data / "objects"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def url(self) -> str:
        """The URL of the front door as browsers see it, without a slash at its end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}"

    def memory_limit(self, process: str) -> int:
        """Bytes, of a process or of one session of a database server; 0 is no limit."""
        named = named_sizes("BANYAN_MEMORY_BYTES_OF", self.memory_of)
        return named.get(process, 0 if process == "envoy" else self.memory)

    def socket(self, process: str) -> Path:
        """Where a process listens when nobody hands it a socket."""
        return self.run / f"{process}.sock"

    def make_folders(self) -> None:
        """Create the data and run folders, owner-only. Raises SettingError if the run folder is somebody else's."""
        for folder in (self.data, self.run, self.secrets, self.logs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.run, self.secrets):
            # In a shared /tmp another user may have made the folder first, to be handed our sockets.
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                raise SettingError(f"{folder} belongs to somebody else; remove it or choose another --data folder.")
            # Passing through may have been allowed to the user that PostgreSQL runs as; never more than that.
            folder.chmod(0o700 | stat.S_IMODE(found.st_mode) & 0o011)
