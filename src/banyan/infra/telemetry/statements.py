"""SQL statements, timed where a connection sends them: of a pool or alone, in a transaction or not."""

from collections.abc import Awaitable, Callable
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from banyan.infra.telemetry import tracing
from banyan.infra.telemetry.figures import LEDGER, Meter

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[Any]

_METHODS = ("execute", "executemany", "fetch", "fetchrow", "fetchval")


@cache
def observed(database: str) -> "type[Connection]":
    """The class of connections to one database. BEGIN and COMMIT are statements, too."""
    meter = LEDGER.statement(database)
    methods = {name: _observed(getattr(asyncpg.Connection, name), meter, database) for name in _METHODS}
    return type("Observed", (asyncpg.Connection,), {"__slots__": (), **methods})


def _observed(method: Callable[..., Awaitable[Any]], meter: Meter, database: str) -> Callable[..., Awaitable[Any]]:
    async def send(connection: object, query: str, *arguments: object, **options: object) -> object:
        span = tracing.statement(database, query) if tracing.CURRENT.get() is not None else None
        started = perf_counter()
        try:
            answer = await method(connection, query, *arguments, **options)
        except BaseException as fault:
            # A row that is there already is an answer like any other.
            meter.note(perf_counter() - started, failed=not isinstance(fault, _ANSWERS))
            if span is not None:
                tracing.fail(span, fault)
                span.end()
            raise
        meter.note(perf_counter() - started)
        if span is not None:
            span.end()
        return answer

    return send


_ANSWERS = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)
