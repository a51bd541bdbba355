"""Banyan as its users get it: built into a wheel, installed into an empty environment with what is locked."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("src", "migrations", "old_site")
_ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@dataclass(frozen=True, slots=True)
class Installed:
    """A virtual environment with Banyan in it. `elsewhere` is an empty folder to run it in."""

    folder: Path
    elsewhere: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [self.python, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, cwd=self.elsewhere, env=_ENVIRON
        )


def uv(*arguments: str, cwd: Path = ROOT, **environ: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", "--quiet", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=cwd,
        env={**_ENVIRON, "UV_PYTHON_DOWNLOADS": "never", **environ},
    )
    assert done.returncode == 0, f"uv {' '.join(arguments)}:\n{done.stdout}{done.stderr}"


def copy_of_the_tree(folder: Path) -> Path:
    """What a build needs, to be changed at will."""
    for part in SOURCES:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, folder / file)
    return folder


def wheel_of(tree: Path, out: Path) -> Path:
    uv("build", "--wheel", "--out-dir", str(out), str(tree))
    (wheel,) = out.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path, *extras: str) -> Installed:
    """An empty environment with exactly what is locked, each package by its hash, and the wheel itself."""
    elsewhere = folder.with_name(f"{folder.name}-elsewhere")
    elsewhere.mkdir(parents=True)
    locked = elsewhere.with_suffix(".txt")
    wanted = [part for extra in extras for part in ("--extra", extra)]
    uv("export", "--frozen", "--no-dev", "--no-emit-project", *wanted, "--output-file", str(locked))
    uv("venv", "--python", sys.executable, str(folder), cwd=elsewhere)
    installed = Installed(folder, elsewhere)
    uv("pip", "install", "--python", installed.python, "--require-hashes", "--no-deps", "-r", str(locked))
    uv("pip", "install", "--python", installed.python, "--no-deps", str(wheel))
    return installed
