"""Runs a page's blocks in order against a running Banyan, as a reader would in one terminal after the other."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.docs.blocks import ROOT, Block
from tests.journeys.front_door import FrontDoor, free_port

SECONDS = 150.0  # of a block, on a machine that is busy with other tests


class Terminal:
    """A folder with Banyan's `.venv` in it, where a page's commands are typed. What one block exports and where it goes
    to holds for the next; `/some/` is this folder, 8000 and 9000 are ports of its own, and `words` (patterns) says
    what else stands for something."""

    def __init__(self, folder: Path, door: FrontDoor, words: Mapping[str, str]) -> None:
        self._folder = folder
        self.beside: list[subprocess.Popen[str]] = []
        self._words = {
            "127.0.0.1:8000": door.host,
            "localhost:8000": door.host,
            "/some/": f"{folder}/some/",
            "9000": str(free_port()),
            **words,
        }
        (folder / "some").mkdir()
        home = folder / "home"
        home.mkdir()
        (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
        (folder / ".banyan").symlink_to(door.data, target_is_directory=True)
        for name in ("src", "docs", "migrations", "tools", "tests", "deploy", "pyproject.toml", "Makefile"):
            if (ROOT / name).exists():
                (folder / name).symlink_to(ROOT / name)
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BANYAN_")},
            "HOME": str(home),
            "PATH": f"{folder}/.venv/bin:{os.environ.get('PATH', '')}",
            "BANYAN_DATA": str(door.data),
            "BANYAN_PORT": door.host.rpartition(":")[2],
            "COLUMNS": "160",
        }

    def run(self, block: Block) -> None:
        """Fails, naming the block's place, when a command does or prints something else than the page shows."""
        if block.kind == "until":
            self._start(block)
            return
        done = subprocess.run(
            ["bash", "-c", self._script(block)],
            cwd=self._folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        said = done.stdout
        assert done.returncode == 0, f"{block.where}: exit status {done.returncode}\n{block.code}\n{said}"
        if block.output is not None:
            missing = first_missing(self._fitted(block.output), said)
            assert missing is None, f"{block.where} shows {missing!r}, but the commands said:\n{said}"

    def close(self) -> None:
        for process in reversed(self.beside):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def _start(self, block: Block) -> None:
        log = self._folder / f"beside-{len(self.beside)}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-c", self._script(block)],
                cwd=self._folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.beside.append(process)
        deadline = time.monotonic() + SECONDS
        while self._fitted(block.words) not in log.read_text():
            ended = process.poll() is not None or time.monotonic() > deadline
            assert not ended, f"{block.where} has not said {block.words!r}:\n{log.read_text()}"
            time.sleep(0.05)

    def _script(self, block: Block) -> str:
        known = self._folder / "exported"
        return "\n".join(
            [
                f"[ -f '{known}' ] && . '{known}'",
                "set -eo pipefail",
                self._fitted(block.code),
                f"{{ declare -px; printf 'cd %q\\n' \"$PWD\"; }} > '{known}'",
            ]
        )

    def _fitted(self, text: str) -> str:
        for shown, here in self._words.items():
            text = re.sub(rf"(?<!\d){shown}(?!\d)", here, text)
        return text


def first_missing(shown: str, said: str) -> str | None:
    """The first shown line that was not said after the ones before it; `...` in a line is any text, alone any lines."""
    lines = said.splitlines()
    for line in shown.splitlines():
        if line.strip() in {"", "..."}:
            continue
        wanted = ".*".join(re.escape(re.sub(r"\s+", " ", part.strip())) for part in line.strip().split("..."))
        while lines and not re.fullmatch(wanted, re.sub(r"\s+", " ", lines[0].strip())):
            lines.pop(0)
        if not lines:
            return line
        lines.pop(0)
    return None
