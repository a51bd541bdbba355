"""What an operator does about events: pause, try again, throw away, cancel, look at personal data. Each is written to
the log with who did it."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from banyan.contracts.identity import Permission
from banyan.contracts.messaging import DeadChoice, Unmasking
from banyan.gateway.adapters.messaging import Messaging
from banyan.gateway.http.console.looking import Looking, number
from banyan.gateway.http.guard import Guard
from banyan.infra.http_client import ServiceAway
from banyan.kit.errors import Forbidden, Refusal, Refused

log = structlog.get_logger()

LONGEST_REASON = 200

Ask = Callable[[], Awaitable[object]]
ShowPage = Callable[..., Awaitable[Response]]
Render = Callable[..., Awaitable[Response]]


class OutcomeUnknown(Refusal):
    """The process did not answer in time. It may have been done all the same; look before you try again."""

    status = 503


class ReasonMissing(Refused):
    """Say why you look. It is written down beside your name."""


class PersonalDataNotPermitted(Forbidden):
    """Your account may not see personal data: that takes the role admin beside operator."""


class Buttons:
    """`show` answers a page of its name again, with a refusal on it; `render` a template."""

    def __init__(
        self, home: str, guard: Guard, messaging: Messaging, looking: Looking, *, show: ShowPage, render: Render
    ) -> None:
        self._home = f"{home}/events"
        self._guard = guard
        self._messaging = messaging
        self._looking = looking
        self._show = show
        self._render = render

    def router(self) -> APIRouter:
        api = APIRouter(prefix=self._home, include_in_schema=False)
        api.add_api_route("/{context}/consumers/{name}", self._pause, methods=["POST"])
        api.add_api_route("/{context}/dead/redrive", self._redrive, methods=["POST"])
        api.add_api_route("/{context}/dead/{letter_id}/discard", self._discard, methods=["POST"])
        api.add_api_route("/{context}/replays/{work_id}/cancel", self._cancel_replay, methods=["POST"])
        api.add_api_route("/{context}/rebuilds/{work_id}/cancel", self._cancel_rebuild, methods=["POST"])
        api.add_api_route("/{context}/stored/{event_id}/unmasked", self._unmask, methods=["POST"])
        return api

    async def _pause(self, request: Request, context: str, name: str) -> Response:
        caller = await self._guard.check(request)
        wanted = (await request.form()).get("wanted")
        if wanted not in ("pause", "resume"):
            raise HTTPException(422, "A consumer is paused or resumed.")
        client = self._messaging.of(context)
        ask = client.pause if wanted == "pause" else client.resume
        refused = await self._done(request, "events", lambda: ask(name, by=caller.account_id))
        if refused is not None:
            return refused
        log.info("consumer paused" if wanted == "pause" else "consumer resumed", consumer=name, by=caller.account_id)
        return _onward(f"{self._home}#consumer-{quote(name)}")

    async def _redrive(self, request: Request, context: str) -> Response:
        """One letter and with it its key, or all of a consumer."""
        caller = await self._guard.check(request)
        form = await request.form()
        letter, consumer = str(form.get("letter", "")), str(form.get("consumer", ""))
        if bool(letter) == bool(consumer):
            raise HTTPException(422, "Name one dead letter, or the consumer whose letters are all to be tried again.")
        choice = DeadChoice(id=number(letter)) if letter else DeadChoice(consumer=consumer)
        client = self._messaging.of(context)
        refused = await self._done(request, "dead", lambda: client.redrive(choice))
        if refused is not None:
            return refused
        log.info("dead letters redriven", context=context, letter=letter, consumer=consumer, by=caller.account_id)
        return _onward(f"{self._home}/dead")

    async def _discard(self, request: Request, context: str, letter_id: str) -> Response:
        """Asks first, on a page of its own, where no dialog has."""
        caller = await self._guard.check(request)
        client = self._messaging.of(context)
        if (await request.form()).get("sure") != "yes":
            return await self._render(request, "discard.html", await self._looking.letter(context, letter_id))
        choice = DeadChoice(id=number(letter_id))
        refused = await self._done(request, "dead", lambda: client.discard(choice))
        if refused is not None:
            return refused
        log.warning("dead letter discarded", context=context, letter=letter_id, by=caller.account_id)
        return _onward(f"{self._home}/dead")

    async def _cancel_replay(self, request: Request, context: str, work_id: str) -> Response:
        return await self._cancelled(request, context, "replay", work_id)

    async def _cancel_rebuild(self, request: Request, context: str, work_id: str) -> Response:
        return await self._cancelled(request, context, "rebuild", work_id)

    async def _cancelled(self, request: Request, context: str, kind: str, work_id: str) -> Response:
        caller = await self._guard.check(request)
        client = self._messaging.of(context)
        ask = client.cancel_replay if kind == "replay" else client.cancel_rebuild
        refused = await self._done(request, "events", lambda: ask(work_id))
        if refused is not None:
            return refused
        log.info(f"{kind} cancelled", context=context, id=work_id, by=caller.account_id)
        return _onward(f"{self._home}#work")

    async def _unmask(self, request: Request, context: str, event_id: str) -> Response:
        """The page of the event with its personal data, once: nothing keeps it, and iam writes the look down."""
        caller = await self._guard.check(request)
        if not caller.may(Permission.SEE_PERSONAL_DATA):
            raise PersonalDataNotPermitted
        client = self._messaging.of(context)
        reason = str((await request.form()).get("reason", "")).strip()[:LONGEST_REASON]
        try:
            if not reason:
                raise ReasonMissing
            event = await client.unmasked(event_id, Unmasking(by=caller.account_id, reason=reason))
        except Refusal as refusal:
            values = await self._looking.event(context, event_id, caller)
            return await self._render(request, "stored.html", values, refusal=refusal)
        log.warning("personal data seen", event_id=event_id, by=caller.account_id)
        return await self._render(request, "stored.html", self._looking.shown(context, event, caller))

    async def _done(self, request: Request, page: str, ask: Ask) -> Response | None:
        """None where it was done; the page with the reason where it was not."""
        try:
            await ask()
        except ServiceAway:
            return await self._show(request, page, refusal=OutcomeUnknown())
        except Refusal as refusal:
            return await self._show(request, page, refusal=refusal)
        finally:
            self._messaging.forget()
        return None


def _onward(address: str) -> Response:
    return Response(status_code=303, headers={"location": address, "cache-control": "no-store"})
