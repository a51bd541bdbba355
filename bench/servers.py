"""Other people's programs, started for a measurement and ended after it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
START_SECONDS = 20.0
STOP_SECONDS = 10.0


class Missing(Exception):
    """A peer is not installed on this machine."""


def program(*names: str) -> str:
    """The path of the first that is installed. Raises Missing."""
    for name in names:
        if found := shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"):
            return found
    raise Missing(f"{' or '.join(names)} is not installed")


@contextmanager
def running(
    command: Sequence[str], *, log: Path, ready: Callable[[], bool], patience: float = START_SECONDS
) -> Iterator[int]:
    """The process id of a server that is ready; it ends with the block, and with us if we are killed."""
    with log.open("ab") as said:
        process = subprocess.Popen(
            [program("setpriv"), "--pdeathsig", "TERM", *command], stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        end = time.monotonic() + patience
        while not ready():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command[0]} does not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def nginx(folder: Path, body: str) -> list[str]:
    """Write a configuration of one worker whose `http` block is `body`; the command that starts it."""
    folder.mkdir(exist_ok=True)
    write_nginx(folder, body)
    return [program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def write_nginx(folder: Path, body: str) -> None:
    paths = "".join(
        f"  {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log stderr warn;\n"
        f"{'user root;' if os.getuid() == 0 else ''}\n"
        f"events {{ worker_connections 4096; }}\nhttp {{\n{paths}{body}\n}}\n"
    )


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
