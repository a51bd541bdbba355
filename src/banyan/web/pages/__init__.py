"""The addresses that `web` answers, and its pages for what went wrong."""

from pathlib import Path

from fastapi import APIRouter, Request

from banyan.clients.iam import IamClient
from banyan.clients.learning import LearningClient
from banyan.infra import pages
from banyan.web.pages import account, catalogue, errors, home, learning, resets, signing
from banyan.web.pages.cards import card_drawer
from banyan.web.pages.forms import Forms
from banyan.web.pages.visitors import Recognition, caller_of
from banyan.web.views import words
from banyan.web.views.catalogue import category_link, course_link
from banyan.web.views.covers import category_hue, cover
from banyan.web.views.room import lesson_link
from banyan.web.views.visitor import visitor

__all__ = ["Forms", "Recognition", "assets", "error_page", "face", "router"]

error_page = errors.error_page

_FOLDER = Path(__file__).parent.parent


def assets() -> pages.Assets:
    return pages.Assets("/_banyan/assets", _FOLDER / "assets")


def face(served: pages.Assets, forms: Forms, *, site: str) -> pages.Pages:
    """The templates of `web`. `site` is the public URL of the front door."""

    def about(request: Request) -> dict[str, object]:
        return {"who": visitor(caller_of(request)), "proof": lambda: forms.proof(request)}

    return pages.Pages(
        templates=_FOLDER / "templates",
        locales=_FOLDER / "locales",
        assets=served,
        names={
            "site": site,
            "categories": list(words.CATEGORIES),
            "course_link": course_link,
            "category_link": category_link,
            "cover": cover,
            "category_hue": category_hue,
            "lesson_link": lesson_link,
        },
        vocabulary=words.VOCABULARY,
        about=about,
        secure_cookies=site.startswith("https:"),
    )


def router(shown: pages.Pages, forms: Forms, *, of_learning: LearningClient, of_iam: IamClient, site: str) -> APIRouter:
    routes = APIRouter()
    card = card_drawer(shown)
    home.add(routes, shown, of_learning, card)
    catalogue.add(routes, shown, of_learning, forms, card, site=site)
    signing.add(routes, shown, of_iam, forms, site=site)
    resets.add(routes, shown, of_iam, forms)
    account.add(routes, shown, of_iam, forms)
    learning.add(routes, shown, of_learning, forms)
    return routes
