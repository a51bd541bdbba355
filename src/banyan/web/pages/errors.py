"""The page for what went wrong: what happened, what was kept, what to do."""

from collections.abc import Callable

from fastapi import Request, Response

from banyan.infra.http import REQUEST_ID
from banyan.infra.pages import Pages

_RETRY_SECONDS = "5"


def error_page(shown: Pages) -> Callable[[Request, int, str, str], Response]:
    """For `http.application`. The refusal's own detail is for engineers; the page has words of its own."""

    def answer(request: Request, status: int, slug: str, detail: str) -> Response:
        if request.method in ("GET", "HEAD") and (remembered := shown.remember(request)) is not None:
            return remembered
        return shown.render(
            request,
            "error.html",
            status=status,
            headers={"retry-after": _RETRY_SECONDS} if status == 503 else None,
            code=status,
            of_course=request.url.path.startswith("/courses/"),
            request_id=request.headers.get(REQUEST_ID, ""),
            canonical=None,
        )

    return answer
