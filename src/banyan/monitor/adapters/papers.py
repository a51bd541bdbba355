"""Monitor's two files: the rules, which are the operator's, and the incidents, which outlive our own restart."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from banyan.infra.settings import Settings
from banyan.monitor.domain import rules
from banyan.monitor.domain.incidents import Incident
from banyan.monitor.domain.measures import FIGURES
from banyan.monitor.domain.restarts import Counted
from banyan.monitor.domain.rules import RuleBook

log = structlog.get_logger()

_MOST_BYTES = 262_144
_DEMO_OPERATORS = "mail operator@banyan.test"


class RuleFile:
    """Read whenever it has changed; written, with rules that suit most, where there is none."""

    def __init__(self, settings: Settings) -> None:
        self.path = Path(settings.alert_rules) if settings.alert_rules else settings.data / "alerts.rules"
        self._default = rules.default_file(operators=_DEMO_OPERATORS if settings.demo else "")
        self._stamp: tuple[int, int, int] | None = None
        self._book = RuleBook()

    def book(self) -> RuleBook:
        """The rules as they stand there now. A file that cannot be read leaves the rules as they were, and says so."""
        try:
            stamp = _stamp(self.path)
            if stamp is None:
                self._write_default()
                stamp = _stamp(self.path)
            if stamp != self._stamp:
                with self.path.open("rb") as file:
                    text = file.read(_MOST_BYTES).decode("utf-8", "replace")
                self._book = rules.read(text)
                self._stamp = stamp
                log.info("alert rules", rules=len(self._book.rules), faults=self._book.faults)
        except OSError as fault:
            self._stamp = None
            if not self._book.rules and not self._book.lines:
                self._book = rules.read(self._default)
            unread = f"line 0: {self.path.name} cannot be read or written: {fault.strerror}"
            return RuleBook(self._book.rules, self._book.lines, [unread, *self._book.faults], self._book.named)
        return self._book

    def _write_default(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(self._default)


@dataclass(frozen=True, slots=True)
class Notes:
    """What must be known again after a restart."""

    incidents: list[Incident] = field(default_factory=list)
    counted: Counted = field(default_factory=Counted)


class NoteFile:
    def __init__(self, settings: Settings) -> None:
        self._path = settings.run / "alerts.json"
        self._written: bytes | None = None

    def load(self) -> Notes:
        """Nothing where there is no file or a broken one: better to tell somebody twice than to stand still."""
        try:
            notes = msgspec.json.decode(self._path.read_bytes(), type=Notes)
        except FileNotFoundError:
            return Notes()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as fault:
            log.warning("what was known of alerts cannot be read", reason=str(fault))
            return Notes()
        known = [incident for incident in notes.incidents if incident.rule.split()[0] in FIGURES]
        return Notes(known, notes.counted)

    def save(self, incidents: Sequence[Incident], counted: Counted) -> None:
        """Whole or not at all; nothing where nothing has changed. Raises OSError."""
        content = msgspec.json.encode(Notes([each for each in incidents if each.state != "waiting"], counted))
        if content == self._written:
            return
        draft = self._path.with_suffix(".tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.rename(self._path)
        self._written = content


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        known = path.stat()
    except FileNotFoundError:
        return None
    return (known.st_mtime_ns, known.st_size, known.st_ino)
