"""The demo company is the same for everybody who asks, however much of it they ask for."""

import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banyan.demo import catalogue
from banyan.demo.people import TODAY
from banyan.demo.topics import LEVELS, programme

COURSES = catalogue.courses(300)
PEOPLE = catalogue.people(2000)

without_haste = settings(deadline=None, max_examples=40)


@without_haste
@given(st.integers(1, 400), st.integers(1, 400))
def test_a_course_does_not_depend_on_how_many_are_asked_for(number, count):
    assert catalogue.courses(max(number, count))[number - 1] == catalogue.course(number)


@without_haste
@given(st.integers(1, 5000), st.integers(catalogue.FEWEST_PEOPLE, 5000))
def test_a_person_does_not_depend_on_how_many_are_asked_for(number, count):
    assert catalogue.people(max(number, count))[number - 1] == catalogue.person(number)


@without_haste
@given(st.integers(1, 900), st.integers(2300, 60_000))
def test_a_course_keeps_its_learners_while_the_company_grows(number, people):
    course = catalogue.course(number)

    assert catalogue.course(number, people=people).learners == course.learners
    if number <= 800:
        assert list(catalogue.enrolments([course], people=people)) == list(catalogue.enrolments([course]))


@without_haste
@given(st.integers(1, 1200), st.integers(catalogue.FEWEST_PEOPLE, 3000))
def test_a_course_has_as_many_learners_as_it_says(number, people):
    course = catalogue.course(number, people=people)
    takers = [enrolment.person for enrolment in catalogue.enrolments([course], people=people)]

    assert len(set(takers)) == len(takers) == course.learners
    assert all(1 <= person <= people for person in takers)


def test_only_learners_other_than_the_named_one_are_enrolled():
    takers = {enrolment.person for enrolment in catalogue.enrolments(COURSES)}

    assert {PEOPLE[number - 1].role for number in takers} == {"learner"}
    assert 1 not in takers


def test_nobody_enrols_before_joining_or_before_the_course_is_published():
    for enrolment in catalogue.enrolments(COURSES):
        assert PEOPLE[enrolment.person - 1].joined <= enrolment.enrolled_on <= TODAY
        assert COURSES[enrolment.course - 1].published_on <= enrolment.enrolled_on


def test_titles_and_slugs_are_unique():
    many = catalogue.courses(3000)

    assert len({course.title for course in many}) == len({course.slug for course in many}) == 3000


def test_slugs_are_composed_and_need_no_escaping_but_for_hangul():
    for course in COURSES:
        assert unicodedata.is_normalized("NFC", course.slug)
        assert all(part.isalnum() for part in course.slug.split("-"))
        assert len(course.slug.encode()) <= 200


def test_at_least_half_of_the_courses_are_free_and_ten_of_the_first_twenty():
    assert sum(course.price == 0 for course in COURSES) >= 150
    assert sum(course.price == 0 for course in COURSES[:20]) == 10


def test_seven_of_ten_courses_are_korean():
    assert Counter(course.language for course in COURSES) == {"ko": 210, "en": 90}


def test_every_course_can_be_shown():
    for course in COURSES:
        lessons = [lesson for section in course.sections for lesson in section.lessons]

        assert course.summary
        assert len(course.description.split("\n\n")) >= 2
        assert 3 <= len(course.outcomes) <= 5
        assert course.level in LEVELS
        assert len(lessons) >= 8
        assert len({lesson.title for lesson in lessons}) == len(lessons)
        assert lessons[0].preview
        assert not any("{" in text for text in (course.title, course.summary, course.description))
        assert PEOPLE[course.instructor - 1].role == "instructor"


def test_an_instructor_teaches_in_the_language_of_the_courses():
    for course in COURSES:
        name = PEOPLE[course.instructor - 1].name
        assert ("가" <= name[0] <= "힣") == (course.language == "ko")


def test_the_named_people_come_first_and_every_address_is_unique():
    assert [person.email for person in PEOPLE[:4]] == [
        "learner@banyan.test",
        "instructor@banyan.test",
        "admin@banyan.test",
        "operator@banyan.test",
    ]
    assert len({person.email for person in PEOPLE}) == 2000


def test_the_named_instructor_has_courses():
    assert any(course.instructor == 2 for course in COURSES[:20])


def test_too_few_people_are_refused_with_the_least_number():
    with pytest.raises(ValueError, match=str(catalogue.FEWEST_PEOPLE)):
        catalogue.people(3)


@pytest.mark.parametrize("language", ["ko", "en"])
def test_every_topic_of_a_language_has_as_many_courses_as_the_others(language):
    plan = programme(language)

    assert {len(topic.flagships) for topic in plan.topics} == {2}
    assert len({topic.name for topic in plan.topics}) == len(plan.topics)
