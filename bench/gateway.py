"""The gateway beside plain Envoy and nginx, all before the same small upstream."""

import asyncio
import contextlib
import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from banyan.gateway.adapters import envoy
from banyan.gateway.adapters.data_plane import DataPlane
from banyan.gateway.domain.routes import Route, Side
from banyan.infra.settings import Settings
from bench import load, machine, peers, servers
from bench.gateway_report import CONNECTIONS, DIRECT, NGINX, OURS, OURS_1000, PATHS, PLAIN, RATE, Samples, report_of
from bench.report import Plan, Section

ROWS = 1000
PACED = 1.5


@dataclass(frozen=True, slots=True)
class Door:
    """Something that answers `PATHS`; `pid` is None where nothing stands between."""

    name: str
    port: int
    pid: int | None


def run(plan: Plan, folder: Path) -> Section:
    with contextlib.ExitStack() as stack:
        settings, doors = _open(stack, folder)
        for door in doors:
            _check(door)
        samples = {(door.name, side): Samples() for door in doors for side in PATHS}
        for door in doors:
            for path in PATHS.values():
                load.full(f"http://127.0.0.1:{door.port}{path}", connections=CONNECTIONS, seconds=1)
        for number in range(plan.rounds):
            for side, path in PATHS.items():
                for door in doors if number % 2 == 0 else reversed(doors):
                    _measure(door, path, samples[door.name, side], plan)
        applies = asyncio.run(_applies(settings["many"], 2 * plan.rounds))
    return report_of(samples, applies)


def _measure(door: Door, path: str, samples: Samples, plan: Plan) -> None:
    url = f"http://127.0.0.1:{door.port}{path}"
    before = _cpu(door)
    fast = load.full(url, connections=CONNECTIONS, seconds=plan.seconds, headers=load.BROWSER)
    between = _cpu(door)
    slow = load.paced(url, rate=RATE, seconds=PACED * plan.seconds, headers=load.BROWSER)
    after = _cpu(door)
    window = slow.window()
    samples.per_second.append(fast.per_second)
    samples.full_p99.append(fast.p99)
    samples.full_cpu.append(1000 * (between - before) / fast.requests)
    samples.p50.append(window.p50)
    samples.p99.append(window.p99)
    samples.cpu.append(1000 * (after - between) / len(slow.answers))
    samples.failed += fast.failed + window.failed


def _check(door: Door) -> None:
    """What is measured must be what it says."""
    for side, path in PATHS.items():
        with urllib.request.urlopen(f"http://127.0.0.1:{door.port}{path}", timeout=10) as answer:
            said, length = answer.headers.get("x-banyan-side"), len(answer.read())
        if length < 1000 or (said != side and door.name in (OURS, OURS_1000)):
            raise RuntimeError(f"{door.name} answers {path} with {length} bytes of the side {said}")


async def _applies(settings: Settings, number: int) -> list[float]:
    """Seconds from a changed row in a large table to Envoy's word that it serves it."""
    plane = DataPlane(settings)
    taken = []
    for position in range(number):
        begin = time.monotonic()
        await plane.apply([_courses("new" if position % 2 else "old"), *_rows()])
        taken.append(time.monotonic() - begin)
    return taken


def _cpu(door: Door) -> float:
    return machine.cpu_seconds([door.pid]) if door.pid else 0.0


def _open(stack: contextlib.ExitStack, folder: Path) -> tuple[dict[str, Settings], list[Door]]:
    """Start the upstream and every door; they end with the stack."""
    upstream = servers.free_port()
    settings = {name: _settings(folder / name, upstream) for name in ("few", "many")}
    sockets = [each.socket("web") for each in settings.values()]
    command = servers.nginx(folder / "upstream", peers.upstream(upstream, sockets))
    stack.enter_context(_server(command, folder / "upstream.log", upstream))
    doors = [Door(DIRECT, upstream, None)]

    port = servers.free_port()
    command = servers.nginx(folder / "nginx", peers.nginx_proxy(port, upstream, sockets[0], folder / "nginx.access"))
    doors.append(Door(NGINX, port, stack.enter_context(_server(command, folder / "nginx.log", port))))

    port = servers.free_port()
    configuration = folder / "plain.json"
    configuration.write_text(json.dumps(peers.plain_envoy(port, upstream, sockets[0])))
    command = [envoy.envoy_command(settings["few"])[0], "--config-path", str(configuration)]
    command += ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
    doors.append(Door(PLAIN, port, stack.enter_context(_server(command, folder / "plain.log", port))))

    for name, key, extra in ((OURS, "few", ()), (OURS_1000, "many", tuple(_rows()))):
        asyncio.run(_prepare(settings[key]))
        command = envoy.envoy_command(settings[key])
        pid = stack.enter_context(_server(command, folder / f"{key}.log", settings[key].port))
        asyncio.run(DataPlane(settings[key]).apply([_courses(), *extra]))
        doors.append(Door(name, settings[key].port, pid))
    return settings, doors


def _settings(data: Path, upstream: int) -> Settings:
    settings = Settings.read(
        {
            "BANYAN_DATA": str(data),
            "BANYAN_PORT": str(servers.free_port()),
            "BANYAN_LEGACY_URL": f"http://127.0.0.1:{upstream}",
            "BANYAN_ENVOY_CONCURRENCY": "1",
        }
    )
    settings.make_folders()
    return settings


async def _prepare(settings: Settings) -> None:
    await DataPlane(settings).prepare()


@contextmanager
def _server(command: list[str], log: Path, port: int) -> Iterator[int]:
    with servers.running(command, log=log, ready=lambda: servers.listens(port)) as pid:
        yield pid


def _courses(side: Side = "new") -> Route:
    return Route(name="courses", path="/courses", side=side, old_twin=True, service="web")


def _rows() -> Iterator[Route]:
    for number in range(ROWS - 1):
        side: Side = "new" if number % 2 else "old"
        yield Route(name=f"area-{number}", path=f"/area-{number}/{{slug}}", side=side, old_twin=True, service="web")
