"""`/now`: how a context's consumers and its store are just now."""

import asyncio
import contextlib
from dataclasses import replace

from fastapi import APIRouter, Response

from banyan.contracts.messaging import ConsumerNow, MessagingNow
from banyan.contracts.monitor import Depth
from banyan.infra.http import json_response
from banyan.infra.postgres import Database
from banyan.kit.errors import Unavailable
from banyan.messaging import stock
from banyan.messaging.broker import Broker, Feature
from banyan.messaging.consumers import Consuming, Hearing
from banyan.messaging.letters import pauses

_BROKER_SECONDS = 1.0


def router(context: str, hearing: Hearing, database: Database, *, broker: str, tells: bool) -> APIRouter:
    """`broker` is its name; `tells` whether this context has an outbox."""
    api = APIRouter()

    @api.get("/now")
    async def now() -> Response:
        rebuilt = await _rebuilding(database)
        consumers = await asyncio.gather(
            *(
                _consumer(run, hearing.broker, broker, rebuilding=run.consumer.name in rebuilt)
                for run in hearing.runs.values()
            )
        )
        told = MessagingNow(context=context, consumers=list(consumers))
        with contextlib.suppress(Unavailable):  # its consumers are worth knowing of all the same
            if tells:
                told = replace(
                    told,
                    outbox=await stock.outbox(database),
                    days=await stock.days(database),
                    archived_days=await stock.archived(database),
                )
        return json_response(told)

    return api


async def _consumer(run: Consuming, broker: Broker, name: str, *, rebuilding: bool) -> ConsumerNow:
    depth = await _depth(broker, run.consumer.queue)
    standing = run.standing
    return ConsumerNow(
        name=run.consumer.name,
        source=run.consumer.source,
        broker=name,
        waiting=depth.waiting if depth is not None else None,
        oldest_seconds=depth.oldest_seconds if depth is not None and Feature.AGE in broker.features else None,
        in_flight=len(run.loans),
        rate=round(run.work.rate.per_second(), 2),
        failing=run.work.failures.failing,
        dead=standing.dead,
        parked=standing.parked,
        paused_at=standing.paused_at,
        paused_by=standing.paused_by,
        rebuilding=rebuilding,
        handles=sorted(handler.kind.TYPE for handler in run.consumer.handlers),
    )


async def _depth(broker: Broker, queue: str) -> Depth | None:
    try:
        async with asyncio.timeout(_BROKER_SECONDS):
            return await broker.depth(queue)
    except Exception:  # away, or this role may not ask; each has its own word for it
        return None


async def _rebuilding(database: Database) -> set[str]:
    try:
        return await pauses.rebuilding(database)
    except Unavailable:
        return set()
