"""A line of a log file, whatever it is, as something that can be shown and searched."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from banyan.contracts.monitor import LogLine

LEVELS = ("debug", "info", "warning", "error", "critical")
ACCESS = "access"

_LONGEST = 4000
_LONGEST_FIELD = 1000
_MOST_FIELDS = 40
_NAMED = frozenset({"at", "process", "level", "event", "request_id"})
_AT = re.compile(rb'"at":\s*"([0-9T:.+Z-]{19,40})"')
_PLAIN = re.compile(r"[a-z0-9_.-]+")
_POSTGRES = re.compile(r"\b(DEBUG[1-5]?|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC): ")
_ENVOY = re.compile(r"\]\[(trace|debug|info|warning|error|critical)\]\[")
_SAID = {
    "warning": "warning", "warn": "warning", "error": "error", "fatal": "error", "panic": "critical",
    "critical": "critical", "exception": "error", "debug": "debug", "trace": "debug",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Search:
    """`words` must all stand in the line, in any case; `level` is the least that is shown."""

    words: tuple[str, ...] = ()
    level: str = ""
    request_id: str = ""

    def may_fit(self, line: bytes) -> bool:
        """Whether it is worth reading what the line says."""
        if self.request_id and self.request_id.encode() not in line:
            return False
        # A word that JSON may have written otherwise is looked for later.
        plain = [word.encode() for word in self.words if _PLAIN.fullmatch(word)]
        return not plain or _all_in(plain, line.lower())

    def fits(self, line: LogLine) -> bool:
        if self.request_id and line.request_id != self.request_id:
            return False
        if self.level and _rank(line.level) < _rank(self.level):
            return False
        if not self.words:
            return True
        text = "\n".join((line.event, line.process, line.request_id, *line.fields, *line.fields.values())).lower()
        return all(word in text for word in self.words)


def moment(line: bytes) -> float | None:
    """When it was written, in seconds since 1970; None where it does not say."""
    found = _AT.search(line)
    if found is None:
        return None
    try:
        at = datetime.fromisoformat(found[1].decode())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def read(line: bytes, *, process: str, at: float) -> LogLine:
    """`at` is for a line that does not say when it was written; `process` is whose file it is."""
    said = _object(line)
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if said is None:
        text = line.decode("utf-8", "replace")[:_LONGEST]
        return LogLine(at=when, process=_owner(process), level=_level_in(text), event=text)
    event = str(said.get("event", ""))[:_LONGEST]
    level = str(said.get("level", "")).lower()
    if process == ACCESS:
        event = f"{said.get('method', '-')} {said.get('path', '-')} {said.get('status', '-')}"[:_LONGEST]
        level = _level_of(said.get("status"))
    elif level in ("", "info"):
        level = _level_in(event)
    fields = {
        str(key)[:_LONGEST_FIELD]: _text(value)[:_LONGEST_FIELD]
        for key, value in list(said.items())[:_MOST_FIELDS]
        if key not in _NAMED and value is not None
    }
    return LogLine(
        at=when,
        process=str(said.get("process") or _owner(process))[:100],
        level=_SAID.get(level, level if level in LEVELS else "info"),
        event=event,
        request_id=str(said.get("request_id") or "")[:200],
        fields=fields,
    )


def _all_in(words: list[bytes], line: bytes) -> bool:
    return all(word in line for word in words)


def _object(line: bytes) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _owner(process: str) -> str:
    return "envoy" if process == ACCESS else process


def _level_in(text: str) -> str:
    """What PostgreSQL and Envoy say in words of their own."""
    found = _POSTGRES.search(text) or _ENVOY.search(text)
    return _SAID.get(found[1].lower(), "info") if found else "info"


def _level_of(status: object) -> str:
    if not isinstance(status, int):
        return "info"
    return "error" if status >= 500 else "warning" if status >= 400 else "info"


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else 1


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
