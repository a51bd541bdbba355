"""One context's templates, rendered for the reader of a request."""

import gettext
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
from fastapi import Request, Response
from jinja2 import nodes
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from banyan.infra.pages import catalogs, reader
from banyan.infra.pages.asset_set import Assets
from banyan.infra.pages.formats import Formats
from banyan.infra.pages.icons import MARK, icon

Handler = Callable[[Request], Awaitable[Response]]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "media-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
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
    reader's language, and a code it does not know as it came. Never give `_()` a value: it trusts its text. `about`
    gives what every page shows of a request, beside what it is rendered with.
    """

    def __init__(
        self,
        *,
        templates: Path,
        locales: Path,
        assets: Assets,
        names: Mapping[str, object] | None = None,
        vocabulary: Mapping[str, str] | None = None,
        about: Callable[[Request], Mapping[str, object]] | None = None,
        secure_cookies: bool = False,
    ) -> None:
        self._about = about
        self._secure_cookies = secure_cookies
        self._environments = {
            locale: _environment(
                templates, catalogs.translations(locales, locale), locale, assets, names or {}, vocabulary or {}
            )
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
        always = self._about(request) if self._about is not None else {}
        text = self._environments[who.locale].get_template(template).render({**always, **values}, reader=who)
        sent = {**HEADERS, "content-language": who.locale, **(headers or {})}
        return Response(text, status, sent, media_type="text/html")

    def macro(self, locale: reader.Locale, template: str, name: str) -> Callable[..., Markup]:
        """A template's macro, for a piece that is drawn once and shown often."""
        drawn: Callable[..., Markup] = getattr(self._environments[locale].get_template(template).module, name)
        return drawn

    def page(self, handler: Handler) -> Handler:
        """A handler that also answers `?lang=` and `?theme=`."""

        @wraps(handler)
        async def answer(request: Request) -> Response:
            return self.remember(request) or await handler(request)

        return answer

    def remember(self, request: Request) -> Response | None:
        """The redirect that stores a choice of language or colours, where the request makes one."""
        return reader.remember(request, secure=self._secure_cookies)


class _Environment(jinja2.Environment):
    """Says and draws what is constant once, when a template is compiled: most words, icons and addresses are."""

    constants: Mapping[str, Callable[[str], str]]

    def _generate(self, source: nodes.Template, *rest: Any, **named: Any) -> str:
        _Constants(self.constants).visit(source)
        return super()._generate(source, *rest, **named)


class _Constants(NodeTransformer):
    def __init__(self, constants: Mapping[str, Callable[[str], str]]) -> None:
        self._constants = constants

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        self.generic_visit(node)
        function = self._constants.get(node.node.name) if isinstance(node.node, nodes.Name) else None
        if function is None or len(node.args) != 1 or node.kwargs or not isinstance(node.args[0], nodes.Const):
            return node
        return nodes.Const(markupsafe.escape(function(node.args[0].value)), lineno=node.lineno)


def _environment(
    templates: Path,
    words: gettext.NullTranslations,
    locale: reader.Locale,
    assets: Assets,
    names: Mapping[str, object],
    vocabulary: Mapping[str, str],
) -> jinja2.Environment:
    environment = _Environment(
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
    environment.constants = {"_": words.gettext, "asset": assets.url, "icon": icon}
    spoken = {code: words.gettext(text) for code, text in vocabulary.items()}
    environment.filters.update(Formats(locale).filters)
    environment.filters["word"] = lambda code: spoken.get(code) or code.replace("-", " ")
    environment.globals.update({"asset": assets.url, "icon": icon, "mark": MARK, **names})
    for name in environment.list_templates():
        environment.get_template(name)
    return environment
