"""Watchers and what they are told: counts of a course, in the order of their positions. No I/O, no clock."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from banyan.kit.errors import NotFound, Unavailable

LONGEST_SLUG = 100
LONGEST_REPLAY = 1000  # as many positions of a course are kept; a page that missed more only needs the last
# A lower count than the one known is a late event, unless so much time lies between the two that learners have left.
FALLS_AFTER = timedelta(minutes=1)

_SLUG = re.compile(r"\w+(?:-\w+)*")
_POSITION = re.compile(r"[0-9]{1,18}")


class NotWatchable(NotFound):
    """No course can have this address."""


class TooManyWatchers(Unavailable):
    """More pages are open here than this service can keep up to date. The page itself works; reload it later."""

    retry_after = 30


class TooManyFromOneAddress(Unavailable):
    """Too many live pages are open from your address. Close some; the others work without."""

    retry_after = 30


class Ending(Unavailable):
    """This service is being restarted; try again in a moment."""

    retry_after = 1


@dataclass(frozen=True, slots=True)
class Count:
    """The `position`th change of a course's number of learners."""

    position: int
    learners: int


@dataclass(frozen=True, slots=True)
class Limits:
    watchers: int
    per_address: int
    unknown: int  # addresses that no enrolment has been told of: anybody can make up any number of them


@dataclass(slots=True, eq=False)
class Course:
    """A course that somebody watches."""

    slug: str
    latest: Count | None = None
    asked: bool = False  # somebody asks, or has asked, the database for its count
    watchers: "set[Watcher]" = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Watcher:
    """One open stream. It has no queue: what it is told next is the newest count, however many it was too slow for."""

    course: Course
    address: str
    wake: Callable[[], None]
    cut: Callable[[], None]
    since: float  # when it came
    quiet_since: float  # when something was last sent
    sending_since: float | None = None  # while its connection takes nothing
    position: int = 0  # told up to here
    beat: bool = False  # a sign of life is due
    over: bool = False

    def news(self) -> Count | None:
        """The newest count, if this watcher has not been told it; from now on it has been."""
        latest = self.course.latest
        if latest is None or latest.position <= self.position:
            return None
        self.position = latest.position
        return latest

    def end(self) -> None:
        self.over = True
        self.wake()


class Hub:
    """Everybody who watches in this process."""

    def __init__(self, limits: Limits, *, ring: Callable[[], None]) -> None:
        """`ring` is called whenever there is somebody for `waking` to answer."""
        self._limits = limits
        self._ring = ring
        self._changed: dict[Course, None] = {}
        self._courses: dict[str, Course] = {}
        self._unknown: set[str] = set()
        self._addresses: dict[str, int] = {}
        self._watchers: dict[Watcher, None] = {}  # in the order in which they came
        self._ending = False

    @property
    def watchers(self) -> Sequence[Watcher]:
        return list(self._watchers)

    @property
    def slugs(self) -> list[str]:
        return list(self._courses)

    def join(
        self, slug: str, *, address: str, wake: Callable[[], None], cut: Callable[[], None], now: float
    ) -> Watcher:
        """Raises TooManyWatchers, TooManyFromOneAddress, Ending. Who has joined must leave."""
        if self._ending:
            raise Ending
        if len(self._watchers) >= self._limits.watchers:
            raise TooManyWatchers
        if self._addresses.get(address, 0) >= self._limits.per_address:
            raise TooManyFromOneAddress
        course = self._courses.get(slug)
        if course is None:
            if len(self._unknown) >= self._limits.unknown:
                raise TooManyWatchers
            course = self._courses[slug] = Course(slug)
            self._unknown.add(slug)
        watcher = Watcher(course, address, wake, cut, since=now, quiet_since=now)
        course.watchers.add(watcher)
        self._watchers[watcher] = None
        self._addresses[address] = self._addresses.get(address, 0) + 1
        return watcher

    def leave(self, watcher: Watcher) -> None:
        course = watcher.course
        course.watchers.discard(watcher)
        self._watchers.pop(watcher, None)
        if not course.watchers:
            self._courses.pop(course.slug, None)
            self._unknown.discard(course.slug)
        left = self._addresses.get(watcher.address, 0) - 1
        if left > 0:
            self._addresses[watcher.address] = left
        else:
            self._addresses.pop(watcher.address, None)

    def tell(self, slug: str, count: Count) -> None:
        """Take note of a count, in whatever order they come."""
        course = self._courses.get(slug)
        if course is None or (course.latest is not None and course.latest.position >= count.position):
            return
        course.latest = count
        self._unknown.discard(slug)
        self._changed[course] = None
        self._ring()

    def rouse(self) -> None:
        """Wake everybody: some wait for a database that is back."""
        self._changed.update(dict.fromkeys(self._courses.values()))
        self._ring()

    def waking(self) -> Sequence[Watcher]:
        """The watchers of all courses that have changed since this was asked last."""
        watchers = [watcher for course in self._changed for watcher in course.watchers]
        self._changed.clear()
        return watchers

    def look_after(self, *, now: float, heartbeat: float, drain: float, longest: float) -> None:
        """Give signs of life, cut off whom nothing reaches, and end whoever has been here long enough."""
        for watcher in self.watchers:
            if watcher.sending_since is not None:
                if now - watcher.sending_since >= drain:
                    watcher.over = True
                    watcher.cut()
            elif now - watcher.since >= longest:
                watcher.end()
            elif now - watcher.quiet_since >= heartbeat:
                watcher.beat = True
                watcher.wake()

    def end(self) -> None:
        """Let everybody go and nobody in. Who takes nothing is not waited for."""
        self._ending = True
        for watcher in self.watchers:
            watcher.end()
            if watcher.sending_since is not None:
                watcher.cut()

    def cut(self) -> None:
        """Drop whoever is still here."""
        for watcher in self.watchers:
            watcher.end()
            watcher.cut()


def watchable(slug: str) -> str:
    """A course's address in its one normal form. Raises NotWatchable."""
    normal = unicodedata.normalize("NFC", slug[: 4 * LONGEST_SLUG])
    if len(slug) > 4 * LONGEST_SLUG or len(normal) > LONGEST_SLUG or not _SLUG.fullmatch(normal):
        raise NotWatchable
    if normal != normal.lower():
        raise NotWatchable
    return normal


def position_in(text: str | None) -> int | None:
    """The position that a client says it has been told up to; None for none, or for what we never gave out."""
    return int(text) if text is not None and _POSITION.fullmatch(text) and text.isascii() else None


def missed(after: int, latest: Count | None, kept: Iterable[Count]) -> Sequence[Count]:
    """What somebody told up to `after` must be told: every count since, or the last alone where some are gone.

    A position that is still to come was given out before this database was made anew: then the last count is news.
    """
    if latest is None or latest.position == after:
        return ()
    since = [count for count in kept if count.position > after]
    whole = bool(since) and since[0].position == after + 1 and len(since) <= LONGEST_REPLAY
    return since if whole else (latest,)
