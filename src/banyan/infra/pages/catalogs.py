"""Translations straight from the `.po` files: compiled in memory at start-up, so there is no build step."""

import gettext
import io
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from banyan.infra.pages.reader import Locale


def translations(locales: Path, locale: Locale) -> gettext.NullTranslations:
    """The words of a locale. The source texts are English, so a locale without a file speaks English."""
    source = locales / locale / "LC_MESSAGES" / "messages.po"
    if not source.exists():
        return gettext.NullTranslations()
    with source.open("rb") as opened:
        catalog = read_po(opened, locale=locale, abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
