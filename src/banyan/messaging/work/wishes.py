"""What a replay is asked for: which events, for whom, how fast. What cannot be meant is refused."""

import difflib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from banyan.contracts.messaging import HIGHEST_RATE, ReplayWish
from banyan.kit import times
from banyan.kit.errors import NotFound, Refused
from banyan.messaging import envelope, limits, subscriptions
from banyan.messaging.store import days

_TYPE = re.compile(r"(?P<name>banyan\.[a-z0-9-]+\.[a-z0-9-]+)(?P<version>\.v[0-9]+)?")
# An event is made after it happened, and not much later than its id; clocks of two machines may differ.
_SLACK = timedelta(hours=1)


class EverythingAgain(Refused):
    """This would tell everything again. Choose by type, key, since or until, or say that all is meant (--all)."""


class RateOutOfRange(Refused):
    def __init__(self) -> None:
        super().__init__(f"A rate is 1 to {HIGHEST_RATE:,} events in a second.")


class TimesCrossed(Refused):
    """Nothing lies between these times: `until` must be after `since`."""


class InTheFuture(Refused):
    """`since` lies in the future; what has not happened cannot be told again."""


class NoSuchKey(Refused):
    """No event has such a key: keys are of one line, and at most 256 characters."""


class TypeUnknown(NotFound):
    def __init__(self, kind: str, known: list[str]) -> None:
        near = difflib.get_close_matches(kind, known, n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'?" if near else f"There are {', '.join(known)}."
        super().__init__(f"There is no event type '{kind}' here. {hint}")


class ConsumerUnknown(NotFound):
    def __init__(self, consumer: str, source: str = "") -> None:
        known = [one.consumer for one in subscriptions.SUBSCRIPTIONS if one.consumer.endswith(f"-from-{source}")]
        known = known if source else [one.consumer for one in subscriptions.SUBSCRIPTIONS]
        whose = f" of {source}'s events" if source else ""
        super().__init__(f"There is no consumer '{consumer}'{whose}. There are {', '.join(known) or 'none'}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events. `patterns` are those of LIKE; none of them: every type. Below the id `lowest` inboxes may have
    forgotten what was handled."""

    patterns: list[str]
    key: str | None
    since: datetime | None
    until: datetime | None
    lowest: UUID | None = None

    def conditions(self, first: int) -> tuple[str, list[object]]:
        """As SQL behind an AND, with parameters from `$first` on; only what was asked for, so that its index is
        used."""
        texts, values = ["true"], list[object]()

        def add(text: str, value: object) -> None:
            texts.append(text.format(f"${first + len(values)}"))
            values.append(value)

        if self.patterns:
            add("type LIKE ANY({}::text[])", self.patterns)
        if self.key is not None:
            add("key = {}::text", self.key)
        if self.since is not None:
            add("at >= {}::timestamptz", self.since)
            add("id >= {}::uuid", days.first_id(self.since - _SLACK))
        if self.until is not None:
            add("at < {}::timestamptz", self.until)
        if self.lowest is not None:
            add("id >= {}::uuid", self.lowest)
        return " AND ".join(texts), values


def filter_of(wish: ReplayWish, *, source: str, now: datetime) -> Filter:
    """Raises EverythingAgain, RateOutOfRange, TimesCrossed, InTheFuture, NoSuchKey, TypeUnknown, ConsumerUnknown."""
    if not 1 <= wish.rate <= HIGHEST_RATE:
        raise RateOutOfRange
    since, until = times.bounded(wish.since), times.bounded(wish.until)
    if since is not None and since > now:
        raise InTheFuture
    if since is not None and until is not None and until <= since:
        raise TimesCrossed
    if not (wish.all or wish.types or wish.key or since or until):
        raise EverythingAgain
    if wish.key and not limits.is_key(wish.key):
        raise NoSuchKey
    patterns = _patterns(wish.types, source=source)
    if wish.consumer is not None:
        patterns = _heard(wish.consumer, wish.types, patterns, source=source)
    return Filter(patterns=patterns, key=wish.key or None, since=since, until=until)


def _patterns(types: list[str], *, source: str) -> list[str]:
    known = sorted({envelope.name_of(kind) for kind in envelope.TYPES if envelope.source_of(kind) == source})
    patterns = []
    for kind in types:
        found = _TYPE.fullmatch(kind)
        if found is None or found["name"] not in known:
            raise TypeUnknown(kind, known)
        patterns.append(kind if found["version"] else f"{found['name']}.v%")
    return patterns


def _heard(consumer: str, types: list[str], patterns: list[str], *, source: str) -> list[str]:
    """The patterns of what this consumer hears of, as far as they were asked for."""
    try:
        subscription = subscriptions.subscription_of(consumer)
    except LookupError:
        raise ConsumerUnknown(consumer) from None
    if not consumer.endswith(f"-from-{source}"):
        raise ConsumerUnknown(consumer, source)
    heard = sorted({envelope.name_of(event.TYPE) for event in subscription.events})
    for kind, pattern in zip(types, patterns, strict=True):
        if envelope.name_of(pattern) not in heard:
            raise Refused(f"{consumer} does not hear of {kind}; it hears of {', '.join(heard)}.")
    return patterns or [f"{name}.v%" for name in heard]
