"""JSON-line logs on standard output: one object a line, with the time, the process and the request id."""

import logging
import sys

import msgspec
import structlog
from structlog.types import EventDict

from banyan.infra.telemetry import tracing


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
        structlog.processors.format_exc_info,
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


def _to_text(event: EventDict, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
