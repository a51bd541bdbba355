"""Answers that many pages give: on to another one, and pages that no cache and no back button may keep."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from fastapi import Request, Response

from banyan.infra.pages import Pages, reader_of
from banyan.web.views import addresses

_RETRY_SECONDS = 5


def onward(location: str, *, status: int = 303, cookies: Iterable[str] = ()) -> Response:
    """On to another page of this site, with iam's cookies exactly as they came."""
    response = Response(status_code=status, headers={"location": location, "cache-control": "no-store"})
    for cookie in cookies:
        response.headers.append("set-cookie", cookie)
    return response


def to_sign_in(request: Request) -> Response:
    """To the sign-in page, and back here afterwards."""
    reader = reader_of(request)
    here = f"{reader.path}?{reader.query}" if reader.query else reader.path
    return onward(addresses.with_query("/login", next=addresses.same_site(here, otherwise="")))


def private(
    shown: Pages,
    request: Request,
    template: str,
    *,
    status: int = 200,
    wait: int | None = None,
    errors: Mapping[str, str] | None = None,
    problem: str = "",
    **values: object,
) -> Response:
    """A page for this reader and this moment only. `wait` is when trying again makes sense, in seconds; `errors` are
    names of refusals by the field they are about, `problem` one that is about none of them."""
    wrong = defaultdict(str, errors or {})
    headers = {"cache-control": "no-store"}
    if wait is not None or status == 503:
        headers["retry-after"] = str(wait or _RETRY_SECONDS)
    known = {"canonical": None, "wait": wait, "errors": wrong, "problem": problem}
    return shown.render(request, template, status=status, headers=headers, **{**known, **values})
