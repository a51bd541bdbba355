"""Options that many commands share, and how a command speaks when something is wrong."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from banyan.infra.settings import SettingError, Settings
from banyan.kit.errors import Refusal

Data = Annotated[Path | None, typer.Option("--data", help="Data folder.", envvar="BANYAN_DATA", show_default=".banyan")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


def settings(data: Path | None = None, **overrides: Any) -> Settings:
    """Settings from the environment and the command's own options; ends with a clear line if they cannot be used."""
    environ = dict(os.environ)
    if data is not None:
        environ["BANYAN_DATA"] = str(data)
    environ.update({name: str(value) for name, value in overrides.items() if value is not None})
    try:
        return Settings.read(environ)
    except SettingError as fault:
        fail(str(fault), code=2)


def fail(message: str, *, code: int = 1) -> NoReturn:
    """One line on standard error that says what to do, and the exit code."""
    print(f"banyan: {message}", file=sys.stderr)
    raise typer.Exit(code)


def unusable(fault: OSError) -> str:
    """What to do about a file or folder that the system refuses."""
    return f"{fault.filename or 'The data folder'} cannot be used: {fault.strerror}. Choose another folder with --data."


@contextmanager
def clear_errors(*expected: type[Exception]) -> Iterator[None]:
    """Turn refusals, and what else a command expects, into one clear line."""
    wanted: tuple[type[Exception], ...] = (Refusal, *expected)
    try:
        yield
    except wanted as fault:
        fail(str(fault))
    except OSError as fault:
        fail(unusable(fault))
