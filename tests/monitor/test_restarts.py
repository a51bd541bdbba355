"""Who has ended, who was told to, and who is away."""

from dataclasses import replace
from datetime import timedelta

from banyan.monitor.domain.sights import Everybody
from tests.monitor.looking import ALL, NOON, SECOND, everybody, look, measured, picture


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
