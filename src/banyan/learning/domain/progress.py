"""How far somebody is in a lesson. Heartbeats may come twice, late and in any order; the outcome is the same.

Times within a lesson are whole half seconds here: exact to add up, and finer than anybody seeks.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from banyan.kit.errors import Refused
from banyan.learning.domain.courses import LONGEST_LESSON_SECONDS, LessonKind

TICKS_PER_SECOND = 2
ENOUGH_PERCENT = 90  # nobody watches the end titles
MOST_RANGES = 200
MOST_RANGES_AT_ONCE = 100
_OLDEST_REPORT = timedelta(days=30)

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""From-to pairs, each longer than nothing, in order, with gaps between them."""


class HeartbeatNotUsable(Refused):
    """A heartbeat has a position, and ranges of from and to in seconds, none of them beyond a day."""


class TooManyRanges(Refused):
    """A heartbeat has at most 100 ranges. Report what was watched since the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What a player reports: where it is, what it has played, and when that was."""

    position: int
    watched: Ranges
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What of a lesson matters to progress, in the version that is published now."""

    kind: LessonKind
    duration_seconds: int

    @property
    def ticks(self) -> int:
        return self.duration_seconds * TICKS_PER_SECOND if self.kind is LessonKind.VIDEO else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonProgress:
    """`percent` only ever grows: what a learner has reached stays, even when the lesson is made longer afterwards."""

    watched: Ranges
    position: int
    positioned_at: datetime
    percent: int

    @property
    def completed(self) -> bool:
        return self.percent == 100

    def heard(self, beat: Heartbeat, lesson: Lesson) -> "LessonProgress":
        """The progress after one more heartbeat. A late one adds what was watched, and leaves the position."""
        watched = united([*self.watched, *clipped(beat.watched, lesson.ticks)])
        grown = replace(self, watched=watched, percent=max(self.percent, _percent(watched, lesson)))
        position = min(beat.position, lesson.ticks)
        if (beat.sent_at, position) > (self.positioned_at, self.position):
            return replace(grown, position=position, positioned_at=beat.sent_at)
        return grown


def begun(beat: Heartbeat, lesson: Lesson) -> LessonProgress:
    """The progress after the first heartbeat."""
    nothing = LessonProgress(watched=(), position=0, positioned_at=beat.sent_at, percent=0)
    return nothing.heard(beat, lesson)


def heartbeat(
    *, position_seconds: float, watched: Sequence[Sequence[float]], sent_at: datetime | None, now: datetime
) -> Heartbeat:
    """A heartbeat in normal form. Raises HeartbeatNotUsable, TooManyRanges.

    Without `sent_at` it counts from when it arrived. One from the future counts from now, so that a wrong clock cannot
    hold the position for itself.
    """
    if len(watched) > MOST_RANGES_AT_ONCE:
        raise TooManyRanges
    ranges = []
    for pair in watched:
        if len(pair) != 2 or pair[0] > pair[1]:
            raise HeartbeatNotUsable
        ranges.append((_ticks(pair[0]), _ticks(pair[1])))
    if sent_at is not None and sent_at.tzinfo is None:
        raise HeartbeatNotUsable("`sent_at` has no time zone.")
    return Heartbeat(
        position=_ticks(position_seconds),
        watched=united(ranges),
        sent_at=now if sent_at is None else max(now - _OLDEST_REPORT, min(sent_at, now)),
    )


def course_percent(lesson_percents: Iterable[int]) -> int:
    """Every lesson counts the same; 100 only when each is completed."""
    percents = list(lesson_percents)
    return sum(percents) // len(percents) if percents else 0


def united(ranges: Iterable[tuple[int, int]], *, most: int = MOST_RANGES) -> Ranges:
    """The ranges as one set. Past `most`, the smallest gaps are closed, in favour of whoever jumps about so much."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    while len(joined) > most:
        at = min(range(1, len(joined)), key=lambda index: joined[index][0] - joined[index - 1][1])
        joined[at - 1 : at + 1] = [(joined[at - 1][0], joined[at][1])]
    return tuple(joined)


def clipped(ranges: Ranges, end: int) -> Ranges:
    """What of the ranges lies before `end`."""
    return tuple((start, min(stop, end)) for start, stop in ranges if start < end)


def length(ranges: Ranges) -> int:
    return sum(end - start for start, end in ranges)


def _percent(watched: Ranges, lesson: Lesson) -> int:
    """A text, and a video of no length, are completed by being opened."""
    if lesson.ticks == 0:
        return 100
    share = 100 * length(clipped(watched, lesson.ticks)) // lesson.ticks
    return 100 if share >= ENOUGH_PERCENT else share


def _ticks(seconds: float) -> int:
    if not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_LESSON_SECONDS:
        raise HeartbeatNotUsable
    return round(seconds * TICKS_PER_SECOND)
