"""`/reset`: a new password, by a link in a mail."""

from fastapi import APIRouter, Request, Response

from banyan.clients.iam import IamClient
from banyan.infra.http_client import ServiceAway, ServiceRefused
from banyan.infra.pages import Pages
from banyan.web.pages import answers
from banyan.web.pages.forms import Forms
from banyan.web.pages.visitors import on_behalf
from banyan.web.views import words

# The address of such a page is as good as a password: it is told to nobody.
_TELLS_NOBODY = {"referrer-policy": "same-origin", "x-robots-tag": "noindex"}


def add(routes: APIRouter, shown: Pages, iam: IamClient, forms: Forms) -> None:
    def draw(
        request: Request,
        status: int = 200,
        *,
        email: str = "",
        sent: bool = False,
        problem: str = "",
        wait: int | None = None,
        wrong: str = "",
    ) -> Response:
        page, errors = "reset.html", {"email": wrong}
        return answers.private(
            shown, request, page, status=status, wait=wait, problem=problem, errors=errors, email=email, sent=sent
        )

    async def ask_page(request: Request) -> Response:
        return draw(request)

    async def ask(request: Request) -> Response:
        typed = await forms.read(request)
        email = typed.text("email")
        if not typed.ours:
            return draw(request, 403, email=email, problem="foreign-page")
        if "@" not in email[1:]:
            return draw(request, 422, email=email, wrong="email-not-usable")
        try:
            await iam.ask_for_reset(email, headers=on_behalf(request))
        except ServiceAway:
            return draw(request, 503, email=email, problem="sign-in-away")
        except ServiceRefused as refusal:
            if refusal.slug in words.FIELD_OF:
                return draw(request, 422, email=email, wrong=refusal.slug)
            return draw(
                request, refusal.status, email=email, problem=words.problem(refusal.slug), wait=refusal.retry_after
            )
        return draw(request, email=email, sent=True)

    def draw_new(
        request: Request,
        status: int = 200,
        *,
        spent: bool = False,
        problem: str = "",
        wait: int | None = None,
        wrong: str = "",
    ) -> Response:
        page, errors = "new-password.html", {"password": wrong}
        response = answers.private(
            shown, request, page, status=status, wait=wait, problem=problem, errors=errors, spent=spent
        )
        response.headers.update(_TELLS_NOBODY)
        return response

    async def new_page(request: Request) -> Response:
        try:
            works = await iam.reset_works(request.path_params["token"])
        except (ServiceAway, ServiceRefused):
            works = True  # unknown: whoever chooses a password will be told
        return draw_new(request, 200 if works else 404, spent=not works)

    async def new(request: Request) -> Response:
        typed = await forms.read(request)
        if not typed.ours:
            return draw_new(request, 403, problem="foreign-page")
        if len(typed.secret("password")) < words.SHORTEST_PASSWORD:
            return draw_new(request, 422, wrong="password-not-usable")
        try:
            await iam.reset(request.path_params["token"], typed.secret("password"), headers=on_behalf(request))
        except ServiceAway:
            return draw_new(request, 503, problem="sign-in-away")
        except ServiceRefused as refusal:
            if refusal.slug in words.FIELD_OF:
                return draw_new(request, 422, wrong=refusal.slug)
            spent = refusal.status == 404
            return draw_new(
                request,
                refusal.status,
                spent=spent,
                problem="" if spent else words.problem(refusal.slug),
                wait=refusal.retry_after,
            )
        return answers.onward("/_banyan/login?done=password")

    routes.add_route("/reset", shown.page(ask_page))
    routes.add_route("/reset", ask, methods=["POST"])
    routes.add_route("/reset/{token}", shown.page(new_page))
    routes.add_route("/reset/{token}", new, methods=["POST"])
