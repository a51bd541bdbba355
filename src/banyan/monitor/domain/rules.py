"""The file of alert rules: a rule per line, names for whom to tell; a line that is wrong is named and left out."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from banyan.monitor.domain.measures import FIGURES, Unit, listed

Way = Literal["mail", "webhook"]

_RULE = re.compile(
    r"(?P<figure>[a-z_]+\.[a-z0-9_]+)(\s+of\s+(?P<subject>[^\s<>]+))?\s*(?P<op>>=|<=|>|<)\s*"
    r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>%|ms|s|m|/s|B|kB|MB|GB)?\s+"
    r"for\s+(?P<time>\d+(\.\d+)?)\s*(?P<time_unit>ms|s|m|h)(\s*->\s*(?P<whom>.*))?"
)
_NAME = re.compile(r"(?P<name>[a-z][a-z0-9_-]*)\s*=\s*(?P<whom>.*)")
_COMMENT = re.compile(r"(^|\s)#.*")
_MAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")
_UNITS: dict[Unit, dict[str, float]] = {
    "": {},
    "%": {"%": 1.0},
    "/s": {"/s": 1.0},
    "ms": {"ms": 1.0, "s": 1000.0, "m": 60_000.0},
    "s": {"ms": 0.001, "s": 1.0, "m": 60.0},
    "B": {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9},
}
_TIMES = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_LINE = 1000
_MOST_LINES = 1000


@dataclass(frozen=True, slots=True, order=True)
class Recipient:
    way: Way
    address: str

    def __str__(self) -> str:
        """As it stands in the file."""
        return f"{self.way} {self.address}"

    @property
    def shown(self) -> str:
        """As others may read it: what follows a webhook's host is often its secret."""
        return f"webhook {urlsplit(self.address).hostname}" if self.way == "webhook" else str(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """`text` is the condition as it stands in the file: an incident is known by it and its subject."""

    text: str
    line: int
    figure: str
    subject: str | None
    op: str
    threshold: float
    lasting: timedelta
    recipients: tuple[Recipient, ...] = ()

    def is_about(self, subject: str) -> bool:
        return self.subject is None or self.subject == subject

    def holds(self, value: float) -> bool:
        match self.op:
            case ">":
                return value > self.threshold
            case ">=":
                return value >= self.threshold
            case "<":
                return value < self.threshold
            case _:
                return value <= self.threshold


@dataclass(frozen=True, slots=True)
class RuleBook:
    """`lines` are the rules and names as they stand in the file; `faults` say what is wrong with which line."""

    rules: list[Rule] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    named: dict[str, tuple[Recipient, ...]] = field(default_factory=dict)

    @property
    def recipients(self) -> list[Recipient]:
        """Everybody whom any line names."""
        of_rules = [recipient for rule in self.rules for recipient in rule.recipients]
        of_names = [recipient for named in self.named.values() for recipient in named]
        return sorted({*of_rules, *of_names})


class _Wrong(Exception):
    """What is wrong with a line."""


def read(text: str) -> RuleBook:
    """Every line that can be understood; a name counts for the whole file, wherever it stands."""
    book = RuleBook()
    rules: list[tuple[int, str]] = []
    lines = text.splitlines()
    if len(lines) > _MOST_LINES:
        book.faults.append(f"line {_MOST_LINES + 1}: only {_MOST_LINES} lines are read")
    for number, raw in enumerate(lines[:_MOST_LINES], start=1):
        line = _COMMENT.sub("", raw[:_LONGEST_LINE]).strip()
        if not line:
            continue
        book.lines.append(line)
        named = _NAME.fullmatch(line)
        if named is None:
            rules.append((number, line))
            continue
        try:
            book.named[named["name"]] = _recipients(named["whom"], {})
        except _Wrong as wrong:
            book.faults.append(f"line {number}: {wrong}")
    known: set[str] = set()
    for number, line in rules:
        try:
            rule = _rule(number, line, book.named)
            if rule.text in known:
                raise _Wrong(f"'{rule.text}' stands here twice")
            known.add(rule.text)
            book.rules.append(rule)
        except _Wrong as wrong:
            book.faults.append(f"line {number}: {wrong}")
    book.faults.sort(key=lambda fault: int(fault.split(":")[0].removeprefix("line ")))
    return book


def _rule(number: int, line: str, named: dict[str, tuple[Recipient, ...]]) -> Rule:
    found = _RULE.fullmatch(line)
    if found is None:
        raise _Wrong("a rule reads FIGURE [of SUBJECT] > NUMBER for SECONDSs [-> WHOM, WHOM]")
    figure = FIGURES.get(found["figure"])
    if figure is None:
        raise _Wrong(f"there is no figure '{found['figure']}'; there are {', '.join(FIGURES)}")
    factor = 1.0
    if found["unit"]:
        units = _UNITS[figure.unit]
        if found["unit"] not in units:
            takes = f"takes {', '.join(units)}" if units else "has no unit"
            raise _Wrong(f"{found['figure']} {takes}, not {found['unit']}")
        factor = units[found["unit"]]
    return Rule(
        text=" ".join(line.partition("->")[0].split()),
        line=number,
        figure=found["figure"],
        subject=found["subject"],
        op=found["op"],
        threshold=float(found["number"]) * factor,
        lasting=timedelta(seconds=float(found["time"]) * _TIMES[found["time_unit"]]),
        recipients=_recipients(found["whom"], named) if found["whom"] is not None else (),
    )


def _recipients(text: str, named: dict[str, tuple[Recipient, ...]]) -> tuple[Recipient, ...]:
    """Raises _Wrong."""
    found: list[Recipient] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        way, _, address = part.partition(" ")
        address = address.strip()
        if way == "mail" and _MAIL.fullmatch(address):
            found.append(Recipient("mail", address))
        elif way == "webhook" and _is_url(address):
            found.append(Recipient("webhook", address))
        elif way in ("mail", "webhook"):
            raise _Wrong(f"'{part}' is not {'mail NAME@HOST' if way == 'mail' else 'webhook http(s)://HOST/...'}")
        elif part in named:
            found += named[part]
        else:
            raise _Wrong(f"nobody is called '{part}'; write mail NAME@HOST, webhook URL, or {part} = ... on a line")
    return tuple(dict.fromkeys(found))


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and " " not in text
    except ValueError:
        return False


def default_file(*, operators: str) -> str:
    """What stands in the file at first."""
    return _DEFAULT.replace("OPERATORS", operators).replace("FIGURES", listed())


_DEFAULT = """\
# When is somebody told, and who? An edit counts at once; `banyan alert rules` says what is wrong with a line.
#
# A line is a rule:  FIGURE > NUMBER for TIME -> WHOM, WHOM     (also < >= <=; TIME is 500ms, 5s, 2m or 1h)
# for one subject:   FIGURE of SUBJECT > NUMBER for TIME -> WHOM
# or a name:         NAME = WHOM, WHOM
# WHOM is a name, mail NAME@HOST, or webhook URL. A rule without WHOM shows in the console and tells nobody.
# Somebody is told once when it begins and once when it is over. `banyan alert test` tells everybody, as a trial.
#
# Shares are those of the last ten seconds, times those of the last five.
# Units: % ms s m /s B kB MB GB. The figures, and what they are of:
FIGURES

operators = OPERATORS

# Processes and database servers
process.away > 0 for 3s -> operators
process.restarts > 0 for 0s -> operators
process.ended > 0 for 0s -> operators
process.silent > 5s for 0s -> operators
process.answer > 150ms for 5s -> operators
process.loop_lag > 500ms for 3s -> operators
process.memory > 90% for 0s -> operators
process.unwritable > 0 for 0s -> operators
process.cpu > 80% for 8s -> operators
process.shed > 0/s for 3s -> operators

# What visitors are answered
process.errors > 5% for 3s -> operators
process.p50 > 400ms for 2s -> operators
process.p99 > 3s for 6s -> operators
route.errors > 5% for 3s -> operators
side.errors > 5% for 3s -> operators
side.p50 of old > 400ms for 2s -> operators   # an old site that is always slow wants a larger number
side.p99 > 5s for 6s -> operators

# Databases
pool.waiting > 0 for 5s -> operators
sql.errors > 5% for 3s -> operators
sql.p50 > 200ms for 2s -> operators

# Events
outbox.age > 8s for 0s -> operators
queue.age > 10s for 0s -> operators
queue.failures > 0/s for 5s -> operators
queue.dead > 0 for 0s -> operators

# The machine
disk.free < 1GB for 0s -> operators
"""
