"""Log lines and traces as links and times. What they say was written by anybody: nothing in it is trusted."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

from banyan.contracts.monitor import LogLine, Trace
from banyan.infra.pages import KOREA

_TRACE = re.compile(r"[0-9a-f]{32}")
_IN_THE_EVENT = ("method", "path", "status")
_REQUEST_IDS = ("banyan.request_id", "request_id", "guid:x-request-id", "http.request.header.x-request-id")


def moment_of(at: str) -> str:
    """To the millisecond, in Korea's time; as it came where it is no time."""
    try:
        return f"{datetime.fromisoformat(at).astimezone(KOREA):%m-%d %H:%M:%S.%f}"[:-3]
    except (ValueError, OverflowError):
        return at[:30]


def trace_of(line: LogLine) -> str:
    """The trace that a line was written in; empty for none."""
    named = line.fields.get("trace_id", "")
    return named if _TRACE.fullmatch(named) else ""


def request_of(trace: Trace) -> str:
    """The request id of a trace; empty for none."""
    found = (span.attributes.get(name) for span in trace.spans for name in _REQUEST_IDS)
    return next(filter(None, found), "")[:200]


def told(name: str, value: str, line: LogLine) -> bool:
    """Whether a field says more than the rest of its line does."""
    if name in ("exception", "stack", "trace_id") or value in ("", "-"):
        return False
    return name not in _IN_THE_EVENT or value not in line.event


def id_of(line: LogLine) -> str:
    """An element's id that stays the line's own while others come above it."""
    text = "\n".join((line.at, line.process, line.event, *line.fields.values()))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def link_of(asked: Mapping[str, str], after: str) -> str:
    """The query that asks the same again, from there on."""
    query = urlencode({name: value for name, value in [*asked.items(), ("after", after)] if value})
    return f"?{query}" if query else ""
