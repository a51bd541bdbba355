"""Every word of the pages in both languages, and formats as people write them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from banyan import web
from banyan.demo import catalogue
from banyan.infra.pages import Formats
from banyan.infra.pages.reader import Locale
from banyan.web.views import words

FOLDER = web.__path__[0]


def _spoken() -> Iterator[tuple[str, ...]]:
    """What templates and code say, in English: one text, or the text for one and the text for many."""
    methods = [("templates/**.html", "jinja2"), ("**.py", "python")]
    keywords = {"_": None, "N_": None, "ngettext": (1, 2)}
    for _, _, message, _, _ in extract_from_dir(FOLDER, method_map=methods, keywords=keywords):
        yield message if isinstance(message, tuple) else (message,)


def _korean() -> dict[tuple[str, ...], tuple[str, ...]]:
    with open(f"{FOLDER}/locales/ko/LC_MESSAGES/messages.po", "rb") as opened:
        catalog = read_po(opened, locale="ko", abort_invalid=True)
    assert not [message.id for message in catalog if message.fuzzy and message.id]
    return {
        message.id if isinstance(message.id, tuple) else (message.id,): (
            message.string if isinstance(message.string, tuple) else (message.string,)
        )
        for message in catalog
        if message.id
    }


def test_no_word_is_missing_in_korean_and_none_is_stale() -> None:
    spoken, korean = set(_spoken()), _korean()

    assert len(spoken) > 50
    assert spoken - korean.keys() == set()
    assert korean.keys() - spoken == set()


def test_korean_texts_are_there_and_fill_in_the_same_values() -> None:
    for english, korean in _korean().items():
        assert all(re.search("[가-힣]", text) for text in korean), english
        assert {value for text in korean for value in re.findall(r"%\(\w+\)s", text)} == {
            value for text in english for value in re.findall(r"%\(\w+\)s", text)
        }, english


def test_every_category_and_level_of_the_demo_has_a_name() -> None:
    for course in catalogue.courses(60):
        assert course.category in words.CATEGORIES
        assert course.level in words.LEVELS
        assert course.language in words.LANGUAGES


@pytest.mark.parametrize(
    ("seconds", "korean", "english"),
    [
        (0, "0초", "0 sec"),
        (45, "45초", "45 sec"),
        (60, "1분", "1 min"),
        (95, "2분", "2 min"),
        (3600, "1시간", "1 hr"),
        (4800, "1시간 20분", "1 hr 20 min"),
        (3599, "1시간", "1 hr"),
        (3_600_000, "1,000시간", "1,000 hr"),
    ],
)
def test_durations_are_as_people_say_them(seconds: int, korean: str, english: str) -> None:
    assert (Formats("ko").duration(seconds), Formats("en").duration(seconds)) == (korean, english)


@pytest.mark.parametrize(
    ("locale", "date", "money"), [("ko", "2026년 11월 22일", "₩33,000"), ("en", "November 22, 2026", "₩33,000")]
)
def test_dates_are_those_of_korea(locale: Locale, date: str, money: str) -> None:
    formats = Formats(locale)

    assert formats.date(datetime(2026, 11, 21, 15, 30, tzinfo=UTC)) == date
    assert formats.won(33000) == money
