"""Path templates: one spelling, what they match, and whether two can match one path."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banyan.gateway.domain import templates
from banyan.gateway.domain.templates import TemplateInvalid

SEGMENTS = st.sampled_from(["a", "b", "{p}", "{q}"])
TEMPLATES = st.builds(
    lambda segments, rest: "/" + "/".join([*segments, *(["*"] if rest else [])]),
    st.lists(SEGMENTS, max_size=4),
    st.booleans(),
)
PATHS = [
    "/" + "/".join(segments) + slash
    for depth in range(6)
    for segments in itertools.product(("a", "b", "c"), repeat=depth)
    for slash in ("", "/")
    if depth or not slash
]


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("/courses/", "/courses"),
        ("/", "/"),
        ("/*", "/*"),
        ("/강의/{slug}", "/%EA%B0%95%EC%9D%98/{slug}"),
        ("/%ea%b0%95%ec%9d%98", "/%EA%B0%95%EC%9D%98"),
        ("/%63ourses", "/courses"),
        ("/a b", "/a%20b"),
        ("/%2a", "/%2A"),
        ("/100%25", "/100%25"),
        ("/a:b@c;d,e=f+g", "/a:b@c;d,e=f+g"),
        ("/_banyanx", "/_banyanx"),
    ],
)
def test_a_template_has_one_spelling(written: str, normal: str) -> None:
    assert templates.normalised(written) == normal
    assert templates.normalised(normal) == normal


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "begin with a slash"),
        ("courses", "begin with a slash"),
        ("//courses", "empty segment"),
        ("/courses//x", "empty segment"),
        ("/courses//", "empty segment"),
        ("/courses?x=1", "query"),
        ("/courses#x", "fragment"),
        ("/a\\b", "backslash"),
        ("/a/./b", "segment"),
        ("/a/../b", "segment"),
        ("/a/%2e%2E", "segment"),
        ("/a%2fb", "encoded slash"),
        ("/a%5cb", "encoded backslash"),
        ("/a%00b", "zero byte"),
        ("/a\nb", "control character"),
        ("/50%", "no escape"),
        ("/%zz", "no escape"),
        ("/{slug", "whole segment"),
        ("/x{slug}", "whole segment"),
        ("/{Slug}", "whole segment"),
        ("/{}", "whole segment"),
        ("/a*", "whole segment"),
        ("/*/a", "last segment"),
        ("/_banyan", "Banyan's own"),
        ("/_banyan/console", "Banyan's own"),
        ("/%5Fbanyan/console", "Banyan's own"),
        ("/\ud800", "UTF-8"),
        ("/" + "x" * 2000, "longer"),
        ("/" + "강" * 400, "longer"),
    ],
)
def test_what_is_no_template_is_refused_with_the_reason(written: str, reason: str) -> None:
    with pytest.raises(TemplateInvalid, match=reason):
        templates.normalised(written)


@pytest.mark.parametrize(
    ("path", "fits", "does_not"),
    [
        ("/courses", ["/courses", "/courses/"], ["/courses/x", "/course", "/Courses", "/courses//", "/"]),
        ("/courses/{slug}", ["/courses/x", "/courses/x/"], ["/courses/", "/courses", "/courses/x/y", "/courses//"]),
        ("/learn/*", ["/learn/", "/learn/a", "/learn/a/b"], ["/learn", "/learnt/a"]),
        ("/", ["/"], ["/a", "//"]),
        ("/*", ["/", "/a", "/a/b"], ["*"]),
    ],
)
def test_what_a_template_matches(path: str, fits: list[str], does_not: list[str]) -> None:
    assert [asked for asked in fits + does_not if templates.matches(path, asked)] == fits


@given(TEMPLATES)
def test_normalising_twice_is_normalising_once(path: str) -> None:
    once = templates.normalised(path)

    assert templates.normalised(once) == once


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    try:
        normal = templates.normalised("/" + text)
    except TemplateInvalid:
        return
    assert normal.isascii()
    assert templates.normalised(normal) == normal


@given(TEMPLATES, TEMPLATES)
def test_two_templates_overlap_exactly_where_a_path_fits_both(one: str, other: str) -> None:
    one, other = templates.normalised(one), templates.normalised(other)

    both = [path for path in PATHS if templates.matches(one, path) and templates.matches(other, path)]

    assert templates.overlapping(one, other) == templates.overlapping(other, one) == bool(both)
