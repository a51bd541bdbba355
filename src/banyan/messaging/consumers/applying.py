"""Events and their effect, once: in one transaction of the consumer's own database."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import msgspec
import structlog

from banyan.contracts.messaging import DeadState
from banyan.infra.postgres import Connection
from banyan.infra.telemetry import tracing
from banyan.messaging import envelope, privacy
from banyan.messaging.consumers import reading
from banyan.messaging.consumers.consumer import Consumer
from banyan.messaging.consumers.reading import Told
from banyan.messaging.envelope import Envelope
from banyan.messaging.letters import writing
from banyan.messaging.privacy import NotOpened


@dataclass(slots=True)
class Trial:
    """How far it came: `begun` when a handler was called, and the personal data that were in sight."""

    begun: bool = False
    pii: list[object] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Applied:
    """What was not handled, and not at fault: `parked` is written down, `busy` shall come again at once."""

    parked: Sequence[Told]
    busy: Sequence[Told]


async def apply(consumer: Consumer, told: Sequence[Told], trial: Trial) -> Applied:
    """Raises Unreadable for data that do not fit, and whatever the handlers do; then nothing has happened."""
    events = await opened(consumer, told, trial)
    spans = tracing.of_events("handle", "consumer", [(one.envelope.type, one.envelope.traceparent) for one in told])
    with tracing.all_within(spans):
        async with consumer.database.transaction() as tx:
            known = await writing.remember(tx, consumer.name, [one.id for one in told], [one.key for one in told])
            new = known.new
            for one, event, span in zip(told, events, spans, strict=True):
                if one.id in new:
                    new.discard(one.id)
                    trial.begun = True
                    with named_in_logs(one.envelope), tracing.within(span):
                        await one.handler.handle(tx, event)
            return await _park(tx, consumer, told, known)


async def opened(consumer: Consumer, told: Sequence[Told], trial: Trial) -> list[object]:
    """The events themselves, with their personal data. Before the transaction, which must not wait for another
    service. Raises Unreadable, and Unavailable while nobody has the keys."""
    try:
        envelopes = await privacy.opened([one.envelope for one in told], consumer.people)
    except NotOpened as fault:
        if len(told) > 1:
            raise
        raise reading.misfit(told[0], fault) from None
    trial.pii = [one.data.get("pii") for one in envelopes]
    events: list[object] = []
    for one, plain in zip(told, envelopes, strict=True):
        try:
            events.append(envelope.event_in(plain, one.handler.kind))
        except msgspec.ValidationError as fault:
            raise reading.misfit(one, fault) from None
    return events


def named_in_logs(told: Envelope) -> AbstractContextManager[object]:
    """Log lines, and the events that a handler adds, name the request that all this came from."""
    return structlog.contextvars.bound_contextvars(
        event_id=told.id, event_type=told.type, request_id=told.requestid or ""
    )


async def _park(tx: Connection, consumer: Consumer, told: Sequence[Told], known: writing.Remembered) -> Applied:
    if not known.stuck and not known.busy:
        return Applied((), ())
    parked = [one for one in told if one.key in known.stuck]
    if parked:
        await writing.park(tx, consumer.name, [one.letter(DeadState.PARKED, 0) for one in parked])
    return Applied(parked, [one for one in told if one.key in known.busy])
