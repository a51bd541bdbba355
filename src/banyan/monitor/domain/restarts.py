"""How often each process was started again without anybody having asked for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from banyan.contracts.monitor import Figures
from banyan.monitor.domain.meters import WINDOW
from banyan.monitor.domain.sights import Everybody


@dataclass(frozen=True, slots=True)
class Counted:
    """What monitor must know again after its own restart. Without a supervisor, the start of a process that relieves
    nobody is a restart."""

    epoch: datetime | None = None
    restarts: dict[str, int] = field(default_factory=dict)
    started: dict[str, datetime] = field(default_factory=dict)


class Restarts:
    def __init__(self, counted: Counted | None = None) -> None:
        self.counted = counted or Counted()
        self._moments: list[tuple[datetime, str]] = []
        self._ends: list[tuple[datetime, str]] = []
        self._ended: dict[str, tuple[int, str]] = {}
        self._wanted: dict[str, tuple[int, datetime | None]] = {}

    def note(self, everybody: Everybody, figures: Mapping[str, Figures], *, at: datetime) -> None:
        before = self.counted
        started = {**before.started, **{name: found.started_at for name, found in figures.items()}}
        if everybody.epoch is not None:
            known = before.restarts if before.epoch == everybody.epoch else {}
            self._note_ends(everybody, at=at)
            self._note_wanted(everybody, at=at)
            counts = {seen.name: seen.restarts - seen.wanted for seen in everybody.processes}
            added = {name: count - known.get(name, 0) for name, count in counts.items()}
            # One that is being started again may be seen by its own new start first.
            self.counted = Counted(everybody.epoch, {**known, **counts}, started)
        else:
            unasked = {name for name, found in figures.items() if not found.relieves}
            names = {seen.name for seen in everybody.processes} & unasked & before.started.keys()
            added = {name: 1 for name in names if started[name] != before.started[name]}
            self.counted = Counted(None, {}, started)
        self._moments += [(at, name) for name, count in added.items() for _ in range(count)]
        self._moments = [(moment, name) for moment, name in self._moments if at - WINDOW < moment <= at]

    def _note_ends(self, everybody: Everybody, *, at: datetime) -> None:
        """What ended and was no restart, wanted or not: a session of a database server."""
        for seen in everybody.processes:
            restarts, ended = self._ended.get(seen.name, (seen.restarts, seen.ended))
            if seen.ended != ended and seen.restarts == restarts:
                self._ends.append((at, seen.name))
            self._ended[seen.name] = (seen.restarts, seen.ended)
        self._ends = [(moment, name) for moment, name in self._ends if at - WINDOW < moment <= at]

    def _note_wanted(self, everybody: Everybody, *, at: datetime) -> None:
        for seen in everybody.processes:
            wanted, moment = self._wanted.get(seen.name, (seen.wanted, None))
            self._wanted[seen.name] = (seen.wanted, at if seen.wanted > wanted else moment)

    def wanted_at(self, process: str) -> datetime | None:
        """When a restart that somebody asked for was last seen."""
        return self._wanted.get(process, (0, None))[1]

    def recent_ends(self, process: str) -> int:
        """In the last ten seconds."""
        return sum(name == process for _, name in self._ends)

    def recent(self, process: str) -> int:
        """In the last ten seconds."""
        return sum(name == process for _, name in self._moments)
