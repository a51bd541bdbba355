"""Whatever is sent, the answer is clear and nothing breaks."""

import json
import uuid
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .classroom import Classroom, Person
from .school import School
from .test_lessons import COURSE, FIRST

SLUG = f"garbage-{uuid.uuid4().hex}"
LEARNER = Person()

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("'; DROP TABLE x; --")
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
bodies = anything | st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("course", "position_seconds", "watched", "sent_at"), anything)
)
patient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@patient
@given(body=bodies, path=st.sampled_from(["/api/v1/enrolments", f"/api/v1/lessons/{FIRST.id}/progress"]))
async def test_any_body_gets_a_clear_answer(school: School, classroom: Classroom, body: object, path: str) -> None:
    if await school.database.fetchval("SELECT NOT EXISTS (SELECT FROM course)"):
        await school.publish(SLUG, COURSE)
        await classroom.enrol(SLUG, LEARNER)

    answer = await classroom.http.request(
        "POST" if path.endswith("enrolments") else "PUT",
        path,
        content=json.dumps(body),
        headers={**LEARNER.headers, "content-type": "application/json"},
    )

    assert answer.status_code in (200, 400, 404, 422), answer.text
    assert answer.status_code == 200 or answer.json()["type"].startswith("/_banyan/problems/")


@patient
@given(part=st.binary(max_size=20), query=st.binary(max_size=20))
async def test_any_address_gets_a_clear_answer(classroom: Classroom, part: bytes, query: bytes) -> None:
    segment, text = quote(part, safe=""), quote(query, safe="=&")

    for path in (
        f"/api/v1/lessons/{segment}",
        f"/api/v1/courses/{segment}/progress",
        f"/api/v1/enrolments?after={text}&limit={text}",
        f"/_banyan/media/{segment}/{segment}?expires={text}&signature={text}",
    ):
        answer = await classroom.get(path, LEARNER)
        assert answer.status_code in (200, 307, 400, 403, 404, 405, 422), (path, answer.text)
