"""What a journey needs of the machine: without it the journey is skipped, or fails where skipping is forbidden."""

import os
import shutil
from pathlib import Path

import pytest


def program(*names: str) -> str:
    """The path of the first of these programs that is installed; skips the test when there is none."""
    for name in names:
        found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if found:
            return found
    raise missing(f"{' or '.join(names)} is not installed")


def folder(path: Path) -> Path:
    """The folder, if it is there; skips the test when it is not."""
    if not path.is_dir():
        raise missing(f"{path} does not exist")
    return path


def missing(reason: str) -> BaseException:
    """What to raise for something absent: a skip, or a failure under `BANYAN_NO_SKIP=1`."""
    if os.environ.get("BANYAN_NO_SKIP") == "1":
        return pytest.fail.Exception(f"{reason}, and BANYAN_NO_SKIP=1 forbids to skip")
    return pytest.skip.Exception(reason)
