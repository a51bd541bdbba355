"""How the pages of a process are made: templates, words of two languages, formats, assets, headers.

    assets = pages.Assets("/_banyan/console/assets", FOLDER / "assets")
    face = pages.Pages(templates=FOLDER / "templates", locales=FOLDER / "locales", assets=assets)

    async def routes(request: Request) -> Response:
        return face.render(request, "routes.html", rows=rows)

    router = APIRouter()
    router.add_route("/_banyan/console", face.page(routes))
    router.include_router(assets.router())
    # and application(..., error_page=...) with a function that ends in face.render(request, "error.html", status=...)

`face.page` also answers `?lang=ko` and `?theme=dark`: it remembers the choice in a cookie and leads back to the page.
The folder `assets/` beside this file (`tokens.css`, `controls.css`, `theme.js`, `mark.svg`) is part of every set.

In a template: `<html lang="{{ reader.locale }}" data-theme="{{ reader.theme }}">`, `{{ asset("tokens.css") }}`,
`{{ icon("search") }}`, `{{ mark }}`, `{{ reader.link(lang="ko") }}`, `{{ 33000|won }}`, `{{ 4800|duration }}`,
`{{ at|date }}`, `{{ at|moment }}`, `{{ _("Courses") }}`, `{{ ngettext("%(num)s course", "%(num)s courses", n) }}`.
The English text is the key; `ko` is in `locales/ko/LC_MESSAGES/messages.po`, read at start-up. No inline script and no
`style=""`: the policy forbids both.
"""

from banyan.infra.pages.asset_set import Assets
from banyan.infra.pages.formats import KOREA, Formats
from banyan.infra.pages.icons import MARK, Drawing, icon
from banyan.infra.pages.reader import LOCALES, Locale, Reader, Theme, reader_of
from banyan.infra.pages.rendering import Pages

__all__ = [
    "KOREA",
    "LOCALES",
    "MARK",
    "Assets",
    "Drawing",
    "Formats",
    "Locale",
    "Pages",
    "Reader",
    "Theme",
    "icon",
    "reader_of",
]
