"""`web` as its own process: up without the others, and down when it is told."""

import asyncio
import signal
import sys
from pathlib import Path

import aiohttp

from banyan.contracts.learning import Course
from banyan.infra.settings import Settings

from .standin import LearningStandIn


async def test_the_process_serves_alone_then_with_learning_and_ends_when_told(
    folder: Path, courses: list[Course]
) -> None:
    settings = Settings(data=folder)
    settings.make_folders()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "banyan.processes.run", "web", env=settings.environ()
    )
    connector = aiohttp.UnixConnector(path=str(settings.socket("web")))
    async with aiohttp.ClientSession("http://web", connector=connector) as visitor:
        await _until_listening(settings.socket("web"))
        alone = await _status(visitor, "/ready"), await _status(visitor, "/"), await _status(visitor, "/courses")
        async with LearningStandIn(courses).serving(settings.run / "internal.sock"):
            together = await _status(visitor, "/courses")
        process.send_signal(signal.SIGTERM)

    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert (alone, together) == ((204, 200, 503), 200)


async def _until_listening(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("web does not listen")


async def _status(visitor: aiohttp.ClientSession, path: str) -> int:
    async with visitor.get(path, headers={"accept": "text/html"}) as answer:
        return answer.status
