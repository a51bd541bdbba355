"""Who reads a page: the language and the colours they chose, and where they are."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import Request, Response

Locale = Literal["en", "ko"]
Theme = Literal["auto", "light", "dark"]

LOCALES: tuple[Locale, ...] = get_args(Locale)
THEMES: tuple[Theme, ...] = get_args(Theme)
LOCALE_COOKIE = "banyan_locale"
THEME_COOKIE = "banyan_theme"

_CHOICES = {"lang": (LOCALE_COOKIE, LOCALES), "theme": (THEME_COOKIE, THEMES)}
_YEAR_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Reader:
    """`path` and `query` are of the page at hand, the query without `lang` and `theme`."""

    locale: Locale
    theme: Theme
    path: str
    query: str

    @property
    def next_theme(self) -> Theme:
        return THEMES[(THEMES.index(self.theme) + 1) % len(THEMES)]

    def link(self, **choice: str) -> str:
        """This page again with a choice to remember: `link(lang="ko")`, `link(theme="dark")`."""
        query = "&".join(part for part in (self.query, urlencode(choice)) if part)
        return f"{self.path}?{query}" if query else self.path


def reader_of(request: Request) -> Reader:
    """A cookie decides, then the browser's languages, then English."""
    cookies = request.cookies
    locale = cookies.get(LOCALE_COOKIE, "")
    theme = cookies.get(THEME_COOKIE, "")
    query = request.scope["query_string"].decode("latin-1")
    return Reader(
        locale=locale if locale in LOCALES else _preferred(request.headers.get("accept-language", "")),
        theme=theme if theme in THEMES else "auto",
        path=_same_site_path(request),
        query=_without_choices(query) if "lang=" in query or "theme=" in query else query,
    )


def remember(request: Request, *, secure: bool) -> Response | None:
    """The redirect that stores a choice made by link, or None where the request makes none."""
    query = request.query_params
    chosen = {name: query[name] for name, (_, values) in _CHOICES.items() if query.get(name) in values}
    if not chosen:
        return None
    response = Response(status_code=303, headers={"location": reader_of(request).link(), "cache-control": "no-store"})
    for name, value in chosen.items():
        response.set_cookie(
            _CHOICES[name][0],
            value,
            max_age=_YEAR_SECONDS,
            path="/",
            samesite="lax",
            secure=secure,
            httponly=name == "lang",  # the theme is also set by our own script
        )
    return response


def _same_site_path(request: Request) -> str:
    # `//elsewhere` and `/\elsewhere` in a Location or a link lead a browser to another site.
    return quote("/" + re.sub(r"^[/\\]+", "", request.scope["path"]), safe="/:@!$&'()*+,;=~")


def _without_choices(query: str) -> str:
    return urlencode([pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in _CHOICES])


@lru_cache(maxsize=512)
def _preferred(accept_language: str) -> Locale:
    best: Locale = "en"
    best_quality = 0.0
    for part in accept_language[:400].split(","):
        tag, _, parameters = part.partition(";")
        language = tag.strip().lower().split("-")[0]
        quality = _quality(parameters)
        if language in LOCALES and quality > best_quality:
            best, best_quality = language, quality
    return best


def _quality(parameters: str) -> float:
    found = re.fullmatch(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", parameters)
    if found is None:
        return 0.0 if parameters.strip() else 1.0
    return float(found[1])
