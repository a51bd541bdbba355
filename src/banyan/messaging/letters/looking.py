"""Dead letters as operators see them."""

from typing import Any

import msgspec

from banyan.contracts.messaging import MASK, DeadLetter, DeadPage, DeadState, WholeDeadLetter
from banyan.infra.postgres import Database, Row
from banyan.kit.errors import NotFound
from banyan.messaging.broker import MOST_COUNTED

LONGEST_BODY = 20_000

_LETTER = """
SELECT id, consumer, key, event_id, type, state, attempts, error, at, redrive_at IS NOT NULL AS redriving,
    (SELECT count(*) FROM dead_letter AS later WHERE later.consumer = dead_letter.consumer
        AND later.key = dead_letter.key AND later.id > dead_letter.id) AS behind
"""
LIST = (
    _LETTER
    + """FROM dead_letter JOIN stuck_key USING (consumer, key)
WHERE ($1 = '' OR consumer = $1) AND id > $2 ORDER BY id LIMIT $3
"""
)
TOTAL = "SELECT count(*) FROM (SELECT FROM dead_letter WHERE $1 = '' OR consumer = $1 LIMIT $2) AS counted"
SHOW = _LETTER + ", traceback, body FROM dead_letter JOIN stuck_key USING (consumer, key) WHERE id = $1"
CONSUMERS = "SELECT DISTINCT consumer FROM stuck_key"


class DeadLetterUnknown(NotFound):
    def __init__(self, letter_id: int) -> None:
        super().__init__(f"There is no dead letter {letter_id} here; `banyan event dead ls` lists them.")


def is_number(letter_id: int) -> bool:
    """Whether a letter may have it."""
    return 0 < letter_id < 1 << 63


async def page(database: Database, *, consumer: str, after: int, limit: int) -> DeadPage:
    """Oldest first; an empty `consumer` means all."""
    rows = await database.fetch(LIST, consumer, after, limit + 1)
    items = [_letter(row) for row in rows[:limit]]
    total = await database.fetchval(TOTAL, consumer, MOST_COUNTED)
    return DeadPage(items=items, next=str(items[-1].id) if len(rows) > limit else None, total=total)


async def whole(database: Database, letter_id: int) -> WholeDeadLetter:
    """Raises DeadLetterUnknown."""
    row = await database.fetchrow(SHOW, letter_id) if is_number(letter_id) else None
    if row is None:
        raise DeadLetterUnknown(letter_id)
    return WholeDeadLetter(letter=_letter(row), traceback=row["traceback"], body=shown(row["body"]))


async def consumers(database: Database) -> set[str]:
    """Those with dead letters, some of which may not exist any more."""
    return {row["consumer"] for row in await database.fetch(CONSUMERS)}


def shown(body: bytes) -> str:
    """What came, without personal data where they can be told from the rest."""
    try:
        told = msgspec.json.format(msgspec.json.encode(_masked(msgspec.json.decode(body))), indent=2).decode()
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        told = body[:LONGEST_BODY].decode("utf-8", "replace")
    return told if len(told) <= LONGEST_BODY else told[:LONGEST_BODY] + "\n... (shortened)"


def _masked(value: Any) -> Any:
    """Whatever stands in a `pii`, sealed or not, wherever that stands."""
    if isinstance(value, dict):
        return {key: _hidden(part) if key == "pii" else _masked(part) for key, part in value.items()}
    return [_masked(part) for part in value] if isinstance(value, list) else value


def _hidden(value: Any) -> Any:
    return dict.fromkeys(value, MASK) if isinstance(value, dict) else MASK


def _letter(row: Row) -> DeadLetter:
    return DeadLetter(
        id=row["id"],
        consumer=row["consumer"],
        key=row["key"],
        event_id=str(row["event_id"]),
        type=row["type"],
        state=DeadState(row["state"]),
        attempts=row["attempts"],
        error=row["error"],
        at=row["at"],
        behind=row["behind"],
        redriving=row["redriving"],
    )
