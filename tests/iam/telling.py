"""People whom iam has told of, and what it told of them."""

import uuid
from typing import Any

from banyan.messaging import envelope

from .people import PASSWORD, House

NAME, EMAIL = "떠난이", "gone@example.com"
PLAIN = '{"pii": {"name": "떠난이", "email": "gone@example.com"}, "account_id": "%s", "at": "2026-01-01T00:00:00Z"}'
ADD = """
INSERT INTO event (id, type, key, data, at) VALUES (uuidv7(), 'banyan.iam.account-registered.v1', $1, $2, now())
RETURNING id
"""


async def registered(house: House, email: str = EMAIL) -> str:
    answer = await house.browser().sign_up(email, name=NAME)
    return str(answer.json()["id"])


async def erase(house: House, email: str = EMAIL) -> None:
    browser = house.browser()
    await browser.sign_in(email)
    answer = await browser.ask("DELETE", "/api/v1/me", {"password": PASSWORD})
    assert answer.status_code == 204


async def told_of(house: House, account_id: str) -> list[envelope.Envelope]:
    rows = await house.database.fetch(
        "SELECT * FROM event WHERE key = $1 AND data ? 'pii' ORDER BY position", account_id
    )
    return [
        envelope.of_row(
            event_id=row["id"], kind=row["type"], key=row["key"], data=row["data"], at=row["at"], request_id=None
        )
        for row in rows
    ]


async def plain_event(house: House, account_id: str) -> uuid.UUID:
    """As the program before this one has told of it."""
    found: uuid.UUID = await house.database.fetchval(ADD, account_id, PLAIN % account_id)
    return found


async def unmasked(house: House, event_id: uuid.UUID, by: str = "cli") -> dict[str, Any]:
    body = {"by": by, "reason": "A learner asked what we sent"}
    answer = await house.client.post(f"/internal/messaging/events/{event_id}/unmasked", json=body)
    return dict(answer.json())
