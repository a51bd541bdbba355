"""Moving a route back and forth under load, beside the usual way: another nginx file and a reload."""

import asyncio
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from banyan.clients.gateway import GatewayClient
from banyan.contracts.gateway import Side
from bench import load, peers, servers, site
from bench.figures import median, percentile
from bench.report import Bar, Goal, Panel, Plan, Section, Table, figure

BANYAN, NGINX = "Banyan", "nginx, reload"
RATE = 100
PAUSE_SECONDS = 0.12
PAUSE_WITHOUT_CONFIRMATION = 0.4
SETTLE_SECONDS = 0.5
LONGEST_BLOCK = 60.0


@dataclass(frozen=True, slots=True)
class Flip:
    """One move: when the command was given and when it said that it is done, in the machine's monotonic clock."""

    side: Side
    given: float
    done: float


@dataclass(slots=True)
class Samples:
    flips: int = 0
    served: int = 0
    failures: list[str] = field(default_factory=list)
    until_other_side: list[float] = field(default_factory=list)
    command: list[float] = field(default_factory=list)


def run(plan: Plan, folder: Path) -> Section:
    blocks, flips = (2, 6) if plan.quick else (5, 20)
    samples = {BANYAN: Samples(), NGINX: Samples()}
    whole_command: list[float] = []
    section = Section(name="flips", title="Moving a route under load", about=_ABOUT)
    with site.demo(folder / "data") as demo:
        try:
            servers.program("nginx")
        except servers.Missing as absent:
            del samples[NGINX]
            section.left_out.append(f"{NGINX}: {absent}")
        for _ in range(blocks):
            _block(samples[BANYAN], demo.url, lambda: asyncio.run(_by_banyan(demo, flips)))
            whole_command.append(_command(demo))
            if NGINX in samples:
                _beside(samples[NGINX], demo, folder, flips)
    section.tables = [_table(samples), _commands(samples[BANYAN], whole_command)]
    section.panels = [
        Panel(
            "From the move of a route to the first answer of its other side, under load",
            "ms",
            [Bar(name, 1000 * median(of.until_other_side), name == BANYAN) for name, of in samples.items()],
        )
    ]
    ours = samples[BANYAN]
    section.goals = [
        Goal(
            f"moving a route {ours.flips} times under load",
            "0 failed requests",
            f"{len(ours.failures)} of {ours.served + len(ours.failures):,}",
            not ours.failures,
        )
    ]
    return section


def until_first_answer(flips: list[Flip], answers: list[tuple[float, float, float, str]]) -> list[float]:
    """Seconds from each command to the end of the first answer of its side among requests sent after it; a move whose
    side did not answer before the next move is missing."""
    taken = []
    next_moves = [flip.given for flip in flips[1:]] + [math.inf]
    for flip, next_move in zip(flips, next_moves, strict=True):
        ends = [end for sent, end, _, side in answers if flip.given <= sent < next_move and side == flip.side]
        if ends:
            taken.append(min(ends) - flip.given)
    return taken


def _block(samples: Samples, url: str, flip: Callable[[], list[Flip]]) -> None:
    with load.paced_meanwhile(f"{url}/courses", rate=RATE, seconds=LONGEST_BLOCK, connections=16) as outcome:
        time.sleep(SETTLE_SECONDS)
        flips = flip()
        time.sleep(SETTLE_SECONDS)
    samples.flips += len(flips)
    samples.served += len(outcome.answers)
    samples.failures += outcome.failures
    samples.until_other_side += until_first_answer(flips, outcome.answers)
    samples.command += [each.done - each.given for each in flips]


def _sides(number: int) -> list[Side]:
    """An even number of moves, so that the next block begins where this one did."""
    return ["new" if position % 2 else "old" for position in range(number // 2 * 2)]


async def _by_banyan(demo: site.Demo, number: int) -> list[Flip]:
    gateway = GatewayClient(demo.settings)
    flips = []
    try:
        for side in _sides(number):
            given = time.monotonic()
            await gateway.move("courses", side=side)
            flips.append(Flip(side, given, time.monotonic()))
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        await gateway.close()
    return flips


def _beside(samples: Samples, demo: site.Demo, folder: Path, number: int) -> None:
    """The same sides of the same site, with nginx before them."""
    port = servers.free_port()
    home = folder / "nginx"
    sides = {"old": demo.settings.socket("old-site"), "new": demo.settings.socket("web")}
    command = servers.nginx(home, peers.nginx_switch(port, sides, "new"))
    with servers.running(command, log=folder / "nginx.log", ready=lambda: servers.listens(port)) as pid:

        def flip() -> list[Flip]:
            flips = []
            for side in _sides(number):
                given = time.monotonic()
                servers.write_nginx(home, peers.nginx_switch(port, sides, side))
                os.kill(pid, signal.SIGHUP)
                flips.append(Flip(side, given, time.monotonic()))
                time.sleep(PAUSE_WITHOUT_CONFIRMATION)
            return flips

        _block(samples, f"http://127.0.0.1:{port}", flip)


def _command(demo: site.Demo) -> float:
    begin = time.monotonic()
    command = [sys.executable, "-m", "banyan", "route", "set", "courses", "--side", "new", "--data", str(demo.data)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return time.monotonic() - begin


_ABOUT = (
    f"The course list of the demo moves between the old site and Banyan's own page while {RATE} requests a second ask"
    " for it, each timed from when it was due. *Other side answers after* is from the command to the end of"
    f" the first answer of the other side (at this pace there is a request every {1000 / RATE:.0f} ms, and the page"
    " itself takes some). *nginx, reload* stands before the same two processes; a move there is another `nginx.conf`"
    " and SIGHUP, with no check, no history and no confirmation. *Overtaken* moves were followed by the next one before"
    f" the other side answered: that comes {PAUSE_SECONDS:.2f} s after Banyan's word that Envoy serves the move, and"
    f" {PAUSE_WITHOUT_CONFIRMATION:.2f} s after nginx's signal."
)


def _table(samples: dict[str, Samples]) -> Table:
    rows = []
    for name, of in samples.items():
        ms = [1000 * seconds for seconds in of.until_other_side]
        why = ", ".join(sorted(set(of.failures))[:3])
        rows.append(
            (
                name,
                str(of.flips),
                f"{of.served:,}",
                str(len(of.failures)) + (f" ({why})" if why else ""),
                str(of.flips - len(ms)),
                figure(median(ms)),
                figure(percentile(ms, 95)),
                figure(max(ms)),
            )
        )
    columns = ("", "moves", "served", "failed", "overtaken", "other side answers after, ms: median", "p95", "longest")
    return Table("Moves under load", columns, rows)


def _commands(ours: Samples, whole_command: list[float]) -> Table:
    ms = [1000 * seconds for seconds in ours.command]
    whole = [1000 * seconds for seconds in whole_command]
    rows = [
        ("one move over the control API: validated, stored, confirmed by Envoy", figure(median(ms)), figure(max(ms))),
        ("`banyan route set`, the whole command", figure(median(whole)), figure(max(whole))),
    ]
    return Table("What a move takes", ("", "median ms", "longest"), rows)
