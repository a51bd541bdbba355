"""A handler that always fails, hangs or is slow: what others feel, who hear of the same events or of other keys."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from banyan.infra import postgres
from banyan.kit.ids import uuid7
from bench import site, subscribers, telling
from bench.figures import Verdict, Window, bystander, median, percentile
from bench.report import Goal, Plan, Section, Table, figure
from bench.telling import Committed, Heard

RATE = 100
ILL_EVERY = 10  # one event of so many has a key that its handler does not get on with
ILL, *WELL = subscribers.CONTEXTS
WAYS = ("fails", "hangs", "slow")
IDLE = "well"
SAID = {"fails": "always fails", "hangs": "hangs", "slow": f"takes {1000 * subscribers.SLOW_SECONDS:.0f} ms"}
LONGEST_DRAIN = 10.0


@dataclass(frozen=True, slots=True)
class Told:
    """One window: what was committed in it, and who heard of it in the consumer whose handler is ill."""

    committed: Committed
    ill: Heard


def measure(demo: site.Demo, plan: Plan, section: Section) -> None:
    rounds, seconds = (1, 1.5) if plan.quick else (5, 2.5)
    told: dict[str, list[Told]] = {way: [] for way in (IDLE, *WAYS)}
    with telling.subscribers_of(demo, *WELL) as well:
        for _ in range(rounds):
            for way, windows in told.items():
                windows.append(_window(demo, way, seconds))
    everybody = {way: [_beside(each, well) for each in windows] for way, windows in told.items()}
    others = {way: [_other_keys(each) for each in windows] for way, windows in told.items()}
    verdicts = {way: bystander(idle=everybody[IDLE], disturbed=everybody[way]) for way in WAYS}
    keys = {way: bystander(idle=others[IDLE], disturbed=others[way]) for way in WAYS}
    section.tables.append(_table(everybody[IDLE], others[IDLE], verdicts, keys, seconds))
    section.goals += [_goal(f"other consumers while a handler {SAID[way]}", verdicts[way], rounds) for way in WAYS]
    section.goals += [_goal(f"its other keys while a handler {SAID[way]}", keys[way], rounds) for way in WAYS]


def _window(demo: site.Demo, way: str, seconds: float) -> Told:
    mark = str(uuid7())

    def key(number: int) -> str:
        return f"{way}-{mark}-{number % 3}" if number % ILL_EVERY == 0 else f"{IDLE}-{mark}-{number}"

    with telling.subscribers_of(demo, f"{subscribers.ILL}{ILL}") as ill:
        committed = asyncio.run(telling.operations(demo, RATE, seconds, key=key))
        for context in WELL:
            asyncio.run(telling.until_all_is_done(demo, consumers=context, longest=LONGEST_DRAIN))
    asyncio.run(_forget(demo))
    return Told(committed, ill)


async def _forget(demo: site.Demo) -> None:
    """Whatever the ill one could not handle; the next window has other keys."""
    ours = subscribers.OURS[subscribers.CONTEXTS.index(ILL)]
    bus = postgres.database(demo.settings, "bus", size=1)
    await bus.fetchval("SELECT pgmq.purge_queue($1)", ours.queue)
    await bus.close()
    own = postgres.database(demo.settings, ILL, size=1)
    async with own.transaction() as tx:
        for table in ("dead_letter", "stuck_key"):
            await tx.execute(f"DELETE FROM {table} WHERE consumer = $1", ours.consumer)
    await own.close()


def _beside(told: Told, well: Heard) -> Window:
    return _of(told.committed, well.by, told.committed.at)


def _other_keys(told: Told) -> Window:
    """In the same consumer. It is ended with whatever it had not come to, so that is what failed."""
    keys = told.committed.keys
    every = set(list(keys)[: len(keys) * 9 // 10])  # the last ones may not have been handled yet when it was ended
    return _of(told.committed, told.ill.by, [each for each in every if keys[each].startswith(IDLE)])


def _of(committed: Committed, heard: Sequence[dict[str, float]], those: Iterable[str]) -> Window:
    wanted = list(those)
    took = [1000 * (by[each] - committed.at[each]) for by in heard for each in wanted if each in by]
    return Window(percentile(took, 50), percentile(took, 99), len(heard) * len(wanted) - len(took))


def _table(
    idle: Sequence[Window],
    idle_keys: Sequence[Window],
    others: dict[str, Verdict],
    keys: dict[str, Verdict],
    seconds: float,
) -> Table:
    rows = [_idle("other consumers", idle)]
    rows += [_row(f"other consumers, it {SAID[way]}", verdict) for way, verdict in others.items()]
    rows.append(_idle("other keys of the same consumer", idle_keys))
    rows += [_row(f"other keys, it {SAID[way]}", verdict) for way, verdict in keys.items()]
    columns = ("who hears", "p50 ms", "at most", "p99 ms", "at most", "not heard", "rule")
    return Table(
        "Beside a handler that is ill",
        columns,
        rows,
        f"{RATE} events a second, one in {ILL_EVERY} of a key with which one consumer's handler does not get on;"
        f" windows of {seconds:g} s, {len(idle)} of each kind in turns with those in which all is well. From commit to"
        " handler."
        " That consumer is a process of its own. *Other keys* are all but those: heard of in time, or not at all when"
        " the window was over.",
    )


def _idle(name: str, windows: Sequence[Window]) -> tuple[str, ...]:
    p50, p99 = median([each.p50 for each in windows]), median([each.p99 for each in windows])
    return (f"{name}, all is well", figure(p50), "", figure(p99), "", str(sum(each.failed for each in windows)), "")


def _row(name: str, verdict: Verdict) -> tuple[str, ...]:
    return (
        name,
        figure(verdict.p50),
        figure(verdict.p50_limit),
        figure(verdict.p99),
        figure(verdict.p99_limit),
        str(verdict.failed),
        "holds" if verdict.holds else "**broken**",
    )


def _goal(what: str, verdict: Verdict, windows: int) -> Goal:
    return Goal(
        f"{what} ({windows} {'window' if windows == 1 else 'windows'})",
        f"all heard, p50 <= {figure(verdict.p50_limit)} ms, p99 <= {figure(verdict.p99_limit)} ms",
        f"{verdict.failed} not heard, {figure(verdict.p50)} / {figure(verdict.p99)} ms",
        verdict.holds,
    )
