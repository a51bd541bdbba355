"""The addresses that `web` answers, and its pages for what went wrong."""

from pathlib import Path

from fastapi import APIRouter

from banyan.clients.learning import LearningClient
from banyan.infra import pages
from banyan.web.pages import catalogue, errors, home
from banyan.web.pages.cards import card_drawer
from banyan.web.views import words
from banyan.web.views.catalogue import category_link, course_link
from banyan.web.views.covers import category_hue, cover

error_page = errors.error_page

_FOLDER = Path(__file__).parent.parent


def assets() -> pages.Assets:
    return pages.Assets("/_banyan/assets", _FOLDER / "assets")


def face(served: pages.Assets, *, site: str) -> pages.Pages:
    """The templates of `web`. `site` is the public URL of the front door."""
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
        },
        vocabulary=words.VOCABULARY,
        secure_cookies=site.startswith("https:"),
    )


def router(shown: pages.Pages, learning: LearningClient, *, site: str) -> APIRouter:
    routes = APIRouter()
    card = card_drawer(shown)
    home.add(routes, shown, learning, card)
    catalogue.add(routes, shown, learning, card, site=site)
    return routes
