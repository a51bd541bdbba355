"""How many can sign in, and what others notice of it."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from banyan.iam.adapters.passwords import Passwords
from bench import learners, load, machine, site
from bench.figures import Verdict, Window, bystander, median, percentile
from bench.report import Goal, Plan, Section, Table, figure, with_range
from tests.processes.people import PASSWORD

OURS = ("iam", "postgres-front", "envoy")
LEARNERS = 40
CONNECTIONS = 4
SIGN_INS = 20
SESSION = "/_banyan/api/v1/session"
RATES = {"/": 60, "/courses": 20, "/me": 20}
NAMES = {"/": "old page", "/courses": "course list, signed in", "/me": "my courses, signed in"}
MANY_SECONDS = 60.0
SETTLE_SECONDS = 0.7


@dataclass(slots=True)
class Samples:
    runs: list[load.Full] = field(default_factory=list)
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)
    failed: int = 0


def run(plan: Plan, folder: Path) -> Section:
    rounds, seconds = (plan.rounds, 2.0) if plan.quick else (max(5, plan.rounds), 3.0)
    samples = Samples()
    idle: dict[str, list[Window]] = {path: [] for path in RATES}
    disturbed: dict[str, list[Window]] = {path: [] for path in RATES}
    with site.demo(folder / "data") as demo:
        headers = learners.sign_in(demo, LEARNERS)[0].headers
        bodies = learners.bodies(folder / "sign-ins", LEARNERS)
        _window(demo, headers, 1.0)
        for _ in range(rounds):
            for path, window in _window(demo, headers, seconds).items():
                idle[path].append(window)
            with _signing_in(demo, bodies, samples):
                for path, window in _window(demo, headers, seconds).items():
                    disturbed[path].append(window)
        script = _script(folder / "sign-ins.lua", demo, bodies)
        for _ in range(plan.rounds):
            _as_fast_as_it_goes(demo, script, samples, plan.seconds)
    verdicts = {path: bystander(idle=idle[path], disturbed=disturbed[path]) for path in RATES}
    section = Section(name="signin", title="Signing in", about=_about(seconds))
    section.tables = [_speed(samples, _alone()), _bystanders(idle, verdicts, rounds)]
    section.goals = [_goal(NAMES[path], verdict, rounds) for path, verdict in verdicts.items()]
    return section


def _window(demo: site.Demo, headers: Sequence[str], seconds: float) -> dict[str, Window]:
    """Visitors of all pages at once."""
    with contextlib.ExitStack() as stack:
        outcomes = {
            path: stack.enter_context(
                load.paced_meanwhile(
                    f"{demo.url}{path}",
                    rate=rate,
                    seconds=seconds,
                    headers=load.BROWSER if path == "/" else headers,
                    to_its_end=True,
                )
            )
            for path, rate in RATES.items()
        }
    return {path: outcome.window() for path, outcome in outcomes.items()}


@contextlib.contextmanager
def _signing_in(demo: site.Demo, bodies: Path, samples: Samples) -> Iterator[None]:
    with load.paced_meanwhile(
        f"{demo.url}{SESSION}",
        rate=SIGN_INS,
        seconds=MANY_SECONDS,
        headers=[f"Origin: {demo.url}"],
        bodies=bodies,
    ) as outcome:
        time.sleep(SETTLE_SECONDS)
        yield
    samples.took += [1000 * took for _, _, took, _ in outcome.answers]
    samples.failed += len(outcome.failures)


def _script(file: Path, demo: site.Demo, bodies: Path) -> Path:
    headers = f'{{["Content-Type"] = "application/json", ["Origin"] = "{demo.url}"}}'
    requests = [f'wrk.format("POST", "{SESSION}", {headers}, \'{body}\')' for body in bodies.read_text().splitlines()]
    return learners.lua(file, requests)


def _as_fast_as_it_goes(demo: site.Demo, script: Path, samples: Samples, seconds: float) -> None:
    pids = demo.processes()
    before = {name: machine.cpu_seconds([pids[name]]) for name in OURS}
    done = load.full(demo.url, connections=CONNECTIONS, seconds=seconds, script=script)
    samples.runs.append(done)
    for name in OURS:
        used = machine.cpu_seconds([pids[name]]) - before[name]
        samples.cpu_ms.setdefault(name, []).append(1000 * used / done.requests)


def _alone() -> float:
    """Milliseconds of one check of a password by iam's own code, with nothing else to do."""

    async def measured() -> float:
        passwords = Passwords(threads=1, waiting=1)
        known = await passwords.hash(PASSWORD)
        taken = []
        for _ in range(15):
            begin = time.monotonic()
            await passwords.verify(PASSWORD, known)
            taken.append(1000 * (time.monotonic() - begin))
        passwords.close()
        return median(taken)

    return asyncio.run(measured())


def _about(seconds: float) -> str:
    return (
        f"`POST {SESSION}` by {LEARNERS} learners in turn, each a new session: an argon2id of 19 MiB and two passes in"
        " one of two threads of `iam` that give way to everything else, a row for the session, a signed token. For the"
        f" *bystander rule* {SIGN_INS} sign-ins a second are due while others ask for three pages, in windows of"
        f" {seconds:.0f} s that take turns with idle ones: no failed request, p50 at most 1.2 times idle, p99 at most"
        " twice idle or idle + 10 ms, on the medians of the windows."
    )


def _speed(samples: Samples, alone: float) -> Table:
    runs = samples.runs
    cpu = median([sum(each) for each in zip(*samples.cpu_ms.values(), strict=True)])
    shares = ", ".join(f"{name} {figure(median(each))}" for name, each in samples.cpu_ms.items())
    paced = ("", figure(percentile(samples.took, 50)), figure(percentile(samples.took, 99)), "", str(samples.failed))
    rows = [
        (
            f"as fast as it goes, wrk c{CONNECTIONS}",
            with_range([each.per_second for each in runs]),
            figure(median([each.p50 for each in runs])),
            figure(median([each.p99 for each in runs])),
            f"{figure(cpu)} ({shares})",
            str(sum(each.failed for each in runs)),
        ),
        (f"{SIGN_INS} a second, beside the pages below", *paced),
        ("one check of a password alone, in a quiet process", "", figure(alone), "", "", ""),
    ]
    columns = ("sign-ins", "a second", "p50 ms", "p99 ms", "CPU ms a sign-in", "failed")
    return Table("Sign-ins", columns, rows)


def _bystanders(idle: dict[str, list[Window]], verdicts: dict[str, Verdict], windows: int) -> Table:
    rows = [
        (
            f"{NAMES[path]}, {RATES[path]} a second",
            str(windows),
            figure(median([window.p50 for window in idle[path]])),
            figure(verdict.p50),
            figure(verdict.p50_limit),
            figure(median([window.p99 for window in idle[path]])),
            figure(verdict.p99),
            figure(verdict.p99_limit),
            str(verdict.failed),
            "holds" if verdict.holds else "**broken**",
        )
        for path, verdict in verdicts.items()
    ]
    columns = ("", "windows", "p50 ms idle", "then", "at most", "p99 ms idle", "then", "at most", "failed", "rule")
    return Table(f"Pages while {SIGN_INS} a second sign in", columns, rows)


def _goal(name: str, verdict: Verdict, windows: int) -> Goal:
    return Goal(
        f"{name} while {SIGN_INS} sign-ins a second ({windows} windows)",
        f"0 failed, p50 <= {figure(verdict.p50_limit)} ms, p99 <= {figure(verdict.p99_limit)} ms",
        f"{verdict.failed} failed, {figure(verdict.p50)} / {figure(verdict.p99)} ms",
        verdict.holds,
    )
