"""Where an operation writes down what has happened, in the transaction in which it happens."""

from uuid import UUID

import structlog

from banyan.contracts.events import Event
from banyan.infra.postgres import Connection
from banyan.infra.telemetry import tracing
from banyan.kit.ids import uuid7
from banyan.messaging import envelope, privacy
from banyan.messaging.privacy import Seal

# One statement, because a round trip more is felt in every operation.
_ADD = """
WITH stored AS (
    INSERT INTO event (id, type, key, data, at, request_id, traceparent)
    VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7)
)
INSERT INTO outbox (event_id) VALUES ($1)
"""


async def add(tx: Connection, event: Event, *, seal: Seal | None = None) -> UUID:
    """Publish an event if and when the transaction commits; answers the event's id.

    Change the aggregate's row before: its lock is what makes the positions of one key commit in their order. An event
    with personal data needs the seal of the person they are of. Raises EventRefused, its EventTooLarge, NotSealed.
    """
    envelope.check(event)
    event_id = uuid7()
    data = envelope.data_of(event, pii=privacy.sealed(event, event_id, seal)).decode()
    request_id = structlog.contextvars.get_contextvars().get("request_id") or None
    trace = tracing.traceparent()
    envelope.check_size(event, data, request_id)
    await tx.execute(_ADD, event_id, event.TYPE, event.key(), data, event.at, request_id, trace)
    return event_id
