"""One server under a supervisor, for tests: what is asked of its supervisor, of the server and of its replica."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from banyan.infra import databases, embedded
from banyan.infra.postgres import LOST
from banyan.infra.replicas import folders, promotion
from banyan.infra.settings import Settings
from banyan.infra.supervisor import control, state

CORE = databases.server_of("learning")
REPLICA = databases.replica_of(CORE)
ROOT = Path(__file__).parents[2]
PATIENCE = 30.0


class Followed:
    """A running supervisor of the server `core`; start() and kill() as often as wanted."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.settings = Settings.read({"BANYAN_DATA": str(folder)})
        self.environ = {"BANYAN_DATA": str(folder), "BANYAN_BACKOFF_SECONDS": "0.3", **environ}
        self.process: subprocess.Popen[str] | None = None

    def start(self, **environ: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.infra.supervised_databases"],
            env={**os.environ, **self.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        seen = ""
        while "all started" not in seen:
            line = self.process.stdout.readline()
            assert line, f"ended before it was up: {seen}"
            seen += line
        self.until_told()

    def wait_until_killed(self) -> None:
        assert self.process is not None
        assert self.process.wait(PATIENCE) == -signal.SIGKILL

    def end(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.terminate()
            self.process.communicate(timeout=PATIENCE)

    def ask(self, wish: str, **details: object) -> dict[str, Any]:
        return asyncio.run(control.ask(self.settings, wish, server="core", **details))

    def until_told(self) -> None:
        """Until the supervisor answers."""
        deadline = time.monotonic() + PATIENCE
        while not self.settings.socket("supervisor").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def until_seen(self) -> None:
        """Until the supervisor has looked at everything that is written by now."""
        position = self.run("SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint")
        self.until(lambda: self.now()["look"]["position"] >= position)

    def now(self) -> dict[str, Any]:
        core: dict[str, Any] = next(server for server in self.ask("servers")["servers"] if server["name"] == "core")
        return core

    def replicate(self, *, synchronous: bool = False) -> None:
        self.ask("replicate", synchronous=synchronous)
        self.until(lambda: self.follows(synchronous=synchronous))

    def follows(self, *, synchronous: bool) -> bool:
        look = self.now()["look"]
        return self.now()["replica"] == "ready" and look is not None and bool(look["synchronous"]) == synchronous

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, json.dumps(self.now(), indent=1)
            time.sleep(0.05)

    def run(self, sql: str, *, on_replica: bool = False) -> Any:
        """The value of a statement in the database `learning`, as its superuser; retried while nobody answers."""
        return asyncio.run(self._run(sql, on_replica))

    async def _run(self, sql: str, on_replica: bool) -> Any:
        at = REPLICA if on_replica else CORE
        password = (self.settings.secrets / "postgres-core-superuser").read_text().strip()
        url = databases.embedded_url(self.settings, at, "learning", embedded.SUPERUSER, password)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                connection = await asyncpg.connect(url, timeout=3)
                break
            except LOST:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        try:
            return await connection.fetchval(sql, timeout=3)
        finally:
            connection.terminate()

    def kill_primary(self) -> None:
        known = state.read(self.settings)
        assert known is not None
        os.kill(next(child.pid or 0 for child in known.processes if child.name == "postgres-core"), signal.SIGKILL)

    def lose_primary(self) -> None:
        """Its disk is gone: processes and files."""
        folder = embedded.data_folder(self.settings, CORE)
        folder.rename(folder.with_name("core.gone"))
        self.kill_primary()

    def signal_replica(self, number: signal.Signals, *, only: str = "postgres") -> None:
        for pid in promotion.working_in(folders.of(self.settings, CORE)):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                if only.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, number)
