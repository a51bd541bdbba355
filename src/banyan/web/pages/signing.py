"""`/login`, `/signup` and `/logout`: one sign-in for both sides."""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Request, Response

from banyan.clients.iam import IamClient
from banyan.contracts import identity
from banyan.contracts.iam import Credentials, NewAccount
from banyan.infra.http_client import ServiceAway, ServiceRefused
from banyan.infra.pages import Pages
from banyan.web.pages import answers
from banyan.web.pages.forms import Forms, Typed
from banyan.web.pages.visitors import caller_of, on_behalf, token_of
from banyan.web.views import addresses, words

# The old site's own box on each of its pages posts here, too, and its links say where to go on in `url`.
_EMAIL = ("email", "userid")
_PASSWORD = ("password", "passwd")
_NEXT = ("next", "url")

_OURS = (identity.SESSION_COOKIE, identity.FRESH_COOKIE, identity.REFERENCE_COOKIE)


def add(routes: APIRouter, shown: Pages, iam: IamClient, forms: Forms, *, site: str) -> None:
    draw = _drawer(shown)

    async def sign_in_page(request: Request) -> Response:
        onward = _asked_for(request, site=site)
        if caller_of(request) is not None:
            return answers.onward(onward)
        done = request.query_params.get("done", "")
        return draw(request, "sign-in.html", onward, done=done if done in words.DONE else "")

    async def sign_in(request: Request) -> Response:
        typed = await forms.read(request)
        email, onward = typed.text(*_EMAIL), addresses.same_site(typed.text(*_NEXT))

        async def attempt() -> list[str]:
            given = Credentials(email=email, password=typed.secret(*_PASSWORD))
            return await iam.sign_in(given, headers=on_behalf(request))

        missing = {"email": "email-missing"} if not email else {}
        if not typed.secret(*_PASSWORD):
            missing["password"] = "password-missing"  # noqa: S105 # the name of a message
        return await _tried(request, "sign-in.html", typed, onward, missing, attempt, email=email)

    async def sign_up_page(request: Request) -> Response:
        onward = _asked_for(request, site=site)
        return answers.onward(onward) if caller_of(request) else draw(request, "sign-up.html", onward)

    async def sign_up(request: Request) -> Response:
        typed = await forms.read(request)
        name, email, onward = typed.text("name"), typed.text(*_EMAIL), addresses.same_site(typed.text(*_NEXT))

        async def attempt() -> list[str]:
            wanted = NewAccount(email=email, password=typed.secret(*_PASSWORD), name=name)
            return await iam.sign_up(wanted, headers=on_behalf(request))

        missing = {} if name else {"name": "name-not-usable"}
        if "@" not in email[1:]:
            missing["email"] = "email-not-usable"
        if len(typed.secret(*_PASSWORD)) < words.SHORTEST_PASSWORD:
            missing["password"] = "password-not-usable"  # noqa: S105 # the name of a message
        return await _tried(request, "sign-up.html", typed, onward, missing, attempt, email=email, name=name)

    async def _tried(
        request: Request,
        template: str,
        typed: Typed,
        onward: str,
        missing: Mapping[str, str],
        attempt: Callable[[], Awaitable[list[str]]],
        **kept: str,
    ) -> Response:
        """On with the cookies of a new session, or the same form again with what was typed and what is wrong."""
        if not typed.ours:
            return draw(request, template, onward, status=403, problem="foreign-page", **kept)
        if missing:
            return draw(request, template, onward, status=422, errors=missing, **kept)
        try:
            return answers.onward(onward, cookies=await attempt())
        except ServiceAway:
            return draw(request, template, onward, status=503, problem="sign-in-away", **kept)
        except ServiceRefused as refusal:
            field = words.FIELD_OF.get(refusal.slug)
            if field is not None:
                return draw(request, template, onward, status=422, errors={field: refusal.slug}, **kept)
            return draw(
                request,
                template,
                onward,
                status=refusal.status,
                problem=words.problem(refusal.slug),
                wait=refusal.retry_after,
                **kept,
            )

    routes.add_route("/login", shown.page(sign_in_page))
    routes.add_route("/login", sign_in, methods=["POST"])
    routes.add_route("/signup", shown.page(sign_up_page))
    routes.add_route("/signup", sign_up, methods=["POST"])
    _add_sign_out(routes, shown, iam, forms, draw, site=site)


def _add_sign_out(
    routes: APIRouter, shown: Pages, iam: IamClient, forms: Forms, draw: Callable[..., Response], *, site: str
) -> None:
    async def sign_out_page(request: Request) -> Response:
        if _followed_a_link_of_ours(request, site=site):
            return await _signed_out(request)
        if caller_of(request) is None and identity.REFERENCE_COOKIE not in request.cookies:
            return answers.onward("/")
        return draw(request, "sign-out.html", "/")

    async def sign_out(request: Request) -> Response:
        typed = await forms.read(request)
        if not typed.ours:
            return draw(request, "sign-out.html", "/", status=403, problem="foreign-page")
        return await _signed_out(request)

    async def _signed_out(request: Request) -> Response:
        # Whatever iam says, this browser forgets the session: who signs out at a shared computer must be out.
        cookies = [f"{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax" for name in _OURS]
        try:
            if caller_of(request) is not None or identity.REFERENCE_COOKIE in request.cookies:
                cookies += await iam.sign_out(token=token_of(request), headers=on_behalf(request))
        except (ServiceAway, ServiceRefused):
            pass
        return answers.onward("/", cookies=cookies)

    routes.add_route("/logout", shown.page(sign_out_page))
    routes.add_route("/logout", sign_out, methods=["POST"])


def _drawer(shown: Pages) -> Callable[..., Response]:
    def draw(
        request: Request,
        template: str,
        onward: str,
        *,
        status: int = 200,
        problem: str = "",
        wait: int | None = None,
        errors: Mapping[str, str] | None = None,
        done: str = "",
        email: str = "",
        name: str = "",
    ) -> Response:
        return answers.private(
            shown,
            request,
            template,
            status=status,
            wait=wait,
            onward=onward,
            problem=problem,
            errors=errors or {},
            done=done,
            email=email,
            name=name,
        )

    return draw


def _asked_for(request: Request, *, site: str) -> str:
    """Where to go on: what the link says, else the page of ours that the visitor comes from."""
    query = request.query_params
    asked = query.get("next") or query.get("url") or addresses.origin_path(request.headers.get("referer", ""), site)
    return addresses.same_site(asked) if asked else addresses.HOME


def _followed_a_link_of_ours(request: Request, *, site: str) -> bool:
    """A person on a page of ours who clicked; not a picture on another site, and not a browser that loads ahead."""
    headers = request.headers
    if "prefetch" in headers.get("sec-purpose", "") + headers.get("purpose", ""):
        return False
    fetched_by = headers.get("sec-fetch-site")
    if fetched_by is not None:
        return fetched_by == "same-origin" and headers.get("sec-fetch-dest", "document") == "document"
    return bool(addresses.origin_path(headers.get("referer", ""), site))
