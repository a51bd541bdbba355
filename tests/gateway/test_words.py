"""Every word of the console is said in Korean, and no translation is left over."""

from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from banyan import gateway

FOLDER = Path(gateway.__file__).parent


def test_the_korean_catalogue_fits_the_templates() -> None:
    found = extract_from_dir(FOLDER, [("templates/**.html", "jinja2")], {"templates/**.html": {"silent": "false"}})
    said = {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found}

    with (FOLDER / "locales/ko/LC_MESSAGES/messages.po").open("rb") as opened:
        catalogue = read_po(opened, locale="ko", abort_invalid=True)
    ids = [(message.id if isinstance(message.id, str) else message.id[0], message.string) for message in catalogue]

    assert {text for text, _ in ids if text} == said
    assert all(translation and all(translation) for text, translation in ids if text)
