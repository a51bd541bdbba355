"""`/account`: the name, the password, where one is signed in, and leaving for good."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from fastapi import APIRouter, Request, Response

from banyan.clients.iam import IamClient
from banyan.infra.http_client import ServiceAway, ServiceRefused
from banyan.infra.identity import Caller
from banyan.infra.pages import Pages
from banyan.web.pages import answers
from banyan.web.pages.forms import Forms, Typed
from banyan.web.pages.visitors import caller_of, on_behalf
from banyan.web.views import words
from banyan.web.views.account import session_views

T = TypeVar("T")

HERE = "/account"
_OPTIONAL_SECONDS = 1.5

Change = Callable[[Request, Caller, Typed], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a change went that was not made."""

    status: int = 200
    errors: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    wait: int | None = None


class WrongField(Exception):
    """Something that the form itself can tell."""

    def __init__(self, field_name: str, message: str) -> None:
        self.field, self.message = field_name, message


def add(routes: APIRouter, shown: Pages, iam: IamClient, forms: Forms) -> None:
    changes = _changes(iam)

    async def draw(request: Request, caller: Caller, outcome: Outcome, typed: Typed | None = None) -> Response:
        token = caller.token
        me, sessions = None, None
        if outcome.status != 503:  # whoever has just not answered is not waited for once more
            me, sessions = await asyncio.gather(
                _unless_away(iam.me(token=token)), _unless_away(iam.sessions(token=token))
            )
        done = request.query_params.get("done", "") if request.method == "GET" else ""
        asked = typed.text("do") if typed is not None else ""
        return answers.private(
            shown,
            request,
            "account.html",
            status=outcome.status,
            wait=outcome.wait,
            errors=outcome.errors,
            problem=outcome.problem,
            me=me,
            sessions=session_views(sessions.items) if sessions is not None else None,
            done=done if done in words.DONE else "",
            asked=asked,
            typed_name=typed.text("name") if typed is not None and asked == "name" else None,
        )

    async def page(request: Request) -> Response:
        caller = caller_of(request)
        return await draw(request, caller, Outcome()) if caller is not None else answers.to_sign_in(request)

    async def change(request: Request) -> Response:
        caller = caller_of(request)
        if caller is None:
            return answers.to_sign_in(request)
        typed = await forms.read(request)
        wish = changes.get(typed.text("do"))
        if not typed.ours:
            return await draw(request, caller, Outcome(403, problem="foreign-page"), typed)
        if wish is None:
            return await draw(request, caller, Outcome(422, problem="unknown-wish"))
        try:
            return await wish(request, caller, typed)
        except (WrongField, ServiceAway, ServiceRefused) as refusal:
            if isinstance(refusal, ServiceRefused) and refusal.status == 401:
                return answers.to_sign_in(request)
            return await draw(request, caller, _outcome(refusal), typed)

    routes.add_route(HERE, shown.page(page))
    routes.add_route(HERE, change, methods=["POST"])


def _changes(iam: IamClient) -> dict[str, Change]:
    """What can be asked for here, by the name that its form says it with."""

    async def rename(request: Request, caller: Caller, typed: Typed) -> Response:
        if not typed.text("name"):
            raise WrongField("name", "name-not-usable")
        cookies = await iam.rename(typed.text("name"), token=caller.token, headers=on_behalf(request))
        return answers.onward(f"{HERE}?done=name", cookies=cookies)

    async def change_password(request: Request, caller: Caller, typed: Typed) -> Response:
        if not typed.secret("old"):
            raise WrongField("old", "password-missing")
        if len(typed.secret("password")) < words.SHORTEST_PASSWORD:
            raise WrongField("password", "password-not-usable")
        cookies = await iam.change_password(
            old=typed.secret("old"), new=typed.secret("password"), token=caller.token, headers=on_behalf(request)
        )
        return answers.onward(f"{HERE}?done=password-changed", cookies=cookies)

    async def end_session(request: Request, caller: Caller, typed: Typed) -> Response:
        cookies = await iam.end_session(typed.text("session"), token=caller.token, headers=on_behalf(request))
        return answers.onward(f"{HERE}?done=session", cookies=cookies)

    async def end_others(request: Request, caller: Caller, _: Typed) -> Response:
        cookies = await iam.end_other_sessions(token=caller.token, headers=on_behalf(request))
        return answers.onward(f"{HERE}?done=sessions", cookies=cookies)

    async def leave(request: Request, caller: Caller, typed: Typed) -> Response:
        if typed.text("sure") != "yes":
            raise WrongField("sure", "not-sure")
        if not typed.secret("leave_password"):
            raise WrongField("leave_password", "password-missing")
        try:
            cookies = await iam.erase(
                password=typed.secret("leave_password"), token=caller.token, headers=on_behalf(request)
            )
        except ServiceRefused as refusal:
            if refusal.slug in ("wrong-password", "wrong-credentials"):
                raise WrongField("leave_password", "wrong-password") from None
            raise
        return answers.onward("/login?done=left", cookies=cookies)

    return {
        "name": rename,
        "password": change_password,
        "end": end_session,
        "end-others": end_others,
        "leave": leave,
    }


def _outcome(refusal: WrongField | ServiceAway | ServiceRefused) -> Outcome:
    if isinstance(refusal, WrongField):
        return Outcome(422, errors={refusal.field: refusal.message})
    if isinstance(refusal, ServiceAway):
        return Outcome(503, problem="account-away")
    about = words.FIELD_OF.get(refusal.slug)
    if about is not None:
        return Outcome(422, errors={about: refusal.slug})
    return Outcome(refusal.status, problem=words.problem(refusal.slug), wait=refusal.retry_after)


async def _unless_away(asked: Awaitable[T]) -> T | None:
    """A part that the page can do without is not waited for as long as one that it cannot."""
    try:
        async with asyncio.timeout(_OPTIONAL_SECONDS):
            return await asked
    except (ServiceAway, ServiceRefused, TimeoutError):
        return None
