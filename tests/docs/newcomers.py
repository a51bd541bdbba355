"""Somebody who comes to this machine today: an account of their own where we may make one, an empty home, a clone."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.docs.blocks import ROOT

# What the machine says about its network counts for a newcomer, too; everything else of this shell does not.
_OF_THE_MACHINE = ("_proxy", "_PROXY", "_CA_BUNDLE", "_CERT", "_CERT_FILE", "_CERT_DIR", "_INDEX_URL", "_TIMEOUT")


@dataclass(frozen=True, slots=True)
class Newcomer:
    """`account` is None where this test is not run by root: then it is our own, with an empty home."""

    account: str | None
    home: Path
    clone: Path

    def start(self, command: str, log: Path) -> "subprocess.Popen[bytes]":
        """The command as typed in a terminal in the clone, in a process group of its own."""
        known = pwd.getpwnam(self.account) if self.account else None
        with log.open("wb") as output:
            return subprocess.Popen(
                ["/bin/bash", "-c", f"umask 022; cd '{self.clone}' && {command}"],
                env=self._environ(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=known.pw_uid if known else None,
                group=known.pw_gid if known else None,
                extra_groups=[] if known else None,
                cwd="/",
            )

    def run(self, command: str, *, seconds: float) -> str:
        """What it said. Fails when the command does."""
        log = self.home / f"said-{uuid.uuid4().hex[:8]}"
        process = self.start(command, log)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = -1
        said = log.read_text(errors="replace")
        assert status == 0, f"{command}: exit status {status}\n{said[-5000:]}\n{self._logs()}"
        return said

    def _logs(self) -> str:
        """The last that each process of theirs has said."""
        logs = sorted((self.clone / ".banyan/logs").glob("*.log"))
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-600:]}" for path in logs)

    def processes(self) -> dict[int, str]:
        """What runs of theirs: by their account, or by their home in the command line."""
        uid = pwd.getpwnam(self.account).pw_uid if self.account else None
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                theirs = entry.stat().st_uid == uid if uid is not None else str(self.home) in command
            except OSError:  # it has ended meanwhile, or is no process
                continue
            if entry.name.isdigit() and command and theirs and int(entry.name) != os.getpid():
                found[int(entry.name)] = command
        return found

    def _environ(self) -> dict[str, str]:
        machine = {name: value for name, value in os.environ.items() if name.endswith(_OF_THE_MACHINE)}
        return {
            **machine,
            "HOME": str(self.home),
            "USER": self.account or pwd.getpwuid(os.getuid()).pw_name,
            "LANG": "C.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin" if self.account else os.environ.get("PATH", ""),
        }


@contextmanager
def newcomer() -> Iterator[Newcomer]:
    """Nothing of theirs is left: no process, no account, no folder."""
    folder = Path(tempfile.mkdtemp(prefix="by-", dir="/tmp"))
    folder.chmod(0o711)
    home = folder / "home"
    account = f"newcomer-{uuid.uuid4().hex[:8]}" if os.getuid() == 0 else None
    try:
        if account:
            subprocess.run(
                ["useradd", "--home-dir", home, "--create-home", "--shell", "/bin/bash", account],
                check=True,
                timeout=30,
            )
        else:
            home.mkdir()
        clone = home / "banyan"
        _clone(clone)
        if account:
            subprocess.run(["chown", "-R", f"{account}:", clone], check=True, timeout=60)
        someone = Newcomer(account, home, clone)
        yield someone
        left = someone.processes()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert left == {}
    finally:
        if account:
            subprocess.run(["userdel", account], capture_output=True, check=False, timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(held: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not held():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.1)


def _clone(target: Path) -> None:
    """What was committed. The clone may be a shallow one of a shallow one, and need not be ours."""
    command = ["git", "-c", "safe.directory=*", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(target)]
    environ = {**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
