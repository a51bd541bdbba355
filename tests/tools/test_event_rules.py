"""What the module of events may hold."""

from pathlib import Path

import pytest

from tests.tools.edited_contracts import ENROLLED, edited, events_of
from tools import event_rules

REFUSED = {
    "a field that looks personal": ((ENROLLED, ENROLLED + "    student_name: str\n"), "`student_name` looks personal"),
    "an address": ((ENROLLED, ENROLLED + '    email: str = ""\n'), "`email` looks personal"),
    "a fence elsewhere than in iam": (
        (ENROLLED, ENROLLED + "    pii: PersonalData\n"),
        "only iam's events have `pii`",
    ),
    "an event that is a command": (
        ("banyan.learning.student-enrolled.v1", "banyan.learning.enrol-student.v1"),
        "does not end in the past tense",
    ),
    "a type and a class that differ": (
        ("banyan.learning.student-enrolled.v1", "banyan.learning.student-joined.v1"),
        "so the class is called StudentJoined",
    ),
    "a type of another form": (
        ("banyan.learning.student-enrolled.v1", "learning.StudentEnrolled"),
        "it must be banyan.<context>.<what-happened>.v<number>",
    ),
    "an event that can change": (("frozen=True, ", ""), "must be frozen"),
    "an event without slots": (("slots=True, ", ""), "must be frozen and have slots"),
    "fields by position": ((", kw_only=True", ""), "must be keyword-only"),
    "an event without a time": ((ENROLLED, ENROLLED.replace("    at: datetime\n", "")), "needs `at: datetime`"),
    "a field that is any object": ((ENROLLED, ENROLLED + "    what: dict\n"), "`what` is no plain value"),
    "a key that is worked out": (
        ("return self.enrolment_id", "return self.enrolment_id.lower()"),
        "a key() that returns one of them",
    ),
    "a function": (("\n\nEvent: TypeAlias", "\n\ndef now() -> None: ...\n\n\nEvent: TypeAlias"), "this module is data"),
    "an event that nobody can hear": (("    | CourseViewed\n", ""), "CourseViewed: it is not in `Event`"),
}


def test_the_contracts_as_they_are_pass() -> None:
    assert event_rules.faults() == []


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused(what: str, tmp_path: Path) -> None:
    edit, said = REFUSED[what]
    copy = edited(tmp_path, edit)

    found = event_rules.faults(copy, events_of(copy))

    assert any(said in fault for fault in found), found


def test_a_method_beside_the_key_is_refused(tmp_path: Path) -> None:
    copy = edited(tmp_path, (ENROLLED, f"{ENROLLED}\n    def title(self) -> str:\n        return self.slug\n"))

    assert any("only fields, and a key()" in fault for fault in event_rules.faults(copy, events_of(copy)))


@pytest.mark.parametrize("field", ["zipped: bool", "renamed_to: str", "tags: tuple[str, ...]", "seats: int | None"])
def test_other_words_and_plain_values_pass(field: str, tmp_path: Path) -> None:
    copy = edited(tmp_path, (ENROLLED, f"{ENROLLED}    {field}\n"))

    assert event_rules.faults(copy, events_of(copy)) == []
