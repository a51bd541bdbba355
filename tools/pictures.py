"""The diagrams in `docs/images/`, drawn from the registry, the default routes, the settings and the events."""

import dataclasses
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

from banyan.contracts import identity
from banyan.gateway.domain.defaults import default_routes
from banyan.gateway.domain.world import API_OWNERS
from banyan.infra.databases import SERVERS
from banyan.infra.settings import Settings
from banyan.processes.registry import PROCESSES
from tools import event_pictures
from tools.canvas import Canvas

ROOT = Path(__file__).parents[1]
_DEFAULTS = {known.name: known.default for known in dataclasses.fields(Settings)}


def drawings() -> dict[str, str]:
    """File name -> SVG."""
    drawn: dict[str, Callable[[], Canvas]] = {
        "request": request,
        "session": session,
        "event": event_pictures.event,
        "brokers": event_pictures.brokers,
        "processes": processes,
        "isolation": isolation,
        "imports": imports,
    }
    return {f"{name}.svg": draw().svg() for name, draw in drawn.items()}


def request() -> Canvas:
    routes = default_routes(demo=True, other_old_site=False)
    pages = [route.path for route in routes if route.service == "web"]
    owners: dict[str, list[str]] = {}
    for name, owner in API_OWNERS.items():
        owners.setdefault(owner, []).append(name)
    height = 192 + 64 * len(owners)
    sheet = Canvas(
        860, height, "A request: from the browser through Envoy to the old site or a process of the new side"
    )
    middle = (height - 70) / 2 + 10
    sheet.box(10, middle - 28, 110, 56, "browser", "one address")
    steps = ("takes x-banyan-* away", "verifies the session", "asks the routes in order", "cuts Banyan's cookies")
    sheet.box(190, 10, 200, height - 90, "envoy", *steps, kind="gateway")
    sheet.arrow((120, middle), (190, middle), kind="gateway")
    sheet.box(480, 10, 370, 50, "old site", "every address that no route names, byte for byte", kind="old")
    sheet.arrow((390, middle - 24), (480, 35), kind="old")
    sheet.box(480, 74, 370, 50, "web", _listed(pages, 4), kind="new", code=True)
    sheet.arrow((390, middle - 8), (480, 99), kind="new")
    for number, (owner, names) in enumerate(sorted(owners.items())):
        top = 138 + 64 * number
        sheet.box(480, top, 370, 50, owner, f"/_banyan/api/v1/ {_listed(names, 3)}", kind="new", code=True)
        sheet.arrow((390, middle + 8 + 16 * number), (480, top + 25), kind="new")
    sheet.box(190, height - 50, 200, 40, "gateway", kind="new")
    sheet.arrow((290, height - 50), (290, height - 80), dashed=True)
    words = "the control plane: it writes Envoy's files, and no request passes through it"
    sheet.text(405, height - 26, words, style="m", anchor="start")
    return sheet


def session() -> Canvas:
    sheet = Canvas(860, 470, "A session: three cookies, verified by Envoy alone, renewed by iam every five minutes")
    lanes = {"browser": 90, "envoy": 350, "iam": 570, "a service": 770}
    for name, x in lanes.items():
        sheet.line((x, 56), (x, 440), dashed=True)
        sheet.box(
            x - 70, 14, 140, 40, name, kind="gateway" if name == "envoy" else ("" if name == "browser" else "new")
        )
    browser, front, iam, service = lanes.values()
    fresh, life = _minutes("token_fresh"), _minutes("token_life")
    days = round(float(_DEFAULTS["session_life"]) / 86_400)
    steps: list[tuple[float, float, str]] = [
        (browser, iam, "e-mail and password"),
        (iam, browser, "three cookies"),
        (browser, front, "any request with the cookies"),
        (front, service, f"{identity.USER_HEADER}, -roles, -session"),
        (browser, front, f"a page, once {identity.FRESH_COOKIE} is gone ({fresh} min)"),
        (front, iam, "does it go on?"),
        (iam, front, "a new token, for this request, too"),
        (front, service, "the same headers, newly signed"),
    ]
    for number, (start, end, words) in enumerate(steps):
        y = 92 + 38 * number + (10 if number > 1 else 0) + (10 if number > 3 else 0)
        gap = 3 if end > start else -3
        sheet.arrow((start + gap, y), (end - gap, y), words, kind="new" if iam in {start, end} else "gateway")
    sheet.text(
        430,
        446,
        f"{identity.SESSION_COOKIE}: signed, {life} min    {identity.FRESH_COOKIE}: {fresh} min    "
        f"{identity.REFERENCE_COOKIE}: {days} days, opaque",
        style="m c",
    )
    sheet.text(430, 464, "While iam is away, tokens go on to be believed until they end.", style="m")
    return sheet


def processes() -> Canvas:
    names = [process.name for process in PROCESSES]
    width = 860
    sheet = Canvas(width, 400, "The processes, and which databases on which server each may open")
    sheet.box(10, 10, width - 20, 40, "envoy", kind="gateway")
    step = (width - 20) / len(names)
    where: dict[str, float] = {}
    shelf = (width - 20) / sum(len(server.databases) for server in SERVERS)
    left = 10.0
    for server in SERVERS:
        across = shelf * len(server.databases)
        sheet.area(left + 3, 300, across - 6, 92, f"postgres-{server.name}")
        for number, name in enumerate(server.databases):
            where[name] = left + shelf * (number + 0.5)
            sheet.box(where[name] - shelf / 2 + 8, 332, shelf - 16, 48, name)
        left += across
    for number, process in enumerate(PROCESSES):
        x = 10 + step * (number + 0.5)
        kind = "old" if process.demo_only else "new"
        sheet.box(x - step / 2 + 5, 100, step - 10, 52, process.name, kind=kind)
        if process.name not in {"relay", "monitor"}:
            sheet.arrow((x, 50), (x, 100), kind="gateway")
        for name in sorted(process.reaches()):
            sheet.arrow((x, 152), (where[name], 332), dashed=name not in process.databases, upright=True)
    return sheet


def isolation() -> Canvas:
    sheet = Canvas(860, 250, "What stands between one fault and everybody else, on the way of a request")
    memory = round(int(_DEFAULTS["memory"]) / 1_048_576)
    walls = (
        (
            "envoy",
            "gateway",
            "one cluster per",
            "route and side,",
            f"{_seconds('new_timeout')} for an answer,",
            "then a clear 503",
        ),
        (
            "process",
            "new",
            f"{_DEFAULTS['in_flight']} requests at once,",
            f"{memory} MiB, an own",
            "pool of connections,",
            "restarted by itself",
        ),
        ("database", "new", "a role of its own,", "40 connections,", "limits on statement,", "lock and idleness"),
        ("server", "", f"one of {len(SERVERS)}; a hung", "one is not", "everything, and is", "restarted, too"),
    )
    for number, (name, kind, *lines) in enumerate(walls):
        x = 10 + 215 * number
        sheet.box(x, 20, 190, 130, name, *lines, kind=kind)
        if number:
            sheet.arrow((x - 25, 85), (x, 85))
    words = "probes each, restarts what dies or hangs, and holds its socket open meanwhile"
    sheet.box(10, 196, 840, 44, "supervisor", words, kind="gateway")
    for number in (0, 1, 3):
        sheet.arrow((105 + 215 * number, 196), (105 + 215 * number, 150), dashed=True)
    return sheet


def imports() -> Canvas:
    """The layers that the import rules enforce, from pyproject.toml."""
    read = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    tree = next(rule for rule in read["tool"]["importlinter"]["contracts"] if rule["containers"] == ["banyan"])
    layers = [[name.strip(" ()") for name in layer.split("|")] for layer in tree["layers"]]
    source = ROOT / "src/banyan"
    there = [
        [name for name in layer if (source / name).exists() or (source / f"{name}.py").exists()] for layer in layers
    ]
    sheet = Canvas(860, 20 + 58 * len(there), "The layers of the tree: imports go down only")
    for row, names in enumerate(there):
        top = 10 + 58 * row
        across = 760 / len(names)
        for number, name in enumerate(names):
            sheet.box(60 + across * number + 4, top, across - 8, 40, name, kind="new" if len(names) > 1 else "")
    sheet.arrow((30, 14), (30, 58 * len(there)))
    return sheet


def _listed(names: Iterable[str], most: int) -> str:
    known = list(names)
    return ", ".join(known[:most]) + (", ..." if len(known) > most else "")


def _minutes(name: str) -> int:
    return round(float(_DEFAULTS[name]) / 60)


def _seconds(name: str) -> str:
    return f"{float(_DEFAULTS[name]):g} s"
