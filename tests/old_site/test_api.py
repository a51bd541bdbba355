"""The old site's JSON, with the oddities that its mobile app came to depend on."""

import json
import uuid

import pytest


def test_the_list_has_prices_as_numbers_and_as_strings(visitor, courses):
    answer = visitor.get("/api/courses")
    found = answer.json["list"]

    assert [row["slug"] for row in found] == [course.slug for course in courses[:20]]
    assert [int(row["price"]) for row in found] == [course.price for course in courses[:20]]
    assert {type(row["price"]) for row in found} == {int, str}
    assert "\\u" in answer.text


def test_an_empty_list_has_another_shape(visitor):
    assert visitor.get("/api/courses?page=99").json == {"result": "empty", "list": None}
    assert len(visitor.get("/api/courses?cate=art").json["list"]) > 0


def test_the_detail_is_raw_korean_with_its_own_names(visitor, courses):
    answer = visitor.get("/api/course/1")
    found = json.loads(answer.text)

    assert answer.content_type == "text/html; charset=utf-8"
    assert courses[0].title in answer.text
    assert found["StudentCnt"] == courses[0].learners
    assert len(found["RegDate"]) == 14
    assert found["RegDate"].isdigit()
    assert [lesson["Title"] for lesson in found["Lessons"]] == [
        lesson.title for section in courses[0].sections for lesson in section.lessons
    ]
    assert visitor.get("/api/course/9999").text == "false"


def test_a_get_counts_views(visitor):
    first = int(visitor.get("/api/hit?id=20").text)

    assert int(visitor.get("/api/hit?id=20").text) == first + 1


def test_counters_are_strings_and_times_have_no_zone(visitor, courses):
    found = visitor.get("/api/count?id=2").json

    assert found["cnt"] == str(courses[1].learners)
    assert len(found["time"]) == len("2012-03-05 09:00:00")


def test_my_courses_are_an_object_a_list_or_a_message(visitor, courses):
    free = [course.number for course in courses if course.price == 0][-3:-1]
    stranger = visitor.get("/api/mycourses").json
    visitor.post("/signup", data={"userid": f"{uuid.uuid4().hex}@banyan.test", "passwd": "1234", "name": "앱"})
    none = visitor.get("/api/mycourses").json
    for number in free:
        visitor.post("/enroll", data={"id": number})

    some = visitor.get("/api/mycourses").json

    assert stranger["result"] == "login"
    assert none == []
    assert [some["0"]["id"], some["1"]["id"]] == free


def test_search_answers_triples_or_no(visitor):
    assert all("SQL" in title for _, title, _ in visitor.get("/api/search?q=SQL").json)
    assert visitor.get("/api/search?q=zzzz").json == {"result": "no"}
    assert visitor.get("/api/search").json == {"result": "no"}


def test_notices_are_json_or_a_script(visitor):
    plain = visitor.get("/api/notice").json

    script = visitor.get("/api/notice?callback=show(1);//")

    assert len(plain) == 5
    assert script.text.startswith("show1([")
    assert script.content_type.startswith("text/javascript")


@pytest.mark.parametrize("odd", ["%FF%FE", "%00", "'%20or%201=1--", "%22%3E%3Cscript%3E"])
def test_odd_input_is_only_text(visitor, odd):
    for path in ("/api/search?q=", "/search?q=", "/courses?cate=", "/courses/", "/api/courses?cate=", "/api/hit?id="):
        answer = visitor.get(path + odd)

        assert answer.status_code == 200
        assert "<script>" not in answer.text.replace('<script>alert("', "")
