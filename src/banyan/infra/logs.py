"""JSON-line logs on standard output: one object a line, with the time, the process and the request id."""

import logging
import sys
import traceback
from collections.abc import Iterator

import msgspec
import structlog
from structlog.types import EventDict, ExcInfo

from banyan.infra.telemetry import tracing

_SHORTEST_LINE = 3


def configure(process: str) -> None:
    """Make structlog and the standard logger write JSON lines for this process."""

    def add_process(_: object, __: str, event: EventDict) -> EventDict:
        event["process"] = process
        if tracing.CURRENT.get() is not None:
            event["trace_id"] = tracing.trace_id()
        return event

    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        add_process,
        structlog.processors.ExceptionRenderer(_traceback),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_to_text)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=structlog.processors.JSONRenderer(serializer=_to_text), foreign_pre_chain=shared
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _traceback(exc_info: ExcInfo) -> str:
    """As Python prints it, but for what PostgreSQL says as DETAIL: there it repeats whole rows, and people are in
    some of them."""
    told = "".join(traceback.format_exception(*exc_info)).rstrip("\n")
    for detail in _details(exc_info[1]):
        for line in detail.splitlines():  # each of which a group's traceback indents
            told = told.replace(line, "...") if len(line) >= _SHORTEST_LINE else told
    return told


def _details(fault: BaseException | None) -> Iterator[str]:
    seen: set[int] = set()
    waiting = [fault]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if detail := getattr(one, "detail", None):
            yield str(detail)
        waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]


def _to_text(event: EventDict, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
