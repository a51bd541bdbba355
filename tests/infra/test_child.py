"""One child at awkward moments, and the supervisor's own work beside all of them."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from banyan.infra.settings import Settings
from banyan.infra.supervisor.child import Child, Spec
from banyan.infra.supervisor.logs import RotatingLog
from banyan.infra.supervisor.supervisor import Supervisor


class Heard:
    """What somebody at the terminal reads."""

    def __init__(self) -> None:
        self.troubles: list[str] = []

    def ready(self, name: str, seconds: float) -> None: ...

    def trouble(self, name: str, detail: str) -> None:
        self.troubles.append(f"{name}: {detail}")

    def say(self, text: str) -> None: ...


@asynccontextmanager
async def asleep(
    folder: Path, before_stop: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[tuple[Child, list[str]]]:
    """A child that does nothing and is ready as soon as it runs, and the states it goes through."""
    settings = Settings.read({"BANYAN_DATA": str(folder), "BANYAN_BACKOFF_SECONDS": "0.1"})
    settings.make_folders()

    async def probe() -> None: ...

    spec = Spec(
        name="asleep",
        kind="process",
        command=[sys.executable, "-I", "-S", "-c", "import time; time.sleep(1000)"],
        environ={},
        probe=probe,
        before_stop=before_stop,
    )
    states: list[str] = []
    child = Child(spec, settings, lambda: states.append(child.state.state))
    try:
        yield child, states
    finally:
        await child.stop()


async def until(wanted: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not wanted():
            await asyncio.sleep(0.01)


async def test_a_restart_asked_for_while_it_is_being_started_is_done_and_it_becomes_ready(tmp_path: Path) -> None:
    async with asleep(tmp_path / "data") as (child, _):
        child.start()
        await asyncio.sleep(0)
        assert child.state.state == "starting"
        await child.restart("an edited file")

        await until(lambda: child.state.state == "ready")

        assert (child.state.restarts, child.state.wanted, child.state.ended) == (1, 1, "an edited file")


async def test_two_who_restart_it_at_once_end_one_process(tmp_path: Path) -> None:
    courtesies = iter((0.05, 1.0, 0.0))

    async def before_stop() -> None:
        await asyncio.sleep(next(courtesies))

    async with asleep(tmp_path / "data", before_stop) as (child, _):
        child.start()
        await until(lambda: child.state.state == "ready")

        await asyncio.gather(child.restart("asked by one"), child.restart("asked by another"))

        await until(lambda: child.state.state == "ready")
        assert child.state.restarts == 1


async def test_one_that_must_be_restarted_again_and_again_is_failing_and_paused(tmp_path: Path) -> None:
    async with asleep(tmp_path / "data") as (child, states):
        child.start()
        for _ in range(4):
            await until(lambda: child.state.state == "ready")
            await child.restart("used too much", wanted=False)
            await until(lambda: child.state.state != "stopping")

        await until(lambda: "failing" in states)

        assert (child.state.wanted, child.state.ended) == (0, "used too much")


async def test_those_wanted_do_not_make_it_failing(tmp_path: Path) -> None:
    async with asleep(tmp_path / "data") as (child, states):
        child.start()
        for number in range(1, 6):
            await until(lambda: child.state.state == "ready")
            await child.restart("asked to")
            await until(lambda: child.state.restarts == number)  # noqa: B023 # awaited within the round

        await until(lambda: child.state.state == "ready")

        assert "failing" not in states
        assert child.state.wanted == 5


async def test_work_beside_that_fails_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    settings = Settings.read({"BANYAN_DATA": str(tmp_path / "data")})
    settings.make_folders()
    heard, went_on = Heard(), asyncio.Event()

    async def fails() -> None:
        raise OSError("no such luck")

    async def goes_on() -> None:
        await asyncio.sleep(0.05)
        went_on.set()
        try:
            await asyncio.Event().wait()
        finally:
            went_on.clear()

    async with Supervisor(settings, heard) as supervisor:
        supervisor.beside(fails())
        supervisor.beside(goes_on())
        await asyncio.wait_for(went_on.wait(), 5)

    assert not went_on.is_set()  # it was ended, whether or not anybody has asked to stop
    assert len(heard.troubles) == 1
    assert "fails" in heard.troubles[0]
    assert "no such luck" in heard.troubles[0]


def test_a_log_that_cannot_be_rotated_stops_nobody_and_goes_on_when_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = RotatingLog(folder / "web.log", process="web", limit=100, keep=1)
    log.write(b"x" * 200)
    shutil.rmtree(folder)

    for _ in range(3):
        log.write(b"nobody can keep this")
    folder.mkdir()
    log.write(b"all is well")
    log.close()

    assert "all is well" in (folder / "web.log").read_text()
