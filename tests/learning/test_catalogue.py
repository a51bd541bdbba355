"""The course list: filters, orders, pages, totals."""

import itertools
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from banyan.contracts import learning as wire
from banyan.kit import paging
from banyan.kit.paging import CursorNotOurs
from banyan.learning.domain.courses import Language, Level
from banyan.learning.queries import catalogue as queries
from banyan.learning.queries.catalogue import Catalogue, Filter, Sort
from banyan.learning.store import courses as store

from .school import START, School, content

SORTS: tuple[Sort, ...] = ("newest", "popular")


async def slugs(school: School, wanted: Filter = Filter(), *, sort: Sort = "newest") -> list[str]:  # noqa: B008 - frozen
    page = await Catalogue(school.database).courses(wanted, sort=sort, limit=100)
    assert page.total == len(page.items)
    return [card.slug for card in page.items]


async def test_filters_narrow_the_list_alone_and_together(school: School) -> None:
    await school.publish("ko-free", content("스프링 부트 3 입문", price=0))
    await school.publish("en-paid", content("Spring Boot 100%", language=Language.ENGLISH, price=33_000))
    await school.publish("art", content("수채화_첫걸음", category="art", level=Level.ADVANCED, price=11_000))

    for wanted, expected in (
        (Filter(), {"ko-free", "en-paid", "art"}),
        (Filter(language="ko"), {"ko-free", "art"}),
        (Filter(level="advanced"), {"art"}),
        (Filter(category="programming"), {"ko-free", "en-paid"}),
        (Filter(free=True), {"ko-free"}),
        (Filter(free=False), {"en-paid", "art"}),
        (Filter(language="ko", free=False, category="art", level="advanced", text="수채"), {"art"}),
        (Filter(language="en", free=True), set()),
        (Filter(text="스프링 부트"), {"ko-free"}),
        (Filter(text="부트"), {"ko-free"}),
        (Filter(text="SPRING boot"), {"en-paid"}),
        (Filter(text="0%"), {"en-paid"}),
        (Filter(text="100%"), {"en-paid"}),
        (Filter(text="화_첫걸"), {"art"}),
        (Filter(text="___"), set()),
        (Filter(text="%%%"), set()),
        (Filter(text="\\\\\\"), set()),
    ):
        assert set(await slugs(school, wanted)) == expected, wanted


async def test_a_text_that_many_titles_have_finds_the_same_courses(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        await school.publish(f"c{number}", content(f"스프링 {number}"))
    monkeypatch.setattr(queries, "_COMMON", 2)
    catalogue = Catalogue(school.database)

    first = await catalogue.courses(Filter(text="스프링"), sort="newest", limit=2)
    second = await catalogue.courses(Filter(text="스프링"), sort="newest", limit=2)

    assert first == second
    assert first.total == 4


async def test_courses_come_newest_first_or_by_their_learners(school: School) -> None:
    for day, learners in enumerate((5, 90, 40)):
        await school.publish(f"day-{day}", now=START + timedelta(days=day), learners=learners)

    assert await slugs(school, sort="newest") == ["day-2", "day-1", "day-0"]
    assert await slugs(school, sort="popular") == ["day-1", "day-2", "day-0"]


async def test_a_card_says_what_a_list_shows(school: School) -> None:
    await school.publish("course", content(lessons=("하나", "둘")), learners=3)

    page = await Catalogue(school.database).courses(Filter(), sort="newest")

    course = await Catalogue(school.database).course("course")
    shared = {name: getattr(course, name) for name in wire.CourseCard.__slots__}
    assert page.items == [wire.CourseCard(**shared)]
    assert (course.instructor, course.lessons, course.duration_seconds, course.learners) == ("박서연", 2, 120, 3)


async def test_the_total_is_right_at_once_whoever_publishes(school: School) -> None:
    catalogue = Catalogue(school.database)

    for number in range(3):
        assert (await catalogue.courses(Filter(), sort="newest")).total == number
        assert (await catalogue.courses(Filter(free=False), sort="popular")).total == 0
        await school.publish(f"c{number}")
    assert (await catalogue.courses(Filter(), sort="newest", limit=1)).total == 3


async def test_totals_kept_in_memory_are_bounded(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "_MOST_TOTALS", 3)
    catalogue = Catalogue(school.database)
    await school.publish("course", content("1234567890"))

    for digit in "1234567890":
        assert (await catalogue.courses(Filter(text=digit), sort="newest")).total == 1
    assert len(catalogue._totals) <= 3


places = st.tuples(st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at_first=st.lists(places, max_size=7),
    between=st.lists(places, max_size=4),
    limit=st.integers(1, 4),
    sort=st.sampled_from(SORTS),
)
async def test_a_course_published_between_two_pages_neither_repeats_nor_drops_one(
    school: School, at_first: list[tuple[int, int]], between: list[tuple[int, int]], limit: int, sort: Sort
) -> None:
    await school.database.fetch("TRUNCATE course CASCADE")
    number = itertools.count()

    async def publish(place: tuple[int, int]) -> str:
        slug = f"c{next(number)}"
        await school.publish(slug, now=START + timedelta(days=place[0]), learners=place[1])
        return slug

    before = [await publish(place) for place in at_first]
    waiting = list(between)
    catalogue = Catalogue(school.database)
    seen: list[wire.CourseCard] = []
    after = None
    while True:
        page = await catalogue.courses(Filter(), sort=sort, limit=limit, after=after)
        assert len(page.items) <= limit
        seen += page.items
        if page.next is None:
            break
        after = page.next
        if waiting:
            await publish(waiting.pop())

    found = [card.slug for card in seen]
    assert len(found) == len(set(found))
    assert set(before) <= set(found)
    keys = [(card.published_at if sort == "newest" else card.learners, card.id) for card in seen]
    assert keys == sorted(keys, reverse=True)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "한글",
        "e30",
        paging.encode_cursor("2026-01-01", 5),
        paging.encode_cursor("yesterday", "01a20c97-f29f-791c-9af0-764a7b18a7bb"),
        paging.encode_cursor("0001-01-01T00:00:00+14:00", "01a20c97-f29f-791c-9af0-764a7b18a7bb"),
        paging.encode_cursor("2026-01-01T00:00:00+00:00", "not-an-id"),
        paging.encode_cursor(3, "01a20c97-f29f-791c-9af0-764a7b18a7bb"),
    ],
)
async def test_a_made_up_cursor_is_refused(school: School, cursor: str) -> None:
    with pytest.raises(CursorNotOurs):
        await Catalogue(school.database).courses(Filter(), sort="newest", after=cursor)


@pytest.mark.parametrize("learners", [-1, 2**31, 10**30, True, "3", None])
async def test_a_made_up_cursor_of_the_other_order_is_refused(school: School, learners: int) -> None:
    cursor = paging.encode_cursor(learners, "01a20c97-f29f-791c-9af0-764a7b18a7bb")

    with pytest.raises(CursorNotOurs):
        await Catalogue(school.database).courses(Filter(), sort="popular", after=cursor)


def page_statements() -> list[str]:
    names = list(queries.CONDITIONS)
    chosen = (subset for size in range(len(names) + 1) for subset in itertools.combinations(names, size))
    return [queries.page_sql(sort, subset) for subset in chosen for sort in SORTS]


async def test_every_statement_fits_the_schema(school: School) -> None:
    constants = [
        value
        for module in (queries, store)
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    ]
    assert len(constants) > 15

    async with school.database.connection() as connection:
        for sql in constants:
            await connection.prepare(sql)
        for sql in page_statements():
            await connection.prepare(sql)
        for table, columns in store.COLUMNS.items():
            await connection.prepare(f"SELECT {', '.join(columns)} FROM {table}")


async def test_every_long_list_is_read_by_an_index(school: School) -> None:
    async with school.database.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        for sort, index in (("newest", "course_newest"), ("popular", "course_popular")):
            key = "'2026-01-01', 'ffffffff-ffff-ffff-ffff-ffffffffffff'" if sort == "newest" else "7, gen_random_uuid()"
            await connection.execute(f"PREPARE page_{sort} AS {queries.page_sql(sort, ())}")
            plan = await connection.fetch(f"EXPLAIN EXECUTE page_{sort}({key}, 21, 0)")
            assert any(index in row[0] for row in plan), plan
        await connection.execute(f"PREPARE matching AS {queries.page_sql('newest', ('text by index',))}")
        plan = await connection.fetch(
            "EXPLAIN EXECUTE matching('2026-01-01', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 21, 0, '%스프링%')"
        )
        assert any("course_version_title" in row[0] for row in plan), plan
