"""The course list: its filters with their links, its cards, its pages."""

from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from banyan.contracts.learning import CoursePage
from banyan.web.views import words
from banyan.web.views.filters import LIST, Filters


@dataclass(frozen=True, slots=True)
class Question:
    """A group of choices in the form; `values` are codes, the first of them empty: any."""

    name: str
    values: list[str]
    chosen: str


@dataclass(frozen=True, slots=True)
class Link:
    """`code` is a code of the vocabulary, or what the visitor wrote where `name` is `q`."""

    name: str
    code: str
    address: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class CourseList:
    filters: Filters
    questions: list[Question]
    chosen: list[Link]
    sorts: list[Link]
    cards: list[Markup]
    total: int
    next: str | None
    first: str | None
    canonical: str


def course_list(filters: Filters, page: CoursePage, cards: list[Markup]) -> CourseList:
    return CourseList(
        filters=filters,
        questions=[
            Question("category", ["", *words.CATEGORIES], filters.category),
            Question("level", ["", *words.LEVELS], filters.level),
            Question("price", ["", *words.PRICES], filters.price),
            Question("language", ["", *words.LANGUAGES], filters.language),
        ],
        chosen=[Link(name, value, filters.link(**{name: ""})) for name, value in filters.chosen()],
        sorts=[
            Link("sort", code, filters.link(sort="" if code == "newest" else code), code == (filters.sort or "newest"))
            for code in words.SORTS
        ],
        cards=cards,
        total=page.total,
        next=filters.link(after=page.next) if page.next else None,
        first=filters.link() if filters.after else None,
        canonical=filters.link(after=filters.after),
    )


def course_link(slug: str) -> str:
    return f"{LIST}/{quote(slug, safe='')}"


def category_link(category: str) -> str:
    return Filters(category=category).link()
