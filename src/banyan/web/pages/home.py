"""`/`, where no old site has it: what there is to learn."""

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from banyan.clients.learning import LearningClient
from banyan.infra.http_client import ServiceAway
from banyan.infra.pages import Pages, reader_of
from banyan.web.pages.cards import DrawCard

_CARDS = 8


def add(routes: APIRouter, shown: Pages, learning: LearningClient, card: DrawCard) -> None:
    async def home(request: Request) -> Response:
        cards: list[Markup] | None = None
        total = 0
        try:
            page = await learning.courses(sort="popular", limit=_CARDS)
            locale = reader_of(request).locale
            cards, total = [card(course, locale, "h3") for course in page.items], page.total
        except ServiceAway:
            pass  # the way to the courses stays open, and the page says why it shows none
        return shown.render(request, "home.html", canonical="/", cards=cards, total=total)

    routes.add_route("/", shown.page(home))
