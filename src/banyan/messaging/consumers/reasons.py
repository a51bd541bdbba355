"""Why something was not handled: whose fault that is, and what may be written down of it."""

import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asyncpg

from banyan.contracts.messaging import MASK
from banyan.infra.postgres import Database, DatabaseAway
from banyan.kit.errors import Unavailable

LONGEST_ERROR = 1_000
LONGEST_TRACEBACK = 20_000
_SHORTEST_SECRET = 2
_NEVER_REPEATED = (asyncpg.PostgresError, asyncpg.InterfaceError)
_CUT = "\n... (shortened) ...\n"

# What a database did not finish in time: it hangs, or only this event does.
_TOOK_TOO_LONG = (TimeoutError, asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)


async def is_outside(fault: BaseException, database: Database, *, begun: bool) -> bool:
    """Whether the event has nothing to do with it, so that it will be handled when the world is well again. `begun`:
    its handler had been called."""
    if isinstance(fault, asyncpg.TransactionRollbackError):  # two of us met: a deadlock
        return True
    if not isinstance(fault, DatabaseAway | TimeoutError):
        return isinstance(fault, Unavailable)
    if isinstance(fault, DatabaseAway) and (not begun or not isinstance(fault.__cause__, _TOOK_TOO_LONG)):
        return True
    try:
        await database.ready()
    except Unavailable:
        return True
    return False


def is_of_the_database(fault: BaseException) -> bool:
    return isinstance(fault, DatabaseAway | TimeoutError)


def described(fault: BaseException, pii: object = None, *, private: bool = False) -> tuple[str, str]:
    """(its class and message, its traceback) for whoever mends it; personal data of the event are in neither.
    `private`: there are some that nobody can name here.

    The database repeats values in what it says, so of an event with personal data only the kind of such a fault is
    told, and its DETAIL, which has whole rows, of none.
    """
    secrets = sorted(set(_texts(pii)), key=len, reverse=True)
    private = private or bool(secrets)
    error = _without(secrets, _message(fault, private=private))
    told = "\n".join(_chain(fault, private=private))
    return text(error, LONGEST_ERROR), _shortened(text(_without(secrets, told)))


def text(value: str, most: int | None = None) -> str:
    """As PostgreSQL takes it."""
    return value[:most].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _chain(fault: BaseException, *, private: bool) -> Iterable[str]:
    """Oldest cause first, as Python prints it, but with our own messages."""
    earlier = fault.__cause__ or (None if fault.__suppress_context__ else fault.__context__)
    if earlier is not None:
        yield from _chain(earlier, private=private)
        yield "\nwhich led to:\n"
    yield "Traceback (most recent call last):"
    for frame in traceback.extract_tb(fault.__traceback__):
        yield f"  {_place(frame.filename)}:{frame.lineno}, in {frame.name}"
        if frame.line:
            yield f"    {frame.line}"
    yield _message(fault, private=private)


def _message(fault: BaseException, *, private: bool) -> str:
    kind = type(fault).__name__
    if isinstance(fault, _NEVER_REPEATED):
        if private:
            return f"{kind} (its message may repeat personal data and is left out)"
        return f"{kind}: {fault.args[0] if fault.args else ''}"  # not its DETAIL
    said = str(fault)
    return f"{kind}: {said}" if said else kind


def _place(filename: str) -> str:
    """From the package's folder on."""
    parts = Path(filename).parts
    for mark in ("banyan", "site-packages"):
        if mark in parts:
            return "/".join(parts[len(parts) - 1 - parts[::-1].index(mark) :])
    return parts[-1] if parts else filename


def _without(secrets: Iterable[str], told: str) -> str:
    for secret in secrets:
        told = re.sub(re.escape(secret), MASK, told, flags=re.IGNORECASE)
    return told


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str) and len(value) >= _SHORTEST_SECRET:
        yield value


def _shortened(told: str) -> str:
    """The end says most, and the start where it came from."""
    if len(told) <= LONGEST_TRACEBACK:
        return told
    start = LONGEST_TRACEBACK // 4
    return told[:start] + _CUT + told[-(LONGEST_TRACEBACK - start - len(_CUT)) :]
