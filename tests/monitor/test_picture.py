"""From what was seen to boxes, arrows, lags and the figures of rules."""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from banyan.contracts.monitor import Arrow, Depth, Disk, Figures, Histogram, Now, Pool, Tally
from banyan.monitor.domain import incidents, measures, rules
from banyan.monitor.domain.incidents import Incident
from banyan.monitor.domain.measures import Values
from banyan.monitor.domain.meters import Count
from banyan.monitor.domain.picture import Picture
from banyan.monitor.domain.restarts import Counted, Restarts
from banyan.monitor.domain.sights import Cluster, Everybody, Machine, Seen, Usage

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SERVERS = {"learning": "postgres-core", "bus": "postgres-aside"}
BOUNDS = [10.0, 100.0, 1000.0]


def picture(counted: Counted | None = None) -> Picture:
    return Picture(servers=SERVERS, memory_limit=lambda _: 1000, restarts=Restarts(counted))


def tally(total: int, *, failed: int = 0, slow: int = 0) -> Tally:
    return Tally(total, failed, Histogram(BOUNDS, [total - slow, 0, slow, 0]))


def figures(process: str, **told: object) -> Figures:
    return Figures(process, "1.0", NOON - timedelta(hours=1), **told)  # type: ignore[arg-type] # fields by name


def everybody(**states: str) -> Everybody:
    seen = [
        Seen(
            name=name.replace("_", "-"),
            kind="postgres" if name.startswith("postgres") else "envoy" if name == "envoy" else "process",
            state=state,
            since=NOON - timedelta(hours=1),
        )
        for name, state in states.items()
    ]
    return Everybody(seen, epoch=NOON - timedelta(hours=1))


ALL = everybody(postgres_core="ready", web="ready", learning="ready", relay="ready", live="ready", envoy="ready")


def look(seen: Picture, second: int, who: Everybody = ALL, machine: Machine | None = None) -> Now:
    return seen.look(who, machine or Machine(), at=NOON + second * SECOND)


def measured(seen: Picture, now: Now) -> Values:
    return measures.measure(now, seen, envoy_cores=2, in_flight_limit=10)


def arrow(now: Now, source: str, target: str, label: str = "") -> Arrow:
    (found,) = [each for each in now.arrows if (each.source, each.target, each.label) == (source, target, label)]
    return found


def test_arrows_show_calls_statements_and_queues_with_rate_and_time() -> None:
    seen = picture()
    for second in range(6):
        at = NOON + second * SECOND
        seen.hear("web", figures("web", calls={"learning": tally(second * 4, slow=second)}), at=at)
        seen.hear("learning", figures("learning", sql={"learning": tally(second), "bus": tally(second)}), at=at)
        seen.hear("live", figures("live", handled={"live-from-learning": tally(second * 2, failed=second)}), at=at)
        seen.hear("relay", figures("relay", published={"learning": second * 2}), at=at)
    now = look(seen, 5)

    call = arrow(now, "web", "learning")
    assert (call.kind, call.per_second) == ("call", 4)
    assert call.p50_ms is not None
    assert call.p99_ms is not None
    assert call.p50_ms < 10
    assert call.p99_ms > 100
    assert arrow(now, "learning", "postgres-core", "learning").per_second == 1
    assert arrow(now, "learning", "bus", "bus").per_second == 1  # its server is somebody else's
    assert arrow(now, "relay", "live", "live-from-learning").errors_per_second == 1
    assert arrow(now, "learning", "relay", "outbox").per_second == 2


def test_envoys_clusters_become_arrows_to_who_answers() -> None:
    seen = picture()
    for second in range(4):
        clusters = {
            "new~courses": Cluster("web", Count(second * 3, 0, {(5.0, 1.0): second * 3})),
            "new~course": Cluster("web", Count(second, second, {(500.0, 10.0): second})),
            "old~_rest": Cluster("old-site", Count(second * 2)),
            "new~_api~live": Cluster("live", Count(second, 0, {(900_000.0, 1.0): second})),
            "new~_console": Cluster("gateway", Count(second * 9)),
        }
        seen.hear_envoy(clusters, at=NOON + second * SECOND)
    now = look(seen, 3)

    web = arrow(now, "envoy", "web")
    assert (web.per_second, web.errors_per_second) == (4, 1)
    assert arrow(now, "envoy", "old-site").per_second == 2
    assert arrow(now, "browsers", "envoy").per_second == 7
    p99 = arrow(now, "browsers", "envoy").p99_ms
    assert p99 is not None
    assert p99 < 600  # a page that stays open is no slow request
    assert [each for each in now.arrows if each.target == "gateway"] == []


def test_a_lag_is_one_whoever_counts_it() -> None:
    seen = picture()
    for second in range(3):
        at = NOON + second * SECOND
        waiting = {"live-from-learning": Depth(7, 3.5)}
        seen.hear("relay", figures("relay", queues=waiting, outboxes={"learning": Depth(2, 0.5)}), at=at)
        seen.hear("live", figures("live", handled={"live-from-learning": tally(second * 3)}), at=at)
    now = look(seen, 2)

    outbox, queue = now.lags
    assert (outbox.consumer, outbox.source, outbox.waiting) == ("relay", "learning", 2)
    assert (queue.consumer, queue.source, queue.waiting, queue.oldest_seconds) == (
        "live-from-learning",
        "learning",
        7,
        3.5,
    )
    assert queue.handled_per_second == 3
    assert now.events[-1].waiting == 9
    assert measured(seen, now)["queue.age"] == {"live-from-learning": 3.5}


def test_what_a_silent_process_told_last_is_not_what_is() -> None:
    seen = picture()
    seen.hear("web", figures("web", loop_lag_ms=7.0), at=NOON)

    fresh, stale = look(seen, 1), look(seen, 11)

    assert [each.loop_lag_ms for each in fresh.processes if each.name == "web"] == [7.0]
    assert [each.loop_lag_ms for each in stale.processes if each.name == "web"] == [None]
    assert measured(seen, stale)["process.silent"] == {"web": 11.0}


def test_memory_and_processor_are_shares_of_what_may_be_used() -> None:
    seen = picture()
    look(seen, 0, machine=Machine({"web": Usage(100, 10.0, 20.0), "envoy": Usage(5, 10.0, 10.0)}))
    now = look(
        seen, 2, machine=Machine({"web": Usage(950, 10.7, 21.0), "envoy": Usage(5, 13.0, 13.0)}, Disk("/", 100, 5))
    )

    values = measured(seen, now)

    assert values["process.memory"]["web"] == 95
    assert values["process.cpu"] == {"web": 50, "envoy": 75}
    assert values["disk.share"] == {"data": 5}


def test_whoever_gets_little_of_a_busy_machine_for_a_second_is_still_busy() -> None:
    seen = picture()
    used, wanted = 0.0, []
    for second in range(12):
        used += 0.1 if second % 4 == 0 else 0.6
        now = look(seen, second, machine=Machine({"web": Usage(1, used, second * 2.0)}))
        wanted.append(measured(seen, now)["process.cpu"].get("web"))

    assert wanted[:1] == [None]
    assert set(wanted[1:]) == {200.0}

    another = look(seen, 12, machine=Machine({"web": Usage(1, 0.5)}))
    assert measured(seen, another)["process.cpu"] == {}


def test_whoever_may_write_no_file_is_seen_though_it_cannot_say_so() -> None:
    seen = picture()
    usage = {"web": Usage(1, 0.0), "envoy": Usage(1, 0.0, may_write=False), "postgres-core": Usage(1, 0.0)}
    seen.hear("web", Figures("web", "1", NOON, cannot_write="No space left on device"), at=NOON)

    values = measured(seen, look(seen, 0, machine=Machine(usage)))

    assert values["process.unwritable"] == {"postgres-core": 0, "web": 1, "envoy": 1}


def test_who_does_little_on_a_busy_machine_is_not_to_blame() -> None:
    seen = picture()
    look(seen, 0, machine=Machine({"web": Usage(1, 0.0, 0.0)}))
    now = look(seen, 2, machine=Machine({"web": Usage(1, 0.1, 2.0)}))

    assert measured(seen, now)["process.cpu"] == {"web": 5}


def test_one_failed_request_of_few_is_no_rate() -> None:
    seen = picture()
    seen.hear("web", figures("web", requests=tally(0)), at=NOON)
    seen.hear("web", figures("web", requests=tally(4, failed=2)), at=NOON + SECOND)
    few = measured(seen, look(seen, 1))
    seen.hear("web", figures("web", requests=tally(6, failed=3)), at=NOON + 2 * SECOND)
    enough = measured(seen, look(seen, 2))

    assert few["process.errors"] == {"web": 0}
    assert enough["process.errors"] == {"web": 50}
    assert "web" not in enough["process.p99"]


def test_on_a_slow_machine_nobody_is_slower_than_the_others() -> None:
    seen = picture()
    for second in range(5):
        for name in ("web", "learning", "live"):
            seen.hear(name, None, at=NOON + second * SECOND, took=0.4)
        seen.hear("relay", None, at=NOON + second * SECOND, took=0.9)

    values = measured(seen, look(seen, 5))

    assert values["process.answer"]["web"] == 0
    assert round(values["process.answer"]["relay"]) == 500


def test_restarts_are_those_that_nobody_wanted() -> None:
    seen = picture()
    look(seen, 0)
    restarted = [replace(each, restarts=2, wanted=2 if each.name == "web" else 1) for each in ALL.processes[:3]]
    now = look(seen, 1, Everybody(restarted, ALL.epoch))

    assert measured(seen, now)["process.restarts"] == {"postgres-core": 1, "web": 0, "learning": 1}
    assert measured(seen, look(seen, 11, Everybody(restarted, ALL.epoch)))["process.restarts"]["learning"] == 0


def test_a_restart_that_somebody_wanted_has_time_and_is_no_end_of_a_session() -> None:
    seen = picture()
    look(seen, 0)
    again = [replace(ALL.processes[1], state="starting", since=NOON + SECOND, restarts=1, wanted=1, ended="asked to")]

    def found(second: float) -> dict[str, dict[str, float]]:
        values = measured(seen, look(seen, second, Everybody(again, ALL.epoch)))
        return {name: values[name] for name in ("process.restarts", "process.ended", "process.away")}

    for second in (1, 5, 14):
        assert {name: values["web"] for name, values in found(second).items()} == {
            "process.restarts": 0,
            "process.ended": 0,
            "process.away": 0,
        }
    assert found(17)["process.away"] == {"web": 1}


def test_a_restart_of_monitor_itself_is_seen_by_what_was_written_down() -> None:
    before = picture()
    look(before, 0, everybody(monitor="ready"))
    counted = before.restarts.counted

    after = picture(counted)
    monitor = everybody(monitor="ready").processes[0]
    now = look(after, 5, Everybody([replace(monitor, restarts=1)], NOON - timedelta(hours=1)))

    assert measured(after, now)["process.restarts"] == {"monitor": 1}


def test_a_new_supervisor_counts_from_nothing() -> None:
    before = picture()
    look(before, 0, Everybody([replace(ALL.processes[1], restarts=5)], NOON - timedelta(hours=1)))

    after = picture(before.restarts.counted)
    now = look(after, 5, Everybody([ALL.processes[1]], NOON))

    assert measured(after, now)["process.restarts"] == {"web": 0}


def test_a_session_that_was_ended_for_its_memory_is_told() -> None:
    seen = picture()
    look(seen, 0)
    greedy = [replace(each, ended="a session used 600 MB") for each in ALL.processes[:1]]
    now = look(seen, 1, Everybody(greedy, ALL.epoch))

    assert measured(seen, now)["process.ended"] == {"postgres-core": 1}
    assert measured(seen, now)["process.restarts"] == {"postgres-core": 0}


def test_while_everything_starts_nobody_is_away() -> None:
    seen = picture()
    starting = replace(everybody(web="starting", iam="ready"), ready=False)

    assert measured(seen, look(seen, 0, starting))["process.away"] == {}

    for second in range(1, 12):
        now = look(seen, second, everybody(web="starting", iam="ready"))
    assert measured(seen, now)["process.away"] == {"web": 1, "iam": 0}


def test_who_was_told_to_stop_is_not_away_for_a_while() -> None:
    seen = picture()
    stopping = [replace(each, state="stopping", since=NOON) for each in ALL.processes[1:2]]

    soon, late = (look(seen, second, Everybody(stopping, ALL.epoch)) for second in (3, 30))

    assert measured(seen, soon)["process.away"] == {"web": 0}
    assert measured(seen, late)["process.away"] == {"web": 1}


def alerts_of(samples: Mapping[int, dict[str, Figures]], *, seconds: int) -> list[Incident]:
    """What the rules of the first start make of so many seconds."""
    book = rules.read(rules.default_file(operators=""))
    seen = picture()
    known: list[Incident] = []
    for second in range(seconds):
        for name, told in samples.get(second, {}).items():
            seen.hear(name, told, at=NOON + second * SECOND, took=0.02)
        seen.hear_envoy({"new~courses": Cluster("web", Count(second * 5))}, at=NOON + second * SECOND, took=0.02)
        now = look(seen, second, machine=Machine({}, Disk("/", 10**12, 10**11)))
        calm = timedelta(seconds=10)
        known = incidents.step(known, book.rules, measured(seen, now), calm=calm, now=now.at)
    return [each for each in known if each.state != "waiting"]


@settings(max_examples=3, deadline=None)
@given(st.randoms(use_true_random=False))
def test_ten_quiet_minutes_have_no_alert(dice: random.Random) -> None:
    total = slow = failed = 0
    samples: dict[int, dict[str, Figures]] = {}
    for second in range(600):
        more = dice.randint(0, 60)
        total += more
        if second % 60 == 7 and more:  # now and then one is slow, and one fails
            slow, failed = slow + 1, failed + 1
        told = figures(
            "web",
            requests=tally(total, failed=failed, slow=slow),
            sql={"learning": tally(total)},
            pools={"learning": Pool(3, 10, 0)},
            loop_lag_ms=20.0,
        )
        samples[second] = {name: replace(told, process=name) for name in ("web", "learning", "relay", "live")}

    assert alerts_of(samples, seconds=600) == []
