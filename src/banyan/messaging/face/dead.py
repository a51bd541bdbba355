"""`/dead`: what could not be handled, and what is done about it; `/consumers`: who hears no more for a while."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from banyan.contracts.messaging import DeadChoice, DeadOutcome
from banyan.infra.http import json_response
from banyan.infra.postgres import Database
from banyan.kit.errors import NotFound
from banyan.kit.paging import DEFAULT_LIMIT, MAX_LIMIT, CursorNotOurs
from banyan.messaging.consumers import Consuming, Hearing
from banyan.messaging.letters import choosing, looking, pauses

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Short = Annotated[str, Query(max_length=200)]

_HIGHEST = 2**63 - 1


class ConsumerUnknown(NotFound):
    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"There is no consumer '{name}' here. There are: {', '.join(known) or 'none'}.")


def router(hearing: Hearing, database: Database) -> APIRouter:
    api = APIRouter()
    api.include_router(_letters(hearing, database))
    api.include_router(_consumers(hearing, database))
    return api


def _letters(hearing: Hearing, database: Database) -> APIRouter:
    api = APIRouter(prefix="/dead")

    @api.get("")
    async def dead(consumer: Short = "", after: Short = "", limit: Limit = DEFAULT_LIMIT) -> Response:
        await check(consumer or None)
        return json_response(await looking.page(database, consumer=consumer, after=_place(after), limit=limit))

    @api.get("/{letter_id}")
    async def letter(letter_id: int) -> Response:
        return json_response(await looking.whole(database, letter_id))

    @api.post("/redrive")
    async def redrive(choice: DeadChoice) -> Response:
        await check(choice.consumer)
        return told(await choosing.redrive(database, choice))

    @api.post("/discard")
    async def discard(choice: DeadChoice) -> Response:
        await check(choice.consumer)
        return told(await choosing.discard(database, choice))

    def told(outcome: DeadOutcome) -> Response:
        for run in hearing.runs.values():
            run.redriver.wake()
            run.standing.count_now()
        return json_response(outcome)

    async def check(consumer: str | None) -> None:
        """One that is gone may have left letters."""
        if consumer is not None and consumer not in hearing.runs:
            known = hearing.runs.keys() | await looking.consumers(database)
            if consumer not in known:
                raise ConsumerUnknown(consumer, sorted(known))

    return api


def _consumers(hearing: Hearing, database: Database) -> APIRouter:
    api = APIRouter(prefix="/consumers/{name}")

    @api.post("/pause", status_code=204)
    async def pause(name: str, by: Short = "") -> Response:
        run = found(name)
        await pauses.pause(database, name, by=by)
        run.standing.look_now()
        return Response(status_code=204)

    @api.post("/resume", status_code=204)
    async def resume(name: str) -> Response:
        run = found(name)
        await pauses.resume(database, name)
        run.standing.look_now()
        return Response(status_code=204)

    def found(name: str) -> Consuming:
        if name not in hearing.runs:
            raise ConsumerUnknown(name, sorted(hearing.runs))
        return hearing.runs[name]

    return api


def _place(after: str) -> int:
    if not after:
        return 0
    if not (after.isascii() and after.isdecimal() and len(after) < len(str(_HIGHEST))):
        raise CursorNotOurs
    return int(after)
