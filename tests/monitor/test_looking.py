"""Looking at real processes and servers of this machine."""

import asyncio
import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from banyan.contracts.monitor import Figures
from banyan.infra.settings import Settings
from banyan.monitor.adapters.machine import Scales
from banyan.monitor.adapters.processes import Ears
from banyan.monitor.domain.sights import Everybody, Seen

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
TLS_WANTED = bytes.fromhex("0000000804d2162f")


async def test_a_database_server_is_greeted_and_heard_when_it_answers(tmp_path: Path) -> None:
    asked: list[bytes] = []
    heard: list[tuple[str, Figures | None, float]] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readexactly(8))
        if len(asked) > 1:  # the first comes to nothing
            await asyncio.sleep(0.05)
            writer.write(b"N")
        writer.close()

    def hear(name: str, figures: Figures | None, took: float) -> None:
        heard.append((name, figures, took))

    socket = tmp_path / ".s.PGSQL.1"
    ears = Ears(hear, socket=lambda _: tmp_path, servers={"postgres-core": socket}, every=0.02)
    async with await asyncio.start_unix_server(greet, socket), asyncio.timeout(10):
        ears.listen_to(["postgres-core"])
        while len(heard) < 2:
            await asyncio.sleep(0.01)
        await ears.close()

    assert set(asked) == {TLS_WANTED}
    assert len(asked) > len(heard)
    assert {(name, figures) for name, figures, _ in heard} == {("postgres-core", None)}
    assert min(took for _, _, took in heard) >= 0.05


def test_a_process_whose_limits_let_it_write_nothing_is_seen(tmp_path: Path) -> None:
    scales = Scales(Settings.read({"BANYAN_DATA": str(tmp_path)}))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        everybody = Everybody([Seen("envoy", "envoy", "ready", NOON, pid=process.pid)], NOON)
        before = scales.weigh(everybody).usage["envoy"].may_write
        hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, hard))
        after = scales.weigh(everybody).usage["envoy"].may_write
        process.communicate(b"\n")

    assert (before, after) == (True, False)
