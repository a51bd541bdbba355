"""When an alert begins, when it is over, and who is told how often."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from banyan.monitor.domain import incidents, rules
from banyan.monitor.domain.incidents import Incident
from banyan.monitor.domain.rules import Rule

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CALM = timedelta(seconds=10)
FIGURE = "process.away"


def rule(text: str = f"{FIGURE} > 0 for 3s -> mail operator@example.com") -> Rule:
    (found,) = rules.read(text).rules
    return found


def after(known: list[Incident], value: float | None, *, second: float, rule: Rule) -> list[Incident]:
    values = {FIGURE: {"web": value} if value is not None else {}}
    return incidents.step(known, [rule], values, calm=CALM, now=NOON + second * SECOND)


def run(
    values: list[float | None], *, rule: Rule, known: list[Incident] | None = None, start: int = 0
) -> list[Incident]:
    """A look a second."""
    found = known or []
    for second, value in enumerate(values, start=start):
        found = after(found, value, second=second, rule=rule)
    return found


def test_what_does_not_last_is_no_alert() -> None:
    assert [each.state for each in run([1, 1, 1], rule=rule())] == ["waiting"]
    assert run([1, 1, 1, 0], rule=rule()) == []


def test_what_lasts_fires_and_is_told_once() -> None:
    (found,) = run([1] * 20, rule=rule())

    assert found.state == "firing"
    assert found.since == NOON
    assert found.fired_at == NOON + 3 * SECOND
    assert [(delivery.part, delivery.to.address) for delivery in found.deliveries] == [
        ("firing", "operator@example.com")
    ]


def test_a_rule_for_no_time_fires_at_once() -> None:
    (found,) = run([2], rule=rule(f"{FIGURE} > 0 for 0s"))

    assert found.state == "firing"
    assert found.value == 2


def test_it_is_over_when_it_was_calm_for_a_while() -> None:
    still = run([1] * 5 + [0] * 10, rule=rule())
    over = run([1] * 5 + [0] * 11, rule=rule())

    assert [each.state for each in still] == ["firing"]
    assert [each.state for each in over] == ["over"]
    assert [delivery.part for delivery in over[0].deliveries] == ["firing", "over"]
    assert over[0].over_at == NOON + 15 * SECOND


def test_a_figure_that_is_not_known_is_not_so() -> None:
    assert [each.state for each in run([1] * 5 + [None] * 11, rule=rule())] == ["over"]


def test_one_that_comes_again_in_between_is_the_same_incident() -> None:
    (found,) = run([1] * 5 + ([0] * 8 + [1]) * 5, rule=rule())

    assert found.state == "firing"
    assert len(found.deliveries) == 1


def test_one_that_comes_again_and_again_must_be_calm_for_longer_each_time() -> None:
    again = rule(f"{FIGURE} > 0 for 0s -> mail operator@example.com")
    once = run([1] + [0] * 11, rule=again)
    twice = run([1] + [0] * 11, rule=again, known=once, start=20)

    assert [each.state for each in once] == ["over"]
    assert [each.state for each in twice] == ["over", "firing"]

    thrice = run([0] * 10, rule=again, known=twice, start=32)
    assert [each.state for each in thrice] == ["over", "over"]


def test_a_rule_that_is_taken_out_of_the_file_ends_its_incident() -> None:
    known = run([1] * 5, rule=rule())
    for second in range(5, 17):
        known = incidents.step(known, [], {FIGURE: {"web": 1}}, calm=CALM, now=NOON + second * SECOND)

    assert [each.state for each in known] == ["over"]


def test_who_is_told_at_the_beginning_is_told_of_the_end() -> None:
    known = run([1] * 5, rule=rule())
    other = rule(f"{FIGURE} > 0 for 3s -> mail somebody-else@example.com")
    (found,) = run([0] * 11, rule=other, known=known, start=5)

    assert {delivery.to.address for delivery in found.deliveries} == {"operator@example.com"}


def test_nobody_is_told_of_an_end_before_the_beginning() -> None:
    (found,) = run([1] * 5 + [0] * 11, rule=rule())

    ((_, first),) = incidents.due([found], now=NOON + 20 * SECOND)
    told = incidents.told(found, first, now=NOON + 20 * SECOND)
    ((_, second),) = incidents.due([told], now=NOON + 20 * SECOND)
    done = incidents.told(told, second, now=NOON + 21 * SECOND)

    assert (first.part, second.part) == ("firing", "over")
    assert incidents.due([done], now=NOON + timedelta(days=1)) == []


def failed(incident: Incident, *, now: datetime) -> Incident:
    ((_, delivery),) = incidents.due([incident], now=now)
    return incidents.not_told(
        incident,
        delivery,
        fault="no",
        first_wait=2 * SECOND,
        longest_wait=timedelta(minutes=5),
        give_up=timedelta(hours=24),
        now=now,
    )


def test_what_could_not_be_told_is_tried_again_after_longer_and_longer_waits() -> None:
    (incident,) = run([1] * 5, rule=rule())
    now = NOON + 5 * SECOND
    waits = []
    for _ in range(10):
        incident = failed(incident, now=now)
        waits.append(int((incident.deliveries[0].due - now).total_seconds()))
        assert incidents.due([incident], now=incident.deliveries[0].due - SECOND / 10) == []
        now = incident.deliveries[0].due

    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert incident.deliveries[0].fault == "no"


def test_after_a_day_nobody_tries_any_more() -> None:
    (incident,) = run([1] * 5, rule=rule())

    tired = failed(incident, now=NOON + timedelta(hours=25))

    assert incidents.due([tired], now=NOON + timedelta(days=30)) == []
    assert tired.deliveries[0].given_up


@given(st.lists(st.booleans(), max_size=120), st.integers(0, 8), st.integers(1, 12))
def test_whatever_happens_each_incident_is_told_once_and_its_end_once(
    looks: list[bool], lasting: int, calm: int
) -> None:
    watched = rule(f"{FIGURE} > 0 for {lasting}s -> mail operator@example.com")
    known: list[Incident] = []
    for second, holds in enumerate(looks):
        now = NOON + second * SECOND
        values = {FIGURE: {"web": float(holds)}}
        known = incidents.step(known, [watched], values, calm=calm * SECOND, now=now)
        living = [each for each in known if each.state != "over"]
        assert len(living) <= 1
        since = next((n for n in range(second, -1, -1) if not looks[n]), -1) + 1
        if holds and second - since >= lasting:
            assert [each.state for each in living] == ["firing"]

    for each in known:
        parts = [delivery.part for delivery in each.deliveries]
        assert parts == {"waiting": [], "firing": ["firing"], "over": ["firing", "over"]}[each.state]
        assert each.state == "waiting" or any(looks)
    assert len({each.id for each in known}) == len(known)
