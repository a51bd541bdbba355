"""One context's templates, rendered for the reader of a request."""

import gettext
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from pathlib import Path

import jinja2
from fastapi import Request, Response

from banyan.infra.pages import catalogs, reader
from banyan.infra.pages.asset_set import Assets
from banyan.infra.pages.formats import Formats
from banyan.infra.pages.icons import MARK, icon

Handler = Callable[[Request], Awaitable[Response]]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "cross-origin-opener-policy": "same-origin",
    "vary": "Cookie, Accept-Language",
    "cache-control": "private, no-cache",
}


class Pages:
    """One context's pages: `templates` and `locales` are its folders, `names` globals that its templates may call.

    `vocabulary` gives the English words of codes in the data (`beginner`); `{{ course.level|word }}` says them in the
    reader's language, and a code it does not know as it came. Never give `_()` a value: it trusts its text.
    """

    def __init__(
        self,
        *,
        templates: Path,
        locales: Path,
        assets: Assets,
        names: Mapping[str, object] | None = None,
        vocabulary: Mapping[str, str] | None = None,
        secure_cookies: bool = False,
    ) -> None:
        self._secure_cookies = secure_cookies
        known = {"asset": assets.url, "icon": icon, "mark": MARK, **(names or {})}
        self._environments = {
            locale: _environment(templates, catalogs.translations(locales, locale), locale, known, vocabulary or {})
            for locale in reader.LOCALES
        }

    def render(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> Response:
        """The page in the reader's language; templates also get `reader`."""
        who = reader.reader_of(request)
        text = self._environments[who.locale].get_template(template).render(values, reader=who)
        sent = {**HEADERS, "content-language": who.locale, **(headers or {})}
        return Response(text, status, sent, media_type="text/html")

    def page(self, handler: Handler) -> Handler:
        """A handler that also answers `?lang=` and `?theme=`."""

        @wraps(handler)
        async def answer(request: Request) -> Response:
            return self.remember(request) or await handler(request)

        return answer

    def remember(self, request: Request) -> Response | None:
        """The redirect that stores a choice of language or colours, where the request makes one."""
        return reader.remember(request, secure=self._secure_cookies)


def _environment(
    templates: Path,
    words: gettext.NullTranslations,
    locale: reader.Locale,
    names: Mapping[str, object],
    vocabulary: Mapping[str, str],
) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    environment.install_gettext_translations(words, newstyle=True)  # type: ignore[attr-defined]  # from the extension
    spoken = {code: words.gettext(text) for code, text in vocabulary.items()}
    environment.filters.update(Formats(locale).filters)
    environment.filters["word"] = lambda code: spoken.get(code) or code.replace("-", " ")
    environment.globals.update(names)
    for name in environment.list_templates():
        environment.get_template(name)
    return environment
