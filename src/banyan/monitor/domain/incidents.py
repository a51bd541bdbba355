"""An incident: a rule holds for a subject. It waits until it has lasted, is told once, and is over when it was calm
for a while. Whoever flaps must be calm for longer each time."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from banyan.monitor.domain.measures import Values
from banyan.monitor.domain.rules import Recipient, Rule

State = Literal["waiting", "firing", "over"]
Part = Literal["firing", "over"]
Key: TypeAlias = tuple[str, str]

REMEMBERED = timedelta(hours=1)
LONGEST_CALM = timedelta(minutes=10)
_MOST_DOUBLINGS = 6


@dataclass(frozen=True, slots=True)
class Delivery:
    """One recipient and one part of an incident. `due` is when it is (or was) to be tried next."""

    to: Recipient
    part: Part
    due: datetime
    tries: int = 0
    told_at: datetime | None = None
    given_up: bool = False
    fault: str = ""

    @property
    def waits(self) -> bool:
        return self.told_at is None and not self.given_up


@dataclass(frozen=True, slots=True)
class Incident:
    """`flaps` is how often the same was over in the last hour; `calm_since` is since when the rule no longer holds."""

    rule: str
    subject: str
    state: State
    value: float
    since: datetime
    fired_at: datetime | None = None
    over_at: datetime | None = None
    calm_since: datetime | None = None
    flaps: int = 0
    recipients: tuple[Recipient, ...] = ()
    deliveries: tuple[Delivery, ...] = field(default=())

    @property
    def key(self) -> Key:
        return (self.rule, self.subject)

    @property
    def id(self) -> str:
        """The same after a restart of monitor, so that a receiver can tell a repetition."""
        text = f"{self.rule}\n{self.subject}\n{self.since.isoformat()}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def step(
    known: Iterable[Incident], rules: Iterable[Rule], values: Values, *, calm: timedelta, now: datetime
) -> list[Incident]:
    """The incidents after a look, oldest first."""
    old = list(known)
    living = {incident.key: incident for incident in old if incident.state != "over"}
    past = [incident for incident in old if incident.state == "over" and _is_remembered(incident, now)]
    holding = dict(_holding(rules, values))
    after: list[Incident] = []
    for key, incident in living.items():
        moved = _moved(incident, holding.get(key), calm=calm, now=now)
        if moved is not None:
            after.append(moved)
    for key, (rule, value) in holding.items():
        if key not in living:
            flaps = sum(incident.key == key for incident in past)
            begun = Incident(rule.text, key[1], "waiting", value, now, flaps=flaps)
            after.append(_fired_if_lasting(begun, rule, now=now))
    return [*past, *after]


def _holding(rules: Iterable[Rule], values: Values) -> Iterable[tuple[Key, tuple[Rule, float]]]:
    for rule in rules:
        for subject, value in values.get(rule.figure, {}).items():
            if rule.is_about(subject) and rule.holds(value):
                yield (rule.text, subject), (rule, value)


def _moved(
    incident: Incident, holding: tuple[Rule, float] | None, *, calm: timedelta, now: datetime
) -> Incident | None:
    if holding is not None:
        rule, value = holding
        return _fired_if_lasting(replace(incident, value=value, calm_since=None), rule, now=now)
    if incident.state == "waiting":
        return None
    since = incident.calm_since or now
    needed = min(calm * 2 ** min(incident.flaps, _MOST_DOUBLINGS), max(calm, LONGEST_CALM))
    if now - since < needed:
        return replace(incident, calm_since=since)
    told = tuple(Delivery(to, "over", now) for to in incident.recipients)
    return replace(incident, state="over", over_at=now, calm_since=since, deliveries=(*incident.deliveries, *told))


def _fired_if_lasting(incident: Incident, rule: Rule, *, now: datetime) -> Incident:
    if incident.state != "waiting" or now - incident.since < rule.lasting:
        return incident
    told = tuple(Delivery(to, "firing", now) for to in rule.recipients)
    return replace(incident, state="firing", fired_at=now, recipients=rule.recipients, deliveries=told)


def _is_remembered(incident: Incident, now: datetime) -> bool:
    over = incident.over_at or now
    return now - over < REMEMBERED or any(delivery.waits for delivery in incident.deliveries)


def due(incidents: Iterable[Incident], *, now: datetime) -> list[tuple[Incident, Delivery]]:
    """What is to be told now: to each recipient the beginning of an incident before its end."""
    found = []
    for incident in incidents:
        busy: set[Recipient] = set()
        for delivery in incident.deliveries:
            if delivery.waits and delivery.to not in busy:
                busy.add(delivery.to)
                if delivery.due <= now:
                    found.append((incident, delivery))
    return found


def told(incident: Incident, delivery: Delivery, *, now: datetime) -> Incident:
    return _with(incident, delivery, replace(delivery, told_at=now, tries=delivery.tries + 1, fault=""))


def not_told(
    incident: Incident,
    delivery: Delivery,
    *,
    fault: str,
    first_wait: timedelta,
    longest_wait: timedelta,
    give_up: timedelta,
    now: datetime,
) -> Incident:
    """Tried again after a wait that doubles, and for `give_up` in all."""
    wait = min(first_wait * 2 ** min(delivery.tries, 20), longest_wait)
    begun = incident.over_at if delivery.part == "over" else incident.fired_at
    after = replace(
        delivery,
        tries=delivery.tries + 1,
        due=now + wait,
        fault=fault,
        given_up=begun is not None and now - begun > give_up,
    )
    return _with(incident, delivery, after)


def _with(incident: Incident, before: Delivery, after: Delivery) -> Incident:
    changed = tuple(
        after if (known.to, known.part) == (before.to, before.part) else known for known in incident.deliveries
    )
    return replace(incident, deliveries=changed)


def replaced(incidents: Iterable[Incident], after: Incident) -> list[Incident]:
    """The incidents with this one as it is now, in its place."""
    return [after if (known.key, known.since) == (after.key, after.since) else known for known in incidents]


def firing(incidents: Iterable[Incident]) -> Mapping[Key, Incident]:
    return {incident.key: incident for incident in incidents if incident.state == "firing"}
