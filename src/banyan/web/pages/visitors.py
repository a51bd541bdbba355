"""Who asks for a page, found once for each request and before any page is made, the ones for mistakes included."""

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from banyan.contracts import identity
from banyan.infra.identity import Caller, Verifier
from banyan.infra.pages import reader_of

_KEPT_FOR_GOOD = "/_banyan/assets/"
_FORWARDED = ("user-agent", "x-forwarded-for")
_OF_IAM = (identity.REFERENCE_COOKIE, identity.DEVICE_COOKIE)


class Recognition:
    """The outermost layer: `caller_of` answers from here on, and cookies in `request.state.cookies` are set."""

    def __init__(self, app: ASGIApp, *, verifier: Verifier) -> None:
        self._app = app
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_KEPT_FOR_GOOD):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request.state.caller = await self._verifier.caller(request)
        request.state.cookies = []

        async def send_with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for cookie in request.state.cookies:
                    headers.append("set-cookie", cookie)
            await send(message)

        await self._app(scope, receive, send_with_cookies)


def caller_of(request: Request) -> Caller | None:
    found: Caller | None = getattr(request.state, "caller", None)  # assets are for anybody
    return found


def token_of(request: Request) -> str | None:
    caller = caller_of(request)
    return caller.token if caller is not None else None


def on_behalf(request: Request) -> dict[str, str]:
    """What iam is told of the browser that asks: its address and name for limits and lists, and iam's own cookies."""
    headers = {name: value for name in _FORWARDED if (value := request.headers.get(name))}
    headers["accept-language"] = reader_of(request).locale
    cookies = [f"{name}={value}" for name in _OF_IAM if (value := request.cookies.get(name))]
    if cookies:
        headers["cookie"] = "; ".join(cookies)
    return headers
