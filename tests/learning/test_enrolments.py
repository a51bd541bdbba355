"""Enrolling: once, counted exactly, told in order."""

import asyncio
import json
import uuid

import pytest

from banyan.infra.postgres import Database
from banyan.learning.domain.courses import PersonId
from banyan.learning.operations.enrolments import Enrolments

from .classroom import Classroom, Person
from .school import START, School, content

COUNTS = "SELECT learners, (SELECT count(*) FROM enrolment e WHERE e.course_id = course.id) FROM course"


async def counts(database: Database) -> tuple[int, int]:
    row = await database.fetchrow(COUNTS)
    assert row is not None
    return tuple(row)


async def told(database: Database, kind: str) -> list[dict[str, object]]:
    rows = await database.fetch(
        "SELECT data FROM event e LEFT JOIN outbox o ON o.event_id = e.id WHERE type = $1 ORDER BY o.position", kind
    )
    return [json.loads(row["data"]) for row in rows]


async def test_the_first_time_is_201_and_every_later_one_200_with_the_same_enrolment(
    school: School, classroom: Classroom
) -> None:
    await school.publish("spring-boot", content(lessons=("하나", "둘")))
    learner = Person()

    first = await classroom.enrol("spring-boot", learner)
    again = await classroom.enrol("spring-boot", learner)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert {name: first.json()[name] for name in ("course", "title", "percent", "lessons", "completed_at")} == {
        "course": "spring-boot",
        "title": "스프링 부트 입문",
        "percent": 0,
        "lessons": 2,
        "completed_at": None,
    }
    assert first.json()["resume"]["title"] == "하나"
    assert await counts(school.database) == (1, 1)


async def test_fifty_requests_of_one_person_at_once_make_one_enrolment(school: School, classroom: Classroom) -> None:
    await school.publish("spring-boot")
    learner = Person()

    answers = await asyncio.gather(*(classroom.enrol("spring-boot", learner) for _ in range(50)))

    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await counts(school.database) == (1, 1)
    assert len(await told(school.database, "banyan.learning.student-enrolled.v1")) == 1


async def test_eight_people_at_once_are_eight_learners_told_in_order(school: School) -> None:
    await school.publish("spring-boot")
    enrolments = Enrolments(school.database)

    await asyncio.gather(
        *(enrolments.enrol(slug="spring-boot", person_id=PersonId(uuid.uuid4()), now=START) for _ in range(8))
    )

    assert await counts(school.database) == (8, 8)
    events = await told(school.database, "banyan.learning.student-enrolled.v1")
    assert [event["learners"] for event in events] == list(range(1, 9))


async def test_the_owner_of_a_course_may_take_it(school: School, classroom: Classroom) -> None:
    await school.publish("spring-boot")

    assert (await classroom.enrol("spring-boot", Person(school.instructor, roles="instructor"))).status_code == 201


async def test_a_course_with_a_price_asks_for_payment_and_tells_nothing(school: School, classroom: Classroom) -> None:
    await school.publish("spring-boot", content(price=55_000))

    answer = await classroom.enrol("spring-boot", Person())

    assert (answer.status_code, answer.json()["type"]) == (402, "/_banyan/problems/payment-required")
    assert await counts(school.database) == (0, 0)
    assert await told(school.database, "banyan.learning.student-enrolled.v1") == []


async def test_who_took_a_course_while_it_was_free_keeps_it(school: School, classroom: Classroom) -> None:
    course = await school.publish("spring-boot")
    learner = Person()
    await classroom.enrol("spring-boot", learner)
    draft = await school.courses.write_draft(course_id=course.id, revision=1, content=content(price=55_000), now=START)
    await school.courses.publish(course_id=course.id, version_id=draft.id, by=school.instructor, now=START)

    assert (await classroom.enrol("spring-boot", learner)).status_code == 200
    assert (await classroom.enrol("spring-boot", Person())).status_code == 402


@pytest.mark.parametrize(
    "slug",
    ["no-such", "", "draft", "'; DROP TABLE course; --", "<script>alert(1)</script>", "\x00", "\ud800", "a" * 5000],
)
async def test_what_is_no_published_course_is_not_found(school: School, classroom: Classroom, slug: str) -> None:
    await school.draft("draft")

    answer = await classroom.http.post(
        "/api/v1/enrolments",
        content=json.dumps({"course": slug}),
        headers={**Person().headers, "content-type": "application/json"},
    )

    assert (answer.status_code, answer.json()["type"]) == (404, "/_banyan/problems/course-unknown")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 422), (b"{}", 422), (b"[]", 422), (b'{"course": 1}', 422), (b"{", 422), (b"\xff", 400), (b"[" * 9000, 400)],
)
async def test_a_body_that_is_none_gets_a_clear_answer(classroom: Classroom, body: bytes, status: int) -> None:
    answer = await classroom.http.post(
        "/api/v1/enrolments", content=body, headers={**Person().headers, "content-type": "application/json"}
    )

    assert answer.status_code in (status, 422)
    assert answer.json()["type"].startswith("/_banyan/problems/")


async def test_my_courses_come_newest_first_page_by_page(school: School, classroom: Classroom) -> None:
    learner = Person()
    for number in range(5):
        await school.publish(f"course-{number}", content(f"강의 {number}"))
        await classroom.enrol(f"course-{number}", learner)
    await classroom.enrol("course-0", Person())

    pages, after = [], ""
    while True:
        page = (await classroom.get(f"/api/v1/enrolments?limit=2{after}", learner)).json()
        pages.append([item["course"] for item in page["items"]])
        if page["next"] is None:
            break
        after = f"&after={page['next']}"

    assert pages == [["course-4", "course-3"], ["course-2", "course-1"], ["course-0"]]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "after=made-up", "after=%00", "after=" + "A" * 501]
)
async def test_a_page_that_cannot_be_is_refused(classroom: Classroom, query: str) -> None:
    assert (await classroom.get(f"/api/v1/enrolments?{query}", Person())).status_code == 422


async def test_strangers_are_asked_to_sign_in(school: School, classroom: Classroom) -> None:
    await school.publish("spring-boot")

    for answer in (
        await classroom.enrol("spring-boot", None),
        await classroom.get("/api/v1/enrolments"),
        await classroom.get("/api/v1/courses/spring-boot/progress"),
        await classroom.hear(uuid.uuid4(), None),
    ):
        assert (answer.status_code, answer.json()["type"]) == (401, "/_banyan/problems/signed-out")


async def test_another_sites_page_cannot_enrol_anybody(school: School, classroom: Classroom) -> None:
    await school.publish("spring-boot")
    headers = Person().headers
    cookie = headers.pop("authorization").removeprefix("Bearer ")
    headers |= {"cookie": f"banyan_session={cookie}", "origin": "https://evil.example"}

    answer = await classroom.http.post("/api/v1/enrolments", json={"course": "spring-boot"}, headers=headers)

    assert (answer.status_code, answer.json()["type"]) == (403, "/_banyan/problems/foreign-page")
    assert await counts(school.database) == (0, 0)
