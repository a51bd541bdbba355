"""From what was seen to the figures of rules."""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from banyan.contracts.monitor import Disk, Figures, Letters, Pool
from banyan.monitor.domain import incidents, rules
from banyan.monitor.domain.incidents import Incident
from banyan.monitor.domain.meters import Count
from banyan.monitor.domain.sights import Cluster, Machine, Usage
from tests.monitor.looking import NOON, SECOND, figures, look, measured, picture, tally


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


def test_what_a_consumer_gave_up_is_told_to_operators_until_it_is_seen_to() -> None:
    seen = picture()
    seen.hear("learning", figures("learning", letters={"learning-from-iam": Letters(2, parked=5)}), at=NOON)

    values = measured(seen, look(seen, 0))

    assert values["queue.dead"] == {"learning-from-iam": 2}
    assert values["queue.parked"] == {"learning-from-iam": 5}
    book = rules.read(rules.default_file(operators="mail ops@example.com"))
    (rule,) = [rule for rule in book.rules if rule.figure == "queue.dead"]
    assert [recipient.address for recipient in rule.recipients] == ["ops@example.com"]
    assert rule.lasting == timedelta()
